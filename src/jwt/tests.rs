//! More than a hundred tokens, most of them invalid for one reason.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair};
use serde_json::{Value, json};

use super::*;

/// The example in the documentation of `astro login`. It is public, and expired in 2023.
const DOCUMENTED: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6IjRmeDJYNVFNa2o3Q25ycVNyX1ZuTyJ9.eyJodHRwczovL2FzdHJvbm9tZXIuaW8vand0L2F1dGhfY29ubmVjdGlvbiI6eyJpZCI6ImNvbl9VazNBeTNDZGZ4Q1J5Z3BmIiwibmFtZSI6Imdvb2dsZS1vYXV0aDIiLCJzdHJhdGVneSI6Imdvb2dsZS1vYXV0aDIifSwiaXNzIjoiaHR0cHM6Ly9hdXRoLmFzdHJvbm9tZXIuaW8vIiwic3ViIjoiZ29vZ2xlLW9hdXRoMnwxMTYzNjEzNTExNTY5MTg0ODg0MzEiLCJhdWQiOlsiYXN0cm9ub21lci1lZSIsImh0dHBzOi8vYXN0cm9ub21lci1wcm9kLnVzLmF1dGgwLmNvbS91c2VyaW5mbyJdLCJpYXQiOjE2NzkzODc3NDAsImV4cCI6MTY3OTQ3NDE0MCwiYXpwIjoiWXE5YXRZWFRlZjZ0ZVpZSlhrd2xRbDZsWHBOS2t6OHUiLCJzY29wZSI6Im9wZW5pZCBwcm9maWxlIGVtYWlsIG9mZmxpbmVfYWNjZXNzIiwicGVybWlzc2lvbnMiOltdfQ.mk5nkukONLjmayTL5RLytLAYO7w6PU-0PeCyNmyP7LNUBgPGlG22m3PzJ3jaLFRiIy-8sG0nJ_vmjPhBYYI_61WEFdVj3oGmIbHXc4gVlICaTn_MbbchVDFRVzp09akYcjWvD4TeXpIAp9Fc0-4b-FbCAxryETmS5W8JxyRscp1n9lOFia_yYgWXbXrETs9Guz_z6ErfYmGA71XiihJcy41ccGnb4Agf_aEn-Dwh3tCaKRJ-Mxb_yLKSZHKRyjNfZH9v_ZW1eDPfkF3oV0c4qFCIx8vHryK3q3h2jpsDw_r-_VmuNqSRxrY8ms0ixtq98PmjQ0vDvmiUYZPXnxBNOw";

const ISSUER: &str = "https://auth.astronomer.io/";
const AUDIENCE: &str = "astronomer-ee";
const CLIENT: &str = "client-1";
const NONCE: &str = "nonce-of-this-login";
const ACCESS: ExpectedAccess<'_> = ExpectedAccess { issuer: ISSUER, audience: AUDIENCE, client_id: CLIENT };
/// 2026-11-24T10:00:00Z.
const NOW: i64 = 1_795_514_400;
const HOUR: i64 = 3_600;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn key(number: usize) -> &'static RsaKeyPair {
    static KEYS: [OnceLock<RsaKeyPair>; 3] = [const { OnceLock::new() }; 3];
    let files: [&[u8]; 3] = [
        include_bytes!("../../tests/keys/insecure-test-key-1.pk8"),
        include_bytes!("../../tests/keys/insecure-test-key-2.pk8"),
        include_bytes!("../../tests/keys/insecure-test-key-4096.pk8"),
    ];
    KEYS[number].get_or_init(|| RsaKeyPair::from_pkcs8(files[number]).unwrap())
}

fn jwk(number: usize, kid: Option<&str>) -> Value {
    let public = PublicKeyComponents::<Vec<u8>>::from(key(number).public());
    let mut jwk = json!({
        "kty": "RSA", "use": "sig", "alg": "RS256",
        "n": URL_SAFE_NO_PAD.encode(public.n), "e": URL_SAFE_NO_PAD.encode(public.e),
    });
    if let Some(kid) = kid {
        jwk["kid"] = kid.into();
    }
    jwk
}

fn key_set(keys: &[Value]) -> Jwks {
    Jwks::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

fn published() -> Jwks {
    key_set(&[jwk(0, Some("one")), jwk(2, Some("three"))])
}

fn signed_by(number: usize, with: &'static dyn RsaEncoding, header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let mut signature = vec![0; key(number).public().modulus_len()];
    key(number).sign(with, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn signed(header: &Value, claims: &Value) -> String {
    signed_by(0, &RSA_PKCS1_SHA256, &header.to_string(), &claims.to_string())
}

fn header() -> Value {
    json!({"alg": "RS256", "typ": "JWT", "kid": "one"})
}

fn access_claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "google-oauth2|1163", "aud": [AUDIENCE, "https://astronomer-prod.us.auth0.com/userinfo"],
        "iat": NOW - HOUR, "exp": NOW + HOUR, "azp": "another-client", "scope": "openid profile email",
        "permissions": [], "https://astronomer.io/jwt/auth_connection": {"id": "con_1", "name": "google-oauth2"},
    })
}

fn id_claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "google-oauth2|1163", "aud": CLIENT, "iat": NOW - 5, "exp": NOW + HOUR, "nonce": NONCE,
        "email": "person@example.com", "org_id": "org_1",
    })
}

fn verify_access(token: &str) -> Result<Claims, JwtError> {
    verify_access_token(&AccessToken::new(token), &published(), &ACCESS, at(NOW))
}

/// Verifies an ID token that came with the access token of the examples in OpenID Connect Core (appendix A.4).
fn verify_id(token: &str, organization: Option<&str>, nonce: Option<&str>) -> Result<Claims, JwtError> {
    let access_token = AccessToken::new("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y");
    let expected = ExpectedId { issuer: ISSUER, client_id: CLIENT, nonce, organization, access_token: &access_token };
    verify_id_token(&IdToken::new(token), &published(), &expected, at(NOW))
}

/// Changes the header and claims of a valid token.
type Change = fn(&mut Value, &mut Value);

fn without(object: &mut Value, name: &str) {
    object.as_object_mut().unwrap().remove(name);
}

fn changed(mut claims: Value, change: Change) -> String {
    let mut header = header();
    change(&mut header, &mut claims);
    signed(&header, &claims)
}

#[test]
fn documented_token_expired_without_keys() {
    let token = Unverified::parse(DOCUMENTED).ok().unwrap();
    assert_eq!(token.kind(), TokenKind::Access);
    assert_eq!(token.issuer(), Some(ISSUER));
    assert_eq!(token.audience(), [AUDIENCE, "https://astronomer-prod.us.auth0.com/userinfo"]);
    assert_eq!(token.authorized_party(), Some("Yq9atYXTef6teZYJXkwlQl6lXpNKkz8u"));
    assert_eq!(token.subject(), Some("google-oauth2|116361351156918488431"));
    assert_eq!(token.expires_at(), Some(at(1_679_474_140)));
    let refused = token.check_offline(at(NOW)).unwrap_err();
    assert_eq!(refused, JwtError::Expired { at: at(1_679_474_140), now: at(NOW) });
    assert_eq!(refused.to_string(), "expired on 2023-03-22 (3 years ago)");
    assert_eq!(token.check_offline(at(1_679_474_140)), Ok(()));
}

#[test]
fn access_token_returns_claims() {
    let wanted = Claims {
        issuer: ISSUER.to_owned(),
        subject: "google-oauth2|1163".to_owned(),
        expires_at: at(NOW + HOUR),
        issued_at: Some(at(NOW - HOUR)),
        email: None,
        _verified: (),
    };
    assert_eq!(verify_access(&signed(&header(), &access_claims())), Ok(wanted));
}

#[test]
fn id_token_returns_claims() {
    let wanted = Claims {
        issuer: ISSUER.to_owned(),
        subject: "google-oauth2|1163".to_owned(),
        expires_at: at(NOW + HOUR),
        issued_at: Some(at(NOW - 5)),
        email: Some("person@example.com".to_owned()),
        _verified: (),
    };
    assert_eq!(verify_id(&signed(&header(), &id_claims()), Some("org_1"), Some(NONCE)), Ok(wanted));
}

#[test]
fn jw_9_jw_15_cl_4_cl_9_access_token_accepted() {
    let table: [(&str, Change); 22] = [
        ("jw_15 typ absent", |h, _| without(h, "typ")),
        ("jw_15 typ in any case", |h, _| h["typ"] = "jwt".into()),
        ("jw_15 typ at+jwt", |h, _| h["typ"] = "at+jwt".into()),
        ("jw_15 typ application/at+jwt in any case", |h, _| h["typ"] = "Application/AT+JWT".into()),
        ("jw_9 jku is not followed", |h, _| h["jku"] = "https://evil.example/keys".into()),
        ("jw_9 jwk is not used", |h, _| h["jwk"] = jwk(1, None)),
        ("jw_9 a malformed jwk is not even read", |h, _| h["jwk"] = 7.into()),
        ("jw_9 x5c and x5u are not used", |h, _| {
            (h["x5c"], h["x5u"]) = (json!(["MII"]), "https://evil.example".into());
        }),
        ("jw_8 b64 that changes nothing", |h, _| h["b64"] = true.into()),
        ("cl_4 one audience as a string", |_, c| c["aud"] = AUDIENCE.into()),
        ("cl_4 extra audiences", |_, c| c["aud"] = json!(["a", AUDIENCE, "b"])),
        ("cl_7 expired 59 seconds ago", |_, c| c["exp"] = (NOW - 59).into()),
        ("cl_7 expired 59.5 seconds ago", |_, c| c["exp"] = 1_795_514_340.5.into()),
        ("cl_7 expires in the year 9999", |_, c| c["exp"] = 253_402_207_200_i64.into()),
        ("cl_8 nbf 60 seconds ahead", |_, c| c["nbf"] = (NOW + 60).into()),
        ("cl_10 iat 60 seconds ahead", |_, c| c["iat"] = (NOW + 60).into()),
        ("cl_10 iat with a fraction", |_, c| c["iat"] = 1_795_510_800.25.into()),
        ("iat absent", |_, c| without(c, "iat")),
        ("cl_3 sub of 255 characters", |_, c| c["sub"] = "ü".repeat(255).into()),
        ("email null", |_, c| c["email"] = Value::Null),
        ("nonce beside a scope", |_, c| c["nonce"] = "x".into()),
        ("rfc 9068 token with nothing but its type", |h, c| {
            h["typ"] = "at+jwt".into();
            (c["azp"], c["aud"]) = (AUDIENCE.into(), AUDIENCE.into());
            without(c, "scope");
            without(c, "permissions");
        }),
    ];
    for (name, change) in table {
        let outcome = verify_access(&changed(access_claims(), change));
        assert!(outcome.is_ok(), "{name}: {outcome:?}");
    }
}

#[test]
fn jw_2_jw_3_jw_4_jw_8_jw_9_jw_10_jw_14_jw_15_bad_header() {
    let algorithm = |found: &str| JwtError::Algorithm(found.to_owned());
    let typ = |found: &str| JwtError::TypeNotAccepted(found.to_owned());
    let table: Vec<(&str, Change, JwtError)> = vec![
        ("jw_2 RS512", |h, _| h["alg"] = "RS512".into(), algorithm("RS512")),
        ("jw_2 PS256", |h, _| h["alg"] = "PS256".into(), algorithm("PS256")),
        ("jw_2 ES256", |h, _| h["alg"] = "ES256".into(), algorithm("ES256")),
        ("jw_2 rs256 in the wrong case", |h, _| h["alg"] = "rs256".into(), algorithm("rs256")),
        ("jw_3 none", |h, _| h["alg"] = "none".into(), algorithm("none")),
        ("jw_3 nOnE", |h, _| h["alg"] = "nOnE".into(), algorithm("nOnE")),
        ("jw_3 HS256", |h, _| h["alg"] = "HS256".into(), algorithm("HS256")),
        ("jw_2 alg absent", |h, _| without(h, "alg"), JwtError::Missing("alg")),
        ("jw_2 alg a list", |h, _| h["alg"] = json!(["RS256"]), JwtError::Malformed("alg")),
        (
            "jw_2 before any key is looked up",
            |h, _| (h["alg"], h["kid"]) = ("RS512".into(), "unknown".into()),
            algorithm("RS512"),
        ),
        ("jw_8 crit with an unknown name", |h, _| h["crit"] = json!(["exp"]), JwtError::Unsupported("crit")),
        ("jw_8 crit empty", |h, _| h["crit"] = json!([]), JwtError::Unsupported("crit")),
        ("jw_8 crit null", |h, _| h["crit"] = Value::Null, JwtError::Unsupported("crit")),
        ("jw_8 b64 false", |h, _| h["b64"] = false.into(), JwtError::Unsupported("b64")),
        ("jw_8 b64 of another type", |h, _| h["b64"] = "false".into(), JwtError::Unsupported("b64")),
        ("jw_14 zip", |h, _| h["zip"] = "DEF".into(), JwtError::Unsupported("zip")),
        ("jw_15 typ logout+jwt", |h, _| h["typ"] = "logout+jwt".into(), typ("logout+jwt")),
        ("jw_15 typ dpop+jwt", |h, _| h["typ"] = "dpop+jwt".into(), typ("dpop+jwt")),
        ("jw_15 typ stat+jwt", |h, _| h["typ"] = "stat+jwt".into(), typ("stat+jwt")),
        ("jw_15 typ empty", |h, _| h["typ"] = "".into(), typ("")),
        ("jw_15 typ a number", |h, _| h["typ"] = 7.into(), JwtError::Malformed("typ")),
        ("jw_10 kid a number", |h, _| h["kid"] = 7.into(), JwtError::Malformed("kid")),
        ("jw_10 kid null", |h, _| h["kid"] = Value::Null, JwtError::Malformed("kid")),
        ("jw_10 kid very long", |h, _| h["kid"] = "k".repeat(257).into(), JwtError::Malformed("kid")),
        ("jw_10 kid is no path", |h, _| h["kid"] = "../one".into(), JwtError::UnknownKey),
        ("jw_10 kid of 256 characters", |h, _| h["kid"] = "k".repeat(256).into(), JwtError::UnknownKey),
        ("jw_17 kid unknown", |h, _| h["kid"] = "two".into(), JwtError::UnknownKey),
        ("jw_17 kid in the wrong case", |h, _| h["kid"] = "ONE".into(), JwtError::UnknownKey),
        ("jw_11 kid absent, two keys", |h, _| without(h, "kid"), JwtError::KeyNotNamed),
        ("jw_4 kid of another key", |h, _| h["kid"] = "three".into(), JwtError::SignatureInvalid),
        (
            "jw_9 jku does not help a foreign key",
            |h, _| (h["kid"], h["jku"]) = ("two".into(), "https://evil.example".into()),
            JwtError::UnknownKey,
        ),
    ];
    for (name, change, wanted) in table {
        assert_eq!(verify_access(&changed(access_claims(), change)), Err(wanted), "{name}");
    }
}

#[test]
fn cl_1_cl_3_cl_4_cl_7_cl_8_cl_10_bad_claims() {
    let audience = |found: &[&str]| JwtError::WrongAudience {
        found: found.iter().map(|one| (*one).to_owned()).collect(),
        expected: AUDIENCE.to_owned(),
    };
    let issuer = |found: &str| JwtError::WrongIssuer { found: found.to_owned(), expected: ISSUER.to_owned() };
    let expired = |seconds: i64| JwtError::Expired { at: at(seconds), now: at(NOW) };
    let table: Vec<(&str, Change, JwtError)> = vec![
        ("cl_1 iss absent", |_, c| without(c, "iss"), JwtError::Missing("iss")),
        ("cl_1 iss a list", |_, c| c["iss"] = json!([ISSUER]), JwtError::Malformed("iss")),
        ("cl_1 iss empty", |_, c| c["iss"] = "".into(), issuer("")),
        (
            "cl_1 iss without its slash",
            |_, c| c["iss"] = "https://auth.astronomer.io".into(),
            issuer("https://auth.astronomer.io"),
        ),
        (
            "cl_1 iss in another case",
            |_, c| c["iss"] = "https://AUTH.astronomer.io/".into(),
            issuer("https://AUTH.astronomer.io/"),
        ),
        (
            "cl_1 iss of another domain",
            |_, c| c["iss"] = "https://auth.astronomer-stage.io/".into(),
            issuer("https://auth.astronomer-stage.io/"),
        ),
        ("cl_3 sub absent", |_, c| without(c, "sub"), JwtError::Missing("sub")),
        ("cl_3 sub empty", |_, c| c["sub"] = "".into(), JwtError::Malformed("sub")),
        ("cl_3 sub a number", |_, c| c["sub"] = 7.into(), JwtError::Malformed("sub")),
        ("cl_3 sub of 256 characters", |_, c| c["sub"] = "s".repeat(256).into(), JwtError::Malformed("sub")),
        ("cl_4 aud absent", |_, c| without(c, "aud"), JwtError::Missing("aud")),
        ("cl_4 aud a number", |_, c| c["aud"] = 7.into(), JwtError::Malformed("aud")),
        ("cl_4 aud an empty list", |_, c| c["aud"] = json!([]), JwtError::Malformed("aud")),
        ("cl_4 aud with a number in it", |_, c| c["aud"] = json!([AUDIENCE, 7]), JwtError::Malformed("aud")),
        ("cl_4 aud another", |_, c| c["aud"] = "other".into(), audience(&["other"])),
        ("cl_4 aud others", |_, c| c["aud"] = json!(["a", "b"]), audience(&["a", "b"])),
        ("cl_4 aud a prefix", |_, c| c["aud"] = "astronomer".into(), audience(&["astronomer"])),
        ("jw_16 aud our own client", |_, c| c["aud"] = CLIENT.into(), JwtError::IdTokenGiven),
        ("cl_7 exp absent", |_, c| without(c, "exp"), JwtError::Missing("exp")),
        ("cl_7 expired 60 seconds ago", |_, c| c["exp"] = (NOW - 60).into(), expired(NOW - 60)),
        ("cl_7 expired long ago", |_, c| c["exp"] = 0.into(), expired(0)),
        (
            "cl_7 expired, by any issuer and for anyone",
            |_, c| (c["exp"], c["iss"], c["aud"]) = (1.into(), 7.into(), 7.into()),
            expired(1),
        ),
        ("cl_10 exp text", |_, c| c["exp"] = "1795514400".into(), JwtError::Malformed("exp")),
        ("cl_10 exp null", |_, c| c["exp"] = Value::Null, JwtError::Malformed("exp")),
        ("cl_10 exp negative", |_, c| c["exp"] = (-1).into(), JwtError::Malformed("exp")),
        ("cl_10 exp a negative fraction", |_, c| c["exp"] = (-0.5).into(), JwtError::Malformed("exp")),
        ("cl_10 exp 1e300", |_, c| c["exp"] = 1e300.into(), JwtError::Malformed("exp")),
        ("cl_10 exp in milliseconds", |_, c| c["exp"] = (NOW * 1000).into(), JwtError::Malformed("exp")),
        ("cl_10 exp the greatest integer", |_, c| c["exp"] = u64::MAX.into(), JwtError::Malformed("exp")),
        ("cl_10 exp the least integer", |_, c| c["exp"] = i64::MIN.into(), JwtError::Malformed("exp")),
        (
            "cl_8 nbf 61 seconds ahead",
            |_, c| c["nbf"] = (NOW + 61).into(),
            JwtError::NotYetValid { from: at(NOW + 61), now: at(NOW) },
        ),
        ("cl_8 nbf text", |_, c| c["nbf"] = "soon".into(), JwtError::Malformed("nbf")),
        (
            "cl_10 iat 61 seconds ahead",
            |_, c| c["iat"] = (NOW + 61).into(),
            JwtError::IssuedInFuture { at: at(NOW + 61), now: at(NOW) },
        ),
        ("cl_10 iat 1e300", |_, c| c["iat"] = 1e300.into(), JwtError::Malformed("iat")),
        (
            "an API token, whatever else it is",
            |h, c| {
                h["alg"] = "ES256".into();
                c["isAstronomerGenerated"] = true.into();
                without(c, "exp");
            },
            JwtError::ApiTokenGiven,
        ),
        ("an API token by its id", |_, c| c["apiTokenId"] = "cl1".into(), JwtError::ApiTokenGiven),
    ];
    for (name, change, wanted) in table {
        assert_eq!(verify_access(&changed(access_claims(), change)), Err(wanted), "{name}");
    }
}

#[test]
fn jw_16_id_token_is_no_access_token() {
    let mut expired = id_claims();
    expired["exp"] = 1.into();
    let mut without_nonce = id_claims();
    without(&mut without_nonce, "nonce");
    let mut for_another_client = without_nonce.clone();
    (for_another_client["aud"], for_another_client["azp"]) = ("web".into(), "web".into());
    for claims in [id_claims(), expired, without_nonce, for_another_client] {
        assert_eq!(verify_access(&signed(&header(), &claims)), Err(JwtError::IdTokenGiven), "{claims}");
    }
}

#[test]
fn cl_6_cl_12_id_token_accepted() {
    let table: [(&str, Change); 7] = [
        ("jw_15 typ absent", |h, _| without(h, "typ")),
        ("cl_5 aud a list of one", |_, c| c["aud"] = json!([CLIENT])),
        ("cl_6 azp our client", |_, c| c["azp"] = CLIENT.into()),
        ("cl_12 at_hash of the access token", |_, c| c["at_hash"] = "77QmUPtjPfzWtF2AnpK9RQ".into()),
        ("cl_10 iat 60 seconds ahead", |_, c| c["iat"] = (NOW + 60).into()),
        ("cl_7 expired 59 seconds ago", |_, c| c["exp"] = (NOW - 59).into()),
        ("email absent", |_, c| without(c, "email")),
    ];
    for (name, change) in table {
        let outcome = verify_id(&changed(id_claims(), change), Some("org_1"), Some(NONCE));
        assert!(outcome.is_ok(), "{name}: {outcome:?}");
    }
}

#[test]
fn jw_15_jw_16_cl_5_cl_6_cl_11_cl_12_cl_19_bad_id_token() {
    let audience = |found: &str| JwtError::WrongAudience { found: vec![found.to_owned()], expected: CLIENT.to_owned() };
    let organization =
        |found: Option<&str>| JwtError::Organization { found: found.map(str::to_owned), expected: "org_1".to_owned() };
    let table: Vec<(&str, Change, JwtError)> = vec![
        ("jw_15 typ at+jwt", |h, _| h["typ"] = "at+jwt".into(), JwtError::TypeNotAccepted("at+jwt".to_owned())),
        ("jw_3 none", |h, _| h["alg"] = "none".into(), JwtError::Algorithm("none".to_owned())),
        ("jw_8 crit", |h, _| h["crit"] = json!(["b64"]), JwtError::Unsupported("crit")),
        ("jw_17 kid unknown", |h, _| h["kid"] = "two".into(), JwtError::UnknownKey),
        ("jw_4 kid of another key", |h, _| h["kid"] = "three".into(), JwtError::SignatureInvalid),
        (
            "cl_1 iss another",
            |_, c| c["iss"] = "https://evil.example/".into(),
            JwtError::WrongIssuer { found: "https://evil.example/".to_owned(), expected: ISSUER.to_owned() },
        ),
        ("cl_3 sub absent", |_, c| without(c, "sub"), JwtError::Missing("sub")),
        ("cl_5 aud absent", |_, c| without(c, "aud"), JwtError::Missing("aud")),
        ("cl_5 aud the API", |_, c| c["aud"] = AUDIENCE.into(), audience(AUDIENCE)),
        (
            "cl_5 aud with another client",
            |_, c| c["aud"] = json!([CLIENT, "evil"]),
            JwtError::UntrustedAudience("evil".to_owned()),
        ),
        (
            "cl_5 aud with the API",
            |_, c| c["aud"] = json!([AUDIENCE, CLIENT]),
            JwtError::UntrustedAudience(AUDIENCE.to_owned()),
        ),
        ("cl_6 azp another", |_, c| c["azp"] = "other".into(), JwtError::WrongParty("other".to_owned())),
        ("cl_6 azp a number", |_, c| c["azp"] = 7.into(), JwtError::Malformed("azp")),
        (
            "cl_7 expired 60 seconds ago",
            |_, c| c["exp"] = (NOW - 60).into(),
            JwtError::Expired { at: at(NOW - 60), now: at(NOW) },
        ),
        ("cl_7 exp absent", |_, c| without(c, "exp"), JwtError::Missing("exp")),
        (
            "cl_8 nbf ahead",
            |_, c| c["nbf"] = (NOW + 61).into(),
            JwtError::NotYetValid { from: at(NOW + 61), now: at(NOW) },
        ),
        ("cl_10 iat absent", |_, c| without(c, "iat"), JwtError::Missing("iat")),
        (
            "cl_10 iat ahead",
            |_, c| c["iat"] = (NOW + 61).into(),
            JwtError::IssuedInFuture { at: at(NOW + 61), now: at(NOW) },
        ),
        ("cl_11 nonce absent", |_, c| without(c, "nonce"), JwtError::Nonce),
        ("cl_11 nonce another", |_, c| c["nonce"] = "other".into(), JwtError::Nonce),
        ("cl_11 nonce empty", |_, c| c["nonce"] = "".into(), JwtError::Nonce),
        ("cl_11 nonce a list", |_, c| c["nonce"] = json!([NONCE]), JwtError::Malformed("nonce")),
        ("cl_12 at_hash of another token", |_, c| c["at_hash"] = "77QmUPtjPfzWtF2AnpK9RA".into(), JwtError::AtHash),
        ("cl_12 at_hash empty", |_, c| c["at_hash"] = "".into(), JwtError::AtHash),
        ("cl_19 org_id another", |_, c| c["org_id"] = "org_2".into(), organization(Some("org_2"))),
        ("cl_19 org_id absent", |_, c| without(c, "org_id"), organization(None)),
        ("cl_19 org_id a number", |_, c| c["org_id"] = 7.into(), JwtError::Malformed("org_id")),
    ];
    for (name, change, wanted) in table {
        assert_eq!(verify_id(&changed(id_claims(), change), Some("org_1"), Some(NONCE)), Err(wanted), "{name}");
    }
    let access_token = signed(&header(), &access_claims());
    assert!(matches!(verify_id(&access_token, None, None), Err(JwtError::WrongAudience { .. })), "jw_16");
}

#[test]
fn cl_11_cl_19_unsent_nonce_and_organization_not_checked() {
    let mut claims = id_claims();
    without(&mut claims, "nonce");
    without(&mut claims, "org_id");
    assert!(verify_id(&signed(&header(), &claims), None, None).is_ok());
    assert!(verify_id(&signed(&header(), &id_claims()), None, None).is_ok());
}

#[test]
fn jw_1_jw_13_malformed_token_rejected() {
    let good = signed(&header(), &access_claims());
    let parts: Vec<&str> = good.split('.').collect();
    let (head, claims, signature) = (parts[0], parts[1], parts[2]);
    let encoded = |json: &str| URL_SAFE_NO_PAD.encode(json);
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(5_000), "]".repeat(5_000));
    let table = [
        (String::new(), JwtError::NotAJwt),
        ("opaque-token".to_owned(), JwtError::NotAJwt),
        ("..".to_owned(), JwtError::NotAJwt),
        (head.to_owned(), JwtError::NotAJwt),
        (format!("{head}.{claims}"), JwtError::NotAJwt),
        (format!("{head}.{claims}."), JwtError::NotAJwt),
        (format!("{head}..{signature}"), JwtError::NotAJwt),
        (format!(".{claims}.{signature}"), JwtError::NotAJwt),
        (format!("{good}.{signature}"), JwtError::NotAJwt),
        (format!("{good}.{signature}.{signature}.a"), JwtError::NotAJwt),
        ("1.2.3.4.5".to_owned(), JwtError::NotAJwt),
        (format!("{head}.{claims}.{signature}."), JwtError::NotAJwt),
        (format!(" {good}"), JwtError::NotAJwt),
        (format!("{good}\n"), JwtError::NotAJwt),
        (format!("Bearer {good}"), JwtError::NotAJwt),
        (format!("{good}=="), JwtError::NotAJwt),
        (format!("{head}.{claims}.{}", signature.replace(['-', '_'], "+")) + "+/", JwtError::NotAJwt),
        (format!("{head}.{}.{signature}", encoded("[]")), JwtError::NotAJwt),
        (format!("{head}.{}.{signature}", encoded("null")), JwtError::NotAJwt),
        (format!("{head}.{}.{signature}", encoded("\"text\"")), JwtError::NotAJwt),
        (format!("{head}.{}.{signature}", encoded("{} {}")), JwtError::NotAJwt),
        (format!("{head}.{}.{signature}", encoded("\u{feff}{}")), JwtError::NotAJwt),
        (format!("{head}.{}.{signature}", encoded(r#"{"exp": NaN}"#)), JwtError::NotAJwt),
        (format!("{head}.{}.{signature}", encoded(r#"{"exp": 1e999}"#)), JwtError::NotAJwt),
        (format!("{head}.{}.{signature}", URL_SAFE_NO_PAD.encode(b"{\"a\":\"\xff\"}")), JwtError::NotAJwt),
        (format!("{head}.{}.{signature}", encoded(&deep)), JwtError::NotAJwt),
        (format!("{}.{claims}.{signature}", encoded("[]")), JwtError::NotAJwt),
        (format!("{head}.key.iv.text.tag"), JwtError::Encrypted),
        (format!("{head}..iv.text.tag"), JwtError::Encrypted),
        ("a".repeat(16 * 1024), JwtError::NotAJwt),
        ("a".repeat(16 * 1024 + 1), JwtError::TooLong),
    ];
    for (token, wanted) in table {
        assert_eq!(Unverified::parse(&token).err(), Some(wanted), "{token}");
    }
}

#[test]
fn jw_12_duplicate_members_rejected() {
    let head = header().to_string();
    let claims = access_claims().to_string();
    let more = |json: &str, members: &str| format!("{},{members}}}", &json[..json.len() - 1]);
    let table = [
        (more(&head, r#""alg":"none""#), claims.clone()),
        (more(&head, r#""alg":"RS256""#), claims.clone()),
        (more(&head, r#""kid":null"#), claims.clone()),
        (head.clone(), more(&claims, r#""exp":9999999999"#)),
        (head.clone(), more(&claims, r#""\u0073ub":"someone else""#)),
        (head.clone(), more(&claims, r#""aud":"astronomer-ee""#)),
        (head.clone(), more(&claims, r#""nonce":1,"nonce":1"#)),
        (head.clone(), more(&claims, r#""isAstronomerGenerated":true,"isAstronomerGenerated":false"#)),
    ];
    for (header, claims) in table {
        let token = signed_by(0, &RSA_PKCS1_SHA256, &header, &claims);
        assert_eq!(verify_access(&token), Err(JwtError::DuplicateMember), "{header} {claims}");
    }
}

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
    let named = AccessToken::new(signed(&super::tests::header(), &access_claims()));
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
