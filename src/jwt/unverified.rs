//! A token before its signature is checked.
//!
//! What it says may be a reason to refuse it, never a reason to believe anything (RFC 8725 section 3.3). The checks here
//! need neither keys nor network, so an expired or misplaced token is told at once and is sent nowhere.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use ring::digest::{SHA256, digest};
use serde_json::Value;
use subtle::ConstantTimeEq;

use super::members::Members;
use super::{Claims, ExpectedAccess, ExpectedId, Jwks, JwtError};

const LONGEST_TOKEN: usize = 16 * 1024;
const LONGEST_KID: usize = 256;
const LONGEST_SUBJECT: usize = 255;
/// By how much clocks may differ (RFC 7519 section 4.1.4 speaks of "no more than a few minutes").
const LEEWAY: SignedDuration = SignedDuration::from_secs(60);

/// A token that has the shape of one. Nothing in it is believed.
pub struct Unverified<'a> {
    signed: &'a str,
    signature: &'a str,
    header: Members,
    claims: Members,
}

/// What a token seems to be, by its claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// For calling the API in the name of a person.
    Access,
    /// Says who signed in; no API takes it.
    Id,
    /// An Astro API token, which belongs to no person and is not signed with the issuer's keys.
    Api,
}

impl<'a> Unverified<'a> {
    /// Takes the compact serialization apart (RFC 7515 section 7.1).
    pub fn parse(token: &'a str) -> Result<Self, JwtError> {
        if token.len() > LONGEST_TOKEN {
            return Err(JwtError::TooLong);
        }
        let mut segments = token.split('.');
        let header = Members::decode(segments.next().unwrap_or_default())?;
        let (claims, signature) = match (segments.next(), segments.next(), segments.count()) {
            (Some(claims), Some(signature), 0) => (claims, signature),
            (Some(_), Some(_), 2) => return Err(JwtError::Encrypted),
            _ => return Err(JwtError::NotAJwt),
        };
        if signature.is_empty() || URL_SAFE_NO_PAD.decode(signature).is_err() {
            return Err(JwtError::NotAJwt);
        }
        let signed = &token[..token.len() - signature.len() - 1];
        Ok(Self { signed, signature, header, claims: Members::decode(claims)? })
    }

    /// What the token seems to be. An ID token is told by what only such a token holds: the echo of a `nonce`, the hash
    /// of another token, or an audience that is nobody but the client itself.
    pub fn kind(&self) -> TokenKind {
        if self.claims.get("isAstronomerGenerated") == Some(&Value::Bool(true)) || self.claims.has("apiTokenId") {
            return TokenKind::Api;
        }
        let grants = self.claims.has("scope") || self.claims.has("permissions");
        let bound = ["nonce", "at_hash", "c_hash"].iter().any(|name| self.claims.has(name));
        let for_its_client = self.authorized_party().is_some_and(|client| self.audience() == [client]);
        if !grants && !self.is_at_jwt() && (bound || for_its_client) { TokenKind::Id } else { TokenKind::Access }
    }

    /// Who claims to have issued it, where it says so.
    pub fn issuer(&self) -> Option<&str> {
        self.claims.text("iss").ok().flatten()
    }

    /// Whom it claims to be about.
    pub fn subject(&self) -> Option<&str> {
        self.claims.text("sub").ok().flatten()
    }

    /// The client that claims to have asked for it.
    pub fn authorized_party(&self) -> Option<&str> {
        self.claims.text("azp").ok().flatten()
    }

    /// Whom it claims to be for; empty where it does not say.
    pub fn audience(&self) -> Vec<&str> {
        self.claims.texts("aud").unwrap_or_default()
    }

    /// What it claims to permit, as an Astro API token does.
    pub fn permissions(&self) -> Vec<&str> {
        self.claims.texts("permissions").unwrap_or_default()
    }

    /// Whether it is over, where it has an end: an API token may have none.
    pub fn check_end(&self, now: Timestamp) -> Result<(), JwtError> {
        if self.claims.has("exp") { self.check_expiry(now) } else { Ok(()) }
    }

    /// When it claims to have been issued.
    pub fn issued_at(&self) -> Option<Timestamp> {
        self.claims.date("iat").ok().flatten()
    }

    /// When it claims to expire.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.claims.date("exp").ok().flatten()
    }

    /// All that can be said of an access token by itself: it is of the right kind, of the right form, and not expired.
    pub fn check_alone(&self, now: Timestamp) -> Result<(), JwtError> {
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

    /// Whether an access token claims to be what was asked for, and to be from the past.
    pub fn check_claims(&self, expected: &ExpectedAccess<'_>, now: Timestamp) -> Result<(), JwtError> {
        self.check_issuer(expected.issuer)?;
        let audience = self.required_audience()?;
        if !audience.contains(&expected.audience) {
            // RFC 9068 section 4 and RFC 8725 section 3.12: the one kind must not pass for the other.
            let is_id_token = audience.contains(&expected.client_id);
            return Err(if is_id_token {
                JwtError::IdTokenGiven
            } else {
                wrong_audience(&audience, expected.audience)
            });
        }
        self.check_beginning(now)?;
        self.required_subject().map(drop)
    }

    /// Everything about an ID token but its signature (OpenID Connect Core section 3.1.3.7).
    pub(super) fn check_id_token(&self, expected: &ExpectedId<'_>, now: Timestamp) -> Result<(), JwtError> {
        self.check_type_is_jwt()?;
        self.check_header()?;
        self.check_expiry(now)?;
        self.check_issuer(expected.issuer)?;
        self.check_id_audience(expected.client_id)?;
        if self.claims.date("iat")?.is_none() {
            return Err(JwtError::Missing("iat"));
        }
        self.check_beginning(now)?;
        self.required_subject()?;
        if let Some(sent) = expected.nonce {
            let nonce = self.claims.text("nonce")?.ok_or(JwtError::Nonce)?;
            same(nonce, sent).then_some(()).ok_or(JwtError::Nonce)?;
        }
        if let Some(hash) = self.claims.text("at_hash")? {
            same(hash, &at_hash(expected.access_token.expose())).then_some(()).ok_or(JwtError::AtHash)?;
        }
        self.check_organization(expected.organization)
    }

    pub(super) fn check_signature(&self, keys: &Jwks) -> Result<(), JwtError> {
        let kid = self.header.text("kid")?;
        if kid.is_some_and(|kid| kid.len() > LONGEST_KID) {
            return Err(JwtError::Malformed("kid"));
        }
        let signed_by_any = keys.candidates(kid)?.into_iter().any(|key| key.verifies(self.signed, self.signature));
        signed_by_any.then_some(()).ok_or(JwtError::SignatureInvalid)
    }

    /// The claims, to be handed out after the signature was found good and the checks have passed.
    pub(super) fn into_claims(self) -> Result<Claims, JwtError> {
        let owned = |name| self.claims.text(name).map(|text| text.map(str::to_owned));
        Ok(Claims {
            issuer: owned("iss")?.ok_or(JwtError::Missing("iss"))?,
            subject: self.required_subject()?.to_owned(),
            expires_at: self.required_expiry()?,
            issued_at: self.claims.date("iat")?,
            // Nothing hangs on it, so one that is null or odd is none.
            email: self.claims.get("email").and_then(Value::as_str).map(str::to_owned),
            organization: owned("org_id")?,
            authorized_party: owned("azp")?,
            _verified: (),
        })
    }

    /// Whether the header names the type of access tokens (RFC 9068 section 2.1); Auth0's usual ones do not.
    fn is_at_jwt(&self) -> bool {
        let typ = self.header.get("typ").and_then(Value::as_str).unwrap_or_default();
        ["at+jwt", "application/at+jwt"].iter().any(|known| known.eq_ignore_ascii_case(typ))
    }

    fn check_type_is_jwt(&self) -> Result<(), JwtError> {
        match self.header.text("typ")? {
            Some(typ) if !typ.eq_ignore_ascii_case("JWT") => Err(JwtError::TypeNotAccepted(typ.to_owned())),
            Some(_) | None => Ok(()),
        }
    }

    /// RFC 7515 section 4.1. Keys that the header brings along (`jwk`, `x5c`) or points to (`jku`, `x5u`) are not looked at.
    fn check_header(&self) -> Result<(), JwtError> {
        let algorithm = self.header.text("alg")?.ok_or(JwtError::Missing("alg"))?;
        if algorithm != "RS256" {
            return Err(JwtError::Algorithm(algorithm.to_owned()));
        }
        // There is no extension that we understand, so whatever is critical is too much (section 4.1.11).
        if self.header.has("crit") {
            return Err(JwtError::Unsupported("crit"));
        }
        if self.header.get("b64").is_some_and(|b64| b64 != true) {
            return Err(JwtError::Unsupported("b64"));
        }
        if self.header.has("zip") {
            return Err(JwtError::Unsupported("zip"));
        }
        Ok(())
    }

    fn required_expiry(&self) -> Result<Timestamp, JwtError> {
        self.claims.date("exp")?.ok_or(JwtError::Missing("exp"))
    }

    fn check_expiry(&self, now: Timestamp) -> Result<(), JwtError> {
        let at = self.required_expiry()?;
        if now.duration_since(at) >= LEEWAY { Err(JwtError::Expired { at, now }) } else { Ok(()) }
    }

    fn check_beginning(&self, now: Timestamp) -> Result<(), JwtError> {
        let too_early = |at: &Timestamp| at.duration_since(now) > LEEWAY;
        if let Some(from) = self.claims.date("nbf")?.filter(too_early) {
            return Err(JwtError::NotYetValid { from, now });
        }
        if let Some(at) = self.claims.date("iat")?.filter(too_early) {
            return Err(JwtError::IssuedInFuture { at, now });
        }
        Ok(())
    }

    /// Character by character, trailing slash included (RFC 8725 section 3.8).
    fn check_issuer(&self, expected: &str) -> Result<(), JwtError> {
        let found = self.claims.text("iss")?.ok_or(JwtError::Missing("iss"))?;
        if found == expected {
            return Ok(());
        }
        Err(JwtError::WrongIssuer { found: found.to_owned(), expected: expected.to_owned() })
    }

    fn required_audience(&self) -> Result<Vec<&str>, JwtError> {
        let audience = self.claims.texts("aud")?;
        if audience.is_empty() { Err(JwtError::Missing("aud")) } else { Ok(audience) }
    }

    /// OpenID Connect Core section 3.1.3.7, steps 3 to 5.
    fn check_id_audience(&self, client_id: &str) -> Result<(), JwtError> {
        let audience = self.required_audience()?;
        if !audience.contains(&client_id) {
            return Err(wrong_audience(&audience, client_id));
        }
        if let Some(other) = audience.iter().find(|other| **other != client_id) {
            return Err(JwtError::UntrustedAudience((*other).to_owned()));
        }
        match self.claims.text("azp")? {
            Some(party) if party != client_id => Err(JwtError::WrongParty(party.to_owned())),
            Some(_) | None => Ok(()),
        }
    }

    /// One who asked for an organization's login must not be handed another's.
    fn check_organization(&self, asked_for: Option<&str>) -> Result<(), JwtError> {
        let Some(expected) = asked_for else { return Ok(()) };
        let found = self.claims.text("org_id")?;
        if found == Some(expected) {
            return Ok(());
        }
        Err(JwtError::Organization { found: found.map(str::to_owned), expected: expected.to_owned() })
    }

    /// OpenID Connect Core section 2: at most 255 ASCII characters.
    fn required_subject(&self) -> Result<&str, JwtError> {
        let subject = self.claims.text("sub")?.ok_or(JwtError::Missing("sub"))?;
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

/// Compares in a time that does not tell how much of the text was right.
fn same(left: &str, right: &str) -> bool {
    left.as_bytes().ct_eq(right.as_bytes()).into()
}

/// OpenID Connect Core section 3.1.3.8: the left half of the hash, and RS256 goes with SHA-256.
fn at_hash(access_token: &str) -> String {
    let hash = digest(&SHA256, access_token.as_bytes());
    URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16])
}
