//! What the browser comes back with: the one parser that both doors use, the listener and the pasted address.
//!
//! `state` is looked at first (RFC 6749 section 10.12). Without ours, an answer is a stranger's, and nothing else in it
//! counts. With ours, it can only be the issuer's answer to this attempt: it ends the wait, and an [`AuthorizationCode`]
//! comes out only if all the rest is right too.

use std::fmt;

use url::form_urlencoded;
use url::{ParseError, Url};
use zeroize::Zeroizing;

use super::authorization::RedirectUri;
use super::issuer::Issuer;
use super::pkce::State;
use crate::text::clean;

/// The longest answer that is read, in bytes; the listener reads no longer request either.
const LIMIT: usize = 16 * 1024;

/// What the answer to this attempt must carry.
#[derive(Debug, Clone)]
pub struct ExpectedResponse {
    /// The state that was sent.
    pub state: State,
    /// The issuer that was asked.
    pub issuer: Issuer,
    /// Whether the issuer always names itself (RFC 9207 section 2.4).
    pub iss_required: bool,
}

/// A code that the issuer gave for this attempt (RFC 6749 section 4.1.2). Only the parser below makes one.
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

/// Why an answer holds no code for us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It does not belong to this login, and the wait goes on.
    Stranger(Stranger),
    /// It does, and the login ends with it.
    Ended(CallbackError),
}

/// How an answer shows that it is not for this login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Stranger {
    /// Pasted text that is neither the redirect URI with a query nor such a query.
    #[error("this is not the address that the login ends on")]
    NotTheRedirectUri,
    /// Nothing says which login it answers.
    #[error("this address does not say which login it belongs to")]
    NoState,
    /// It says so more than once (RFC 6749 section 3.1).
    #[error("this address says more than once which login it belongs to")]
    RepeatedState,
    /// It answers another login.
    #[error("this address belongs to another login")]
    OtherState,
}

/// Why the login ended with the browser's answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallbackError {
    /// The issuer said no.
    #[error(transparent)]
    Refused(#[from] ErrorResponse),
    /// A parameter came more than once (RFC 6749 section 3.1).
    #[error("the answer from the browser holds `{0}` more than once")]
    Repeated(&'static str),
    /// The answer names another issuer, safe to print here (RFC 9207 section 2.4).
    #[error("the answer from the browser comes from the issuer `{0}`, which was not asked")]
    OtherIssuer(String),
    /// The issuer always names itself, and this answer does not (RFC 9207 section 2.4).
    #[error("the answer from the browser does not name its issuer")]
    NoIssuer,
    /// Yes and no at once.
    #[error("the answer from the browser holds both a code and an error")]
    CodeAndError,
    /// Neither yes nor no, or an empty one, or a code of characters that no code has.
    #[error("the answer from the browser holds neither a code nor an error")]
    NeitherCodeNorError,
}

/// The issuer's refusal, as the browser carried it (RFC 6749 section 4.1.2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorResponse {
    /// The error code, such as `access_denied`; safe to print.
    pub code: String,
    /// The issuer's own words, safe to print.
    pub description: Option<String>,
}

impl fmt::Display for ErrorResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the issuer refused with `{}`", self.code)?;
        self.description.as_ref().map_or(Ok(()), |description| write!(f, ": {description}"))
    }
}

impl std::error::Error for ErrorResponse {}

/// A parameter of an answer. Counted after decoding, so `%73tate` is `state` too.
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

    /// The value of a parameter that this login is answered with, where it is there.
    fn at_most_once(query: &str, name: &'static str) -> Result<Option<Zeroizing<String>>, CallbackError> {
        match Self::find(query, name) {
            Self::Absent => Ok(None),
            Self::Once(value) => Ok(Some(value)),
            Self::Repeated => Err(CallbackError::Repeated(name)),
        }
    }
}

/// Judges the query of a callback.
pub(super) fn parse(query: &str, expected: &ExpectedResponse) -> Result<AuthorizationCode, Verdict> {
    match Parameter::find(query, "state") {
        Parameter::Absent => Err(Verdict::Stranger(Stranger::NoState)),
        Parameter::Repeated => Err(Verdict::Stranger(Stranger::RepeatedState)),
        Parameter::Once(state) if !expected.state.matches(&state) => Err(Verdict::Stranger(Stranger::OtherState)),
        Parameter::Once(_) => answer(query, expected).map_err(Verdict::Ended),
    }
}

/// Judges the rest of a callback whose state is ours.
fn answer(query: &str, expected: &ExpectedResponse) -> Result<AuthorizationCode, CallbackError> {
    let code = Parameter::at_most_once(query, "code")?;
    let error = Parameter::at_most_once(query, "error")?;
    let description = Parameter::at_most_once(query, "error_description")?;
    // The issuer is checked before an error is believed as well (RFC 9207 section 2.4).
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

/// A code is visible ASCII (RFC 6749 appendix A.11).
fn is_code(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Judges what a person pasted: the whole address that the browser ended on, or its query alone.
pub fn parse_pasted(
    text: &str,
    redirect_uri: &RedirectUri,
    expected: &ExpectedResponse,
) -> Result<AuthorizationCode, Verdict> {
    let text = text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>'));
    let query = pasted_query(text, redirect_uri).ok_or(Verdict::Stranger(Stranger::NotTheRedirectUri))?;
    parse(&query, expected)
}

fn pasted_query(text: &str, redirect_uri: &RedirectUri) -> Option<Zeroizing<String>> {
    if text.len() > LIMIT {
        return None;
    }
    let query = text.strip_prefix('?').unwrap_or(text);
    if query.split_once('=').is_some_and(|(name, _)| name.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_')) {
        return Some(Zeroizing::new(query.to_owned()));
    }
    // Some browsers leave `http://` out of what they show.
    let mut url = match Url::parse(text) {
        Ok(url) if url.has_host() => url,
        Ok(_) | Err(ParseError::RelativeUrlWithoutBase) => Url::parse(&format!("http://{text}")).ok()?,
        Err(_) => return None,
    };
    let query = Zeroizing::new(url.query()?.to_owned());
    url.set_query(None);
    url.set_fragment(None);
    (url.as_str() == redirect_uri.as_str()).then_some(query)
}

#[cfg(test)]
mod tests;
