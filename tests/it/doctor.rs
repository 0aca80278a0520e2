//! `astro auth doctor`: its report, the faults that it finds, and that it changes nothing.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{MAIN_SEPARATOR, Path};

use crate::support::binary::leaked;
use astro_login::browser::Machine;
use astro_login::commands::doctor::{Doctor, doctor};
use astro_login::credentials::StoreError;
use astro_login::environment::Environment;
use serde_json::{Value, json};

use crate::support::{Fault, Outcome, Part, Stage};

const AUTH_CONFIG: &str = "/private/v1alpha1/cli/auth-config";
const KEYS: &str = "/.well-known/jwks.json";
const METADATA: &str = "/.well-known/openid-configuration";

/// A desktop on which all is well, wherever this test runs.
fn desk() -> Stage {
    let stage = Stage::new().at_noon();
    Stage { machine: Machine { os: "linux", container: false, launcher: true }, ..stage }
}

async fn ask(stage: &Stage, json: bool) -> Outcome {
    let request = Doctor { domain: Some(stage.service.domain()).into(), json: json.into() };
    let before = everything_in(stage.home.path());
    let outcome = stage.run(async |system| doctor(system, &request).await).await;
    assert_eq!(everything_in(stage.home.path()), before, "nothing is written");
    assert!(stage.browser.opened().is_empty(), "nothing is opened");
    outcome
}

fn everything_in(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(everything_in(&path));
        }
        found.insert(path.display().to_string(), fs::read(&path).unwrap_or_default());
    }
    found
}

fn normalize(stage: &Stage, text: &str) -> String {
    let home = stage.home.path().display().to_string();
    times(&text.replace(&stage.service.domain(), "localhost:PORT").replace(&home, "HOME").replace('\\', "/"))
}

fn normalize_json(stage: &Stage, value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(normalize(stage, &text)),
        Value::Array(values) => values.into_iter().map(|value| normalize_json(stage, value)).collect(),
        Value::Object(members) => {
            members.into_iter().map(|(name, value)| (name, normalize_json(stage, value))).collect()
        }
        other => other,
    }
}

fn times(text: &str) -> String {
    let mut parts = text.split(" ms");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |before, rest| format!("{}N ms{rest}", before.trim_end_matches(|it: char| it.is_ascii_digit())))
}

fn report(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.stdout).unwrap()
}

fn check<'a>(report: &'a Value, name: &str) -> &'a Value {
    report["checks"].as_array().unwrap().iter().find(|check| check["name"] == name).unwrap()
}

fn named<'a>(report: &'a Value, outcome: &str) -> Vec<&'a str> {
    let checks = report["checks"].as_array().unwrap().iter();
    checks.filter(|check| check["outcome"] == outcome).map(|check| check["name"].as_str().unwrap()).collect()
}

/// A login fails here by this check alone, which says this and advises that.
#[track_caller]
fn assert_fails(stage: &Stage, outcome: &Outcome, name: &str, detail: &str, advice: &str) {
    let report = report(outcome);
    let found = check(&report, name);
    assert_eq!((named(&report, "fail"), &report["would"]), (vec![name], &json!("fail")), "{report:#}");
    assert_eq!(normalize(stage, found["detail"].as_str().unwrap()), detail);
    assert_eq!(normalize(stage, found["advice"].as_str().unwrap()), advice);
    assert_eq!(outcome.exit_code(), 1);
    assert_eq!(outcome.error_chain(), format!("a login to {} would fail on this machine", stage.service.domain()));
}

#[tokio::test]
async fn healthy_doctor_sends_no_secret() {
    let stage = desk();
    let outcome = ask(&stage, true).await;
    assert_eq!((outcome.exit_code(), outcome.stderr.as_str()), (0, ""));
    let ok = |name: &str, detail: &str| json!({"name": name, "outcome": "ok", "detail": detail, "advice": null});
    let expected = json!({
        "version": 1,
        "would": "browser",
        "checks": [
            ok("domain", "localhost:PORT (from the command line)"),
            ok("login", "opens the default browser (X)"),
            ok("callback", "any free port"),
            check(&report(&outcome), "loopback"),
            ok("storage", "auto (the default)"),
            ok("keychain", "the test's keychain unlocked"),
            ok("vault", "none (no ~/.astro/secrets)"),
            ok("config", "HOME/.astro/config.yaml will be created"),
            ok("account", "not logged in"),
            ok("api", "localhost:PORT responded in N ms"),
            ok("issuer", "http://localhost:PORT/ belongs to localhost:PORT"),
            ok("keys", "localhost:PORT responded in N ms"),
            ok("certificates", "not needed (plain HTTP on this machine)"),
            ok("clock", "matches the API's"),
            ok("variables", "DISPLAY"),
        ],
    });
    assert_eq!(normalize_json(&stage, report(&outcome)), expected);
    let beginning = r#"{
  "version": 1,
  "would": "browser",
  "checks": [
    {
      "name": "domain",
      "outcome": "ok",
      "detail": "localhost:PORT (from the command line)",
      "advice": null
    },
"#;
    assert!(normalize(&stage, &outcome.stdout).starts_with(beginning), "{}", outcome.stdout);
    assert_eq!(stage.request_log(), [format!("GET {KEYS}"), format!("GET {METADATA}"), format!("GET {AUTH_CONFIG}")]);
    assert!(stage.service.requests().iter().all(|request| request.header("authorization").is_none()));
}

/// The screen with what differs from run to run by name. A path has as many columns as it has, so it may stand on a line
/// of its own, or a word behind it on the next one; what a port takes is always the same.
fn screen(stage: &Stage, text: &str) -> String {
    let config = stage.home.config_path().display().to_string().replace(".astro/", &format!(".astro{MAIN_SEPARATOR}"));
    let words = [(config.as_str(), "CONFIG"), ("will ", "will "), ("be ", "be "), ("created\n", "created\n")];
    let text = words.iter().fold(text.to_owned(), |text, (word, name)| {
        text.replace(&format!("\n                    {word}"), &format!(" {name}"))
    });
    let text = text.replace(&config, "CONFIG");
    let text = times(&text.replace(&stage.service.domain(), "localhost:54321"));
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    text
}

/// The loopback addresses of this machine, in words.
fn loopback() -> &'static str {
    match ["127.0.0.1:0", "[::1]:0"].map(|address| TcpListener::bind(address).is_ok()) {
        [true, true] => "ok     loopback     127.0.0.1 and ::1",
        [true, false] => "note   loopback     127.0.0.1 only (no ::1 on this machine)",
        [false, _] => "note   loopback     ::1 only (no 127.0.0.1 on this machine)",
    }
}

#[tokio::test]
async fn healthy_doctor_screen() {
    let mut stage = desk();
    stage.environment =
        Environment::from_pairs(&[("WAYLAND_DISPLAY", "wayland-0"), ("DISPLAY", ":0"), ("NO_COLOR", "1")]);
    stage.keep_in_keychain(&stage.earlier_login(3_600));
    let expected = include_str!("../snapshots/doctor-healthy.txt").replace("{loopback}", loopback());
    assert_eq!(screen(&stage, &ask(&stage, false).await.stdout), expected);
}

#[tokio::test]
async fn broken_doctor_screen_has_hints() {
    let mut stage = desk();
    stage.machine.container = true;
    let token = stage.service.access_token(&json!({}));
    stage.environment = Environment::from_pairs(&[
        ("CI", "true"),
        ("BROWSER", "lynx"),
        ("ASTRO_API_TOKEN", &token),
        ("HTTPS_PROXY", "http://ada:hunter2@proxy.example:3128"),
        ("no_proxy", "localhost"),
    ]);
    stage.keychain.fail(StoreError::Locked);
    stage.service.fail(AUTH_CONFIG, Fault::Status(503, "{}".to_owned()));
    let outcome = ask(&stage, false).await;
    let expected = include_str!("../snapshots/doctor-broken.txt").replace("{loopback}", loopback());
    assert_eq!(screen(&stage, &outcome.stdout), expected);
    assert_eq!((outcome.exit_code(), outcome.stderr.as_str()), (1, ""));
    for secret in [token.as_str(), "hunter2hunter2"] {
        assert_eq!(leaked(&outcome.all_text(), secret), None);
    }
    assert!(!outcome.all_text().contains("hunter2"));
}

#[tokio::test]
async fn unusable_keychain_fails_doctor() {
    let plain_text = "`astro login localhost:PORT --insecure-storage`";
    let table = [
        (
            StoreError::Locked,
            "the keychain is locked",
            format!("unlock the keychain and try again, or save unencrypted with {plain_text}"),
        ),
        (
            StoreError::Refused,
            "the keychain refused access",
            format!("allow access in the keychain's prompt, or save unencrypted with {plain_text}"),
        ),
        (StoreError::Other("odd".to_owned()), "odd", format!("try again, or save unencrypted with {plain_text}")),
    ];
    for (failure, words, advice) in table {
        let stage = desk();
        stage.keychain.fail(failure);
        let outcome = ask(&stage, true).await;
        assert_fails(&stage, &outcome, "keychain", &format!("could not use the keychain: {words}"), &advice);
        assert_eq!(check(&report(&outcome), "account")["detail"], "unknown: could not read the keychain");
    }
}

#[tokio::test]
async fn missing_keychain_fails_doctor_only_without_fallback() {
    let mut stage = desk();
    stage.keychain.fail(StoreError::Absent { reason: "no session bus" });
    let outcome = ask(&stage, true).await;
    let found = report(&outcome);
    assert_eq!((outcome.exit_code(), named(&found, "note")), (0, vec!["keychain"]), "{found:#}");

    let forbidden = "no keychain available (no session bus), and saving credentials unencrypted is forbidden";
    let advice = "start a keychain such as gnome-keyring, or save unencrypted with \
                  `astro login localhost:PORT --insecure-storage`";
    stage.home.write_config("no_insecure_fallback: true\n");
    assert_fails(&stage, &ask(&stage, true).await, "keychain", forbidden, advice);
    fs::remove_file(stage.home.config_path()).unwrap();
    stage.environment = stage.environment.with("ASTRO_NO_INSECURE_FALLBACK", "1");
    assert_fails(&stage, &ask(&stage, true).await, "keychain", forbidden, advice);
}

#[tokio::test]
async fn damaged_credentials_are_a_note() {
    let stage = desk();
    stage.keychain.damage(&stage.service.domain());
    let outcome = ask(&stage, true).await;
    let found = report(&outcome);
    assert_eq!((outcome.exit_code(), named(&found, "note")), (0, vec!["keychain", "account"]), "{found:#}");
}

type Breaks = fn(&Stage);

#[tokio::test]
async fn wrong_api_or_issuer_fails_doctor() {
    let step = "could not fetch the login configuration: localhost:PORT:";
    let keys = "could not fetch the issuer's keys: localhost:PORT:";
    let support = "try another network, and contact Astronomer support if it happens again";
    let again = "try again, and contact Astronomer support if it happens again";
    let portal = "try another network, because a proxy or captive portal may interfere with this one";
    let table: [(Breaks, &str, String, &str); 6] = [
        (
            |stage| stage.service.fail(AUTH_CONFIG, Fault::Page(200)),
            "api",
            format!("{step} invalid response"),
            portal,
        ),
        (
            |stage| stage.service.fail(AUTH_CONFIG, Fault::Reset),
            "api",
            format!("{step} the connection was closed during the response"),
            "check that the local server is running",
        ),
        (
            |stage| stage.service.patch(Part::AuthConfig, json!({"domainUrl": "https://login.example/"})),
            "issuer",
            "the login configuration of localhost:PORT names `login.example` as its issuer, which does not belong to it"
                .to_owned(),
            support,
        ),
        (
            |stage| stage.service.patch(Part::Metadata, json!({"issuer": "https://login.example/"})),
            "issuer",
            "the metadata of http://localhost:PORT/ names `https://login.example/` as its issuer".to_owned(),
            support,
        ),
        (
            |stage| stage.service.fail(KEYS, Fault::Status(500, String::new())),
            "keys",
            format!("{keys} HTTP status 500"),
            "try again in a minute",
        ),
        (
            |stage| stage.service.patch(Part::Keys, json!({"keys": []})),
            "keys",
            "the issuer publishes no RSA signature key of at least 2048 bits".to_owned(),
            again,
        ),
    ];
    for (breaks, name, detail, advice) in table {
        let stage = desk();
        breaks(&stage);
        assert_fails(&stage, &ask(&stage, true).await, name, &detail, advice);
    }
}

#[tokio::test]
async fn doctor_judges_clock_as_login_does() {
    for ahead in [-3600, -61, -60, 60, 70, 9 * 3600, 36_000 + 59, 36_000 + 60, 23 * 3600] {
        let stage = desk();
        stage.service.set(|options| options.now = options.now.map(|now| now - ahead));
        let doctor = ask(&stage, true).await.exit_code();
        let login = stage.login(&stage.request()).await;
        assert_eq!(doctor == 0, login.result.is_ok(), "{ahead}: {login:?}");
    }
}

#[tokio::test]
async fn clock_off_by_over_a_minute_is_reported() {
    let stage = desk();
    stage.service.set(|options| options.now = options.now.map(|now| now - 61));
    let checks: Value = serde_json::from_str(&ask(&stage, true).await.success().stdout).unwrap();
    let clock = checks["checks"].as_array().unwrap().iter().find(|check| check["name"] == "clock").unwrap();
    let detail = "this machine's clock is 61 seconds ahead of the API's, so tokens seem to expire early";
    assert_eq!((&clock["outcome"], &clock["detail"]), (&json!("note"), &json!(detail)));
    for (seconds, says) in [(600, "600 seconds behind"), (61, "61 seconds behind"), (-82_800, "82800 seconds ahead of")]
    {
        let stage = desk();
        stage.service.set(|options| options.now = options.now.map(|now| now + seconds));
        let detail = format!("this machine's clock is {says} the API's, so tokens would be refused");
        assert_fails(&stage, &ask(&stage, true).await, "clock", &detail, "set the clock of this machine");
    }
    let stage = desk();
    stage.service.set(|options| options.now = options.now.map(|now| now + 60));
    assert_eq!(ask(&stage, true).await.exit_code(), 0);
}

#[tokio::test]
async fn unusable_config_fails_doctor() {
    let stage = desk();
    stage.home.write_config("contexts: [");
    let outcome = ask(&stage, true).await;
    let detail = "could not use HOME/.astro/config.yaml: line 2, column 1: while parsing a node, did not find expected \
                  node content";
    assert_fails(&stage, &outcome, "config", detail, "correct the file by hand");

    let stage = desk();
    fs::create_dir(stage.home.config_path()).unwrap();
    let outcome = ask(&stage, true).await;
    assert_fails(&stage, &outcome, "config", "HOME/.astro/config.yaml is not a file", "move it away");

    let stage = desk();
    fs::remove_dir(stage.home.path().join(".astro")).unwrap();
    fs::write(stage.home.path().join(".astro"), "").unwrap();
    let outcome = ask(&stage, true).await;
    let advice = "move it away, or set ASTRO_HOME to a folder of your own";
    assert_fails(&stage, &outcome, "config", "HOME/.astro is not a folder", advice);
}

#[tokio::test]
async fn locked_config_is_a_note() {
    let stage = desk();
    let path = stage.home.path().join(".astro").join("config.yaml.lock");
    let lock = fs::File::create(&path).unwrap();
    lock.lock().unwrap();
    // Windows refuses reads of a locked file, so nothing is compared here.
    let request = Doctor { domain: Some(stage.service.domain()).into(), json: true.into() };
    let outcome = stage.run(async |system| doctor(system, &request).await).await;
    let found = report(&outcome);
    assert_eq!((outcome.exit_code(), named(&found, "note")), (0, vec!["config"]), "{found:#}");
    drop(lock);
    assert_eq!(named(&report(&ask(&stage, true).await), "note"), Vec::<&str>::new());
}

#[cfg(unix)]
#[tokio::test]
async fn doctor_shows_config_link_and_permissions() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let stage = desk();
    let target = stage.home.path().join("dotfiles.yaml");
    fs::write(&target, "page_size: 20\n").unwrap();
    symlink(&target, stage.home.config_path()).unwrap();
    let found = report(&ask(&stage, true).await);
    let target = target.canonicalize().unwrap().display().to_string();
    let told = format!("{} is writable (links to {target})", stage.home.config_path().display());
    assert_eq!(check(&found, "config")["detail"], told);
    fs::remove_file(&target).unwrap();
    let advice = "create the file that it points to, or remove the link";
    let detail = "HOME/.astro/config.yaml is a link to a file that does not exist";
    assert_fails(&stage, &ask(&stage, true).await, "config", detail, advice);

    let stage = desk();
    stage.keep_in_config(&stage.earlier_login(3_600));
    mode(&stage.home.config_path(), 0o644);
    let outcome = ask(&stage, true).await;
    let found = report(&outcome);
    assert_eq!((outcome.exit_code(), named(&found, "note")), (0, vec!["config"]), "{found:#}");
    assert_eq!(
        normalize(&stage, check(&found, "config")["detail"].as_str().unwrap()),
        "HOME/.astro/config.yaml is readable by others"
    );
    mode(&stage.home.path().join(".astro"), 0o777);
    let found = report(&ask(&stage, true).await);
    let told = ["others may write in HOME/.astro", "run `chmod go-w HOME/.astro`"];
    let config = check(&found, "config");
    assert_eq!(["detail", "advice"].map(|name| normalize(&stage, config[name].as_str().unwrap())), told);
}

#[tokio::test]
async fn no_terminal_no_browser_passes_doctor() {
    let elsewhere = "use `--login-link` or `--begin` for a URL to open on any device, or `--token-login -` with a token on standard input";
    let machine = desk().machine;
    let table = [
        (machine, ("CI", "true"), "running in CI", "use `--token-login -` with a token on standard input"),
        (machine, ("SSH_TTY", "/dev/pts/1"), "running over SSH", elsewhere),
        (machine, ("BROWSER", "w3m"), "$BROWSER is w3m, a text browser, which cannot share this terminal", elsewhere),
        (
            Machine { launcher: false, ..machine },
            ("DISPLAY", ":0"),
            "no browser opener found (install xdg-utils or set BROWSER)",
            elsewhere,
        ),
        (Machine { container: true, ..machine }, ("TERM", "xterm"), "running in a container", elsewhere),
    ];
    for (machine, variable, reason, advice) in table {
        let mut stage = desk();
        (stage.machine, stage.environment) = (machine, Environment::from_pairs(&[variable]));
        let outcome = ask(&stage, true).await;
        let found = report(&outcome);
        assert_eq!((outcome.exit_code(), &found["would"]), (0, &json!("token")), "{found:#}");
        let detail = format!("needs a token: no browser ({reason}) and no terminal");
        let expected = json!({"name": "login", "outcome": "note", "detail": detail, "advice": advice});
        assert_eq!(check(&found, "login"), &expected);
    }
}

#[tokio::test]
async fn doctor_shows_callback_route_of_remote_browser() {
    let table = [
        (("CODESPACES", "true"), "note", "any free port; if the browser runs outside this codespace, forward the port"),
        (
            ("SSH_CONNECTION", "203.0.113.9 50022 198.51.100.7 22"),
            "note",
            "any free port; if the browser runs outside this machine, forward the port",
        ),
        (("WSL_DISTRO_NAME", "Debian"), "ok", "any free port; Windows forwards localhost to WSL"),
    ];
    for (variable, outcome, detail) in table {
        let mut stage = desk();
        let folder = with_program(&stage, "helper");
        stage.environment = Environment::from_pairs(&[variable, ("BROWSER", "helper"), ("PATH", &folder)]);
        let found = report(&ask(&stage, true).await);
        let expected = json!({"name": "callback", "outcome": outcome, "detail": detail, "advice": null});
        assert_eq!(check(&found, "callback"), &expected);
        assert_eq!(check(&found, "login")["detail"], "opens helper (from BROWSER)");
    }
}

fn with_program(stage: &Stage, name: &str) -> String {
    let folder = stage.home.path().join("bin");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join(name), "").unwrap();
    folder.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn doctor_notes_missing_browser_program() {
    let mut stage = desk();
    let folder = with_program(&stage, "second");
    let named = |value: &str| Environment::from_pairs(&[("DISPLAY", ":0"), ("BROWSER", value), ("PATH", &folder)]);
    stage.environment = named("first:second --new-window");
    let found = report(&ask(&stage, true).await);
    assert_eq!(check(&found, "login")["detail"], "opens second (from BROWSER)");
    stage.environment = named("first:bin/second");
    let outcome = ask(&stage, true).await;
    let found = report(&outcome);
    assert_eq!((outcome.exit_code(), &found["would"]), (0, &json!("link")), "{found:#}");
    let expected = json!({
        "name": "login", "outcome": "note",
        "detail": "prints a link: could not find first (from BROWSER)",
        "advice": "set BROWSER to an installed browser, or unset it",
    });
    assert_eq!(check(&found, "login"), &expected);
}

#[tokio::test]
async fn invalid_proxy_is_a_note() {
    let mut stage = desk();
    stage.environment = Environment::from_pairs(&[("DISPLAY", ":0"), ("HTTPS_PROXY", "::::")]);
    let expected = json!({
        "name": "variables", "outcome": "note", "detail": "DISPLAY, HTTPS_PROXY (invalid)",
        "advice": "set a proxy as http://HOST:PORT, without quotes",
    });
    assert_eq!(check(&report(&ask(&stage, true).await), "variables"), &expected);
}

#[tokio::test]
async fn doctor_shows_api_token_and_ended_login() {
    let stage = desk();
    let login = astro_login::credentials::Credentials { refresh: None, ..stage.earlier_login(-3_600) };
    stage.keep_in_keychain(&login);
    let found = report(&ask(&stage, true).await);
    let expected = json!({
        "name": "account", "outcome": "note", "advice": "log in again",
        "detail": "ada@example.com, expired 2026-11-24 11:00 UTC (1 hour ago)",
    });
    assert_eq!(check(&found, "account"), &expected);
    let mut stage = stage;
    let token = stage.service.access_token(&json!({"exp": 1_700_000_000}));
    stage.environment = stage.environment.with("ASTRO_API_TOKEN", &token);
    let outcome = ask(&stage, true).await;
    let told = "ASTRO_API_TOKEN overrides any login (expired)";
    assert_eq!(check(&report(&outcome), "account")["detail"], told);
    assert_eq!(leaked(&outcome.all_text(), &token), None);
    assert_eq!(outcome.exit_code(), 0);
}

/// The context's domain cannot be known, and the rest is looked at all the same.
#[tokio::test]
async fn doctor_shows_domain_and_its_source() {
    let domain = |outcome: &Outcome| check(&report(outcome), "domain")["detail"].as_str().unwrap().to_owned();
    let mut stage = desk();
    let unnamed = Doctor { domain: None.into(), json: true.into() };
    let named = stage.service.domain();
    stage.home.write_config(&format!("context: {named}\n"));
    let outcome = stage.run(async |system| doctor(system, &unnamed).await).await;
    assert_eq!(domain(&outcome), format!("{named} (the current context)"));
    stage.home.write_config("context: cluster.example.com\n");
    stage.environment = stage.environment.with("ASTRO_DOMAIN", &named);
    let outcome = stage.run(async |system| doctor(system, &unnamed).await).await;
    assert_eq!(domain(&outcome), format!("{named} (from ASTRO_DOMAIN)"));
    let unknown = Doctor { domain: Some("example".to_owned()).into(), json: true.into() };
    let outcome = stage.run(async |system| doctor(system, &unknown).await).await;
    assert_eq!((outcome.exit_code(), outcome.stdout.as_str()), (2, ""));
}

/// Returns the binary with a proxy on a closed port, so that it reaches no network.
#[cfg(target_os = "linux")]
fn offline(home: &crate::support::TestHome) -> crate::support::binary::Astro {
    crate::support::binary::Astro::at(home).with("HTTPS_PROXY", "http://ada:hunter2@127.0.0.1:1").with("CI", "true")
}

#[cfg(target_os = "linux")]
#[test]
fn doctor_binary_shows_proxy_and_domain_of_config() {
    let home = crate::support::TestHome::new();
    home.write_config("contexts: [");
    let output = offline(&home).run(&["auth", "doctor", "--json"]);
    let found: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!((output.code, named(&found, "fail")), (Some(1), vec!["config", "api"]), "{found:#}");
    let detail = "astronomer.io (could not read the current context from config.yaml)";
    assert_eq!(
        check(&found, "domain"),
        &json!({"name": "domain", "outcome": "note", "detail": detail, "advice": null})
    );
    let detail = "could not fetch the login configuration: api.astronomer.io: the proxy 127.0.0.1:1 could not be \
                  reached: Connection refused (os error 111)";
    let advice = "check the network and HTTPS_PROXY";
    assert_eq!(check(&found, "api"), &json!({"name": "api", "outcome": "fail", "detail": detail, "advice": advice}));
    assert_eq!(check(&found, "certificates")["detail"], "system roots (not checked)");
    let error = "error: a login to astronomer.io would fail on this machine\n\
                 hint: follow the advice of the failed checks above\n";
    assert_eq!(output.stderr, error);
    assert!(!output.stdout.contains("hunter2"), "{}", output.stdout);
    home.write_config("context: cluster\n");
    let output = offline(&home).run(&["auth", "doctor"]);
    let told = "note   domain       astronomer.io (the default, since the current context is not\n                    a domain)\n";
    assert!(output.stdout.contains(told), "{}", output.stdout);
}

#[cfg(unix)]
#[tokio::test]
async fn every_astro_on_path_is_listed_with_login() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut stage = Stage::new();
    let folder = |name: &str, lines: &str, mode| {
        let folder = stage.home.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        let program = folder.join("astro");
        std::fs::write(&program, format!("#!/bin/sh\n{lines}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(mode)).unwrap();
        folder
    };
    let ours = stage.home.path().join("ours");
    std::fs::create_dir(&ours).unwrap();
    std::os::unix::fs::symlink(std::env::current_exe().unwrap(), ours.join("astro")).unwrap();
    let folders = [
        folder("open", "echo 1.0.0", 0o757),
        ours,
        folder("two", "echo 'Astro CLI Version: 2.0.0-beta1'; exit 1", 0o755),
        folder("one", "[ $1 = version ] && echo Git Commit && echo Version: v1.45.0 && exec sleep 60", 0o755),
        folder("copy", "echo astro 0.1.0", 0o755),
        folder("hangs", "exec sleep 60", 0o755),
        folder("empty", "", 0o644),
    ];
    let path = std::env::join_paths(&folders).unwrap().into_string().unwrap();
    stage.environment = stage.environment.with("PATH", &path);
    let listed = async |stage: &Stage| {
        let request = Doctor { domain: Some(stage.service.domain()).into(), json: true.into() };
        let outcome = stage.run(async |system| doctor(system, &request).await).await;
        let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
        let home = format!("{}/", stage.home.path().display());
        let checks = report["checks"].as_array().unwrap().iter().filter(|check| check["name"] == "astro");
        checks.map(|it| it["detail"].as_str().unwrap().replace(&home, "")).collect::<Vec<_>>()
    };
    let expected = |one: &str, copy: &str| {
        let [one, copy] = [one, copy].map(|sees| format!("{sees} this login"));
        vec![
            "open/astro: skipped, because everyone can write to it".to_owned(),
            "ours/astro: this program".to_owned(),
            format!("two/astro: version 2.0.0-beta1, runs other commands, {one}"),
            format!("one/astro: version 1.45.0, {one}"),
            format!("copy/astro: version 0.1.0, {copy}"),
            "hangs/astro: unknown, because it did not say its version within a second".to_owned(),
        ]
    };
    drop(stage.login(&stage.request()).await.success());
    assert_eq!(listed(&stage).await, expected("cannot see", "sees"));
    let request = astro_login::commands::login::Login { insecure_storage: true, ..stage.request() };
    drop(stage.login(&request).await.success());
    assert_eq!(listed(&stage).await, expected("sees", "sees"));
}
