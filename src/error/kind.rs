//! The kind of each error, by which programs decide, and the exit code that follows from it.

use std::io;

use serde::Serialize;

use super::{Error, NotFound};
use crate::api::ListError;
use crate::http::{Fault, HttpError};
use crate::next_astro::NextError;
use crate::oauth::{IssuerError, TokenEndpointError};

/// The kind of a failure. The names are those of Astro CLI 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The command line or a variable is wrong.
    Usage,
    /// A question could not be asked: there is no terminal.
    InputRequired,
    Unauthenticated,
    /// The account is known, but may not do this.
    Forbidden,
    NotFound,
    Conflict,
    /// The service could not be reached, or its response makes no sense.
    ApiUnavailable,
}

impl ErrorKind {
    fn exit_code(self) -> u8 {
        match self {
            Self::Usage | Self::InputRequired => 2,
            Self::Unauthenticated | Self::Forbidden => 4,
            Self::NotFound | Self::Conflict | Self::ApiUnavailable => 1,
        }
    }
}

impl Error {
    /// Returns the exit code: 1 failed, 2 usage, 4 not authenticated, 130 canceled, and those of `auth exec`.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Canceled | Self::NotChosen { .. } => 130,
            Self::Login { source, .. } | Self::Selection { source, .. } => source.exit_code(),
            // As a shell does.
            Self::Start { source, .. } if source.kind() == io::ErrorKind::NotFound => 127,
            Self::Start { .. } => 126,
            _ => self.kind().map_or(1, ErrorKind::exit_code),
        }
    }

    /// Returns `None` for a problem of this machine.
    #[expect(clippy::match_same_arms, reason = "a line per topic is easier to check than a list of 50 variants")]
    pub fn kind(&self) -> Option<ErrorKind> {
        use ErrorKind::{ApiUnavailable, Conflict, Forbidden, InputRequired, Unauthenticated, Usage};
        Some(match self {
            Self::Login { source, .. } | Self::Selection { source, .. } => return source.kind(),
            // The command line.
            Self::Domain(_) | Self::TokenAsDomain | Self::Environment(_) | Self::LogoutOfForeignContext { .. } => Usage,
            Self::StorageSetting { .. } | Self::StorageContradiction { .. } => Usage,
            Self::ApiTokenNotRenewable | Self::NoCommand | Self::ExecOfAstro | Self::ExecWithoutVariable { .. } => {
                Usage
            }
            Self::NextAstro(NextError::Choice { .. } | NextError::Loop(_)) => Usage,
            Self::MissingArgument { .. } | Self::NoBrowserNoTerminal { .. } | Self::ConfirmationRequired => {
                InputRequired
            }
            // The account and its tokens.
            Self::AccountMismatch { .. } | Self::TokenAccountMismatch { .. } | Self::SubjectMismatch => Unauthenticated,
            Self::NotLoggedIn { .. } | Self::LoginExpired { .. } | Self::LoginRevoked { .. } => Unauthenticated,
            Self::TokenRefused { .. } | Self::IssuerMismatch { .. } | Self::NoRefreshToken { .. } => Unauthenticated,
            Self::TokenText { .. } | Self::ApiTokenInvalid(_) | Self::ApiTokenOfOtherDomain { .. } => Unauthenticated,
            Self::ApiTokenWithheld { .. } | Self::ApiTokenEmpty { .. } => Unauthenticated,
            Self::ApiTokenRefused | Self::ApiTokenExpired { .. } => Unauthenticated,
            Self::NoIdToken | Self::Callback(_) | Self::Jwt(_) => Unauthenticated,
            Self::NotPending(_) | Self::NotCompleted { .. } => Unauthenticated,
            Self::Token(TokenEndpointError::Refused(refused)) | Self::RefreshRefused { refused, .. } => {
                if refused.may_pass() { ApiUnavailable } else { Unauthenticated }
            }
            Self::NoPermissions => Forbidden,
            Self::OtherProduct { .. } => Usage,
            Self::Houston { failure, .. } => return failure.kind(),
            // The network and the services.
            Self::Http(error) | Self::List(ListError::Http(error)) => return kind_of_response(error),
            Self::ApiTokenNotAccepted { source, .. } if source.status() == Some(403) => Forbidden,
            Self::ApiTokenNotAccepted { .. } => Unauthenticated,
            // These requests carry no access token, so nothing is refused to the user.
            Self::Issuer(IssuerError::Http(error)) | Self::Token(TokenEndpointError::Http(error)) => {
                return kind_of_fault(error);
            }
            Self::Issuer(_) | Self::Keys(_) | Self::Token(_) | Self::List(_) => ApiUnavailable,
            // The organization and the workspace.
            Self::NotFound(NotFound::Nothing { .. }) | Self::NoContexts => ErrorKind::NotFound,
            Self::NoOrganization | Self::NoWorkspace => ErrorKind::NotFound,
            Self::NotFound(NotFound::Ambiguous { .. }) | Self::SelectionCrossed { .. } => Conflict,
            Self::ApiTokenOfOtherOrganization { .. } => Conflict,
            Self::NotFound(NotFound::Open { .. }) => InputRequired,
            Self::NoOrganizationSelected => return None,
            Self::EndsTooSoon { .. } => return None,
            // This machine, and the user at it.
            Self::Canceled | Self::NotChosen { .. } | Self::CallbackTimeout { .. } => return None,
            Self::NoHome | Self::Config(_) | Self::Store { .. } => return None,
            Self::Vault { .. } | Self::NoKeychain { .. } => return None,
            Self::NextAstro(NextError::Start { .. }) | Self::Start { .. } => return None,
            Self::Listen(_) | Self::Ui(_) | Self::Random(_) | Self::Io(_) => return None,
            Self::LoginWouldFail { .. } | Self::LogoutIncomplete { .. } => return None,
        })
    }
}

/// Returns the kind of a failed request that carried a token.
fn kind_of_response(error: &HttpError) -> Option<ErrorKind> {
    Some(match error.status() {
        Some(401) => ErrorKind::Unauthenticated,
        Some(403) => ErrorKind::Forbidden,
        Some(404) => ErrorKind::NotFound,
        Some(409) => ErrorKind::Conflict,
        Some(_) | None => return kind_of_fault(error),
    })
}

pub(super) fn kind_of_fault(error: &HttpError) -> Option<ErrorKind> {
    let is_of_this_machine = matches!(
        error.fault,
        Fault::NotHttps | Fault::Setup(_) | Fault::ProxyInvalid { .. } | Fault::SocksProxy { .. }
    );
    (!is_of_this_machine).then_some(ErrorKind::ApiUnavailable)
}
