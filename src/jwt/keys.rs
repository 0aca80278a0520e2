//! The published keys of an issuer (RFC 7517), reduced to those that verify RS256.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use super::{JwtError, crypto};

const MAX_KEYS: usize = 100;

/// A key set that holds at least one usable key.
#[derive(Debug)]
pub struct Jwks(Vec<Key>);

/// An unusable key set. The issuer or a proxy is at fault, not the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    /// Not a key set by RFC 7517 section 5.
    #[error("the issuer's key set is invalid")]
    NotAKeySet,
    #[error("the issuer publishes more than {MAX_KEYS} keys")]
    TooManyKeys,
    #[error("the issuer publishes no RSA signature key of at least 2048 bits")]
    NoUsableKey,
}

impl Jwks {
    /// Parses a key set. Keys of other kinds and for other purposes are ignored (RFC 7517 section 5).
    pub fn parse(json: &[u8]) -> Result<Self, JwksError> {
        #[derive(Deserialize)]
        struct KeySet {
            keys: Vec<Value>,
        }
        let set: KeySet = serde_json::from_slice(json).map_err(|_| JwksError::NotAKeySet)?;
        if set.keys.len() > MAX_KEYS {
            return Err(JwksError::TooManyKeys);
        }
        let usable: Vec<Key> = set.keys.iter().filter_map(Key::parse).collect();
        if usable.is_empty() { Err(JwksError::NoUsableKey) } else { Ok(Self(usable)) }
    }

    /// Returns the keys named `kid`. A token without `kid` is verified with the only key.
    pub(super) fn candidates(&self, kid: Option<&str>) -> Result<Vec<&Key>, JwtError> {
        match (kid, self.0.as_slice()) {
            (None, [only]) => Ok(vec![only]),
            (None, _) => Err(JwtError::KeyNotNamed),
            (Some(kid), keys) => {
                let named: Vec<&Key> = keys.iter().filter(|key| key.kid.as_deref() == Some(kid)).collect();
                if named.is_empty() { Err(JwtError::UnknownKey) } else { Ok(named) }
            }
        }
    }
}

/// A public key for RS256.
#[derive(Debug)]
pub(super) struct Key {
    kid: Option<String>,
    rsa: DecodingKey,
}

impl Key {
    fn parse(jwk: &Value) -> Option<Self> {
        let Jwk { common, algorithm: AlgorithmParameters::RSA(rsa) } = Jwk::deserialize(jwk).ok()? else { return None };
        let may_verify = matches!(common.public_key_use, None | Some(PublicKeyUse::Signature))
            && matches!(common.key_algorithm, None | Some(KeyAlgorithm::RS256))
            && common.key_operations.is_none_or(|operations| operations.contains(&KeyOperations::Verify));
        let (modulus, exponent) = (magnitude(&rsa.n)?, magnitude(&rsa.e)?);
        // RFC 7518 section 3.3 sets the lower bound; the upper one keeps a hostile key from costing seconds.
        let is_sound = (2048..=8192).contains(&bits(&modulus)) && is_sane_exponent(&exponent);
        (may_verify && is_sound)
            .then(|| Self { kid: common.key_id, rsa: DecodingKey::from_rsa_raw_components(&modulus, &exponent) })
    }

    /// Verifies `signature` (base64url) over `signed` with this key.
    pub(super) fn verifies(&self, signed: &str, signature: &str) -> bool {
        crypto::install();
        jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &self.rsa, Algorithm::RS256).is_ok_and(|good| good)
    }
}

/// Decodes a `Base64urlUInt` (RFC 7518 section 2), without the leading zeros that some issuers add and ring rejects.
fn magnitude(text: &str) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let first = bytes.iter().position(|byte| *byte != 0)?;
    Some(bytes[first..].to_vec())
}

fn bits(magnitude: &[u8]) -> usize {
    magnitude.first().map_or(0, |first| magnitude.len() * 8 - first.leading_zeros() as usize)
}

/// Accepts odd exponents from 3 to 32 bits.
fn is_sane_exponent(magnitude: &[u8]) -> bool {
    magnitude.len() <= 4 && magnitude.last().is_some_and(|last| last % 2 == 1) && magnitude != [1]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn jwk(modulus_bits: usize, exponent: &[u8]) -> Value {
        let mut modulus = vec![0xff_u8; modulus_bits.div_ceil(8)];
        modulus[0] >>= (8 - modulus_bits % 8) % 8;
        json!({"kty": "RSA", "n": URL_SAFE_NO_PAD.encode(modulus), "e": URL_SAFE_NO_PAD.encode(exponent)})
    }

    fn with(name: &str, value: impl Into<Value>) -> Value {
        let mut key = jwk(2048, &[1, 0, 1]);
        key[name] = value.into();
        key
    }

    fn parsed(keys: &[Value]) -> Result<usize, JwksError> {
        Jwks::parse(json!({ "keys": keys }).to_string().as_bytes()).map(|set| set.0.len())
    }

    #[test]
    fn jw_4_jw_6_jw_7_jw_11_only_rs256_keys_usable() {
        let usable = [
            jwk(2048, &[1, 0, 1]),
            jwk(8192, &[3]),
            jwk(2049, &[0, 0, 1, 0, 1]),
            with("use", "sig"),
            with("alg", "RS256"),
            with("kid", "one"),
            with("key_ops", json!(["sign", "verify"])),
            with("x5u", "https://evil.example/"),
        ];
        for key in usable {
            assert_eq!(parsed(std::slice::from_ref(&key)), Ok(1), "{key}");
        }
        let unusable = [
            jwk(1024, &[1, 0, 1]),
            jwk(2047, &[1, 0, 1]),
            jwk(8193, &[1, 0, 1]),
            jwk(2048, &[1]),
            jwk(2048, &[2]),
            jwk(2048, &[1, 0, 0]),
            jwk(2048, &[]),
            jwk(2048, &[0]),
            jwk(2048, &[1, 0, 0, 0, 1]),
            with("kty", "EC"),
            with("kty", "oct"),
            with("kty", Value::Null),
            with("use", "enc"),
            with("use", 7),
            with("alg", "RS512"),
            with("alg", "RSA-OAEP"),
            with("key_ops", json!(["encrypt"])),
            with("key_ops", json!([])),
            with("key_ops", "verify"),
            with("kid", 7),
            with("n", "not base64url!"),
            with("n", ""),
            with("e", "AQAB=="),
            with("e", 65537),
            json!({}),
            json!("key"),
            Value::Null,
        ];
        for key in unusable {
            assert_eq!(parsed(std::slice::from_ref(&key)), Err(JwksError::NoUsableKey), "{key}");
            assert_eq!(parsed(&[key.clone(), jwk(2048, &[1, 0, 1])]), Ok(1), "jw_11: passed over {key}");
        }
    }

    #[test]
    fn jw_17_key_set_has_at_most_100_keys() {
        assert_eq!(parsed(&vec![jwk(2048, &[1, 0, 1]); 100]), Ok(100));
        assert_eq!(parsed(&vec![jwk(2048, &[1, 0, 1]); 101]), Err(JwksError::TooManyKeys));
        assert_eq!(parsed(&[]), Err(JwksError::NoUsableKey));
        for json in ["", "[]", "{}", r#"{"keys": {}}"#, "<html>", r#"{"keys": []} more"#] {
            assert_eq!(Jwks::parse(json.as_bytes()).err(), Some(JwksError::NotAKeySet), "{json}");
        }
    }
}
