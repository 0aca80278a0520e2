//! A login in the vault of Astro CLI 2, with the vault's key in memory: saved, used, renewed and removed. `vault` has the same
//! with a real keyring and a second program.

use std::fs;
use std::time::Duration;

use astro_login::commands::login::Login;
use astro_login::commands::logout::{Logout, logout};
use astro_login::commands::status::{Status, status};
use astro_login::config::{Config, Context};
use astro_login::credentials::vault::{VaultName, VaultTokens};
use astro_login::credentials::{Credentials, StoreError};
use astro_login::domain::Domain;
use astro_login::http::TimeLimits;
use astro_login::session::{set_pointer, set_tokens};
use astro_login::token::AccessToken;
use serde_json::{Value, json};

use crate::support::{CLIENT_ID, Fault, Mode, Options, Outcome, Stage, token};

const ENDED: i64 = -3600;
const ENDS_SOON: i64 = 200;
const FRESH: i64 = 3600;
const POINTER: &str = "        token: 'Bearer '\n";

/// Returns a stage with an empty vault.
fn stage() -> Stage {
    let stage = Stage::with(Options::default(), Mode::LogIn("ada@example.com".to_owned()));
    let folder = stage.home.path().join(".astro/secrets");
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder).unwrap();
    stage
}

/// Returns a stage with an earlier login in the vault, and that login.
fn with_vault(seconds: i64) -> (Stage, Credentials) {
    let stage = stage();
    let credentials = stage.earlier_login(seconds);
    keep(&stage, &stage.service.domain(), &credentials);
    (stage, credentials)
}

/// Leaves a login in the vault as Astro CLI 2 does.
fn keep(stage: &Stage, domain: &str, credentials: &Credentials) {
    stage.vault().save(&name(stage, domain), &VaultTokens::from(credentials)).unwrap();
    let end = credentials.expires_at;
    change(stage, domain, |context| set_pointer(context, end));
}

fn change(stage: &Stage, domain: &str, change: impl FnOnce(&mut Context)) {
    let domain: Domain = domain.parse().unwrap();
    let edited = Config::new(stage.home.path()).edit(|document| {
        document.update_context(&domain, |context| {
            context.user_email = Some("ada@example.com".to_owned());
            context.auth_domain = Some(stage.service.issuer());
            context.auth_client_id = Some(CLIENT_ID.to_owned());
            change(context);
        })
    });
    edited.unwrap();
}

fn name(stage: &Stage, domain: &str) -> VaultName {
    let domain: Domain = domain.parse().unwrap();
    VaultName::new(&Config::new(stage.home.path()).canonical_path(), &domain.context_key())
}

fn entry(stage: &Stage) -> Option<VaultTokens> {
    stage.vault().load(&stage.vault_name()).unwrap()
}

fn entry_path(stage: &Stage) -> std::path::PathBuf {
    let mut entries = fs::read_dir(stage.home.path().join(".astro/secrets")).unwrap();
    entries.find_map(|it| it.ok().map(|it| it.path()).filter(|it| it.extension().is_some())).unwrap()
}

fn context(stage: &Stage, domain: &str) -> Context {
    Config::new(stage.home.path()).read().unwrap().context(&domain.parse().unwrap()).unwrap()
}

async fn print(stage: &Stage) -> Outcome {
    stage.run(async |system| token(system, Some(&stage.service.domain())).await).await
}

async fn state(stage: &Stage) -> (u8, Value) {
    let request = Status { domain: Some(stage.service.domain()).into(), json: true.into(), check: false };
    let outcome = stage.run(async |system| status(system, &request).await).await;
    (outcome.exit_code(), serde_json::from_str(&outcome.stdout).unwrap())
}

async fn log_out(stage: &Stage) -> Outcome {
    let request = Logout { domain: Some(stage.service.domain()).into(), all: false, json: false.into() };
    stage.run(async |system| logout(system, &request).await).await
}

fn printed(credentials: &Credentials) -> String {
    format!("{}\n", credentials.access.expose())
}

#[tokio::test]
async fn rf_19_login_is_shared_through_vault() {
    let stage = stage();
    stage.keep_in_keychain(&stage.earlier_login(FRESH));
    stage.vault().mark(&stage.vault_name()).unwrap();
    let outcome = stage.login(&stage.request()).await.success();
    let place = "  credentials   Astro CLI 2's vault (~/.astro/secrets), shared with it and Astro Desktop\n";
    assert!(outcome.stderr.contains(place), "{}", outcome.stderr);
    let config = stage.home.config().unwrap();
    assert!(config.contains(POINTER) && !config.contains("refreshtoken"), "{config}");
    assert!(!stage.vault().has(&stage.vault_name().marker()));
    assert_eq!(stage.stored(), None, "the copy in the keychain is removed");
    let [live] = stage.service.live_refresh_tokens().try_into().unwrap();
    let saved = entry(&stage).unwrap();
    assert_eq!(saved.refresh.unwrap().expose(), live, "the replaced one was revoked");
    let access = saved.access.unwrap();
    assert_eq!(print(&stage).await.stdout, format!("{}\n", access.expose()));
    let (code, status) = state(&stage).await;
    assert_eq!((code, &status["state"], &status["source"]), (0, &json!("valid"), &json!("astro_vault")));
    assert_eq!(status["warnings"], json!([]));

    let outcome = log_out(&stage).await.success();
    assert!(outcome.stderr.contains("Removed credentials from Astro CLI 2's vault (~/.astro/secrets)\n"));
    assert_eq!((entry(&stage), stage.service.live_refresh_tokens()), (None, vec![]));
    assert!(!stage.home.config().unwrap().contains("token"));
}

#[tokio::test]
async fn login_over_vault_and_plaintext_revokes_both() {
    let (stage, old) = with_vault(FRESH);
    let plain = stage.earlier_login(FRESH);
    change(&stage, &stage.service.domain(), |context| set_tokens(context, plain));
    // The question was answered.
    stage.home.write_config(&format!("credentials: auto\n{}", stage.home.config().unwrap()));
    assert_eq!(stage.service.live_refresh_tokens().len(), 2);
    let outcome = stage.login(&stage.request()).await.success();
    assert!(outcome.stderr.contains("so Astro CLI 1.x is now logged out"), "{}", outcome.stderr);
    assert_eq!(stage.service.live_refresh_tokens().len(), 1);
    assert_ne!(entry(&stage).unwrap().refresh, old.refresh);
}

#[tokio::test]
async fn pointer_without_entry_is_not_logged_in() {
    for with_folder in [true, false] {
        let (stage, _) = with_vault(FRESH);
        stage.keep_in_keychain(&stage.earlier_login(FRESH));
        stage.vault().remove(&stage.vault_name().entry()).unwrap();
        if !with_folder {
            fs::remove_dir(stage.home.path().join(".astro/secrets")).unwrap();
        }
        let outcome = print(&stage).await;
        assert_eq!((outcome.exit_code(), outcome.stdout.as_str()), (4, ""), "the keychain's login is not used");
        assert_eq!(state(&stage).await.1["state"], "signed_out");
    }
}

#[tokio::test]
async fn rf_19_unreadable_entry_is_never_not_logged_in() {
    let other_key = "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=";
    let table = [
        (Ok(None), "its key is not in the keychain"),
        (Ok(Some(other_key)), "it was encrypted with another key than the one in the keychain"),
        (Ok(Some("x")), "its key in the keychain is damaged"),
        (Err(StoreError::Locked), "the keychain is locked"),
        (Err(StoreError::Absent { reason: "no session bus" }), "no keychain available (no session bus)"),
    ];
    for (key, reason) in table {
        let (stage, _) = with_vault(FRESH);
        stage.keep_in_keychain(&stage.earlier_login(FRESH));
        stage.vault_key.set(key);
        let outcome = print(&stage).await;
        let expected = format!("could not use the login in Astro CLI 2's vault\n{reason}");
        assert_eq!((outcome.exit_code(), outcome.stdout.as_str()), (1, ""));
        assert_eq!(outcome.error_chain(), expected);
        let (code, status) = state(&stage).await;
        let told = (&status["state"], &status["source"], &status["account"]);
        assert_eq!((code, told), (1, (&json!("unknown"), &json!("astro_vault"), &json!("ada@example.com"))));
        let outcome = log_out(&stage).await;
        assert_eq!(outcome.exit_code(), 1);
        let unread =
            format!("could not read the credentials before ({reason}), so a refresh token in them was not revoked");
        assert!(outcome.stderr.contains(&unread), "{}", outcome.stderr);
        assert!(!stage.vault().has(&stage.vault_name().entry()) && !stage.home.config().unwrap().contains("token"));
    }
}

#[tokio::test]
async fn rf_1_rf_20_login_in_vault_is_renewed_there() {
    for seconds in [ENDS_SOON, ENDED] {
        let (stage, old) = with_vault(seconds);
        let before = context(&stage, &stage.service.domain());
        let outcome = print(&stage).await.success();
        let [live] = stage.service.live_refresh_tokens().try_into().unwrap();
        let renewed = entry(&stage).unwrap();
        assert_eq!(outcome.stdout, format!("{}\n", renewed.access.unwrap().expose()));
        assert_eq!(renewed.refresh.unwrap().expose(), live);
        let after = context(&stage, &stage.service.domain());
        assert!(after.in_vault && after.expires_at > before.expires_at && old.expires_at == before.expires_at);
        assert!(stage.home.path().join(".astro/config.yaml.renew.lock").exists());
    }
}

#[tokio::test]
async fn rf_20_contexts_with_same_refresh_token_are_renewed() {
    for in_vault in [true, false] {
        let (stage, old) = with_vault(ENDED);
        let theirs = stage.earlier_login(ENDED);
        keep(&stage, "localhost:1", &old);
        change(&stage, "localhost:2", |context| set_tokens(context, old.clone()));
        // Another person's, and one of another client.
        change(&stage, "localhost:3", |context| set_tokens(context, theirs.clone()));
        change(&stage, "localhost:4", |context| {
            set_tokens(context, old.clone());
            context.auth_client_id = None;
        });
        if !in_vault {
            stage.vault().remove(&stage.vault_name().entry()).unwrap();
            change(&stage, &stage.service.domain(), |context| set_tokens(context, old.clone()));
        }
        drop(print(&stage).await.success());
        let live = stage.service.live_refresh_tokens();
        let shared = stage.vault().load(&name(&stage, "localhost:1")).unwrap().unwrap();
        assert!(live.contains(&shared.refresh.as_ref().unwrap().expose().to_owned()));
        let refresh = |domain: &str| context(&stage, domain).refresh_token;
        assert_eq!((refresh("localhost:2"), refresh("localhost:3")), (shared.refresh.clone(), theirs.refresh));
        assert_eq!(refresh("localhost:4"), old.refresh);
        let own = if in_vault { entry(&stage).unwrap().refresh } else { refresh(&stage.service.domain()) };
        assert_eq!(own, shared.refresh);

        drop(log_out(&stage).await.success());
        assert!(!stage.vault().has(&name(&stage, "localhost:1").entry()));
        assert_eq!((refresh("localhost:1"), refresh("localhost:2")), (None, None));
        assert!(refresh("localhost:3").is_some());
    }
}

#[tokio::test]
async fn rf_20_renewal_waits_for_lock_of_astro_cli_2() {
    let (stage, _) = with_vault(ENDED);
    let other = stage.earlier_login(FRESH);
    let lock = Config::new(stage.home.path()).lock_renewal(Duration::ZERO).unwrap();
    let (outcome, ()) = tokio::join!(print(&stage), async {
        // Fetched before the lock is waited for.
        while stage.service.requests_to("/.well-known/jwks.json").is_empty() {
            tokio::task::yield_now().await;
        }
        keep(&stage, &stage.service.domain(), &other);
        drop(lock);
    });
    assert_eq!((outcome.exit_code(), outcome.stdout), (0, printed(&other)));
    assert_eq!(stage.service.token_requests(), []);
}

#[tokio::test]
async fn rf_20_without_lock_of_astro_cli_2_nothing_is_spent() {
    for (seconds, exit_code) in [(ENDS_SOON, 0), (ENDED, 1)] {
        let (stage, old) = with_vault(seconds);
        fs::create_dir(stage.home.path().join(".astro/config.yaml.renew.lock")).unwrap();
        let outcome = print(&stage).await;
        let expected = if exit_code == 0 { printed(&old) } else { String::new() };
        assert_eq!((outcome.exit_code(), outcome.stdout), (exit_code, expected));
        assert_eq!(stage.service.token_requests(), []);
    }
}

/// Time advances only by the waits for the lock, so no request times out.
#[tokio::test(start_paused = true)]
async fn rf_20_wait_for_lock_of_astro_cli_2_ends_after_30_seconds() {
    for (seconds, exit_code) in [(ENDS_SOON, 0), (ENDED, 1)] {
        let mut stage = stage();
        let old = stage.earlier_login(seconds);
        change(&stage, &stage.service.domain(), |context| set_tokens(context, old.clone()));
        let day = Duration::from_secs(86_400);
        stage.limits = TimeLimits { connect: day, request: day, keys: day, ..stage.limits };
        let _lock = Config::new(stage.home.path()).lock_renewal(Duration::ZERO).unwrap();
        let mut print = std::pin::pin!(print(&stage));
        let outcome = loop {
            tokio::select! {
                biased;
                outcome = &mut print => break outcome,
                () = tokio::time::advance(Duration::from_millis(50)) => {}
            }
        };
        let expected = if exit_code == 0 { printed(&old) } else { String::new() };
        assert_eq!((outcome.exit_code(), &outcome.stdout), (exit_code, &expected));
        if exit_code == 1 {
            let said = "config.yaml.renew.lock has been locked by another program for 30 seconds";
            assert!(outcome.error_chain().ends_with(said), "{}", outcome.error_chain());
        }
        let stored = context(&stage, &stage.service.domain());
        assert_eq!((stage.service.token_requests(), stored.refresh_token), (vec![], old.refresh));
    }
}

#[tokio::test]
async fn rf_20_refresh_token_beside_empty_token_is_renewed() {
    for with_issuer in [true, false] {
        let (stage, old) = with_vault(FRESH);
        change(&stage, &stage.service.domain(), |context| {
            context.token = Some(AccessToken::new(""));
            context.refresh_token.clone_from(&old.refresh);
            if !with_issuer {
                (context.auth_domain, context.auth_client_id) = (None, None);
            }
        });
        assert!(stage.home.config().unwrap().contains(POINTER));
        let (code, status) = state(&stage).await;
        let told = (&status["state"], &status["source"], &status["expires_at"]);
        assert_eq!((code, told), (0, (&json!("refreshable"), &json!("config"), &Value::Null)));
        assert!(stage.service.token_requests().is_empty());
        let outcome = print(&stage).await;
        assert_eq!(outcome.exit_code(), 0, "{}", outcome.error_chain());
        let renewed = context(&stage, &stage.service.domain());
        assert_eq!(outcome.stdout, format!("{}\n", renewed.token.unwrap().expose()));
        let [live] = stage.service.live_refresh_tokens().try_into().unwrap();
        assert_eq!(renewed.refresh_token.unwrap().expose(), live);
        assert!(stage.home.path().join(".astro/config.yaml.renew.lock").exists());
    }
    let (stage, old) = with_vault(FRESH);
    change(&stage, &stage.service.domain(), |context| {
        context.token = Some(AccessToken::new(""));
        context.refresh_token.clone_from(&old.refresh);
    });
    let refused = json!({"error": "invalid_grant"}).to_string();
    stage.service.fail("/oauth/token", Fault::Status(400, refused));
    let outcome = print(&stage).await;
    assert_eq!((outcome.exit_code(), outcome.stdout.as_str()), (4, ""));
    // Without its refresh token, the empty one would be the pointer to the vault.
    let left = context(&stage, &stage.service.domain());
    assert_eq!((left.token, left.in_vault), (None, false));
}

#[tokio::test]
async fn login_keeps_refresh_token_that_other_context_uses() {
    for (is_same, insecure_storage) in [(true, false), (true, true), (false, false)] {
        let (mut stage, old) = with_vault(FRESH);
        keep(&stage, "localhost:1", &old);
        if !is_same {
            stage.send(Mode::LogIn("grace@example.org".to_owned()));
        }
        let organization = Some("Compilers".to_owned());
        let request = Login { insecure_storage, organization, ..stage.request() };
        let outcome = stage.login(&request).await.success();
        let shared = stage.vault().load(&name(&stage, "localhost:1")).unwrap().unwrap().refresh.unwrap();
        let live = stage.service.live_refresh_tokens();
        assert!(live.contains(&shared.expose().to_owned()), "{is_same}");
        let own = if insecure_storage {
            context(&stage, &stage.service.domain()).refresh_token
        } else {
            entry(&stage).unwrap().refresh
        };
        assert_eq!((live.len(), own == Some(shared.clone())), if is_same { (1, true) } else { (2, false) });
        let said = "Did not revoke the replaced refresh token, which is still in use: localhost:1\n";
        assert_eq!(outcome.stderr.contains(said), !is_same, "{}", outcome.stderr);
        assert_eq!(Some(&shared) == old.refresh.as_ref(), !is_same);
    }
}

#[tokio::test]
async fn keychain_login_keeps_refresh_token_of_other_context() {
    let (mut stage, old) = with_vault(FRESH);
    keep(&stage, "localhost:1", &old);
    stage.environment = stage.environment.clone().with("ASTRO_CREDENTIALS", "keychain");
    drop(stage.login(&stage.request()).await.success());
    let shared = stage.vault().load(&name(&stage, "localhost:1")).unwrap().unwrap();
    assert_eq!((shared.refresh.as_ref(), stage.service.live_refresh_tokens().len()), (old.refresh.as_ref(), 2));
    assert_ne!(stage.stored().unwrap().refresh, old.refresh);
}

#[tokio::test]
async fn logout_names_contexts_that_shared_the_login() {
    let (stage, old) = with_vault(FRESH);
    keep(&stage, "localhost:1", &old);
    let outcome = log_out(&stage).await.success();
    assert!(outcome.stderr.contains("Logged out of localhost:1, which shared the login\n"), "{}", outcome.stderr);
    assert!(stage.service.live_refresh_tokens().is_empty());
}

#[tokio::test]
async fn rf_12_copy_of_one_login_is_revoked_once() {
    let (stage, old) = with_vault(FRESH);
    change(&stage, &stage.service.domain(), |context| set_tokens(context, old.clone()));
    stage.keep_in_keychain(&old);
    let outcome = log_out(&stage).await.success();
    for line in ["Revoked the refresh token\n", "Access tokens already copied elsewhere"] {
        assert_eq!(outcome.stderr.matches(line).count(), 1, "{}", outcome.stderr);
    }
    assert_eq!(stage.service.requests_to("/oauth/revoke").len(), 1);
    assert_eq!((entry(&stage), stage.stored()), (None, None));
}

#[tokio::test]
async fn insecure_storage_marks_context_and_removes_entry() {
    let (stage, _) = with_vault(FRESH);
    let request = Login { insecure_storage: true, ..stage.request() };
    drop(stage.login(&request).await.success());
    let context = context(&stage, &stage.service.domain());
    assert!(context.token.is_some() && !context.in_vault);
    assert!(stage.vault().has(&stage.vault_name().marker()) && !stage.vault().has(&stage.vault_name().entry()));
    assert_eq!(stage.service.live_refresh_tokens().len(), 1);
    let (_, status) = state(&stage).await;
    assert_eq!(status["source"], "config");
    let place = stage.home.config_path();
    let shared = format!("{} (unencrypted), shared with Astro CLI 1.x, Astro CLI 2 and Astro Desktop", place.display());
    assert_eq!(status["location"], json!(shared));
    drop(log_out(&stage).await.success());
    assert!(stage.vault().has(&stage.vault_name().marker()), "as in Astro CLI 2");
}

#[tokio::test]
async fn rf_19_login_beside_newer_vault_is_in_keychain() {
    let (stage, _) = with_vault(FRESH);
    let path = entry_path(&stage);
    let newer = fs::read_to_string(&path).unwrap().replace("enc:v2:", "enc:v3:");
    fs::write(&path, &newer).unwrap();
    let outcome = stage.login(&stage.request()).await.success();
    let domain = stage.service.domain();
    let said =
        format!("Astro CLI 2 and Astro Desktop are logged out of {domain}: a newer version of Astro CLI 2 wrote ");
    assert!(outcome.stderr.contains(&said), "{}", outcome.stderr);
    assert!(stage.stored().is_some());
    let context = context(&stage, &domain);
    assert!(context.token.is_none() && !context.in_vault);
    assert_eq!(fs::read_to_string(&path).unwrap(), newer);
    assert_eq!(print(&stage).await.exit_code(), 0);
}

#[tokio::test]
async fn login_without_key_leaves_vault_alone() {
    for (key, exit_code, in_keychain) in [
        (Ok(None), 0, true),
        (Err(StoreError::Locked), 1, false),
        (Err(StoreError::TimedOut(Duration::from_secs(3))), 1, false),
    ] {
        let (stage, _) = with_vault(FRESH);
        let (config, vault) = (stage.home.config(), fs::read(entry_path(&stage)).unwrap());
        stage.vault_key.set(key);
        let outcome = stage.login(&stage.request()).await;
        assert_eq!((outcome.exit_code(), stage.stored().is_some()), (exit_code, in_keychain), "{}", outcome.stderr);
        assert_eq!(fs::read(entry_path(&stage)).unwrap(), vault);
        if exit_code == 1 {
            assert_eq!((stage.home.config(), stage.browser.opened()), (config, vec![]));
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn rf_19_folder_open_to_others_is_read_with_warning() {
    use std::os::unix::fs::PermissionsExt as _;
    let (stage, old) = with_vault(ENDS_SOON);
    let folder = stage.home.path().join(".astro/secrets");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o750)).unwrap();
    let outcome = print(&stage).await;
    assert_eq!((outcome.exit_code(), outcome.stdout.as_str()), (0, printed(&old).as_str()));
    assert!(outcome.stderr.contains("so nothing is written there"), "{}", outcome.stderr);
    assert_eq!(stage.service.token_requests(), [], "what cannot be stored is not spent");
    let (_, status) = state(&stage).await;
    assert_eq!(status["warnings"][0]["code"], "vault_open_to_others");
    let outcome = log_out(&stage).await;
    let remedy = format!("hint: run `chmod 700 {}`, then run this command again\n", folder.display());
    assert_eq!((outcome.exit_code(), outcome.stderr.matches(&remedy).count()), (1, 1), "{}", outcome.stderr);
    let outcome = stage.login(&stage.request()).await.success();
    assert_eq!(outcome.stderr.matches("hint: run `chmod 700").count(), 2, "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("with Astro CLI 2"), "{}", outcome.stderr);
    assert!(stage.vault().has(&stage.vault_name().entry()));
    assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o750);
}

#[tokio::test]
async fn plaintext_that_came_back_is_used_and_said() {
    let (stage, _) = with_vault(FRESH);
    let plain = stage.earlier_login(FRESH);
    change(&stage, &stage.service.domain(), |context| set_tokens(context, plain.clone()));
    let outcome = print(&stage).await;
    assert_eq!((outcome.exit_code(), outcome.stdout.as_str()), (0, printed(&plain).as_str()));
    assert!(outcome.stderr.contains("Astro CLI 1.x wrote its login back to config.yaml"), "{}", outcome.stderr);
    let (_, status) = state(&stage).await;
    let codes: Vec<&Value> = status["warnings"].as_array().unwrap().iter().map(|it| &it["code"]).collect();
    assert!(codes.contains(&&json!("two_logins")), "{codes:?}");
}
