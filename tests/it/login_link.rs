//! `astro login --login-link`, and `astro login` where no browser can be opened: the person opens the link elsewhere.

use std::time::Duration;

use astro_login::commands::login::{Login, Mode as LoginMode};
use astro_login::environment::Environment;

use crate::support::{Mode, Options, Stage, callback_port};

const SSH: (&str, &str) = ("SSH_CONNECTION", "203.0.113.9 50022 198.51.100.7 2222");

/// Environment variables.
type Variables<'a> = &'a [(&'a str, &'a str)];

/// A machine with nothing but these variables.
fn stage(environment: Variables<'_>) -> Stage {
    let mut stage = Stage::new().at_noon();
    stage.environment = Environment::from_pairs(environment);
    stage
}

/// `astro login localhost:PORT --login-link`
fn link_request(stage: &Stage) -> Login {
    Login { mode: LoginMode::Link, ..stage.request() }
}

#[tokio::test]
async fn stdout_is_the_link_and_nothing_else() {
    let stage = stage(&[("DISPLAY", ":0")]);
    let outcome = stage.login_by_link(&link_request(&stage)).await;
    assert_eq!(outcome.exit_code(), 0, "{}", outcome.stderr);
    let opened: Vec<String> = stage.browser.opened().iter().map(ToString::to_string).collect();
    assert_eq!(outcome.stdout, format!("{}\n", opened[0]));
    assert_eq!(
        stage.plain(&outcome.stderr),
        "\
Preparing to log in to localhost:PORT…
Open this URL in a browser on any device:


Waiting for browser login… (Ctrl-C to cancel)
Verifying the login…
warning: no workspace selected (2 available: Difference Engine, Punched Cards); use `--workspace`
Logged in to localhost:PORT as Ada Lovelace <ada@example.com>
  organization  Analytical Engines
  credentials   the test's keychain
  expires       2026-11-25 12:00 UTC (in 1 day), renews automatically
"
    );
    assert_eq!(stage.stored().unwrap().email.as_deref(), Some("ada@example.com"));
}

#[tokio::test]
async fn a_link_is_never_opened_here() {
    // Whoever opened it here would sign in, for this person does so wherever the link is opened.
    let stage = stage(&[("DISPLAY", ":0"), ("BROWSER", "firefox")]);
    let request = Login { timeout: Duration::from_millis(300), ..link_request(&stage) };
    let outcome = stage.login(&request).await;
    assert_eq!(outcome.exit_code(), 1);
    assert_eq!((stage.browser.opened(), stage.service.requests_to("/authorize")), (vec![], vec![]));
}

#[tokio::test]
async fn over_ssh_the_command_that_forwards_the_port_is_printed() {
    let table: [(Variables, Option<&str>); 6] = [
        (&[SSH, ("USER", "ada")], Some("ssh -p 2222 -L CALLBACK:localhost:CALLBACK ada@198.51.100.7")),
        (
            &[("SSH_CONNECTION", "203.0.113.9 50022 198.51.100.7 22"), ("LOGNAME", "ada")],
            Some("ssh -L CALLBACK:localhost:CALLBACK ada@198.51.100.7"),
        ),
        (
            &[("SSH_CONNECTION", "2001:db8::9 50022 2001:db8::7 22"), ("USER", "ada")],
            Some("ssh -L CALLBACK:localhost:CALLBACK ada@2001:db8::7"),
        ),
        (&[("SSH_CONNECTION", "203.0.113.9 50022 $(reboot) 22"), ("USER", "ada")], None),
        (&[SSH, ("USER", "ada; reboot")], None),
        (&[SSH], None),
    ];
    for (environment, command) in table {
        let stage = stage(environment);
        let outcome = stage.login_by_link(&link_request(&stage)).await;
        assert_eq!(outcome.exit_code(), 0, "{}", outcome.stderr);
        let port = callback_port(&outcome.stdout).unwrap().to_string();
        let said = outcome.stderr.replace(&port, "CALLBACK");
        let advice = command.map(|it| {
            format!("If the browser is on another machine, forward the port first, from that machine:\n\n  {it}\n")
        });
        match advice {
            Some(advice) => assert!(said.contains(&advice), "{said}"),
            None => assert!(!said.contains("ssh "), "{said}"),
        }
    }
}

#[tokio::test]
async fn lb_10_lb_17_the_link_is_waited_for_as_a_browser_is() {
    for mode in [Mode::TamperState("ada@example.com".to_owned()), Mode::DeliverTwice("ada@example.com".to_owned())] {
        let stage = Stage::with(Options::default(), mode);
        let outcome = stage.login_by_link(&link_request(&stage)).await;
        assert_eq!(outcome.exit_code(), 0, "{}", outcome.stderr);
        assert_eq!(stage.service.token_requests().len(), 1);
    }
}

#[tokio::test]
async fn who_cancels_elsewhere_is_not_signed_in() {
    let stage = Stage::with(Options::default(), Mode::Cancel);
    let outcome = stage.login_by_link(&link_request(&stage)).await;
    assert_eq!(
        (outcome.exit_code(), stage.plain(&outcome.complaint()).as_str()),
        (
            4,
            "could not log in to localhost:PORT\n\
             the issuer refused with `access_denied`: User cancelled the login"
        )
    );
    assert_eq!((stage.stored(), stage.home.config()), (None, None));
}

/// `astro login` where there is neither a terminal nor a browser.
async fn assert_nobody_there(environment: Variables<'_>, reason: &str) {
    let stage = stage(environment);
    let outcome = stage.login(&stage.request()).await;
    let complaint = format!("could not log in to localhost:PORT\ncannot log in interactively: no terminal ({reason})");
    assert_eq!((outcome.exit_code(), stage.plain(&outcome.complaint())), (2, complaint));
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", ""));
    assert_eq!(
        outcome.result.unwrap_err().hint().unwrap(),
        "use `--login-link` for a URL to open on any device, or `--token-login -` with a token on standard input"
    );
    assert_eq!((stage.traffic(), stage.stored(), stage.home.config()), (vec![], None, None));
}

#[tokio::test]
async fn without_terminal_and_browser_both_flags_are_named_at_once() {
    assert_nobody_there(&[("DISPLAY", ":0"), SSH], "this is an SSH session").await;
    if !cfg!(any(windows, target_os = "macos")) {
        assert_nobody_there(&[], "there is no display here").await;
    }
}

#[tokio::test]
async fn a_browser_of_ones_own_is_opened_even_over_ssh() {
    let stage = stage(&[SSH, ("BROWSER", "firefox")]);
    let outcome = stage.login(&stage.request()).await;
    assert_eq!(outcome.exit_code(), 0, "{}", outcome.stderr);
    assert_eq!(stage.browser.opened().len(), 1);
}
