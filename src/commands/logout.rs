//! `astro logout`: revoke, remove everywhere, look again, and give a receipt.
//!
//! What is here is removed whatever the issuer says, and what cannot be removed or revoked is said. No step waits for
//! another's success: without a readable config.yaml the keychain is emptied all the same.

use std::collections::HashSet;

use clap::{Args, ValueHint};

use crate::aside::aside;
use crate::config::{Config, Context};
use crate::credentials::{Credentials, Kind, StoreError};
use crate::domain::{self, Domain};
use crate::error::Error;
use crate::session::{self, Session, Store};
use crate::system::System;
use crate::when;

/// A request of `astro logout`.
#[derive(Debug, Args)]
pub struct Logout {
    /// Domain to log out of [default: current context]
    #[arg(conflicts_with = "all", value_hint = ValueHint::Other)]
    pub domain: Option<String>,
    /// Log out of every Astro domain in config.yaml
    #[arg(long)]
    pub all: bool,
}

/// Signs out of one domain, or of all of them.
pub async fn logout(system: &System, logout: &Logout) -> Result<(), Error> {
    let (domains, unreadable) = if logout.all { every_domain(system) } else { (vec![one(system, logout)?], None) };
    let mut remains = Vec::new();
    for domain in domains {
        if !sign_out(&Session::of(system, domain.clone())).await {
            remains.push(domain.to_string());
        }
    }
    if session::environment_token(system).is_some() {
        system.ui.warn("ASTRO_API_TOKEN is set, and stays in use; only unsetting it ends that");
    }
    match unreadable {
        // Which other contexts there are, nobody knows.
        Some(failure) => Err(failure),
        None if remains.is_empty() => Ok(()),
        None => Err(Error::Remains { domains: remains.join(", ") }),
    }
}

fn one(system: &System, logout: &Logout) -> Result<Domain, Error> {
    let opened = Session::open(system, logout.domain.as_deref());
    if matches!(opened, Err(Error::Config(_))) {
        system.ui.hint("`astro logout DOMAIN` removes from the keychain what is kept for that domain all the same");
    }
    Ok(opened?.domain)
}

/// Every domain of Astro's that config.yaml names, and Astro's own, whose login may be in the keychain alone. With them
/// the reason, if there may be more.
fn every_domain(system: &System) -> (Vec<Domain>, Option<Error>) {
    let (mut names, unreadable): (Vec<String>, Option<Error>) = match Config::new(&system.home).read() {
        Ok(document) => {
            let names = document.domains().into_iter();
            (names.chain(document.current_context()).collect(), None)
        }
        Err(failure) => (Vec::new(), Some(failure.into())),
    };
    names.push(domain::DEFAULT.to_owned());
    let mut seen = HashSet::new();
    let domains: Vec<Domain> = names.iter().filter_map(|name| name.parse().ok()).collect();
    (domains.into_iter().filter(|domain| seen.insert(domain.clone())).collect(), unreadable)
}

/// Signs out of one domain. Returns whether nothing of the login remains.
pub(super) async fn sign_out(session: &Session<'_>) -> bool {
    let ui = &session.system.ui;
    let mut done = true;
    // Whoever refreshes the login at this moment would bring it back.
    let _lock = session.lock().await.inspect_err(|failure| {
        done = false;
        ui.warn(&format!("another command may bring the login back: {failure}"));
    });
    // Why config.yaml cannot be read is told once, where it should be edited.
    let context = session.context().unwrap_or_default();
    let in_config = session::plaintext(&context);
    let loaded = session.keychain(|store, domain| store.load(domain)).await;
    let in_keychain = loaded.as_ref().ok().and_then(Option::as_ref);

    // The issuer has its time while everything here is removed.
    let (removed, revoked) = tokio::join!(
        async { (empty_keychain(session, &loaded).await, clear_context(session, &context).await) },
        async { tokio::join!(revoke(session, in_config.as_ref()), revoke(session, in_keychain)) },
    );
    done &= removed.0 & removed.1 & revoked.0 & revoked.1;

    let nobody = in_config.is_none() && matches!(loaded, Ok(None) | Err(StoreError::Absent { .. }));
    for credentials in in_config.iter().chain(in_keychain) {
        tell_of_the_access_token(session, credentials);
    }
    if let Err(StoreError::Absent { reason }) = loaded {
        let unseen =
            format!("there is no keychain here ({reason}); a login that a desktop session keeps in one stays there");
        // One that was found is the login that was in use here.
        if nobody { ui.warn(&unseen) } else { ui.say(&unseen) }
    }
    match (nobody, done) {
        (true, true) if loaded.is_err() => ui.say(&format!("No login to {} was found here", session.domain)),
        (true, true) => ui.say(&format!("Nobody was signed in to {}", session.domain)),
        (false, true) => ui.success(&format!("Signed out of {}", session.domain)),
        // What remains has been told.
        (_, false) => {}
    }
    done
}

/// Tells the issuer, and the person what came of it. Returns whether no refresh token is left good.
async fn revoke(session: &Session<'_>, credentials: Option<&Credentials>) -> bool {
    let Some(credentials) = credentials.filter(|it| it.refresh.is_some()) else { return true };
    let ui = &session.system.ui;
    match session.revoke(credentials).await {
        Ok(()) => {
            ui.success(&format!("The refresh token is revoked at {}", crate::text::clean(&credentials.issuer, 100)));
            true
        }
        Err(failure) => {
            ui.warn(&format!("the refresh token stays good until it ends by itself: {failure}"));
            false
        }
    }
}

/// Removes the keychain's entry, readable or not, and looks whether it is gone.
async fn empty_keychain(session: &Session<'_>, loaded: &Result<Option<Credentials>, StoreError>) -> bool {
    let unreadable = match loaded {
        Ok(None) | Err(StoreError::Absent { .. }) => return true,
        Ok(Some(_)) => None,
        Err(failure) => Some(failure),
    };
    let ui = &session.system.ui;
    let name = session.store_name(Store::Keychain);
    let removed = session
        .keychain(|store, domain| {
            let was_there = store.delete(domain)?;
            store.load(domain).map(|left| (was_there, left.is_some()))
        })
        .await;
    match (removed, unreadable) {
        (Ok((_, false)), None) => {
            ui.success(&format!("The credentials are removed from {name}"));
            true
        }
        // It may have been locked a moment ago, and empty.
        (Ok((false, false)), Some(_)) => true,
        (Ok((true, false)), Some(unreadable)) => {
            ui.success(&format!("The credentials are removed from {name}"));
            ui.warn(&format!(
                "they could not be read before ({unreadable}), so a refresh token among them is not revoked"
            ));
            false
        }
        (Ok((_, true)), _) => {
            ui.warn(&format!("the credentials are still in {name}"));
            false
        }
        (Err(failure), _) => {
            ui.warn(&format!("credentials may remain in {name}: {failure}"));
            false
        }
    }
}

/// Empties the context in config.yaml but for its domain, unsets it if it is the current one, and looks again.
async fn clear_context(session: &Session<'_>, before: &Context) -> bool {
    let ui = &session.system.ui;
    let path = session.config.path().display();
    let (config, domain) = (session.config.clone(), session.domain.clone());
    let edit = aside(move || {
        config.edit(|document| {
            document.clear_context(&domain)?;
            let current = document.current_context().and_then(|current| current.parse::<Domain>().ok());
            if current.as_ref() == Some(&domain) {
                document.set_current_context(None)?;
            }
            Ok(())
        })
    });
    let edited = match edit.await {
        Ok(edited) => edited.map_err(Error::from),
        Err(failure) => Err(failure.into()),
    };
    let empty = |context: &Context| *context == Context { domain: context.domain.clone(), ..Context::default() };
    match edited.and_then(|()| session.context()) {
        Err(failure) => {
            let why = std::iter::once(failure.to_string()).chain(failure.causes()).collect::<Vec<_>>().join(": ");
            ui.warn(&format!("what config.yaml says of {} could not be removed: {why}", session.domain));
            false
        }
        Ok(after) if !empty(&after) => {
            ui.warn(&format!("something of the context is still in {path}"));
            false
        }
        Ok(_) => {
            if before.token.is_some() || before.refresh_token.is_some() {
                ui.success(&format!("The credentials are removed from {path}"));
            }
            if !empty(before) {
                ui.success(&format!("The context is cleared in {path}"));
            }
            true
        }
    }
}

/// No issuer takes an access token back (RFC 7009 leaves it open, Auth0 does not); the person should know.
fn tell_of_the_access_token(session: &Session<'_>, credentials: &Credentials) {
    let now = session.now();
    match (credentials.expires_at, credentials.kind) {
        (Some(end), _) if end <= now => {}
        (Some(end), _) => session.system.ui.say(&format!(
            "A copy of the access token, if there is one, works until {}",
            when::dated(end, now, &(session.system.time_zone)())
        )),
        (None, Kind::ApiToken) => {
            session.system.ui.say("A copy of the API token works until it is deleted in the Astro UI");
        }
        (None, Kind::User) => {
            session.system.ui.say("A copy of the access token, if there is one, works until the issuer's end for it");
        }
    }
}
