//! `astro auth token`: a token that is valid now, bare, on stdout. Never asks, never opens a browser.
//!
//! In two steps, since most often the first one does: it waits for nothing, so nothing needs to be set up for that.

use crate::error::Error;
use crate::jwt::Unverified;
use crate::session::{Access, Session, environment_token};
use crate::system::System;
use crate::token::AccessToken;

/// Prints the token of `domain` where it is at hand: in the environment, or in config.yaml and good for a while. Else
/// answers with the session that has to be asked for it.
pub fn at_hand<'a>(system: &'a System, domain: Option<&str>) -> Result<Option<Session<'a>>, Error> {
    // It wins over whatever is stored, so what is stored need not even be readable.
    if let Some(token) = environment_token(system) {
        hand_over(system, &Access::Environment(not_over(system, token)?))?;
        return Ok(None);
    }
    let session = Session::open(system, domain)?;
    let Some(access) = session.at_hand()? else { return Ok(Some(session)) };
    hand_over(system, &access)?;
    Ok(None)
}

/// Prints the session's token, refreshed first if it ends soon.
pub async fn fetched(session: Session<'_>) -> Result<(), Error> {
    hand_over(session.system, &session.access().await?)
}

fn hand_over(system: &System, access: &Access) -> Result<(), Error> {
    Ok(system.ui.hand_over(access.token().expose())?)
}

/// A token that says of itself that it is over is of no use to anyone. What cannot be read is the API's to judge.
fn not_over(system: &System, token: AccessToken) -> Result<AccessToken, Error> {
    let now = (system.now)();
    match Unverified::parse(token.expose()).ok().and_then(|claims| claims.expires_at()) {
        Some(at) if at <= now => Err(Error::ApiTokenExpired { at, now }),
        Some(_) | None => Ok(token),
    }
}
