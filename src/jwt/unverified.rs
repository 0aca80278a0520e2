//! A token before its signature is verified.
//!
//! Its claims may be a reason to reject it, never a reason to trust it (RFC 8725 section 3.3). These checks need no keys
//! and no network, so an expired or misplaced token is rejected at once and sent nowhere.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use ring::digest::{SHA256, digest};
use serde_json::Value;
use subtle::ConstantTimeEq;

use super::segments::{ClaimSet, Header, decode};
use super::{Claims, ExpectedAccess, ExpectedId, Jwks, JwtError};

const LONGEST_TOKEN: usize = 16 * 1024;
const LONGEST_KID: usize = 256;
const LONGEST_SUBJECT: usize = 255;
/// The tolerated difference between clocks (RFC 7519 section 4.1.4 allows "no more than a few minutes").
pub(super) const LEEWAY: SignedDuration = SignedDuration::from_secs(60);

/// A well-formed token without a verified signature.
pub struct Unverified<'a> {
    signed: &'a str,
    signature: &'a str,
    header: Header,
    claims: ClaimSet,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// Authorizes a user's calls to the API.
    Access,
    /// Identifies the user; no API accepts it.
    Id,
    /// An Astro API token, which belongs to no user and is not signed with the issuer's keys.
    Api,
}

impl<'a> Unverified<'a> {
    /// Parses the compact serialization (RFC 7515 section 7.1).
    pub fn parse(token: &'a str) -> Result<Self, JwtError> {
        if token.len() > LONGEST_TOKEN {
            return Err(JwtError::TooLong);
        }
        let mut segments = token.split('.');
        let header = decode(segments.next().unwrap_or_default())?;
        let (claims, signature) = match (segments.next(), segments.next(), segments.count()) {
            (Some(claims), Some(signature), 0) => (claims, signature),
            (Some(_), Some(_), 2) => return Err(JwtError::Encrypted),
            _ => return Err(JwtError::NotAJwt),
        };
        if signature.is_empty() || URL_SAFE_NO_PAD.decode(signature).is_err() {
            return Err(JwtError::NotAJwt);
        }
        let signed = &token[..token.len() - signature.len() - 1];
        Ok(Self { signed, signature, header, claims: decode(claims)? })
    }

    /// Returns the kind of token. Only an ID token has a `nonce`, the hash of another token, or its client as the only
    /// audience.
    pub fn kind(&self) -> TokenKind {
        let claims = &self.claims;
        if claims.is_astronomer_generated.value() == Some(&Value::Bool(true)) || claims.api_token_id.is_present() {
            return TokenKind::Api;
        }
        let grants = claims.scope.is_present() || claims.permissions.is_present();
        let bound = [&claims.nonce, &claims.at_hash, &claims.c_hash].iter().any(|member| member.is_present());
        let for_its_client = self.authorized_party().is_some_and(|client| self.audience() == [client]);
        if !grants && !self.is_at_jwt() && (bound || for_its_client) { TokenKind::Id } else { TokenKind::Access }
    }

    pub fn issuer(&self) -> Option<&str> {
        self.claims.iss.text("iss").ok().flatten()
    }

    pub fn subject(&self) -> Option<&str> {
        self.claims.sub.text("sub").ok().flatten()
    }

    pub fn authorized_party(&self) -> Option<&str> {
        self.claims.azp.text("azp").ok().flatten()
    }

    /// The claimed audience; may be empty.
    pub fn audience(&self) -> Vec<&str> {
        self.claims.aud.texts("aud").unwrap_or_default()
    }

    pub fn permissions(&self) -> Vec<&str> {
        self.claims.permissions.texts("permissions").unwrap_or_default()
    }

    /// Rejects an expired token. One without `exp` passes: an API token may have none.
    pub fn check_expiry_if_any(&self, now: Timestamp) -> Result<(), JwtError> {
        if self.claims.exp.is_present() { self.check_expiry(now) } else { Ok(()) }
    }

    pub fn issued_at(&self) -> Option<Timestamp> {
        self.claims.iat.date("iat").ok().flatten()
    }

    pub fn expires_at(&self) -> Option<Timestamp> {
        self.claims.exp.date("exp").ok().flatten()
    }

    /// Checks an access token without keys or configuration: its kind, its header and its expiry.
    pub fn check_offline(&self, now: Timestamp) -> Result<(), JwtError> {
        match self.kind() {
            TokenKind::Access => {}
            TokenKind::Id => return Err(JwtError::IdTokenGiven),
            TokenKind::Api => return Err(JwtError::ApiTokenGiven),
        }
        if !self.is_at_jwt() {
            self.check_type_is_jwt()?;
        }
        self.check_header()?;
        self.check_expiry(now)
    }

    /// Checks the claims of an access token: issuer, audience, times and subject.
    pub fn check_claims(&self, expected: &ExpectedAccess<'_>, now: Timestamp) -> Result<(), JwtError> {
        self.check_issuer(expected.issuer)?;
        let audience = self.audience_claim()?;
        if !audience.contains(&expected.audience) {
            // An ID token must not pass for an access token (RFC 9068 section 4, RFC 8725 section 3.12).
            let is_id_token = audience.contains(&expected.client_id);
            return Err(if is_id_token {
                JwtError::IdTokenGiven
            } else {
                wrong_audience(&audience, expected.audience)
            });
        }
        self.check_not_before(now)?;
        self.subject_claim().map(drop)
    }

    /// Checks an ID token except for its signature (OpenID Connect Core section 3.1.3.7).
    pub(super) fn check_id_token(&self, expected: &ExpectedId<'_>, now: Timestamp) -> Result<(), JwtError> {
        self.check_type_is_jwt()?;
        self.check_header()?;
        self.check_expiry(now)?;
        self.check_issuer(expected.issuer)?;
        self.check_id_audience(expected.client_id)?;
        if self.claims.iat.date("iat")?.is_none() {
            return Err(JwtError::Missing("iat"));
        }
        self.check_not_before(now)?;
        self.subject_claim()?;
        if let Some(sent) = expected.nonce {
            let nonce = self.claims.nonce.text("nonce")?.ok_or(JwtError::Nonce)?;
            same(nonce, sent).then_some(()).ok_or(JwtError::Nonce)?;
        }
        if let Some(hash) = self.claims.at_hash.text("at_hash")? {
            same(hash, &at_hash(expected.access_token.expose())).then_some(()).ok_or(JwtError::AtHash)?;
        }
        self.check_organization(expected.organization)
    }

    pub(super) fn check_signature(&self, keys: &Jwks) -> Result<(), JwtError> {
        let kid = self.header.kid.text("kid")?;
        if kid.is_some_and(|kid| kid.len() > LONGEST_KID) {
            return Err(JwtError::Malformed("kid"));
        }
        let signed_by_any = keys.candidates(kid)?.into_iter().any(|key| key.verifies(self.signed, self.signature));
        signed_by_any.then_some(()).ok_or(JwtError::SignatureInvalid)
    }

    /// Returns the claims. Called after every check has passed.
    pub(super) fn into_claims(self) -> Result<Claims, JwtError> {
        let unverified = self.is_email_unverified();
        Ok(Claims {
            issuer: self.claims.iss.text("iss")?.ok_or(JwtError::Missing("iss"))?.to_owned(),
            subject: self.subject_claim()?.to_owned(),
            expires_at: self.expiry_claim()?,
            issued_at: self.claims.iat.date("iat")?,
            // Nothing depends on the email address, so a malformed one is ignored.
            email: self.claims.email.text("email").ok().flatten().filter(|_| !unverified).map(str::to_owned),
            email_unverified: unverified,
            _verified: (),
        })
    }

    /// Returns `true` if the issuer does not vouch for the email: anyone can enter another user's. Some issuers send
    /// `email_verified` as text (OpenID Connect Core section 5.1).
    fn is_email_unverified(&self) -> bool {
        self.claims.email_verified.value().is_some_and(|it| it != true && it != "true")
    }

    /// Returns whether the header names the type of access tokens (RFC 9068 section 2.1), which Auth0's default ones do not.
    fn is_at_jwt(&self) -> bool {
        let typ = self.header.typ.text("typ").ok().flatten().unwrap_or_default();
        ["at+jwt", "application/at+jwt"].iter().any(|known| known.eq_ignore_ascii_case(typ))
    }

    fn check_type_is_jwt(&self) -> Result<(), JwtError> {
        match self.header.typ.text("typ")? {
            Some(typ) if !typ.eq_ignore_ascii_case("JWT") => Err(JwtError::TypeNotAccepted(typ.to_owned())),
            Some(_) | None => Ok(()),
        }
    }

    /// Checks the header (RFC 7515 section 4.1).
    fn check_header(&self) -> Result<(), JwtError> {
        let algorithm = self.header.alg.text("alg")?.ok_or(JwtError::Missing("alg"))?;
        if algorithm != "RS256" {
            return Err(JwtError::Algorithm(algorithm.to_owned()));
        }
        // No extension is supported, so any `crit` is rejected (section 4.1.11).
        if self.header.crit.is_present() {
            return Err(JwtError::Unsupported("crit"));
        }
        if self.header.b64.value().is_some_and(|b64| b64 != true) {
            return Err(JwtError::Unsupported("b64"));
        }
        if self.header.zip.is_present() {
            return Err(JwtError::Unsupported("zip"));
        }
        Ok(())
    }

    fn expiry_claim(&self) -> Result<Timestamp, JwtError> {
        self.claims.exp.date("exp")?.ok_or(JwtError::Missing("exp"))
    }

    fn check_expiry(&self, now: Timestamp) -> Result<(), JwtError> {
        let at = self.expiry_claim()?;
        if now.duration_since(at) >= LEEWAY { Err(JwtError::Expired { at, now }) } else { Ok(()) }
    }

    fn check_not_before(&self, now: Timestamp) -> Result<(), JwtError> {
        let too_early = |at: &Timestamp| at.duration_since(now) > LEEWAY;
        if let Some(from) = self.claims.nbf.date("nbf")?.filter(too_early) {
            return Err(JwtError::NotYetValid { from, now });
        }
        if let Some(at) = self.claims.iat.date("iat")?.filter(too_early) {
            return Err(JwtError::IssuedInFuture { at, now });
        }
        Ok(())
    }

    /// Compares the issuer character by character, with its trailing slash (RFC 8725 section 3.8).
    fn check_issuer(&self, expected: &str) -> Result<(), JwtError> {
        let found = self.claims.iss.text("iss")?.ok_or(JwtError::Missing("iss"))?;
        if found == expected {
            return Ok(());
        }
        Err(JwtError::WrongIssuer { found: found.to_owned(), expected: expected.to_owned() })
    }

    fn audience_claim(&self) -> Result<Vec<&str>, JwtError> {
        let audience = self.claims.aud.texts("aud")?;
        if audience.is_empty() { Err(JwtError::Missing("aud")) } else { Ok(audience) }
    }

    /// Checks the audience of an ID token (OpenID Connect Core section 3.1.3.7, steps 3 to 5).
    fn check_id_audience(&self, client_id: &str) -> Result<(), JwtError> {
        let audience = self.audience_claim()?;
        if !audience.contains(&client_id) {
            return Err(wrong_audience(&audience, client_id));
        }
        if let Some(other) = audience.iter().find(|other| **other != client_id) {
            return Err(JwtError::UntrustedAudience((*other).to_owned()));
        }
        match self.claims.azp.text("azp")? {
            Some(party) if party != client_id => Err(JwtError::WrongParty(party.to_owned())),
            Some(_) | None => Ok(()),
        }
    }

    /// Rejects a login to another organization than the requested one.
    fn check_organization(&self, requested: Option<&str>) -> Result<(), JwtError> {
        let Some(expected) = requested else { return Ok(()) };
        let found = self.claims.org_id.text("org_id")?;
        if found == Some(expected) {
            return Ok(());
        }
        Err(JwtError::Organization { found: found.map(str::to_owned), expected: expected.to_owned() })
    }

    /// Returns the subject, of at most 255 characters (OpenID Connect Core section 2).
    fn subject_claim(&self) -> Result<&str, JwtError> {
        let subject = self.claims.sub.text("sub")?.ok_or(JwtError::Missing("sub"))?;
        if subject.is_empty() || subject.chars().count() > LONGEST_SUBJECT {
            return Err(JwtError::Malformed("sub"));
        }
        Ok(subject)
    }
}

fn wrong_audience(found: &[&str], expected: &str) -> JwtError {
    JwtError::WrongAudience {
        found: found.iter().map(|one| (*one).to_owned()).collect(),
        expected: expected.to_owned(),
    }
}

/// Compares in constant time.
fn same(left: &str, right: &str) -> bool {
    left.as_bytes().ct_eq(right.as_bytes()).into()
}

/// Returns the left half of the SHA-256 hash, as RS256 requires (OpenID Connect Core section 3.1.3.8).
fn at_hash(access_token: &str) -> String {
    let hash = digest(&SHA256, access_token.as_bytes());
    URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16])
}

#[cfg(test)]
mod tests;
