//! The built binary with a real keychain: a login is stored, read by another program, used, and removed by the logout.

use std::io::Write as _;
use std::process::{Output, Stdio};

use crate::support::keyring::Session;
use crate::support::{FakeBrowser, Mode, Options, Service};
use serde_json::{Value, json};

fn astro(session: &Session, stdin: &str, arguments: &[&str]) -> Output {
    let mut command = session.command(env!("CARGO_BIN_EXE_astro"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
#[ignore = "needs dbus-daemon, gnome-keyring-daemon and secret-tool"]
fn rf_10_first_step_is_only_in_the_keychain() {
    let session = Session::with_keyring();
    let service = Service::start(Options::default());
    let domain = service.domain();
    let kept = || session.entry("pending");
    let begin = || {
        let begun = astro(&session, "", &["login", &domain, "--begin"]);
        assert_eq!(begun.status.code(), Some(0), "{}", text(&begun.stderr));
        assert!(kept().contains("\"verifier\"") && !session.path(".astro/pending-login.json").exists());
        text(&begun.stdout).trim_end().parse().unwrap()
    };

    let browser = FakeBrowser::new(Mode::StopAtRedirect("ada@example.com".to_owned()));
    browser.visit(&begin());
    let url = browser.redirect().unwrap();
    let completed = astro(&session, url.as_str(), &["login", "--complete", "-"]);
    assert_eq!((completed.status.code(), kept().as_str()), (Some(0), ""), "{}", text(&completed.stderr));

    begin();
    let logout = astro(&session, "", &["logout", &domain]);
    assert_eq!((logout.status.code(), kept().as_str()), (Some(0), ""), "{}", text(&logout.stderr));
}

#[test]
#[ignore = "needs dbus-daemon, gnome-keyring-daemon and secret-tool"]
fn rf_10_login_is_only_in_the_keychain() {
    let session = Session::with_keyring();
    let service = Service::start(Options::default());
    let domain = service.domain();
    let token = service.access_token(&json!({}));
    let kept = || session.entry(&domain);

    let login =
        astro(&session, &token, &["login", &domain, "--token-login", "-", "--workspace", "Punched Cards", "-vvvv"]);
    assert_eq!(login.status.code(), Some(0), "{}", text(&login.stderr));
    assert!(text(&login.stderr).contains("\n  credentials   the Secret Service\n"), "{}", text(&login.stderr));
    // The token went over D-Bus, and the library that speaks it has a log of its own.
    let log = text(&login.stderr).lines().map(str::trim_start);
    let foreign =
        |line: &str| line.starts_with("TRACE ") || (line.starts_with("DEBUG ") && !line.starts_with("DEBUG request "));
    assert_eq!(log.filter(|line| foreign(line)).collect::<Vec<_>>(), [""; 0]);
    assert!(!text(&login.stderr).contains(&token[token.len() - 8..]), "{}", text(&login.stderr));
    let entry: Value = serde_json::from_str(&kept()).unwrap();
    assert_eq!((&entry["v"], &entry["access"]), (&json!(1), &json!(token)));
    let config = std::fs::read_to_string(session.path(".astro/config.yaml")).unwrap();
    assert!(config.contains("organization_product: HOSTED\n") && !config.contains("token"), "{config}");

    let printed = astro(&session, "", &["auth", "token"]);
    assert_eq!((text(&printed.stdout), printed.status.code()), (format!("{token}\n").as_str(), Some(0)));
    let status = astro(&session, "", &["auth", "status", "--json"]);
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!((&status["state"], &status["source"]), (&json!("valid"), &json!("keychain")));

    let logout = astro(&session, "", &["logout"]);
    assert_eq!(logout.status.code(), Some(0), "{}", text(&logout.stderr));
    assert_eq!(kept(), "");
    let printed = astro(&session, "", &["auth", "token", "--domain", &domain]);
    assert_eq!((text(&printed.stdout), printed.status.code()), ("", Some(4)));
}
