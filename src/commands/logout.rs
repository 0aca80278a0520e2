//! `astro logout`: revokes the refresh token, removes the login from each store, checks that it is gone, and reports.
//!
//! Everything on this machine is removed even if the issuer fails, and each failure is reported. No step depends on
//! another's success: without a readable config.yaml, the keychain entry is still removed. What is revoked is what was
//! removed: another program may write config.yaml at any time.

use std::collections::{BTreeSet, HashSet};

use clap::Args;

use super::list::print_member;
use super::{DomainArgument, JsonArgument};
use crate::config::{Config, Context};
use crate::credentials::vault::{self, VaultError};
use crate::credentials::{Credentials, Kind, StoreError};
use crate::domain::{self, Domain};
use crate::error::{Error, Warning};
use crate::session::{self, DomainSource, Location, Session, edit_config};
use crate::system::System;
use crate::text::clean;
use crate::time_format::format_timestamp;
use crate::ui::Ui;

#[derive(Debug, Args)]
#[command(mut_arg("domain", |domain| domain.help("Domain to log out of [default: current context]")))]
pub struct Logout {
    /// Log out of every domain, with or without context
    #[arg(long, conflicts_with_all = ["domain", "domain-flag"])]
    pub all: bool,
    #[command(flatten)]
    pub json: JsonArgument,
    #[command(flatten)]
    pub domain: DomainArgument,
}

/// The part of a login that was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Removal {
    Nothing,
    Whole,
    /// Something remains, which was reported.
    Partial,
}

pub async fn logout(system: &System, logout: &Logout) -> Result<(), Error> {
    Config::new(&system.home).check_owner()?;
    let (domains, unreadable) =
        if logout.all { all_domains(system).await? } else { (vec![one_domain(system, logout)?], None) };
    Config::new(&system.home).remove_login_cache();
    let (mut logged_out, mut incomplete, mut stays) = (Vec::new(), Vec::new(), false);
    for domain in domains {
        let session = Session::for_domain(system, domain);
        stays |= session.is_overridden();
        let domain = session.domain.to_string();
        match log_out(&session).await {
            Removal::Nothing => {}
            Removal::Whole => logged_out.push(domain),
            Removal::Partial => incomplete.push(domain),
        }
    }
    if stays {
        Warning::ApiTokenStays.show(&system.ui);
    }
    match unreadable {
        // There may be contexts that were not found.
        Some(failure) => Err(failure),
        None if incomplete.is_empty() && logout.json.get() => print_member(system, "logged_out", logged_out),
        None if incomplete.is_empty() => Ok(()),
        None => Err(Error::LogoutIncomplete { domains: incomplete.join(", ") }),
    }
}

/// Returns the domain that is named, else the current context's. Another program's context is no reason to log out of the
/// default domain.
fn one_domain(system: &System, logout: &Logout) -> Result<Domain, Error> {
    let resolved = session::resolve_domain(system, &Config::new(&system.home), logout.domain.get());
    if matches!(resolved, Err(Error::Config(_))) {
        system.ui.hint("run `astro logout DOMAIN` to remove the keychain entry of that domain anyway");
    }
    match resolved? {
        (_, DomainSource::DefaultInstead(context)) => Err(Error::LogoutOfForeignContext { context }),
        (domain, _) => Ok(domain),
    }
}

/// Returns every domain in config.yaml and in the keychain, and the default one. If config.yaml or the keychain cannot
/// be read, the error comes with them.
async fn all_domains(system: &System) -> Result<(Vec<Domain>, Option<Error>), Error> {
    let mut domains: Vec<Domain> = vec![domain::DEFAULT.parse()?];
    let session = Session::for_domain(system, domains[0].clone());
    let mut unreadable = None;
    match session.config.read() {
        Ok(document) => {
            let names = document.domains().into_iter().chain(document.current_context());
            domains.extend(names.filter_map(|name| name.parse().ok()));
        }
        Err(failure) => unreadable = Some(failure.into()),
    }
    // The Go CLI may have deleted the context of a login in the keychain.
    match session.keychain(|store, _| store.domains()).await {
        Ok(found) => domains.extend(found),
        // Reported for each domain.
        Err(StoreError::Absent { .. }) => {}
        Err(failure) => unreadable = unreadable.or(Some(session.keychain_error(failure))),
    }
    let mut seen = HashSet::new();
    domains.retain(|domain| seen.insert(domain.clone()));
    Ok((domains, unreadable))
}

/// Logs out of one domain.
pub(super) async fn log_out(session: &Session<'_>) -> Removal {
    let ui = &session.system.ui;
    let mut complete = true;
    // A refresh at this moment would store the login again.
    let _locks = session.lock_to_replace().await.inspect_err(|failure| {
        complete = false;
        Warning::MayBeSavedAgain { cause: failure.to_string(), hint: hint_to_repeat(failure, session) }.show(ui);
    });
    session.config.edit_names(|names| names.set_in_keychain(&session.domain, false));
    let in_vault = session.load_from_vault(&session.context().unwrap_or_default()).await;
    let (cleared, in_config) = clear_context(session).await;
    let loaded = session.keychain(|store, domain| store.load(domain)).await;
    let usable = matches!(loaded, Ok(_) | Err(StoreError::Damaged | StoreError::NewerFormat));
    session.discard_pending(usable).await;
    let logins = [in_config.as_ref(), found(&loaded), found(&in_vault)];
    let revocable = revocable(logins);

    // The keychain is emptied while the issuer responds, which is reported after it: the receipt has one order.
    let (removed, responses) = tokio::join!(
        async {
            remove_from_keychain(session, &loaded).await
                & remove_from_vault(session, &in_vault).await
                & report_cleared(session, cleared)
        },
        revoke(session, revocable),
    );
    complete &= removed;
    for response in responses.into_iter().flatten() {
        complete &= report_revocation(ui, &response);
    }
    say_access_tokens_stay_valid(session, logins);
    for login in revocable.into_iter().flatten() {
        complete &= remove_copies(session, login).await;
    }
    let in_keychain = !matches!(loaded, Ok(None) | Err(StoreError::Absent { .. }));
    let existed = in_config.is_some() || in_keychain || !matches!(in_vault, Ok(None));
    if let Err(StoreError::Absent { reason }) = loaded {
        let unseen = Warning::KeychainUnseen { reason, domain: session.domain.to_string() };
        // A login that was found is the one that was in use.
        if existed { ui.say(&unseen.to_string()) } else { unseen.show(ui) }
    }
    // Each failure was reported where it happened.
    if !complete {
        return Removal::Partial;
    }
    if !existed {
        ui.say(&format!("Not logged in to {}", session.domain));
        return Removal::Nothing;
    }
    ui.success(&format!("Logged out of {}", session.domain));
    Removal::Whole
}

fn found<E>(loaded: &Result<Option<Credentials>, E>) -> Option<&Credentials> {
    loaded.as_ref().ok().and_then(Option::as_ref)
}

/// Returns the logins with a refresh token, without copies of one in another store.
fn revocable(logins: [Option<&Credentials>; 3]) -> [Option<&Credentials>; 3] {
    let mut found: [Option<&Credentials>; 3] = [None; 3];
    for (at, login) in logins.into_iter().enumerate() {
        let is_new = |it: &&Credentials| !found[..at].iter().flatten().any(|known| known.refresh == it.refresh);
        found[at] = login.filter(|it| it.refresh.is_some()).filter(is_new);
    }
    found
}

/// Revokes the refresh tokens at the same time.
async fn revoke(session: &Session<'_>, logins: [Option<&Credentials>; 3]) -> [Option<Result<(), Error>>; 3] {
    let [one, two, three] = logins.map(|login| async move { Some(session.revoke(login?).await) });
    tokio::join!(one, two, three).into()
}

/// Reports the issuer's response. Returns `true` if no valid refresh token remains.
fn report_revocation(ui: &Ui, response: &Result<(), Error>) -> bool {
    match response {
        Ok(()) => ui.success("Revoked the refresh token"),
        Err(failure) => Warning::NotRevoked { token: "the refresh token", cause: failure.to_string() }.show(ui),
    }
    response.is_ok()
}

/// Removes the keychain's entry, even if it could not be read, and checks that it is gone.
async fn remove_from_keychain(session: &Session<'_>, loaded: &Result<Option<Credentials>, StoreError>) -> bool {
    let unreadable = match loaded {
        Ok(None) | Err(StoreError::Absent { .. }) => return true,
        Ok(Some(_)) => None,
        Err(failure) => Some(failure),
    };
    let ui = &session.system.ui;
    let name = session.location_name(Location::Keychain);
    let removed = session
        .keychain(|store, domain| {
            let existed = store.delete(domain)?;
            store.load(domain).map(|left| (existed, left.is_some()))
        })
        .await;
    match (removed, unreadable) {
        (Ok((_, false)), None) => {
            ui.success(&format!("Removed credentials from {name}"));
            true
        }
        // The keychain may have been locked before, and empty.
        (Ok((false, false)), Some(_)) => true,
        (Ok((true, false)), Some(unreadable)) => {
            ui.success(&format!("Removed credentials from {name}"));
            Warning::RemovedUnread { cause: unreadable.to_string() }.show(ui);
            false
        }
        (Ok((_, true)), _) => {
            Warning::StillThere { keychain: name }.show(ui);
            false
        }
        (Err(failure), _) => {
            Warning::MayRemain { what: "credentials", keychain: name, cause: failure.to_string() }.show(ui);
            false
        }
    }
}

/// Removes the entry in the vault, even if it could not be read.
async fn remove_from_vault(session: &Session<'_>, loaded: &Result<Option<Credentials>, VaultError>) -> bool {
    if !session.has_vault() {
        return true;
    }
    let ui = &session.system.ui;
    match session.vault(|vault, name| vault.remove(&name.entry())).await {
        Ok(false) => true,
        Ok(true) => {
            ui.success(&format!("Removed credentials from {}", vault::NAME));
            let unreadable = loaded.as_ref().err().map(|failure| Warning::RemovedUnread { cause: failure.to_string() });
            unreadable.as_ref().inspect(|warning| warning.show(ui)).is_none()
        }
        Err(failure) => {
            session.may_remain_in_vault(&failure).show(ui);
            false
        }
    }
}

/// Removes the login from contexts that share it. Returns `true` if none remains.
async fn remove_copies(session: &Session<'_>, revoked: &Credentials) -> bool {
    let ui = &session.system.ui;
    let removed = session.remove_copies(revoked).await.inspect_err(|failure| {
        let (domain, cause) = (session.domain.to_string(), failure.to_string());
        let hint = hint_to_repeat(failure, session);
        Warning::ContextNotCleared { domain, cause, hint }.show(ui);
    });
    for domain in removed.iter().flatten() {
        ui.success(&format!("Logged out of {domain}, which shared the login"));
    }
    removed.is_ok()
}

/// Removes the login from the context in config.yaml, and unsets the context if it is the current one. Returns the context as
/// it was, or the failure; and the tokens in it, which were read in the same edit.
async fn clear_context(session: &Session<'_>) -> (Result<Context, Error>, Option<Credentials>) {
    let domain = session.domain.clone();
    let cleared = edit_config(&session.config, move |document| {
        let before = document.context(&domain).unwrap_or_default();
        document.clear_login(&domain)?;
        let current = document.current_context().and_then(|current| current.parse::<Domain>().ok());
        if current.as_ref() == Some(&domain) {
            document.set_current_context(None)?;
        }
        Ok(before)
    });
    let cleared = cleared.await;
    // Revokes a token even if it can be read only, not removed.
    let before = cleared.as_ref().ok().cloned().or_else(|| session.context().ok());
    (cleared, before.as_ref().and_then(session::tokens_of_context))
}

/// Returns the remedy for `failure`, after which a second logout does the rest.
fn hint_to_repeat(failure: &Error, session: &Session<'_>) -> String {
    let again = format!("run `astro logout {}` again", session.domain);
    failure.hint().map_or_else(|| again.clone(), |hint| format!("{hint}, then {again}"))
}

/// Reports the removal from config.yaml, and checks it. Returns `true` if no token remains.
fn report_cleared(session: &Session<'_>, cleared: Result<Context, Error>) -> bool {
    let ui = &session.system.ui;
    let path = session.config.path().display();
    match cleared.and_then(|before| session.context().map(|_| before)) {
        Err(failure) => {
            let causes = std::iter::once(failure.to_string()).chain(failure.causes()).collect::<Vec<_>>().join(": ");
            let (domain, hint) = (session.domain.to_string(), hint_to_repeat(&failure, session));
            Warning::ContextNotCleared { domain, cause: causes, hint }.show(ui);
            false
        }
        Ok(before) => {
            if session::tokens_of_context(&before).is_some() {
                ui.success(&format!("Removed credentials from {path}"));
            } else if before.user_email.is_some() {
                ui.success(&format!("Removed the account from {path}"));
            }
            no_token_left(session)
        }
    }
}

/// Warns of a token that the Go CLI would still read, such as one in a context of another name. Returns `true` without one.
fn no_token_left(session: &Session<'_>) -> bool {
    let left = session.config.read().ok().and_then(|document| document.token_left(&session.domain));
    if let Some(key) = &left {
        let (path, key) = (session.config.path().to_owned(), clean(key, 100));
        Warning::TokenRemains { domain: session.domain.to_string(), path, key }.show(&session.system.ui);
    }
    left.is_none()
}

/// Says how long copies of the access tokens stay valid: RFC 7009 makes their revocation optional, and neither Auth0 nor Astro
/// Private Cloud has one.
fn say_access_tokens_stay_valid(session: &Session<'_>, logins: [Option<&Credentials>; 3]) {
    let (now, zone) = (session.now(), (session.system.time_zone)());
    let line = |login: &Credentials| match (login.expires_at.map(|at| format_timestamp(at, now, &zone)), login.kind) {
        (Some(expiry), Kind::PrivateCloud) => {
            format!("Copies of the token stay valid until {expiry}, or until an administrator ends it")
        }
        (Some(expiry), _) => format!("Access tokens already copied elsewhere stay valid until {expiry}"),
        (None, Kind::ApiToken) => "Copies of the API token stay valid until you delete it in the Astro UI".to_owned(),
        (None, Kind::User) => "Access tokens already copied elsewhere stay valid until they expire".to_owned(),
        (None, Kind::PrivateCloud) => "Copies of the token stay valid until an administrator ends it".to_owned(),
    };
    let is_valid = |it: &&Credentials| !it.access.is_empty() && it.expires_at.is_none_or(|expiry| expiry > now);
    let lines: BTreeSet<String> = logins.into_iter().flatten().filter(is_valid).map(line).collect();
    for line in lines {
        session.system.ui.say(&line);
    }
}
