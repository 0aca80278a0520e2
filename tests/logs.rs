//! The output of `-v` and `-vv`: the steps, one line for each request, and no secret. Every kind of login and the
//! commands after it run at the highest verbosity. No eight characters of any secret may occur in the output, in the
//! files, or in the tracing fields of any library in the process.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests, their functions outside of `#[test]` too")]

#[path = "it/support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::fmt::{Debug, Write as _};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use astro_login::commands::logout::{Logout, logout};
use astro_login::commands::organization::organization;
use astro_login::commands::selection::SelectionCommand;
use astro_login::commands::status::{Status, status};
use serde_json::json;
use support::binary::{Astro, Output, leaked};
use support::{FakeBrowser, Mode, Options, Service, Stage, TestHome, token};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use url::Url;

const ADA: &str = "ada@example.com";
const COOKIE: &str = "0123-session-of-the-load-balancer-4567";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Browser,
    Link,
    Token,
}

/// Access tokens that end so soon that each use of one is preceded by a refresh.
fn short_lived() -> Options {
    Options { token_lifetime: 200, cookie: Some(COOKIE.to_owned()), ..Options::default() }
}

/// The first secret of which a piece is in `text`, and that piece.
#[track_caller]
fn assert_no_secret(what: &str, text: &str, secrets: &[String]) {
    for secret in secrets {
        assert_eq!(leaked(text, secret), None, "a piece of {secret} is in {what}: {text}");
    }
}

/// The text of each file below `folder`, the tokens of the plaintext store left out: there they belong.
fn files(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        text += &path.display().to_string();
        if path.is_dir() {
            text += &files(&path);
            continue;
        }
        let content = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        let is_store = path.ends_with("config.yaml");
        let kept = |line: &str| ["token: ", "refreshtoken: "].iter().any(|name| line.trim_start().starts_with(name));
        for line in content.lines().filter(|line| !(is_store && kept(line))) {
            text += line;
            text.push('\n');
        }
    }
    text
}

/// Runs commands, and compares the log of each with the requests that arrived.
struct Watched {
    service: Service,
    home: TestHome,
    flag: &'static str,
    /// All that was printed, but for what is meant to be secret or in the open.
    said: String,
    seen: usize,
}

impl Watched {
    fn new(flag: &'static str) -> Self {
        Self { service: Service::start(short_lived()), home: TestHome::new(), flag, said: String::new(), seen: 0 }
    }

    fn astro(&self) -> Astro {
        let no_such_program = "/nonexistent/browser";
        let astro = Astro::at(&self.home).with("ASTRO_DOMAIN", &self.service.domain()).with("BROWSER", no_such_program);
        ["RUST_LOG", "ASTRO_LOG", "ASTRO_LOGIN_LOG"].iter().fold(astro, |astro, name| astro.with(name, "trace"))
    }

    fn log_in(&mut self, way: Way) {
        let mut arguments = vec!["login", "--insecure-storage", "--workspace", "Punched Cards", self.flag];
        let browser = FakeBrowser::new(Mode::LogIn(ADA.to_owned()));
        match way {
            Way::Token => {
                let token = self.service.access_token(&json!({}));
                arguments.extend(["-t", "-"]);
                let output = self.astro().stdin(&token).run(&arguments);
                self.watch(output, "");
            }
            Way::Link | Way::Browser => {
                arguments.extend((way == Way::Link).then_some("--login-link"));
                let mut running = self.astro().start(&arguments);
                let link = match way {
                    Way::Link => running.line(),
                    _ => running.wait_for("/authorize?").trim().to_owned(),
                };
                browser.visit(&Url::parse(&link).unwrap());
                let output = running.finish();
                self.watch(output, &link);
                assert!(browser.answers()[0].as_ref().is_ok_and(|page| page.status == 200));
            }
        }
    }

    fn run(&mut self, arguments: &[&str]) {
        let arguments: Vec<&str> = arguments.iter().copied().chain([self.flag]).collect();
        let output = self.astro().run(&arguments);
        self.watch(output, "");
    }

    /// One line for each request of the program, in any order: they run side by side.
    #[track_caller]
    fn watch(&mut self, output: Output, link: &str) {
        let Output { stdout, stderr, code } = output;
        assert_eq!(code, Some(0), "{stderr}");
        // `state` and `nonce` are for the browser, and the link is how they get there.
        self.said += &if link.is_empty() { stdout + &stderr } else { (stdout + &stderr).replace(link, "") };
        let sent = self.service.requests().split_off(self.seen);
        self.seen += sent.len();
        let domain = self.service.domain();
        let by_us = sent.iter().filter(|request| request.path != "/authorize");
        let as_logged = |request: &support::Request| {
            let (method, path) = (&request.method, &request.path);
            format!("DEBUG request method={method} host=\"{domain}\" path=\"{path}\" status=200 ms=")
        };
        let mut expected: Vec<String> = by_us.map(as_logged).collect();
        let is_log =
            |line: &&str| ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"].contains(&line.split(' ').next().unwrap());
        let trimmed = stderr.lines().map(str::trim_start);
        let (requests, steps): (Vec<&str>, Vec<&str>) =
            trimmed.filter(is_log).partition(|line| line.starts_with("DEBUG request "));
        let mut listed: Vec<String> = requests.into_iter().map(without_time).collect();
        let silent = !self.flag.starts_with("-v");
        if silent || self.flag == "-v" {
            expected.clear();
        }
        expected.sort_unstable();
        listed.sort_unstable();
        assert_eq!(listed, expected, "{stderr}");
        assert!(steps.iter().all(|line| line.starts_with("INFO ") && !silent), "{stderr}");
    }

    fn finish(self) {
        let secrets = self.service.secrets();
        assert!(secrets.len() > 1, "{secrets:?}");
        assert_no_secret("the output", &self.said, &secrets);
        assert_no_secret("the files", &files(self.home.path()), &secrets);
        let cookies = self.service.requests().into_iter().filter(|request| request.header("cookie").is_some());
        assert_eq!(cookies.count(), 0);
    }
}

/// A line about a request up to its time, which has to be whole milliseconds.
#[track_caller]
fn without_time(line: &str) -> String {
    let (rest, ms) = line.rsplit_once("ms=").unwrap_or_else(|| panic!("{line}"));
    assert!(ms.parse::<u32>().is_ok(), "{line}");
    format!("{rest}ms=")
}

#[test]
fn ar_20_tk_11_log_has_one_line_per_request_without_secret() {
    let (all, one) = ([Way::Browser, Way::Link, Way::Token], [Way::Link]);
    let table = [("-vvvvvv", &all[..]), ("-vv", &one), ("-v", &one), ("--color=never", &one)];
    let run = |flag, way| {
        let mut watched = Watched::new(flag);
        watched.log_in(way);
        let domain = watched.service.domain();
        let first = format!(" INFO logging in domain={domain} config={}", watched.home.config_path().display());
        let begins = watched.said.lines().any(|line| line == first);
        assert_eq!(begins, flag.starts_with("-v"), "{}", watched.said);
        let written = watched.home.config().unwrap();
        let secrets = watched.service.secrets();
        let found = secrets.iter().any(|secret| leaked(&written, secret).is_some());
        assert!(found, "what is looked for elsewhere is found where it belongs");
        watched.run(&["auth", "status", "--check"]);
        watched.run(&["organization", "list"]);
        watched.run(&["organization", "switch", "Compilers"]);
        let refreshed = watched.service.token_requests().len();
        assert_eq!(refreshed, if way == Way::Token { 0 } else { 6 }, "one code, and a refresh for each use");
        assert_no_secret("the files", &files(watched.home.path()), &watched.service.secrets());
        watched.run(&["logout"]);
        watched.finish();
    };
    // In parallel, because each starts six processes.
    thread::scope(|scope| {
        for (flag, ways) in table {
            for &way in ways {
                scope.spawn(move || run(flag, way));
            }
        }
    });
}

#[test]
fn tk_11_token_is_only_on_stdout() {
    let mut watched = Watched::new("-vvvv");
    watched.log_in(Way::Link);
    let Output { stdout, stderr, code } = watched.astro().run(&["auth", "token", "-vvvv"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(watched.service.secrets().contains(&stdout.trim_end().to_owned()));
    assert_no_secret("stderr", &stderr, &watched.service.secrets());
}

/// Notes the fields of every event and span, of whichever library and level.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Recorded>>);

#[derive(Default)]
struct Recorded {
    targets: BTreeSet<String>,
    fields: String,
}

impl Recorder {
    fn note(&self, target: &str, record: impl FnOnce(&mut dyn Visit)) {
        let mut recorded = self.0.lock().unwrap();
        recorded.targets.insert(target.split("::").next().unwrap().to_owned());
        record(&mut *recorded);
    }
}

impl Visit for Recorded {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        writeln!(self.fields, "{}={value:?}", field.name()).unwrap();
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        writeln!(self.fields, "{}={value}", field.name()).unwrap();
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Recorder {
    fn on_new_span(&self, span: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        self.note(span.metadata().target(), |visit| span.record(visit));
    }

    fn on_record(&self, _: &Id, values: &Record<'_>, _: Context<'_, S>) {
        self.note("", |visit| values.record(visit));
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.note(event.metadata().target(), |visit| event.record(visit));
    }
}

#[tokio::test]
async fn tk_11_tracing_fields_have_no_secret() {
    let recorder = Recorder::default();
    // For the whole process, because some of the work is done on other threads.
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(recorder.clone())).unwrap();
    let stage = Stage::with(short_lived(), Mode::TamperState(ADA.to_owned()));
    let domain = stage.service.domain();
    for insecure_storage in [false, true] {
        let mut request = stage.request();
        request.insecure_storage = insecure_storage;
        assert_eq!(stage.login(&request).await.exit_code(), 0);
        let listed = stage
            .run(async |system| organization(system, SelectionCommand::List { json: false.into(), domain: None }).await)
            .await;
        assert_eq!(listed.exit_code(), 0, "{}", listed.error_chain());
        let checked = Status { domain: Some(domain.clone()).into(), json: false.into(), check: true };
        assert_eq!(stage.run(async |system| status(system, &checked).await).await.exit_code(), 0);
        assert_eq!(stage.run(async |system| token(system, Some(&domain)).await).await.exit_code(), 0);
        // The log of a failed refresh goes another way.
        stage.service.fail_times("/oauth/token", 1, support::Fault::CloseMidBody);
        let _ = stage.run(async |system| token(system, Some(&domain)).await).await;
        let out = Logout { domain: Some(domain.clone()).into(), all: false, json: false.into() };
        let _ = stage.run(async |system| logout(system, &out).await).await;
    }
    let Recorded { targets, fields } = std::mem::take(&mut *recorder.0.lock().unwrap());
    assert!(targets.contains("astro_login"), "{targets:?}");
    assert!(fields.contains("path=/oauth/token\n") && fields.contains("retrying"), "{fields}");
    assert_no_secret("the fields", &fields, &stage.service.secrets());
}
