//! `astro logout`: removal, messages and exit code for every state of issuer and stores.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{CLIENT_ID, Fault, Mode, Options, Outcome, Stage};
use astro_login::commands::login::Login;
use astro_login::commands::logout::{Logout, logout};
use astro_login::credentials::StoreError;
use jiff::Timestamp;

/// 2026-11-24T10:00:00Z
const NOW: i64 = 1_795_514_400;

const FOREIGN: &str = "\
context: houston.example.com
contexts:
    houston_example_com:
        domain: houston.example.com   # not ours
        token: Bearer their-token
        workspace: w9
page_size: \"20\"
";

/// The selection that a logout leaves in the context.
const KEPT: &str = "        organization: clorg00000000000000000001\n        organization_product: HOSTED\n";

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

fn two_days_later() -> Timestamp {
    Timestamp::from_second(NOW + 2 * 86_400).unwrap()
}

async fn logged_in(insecure_storage: bool) -> Stage {
    let options = Options { now: Some(NOW), ..Options::default() };
    let mut stage = Stage::with(options, Mode::LogIn("ada@example.com".to_owned()));
    stage.clock = now;
    stage.home.write_config(FOREIGN);
    drop(stage.login(&Login { insecure_storage, ..stage.request() }).await.success());
    drop(stage.browser.answers());
    stage
}

async fn log_out(stage: &Stage) -> Outcome {
    let request = Logout { domain: Some(stage.service.domain()).into(), all: false, json: false.into() };
    stage.run(async |system| logout(system, &request).await).await
}

fn normalize(stage: &Stage, text: &str) -> String {
    let home = stage.home.path().display().to_string();
    text.replace(&stage.service.domain(), "localhost:PORT").replace(&home, "HOME").replace('\\', "/")
}

/// Returns config.yaml as expected after a logout: as before the login, with the context added.
fn cleared(stage: &Stage) -> String {
    let domain = stage.service.domain();
    let entry = format!(
        "workspace: w9\n    \"{domain}\":\n        domain: \"{domain}\"\n        \
         auth_domain: http://{domain}/\n        auth_client_id: astro-cli-client\n{KEPT}"
    );
    FOREIGN.replace("workspace: w9\n", &entry).replace("context: houston.example.com\n", "context: \"\"\n")
}

fn same_settings(stage: &Stage) {
    let config = stage.home.config().unwrap();
    for theirs in
        [FOREIGN.split_once("contexts:\n").unwrap().1.split_once("page_size").unwrap().0, "page_size: \"20\"\n"]
    {
        assert!(config.contains(theirs), "{config}");
    }
    let read = |text: &str| text.replace(['"', '\''], "").replace(": \n", ":\n");
    assert_eq!(read(&config), read(&cleared(stage)));
}

#[tokio::test]
async fn rf_12_rf_13_logout_revokes_removes_and_reports() {
    let stage = logged_in(false).await;
    let refresh = stage.stored().unwrap().refresh.unwrap();
    let outcome = log_out(&stage).await.success();
    let lines: Vec<String> = normalize(&stage, &outcome.stderr).lines().map(str::to_owned).collect();
    let expected = [
        "Removed credentials from the test's keychain",
        "Removed the account from HOME/.astro/config.yaml",
        "Revoked the refresh token",
        "Access tokens already copied elsewhere stay valid until 2026-11-25 10:00 UTC (in 1 day)",
        "Logged out of localhost:PORT",
    ];
    assert_eq!(lines, expected);
    assert_eq!(outcome.stdout, "");
    let requests = stage.service.requests_to("/oauth/revoke");
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].form("token").as_deref(), Some(refresh.expose()));
    assert_eq!(requests[0].form("client_id").as_deref(), Some(CLIENT_ID));
    assert_eq!(stage.service.live_refresh_tokens(), Vec::<String>::new());
    assert_eq!(stage.stored(), None);
    same_settings(&stage);
}

#[tokio::test]
async fn plaintext_logout_revokes_and_clears() {
    let stage = logged_in(true).await;
    let outcome = log_out(&stage).await.success();
    assert!(normalize(&stage, &outcome.stderr).contains("Removed credentials from HOME/.astro/config.yaml\n"));
    assert_eq!(stage.service.live_refresh_tokens(), Vec::<String>::new());
    same_settings(&stage);
}

#[tokio::test]
async fn logout_clears_both_stores() {
    let stage = logged_in(false).await;
    let kept = stage.stored().unwrap();
    drop(stage.login(&Login { insecure_storage: true, ..stage.request() }).await.success());
    stage.keychain.put(&stage.service.domain(), kept);
    drop(log_out(&stage).await.success());
    assert_eq!(stage.stored(), None);
    same_settings(&stage);
}

#[tokio::test]
async fn repeated_logout_succeeds() {
    let stage = logged_in(false).await;
    assert_eq!(log_out(&stage).await.exit_code(), 0);
    let (before, requests) = (stage.home.config(), stage.service.requests().len());
    let outcome = log_out(&stage).await.success();
    assert_eq!(normalize(&stage, &outcome.stderr), "Not logged in to localhost:PORT\n");
    assert_eq!((stage.home.config(), stage.service.requests().len()), (before, requests));
}

#[tokio::test]
async fn logout_of_expired_login_omits_expiry() {
    let mut stage = logged_in(false).await;
    stage.clock = two_days_later;
    let outcome = log_out(&stage).await.success();
    assert!(!outcome.stderr.contains("Access tokens"), "{}", outcome.stderr);
    assert_eq!(stage.service.live_refresh_tokens(), Vec::<String>::new());
}

#[tokio::test]
async fn rf_12_silent_issuer_does_not_delay_removal() {
    let stage = logged_in(false).await;
    stage.service.fail("/oauth/revoke", Fault::Stall);
    let started = Instant::now();
    let look = async {
        let look = || stage.service.requests_to("/oauth/revoke").len() == 1 && stage.stored().is_none();
        while !look() && started.elapsed() < Duration::from_secs(4) {
            tokio::task::yield_now().await;
        }
        look()
    };
    let (outcome, gone_meanwhile) = tokio::join!(log_out(&stage), look);
    assert!(gone_meanwhile);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert_eq!(outcome.exit_code(), 1);
    assert!(outcome.stderr.contains("no response within 5 seconds"), "{}", outcome.stderr);
    same_settings(&stage);
}

#[tokio::test]
async fn logout_works_offline() {
    let mut stage = logged_in(true).await;
    let domain = stage.service.domain();
    // The service of the login is stopped; another one runs on another port.
    stage.service = Stage::new().service;
    let request = Logout { domain: Some(domain).into(), all: false, json: false.into() };
    let outcome = stage.run(async |system| logout(system, &request).await).await;
    assert_eq!(outcome.exit_code(), 1);
    assert!(outcome.stderr.contains("could not connect: "), "{}", outcome.stderr);
    let config = stage.home.config().unwrap();
    assert!(!config.contains("eyJ") && !config.contains("refreshtoken"), "{config}");
}

#[tokio::test]
async fn unreadable_keychain_still_clears_config() {
    for error in [StoreError::Locked, StoreError::Refused, StoreError::TimedOut(Duration::from_secs(3))] {
        let stage = logged_in(true).await;
        stage.keychain.fail(error.clone());
        let outcome = log_out(&stage).await;
        assert_eq!(outcome.exit_code(), 1);
        let warning = format!("warning: credentials may remain in the test's keychain: {error}\n");
        assert!(outcome.stderr.contains(&warning), "{}", outcome.stderr);
        assert_eq!(stage.service.live_refresh_tokens(), Vec::<String>::new(), "the file's is revoked");
        same_settings(&stage);
    }
}

#[tokio::test]
async fn damaged_entry_removed_unrevoked_with_warning() {
    let stage = logged_in(false).await;
    stage.keychain.damage(&stage.service.domain());
    let outcome = log_out(&stage).await;
    assert_eq!(outcome.exit_code(), 1);
    let told = "Removed credentials from the test's keychain\nwarning: could not read the credentials before (the \
                stored credentials are damaged), so a refresh token in them was not revoked\n";
    assert!(outcome.stderr.contains(told), "{}", outcome.stderr);
    assert_eq!(stage.stored(), None);
    same_settings(&stage);
    assert_eq!(log_out(&stage).await.exit_code(), 0);
}

#[tokio::test]
async fn logout_without_keychain_says_so() {
    let stage = logged_in(true).await;
    stage.keychain.fail(StoreError::Absent { reason: "no session bus" });
    let unseen = "no keychain available (no session bus); logins saved by a desktop session were not removed\n";
    let outcome = log_out(&stage).await.success();
    assert!(outcome.stderr.contains(unseen) && !outcome.stderr.contains("warning: "), "{}", outcome.stderr);
    same_settings(&stage);

    let outcome = log_out(&stage).await.success();
    let told = format!(
        "warning: {unseen}hint: run `astro logout localhost:PORT` in that session, too\nNot logged in to localhost:PORT\n"
    );
    assert_eq!(normalize(&stage, &outcome.stderr), told);
}

#[tokio::test]
async fn undeletable_entry_fails_logout() {
    let stage = logged_in(false).await;
    stage.keychain.fail_saving(StoreError::Locked);
    let outcome = log_out(&stage).await;
    assert_eq!(outcome.exit_code(), 1);
    let warning = "warning: credentials may remain in the test's keychain: the keychain is locked\n";
    assert!(outcome.stderr.contains(warning), "{}", outcome.stderr);
    assert_eq!(stage.service.live_refresh_tokens(), Vec::<String>::new());
    same_settings(&stage);
}

#[tokio::test]
async fn invalid_config_untouched_keychain_cleared() {
    for all in [false, true] {
        let stage = logged_in(false).await;
        stage.keychain.put("astronomer.io", {
            let mut credentials = stage.stored().unwrap();
            credentials.refresh = None;
            credentials
        });
        stage.home.write_config("contexts: [\n");
        let domain = if all { "astronomer.io".to_owned() } else { stage.service.domain() };
        let request = Logout { domain: (!all).then(|| domain.clone()).into(), all, json: false.into() };
        let outcome = stage.run(async |system| logout(system, &request).await).await;
        assert_eq!(outcome.exit_code(), 1);
        assert!(outcome.stderr.contains("could not remove the login to "), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("config.yaml: line "), "{}", outcome.stderr);
        assert_eq!(stage.keychain.get(&domain), None);
        assert_eq!(stage.home.config().unwrap(), "contexts: [\n");
    }
    let stage = logged_in(false).await;
    stage.home.write_config("contexts: [\n");
    let request = Logout { domain: None.into(), all: false, json: false.into() };
    let outcome = stage.run(async |system| logout(system, &request).await).await;
    assert_eq!(outcome.exit_code(), 1);
    assert!(outcome.stderr.contains("hint: run `astro logout DOMAIN`"), "{}", outcome.stderr);
    assert!(stage.stored().is_some(), "nobody knows which domain is meant");
}

#[tokio::test]
async fn logout_all_covers_both_products() {
    let stage = logged_in(false).await;
    let theirs = stage.stored().unwrap();
    for domain in ["astronomer.io", "pr1234.astronomer-dev.io", "houston.example.com", "astronomer-stage.io"] {
        let mut credentials = theirs.clone();
        credentials.refresh = None;
        stage.keychain.put(domain, credentials);
    }
    let text = stage.home.config().unwrap();
    let more =
        "contexts:\n    pr1234_astronomer-dev_io:\n        domain: pr1234.astronomer-dev.io\n        workspace: w1\n";
    stage.home.write_config(&text.replace("contexts:\n", more));
    drop(
        stage
            .run(async |system| logout(system, &Logout { domain: None.into(), all: true, json: false.into() }).await)
            .await
            .success(),
    );
    let left =
        ["astronomer.io", "pr1234.astronomer-dev.io", "houston.example.com"].map(|it| stage.keychain.get(it).is_some());
    assert_eq!((left, stage.stored()), ([false; 3], None));
    let expected = cleared(&stage).replace("contexts:\n", more).replace("        token: Bearer their-token\n", "");
    let bare = |text: &str| text.replace(['"', '\''], "").replace(": \n", ":\n");
    assert_eq!(bare(&stage.home.config().unwrap()), bare(&expected));
}

#[tokio::test]
async fn rf_12_logout_all_finds_keychain_login_without_context() {
    let stage = Stage::new();
    let domain = stage.service.domain();
    let all = async || {
        stage
            .run(async |system| logout(system, &Logout { domain: None.into(), all: true, json: false.into() }).await)
            .await
    };
    let foreign = FOREIGN.replace("houston.example.com", "houston").replace("houston_example_com", "houston");
    for config in [None, Some(foreign.as_str()), Some("contexts: {}\n"), Some("contexts: [\n")] {
        if let Some(config) = config {
            stage.home.write_config(config);
        }
        stage.keep_in_keychain(&stage.earlier_login(3600));
        let outcome = all().await;
        let unreadable = config == Some("contexts: [\n");
        assert_eq!((outcome.exit_code(), stage.stored()), (u8::from(unreadable), None), "{}", outcome.stderr);
        let said = format!("Logged out of {domain}\n");
        assert_eq!(outcome.stderr.contains(&said), !unreadable, "{}", outcome.stderr);
        assert_eq!((stage.service.live_refresh_tokens(), stage.home.config().as_deref()), (vec![], config));
    }
}

#[tokio::test]
async fn rf_12_logout_all_with_locked_keychain_is_incomplete() {
    let stage = Stage::new();
    stage.keep_in_keychain(&stage.earlier_login(3600));
    stage.keychain.fail(StoreError::Locked);
    let outcome = stage
        .run(async |system| logout(system, &Logout { domain: None.into(), all: true, json: false.into() }).await)
        .await;
    assert_eq!(
        (outcome.exit_code(), outcome.error_chain().as_str()),
        (1, "could not use the keychain\nthe keychain is locked")
    );
}

#[tokio::test]
async fn logout_of_other_context_keeps_current() {
    let stage = logged_in(false).await;
    let text = stage.home.config().unwrap();
    let current = text.lines().find(|line| line.starts_with("context: ")).unwrap().to_owned();
    stage.home.write_config(&text.replace(&current, "context: houston.example.com"));
    assert_eq!(log_out(&stage).await.exit_code(), 0);
    assert!(stage.home.config().unwrap().starts_with("context: houston.example.com\n"));
}

#[tokio::test]
async fn rf_8_foreign_issuer_gets_no_refresh_token() {
    let stage = logged_in(false).await;
    let mut credentials = stage.stored().unwrap();
    "https://auth.evil.example/".clone_into(&mut credentials.issuer);
    stage.keychain.put(&stage.service.domain(), credentials);
    let outcome = log_out(&stage).await;
    assert_eq!(outcome.exit_code(), 1);
    assert!(outcome.stderr.contains("auth.evil.example"), "{}", outcome.stderr);
    assert_eq!((stage.service.requests_to("/oauth/revoke"), stage.stored()), (Vec::new(), None));
}

#[tokio::test]
async fn logout_notes_environment_token() {
    let mut stage = logged_in(false).await;
    stage.environment = stage.environment.clone().with("ASTRO_API_TOKEN", "token");
    let outcome = log_out(&stage).await.success();
    assert!(
        outcome
            .stderr
            .contains("warning: ASTRO_API_TOKEN is still set and overrides any login\nhint: unset ASTRO_API_TOKEN"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn rf_12_rf_13_help_warns_of_valid_access_token() {
    for arguments in [&["logout", "--help"][..], &["auth", "logout", "--help"]] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_astro"));
        let output = program.args(arguments).env_clear().output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains("this may also log you out on other machines"), "{text}");
        assert!(text.contains("Access tokens can't be revoked and stay valid until they expire"), "{text}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn logout_removes_old_login_cache_not_its_target() {
    let stage = logged_in(false).await;
    let (cache, target) = (stage.home.path().join(".astro/login-cache.json"), stage.home.path().join("target"));
    std::fs::write(&target, "{}").unwrap();
    std::os::unix::fs::symlink(&target, &cache).unwrap();
    assert_eq!(log_out(&stage).await.exit_code(), 0);
    assert!(!cache.is_symlink() && target.exists());
}
