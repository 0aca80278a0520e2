//! Logouts and logins over what another program left: a refresh token alone, another current context, another account.

use astro_login::commands::login::Login;
use astro_login::commands::logout::{Logout, logout};
use astro_login::commands::status::{Status, status};
use astro_login::credentials::Credentials;
use astro_login::token::AccessToken;
use serde_json::json;

use crate::support::{CLIENT_ID, FakeBrowser, Fault, Mode, Outcome, Stage, token};

const KEPT: [&str; 5] = ["domain", "organization", "organization_product", "workspace", "last_used_workspace"];

async fn log_out(stage: &Stage) -> Outcome {
    let request = Logout { domain: Some(stage.service.domain()).into(), all: false, json: false.into() };
    stage.run(async |system| logout(system, &request).await).await
}

async fn log_in(stage: &mut Stage, email: &str, organization: Option<&str>) -> Outcome {
    stage.browser = FakeBrowser::new(Mode::LogIn(email.to_owned())).into();
    let login = Login { organization: organization.map(str::to_owned), ..stage.request() };
    let outcome = stage.login(&login).await;
    drop(stage.browser.answers());
    outcome
}

fn revocations(stage: &Stage) -> Vec<(String, String)> {
    let requests = stage.service.requests_to("/oauth/revoke");
    requests.iter().map(|it| (it.form("client_id").unwrap(), it.form("token").unwrap())).collect()
}

fn setting(stage: &Stage, name: &str) -> Option<String> {
    let config = stage.home.config()?;
    let value = config.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(": "))?;
    Some(value.trim_matches('"').to_owned())
}

/// Leaves a refresh token in config.yaml beside this text as the access token.
fn leave(stage: &Stage, token: &str) -> String {
    let refresh = stage.earlier_login(3600).refresh.unwrap().expose().to_owned();
    let domain = stage.service.domain();
    stage.home.write_config(&format!(
        "contexts:\n    \"{domain}\":\n        domain: {domain}\n        refreshtoken: {refresh}\n{token}"
    ));
    refresh
}

const EMPTY_TOKENS: [&str; 9] = [
    "",
    "        token: \"\"\n",
    "        token: 'Bearer '\n",
    "        token: bearer\n",
    "        token: null\n",
    "        token: ~\n",
    "        token:\n",
    "        token: '   '\n",
    "        token: Bearer opaque\n",
];

#[tokio::test]
async fn rf_12_refresh_token_alone_is_revoked_at_logout() {
    for token in EMPTY_TOKENS {
        let stage = Stage::new();
        let refresh = leave(&stage, token);
        let outcome = log_out(&stage).await.success();
        assert_eq!(revocations(&stage), [(CLIENT_ID.to_owned(), refresh.clone())], "{token}");
        assert!(!stage.home.config().unwrap().contains("token"), "{token}");
        assert!(outcome.stderr.contains("Revoked the refresh token\n"), "{}", outcome.stderr);
        assert!(outcome.stderr.ends_with(&format!("Logged out of {}\n", stage.service.domain())), "{}", outcome.stderr);
    }
}

#[tokio::test]
async fn rf_12_refresh_token_alone_is_revoked_at_login() {
    for insecure_storage in [false, true] {
        for token in EMPTY_TOKENS {
            let stage = Stage::new();
            let refresh = leave(&stage, token);
            drop(stage.login(&Login { insecure_storage, ..stage.request() }).await.success());
            assert_eq!(revocations(&stage), [(CLIENT_ID.to_owned(), refresh.clone())], "{token}");
            assert!(!stage.home.config().unwrap().contains(&refresh), "{token}");
        }
    }
}

#[tokio::test]
async fn rf_12_refresh_token_beside_api_token_is_revoked() {
    let stage = Stage::new();
    let refresh = leave(&stage, &format!("        token: Bearer {}\n", stage.service.api_token()));
    drop(log_out(&stage).await.success());
    assert_eq!(revocations(&stage), [(CLIENT_ID.to_owned(), refresh)]);
}

#[tokio::test]
async fn rf_12_refresh_tokens_of_both_stores_are_revoked() {
    let stage = Stage::new();
    let alone = leave(&stage, "        token: \"\"\n");
    let kept = stage.earlier_login(3600);
    stage.keep_in_keychain(&kept);
    drop(log_out(&stage).await.success());
    let mut tokens: Vec<String> = revocations(&stage).into_iter().map(|(_, token)| token).collect();
    let mut expected = vec![alone, kept.refresh.unwrap().expose().to_owned()];
    tokens.sort();
    expected.sort();
    assert_eq!((tokens, stage.stored()), (expected, None));
}

#[tokio::test]
async fn empty_refresh_token_is_none() {
    for refresh in ["\"\"", "null", "~", "", "'  '"] {
        let stage = Stage::new();
        let domain = stage.service.domain();
        let text = format!("contexts:\n    \"{domain}\":\n        domain: {domain}\n        refreshtoken: {refresh}\n");
        stage.home.write_config(&text);
        let outcome = log_out(&stage).await.success();
        assert_eq!(outcome.stderr, format!("Not logged in to {domain}\n"), "{refresh}");
        assert_eq!(stage.service.requests(), [], "{refresh}");
    }
}

#[tokio::test]
async fn rf_12_unrevocable_token_is_removed_with_exit_1() {
    for (path, fault) in [
        ("/private/v1alpha1/cli/auth-config", Fault::Status(503, String::new())),
        ("/oauth/revoke", Fault::Status(503, String::new())),
        ("/oauth/revoke", Fault::Reset),
    ] {
        let stage = Stage::new();
        let refresh = leave(&stage, "        token: \"\"\n");
        stage.service.fail(path, fault);
        let outcome = log_out(&stage).await;
        assert_eq!(outcome.exit_code(), 1);
        assert!(outcome.stderr.contains("the refresh token stays valid until it expires\n"), "{}", outcome.stderr);
        assert_eq!(outcome.result.as_ref().unwrap_err().hint().unwrap(), "follow the hints of the warnings above");
        assert!(!outcome.stderr.contains("astro logout"), "{}", outcome.stderr);
        assert!(!outcome.stderr.contains("Logged out of"), "{}", outcome.stderr);
        assert!(!stage.home.config().unwrap().contains(&refresh));
        let again = log_out(&stage).await.success();
        assert_eq!(again.stderr, format!("Not logged in to {}\n", stage.service.domain()));

        leave(&stage, "        token: \"\"\n");
        let outcome = stage.login(&stage.request()).await;
        if path == "/oauth/revoke" {
            assert_eq!(outcome.exit_code(), 0);
            let told = "the replaced refresh token stays valid until it expires\n";
            assert!(outcome.stderr.contains(told), "{}", outcome.stderr);
        }
    }
}

#[tokio::test]
async fn rf_12_logout_revokes_what_go_wrote_before_the_edit() {
    let stage = Stage::new();
    let (old, renewed) = (stage.earlier_login(3600), stage.earlier_login(3600));
    stage.keep_in_config(&old);
    let lock = std::fs::File::create(stage.home.path().join(".astro/config.yaml.lock")).unwrap();
    lock.lock().unwrap();
    // The logout runs until it waits for the first time; the Go CLI holds the lock and writes.
    let (outcome, ()) = tokio::join!(log_out(&stage), async {
        stage.keep_in_config(&renewed);
        drop(lock);
    });
    drop(outcome.success());
    let revoked = renewed.refresh.unwrap().expose().to_owned();
    assert_eq!(revocations(&stage), [(CLIENT_ID.to_owned(), revoked)]);
    assert!(!stage.home.config().unwrap().contains(renewed.access.expose()));
}

const PRIVATE_CLOUD: &str = "context: houston.example.com\ncontexts:\n    houston_example_com:\n        \
                             domain: houston.example.com\n        token: Bearer theirs\n";

#[tokio::test]
async fn logout_of_malformed_context_is_refused() {
    for current in ["houston", "astronomer.io_example", "localhost:99999"] {
        let stage = Stage::new();
        let config = PRIVATE_CLOUD.replacen("houston.example.com", current, 1);
        stage.home.write_config(&config);
        let login = Credentials { issuer: "https://auth.astronomer.io/".to_owned(), ..stage.earlier_login(3600) };
        stage.keychain.put("astronomer.io", login.clone());
        let outcome = stage
            .run(async |system| logout(system, &Logout { domain: None.into(), all: false, json: false.into() }).await)
            .await;
        assert_eq!((outcome.exit_code(), outcome.stdout.as_str(), outcome.stderr.as_str()), (2, "", ""));
        let said = format!("could not log out of the current context {current}: it is not a domain");
        assert_eq!(outcome.error_chain(), said);
        assert!(outcome.result.unwrap_err().hint().unwrap().contains("run `astro logout astronomer.io`"));
        assert_eq!((stage.keychain.get("astronomer.io"), stage.home.config()), (Some(login), Some(config)));
    }
}

#[tokio::test]
async fn other_commands_name_domain_used_instead() {
    let stage = Stage::new();
    stage.home.write_config(&PRIVATE_CLOUD.replacen("houston.example.com", "houston", 1));
    let note = "note: current context houston is not a domain; using astronomer.io\n";
    let outcome = stage.run(async |system| token(system, None).await).await;
    assert_eq!((outcome.exit_code(), outcome.stderr.as_str()), (4, note));
    let request = Status { domain: None.into(), json: false.into(), check: false };
    let outcome = stage.run(async |system| status(system, &request).await).await;
    assert!(outcome.stderr.starts_with(note) && outcome.stdout.contains("astronomer.io"), "{}", outcome.all_text());
}

#[tokio::test]
async fn null_context_is_none() {
    for text in ["context: null\n", "context: ~\n", "context:\n", "context: ' '\n"] {
        let stage = Stage::new();
        stage.home.write_config(text);
        let outcome = stage
            .run(async |system| logout(system, &Logout { domain: None.into(), all: false, json: false.into() }).await)
            .await;
        assert_eq!(outcome.success().stderr, "Not logged in to astronomer.io\n", "{text}");
    }
}

#[tokio::test]
async fn logout_keeps_organization_and_workspace() {
    for insecure_storage in [false, true] {
        let stage = Stage::new();
        let workspace = Some("Punched Cards".to_owned());
        drop(stage.login(&Login { insecure_storage, workspace, ..stage.request() }).await.success());
        let before = KEPT.map(|name| setting(&stage, name));
        assert!(before.iter().all(Option::is_some), "{before:?}");
        drop(log_out(&stage).await.success());
        assert_eq!(KEPT.map(|name| setting(&stage, name)), before);
        let gone = ["token", "refreshtoken", "expiresin", "user_email"].map(|name| setting(&stage, name));
        assert_eq!(gone, [None, None, None, None]);

        // The same account goes on where it was.
        drop(stage.browser.answers());
        let mut stage = stage;
        drop(log_in(&mut stage, "ada@example.com", None).await.success());
        assert_eq!(KEPT.map(|name| setting(&stage, name)), before);
    }
}

#[tokio::test]
async fn organization_out_of_reach_is_cleared_after_logout() {
    let mut stage = Stage::new();
    assert_eq!(log_in(&mut stage, "ada@example.com", Some("Compilers")).await.exit_code(), 0);
    drop(log_out(&stage).await.success());
    assert_eq!(setting(&stage, "organization").as_deref(), Some("clorg00000000000000000002"));
    stage.service.set(|options| {
        options.organizations[1] = crate::support::Organization::new(3, "Nanoseconds", &["Bug"]);
    });
    // Grace has two other organizations to choose from.
    assert_eq!(log_in(&mut stage, "grace@example.org", None).await.exit_code(), 2);
    let settings = ["organization", "organization_product", "workspace", "last_used_workspace"];
    assert_eq!(settings.map(|name| setting(&stage, name)), [None, None, None, None]);
}

#[tokio::test]
async fn rf_8_refresh_token_of_foreign_token_is_sent_nowhere() {
    let stage = Stage::new();
    let foreign = stage.service.access_token(&json!({"iss": "https://auth.evil.example/", "azp": null}));
    leave(&stage, &format!("        token: Bearer {}\n", AccessToken::new(foreign).expose()));
    let outcome = log_out(&stage).await;
    assert_eq!((outcome.exit_code(), stage.service.requests()), (1, vec![]));
    assert!(outcome.stderr.contains("issued by https://auth.evil.example/"), "{}", outcome.stderr);
}
