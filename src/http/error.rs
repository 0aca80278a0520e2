//! The errors of requests.

use std::error::Error as StdError;
use std::time::Duration;

use crate::text::{after_colon, clean};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("could not {step}: {host}: {fault}")]
pub struct HttpError {
    pub step: &'static str,
    pub host: String,
    pub fault: Fault,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("the URL is not https")]
    NotHttps,
    #[error("could not set up TLS: {0}")]
    Setup(String),
    #[error("could not resolve the host name")]
    Dns,
    #[error("could not connect: {0}")]
    Connect(String),
    #[error("{variable} is not the URL of a proxy")]
    ProxyInvalid { variable: &'static str },
    #[error("the proxy {proxy} of {variable} is a SOCKS proxy, which is not supported")]
    SocksProxy { variable: &'static str, proxy: String },
    #[error("the proxy {proxy} {reason}")]
    Proxy { proxy: String, reason: ProxyFault },
    /// By its dates or this machine's clock.
    #[error("certificate rejected: {0}")]
    CertificateTime(&'static str),
    #[error("certificate rejected: {0}")]
    Certificate(String),
    #[error("no response within {} seconds", .0.as_secs_f32())]
    Timeout(Duration),
    #[error("the connection was closed during the response")]
    Interrupted,
    #[error("the response is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("unexpected redirect{}", .to.as_ref().map(|host| format!(" to {host}")).unwrap_or_default())]
    Redirect { to: Option<String> },
    #[error("HTTP status {status}{}", after_colon(.message.as_deref()))]
    Status { status: u16, message: Option<String>, retry_after: Option<Duration> },
    #[error("invalid response")]
    InvalidBody,
}

/// The fault of a proxy; completes the sentence "the proxy … …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProxyFault {
    #[error("has a name that could not be resolved")]
    Dns,
    #[error("could not be reached: {0}")]
    Connect(String),
    #[error("refused the connection: HTTP status {0}")]
    Refused(u16),
    #[error("closed the connection")]
    HungUp,
    /// From the proxy itself or from the host behind it.
    #[error("passed on no response within {} seconds", .0.as_secs_f32())]
    Silent(Duration),
}

impl HttpError {
    pub fn status(&self) -> Option<u16> {
        match self.fault {
            Fault::Status { status, .. } => Some(status),
            _ => None,
        }
    }
}

#[derive(Clone)]
pub(super) struct Origin {
    pub(super) step: &'static str,
    pub(super) host: String,
}

impl Origin {
    pub(super) fn fault(&self, fault: Fault) -> HttpError {
        HttpError { step: self.step, host: self.host.clone(), fault }
    }
}

/// Finds the fault in an error of reqwest. The time limits are those for connecting and for the whole request.
pub(super) fn classify(error: &reqwest::Error, (connect, whole): (Duration, Duration)) -> Fault {
    if let Some(tls) = cause::<rustls::Error>(error) {
        return match tls {
            rustls::Error::InvalidCertificate(reason) => certificate_fault(reason),
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
        return Fault::Connect(innermost_cause(error));
    }
    if error.is_builder() {
        return Fault::Setup(innermost_cause(error));
    }
    Fault::Interrupted
}

fn certificate_fault(reason: &rustls::CertificateError) -> Fault {
    use rustls::CertificateError as Reason;
    Fault::Certificate(match reason {
        Reason::Expired | Reason::ExpiredContext { .. } => return Fault::CertificateTime("expired"),
        Reason::NotValidYet | Reason::NotValidYetContext { .. } => return Fault::CertificateTime("not valid yet"),
        Reason::UnknownIssuer => "signed by an unknown authority".to_owned(),
        Reason::NotValidForName | Reason::NotValidForNameContext { .. } => "issued for another host name".to_owned(),
        Reason::BadSignature => "invalid signature".to_owned(),
        Reason::Revoked => "revoked".to_owned(),
        Reason::InvalidPurpose | Reason::InvalidPurposeContext { .. } => "issued for another purpose".to_owned(),
        other => clean(&format!("{other}"), 200),
    })
}

/// Returns the message of the innermost error. The outer errors of reqwest only repeat the URL.
pub(super) fn innermost_cause(error: &(dyn StdError + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    clean(&innermost.to_string(), 200)
}

/// Finds the first error of type `T` in the chain. The `source` of an `io::Error` skips the error that it wraps.
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
