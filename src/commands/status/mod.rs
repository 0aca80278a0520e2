//! `astro auth status`: shows the login of a domain. Offline without `--check`.
//!
//! The report goes to stdout, warnings and errors to stderr. A store that could not be read is never reported as logged
//! out.

mod json;

use clap::Args;
use jiff::{SignedDuration, Timestamp};

use json::{Check, CheckOutcome, Report, Source, State, WarningCode};

use super::api_token_scope::ApiTokenScope;
use super::{DomainArgument, JsonArgument, list};
use crate::api::{ListError, Workspace};
use crate::config::Context;
use crate::credentials::Kind;
use crate::error::{Error, Warning};
use crate::jwt::{TokenKind, Unverified};
use crate::session::{Location, SavedLogin, Session, Storage, StorageSource, belongs_to};
use crate::system::System;
use crate::text::clean;
use crate::time_format;
use crate::token::AccessToken;

/// A larger difference makes a verifier refuse valid tokens.
const CLOCK_OFF: SignedDuration = SignedDuration::from_mins(1);

#[derive(Debug, Args)]
pub struct Status {
    #[command(flatten)]
    pub json: JsonArgument,
    /// Also verify the token with the API
    #[arg(long)]
    pub check: bool,
    #[command(flatten)]
    pub domain: DomainArgument,
}

/// Reports on the login of a domain. Returns an error, for the exit code, unless the login can be used.
pub async fn status(system: &System, status: &Status) -> Result<(), Error> {
    let session = Session::open(system, status.domain.get())?;
    let mut report = Report::new(session.domain.to_string());
    let mut outcome = report.look(&session).await;
    if status.check && outcome.is_ok() {
        outcome = report.check(&session).await;
    }
    if status.json.get() {
        list::print_json(system, &report)?;
    } else {
        show(&session, &report)?;
    }
    outcome
}

impl Report {
    /// Fills in everything that is known offline.
    async fn look(&mut self, session: &Session<'_>) -> Result<(), Error> {
        let environment = session.overriding_token();
        let context = match (session.context(), &environment) {
            (Ok(context), _) => context,
            // The token of the environment works without the file.
            (Err(failure), Ok(Some(_)) | Err(_)) => {
                self.warn_of(WarningCode::ConfigUnreadable, &failure);
                Context::default()
            }
            (Err(failure), Ok(None)) => return Err(failure),
        };
        self.names = session.config.names();
        self.organization = context.organization.as_deref().map(shown);
        self.workspace = context.workspace.as_deref().map(shown);
        self.look_at_setting(session, &context);
        self.warn_of_files(session, &context);
        match environment {
            Ok(Some(token)) => self.look_at_environment(session, &context, &token),
            Ok(None) => {
                let looked = self.look_at_store(session, context).await;
                looked.map_err(|error| session.explain_empty_variable(error))
            }
            Err(failure) => {
                self.is_of_environment(&context);
                self.state = State::Refused;
                Err(failure)
            }
        }
    }

    fn look_at_setting(&mut self, session: &Session<'_>, context: &Context) {
        let by_flag = context.token.is_some() && self.names.is_unencrypted_by_choice(&session.domain);
        match session.storage_choice(by_flag.then_some(Storage::Plain)) {
            Ok(choice) => self.storage = Some(choice),
            // Reported already.
            Err(Error::Config(_)) => {}
            Err(refused) => self.warn_of(WarningCode::StorageSetting, &refused),
        }
    }

    fn warn_of_files(&mut self, session: &Session<'_>, context: &Context) {
        let path = || session.config.path().to_owned();
        if context.token.is_some() || context.refresh_token.is_some() {
            self.warn(WarningCode::PlaintextTokens, &Warning::Unencrypted { path: path() });
            if session.config.readable_by_others() {
                self.warn(WarningCode::ConfigReadableByOthers, &Warning::ConfigReadable { path: path() });
            }
        }
        if let Some(folder) = session.config.writable_by_others() {
            self.warn(WarningCode::FolderWritableByOthers, &Warning::FolderWritable { folder });
        }
    }

    /// Does not read the keychain: the token overrides it, and it might have to be unlocked.
    fn look_at_environment(
        &mut self,
        session: &Session<'_>,
        context: &Context,
        token: &AccessToken,
    ) -> Result<(), Error> {
        self.is_of_environment(context);
        let claims = Unverified::parse(token.expose()).inspect_err(|_| self.state = State::Refused)?;
        self.kind = match claims.kind() {
            TokenKind::Access => Some(Kind::User),
            TokenKind::Api => Some(Kind::ApiToken),
            TokenKind::Id => None,
        };
        self.issued_at = claims.issued_at();
        self.expires_at = claims.expires_at();
        self.state = self.state_by_time(session.now());
        let ApiTokenScope { organization, workspace } = ApiTokenScope::of(&claims);
        if let Some(granted) = organization {
            if context.organization.as_ref() != Some(&granted) {
                self.workspace = None;
                if context.organization.is_some() {
                    let organization = clean(&granted, 128);
                    self.warn(WarningCode::OtherOrganization, &Warning::ApiTokenOrganization { organization });
                }
            }
            self.organization = Some(shown(&granted));
        }
        if let Some(granted) = workspace {
            self.workspace = Some(shown(&granted));
        }
        session.check_environment_token(token).inspect_err(|_| {
            if self.state != State::Expired {
                self.state = State::Refused;
            }
        })
    }

    fn is_of_environment(&mut self, context: &Context) {
        self.source = Some(Source::Environment);
        self.location = Some("ASTRO_API_TOKEN".to_owned());
        if let Some(email) = &context.user_email {
            let account = clean(email, 254);
            self.warn(WarningCode::EnvironmentTokenWins, &Warning::ApiTokenOverridesLogin { account });
        }
    }

    async fn look_at_store(&mut self, session: &Session<'_>, context: Context) -> Result<(), Error> {
        let stored = session.saved_login().await.inspect_err(|failure| match failure {
            Error::NotLoggedIn { .. } => self.state = State::SignedOut,
            Error::Vault { .. } => {
                self.source = Some(Source::AstroVault);
                self.location = Some(session.location_name(Location::Vault));
                self.account = context.user_email.as_deref().map(shown);
            }
            _ => {}
        });
        let SavedLogin { location, credentials } = stored?;
        let usable = session.require_usable(&credentials);
        if let Some(second) = session.second_login(location).await {
            self.warn(WarningCode::TwoLogins, &session.second_login_warning(location, &second));
        }
        if let Some(warning) = session.vault_warning(location) {
            let in_config = location == Location::Config;
            self.warn(if in_config { WarningCode::TwoLogins } else { WarningCode::VaultOpenToOthers }, &warning);
        }
        self.source = Some(location.into());
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
        usable.inspect_err(|failure| {
            if !matches!(failure, Error::LoginExpired { .. }) {
                self.state = State::Refused;
            }
        })
    }

    /// Sends the token to the API, which may refresh the login, and compares the clocks.
    async fn check(&mut self, session: &Session<'_>) -> Result<(), Error> {
        let answer = self.send_token(session).await;
        // The call may have refreshed the login, or dropped a refresh token that the issuer refused.
        if self.source != Some(Source::Environment) {
            match session.saved_login().await {
                Ok(SavedLogin { credentials, .. }) => {
                    self.issued_at = credentials.issued_at;
                    self.expires_at = credentials.expires_at;
                    self.refreshable = credentials.refresh.is_some();
                }
                Err(Error::NotLoggedIn { .. }) => self.refreshable = false,
                // Keeps the earlier values.
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
        if outcome == CheckOutcome::Accepted && self.kind != Some(Kind::PrivateCloud) {
            self.ask_names(session).await;
        }
        let ahead = answered_at.map(|theirs| session.now().duration_since(theirs));
        if let Some(warning) = ahead.and_then(clock_off) {
            self.warn(WarningCode::ClockOff, &warning);
        }
        self.check = Some(Check { outcome, clock_ahead_seconds: ahead.map(|ahead| ahead.as_secs()) });
        result
    }

    /// Sends the token with a request that needs a valid one. Returns the time of the API's clock, if the API is Astro's.
    async fn send_token(&self, session: &Session<'_>) -> Result<Option<Timestamp>, Error> {
        let granted = self.granted_organization(session).await;
        let path: Vec<&str> = match self.kind {
            Some(Kind::PrivateCloud) => return session.workspaces(None).await.map(|_| None),
            Some(Kind::User) | None => vec!["users", "self"],
            // An API token has no user, but may read its own organization.
            Some(Kind::ApiToken) => std::iter::once("organizations").chain(granted.as_deref()).collect(),
        };
        session.call(async |api| Ok::<_, ListError>(api.check(&path).await?)).await
    }

    /// Asks the API for the names of the organization and the workspace. Without an answer the known ones stay.
    async fn ask_names(&mut self, session: &Session<'_>) {
        let Some(id) = &self.organization else { return };
        let asked = session.call(async |api| Ok(tokio::join!(api.organization(id), api.workspaces(id)))).await;
        let Ok((organization, workspaces)) = asked else { return };
        if let Ok(Some(organization)) = organization {
            self.names.remember(&organization.id, &organization.name);
        }
        let current = |it: &&Workspace| Some(&it.id) == self.workspace.as_ref();
        if let Some(workspace) = workspaces.iter().flatten().find(current) {
            self.names.remember(&workspace.id, &workspace.name);
        }
        // Nothing is written for a token of the environment.
        if self.source != Some(Source::Environment) {
            session.config.edit_names(|names| names.clone_from(&self.names));
        }
    }

    async fn granted_organization(&self, session: &Session<'_>) -> Option<String> {
        let token = match self.source {
            Some(Source::Environment) => session.overriding_token().ok()??,
            Some(_) => session.saved_login().await.ok()?.credentials.access,
            None => return None,
        };
        ApiTokenScope::of(&Unverified::parse(token.expose()).ok()?).organization
    }

    fn refusal(&self, session: &Session<'_>, failure: Error) -> Result<Error, Error> {
        match &failure {
            // `call` handles 401. The request is only about what belongs to the token, so these refuse it as well.
            Error::List(ListError::Http(answer)) if matches!(answer.status(), Some(403 | 404)) => {
                Ok(match self.source {
                    Some(Source::Environment) => Error::ApiTokenRefused,
                    Some(_) | None => {
                        Error::TokenRefused { domain: session.domain.to_string(), response: Some(answer.clone()) }
                    }
                })
            }
            // The API was not asked: the token was not sent, or a refreshed one was rejected on this machine.
            Error::ApiTokenWithheld { .. } | Error::Jwt(_) => Err(failure),
            _ if failure.exit_code() == 4 => Ok(failure),
            _ => Err(failure),
        }
    }
}

/// Describes a clock that is so far ahead of the API's. Returns `None` if that is too little to matter.
pub(super) fn clock_off(ahead: SignedDuration) -> Option<Warning> {
    let seconds = ahead.unsigned_abs().as_secs();
    (ahead.abs() > CLOCK_OFF).then_some(Warning::ClockOff { seconds, ahead: ahead.is_positive() })
}

/// Removes control characters: stored text is foreign, and JSON escapes only some of them.
fn shown(text: &str) -> String {
    clean(text, 254)
}

fn show(session: &Session<'_>, report: &Report) -> Result<(), Error> {
    let ui = &session.system.ui;
    let now = session.now();
    let zone = (session.system.time_zone)();
    let dated = |at: Timestamp| time_format::format_timestamp(at, now, &zone);
    let issued = |at: Timestamp| time_format::format_past_timestamp(at, now, &zone);
    let location = |place: &String| match report.source {
        Some(Source::Environment) => format!("{place}, which overrides any login"),
        Some(_) | None => place.to_owned(),
    };
    let named = |id: &Option<String>| id.as_ref().map(|id| report.names.name(id).unwrap_or_else(|| id.clone()));
    let expires = match (report.expires_at, report.refreshable) {
        (Some(end), true) => format!("{}, renews automatically", dated(end)),
        (Some(end), false) => dated(end),
        (None, true) => "renews automatically".to_owned(),
        (None, false) => "never".to_owned(),
    };
    let checked = report.check.as_ref().map(|check| match check.outcome {
        CheckOutcome::Accepted => "accepted by the API",
        CheckOutcome::Refused => "refused by the API",
        CheckOutcome::Failed => "could not be checked",
    });
    let lines = [
        ("domain", Some(report.domain.clone())),
        ("account", report.account.clone()),
        ("organization", named(&report.organization)),
        ("workspace", named(&report.workspace)),
        ("credentials", report.location.as_ref().map(location)),
        ("storage", report.storage.filter(|it| it.source != StorageSource::Default).map(|it| it.to_string())),
        ("type", report.unverified().map(str::to_owned)),
        ("issued", report.issued_at.map(issued)),
        ("expires", report.kind.map(|_| expires)),
        ("checked", checked.map(str::to_owned)),
    ];
    for (name, value) in lines {
        if let Some(value) = value {
            ui.write_data_ignoring_closed_pipe(&format!("{name:<13} {}", clean(&value, 300)))?;
        }
    }
    let chosen = report.storage.is_some_and(|it| it.storage == Storage::Plain);
    for warning in report.warnings.iter().filter(|it| it.code != WarningCode::PlaintextTokens || !chosen) {
        ui.warn(&warning.message, &warning.hint);
    }
    Ok(())
}
