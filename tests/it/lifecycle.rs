//! A config.yaml of the Go CLI through a whole login: after each step only our lines differ.

use crate::support::diff::diff;
use crate::support::{Options, Stage, token};
use astro_login::commands::login::Login;
use astro_login::commands::logout::{Logout, logout};
use astro_login::commands::organization::organization;
use astro_login::commands::selection::{SelectionCommand, Switch};
use astro_login::commands::workspace::workspace;
use astro_login::config::Config;
use astro_login::credentials::Credentials;
use astro_login::domain::Domain;
use astro_login::error::Error;
use astro_login::system::System;
use jiff::Timestamp;
use serde_json::json;

const GO: &str = include_str!("../fixtures/lifecycle.yaml");

const ENGINES: &str = "clorg00000000000000000001";
const COMPILERS: &str = "clorg00000000000000000002";

/// The file as it was after the last step, and what the next one does to it.
struct File<'a> {
    stage: &'a Stage,
    last: String,
}

impl File<'_> {
    /// The lines that differ, with our secrets and times named and the server's port masked.
    fn step(&mut self) -> Vec<String> {
        let now = self.stage.home.config().unwrap();
        let lines = diff(&self.last, &now).into_iter().map(|line| self.masked(&line)).collect();
        self.last = now;
        lines
    }

    fn masked(&self, line: &str) -> String {
        let line = line.replace(&self.stage.service.domain(), "DOMAIN");
        for (key, kind) in [("token: Bearer ", "JWT"), ("expiresin: ", "TIME"), ("refreshtoken: ", "REFRESH")] {
            if let Some((indent, _)) = line.split_once(key) {
                return format!("{indent}{key}{kind}");
            }
        }
        line
    }
}

async fn run(stage: &Stage, command: impl AsyncFnOnce(&System) -> Result<(), Error>) {
    let outcome = stage.run(command).await;
    assert_eq!(outcome.exit_code(), 0, "{}\n{:?}", outcome.stderr, outcome.result);
}

async fn switch_organization(stage: &Stage, wanted: &str) {
    run(stage, async |system| {
        organization(
            system,
            SelectionCommand::Switch(Switch {
                wanted: Some(wanted.to_owned()),
                workspace: None,
                json: false.into(),
                domain: None,
            }),
        )
        .await
    })
    .await;
}

async fn switch_workspace(stage: &Stage, wanted: &str) {
    run(stage, async |system| {
        workspace(
            system,
            SelectionCommand::Switch(Switch {
                wanted: Some(wanted.to_owned()),
                workspace: None,
                json: false.into(),
                domain: None,
            }),
        )
        .await
    })
    .await;
}

fn stage() -> Stage {
    let stage = Stage::with(Options::default(), crate::support::Mode::LogIn("ada@example.com".to_owned()));
    let domain = stage.service.domain();
    stage.home.write_config(&GO.replace("DOMAIN_KEY", &format!("\"{domain}\"")).replace("DOMAIN", &domain));
    stage
}

/// Checks the changes of a login; `plaintext` are those for the credentials.
async fn log_in(file: &mut File<'_>, login: &Login, plaintext: &[&str]) {
    assert_eq!(file.stage.login(login).await.exit_code(), 0);
    let settings = [
        "-context: gcp0001.example.com",
        "+context: DOMAIN",
        "-        last_used_workspace: \"\"",
        "-        organization: \"\"",
        "-        organization_product: HYBRID",
        "-        user_email: \"\"",
        "-        workspace: \"\"",
        "+        last_used_workspace: clws000010000000000000002",
        "+        organization: clorg00000000000000000001",
        "+        organization_product: HOSTED",
        "+        user_email: ada@example.com",
        "+        auth_domain: http://DOMAIN/",
        "+        auth_client_id: astro-cli-client",
        "+        workspace: clws000010000000000000002",
    ];
    let expected = [&settings, plaintext].concat().into_iter().map(str::to_owned).collect();
    assert_eq!(sorted(file.step()), sorted(expected));
}

/// Checks the changes of a switch to the other organization and back to the second workspace.
async fn switches(stage: &Stage, file: &mut File<'_>) {
    switch_organization(stage, "Compilers").await;
    assert_eq!(
        file.step(),
        [
            "-        last_used_workspace: clws000010000000000000002".to_owned(),
            format!("-        organization: {ENGINES}"),
            "+        last_used_workspace: clws000020000000000000001".to_owned(),
            format!("+        organization: {COMPILERS}"),
            "-        workspace: clws000010000000000000002".to_owned(),
            "+        workspace: clws000020000000000000001".to_owned(),
        ]
    );
    switch_organization(stage, ENGINES).await;
    assert_eq!(
        file.step(),
        [
            format!("-        organization: {COMPILERS}"),
            format!("+        organization: {ENGINES}"),
            "-        workspace: clws000020000000000000001".to_owned(),
        ]
    );
    switch_workspace(stage, "Difference Engine").await;
    let moved = file.step();
    let mut sorted = moved.clone();
    sorted.sort();
    assert_eq!(
        sorted,
        [
            "+        last_used_workspace: clws000010000000000000001",
            "+        workspace: clws000010000000000000001",
            "-        last_used_workspace: clws000020000000000000001",
        ],
        "{moved:?}"
    );
}

/// The lines that a logout removes besides the plaintext credentials.
const LOGGED_OUT: [&str; 2] = ["-        user_email: ada@example.com", "-context: DOMAIN"];

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

async fn log_out(stage: &Stage, file: &mut File<'_>, plaintext: &[&str]) {
    run(stage, async |system| logout(system, &Logout { domain: None.into(), all: false, json: false.into() }).await)
        .await;
    let mut expected: Vec<String> = LOGGED_OUT.iter().chain(plaintext).map(|&line| line.to_owned()).collect();
    expected.push("+context: \"\"".to_owned());
    assert_eq!(sorted(file.step()), sorted(expected));
    assert_eq!((stage.stored(), stage.service.live_refresh_tokens()), (None, vec![]));
    // The login is removed, the current context is unset, the selection stays, and every other line is unchanged.
    let domain = stage.service.domain();
    let workspace = "clws000010000000000000001";
    let ours = [
        ("last_used_workspace: \"\"", Some(format!("last_used_workspace: {workspace}"))),
        ("organization: \"\"", Some("organization: clorg00000000000000000001".to_owned())),
        ("organization_product: HYBRID", Some("organization_product: HOSTED".to_owned())),
        ("token: \"\"", None),
        ("user_email: \"\"", None),
        (
            "workspace: \"\"",
            Some(format!(
                "auth_domain: http://{domain}/\n        auth_client_id: astro-cli-client\n        workspace: {workspace}"
            )),
        ),
    ];
    let mut expected = GO.replace("DOMAIN_KEY", &format!("\"{domain}\"")).replace("DOMAIN", &domain);
    for (before, after) in ours {
        let after = after.map_or_else(String::new, |after| format!("        {after}\n"));
        expected = expected.replacen(&format!("        {before}\n"), &after, 1);
    }
    assert_eq!(file.last, expected.replace("context: gcp0001.example.com", "context: \"\""));
}

#[tokio::test]
async fn lifecycle_in_keychain() {
    let stage = stage();
    let mut file = File { stage: &stage, last: stage.home.config().unwrap() };
    let login = Login { workspace: Some("Punched Cards".to_owned()), ..stage.request() };
    log_in(&mut file, &login, &[]).await;
    switches(&stage, &mut file).await;

    let old = stage.stored().unwrap();
    let soon = Timestamp::from_second(1).unwrap();
    stage.keychain.put(&stage.service.domain(), Credentials { expires_at: Some(soon), ..old.clone() });
    run(&stage, async |system| token(system, None).await).await;
    assert_ne!(stage.stored().unwrap().access, old.access);
    assert_eq!(file.step(), Vec::<String>::new(), "a refresh in the keychain leaves the file alone");

    log_out(&stage, &mut file, &["-        token: \"\""]).await;
}

#[tokio::test]
async fn lifecycle_in_config() {
    let stage = stage();
    let mut file = File { stage: &stage, last: stage.home.config().unwrap() };
    let login = Login { workspace: Some("Punched Cards".to_owned()), insecure_storage: true, ..stage.request() };
    log_in(
        &mut file,
        &login,
        &[
            "-        token: \"\"",
            "+        expiresin: TIME",
            "+        refreshtoken: REFRESH",
            "+        token: Bearer JWT",
        ],
    )
    .await;
    switches(&stage, &mut file).await;

    let domain: Domain = stage.service.domain().parse().unwrap();
    let config = Config::new(stage.home.path());
    let context = config.read().unwrap().context(&domain).unwrap();
    let (old, spent) = (context.token.unwrap(), context.refresh_token.unwrap());
    let worn = stage.service.access_token(&json!({"exp": context.expires_at.unwrap().as_second() - 86_400 + 60}));
    stage.home.write_config(&file.last.replace(old.expose(), &worn));
    assert_eq!(file.step(), ["-        token: Bearer JWT", "+        token: Bearer JWT"]);
    run(&stage, async |system| token(system, None).await).await;
    let mut refreshed = file.step();
    // A second that has not passed leaves the expiry as it is.
    refreshed.retain(|line| !line.contains("expiresin"));
    assert_eq!(
        sorted(refreshed),
        [
            "+        refreshtoken: REFRESH",
            "+        token: Bearer JWT",
            "-        refreshtoken: REFRESH",
            "-        token: Bearer JWT",
        ]
    );
    assert!(!file.last.contains(spent.expose()) && !file.last.contains(worn.as_str()));

    let plaintext = ["-        expiresin: TIME", "-        refreshtoken: REFRESH", "-        token: Bearer JWT"];
    log_out(&stage, &mut file, &plaintext).await;
}
