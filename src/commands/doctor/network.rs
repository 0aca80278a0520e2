//! The checks of the network: API, issuer, keys, certificates and clock.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use url::Url;

use super::{Check, Outcome};
use crate::commands::status::clock_off;
use crate::domain::Product;
use crate::error::{Error, Warning};
use crate::http::{Fault, Http, HttpError, host_of};
use crate::oauth::{AuthConfig, IssuerError};
use crate::session::{KeySource, Session};
use crate::text::clean;

/// The lifetime of Astro's ID tokens, which expire first: ten hours, and a minute of leeway.
const SHORTEST_LIFETIME: SignedDuration = SignedDuration::from_mins(10 * 60 + 1);

/// The responses; `None` for requests that depend on a failed one.
struct Network {
    auth: Timed<(AuthConfig, Option<Timestamp>), IssuerError>,
    metadata: Option<Result<(), IssuerError>>,
    keys: Option<Timed<(), Error>>,
}

struct Timed<T, E> {
    result: Result<T, E>,
    took: Duration,
    host: String,
    proxy: Option<String>,
}

/// Makes the requests of a login that carry no secret, and returns their checks.
pub(super) async fn checks(session: &Session<'_>) -> Vec<Check> {
    if session.domain.product() == Product::PrivateCloud {
        return vec![platform(session).await];
    }
    let network = ask(session).await;
    vec![
        api(session, &network),
        issuer(session, &network),
        keys(session, &network),
        certificates(session, &network),
        clock(session, &network),
    ]
}

/// Asks an Astro Private Cloud for the ways to log in.
async fn platform(session: &Session<'_>) -> Check {
    let settings = session.call_platform(async |houston| houston.login_settings().await);
    let asked = timed(&session.system.http, &session.platform_api(), settings).await;
    let settings = match &asked.result {
        Ok(settings) => settings,
        Err(failure) => return asked.with_proxy(Check::fail("api", failure, session)),
    };
    let ways = match (settings.has_passwords, settings.has_providers) {
        (true, true) => "a password or the browser",
        (true, false) => "a password",
        (false, true) => "the browser",
        (false, false) => "a token alone",
    };
    let check = Check::ok("api", &format!("{}; logs in with {ways}", asked.responded()));
    let ignored = session.config.read().map(|document| document.ignored_settings()).unwrap_or_default();
    ignored.into_iter().map(Warning::SettingIgnored).fold(check, |check, warning| {
        Check::note("api", &format!("{}; {warning}", check.detail)).advice(&warning.hint())
    })
}

/// Requests the login configuration, then the issuer's metadata and keys at the same time.
async fn ask(session: &Session<'_>) -> Network {
    let http = &session.system.http;
    let auth = timed(http, session.domain.api_base(), AuthConfig::fetch_with_date(http, &session.domain)).await;
    let issuer = auth.result.as_ref().ok().map(|(config, _)| &config.issuer);
    let Some((issuer, url)) = issuer.and_then(|it| Some((it, it.as_str().parse().ok()?))) else {
        return Network { auth, metadata: None, keys: None };
    };
    let keys = async { KeySource::fetch(http, issuer).await.map(drop) };
    let (metadata, keys) = tokio::join!(issuer.metadata(http), timed(http, &url, keys));
    Network { metadata: Some(metadata.map(drop)), keys: Some(keys), auth }
}

async fn timed<T, E>(http: &Http, url: &Url, request: impl Future<Output = Result<T, E>>) -> Timed<T, E> {
    let start = Instant::now();
    let result = request.await;
    Timed { result, took: start.elapsed(), host: host_of(url), proxy: http.proxy_for(url) }
}

fn api(session: &Session<'_>, network: &Network) -> Check {
    match &network.auth.result {
        Err(error @ IssuerError::Http(_)) => {
            network.auth.with_proxy(Check::fail("api", &error.clone().into(), session))
        }
        Ok(_) | Err(_) => Check::ok("api", &network.auth.responded()),
    }
}

fn issuer(session: &Session<'_>, network: &Network) -> Check {
    match (&network.auth.result, &network.metadata) {
        (Err(IssuerError::Http(_)), _) => Check::note("issuer", "unknown: the API did not name it"),
        (Err(refused), _) | (Ok(_), Some(Err(refused))) => Check::fail("issuer", &refused.clone().into(), session),
        (Ok((auth, _)), _) => Check::ok("issuer", &format!("{} belongs to {}", auth.issuer, session.domain)),
    }
}

fn keys(session: &Session<'_>, network: &Network) -> Check {
    match &network.keys {
        None => Check::note("keys", "not checked: the issuer is unknown"),
        Some(keys) => match &keys.result {
            Ok(()) => Check::ok("keys", &keys.responded()),
            Err(failure) => keys.with_proxy(Check::fail("keys", failure, session)),
        },
    }
}

impl<T, E> Timed<T, E> {
    fn responded(&self) -> String {
        let through = self.proxy.as_ref().map_or_else(String::new, |proxy| format!(" through the proxy {proxy}"));
        format!("{}{through} responded in {} ms", self.host, self.took.as_millis())
    }

    /// Adds the proxy to a failed check, whose message does not name it.
    fn with_proxy(&self, check: Check) -> Check {
        match &self.proxy {
            Some(proxy) if !check.detail.contains(proxy.as_str()) => {
                Check { detail: format!("{} (through the proxy {proxy})", check.detail), ..check }
            }
            Some(_) | None => check,
        }
    }
}

fn certificates(session: &Session<'_>, network: &Network) -> Check {
    if session.domain.is_local() {
        return Check::ok("certificates", "not needed (plain HTTP on this machine)");
    }
    let named = ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().filter_map(|name| {
        let value = session.system.environment.get(name)?;
        Some(format!("{name}, {}", clean(value, 200)))
    });
    let named: Vec<String> = named.collect();
    // Other platforms ignore these variables.
    let roots = if named.is_empty() || !cfg!(all(unix, not(target_os = "macos"))) {
        "system roots".to_owned()
    } else {
        format!("roots in {}", named.join(" and "))
    };
    match network
        .failures()
        .find(|failure| matches!(failure.fault, Fault::CertificateTime(_) | Fault::Certificate(_) | Fault::Setup(_)))
    {
        Some(failure) => {
            let check = Check::fail("certificates", &failure.clone().into(), session);
            Check { detail: format!("{roots}: {}", check.detail), ..check }
        }
        None if network.failures().next().is_some() => Check::note("certificates", &format!("{roots} (not checked)")),
        None => Check::ok("certificates", &roots),
    }
}

impl Network {
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

fn clock(session: &Session<'_>, network: &Network) -> Check {
    let Ok((_, Some(theirs))) = network.auth.result else {
        return Check::note("clock", "not checked (API unreachable)");
    };
    let ahead = session.now().duration_since(theirs);
    let Some(off) = clock_off(ahead) else { return Check::ok("clock", "matches the API's") };
    // As in a login: a token from the future is refused, and one of the past only if it seems expired.
    let check = if ahead.is_negative() || ahead >= SHORTEST_LIFETIME {
        Check::new("clock", Outcome::Fail, &format!("{off}, so tokens would be refused"))
    } else {
        Check::note("clock", &format!("{off}, so tokens seem to expire early"))
    };
    check.advice(&off.hint())
}
