//! The HTTP client: each request names its step, is bounded in time and size, follows no redirect, and fails with an
//! error that names the host and the step and holds no secrets.
//!
//! Two clients are built on first use: one with TLS, proxy and the system's certificates for Astro, and one without them
//! for the http of a development server on this machine.

mod error;
mod proxy;
mod roots;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Client, Method, RequestBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::domain::is_loopback;
use crate::environment::Environment;
use crate::text::{clean, parse_url};
use crate::token::AccessToken;

pub use error::{Fault, HttpError, ProxyFault};
use error::{Origin, classify, innermost_cause};
use proxy::{Proxy, ProxySettings};
use roots::RootSettings;

/// The largest response body, in bytes, unless the request sets another limit.
const BODY_LIMIT: usize = 1024 * 1024;

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

#[derive(Default)]
pub struct Http {
    limits: TimeLimits,
    proxy: ProxySettings,
    roots: RootSettings,
    secure: OnceLock<Client>,
    plain: OnceLock<Client>,
}

impl Http {
    /// Creates clients with other time limits than the usual ones.
    pub fn with_limits(limits: TimeLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Uses the proxy and the certificates that these variables name.
    #[must_use]
    pub fn in_environment(self, environment: &Environment) -> Self {
        Self { proxy: ProxySettings::of(environment), roots: RootSettings::of(environment), ..self }
    }

    /// Returns the host and port of the proxy for `url`.
    pub fn proxy_for(&self, url: &Url) -> Option<String> {
        self.proxy.for_url(url).ok().flatten().map(|proxy| proxy.name)
    }

    pub fn limits(&self) -> &TimeLimits {
        &self.limits
    }

    /// Builds a GET request. `step` completes the sentence "could not …", as in "fetch the login configuration".
    pub fn get(&self, step: &'static str, url: &Url) -> Result<Request, HttpError> {
        self.request(Method::GET, step, url)
    }

    pub fn post(&self, step: &'static str, url: &Url) -> Result<Request, HttpError> {
        self.request(Method::POST, step, url)
    }

    fn request(&self, method: Method, step: &'static str, url: &Url) -> Result<Request, HttpError> {
        let origin = Origin { step, host: host_of(url) };
        let is_secure = url.scheme() == "https";
        if !is_secure && !url.host_str().is_some_and(is_loopback) {
            return Err(origin.fault(Fault::NotHttps));
        }
        let proxy = self.proxy.for_url(url).map_err(|fault| origin.fault(fault))?;
        let cell = if is_secure { &self.secure } else { &self.plain };
        let client = if let Some(client) = cell.get() {
            client
        } else {
            let built = self.build(is_secure).map_err(|error| {
                origin.fault(Fault::Setup(self.roots.fault().unwrap_or_else(|| innermost_cause(&error))))
            })?;
            cell.get_or_init(|| built)
        };
        let builder = client.request(method.clone(), url.clone());
        let path = url.path().to_owned();
        let TimeLimits { connect, request: bound, .. } = self.limits;
        Ok(Request { builder, method, path, origin, proxy, connect, bound, limit: BODY_LIMIT })
    }

    fn build(&self, is_secure: bool) -> Result<Client, reqwest::Error> {
        // A name server must not say where `localhost` is. Port 0 stands for the URL's.
        let loopback = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
        let builder = Client::builder()
            .user_agent(concat!("astro-login/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.limits.connect)
            .resolve_to_addrs("localhost", &loopback.map(|ip| (ip, 0).into()))
            // A redirect could carry a code or a token to another host (RFC 9700 section 4.12).
            .redirect(reqwest::redirect::Policy::none())
            // Callers decide about retries: a code is redeemed once.
            .retry(reqwest::retry::never());
        if is_secure {
            return self.proxy.apply_to(self.roots.apply_to(builder.https_only(true))).build();
        }
        // No certificate is needed, and a machine may have none.
        builder.no_proxy().tls_certs_only([]).build()
    }
}

#[must_use = "a request does nothing until it is sent"]
pub struct Request {
    builder: RequestBuilder,
    method: Method,
    path: String,
    origin: Origin,
    proxy: Option<Proxy>,
    connect: Duration,
    bound: Duration,
    limit: usize,
}

impl Request {
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.builder = self.builder.header(name, value);
        self
    }

    /// Adds the access token (RFC 6750 section 2.1).
    pub fn bearer(mut self, token: &AccessToken) -> Self {
        self.builder = self.builder.bearer_auth(token.expose());
        self
    }

    /// Adds the token of an Astro Private Cloud, which wants it without the word `Bearer`. Text that no header can hold is left
    /// out, and so refused by the server.
    pub fn bare_token(mut self, token: &AccessToken) -> Self {
        if let Ok(mut value) = HeaderValue::from_str(token.expose()) {
            value.set_sensitive(true);
            self.builder = self.builder.header(AUTHORIZATION, value);
        }
        self
    }

    /// Sends `form` as `application/x-www-form-urlencoded`, in the body.
    pub fn form<T: Serialize + ?Sized>(mut self, form: &T) -> Self {
        self.builder = self.builder.form(form);
        self
    }

    pub fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        self.builder = self.builder.json(value);
        self
    }

    /// Sets the time limit for the whole exchange, from connecting to the last byte of the response.
    pub fn within(mut self, bound: Duration) -> Self {
        self.bound = bound;
        self
    }

    pub fn at_most(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Sends the request and reads the whole response, of any status except a redirect.
    pub async fn send(self) -> Result<Response, HttpError> {
        let Self { builder, method, path, origin, proxy, connect, bound, limit } = self;
        let started = Instant::now();
        let outcome = exchange(builder.timeout(bound), &origin, proxy.as_ref(), (connect, bound), limit).await;
        let status = outcome.as_ref().map_or(0, |response| response.status);
        let ms = started.elapsed().as_millis();
        tracing::debug!(%method, host = origin.host, path, status, ms, "request");
        outcome
    }
}

async fn exchange(
    builder: RequestBuilder,
    origin: &Origin,
    proxy: Option<&Proxy>,
    bounds: (Duration, Duration),
    limit: usize,
) -> Result<Response, HttpError> {
    let mut response = match (builder.send().await, proxy) {
        (Ok(response), _) => response,
        (Err(error), None) => return Err(origin.fault(classify(&error, bounds))),
        (Err(error), Some(proxy)) => {
            return Err(origin.fault(proxy.blame(classify(&error, bounds), &origin.host, bounds.0).await));
        }
    };
    let status = response.status();
    if status.is_redirection() {
        let to = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        return Err(origin.fault(Fault::Redirect { to: parse_url(to).ok().map(|url| host_of(&url)) }));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| origin.fault(classify(&error, bounds)))? {
        if body.len() + chunk.len() > limit {
            return Err(origin.fault(Fault::TooLarge { limit }));
        }
        body.extend_from_slice(&chunk);
    }
    let headers = response.headers().clone();
    Ok(Response { status: status.as_u16(), headers, body, origin: origin.clone() })
}

pub struct Response {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
    origin: Origin,
}

impl Response {
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Returns a header's value; `None` if it is missing or not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub fn date(&self) -> Option<Timestamp> {
        // RFC 9110 section 5.6.7 writes dates as RFC 2822 does.
        jiff::fmt::rfc2822::parse(self.header("date")?).ok().map(|date| date.timestamp())
    }

    /// Parses the body as JSON, for any status.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, HttpError> {
        serde_json::from_slice(&self.body).map_err(|_| self.origin.fault(Fault::InvalidBody))
    }

    /// Parses the body of a 2xx response as JSON. Any other status becomes [`Fault::Status`] with the server's message.
    pub fn success_json<T: DeserializeOwned>(&self) -> Result<T, HttpError> {
        if (200..300).contains(&self.status) { self.json() } else { Err(self.status_error()) }
    }

    /// The body, for any status.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    pub fn status_error(&self) -> HttpError {
        #[derive(serde::Deserialize)]
        struct Body {
            message: String,
        }
        let message = serde_json::from_slice::<Body>(&self.body).ok().map(|body| clean(&body.message, 200));
        self.origin.fault(Fault::Status {
            status: self.status,
            message: message.filter(|text| !text.is_empty()),
            retry_after: self.retry_after(),
        })
    }

    /// Returns the delay in seconds of the `Retry-After` header (RFC 9110 section 10.2.3); `None` for a date.
    pub fn retry_after(&self) -> Option<Duration> {
        self.header(RETRY_AFTER.as_str())?.parse().ok().map(Duration::from_secs)
    }

    /// Returns [`Fault::InvalidBody`], for a caller that rejects the body.
    pub fn invalid_body(&self) -> HttpError {
        self.origin.fault(Fault::InvalidBody)
    }
}

/// Returns the host of a URL, with the port unless it is the default one. Safe to print.
pub fn host_of(url: &Url) -> String {
    let host = clean(url.host_str().unwrap_or_default(), 255);
    url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tk_10_without_tls_only_this_machine_is_spoken_to() {
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
