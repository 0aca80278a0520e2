//! `astro login --login-link`, and `astro login` without a browser: the link is opened on another machine.

use std::time::Duration;

use astro_login::commands::login::Login;
use astro_login::environment::Environment;

use crate::support::{Stage, callback_port};

const SSH: (&str, &str) = ("SSH_CONNECTION", "203.0.113.9 50022 198.51.100.7 2222");

type Variables<'a> = &'a [(&'a str, &'a str)];

fn stage(environment: Variables<'_>) -> Stage {
    let mut stage = Stage::new().at_noon();
    stage.environment = Environment::from_pairs(environment);
    stage
}

fn link_request(stage: &Stage) -> Login {
    Login { login_link: true, ..stage.request() }
}

#[tokio::test]
async fn stdout_is_only_the_link() {
    let stage = stage(&[("DISPLAY", ":0")]);
    let outcome = stage.login_by_link(&link_request(&stage)).await.success();
    let opened: Vec<String> = stage.browser.opened().iter().map(ToString::to_string).collect();
    assert_eq!(outcome.stdout, format!("{}\n", opened[0]));
    assert_eq!(
        stage.normalize(&outcome.stderr),
        "\
Preparing to log in to localhost:PORT…
Open this URL in a browser on any device:


Waiting for browser login… (Ctrl-C to cancel)
Verifying the login…
Authenticated as ada@example.com
warning: no workspace selected (2 available: Difference Engine, Punched Cards)
hint: run `astro workspace switch NAME`, or log in with `--workspace NAME`
Logged in to localhost:PORT as Ada Lovelace <ada@example.com>
  organization  Analytical Engines
  credentials   the test's keychain
  expires       2026-11-25 12:00 UTC (in 1 day), renews automatically
"
    );
    assert_eq!(stage.stored().unwrap().email.as_deref(), Some("ada@example.com"));
}

#[tokio::test]
async fn link_is_not_opened() {
    // This person logs in wherever the link is opened, so an opened link would be noticed.
    let stage = stage(&[("DISPLAY", ":0"), ("BROWSER", "firefox")]);
    let request = Login { timeout: Some(Duration::from_millis(300)), ..link_request(&stage) };
    let outcome = stage.login(&request).await;
    assert_eq!(outcome.exit_code(), 1);
    assert_eq!((stage.browser.opened(), stage.service.requests_to("/authorize")), (vec![], vec![]));
}

#[tokio::test]
async fn link_over_ssh_shows_port_forwarding() {
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
        let outcome = stage.login_by_link(&link_request(&stage)).await.success();
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
async fn browser_variable_is_used_over_ssh() {
    let stage = stage(&[SSH, ("BROWSER", "firefox")]);
    drop(stage.login(&stage.request()).await.success());
    assert_eq!(stage.browser.opened().len(), 1);
}
