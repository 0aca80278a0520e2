//! The checks of the programs named `astro` on PATH.

use std::thread::{self, JoinHandle};

use super::{Check, Outcome};
use crate::blocking::run_blocking;
use crate::credentials::vault::VaultError;
use crate::credentials::{Credentials, StoreError};
use crate::next_astro::{self, Program, Skipped};
use crate::session::{self, Location, Session};
use crate::system::System;

/// Returns every `astro` on PATH with its version. All are asked at the same time.
pub(super) async fn ask(system: &System) -> Vec<(Program, Option<String>)> {
    let programs = next_astro::on_path(&system.environment);
    let ask = move || {
        let start = |program: Program| {
            let path = program.path.clone();
            let version = || thread::Builder::new().spawn(move || next_astro::version(&path)).ok();
            let version = program.skipped.is_none().then(version).flatten();
            (program, version)
        };
        // Collected first, so that all have started before the first is waited for.
        let started: Vec<_> = programs.into_iter().map(start).collect();
        let finish = |version: JoinHandle<Option<String>>| version.join().ok().flatten();
        started.into_iter().map(|(program, version)| (program, version.and_then(finish))).collect()
    };
    run_blocking(ask).await.unwrap_or_default()
}

pub(super) fn checks(
    session: &Session<'_>,
    keychain: &Result<Option<Credentials>, StoreError>,
    in_vault: &Result<Option<Credentials>, VaultError>,
    programs: Vec<(Program, Option<String>)>,
) -> Vec<Check> {
    let next = next_astro::next(&session.system.environment).ok().flatten();
    let location = location(session, keychain, in_vault);
    let check = |(program, version): (Program, Option<String>)| {
        let path = program.path.display();
        let next = if next.as_ref() == Some(&program.path) { ", runs other commands" } else { "" };
        match (&program.skipped, version) {
            (Some(Skipped::Ourselves), _) => Check::ok("astro", &format!("{path}: this program")),
            (Some(reason), _) => Check::note("astro", &format!("{path}: skipped, because {reason}")),
            (None, None) => Check::note(
                "astro",
                &format!("{path}: unknown, because it did not say its version within a second{next}"),
            ),
            (None, Some(version)) => {
                let sees = location.and_then(|location| sees_login(&version, location));
                let login = match sees {
                    Some(true) => ", sees this login",
                    Some(false) => ", cannot see this login",
                    None => "",
                };
                let check = Check::ok("astro", &format!("{path}: version {version}{next}{login}"));
                if sees != Some(false) {
                    return check;
                }
                let advice = "run `astro login --insecure-storage` to share the login with it";
                Check { outcome: Outcome::Note, ..check }.advice(advice)
            }
        }
    };
    programs.into_iter().map(check).collect()
}

/// Returns the location of the login in use, or `None` if there is none or a token of the environment overrides it.
fn location(
    session: &Session<'_>,
    keychain: &Result<Option<Credentials>, StoreError>,
    in_vault: &Result<Option<Credentials>, VaultError>,
) -> Option<Location> {
    if session.is_overridden() {
        return None;
    }
    let context = session.context().ok()?;
    let (in_vault, in_keychain) = (in_vault.as_ref().ok().cloned(), keychain.as_ref().ok().cloned());
    session::login_in_use(&context, in_vault.flatten(), in_keychain.flatten()).map(|(location, _)| location)
}

/// Returns `None` for a version of which this is not known. Version 0 is another copy of this program.
fn sees_login(version: &str, location: Location) -> Option<bool> {
    match (location, version.split('.').next()?) {
        (Location::Config, _) | (_, "0") | (Location::Vault, "2") => Some(true),
        (_, "1") | (Location::Keychain, "2") => Some(false),
        (Location::Keychain | Location::Vault, _) => None,
    }
}
