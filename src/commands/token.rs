//! `astro auth token`: prints a valid access token on stdout. Never asks and never opens a browser.

use crate::error::Error;
use crate::jwt::Unverified;
use crate::session::{Access, Session, environment_token};
use crate::system::System;
use crate::token::AccessToken;

/// Prints `ASTRO_API_TOKEN`, else the token of `domain`, which is refreshed first if it expires soon.
pub async fn token(system: &System, domain: Option<&str>) -> Result<(), Error> {
    // The variable overrides any login, so an unreadable config.yaml does not matter.
    let access = match environment_token(system) {
        Some(token) => Access::Environment(reject_expired(system, token)?),
        None => Session::open(system, domain)?.access().await?,
    };
    Ok(system.ui.write_data(access.token().expose())?)
}

/// Rejects a token whose own `exp` has passed. A token that cannot be parsed is left to the API to judge.
fn reject_expired(system: &System, token: AccessToken) -> Result<AccessToken, Error> {
    let now = (system.now)();
    match Unverified::parse(token.expose()).ok().and_then(|claims| claims.expires_at()) {
        Some(at) if at <= now => Err(Error::ApiTokenExpired { at, now }),
        Some(_) | None => Ok(token),
    }
}
