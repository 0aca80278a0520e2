//! The two JSON segments of a token: its header and its claims.
//!
//! Members that are read occur at most once; all others are ignored.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde_json::{Map, Value};

use super::JwtError;

/// The members of the header that are read (RFC 7515 section 4.1). Keys in it (`jwk`, `x5c`) or behind its URLs (`jku`,
/// `x5u`) are not.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Header {
    pub(super) alg: Member,
    pub(super) typ: Member,
    pub(super) kid: Member,
    pub(super) crit: Member,
    pub(super) b64: Member,
    pub(super) zip: Member,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct ClaimSet {
    pub(super) iss: Member,
    pub(super) sub: Member,
    pub(super) aud: Member,
    pub(super) exp: Member,
    pub(super) nbf: Member,
    pub(super) iat: Member,
    pub(super) azp: Member,
    pub(super) nonce: Member,
    pub(super) at_hash: Member,
    pub(super) c_hash: Member,
    pub(super) email: Member,
    pub(super) email_verified: Member,
    pub(super) org_id: Member,
    pub(super) scope: Member,
    pub(super) permissions: Member,
    #[serde(rename = "isAstronomerGenerated")]
    pub(super) is_astronomer_generated: Member,
    #[serde(rename = "apiTokenId")]
    pub(super) api_token_id: Member,
}

/// Decodes one segment as [`Header`] or [`ClaimSet`]. `serde_json` limits the nesting to 128 levels.
pub(super) fn decode<T: DeserializeOwned>(segment: &str) -> Result<T, JwtError> {
    let json = URL_SAFE_NO_PAD.decode(segment).map_err(|_| JwtError::NotAJwt)?;
    serde_json::from_slice::<Map<String, Value>>(&json).map_err(|_| JwtError::NotAJwt)?;
    // A member takes any value, so this fails only for duplicates (RFC 7515 and RFC 7519, section 4).
    serde_json::from_slice(&json).map_err(|_| JwtError::DuplicateMember)
}

/// A member of any type; `None` if it is missing, which is not the same as `null`.
#[derive(Default)]
pub(super) struct Member(Option<Value>);

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(|value| Self(Some(value)))
    }
}

impl Member {
    pub(super) fn value(&self) -> Option<&Value> {
        self.0.as_ref()
    }

    pub(super) fn is_present(&self) -> bool {
        self.0.is_some()
    }

    /// Returns a string. `name` is that of the member, for the error.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<&str>, JwtError> {
        match &self.0 {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(JwtError::Malformed(name)),
        }
    }

    /// Returns a string or a non-empty array of strings (RFC 7519 section 4.1.3); empty if it is missing.
    pub(super) fn texts(&self, name: &'static str) -> Result<Vec<&str>, JwtError> {
        match &self.0 {
            None => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(vec![text]),
            Some(Value::Array(values)) if !values.is_empty() => {
                values.iter().map(|value| value.as_str().ok_or(JwtError::Malformed(name))).collect()
            }
            Some(_) => Err(JwtError::Malformed(name)),
        }
    }

    /// Returns a `NumericDate`: seconds since 1970, also with a fraction (RFC 7519 section 2), up to the year 9999.
    pub(super) fn date(&self, name: &'static str) -> Result<Option<Timestamp>, JwtError> {
        let Some(value) = &self.0 else { return Ok(None) };
        let since_1970 = match (value.as_i64(), value.as_f64()) {
            (Some(seconds), _) => Some(SignedDuration::from_secs(seconds)),
            (None, Some(seconds)) => SignedDuration::try_from_secs_f64(seconds).ok(),
            (None, None) => None,
        };
        since_1970
            .filter(|duration| !duration.is_negative())
            .and_then(|duration| Timestamp::from_duration(duration).ok())
            .map(Some)
            .ok_or(JwtError::Malformed(name))
    }
}
