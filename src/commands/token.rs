//! `astro auth token`: prints a valid access token on stdout. Never asks and never opens a browser.

use crate::error::Error;
use crate::session::{Session, check_environment_token, environment_token};
use crate::system::System;
use crate::token::AccessToken;

/// Prints `ASTRO_API_TOKEN`, else the token of `domain`, which is refreshed first if it expires soon.
pub async fn token(system: &System, domain: Option<&str>) -> Result<(), Error> {
    let token = match environment_token(system)? {
        Some(token) => check(system, domain, token)?,
        None => Session::open(system, domain)?.access().await?.token().clone(),
    };
    Ok(system.ui.write_data(token.expose())?)
}

/// Returns the token of the variable, held to its domain. The variable overrides any login, so a config.yaml that cannot
/// be read does not matter: then no domain is known.
fn check(system: &System, domain: Option<&str>, token: AccessToken) -> Result<AccessToken, Error> {
    match Session::open(system, domain) {
        Ok(session) => session.check_environment_token(&token)?,
        Err(Error::Config(_)) => check_environment_token(&token, None, (system.now)())?,
        Err(failure) => return Err(failure),
    }
    Ok(token)
}
