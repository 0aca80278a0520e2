//! A URL that is pasted into the terminal, whole or line by line.

use url::{ParseError, Url};
use zeroize::Zeroizing;

use super::{AuthorizationCode, CallbackError, ExpectedResponse, Rejection, Unrelated, parse};
use crate::domain::is_loopback;
use crate::oauth::authorization::{CALLBACK_PATH, RedirectUri};
use crate::text::{is_invisible, parse_url};

/// The longest pasted text, in bytes; the same as the listener's limit for a request.
pub(super) const LIMIT: usize = 16 * 1024;

/// The lines that were pasted so far. A long URL that was copied from a terminal or a mail may arrive in several.
#[derive(Default)]
pub struct PastedLines {
    unfinished: Zeroizing<String>,
}

impl PastedLines {
    /// Parses a line by itself, and if that is no response, as the continuation of the lines before it.
    pub fn parse(
        &mut self,
        line: &str,
        redirect_uri: &RedirectUri,
        expected: &ExpectedResponse,
    ) -> Result<AuthorizationCode, Rejection> {
        let alone = parse_pasted(line, redirect_uri, expected);
        if is_response(&alone) {
            return alone;
        }
        let starts = line.trim_start().starts_with("http") || line.contains(CALLBACK_PATH);
        if starts || self.unfinished.len() + line.len() > LIMIT {
            self.unfinished.clear();
        }
        let joined = joined(&self.unfinished, line);
        let together = parse_pasted(&joined, redirect_uri, expected);
        self.unfinished = joined;
        if is_response(&together) { together } else { alone }
    }
}

/// Returns `true` for the issuer's response to this attempt, which ends the wait. A paste with any other fault is pasted
/// again.
fn is_response(verdict: &Result<AuthorizationCode, Rejection>) -> bool {
    matches!(verdict, Ok(_) | Err(Rejection::Final(CallbackError::Refused(_))))
}

/// Joins two texts in one allocation, so that no copy of a code stays in memory.
pub fn joined(start: &str, end: &str) -> Zeroizing<String> {
    let mut joined = Zeroizing::new(String::with_capacity(start.len() + end.len()));
    joined.push_str(start);
    joined.push_str(end);
    joined
}

/// Parses pasted text: the whole callback URL or its query alone. White space comes from a terminal or a mail that wrapped
/// the URL: no URL contains any.
pub fn parse_pasted(
    text: &str,
    redirect_uri: &RedirectUri,
    expected: &ExpectedResponse,
) -> Result<AuthorizationCode, Rejection> {
    let mut kept = Zeroizing::new(String::with_capacity(text.len()));
    kept.extend(text.chars().filter(|c| !c.is_whitespace() && !is_invisible(*c)));
    let text = kept.trim_matches(['"', '\'', '`', '<', '>']);
    let query = pasted_query(text, redirect_uri).ok_or(Rejection::Unrelated(Unrelated::NotTheRedirectUri))?;
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
    // Some browsers hide `http://`.
    let url = match parse_url(text) {
        Ok(url) if url.has_host() => url,
        Ok(_) | Err(ParseError::RelativeUrlWithoutBase) => parse_url(&format!("http://{text}")).ok()?,
        Err(_) => return None,
    };
    let query = Zeroizing::new(url.query()?.to_owned());
    leads_here(&url, redirect_uri).then_some(query)
}

/// Returns `true` for the redirect URI under any name of this machine. A browser may have changed `http` to `https`, and a
/// forwarded port may be reached by address; `state` decides.
fn leads_here(url: &Url, redirect_uri: &RedirectUri) -> bool {
    matches!(url.scheme(), "http" | "https")
        && url.host_str().is_some_and(is_loopback)
        && url.port_or_known_default() == Some(redirect_uri.port())
        && url.path() == CALLBACK_PATH
        && url.username().is_empty()
        && url.password().is_none()
}
