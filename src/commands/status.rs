//! `astro auth status`: who, where, until when, and kept where. Offline, unless it is asked to check.
//!
//! A store that does not answer is never shown as being signed out. The JSON is for scripts: fields are added, and their
//! meaning stays, for as long as `version` does.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::table;
use crate::api::ListError;
use crate::config::Context;
use crate::credentials::Kind;
use crate::error::Error;
use crate::jwt::{TokenKind, Unverified};
use crate::session::{Session, Store, Stored, environment_token};
use crate::system::System;
use crate::when;

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
    /// Where the token comes from: `environment`, `keychain`, `config` or nothing.
    source: Option<Source>,
    /// What people call that place.
    stored_in: Option<String>,
    /// `user` or `api-token`.
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
    warnings: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Valid,
    /// Expired, and will be renewed when it is needed.
    Refreshable,
    Expired,
    SignedOut,
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
    accepted: bool,
    /// How far the clock here is ahead of the API's, in seconds.
    clock_ahead_seconds: Option<i64>,
}

/// Reports on the login of one domain. An error, for the exit code, where there is none that can be used.
pub async fn status(system: &System, status: &Status) -> Result<(), Error> {
    let session = Session::open(system, status.domain.as_deref())?;
    let context = session.context()?;
    let stored = session.stored().await;
    // The environment's token works whatever becomes of the store.
    let stored = if environment_token(system).is_some() { stored.unwrap_or_default() } else { stored? };
    let mut report = report(&session, context, stored);
    if status.check && report.state != State::SignedOut {
        check(&session, &mut report).await?;
    }
    if status.json {
        table::json(system, &report)?;
    } else {
        show(&session, &report);
    }
    let domain = report.domain;
    match (report.state, report.check) {
        (_, Some(Check { accepted: false, .. })) => Err(Error::TokenRefused { domain, answer: None }),
        (State::Valid | State::Refreshable, _) => Ok(()),
        (State::SignedOut, _) => Err(Error::SignedOut { domain }),
        (State::Expired, _) => {
            let now = session.now();
            Err(Error::LoginExpired { domain, at: report.expires_at.unwrap_or(now), now })
        }
    }
}

fn report(session: &Session<'_>, context: Context, stored: Option<Stored>) -> Report {
    let mut warnings = Vec::new();
    let path = session.config.path().display();
    if let Some(Stored { store: Store::Config, .. }) = stored {
        warnings.push(format!("the tokens are stored as plain text in {path}"));
        if session.config.readable_by_others() {
            warnings.push(format!("others may read {path}; `chmod 600 {path}` ends that"));
        }
    }
    if session.config.writable_by_others() {
        warnings.push(format!("others may write in the folder of {path}"));
    }
    let mut report = Report {
        version: 1,
        domain: session.domain.to_string(),
        state: State::SignedOut,
        source: None,
        stored_in: None,
        kind: None,
        account: None,
        organization: context.organization,
        workspace: context.workspace,
        issued_at: None,
        expires_at: None,
        refreshable: false,
        check: None,
        warnings,
    };
    let now = session.now();
    if let Some(token) = environment_token(session.system) {
        if stored.is_some() {
            report.warnings.push("ASTRO_API_TOKEN is set, and wins over the login that is stored".to_owned());
        }
        let claims = Unverified::parse(token.expose()).ok();
        report.source = Some(Source::Environment);
        report.stored_in = Some("ASTRO_API_TOKEN".to_owned());
        let is_user = claims.as_ref().is_some_and(|it| it.kind() == TokenKind::Access);
        report.kind = Some(if is_user { Kind::User } else { Kind::ApiToken });
        report.issued_at = claims.as_ref().and_then(Unverified::issued_at);
        report.expires_at = claims.as_ref().and_then(Unverified::expires_at);
    } else if let Some(Stored { store, credentials }) = stored {
        report.source = Some(if store == Store::Keychain { Source::Keychain } else { Source::Config });
        report.stored_in = Some(session.store_name(store));
        report.kind = Some(credentials.kind);
        report.account = credentials.email.or(context.user_email);
        report.issued_at = credentials.issued_at;
        report.expires_at = credentials.expires_at;
        report.refreshable = credentials.refresh.is_some();
    } else {
        return report;
    }
    report.state = match report.expires_at {
        Some(end) if end <= now && report.refreshable => State::Refreshable,
        Some(end) if end <= now => State::Expired,
        Some(_) | None => State::Valid,
    };
    report
}

/// Asks the API whether it takes the token, and for the time.
async fn check(session: &Session<'_>, report: &mut Report) -> Result<(), Error> {
    let answer = session
        .call(async |api| {
            let answer = match report_kind(report) {
                Kind::User => api.user().await.map(|user| user.answered_at)?,
                // An API token has no user; what it may see is its own organization.
                Kind::ApiToken => api.organizations().await.map(|_| None)?,
            };
            Ok::<_, ListError>(answer)
        })
        .await;
    let answered_at = match answer {
        Ok(answered_at) => answered_at,
        Err(failure) if failure.exit_code() == 4 => {
            report.check = Some(Check { accepted: false, clock_ahead_seconds: None });
            return Ok(());
        }
        Err(failure) => return Err(failure),
    };
    let ahead = answered_at.map(|theirs: Timestamp| session.now().duration_since(theirs));
    if let Some(ahead) = ahead.filter(|ahead| ahead.abs() > CLOCK_OFF) {
        let direction = if ahead.is_negative() { "behind" } else { "ahead" };
        report.warnings.push(format!("the clock here is {} seconds {direction}", ahead.abs().as_secs()));
    }
    report.check = Some(Check { accepted: true, clock_ahead_seconds: ahead.map(|ahead| ahead.as_secs()) });
    // The call may have renewed the login.
    if let Some(stored) = session.stored().await?.filter(|_| report.source != Some(Source::Environment)) {
        report.state = State::Valid;
        report.issued_at = stored.credentials.issued_at;
        report.expires_at = stored.credentials.expires_at;
    }
    Ok(())
}

fn report_kind(report: &Report) -> Kind {
    report.kind.unwrap_or(Kind::User)
}

fn show(session: &Session<'_>, report: &Report) {
    let ui = &session.system.ui;
    let now = session.now();
    let dated = |at: Timestamp| when::dated(at, now, &session.system.time_zone);
    let ends = match (report.expires_at, report.refreshable) {
        (Some(end), true) => format!("{}; renewed when needed", dated(end)),
        (Some(end), false) => format!("{}; not renewed", dated(end)),
        (None, _) => "without an end".to_owned(),
    };
    let lines = [
        ("domain", Some(report.domain.clone())),
        ("account", report.account.clone()),
        ("organization", report.organization.clone()),
        ("workspace", report.workspace.clone()),
        ("credentials", report.stored_in.as_ref().map(|place| format!("in {place}"))),
        ("issued", report.issued_at.map(dated)),
        ("valid until", report.source.map(|_| ends)),
        (
            "kind",
            (report.kind == Some(Kind::ApiToken))
                .then(|| "API token, accepted by the server, signature not checkable here".to_owned()),
        ),
        ("checked", report.check.as_ref().filter(|it| it.accepted).map(|_| "the API accepts it".to_owned())),
    ];
    for (name, value) in lines {
        if let Some(value) = value {
            ui.say(&format!("{name:<13} {}", crate::text::clean(&value, 300)));
        }
    }
    for warning in &report.warnings {
        ui.warn(warning);
    }
}
