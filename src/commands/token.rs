//! `astro auth token`: a token that is valid now, bare, on stdout.

use crate::error::Error;
use crate::session::{Access, Session, environment_token};
use crate::system::System;

/// Prints the token of `domain`, refreshed first if it ends soon. Never asks, never opens a browser.
pub async fn token(system: &System, domain: Option<&str>) -> Result<(), Error> {
    let access = match environment_token(system) {
        // It wins over whatever is stored, so what is stored need not even be readable.
        Some(token) => Access::Environment(token),
        None => Session::open(system, domain)?.access().await?,
    };
    system.ui.hand_over(access.token().expose())?;
    Ok(())
}
