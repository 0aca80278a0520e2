//! JSON Web Tokens: verification of an issuer's access and ID tokens.
//!
//! A token passes through three states: text; [`Unverified`], which is well-formed and only good for rejecting it; and
//! [`Claims`], which only [`verify_access_token`] and [`verify_id_token`] return. Both apply RFC 7519 and RFC 8725: one
//! algorithm, chosen by this program; one issuer and its published [`Jwks`]; no duplicate claims; at most 16 KiB; clocks
//! at most 60 seconds apart. `jsonwebtoken` verifies the signature; the claims are checked here, against the caller's
//! clock.
//!
//! The rules for the two kinds exclude each other (RFC 8725 section 3.12): an access token must name the API in its
//! audience, an ID token only the client.

pub mod crypto;
mod error;
mod keys;
mod segments;
#[cfg(test)]
mod tests;
mod unverified;

use jiff::Timestamp;

use crate::token::{AccessToken, IdToken};

pub use error::{JwtError, issuer_domain};
pub use keys::{Jwks, JwksError};
pub use unverified::{TokenKind, Unverified};

/// The expected claims of an access token.
#[derive(Debug, Clone, Copy)]
pub struct ExpectedAccess<'a> {
    /// The issuer in the form of the login configuration, with its trailing slash.
    pub issuer: &'a str,
    /// The API, which must be in the audience.
    pub audience: &'a str,
    /// The client ID; as an audience, it reveals an ID token.
    pub client_id: &'a str,
}

/// The expected claims of an ID token.
#[derive(Debug, Clone, Copy)]
pub struct ExpectedId<'a> {
    /// The issuer in the form of the login configuration, with its trailing slash.
    pub issuer: &'a str,
    /// The client ID, which must be the only audience.
    pub client_id: &'a str,
    /// The `nonce` of the authorization request; `None` after a refresh.
    pub nonce: Option<&'a str>,
    /// The `organization` of the authorization request, if it had one.
    pub organization: Option<&'a str>,
    /// The access token in the same response.
    pub access_token: &'a AccessToken,
}

/// The claims of a verified token. Text of the issuer: clean it before printing it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::manual_non_exhaustive, reason = "the attribute would let the rest of this crate construct claims")]
pub struct Claims {
    /// `iss`: the issuer.
    pub issuer: String,
    /// `sub`: the user, whom only the issuer and the subject together identify.
    pub subject: String,
    /// `exp`: the expiry.
    pub expires_at: Timestamp,
    /// `iat`: the time of issue, which every ID token has.
    pub issued_at: Option<Timestamp>,
    /// `email`, if the issuer vouches for it: for display and for guessing an organization. It identifies no one.
    pub email: Option<String>,
    /// Whether the token has an email that the issuer does not vouch for, which then counts as none.
    pub email_unverified: bool,
    /// Keeps other modules from constructing a value.
    _verified: (),
}

/// Verifies an access token: kind and header, expiry, issuer, audience, times, then the signature.
pub fn verify_access_token(
    token: &AccessToken,
    keys: &Jwks,
    expected: &ExpectedAccess<'_>,
    now: Timestamp,
) -> Result<Claims, JwtError> {
    let unverified = Unverified::parse(token.expose())?;
    unverified.check_offline(now)?;
    unverified.check_claims(expected, now)?;
    unverified.check_signature(keys)?;
    unverified.into_claims()
}

/// Verifies an ID token (OpenID Connect Core section 3.1.3.7): its claims, then the signature.
pub fn verify_id_token(
    token: &IdToken,
    keys: &Jwks,
    expected: &ExpectedId<'_>,
    now: Timestamp,
) -> Result<Claims, JwtError> {
    let unverified = Unverified::parse(token.expose())?;
    unverified.check_id_token(expected, now)?;
    unverified.check_signature(keys)?;
    unverified.into_claims()
}
