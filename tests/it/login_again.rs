//! `astro login` over an earlier login: the values that are kept, the messages, and the revocation of the earlier
//! login.

use std::sync::Arc;

use crate::support::{FakeBrowser, Mode, Outcome, Stage};
use astro_login::commands::login::Login;
use astro_login::commands::organization::organization;
use astro_login::commands::selection::{SelectionCommand, Switch};
use astro_login::commands::status::{Status, status};
use astro_login::credentials::Credentials;
use astro_login::token::{AccessToken, RefreshToken};
use serde_json::json;

const ADA: &str = "ada@example.com";
const GRACE: &str = "grace@example.org";

async fn log_in(stage: &mut Stage, email: &str, change: impl FnOnce(Login) -> Login) -> Outcome {
    stage.browser = Arc::new(FakeBrowser::new(Mode::LogIn(email.to_owned())));
    let outcome = stage.login(&change(stage.request())).await;
    drop(stage.browser.answers());
    outcome
}

/// Ada works in the second organization, in its only workspace.
fn in_compilers(login: Login) -> Login {
    Login { organization: Some("Compilers".to_owned()), ..login }
}

fn insecure(login: Login) -> Login {
    Login { insecure_storage: true, ..login }
}

fn refresh_of(credentials: &Credentials) -> String {
    credentials.refresh.as_ref().unwrap().expose().to_owned()
}

fn setting(stage: &Stage, name: &str) -> Option<String> {
    let config = stage.home.config()?;
    let value =
        config.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(": ").map(str::to_owned))?;
    Some(value.trim_matches('"').to_owned()).filter(|value| !value.is_empty())
}

fn revoked(stage: &Stage) -> Vec<String> {
    stage.service.requests_to("/oauth/revoke").iter().map(|request| request.form("token").unwrap()).collect()
}

#[tokio::test]
async fn other_account_starts_without_organization() {
    let mut stage = Stage::new();
    assert_eq!(log_in(&mut stage, ADA, in_compilers).await.exit_code(), 0);
    assert_eq!(setting(&stage, "organization").as_deref(), Some("clorg00000000000000000002"));
    let outcome = log_in(&mut stage, GRACE, |login| login).await;
    assert_eq!(outcome.exit_code(), 2);
    let told =
        "as Grace Hopper <grace@example.org>\n  account       changed from ada@example.com to grace@example.org\n";
    assert!(outcome.stderr.contains(told), "{}", outcome.stderr);
    // Grace belongs to two organizations and has selected none.
    let settings = ["organization", "organization_product", "workspace", "last_used_workspace"];
    assert_eq!(settings.map(|name| setting(&stage, name)), [None, None, None, None]);
    assert_eq!(setting(&stage, "user_email").as_deref(), Some(GRACE));
}

#[tokio::test]
async fn same_account_keeps_organization_and_workspace() {
    let mut stage = Stage::new();
    assert_eq!(log_in(&mut stage, ADA, in_compilers).await.exit_code(), 0);
    let outcome = log_in(&mut stage, ADA, |login| login).await.success();
    assert!(!outcome.stderr.contains("was "), "{}", outcome.stderr);
    assert_eq!(setting(&stage, "organization").as_deref(), Some("clorg00000000000000000002"));
    assert_eq!(setting(&stage, "workspace").as_deref(), Some("clws000020000000000000001"));
}

#[tokio::test]
async fn cl_15_other_subject_is_other_account() {
    let mut stage = Stage::new();
    assert_eq!(log_in(&mut stage, ADA, in_compilers).await.exit_code(), 0);
    stage.service.set(|options| {
        options.people[0].sub = "google-oauth2|1".to_owned();
        options.organizations[0].managed_domains.clear();
    });
    let outcome = log_in(&mut stage, ADA, |login| login).await;
    assert_eq!(outcome.exit_code(), 2);
    assert!(outcome.stderr.contains("changed (same email, different user)\n"), "{}", outcome.stderr);
    assert_eq!(setting(&stage, "organization"), None);
}

#[tokio::test]
async fn api_token_over_user_login_is_other_account() {
    let mut stage = Stage::new();
    assert_eq!(log_in(&mut stage, ADA, in_compilers).await.exit_code(), 0);
    let old = refresh_of(&stage.stored().unwrap());
    let outcome = stage.login(&stage.token_request(&stage.service.api_token())).await.success();
    assert!(
        outcome.stderr.contains("  account       changed from ada@example.com to an API token\n"),
        "{}",
        outcome.stderr
    );
    assert_eq!(setting(&stage, "organization").as_deref(), Some("clorg00000000000000000001"));
    assert_eq!((setting(&stage, "workspace"), setting(&stage, "user_email")), (None, None));
    assert_eq!(revoked(&stage), [old]);

    let outcome = log_in(&mut stage, ADA, |login| login).await;
    assert!(
        outcome.stderr.contains("  account       changed from an API token to ada@example.com\n"),
        "{}",
        outcome.stderr
    );
}

#[tokio::test]
async fn replaced_refresh_token_revoked_after_store() {
    let mut stage = Stage::new();
    for change in [std::convert::identity, insecure, insecure, std::convert::identity] {
        let before =
            (stage.stored().map(|it| refresh_of(&it)).or(setting(&stage, "refreshtoken")), revoked(&stage).len());
        assert_eq!(log_in(&mut stage, ADA, change).await.exit_code(), 0);
        let after = stage.stored().map(|it| refresh_of(&it)).or(setting(&stage, "refreshtoken")).unwrap();
        assert_eq!(revoked(&stage)[before.1..], before.0.into_iter().collect::<Vec<_>>());
        assert_eq!(stage.service.live_refresh_tokens(), [after]);
        let kept_in_both = stage.stored().is_some() && setting(&stage, "token").is_some();
        assert!(!kept_in_both);
    }
}

#[tokio::test]
async fn refused_edit_revokes_login_and_keeps_old_one() {
    // The file refuses an edit where a context takes its settings from elsewhere.
    let mut stage = Stage::new();
    assert_eq!(log_in(&mut stage, ADA, insecure).await.exit_code(), 0);
    let old = setting(&stage, "refreshtoken").unwrap();
    let config = stage.home.config().unwrap();
    let line = config.lines().find(|it| it.trim().starts_with("domain:")).unwrap();
    let indent = &line[..line.find("domain").unwrap()];
    let anchored = format!("base: &base\n  more: 1\n{}", config.replace(line, &format!("{line}\n{indent}<<: *base")));
    stage.home.write_config(&anchored);
    let outcome = log_in(&mut stage, ADA, insecure).await;
    assert_eq!(outcome.exit_code(), 1);
    assert_eq!(stage.home.config().unwrap(), anchored);
    assert_eq!(stage.service.live_refresh_tokens(), [old]);
}

#[tokio::test]
async fn login_of_other_domain_is_untouched() {
    let mut stage = Stage::new();
    let other = Credentials {
        access: AccessToken::new("a"),
        refresh: Some(RefreshToken::new("v1.other")),
        ..{
            assert_eq!(log_in(&mut stage, ADA, |login| login).await.exit_code(), 0);
            stage.stored().unwrap()
        }
    };
    stage.keychain.put("astronomer.io", other.clone());
    // Grace has several organizations and selects none.
    assert_eq!(log_in(&mut stage, GRACE, |login| login).await.exit_code(), 2);
    assert_eq!(stage.keychain.get("astronomer.io"), Some(other));
    assert!(!revoked(&stage).contains(&"v1.other".to_owned()));
}

/// As a program leaves it that was killed between the keychain and config.yaml.
async fn graces_login_beside_adas_context() -> Stage {
    let mut stage = Stage::new();
    // Grace has several organizations and selects none.
    assert_eq!(log_in(&mut stage, GRACE, |login| login).await.exit_code(), 2);
    let grace = stage.stored().unwrap();
    assert_eq!(log_in(&mut stage, ADA, in_compilers).await.exit_code(), 0);
    stage.keep_in_keychain(&grace);
    stage
}

async fn report(stage: &Stage) -> [serde_json::Value; 2] {
    let request = Status { domain: Some(stage.service.domain()).into(), json: true.into(), check: false };
    let outcome = stage.run(async |system| status(system, &request).await).await;
    let report: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    ["account", "organization"].map(|name| report[name].clone())
}

#[tokio::test]
async fn config_of_other_account_is_ignored() {
    let mut stage = graces_login_beside_adas_context().await;
    assert_eq!(report(&stage).await, [json!(GRACE), json!(null)]);
    // Grace has several organizations and selects none.
    assert_eq!(log_in(&mut stage, GRACE, |login| login).await.exit_code(), 2);
    let settings = ["user_email", "organization", "workspace", "last_used_workspace"];
    assert_eq!(settings.map(|name| setting(&stage, name)), [Some(GRACE.to_owned()), None, None, None]);
    assert_eq!(report(&stage).await, [json!(GRACE), json!(null)]);
}

#[tokio::test]
async fn organization_flag_replaces_that_of_other_account() {
    let stage = graces_login_beside_adas_context().await;
    let switch = SelectionCommand::Switch(Switch {
        wanted: Some("Analytical Engines".to_owned()),
        workspace: None,
        json: false.into(),
        domain: None,
    });
    drop(stage.run(async |system| organization(system, switch).await).await.success());
    assert_eq!(report(&stage).await, [json!(GRACE), json!("clorg00000000000000000001")]);
    assert_eq!(setting(&stage, "user_email").as_deref(), Some(GRACE));
}
