//! The store of a login: the keychain, or config.yaml without one. A failed login leaves both unchanged.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use astro_login::commands::login::Login;
use astro_login::credentials::{Credentials, StoreError};
use astro_login::token::RefreshToken;
use serde_json::json;

use crate::support::{ADA_CONFIG, Part, Stage};

const ABSENT: StoreError = StoreError::Absent { reason: "no D-Bus session bus" };

/// A config.yaml of the Go CLI, with the context of another cluster as the current one.
const GO: &str = include_str!("../fixtures/other-cluster.yaml");

fn insecure(stage: &Stage) -> Login {
    Login { insecure_storage: true, ..stage.request() }
}

fn earlier(stage: &Stage) -> Credentials {
    Credentials {
        refresh: Some(RefreshToken::new("v1.earlier")),
        expires_at: Some("2026-11-24T10:00:00Z".parse().unwrap()),
        ..stage.credentials("eyJearlier")
    }
}

/// The refresh tokens that the service was told to forget, in order.
fn revoked(stage: &Stage) -> Vec<String> {
    stage.service.requests_to("/oauth/revoke").iter().map(|request| request.form("token").unwrap()).collect()
}

/// config.yaml with the tokens that the service issued replaced by what they are.
fn config(stage: &Stage) -> String {
    let mut text = stage.normalize(&stage.home.config().unwrap());
    for request in stage.service.requests_to("/v1/users/self") {
        text = text.replace(request.header("authorization").unwrap(), "Bearer TOKEN");
    }
    for token in stage.service.live_refresh_tokens() {
        text = text.replace(&token, "REFRESH");
    }
    text
}

const PLAINTEXT: &str = "\
contexts:
    localhost:PORT:
        domain: localhost:PORT
        expiresin: 2026-11-25T12:00:00Z
        refreshtoken: REFRESH
        token: Bearer TOKEN
        user_email: ada@example.com
        auth_domain: http://localhost:PORT/
        auth_client_id: astro-cli-client
        organization: clorg00000000000000000001
        organization_product: HOSTED
context: localhost:PORT
";

#[tokio::test]
async fn rf_10_missing_keychain_uses_config_with_warning() {
    let stage = Stage::new().at_noon();
    stage.keychain.fail(ABSENT);
    let outcome = stage.login(&stage.request()).await.success();
    assert_eq!(config(&stage), PLAINTEXT);
    let said = stage.normalize(&outcome.stderr);
    let warning = "warning: no keychain available (no D-Bus session bus); \
                   credentials will be saved unencrypted in CONFIG\n";
    assert!(said.find(warning) < said.find("LINK") && said.contains(warning), "{said}");
    assert!(said.contains("\n  credentials   CONFIG (unencrypted)\n"), "{said}");
    assert!(!stage.normalize(&outcome.all_text()).contains("eyJ"), "{}", outcome.all_text());
}

#[tokio::test]
async fn insecure_storage_removes_keychain_copy() {
    let stage = Stage::new().at_noon();
    stage.keychain.put(&stage.service.domain(), earlier(&stage));
    let outcome = stage.login(&insecure(&stage)).await.success();
    assert_eq!((config(&stage).as_str(), stage.stored()), (PLAINTEXT, None));
    assert_eq!(revoked(&stage), ["v1.earlier"]);
    assert!(!outcome.stderr.contains("keychain"), "{}", outcome.stderr);
}

#[tokio::test]
async fn undeletable_keychain_copy_warns() {
    let stage = Stage::new();
    stage.keychain.put(&stage.service.domain(), earlier(&stage));
    stage.keychain.fail(StoreError::Locked);
    let outcome = stage.login(&insecure(&stage)).await.success();
    let warning = "warning: an older login may remain in the test's keychain: the keychain is locked\n";
    assert!(outcome.stderr.contains(warning), "{}", outcome.stderr);
    assert_eq!(revoked(&stage), [""; 0]);
}

#[tokio::test]
async fn rf_10_forbidden_fallback_fails_before_browser() {
    let table = [
        (None, "no_insecure_fallback: true\n"),
        (None, "no_insecure_fallback: \"true\"\n"),
        (Some("1"), ""),
        (Some("true"), ""),
        (Some("TRUE"), ""),
        (Some("yes"), ""),
        (Some("on"), ""),
    ];
    for (variable, settings) in table {
        let mut stage = Stage::new();
        stage.keychain.fail(ABSENT);
        stage.home.write_config(settings);
        if let Some(value) = variable {
            stage.environment = stage.environment.with("ASTRO_NO_INSECURE_FALLBACK", value);
        }
        let outcome = stage.login(&stage.request()).await;
        let error_chain = "could not log in to localhost:PORT\nno keychain available (no D-Bus session bus), \
                         and saving credentials unencrypted is forbidden";
        assert!(outcome.result.is_err(), "{variable:?} {settings}");
        assert_eq!((outcome.exit_code(), stage.normalize(&outcome.error_chain()).as_str()), (1, error_chain));
        assert_eq!((stage.browser.opened(), stage.home.config().as_deref()), (vec![], Some(settings)));
        let hint = stage.normalize(&outcome.result.unwrap_err().hint().unwrap());
        assert!(hint.contains("`astro login localhost:PORT --insecure-storage`"), "{hint}");
    }
}

#[tokio::test]
async fn fallback_allowed_unless_forbidden() {
    for (variable, settings) in [("0", ""), ("false", "no_insecure_fallback: \"false\"\n")] {
        let mut stage = Stage::new();
        stage.keychain.fail(ABSENT);
        stage.home.write_config(settings);
        stage.environment = stage.environment.with("ASTRO_NO_INSECURE_FALLBACK", variable);
        assert_eq!(stage.login(&stage.request()).await.exit_code(), 0, "{variable} {settings}");
    }
    // Only the fallback is forbidden. `--insecure-storage` still works.
    let mut chosen = Stage::new();
    chosen.environment = chosen.environment.with("ASTRO_NO_INSECURE_FALLBACK", "1");
    assert_eq!(chosen.login(&insecure(&chosen)).await.exit_code(), 0);
}

#[tokio::test]
async fn unusable_keychain_fails_before_browser() {
    let table = [
        (StoreError::Locked, "the keychain is locked"),
        (StoreError::Refused, "the keychain refused access"),
        (StoreError::TimedOut(Duration::from_secs(3)), "the keychain did not respond within 3 seconds"),
        (StoreError::NewerFormat, "the stored credentials were written by a newer version of this program"),
        (StoreError::Other("no such collection".to_owned()), "no such collection"),
    ];
    let mut hints = Vec::new();
    for (failure, told) in table {
        let stage = Stage::new();
        stage.keychain.fail(failure);
        let outcome = stage.login(&stage.request()).await;
        let error_chain = format!("could not log in to localhost:PORT\ncould not use the keychain\n{told}");
        assert_eq!((outcome.exit_code(), stage.normalize(&outcome.error_chain())), (1, error_chain));
        assert_eq!((stage.browser.opened(), stage.home.config()), (vec![], None));
        hints.push(outcome.result.unwrap_err().hint().unwrap());
    }
    hints.dedup();
    assert_eq!(hints.len(), 5, "each has its own way out: {hints:#?}");
}

#[tokio::test]
async fn login_replaces_damaged_entry() {
    let stage = Stage::new();
    stage.keychain.put(&stage.service.domain(), earlier(&stage));
    stage.keychain.damage(&stage.service.domain());
    drop(stage.login(&stage.request()).await.success());
    assert_ne!(stage.stored().unwrap().refresh, earlier(&stage).refresh);
    assert_eq!(revoked(&stage), [""; 0]);
}

#[tokio::test]
async fn unsaved_login_is_revoked() {
    for earlier in [None, Some(earlier)] {
        let stage = Stage::new();
        let before = earlier.map(|earlier| earlier(&stage));
        if let Some(before) = &before {
            stage.keychain.put(&stage.service.domain(), before.clone());
        }
        stage.home.write_config(GO);
        stage.keychain.fail_saving(StoreError::Other("the keychain is full".to_owned()));
        let outcome = stage.login(&stage.request()).await;
        let error_chain =
            "could not log in to localhost:PORT\ncould not use the keychain\nthe keychain is full".to_owned();
        assert_eq!((outcome.exit_code(), stage.normalize(&outcome.error_chain())), (1, error_chain));
        assert_eq!((stage.stored(), stage.home.config().as_deref()), (before, Some(GO)));
        assert_eq!((revoked(&stage).len(), stage.service.live_refresh_tokens()), (1, vec![]));
        let hint = stage.normalize(&outcome.result.unwrap_err().hint().unwrap());
        assert!(hint.contains("`astro login localhost:PORT --insecure-storage`"), "{hint}");
    }
}

#[tokio::test]
async fn unwritable_config_costs_only_the_login() {
    for earlier in [None, Some(earlier)] {
        let mut stage = Stage::new();
        let before = earlier.map(|earlier| earlier(&stage));
        if let Some(before) = &before {
            stage.keychain.put(&stage.service.domain(), before.clone());
        }
        let path = stage.home.config_path();
        stage.before_visit = Arc::new(move || fs::create_dir(&path).unwrap());
        let outcome = stage.login(&stage.request()).await;
        let error_chain = "could not log in to localhost:PORT\nCONFIG is not a file".to_owned();
        assert_eq!((outcome.exit_code(), stage.normalize(&outcome.error_chain())), (1, error_chain));
        assert_eq!(stage.stored(), before);
        assert_eq!((revoked(&stage).len(), stage.service.live_refresh_tokens()), (1, vec![]));
    }
}

#[tokio::test]
async fn unwritable_config_keeps_no_plaintext() {
    let mut stage = Stage::new();
    let path = stage.home.config_path();
    stage.before_visit = Arc::new(move || fs::create_dir(&path).unwrap());
    stage.keychain.put(&stage.service.domain(), earlier(&stage));
    let outcome = stage.login(&insecure(&stage)).await;
    assert_eq!(outcome.exit_code(), 1);
    assert_eq!(stage.stored(), Some(earlier(&stage)));
    assert_eq!((revoked(&stage).len(), stage.service.live_refresh_tokens()), (1, vec![]));
}

#[tokio::test]
async fn invalid_config_is_untouched_and_located() {
    let broken = "context: astronomer.io\ncontexts:\n  a: [1\n";
    let stage = Stage::new();
    stage.home.write_config(broken);
    let outcome = stage.login(&stage.request()).await;
    let error_chain = stage.normalize(&outcome.error_chain());
    assert_eq!(outcome.exit_code(), 1);
    assert!(error_chain.starts_with("could not use CONFIG\nline 4, column 1: "), "{error_chain}");
    assert_eq!(error_chain.lines().count(), 2, "{error_chain}");
    assert_eq!(outcome.result.unwrap_err().hint().unwrap(), "correct the file by hand");
    assert_eq!((stage.home.config().as_deref(), stage.request_log(), stage.stored()), (Some(broken), vec![], None));
}

#[tokio::test]
async fn keychain_login_clears_plaintext_and_revokes() {
    let mut stage = Stage::new().at_noon();
    assert_eq!(stage.login(&insecure(&stage)).await.exit_code(), 0);
    let older = stage.service.live_refresh_tokens();
    stage.environment = stage.environment.with("ASTRO_CREDENTIALS", "keychain");
    let outcome = stage.login(&stage.request()).await.success();
    assert_eq!(stage.normalize(&stage.home.config().unwrap()), ADA_CONFIG);
    let notice = "Replaced the login that the Go CLI kept in config.yaml, so the Go CLI is now logged out; \
                  `--insecure-storage` shares the login with it.\n";
    assert!(outcome.stderr.contains(notice), "{}", outcome.stderr);
    assert_eq!(revoked(&stage), older);
    let refresh = stage.stored().unwrap().refresh.unwrap();
    assert_eq!(stage.service.live_refresh_tokens(), [refresh.expose()]);
}

#[tokio::test]
async fn rf_8_refresh_token_goes_to_its_issuer_and_client() {
    let stage = Stage::new();
    stage.keychain.put(
        &stage.service.domain(),
        Credentials { issuer: "https://auth.astronomer.io/".to_owned(), ..earlier(&stage) },
    );
    assert_eq!(stage.login(&stage.request()).await.exit_code(), 0);
    assert_eq!(revoked(&stage), [""; 0]);

    let stage = Stage::new();
    stage
        .keychain
        .put(&stage.service.domain(), Credentials { client_id: "another-client".to_owned(), ..earlier(&stage) });
    assert_eq!(stage.login(&stage.request()).await.exit_code(), 0);
    let [revocation] = stage.service.requests_to("/oauth/revoke").try_into().unwrap();
    assert_eq!(revocation.form("client_id").as_deref(), Some("another-client"));

    let stage = Stage::new();
    let foreign = stage.service.access_token(&json!({"iss": "https://auth.astronomer.io/"}));
    let domain = stage.service.domain();
    stage.home.write_config(&format!(
        "contexts:\n    \"{domain}\":\n        refreshtoken: v1.foreign\n        token: Bearer {foreign}\n"
    ));
    assert_eq!(stage.login(&stage.request()).await.exit_code(), 0);
    assert_eq!(revoked(&stage), [""; 0]);
    assert!(!stage.home.config().unwrap().contains("v1.foreign"));
}

#[tokio::test]
async fn reissued_refresh_token_is_not_revoked() {
    let stage = Stage::new();
    stage.keychain.put(&stage.service.domain(), earlier(&stage));
    stage.service.patch(Part::Token, json!({"refresh_token": "v1.earlier"}));
    assert_eq!(stage.login(&stage.request()).await.exit_code(), 0);
    assert_eq!(revoked(&stage), [""; 0]);
    assert_eq!(stage.stored().unwrap().refresh, earlier(&stage).refresh);
}
