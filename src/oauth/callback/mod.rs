//! The parser of callbacks, for the listener and for pasted URLs.
//!
//! `state` is checked first (RFC 6749 section 10.12). A callback without our `state` is unrelated, and the wait goes on.
//! One with our `state` is the issuer's response to this attempt: it ends the wait, and becomes an [`AuthorizationCode`]
//! only if everything else is valid.

mod pasted;

use std::fmt;

use url::form_urlencoded;
use zeroize::Zeroizing;

use super::issuer::Issuer;
use super::pkce::State;
use crate::text::{after_colon, clean};

pub use pasted::{PastedLines, joined, parse_pasted};

#[derive(Debug, Clone)]
pub struct ExpectedResponse {
    pub state: State,
    pub issuer: Issuer,
    /// Whether `iss` is required (RFC 9207 section 2.4).
    pub iss_required: bool,
}

/// An authorization code for this attempt (RFC 6749 section 4.1.2). Only the parser below creates one.
pub struct AuthorizationCode(Zeroizing<String>);

impl AuthorizationCode {
    pub(super) fn expose(&self) -> &str {
        &self.0
    }

    #[cfg(test)]
    pub(super) fn for_test(code: &str) -> Self {
        Self(Zeroizing::new(code.to_owned()))
    }
}

impl fmt::Debug for AuthorizationCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthorizationCode(redacted)")
    }
}

/// A callback without a code for this login.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The callback does not belong to this login, and the wait goes on.
    #[error(transparent)]
    Unrelated(Unrelated),
    /// The callback ends this login.
    #[error(transparent)]
    Final(CallbackError),
}

/// The reason why a callback does not belong to this login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unrelated {
    /// Pasted text that is neither the redirect URI with a query nor its query.
    #[error("this is not the callback URL")]
    NotTheRedirectUri,
    #[error("this URL is incomplete (no `state`)")]
    NoState,
    /// `state` is repeated (RFC 6749 section 3.1).
    #[error("this URL has more than one `state`")]
    RepeatedState,
    #[error("this URL is from a different login attempt")]
    OtherState,
}

/// A callback that ends the login without a code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallbackError {
    #[error(transparent)]
    Refused(#[from] ErrorResponse),
    /// A parameter is repeated (RFC 6749 section 3.1).
    #[error("the browser's response has more than one `{0}`")]
    Repeated(&'static str),
    /// `iss` names another issuer, safe to print here (RFC 9207 section 2.4).
    #[error("the browser's response is from the unexpected issuer `{0}`")]
    OtherIssuer(String),
    /// The required `iss` is missing (RFC 9207 section 2.4).
    #[error("the browser's response does not name its issuer")]
    NoIssuer,
    #[error("the browser's response has both a code and an error")]
    CodeAndError,
    /// Neither `code` nor `error`, an empty one, or a code with invalid characters.
    #[error("the browser's response has neither a code nor an error")]
    NeitherCodeNorError,
}

/// The issuer's error response (RFC 6749 section 4.1.2.1).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("login {}{} ({code})", if .code == "access_denied" { "denied" } else { "failed" }, after_colon(.description.as_deref()))]
pub struct ErrorResponse {
    /// The error code, such as `access_denied`; safe to print.
    pub code: String,
    /// The issuer's description, safe to print.
    pub description: Option<String>,
}

/// A parameter of a callback. Compared after decoding, so `%73tate` is `state` too.
enum Parameter {
    Absent,
    Once(Zeroizing<String>),
    Repeated,
}

impl Parameter {
    fn find(query: &str, name: &str) -> Self {
        let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(found, _)| found == name);
        match (values.next(), values.next()) {
            (None, _) => Self::Absent,
            (Some((_, value)), None) => Self::Once(Zeroizing::new(value.into_owned())),
            (Some(_), Some(_)) => Self::Repeated,
        }
    }

    /// Returns the value of a parameter, and rejects a repeated one.
    fn at_most_once(query: &str, name: &'static str) -> Result<Option<Zeroizing<String>>, CallbackError> {
        match Self::find(query, name) {
            Self::Absent => Ok(None),
            Self::Once(value) => Ok(Some(value)),
            Self::Repeated => Err(CallbackError::Repeated(name)),
        }
    }
}

/// Parses the query of a callback.
pub(super) fn parse(query: &str, expected: &ExpectedResponse) -> Result<AuthorizationCode, Rejection> {
    match Parameter::find(query, "state") {
        Parameter::Absent => Err(Rejection::Unrelated(Unrelated::NoState)),
        Parameter::Repeated => Err(Rejection::Unrelated(Unrelated::RepeatedState)),
        Parameter::Once(state) if !expected.state.matches(&state) => Err(Rejection::Unrelated(Unrelated::OtherState)),
        Parameter::Once(_) => parse_response(query, expected).map_err(Rejection::Final),
    }
}

/// Parses the rest of a callback with our `state`.
fn parse_response(query: &str, expected: &ExpectedResponse) -> Result<AuthorizationCode, CallbackError> {
    let code = Parameter::at_most_once(query, "code")?;
    let error = Parameter::at_most_once(query, "error")?;
    let description = Parameter::at_most_once(query, "error_description")?;
    // The issuer is checked before an error response, too (RFC 9207 section 2.4).
    match Parameter::at_most_once(query, "iss")? {
        Some(iss) if *iss != expected.issuer.as_str() => return Err(CallbackError::OtherIssuer(clean(&iss, 100))),
        None if expected.iss_required => return Err(CallbackError::NoIssuer),
        Some(_) | None => {}
    }
    match (code, error) {
        (Some(_), Some(_)) => Err(CallbackError::CodeAndError),
        (Some(code), None) if is_code(&code) => Ok(AuthorizationCode(code)),
        (None, Some(error)) if !error.is_empty() => Err(CallbackError::Refused(ErrorResponse {
            code: clean(&error, 60),
            description: description.map(|text| clean(&text, 200)).filter(|text| !text.is_empty()),
        })),
        (Some(_), None) | (None, Some(_) | None) => Err(CallbackError::NeitherCodeNorError),
    }
}

/// Accepts visible ASCII (RFC 6749 appendix A.11).
fn is_code(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

#[cfg(test)]
mod tests;
