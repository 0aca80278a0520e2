//! What went wrong, in words for a person: what happened, why, and what to do next. The exit code says the kind.
//!
//! Everything here is decided by type; no message is ever looked at.

mod hint;

use std::error::Error as _;
use std::io;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::api::ListError;
use crate::browser::NoBrowser;
use crate::choice::NotFound;
use crate::config::ConfigError;
use crate::credentials::StoreError;
use crate::domain::{Domain, DomainError};
use crate::http::HttpError;
use crate::jwt::{JwksError, JwtError};
use crate::oauth::{CallbackError, IssuerError, ListenError, RandomError, TokenEndpointError, TokenError};
use crate::ui::UiError;
use crate::when::relative;

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The person stopped it.
    #[error("cancelled")]
    Cancelled,
    /// A login that left nothing behind.
    #[error("could not sign in to {domain}")]
    SignIn {
        /// Where to.
        domain: String,
        /// Why not.
        source: Box<Error>,
    },
    /// A login that stands, without the organization or the workspace that it was to use.
    #[error("signed in to {domain}, but could not settle where you work there")]
    Settle {
        /// Where to.
        domain: String,
        /// Why not.
        source: Box<Error>,
    },
    /// The domain is none of Astro's.
    #[error(transparent)]
    Domain(#[from] DomainError),
    /// A token stands where the domain belongs.
    #[error("this looks like a token, not like a domain")]
    TokenAsDomain,
    /// Nothing was given as a token.
    #[error("the token is empty")]
    NoToken,
    /// No place for config.yaml is known.
    #[error("there is no home directory")]
    NoHome,
    /// No terminal to ask in, and no browser to send anyone to.
    #[error("nobody can sign in here: {reason}, and there is no terminal")]
    NobodyThere {
        /// Why no browser can be opened.
        reason: NoBrowser,
    },
    /// The browser did not come back.
    #[error("no reply from the browser within {}", minutes(*.waited))]
    NoReply {
        /// How long it was waited for.
        waited: Duration,
    },
    /// Another account than the one that was asked for.
    #[error("you asked for {asked}, but the browser signed in {}", .found.as_deref().unwrap_or("an account without an e-mail address"))]
    OtherAccount {
        /// The address that was asked for.
        asked: String,
        /// The address that came back, safe to print.
        found: Option<String>,
    },
    /// A token of another account than the one that was asked for.
    #[error("you asked for {asked}, but the token belongs to {}", .found.as_deref().unwrap_or("an account without an e-mail address"))]
    OtherOwner {
        /// The address that was asked for.
        asked: String,
        /// The address that the token belongs to, safe to print.
        found: Option<String>,
    },
    /// Two answers of the issuer are about two people.
    #[error("the issuer's answers do not agree on who has signed in")]
    OtherSubject,
    /// The issuer did not say who signed in.
    #[error("the issuer sent no ID token")]
    NoIdToken,
    /// Nobody is signed in, as far as can be seen.
    #[error("nobody is signed in to {domain}")]
    SignedOut {
        /// Where.
        domain: String,
        /// Why there was no keychain to look into, if there was none.
        #[source]
        unseen: Option<StoreError>,
    },
    /// The token has expired, and there is nothing to renew it with.
    #[error("the login to {domain} expired on {} ({})", TimeZone::UTC.to_datetime(*.at).date(), relative(*.at, *.now))]
    LoginExpired {
        /// Where.
        domain: String,
        /// When it expired.
        at: Timestamp,
        /// When it was looked at.
        now: Timestamp,
    },
    /// The issuer will not renew the login any more.
    #[error("the login to {domain} has ended")]
    LoginEnded {
        /// Where.
        domain: String,
        /// The issuer's word.
        #[source]
        refused: TokenError,
    },
    /// The issuer does not renew the login this time, or not for this client.
    #[error("could not renew the login to {domain}")]
    NotRenewed {
        /// Where.
        domain: String,
        /// The issuer's word.
        #[source]
        refused: TokenError,
    },
    /// The API refuses a token that looked good, and there is nothing to renew it with.
    #[error("the API of {domain} does not accept the login any more")]
    TokenRefused {
        /// Where.
        domain: String,
        /// The API's word, where it is known.
        #[source]
        answer: Option<HttpError>,
    },
    /// A login that lies where another domain's belongs. Nobody gets to see it (RFC 9700 section 4.14).
    #[error("the login stored for {domain} comes from {}, which does not belong there", .issuer.as_deref().unwrap_or("nowhere"))]
    ForeignLogin {
        /// Where it lies.
        domain: String,
        /// Its issuer, safe to print; nothing where it names none.
        issuer: Option<String>,
    },
    /// The API refuses the token of the environment.
    #[error("the API does not accept the token in ASTRO_API_TOKEN")]
    ApiTokenRefused,
    /// The token of the environment has expired.
    #[error("the token in ASTRO_API_TOKEN expired on {} ({})", TimeZone::UTC.to_datetime(*.at).date(), relative(*.at, *.now))]
    ApiTokenExpired {
        /// When it expired.
        at: Timestamp,
        /// When it was looked at.
        now: Timestamp,
    },
    /// Something stands in the way of a login, and has been told.
    #[error("a login to {domain} would fail here")]
    LoginWouldFail {
        /// Where to.
        domain: String,
    },
    /// Something of a login could not be removed.
    #[error("not signed out of {domains} completely")]
    Remains {
        /// The domains.
        domains: String,
    },
    /// config.yaml has no context at all.
    #[error("there is no context yet")]
    NoContexts,
    /// Without a terminal to ask in, something has to be named.
    #[error("which {what}? There is no terminal to ask in")]
    NothingNamed {
        /// `context`, `organization` or `workspace`.
        what: &'static str,
    },
    /// Without a terminal to ask in, a deletion has to be forced.
    #[error("this deletes a context, and there is no terminal to ask in")]
    NotForced,
    /// The context names no organization.
    #[error("no organization is chosen")]
    NoOrganizationChosen,
    /// The organization has no workspace that the person may see.
    #[error("the organization has no workspace that you may see")]
    NoWorkspace,
    /// An API token without permissions.
    #[error("this API token permits nothing")]
    NothingGranted,
    /// An API token that the API does not take.
    #[error("the API of {domain} does not accept this API token")]
    NotGranted {
        /// Where.
        domain: String,
        /// The API's word.
        source: HttpError,
    },
    /// There is no keychain, and plain text is forbidden.
    #[error("there is no keychain here ({reason}), and storing the credentials as plain text is forbidden")]
    FallbackForbidden {
        /// What is missing.
        reason: &'static str,
    },
    /// The person belongs to no organization.
    #[error("you are signed in, but belong to no organization")]
    NoOrganization,
    /// A flag names an organization or a workspace that cannot be chosen.
    #[error(transparent)]
    NotFound(#[from] NotFound),
    /// config.yaml could not be read or written.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The credentials could not be read or written.
    #[error("could not use the keychain")]
    Store {
        /// Of which domain.
        domain: String,
        /// Why not.
        source: StoreError,
    },
    /// The callback port could not be had.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The login configuration or the issuer is not to be trusted, or out of reach.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    /// The browser came back without a code.
    #[error(transparent)]
    Callback(#[from] CallbackError),
    /// The code was not exchanged for a token.
    #[error(transparent)]
    Token(#[from] TokenEndpointError),
    /// The issuer's keys are of no use.
    #[error(transparent)]
    Keys(#[from] JwksError),
    /// A token was refused.
    #[error(transparent)]
    Jwt(#[from] JwtError),
    /// A request failed.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// A list could not be read.
    #[error(transparent)]
    List(#[from] ListError),
    /// The terminal could not be used.
    #[error(transparent)]
    Ui(UiError),
    /// No randomness, no login.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The operating system refused something basic, such as a thread.
    #[error("the operating system refused")]
    Io(#[from] io::Error),
}

impl From<UiError> for Error {
    fn from(error: UiError) -> Self {
        match error {
            UiError::Cancelled => Self::Cancelled,
            other => Self::Ui(other),
        }
    }
}

impl Error {
    /// This error as the reason why a login left nothing behind.
    pub fn during_sign_in(self, domain: &Domain) -> Self {
        match self {
            // The person knows what they have just stopped.
            Self::Cancelled => self,
            source => Self::SignIn { domain: domain.to_string(), source: Box::new(source) },
        }
    }

    /// This error as the reason why a login that stands is not complete.
    pub fn during_settling(self, domain: &Domain) -> Self {
        match self {
            Self::Cancelled => self,
            source => Self::Settle { domain: domain.to_string(), source: Box::new(source) },
        }
    }

    /// The exit code: 1 failed, 2 usage, 4 not authenticated, 130 cancelled.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Cancelled => 130,
            Self::SignIn { source, .. } | Self::Settle { source, .. } => source.exit_code(),
            Self::Domain(_)
            | Self::TokenAsDomain
            | Self::NoToken
            | Self::NobodyThere { .. }
            | Self::NothingNamed { .. }
            | Self::NotForced => 2,
            Self::OtherAccount { .. }
            | Self::OtherOwner { .. }
            | Self::OtherSubject
            | Self::NoIdToken
            | Self::Callback(_)
            | Self::Jwt(_)
            | Self::SignedOut { .. }
            | Self::LoginExpired { .. }
            | Self::LoginEnded { .. }
            | Self::TokenRefused { .. }
            | Self::ForeignLogin { .. }
            | Self::ApiTokenRefused
            | Self::ApiTokenExpired { .. }
            | Self::NothingGranted
            | Self::NotGranted { .. } => 4,
            Self::Token(TokenEndpointError::Refused(refused)) | Self::NotRenewed { refused, .. }
                if !refused.may_pass() =>
            {
                4
            }
            Self::Http(error) | Self::List(ListError::Http(error)) if error.status() == Some(401) => 4,
            Self::NoHome
            | Self::LoginWouldFail { .. }
            | Self::NoReply { .. }
            | Self::FallbackForbidden { .. }
            | Self::NoOrganization
            | Self::NoOrganizationChosen
            | Self::NoWorkspace
            | Self::NoContexts
            | Self::Remains { .. }
            | Self::NotFound(_)
            | Self::Config(_)
            | Self::Store { .. }
            | Self::Listen(_)
            | Self::Issuer(_)
            | Self::Token(_)
            | Self::NotRenewed { .. }
            | Self::Keys(_)
            | Self::Http(_)
            | Self::List(_)
            | Self::Ui(_)
            | Self::Random(_)
            | Self::Io(_) => 1,
        }
    }

    /// The causes below this error, outermost first.
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
