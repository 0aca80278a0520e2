//! The report of `astro auth status` as JSON, described in `docs/status-json.md`. As long as `version` stays, members
//! are only added.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::config::LoginNames;
use crate::credentials::Kind;
use crate::error;
use crate::session::{Location, StorageChoice};

#[derive(Serialize)]
pub(super) struct Report {
    pub(super) version: u32,
    pub(super) domain: String,
    pub(super) state: State,
    pub(super) source: Option<Source>,
    pub(super) location: Option<String>,
    /// `None` if the setting is not valid.
    pub(super) storage: Option<StorageChoice>,
    #[serde(serialize_with = "in_snake_case")]
    pub(super) kind: Option<Kind>,
    pub(super) account: Option<String>,
    pub(super) organization: Option<String>,
    pub(super) workspace: Option<String>,
    /// The names of both, for the text.
    #[serde(skip)]
    pub(super) names: LoginNames,
    pub(super) issued_at: Option<Timestamp>,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) refreshable: bool,
    pub(super) check: Option<Check>,
    pub(super) warnings: Vec<Warning>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Valid,
    Refreshable,
    Expired,
    /// Not a token, or one that the API refuses.
    Refused,
    SignedOut,
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Source {
    Environment,
    Keychain,
    AstroVault,
    Config,
}

impl From<Location> for Source {
    fn from(location: Location) -> Self {
        match location {
            Location::Keychain => Self::Keychain,
            Location::Vault => Self::AstroVault,
            Location::Config => Self::Config,
        }
    }
}

#[derive(Serialize)]
pub(super) struct Check {
    pub(super) outcome: CheckOutcome,
    /// The lead of this machine's clock over the API's, in seconds.
    pub(super) clock_ahead_seconds: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum CheckOutcome {
    Accepted,
    Refused,
    Failed,
}

#[derive(Serialize)]
pub(super) struct Warning {
    pub(super) code: WarningCode,
    pub(super) message: String,
    /// For the text.
    #[serde(skip)]
    pub(super) hint: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum WarningCode {
    PlaintextTokens,
    ConfigReadableByOthers,
    ConfigUnreadable,
    StorageSetting,
    FolderWritableByOthers,
    EnvironmentTokenWins,
    OtherOrganization,
    ClockOff,
    TwoLogins,
    VaultOpenToOthers,
}

impl Report {
    pub(super) fn new(domain: String) -> Self {
        Self {
            version: 1,
            domain,
            state: State::Unknown,
            source: None,
            location: None,
            storage: None,
            kind: None,
            account: None,
            organization: None,
            workspace: None,
            names: LoginNames::default(),
            issued_at: None,
            expires_at: None,
            refreshable: false,
            check: None,
            warnings: Vec::new(),
        }
    }

    pub(super) fn state_by_time(&self, now: Timestamp) -> State {
        match self.expires_at {
            Some(end) if end <= now && self.refreshable => State::Refreshable,
            Some(end) if end <= now => State::Expired,
            // A refresh token without an access token.
            None if self.refreshable => State::Refreshable,
            Some(_) | None => State::Valid,
        }
    }

    /// Describes a token that only the server can verify.
    pub(super) fn unverified(&self) -> Option<&'static str> {
        match self.kind? {
            Kind::ApiToken => Some("API token (signature not verified)"),
            Kind::PrivateCloud => Some("token of Astro Private Cloud (signature and expiry not verified)"),
            Kind::User => None,
        }
    }

    /// Adds a failure that does not end the command, with its own hint.
    pub(super) fn warn_of(&mut self, code: WarningCode, failure: &error::Error) {
        let (message, hint) = (failure.to_string(), failure.hint().unwrap_or_default());
        self.warnings.push(Warning { code, message, hint });
    }

    pub(super) fn warn(&mut self, code: WarningCode, warning: &error::Warning) {
        self.warnings.push(Warning { code, message: warning.to_string(), hint: warning.hint() });
    }
}

#[expect(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference to the field")]
fn in_snake_case<S: Serializer>(kind: &Option<Kind>, serializer: S) -> Result<S::Ok, S::Error> {
    let name = kind.map(|kind| match kind {
        Kind::User => "user",
        Kind::ApiToken => "api_token",
        Kind::PrivateCloud => "private_cloud",
    });
    name.serialize(serializer)
}
