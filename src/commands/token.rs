//! `astro auth token`: prints a token that is valid now on stdout. Never prompts, never opens a browser.

use crate::error::Error;
use crate::jwt::Unverified;
use crate::session::{Session, environment_token};
use crate::system::System;
use crate::token::AccessToken;

/// Prints the token of `ASTRO_API_TOKEN`, else of the login to `domain`, refreshed if it expires soon.
pub async fn token(system: &System, domain: Option<&str>) -> Result<(), Error> {
    // The variable wins over any login, so the stores need not even be readable.
    if let Some(token) = environment_token(system) {
        return print(system, &require_unexpired(system, token)?);
    }
    let access = Session::open(system, domain)?.access().await?;
    print(system, access.token())
}

fn print(system: &System, token: &AccessToken) -> Result<(), Error> {
    Ok(system.ui.hand_over(token.expose())?)
}

/// Rejects a token whose `exp` has passed. A token without a readable `exp` is left to the API.
fn require_unexpired(system: &System, token: AccessToken) -> Result<AccessToken, Error> {
    let now = (system.now)();
    match Unverified::parse(token.expose()).ok().and_then(|claims| claims.expires_at()) {
        Some(at) if at <= now => Err(Error::ApiTokenExpired { at, now }),
        Some(_) | None => Ok(token),
    }
}
