//! `astro auth status`: its text, its JSON and its exit codes.

use std::time::Duration;

use astro_login::commands::status::{Status, status};
use astro_login::credentials::{Credentials, StoreError};
use astro_login::environment::Environment;
use astro_login::token::RefreshToken;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::{Fault, Mode, Options, Outcome, Stage};

/// 2026-11-24T10:00:00Z, the time of every login.
const SIGN_IN: i64 = 1_795_514_400;

fn at_login() -> Timestamp {
    Timestamp::from_second(SIGN_IN).unwrap()
}

fn one_hour_later() -> Timestamp {
    Timestamp::from_second(SIGN_IN + 3_600).unwrap()
}

fn two_days_later() -> Timestamp {
    Timestamp::from_second(SIGN_IN + 2 * 86_400).unwrap()
}

fn stage() -> Stage {
    let options = Options { now: Some(SIGN_IN), ..Options::default() };
    let mut stage = Stage::with(options, Mode::LogIn("ada@example.com".to_owned()));
    stage.clock = at_login;
    stage
}

/// Returns a stage on which Ada logged in an hour ago and selected a workspace. Earlier requests are not recorded.
async fn logged_in(insecure_storage: bool) -> Stage {
    let mut stage = stage();
    let workspace = Some("Punched Cards".to_owned());
    let login =
        stage.login(&astro_login::commands::login::Login { insecure_storage, workspace, ..stage.request() }).await;
    assert_eq!(login.exit_code(), 0, "{}", login.stderr);
    drop(stage.browser.answers());
    at(&mut stage, one_hour_later);
    stage
}

fn at(stage: &mut Stage, now: fn() -> Timestamp) {
    stage.clock = now;
    stage.service.set(|options| options.now = Some(now().as_second()));
}

async fn ask(stage: &Stage, flags: &[&str]) -> Outcome {
    let request = Status {
        domain: Some(stage.service.domain()).into(),
        json: flags.contains(&"--json").into(),
        check: flags.contains(&"--check"),
    };
    stage.run(async |system| status(system, &request).await).await
}

fn normalize(stage: &Stage, text: &str) -> String {
    text.replace(&stage.service.domain(), "localhost:PORT").replace(&stage.home.path().display().to_string(), "HOME")
}

fn parsed(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.stdout).unwrap()
}

fn codes(report: &Value) -> Vec<&str> {
    report["warnings"].as_array().unwrap().iter().map(|warning| warning["code"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn status_shows_account_place_expiry_offline() {
    let stage = logged_in(false).await;
    let before = stage.service.requests().len();
    let outcome = ask(&stage, &[]).await.success();
    assert_eq!(outcome.stderr, "");
    let expected = "\
domain        localhost:PORT
account       ada@example.com
organization  Analytical Engines
workspace     Punched Cards
credentials   the test's keychain
issued        2026-11-24 10:00 UTC (1 hour ago)
expires       2026-11-25 10:00 UTC (in 23 hours), renews automatically
";
    assert_eq!(normalize(&stage, &outcome.stdout), expected);
    assert_eq!(stage.service.requests().len(), before);
}

#[tokio::test]
async fn cl_17_unverified_token_is_not_called_checked() {
    let claims_a_check = |outcome: &Outcome| outcome.stdout.contains("checked") || outcome.stdout.contains("accepted");
    let mut stage = logged_in(true).await;
    let outcome = ask(&stage, &[]).await;
    assert!(!claims_a_check(&outcome), "{}", outcome.stdout);
    stage.service.set(|options| options.signing_key = 1);
    let forged = stage.service.access_token(&json!({}));
    stage.environment = Environment::from_pairs(&[("ASTRO_API_TOKEN", &forged)]);
    let outcome = ask(&stage, &[]).await;
    assert!(!claims_a_check(&outcome), "{}", outcome.stdout);
    assert_eq!(parsed(&ask(&stage, &["--json"]).await)["check"], Value::Null);
}

#[tokio::test]
async fn status_json_user() {
    let stage = logged_in(false).await;
    let outcome = ask(&stage, &["--json"]).await.success();
    let expected = include_str!("../snapshots/status-user.json");
    assert_eq!(normalize(&stage, &outcome.stdout), expected);
}

#[tokio::test]
async fn status_json_logged_out() {
    let stage = stage();
    let outcome = ask(&stage, &["--json"]).await;
    assert_eq!(
        (outcome.exit_code(), outcome.error_chain()),
        (4, format!("not logged in to {}", stage.service.domain()))
    );
    let expected = include_str!("../snapshots/status-logged-out.json");
    assert_eq!(normalize(&stage, &outcome.stdout), expected);
}

#[tokio::test]
async fn status_json_api_token() {
    let stage = stage();
    drop(stage.login(&stage.token_request(&stage.service.api_token())).await.success());
    let outcome = ask(&stage, &["--json"]).await.success();
    let expected = include_str!("../snapshots/status-api-token.json");
    assert_eq!(normalize(&stage, &outcome.stdout), expected);
    let people = normalize(&stage, &ask(&stage, &[]).await.stdout);
    assert!(people.contains("type          API token (signature not verified)\n"), "{people}");
    assert!(people.contains("expires       never\n"), "{people}");
}

#[tokio::test]
async fn status_json_environment_token_wins() {
    let mut stage = logged_in(false).await;
    let patch =
        json!({"exp": SIGN_IN + 7_200, "permissions": ["apiTokenId:t", "organizationId:clorg00000000000000000002"]});
    let token = stage.service.api_token_with(&patch);
    stage.environment = Environment::from_pairs(&[("ASTRO_API_TOKEN", &token)]);
    stage.keychain.fail(StoreError::Locked);
    let outcome = ask(&stage, &["--json"]).await.success();
    let expected = include_str!("../snapshots/status-environment-token.json");
    assert_eq!(normalize(&stage, &outcome.stdout), expected);
    let people = ask(&stage, &[]).await;
    let line = "credentials   ASTRO_API_TOKEN, which overrides any login\n";
    assert!(people.stdout.contains(line), "{}", people.stdout);
    assert!(people.stdout.contains("type          API token (signature not verified)\n"), "{}", people.stdout);
    assert_eq!(
        people.stderr,
        "warning: ASTRO_API_TOKEN is set and overrides the login of ada@example.com\n\
         hint: unset ASTRO_API_TOKEN to use the login\n\
         warning: ASTRO_API_TOKEN is for another organization, clorg00000000000000000002\n\
         hint: unset ASTRO_API_TOKEN to work in the organization of the login\n"
    );
}

#[tokio::test]
async fn status_environment_token_expired_or_invalid() {
    let mut stage = stage();
    let expired = stage.service.api_token_with(&json!({"exp": SIGN_IN - 60}));
    let table = [
        (expired.as_str(), "expired", "the token in ASTRO_API_TOKEN expired on 2026-11-24 (1 minute ago)"),
        ("rubbish", "refused", "not a JSON Web Token (JWT)"),
    ];
    for (token, state, error_chain) in table {
        stage.environment = Environment::from_pairs(&[("ASTRO_API_TOKEN", token)]);
        let outcome = ask(&stage, &["--json"]).await;
        assert_eq!((outcome.exit_code(), &parsed(&outcome)["state"]), (4, &json!(state)));
        assert!(outcome.error_chain().contains(error_chain), "{}", outcome.error_chain());
        assert!(!outcome.error_chain().contains(token));
    }
    assert_eq!(stage.service.requests(), []);
}

#[tokio::test]
async fn status_expired_login_needs_refresh_token() {
    let mut stage = logged_in(false).await;
    at(&mut stage, two_days_later);
    let outcome = ask(&stage, &["--json"]).await;
    assert_eq!((outcome.exit_code(), &parsed(&outcome)["state"]), (0, &json!("refreshable")));

    let mut credentials = stage.stored().unwrap();
    credentials.refresh = None;
    stage.keychain.put(&stage.service.domain(), credentials);
    let outcome = ask(&stage, &["--json"]).await;
    assert_eq!((outcome.exit_code(), &parsed(&outcome)["state"]), (4, &json!("expired")));
    assert_eq!(
        outcome.error_chain(),
        format!("your login to {} expired on 2026-11-25 (1 day ago)", stage.service.domain())
    );
}

#[tokio::test]
async fn status_unreadable_store_is_not_logged_out() {
    for error in [
        StoreError::Locked,
        StoreError::Refused,
        StoreError::TimedOut(Duration::from_secs(3)),
        StoreError::Disconnected,
        StoreError::Damaged,
        StoreError::NewerFormat,
        StoreError::Other("odd".to_owned()),
    ] {
        let stage = logged_in(false).await;
        stage.keychain.fail(error.clone());
        let outcome = ask(&stage, &["--json"]).await;
        let report = parsed(&outcome);
        assert_eq!((outcome.exit_code(), &report["state"], &report["source"]), (1, &json!("unknown"), &Value::Null));
        assert_eq!(outcome.error_chain(), format!("could not use the keychain\n{error}"));
        let people = ask(&stage, &[]).await;
        assert_eq!(people.exit_code(), 1);
        let said = "domain        localhost:PORT\norganization  Analytical Engines\n\
                    workspace     Punched Cards\n";
        assert_eq!(normalize(&stage, &people.stdout), said);
    }
}

#[tokio::test]
async fn status_invalid_config_is_not_logged_out() {
    let mut stage = stage();
    stage.home.write_config("contexts: [\n");
    let outcome = ask(&stage, &["--json"]).await;
    assert_eq!((outcome.exit_code(), &parsed(&outcome)["state"]), (1, &json!("unknown")));
    let token = stage.service.api_token();
    stage.environment = Environment::from_pairs(&[("ASTRO_API_TOKEN", &token)]);
    let outcome = ask(&stage, &["--json"]).await;
    assert_eq!((outcome.exit_code(), &parsed(&outcome)["state"]), (0, &json!("valid")));
    assert_eq!(codes(&parsed(&outcome)), ["config_unreadable"]);
}

#[cfg(unix)]
#[tokio::test]
async fn status_warns_of_plaintext_and_permissions() {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;

    let stage = logged_in(true).await;
    let folder = stage.home.path().join(".astro");
    set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
    // The choice of the login is forgotten with this file.
    std::fs::remove_file(folder.join("login-names.json")).unwrap();
    let plaintext = "warning: tokens are stored unencrypted in HOME/.astro/config.yaml\n\
                     hint: run `astro login` in a terminal with a keychain available to move them there\n";
    let outcome = ask(&stage, &[]).await;
    assert_eq!((outcome.exit_code(), normalize(&stage, &outcome.stderr)), (0, plaintext.to_owned()));
    let line = "credentials   HOME/.astro/config.yaml (unencrypted)\n";
    assert!(normalize(&stage, &outcome.stdout).contains(line), "{}", outcome.stdout);

    set_permissions(stage.home.config_path(), Permissions::from_mode(0o644)).unwrap();
    set_permissions(&folder, Permissions::from_mode(0o775)).unwrap();
    let outcome = ask(&stage, &[]).await;
    let file =
        "warning: HOME/.astro/config.yaml is readable by others\nhint: run `chmod 600 HOME/.astro/config.yaml`\n";
    let folder = "warning: others may write in HOME/.astro\nhint: run `chmod go-w HOME/.astro`\n";
    assert_eq!(normalize(&stage, &outcome.stderr), format!("{plaintext}{file}{folder}"));
    let report = parsed(&ask(&stage, &["--json"]).await);
    assert_eq!(codes(&report), ["plaintext_tokens", "config_readable_by_others", "folder_writable_by_others"]);
    assert_eq!(report["source"], "config");
}

#[tokio::test]
async fn check_calls_api_and_compares_clocks() {
    for (ahead, codes_expected) in [(0, vec![]), (-60, vec![]), (61, vec!["clock_off"]), (-3_000, vec!["clock_off"])] {
        let stage = logged_in(false).await;
        stage.service.set(|options| options.now = Some(one_hour_later().as_second() - ahead));
        let before = stage.service.requests().len();
        let outcome = ask(&stage, &["--json", "--check"]).await;
        let report = parsed(&outcome);
        assert_eq!(outcome.exit_code(), 0, "{:?}", outcome.result);
        assert_eq!(report["check"], json!({"outcome": "accepted", "clock_ahead_seconds": ahead}));
        assert_eq!(codes(&report), codes_expected);
        let mut asked: Vec<String> = stage.service.requests()[before..].iter().map(|it| it.path.clone()).collect();
        // The names are asked for at the same time.
        asked.sort();
        let organization = "/v1/organizations/clorg00000000000000000001";
        assert_eq!(asked, [organization, &format!("{organization}/workspaces"), "/v1/users/self"]);
    }
    let stage = logged_in(false).await;
    stage.service.set(|options| options.now = Some(one_hour_later().as_second() + 90));
    let people = ask(&stage, &["--check"]).await;
    assert_eq!(
        people.stderr,
        "warning: this machine's clock is 90 seconds behind the API's\nhint: set the clock of this machine\n"
    );
    assert!(people.stdout.ends_with("\nchecked       accepted by the API\n"), "{}", people.stdout);
}

#[tokio::test]
async fn check_refreshes_expired_token() {
    let mut stage = logged_in(false).await;
    at(&mut stage, two_days_later);
    let outcome = ask(&stage, &["--json", "--check"]).await;
    let report = parsed(&outcome);
    assert_eq!((outcome.exit_code(), &report["state"]), (0, &json!("valid")), "{:?}", outcome.result);
    assert_eq!(
        (&report["issued_at"], &report["expires_at"]),
        (&json!("2026-11-26T10:00:00Z"), &json!("2026-11-27T10:00:00Z"))
    );
}

/// The family is revoked, as after a logout on another machine with the grant deleted.
fn lose_refresh_token(stage: &Stage) {
    let refresh = Some(RefreshToken::new("v1.gone"));
    stage.keychain.put(&stage.service.domain(), Credentials { refresh, ..stage.stored().unwrap() });
}

#[tokio::test]
async fn check_rejected_login_differs_from_unreachable_api() {
    let mut stage = logged_in(false).await;
    let old = stage.stored().unwrap().refresh.unwrap();
    lose_refresh_token(&stage);
    at(&mut stage, two_days_later);
    let outcome = ask(&stage, &["--json", "--check"]).await;
    let report = parsed(&outcome);
    assert_eq!((outcome.exit_code(), &report["state"], &report["refreshable"]), (4, &json!("expired"), &json!(false)));
    assert_eq!(report["check"], json!({"outcome": "refused", "clock_ahead_seconds": null}));

    // The same while the token lasts, which the API has stopped taking.
    let stage = logged_in(false).await;
    lose_refresh_token(&stage);
    stage.service.fail("/v1/users/self", Fault::Status(401, r#"{"message":"Invalid token"}"#.to_owned()));
    let outcome = ask(&stage, &["--json", "--check"]).await;
    let report = parsed(&outcome);
    assert_eq!((outcome.exit_code(), &report["state"], &report["refreshable"]), (4, &json!("refused"), &json!(false)));

    let stage = logged_in(false).await;
    stage.service.fail("/v1/users/self", Fault::Status(403, r#"{"message":"blocked"}"#.to_owned()));
    let outcome = ask(&stage, &["--json", "--check"]).await;
    assert_eq!((outcome.exit_code(), &parsed(&outcome)["state"]), (4, &json!("refused")));

    stage.service.fail("/v1/users/self", Fault::Status(503, String::new()));
    let outcome = ask(&stage, &["--json", "--check"]).await;
    let report = parsed(&outcome);
    assert_eq!(
        (outcome.exit_code(), &report["state"], &report["check"]["outcome"]),
        (1, &json!("valid"), &json!("failed"))
    );
    assert!(!outcome.stdout.contains(old.expose()));
}

#[tokio::test]
async fn check_with_clock_ahead_is_no_refusal_by_the_api() {
    let mut stage = logged_in(false).await;
    stage.clock = two_days_later;
    let asked = || stage.service.requests_to("/v1/users/self").len();
    let before = asked();
    let outcome = ask(&stage, &["--json", "--check"]).await;
    let report = parsed(&outcome);
    assert_eq!((outcome.exit_code(), &report["check"]["outcome"], asked()), (4, &json!("failed"), before));
    assert!(outcome.error_chain().contains("this machine's clock says"), "{}", outcome.error_chain());
}

#[tokio::test]
async fn check_of_api_token_reads_its_organization() {
    let mut stage = stage();
    let token = stage.service.api_token();
    stage.environment = Environment::from_pairs(&[("ASTRO_API_TOKEN", &token)]);
    stage.service.set(|options| options.now = Some(SIGN_IN + 100));
    let outcome = ask(&stage, &["--json", "--check"]).await.success();
    assert_eq!(parsed(&outcome)["check"], json!({"outcome": "accepted", "clock_ahead_seconds": -100}));
    let mut asked: Vec<String> = stage.service.requests().iter().map(|it| it.path.clone()).collect();
    let organization = "/v1/organizations/clorg00000000000000000001";
    assert_eq!(asked[0], organization, "the check, then the names, which are asked for at the same time");
    asked.sort();
    assert_eq!(asked, [organization, organization, &format!("{organization}/workspaces")]);

    stage.service.set(|options| options.organizations.clear());
    let outcome = ask(&stage, &["--json", "--check"]).await;
    assert_eq!((outcome.exit_code(), &parsed(&outcome)["state"]), (4, &json!("refused")));
    assert_eq!(outcome.error_chain(), "the API refused the token in ASTRO_API_TOKEN");
}

/// Logins that no command can use, in either store.
#[tokio::test]
async fn status_judges_login_as_other_commands_do() {
    let foreign = "https://auth.astronomer-stage.io/";
    for in_config in [false, true] {
        let mut stage = stage();
        stage.clock = one_hour_later;
        let token = |patch: Value| stage.service.access_token(&patch);
        let logins = [
            (token(json!({})), stage.service.issuer(), SIGN_IN + 86_400, "valid"),
            (token(json!({"iss": foreign})), foreign.to_owned(), SIGN_IN + 86_400, "refused"),
            (token(json!({"iss": foreign})), foreign.to_owned(), SIGN_IN, "refused"),
            ("no.jwt.atall".to_owned(), String::new(), SIGN_IN + 86_400, "refused"),
            (token(json!({"exp": SIGN_IN})), stage.service.issuer(), SIGN_IN, "expired"),
            (token(json!({"exp": SIGN_IN + 3_600})), stage.service.issuer(), SIGN_IN + 3_600, "expired"),
        ];
        for (token, issuer, end, state) in logins {
            let expires_at = Some(Timestamp::from_second(end).unwrap());
            let credentials = Credentials { issuer, expires_at, ..stage.credentials(&token) };
            if in_config {
                stage.keep_in_config(&credentials);
            } else {
                stage.keep_in_keychain(&credentials);
            }
            let domain = stage.service.domain();
            let other = stage.run(async |system| crate::support::token(system, Some(&domain)).await).await;
            let outcome = ask(&stage, &["--json"]).await;
            assert_eq!(parsed(&outcome)["state"], state);
            assert_eq!(format!("{:?}", outcome.result), format!("{:?}", other.result));
            assert_eq!(outcome.exit_code() == 0, state == "valid");
            assert!(state == "valid" || ask(&stage, &["--check"]).await.exit_code() == 4);
        }
    }
}

#[tokio::test]
async fn status_does_not_repeat_chosen_plaintext() {
    let stage = logged_in(true).await;
    let outcome = ask(&stage, &[]).await.success();
    assert!(outcome.stdout.contains("(unencrypted)\n") && outcome.stderr.is_empty(), "{outcome:?}");
    assert_eq!(codes(&parsed(&ask(&stage, &["--json"]).await)), ["plaintext_tokens"], "the JSON is for scripts");

    // Without a keychain nobody chose it.
    let fallback = stage_without_keychain();
    drop(fallback.login(&fallback.request()).await);
    let outcome = ask(&fallback, &[]).await;
    assert!(outcome.stderr.starts_with("warning: tokens are stored unencrypted in "), "{outcome:?}");
}

fn stage_without_keychain() -> Stage {
    let stage = stage();
    stage.keychain.fail(StoreError::Absent { reason: "no D-Bus session" });
    stage
}

#[tokio::test]
async fn status_shows_names_if_known_and_check_asks() {
    let stage = logged_in(false).await;
    let file = stage.home.path().join(".astro/login-names.json");
    let places = |outcome: &Outcome| {
        let line = |name: &str| outcome.stdout.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
        [line("organization  "), line("workspace     ")]
    };
    assert_eq!(places(&ask(&stage, &[]).await), ["Analytical Engines", "Punched Cards"]);
    for odd in ["", "{", "[1]", "{\"names\": {\"clorg00000000000000000001\": \"\"}}"] {
        std::fs::write(&file, odd).unwrap();
        assert_eq!(places(&ask(&stage, &[]).await), ["clorg00000000000000000001", "clws000010000000000000002"]);
    }
    stage.service.set(|options| options.organizations[0].name = "Renamed\u{1b}[31m".to_owned());
    assert_eq!(places(&ask(&stage, &["--check"]).await), ["Renamed[31m", "Punched Cards"]);
    assert_eq!(places(&ask(&stage, &[]).await), ["Renamed[31m", "Punched Cards"], "it is remembered");
    let report = parsed(&ask(&stage, &["--json", "--check"]).await);
    assert_eq!(report["organization"], "clorg00000000000000000001");

    // Names that cannot be saved are shown all the same.
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    assert_eq!(places(&ask(&stage, &["--check"]).await), ["Renamed[31m", "Punched Cards"]);
}

#[tokio::test]
async fn fresh_login_was_issued_just_now() {
    let stage = stage();
    drop(stage.login(&stage.request()).await.success());
    let shown = ask(&stage, &[]).await.success().stdout;
    assert!(shown.contains("issued        2026-11-24 10:00 UTC (just now)\n"), "{shown}");
}

#[test]
fn quiet_keeps_status_output() {
    let home = crate::support::TestHome::new();
    home.write_config(
        "contexts:\n    \"localhost:1\":\n        domain: \"localhost:1\"\n        token: Bearer opaque\n",
    );
    let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_astro"));
    program.args(["--quiet", "auth", "status", "--domain", "localhost:1"]).env_clear();
    let output = program.env("HOME", home.path()).env("ASTRO_HOME", home.path()).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(stdout.starts_with("domain        localhost:1\ncredentials   "), "{stdout}");
    assert!(!stdout.contains("opaque"), "{stdout}");
}
