//! An answer to a browser: the page with its status, and the headers that keep what is in the address from spreading.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Response, StatusCode, header};

use crate::oauth::page::{self, Outcome};

/// A status and a page.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) status: StatusCode,
    pub(super) html: String,
}

impl Page {
    /// What this outcome looks like.
    pub(super) fn of(outcome: &Outcome<'_>) -> Self {
        let status = match outcome {
            Outcome::Confirmed { .. } => StatusCode::OK,
            Outcome::Failed { .. } | Outcome::Refused { .. } => StatusCode::BAD_REQUEST,
        };
        Self { status, html: page::render(outcome) }
    }

    /// A request that this login has no use for.
    pub(super) fn refused(status: StatusCode, detail: &str) -> Self {
        Self { status, html: page::render(&Outcome::Refused { detail }) }
    }
}

impl From<Page> for Response<Full<Bytes>> {
    /// Adds what keeps the code in the address from spreading: no referrer, no cache, no frame, nothing loaded.
    fn from(page: Page) -> Self {
        let mut response = Response::new(Full::new(Bytes::from(page.html)));
        *response.status_mut() = page.status;
        let headers = [
            ("content-type", "text/html; charset=utf-8"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            ("content-security-policy", page::CONTENT_SECURITY_POLICY),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ];
        for (name, value) in headers {
            response.headers_mut().insert(name, header::HeaderValue::from_static(value));
        }
        response
    }
}
