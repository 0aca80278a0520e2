//! The failure of a command, in words for the user: the message, its causes, a hint, and the exit code.
//!
//! Everything here is decided by type; no message text is ever compared.

mod hint;
mod kind;
mod not_found;
mod private_cloud;
mod warning;

use std::error::Error as _;
use std::io;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::api::ListError;
use crate::browser::NoBrowser;
use crate::config::ConfigError;
use crate::credentials::StoreError;
use crate::credentials::vault::VaultError;
use crate::domain::{Domain, DomainError, Product};
use crate::environment::EnvironmentError;
use crate::houston::HoustonError;
use crate::http::HttpError;
use crate::jwt::{JwksError, JwtError};
use crate::next_astro::NextError;
use crate::oauth::{CallbackError, IssuerError, ListenError, RandomError, Rejection, TokenEndpointError, TokenError};
use crate::time_format::format_relative;
use crate::token::TokenTextError;
use crate::ui::UiError;

pub use kind::ErrorKind;
pub use not_found::{NotFound, first_few};
pub use warning::Warning;

/// Instructions for a URL that the user has copied.
pub const PASTE_HERE: &str = "paste it here";
pub const WRITE_TO_STDIN: &str = "write it to standard input";

pub const NO_EMAIL: &str = "an account without a verified email";

/// The origin of text that should be a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenPlace {
    #[error("ASTRO_API_TOKEN")]
    Variable,
    #[error("the argument of `--token-login`")]
    Argument,
    #[error("standard input")]
    Stdin,
    #[error("the prompt")]
    Prompt,
}

/// The reason why credentials are not saved unencrypted in place of an absent keychain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoPlaintext {
    #[error("saving credentials unencrypted is forbidden")]
    Forbidden,
    #[error("{setting} is keychain")]
    KeychainOnly { setting: &'static str },
    /// A keychain held the last login, and there is no terminal to ask on.
    #[error("the last login was in one")]
    LastInKeychain,
}

/// The reason why there is no first step of a login for `--complete`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotPending {
    #[error("none was begun, or it was completed or replaced")]
    Nothing,
    #[error("it was begun more than 10 minutes ago")]
    Expired,
    #[error("the domain has another issuer by now")]
    OtherIssuer,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("canceled")]
    Canceled,
    /// A canceled menu.
    #[error("canceled: no {what} chosen")]
    NotChosen { what: &'static str },
    #[error("could not log in to {domain}")]
    Login { domain: String, source: Box<Error> },
    #[error("logged in to {domain}, but could not select an organization and workspace")]
    Selection { domain: String, source: Box<Error> },
    #[error(transparent)]
    Domain(#[from] DomainError),
    #[error("this looks like a token, not like a domain")]
    TokenAsDomain,
    #[error("could not read a token from {place}")]
    TokenText { place: TokenPlace, source: TokenTextError },
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    #[error("could not find the home directory")]
    NoHome,
    #[error("cannot log in interactively: no terminal ({reason})")]
    NoBrowserNoTerminal { reason: NoBrowser },
    #[error("timed out after {} waiting for the browser", minutes(*.waited))]
    CallbackTimeout {
        waited: Duration,
        /// The instruction for the URL of the last page: [`PASTE_HERE`], [`WRITE_TO_STDIN`] or none.
        paste: Option<&'static str>,
    },
    #[error("expected {expected}, but logged in as {}", .found.as_deref().unwrap_or(NO_EMAIL))]
    AccountMismatch { expected: String, found: Option<String>, is_named: bool },
    /// `--complete` without a login to complete.
    #[error("could not complete a login: {0}")]
    NotPending(#[from] NotPending),
    /// The URL given to `--complete` holds no code for the login. The login is still pending, unless the issuer refused it.
    #[error("{rejection}")]
    NotCompleted { rejection: Rejection, port: u16 },
    #[error("expected {expected}, but the token belongs to {}", .found.as_deref().unwrap_or(NO_EMAIL))]
    TokenAccountMismatch { expected: String, found: Option<String> },
    #[error("the issuer's responses are about different users")]
    SubjectMismatch,
    #[error("the issuer sent no ID token")]
    NoIdToken,
    #[error("not logged in to {domain}")]
    NotLoggedIn {
        domain: String,
        #[source]
        no_keychain: Option<StoreError>,
    },
    #[error("your login to {domain} expired on {} ({})", TimeZone::UTC.to_datetime(*.at).date(), format_relative(*.at, *.now))]
    LoginExpired { domain: String, at: Timestamp, now: Timestamp },
    #[error("your login to {domain} has expired or was revoked")]
    LoginRevoked {
        domain: String,
        #[source]
        refused: TokenError,
    },
    #[error("could not renew the login to {domain}")]
    RefreshRefused {
        domain: String,
        #[source]
        refused: TokenError,
    },
    #[error("could not renew the login to {domain}: it has no refresh token")]
    NoRefreshToken { domain: String },
    #[error("the token ends {}, which is too soon", format_relative(*.at, *.now))]
    EndsTooSoon { at: Timestamp, now: Timestamp },
    #[error("could not renew the token in ASTRO_API_TOKEN")]
    ApiTokenNotRenewable,
    #[error("the API of {domain} refused the login")]
    TokenRefused {
        domain: String,
        #[source]
        response: Option<HttpError>,
    },
    /// The stored login was issued for another domain (RFC 9700 section 4.14).
    #[error("the login stored for {domain} was issued by {}, which does not belong to that domain", .issuer.as_deref().unwrap_or("an unknown issuer"))]
    IssuerMismatch { domain: String, issuer: Option<String> },
    #[error("the API refused the token in ASTRO_API_TOKEN")]
    ApiTokenRefused,
    #[error("the token in ASTRO_API_TOKEN is not valid")]
    ApiTokenInvalid(#[source] JwtError),
    #[error("the token in ASTRO_API_TOKEN was issued by {issuer}, which does not belong to {domain}")]
    ApiTokenOfOtherDomain { domain: String, issuer: String },
    #[error("did not send ASTRO_API_TOKEN to {domain}, which only the current context names")]
    ApiTokenWithheld { domain: String },
    #[error("could not switch the workspace: ASTRO_API_TOKEN is for another organization, {organization}")]
    ApiTokenOfOtherOrganization { organization: String },
    #[error("not logged in to {domain}, and ASTRO_API_TOKEN is empty")]
    ApiTokenEmpty { domain: String },
    #[error("the token in ASTRO_API_TOKEN expired on {} ({})", TimeZone::UTC.to_datetime(*.at).date(), format_relative(*.at, *.now))]
    ApiTokenExpired { at: Timestamp, now: Timestamp },
    #[error("a login to {domain} would fail on this machine")]
    LoginWouldFail { domain: String },
    #[error("logout from {domains} was incomplete")]
    LogoutIncomplete { domains: String },
    #[error("could not log out of the current context {context}: it is not a domain")]
    LogoutOfForeignContext { context: String },
    #[error("could not save the selection: another program changed the login to {domain} or its organization")]
    SelectionCrossed { domain: String },
    #[error("no contexts yet")]
    NoContexts,
    #[error("no {what} given, and no terminal to prompt on")]
    MissingArgument { what: &'static str },
    #[error("could not confirm the deletion: no terminal to prompt on")]
    ConfirmationRequired,
    #[error("no organization selected")]
    NoOrganizationSelected,
    #[error("you have access to no workspace in this organization")]
    NoWorkspace,
    #[error("this API token has no permissions")]
    NoPermissions,
    #[error("the API of {domain} refused this API token")]
    ApiTokenNotAccepted { domain: String, source: HttpError },
    #[error("no keychain available ({reason}), and {why}")]
    NoKeychain { reason: &'static str, why: NoPlaintext },
    #[error("{setting} is not auto, keychain or plain")]
    StorageSetting { setting: &'static str },
    #[error("{setting} is plain, but {prohibition} forbids saving credentials unencrypted")]
    StorageContradiction { setting: &'static str, prohibition: &'static str },
    #[error("you are logged in, but belong to no organization")]
    NoOrganization,
    #[error(transparent)]
    NotFound(#[from] NotFound),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("could not use the login in Astro CLI 2's vault")]
    Vault { domain: String, source: VaultError },
    #[error("could not use the keychain")]
    Store { domain: String, source: StoreError },
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    #[error(transparent)]
    Callback(#[from] CallbackError),
    #[error(transparent)]
    Token(#[from] TokenEndpointError),
    #[error(transparent)]
    Keys(#[from] JwksError),
    #[error(transparent)]
    Jwt(#[from] JwtError),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(transparent)]
    List(#[from] ListError),
    #[error("{failure}")]
    Houston { domain: String, failure: Box<HoustonError> },
    #[error("{what} does not work with {domain}, which is a domain of {product}")]
    OtherProduct { what: &'static str, domain: String, product: Product },
    #[error("no command given")]
    NoCommand,
    #[error("could not run the Go CLI with a token in its environment, which it may store in config.yaml")]
    ExecOfAstro,
    #[error("no variable named for a token of {domain}, which is Astro Private Cloud")]
    ExecWithoutVariable { domain: String },
    #[error("could not run {program}")]
    Start { program: String, source: io::Error },
    #[error(transparent)]
    NextAstro(#[from] NextError),
    #[error(transparent)]
    Ui(UiError),
    #[error(transparent)]
    Random(#[from] RandomError),
    #[error("the operating system refused a resource")]
    Io(#[from] io::Error),
}

impl From<UiError> for Error {
    fn from(error: UiError) -> Self {
        match error {
            UiError::Canceled => Self::Canceled,
            other => Self::Ui(other),
        }
    }
}

impl Error {
    /// Returns the error of a menu for a `what`.
    pub fn of_menu(what: &'static str) -> impl Fn(UiError) -> Self {
        move |error| match error {
            UiError::Canceled => Self::NotChosen { what },
            other => Self::Ui(other),
        }
    }

    pub fn during_login(self, domain: &Domain) -> Self {
        self.during(|source| Self::Login { domain: domain.to_string(), source })
    }

    pub fn during_selection(self, domain: &Domain) -> Self {
        self.during(|source| Self::Selection { domain: domain.to_string(), source })
    }

    fn during(self, step: impl FnOnce(Box<Self>) -> Self) -> Self {
        match self {
            Self::Canceled | Self::NotChosen { .. } => self,
            source => step(Box::new(source)),
        }
    }

    /// Returns the causes of this error, outermost first, safe to print.
    pub fn causes(&self) -> Vec<String> {
        let mut causes = Vec::new();
        let mut next = self.source();
        while let Some(cause) = next {
            causes.push(crate::text::clean(&cause.to_string(), 300));
            next = cause.source();
        }
        causes
    }
}

fn minutes(duration: Duration) -> String {
    match duration.as_secs() {
        60 => "1 minute".to_owned(),
        seconds if seconds % 60 == 0 && seconds > 0 => format!("{} minutes", seconds / 60),
        1 => "1 second".to_owned(),
        seconds => format!("{seconds} seconds"),
    }
}
