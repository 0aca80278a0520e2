//! `astro auth token`: a token that is valid now, bare, on stdout.

use crate::error::Error;
use crate::jwt::Unverified;
use crate::session::{Access, Session, environment_token};
use crate::system::System;
use crate::token::AccessToken;

/// Prints the token of `domain`, refreshed first if it ends soon. Never asks, never opens a browser.
pub async fn token(system: &System, domain: Option<&str>) -> Result<(), Error> {
    let access = match environment_token(system) {
        // It wins over whatever is stored, so what is stored need not even be readable.
        Some(token) => Access::Environment(not_over(system, token)?),
        None => Session::open(system, domain)?.access().await?,
    };
    system.ui.hand_over(access.token().expose())?;
    Ok(())
}

/// A token that says of itself that it is over is of no use to anyone. What cannot be read is the API's to judge.
fn not_over(system: &System, token: AccessToken) -> Result<AccessToken, Error> {
    let now = (system.now)();
    match Unverified::parse(token.expose()).ok().and_then(|claims| claims.expires_at()) {
        Some(at) if at <= now => Err(Error::ApiTokenExpired { at, now }),
        Some(_) | None => Ok(token),
    }
}
