//! The setting that says where a login is kept, and what a login does by it: each value and source, with each state of the
//! keychain, over each earlier login.

use std::fmt::Write as _;
use std::fs;

use astro_login::commands::doctor::{Doctor, doctor};
use astro_login::commands::login::Login;
use astro_login::commands::logout::{Logout, logout};
use astro_login::commands::status::{Status, status};
use astro_login::credentials::StoreError;
use astro_login::credentials::vault::{Vault, VaultTokens};
use astro_login::error::{Error, NoPlaintext};
use astro_login::session::{Location, Session, Storage, StoragePlan};
use astro_login::ui::{Clipboard, ColorChoice, Options, Ui};
use serde_json::{Value, json};

use crate::support::{Mode, Outcome, Stage};

const ABSENT: StoreError = StoreError::Absent { reason: "no D-Bus session bus" };
const FRESH: i64 = 3600;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Setting {
    /// Nothing says it.
    Open,
    Flag(Storage),
    Variable(Storage),
    File(Storage),
}

const SETTINGS: [Setting; 9] = [
    Setting::Open,
    Setting::Variable(Storage::Auto),
    Setting::File(Storage::Auto),
    Setting::Flag(Storage::Auto),
    Setting::Variable(Storage::Keychain),
    Setting::File(Storage::Keychain),
    Setting::Variable(Storage::Plain),
    Setting::File(Storage::Plain),
    Setting::Flag(Storage::Plain),
];

#[derive(Debug, Clone, Copy, PartialEq)]
enum Earlier {
    Nothing,
    InKeychain,
    /// By the Go CLI, or by this program.
    Plain,
    InVault,
}

const EARLIER: [Earlier; 4] = [Earlier::Nothing, Earlier::InKeychain, Earlier::Plain, Earlier::InVault];

fn make_vault(stage: &Stage) {
    let folder = stage.home.path().join(".astro/secrets");
    fs::create_dir(&folder).unwrap();
    #[cfg(unix)]
    fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
}

fn break_keychain(stage: &Stage, failure: StoreError) {
    stage.keychain.fail(failure.clone());
    stage.vault_key.set(Err(failure));
}

/// Returns a stage after the earlier login, with the setting.
fn stage(setting: Setting, earlier: Earlier, cli_2: bool) -> Stage {
    let mut stage = Stage::new();
    if cli_2 {
        make_vault(&stage);
    }
    let credentials = stage.earlier_login(FRESH);
    let domain = json!(stage.service.domain());
    let context = |fields: &str| {
        format!("contexts:\n    {domain}:\n        domain: {domain}\n        user_email: ada@example.com\n{fields}")
    };
    match earlier {
        Earlier::Nothing => {}
        Earlier::Plain => stage.keep_in_config(&credentials),
        Earlier::InKeychain => {
            stage.keep_in_keychain(&credentials);
            stage.home.write_config(&context(""));
        }
        Earlier::InVault => {
            if cli_2 {
                stage.vault().save(&stage.vault_name(), &VaultTokens::from(&credentials)).unwrap();
            }
            stage.home.write_config(&context("        token: 'Bearer '\n        refreshtoken: \"\"\n"));
        }
    }
    match setting {
        Setting::Open | Setting::Flag(_) => {}
        Setting::Variable(value) => stage.environment = stage.environment.with("ASTRO_CREDENTIALS", value.as_str()),
        Setting::File(value) => set_in_file(&stage, value),
    }
    stage
}

fn set_in_file(stage: &Stage, value: Storage) {
    let before = stage.home.config().unwrap_or_default();
    stage.home.write_config(&format!("credentials: {}\n{before}", value.as_str()));
}

fn request(stage: &Stage, setting: Setting) -> Login {
    let (insecure_storage, vault) = (setting == Setting::Flag(Storage::Plain), setting == Setting::Flag(Storage::Auto));
    Login { insecure_storage, vault, ..stage.request() }
}

/// What a login without a terminal did, in one word; it must leave one login, or all as it was.
async fn log_in(stage: &Stage, setting: Setting) -> &'static str {
    let everything = || (stage.home.config(), stage.stored(), stage.vault().has(&stage.vault_name().entry()));
    let before = everything();
    let outcome = stage.login(&request(stage, setting)).await;
    if let Err(error) = &outcome.result {
        assert_eq!((everything(), stage.browser.opened()), (before, vec![]), "refused before the browser: {error}");
        return refusal(error);
    }
    let config = stage.home.config().unwrap();
    let (vault, keychain) = (stage.vault().has(&stage.vault_name().entry()), stage.stored().is_some());
    let is_plain = config.contains("token: Bearer eyJ");
    assert_eq!(config.contains("token: 'Bearer '"), vault && !is_plain, "{config}");
    let marked = stage.vault().has(&stage.vault_name().marker());
    assert_eq!(marked, is_plain && stage.vault().exists(), "plaintext has the marker if there is a vault");
    match (is_plain, vault, keychain) {
        (false, false, true) => "keychain",
        (false, true, false) => "vault",
        (true, ..) if outcome.stderr.contains("credentials will be saved unencrypted") => "fallback",
        (true, ..) if outcome.stderr.contains("no terminal to ask on") => "shared",
        (true, ..) => "plain",
        other => panic!("{other:?}: {config}"),
    }
}

fn refusal(error: &Error) -> &'static str {
    match error {
        Error::Login { source, .. } => refusal(source),
        Error::NoKeychain { why: NoPlaintext::LastInKeychain, .. } => "E:last",
        Error::NoKeychain { why: NoPlaintext::KeychainOnly { .. }, .. } => "E:only",
        Error::NoKeychain { why: NoPlaintext::Forbidden, .. } => "E:forbidden",
        Error::Store { .. } => "E:locked",
        other => panic!("{other:?}"),
    }
}

/// What a login on a terminal would do, in one word.
async fn plan(stage: &Stage, setting: Setting) -> &'static str {
    let clipboard = Clipboard::None;
    let options =
        Options { quiet: true, color: ColorChoice::Never, terminal: true, escapes: false, asks: true, clipboard };
    let system = stage.system(Ui::new(options));
    let session = Session::open(&system, Some(&stage.service.domain())).unwrap();
    let flag = if let Setting::Flag(storage) = setting { Some(storage) } else { None };
    let choice = session.storage_choice(flag).unwrap();
    let (vault, keychain) = (session.vault(Vault::ready).await, session.ready_keychain().await);
    match session.plan_storage(&choice, &session.context().unwrap(), &vault, &keychain) {
        Ok(StoragePlan::Encrypted(Location::Keychain)) => "keychain",
        Ok(StoragePlan::Encrypted(Location::Vault)) => "vault",
        Ok(StoragePlan::Encrypted(Location::Config) | StoragePlan::Shared) => "wrong",
        Ok(StoragePlan::Plain) => "plain",
        Ok(StoragePlan::Fallback { asks: false, .. }) => "fallback",
        Ok(StoragePlan::Fallback { asks: true, .. }) => "asks",
        Ok(StoragePlan::AskToShare { encrypted: Ok(_) }) => "share?",
        Ok(StoragePlan::AskToShare { encrypted: Err(_) }) => "share?!",
        Err(error) => refusal(&error),
    }
}

/// The columns: open, `auto` by the variable, by the file, `--vault`; `keychain` by the variable, by the file; `plain` by the
/// variable, by the file, `--insecure-storage`.
async fn table(keychain: Option<StoreError>, cli_2: bool, terminal: bool) -> String {
    let mut text = String::new();
    for earlier in EARLIER {
        let _ = write!(text, "{:<11}", format!("{earlier:?}"));
        for setting in SETTINGS {
            let stage = stage(setting, earlier, cli_2);
            if let Some(failure) = &keychain {
                break_keychain(&stage, failure.clone());
            }
            let cell = if terminal { plan(&stage, setting).await } else { log_in(&stage, setting).await };
            let _ = write!(text, " {cell:<8}");
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

#[tokio::test]
async fn rf_21_keychain_there_without_terminal() {
    let expected = "\
Nothing     keychain keychain keychain keychain keychain keychain plain    plain    plain
InKeychain  keychain keychain keychain keychain keychain keychain plain    plain    plain
Plain       shared   shared   keychain keychain keychain keychain plain    plain    plain
InVault     keychain keychain keychain keychain keychain keychain plain    plain    plain
";
    assert_eq!(table(None, false, false).await, expected);
}

#[tokio::test]
async fn rf_21_keychain_there_with_cli_2_without_terminal() {
    let expected = "\
Nothing     vault    vault    vault    vault    keychain keychain plain    plain    plain
InKeychain  vault    vault    vault    vault    keychain keychain plain    plain    plain
Plain       shared   shared   vault    vault    keychain keychain plain    plain    plain
InVault     vault    vault    vault    vault    keychain keychain plain    plain    plain
";
    assert_eq!(table(None, true, false).await, expected);
}

#[tokio::test]
async fn rf_21_keychain_locked_without_terminal() {
    let expected = "\
Nothing     E:locked E:locked E:locked E:locked E:locked E:locked plain    plain    plain
InKeychain  E:locked E:locked E:locked E:locked E:locked E:locked plain    plain    plain
Plain       shared   shared   E:locked E:locked E:locked E:locked plain    plain    plain
InVault     E:locked E:locked E:locked E:locked E:locked E:locked plain    plain    plain
";
    for cli_2 in [false, true] {
        assert_eq!(table(Some(StoreError::Locked), cli_2, false).await, expected, "{cli_2}");
    }
}

#[tokio::test]
async fn rf_21_keychain_absent_without_terminal() {
    let expected = "\
Nothing     fallback fallback fallback fallback E:only   E:only   plain    plain    plain
InKeychain  E:last   E:last   E:last   E:last   E:only   E:only   plain    plain    plain
Plain       fallback fallback fallback fallback E:only   E:only   plain    plain    plain
InVault     E:last   E:last   E:last   E:last   E:only   E:only   plain    plain    plain
";
    for cli_2 in [false, true] {
        assert_eq!(table(Some(ABSENT), cli_2, false).await, expected, "{cli_2}");
    }
}

#[tokio::test]
async fn rf_21_terminal_asks_about_shared_and_last_login() {
    let there = "\
Nothing     keychain keychain keychain keychain keychain keychain plain    plain    plain
InKeychain  keychain keychain keychain keychain keychain keychain plain    plain    plain
Plain       share?   share?   keychain keychain keychain keychain plain    plain    plain
InVault     keychain keychain keychain keychain keychain keychain plain    plain    plain
";
    let cli_2 = "\
Nothing     vault    vault    vault    vault    keychain keychain plain    plain    plain
InKeychain  vault    vault    vault    vault    keychain keychain plain    plain    plain
Plain       share?   share?   vault    vault    keychain keychain plain    plain    plain
InVault     vault    vault    vault    vault    keychain keychain plain    plain    plain
";
    let locked = "\
Nothing     E:locked E:locked E:locked E:locked E:locked E:locked plain    plain    plain
InKeychain  E:locked E:locked E:locked E:locked E:locked E:locked plain    plain    plain
Plain       share?!  share?!  E:locked E:locked E:locked E:locked plain    plain    plain
InVault     E:locked E:locked E:locked E:locked E:locked E:locked plain    plain    plain
";
    let absent = "\
Nothing     fallback fallback fallback fallback E:only   E:only   plain    plain    plain
InKeychain  asks     asks     asks     asks     E:only   E:only   plain    plain    plain
Plain       fallback fallback fallback fallback E:only   E:only   plain    plain    plain
InVault     asks     asks     asks     asks     E:only   E:only   plain    plain    plain
";
    assert_eq!(table(None, false, true).await, there);
    assert_eq!(table(None, true, true).await, cli_2);
    for with_cli_2 in [false, true] {
        assert_eq!(table(Some(StoreError::Locked), with_cli_2, true).await, locked, "{with_cli_2}");
        assert_eq!(table(Some(ABSENT), with_cli_2, true).await, absent, "{with_cli_2}");
    }
}

#[tokio::test]
async fn rf_21_command_line_beats_variable_beats_file() {
    let mut stage = stage(Setting::File(Storage::Plain), Earlier::Nothing, false);
    stage.environment = stage.environment.with("ASTRO_CREDENTIALS", "keychain");
    assert_eq!(log_in(&stage, Setting::Open).await, "keychain");
    stage.send(Mode::LogIn("ada@example.com".to_owned()));
    assert_eq!(log_in(&stage, Setting::Flag(Storage::Plain)).await, "plain");
    stage.environment = stage.environment.with("ASTRO_CREDENTIALS", "");
    stage.send(Mode::LogIn("ada@example.com".to_owned()));
    assert_eq!(log_in(&stage, Setting::Flag(Storage::Auto)).await, "keychain", "`--vault`, once");
    stage.send(Mode::LogIn("ada@example.com".to_owned()));
    assert_eq!(log_in(&stage, Setting::Open).await, "plain", "an empty variable is none");
    assert!(stage.home.config().unwrap().starts_with("credentials: plain\n"));
}

/// The login is refused with exit code 2 before anything happens; status and doctor say the same.
async fn assert_refused(stage: &Stage, message: &str, hint: &str) {
    let before = stage.home.config();
    let outcome = stage.login(&stage.request()).await;
    assert_eq!((outcome.exit_code(), outcome.error_chain().as_str()), (2, message));
    assert_eq!(outcome.result.unwrap_err().hint().as_deref(), Some(hint));
    assert_eq!((stage.home.config(), stage.request_log(), stage.stored()), (before, vec![], None));

    let report = show(stage).await;
    assert_eq!((&report["storage"], &report["warnings"][0]["code"]), (&Value::Null, &json!("storage_setting")));
    assert_eq!(report["warnings"][0]["message"], message);
    let check = diagnose(stage, "storage").await;
    assert_eq!(check, json!({"name": "storage", "outcome": "fail", "detail": message, "advice": hint}));
}

#[tokio::test]
async fn rf_21_other_value_is_refused_and_not_printed() {
    for value in ["vault", "Plain", "eyJhbGciOiJSUzI1NiJ9.e30.c2ln", "auto,plain"] {
        let mut stage = Stage::new();
        stage.environment = stage.environment.with("ASTRO_CREDENTIALS", value);
        let hint = "set ASTRO_CREDENTIALS to auto, keychain or plain, or remove it";
        assert_refused(&stage, "ASTRO_CREDENTIALS is not auto, keychain or plain", hint).await;
    }
    for value in ["none", "[plain]", "{plain: 1}", "true"] {
        let stage = Stage::new();
        stage.home.write_config(&format!("credentials: {value}\n"));
        let hint = "set `credentials` in config.yaml to auto, keychain or plain, or remove it";
        assert_refused(&stage, "`credentials` in config.yaml is not auto, keychain or plain", hint).await;
    }
    for value in ["", "~", "''", " \"plain \"", "PLAIN_"] {
        let stage = Stage::new();
        stage.home.write_config(&format!("credentials: {value}\n"));
        assert_eq!(stage.login(&stage.request()).await.exit_code(), if value == "PLAIN_" { 2 } else { 0 }, "{value}");
    }
}

#[tokio::test]
async fn rf_21_plain_and_its_prohibition_contradict() {
    let hint = "remove one of the two settings, or log in with `--insecure-storage`";
    let variables = ["ASTRO_CREDENTIALS", "ASTRO_NO_INSECURE_FALLBACK"];
    let settings = ["`credentials` in config.yaml", "`no_insecure_fallback` in config.yaml"];
    for (plain_by_variable, forbidden_by_variable) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut stage = Stage::new();
        let mut config = String::new();
        if plain_by_variable {
            stage.environment = stage.environment.with(variables[0], "plain");
        } else {
            config += "credentials: plain\n";
        }
        if forbidden_by_variable {
            stage.environment = stage.environment.with(variables[1], "1");
        } else {
            config += "no_insecure_fallback: true\n";
        }
        stage.home.write_config(&config);
        let named = |by_variable, index: usize| if by_variable { variables[index] } else { settings[index] };
        let message = format!(
            "{} is plain, but {} forbids saving credentials unencrypted",
            named(plain_by_variable, 0),
            named(forbidden_by_variable, 1)
        );
        assert_refused(&stage, &message, hint).await;
        drop(stage.login(&request(&stage, Setting::Flag(Storage::Plain))).await.success());
        assert!(stage.home.config().unwrap().contains("token: Bearer eyJ"));
    }
}

#[tokio::test]
async fn rf_10_rf_21_prohibition_leaves_no_plaintext() {
    let forbid =
        |stage: &mut Stage| stage.environment = stage.environment.clone().with("ASTRO_NO_INSECURE_FALLBACK", "ja");
    for earlier in EARLIER {
        for (failure, expected) in
            [(None, "keychain"), (Some(StoreError::Locked), "E:locked"), (Some(ABSENT), "E:forbidden")]
        {
            for setting in [Setting::Open, Setting::Variable(Storage::Auto), Setting::Flag(Storage::Auto)] {
                let mut stage = stage(setting, earlier, false);
                forbid(&mut stage);
                if let Some(failure) = &failure {
                    break_keychain(&stage, failure.clone());
                }
                assert_eq!(log_in(&stage, setting).await, expected, "{earlier:?} {setting:?}");
                stage.send(Mode::LogIn("ada@example.com".to_owned()));
                assert_eq!(plan(&stage, setting).await, expected, "{earlier:?} {setting:?}, with a terminal");
            }
        }
    }
}

#[tokio::test]
async fn rf_18_rf_21_replaced_or_api_token_is_not_asked_about() {
    let api_token = Stage::new();
    let credentials = api_token.earlier_login(FRESH);
    let written = astro_login::credentials::Credentials {
        access: astro_login::token::AccessToken::new(api_token.service.api_token()),
        refresh: None,
        ..credentials
    };
    api_token.keep_in_config(&written);
    assert_eq!(plan(&api_token, Setting::Open).await, "keychain", "the Go CLI wrote it by itself");

    let mut written_back = stage(Setting::Variable(Storage::Keychain), Earlier::Plain, false);
    let in_memory = written_back.home.config().unwrap();
    assert_eq!(log_in(&written_back, Setting::Open).await, "keychain");
    written_back.environment = written_back.environment.with("ASTRO_CREDENTIALS", "");
    written_back.home.write_config(&in_memory);
    assert_eq!(plan(&written_back, Setting::Open).await, "keychain", "a login in the keychain replaced it");
    break_keychain(&written_back, StoreError::Locked);
    assert_eq!(plan(&written_back, Setting::Open).await, "E:locked");
}

async fn show(stage: &Stage) -> Value {
    let request = Status { domain: Some(stage.service.domain()).into(), json: true.into(), check: false };
    let outcome = stage.run(async |system| status(system, &request).await).await;
    serde_json::from_str(&outcome.stdout).unwrap()
}

async fn diagnose(stage: &Stage, name: &str) -> Value {
    let request = Doctor { domain: Some(stage.service.domain()).into(), json: true.into() };
    let outcome = stage.run(async |system| doctor(system, &request).await).await;
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    report["checks"].as_array().unwrap().iter().find(|check| check["name"] == name).unwrap().clone()
}

#[tokio::test]
async fn status_and_doctor_show_setting_and_source() {
    let table = [
        (Setting::Open, "auto", "default", "auto (the default)"),
        (Setting::Variable(Storage::Keychain), "keychain", "variable", "keychain (from ASTRO_CREDENTIALS)"),
        (Setting::File(Storage::Auto), "auto", "config", "auto (from `credentials` in config.yaml)"),
        (Setting::File(Storage::Plain), "plain", "config", "plain (from `credentials` in config.yaml)"),
    ];
    for (setting, choice, source, shown) in table {
        let stage = stage(setting, Earlier::Nothing, false);
        assert_eq!(diagnose(&stage, "storage").await["detail"], shown);
        drop(stage.login(&stage.request()).await.success());
        assert_eq!(show(&stage).await["storage"], json!({"choice": choice, "source": source}));
        let outcome = print_status(&stage).await;
        let line = format!("\nstorage       {shown}\n");
        assert_eq!(outcome.stdout.contains(&line), setting != Setting::Open, "{}", outcome.stdout);
        assert_eq!(outcome.stderr, "", "what was chosen is no warning");
    }
    // The command line's choice is told for as long as that login lasts.
    let stage = Stage::new();
    drop(stage.login(&request(&stage, Setting::Flag(Storage::Plain))).await.success());
    assert_eq!(show(&stage).await["storage"], json!({"choice": "plain", "source": "flag"}));
    assert!(print_status(&stage).await.stdout.contains("\nstorage       plain (from the command line)\n"));
}

async fn print_status(stage: &Stage) -> Outcome {
    let request = Status { domain: Some(stage.service.domain()).into(), json: false.into(), check: false };
    stage.run(async |system| status(system, &request).await).await
}

#[tokio::test]
async fn doctor_fails_as_login_would() {
    for (setting, earlier, failure, outcome) in [
        (Setting::Open, Earlier::InKeychain, ABSENT, "fail"),
        (Setting::Variable(Storage::Keychain), Earlier::Nothing, ABSENT, "fail"),
        (Setting::File(Storage::Plain), Earlier::Nothing, ABSENT, "note"),
        (Setting::File(Storage::Plain), Earlier::InKeychain, StoreError::Locked, "note"),
        (Setting::Open, Earlier::Plain, StoreError::Locked, "note"),
        (Setting::Open, Earlier::Plain, ABSENT, "note"),
    ] {
        let stage = stage(setting, earlier, false);
        break_keychain(&stage, failure);
        let login_fails = stage.login(&stage.request()).await.exit_code() != 0;
        assert_eq!(diagnose(&stage, "keychain").await["outcome"], outcome, "{setting:?} {earlier:?}");
        assert_eq!(login_fails, outcome == "fail", "{setting:?} {earlier:?}");
    }
    let shared = stage(Setting::Open, Earlier::Plain, false);
    let detail = diagnose(&shared, "storage").await["detail"].as_str().unwrap().to_owned();
    assert_eq!(detail, "auto (the default); a login without a terminal stays in config.yaml, which the Go CLI shares");
}

#[tokio::test]
async fn logout_is_no_new_customer_to_cli_2() {
    for (setting, cli_2) in [(Setting::Open, false), (Setting::Flag(Storage::Plain), false), (Setting::Open, true)] {
        let stage = stage(setting, Earlier::Nothing, cli_2);
        let login = Login { workspace: Some("Punched Cards".to_owned()), ..request(&stage, setting) };
        drop(stage.login(&login).await.success());
        let fields = ["organization", "organization_product", "workspace", "last_used_workspace"];
        let field = |name: &str| {
            let config = stage.home.config().unwrap();
            let value =
                config.lines().find_map(|line| line.trim().strip_prefix(&format!("{name}: ")).map(str::to_owned));
            value.filter(|value| !matches!(value.as_str(), "" | "\"\"" | "''"))
        };
        let before = fields.map(field);
        let request = Logout { domain: Some(stage.service.domain()).into(), all: false, json: false.into() };
        drop(stage.run(async |system| logout(system, &request).await).await.success());
        assert_eq!((fields.map(field), before.iter().all(Option::is_some)), (before.clone(), true));
        // Astro CLI 2 shows its sign-up page if all of these are empty.
        let is_new = ["token", "refreshtoken", "organization", "workspace", "last_used_workspace", "user_email"];
        assert!(!is_new.iter().all(|name| field(name).is_none()), "{setting:?}");
        assert_eq!(["token", "refreshtoken", "user_email"].map(field), [None, None, None]);
    }
}

#[test]
fn refused_setting_stops_no_other_command() {
    // A token that is stored is printed, whatever the next login would do.
    let stage = stage(Setting::Open, Earlier::Plain, false);
    let mut command = stage.command(&["auth", "token", "--domain", &stage.service.domain()]);
    let output = command.env("ASTRO_CREDENTIALS", "nowhere").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}
