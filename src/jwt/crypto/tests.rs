//! Signatures, keys and arbitrary input.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use proptest::prelude::*;
use ring::signature::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RSA_PSS_SHA256};
use serde_json::{Value, json};

use super::{install, verifier};
use crate::jwt::tests::*;
use crate::jwt::*;

#[test]
fn jw_2_jw_5_signature_covers_every_character() {
    let good = signed(&header(), &access_claims());
    let mut other = access_claims();
    other["sub"] = "someone else".into();
    let forged = signed(&header(), &other);
    let (signed_part, signature) = good.rsplit_once('.').unwrap();
    let (other_part, _) = forged.rsplit_once('.').unwrap();
    let short = URL_SAFE_NO_PAD.encode(&URL_SAFE_NO_PAD.decode(signature).unwrap()[1..]);
    let head = header().to_string();
    let claims = access_claims().to_string();
    let table = [
        ("the claims of another token", format!("{other_part}.{signature}")),
        ("a shorter signature", format!("{signed_part}.{short}")),
        ("zeros", format!("{signed_part}.{}", URL_SAFE_NO_PAD.encode([0; 256]))),
        ("jw_2 SHA-512 under the name of RS256", signed_by(0, &RSA_PKCS1_SHA512, &head, &claims)),
        ("jw_2 PSS under the name of RS256", signed_by(0, &RSA_PSS_SHA256, &head, &claims)),
        ("jw_9 a foreign key", signed_by(1, &RSA_PKCS1_SHA256, &head, &claims)),
    ];
    for (name, token) in table {
        assert_eq!(verify_access(&token), Err(JwtError::SignatureInvalid), "{name}");
    }
}

#[test]
fn jw_11_keys_with_same_kid_tried_in_turn() {
    let keys = key_set(&[jwk(1, Some("one")), jwk(0, Some("one"))]);
    let token = AccessToken::new(signed(&header(), &access_claims()));
    assert!(verify_access_token(&token, &keys, &ACCESS, at(NOW)).is_ok());
    let foreign = signed_by(2, &RSA_PKCS1_SHA256, &header().to_string(), &access_claims().to_string());
    let refused = verify_access_token(&AccessToken::new(foreign), &keys, &ACCESS, at(NOW));
    assert_eq!(refused, Err(JwtError::SignatureInvalid));
}

#[test]
fn missing_kid_uses_only_usable_key() {
    let mut header = header();
    without(&mut header, "kid");
    let token = AccessToken::new(signed(&header, &access_claims()));
    let mut for_encryption = jwk(1, Some("two"));
    for_encryption["use"] = "enc".into();
    let verify = |keys: &[Value]| verify_access_token(&token, &key_set(keys), &ACCESS, at(NOW)).err();
    assert_eq!(verify(&[jwk(0, Some("one"))]), None);
    assert_eq!(verify(&[jwk(0, None), for_encryption]), None);
    assert_eq!(verify(&[jwk(1, None)]), Some(JwtError::SignatureInvalid));
    assert_eq!(verify(&[jwk(0, Some("one")), jwk(1, Some("two"))]), Some(JwtError::KeyNotNamed));
    let named = AccessToken::new(signed(&crate::jwt::tests::header(), &access_claims()));
    let refused = verify_access_token(&named, &key_set(&[jwk(0, None)]), &ACCESS, at(NOW));
    assert_eq!(refused, Err(JwtError::UnknownKey));
}

#[test]
fn jw_6_key_of_4096_bits_accepted() {
    let header = json!({"alg": "RS256", "kid": "three"}).to_string();
    assert!(verify_access(&signed_by(2, &RSA_PKCS1_SHA256, &header, &access_claims().to_string())).is_ok());
}

/// JSON as a token may hold it: often with the names that the checks look for, and with any value under them.
fn any_json() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        prop::sample::select(vec![
            "alg", "typ", "kid", "crit", "iss", "sub", "aud", "exp", "nbf", "iat", "azp", "nonce"
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ];
    let value = prop_oneof![
        Just(json!("RS256")),
        Just(json!(ISSUER)),
        Just(json!([AUDIENCE, CLIENT])),
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    prop::collection::vec((name, value), 0..8).prop_map(|members| {
        let members: Vec<String> = members.iter().map(|(name, value)| format!("{}:{value}", json!(name))).collect();
        format!("{{{}}}", members.join(","))
    })
}

proptest! {
    #[test]
    fn arbitrary_token_text_never_panics(token in any::<String>()) {
        prop_assert!(verify_access(&token).is_err());
        prop_assert!(verify_id(&token, None, None).is_err());
    }

    #[test]
    fn arbitrary_key_set_never_panics(json in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Jwks::parse(&json).is_err());
    }

    #[test]
    fn jw_13_cl_10_arbitrary_claims_never_panic(header in any_json(), claims in any_json(), signature in "[A-Za-z0-9_-]{1,40}") {
        let token = format!("{}.{}.{signature}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        prop_assert!(verify_access(&token).is_err());
        prop_assert!(verify_id(&token, None, None).is_err());
        if let Ok(unverified) = Unverified::parse(&token) {
            let _ = (unverified.kind(), unverified.issuer(), unverified.audience(), unverified.expires_at());
        }
    }

    #[test]
    fn jw_5_any_changed_character_rejected(position in any::<prop::sample::Index>(), with in "[A-Za-z0-9_.-]") {
        let mut token = signed(&header(), &access_claims());
        let position = position.index(token.len());
        prop_assume!(!token[position..].starts_with(&with));
        token.replace_range(position..=position, &with);
        prop_assert!(verify_access(&token).is_err());
    }
}

#[test]
fn jw_2_jw_3_jw_7_other_algorithms_unavailable() {
    install();
    install();
    let rsa = DecodingKey::from_rsa_raw_components(&[0xff; 256], &[1, 0, 1]);
    let secret = DecodingKey::from_secret(&[0xff; 256]);
    for algorithm in [Algorithm::HS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::ES256] {
        assert!(verifier(algorithm, &rsa).is_err(), "{algorithm:?}");
        assert!(verifier(algorithm, &secret).is_err(), "{algorithm:?}");
    }
    assert!(verifier(Algorithm::RS256, &secret).is_err());
    assert!(verifier(Algorithm::RS256, &rsa).is_ok());
    assert!(jsonwebtoken::crypto::sign(b"x", &jsonwebtoken::EncodingKey::from_secret(b"x"), Algorithm::HS256).is_err());
}
