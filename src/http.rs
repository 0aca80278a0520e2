//! HTTP as this program speaks it: every request names its step, is bounded in time and size, follows no redirect,
//! and fails with an error that says which host and which step, by type and without secrets.
//!
//! Two clients are built on first use: one with TLS, proxy and the system's certificates for Astro, and a plain one
//! that never goes through a proxy, for a development server on this machine.

use std::error::Error as StdError;
use std::fmt;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use hyper::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use jiff::Timestamp;
use reqwest::header::{HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Client, Method, RequestBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::cache::Cache;
use crate::domain::is_loopback;
use crate::text::clean;
use crate::token::AccessToken;

/// The largest answer that is read, in bytes, unless a request says otherwise.
const BODY_LIMIT: usize = 1024 * 1024;

/// The time limits of requests. Tests shorten them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeLimits {
    /// To connect to a host.
    pub connect: Duration,
    /// From connecting to the last byte of the response, unless another limit applies.
    pub request: Duration,
    /// The same, for the issuer's keys.
    pub keys: Duration,
    /// The same, for the issuer's metadata.
    pub metadata: Duration,
    /// The same, for the organization of an email address.
    pub lookup: Duration,
    /// The same, for the revocation of a refresh token.
    pub revoke: Duration,
    /// All pages of a list: there may be many, each with a limit of its own.
    pub list: Duration,
}

impl Default for TimeLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            request: Duration::from_secs(15),
            keys: Duration::from_secs(10),
            metadata: Duration::from_secs(3),
            lookup: Duration::from_millis(1500),
            revoke: Duration::from_secs(5),
            list: Duration::from_secs(60),
        }
    }
}

/// The HTTP clients of this process, and what they may remember.
#[derive(Default)]
pub struct Http {
    remote: OnceLock<Client>,
    local: OnceLock<Client>,
    limits: TimeLimits,
    cache: Option<Cache>,
}

/// Whether an answer that was kept will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// One that is still good will.
    Kept,
    /// The server is to be asked.
    New,
}

impl Http {
    /// Clients that keep the answers that may be kept, in `cache`.
    pub fn caching(cache: Cache) -> Self {
        Self { cache: Some(cache), ..Self::default() }
    }

    /// A GET of something public that seldom changes. The answer is kept when the caller, who has found it good, says
    /// [`Response::keep`].
    pub fn get_public(&self, step: &'static str, url: &Url, freshness: Freshness) -> Result<Request, HttpError> {
        let mut request = self.get(step, url)?;
        request.public =
            self.cache.as_ref().map(|cache| (Keeper { cache: cache.clone(), url: url.clone() }, freshness));
        Ok(request)
    }

    /// Clients with other time limits than the usual ones.
    pub fn with_limits(limits: TimeLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// The time limits of these clients.
    pub fn limits(&self) -> &TimeLimits {
        &self.limits
    }

    /// A GET. `step` completes the sentence "could not …", as in "fetch the login configuration".
    pub fn get(&self, step: &'static str, url: &Url) -> Result<Request, HttpError> {
        self.request(Method::GET, step, url)
    }

    /// A POST.
    pub fn post(&self, step: &'static str, url: &Url) -> Result<Request, HttpError> {
        self.request(Method::POST, step, url)
    }

    fn request(&self, method: Method, step: &'static str, url: &Url) -> Result<Request, HttpError> {
        let origin = Origin { step, host: host_of(url) };
        let local = url.host_str().is_some_and(is_loopback);
        if url.scheme() != "https" && !local {
            return Err(origin.fault(Fault::NotHttps));
        }
        let cell = if local { &self.local } else { &self.remote };
        let client = if let Some(client) = cell.get() {
            client
        } else {
            let built =
                build(local, self.limits.connect).map_err(|error| origin.fault(Fault::Setup(plain_cause(&error))))?;
            cell.get_or_init(|| built)
        };
        let builder = client.request(method.clone(), url.clone());
        let path = url.path().to_owned();
        let TimeLimits { connect, request: bound, .. } = self.limits;
        Ok(Request { builder, method, path, origin, connect, bound, limit: BODY_LIMIT, public: None })
    }
}

/// The proxy that a request for `url` goes through: its host and port. It is found as the client itself finds it, in the
/// variables of this process and in the system's settings.
pub fn proxy_for(url: &Url) -> Option<String> {
    if url.host_str().is_some_and(is_loopback) {
        return None;
    }
    let found = Matcher::from_system().intercept(&url.as_str().parse::<Uri>().ok()?)?;
    Some(host_of(&Url::parse(&found.uri().to_string()).ok()?))
}

fn build(local: bool, connect: Duration) -> Result<Client, reqwest::Error> {
    let builder = Client::builder()
        .user_agent(concat!("astro-login/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(connect)
        // A followed redirect would carry a code or a token to wherever the answer points (RFC 9700 section 4.12).
        .redirect(reqwest::redirect::Policy::none())
        // Whether a request may be sent twice is decided where it is made, never below (a code is redeemed once).
        .retry(reqwest::retry::never());
    if local { builder.no_proxy().build() } else { builder.https_only(true).build() }
}

/// A request that has not been sent.
#[must_use = "a request does nothing until it is sent"]
pub struct Request {
    builder: RequestBuilder,
    method: Method,
    path: String,
    origin: Origin,
    connect: Duration,
    bound: Duration,
    limit: usize,
    public: Option<(Keeper, Freshness)>,
}

/// Where an answer may be kept.
struct Keeper {
    cache: Cache,
    url: Url,
}

impl Request {
    /// Adds a header that holds no secret.
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.builder = self.builder.header(name, value);
        self
    }

    /// Adds the access token (RFC 6750 section 2.1).
    pub fn bearer(mut self, token: &AccessToken) -> Self {
        self.builder = self.builder.bearer_auth(token.expose());
        self
    }

    /// Sends `form` as `application/x-www-form-urlencoded`, in the body.
    pub fn form<T: Serialize + ?Sized>(mut self, form: &T) -> Self {
        self.builder = self.builder.form(form);
        self
    }

    /// Sends `value` as JSON.
    pub fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        self.builder = self.builder.json(value);
        self
    }

    /// The time that the whole exchange may take, from connecting to the last byte of the answer.
    pub fn within(mut self, bound: Duration) -> Self {
        self.bound = bound;
        self
    }

    /// The largest answer to read, in bytes.
    pub fn at_most(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Sends the request and reads the whole answer, whatever its status.
    pub async fn send(self) -> Result<Response, HttpError> {
        let Self { builder, method, path, origin, connect, bound, limit, public } = self;
        if let Some((keeper, Freshness::Kept)) = &public
            && let Some(body) = keeper.cache.find(&keeper.url)
        {
            tracing::debug!(host = origin.host, path, "no request: the last answer is still good");
            return Ok(Response { status: 200, headers: HeaderMap::new(), body, origin, keeper: None });
        }
        let started = Instant::now();
        let mut outcome = exchange(builder.timeout(bound), &origin, (connect, bound), limit).await;
        if let (Ok(response), Some((keeper, _))) = (&mut outcome, public) {
            response.keeper = Some(keeper);
        }
        let status = outcome.as_ref().map_or(0, |response| response.status);
        let ms = started.elapsed().as_millis();
        tracing::debug!(%method, host = origin.host, path, status, ms, "request");
        outcome
    }
}

async fn exchange(
    builder: RequestBuilder,
    origin: &Origin,
    bounds: (Duration, Duration),
    limit: usize,
) -> Result<Response, HttpError> {
    let mut answer = builder.send().await.map_err(|error| origin.fault(classify(&error, bounds)))?;
    let status = answer.status();
    if status.is_redirection() {
        let to = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        return Err(origin.fault(Fault::Redirect { to: Url::parse(to).ok().map(|url| host_of(&url)) }));
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| origin.fault(classify(&error, bounds)))? {
        if body.len() + chunk.len() > limit {
            return Err(origin.fault(Fault::TooLarge { limit }));
        }
        body.extend_from_slice(&chunk);
    }
    let headers = answer.headers().clone();
    Ok(Response { status: status.as_u16(), headers, body, origin: origin.clone(), keeper: None })
}

/// An answer, read to its end.
pub struct Response {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
    origin: Origin,
    keeper: Option<Keeper>,
}

impl Response {
    /// The HTTP status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// A header's value, where it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The time by the server's clock, where it told it.
    pub fn date(&self) -> Option<Timestamp> {
        // RFC 9110 section 5.6.7 writes dates as RFC 2822 does.
        jiff::fmt::rfc2822::parse(self.header("date")?).ok().map(|date| date.timestamp())
    }

    /// The body as JSON, whatever the status.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, HttpError> {
        serde_json::from_slice(&self.body).map_err(|_| self.origin.fault(Fault::NotUnderstood))
    }

    /// The body of a 2xx answer as JSON; any other status becomes [`Fault::Status`] with what the server said of it.
    pub fn success_json<T: DeserializeOwned>(&self) -> Result<T, HttpError> {
        if (200..300).contains(&self.status) { self.json() } else { Err(self.status_error()) }
    }

    /// The body as it came, whatever the status.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Keeps this answer for the next time, for as long as the server allows: the answer to [`Http::get_public`], once it
    /// has been found good.
    pub fn keep(&self) {
        if let Some(keeper) = self.keeper.as_ref().filter(|_| self.status == 200) {
            keeper.cache.keep(&keeper.url, &self.headers, &self.body);
        }
    }

    /// This answer as an error: its status and the `message` that Astro's API puts beside it.
    pub fn status_error(&self) -> HttpError {
        #[derive(serde::Deserialize)]
        struct Said {
            message: String,
        }
        let said = serde_json::from_slice::<Said>(&self.body).ok().map(|said| clean(&said.message, 200));
        let retry_after = self.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        self.origin.fault(Fault::Status {
            status: self.status,
            said: said.filter(|text| !text.is_empty()),
            retry_after: retry_after.map(Duration::from_secs),
        })
    }

    /// An error that blames this answer's content, for a caller that finds it wrong.
    pub fn not_understood(&self) -> HttpError {
        self.origin.fault(Fault::NotUnderstood)
    }
}

/// A request that failed: at which step, with which host, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpError {
    /// What was attempted; completes "could not …".
    pub step: &'static str,
    /// The host, with its port where that is not the usual one.
    pub host: String,
    /// What went wrong.
    pub fault: Fault,
}

/// How a request failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The address is not https and not on this machine.
    #[error("its address is not https")]
    NotHttps,
    /// No client could be built, most often for want of certificates.
    #[error("no TLS client can be set up here: {0}")]
    Setup(String),
    /// The name could not be resolved.
    #[error("the host name could not be resolved")]
    Dns,
    /// No connection was made.
    #[error("no connection: {0}")]
    Connect(String),
    /// The server's certificate was not accepted.
    #[error("its certificate was not accepted: {0}")]
    Certificate(String),
    /// The answer did not come in time.
    #[error("no answer within {} seconds", .0.as_secs_f32())]
    Timeout(Duration),
    /// The connection ended before the answer did.
    #[error("the connection ended in the middle of the answer")]
    Interrupted,
    /// The answer is larger than anything we expect.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// The bound, in bytes.
        limit: usize,
    },
    /// The server wants us elsewhere; we do not go.
    #[error("it redirects{}, which is not followed", .to.as_ref().map(|host| format!(" to {host}")).unwrap_or_default())]
    Redirect {
        /// The host that it points to, where it names one.
        to: Option<String>,
    },
    /// An answer that is not a success.
    #[error("it answered with status {status}{}", .said.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    Status {
        /// The HTTP status code.
        status: u16,
        /// What the server said of it, cleaned.
        said: Option<String>,
        /// How long the server asks us to wait.
        retry_after: Option<Duration>,
    },
    /// A success whose content is not what the protocol says.
    #[error("its answer could not be understood")]
    NotUnderstood,
}

impl HttpError {
    /// The status code, where the server answered with one.
    pub fn status(&self) -> Option<u16> {
        match self.fault {
            Fault::Status { status, .. } => Some(status),
            _ => None,
        }
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not {}: {}: {}", self.step, self.host, self.fault)
    }
}

impl StdError for HttpError {}

#[derive(Clone)]
struct Origin {
    step: &'static str,
    host: String,
}

impl Origin {
    fn fault(&self, fault: Fault) -> HttpError {
        HttpError { step: self.step, host: self.host.clone(), fault }
    }
}

/// The host of a URL as people write it, safe to print.
pub fn host_of(url: &Url) -> String {
    let host = clean(url.host_str().unwrap_or_default(), 255);
    url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}"))
}

fn classify(error: &reqwest::Error, (connect, whole): (Duration, Duration)) -> Fault {
    if let Some(tls) = cause::<rustls::Error>(error) {
        return match tls {
            rustls::Error::InvalidCertificate(reason) => Fault::Certificate(certificate_reason(reason)),
            other => Fault::Connect(clean(&format!("TLS: {other}"), 200)),
        };
    }
    if error.is_timeout() {
        return Fault::Timeout(if error.is_connect() { whole.min(connect) } else { whole });
    }
    if error.is_dns() {
        return Fault::Dns;
    }
    if error.is_connect() {
        return Fault::Connect(plain_cause(error));
    }
    if error.is_builder() {
        return Fault::Setup(plain_cause(error));
    }
    Fault::Interrupted
}

fn certificate_reason(reason: &rustls::CertificateError) -> String {
    use rustls::CertificateError as Reason;
    match reason {
        Reason::Expired | Reason::ExpiredContext { .. } => "it has expired".to_owned(),
        Reason::NotValidYet | Reason::NotValidYetContext { .. } => "it is not valid yet; check the clock".to_owned(),
        Reason::UnknownIssuer => "nobody this machine trusts has signed it".to_owned(),
        Reason::NotValidForName | Reason::NotValidForNameContext { .. } => "it is for another name".to_owned(),
        Reason::BadSignature => "its signature is not right".to_owned(),
        Reason::Revoked => "it has been revoked".to_owned(),
        Reason::InvalidPurpose | Reason::InvalidPurposeContext { .. } => "it is for another purpose".to_owned(),
        other => clean(&format!("{other}"), 200),
    }
}

/// The innermost error in words. The outer layers of reqwest say "error sending request" and the address again.
fn plain_cause(error: &(dyn StdError + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    clean(&innermost.to_string(), 200)
}

/// The first error of type `T` in the chain. An `io::Error` keeps what it wraps outside of `source`.
fn cause<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(current) = next {
        if let Some(found) = current.downcast_ref::<T>() {
            return Some(found);
        }
        next = match current.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => current.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tk_10_plain_http_only_to_loopback() {
        let table = [
            ("http://localhost:8888/v1", true),
            ("http://127.0.0.1/", true),
            ("http://[::1]:1/", true),
            ("http://api.astronomer.io/v1", false),
            ("http://localhost.evil.example/", false),
            ("http://192.0.2.1/", false),
            ("ftp://api.astronomer.io/", false),
        ];
        let _: Result<_, _> = rustls::crypto::ring::default_provider().install_default();
        for (url, allowed) in table {
            let url = Url::parse(url).unwrap();
            for request in [Http::default().get("ask", &url), Http::default().post("tell", &url)] {
                assert_eq!(
                    request.map(drop).map_err(|error| error.fault),
                    if allowed { Ok(()) } else { Err(Fault::NotHttps) }
                );
            }
        }
    }
}
