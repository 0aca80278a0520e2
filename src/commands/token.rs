//! `astro auth token`: a token that is valid now, bare, on stdout.

use crate::error::Error;
use crate::session::Session;
use crate::system::System;

/// Prints the token of `domain`, refreshed first if it ends soon. Never asks, never opens a browser.
pub async fn token(system: &System, domain: Option<&str>) -> Result<(), Error> {
    let access = Session::open(system, domain)?.access().await?;
    system.ui.data(access.token().expose())?;
    Ok(())
}
