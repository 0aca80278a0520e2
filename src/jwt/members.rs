//! A JSON object out of a token, read strictly: no name twice at any depth, and each member of the type it must have.

use std::collections::HashSet;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::JwtError;

/// The members of a header or of a set of claims.
pub(super) struct Members(Map<String, Value>);

impl Members {
    /// Decodes one segment of a token. How deep it may nest is bounded by `serde_json` (128 levels).
    pub(super) fn decode(segment: &str) -> Result<Self, JwtError> {
        let json = URL_SAFE_NO_PAD.decode(segment).map_err(|_| JwtError::NotAJwt)?;
        let members = serde_json::from_slice(&json).map_err(|_| JwtError::NotAJwt)?;
        // Maps keep the last of two equal names, so a second reading looks for them (RFC 7515 and RFC 7519, section 4).
        serde_json::from_slice::<UniqueNames>(&json).map_err(|_| JwtError::DuplicateMember)?;
        Ok(Self(members))
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(super) fn text(&self, name: &'static str) -> Result<Option<&str>, JwtError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(JwtError::Malformed(name)),
        }
    }

    /// A string, or an array of strings with at least one (RFC 7519 section 4.1.3); empty where it is missing.
    pub(super) fn texts(&self, name: &'static str) -> Result<Vec<&str>, JwtError> {
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(vec![text]),
            Some(Value::Array(values)) if !values.is_empty() => {
                values.iter().map(|value| value.as_str().ok_or(JwtError::Malformed(name))).collect()
            }
            Some(_) => Err(JwtError::Malformed(name)),
        }
    }

    /// A `NumericDate`: seconds since 1970, perhaps with a fraction (RFC 7519 section 2), up to the year 9999.
    pub(super) fn date(&self, name: &'static str) -> Result<Option<Timestamp>, JwtError> {
        let Some(value) = self.get(name) else { return Ok(None) };
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

/// JSON of any kind in which no object has two members of one name. The values themselves are dropped.
struct UniqueNames;

impl<'de> Deserialize<'de> for UniqueNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueNamesVisitor)
    }
}

struct UniqueNamesVisitor;

impl<'de> Visitor<'de> for UniqueNamesVisitor {
    type Value = UniqueNames;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without duplicate members")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<UniqueNames, A::Error> {
        let mut names = HashSet::new();
        while let Some((name, UniqueNames)) = map.next_entry::<String, UniqueNames>()? {
            if !names.insert(name) {
                return Err(A::Error::custom("duplicate member"));
            }
        }
        Ok(UniqueNames)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<UniqueNames, A::Error> {
        while let Some(UniqueNames) = values.next_element()? {}
        Ok(UniqueNames)
    }

    fn visit_bool<E>(self, _: bool) -> Result<UniqueNames, E> {
        Ok(UniqueNames)
    }

    fn visit_i64<E>(self, _: i64) -> Result<UniqueNames, E> {
        Ok(UniqueNames)
    }

    fn visit_u64<E>(self, _: u64) -> Result<UniqueNames, E> {
        Ok(UniqueNames)
    }

    fn visit_f64<E>(self, _: f64) -> Result<UniqueNames, E> {
        Ok(UniqueNames)
    }

    fn visit_str<E>(self, _: &str) -> Result<UniqueNames, E> {
        Ok(UniqueNames)
    }

    fn visit_unit<E>(self) -> Result<UniqueNames, E> {
        Ok(UniqueNames)
    }
}
