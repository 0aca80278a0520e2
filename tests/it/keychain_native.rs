//! The keychain of this system: a login that fits one entry everywhere, and one that takes several on Windows.
//!
//! The test writes to the user's keychain, under a domain of its own, and removes the entry. So it is ignored by
//! default; the workflow runs it on Windows and macOS, `.ci/run` in a session of its own.

use std::net::{Ipv4Addr, TcpListener};

use astro_login::credentials::vault::Keyring;
use astro_login::credentials::{CredentialStore, Credentials, Keychain, Kind};
use astro_login::domain::Domain;
use astro_login::token::{AccessToken, RefreshToken};
use ring::rand::SystemRandom;

/// Removes what is left when a check has failed.
struct Cleared<'a>(&'a Keychain, &'a Domain);

impl Drop for Cleared<'_> {
    fn drop(&mut self) {
        drop(self.0.delete(self.1));
    }
}

fn credentials(length: usize) -> Credentials {
    Credentials {
        kind: Kind::User,
        access: AccessToken::new("a".repeat(length)),
        refresh: Some(RefreshToken::new("v1.refresh")),
        issuer: "https://auth.astronomer.io/".to_owned(),
        client_id: "client".to_owned(),
        audience: "astronomer-ee".to_owned(),
        sub: "auth0|Zoë".to_owned(),
        email: None,
        issued_at: None,
        expires_at: Some("2026-11-25T10:00:00Z".parse().unwrap()),
        replaced: None,
    }
}

#[test]
#[ignore = "writes into the keychain of whoever runs it"]
fn rf_10_login_of_any_length_is_stored_and_deleted() {
    // The port is this process's for as long as the test runs, so the domain is too.
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let domain: Domain = format!("localhost:{}", port.local_addr().unwrap().port()).parse().unwrap();
    let keychain = Keychain::new(SystemRandom::new(), None);
    keychain.ready().expect("there is a keychain, and it is open");
    let _cleared = Cleared(&keychain, &domain);
    let work = Keychain::new(SystemRandom::new(), Some("0a1b2c3d".to_owned()));
    let found = |keychain: &Keychain| keychain.domains().unwrap().iter().filter(|it| **it == domain).count();
    assert_eq!((keychain.load(&domain), found(&keychain)), (Ok(None), 0));
    for length in [100, 6000, 8000, 100] {
        keychain.save(&domain, &credentials(length)).unwrap();
        assert_eq!(keychain.load(&domain), Ok(Some(credentials(length))), "{length}");
        // Another home of the same user neither finds nor removes it.
        assert_eq!((found(&keychain), found(&work), work.load(&domain)), (1, 0, Ok(None)));
        assert_eq!(work.delete(&domain), Ok(false));
    }
    keychain.save(&domain, &credentials(6000)).unwrap();
    assert_eq!(keychain.delete(&domain), Ok(true));
    assert_eq!((keychain.load(&domain), keychain.delete(&domain)), (Ok(None), Ok(false)));
}

/// The key that `tests/go-keyring` stored and printed, with the package that Astro CLI 2 uses.
#[test]
#[ignore = "needs the key of a vault in the keychain, and in VAULT_KEY"]
#[expect(clippy::disallowed_methods, reason = "the key is new in each run")]
fn rf_19_key_of_vault_is_read() {
    let key = std::env::var("VAULT_KEY").unwrap();
    assert_eq!(Keyring::stored_key().unwrap().unwrap().as_slice(), key.as_bytes());
}

/// keyring hands on the errors of the system's own library, and they are told apart by downcasting to the version that we
/// depend on. With a second version beside it that would silently stop to match. For Linux `tests/keychain.rs` shows the match
/// itself, on the errors that really come.
#[test]
fn keychain_libraries_have_one_version() {
    let lock = include_str!("../../Cargo.lock");
    for library in ["keyring-core", "secret-service", "zbus", "security-framework"] {
        let versions = lock.lines().filter(|line| *line == format!("name = \"{library}\"")).count();
        assert_eq!(versions, 1, "{library}");
    }
}
