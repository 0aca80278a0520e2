//! What a person can do about an error.

use std::time::Duration;

use super::{Error, minutes};
use crate::api::ListError;
use crate::browser::NoBrowser;
use crate::credentials::StoreError;
use crate::domain::{DEFAULT, is_loopback};
use crate::http::{Fault, HttpError};
use crate::jwt::JwtError;
use crate::oauth::{IssuerError, ListenError, TokenEndpointError, who_has};

impl Error {
    /// What the person can do about it, where there is something.
    pub fn hint(&self) -> Option<String> {
        let (error, domain) = match self {
            Self::SignIn { source, domain } | Self::Settle { source, domain } => (&**source, domain.as_str()),
            other => (other, DEFAULT),
        };
        let hint = error.hint_for(domain);
        let doctor = match domain {
            _ if !error.is_of_this_machine() => return hint,
            DEFAULT => "`astro auth doctor` tells more".to_owned(),
            _ => format!("`astro auth doctor --domain {domain}` tells more"),
        };
        Some(hint.map_or_else(|| doctor.clone(), |hint| format!("{hint}; {doctor}")))
    }

    /// Whether the way out of this machine, or what it has for a keychain, may be the cause.
    fn is_of_this_machine(&self) -> bool {
        match self {
            Self::FallbackForbidden { .. } => true,
            Self::Issuer(IssuerError::Http(error)) | Self::Http(error) | Self::List(ListError::Http(error)) => {
                matches!(error.fault, Fault::Dns | Fault::Connect(_) | Fault::Timeout(_) | Fault::Interrupted)
                    && !is_loopback(host_alone(error))
            }
            _ => false,
        }
    }

    /// The same as the hint, for what was about this domain, and from one who knows all that there is to know.
    pub(crate) fn hint_for(&self, domain: &str) -> Option<String> {
        let hint = match self {
            Self::SignIn { source, domain } | Self::Settle { source, domain } => return source.hint_for(domain),
            Self::LoginWouldFail { .. } => "what is marked as failing says why, and what to do about it",
            Self::Domain(_) => {
                "Astro's domains are astronomer.io, previews of it, and localhost[:PORT]; \
                 for Astro Private Cloud use the Go CLI"
            }
            Self::TokenAsDomain => "to sign in with a token, use `astro login --token-login -` and enter it there",
            Self::NoToken => "make one at https://cloud.astronomer.io/token",
            Self::NoHome => "set HOME, or ASTRO_HOME to the folder that is to hold `.astro`",
            Self::NobodyThere { reason } => without_browser(*reason),
            Self::NoReply { .. } => {
                "if the browser shows an error page, the identity provider has refused the request, and that page says \
                 why; if it could not connect, run this again and paste the address it ends on"
            }
            Self::OtherAccount { .. } => "sign in with the other account, or leave out `--email`",
            Self::OtherOwner { .. } => "use a token of that account, or leave out `--email`",
            Self::FallbackForbidden { .. } => {
                return Some(format!(
                    "start a keychain such as gnome-keyring, or unset `no_insecure_fallback` and \
                     ASTRO_NO_INSECURE_FALLBACK, or choose plain text with `{} --insecure-storage`",
                    login(domain)
                ));
            }
            Self::SignedOut { domain, unseen: Some(_) } => {
                let login = login(domain);
                return Some(format!(
                    "run `{login}`; a login that was made in a desktop session is in its keychain, out of reach from here"
                ));
            }
            Self::SignedOut { domain, unseen: None }
            | Self::LoginExpired { domain, .. }
            | Self::LoginEnded { domain, .. }
            | Self::TokenRefused { domain, .. }
            | Self::ForeignLogin { domain, .. } => return Some(format!("run `{}`", login(domain))),
            Self::ApiTokenRefused | Self::ApiTokenExpired { .. } => {
                "unset it to use your login, or make another token in the Astro UI"
            }
            Self::NothingGranted | Self::NotGranted { .. } => "make another API token in the Astro UI",
            // The context is not the current one any more, so the domain has to be named.
            Self::Remains { domains } => {
                let again = if domains.contains(", ") { "--all" } else { domains };
                return Some(format!(
                    "the warnings say what remains; where it is on this machine, run `astro logout {again}` again once \
                     the cause is gone"
                ));
            }
            Self::NoContexts => "`astro login` makes one",
            Self::NothingNamed { .. } => "name it on the command line",
            Self::NotForced => "use `--force` to delete it without being asked",
            Self::NoOrganizationChosen => "choose one with `astro organization switch`",
            Self::NoWorkspace => "ask the owner of your organization for access to one",
            Self::NoOrganization => {
                let login = login(domain);
                return Some(format!("ask the owner of your organization to invite you, then run `{login}` again"));
            }
            Self::NotFound(not_found) => return Some(not_found.hint()),
            Self::Config(error) => error.hint(),
            Self::Store { domain, source } => return Some(store_hint(source, &login(domain))),
            Self::Listen(ListenError::PortTaken(port) | ListenError::Bind { port, .. }) => {
                return Some(format!(
                    "end the program that has the port (`{}` tells which), or sign in from a terminal and paste the address",
                    who_has(*port)
                ));
            }
            Self::Token(TokenEndpointError::Refused(refused)) | Self::NotRenewed { refused, .. }
                if refused.may_pass() =>
            {
                return Some(try_again(refused.retry_after));
            }
            Self::NotRenewed { domain, .. } => return Some(format!("run `{}` to try again", login(domain))),
            Self::Callback(_) | Self::Token(TokenEndpointError::Refused(_)) => {
                return Some(format!("run `{}` to try again", login(domain)));
            }
            Self::Issuer(IssuerError::Refused { .. } | IssuerError::OtherIssuer { .. }) => {
                "nothing was sent there; if it happens again, tell Astronomer's support"
            }
            // No access token is shown there, so somebody in between refuses the machine and not the person.
            Self::Issuer(IssuerError::Http(error)) | Self::Token(TokenEndpointError::Http(error))
                if matches!(error.status(), Some(401 | 403)) =>
            {
                IN_BETWEEN
            }
            Self::Issuer(IssuerError::Http(error))
            | Self::Token(TokenEndpointError::Http(error))
            | Self::Http(error)
            | Self::List(ListError::Http(error)) => return Some(http_hint(error)),
            Self::List(ListError::Late { .. }) => "the network or the API is slow now; try again later",
            Self::OtherSubject | Self::NoIdToken | Self::Keys(_) | Self::List(_) => {
                "try again; if it happens again, tell Astronomer's support"
            }
            Self::Jwt(error) => return jwt_hint(error).map(str::to_owned),
            Self::Cancelled
            | Self::Token(TokenEndpointError::TokenType(_))
            | Self::Ui(_)
            | Self::Random(_)
            | Self::Io(_) => return None,
        };
        Some(hint.to_owned())
    }
}

/// How to sign in where no browser is opened and nobody sits at a terminal.
fn without_browser(reason: NoBrowser) -> &'static str {
    match reason {
        // Nobody is there who could open a link.
        NoBrowser::Ci => "use `--token-login -` with a token on standard input",
        _ => "use `--login-link` for a link to open elsewhere, or `--token-login -` with a token on standard input",
    }
}

/// The command that signs in to this domain, whatever the current one is.
fn login(domain: &str) -> String {
    if domain == DEFAULT { "astro login".to_owned() } else { format!("astro login {domain}") }
}

fn store_hint(error: &StoreError, login: &str) -> String {
    let plain = format!("`{login} --insecure-storage`");
    match error {
        StoreError::Absent { .. } => format!("start a keychain, or choose plain text with {plain}"),
        StoreError::Locked => format!("unlock the keychain and try again, or choose plain text with {plain}"),
        StoreError::Refused => format!("allow access when the keychain asks, or choose plain text with {plain}"),
        StoreError::TimedOut(_) => {
            format!("answer the keychain's dialog if there is one; {plain} does without the keychain")
        }
        StoreError::WentAway => format!("try again; if it happens again, {plain} does without the keychain"),
        StoreError::Damaged => format!("run `{login}` to write them anew"),
        StoreError::NewerFormat => "use the newer version, or remove the entry of service `astro-login`".to_owned(),
        StoreError::Other(_) => format!("{plain} does without the keychain"),
    }
}

/// The host without its port.
fn host_alone(error: &HttpError) -> &str {
    error.host.rsplit_once(':').map_or(error.host.as_str(), |(host, _)| host)
}

const IN_BETWEEN: &str = "a proxy or captive portal may be in between; try again from another network";

fn http_hint(error: &HttpError) -> String {
    let hint = match &error.fault {
        Fault::Connect(_) | Fault::Timeout(_) | Fault::Interrupted if is_loopback(host_alone(error)) => {
            "see that the server on this machine is running"
        }
        Fault::Dns | Fault::Connect(_) | Fault::Timeout(_) | Fault::Interrupted => {
            "check the network and, behind a proxy, HTTPS_PROXY; then try again"
        }
        Fault::Certificate(_) => "if a proxy of your company inspects TLS, name its certificate in SSL_CERT_FILE",
        Fault::Setup(_) => "install the system's CA certificates, or name a file of them in SSL_CERT_FILE",
        Fault::Status { status: 401, .. } => "sign in again, or get a fresh token at https://cloud.astronomer.io/token",
        Fault::Status { status: 403, .. } => "ask the owner of your organization for access",
        Fault::Status { status: 429 | 500..=599, retry_after, .. } => return try_again(*retry_after),
        Fault::NotHttps
        | Fault::TooLarge { .. }
        | Fault::Redirect { .. }
        | Fault::Status { .. }
        | Fault::NotUnderstood => IN_BETWEEN,
    };
    hint.to_owned()
}

/// When to try again: after the time that the server asks for, where that is one to wait for.
fn try_again(retry_after: Option<Duration>) -> String {
    let sensible = |wait: &Duration| (1..=24 * 60 * 60).contains(&wait.as_secs());
    let wait = retry_after.filter(sensible).map_or_else(|| "a minute".to_owned(), minutes);
    format!("try again in {wait}")
}

fn jwt_hint(error: &JwtError) -> Option<&'static str> {
    match error {
        JwtError::ApiTokenGiven => Some("an API token needs no login: put it into ASTRO_API_TOKEN"),
        JwtError::IssuedInFuture { .. } | JwtError::NotYetValid { .. } => Some("set the clock of this machine"),
        JwtError::WrongIssuer { .. } => {
            Some("name the domain that the token is for: `astro login DOMAIN --token-login -`")
        }
        JwtError::Expired { .. }
        | JwtError::NotAJwt
        | JwtError::IdTokenGiven
        | JwtError::UnknownKey
        | JwtError::SignatureInvalid => {
            Some("sign in again, or get a fresh token at https://cloud.astronomer.io/token")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_name_the_domain_that_the_command_was_about() {
        let damaged = |domain: &str| Error::Store { domain: domain.to_owned(), source: StoreError::Damaged };
        let unreached = |host: &str, domain: &str| {
            let error = HttpError { step: "ask", host: host.to_owned(), fault: Fault::Connect("refused".to_owned()) };
            Error::from(error).during_sign_in(&domain.parse().unwrap())
        };
        let table = [
            (
                unreached("api.astronomer-stage.io", "astronomer-stage.io"),
                "check the network and, behind a proxy, HTTPS_PROXY; then try again; \
                 `astro auth doctor --domain astronomer-stage.io` tells more",
            ),
            (unreached("localhost:8889", "localhost:8889"), "see that the server on this machine is running"),
            (Error::SignedOut { domain: "astronomer.io".to_owned(), unseen: None }, "run `astro login`"),
            (
                Error::SignedOut { domain: "astronomer-stage.io".to_owned(), unseen: None },
                "run `astro login astronomer-stage.io`",
            ),
            (damaged("astronomer.io"), "run `astro login` to write them anew"),
            (damaged("localhost:8889"), "run `astro login localhost:8889` to write them anew"),
        ];
        for (error, hint) in table {
            assert_eq!(error.hint().as_deref(), Some(hint), "{error:?}");
        }
    }
}
