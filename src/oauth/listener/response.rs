//! The response to a browser: a page with its status and security headers.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Response, StatusCode, header};

use crate::oauth::page::{self, Outcome};

#[derive(Debug)]
pub(super) struct HtmlResponse {
    pub(super) status: StatusCode,
    pub(super) html: String,
}

impl HtmlResponse {
    pub(super) fn of(outcome: &Outcome<'_>) -> Self {
        let status = match outcome {
            Outcome::Confirmed { .. } | Outcome::Repeated => StatusCode::OK,
            Outcome::Failed { .. } | Outcome::Refused { .. } => StatusCode::BAD_REQUEST,
        };
        Self { status, html: page::render(outcome) }
    }

    pub(super) fn refused(status: StatusCode, detail: &str) -> Self {
        Self { status, html: page::render(&Outcome::Refused { detail }) }
    }
}

impl From<HtmlResponse> for Response<Full<Bytes>> {
    /// Adds headers that keep the code in the URL from leaking: no referrer, no cache, no frame, no resources.
    fn from(response: HtmlResponse) -> Self {
        let HtmlResponse { status, html } = response;
        let mut response = Response::new(Full::new(Bytes::from(html)));
        *response.status_mut() = status;
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
