//! Retries of the requests that a refresh makes.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::error::Error;
use crate::http::{Fault, HttpError, ProxyFault};
use crate::oauth::{IssuerError, Random, TokenEndpointError};

const ATTEMPTS: u32 = 3;
/// The delay before the second attempt; each further delay is twice as long.
const FIRST_DELAY: Duration = Duration::from_millis(400);
/// The longest delay that a server may ask for.
const LONGEST_DELAY: Duration = Duration::from_secs(10);

/// Makes an attempt, and retries it after a transient failure if a repetition does no harm and is done at `until`.
pub(super) async fn with_retries<T>(
    random: &dyn Random,
    until: Option<Instant>,
    attempt: impl AsyncFn() -> Result<T, Error>,
) -> Result<T, Error> {
    let mut repeated = false;
    let mut attempts = 1;
    let mut outcome = attempt().await;
    loop {
        let failure = match outcome {
            Ok(outcome) => return Ok(outcome),
            Err(failure) => failure,
        };
        let Some(delay) = retry_delay(&failure, attempts, &mut repeated) else { return Err(failure) };
        attempts += 1;
        let delay = delay + jitter(random, delay)?;
        tracing::info!(%failure, ?delay, "retrying");
        let again = async {
            tokio::time::sleep(delay).await;
            attempt().await
        };
        outcome = match until {
            Some(until) => timeout_at(until, again).await.unwrap_or(Err(failure)),
            None => again.await,
        };
    }
}

/// Returns up to half of `delay`, so that many machines don't retry at the same moment.
fn jitter(random: &dyn Random, delay: Duration) -> Result<Duration, Error> {
    let mut byte = [0];
    random.fill(&mut byte)?;
    Ok(delay * u32::from(byte[0]) / 512)
}

/// Returns the delay before the next attempt, or `None` if there must not be one.
///
/// A request that the server may have processed is repeated once, and soon. If it spent the refresh token, the new one was
/// lost with the response, and the old one is accepted again only within the short reuse interval that some issuers allow.
/// Without a reuse interval the repetition loses nothing that was not lost already.
fn retry_delay(failure: &Error, attempts: u32, repeated: &mut bool) -> Option<Duration> {
    let (may_be_processed, retry_after) = match failure {
        Error::Token(TokenEndpointError::Refused(refused)) if refused.may_pass() => {
            (refused.status >= 500, refused.retry_after)
        }
        Error::Issuer(IssuerError::Http(HttpError { fault, .. }))
        | Error::Token(TokenEndpointError::Http(HttpError { fault, .. })) => match fault {
            Fault::Dns
            | Fault::Connect(_)
            | Fault::Proxy {
                reason: ProxyFault::Dns | ProxyFault::Connect(_) | ProxyFault::HungUp | ProxyFault::Refused(500..),
                ..
            } => (false, None),
            Fault::Timeout(_) | Fault::Interrupted | Fault::Proxy { reason: ProxyFault::Silent(_), .. } => (true, None),
            Fault::Status { status: 429, retry_after, .. } => (false, *retry_after),
            Fault::Status { status: 500..=599, retry_after, .. } => (true, *retry_after),
            Fault::NotHttps
            | Fault::ProxyInvalid { .. }
            | Fault::SocksProxy { .. }
            | Fault::Proxy { .. }
            | Fault::Setup(_)
            | Fault::CertificateTime(_)
            | Fault::Certificate(_)
            | Fault::TooLarge { .. }
            | Fault::Redirect { .. }
            | Fault::Status { .. }
            | Fault::InvalidBody => return None,
        },
        _ => return None,
    };
    if attempts >= ATTEMPTS || (may_be_processed && std::mem::replace(repeated, true)) {
        return None;
    }
    Some(retry_after.unwrap_or(FIRST_DELAY * 2_u32.pow(attempts - 1))).filter(|delay| *delay <= LONGEST_DELAY)
}
