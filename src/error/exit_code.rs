//! The exit code of each error.

use super::Error;
use crate::api::ListError;
use crate::oauth::TokenEndpointError;

impl Error {
    /// Returns the exit code: 1 failed, 2 usage, 4 not authenticated, 130 canceled.
    #[expect(clippy::match_same_arms, reason = "a line per topic is easier to check than a list of 50 variants")]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Canceled | Self::NotChosen { .. } => 130,
            Self::Login { source, .. } | Self::Selection { source, .. } => source.exit_code(),
            // The command line.
            Self::Domain(_) | Self::TokenAsDomain | Self::MissingArgument { .. } => 2,
            Self::NoBrowserNoTerminal { .. } | Self::ConfirmationRequired | Self::Environment(_) => 2,
            Self::LogoutOfForeignContext { .. } | Self::StorageSetting { .. } | Self::StorageContradiction { .. } => 2,
            // The account and its tokens.
            Self::AccountMismatch { .. } | Self::TokenAccountMismatch { .. } | Self::SubjectMismatch => 4,
            Self::NotLoggedIn { .. } | Self::LoginExpired { .. } | Self::LoginRevoked { .. } => 4,
            Self::TokenRefused { .. } | Self::IssuerMismatch { .. } => 4,
            Self::TokenText { .. } | Self::ApiTokenInvalid(_) | Self::ApiTokenOfOtherDomain { .. } => 4,
            Self::ApiTokenWithheld { .. } | Self::ApiTokenEmpty { .. } => 4,
            Self::ApiTokenRefused | Self::ApiTokenExpired { .. } | Self::ApiTokenNotAccepted { .. } => 4,
            Self::NoIdToken | Self::NoPermissions | Self::Callback(_) | Self::Jwt(_) => 4,
            Self::Token(TokenEndpointError::Refused(refused)) | Self::RefreshRefused { refused, .. } => {
                if refused.may_pass() { 1 } else { 4 }
            }
            // The network and the services.
            Self::Http(error) | Self::List(ListError::Http(error)) => {
                if error.status() == Some(401) {
                    4
                } else {
                    1
                }
            }
            Self::Issuer(_) | Self::Keys(_) | Self::Token(_) | Self::List(_) | Self::CallbackTimeout { .. } => 1,
            // The organization and the workspace.
            Self::NoOrganization | Self::NoOrganizationSelected | Self::NoWorkspace | Self::NotFound(_) => 1,
            Self::SelectionCrossed { .. } | Self::ApiTokenOfOtherOrganization { .. } => 1,
            // This machine.
            Self::NoHome | Self::NoContexts | Self::Config(_) | Self::Store { .. } => 1,
            Self::Vault { .. } | Self::NoKeychain { .. } => 1,
            Self::Listen(_) | Self::Ui(_) | Self::Random(_) | Self::Io(_) => 1,
            Self::LoginWouldFail { .. } | Self::LogoutIncomplete { .. } => 1,
        }
    }
}
