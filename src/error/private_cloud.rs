//! The hint and the kind of each failure of an Astro Private Cloud.

use super::ErrorKind;
use super::hint::http_hint;
use super::kind::kind_of_fault;
use crate::domain::Domain;
use crate::houston::HoustonError;
use crate::http::Fault;

impl HoustonError {
    pub(crate) fn hint(&self, domain: &str) -> String {
        let page = || domain.parse().map_or_else(|_| domain.to_owned(), |domain: Domain| domain.token_page());
        match self {
            Self::Http(error) if matches!(error.fault, Fault::Certificate(_)) => {
                "if the platform uses an authority of its own, set SSL_CERT_FILE to that authority's certificate"
                    .to_owned()
            }
            Self::Http(error) if error.status() == Some(403) => {
                "ask the platform's administrator for access".to_owned()
            }
            Self::Http(error) => http_hint(error),
            Self::NoPlatform(_) => {
                "check the network and the domain, which is the address of the platform's pages without `app.`"
                    .to_owned()
            }
            Self::WebPage { .. } => {
                "check the domain, and log in to the network first if it has a page for that".to_owned()
            }
            Self::TokenRefused { .. } => format!("run `astro login {domain}` with a new token from https://{}", page()),
            Self::Schema { .. } => "use the Go CLI of the platform's version, and report its version".to_owned(),
            Self::Failed { .. } | Self::List(_) => {
                "try again, and ask the platform's administrator if it happens again".to_owned()
            }
            Self::PasswordRefused { .. } => format!("run `astro login {domain}` to try again"),
            Self::EmptyPassword => "type the password, or write it to standard input".to_owned(),
            Self::NoPasswords => format!("run `astro login {domain} --oauth` to log in in the browser"),
            Self::NoProviders => "use a user name and its password, or `--token-login -` with a token".to_owned(),
            Self::AstroToken => {
                format!("use a token from https://{}, or log in to Astro with `astro login astronomer.io`", page())
            }
            Self::Expired { .. } => format!("get a new token at https://{}", page()),
            Self::NoTerminal => {
                "use `--token-login -` with a token on standard input, or `--username NAME -` with a password"
                    .to_owned()
            }
        }
    }

    pub(super) fn kind(&self) -> Option<ErrorKind> {
        Some(match self {
            Self::Http(error) if error.status() == Some(403) => ErrorKind::Forbidden,
            Self::Http(error) | Self::NoPlatform(error) => return kind_of_fault(error),
            Self::WebPage { .. } | Self::Schema { .. } | Self::Failed { .. } | Self::List(_) => {
                ErrorKind::ApiUnavailable
            }
            Self::TokenRefused { .. } | Self::PasswordRefused { .. } | Self::AstroToken | Self::Expired { .. } => {
                ErrorKind::Unauthenticated
            }
            Self::NoPasswords | Self::NoProviders => ErrorKind::Usage,
            Self::NoTerminal | Self::EmptyPassword => ErrorKind::InputRequired,
        })
    }
}
