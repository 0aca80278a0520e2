//! The exit code of each error.

use super::Error;
use crate::api::ListError;
use crate::oauth::TokenEndpointError;

impl Error {
    /// Returns the exit code: 1 failed, 2 usage, 4 not authenticated, 130 canceled.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Canceled => 130,
            Self::Login { source, .. } | Self::Selection { source, .. } => source.exit_code(),
            Self::Domain(_)
            | Self::TokenAsDomain
            | Self::NoToken
            | Self::NoBrowserNoTerminal { .. }
            | Self::MissingArgument { .. }
            | Self::ConfirmationRequired => 2,
            Self::AccountMismatch { .. }
            | Self::TokenAccountMismatch { .. }
            | Self::SubjectMismatch
            | Self::NoIdToken
            | Self::Callback(_)
            | Self::Jwt(_)
            | Self::NotLoggedIn { .. }
            | Self::LoginExpired { .. }
            | Self::LoginRevoked { .. }
            | Self::TokenRefused { .. }
            | Self::IssuerMismatch { .. }
            | Self::ApiTokenRefused
            | Self::ApiTokenExpired { .. }
            | Self::NoPermissions
            | Self::ApiTokenNotAccepted { .. } => 4,
            Self::Token(TokenEndpointError::Refused(refused)) | Self::RefreshRefused { refused, .. } => {
                if refused.may_pass() { 1 } else { 4 }
            }
            Self::Http(error) | Self::List(ListError::Http(error)) => {
                if error.status() == Some(401) {
                    4
                } else {
                    1
                }
            }
            Self::NoHome
            | Self::LoginWouldFail { .. }
            | Self::CallbackTimeout { .. }
            | Self::FallbackForbidden { .. }
            | Self::NoOrganization
            | Self::NoOrganizationSelected
            | Self::NoWorkspace
            | Self::NoContexts
            | Self::NotExplained
            | Self::LogoutIncomplete { .. }
            | Self::NotFound(_)
            | Self::Config(_)
            | Self::Store { .. }
            | Self::Listen(_)
            | Self::Issuer(_)
            | Self::Token(_)
            | Self::Keys(_)
            | Self::List(_)
            | Self::Ui(_)
            | Self::Random(_)
            | Self::Io(_) => 1,
        }
    }
}
