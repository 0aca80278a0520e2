//! More than a hundred tokens, most of them invalid for one reason.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{RSA_PKCS1_SHA256, RsaEncoding, RsaKeyPair};
use serde_json::{Value, json};

use super::*;

/// The example in the documentation of `astro login`. It is public, and expired in 2023.
pub(super) const DOCUMENTED: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6IjRmeDJYNVFNa2o3Q25ycVNyX1ZuTyJ9.eyJodHRwczovL2FzdHJvbm9tZXIuaW8vand0L2F1dGhfY29ubmVjdGlvbiI6eyJpZCI6ImNvbl9VazNBeTNDZGZ4Q1J5Z3BmIiwibmFtZSI6Imdvb2dsZS1vYXV0aDIiLCJzdHJhdGVneSI6Imdvb2dsZS1vYXV0aDIifSwiaXNzIjoiaHR0cHM6Ly9hdXRoLmFzdHJvbm9tZXIuaW8vIiwic3ViIjoiZ29vZ2xlLW9hdXRoMnwxMTYzNjEzNTExNTY5MTg0ODg0MzEiLCJhdWQiOlsiYXN0cm9ub21lci1lZSIsImh0dHBzOi8vYXN0cm9ub21lci1wcm9kLnVzLmF1dGgwLmNvbS91c2VyaW5mbyJdLCJpYXQiOjE2NzkzODc3NDAsImV4cCI6MTY3OTQ3NDE0MCwiYXpwIjoiWXE5YXRZWFRlZjZ0ZVpZSlhrd2xRbDZsWHBOS2t6OHUiLCJzY29wZSI6Im9wZW5pZCBwcm9maWxlIGVtYWlsIG9mZmxpbmVfYWNjZXNzIiwicGVybWlzc2lvbnMiOltdfQ.mk5nkukONLjmayTL5RLytLAYO7w6PU-0PeCyNmyP7LNUBgPGlG22m3PzJ3jaLFRiIy-8sG0nJ_vmjPhBYYI_61WEFdVj3oGmIbHXc4gVlICaTn_MbbchVDFRVzp09akYcjWvD4TeXpIAp9Fc0-4b-FbCAxryETmS5W8JxyRscp1n9lOFia_yYgWXbXrETs9Guz_z6ErfYmGA71XiihJcy41ccGnb4Agf_aEn-Dwh3tCaKRJ-Mxb_yLKSZHKRyjNfZH9v_ZW1eDPfkF3oV0c4qFCIx8vHryK3q3h2jpsDw_r-_VmuNqSRxrY8ms0ixtq98PmjQ0vDvmiUYZPXnxBNOw";

pub(super) const ISSUER: &str = "https://auth.astronomer.io/";
pub(super) const AUDIENCE: &str = "astronomer-ee";
pub(super) const CLIENT: &str = "client-1";
pub(super) const NONCE: &str = "nonce-of-this-login";
pub(super) const ACCESS: ExpectedAccess<'_> = ExpectedAccess { issuer: ISSUER, audience: AUDIENCE, client_id: CLIENT };
/// 2026-11-24T10:00:00Z.
pub(super) const NOW: i64 = 1_795_514_400;
pub(super) const HOUR: i64 = 3_600;

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

pub(super) fn key(number: usize) -> &'static RsaKeyPair {
    static KEYS: [OnceLock<RsaKeyPair>; 3] = [const { OnceLock::new() }; 3];
    let files: [&[u8]; 3] = [
        include_bytes!("../../tests/keys/insecure-test-key-1.pk8"),
        include_bytes!("../../tests/keys/insecure-test-key-2.pk8"),
        include_bytes!("../../tests/keys/insecure-test-key-4096.pk8"),
    ];
    KEYS[number].get_or_init(|| RsaKeyPair::from_pkcs8(files[number]).unwrap())
}

pub(super) fn jwk(number: usize, kid: Option<&str>) -> Value {
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

pub(super) fn key_set(keys: &[Value]) -> Jwks {
    Jwks::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

pub(super) fn published() -> Jwks {
    key_set(&[jwk(0, Some("one")), jwk(2, Some("three"))])
}

pub(super) fn signed_by(number: usize, with: &'static dyn RsaEncoding, header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let mut signature = vec![0; key(number).public().modulus_len()];
    key(number).sign(with, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

pub(super) fn signed(header: &Value, claims: &Value) -> String {
    signed_by(0, &RSA_PKCS1_SHA256, &header.to_string(), &claims.to_string())
}

pub(super) fn header() -> Value {
    json!({"alg": "RS256", "typ": "JWT", "kid": "one"})
}

pub(super) fn access_claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "google-oauth2|1163", "aud": [AUDIENCE, "https://astronomer-prod.us.auth0.com/userinfo"],
        "iat": NOW - HOUR, "exp": NOW + HOUR, "azp": "another-client", "scope": "openid profile email",
        "permissions": [], "https://astronomer.io/jwt/auth_connection": {"id": "con_1", "name": "google-oauth2"},
    })
}

pub(super) fn id_claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "google-oauth2|1163", "aud": CLIENT, "iat": NOW - 5, "exp": NOW + HOUR, "nonce": NONCE,
        "email": "person@example.com", "org_id": "org_1",
    })
}

pub(super) fn verify_access(token: &str) -> Result<Claims, JwtError> {
    verify_access_token(&AccessToken::new(token), &published(), &ACCESS, at(NOW))
}

/// Verifies an ID token that came with the access token of the examples in OpenID Connect Core (appendix A.4).
pub(super) fn verify_id(token: &str, organization: Option<&str>, nonce: Option<&str>) -> Result<Claims, JwtError> {
    let access_token = AccessToken::new("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y");
    let expected = ExpectedId { issuer: ISSUER, client_id: CLIENT, nonce, organization, access_token: &access_token };
    verify_id_token(&IdToken::new(token), &published(), &expected, at(NOW))
}

/// Changes the header and claims of a valid token.
pub(super) type Change = fn(&mut Value, &mut Value);

pub(super) fn without(object: &mut Value, name: &str) {
    object.as_object_mut().unwrap().remove(name);
}

pub(super) fn changed(mut claims: Value, change: Change) -> String {
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
        email_unverified: false,
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
        email_unverified: false,
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
