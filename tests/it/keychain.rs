//! The keychain of a Linux desktop: the real Secret Service, and every way to have none.
//!
//! D-Bus takes its address from the environment of the process. So each test has its own session and runs the calls in
//! child processes: this test binary with only the test `probe`.

use std::os::unix::net::UnixListener;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::keyring::Session;
use astro_login::credentials::{CredentialStore, Credentials, Keychain, Kind, StoreError, WITHOUT_PERSON, bounded};
use astro_login::domain::Domain;
use astro_login::token::{AccessToken, RefreshToken};
use ring::rand::SystemRandom;

const CALL: &str = "KEYCHAIN_PROBE_CALL";
const BOUND: &str = "KEYCHAIN_PROBE_BOUND";

#[tokio::test]
#[ignore = "needs one of the other tests, which give it its environment"]
#[expect(clippy::disallowed_methods, reason = "a process that a test started gets its orders here")]
async fn probe() {
    let Ok(call) = std::env::var(CALL) else { return };
    let bound = std::env::var(BOUND).map_or(WITHOUT_PERSON, |text| Duration::from_millis(text.parse().unwrap()));
    let keychain = Arc::new(Keychain::new(SystemRandom::new(), None));
    let result = bounded::<_, StoreError, _>(bound, move || {
        Ok(match call.as_str() {
            "load" => format!("{:?}", keychain.load(&domain())?.map(told)),
            "save" => format!("{:?}", keychain.save(&domain(), &first())?),
            "save again" => format!("{:?}", keychain.save(&domain(), &second())?),
            "delete" => format!("{:?}", keychain.delete(&domain())?),
            "domains" => format!("{:?}", keychain.domains()?),
            "ready" => format!("{:?}", keychain.ready()?),
            other => panic!("no such call: {other}"),
        })
    });
    match result.await {
        Ok(done) => println!("\nprobe: {done}"),
        Err(error) => println!("\nprobe: {error:?}"),
    }
}

/// Returns the result of a call in this session, as `Debug` text.
fn probe_in(session: &Session, call: &str) -> String {
    outcome(session.command(std::env::current_exe().unwrap()).env(CALL, call))
}

fn outcome(probe: &mut Command) -> String {
    let output = probe.args(["--exact", "keychain::probe", "--ignored", "--nocapture"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("probe: "));
    line.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr))).to_owned()
}

fn absent(reason: &'static str) -> String {
    format!("{:?}", StoreError::Absent { reason })
}

fn domain() -> Domain {
    "localhost:8123".parse().unwrap()
}

fn first() -> Credentials {
    Credentials {
        kind: Kind::User,
        access: AccessToken::new(format!("eyJ{}", "a".repeat(4000))),
        refresh: Some(RefreshToken::new("v1.first")),
        issuer: "http://localhost:8123/".to_owned(),
        client_id: "client".to_owned(),
        audience: "astronomer-ee".to_owned(),
        sub: "auth0|Zoë".to_owned(),
        email: Some("zoe@example.com".to_owned()),
        issued_at: Some("2026-11-24T10:00:00Z".parse().unwrap()),
        expires_at: Some("2026-11-25T10:00:00Z".parse().unwrap()),
        replaced: None,
    }
}

fn second() -> Credentials {
    Credentials { access: AccessToken::new("eyJb"), refresh: None, ..first() }
}

fn told(credentials: Credentials) -> &'static str {
    match credentials {
        found if found == first() => "first",
        found if found == second() => "second",
        _ => "neither",
    }
}

#[test]
#[ignore = "needs dbus-daemon, gnome-keyring-daemon and secret-tool"]
fn rf_10_login_is_one_entry_for_secret_tool() {
    let session = Session::with_keyring();
    assert_eq!(probe_in(&session, "ready"), "()");
    assert_eq!(probe_in(&session, "load"), "None");
    assert_eq!(probe_in(&session, "delete"), "false");
    assert_eq!(probe_in(&session, "domains"), "[]");

    assert_eq!(probe_in(&session, "save"), "()");
    let access = format!("eyJ{}", "a".repeat(4000));
    let expected = format!(
        r#"{{"v":1,"kind":"user","access":"{access}","refresh":"v1.first","issuer":"http://localhost:8123/","client_id":"client","audience":"astronomer-ee","sub":"auth0|Zoë","email":"zoe@example.com","issued_at":"2026-11-24T10:00:00Z","expires_at":"2026-11-25T10:00:00Z"}}"#
    );
    assert_eq!(session.entry("localhost:8123"), expected);
    assert_eq!(probe_in(&session, "load"), r#"Some("first")"#);

    assert_eq!(probe_in(&session, "save again"), "()");
    assert!(!session.entry("localhost:8123").contains("v1.first"));
    assert_eq!(probe_in(&session, "load"), r#"Some("second")"#);
    assert_eq!(probe_in(&session, "domains"), "[Domain(localhost:8123)]");

    assert_eq!(probe_in(&session, "delete"), "true");
    assert_eq!(session.entry("localhost:8123"), "");
    assert_eq!(probe_in(&session, "load"), "None");
}

#[test]
fn no_bus_address_is_absent() {
    let session = Session::without_bus();
    for call in ["load", "save", "delete", "domains", "ready"] {
        assert_eq!(probe_in(&session, call), absent("no session bus"), "{call}");
    }
}

#[test]
fn dead_socket_is_absent() {
    let session = Session::at_socket("dead");
    drop(UnixListener::bind(session.path("dead")).unwrap());
    assert!(session.path("dead").exists());
    for call in ["load", "domains", "ready"] {
        assert_eq!(probe_in(&session, call), absent("no session bus"), "{call}");
    }
}

#[test]
fn silent_bus_times_out() {
    let session = Session::at_socket("silent");
    let _silent = UnixListener::bind(session.path("silent")).unwrap();
    for call in ["load", "domains", "ready"] {
        let mut probe = session.command(std::env::current_exe().unwrap());
        assert_eq!(outcome(probe.env(CALL, call).env(BOUND, "100")), "TimedOut(100ms)", "{call}");
    }
}

#[test]
#[ignore = "needs dbus-daemon and gnome-keyring-daemon"]
fn no_default_collection_is_absent_before_write() {
    let mut session = Session::with_bus();
    session.start_keyring(false);
    assert_eq!(probe_in(&session, "load"), "None");
    for call in ["ready", "save"] {
        assert_eq!(probe_in(&session, call), absent("no default collection"), "{call}");
    }
}

#[test]
#[ignore = "needs dbus-daemon and gnome-keyring-daemon"]
fn locked_collection_without_prompter_is_locked() {
    let session = locked();
    for call in ["load", "save", "delete", "domains", "ready"] {
        let start = Instant::now();
        assert_eq!(probe_in(&session, call), "Locked", "{call}");
        assert!(start.elapsed() < WITHOUT_PERSON, "{call}");
    }
}

/// A session whose keyring holds a login and is locked.
fn locked() -> Session {
    let mut session = Session::with_keyring();
    assert_eq!(probe_in(&session, "save"), "()");
    session.stop_keyring();
    session.start_keyring(false);
    session
}
