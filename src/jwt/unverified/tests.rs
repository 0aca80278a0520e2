//! The claims of access tokens and ID tokens.

use serde_json::{Value, json};

use crate::jwt::tests::*;
use crate::jwt::*;

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
            "an API token with other faults",
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
