//! `astro logout`: revoke, remove everywhere, look again, and give a receipt.
//!
//! What is here is removed whatever the issuer says, and what cannot be removed or revoked is said. Each step goes on
//! where the one before it failed.

use crate::config::Context;
use crate::credentials::{Credentials, Kind, StoreError};
use crate::domain::Domain;
use crate::error::Error;
use crate::session::{self, Session, Store};
use crate::system::{System, aside};
use crate::when;

/// What `astro logout` was asked to do.
#[derive(Debug)]
pub struct Logout {
    /// The domain as it was typed.
    pub domain: Option<String>,
    /// Every domain of Astro's that config.yaml knows.
    pub all: bool,
}

/// Signs out of one domain, or of all of them.
pub async fn logout(system: &System, logout: &Logout) -> Result<(), Error> {
    let sessions = if logout.all {
        let config = crate::config::Config::new(&system.home);
        let domains = config.read()?.contexts().into_iter().filter_map(|context| context.domain.parse().ok());
        domains.map(|domain: Domain| Session::of(system, domain)).collect()
    } else {
        vec![Session::open(system, logout.domain.as_deref())?]
    };
    if sessions.is_empty() {
        system.ui.say("There is no context of Astro's to sign out of.");
    }
    let mut remains = Vec::new();
    for session in &sessions {
        if !sign_out(session).await? {
            remains.push(session.domain.to_string());
        }
    }
    if remains.is_empty() { Ok(()) } else { Err(Error::Remains { domains: remains.join(", ") }) }
}

/// Signs out of one domain. Returns whether nothing of the login remains.
pub(super) async fn sign_out(session: &Session<'_>) -> Result<bool, Error> {
    let ui = &session.system.ui;
    let _lock = session.lock().await?;
    let context = session.context()?;
    let plaintext = session::plaintext(&context);
    let loaded = session.keychain(|store, domain| store.load(domain)).await;
    let found: Vec<&Credentials> = plaintext.iter().chain(loaded.as_ref().ok().into_iter().flatten()).collect();

    let mut done = true;
    for credentials in found.iter().filter(|it| it.refresh.is_some()) {
        match session.revoke(credentials).await {
            Ok(()) => ui.success(&format!("The refresh token is revoked at {}", credentials.issuer)),
            Err(failure) => {
                done = false;
                ui.warn(&format!(
                    "the refresh token could not be revoked, and stays good until it ends by itself: {failure}"
                ));
            }
        }
    }
    done &= empty_keychain(session, &loaded).await;
    done &= clear_context(session, &context).await?;
    if found.is_empty() && matches!(loaded, Ok(None) | Err(StoreError::Absent { .. })) {
        ui.say(&format!("Nobody was signed in to {}", session.domain));
    }
    for credentials in found {
        tell_of_the_access_token(session, credentials);
    }
    if done {
        ui.success(&format!("Signed out of {}", session.domain));
    }
    Ok(done)
}

/// Removes the keychain's entry, readable or not, and looks whether it is gone.
async fn empty_keychain(session: &Session<'_>, loaded: &Result<Option<Credentials>, StoreError>) -> bool {
    if matches!(loaded, Ok(None) | Err(StoreError::Absent { .. })) {
        return true;
    }
    let name = session.store_name(Store::Keychain);
    let removed = session
        .keychain(|store, domain| {
            store.delete(domain)?;
            store.load(domain)
        })
        .await;
    match removed {
        Ok(None) => {
            session.system.ui.success(&format!("The credentials are removed from {name}"));
            true
        }
        Ok(Some(_)) => {
            session.system.ui.warn(&format!("the credentials are still in {name}"));
            false
        }
        Err(failure) => {
            session.system.ui.warn(&format!("the credentials could not be removed from {name}: {failure}"));
            false
        }
    }
}

/// Empties the context in config.yaml but for its domain, unsets it if it is the current one, and looks again.
async fn clear_context(session: &Session<'_>, before: &Context) -> Result<bool, Error> {
    let (config, domain) = (session.config.clone(), session.domain.clone());
    aside(move || {
        config.edit(|document| {
            document.clear_context(&domain)?;
            if document.current_context().is_some_and(|current| current == domain.as_str()) {
                document.set_current_context(None)?;
            }
            Ok(())
        })
    })
    .await??;
    let path = session.config.path().display();
    let gone = session::plaintext(&session.context()?).is_none();
    if !gone {
        session.system.ui.warn(&format!("the credentials are still in {path}"));
    } else if *before != Context::default() {
        session.system.ui.success(&format!("The context is cleared in {path}"));
    }
    Ok(gone)
}

/// No issuer takes an access token back (RFC 7009 leaves it open, Auth0 does not); the person should know.
fn tell_of_the_access_token(session: &Session<'_>, credentials: &Credentials) {
    let now = session.now();
    match (credentials.expires_at, credentials.kind) {
        (Some(end), _) if end <= now => {}
        (Some(end), _) => session.system.ui.say(&format!(
            "A copy of the access token, if there is one, works until {}",
            when::dated(end, now, &session.system.time_zone)
        )),
        (None, Kind::ApiToken | Kind::User) => {
            session.system.ui.say("A copy of the token, if there is one, works until it is deleted in the Astro UI");
        }
    }
}
