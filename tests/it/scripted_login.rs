//! `astro login --begin`, `--complete` and `--output json`, for a program that only starts commands and reads what they print.

use std::fs;
use std::path::Path;

use astro_login::commands::login::{Login, TokenArgument};
use astro_login::credentials::StoreError;
use serde_json::{Value, json};
use url::Url;
use zeroize::Zeroizing;

use crate::support::binary::{Astro, Output};
use crate::support::{FakeBrowser, Fault, Mode, Options, Service, Stage, TestHome};

const EMAIL: &str = "ada@example.com";

/// A program that reads only what finished processes have printed, and a browser that cannot reach this machine's port.
struct Driver {
    service: Service,
    home: TestHome,
}

impl Driver {
    fn new() -> Self {
        Self { service: Service::start(Options::default().organizations(1, 1)), home: TestHome::new() }
    }

    fn astro(&self) -> Astro {
        Astro::at(&self.home)
    }

    fn begin(&self, flags: &[&str]) -> Output {
        let domain = self.service.domain();
        self.astro().run(&[&["login", &domain, "--insecure-storage", "--begin", "--output", "json"], flags].concat())
    }

    /// The link of a first step.
    #[track_caller]
    fn link(&self, flags: &[&str]) -> Url {
        let begun = self.begin(flags);
        assert_eq!(begun.code, Some(0), "{begun:?}");
        let event: Value = serde_json::from_str(&begun.stdout).unwrap();
        event["link"].as_str().unwrap().parse().unwrap()
    }

    fn complete(&self, url: &str) -> Output {
        self.astro().stdin(url).run(&["login", "--complete", "-", "--output", "json"])
    }

    fn pending(&self) -> Option<Value> {
        let text = fs::read(self.home.path().join(".astro/pending-login.json")).ok()?;
        Some(serde_json::from_slice(&text).unwrap())
    }

    /// The verifier, `state` and `nonce` of the login that was begun.
    fn secrets(&self) -> Vec<String> {
        let pending = self.pending().unwrap();
        ["verifier", "state", "nonce"].map(|name| pending[name].as_str().unwrap().to_owned()).into()
    }

    #[track_caller]
    fn assert_no_trace(&self, secrets: &[String]) {
        for file in files(self.home.path()) {
            let text = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
            for secret in secrets {
                assert!(!text.contains(secret.as_str()), "{}", file.display());
            }
        }
    }
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// The address of the last page, which did not load.
fn last_page(mode: Mode, link: &Url) -> Url {
    let browser = FakeBrowser::new(mode);
    browser.visit(link);
    browser.redirect().unwrap()
}

fn ada(link: &Url) -> Url {
    last_page(Mode::StopAtRedirect(EMAIL.to_owned()), link)
}

fn events(output: &Output) -> Vec<Value> {
    output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[track_caller]
fn assert_error(output: &Output, code: i32, kind: &str, error: &str) {
    let event = events(output).pop().unwrap();
    assert_eq!((&event["version"], &event["event"]), (&json!(1), &json!("error")), "{output:?}");
    assert_eq!((output.code, &event["code"], &event["kind"]), (Some(code), &json!(code), &json!(kind)), "{output:?}");
    assert!(event["error"].as_str().unwrap().contains(error), "{output:?}");
}

#[test]
fn ar_10_ar_20_lb_5_two_steps_log_in_and_leave_no_secret() {
    let driver = Driver::new();
    let domain = driver.service.domain();
    let begun = driver.begin(&["--email", EMAIL]);
    let event = events(&begun).remove(0);
    let link: Url = event["link"].as_str().unwrap().parse().unwrap();
    assert_eq!(
        begun.stdout,
        format!(
            "{{\"version\":1,\"event\":\"link\",\"link\":{},\"expires_at\":{},\"next\":\"astro login --complete -\"}}\n",
            event["link"], event["expires_at"]
        )
    );
    let secrets = driver.secrets();
    assert!(!begun.stdout.contains(&secrets[0]) && secrets.iter().all(|it| !begun.stderr.contains(it)), "{begun:?}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let file = fs::metadata(driver.home.path().join(".astro/pending-login.json")).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
    }
    let url = ada(&link);

    // Neither the environment nor another context changes the domain.
    let completing = driver.astro().with("ASTRO_DOMAIN", "astronomer.io").stdin(format!("{url}\n"));
    let completed = completing.run(&["login", "--complete", "-", "--output", "json"]);
    assert_eq!(completed.code, Some(0), "{completed:?}");
    let events = events(&completed);
    assert_eq!(events[0], json!({"version": 1, "event": "confirmed", "domain": domain, "account": EMAIL}));
    assert_eq!((&events[1]["event"], &events[1]["account"]), (&json!("settled"), &json!(EMAIL)));
    assert_eq!(
        [&events[1]["organization"], &events[1]["workspace"]],
        ["clorg00000000000000000001", "clws000010000000000000001"]
    );
    assert!(driver.home.config().unwrap().contains("token: Bearer "));
    assert_eq!(driver.pending(), None);
    let code = url.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let secrets = [secrets, vec![code]].concat();
    assert!(secrets.iter().all(|it| !format!("{completed:?}").contains(it)), "{completed:?}");
    driver.assert_no_trace(&secrets);

    let replayed = driver.complete(url.as_str());
    assert_error(&replayed, 4, "unauthenticated", "none was begun, or it was completed or replaced");
    assert_eq!(driver.service.token_requests().len(), 1);
}

#[test]
fn two_steps_in_text_print_only_the_link() {
    let driver = Driver::new();
    let begun = driver.astro().run(&["login", &driver.service.domain(), "--insecure-storage", "--begin"]);
    let link: Url = begun.stdout.trim_end().parse().unwrap();
    assert!(begun.stderr.ends_with("\n  astro login --complete -\n\n"), "{begun:?}");
    let completed = driver.astro().run(&["login", "--complete", ada(&link).as_str()]);
    assert_eq!((completed.code, completed.stdout.as_str()), (Some(0), ""), "{completed:?}");
}

#[test]
fn lb_10_lb_27_wrong_url_keeps_the_first_step() {
    let driver = Driver::new();
    let link = driver.link(&[]);
    let url = ada(&link);
    let other = url.as_str().replace("state=", "state=x");
    for (wrong, error) in [
        (other.as_str(), "this URL is from a different login attempt"),
        ("", "this is not the callback URL"),
        ("http://localhost:12345/callback?code=abc", "this URL is incomplete"),
        (&format!("{url}&code=again"), "more than one `code`"),
    ] {
        assert_error(&driver.complete(wrong), 4, "unauthenticated", error);
    }
    assert!(driver.service.token_requests().is_empty());
    assert_eq!(driver.complete(url.as_str()).code, Some(0));
}

#[test]
fn refusal_by_issuer_ends_the_first_step() {
    let driver = Driver::new();
    let link = driver.link(&[]);
    let secrets = driver.secrets();
    let refused = driver.complete(last_page(Mode::Cancel, &link).as_str());
    assert_error(&refused, 4, "unauthenticated", "access_denied");
    assert_eq!(driver.pending(), None);
    driver.assert_no_trace(&secrets);
}

#[test]
fn ar_8_second_begin_replaces_the_first_and_says_so() {
    let driver = Driver::new();
    let first = driver.link(&[]);
    let secrets = driver.secrets();
    let again = driver.begin(&[]);
    assert!(again.stderr.contains("Replaced the login of an earlier `--begin`."), "{again:?}");
    driver.assert_no_trace(&secrets);
    assert_error(&driver.complete(ada(&first).as_str()), 4, "unauthenticated", "a different login attempt");

    // A home has one, not one for each domain.
    let other = Service::start(Options::default());
    let elsewhere = driver.astro().run(&["login", &other.domain(), "--insecure-storage", "--begin"]);
    assert!(elsewhere.stderr.contains("Replaced the login of an earlier `--begin`."), "{elsewhere:?}");
    assert_eq!(driver.pending().unwrap()["domain"], json!(other.domain()));
}

#[test]
fn first_step_is_not_taken_for_a_login() {
    let driver = Driver::new();
    driver.link(&[]);
    let secrets = driver.secrets();
    let status = driver.astro().run(&["auth", "status", &driver.service.domain()]);
    assert_eq!(status.code, Some(4), "{status:?}");
    let ended = driver.astro().run(&["logout", "--all", "--json"]);
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((ended.code, &report["logged_out"]), (Some(0), &json!([])), "{ended:?}");
    driver.assert_no_trace(&secrets);
}

#[test]
fn two_begins_at_once_leave_one_first_step() {
    let driver = Driver::new();
    let domain = driver.service.domain();
    let arguments = ["login", &domain, "--insecure-storage", "--begin"];
    let links = [driver.astro().start(&arguments), driver.astro().start(&arguments)]
        .map(|begun| begun.finish().stdout.trim_end().parse::<Url>().unwrap());
    let state = driver.pending().unwrap()["state"].as_str().unwrap().to_owned();
    let is_kept = |link: &&Url| link.query_pairs().any(|(name, value)| name == "state" && value == state);
    let loser = links.iter().find(|link| !is_kept(link)).unwrap();
    assert_error(&driver.complete(ada(loser).as_str()), 4, "unauthenticated", "a different login attempt");
    let winner = links.iter().find(is_kept).unwrap();
    assert_eq!(driver.complete(ada(winner).as_str()).code, Some(0));
}

#[test]
fn first_step_of_another_time_is_removed() {
    let driver = Driver::new();
    for expires_at in ["2026-01-01T00:00:00Z", "2126-01-01T00:00:00Z"] {
        let url = ada(&driver.link(&[]));
        let mut pending = driver.pending().unwrap();
        let secrets = driver.secrets();
        pending["expires_at"] = json!(expires_at);
        fs::write(driver.home.path().join(".astro/pending-login.json"), pending.to_string()).unwrap();
        let late = driver.complete(url.as_str());
        assert_error(&late, 4, "unauthenticated", "it was begun more than 10 minutes ago");
        assert_eq!(events(&late)[0]["hint"], "run `astro login --begin`");
        driver.assert_no_trace(&secrets);
    }
}

#[test]
fn lb_17_kill_during_exchange_leaves_no_first_step() {
    let driver = Driver::new();
    let url = ada(&driver.link(&[]));
    let secrets = driver.secrets();
    driver.service.fail("/oauth/token", Fault::Hold);
    let completing = driver.astro().stdin(url.as_str()).start(&["login", "--complete", "-"]);
    driver.service.wait_for("/oauth/token", 1);
    drop(completing);
    driver.service.repair("/oauth/token");
    driver.assert_no_trace(&secrets);
    assert_error(&driver.complete(url.as_str()), 4, "unauthenticated", "none was begun");
}

#[test]
fn lb_28_second_step_refuses_an_unexpected_account() {
    let driver = Driver::new();
    assert_eq!(driver.complete(ada(&driver.link(&[])).as_str()).code, Some(0));
    let before = driver.home.config();
    let grace = |link: &Url| last_page(Mode::StopAtRedirect("grace@example.org".to_owned()), link);
    // The remembered account, then the one of `--email`.
    for (flags, hint) in [(&[][..], "begin with `--email`"), (&["--email", EMAIL][..], "or drop `--email`")] {
        let link = driver.link(flags);
        let secrets = driver.secrets();
        let refused = driver.complete(grace(&link).as_str());
        assert_error(&refused, 4, "unauthenticated", "expected ada@example.com, but logged in as grace@example.org");
        assert!(events(&refused)[0]["hint"].as_str().unwrap().contains(hint), "{refused:?}");
        assert_eq!((driver.home.config(), driver.pending()), (before.clone(), None));
        driver.assert_no_trace(&secrets);
    }
    assert_eq!(driver.service.requests_to("/oauth/revoke").len(), 2, "each grant is revoked");
    assert_eq!(driver.complete(grace(&driver.link(&["--email", "grace@example.org"])).as_str()).code, Some(0));
}

#[test]
fn logout_and_login_remove_the_first_step() {
    let driver = Driver::new();
    let domain = driver.service.domain();
    let token = driver.service.access_token(&json!({}));
    for arguments in [&["logout", &domain][..], &["login", &domain, "--insecure-storage", "--token-login", "-"]] {
        driver.link(&[]);
        let secrets = driver.secrets();
        let ended = driver.astro().stdin(&token).run(arguments);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        driver.assert_no_trace(&secrets);
    }
}

/// On macOS and Windows the program has a keychain, whatever its environment.
#[cfg(all(unix, not(target_os = "macos")))]
#[test]
fn rf_10_first_step_is_not_kept_if_forbidden() {
    let driver = Driver::new();
    let astro = driver.astro().with("ASTRO_NO_INSECURE_FALLBACK", "1");
    let refused = astro.run(&["login", &driver.service.domain(), "--begin"]);
    assert_eq!((refused.code, driver.pending()), (Some(1), None), "{refused:?}");
}

#[tokio::test]
async fn rf_10_first_step_is_kept_in_the_keychain() {
    let stage = Stage::new().at_noon();
    let begun = stage.login(&Login { begin: true, ..stage.request() }).await.success();
    let link: Url = begun.stdout.trim_end().parse().unwrap();
    let kept = String::from_utf8(stage.keychain.pending().unwrap()).unwrap();
    assert!(kept.contains("\"verifier\""), "{kept}");
    assert!(files(stage.home.path()).iter().all(|it| !it.ends_with("pending-login.json")));
    let url = tokio::task::spawn_blocking(move || ada(&link)).await.unwrap();
    let complete = Some(TokenArgument::Given(Zeroizing::new(url.to_string())));
    drop(stage.login(&Login { complete, domain: None.into(), ..stage.request() }).await.success());
    assert_eq!((stage.keychain.pending(), stage.stored().is_some()), (None, true));
}

#[tokio::test]
async fn locked_keychain_keeps_no_first_step() {
    let stage = Stage::new();
    stage.keychain.fail(StoreError::Locked);
    let outcome = stage.login(&Login { begin: true, ..stage.request() }).await;
    assert_eq!((outcome.exit_code(), outcome.stdout.as_str()), (1, ""));
}

#[test]
fn events_of_one_process() {
    let driver = Driver::new();
    let domain = driver.service.domain();
    let login = ["login", &domain, "--insecure-storage", "--output", "json"];
    let mut running = driver.astro().start(&[&login[..], &["--login-link"]].concat());
    let link: Value = serde_json::from_str(&running.line()).unwrap();
    assert_eq!((&link["event"], link["expires_at"].is_string()), (&json!("link"), true));
    assert_eq!(running.line(), r#"{"version":1,"event":"waiting"}"#);
    let browser = FakeBrowser::new(Mode::LogIn(EMAIL.to_owned()));
    browser.visit(&link["link"].as_str().unwrap().parse().unwrap());
    let ended = running.finish();
    let settled = events(&ended).pop().unwrap();
    assert!(settled["expires_at"].is_string(), "{ended:?}");
    let expected = [
        format!(r#"{{"version":1,"event":"link","link":{},"expires_at":{}}}"#, link["link"], link["expires_at"]),
        r#"{"version":1,"event":"waiting"}"#.to_owned(),
        format!(r#"{{"version":1,"event":"confirmed","domain":"{domain}","account":"{EMAIL}"}}"#),
        format!(
            r#"{{"version":1,"event":"settled","domain":"{domain}","account":"{EMAIL}","organization":"clorg00000000000000000001","workspace":"clws000010000000000000001","expires_at":{}}}"#,
            settled["expires_at"]
        ),
    ];
    assert_eq!(ended.stdout.lines().collect::<Vec<_>>(), expected);

    let token = driver.service.access_token(&json!({}));
    let by_token = driver.astro().stdin(token).run(&[&login[..], &["--token-login", "-"]].concat());
    let names: Vec<Value> = events(&by_token).into_iter().map(|event| event["event"].clone()).collect();
    assert_eq!((names, by_token.code), (vec![json!("confirmed"), json!("settled")], Some(0)));
    let needless = driver.astro().run(&[&login[..], &["--if-needed"]].concat());
    assert_eq!((&events(&needless)[0]["event"], needless.code), (&json!("settled"), Some(0)));
}

#[test]
fn questions_are_input_required_and_name_the_flag() {
    let driver = Driver { service: Service::start(Options::default().organizations(2, 1)), home: TestHome::new() };
    let domain = driver.service.domain();
    let login = ["login", &domain, "--insecure-storage", "--output", "json"];
    let token = driver.service.access_token(&json!({}));
    let several = driver.astro().stdin(token).run(&[&login[..], &["--token-login", "-"]].concat());
    let nowhere = driver.astro().with("SSH_CONNECTION", "203.0.113.9 50022 198.51.100.7 22").run(&login);
    for (output, error, flag) in
        [(several, "no organization selected", "--organization"), (nowhere, "cannot log in interactively", "--begin")]
    {
        assert_error(&output, 2, "input_required", error);
        assert!(events(&output).pop().unwrap()["hint"].as_str().unwrap().contains(flag), "{output:?}");
    }
}

#[test]
fn contradicting_arguments_are_usage_errors() {
    let driver = Driver::new();
    for arguments in [
        &["login", "--complete", "-", "--email", EMAIL][..],
        &["login", "--complete", "-", "astronomer.io"],
        &["login", "--begin", "--complete", "-"],
        &["login", "--begin", "--login-link"],
    ] {
        assert_eq!(driver.astro().run(arguments).code, Some(2), "{arguments:?}");
        let output = driver.astro().run(&[arguments, &["--output", "json"]].concat());
        assert_error(&output, 2, "usage", "cannot be used with");
    }
    let output = driver.astro().run(&["login", "-o", "json"]);
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains("did you mean `--output json`?"), "{output:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn closed_stdout_is_no_panic() {
    let driver = Driver::new();
    let script = "exec \"$@\" | true";
    let mut command = std::process::Command::new("/bin/sh");
    let home = driver.home.path();
    command.args(["-c", script, "sh", crate::support::binary::BINARY, "login", &driver.service.domain()]);
    command.args(["--insecure-storage", "--begin", "--output", "json"]);
    let ended = command.env_clear().env("HOME", home).env("ASTRO_HOME", home).output().unwrap();
    assert!(!String::from_utf8_lossy(&ended.stderr).contains("panicked"), "{ended:?}");
    assert!(driver.pending().is_some());
}
