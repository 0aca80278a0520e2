//! What answers to this machine: the API, the issuer and its keys, and with them the certificates and the clock.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use url::Url;

use super::{Check, Outcome};
use crate::commands::status::clock_off;
use crate::error::Error;
use crate::http::{Fault, HttpError, host_of, proxy_for};
use crate::oauth::{AuthConfig, IssuerError};
use crate::session::{KeySource, Session};
use crate::text::clean;

/// What the network answered; nothing where it was not asked.
pub(super) struct Network {
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

/// Asks for what a login has to know first: the issuer of the API, then at once what the issuer publishes.
pub(super) async fn ask(session: &Session<'_>) -> Network {
    let http = &session.system.http;
    let auth = timed(session.domain.api_base(), AuthConfig::fetch_with_date(http, &session.domain)).await;
    let Ok((AuthConfig { issuer, .. }, _)) = &auth.result else { return Network { auth, metadata: None, keys: None } };
    let Ok(url) = issuer.as_str().parse() else { return Network { auth, metadata: None, keys: None } };
    let keys = async { KeySource::fetch(http, issuer).await.map(drop) };
    let (metadata, keys) = tokio::join!(issuer.metadata(http), timed(&url, keys));
    Network { metadata: Some(metadata.map(drop)), keys: Some(keys), auth }
}

async fn timed<T, E>(url: &Url, asking: impl Future<Output = Result<T, E>>) -> Answer<T, E> {
    let through = proxy_for(url).map_or_else(String::new, |proxy| format!(" through the proxy {proxy}"));
    let began = Instant::now();
    let result = asking.await;
    Answer { result, took: began.elapsed(), way: format!("{}{through}", host_of(url)) }
}

pub(super) fn api(session: &Session<'_>, network: &Network) -> Check {
    let Answer { result, took, way } = &network.auth;
    match result {
        Err(error @ IssuerError::Http(_)) => with_proxy(Check::fail("api", &error.clone().into(), session), way),
        Ok(_) | Err(_) => Check::ok("api", &answered(way, *took)),
    }
}

pub(super) fn issuer(session: &Session<'_>, network: &Network) -> Check {
    match (&network.auth.result, &network.metadata) {
        (Err(IssuerError::Http(_)), _) => Check::note("issuer", "not known, since the API did not name it"),
        (Err(refused), _) | (Ok(_), Some(Err(refused))) => Check::fail("issuer", &refused.clone().into(), session),
        (Ok((auth, _)), _) => Check::ok("issuer", &format!("{} belongs to {}", auth.issuer, session.domain)),
    }
}

pub(super) fn keys(session: &Session<'_>, network: &Network) -> Check {
    match &network.keys {
        None => Check::note("keys", "not asked for, since the issuer is not known"),
        Some(Answer { result: Ok(()), took, way }) => Check::ok("keys", &answered(way, *took)),
        Some(Answer { result: Err(failure), way, .. }) => with_proxy(Check::fail("keys", failure, session), way),
    }
}

fn answered(way: &str, took: Duration) -> String {
    format!("{way} answered in {} ms", took.as_millis())
}

/// Adds the proxy to the check of a failed request.
fn with_proxy(check: Check, way: &str) -> Check {
    match way.split_once(" through ") {
        Some((_, proxy)) => Check { detail: format!("{} (through {proxy})", check.detail), ..check },
        None => check,
    }
}

pub(super) fn certificates(session: &Session<'_>, network: &Network) -> Check {
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

pub(super) fn clock(session: &Session<'_>, network: &Network) -> Check {
    let Ok((_, Some(theirs))) = network.auth.result else {
        return Check::note("clock", "not compared, since the API did not tell the time");
    };
    match clock_off(session.now().duration_since(theirs)) {
        None => Check::ok("clock", "agrees with the API's"),
        Some(off) => Check::new("clock", Outcome::Fail, &format!("{off}, so tokens would be refused"))
            .advice("set the clock of this machine"),
    }
}
