//! `astro auth doctor`: what it tells of a machine, that it finds what would fail a login, and that it changes nothing.

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
    let request = Doctor { domain: Some(stage.service.domain()), json };
    let before = everything_in(stage.home.path());
    let outcome = stage.run(async |system| doctor(system, &request).await).await;
    assert_eq!(everything_in(stage.home.path()), before, "nothing is written");
    assert!(stage.browser.opened().is_empty(), "nothing is opened");
    outcome
}

/// Every file, folder and link below `folder`, with what it holds.
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

/// What differs from run to run, by name.
fn plain(stage: &Stage, text: &str) -> String {
    let home = stage.home.path().display().to_string();
    times(&text.replace(&stage.service.domain(), "localhost:PORT").replace(&home, "HOME").replace('\\', "/"))
}

/// The same of each text in the JSON.
fn plainly(stage: &Stage, value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(plain(stage, &text)),
        Value::Array(values) => values.into_iter().map(|value| plainly(stage, value)).collect(),
        Value::Object(members) => members.into_iter().map(|(name, value)| (name, plainly(stage, value))).collect(),
        other => other,
    }
}

/// `text` with each time in milliseconds replaced by `N`.
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

/// The names of the checks with this outcome.
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
    assert_eq!(plain(stage, found["detail"].as_str().unwrap()), detail);
    assert_eq!(plain(stage, found["advice"].as_str().unwrap()), advice);
    assert_eq!(outcome.exit_code(), 1);
    assert_eq!(outcome.complaint(), format!("a login to {} would fail on this machine", stage.service.domain()));
}

#[tokio::test]
async fn where_all_is_well_nothing_but_public_things_are_asked() {
    let stage = desk();
    let outcome = ask(&stage, true).await;
    assert_eq!((outcome.exit_code(), outcome.stderr.as_str()), (0, ""));
    let ok = |name: &str, detail: &str| json!({"name": name, "outcome": "ok", "detail": detail, "advice": null});
    let expected = json!({
        "version": 1,
        "would": "browser",
        "checks": [
            ok("domain", "localhost:PORT, from --domain"),
            ok("login", "opens the desktop's browser (X)"),
            ok("callback", "any free port will do"),
            check(&report(&outcome), "loopback"),
            ok("keychain", "the test's keychain is open, and takes the credentials"),
            ok("config", "a login will create HOME/.astro/config.yaml"),
            ok("account", "nobody is signed in"),
            ok("api", "localhost:PORT answered in N ms"),
            ok("issuer", "http://localhost:PORT/ belongs to localhost:PORT"),
            ok("keys", "localhost:PORT answered in N ms"),
            ok("certificates", "none are needed: this is plain http on this machine"),
            ok("clock", "agrees with the API's"),
            ok("variables", "DISPLAY"),
        ],
    });
    assert_eq!(plainly(&stage, report(&outcome)), expected);
    // The members in their order.
    let beginning = r#"{
  "version": 1,
  "would": "browser",
  "checks": [
    {
      "name": "domain",
      "outcome": "ok",
      "detail": "localhost:PORT, from --domain",
      "advice": null
    },
"#;
    assert!(plain(&stage, &outcome.stdout).starts_with(beginning), "{}", outcome.stdout);
    assert_eq!(stage.traffic(), [format!("GET {KEYS}"), format!("GET {METADATA}"), format!("GET {AUTH_CONFIG}")]);
    assert!(stage.service.requests().iter().all(|request| request.header("authorization").is_none()));
}

/// The screen with what differs from run to run by name. A path has as many columns as it has, so it may stand on a line
/// of its own; what a port takes is always the same.
fn screen(stage: &Stage, text: &str) -> String {
    let config = stage.home.config_path().display().to_string().replace(".astro/", &format!(".astro{MAIN_SEPARATOR}"));
    let text = text.replace(&format!("\n                    {config}"), " CONFIG").replace(&config, "CONFIG");
    let text = times(&text.replace(&stage.service.domain(), "localhost:54321"));
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    text
}

/// The loopback addresses of this machine, in words.
fn loopback() -> &'static str {
    match ["127.0.0.1:0", "[::1]:0"].map(|address| TcpListener::bind(address).is_ok()) {
        [true, true] => "ok     loopback     127.0.0.1 and ::1",
        [true, false] => "note   loopback     127.0.0.1 alone: there is no ::1 here",
        [false, _] => "note   loopback     ::1 alone: there is no 127.0.0.1 here",
    }
}

#[tokio::test]
async fn the_screen_of_a_desk_fits_into_80_columns_and_is_this() {
    let mut stage = desk();
    stage.environment =
        Environment::from_pairs(&[("WAYLAND_DISPLAY", "wayland-0"), ("DISPLAY", ":0"), ("NO_COLOR", "1")]);
    stage.keep_in_keychain(&stage.earlier_login(3_600));
    let loopback = loopback();
    let expected = format!(
        "\
A login to localhost:54321 would open a browser.

ok     domain       localhost:54321, from --domain
ok     login        opens the desktop's browser (Wayland)
ok     callback     any free port will do
{loopback}
ok     keychain     the test's keychain is open, and takes the credentials
ok     config       a login will create CONFIG
ok     account      ada@example.com, until 2026-11-24 13:00 UTC (in 1 hour);
                    renewed when needed
ok     api          localhost:54321 answered in N ms
ok     issuer       http://localhost:54321/ belongs to localhost:54321
ok     keys         localhost:54321 answered in N ms
ok     certificates none are needed: this is plain http on this machine
ok     clock        agrees with the API's
ok     variables    DISPLAY, WAYLAND_DISPLAY, NO_COLOR
"
    );
    assert_eq!(screen(&stage, &ask(&stage, false).await.stdout), expected);
}

#[tokio::test]
async fn the_screen_of_a_machine_where_much_is_wrong_says_what_to_do() {
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
    let loopback = loopback();
    let expected = format!(
        "\
A login to localhost:54321 would fail.

ok     domain       localhost:54321, from --domain
note   login        no browser is opened: this is a CI job, and there is no
                    terminal
                    hint: use `--token-login -` with a token on standard input
ok     callback     any free port will do
{loopback}
fails  keychain     could not use the keychain: the keychain is locked
                    hint: unlock the keychain and try again, or save unencrypted
                    with `astro login localhost:54321 --insecure-storage`
ok     config       a login will create CONFIG
note   account      the token in ASTRO_API_TOKEN, which wins over any login
                    hint: unset it to use a login
fails  api          could not fetch the login configuration: localhost:54321: it
                    answered with status 503
                    hint: try again in a minute
note   issuer       not known, since the API did not name it
note   keys         not asked for, since the issuer is not known
ok     certificates none are needed: this is plain http on this machine
note   clock        not compared, since the API did not tell the time
ok     variables    ASTRO_API_TOKEN, BROWSER, CI, no_proxy, HTTPS_PROXY
                    (proxy.example:3128)
"
    );
    assert_eq!(screen(&stage, &outcome.stdout), expected);
    assert_eq!((outcome.exit_code(), outcome.stderr.as_str()), (1, ""));
    for secret in [token.as_str(), "hunter2hunter2"] {
        assert_eq!(leaked(&outcome.all_text(), secret), None);
    }
    assert!(!outcome.all_text().contains("hunter2"));
}

#[tokio::test]
async fn a_keychain_that_a_login_would_not_pass_fails() {
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
        (StoreError::Other("odd".to_owned()), "odd", format!("to skip the keychain, use {plain_text}")),
    ];
    for (failure, words, advice) in table {
        let stage = desk();
        stage.keychain.fail(failure);
        let outcome = ask(&stage, true).await;
        assert_fails(&stage, &outcome, "keychain", &format!("could not use the keychain: {words}"), &advice);
        assert_eq!(check(&report(&outcome), "account")["detail"], "not known, since the keychain cannot be read");
    }
}

#[tokio::test]
async fn a_missing_keychain_is_a_note_and_a_failure_only_where_plain_text_is_forbidden() {
    let mut stage = desk();
    stage.keychain.fail(StoreError::Absent { reason: "no session bus" });
    let outcome = ask(&stage, true).await;
    let found = report(&outcome);
    assert_eq!((outcome.exit_code(), named(&found, "note")), (0, vec!["keychain"]), "{found:#}");

    let forbidden = "no keychain available (no session bus), and saving credentials unencrypted is forbidden";
    let advice = "start a keychain such as gnome-keyring, unset `no_insecure_fallback` and \
                  ASTRO_NO_INSECURE_FALLBACK, or save unencrypted with `astro login localhost:PORT --insecure-storage`";
    stage.home.write_config("no_insecure_fallback: true\n");
    assert_fails(&stage, &ask(&stage, true).await, "keychain", forbidden, advice);
    fs::remove_file(stage.home.config_path()).unwrap();
    stage.environment = stage.environment.with("ASTRO_NO_INSECURE_FALLBACK", "1");
    assert_fails(&stage, &ask(&stage, true).await, "keychain", forbidden, advice);
}

#[tokio::test]
async fn damaged_credentials_are_a_note_for_a_login_replaces_them() {
    let stage = desk();
    stage.keychain.damage(&stage.service.domain());
    let outcome = ask(&stage, true).await;
    let found = report(&outcome);
    assert_eq!((outcome.exit_code(), named(&found, "note")), (0, vec!["keychain", "account"]), "{found:#}");
}

/// Puts something out of order.
type Breaks = fn(&Stage);

#[tokio::test]
async fn an_api_or_an_issuer_that_is_not_right_fails() {
    let step = "could not fetch the login configuration: localhost:PORT:";
    let keys = "could not fetch the issuer's keys: localhost:PORT:";
    let support = "contact Astronomer support if it happens again; nothing was sent to that issuer";
    let again = "try again; if it happens again, contact Astronomer support";
    let portal = "try another network; a proxy or captive portal may interfere with this one";
    let table: [(Breaks, &str, String, &str); 6] = [
        (
            |stage| stage.service.fail(AUTH_CONFIG, Fault::Page(200)),
            "api",
            format!("{step} its answer could not be understood"),
            portal,
        ),
        (
            |stage| stage.service.fail(AUTH_CONFIG, Fault::Reset),
            "api",
            format!("{step} the connection ended in the middle of the answer"),
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
            "the metadata published by http://localhost:PORT/ is that of `https://login.example/`".to_owned(),
            support,
        ),
        (
            |stage| stage.service.fail(KEYS, Fault::Status(500, String::new())),
            "keys",
            format!("{keys} it answered with status 500"),
            "try again in a minute",
        ),
        (
            |stage| stage.service.patch(Part::Keys, json!({"keys": []})),
            "keys",
            "the issuer publishes no RSA key for signatures of at least 2048 bits".to_owned(),
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
async fn a_clock_that_is_off_by_more_than_a_minute_fails() {
    for (seconds, says) in [(600, "600 seconds behind"), (-600, "600 seconds ahead of"), (-61, "61 seconds ahead of")] {
        let stage = desk();
        stage.service.set(|options| options.now = options.now.map(|now| now + seconds));
        let detail = format!("the clock here is {says} the API's, so tokens would be refused");
        assert_fails(&stage, &ask(&stage, true).await, "clock", &detail, "set the clock of this machine");
    }
    let stage = desk();
    stage.service.set(|options| options.now = options.now.map(|now| now + 60));
    assert_eq!(ask(&stage, true).await.exit_code(), 0);
}

#[tokio::test]
async fn settings_that_a_login_could_not_use_fail() {
    let stage = desk();
    stage.home.write_config("contexts: [");
    let outcome = ask(&stage, true).await;
    let detail = "could not use HOME/.astro/config.yaml: line 2, column 1: while parsing a node, did not find expected \
                  node content";
    assert_fails(&stage, &outcome, "config", detail, "correct the file by hand; it was not changed");

    let stage = desk();
    fs::create_dir(stage.home.config_path()).unwrap();
    let outcome = ask(&stage, true).await;
    assert_fails(&stage, &outcome, "config", "HOME/.astro/config.yaml is not a file", "move it away and try again");

    let stage = desk();
    fs::remove_dir(stage.home.path().join(".astro")).unwrap();
    fs::write(stage.home.path().join(".astro"), "").unwrap();
    let outcome = ask(&stage, true).await;
    let advice = "move it away, or set ASTRO_HOME to a folder of your own";
    assert_fails(&stage, &outcome, "config", "HOME/.astro is not a folder", advice);
}

#[tokio::test]
async fn settings_that_another_program_holds_are_a_note() {
    let stage = desk();
    let path = stage.home.path().join(".astro").join("config.yaml.lock");
    let lock = fs::File::create(&path).unwrap();
    lock.lock().unwrap();
    // Windows lets nobody read what is locked, so nothing is compared here.
    let request = Doctor { domain: Some(stage.service.domain()), json: true };
    let outcome = stage.run(async |system| doctor(system, &request).await).await;
    let found = report(&outcome);
    assert_eq!((outcome.exit_code(), named(&found, "note")), (0, vec!["config"]), "{found:#}");
    drop(lock);
    assert_eq!(named(&report(&ask(&stage, true).await), "note"), Vec::<&str>::new());
}

#[cfg(unix)]
#[tokio::test]
async fn the_settings_link_and_who_may_see_them_are_told() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let stage = desk();
    let target = stage.home.path().join("dotfiles.yaml");
    fs::write(&target, "page_size: 20\n").unwrap();
    symlink(&target, stage.home.config_path()).unwrap();
    let found = report(&ask(&stage, true).await);
    let target = target.canonicalize().unwrap().display().to_string();
    let told = format!("can be edited: {}, a link to {target}", stage.home.config_path().display());
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
        plain(&stage, check(&found, "config")["detail"].as_str().unwrap()),
        "others may read the tokens in HOME/.astro/config.yaml"
    );
    mode(&stage.home.path().join(".astro"), 0o777);
    let found = report(&ask(&stage, true).await);
    let told = "others may write in HOME/.astro; `chmod go-w HOME/.astro` ends that";
    assert_eq!(plain(&stage, check(&found, "config")["detail"].as_str().unwrap()), told);
}

#[tokio::test]
async fn without_a_terminal_and_a_browser_it_takes_a_token_and_that_is_no_failure() {
    let elsewhere =
        "use `--login-link` for a URL to open on any device, or `--token-login -` with a token on standard input";
    let machine = desk().machine;
    let table = [
        (machine, ("CI", "true"), "this is a CI job", "use `--token-login -` with a token on standard input"),
        (machine, ("SSH_TTY", "/dev/pts/1"), "this is an SSH session", elsewhere),
        (machine, ("BROWSER", "w3m"), "w3m, which BROWSER names, would need the terminal for itself", elsewhere),
        (
            Machine { launcher: false, ..machine },
            ("DISPLAY", ":0"),
            "there is no xdg-open here, nor anything like it",
            elsewhere,
        ),
        (Machine { container: true, ..machine }, ("TERM", "xterm"), "this is a container", elsewhere),
    ];
    for (machine, variable, reason, advice) in table {
        let mut stage = desk();
        (stage.machine, stage.environment) = (machine, Environment::from_pairs(&[variable]));
        let outcome = ask(&stage, true).await;
        let found = report(&outcome);
        assert_eq!((outcome.exit_code(), &found["would"]), (0, &json!("token")), "{found:#}");
        let detail = format!("no browser is opened: {reason}, and there is no terminal");
        let expected = json!({"name": "login", "outcome": "note", "detail": detail, "advice": advice});
        assert_eq!(check(&found, "login"), &expected);
    }
}

#[tokio::test]
async fn a_browser_outside_of_this_machine_is_told_of_its_way_back() {
    let table = [
        (
            ("CODESPACES", "true"),
            "note",
            "any free port will do; a browser outside of this codespace gets back only where the port is forwarded; else paste its address",
        ),
        (
            ("SSH_CONNECTION", "203.0.113.9 50022 198.51.100.7 22"),
            "note",
            "any free port will do; a browser outside of this machine gets back only where the port is forwarded; else paste its address",
        ),
        (
            ("WSL_DISTRO_NAME", "Debian"),
            "ok",
            "any free port will do; Windows hands on what its browser sends to localhost",
        ),
    ];
    for (variable, outcome, detail) in table {
        let mut stage = desk();
        let folder = with_program(&stage, "helper");
        stage.environment = Environment::from_pairs(&[variable, ("BROWSER", "helper"), ("PATH", &folder)]);
        let found = report(&ask(&stage, true).await);
        let expected = json!({"name": "callback", "outcome": outcome, "detail": detail, "advice": null});
        assert_eq!(check(&found, "callback"), &expected);
        assert_eq!(check(&found, "login")["detail"], "opens helper, which BROWSER names");
    }
}

/// The folder of a program of this name.
fn with_program(stage: &Stage, name: &str) -> String {
    let folder = stage.home.path().join("bin");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join(name), "").unwrap();
    folder.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_browser_that_is_named_and_is_not_here_is_told_of() {
    let mut stage = desk();
    let folder = with_program(&stage, "second");
    let named = |value: &str| Environment::from_pairs(&[("DISPLAY", ":0"), ("BROWSER", value), ("PATH", &folder)]);
    stage.environment = named("first:second --new-window");
    let found = report(&ask(&stage, true).await);
    assert_eq!(check(&found, "login")["detail"], "opens second, which BROWSER names");
    stage.environment = named("first:bin/second");
    let outcome = ask(&stage, true).await;
    let found = report(&outcome);
    assert_eq!((outcome.exit_code(), &found["would"]), (0, &json!("link")), "{found:#}");
    let expected = json!({
        "name": "login", "outcome": "note",
        "detail": "prints a link: first, which BROWSER names, is not here",
        "advice": "set BROWSER to a browser that is here, or to nothing",
    });
    assert_eq!(check(&found, "login"), &expected);
}

#[tokio::test]
async fn a_proxy_that_is_not_understood_is_a_note() {
    let mut stage = desk();
    stage.environment = Environment::from_pairs(&[("DISPLAY", ":0"), ("HTTPS_PROXY", "::::")]);
    let expected = json!({
        "name": "variables", "outcome": "note", "detail": "DISPLAY, HTTPS_PROXY (not understood)",
        "advice": "a proxy is named as http://HOST:PORT; what is not understood is not used",
    });
    assert_eq!(check(&report(&ask(&stage, true).await), "variables"), &expected);
}

#[tokio::test]
async fn an_api_token_or_an_ended_login_is_told_of() {
    let stage = desk();
    let login = astro_login::credentials::Credentials { refresh: None, ..stage.earlier_login(-3_600) };
    stage.keep_in_keychain(&login);
    let found = report(&ask(&stage, true).await);
    let expected = json!({
        "name": "account", "outcome": "note", "advice": "sign in again",
        "detail": "ada@example.com, expired: 2026-11-24 11:00 UTC (1 hour ago)",
    });
    assert_eq!(check(&found, "account"), &expected);
    let mut stage = stage;
    let token = stage.service.access_token(&json!({"exp": 1_700_000_000}));
    stage.environment = stage.environment.with("ASTRO_API_TOKEN", &token);
    let outcome = ask(&stage, true).await;
    let told = "the token in ASTRO_API_TOKEN, which wins over any login, and has expired";
    assert_eq!(check(&report(&outcome), "account")["detail"], told);
    assert_eq!(leaked(&outcome.all_text(), &token), None);
    assert_eq!(outcome.exit_code(), 0);
}

/// The context's domain cannot be known, and the rest is looked at all the same.
#[tokio::test]
async fn the_domain_is_told_with_what_has_named_it() {
    let domain = |outcome: &Outcome| check(&report(outcome), "domain")["detail"].as_str().unwrap().to_owned();
    let mut stage = desk();
    let unnamed = Doctor { domain: None, json: true };
    let named = stage.service.domain();
    stage.home.write_config(&format!("context: {named}\n"));
    let outcome = stage.run(async |system| doctor(system, &unnamed).await).await;
    assert_eq!(domain(&outcome), format!("{named}, the current context"));
    stage.home.write_config("context: cluster.example.com\n");
    stage.environment = stage.environment.with("ASTRO_DOMAIN", &named);
    let outcome = stage.run(async |system| doctor(system, &unnamed).await).await;
    assert_eq!(domain(&outcome), format!("{named}, from ASTRO_DOMAIN"));
    let unknown = Doctor { domain: Some("example.com".to_owned()), json: true };
    let outcome = stage.run(async |system| doctor(system, &unknown).await).await;
    assert_eq!((outcome.exit_code(), outcome.stdout.as_str()), (2, ""));
}

/// The binary, which knows no other network than a proxy that is not there, whose port is nobody's.
#[cfg(target_os = "linux")]
fn offline(home: &crate::support::TestHome) -> crate::support::binary::Astro {
    crate::support::binary::Astro::at(home).with("HTTPS_PROXY", "http://ada:hunter2@127.0.0.1:1").with("CI", "true")
}

#[cfg(target_os = "linux")]
#[test]
fn the_binary_tells_of_the_proxy_and_of_settings_that_name_the_domain() {
    let home = crate::support::TestHome::new();
    home.write_config("contexts: [");
    let output = offline(&home).run(&["auth", "doctor", "--json"]);
    let found: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!((output.code, named(&found, "fail")), (Some(1), vec!["config", "api"]), "{found:#}");
    let detail = "astronomer.io; config.yaml, which may name another, cannot be read";
    assert_eq!(
        check(&found, "domain"),
        &json!({"name": "domain", "outcome": "note", "detail": detail, "advice": null})
    );
    let detail = "could not fetch the login configuration: api.astronomer.io: no connection: Connection refused \
                  (os error 111) (through the proxy 127.0.0.1:1)";
    let advice = "check the network and, behind a proxy, HTTPS_PROXY";
    assert_eq!(check(&found, "api"), &json!({"name": "api", "outcome": "fail", "detail": detail, "advice": advice}));
    assert_eq!(check(&found, "certificates")["detail"], "those that this system trusts; not tried");
    let error = "error: a login to astronomer.io would fail on this machine\n\
                 hint: see the failed checks above\n";
    assert_eq!(output.stderr, error);
    assert!(!output.stdout.contains("hunter2"), "{}", output.stdout);
    home.write_config("context: cluster.example.com\n");
    let output = offline(&home).run(&["auth", "doctor"]);
    let told = "note   domain       astronomer.io, the default, since the current context is not\n                    an Astro context\n";
    assert!(output.stdout.contains(told), "{}", output.stdout);
}
