//! `astro auth token`: prints a valid access token on stdout. Never asks and never opens a browser.

use clap::{Args, ValueHint};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{DomainArgument, JsonArgument};
use crate::domain::Domain;
use crate::error::Error;
use crate::jwt::Unverified;
use crate::session::{Session, check_environment_token, environment_token};
use crate::system::System;
use crate::token::AccessToken;

#[derive(Debug, Args)]
#[command(mut_arg("json", |json| json.help("Print JSON with the token, its domain and its expiry")))]
pub struct Token {
    /// Refresh the token even if it is still valid, unless it is younger than a minute
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub validity: Validity,
    #[command(flatten)]
    pub json: JsonArgument,
    #[command(flatten)]
    pub domain: DomainArgument,
}

#[derive(Debug, Default, Args)]
pub struct Validity {
    /// Time for which the token must stay valid, such as 2h or 90m; fails if tokens do not last that long
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, value_hint = ValueHint::Other)]
    pub valid_for: Option<SignedDuration>,
}

fn parse_duration(text: &str) -> Result<SignedDuration, String> {
    let duration = text.parse::<SignedDuration>().ok().filter(SignedDuration::is_positive);
    duration.ok_or_else(|| "expected a duration such as 2h or 90m".to_owned())
}

/// A token that is valid now.
pub(super) struct ValidToken {
    pub(super) token: AccessToken,
    /// `None` if config.yaml, which would name it, cannot be read.
    pub(super) domain: Option<Domain>,
    pub(super) expires_at: Option<Timestamp>,
}

#[derive(Serialize)]
struct Report<'a> {
    token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
}

/// Prints `ASTRO_API_TOKEN`, else the token of the domain, which is refreshed first if it expires soon.
pub async fn token(system: &System, request: &Token) -> Result<(), Error> {
    let valid = valid_token(system, request.domain.get(), request.validity.valid_for, request.force).await?;
    if !request.json.get() {
        return Ok(system.ui.write_data(valid.token.expose())?);
    }
    let domain = valid.domain.map(|domain| domain.to_string());
    let report = Report { token: valid.token.expose(), domain, expires_at: valid.expires_at };
    Ok(system.ui.write_data(&serde_json::to_string(&report).map_err(std::io::Error::from)?)?)
}

/// Returns the token of the variable, else that of the login, which lasts for `valid_for`.
pub(super) async fn valid_token(
    system: &System,
    domain: Option<&str>,
    valid_for: Option<SignedDuration>,
    force: bool,
) -> Result<ValidToken, Error> {
    let opened = Session::open_with_context(system, domain);
    let variable = match &opened {
        Ok((session, _)) => session.overriding_token()?,
        Err(_) => environment_token(system)?,
    };
    let valid = match variable {
        Some(_) if force => return Err(Error::ApiTokenNotRenewable),
        Some(token) => checked(system, opened.map(|(session, _)| session), token)?,
        None => {
            let (session, context) = opened?;
            let context = context.map_or_else(|| session.context(), Ok)?;
            let credentials = session.access_for(context, valid_for, force).await?.credentials;
            let (token, expires_at) = (credentials.access, credentials.expires_at);
            ValidToken { token, domain: Some(session.domain), expires_at }
        }
    };
    let now = (system.now)();
    match (valid.expires_at, valid_for) {
        (Some(at), Some(wanted)) if at.duration_since(now) < wanted => Err(Error::EndsTooSoon { at, now }),
        _ => Ok(valid),
    }
}

/// Returns the token of the variable, held to its domain. The variable overrides any login, so a config.yaml that cannot
/// be read does not matter: then no domain is known.
fn checked(system: &System, session: Result<Session<'_>, Error>, token: AccessToken) -> Result<ValidToken, Error> {
    let domain = match session {
        Ok(session) => {
            session.check_environment_token(&token)?;
            Some(session.domain)
        }
        Err(Error::Config(_)) => {
            check_environment_token(&token, None, (system.now)())?;
            None
        }
        Err(failure) => return Err(failure),
    };
    let expires_at = Unverified::parse(token.expose()).ok().and_then(|claims| claims.expires_at());
    Ok(ValidToken { token, domain, expires_at })
}
