//! A login beside the Go CLI, which writes config.yaml at any time, and writes back what it has had in memory.

use std::process::Stdio;

use astro_login::commands::doctor::{Doctor, doctor};
use astro_login::commands::login::Login;
use astro_login::commands::organization::organization;
use astro_login::commands::selection::{SelectionCommand, Switch};
use astro_login::commands::status::{Status, status};
use astro_login::commands::workspace::workspace;
use astro_login::credentials::{Credentials, StoreError};
use astro_login::token::{AccessToken, RefreshToken};
use serde_json::{Value, json};

use crate::support::{FakeBrowser, Fault, Mode, Options, Outcome, Stage, token};

const TOKEN: &str = "/oauth/token";
const ENDED: i64 = -3600;
const FRESH: i64 = 3600;
const GRACE: &str = "grace@example.org";

/// Runs `astro auth token` against a login in config.yaml, which becomes `then` while the issuer refreshes.
fn refresh_crossed_by(stage: &Stage, then: impl FnOnce()) -> (i32, String) {
    stage.service.fail(TOKEN, Fault::Hold);
    let mut command = stage.command(&["auth", "token"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    stage.service.wait_for(TOKEN, 1);
    then();
    stage.service.repair(TOKEN);
    let output = child.wait_with_output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

fn with_config(seconds: i64, rotation: bool) -> (Stage, Credentials) {
    let stage = Stage::with(Options { rotation, ..Options::default() }, Mode::NeverComeBack);
    let old = stage.earlier_login(seconds);
    stage.keep_in_config(&old);
    (stage, old)
}

fn printed(credentials: &Credentials) -> (i32, String) {
    (0, format!("{}\n", credentials.access.expose()))
}

async fn print(stage: &Stage) -> Outcome {
    stage.run(async |system| token(system, Some(&stage.service.domain())).await).await
}

async fn show(stage: &Stage) -> Value {
    let request = Status { domain: Some(stage.service.domain()).into(), json: true.into(), check: false };
    let outcome = stage.run(async |system| status(system, &request).await).await;
    serde_json::from_str(&outcome.stdout).unwrap()
}

fn warning(report: &Value, code: &str) -> Option<String> {
    let warnings = report["warnings"].as_array().unwrap();
    warnings.iter().find(|it| it["code"] == code).map(|it| it["message"].as_str().unwrap().to_owned())
}

async fn check_account(stage: &Stage) -> String {
    let request = Doctor { domain: Some(stage.service.domain()).into(), json: true.into() };
    let outcome = stage.run(async |system| doctor(system, &request).await).await;
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap();
    let account = checks.iter().find(|it| it["name"] == "account").unwrap();
    format!("{}: {}", account["outcome"].as_str().unwrap(), account["detail"].as_str().unwrap())
}

fn revoked(stage: &Stage) -> Vec<String> {
    stage.service.requests_to("/oauth/revoke").iter().map(|request| request.form("token").unwrap()).collect()
}

#[test]
fn rf_6_refused_refresh_keeps_token_that_go_renewed() {
    for seconds in [FRESH, 200] {
        let (stage, old) = with_config(ENDED, true);
        let spent = Credentials { refresh: Some(RefreshToken::new("v1.spent")), ..old };
        stage.keep_in_config(&spent);
        let renewed = Credentials { refresh: spent.refresh.clone(), ..stage.earlier_login(seconds) };
        let crossed = refresh_crossed_by(&stage, || stage.keep_in_config(&renewed));
        let kept = stage.home.config();
        assert_eq!(crossed, printed(&renewed), "{seconds}");
        stage.keep_in_config(&renewed);
        assert_eq!((kept, stage.service.token_requests().len()), (stage.home.config(), 1), "{seconds}");
    }
}

#[test]
fn rf_6_refused_refresh_goes_on_with_new_refresh_token() {
    let (stage, old) = with_config(ENDED, true);
    stage.keep_in_config(&Credentials { refresh: Some(RefreshToken::new("v1.spent")), ..old.clone() });
    let (code, printed) = refresh_crossed_by(&stage, || stage.keep_in_config(&old));
    assert_eq!((code, printed.len() > 100), (0, true));
    let [live] = stage.service.live_refresh_tokens().try_into().unwrap();
    let config = stage.home.config().unwrap();
    assert!(config.contains(printed.trim_end()) && config.contains(&live), "{config}");
}

#[test]
fn rf_2_crossed_refresh_replaces_only_spent_refresh_token() {
    for rotation in [false, true] {
        let (stage, old) = with_config(ENDED, rotation);
        let renewed = Credentials { refresh: old.refresh.clone(), ..stage.earlier_login(FRESH) };
        drop(stage.service.live_refresh_tokens());
        let crossed = refresh_crossed_by(&stage, || stage.keep_in_config(&renewed));
        assert_eq!(crossed, printed(&renewed), "rotation: {rotation}");
        let config = stage.home.config().unwrap();
        let written = config.lines().find_map(|line| line.trim().strip_prefix("refreshtoken: ")).unwrap();
        assert!(config.contains(renewed.access.expose()));
        assert!(stage.service.live_refresh_tokens().contains(&written.to_owned()), "rotation: {rotation}");
        assert_eq!(written == old.refresh.unwrap().expose(), !rotation);
    }
}

#[test]
fn rf_6_refresh_crossed_by_go_logout_is_revoked() {
    for whole in [false, true] {
        let (stage, old) = with_config(ENDED, true);
        let refresh = old.refresh.as_ref().unwrap().expose();
        let text = stage.home.config().unwrap().replace(&format!("Bearer {}", old.access.expose()), "\"\"");
        let text = if whole { text.replace(refresh, "\"\"") } else { text };
        let (code, printed) = refresh_crossed_by(&stage, || stage.home.write_config(&text));
        assert_eq!((code, printed.as_str(), stage.home.config()), (4, "", Some(text)), "{whole}");
        assert_eq!((stage.service.live_refresh_tokens(), revoked(&stage).len()), (vec![], 1), "{whole}");
    }
}

#[test]
fn rf_6_refresh_crossed_by_login_of_other_user_is_revoked() {
    let (stage, _) = with_config(ENDED, true);
    let other = stage.service.log_in(GRACE);
    let kept = other["refresh_token"].as_str().unwrap().to_owned();
    let grace = Credentials {
        refresh: Some(RefreshToken::new(kept.clone())),
        access: AccessToken::new(other["access_token"].as_str().unwrap()),
        ..stage.earlier_login(FRESH)
    };
    let unused = stage.service.live_refresh_tokens().len();
    let crossed = refresh_crossed_by(&stage, || stage.keep_in_config(&grace));
    assert_eq!((crossed, revoked(&stage).len()), (printed(&grace), 1));
    let live = stage.service.live_refresh_tokens();
    assert!(live.contains(&kept) && live.len() < unused, "{live:?}");
}

#[tokio::test]
async fn rf_6_keychain_login_stored_during_refresh_is_kept() {
    for refused in [false, true] {
        let stage = Stage::with(Options::default(), Mode::NeverComeBack);
        let (old, other) = (stage.earlier_login(ENDED), stage.earlier_login(FRESH));
        let old = if refused { Credentials { refresh: Some(RefreshToken::new("v1.spent")), ..old } } else { old };
        stage.keep_in_keychain(&old);
        stage.service.fail(TOKEN, Fault::Hold);
        let (outcome, ()) = tokio::join!(print(&stage), async {
            while stage.service.requests_to(TOKEN).is_empty() {
                tokio::task::yield_now().await;
            }
            stage.keep_in_keychain(&other);
            stage.service.repair(TOKEN);
        });
        assert_eq!((outcome.stdout.trim_end(), stage.stored()), (other.access.expose(), Some(other.clone())));
    }
}

/// Ada is logged in by the Go CLI, with a menu of it open; then Grace logs in to the keychain, and the menu is answered.
async fn menu_answered_after_login() -> (Stage, Credentials) {
    let mut stage = Stage::new();
    let ada = stage.earlier_login(FRESH);
    stage.keep_in_config(&ada);
    let in_memory = stage.home.config().unwrap();
    stage.environment = stage.environment.with("ASTRO_CREDENTIALS", "keychain");
    stage.browser = FakeBrowser::new(Mode::LogIn(GRACE.to_owned())).into();
    let login = Login { organization: Some("Compilers".to_owned()), ..stage.request() };
    drop(stage.login(&login).await.success());
    drop(stage.browser.answers());
    stage.home.write_config(&in_memory);
    (stage, ada)
}

#[tokio::test]
async fn rf_18_replaced_token_written_back_stays_ignored() {
    let (stage, ada) = menu_answered_after_login().await;
    let grace = stage.stored().unwrap();
    assert_eq!(print(&stage).await.success().stdout, format!("{}\n", grace.access.expose()));
    let report = show(&stage).await;
    assert_eq!((&report["account"], &report["source"]), (&json!(GRACE), &json!("keychain")));
    let told = warning(&report, "two_logins").unwrap();
    assert!(told.contains("the login that this one replaced"), "{told}");
    let account = check_account(&stage).await;
    assert!(account.starts_with("note: grace@example.org, ") && account.contains(&told), "{account}");

    // The next edit removes it.
    let switch = SelectionCommand::Switch(Switch {
        wanted: Some("Compilers".to_owned()),
        workspace: None,
        json: false.into(),
        domain: None,
    });
    drop(stage.run(async |system| organization(system, switch).await).await.success());
    let config = stage.home.config().unwrap();
    assert!(!config.contains(ada.access.expose()) && !config.contains("refreshtoken"), "{config}");
    assert!(config.contains("user_email: grace@example.org"), "{config}");
    assert_eq!(warning(&show(&stage).await, "two_logins"), None);
}

#[tokio::test]
async fn rf_18_replaced_token_ignored_after_refresh_and_login() {
    let (mut stage, _) = menu_answered_after_login().await;
    let in_memory = stage.home.config().unwrap();
    let grace = stage.stored().unwrap();
    let past = (stage.clock)() - jiff::SignedDuration::from_mins(1);
    stage.keep_in_keychain(&Credentials { expires_at: Some(past), ..grace.clone() });
    let refreshed = print(&stage).await.success().stdout;
    assert_ne!(refreshed.trim_end(), grace.access.expose());
    assert_eq!(print(&stage).await.stdout, refreshed);

    // A second login replaces nothing, so the first one's digest stays.
    stage.home.write_config("");
    stage.browser = FakeBrowser::new(Mode::LogIn(GRACE.to_owned())).into();
    let login = Login { organization: Some("Compilers".to_owned()), ..stage.request() };
    drop(stage.login(&login).await.success());
    stage.home.write_config(&in_memory);
    assert_eq!(print(&stage).await.stdout.trim_end(), stage.stored().unwrap().access.expose());
}

#[tokio::test]
async fn rf_18_replaced_token_not_used_for_unreadable_keychain() {
    for error in [StoreError::Locked, StoreError::TimedOut(std::time::Duration::from_secs(3)), StoreError::Damaged] {
        let (stage, _) = menu_answered_after_login().await;
        stage.keychain.fail(error);
        let outcome = print(&stage).await;
        assert_eq!((outcome.exit_code(), outcome.stdout.as_str()), (1, ""));
    }
}

#[tokio::test]
async fn rf_18_other_plaintext_token_wins_over_keychain() {
    let (stage, _) = menu_answered_after_login().await;
    let newer = stage.earlier_login(FRESH + 60);
    stage.keep_in_config(&newer);
    // No keychain is asked for a token that nothing replaced.
    let told = warning(&show(&stage).await, "two_logins").unwrap();
    assert!(told.contains("the test's keychain also holds a login of grace@example.org, which is not used"), "{told}");
    stage.keychain.fail(StoreError::Locked);
    assert_eq!(print(&stage).await.success().stdout.trim_end(), newer.access.expose());
}

#[tokio::test]
async fn rf_18_plaintext_api_token_never_beats_login() {
    let mut stage = Stage::new();
    drop(stage.login(&stage.request()).await.success());
    let api_token = stage.service.api_token();
    let go = stage.home.config().unwrap().replace(
        "        user_email: ",
        &format!("        token: Bearer {api_token}\n        expiresin: 2084-01-01T00:00:00Z\n        user_email: "),
    );
    stage.home.write_config(&go);
    let report = show(&stage).await;
    let seen = ["account", "source", "kind"].map(|name| report[name].clone());
    assert_eq!(seen, [json!("ada@example.com"), json!("keychain"), json!("user")]);
    assert!(warning(&report, "two_logins").unwrap().contains("config.yaml also holds an API token"));
    assert_eq!(print(&stage).await.stdout.trim_end(), stage.stored().unwrap().access.expose());

    stage.keychain.fail(StoreError::Locked);
    assert_eq!(print(&stage).await.exit_code(), 1);
    // Without any login it is used: it may have been chosen.
    stage.keychain = std::sync::Arc::default();
    assert_eq!(print(&stage).await.stdout.trim_end(), api_token);
}

#[tokio::test]
async fn selection_crossed_by_other_login_is_not_written() {
    let stage = Stage::new();
    drop(stage.login(&stage.request()).await.success());
    let mut grace = stage.earlier_login(FRESH);
    grace.sub = "auth0|grace@example.org".to_owned();
    let before = stage.home.config();
    let sent = stage.service.requests_to("/v1/organizations").len();
    stage.service.fail("/v1/organizations", Fault::Hold);
    let switch = SelectionCommand::Switch(Switch {
        wanted: Some("Compilers".to_owned()),
        workspace: None,
        json: false.into(),
        domain: None,
    });
    let (outcome, ()) = tokio::join!(stage.run(async |system| organization(system, switch).await), async {
        while stage.service.requests_to("/v1/organizations").len() == sent {
            tokio::task::yield_now().await;
        }
        stage.keep_in_keychain(&grace);
        stage.service.repair("/v1/organizations");
    });
    assert_eq!((outcome.exit_code(), stage.home.config()), (1, before));
    assert!(outcome.error_chain().starts_with("could not save the selection: another program changed the login"));
}

#[tokio::test]
async fn workspace_of_other_organization_is_not_written() {
    let stage = Stage::new();
    drop(stage.login(&Login { organization: Some("Compilers".to_owned()), ..stage.request() }).await.success());
    let changed = stage.home.config().unwrap().replace("clorg00000000000000000002", "clorg00000000000000000001");
    let path = "/v1/organizations/clorg00000000000000000002/workspaces";
    let sent = stage.service.requests_to(path).len();
    stage.service.fail(path, Fault::Hold);
    let switch = SelectionCommand::Switch(Switch {
        wanted: Some("Flow-Matic".to_owned()),
        workspace: None,
        json: false.into(),
        domain: None,
    });
    let (outcome, ()) = tokio::join!(stage.run(async |system| workspace(system, switch).await), async {
        while stage.service.requests_to(path).len() == sent {
            tokio::task::yield_now().await;
        }
        stage.home.write_config(&changed);
        stage.service.repair(path);
    });
    assert_eq!((outcome.exit_code(), stage.home.config()), (1, Some(changed)));
}
