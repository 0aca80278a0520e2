//! The hint of each error: what the user can do about it.

mod stores;

use std::time::Duration;

use super::warning::{COPY_AGAIN, paste_hint};
use super::{Error, NoPlaintext, TokenPlace, minutes};
use crate::api::ListError;
use crate::browser::NoBrowser;
use crate::domain::{DEFAULT, Domain, DomainError, is_loopback};
use crate::environment::EnvironmentError;
use crate::houston::HoustonError;
use crate::http::{Fault, HttpError, ProxyFault};
use crate::jwt::JwtError;
use crate::next_astro::NextError;
use crate::oauth::{
    CallbackError, IssuerError, ListenError, Rejection, TokenEndpointError, Unrelated, port_owner_command,
};
use crate::token::TokenTextError;
use crate::ui::UiError;

use stores::{store_hint, vault_hint};

const PROXY: &str = "try another network, because a proxy or captive portal may interfere with this one";
const SUPPORT: &str = "try again, and contact Astronomer support if it happens again";
const FRESH_TOKEN: &str = "log in again, or get a new token at https://cloud.astronomer.io/token";

impl Error {
    pub fn hint(&self) -> Option<String> {
        let domain = match self {
            Self::Login { domain, .. } | Self::Selection { domain, .. } => domain.as_str(),
            _ => DEFAULT,
        };
        let hint = self.hint_for(domain)?;
        if !self.innermost().may_be_local() {
            return Some(hint);
        }
        let flag = if domain == DEFAULT { String::new() } else { format!(" --domain {domain}") };
        Some(format!("{hint}, or run `astro auth doctor{flag}`"))
    }

    fn innermost(&self) -> &Self {
        match self {
            Self::Login { source, .. } | Self::Selection { source, .. } => source.innermost(),
            other => other,
        }
    }

    /// Returns `true` if a local network or keychain problem may be the cause, which `auth doctor` could find.
    fn may_be_local(&self) -> bool {
        let error = match self {
            Self::Issuer(IssuerError::Http(error)) | Self::Http(error) | Self::List(ListError::Http(error)) => error,
            Self::Houston { failure, .. } => match &**failure {
                HoustonError::Http(error) | HoustonError::NoPlatform(error) => error,
                _ => return false,
            },
            _ => return false,
        };
        matches!(error.fault, Fault::Dns | Fault::Connect(_) | Fault::Timeout(_) | Fault::Interrupted)
            && !is_loopback(host_without_port(error))
    }

    /// Like [`hint`](Self::hint), but without the pointer to `auth doctor`, which calls this itself.
    pub(crate) fn hint_for(&self, domain: &str) -> Option<String> {
        Some(match self.innermost() {
            Self::MissingArgument { what } | Self::NotChosen { what } => {
                format!("run `astro {what} switch <{}>`", if *what == "context" { "DOMAIN" } else { "NAME" })
            }
            Self::NotFound(error) => error.hint(),
            Self::Domain(DomainError::Misspelled { meant, .. }) => format!("use {meant}"),
            Self::Domain(DomainError::Page { domain, .. }) => format!("use {domain}"),
            Self::Houston { domain, failure } => failure.hint(domain),
            Self::Environment(EnvironmentError::RelativePath(name)) => {
                format!("set {name} to an absolute path without `~` or `$HOME`, or unset it")
            }
            Self::Environment(EnvironmentError::NotText(name)) => format!("set {name} again, or unset it"),
            Self::StorageSetting { setting } => format!("set {setting} to auto, keychain or plain, or remove it"),
            Self::NotCompleted { rejection, port } => pasted_hint(rejection, *port).replace("{login}", &login(domain)),
            Self::Config(error) => error.hint(),
            Self::CallbackTimeout { paste: Some(paste), .. } => {
                format!("if the last page did not load, run this again, copy its URL and {paste}")
            }
            Self::Listen(ListenError::PortTaken(port) | ListenError::Bind { port, .. }) => {
                format!("stop the program that `{}` shows, or log in from a terminal", port_owner_command(*port))
            }
            // These requests carry no access token, so a proxy refuses the machine, not the issuer the user.
            Self::Issuer(IssuerError::Http(error)) | Self::Token(TokenEndpointError::Http(error))
                if matches!(error.status(), Some(401 | 403)) =>
            {
                PROXY.to_owned()
            }
            Self::Issuer(IssuerError::Http(error))
            | Self::Token(TokenEndpointError::Http(error))
            | Self::Http(error)
            | Self::List(ListError::Http(error)) => http_hint(error),
            Self::Token(TokenEndpointError::Refused(refused)) | Self::RefreshRefused { refused, .. }
                if refused.may_pass() =>
            {
                try_again(refused.retry_after)
            }
            other => {
                let page = || domain.parse().ok().map(|domain: Domain| domain.token_page());
                let hint = other.fixed_hint()?.replace("{login}", &login(other.domain().unwrap_or(domain)));
                hint.replace("{page}", &page().unwrap_or_default())
            }
        })
    }

    /// Returns the domain of this error, whose login the hint names.
    fn domain(&self) -> Option<&str> {
        match self {
            Self::NotLoggedIn { domain, .. }
            | Self::LoginExpired { domain, .. }
            | Self::LoginRevoked { domain, .. }
            | Self::TokenRefused { domain, .. }
            | Self::RefreshRefused { domain, .. }
            | Self::NoRefreshToken { domain }
            | Self::IssuerMismatch { domain, .. }
            | Self::Vault { domain, .. }
            | Self::Store { domain, .. } => Some(domain),
            _ => None,
        }
    }

    /// Returns a hint in which `{login}` stands for the command that logs in.
    #[expect(clippy::match_same_arms, clippy::too_many_lines, reason = "one line an error")]
    fn fixed_hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::NextAstro(NextError::Choice { .. }) => "set ASTRO_CLI to the path of the Go CLI, or unset it",
            Self::NextAstro(NextError::Loop(_)) => {
                "set ASTRO_CLI to the path of the Go CLI, or remove that wrapper from PATH"
            }
            Self::NextAstro(NextError::Start { .. }) => {
                "check that it runs on this machine, or set ASTRO_CLI to the path of another"
            }
            Self::LoginWouldFail { .. } => "follow the advice of the failed checks above",
            Self::LogoutIncomplete { .. } => "follow the hints of the warnings above",
            Self::Domain(_) => {
                "use astronomer.io, one of its previews or localhost[:PORT], or the base domain of an Astro Private Cloud"
            }
            Self::OtherProduct { what: "`astro organization`", .. } => "use `astro workspace`",
            Self::OtherProduct { .. } => "leave it out, or name another domain",
            Self::TokenAsDomain => "run `astro login --token-login -` with the token on standard input",
            Self::TokenText { place: TokenPlace::Variable, .. } => "set ASTRO_API_TOKEN to a token, or unset it",
            Self::TokenText { source: TokenTextError::Several, .. } => "give one of the tokens alone",
            Self::TokenText { .. } => {
                "check the variable or secret that should hold the token, or create a token at https://{page}"
            }
            Self::ApiTokenOfOtherDomain { .. } | Self::ApiTokenWithheld { .. } => {
                "set ASTRO_DOMAIN to the domain of the token, or unset ASTRO_API_TOKEN"
            }
            Self::ApiTokenOfOtherOrganization { .. } => {
                "unset ASTRO_API_TOKEN to switch in the organization of the login"
            }
            Self::ApiTokenEmpty { .. } => {
                "set ASTRO_API_TOKEN to a token, and check that the CI secret behind it exists"
            }
            Self::NoHome => "set HOME, or set ASTRO_HOME to the folder that contains `.astro`",
            // In a CI job, no user can open a link.
            Self::NoBrowserNoTerminal { reason: NoBrowser::Ci } => {
                "use `--token-login -` with a token on standard input"
            }
            Self::NoBrowserNoTerminal { .. } => {
                "use `--login-link` or `--begin` for a URL to open on any device, or `--token-login -` with a token on standard input"
            }
            Self::CallbackTimeout { .. } => "run this again, and allow more time with `--timeout`",
            Self::AccountMismatch { is_named: false, .. } => {
                "log in with the expected account in the browser, or begin with `--email` and the other one"
            }
            Self::AccountMismatch { .. } => {
                "log in with the expected account in the browser, for example in a private window, or drop `--email`"
            }
            Self::TokenAccountMismatch { .. } => "use a token of the expected account, or drop `--email`",
            Self::NotLoggedIn { no_keychain: Some(_), .. } => {
                "run `{login}`, because a login of a desktop session cannot be read here"
            }
            Self::NotLoggedIn { .. } | Self::LoginExpired { .. } | Self::LoginRevoked { .. } => "run `{login}`",
            Self::TokenRefused { .. } | Self::IssuerMismatch { .. } | Self::RefreshRefused { .. } => "run `{login}`",
            Self::NoRefreshToken { .. } => "run `{login}`",
            Self::NotPending(_) => "run `{login} --begin`",
            Self::Callback(_) | Self::Token(TokenEndpointError::Refused(_)) => "run `{login}` to try again",
            Self::NoOrganization => "ask the owner of your organization to invite you, then run `{login}` again",
            Self::StorageContradiction { .. } => "remove one of the two settings, or log in with `--insecure-storage`",
            Self::NoKeychain { why: NoPlaintext::LastInKeychain, .. } => {
                "start a keychain such as gnome-keyring, or set ASTRO_CREDENTIALS=plain to save unencrypted"
            }
            Self::NoKeychain { .. } => {
                "start a keychain such as gnome-keyring, or save unencrypted with `{login} --insecure-storage`"
            }
            Self::ApiTokenRefused | Self::ApiTokenExpired { .. } | Self::ApiTokenInvalid(_) => {
                "unset ASTRO_API_TOKEN to use your login, or create a new token in the Astro UI"
            }
            Self::NoCommand => "add a command after `--`",
            Self::ExecOfAstro => {
                "run `astro login --insecure-storage` to share the login with it, and then run it by itself"
            }
            Self::ExecWithoutVariable { .. } => "use `--env NAME` with the variable that the command reads",
            Self::Start { .. } => "check the name of the command and its permissions",
            Self::ApiTokenNotRenewable => "unset ASTRO_API_TOKEN to renew the token of your login",
            Self::EndsTooSoon { .. } => "ask for less with `--valid-for`",
            Self::NoPermissions | Self::ApiTokenNotAccepted { .. } => "create a new API token in the Astro UI",
            Self::NoContexts => "run `astro login` to create one",
            Self::LogoutOfForeignContext { .. } => {
                "run `astro logout astronomer.io` to log out of astronomer.io, or log out of this context with the Go CLI"
            }
            Self::SelectionCrossed { .. } => "run `astro auth status` to see the login that is stored now",
            Self::ConfirmationRequired => "use `--force` to delete without confirmation",
            Self::NoOrganizationSelected => "run `astro organization switch`",
            Self::NoWorkspace => "ask the owner of your organization for access to one",
            Self::Issuer(_) => "try another network, and contact Astronomer support if it happens again",
            Self::List(ListError::Late { .. }) => "try again later, because the network or the API is slow",
            Self::SubjectMismatch | Self::NoIdToken | Self::Keys(_) | Self::List(_) | Self::Token(_) => SUPPORT,
            Self::Vault { source, .. } => vault_hint(source),
            Self::Store { source, .. } => store_hint(source),
            Self::Jwt(error) => jwt_hint(error),
            Self::Ui(UiError::NoTerminal) => "run it in a terminal, or pass the answer as an argument",
            Self::Ui(UiError::TooLong) => "pipe in the token or the URL alone",
            Self::Ui(UiError::Io(_)) => "run it in a terminal, or with text on standard input",
            Self::Random(_) => "try again, and restart this machine if it happens again",
            Self::Io(_) => "check the limits of this system with `ulimit -a`, and those of its sandbox",
            Self::Canceled | Self::Ui(UiError::Canceled) => return None,
            // The hints of these come from `hint_for`.
            Self::Login { .. } | Self::Selection { .. } | Self::MissingArgument { .. } | Self::NotChosen { .. } => {
                return None;
            }
            Self::NotFound(_) | Self::Environment(_) | Self::Config(_) | Self::Listen(_) | Self::Http(_) => {
                return None;
            }
            Self::StorageSetting { .. } | Self::NotCompleted { .. } | Self::Houston { .. } => return None,
        })
    }
}

/// Returns the command that logs in to this domain, even if it is not the current one.
fn login(domain: &str) -> String {
    if domain == DEFAULT { "astro login".to_owned() } else { format!("astro login {domain}") }
}

/// Returns the hint for a URL given to `--complete`, in which `{login}` stands for the command that logs in.
fn pasted_hint(rejection: &Rejection, port: u16) -> String {
    match rejection {
        Rejection::Unrelated(Unrelated::OtherState) => {
            "copy the URL of the page that the last `{login} --begin` led to, or run that again".to_owned()
        }
        Rejection::Final(CallbackError::Refused(_)) => "run `{login} --begin` to try again".to_owned(),
        Rejection::Unrelated(reason) => paste_hint(*reason, port),
        Rejection::Final(_) => COPY_AGAIN.to_owned(),
    }
}

fn host_without_port(error: &HttpError) -> &str {
    error.host.rsplit_once(':').map_or(error.host.as_str(), |(host, _)| host)
}

pub(super) fn http_hint(error: &HttpError) -> String {
    let hint = match &error.fault {
        Fault::Connect(_) | Fault::Timeout(_) | Fault::Interrupted if is_loopback(host_without_port(error)) => {
            "check that the local server is running"
        }
        Fault::Dns | Fault::Connect(_) | Fault::Timeout(_) | Fault::Interrupted => {
            "check the network and, behind a proxy, HTTPS_PROXY"
        }
        Fault::ProxyInvalid { variable } | Fault::SocksProxy { variable, .. } => {
            return format!("set {variable} to http://HOST:PORT without quotes, or unset it");
        }
        Fault::Proxy { reason: ProxyFault::Refused(407), .. } => {
            "put the proxy's user name and password into HTTPS_PROXY"
        }
        Fault::Proxy { reason: ProxyFault::Refused(_), .. } => "ask your network's administrator to allow this host",
        Fault::Proxy { .. } => "check the network and HTTPS_PROXY",
        Fault::CertificateTime(_) => {
            "set the clock of this machine if it is wrong, or try again once the server's certificate is renewed"
        }
        Fault::Certificate(_) => "if a corporate proxy inspects TLS, set SSL_CERT_FILE to its certificate",
        Fault::Setup(_) => "install the system's CA certificates, or set SSL_CERT_FILE to a file of them",
        Fault::Status { status: 401, .. } => FRESH_TOKEN,
        Fault::Status { status: 403, .. } => "ask the owner of your organization for access",
        Fault::Status { status: 429 | 500..=599, retry_after, .. } => return try_again(*retry_after),
        Fault::NotHttps
        | Fault::TooLarge { .. }
        | Fault::Redirect { .. }
        | Fault::Status { .. }
        | Fault::InvalidBody => PROXY,
    };
    hint.to_owned()
}

/// Names the time to try again: the server's, if it is between a second and a day, else a minute.
fn try_again(retry_after: Option<Duration>) -> String {
    let sensible = |wait: &Duration| (1..=24 * 60 * 60).contains(&wait.as_secs());
    let wait = retry_after.filter(sensible).map_or_else(|| "a minute".to_owned(), minutes);
    format!("try again in {wait}")
}

fn jwt_hint(error: &JwtError) -> &'static str {
    match error {
        JwtError::ApiTokenGiven => "set ASTRO_API_TOKEN to it, because an API token needs no login",
        JwtError::ClockOff { .. } | JwtError::IssuedInFuture { .. } | JwtError::NotYetValid { .. } => {
            "set the clock of this machine"
        }
        JwtError::WrongIssuer { .. } => "run `astro login DOMAIN --token-login -` with the domain of the token",
        JwtError::Expired { .. }
        | JwtError::NotAJwt
        | JwtError::IdTokenGiven
        | JwtError::UnknownKey
        | JwtError::SignatureInvalid => FRESH_TOKEN,
        JwtError::Organization { .. } => "log in again, and choose that organization or leave out the email address",
        JwtError::Encrypted
        | JwtError::TooLong
        | JwtError::DuplicateMember
        | JwtError::Malformed(_)
        | JwtError::Missing(_)
        | JwtError::Algorithm(_)
        | JwtError::Unsupported(_)
        | JwtError::TypeNotAccepted(_)
        | JwtError::WrongAudience { .. }
        | JwtError::UntrustedAudience(_)
        | JwtError::WrongParty(_)
        | JwtError::Nonce
        | JwtError::AtHash
        | JwtError::KeyNotNamed => SUPPORT,
    }
}

#[cfg(test)]
mod tests;
