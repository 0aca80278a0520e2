//! `astro auth status`: who, where, until when, and kept where. Offline, unless it is asked to check.
//!
//! What was asked for is data, so it goes to stdout, for people and for scripts alike; warnings and what is wrong go to
//! stderr. A store that does not answer is never shown as being signed out.
//! The JSON is described in `docs/status-json.md`: members are added, and their meaning stays, as long as `version` does.

use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, Serializer};

use super::api_token_scope::ApiTokenScope;
use super::list;
use crate::api::ListError;
use crate::config::Context;
use crate::credentials::Kind;
use crate::error::Error;
use crate::jwt::{JwtError, TokenKind, Unverified};
use crate::session::{Location, SavedLogin, Session, belongs_to, environment_token};
use crate::system::System;
use crate::text::clean;
use crate::time_format;
use crate::token::AccessToken;

/// A clock that is further off than this refuses good tokens sooner or later.
const CLOCK_OFF: SignedDuration = SignedDuration::from_mins(1);

/// What `astro auth status` was asked to do.
#[derive(Debug)]
pub struct Status {
    /// The domain as it was typed.
    pub domain: Option<String>,
    /// As JSON.
    pub json: bool,
    /// Ask the API too.
    pub check: bool,
}

#[derive(Serialize)]
struct Report {
    version: u32,
    domain: String,
    state: State,
    /// Where the token comes from.
    source: Option<Source>,
    /// What people call that place.
    location: Option<String>,
    #[serde(serialize_with = "in_snake_case")]
    kind: Option<Kind>,
    /// The e-mail address.
    account: Option<String>,
    organization: Option<String>,
    workspace: Option<String>,
    issued_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    /// Whether the login is renewed without a browser.
    refreshable: bool,
    /// What the API said; nothing without `--check`.
    check: Option<Check>,
    warnings: Vec<Warning>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Valid,
    /// Expired, and will be renewed when it is needed.
    Refreshable,
    Expired,
    /// No token at all by its form, or not one that the API takes.
    Refused,
    SignedOut,
    /// The store did not answer.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Source {
    Environment,
    Keychain,
    Config,
}

#[derive(Serialize)]
struct Check {
    outcome: CheckOutcome,
    /// How far the clock here is ahead of the API's.
    clock_ahead_seconds: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum CheckOutcome {
    Accepted,
    Refused,
    /// There was no answer to the question.
    Failed,
}

#[derive(Serialize)]
struct Warning {
    code: WarningCode,
    message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum WarningCode {
    PlaintextTokens,
    ConfigReadableByOthers,
    ConfigUnreadable,
    FolderWritableByOthers,
    EnvironmentTokenWins,
    OtherOrganization,
    ClockOff,
}

/// Reports on the login of one domain. An error, for the exit code, where there is none that can be used.
pub async fn status(system: &System, status: &Status) -> Result<(), Error> {
    let session = Session::open(system, status.domain.as_deref())?;
    let mut report = Report::new(&session);
    let mut outcome = report.look(&session).await;
    if status.check && outcome.is_ok() {
        outcome = report.check(&session).await;
    }
    if status.json {
        list::print_json(system, &report)?;
    } else {
        show(&session, &report)?;
    }
    outcome
}

/// How the report comes to be. Where a step returns an error, the report's state says the same.
impl Report {
    fn new(session: &Session<'_>) -> Self {
        Self {
            version: 1,
            domain: session.domain.to_string(),
            state: State::Unknown,
            source: None,
            location: None,
            kind: None,
            account: None,
            organization: None,
            workspace: None,
            issued_at: None,
            expires_at: None,
            refreshable: false,
            check: None,
            warnings: Vec::new(),
        }
    }

    /// Everything that can be known offline.
    async fn look(&mut self, session: &Session<'_>) -> Result<(), Error> {
        let environment = environment_token(session.system);
        let context = match (session.context(), &environment) {
            (Ok(context), _) => context,
            // The environment's token works whatever becomes of the file.
            (Err(failure), Some(_)) => {
                self.warn(WarningCode::ConfigUnreadable, failure.to_string());
                Context::default()
            }
            (Err(failure), None) => return Err(failure),
        };
        self.organization = context.organization.as_deref().map(shown);
        self.workspace = context.workspace.as_deref().map(shown);
        self.warn_of_files(session, &context);
        match environment {
            Some(token) => self.look_at_environment(session, &context, &token),
            None => self.look_at_store(session, context).await,
        }
    }

    fn warn_of_files(&mut self, session: &Session<'_>, context: &Context) {
        let path = session.config.path().display();
        if context.token.is_some() || context.refresh_token.is_some() {
            self.warn(WarningCode::PlaintextTokens, format!("the tokens are stored as plain text in {path}"));
            if session.config.readable_by_others() {
                let message = format!("others may read {path}; `chmod 600 {path}` ends that");
                self.warn(WarningCode::ConfigReadableByOthers, message);
            }
        }
        if let Some(message) = session.config.writable_by_others() {
            self.warn(WarningCode::FolderWritableByOthers, message);
        }
    }

    /// The keychain is not asked: its answer would change nothing, and it may want to be unlocked first.
    fn look_at_environment(
        &mut self,
        session: &Session<'_>,
        context: &Context,
        token: &AccessToken,
    ) -> Result<(), Error> {
        self.source = Some(Source::Environment);
        self.location = Some("ASTRO_API_TOKEN".to_owned());
        if let Some(email) = &context.user_email {
            let message = format!("ASTRO_API_TOKEN is set, and wins over the login of {}", clean(email, 254));
            self.warn(WarningCode::EnvironmentTokenWins, message);
        }
        let claims = Unverified::parse(token.expose()).inspect_err(|_| self.state = State::Refused)?;
        self.kind = Some(match claims.kind() {
            TokenKind::Access => Kind::User,
            TokenKind::Api => Kind::ApiToken,
            TokenKind::Id => {
                self.state = State::Refused;
                return Err(JwtError::IdTokenGiven.into());
            }
        });
        self.issued_at = claims.issued_at();
        self.expires_at = claims.expires_at();
        self.state = self.state_by_time(session.now());
        let granted = ApiTokenScope::of(&claims).organization;
        if let Some(granted) = granted.filter(|granted| context.organization.as_ref().is_some_and(|it| it != granted)) {
            let message = format!("ASTRO_API_TOKEN is for another organization, {}", clean(&granted, 128));
            self.warn(WarningCode::OtherOrganization, message);
        }
        match (self.state, self.expires_at) {
            (State::Expired, Some(at)) => Err(Error::ApiTokenExpired { at, now: session.now() }),
            _ => Ok(()),
        }
    }

    async fn look_at_store(&mut self, session: &Session<'_>, context: Context) -> Result<(), Error> {
        let stored = session.saved_login().await.inspect_err(|failure| {
            if matches!(failure, Error::NotLoggedIn { .. }) {
                self.state = State::SignedOut;
            }
        });
        let SavedLogin { location, credentials } = stored?;
        self.source = Some(match location {
            Location::Keychain => Source::Keychain,
            Location::Config => Source::Config,
        });
        self.location = Some(session.location_name(location));
        self.kind = Some(credentials.kind);
        let context = if belongs_to(&context, &credentials) {
            context
        } else {
            (self.organization, self.workspace) = (None, None);
            Context::default()
        };
        self.account = credentials.email.or(context.user_email).as_deref().map(shown);
        self.issued_at = credentials.issued_at;
        self.expires_at = credentials.expires_at;
        self.refreshable = credentials.refresh.is_some();
        self.state = self.state_by_time(session.now());
        match (self.state, self.expires_at) {
            (State::Expired, Some(at)) => {
                Err(Error::LoginExpired { domain: session.domain.to_string(), at, now: session.now() })
            }
            _ => Ok(()),
        }
    }

    fn state_by_time(&self, now: Timestamp) -> State {
        match self.expires_at {
            Some(end) if end <= now && self.refreshable => State::Refreshable,
            Some(end) if end <= now => State::Expired,
            Some(_) | None => State::Valid,
        }
    }

    /// Asks the API whether it takes the token, which may renew the login, and for the time.
    async fn check(&mut self, session: &Session<'_>) -> Result<(), Error> {
        let granted = self.granted_organization(session).await;
        let answer = session
            .call(async |api| {
                let answered_at = match (self.kind, &granted) {
                    (Some(Kind::User) | None, _) => api.check(&["users", "self"]).await?,
                    // An API token has no user; what it may see is its own organization.
                    (Some(Kind::ApiToken), Some(id)) => api.check(&["organizations", id]).await?,
                    (Some(Kind::ApiToken), None) => api.check(&["organizations"]).await?,
                };
                Ok::<_, ListError>(answered_at)
            })
            .await;
        // The call may have renewed the login, or found that it cannot be renewed any more.
        if self.source != Some(Source::Environment) {
            match session.saved_login().await {
                Ok(SavedLogin { credentials, .. }) => {
                    self.issued_at = credentials.issued_at;
                    self.expires_at = credentials.expires_at;
                    self.refreshable = credentials.refresh.is_some();
                }
                Err(Error::NotLoggedIn { .. }) => self.refreshable = false,
                // What was known stays the best that is known.
                Err(_) => {}
            }
        }
        self.state = self.state_by_time(session.now());
        let (outcome, answered_at, result) = match answer {
            Ok(answered_at) => (CheckOutcome::Accepted, answered_at, Ok(())),
            Err(failure) => match self.refusal(session, failure) {
                Ok(refusal) => (CheckOutcome::Refused, None, Err(refusal)),
                Err(failure) => (CheckOutcome::Failed, None, Err(failure)),
            },
        };
        if outcome == CheckOutcome::Refused && self.state != State::Expired {
            self.state = State::Refused;
        }
        let ahead = answered_at.map(|theirs| session.now().duration_since(theirs));
        if let Some(message) = ahead.and_then(clock_off) {
            self.warn(WarningCode::ClockOff, message);
        }
        self.check = Some(Check { outcome, clock_ahead_seconds: ahead.map(|ahead| ahead.as_secs()) });
        result
    }

    /// The organization that an API token names.
    async fn granted_organization(&self, session: &Session<'_>) -> Option<String> {
        let token = match self.source {
            Some(Source::Environment) => environment_token(session.system)?,
            Some(Source::Keychain | Source::Config) => session.saved_login().await.ok()?.credentials.access,
            None => return None,
        };
        ApiTokenScope::of(&Unverified::parse(token.expose()).ok()?).organization
    }

    /// The failure as a refusal of the token, if it is one.
    fn refusal(&self, session: &Session<'_>, failure: Error) -> Result<Error, Error> {
        match &failure {
            // 401 has been looked at already; the others say as much to one who only asks for what is theirs.
            Error::List(ListError::Http(answer)) if matches!(answer.status(), Some(403 | 404)) => {
                Ok(match self.source {
                    Some(Source::Environment) => Error::ApiTokenRefused,
                    Some(Source::Keychain | Source::Config) | None => {
                        Error::TokenRefused { domain: session.domain.to_string(), response: Some(answer.clone()) }
                    }
                })
            }
            _ if failure.exit_code() == 4 => Ok(failure),
            _ => Err(failure),
        }
    }

    fn warn(&mut self, code: WarningCode, message: String) {
        self.warnings.push(Warning { code, message });
    }
}

/// What to tell of a clock that is so far ahead of the API's; nothing where that is no matter.
pub(super) fn clock_off(ahead: SignedDuration) -> Option<String> {
    let direction = if ahead.is_negative() { "behind" } else { "ahead of" };
    let seconds = ahead.abs().as_secs();
    (ahead.abs() > CLOCK_OFF).then(|| format!("the clock here is {seconds} seconds {direction} the API's"))
}

/// What stands in a store came from elsewhere, and JSON leaves some of what a terminal obeys as it is.
fn shown(text: &str) -> String {
    clean(text, 254)
}

#[expect(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference to the field")]
fn in_snake_case<S: Serializer>(kind: &Option<Kind>, serializer: S) -> Result<S::Ok, S::Error> {
    let name = kind.map(|kind| match kind {
        Kind::User => "user",
        Kind::ApiToken => "api_token",
    });
    name.serialize(serializer)
}

fn show(session: &Session<'_>, report: &Report) -> Result<(), Error> {
    let ui = &session.system.ui;
    let now = session.now();
    let dated = |at: Timestamp| time_format::format_timestamp(at, now, &(session.system.time_zone)());
    let location = |place: &String| match report.source {
        Some(Source::Environment) => format!("in the environment variable {place}, which wins over any login"),
        Some(Source::Keychain | Source::Config) | None => format!("in {place}"),
    };
    let ends = match (report.expires_at, report.refreshable) {
        (Some(end), true) => format!("{}; renewed when needed", dated(end)),
        (Some(end), false) => format!("{}; not renewed", dated(end)),
        (None, _) => "without an end".to_owned(),
    };
    let checked = match (report.check.as_ref().map(|check| check.outcome), report.source, report.kind) {
        (Some(CheckOutcome::Accepted), ..) => Some("the API accepts it"),
        (Some(CheckOutcome::Refused), ..) => Some("it is not accepted any more"),
        (Some(CheckOutcome::Failed), ..) => Some("the question was not answered"),
        // What is in the keychain was verified before it was put there. This may be anyone's.
        (None, Some(Source::Environment | Source::Config), Some(Kind::User)) => {
            Some("not here; `--check` asks the API")
        }
        (None, ..) => None,
    };
    let accepted = match (report.source, &report.check) {
        // It was accepted when it was stored.
        (Some(Source::Keychain | Source::Config), None) | (_, Some(Check { outcome: CheckOutcome::Accepted, .. })) => {
            "accepted by the server, "
        }
        _ => "",
    };
    let kind = format!("API token, {accepted}signature not checkable here");
    let lines = [
        ("domain", Some(report.domain.clone())),
        ("account", report.account.clone()),
        ("organization", report.organization.clone()),
        ("workspace", report.workspace.clone()),
        ("credentials", report.location.as_ref().map(location)),
        ("kind", (report.kind == Some(Kind::ApiToken)).then_some(kind)),
        ("issued", report.issued_at.map(dated)),
        ("valid until", report.kind.map(|_| ends)),
        ("checked", checked.map(str::to_owned)),
    ];
    for (name, value) in lines {
        if let Some(value) = value {
            ui.data(&format!("{name:<13} {}", clean(&value, 300)))?;
        }
    }
    for warning in &report.warnings {
        ui.warn(&warning.message);
    }
    Ok(())
}
