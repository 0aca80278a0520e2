//! An Astro Private Cloud of some version: Houston's GraphQL over TLS, under its own name, behind the tests' proxy.
//!
//! It refuses what the real one refuses: a token that is unknown, ended, missing or has `Bearer` before it; a field that its
//! version lacks; a wrong password. It records every request.

#![allow(dead_code, reason = "each test uses another part")]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::TestHome;
use super::binary::Astro;
use super::proxy::{Authority, Flaw, Proxy};

pub(crate) const BASE: &str = "base.example.com";
pub(crate) const HOST: &str = "houston.base.example.com";
pub(crate) const AT_PORT: &str = "houston.base.example.com:8443";
const APP: &str = "app.base.example.com";
pub(crate) const NO_PERMISSION: &str = "You do not have the appropriate permissions for that";

/// A request that Houston got. The name is that of the first field of its query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) field: String,
    pub(crate) variables: Value,
    pub(crate) authorization: Option<String>,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) query: String,
}

/// What a test may change.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) version: &'static str,
    pub(crate) local_enabled: bool,
    pub(crate) providers: usize,
    pub(crate) passwords: HashMap<String, String>,
    /// The tokens that are accepted.
    pub(crate) tokens: HashSet<String>,
    /// The token of the next login with a password.
    pub(crate) next_token: String,
    /// Identifiers and labels.
    pub(crate) workspaces: Vec<(String, String)>,
    /// Whole responses instead of those to these fields, or to all for the name `*`.
    pub(crate) faults: HashMap<String, Fault>,
}

#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// A status, a content type and a body.
    Response(u16, &'static str, String),
    /// An error of GraphQL with this message and status 200.
    Message(String),
    Redirect(String),
    /// The connection ends without a response.
    Reset,
    /// Half of a response.
    Half,
    /// No response before the connection ends.
    Stall,
    StallMidBody,
    Endless,
    RetryAfter(u32),
    /// The true response under another content type.
    ContentType(&'static str),
    /// The true response without its last byte.
    Truncate,
    /// An error of GraphQL that repeats what was sent as the token or the password.
    Echo,
}

impl Default for Options {
    fn default() -> Self {
        let token = token(&json!({"sub": "ada", "iat": 1_700_000_000, "exp": 4_000_000_000_u64}));
        Self {
            version: "1.0.0",
            local_enabled: true,
            providers: 1,
            passwords: HashMap::from([("ada".to_owned(), "correct horse ".to_owned())]),
            tokens: HashSet::from([token.clone()]),
            next_token: token,
            workspaces: vec![("ck1".to_owned(), "Looms".to_owned())],
            faults: HashMap::new(),
        }
    }
}

/// A token as Houston signs it, with a signature that no client can verify.
pub(crate) fn token(claims: &Value) -> String {
    let segment = |json: &Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
    let header = segment(&json!({"alg": "RS256", "typ": "JWT"}));
    format!("{header}.{}.{}", segment(claims), BASE64_URL_SAFE_NO_PAD.encode([7; 64]))
}

/// A platform, the proxy before it, and the home of a person who logs in to it.
pub(crate) struct PrivateCloud {
    state: Arc<State>,
    port: u16,
    thread: Option<JoinHandle<()>>,
    pub(crate) proxy: Proxy,
    pub(crate) home: TestHome,
}

struct State {
    options: Mutex<Options>,
    asked: Mutex<Vec<Asked>>,
    stopped: AtomicBool,
}

impl PrivateCloud {
    pub(crate) fn new(options: Options) -> Self {
        Self::with_flaw(options, Flaw::None)
    }

    pub(crate) fn of_version(version: &'static str) -> Self {
        Self::new(Options { version, ..Options::default() })
    }

    pub(crate) fn with_flaw(options: Options, flaw: Flaw) -> Self {
        let home = TestHome::new();
        let authority = Authority::new("the platform's authority");
        fs::write(home.path().join("authority.pem"), authority.pem()).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state =
            Arc::new(State { options: Mutex::new(options), asked: Mutex::default(), stopped: AtomicBool::new(false) });
        let shared = Arc::clone(&state);
        let thread = thread::spawn(move || {
            for client in listener.incoming() {
                if shared.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(client), shared) = (client, Arc::clone(&shared)) else { continue };
                // The program may close the connection.
                thread::spawn(move || drop(shared.serve(client)));
            }
        });
        let proxy = Proxy::connecting(&authority, &[(HOST, flaw), (AT_PORT, flaw), (APP, Flaw::None)], port);
        Self { state, port, thread: Some(thread), proxy, home }
    }

    /// The program, told where the proxy is and whom to trust, without a keychain.
    pub(crate) fn astro(&self) -> Astro {
        let mut astro = Astro::at(&self.home);
        for (name, value) in self.variables() {
            astro = astro.with(name, &value);
        }
        astro
    }

    /// The variables that lead to this platform.
    pub(crate) fn variables(&self) -> [(&'static str, String); 2] {
        let trusted = self.home.path().join("authority.pem");
        [("SSL_CERT_FILE", trusted.display().to_string()), ("HTTPS_PROXY", self.proxy.url())]
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut Options)) {
        change(&mut held(&self.state.options));
    }

    /// The token that is accepted.
    pub(crate) fn token(&self) -> String {
        held(&self.state.options).next_token.clone()
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        held(&self.state.asked).clone()
    }

    /// The names of the fields that were asked for, and whether a token came along.
    pub(crate) fn log(&self) -> Vec<String> {
        let line = |it: Asked| if it.authorization.is_some() { format!("{} with token", it.field) } else { it.field };
        self.asked().into_iter().map(line).collect()
    }

    pub(crate) fn config(&self) -> String {
        self.home.config().unwrap_or_default()
    }
}

impl Drop for PrivateCloud {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread, so that it sees that.
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || ended.is_none_or(|it| it.is_ok()), "Houston's thread panicked");
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const JSON: &str = "application/json; charset=utf-8";
const HALF: &str = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"data\"";

impl State {
    fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(client.try_clone()?);
        let mut first = String::new();
        reader.read_line(&mut first)?;
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 || line == "\r\n" {
                break;
            }
            if let Some((name, value)) = line.split_once(':') {
                headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
            }
        }
        let length = headers.get("content-length").and_then(|it| it.parse().ok()).unwrap_or_default();
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        match self.answer(&first, headers, &body) {
            Ok((status, json)) => respond(&mut client, status, JSON, &json.to_string()),
            Err(Fault::Response(status, kind, body)) => respond(&mut client, status, kind, &body),
            Err(Fault::Message(message)) => respond(&mut client, 200, "application/json", &error(&message).to_string()),
            Err(Fault::Redirect(to)) => {
                write!(client, "HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            }
            Err(Fault::Reset) => Ok(()),
            Err(Fault::Half) => write!(client, "{HALF}"),
            Err(Fault::Stall) => client.read(&mut [0]).map(drop),
            Err(Fault::StallMidBody) => write!(client, "{HALF}").and_then(|()| client.read(&mut [0]).map(drop)),
            Err(Fault::Endless) => {
                client.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")?;
                loop {
                    client.write_all(&[b' '; 8 * 1024])?;
                }
            }
            Err(Fault::RetryAfter(seconds)) => write!(
                client,
                "HTTP/1.1 429 Status\r\nretry-after: {seconds}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            ),
            Err(Fault::ContentType(_) | Fault::Truncate | Fault::Echo) => unreachable!("a response of this platform"),
        }
    }

    fn answer(&self, line: &str, headers: BTreeMap<String, String>, body: &[u8]) -> Result<(u16, Value), Fault> {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let query = body["query"].as_str().unwrap_or_default().to_owned();
        let (kind, root) = query.split_once('{').unwrap_or_default();
        let field: String = root.trim().chars().take_while(char::is_ascii_alphanumeric).collect();
        let authorization = headers.get("authorization").cloned();
        let variables = body["variables"].clone();
        let asked =
            Asked { field: field.clone(), variables: variables.clone(), authorization, headers, query: query.clone() };
        held(&self.asked).push(asked.clone());
        let mut options = held(&self.options).clone();
        if let Some(fault) = options.faults.remove(&field).or(options.faults.remove("*")) {
            let truth = || Self::true_answer(line, &asked, kind, &options);
            return Err(match fault {
                Fault::ContentType(kind) => Fault::Response(200, kind, truth().1.to_string()),
                Fault::Truncate => {
                    let mut text = truth().1.to_string();
                    text.pop();
                    Fault::Response(200, JSON, text)
                }
                Fault::Echo => {
                    let password = asked.variables["password"].as_str();
                    Fault::Message(format!("bad: {}", password.or(asked.authorization.as_deref()).unwrap_or_default()))
                }
                other => other,
            });
        }
        Ok(Self::true_answer(line, &asked, kind, &options))
    }

    fn true_answer(line: &str, asked: &Asked, kind: &str, options: &Options) -> (u16, Value) {
        let Asked { field, variables, query, .. } = asked;
        let is_json = asked.headers.get("content-type").is_some_and(|it| it == "application/json");
        let is_host = asked.headers.get("host").is_some_and(|it| it == HOST || it == AT_PORT);
        if line.starts_with("GET /token ") && asked.headers.get("host").is_some_and(|it| it == APP) {
            return (200, json!(options.next_token));
        }
        if !line.starts_with("POST /v1 ") || !is_json || !is_host {
            return (404, json!({"message": "not found"}));
        }
        if let Some(unknown) = unknown_field(query, field, kind, options.version) {
            return (400, error(&format!("Cannot query field \"{unknown}\" on type \"Query\".")));
        }
        let has_token = asked.authorization.as_ref().is_some_and(|token| options.tokens.contains(token));
        // A stale token is refused even at a login.
        if asked.authorization.is_some() && !has_token && field == "authConfig" {
            return (200, error("AUTH_TOKEN_REFRESH_FAILED"));
        }
        (
            200,
            match field.as_str() {
                "authConfig" => {
                    let providers = vec![json!({"name": "okta"}); options.providers];
                    json!({"data": {"authConfig": {"localEnabled": options.local_enabled, "providers": providers}}})
                }
                "createToken" => {
                    let name = variables["identity"].as_str().unwrap_or_default();
                    if options.passwords.get(name).map(String::as_str) != variables["password"].as_str() {
                        let refused = [json!({"message": "Invalid username and password combination"})];
                        return (200, json!({"errors": refused, "data": {"createToken": null}}));
                    }
                    json!({"data": {"createToken": {"token": {"value": options.next_token}}}})
                }
                _ if !has_token => error(NO_PERMISSION),
                "appConfig" => json!({"data": {"appConfig": {"version": options.version}}}),
                "workspaces" => json!({"data": {"workspaces": listed(&options.workspaces)}}),
                _ => {
                    let number = |name: &str| usize::try_from(variables[name].as_u64().unwrap()).unwrap();
                    let (size, page) = (number("pageSize"), number("pageNumber"));
                    let page: Vec<_> = options.workspaces.iter().skip(size * page).take(size).cloned().collect();
                    json!({"data": {"paginatedWorkspaces": listed(&page)}})
                }
            },
        )
    }
}

fn listed(workspaces: &[(String, String)]) -> Vec<Value> {
    workspaces.iter().map(|(id, label)| json!({"id": id, "label": label})).collect()
}

fn error(message: &str) -> Value {
    json!({"errors": [{"message": message, "name": "Error"}], "data": null})
}

/// Returns the first field of the query that this version lacks, or that another kind of query has.
fn unknown_field(query: &str, root: &str, kind: &str, version: &str) -> Option<String> {
    let is_at_least = |minimum: (u32, u32)| {
        let mut numbers = version.split('.').map(|it| it.parse::<u32>().unwrap_or(u32::MAX));
        (numbers.next().unwrap(), numbers.next().unwrap_or_default()) >= minimum
    };
    let is_mutation = kind.trim_start().starts_with("mutation");
    let known: &[&str] = match root {
        "authConfig" => &["localEnabled", "publicSignup", "initialSignup", "providers", "name", "displayName", "url"],
        "createToken" => &["token", "value", "user", "id", "fullName", "username", "status", "createdAt", "updatedAt"],
        "appConfig" if is_at_least((2, 0)) => &["version", "baseDomain", "byoUpdateRegistryHost", "featureFlags"],
        "appConfig" => {
            &["version", "baseDomain", "manualReleaseNames", "configureDagDeployment", "hardDeleteDeployment"]
        }
        "workspaces" => &["id", "label", "description", "createdAt", "updatedAt", "roleBindings", "role", "user"],
        "paginatedWorkspaces" if is_at_least((0, 30)) => &["id", "label", "description", "createdAt", "updatedAt"],
        _ => return Some(root.to_owned()),
    };
    if is_mutation != (root == "createToken") {
        return Some(root.to_owned());
    }
    let (_, selection) = query.split_once('{')?;
    let outside: String = selection.split('(').map(|it| it.split_once(')').map_or(it, |(_, rest)| rest)).collect();
    let mut names = outside.split(|it: char| !it.is_ascii_alphanumeric()).filter(|it| !it.is_empty()).skip(1);
    names.find(|name| !known.contains(name)).map(str::to_owned)
}

fn respond(client: &mut TcpStream, status: u16, kind: &str, body: &str) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {status} Status\r\ncontent-type: {kind}\r\nconnection: close\r\n");
    let _ = write!(head, "content-length: {}\r\n\r\n", body.len());
    client.write_all(head.as_bytes())?;
    client.write_all(body.as_bytes())
}
