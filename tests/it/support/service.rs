//! A test service on loopback: an identity provider that behaves like Auth0 and an API that behaves like Astro's, on
//! one origin, over HTTP and with RSA signatures.
//!
//! It is as strict as the real ones, so a client without a parameter, a header or the PKCE verifier fails. It records
//! every request and misbehaves on request: [`Options`] change its state, [`Service::patch`] rewrites one JSON
//! response, [`Service::fail`] breaks one path.
//!
//! The service runs on its own thread, for synchronous tests, until it is dropped. It uses no code of the program: it
//! is written from the specifications alone.

#![allow(dead_code, unreachable_pub, reason = "each test and the demo use another part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test whose support breaks should stop")]

use std::collections::{BTreeMap, HashMap};
use std::error::Error as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{future, io};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};
use tokio::sync::{Notify, oneshot};
use url::{Url, form_urlencoded};

// By path, because the demo includes this file from elsewhere.
#[path = "api.rs"]
mod api;
#[path = "issuer.rs"]
mod issuer;
#[path = "world.rs"]
mod world;

pub use world::{Options, Organization, Person, Workspace};

pub const CLIENT_ID: &str = "astro-cli-client";
pub const AUDIENCE: &str = "astronomer-ee";

const KEYS: [(&str, &[u8]); 2] = [
    ("insecure-test-key-1", include_bytes!("../../keys/insecure-test-key-1.pk8")),
    ("insecure-test-key-2", include_bytes!("../../keys/insecure-test-key-2.pk8")),
];

/// A JSON answer, or the claims of a token, that [`Service::patch`] can rewrite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    AuthConfig,
    Lookup,
    Metadata,
    Keys,
    /// The parameters of the redirect to the callback, of a success and of an error.
    Callback,
    Token,
    AccessToken,
    IdToken,
    Userinfo,
    User,
    Organizations,
    Workspaces,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// This status and body, and the request is not acted upon.
    Status(u16, String),
    /// 429 with `Retry-After` in seconds, and the request is not acted upon.
    RetryAfter(u64),
    /// A success with this body, and the request is not acted upon.
    Body(String),
    /// A page of HTML with this status, and the request is not acted upon.
    Page(u16),
    /// A 307 to this address, and the request is not acted upon.
    Redirect(String),
    /// No answer at all, and the request is not acted upon.
    Stall,
    /// The request is acted upon and answered once the path is repaired.
    Hold,
    /// The request is acted upon, but the connection ends in the middle of the answer.
    CloseMidBody,
    /// The connection is reset instead of an answer, and the request is not acted upon.
    Reset,
    /// The request is acted upon, but the connection is reset in the middle of the answer.
    ResetMidBody,
    /// The request is acted upon, but the answer stops half-way, and the connection stays.
    StallMidBody,
    /// A success with a body of 1 GiB, and the request is not acted upon.
    Endless,
    /// The request is acted upon, but the answer's body is cut in half, as if that were all.
    Truncate,
    /// The request is acted upon and answered well, but the answer claims to be of this type.
    ContentType(&'static str),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    /// The path, from its slash on, without the query.
    pub path: String,
    pub query: Vec<(String, String)>,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Request {
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The first field of this name in a form's body.
    pub fn form(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.body.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    async fn read(request: hyper::Request<Incoming>) -> Result<Self, hyper::Error> {
        let (head, body) = request.into_parts();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Self {
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            query: form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).into_owned().collect(),
            headers: head.headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect(),
            body: text(&body.collect().await?.to_bytes()),
        })
    }
}

pub struct Service {
    port: u16,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    arrived: Condvar,
    healed: Notify,
    /// The number of requests in progress, and its maximum.
    in_hand: AtomicUsize,
    most_in_hand: AtomicUsize,
    bytes_sent: AtomicUsize,
    stalled: AtomicUsize,
    stalling: Notify,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn stall(&self) {
        self.stalled.fetch_add(1, Ordering::SeqCst);
        self.stalling.notify_waiters();
    }
}

impl Service {
    /// Starts the service on 127.0.0.1 and `[::1]`, if the machine has them. It accepts connections when this returns.
    pub fn start(options: Options) -> Self {
        let (port, listeners) = listen(options.port);
        let issuer = options.issuer.clone().unwrap_or_else(|| format!("http://localhost:{port}/"));
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(options, issuer)),
            arrived: Condvar::new(),
            healed: Notify::new(),
            in_hand: AtomicUsize::new(0),
            most_in_hand: AtomicUsize::new(0),
            bytes_sent: AtomicUsize::new(0),
            stalled: AtomicUsize::new(0),
            stalling: Notify::new(),
        });
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                for listener in listeners {
                    tokio::spawn(accept(listener, Arc::clone(&serving)));
                }
                // An error means that the owner was dropped.
                let _ = stopped.await;
            });
        });
        Self { port, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// Returns the domain as typed: `localhost:PORT`.
    pub fn domain(&self) -> String {
        format!("localhost:{}", self.port)
    }

    pub fn url(&self, path: &str) -> Url {
        Url::parse(&format!("http://localhost:{}{path}", self.port)).unwrap()
    }

    pub fn issuer(&self) -> String {
        self.shared.lock().issuer.clone()
    }

    pub fn options(&self) -> Options {
        self.shared.lock().options.clone()
    }

    pub fn set(&self, change: impl FnOnce(&mut Options)) {
        change(&mut self.shared.lock().options);
    }

    /// Rewrites an answer by a JSON merge patch (RFC 7396) from now on: `null` removes a member.
    pub fn patch(&self, part: Part, patch: Value) {
        self.shared.lock().patches.insert(part, patch);
    }

    /// Breaks `path` until [`repair`](Self::repair).
    pub fn fail(&self, path: &str, fault: Fault) {
        self.shared.lock().faults.insert(path.to_owned(), (fault, usize::MAX));
    }

    /// Breaks `path` for the next `times` requests.
    pub fn fail_times(&self, path: &str, times: usize, fault: Fault) {
        self.shared.lock().faults.insert(path.to_owned(), (fault, times));
    }

    /// Ends what [`fail`](Self::fail) began, for requests that come from now on.
    pub fn repair(&self, path: &str) {
        self.shared.lock().faults.remove(path);
        self.shared.healed.notify_waiters();
    }

    pub fn most_at_once(&self) -> usize {
        self.shared.most_in_hand.load(Ordering::SeqCst)
    }

    /// Returns the bytes of [endless bodies](Fault::Endless) sent so far.
    pub fn bytes_sent(&self) -> usize {
        self.shared.bytes_sent.load(Ordering::SeqCst)
    }

    /// Waits until so many answers have stopped half-way, or before they began.
    pub async fn until_stalled(&self, count: usize) {
        loop {
            let stalling = self.shared.stalling.notified();
            if self.shared.stalled.load(Ordering::SeqCst) >= count {
                return;
            }
            stalling.await;
        }
    }

    pub fn requests(&self) -> Vec<Request> {
        self.shared.lock().requests.clone()
    }

    pub fn requests_to(&self, path: &str) -> Vec<Request> {
        self.requests().into_iter().filter(|request| request.path == path).collect()
    }

    pub fn token_requests(&self) -> Vec<Request> {
        self.requests_to("/oauth/token")
    }

    /// The `count`th request to `path`, counted from 1; blocks until it has arrived, for ten seconds at most.
    pub fn wait_for(&self, path: &str, count: usize) -> Request {
        let nth = |state: &State| state.requests.iter().filter(|request| request.path == path).nth(count - 1).cloned();
        let missing = |state: &mut State| nth(state).is_none();
        let bound = Duration::from_secs(10);
        let (state, _) = self.shared.arrived.wait_timeout_while(self.shared.lock(), bound, missing).unwrap();
        nth(&state).unwrap_or_else(|| panic!("request {count} to {path} never came"))
    }

    pub fn authorization_request(&self) -> BTreeMap<String, String> {
        let requests = self.requests_to("/authorize");
        requests.last().map(|request| request.query.iter().cloned().collect()).unwrap_or_default()
    }

    /// The refresh tokens that are valid now.
    pub fn live_refresh_tokens(&self) -> Vec<String> {
        let state = self.shared.lock();
        let live = state.logins.iter().filter(|login| !login.revoked);
        live.filter_map(|login| login.refresh_tokens.last().cloned()).collect()
    }

    /// Returns every secret: all tokens, codes and verifiers, `state` and `nonce`.
    pub fn secrets(&self) -> Vec<String> {
        let state = self.shared.lock();
        let made = state.logins.iter().flat_map(|login| login.refresh_tokens.iter().chain([&login.code])).cloned();
        let asked = state.requests.iter().flat_map(|request| {
            let query = ["state", "nonce"].map(|name| request.query(name).map(str::to_owned));
            query.into_iter().chain([request.form("code_verifier")]).flatten()
        });
        state.issued.keys().cloned().chain(made).chain(asked).chain(state.options.cookie.clone()).collect()
    }

    /// Returns the number of replays of a code or a refresh token.
    pub fn replays(&self) -> usize {
        self.shared.lock().replays
    }

    /// A login that was made elsewhere: what the token endpoint answered there.
    pub fn log_in(&self, email: &str) -> Value {
        let mut state = self.shared.lock();
        let query = vec![("scope".to_owned(), "openid profile email offline_access".to_owned())];
        let (method, path) = ("GET".to_owned(), "/authorize".to_owned());
        state.begin(Request { method, path, query, headers: BTreeMap::new(), body: String::new() }, email);
        let index = state.logins.len() - 1;
        state.logins[index].code_spent = true;
        serde_json::from_str(state.token_response(index, true).body()).unwrap()
    }

    /// An access token for the first person, as the website makes them, with its claims patched.
    pub fn access_token(&self, patch: &Value) -> String {
        let mut state = self.shared.lock();
        let person = state.options.people[0].clone();
        let mut claims = state.access_claims(&person, "openid profile email offline_access", None);
        merge(&mut claims, patch);
        state.sign(&json!({}), &claims)
    }

    /// A token with exactly these claims, signed by the signing key, with its header patched.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        self.shared.lock().sign(header, claims)
    }

    /// Returns an Astro API token: accepted by the API, signed by a key in no key set, without a user.
    pub fn api_token(&self) -> String {
        self.api_token_with(&json!({}))
    }

    /// An Astro API token with its claims patched.
    pub fn api_token_with(&self, patch: &Value) -> String {
        let mut state = self.shared.lock();
        let organization = format!("organizationId:{}", state.options.organizations[0].id);
        let mut claims = json!({
            "isAstronomerGenerated": true, "apiTokenId": "cltoken1", "kid": "cltokenkey1", "iat": state.now(),
            "sub": "cltoken1", "permissions": ["apiTokenId:cltoken1", organization],
        });
        merge(&mut claims, patch);
        let signing_key = std::mem::replace(&mut state.options.signing_key, 1);
        let token = state.sign(&json!({"kid": null}), &claims);
        state.options.signing_key = signing_key;
        token
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.stop.take());
        // The port is free for the next one when this returns.
        let finished = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || finished.is_none_or(|end| end.is_ok()), "the service's thread panicked");
    }
}

/// Both loopback addresses at one port, or the one of them that this machine has.
fn listen(wanted: u16) -> (u16, Vec<TcpListener>) {
    loop {
        let mut listeners = Vec::new();
        let mut port = wanted;
        let mut taken = None;
        for address in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
            match TcpListener::bind((address, port)) {
                Ok(listener) => {
                    port = listener.local_addr().unwrap().port();
                    listeners.push(listener);
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => taken = Some(address),
                Err(_) => {}
            }
        }
        match taken {
            None => {
                assert!(!listeners.is_empty(), "no loopback address here");
                return (port, listeners);
            }
            Some(address) => assert!(wanted == 0, "port {wanted} on {address} is taken"),
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(|request| handle(Arc::clone(&shared), request));
            let mut connection =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // The client may disconnect, and a fault may cut the response.
            if let Err(error) = (&mut connection).await
                && error.source().and_then(|it| it.downcast_ref()).is_some_and(|it: &io::Error| it.kind() == RESET)
            {
                let _ = connection.into_parts().io.inner().set_zero_linger();
            }
        });
    }
}

const RESET: io::ErrorKind = io::ErrorKind::ConnectionReset;

type Answer = hyper::Response<String>;

async fn handle(
    shared: Arc<Shared>,
    request: hyper::Request<Incoming>,
) -> io::Result<hyper::Response<Either<Full<Bytes>, Broken>>> {
    let request = Request::read(request).await.map_err(io::Error::other)?;
    let (fault, delay) = {
        let mut state = shared.lock();
        state.requests.push(request.clone());
        shared.arrived.notify_all();
        (state.fault(&request.path), state.options.delay)
    };
    let in_hand = shared.in_hand.fetch_add(1, Ordering::SeqCst) + 1;
    shared.most_in_hand.fetch_max(in_hand, Ordering::SeqCst);
    tokio::time::sleep(delay).await;
    shared.in_hand.fetch_sub(1, Ordering::SeqCst);
    let date = shared.lock().http_date();
    let torn = |rest: Rest| {
        let answer = shared.lock().answer(&request);
        Ok(answer.map(|body| Either::Right(Broken::half(&body, rest))))
    };
    let answer = match fault {
        None => shared.lock().answer(&request),
        Some(Fault::Status(status, body)) => answer(status, "application/json", body),
        Some(Fault::RetryAfter(seconds)) => {
            with_header(oauth_error(429, "too_many_requests", "slow down"), "retry-after", &seconds.to_string())
        }
        Some(Fault::Body(body)) => answer(200, "application/json", body),
        Some(Fault::Page(status)) => answer(status, "text/html", "<!doctype html><title>Sorry</title>".to_owned()),
        Some(Fault::Redirect(to)) => redirect(307, &to),
        Some(Fault::Stall) => {
            shared.stall();
            future::pending().await
        }
        Some(Fault::Hold) => {
            loop {
                let healed = shared.healed.notified();
                if !shared.lock().faults.contains_key(&request.path) {
                    break;
                }
                healed.await;
            }
            shared.lock().answer(&request)
        }
        Some(Fault::CloseMidBody) => return torn(Rest::Error(io::ErrorKind::ConnectionAborted)),
        Some(Fault::Reset) => return Err(RESET.into()),
        Some(Fault::ResetMidBody) => return torn(Rest::Error(RESET)),
        Some(Fault::StallMidBody) => return torn(Rest::Silence(Some(Arc::clone(&shared)))),
        Some(Fault::Endless) => {
            let endless = Broken { half: None, length: GIB, flushed: true, rest: Rest::Flood(Arc::clone(&shared)) };
            return Ok(answer(200, "application/json", String::new()).map(|_| Either::Right(endless)));
        }
        Some(Fault::Truncate) => {
            let mut answer = shared.lock().answer(&request);
            let half = answer.body().len() / 2;
            answer.body_mut().truncate(half);
            answer
        }
        Some(Fault::ContentType(claimed)) => with_header(shared.lock().answer(&request), "content-type", claimed),
    };
    let answer = with_header(answer, "date", &date);
    let answer = match &shared.lock().options.cookie {
        Some(cookie) => with_header(answer, "set-cookie", &format!("session={cookie}; Path=/")),
        None => answer,
    };
    Ok(answer.map(|body| Either::Left(Full::new(body.into()))))
}

const GIB: u64 = 1024 * 1024 * 1024;

/// A body whose announced length is never reached, or never should be.
struct Broken {
    half: Option<Bytes>,
    length: u64,
    flushed: bool,
    rest: Rest,
}

/// The end of a body after its first half.
enum Rest {
    Error(io::ErrorKind),
    /// Nothing, which is counted once.
    Silence(Option<Arc<Shared>>),
    /// Blanks without number.
    Flood(Arc<Shared>),
}

impl Broken {
    fn half(body: &str, rest: Rest) -> Self {
        let half = Bytes::copy_from_slice(&body.as_bytes()[..body.len() / 2]);
        // An empty body counts as one byte, so that something is missing.
        Self { half: Some(half), length: (body.len() as u64).max(1), flushed: false, rest }
    }
}

impl Body for Broken {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(half) = self.half.take() {
            return Poll::Ready(Some(Ok(Frame::data(half))));
        }
        // The server only writes out what it has when the body makes it wait, and drops it all at an error.
        if !std::mem::replace(&mut self.flushed, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        match &mut self.rest {
            Rest::Error(kind) => Poll::Ready(Some(Err((*kind).into()))),
            Rest::Silence(uncounted) => {
                if let Some(shared) = uncounted.take() {
                    shared.stall();
                }
                Poll::Pending
            }
            Rest::Flood(shared) => {
                const BLANKS: &[u8] = &[b' '; 64 * 1024];
                shared.bytes_sent.fetch_add(BLANKS.len(), Ordering::SeqCst);
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(BLANKS)))))
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}

/// One login: a code, then a family of refresh tokens of which only the last is good.
#[derive(Clone)]
struct Login {
    request: Request,
    person: Person,
    code: String,
    code_spent: bool,
    refresh_tokens: Vec<String>,
    rotated_at: i64,
    revoked: bool,
}

#[derive(Default)]
struct State {
    options: Options,
    issuer: String,
    keys: Vec<RsaKeyPair>,
    patches: HashMap<Part, Value>,
    faults: HashMap<String, (Fault, usize)>,
    requests: Vec<Request>,
    /// The claims of every token signed here: how the API knows a token again.
    issued: HashMap<String, Value>,
    logins: Vec<Login>,
    replays: usize,
    key_fetches: usize,
    serial: u64,
    /// The `sub` of those whom the API has met.
    users: Vec<String>,
}

impl State {
    fn new(options: Options, issuer: String) -> Self {
        let keys = KEYS.iter().map(|(_, pkcs8)| RsaKeyPair::from_pkcs8(pkcs8).unwrap()).collect();
        Self { options, issuer, keys, ..Self::default() }
    }

    fn answer(&mut self, request: &Request) -> Answer {
        let segments: Vec<&str> = request.path.split('/').skip(1).collect();
        match (request.method.as_str(), segments.as_slice()) {
            ("GET", ["private", "v1alpha1", "cli", "auth-config"]) => self.auth_config(request),
            ("POST", ["hub", "organization-lookup"]) => self.organization_lookup(request),
            ("GET", [".well-known", "openid-configuration"]) => self.metadata(),
            ("GET", [".well-known", "jwks.json"]) => self.key_set(),
            ("GET" | "POST", ["authorize"]) => self.authorize(request),
            ("POST", ["oauth", "token"]) => self.token(request),
            ("POST", ["oauth", "revoke"]) => self.revoke(request),
            ("GET", ["userinfo"]) => self.userinfo(request),
            ("GET", ["v1", rest @ ..]) => self.api(request, rest),
            _ => api_error(404, "no such path"),
        }
    }

    fn fault(&mut self, path: &str) -> Option<Fault> {
        let (fault, left) = self.faults.get_mut(path).filter(|(_, left)| *left > 0)?;
        *left -= 1;
        Some(fault.clone())
    }

    fn patched(&self, part: Part, mut value: Value) -> Value {
        if let Some(patch) = self.patches.get(&part) {
            merge(&mut value, patch);
        }
        value
    }

    #[expect(clippy::disallowed_methods, reason = "this world has its own clock")]
    fn now(&self) -> i64 {
        let clock = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed();
        self.options.now.unwrap_or_else(clock)
    }

    /// This world's time as HTTP writes it (RFC 9110 section 5.6.7).
    fn http_date(&self) -> String {
        let now = jiff::Timestamp::from_second(self.now()).unwrap();
        now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
    }

    fn next(&mut self, prefix: &str) -> String {
        // Hashes share no piece with other text by chance.
        self.serial += 1;
        let hash = ring::digest::digest(&ring::digest::SHA256, &self.serial.to_be_bytes());
        format!("{prefix}{}", BASE64_URL_SAFE_NO_PAD.encode(hash))
    }

    fn sign(&mut self, header: &Value, claims: &Value) -> String {
        let key = self.options.signing_key;
        let mut head = json!({"alg": "RS256", "typ": "JWT", "kid": KEYS[key].0});
        merge(&mut head, header);
        let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let input = format!("{}.{}", encode(&head), encode(claims));
        let mut signature = vec![0; self.keys[key].public().modulus_len()];
        let randomness = ring::rand::SystemRandom::new();
        self.keys[key].sign(&RSA_PKCS1_SHA256, &randomness, input.as_bytes(), &mut signature).unwrap();
        let token = format!("{input}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature));
        self.issued.insert(token.clone(), claims.clone());
        token
    }
}

/// Refuses a request without one of the headers by which the Astro CLI makes itself known.
fn missing_header(request: &Request, demanded: &[&str]) -> Option<Answer> {
    let missing = demanded.iter().find(|name| request.header(name).is_none_or(str::is_empty))?;
    Some(api_error(400, &format!("header {missing} is missing")))
}

fn answer(status: u16, content_type: &str, body: String) -> Answer {
    let answer = hyper::Response::builder().status(status).header("content-type", content_type);
    answer.header("cache-control", "no-store").body(body).unwrap()
}

fn with_header(mut answer: Answer, name: &'static str, value: &str) -> Answer {
    answer.headers_mut().insert(name, value.parse().unwrap());
    answer
}

fn success(value: &Value) -> Answer {
    answer(200, "application/json", value.to_string())
}

fn redirect(status: u16, to: &str) -> Answer {
    with_header(answer(status, "text/plain", String::new()), "location", to)
}

fn oauth_error(status: u16, error: &str, description: &str) -> Answer {
    let body = json!({"error": error, "error_description": description});
    answer(status, "application/json", body.to_string())
}

fn api_error(status: u16, message: &str) -> Answer {
    let body = json!({"message": message, "requestId": "request-1", "statusCode": status});
    answer(status, "application/json", body.to_string())
}

fn without_nulls(mut value: Value) -> Value {
    if let Value::Object(members) = &mut value {
        members.retain(|_, member| !member.is_null());
    }
    value
}

/// Applies a JSON merge patch (RFC 7396 section 2).
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        target.clone_from(patch);
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in patch {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(name);
        } else {
            merge(&mut target[name], value);
        }
    }
}
