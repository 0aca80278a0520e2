//! `astro auth doctor`: what a login would do here, why, and what stands in its way.
//!
//! It asks the parts that a login asks, in the same way and within the same bounds, and ends where a login would begin to
//! bother somebody. It changes nothing: no file, no entry in the keychain, no answer kept for later; and it sends no
//! credentials. A login would fail here exactly where one of the checks does.
//! The JSON is described in `docs/doctor-json.md`.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;
use unicode_width::UnicodeWidthStr;
use url::Url;

use super::login::callback_port;
use super::status::clock_off;
use super::table;
use crate::browser::{NoBrowser, Opening, WayBack, way_back};
use crate::config::{Config, ConfigError};
use crate::credentials::{Credentials, Kind, StoreError};
use crate::domain;
use crate::environment::{API_TOKEN, Environment};
use crate::error::Error;
use crate::http::{Fault, Http, HttpError, host_of, proxy_for};
use crate::jwt::Unverified;
use crate::oauth::{AuthConfig, CallbackListener, IssuerError, ListenError};
use crate::session::{self, Keys, NamedBy, Session, environment_token};
use crate::system::System;
use crate::text::clean;
use crate::when;

/// How many columns a line takes at most, and how many of them stand before what it says.
const WIDTH: usize = 80;
const INDENT: usize = 20;

/// The variables that this program or what it stands on reads, and that decide something.
const VARIABLES: [&str; 22] = [
    "ASTRO_HOME",
    "ASTRO_DOMAIN",
    API_TOKEN,
    "ASTRO_NO_INSECURE_FALLBACK",
    "BROWSER",
    "CI",
    "CODESPACES",
    "GITPOD_WORKSPACE_ID",
    "SSH_CONNECTION",
    "SSH_CLIENT",
    "SSH_TTY",
    "WSL_DISTRO_NAME",
    "WSL_INTEROP",
    "container",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "DBUS_SESSION_BUS_ADDRESS",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NO_COLOR",
    "NO_PROXY",
    "no_proxy",
];

/// Of these the host and the port are told, and no password.
const PROXIES: [&str; 6] = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/// What `astro auth doctor` was asked to do.
#[derive(Debug)]
pub struct Doctor {
    /// The domain as it was typed.
    pub domain: Option<String>,
    /// As JSON.
    pub json: bool,
}

#[derive(Serialize)]
struct Report {
    version: u32,
    would: Would,
    checks: Vec<Check>,
}

/// How a login would go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Would {
    /// A browser is opened.
    Browser,
    /// A link is printed.
    Link,
    /// Nobody can be sent to a browser: it takes a token.
    Token,
    /// Not at all.
    Fail,
}

/// One thing that was looked at.
#[derive(Serialize)]
struct Check {
    name: &'static str,
    outcome: Outcome,
    detail: String,
    /// What to do about it, where something can or must be done.
    advice: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Ok,
    Note,
    Fail,
}

/// What the network answered; nothing where it was not asked.
struct Network {
    auth: Answer<(AuthConfig, Option<Timestamp>), IssuerError>,
    metadata: Option<Result<(), IssuerError>>,
    keys: Option<Answer<(), Error>>,
}

struct Answer<T, E> {
    result: Result<T, E>,
    took: Duration,
    /// From where, and through which proxy.
    way: String,
}

/// Looks at everything that a login of one domain needs. An error, for the exit code, where one would fail.
pub async fn doctor(system: &System, doctor: &Doctor) -> Result<(), Error> {
    let (domain, named_by) = match session::resolve(system, &Config::new(&system.home), doctor.domain.as_deref()) {
        // Only config.yaml's own check has more to say about it.
        Err(Error::Config(_)) => (domain::DEFAULT.parse()?, None),
        resolved => resolved.map(|(domain, by)| (domain, Some(by)))?,
    };
    let session = Session::of(system, domain);
    let spinner = system.ui.can_ask().then(|| system.ui.spinner("Asking the keychain, the API and the issuer…"));
    let (keychain, network) = tokio::join!(ask_keychain(&session), ask_network(&session));
    drop(spinner);
    let opening = system.opening();
    let way = match opening {
        Opening::Chosen(_) | Opening::Platform(_) => Would::Browser,
        Opening::None(_) if system.ui.can_ask() => Would::Link,
        Opening::None(_) => Would::Token,
    };
    let checks = vec![
        check_domain(&session, named_by),
        check_login(&session, &opening, way),
        check_callback(&session, way),
        check_loopback(&session, way),
        check_keychain(&session, &keychain),
        check_config(&session),
        check_account(&session, keychain),
        check_api(&session, &network),
        check_issuer(&session, &network),
        check_keys(&session, &network),
        check_certificates(&session, &network),
        check_clock(&session, &network),
        check_variables(&system.environment),
    ];
    let fails = checks.iter().any(|check| check.outcome == Outcome::Fail);
    let report = Report { version: 1, would: if fails { Would::Fail } else { way }, checks };
    if doctor.json {
        table::json(system, &report)?;
    } else {
        system.ui.data(&report.in_words(&session))?;
    }
    if fails { Err(Error::LoginWouldFail { domain: session.domain.to_string() }) } else { Ok(()) }
}

impl Report {
    fn in_words(&self, session: &Session<'_>) -> String {
        let verdict = match self.would {
            Would::Browser => "would open a browser",
            Would::Link => "would print a link to open elsewhere",
            Would::Token => "would need a token",
            Would::Fail => "would fail",
        };
        let mut lines = vec![format!("A login to {} {verdict}.", session.domain), String::new()];
        for Check { name, outcome, detail, advice } in &self.checks {
            let mark = match outcome {
                Outcome::Ok => "ok",
                Outcome::Note => "note",
                Outcome::Fail => "fails",
            };
            let mut head = format!("{mark:<6} {name:<13}");
            let hint = advice.as_ref().map(|advice| format!("hint: {advice}"));
            for text in [Some(detail), hint.as_ref()].into_iter().flatten() {
                for line in wrapped(text, WIDTH - INDENT) {
                    lines.push(format!("{head:<INDENT$}{line}"));
                    head.clear();
                }
            }
        }
        lines.join("\n")
    }
}

impl Check {
    fn new(name: &'static str, outcome: Outcome, detail: &str) -> Self {
        Self { name, outcome, detail: clean(detail, 600), advice: None }
    }

    fn ok(name: &'static str, detail: &str) -> Self {
        Self::new(name, Outcome::Ok, detail)
    }

    fn note(name: &'static str, detail: &str) -> Self {
        Self::new(name, Outcome::Note, detail)
    }

    fn advice(mut self, advice: &str) -> Self {
        self.advice = Some(clean(advice, 600));
        self
    }

    /// What this error says, as the reason why a login of this session's domain fails.
    fn fail(name: &'static str, error: &Error, session: &Session<'_>) -> Self {
        let words: Vec<String> = std::iter::once(error.to_string()).chain(error.causes()).collect();
        let advice = error.hint_for(session.domain.as_str()).map(|advice| clean(&advice, 600));
        Self { advice, ..Self::new(name, Outcome::Fail, &words.join(": ")) }
    }
}

/// Reads the login and sees that the keychain is open, as a login does before it begins.
async fn ask_keychain(session: &Session<'_>) -> Result<Option<Credentials>, StoreError> {
    session.keychain(|store, domain| store.load(domain).and_then(|found| store.ready().map(|()| found))).await
}

/// Asks for what a login has to know first: the issuer of the API, then at once what the issuer publishes.
async fn ask_network(session: &Session<'_>) -> Network {
    // No answer that was kept will do, and none is kept.
    let http = Http::default();
    let auth = timed(session.domain.api_base(), AuthConfig::fetch_with_date(&http, &session.domain)).await;
    let Ok((AuthConfig { issuer, .. }, _)) = &auth.result else { return Network { auth, metadata: None, keys: None } };
    let Ok(url) = issuer.as_str().parse() else { return Network { auth, metadata: None, keys: None } };
    let keys = async { Keys::fetch(&http, issuer).await.map(drop) };
    let (metadata, keys) = tokio::join!(issuer.metadata(&http), timed(&url, keys));
    Network { metadata: Some(metadata.map(drop)), keys: Some(keys), auth }
}

async fn timed<T, E>(url: &Url, asking: impl Future<Output = Result<T, E>>) -> Answer<T, E> {
    let through = proxy_for(url).map_or_else(String::new, |proxy| format!(" through the proxy {proxy}"));
    let began = Instant::now();
    let result = asking.await;
    Answer { result, took: began.elapsed(), way: format!("{}{through}", host_of(url)) }
}

fn check_domain(session: &Session<'_>, named_by: Option<NamedBy>) -> Check {
    let domain = &session.domain;
    match named_by {
        Some(by @ NamedBy::Instead) => Check::note("domain", &format!("{domain}, {by}")),
        Some(by) => Check::ok("domain", &format!("{domain}, {by}")),
        None => Check::note("domain", &format!("{domain}; config.yaml, which may name another, cannot be read")),
    }
}

fn check_login(session: &Session<'_>, opening: &Opening, way: Would) -> Check {
    let reason = match opening {
        Opening::Chosen(alternatives) => {
            let program = alternatives.first().and_then(|words| words.first()).map_or("", String::as_str);
            return Check::ok("login", &format!("opens {}, which BROWSER names", clean(program, 100)));
        }
        Opening::Platform(desktop) => return Check::ok("login", &format!("opens {desktop}")),
        Opening::None(reason) => *reason,
    };
    if way == Would::Token {
        let check = Check::note("login", &format!("no browser is opened: {reason}, and there is no terminal"));
        let hint = Error::NobodyThere { reason }.hint_for(session.domain.as_str());
        return check.advice(&hint.unwrap_or_default());
    }
    let check = Check::ok("login", &format!("prints a link, and opens no browser: {reason}"));
    match reason {
        NoBrowser::NoLauncher => check.advice("install xdg-utils, or set BROWSER to a browser"),
        NoBrowser::TextBrowser(_) => check.advice("set BROWSER to one with a window of its own, or to nothing"),
        _ => check,
    }
}

/// Only who is sent to a browser needs the door, and who sits at a terminal can paste.
fn unless_needed(check: Check, session: &Session<'_>, way: Would) -> Check {
    if way == Would::Token || session.system.ui.can_ask() { Check { outcome: Outcome::Note, ..check } } else { check }
}

fn check_callback(session: &Session<'_>, way: Would) -> Check {
    let port = callback_port(&session.domain);
    match CallbackListener::bind(port) {
        Err(taken @ ListenError::PortTaken(_)) => {
            unless_needed(Check::fail("callback", &taken.into(), session), session, way)
        }
        // Nobody can paste instead: a login takes any other failure for final.
        Err(failure) if way != Would::Token => Check::fail("callback", &failure.into(), session),
        Err(failure) => Check::note("callback", &failure.to_string()),
        Ok(_) => {
            let free = if port == 0 { "any free port will do".to_owned() } else { format!("port {port} is free") };
            match way_back(&session.system.environment, session.system.machine()).filter(|_| way != Would::Token) {
                Some(way @ WayBack::Forwarded(_)) => Check::note("callback", &format!("{free}; {way}")),
                Some(way @ WayBack::Wsl) => Check::ok("callback", &format!("{free}; {way}")),
                None => Check::ok("callback", &free),
            }
        }
    }
}

fn check_loopback(session: &Session<'_>, way: Would) -> Check {
    match CallbackListener::bind(0).map(|listener| listener.has()) {
        Ok((true, true)) => Check::ok("loopback", "127.0.0.1 and ::1"),
        Ok((true, false)) => Check::note("loopback", "127.0.0.1 alone: there is no ::1 here"),
        Ok((false, _)) => Check::note("loopback", "::1 alone: there is no 127.0.0.1 here"),
        Err(failure) if way != Would::Token => Check::fail("loopback", &failure.into(), session),
        Err(failure) => Check::note("loopback", &failure.to_string()),
    }
}

fn check_keychain(session: &Session<'_>, keychain: &Result<Option<Credentials>, StoreError>) -> Check {
    let name = session.store_name(session::Store::Keychain);
    match keychain {
        Ok(_) => Check::ok("keychain", &format!("{name} is open, and takes the credentials")),
        Err(damaged @ StoreError::Damaged) => {
            Check::note("keychain", &format!("{name}: {damaged}; a login writes them anew"))
        }
        // A file that cannot be read is told of in its own line.
        Err(StoreError::Absent { reason }) if session.fallback_is_forbidden().is_ok_and(|it| it) => {
            Check::fail("keychain", &Error::FallbackForbidden { reason }, session)
        }
        Err(StoreError::Absent { reason }) => {
            let detail = format!("none here ({reason}): the credentials would be plain text in config.yaml");
            Check::note("keychain", &detail).advice("start a keychain such as gnome-keyring, if you want one")
        }
        Err(failure) => Check::fail("keychain", &session.keychain_failure(failure.clone()), session),
    }
}

fn check_config(session: &Session<'_>) -> Check {
    let (config, domain) = (&session.config, &session.domain);
    // As a login does it, for somebody.
    let foreseen = config.foresee(domain, |document| {
        document.update_context(domain, |context| context.user_email = Some("somebody@example.com".to_owned()))?;
        document.set_current_context(Some(domain.as_str()))
    });
    let path = config.path().display();
    match foreseen {
        Ok(()) => {}
        Err(ConfigError::Locked { path, .. }) => {
            let path = path.display();
            let busy = Check::note("config", &format!("another program is at work on it: {path} is locked"));
            return busy.advice("wait until other astro commands are done");
        }
        Err(failure) => return Check::fail("config", &failure.into(), session),
    }
    if let Some(warning) = config.writable_by_others() {
        return Check::note("config", &warning);
    }
    if config.readable_by_others() && session.context().is_ok_and(|context| context.token.is_some()) {
        let readable = Check::note("config", &format!("others may read the tokens in {path}"));
        return readable.advice(&format!("`chmod 600 {path}` ends that"));
    }
    match config.link_target() {
        _ if !config.path().exists() => Check::ok("config", &format!("a login will create {path}")),
        Some(target) => Check::ok("config", &format!("can be edited: {path}, a link to {}", target.display())),
        None => Check::ok("config", &format!("can be edited: {path}")),
    }
}

fn check_account(session: &Session<'_>, keychain: Result<Option<Credentials>, StoreError>) -> Check {
    let now = session.now();
    if let Some(token) = environment_token(session.system) {
        let end = Unverified::parse(token.expose()).ok().and_then(|claims| claims.expires_at());
        let expired = if end.is_some_and(|end| end <= now) { ", and has expired" } else { "" };
        let detail = format!("the token in {API_TOKEN}, which wins over any login{expired}");
        return Check::note("account", &detail).advice("unset it to use a login");
    }
    let Ok(context) = session.context() else {
        return Check::note("account", "not known, since config.yaml cannot be read");
    };
    let found = match (session::plaintext(&context), keychain) {
        (Some(credentials), _) => Some(credentials),
        (None, Ok(found)) => found,
        (None, Err(StoreError::Absent { .. })) => None,
        (None, Err(_)) => return Check::note("account", "not known, since the keychain cannot be read"),
    };
    let Some(found) = found else { return Check::ok("account", "nobody is signed in") };
    let who = match found.kind {
        Kind::ApiToken => "an API token".to_owned(),
        Kind::User => found.email.or(context.user_email).unwrap_or_else(|| "somebody".to_owned()),
    };
    let until = found.expires_at.map(|end| when::dated(end, now, &(session.system.time_zone)()));
    match (until, found.refresh) {
        (Some(end), Some(_)) => Check::ok("account", &format!("{who}, until {end}; renewed when needed")),
        (Some(end), None) if found.expires_at.is_some_and(|end| end <= now) => {
            Check::note("account", &format!("{who}, expired: {end}")).advice("sign in again")
        }
        (Some(end), None) => Check::ok("account", &format!("{who}, until {end}; not renewed")),
        (None, _) => Check::ok("account", &format!("{who}, without an end")),
    }
}

fn check_api(session: &Session<'_>, network: &Network) -> Check {
    let Answer { result, took, way } = &network.auth;
    match result {
        Err(error @ IssuerError::Http(_)) => told_with(Check::fail("api", &error.clone().into(), session), way),
        Ok(_) | Err(_) => Check::ok("api", &answered(way, *took)),
    }
}

fn check_issuer(session: &Session<'_>, network: &Network) -> Check {
    match (&network.auth.result, &network.metadata) {
        (Err(IssuerError::Http(_)), _) => Check::note("issuer", "not known, since the API did not name it"),
        (Err(refused), _) | (Ok(_), Some(Err(refused))) => Check::fail("issuer", &refused.clone().into(), session),
        (Ok((auth, _)), _) => Check::ok("issuer", &format!("{} belongs to {}", auth.issuer, session.domain)),
    }
}

fn check_keys(session: &Session<'_>, network: &Network) -> Check {
    match &network.keys {
        None => Check::note("keys", "not asked for, since the issuer is not known"),
        Some(Answer { result: Ok(()), took, way }) => Check::ok("keys", &answered(way, *took)),
        Some(Answer { result: Err(failure), way, .. }) => told_with(Check::fail("keys", failure, session), way),
    }
}

fn answered(way: &str, took: Duration) -> String {
    format!("{way} answered in {} ms", took.as_millis())
}

/// A failed request's check, with the proxy that its words don't name.
fn told_with(check: Check, way: &str) -> Check {
    match way.split_once(" through ") {
        Some((_, proxy)) => Check { detail: format!("{} (through {proxy})", check.detail), ..check },
        None => check,
    }
}

fn check_certificates(session: &Session<'_>, network: &Network) -> Check {
    if session.domain.is_local() {
        return Check::ok("certificates", "none are needed: this is plain http on this machine");
    }
    let named = ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().filter_map(|name| {
        let value = session.system.environment.get(name)?;
        Some(format!("{name}, {}", clean(value, 200)))
    });
    let named: Vec<String> = named.collect();
    // Only there they are looked at.
    let roots = if named.is_empty() || !cfg!(all(unix, not(target_os = "macos"))) {
        "those that this system trusts".to_owned()
    } else {
        format!("those in {}", named.join(" and "))
    };
    match network.failures().find(|failure| matches!(failure.fault, Fault::Certificate(_) | Fault::Setup(_))) {
        Some(failure) => {
            let check = Check::fail("certificates", &failure.clone().into(), session);
            Check { detail: format!("{roots}: {}", check.detail), ..check }
        }
        None if network.failures().next().is_some() => Check::note("certificates", &format!("{roots}; not tried")),
        None => Check::ok("certificates", &format!("{roots}: they will do")),
    }
}

impl Network {
    /// The requests that failed.
    fn failures(&self) -> impl Iterator<Item = &HttpError> {
        let of_auth = match &self.auth.result {
            Err(IssuerError::Http(failure)) => Some(failure),
            _ => None,
        };
        let of_keys = match self.keys.as_ref().map(|keys| &keys.result) {
            Some(Err(Error::Issuer(IssuerError::Http(failure)))) => Some(failure),
            _ => None,
        };
        [of_auth, of_keys].into_iter().flatten()
    }
}

fn check_clock(session: &Session<'_>, network: &Network) -> Check {
    let Ok((_, Some(theirs))) = network.auth.result else {
        return Check::note("clock", "not compared, since the API did not tell the time");
    };
    match clock_off(session.now().duration_since(theirs)) {
        None => Check::ok("clock", "agrees with the API's"),
        Some(off) => Check::new("clock", Outcome::Fail, &format!("{off}, so tokens would be refused"))
            .advice("set the clock of this machine"),
    }
}

fn check_variables(environment: &Environment) -> Check {
    let plain = VARIABLES.iter().filter(|name| environment.get(name).is_some()).map(|name| (*name).to_owned());
    let proxies = PROXIES.iter().filter_map(|name| Some(format!("{name} ({})", proxy_host(environment.get(name)?))));
    let set: Vec<String> = plain.chain(proxies).collect();
    Check::ok("variables", if set.is_empty() { "none is set that matters".to_owned() } else { set.join(", ") }.as_str())
}

/// The host and the port of a proxy, which may be given without a scheme.
fn proxy_host(value: &str) -> String {
    let url = if value.contains("://") { value.parse::<Url>() } else { format!("http://{value}").parse() };
    url.ok().filter(Url::has_host).map_or_else(|| "not understood".to_owned(), |url| host_of(&url))
}

/// `text` in lines of so many columns, broken at blanks; a word that is longer stands alone.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
