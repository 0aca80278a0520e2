//! The questions of a login about its store, on a terminal: each is asked before the link to the login page is shown.

use std::fs;

use crate::support::keyring::Session;
use crate::support::pty::{DOWN, ENTER, Pty};
use crate::support::{FakeBrowser, Mode, Options, Service};
use serde_json::json;

const ADA: &str = "ada@example.com";
const SHARE: &str = "The Go CLI shares the login in config.yaml. Save the new one";
const LAST: &str = "Continue, although the last login was in a keychain?";

fn start(session: &Session, service: &Service, has_bus: bool) -> Pty {
    let domain = service.domain();
    let arguments = ["login", &domain, "--login-link", "--email", ADA];
    let home = session.path("").to_str().unwrap().to_owned();
    let mut environment = vec![("HOME", home.as_str()), ("XDG_RUNTIME_DIR", home.as_str())];
    if has_bus {
        environment.push(("DBUS_SESSION_BUS_ADDRESS", session.address()));
    }
    Pty::spawn(env!("CARGO_BIN_EXE_astro"), &arguments, environment)
}

fn write_context(session: &Session, service: &Service, fields: &str) {
    let domain = json!(service.domain());
    fs::create_dir_all(session.path(".astro")).unwrap();
    let text = format!(
        "contexts:\n    {domain}:\n        domain: {domain}\n        user_email: {ADA}\n{fields}context: {domain}\n"
    );
    fs::write(session.path(".astro/config.yaml"), text).unwrap();
}

fn config(session: &Session) -> String {
    fs::read_to_string(session.path(".astro/config.yaml")).unwrap()
}

/// Waits for a question; nothing was sent to the login page before it.
#[track_caller]
fn wait_for_question(pty: &mut Pty, question: &str) {
    pty.wait_for(question);
    assert!(!pty.transcript().contains("authorize?"), "{}", pty.screen());
}

#[track_caller]
fn finish(mut pty: Pty) -> String {
    let browser = FakeBrowser::new(Mode::LogIn(ADA.to_owned()));
    browser.visit(&pty.link());
    let shown = pty.finish_with(0);
    drop(browser);
    // Without the breaks of wrapped lines.
    shown.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
#[ignore = "needs dbus-daemon and gnome-keyring-daemon"]
fn rf_21_shared_login_is_asked_about_once() {
    for (keys, choice) in [(ENTER.to_owned(), "plain"), (format!("{DOWN}{ENTER}"), "auto")] {
        let session = Session::with_keyring();
        let service = Service::start(Options::default().organizations(1, 1));
        let token = service.access_token(&json!({}));
        write_context(&session, &service, &format!("        refreshtoken: v1.go\n        token: Bearer {token}\n"));
        let before = config(&session);

        let mut canceled = start(&session, &service, true);
        wait_for_question(&mut canceled, SHARE);
        canceled.wait_for("unencrypted");
        canceled.type_keys("\x1b");
        canceled.finish_with(130);
        assert_eq!(config(&session), before, "no answer is none");

        let mut pty = start(&session, &service, true);
        wait_for_question(&mut pty, SHARE);
        pty.wait_for("which logs the Go CLI out");
        pty.type_keys(&keys);
        let shown = finish(pty);
        assert!(shown.contains(&format!("Saved your choice as `credentials: {choice}` in config.yaml.")), "{shown}");
        let after = config(&session);
        assert!(after.contains(&format!("credentials: {choice}\n")), "{after}");
        assert_eq!(after.contains("token: Bearer eyJ"), choice == "plain", "{after}");
        assert_eq!(shown.contains("so the Go CLI is now logged out"), choice == "auto", "{shown}");

        // The Go CLI logs in again: the answer stands.
        write_context(&session, &service, &format!("        refreshtoken: v1.go\n        token: Bearer {token}\n"));
        fs::write(session.path(".astro/config.yaml"), format!("credentials: {choice}\n{}", config(&session))).unwrap();
        let shown = finish(start(&session, &service, true));
        assert!(!shown.contains(SHARE), "{shown}");
        assert_eq!(config(&session).contains("token: Bearer eyJ"), choice == "plain");
    }
}

#[test]
fn rf_21_login_last_in_keychain_is_asked_about() {
    for fields in ["", "        token: 'Bearer '\n        refreshtoken: \"\"\n"] {
        for (keys, is_yes) in [(ENTER, false), ("n\r", false), ("y\r", true)] {
            let session = Session::without_bus();
            let service = Service::start(Options::default().organizations(1, 1));
            write_context(&session, &service, fields);
            let before = config(&session);
            let mut pty = start(&session, &service, false);
            wait_for_question(&mut pty, LAST);
            pty.type_keys(keys);
            if is_yes {
                finish(pty);
                assert!(config(&session).contains("token: Bearer eyJ"));
                // The login is in config.yaml now.
                assert!(!finish(start(&session, &service, false)).contains(LAST));
            } else {
                pty.finish_with(130);
                assert_eq!(config(&session), before);
            }
        }
    }
}
