//! JSON Web Tokens: what may be believed of the tokens that an issuer hands out.
//!
//! A token passes through three states. It is text; it is [`Unverified`], of the right shape and good for refusing
//! only; and it is [`Claims`], which come out of [`verify_access_token`] and [`verify_id_token`] and out of nothing
//! else. Both hold the token to RFC 7519 and RFC 8725: one algorithm, chosen here and not by the token; one issuer and
//! its published [`Jwks`]; no name twice; no more than 16 KiB; clocks at most 60 seconds apart. `jsonwebtoken` checks
//! the signature, and that alone; the claims are checked here, against a clock that the caller brings.
//!
//! The rules for the two kinds exclude each other (RFC 8725 section 3.12): an access token has to name the API in its
//! audience, an ID token nobody but the client.

mod error;
mod keys;
mod members;
pub mod provider;
#[cfg(test)]
mod tests;
mod unverified;

use jiff::Timestamp;

use crate::token::{AccessToken, IdToken};

pub use error::{JwtError, issuer_domain};
pub use keys::{Jwks, JwksError};
pub use unverified::{TokenKind, Unverified};

/// What an access token has to say.
#[derive(Debug, Clone, Copy)]
pub struct ExpectedAccess<'a> {
    /// The issuer, as the login configuration writes it, slash included.
    pub issuer: &'a str,
    /// The API that the token has to be for.
    pub audience: &'a str,
    /// Our own name with the issuer, which as an audience gives an ID token away.
    pub client_id: &'a str,
}

/// What an ID token has to say.
#[derive(Debug, Clone, Copy)]
pub struct ExpectedId<'a> {
    /// The issuer, as the login configuration writes it, slash included.
    pub issuer: &'a str,
    /// Our own name with the issuer: the only audience.
    pub client_id: &'a str,
    /// The `nonce` of the authorization request; none after a refresh, which has no such request.
    pub nonce: Option<&'a str>,
    /// The `organization` of the authorization request, where it had one.
    pub organization: Option<&'a str>,
    /// The access token that came in the same answer.
    pub access_token: &'a AccessToken,
}

/// What a token says whose signature and claims were found good. Its text is the issuer's, not ours: clean it before
/// printing it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::manual_non_exhaustive, reason = "the attribute would let the rest of this crate make claims up")]
pub struct Claims {
    /// `iss`: who says all this.
    pub issuer: String,
    /// `sub`: the person, in the issuer's terms. Only together with the issuer does it identify anyone.
    pub subject: String,
    /// `exp`: the end of the token's validity.
    pub expires_at: Timestamp,
    /// `iat`: when the token was made. An ID token always says so.
    pub issued_at: Option<Timestamp>,
    /// `email`: for display, and for guessing at an organization. It identifies nobody.
    pub email: Option<String>,
    /// `org_id`: the organization of the login, in the issuer's terms, which are not the Astro API's.
    pub organization: Option<String>,
    /// `azp`: the client that the token was given to.
    pub authorized_party: Option<String>,
    /// Keeps everyone else from making a value of this type.
    _verified: (),
}

/// Checks an access token: kind and form, expiry, then issuer, audience and times, then the signature.
pub fn verify_access_token(
    token: &AccessToken,
    keys: &Jwks,
    expected: &ExpectedAccess<'_>,
    now: Timestamp,
) -> Result<Claims, JwtError> {
    let unverified = Unverified::parse(token.expose())?;
    unverified.check_alone(now)?;
    unverified.check_claims(expected, now)?;
    unverified.check_signature(keys)?;
    unverified.into_claims()
}

/// Checks an ID token (OpenID Connect Core section 3.1.3.7): everything that it says, then the signature.
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
