//! The refresh of an access token, with faults of the issuer, the network and the store, and with concurrent programs.

use std::fs::{self, File};
use std::sync::Arc;
use std::time::Duration;

use astro_login::config::Config;
use astro_login::credentials::{CredentialStore as _, Credentials, StoreError};
use astro_login::domain::Domain;
use astro_login::error::Error;
use astro_login::jwt::Unverified;
use astro_login::oauth::{Random, RandomError};
use astro_login::session::{self, Session};
use astro_login::token::{AccessToken, RefreshToken};
use serde_json::{Value, json};

use crate::support::{AUDIENCE, CLIENT_ID, Fault, Mode, Options, Outcome, Part, Stage, token};

const TOKEN: &str = "/oauth/token";
const KEYS: &str = "/.well-known/jwks.json";
const ORGANIZATIONS: &str = "/v1/organizations";

const ENDED: i64 = -3600;
/// The token is still valid, and is to be refreshed all the same.
const ENDS_SOON: i64 = 200;
const FRESH: i64 = 3600;

/// `astro auth token --domain localhost:PORT`, which opens no browser and asks nothing.
async fn print(stage: &Stage) -> Outcome {
    let outcome = stage.run(async |system| token(system, Some(&stage.service.domain())).await).await;
    assert_eq!(stage.browser.opened(), []);
    outcome
}

/// A stage with an earlier login in its keychain, and that login.
fn with_keychain(seconds: i64, options: Options) -> (Stage, Credentials) {
    let stage = Stage::with(options, Mode::NeverComeBack);
    let credentials = stage.earlier_login(seconds);
    stage.keep_in_keychain(&credentials);
    (stage, credentials)
}

/// A stage with an earlier login in its config.yaml, as the Go CLI left it, and that login.
fn with_config(seconds: i64) -> (Stage, Credentials) {
    let stage = Stage::with(Options::default(), Mode::NeverComeBack);
    let credentials = stage.earlier_login(seconds);
    stage.keep_in_config(&credentials);
    (stage, credentials)
}

/// Returns the credentials expected after a refresh of `old` that printed `access`.
fn renewed(stage: &Stage, old: &Credentials, access: &str) -> Credentials {
    let claims = Unverified::parse(access).unwrap();
    let [refresh] = stage.service.live_refresh_tokens().try_into().unwrap();
    Credentials {
        access: AccessToken::new(access),
        refresh: Some(RefreshToken::new(refresh)),
        issued_at: claims.issued_at(),
        expires_at: claims.expires_at(),
        ..old.clone()
    }
}

fn live(stage: &Stage) -> Option<RefreshToken> {
    stage.service.live_refresh_tokens().pop().map(RefreshToken::new)
}

fn printed(credentials: &Credentials) -> String {
    format!("{}\n", credentials.access.expose())
}

fn config_of(stage: &Stage) -> Option<Credentials> {
    let domain: Domain = stage.service.domain().parse().unwrap();
    session::credentials_from_context(&Config::new(stage.home.path()).read().unwrap().context(&domain)?)
}

#[tokio::test]
async fn fresh_token_sends_no_request() {
    let (stage, old) = with_keychain(FRESH, Options::default());
    let outcome = print(&stage).await;
    assert_eq!((outcome.exit_code(), outcome.stdout.as_str()), (0, printed(&old).as_str()));
    assert_eq!((stage.service.requests(), stage.stored(), stage.home.config()), (vec![], Some(old), None));
}

#[tokio::test]
async fn rf_1_rf_2_rf_4_expiring_token_is_refreshed_and_stored() {
    for seconds in [ENDS_SOON, ENDED] {
        let (stage, old) = with_keychain(seconds, Options::default());
        let outcome = print(&stage).await.success();
        let access = outcome.stdout.strip_suffix('\n').unwrap();
        assert_ne!(access, old.access.expose());
        assert_eq!(stage.stored(), Some(renewed(&stage, &old, access)));
        let spent = old.refresh.as_ref().unwrap().expose();
        let body = format!("grant_type=refresh_token&client_id={CLIENT_ID}&refresh_token={spent}");
        let bodies: Vec<String> = stage.service.token_requests().into_iter().map(|request| request.body).collect();
        assert_eq!(bodies, [body]);
        assert_eq!((print(&stage).await.stdout, stage.service.token_requests().len()), (outcome.stdout, 1));
    }
}

#[tokio::test]
async fn rf_2_old_refresh_token_kept_without_new_one() {
    let (stage, old) = with_keychain(ENDED, Options { rotation: false, ..Options::default() });
    let outcome = print(&stage).await;
    let fresh = renewed(&stage, &old, outcome.stdout.trim_end());
    assert_eq!((&fresh.refresh, stage.stored()), (&old.refresh, Some(fresh.clone())));
}

#[tokio::test]
async fn rf_2_unstored_token_is_not_printed() {
    let (stage, _) = with_keychain(ENDS_SOON, Options::default());
    stage.keychain.fail_saving(StoreError::TimedOut(Duration::from_secs(3)));
    let outcome = print(&stage).await;
    assert_eq!((outcome.exit_code(), outcome.stdout.as_str()), (1, ""));
    assert_eq!(outcome.error_chain(), "could not use the keychain\nthe keychain did not respond within 3 seconds");
}

#[tokio::test]
async fn rf_2_rf_5_cl_18_bad_refreshed_token_rejected() {
    let past = json!({"iat": 1_700_000_000, "exp": 1_700_003_600});
    let foreign = json!({"iss": "https://auth.astronomer.io/"});
    for (part, patch) in [
        (Part::AccessToken, json!({"aud": ["another-api"]})),
        (Part::AccessToken, json!({"sub": "auth0|grace@example.org"})),
        (Part::AccessToken, json!({"sub": null})),
        (Part::AccessToken, past.clone()),
        (Part::AccessToken, foreign.clone()),
        (Part::IdToken, json!({"aud": "another-client"})),
        (Part::IdToken, json!({"sub": "auth0|grace@example.org"})),
        (Part::IdToken, past),
        // Issued before the login, and still valid.
        (Part::IdToken, json!({"iat": 1_700_000_000})),
        (Part::IdToken, foreign),
        (Part::Token, json!({"access_token": "no.jwt.atall"})),
        (Part::Keys, Value::Null),
    ] {
        let (stage, old) = with_keychain(ENDS_SOON, Options::default());
        if part == Part::Keys {
            stage.service.set(|options| options.signing_key = 1);
        } else {
            stage.service.patch(part, patch.clone());
        }
        let outcome = print(&stage).await;
        assert_eq!((outcome.exit_code(), outcome.stdout.as_str()), (4, ""), "{part:?} {patch}");
        let kept = Credentials { refresh: live(&stage), ..old.clone() };
        assert_ne!(kept.refresh, old.refresh);
        assert_eq!(stage.stored(), Some(kept), "{part:?} {patch}");
        // The login is not lost: once the issuer is right again, it goes on.
        stage.service.patch(part, json!({}));
        stage.service.set(|options| options.signing_key = 0);
        assert_eq!((print(&stage).await.exit_code(), stage.service.replays()), (0, 0), "{part:?} {patch}");
    }
}

#[tokio::test]
async fn rf_5_refresh_with_new_key_without_id_token() {
    let options = Options { signing_key: 1, second_key_after: 1, ..Options::default() };
    let (stage, old) = with_keychain(ENDED, options);
    stage.service.patch(Part::Token, json!({"id_token": null, "expires_in": null}));
    let outcome = print(&stage).await;
    assert_eq!(stage.stored(), Some(renewed(&stage, &old, outcome.stdout.trim_end())));
    assert_eq!(stage.service.requests_to(KEYS).len(), 2);
}

#[tokio::test]
async fn rf_3_waiting_process_uses_result_of_other() {
    let (stage, old) = with_config(ENDED);
    let other = stage.earlier_login(FRESH);
    let domain: Domain = stage.service.domain().parse().unwrap();
    let lock = Config::new(stage.home.path()).lock_refresh(&domain, Duration::ZERO).unwrap();
    // The first part runs until it has to wait, which is for the lock: nothing before that is asynchronous.
    let (outcome, ()) = tokio::join!(print(&stage), async {
        stage.keep_in_config(&other);
        drop(lock);
    });
    assert_eq!((outcome.exit_code(), outcome.stdout), (0, printed(&other)));
    assert_eq!(stage.service.requests(), []);

    stage.keep_in_config(&old);
    let lock = Config::new(stage.home.path()).lock_refresh(&domain, Duration::ZERO).unwrap();
    let (outcome, ()) = tokio::join!(print(&stage), async {
        stage.home.write_config("context: \"\"\n");
        drop(lock);
    });
    assert_eq!((outcome.exit_code(), outcome.stdout.as_str()), (4, ""));
    assert_eq!(stage.service.requests(), []);
}

#[tokio::test(start_paused = true)]
async fn rf_3_lock_wait_ends_after_30_seconds() {
    for (seconds, exit_code) in [(ENDS_SOON, 0), (ENDED, 1)] {
        let (stage, old) = with_config(seconds);
        let domain: Domain = stage.service.domain().parse().unwrap();
        let _lock = Config::new(stage.home.path()).lock_refresh(&domain, Duration::ZERO).unwrap();
        let started = tokio::time::Instant::now();
        let outcome = print(&stage).await;
        let expected = if exit_code == 0 { printed(&old) } else { String::new() };
        assert_eq!((outcome.exit_code(), &outcome.stdout), (exit_code, &expected));
        assert_eq!(started.elapsed().as_secs(), 30);
        assert_eq!((stage.service.requests(), config_of(&stage)), (vec![], Some(old)));
        if exit_code == 1 {
            assert!(outcome.error_chain().ends_with("has been locked by another program for 30 seconds"));
        }
    }
}

#[tokio::test]
async fn rf_3_without_lock_nothing_is_spent() {
    for (seconds, exit_code) in [(ENDS_SOON, 0), (ENDED, 1)] {
        let (stage, old) = with_config(seconds);
        let name = format!("{}.refresh.lock", stage.service.domain().replace(':', "_"));
        fs::create_dir(stage.home.path().join(".astro").join(name)).unwrap();
        let outcome = print(&stage).await;
        let expected = if exit_code == 0 { printed(&old) } else { String::new() };
        assert_eq!((outcome.exit_code(), outcome.stdout), (exit_code, expected));
        assert_eq!(stage.service.requests(), []);
    }
}

#[tokio::test]
async fn rf_2_unstorable_refresh_sends_no_request() {
    for (seconds, exit_code) in [(ENDS_SOON, 0), (ENDED, 1)] {
        let (stage, old) = with_config(seconds);
        let text = stage.home.config().unwrap();
        let text = text.replace("        user_email:", "        <<: {}\n        user_email:");
        stage.home.write_config(&text);
        let outcome = print(&stage).await;
        let expected = if exit_code == 0 { printed(&old) } else { String::new() };
        assert_eq!((outcome.exit_code(), &outcome.stdout), (exit_code, &expected));
        assert_eq!((stage.service.token_requests(), stage.home.config()), (vec![], Some(text)));
    }
}

#[tokio::test]
async fn rf_6_invalid_grant_ends_login_of_valid_token() {
    for (seconds, in_config) in [(ENDS_SOON, true), (ENDS_SOON, false), (FRESH, true), (FRESH, false)] {
        let (stage, old) = with_keychain(seconds, Options::default());
        let dead = Credentials { refresh: Some(RefreshToken::new("v1.revoked")), ..old.clone() };
        stage.keep_in_keychain(&dead);
        if in_config {
            stage.keep_in_config(&dead);
        }
        // Only the API rejects a fresh token.
        stage.service.fail(ORGANIZATIONS, no());
        let first = if seconds == FRESH { call(&stage).await } else { print(&stage).await };
        assert_eq!((first.exit_code(), first.stdout.as_str()), (4, ""));
        assert!(matches!(first.result, Err(Error::LoginRevoked { .. })), "{:?}", first.result);

        // A later command reports the same without a request.
        let kept = if in_config { config_of(&stage) } else { stage.stored() };
        assert_eq!(kept, None);
        if in_config {
            assert!(stage.home.config().unwrap().contains("user_email: ada@example.com"), "whose login it was");
            stage.keychain.delete(&stage.service.domain().parse().unwrap()).unwrap();
        }
        let second = print(&stage).await;
        assert_eq!((second.exit_code(), second.stdout.as_str()), (4, ""));
        assert_eq!(stage.service.token_requests().len(), 1);
    }
}

#[tokio::test]
async fn rf_7_transient_failure_is_retried() {
    let unavailable = || Fault::Status(503, json!({"statusCode": 503, "error": "Service Unavailable"}).to_string());
    tokio::join!(
        // The service may have processed the request: one retry.
        transient(TOKEN, Fault::Status(500, String::new()), 2),
        transient(TOKEN, unavailable(), 2),
        transient(TOKEN, Fault::RetryAfter(1), 3),
        transient(TOKEN, Fault::Status(429, json!({"error": "Too Many Requests"}).to_string()), 3),
        transient(TOKEN, Fault::RetryAfter(3600), 1),
        // An unexpected body is not retried.
        transient(TOKEN, Fault::Body("<html>".to_owned()), 1),
        transient(TOKEN, Fault::Redirect("https://portal.example/".to_owned()), 1),
        // Without keys nothing could be verified: the refresh token is not spent.
        transient(KEYS, Fault::Status(502, String::new()), 2),
        transient(KEYS, Fault::Body("<html>".to_owned()), 1),
        transient(KEYS, Fault::Status(401, String::new()), 1),
        transient(KEYS, Fault::CloseMidBody, 2),
    );
}

/// A path that stays broken, for a token that is still valid and for one that is not.
async fn transient(path: &str, fault: Fault, requests: usize) {
    let one = async |seconds: i64, exit_code: u8| {
        let (stage, old) = with_keychain(seconds, Options::default());
        stage.service.fail(path, fault.clone());
        let outcome = print(&stage).await;
        let expected = if exit_code == 0 { printed(&old) } else { String::new() };
        assert_eq!((outcome.exit_code(), outcome.stdout), (exit_code, expected), "{path} {fault:?}");
        assert_eq!(stage.service.requests_to(path).len(), requests, "{path} {fault:?}");
        assert_eq!((stage.stored(), live(&stage)), (Some(old.clone()), old.refresh), "{path} {fault:?}");
        assert!(path == TOKEN || stage.service.token_requests().is_empty());
        stage.service.repair(path);
        assert_eq!((print(&stage).await.exit_code(), stage.service.replays()), (0, 0), "{path} {fault:?}");
    };
    tokio::join!(one(ENDS_SOON, 0), one(ENDED, 1));
}

#[tokio::test]
async fn rf_2_rf_16_unusable_refresh_response_keeps_login() {
    for patch in [json!({"token_type": "DPoP"}), json!({"access_token": null}), json!({"token_type": null})] {
        for (seconds, exit_code) in [(ENDS_SOON, 0), (ENDED, 1)] {
            let (stage, old) = with_keychain(seconds, Options::default());
            stage.service.patch(Part::Token, patch.clone());
            let outcome = print(&stage).await;
            assert_eq!(outcome.exit_code(), exit_code, "{patch}");
            let [live] = stage.service.live_refresh_tokens().try_into().unwrap();
            let kept = Credentials { refresh: Some(RefreshToken::new(live)), ..old };
            assert_eq!(stage.stored(), Some(kept), "{patch}: the rotated refresh token is stored");
        }
    }
}

#[tokio::test]
async fn rf_7_recovered_server_is_not_reported() {
    let (stage, old) = with_keychain(ENDED, Options::default());
    stage.service.fail_times(KEYS, 1, Fault::Status(503, String::new()));
    stage.service.fail_times(TOKEN, 2, Fault::Status(429, String::new()));
    let outcome = print(&stage).await;
    assert_eq!(stage.stored(), Some(renewed(&stage, &old, outcome.stdout.trim_end())));
    assert_eq!((outcome.exit_code(), stage.service.token_requests().len(), stage.service.replays()), (0, 3, 0));
}

#[tokio::test]
async fn rf_7_retry_after_is_obeyed() {
    let (stage, _) = with_keychain(ENDED, Options::default());
    stage.service.fail_times(TOKEN, 1, Fault::RetryAfter(2));
    let started = tokio::time::Instant::now();
    assert_eq!(print(&stage).await.exit_code(), 0);
    assert!(started.elapsed() >= Duration::from_secs(2));
}

#[tokio::test]
async fn rf_7_refused_connection_is_retried() {
    for (seconds, exit_code) in [(ENDS_SOON, 0), (ENDED, 1)] {
        let (stage, old) = with_keychain(seconds, Options::default());
        let old = Credentials { issuer: "http://localhost:1/".to_owned(), ..old };
        stage.keep_in_keychain(&old);
        let started = tokio::time::Instant::now();
        let outcome = print(&stage).await;
        let expected = if exit_code == 0 { printed(&old) } else { String::new() };
        assert_eq!((outcome.exit_code(), outcome.stdout), (exit_code, expected));
        assert_eq!((stage.stored(), stage.service.requests()), (Some(old), vec![]));
        assert!(started.elapsed() >= Duration::from_millis(400 + 800));
    }
}

struct Highest;

impl Random for Highest {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        bytes.fill(u8::MAX);
        Ok(())
    }
}

#[tokio::test]
async fn rf_7_retry_delay_has_jitter() {
    let (mut stage, _) = with_keychain(ENDED, Options::default());
    stage.random = Arc::new(Highest);
    stage.service.fail_times(TOKEN, 2, Fault::Status(429, String::new()));
    let started = tokio::time::Instant::now();
    assert_eq!(print(&stage).await.exit_code(), 0);
    assert!(started.elapsed() >= Duration::from_millis((400 + 800) * 149 / 100));
}

#[tokio::test]
async fn rf_7_lost_response_retried_within_overlap() {
    let (stage, old) = with_keychain(ENDED, Options { overlap: 30, ..Options::default() });
    stage.service.fail_times(TOKEN, 1, Fault::CloseMidBody);
    let outcome = print(&stage).await.success();
    assert_eq!(stage.stored(), Some(renewed(&stage, &old, outcome.stdout.trim_end())));
    assert_eq!((stage.service.token_requests().len(), stage.service.replays()), (2, 0));
}

#[tokio::test]
async fn rf_7_lost_rotation_without_overlap_ends_login() {
    let (stage, old) = with_keychain(ENDED, Options::default());
    stage.service.fail_times(TOKEN, 1, Fault::CloseMidBody);
    let outcome = print(&stage).await;
    assert_eq!((outcome.exit_code(), outcome.stdout.as_str()), (4, ""));
    assert_eq!((stage.service.token_requests().len(), stage.service.replays()), (2, 1));
    assert_eq!(stage.stored(), Some(Credentials { refresh: None, ..old }));
}

#[tokio::test]
async fn rf_8_rf_9_login_of_other_issuer_is_never_used() {
    let foreign = "https://auth.astronomer.io/";
    for seconds in [FRESH, ENDED] {
        let (stage, old) = with_keychain(seconds, Options::default());
        let mut strangers = vec![Credentials { issuer: foreign.to_owned(), ..old.clone() }];
        let claims = json!({"iss": foreign, "exp": old.expires_at.unwrap().as_second()});
        strangers.push(Credentials { access: AccessToken::new(stage.service.access_token(&claims)), ..old.clone() });
        stage.keep_in_keychain(&strangers[0]);
        refused_as_foreign(&stage).await;
        // The Go CLI's fields name no issuer: the token does.
        stage.keep_in_config(&strangers[1]);
        refused_as_foreign(&stage).await;
        assert_eq!(stage.service.requests(), []);
    }
}

async fn refused_as_foreign(stage: &Stage) {
    let outcome = print(stage).await;
    assert_eq!((outcome.exit_code(), outcome.stdout.as_str()), (4, ""));
    let error_chain = format!(
        "the login stored for {} was issued by https://auth.astronomer.io/, which does not belong to that domain",
        stage.service.domain()
    );
    assert_eq!(outcome.error_chain(), error_chain);
    let domain = stage.service.domain();
    let call = stage
        .run(async |system| {
            Session::open(system, Some(&domain))?.call(async |api| api.organizations().await).await.map(drop)
        })
        .await;
    assert_eq!(call.exit_code(), 4);
}

#[tokio::test]
async fn rf_9_refresh_uses_client_and_audience_of_record() {
    let (stage, old) = with_keychain(ENDED, Options::default());
    let old = Credentials { client_id: "another-client".to_owned(), ..old };
    stage.keep_in_keychain(&old);
    assert_eq!(print(&stage).await.exit_code(), 4);
    let clients: Vec<_> = stage.service.token_requests().iter().map(|request| request.form("client_id")).collect();
    assert_eq!((clients, stage.stored()), (vec![Some("another-client".to_owned())], Some(old)));

    let (stage, old) = with_keychain(ENDED, Options::default());
    let old = Credentials { audience: "another-api".to_owned(), ..old };
    stage.keep_in_keychain(&old);
    let outcome = print(&stage).await;
    assert_eq!((outcome.exit_code(), outcome.stdout.as_str()), (4, ""));
    assert_eq!(
        outcome.error_chain(),
        format!("made for `{AUDIENCE}`, `{}userinfo`, not for `another-api`", stage.service.issuer())
    );
    assert_eq!(stage.stored(), Some(Credentials { refresh: live(&stage), ..old }));
}

#[tokio::test]
async fn unreadable_store_is_not_logged_out() {
    let stage = Stage::new();
    assert_eq!(print(&stage).await.error_chain(), format!("not logged in to {}", stage.service.domain()));
    assert_eq!(print(&stage).await.exit_code(), 4);
    stage.keychain.fail(StoreError::Absent { reason: "no bus" });
    let outcome = print(&stage).await;
    let told = format!("not logged in to {}\nno keychain available (no bus)", stage.service.domain());
    assert_eq!((outcome.exit_code(), outcome.error_chain()), (4, told));

    for error in
        [StoreError::Locked, StoreError::Refused, StoreError::TimedOut(Duration::from_secs(3)), StoreError::Damaged]
    {
        let (stage, _) = with_keychain(FRESH, Options::default());
        stage.keychain.fail(error.clone());
        let outcome = print(&stage).await;
        assert_eq!((outcome.exit_code(), outcome.stdout.as_str()), (1, ""));
        assert_eq!(outcome.error_chain(), format!("could not use the keychain\n{error}"));
    }
    stage.home.write_config("a: [");
    assert_eq!(print(&stage).await.exit_code(), 1);
}

#[tokio::test]
async fn login_without_refresh_token_lasts_until_expiry() {
    for (seconds, exit_code) in [(ENDS_SOON, 0), (ENDED, 4)] {
        let (stage, old) = with_keychain(seconds, Options::default());
        let old = Credentials { refresh: None, ..old };
        stage.keep_in_keychain(&old);
        let outcome = print(&stage).await;
        let expected = if exit_code == 0 { printed(&old) } else { String::new() };
        assert_eq!((outcome.exit_code(), outcome.stdout), (exit_code, expected));
        assert_eq!(stage.service.requests(), []);
    }
}

async fn call(stage: &Stage) -> Outcome {
    let domain = stage.service.domain();
    let call = async |system: &_| {
        let organizations = Session::open(system, Some(&domain))?.call(async |api| api.organizations().await).await?;
        system.ui.write_data_ignoring_closed_pipe(&organizations.len().to_string())?;
        Ok(())
    };
    stage.run(call).await
}

fn no() -> Fault {
    Fault::Status(401, json!({"message": "Invalid token", "requestId": "r", "statusCode": 401}).to_string())
}

fn bearers(stage: &Stage) -> Vec<String> {
    let requests = stage.service.requests_to(ORGANIZATIONS);
    requests.iter().map(|request| request.header("authorization").unwrap().replace("Bearer ", "")).collect()
}

#[tokio::test]
async fn unexpected_401_refreshes_once() {
    let (stage, old) = with_keychain(FRESH, Options::default());
    stage.service.fail_times(ORGANIZATIONS, 1, no());
    let outcome = call(&stage).await;
    assert_eq!((outcome.exit_code(), outcome.stdout.as_str()), (0, "2\n"));
    let fresh = stage.stored().unwrap();
    assert_eq!(fresh, renewed(&stage, &old, fresh.access.expose()));
    assert_eq!(bearers(&stage), [old.access.expose(), fresh.access.expose()]);
    assert_eq!(stage.service.token_requests().len(), 1);
}

#[tokio::test]
async fn second_401_fails_with_cause() {
    let (stage, _) = with_keychain(FRESH, Options::default());
    stage.service.fail(ORGANIZATIONS, no());
    let outcome = call(&stage).await;
    assert_eq!((outcome.exit_code(), outcome.stdout.as_str()), (4, ""));
    let domain = stage.service.domain();
    let error_chain = format!(
        "the API of {domain} refused the login\n\
         could not list your organizations: {domain}: HTTP status 401: Invalid token"
    );
    assert_eq!(outcome.error_chain(), error_chain);
    assert_eq!((bearers(&stage).len(), stage.service.token_requests().len()), (2, 1));
}

#[tokio::test]
async fn unrefreshable_401_fails_at_once() {
    let (stage, old) = with_keychain(FRESH, Options::default());
    stage.service.fail(ORGANIZATIONS, no());
    stage.keep_in_keychain(&Credentials { refresh: None, ..old.clone() });
    let outcome = call(&stage).await;
    assert_eq!((outcome.exit_code(), bearers(&stage).len()), (4, 1));
    assert!(outcome.error_chain().ends_with("HTTP status 401: Invalid token"), "{}", outcome.error_chain());

    stage.keep_in_keychain(&Credentials { refresh: Some(RefreshToken::new("v1.revoked")), ..old });
    let outcome = call(&stage).await;
    assert_eq!((outcome.exit_code(), bearers(&stage).len(), stage.service.token_requests().len()), (4, 2, 1));

    let (mut stage, old) = with_keychain(FRESH, Options::default());
    let token = format!("{}.c2ln", stage.service.api_token().rsplit_once('.').unwrap().0);
    stage.environment = stage.environment.clone().with("ASTRO_API_TOKEN", &format!("Bearer {token}"));
    let outcome = call(&stage).await;
    assert_eq!(outcome.error_chain(), "the API refused the token in ASTRO_API_TOKEN");
    assert_eq!((outcome.exit_code(), bearers(&stage)), (4, vec![token]));
    assert_eq!((stage.stored(), stage.service.token_requests()), (Some(old), vec![]));
}

#[tokio::test]
async fn rejected_token_is_never_kept() {
    let (stage, old) = with_keychain(FRESH, Options::default());
    stage.service.fail(ORGANIZATIONS, no());
    stage.service.fail(TOKEN, Fault::Status(500, String::new()));
    let outcome = call(&stage).await;
    assert_eq!((outcome.exit_code(), bearers(&stage).len(), stage.stored()), (1, 1, Some(old)));
}

#[tokio::test]
async fn rf_11_environment_token_needs_no_store_or_network() {
    let (mut stage, _) = with_keychain(ENDED, Options::default());
    stage.keychain.fail(StoreError::Locked);
    stage.home.write_config("a: [");
    let held = stage.service.api_token();
    for value in [format!("Bearer {held}"), format!(" bearer\t{held}\n"), held.clone()] {
        stage.environment = stage.environment.clone().with("ASTRO_API_TOKEN", &value);
        let outcome = stage.run(async |system| token(system, None).await).await;
        assert_eq!(
            (outcome.exit_code(), outcome.stdout.as_str(), outcome.stderr.as_str()),
            (0, format!("{held}\n").as_str(), "")
        );
    }
    assert_eq!((stage.service.requests(), stage.home.config().as_deref()), (vec![], Some("a: [")));
    assert_eq!(fs::read_dir(stage.home.path().join(".astro")).unwrap().count(), 1);

    stage.environment = stage.environment.clone().with("ASTRO_API_TOKEN", " Bearer ");
    assert_eq!(stage.run(async |system| token(system, None).await).await.exit_code(), 1);
    assert!(File::open(stage.home.config_path()).is_ok());
}
