//! `astro login --token-login`, in process: accepted tokens, rejected tokens with their errors, and that a rejected
//! token is not sent.

use crate::support::{CLIENT_ID, Fault, Mode as Browser, Options, Outcome, Part, Stage};
use astro_login::commands::login::{Login, TokenArgument};
use astro_login::credentials::{Credentials, StoreError};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};

const AUTH_CONFIG: &str = "/private/v1alpha1/cli/auth-config";
const KEYS: &str = "/.well-known/jwks.json";
const USER: &str = "/v1/users/self";

/// The token in the documentation of the command. It has expired long ago.
const DOCUMENTED: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6IjRmeDJYNVFNa2o3Q25ycVNyX1ZuTyJ9.eyJodHRwczovL2FzdHJvbm9tZXIuaW8va\
    nd0L2F1dGhfY29ubmVjdGlvbiI6eyJpZCI6ImNvbl9VazNBeTNDZGZ4Q1J5Z3BmIiwibmFtZSI6Imdvb2dsZS1vYXV0aDIiLCJzdHJhdGVneSI\
    6Imdvb2dsZS1vYXV0aDIifSwiaXNzIjoiaHR0cHM6Ly9hdXRoLmFzdHJvbm9tZXIuaW8vIiwic3ViIjoiZ29vZ2xlLW9hdXRoMnwxMTYzNjEzN\
    TExNTY5MTg0ODg0MzEiLCJhdWQiOlsiYXN0cm9ub21lci1lZSIsImh0dHBzOi8vYXN0cm9ub21lci1wcm9kLnVzLmF1dGgwLmNvbS91c2VyaW5\
    mbyJdLCJpYXQiOjE2NzkzODc3NDAsImV4cCI6MTY3OTQ3NDE0MCwiYXpwIjoiWXE5YXRZWFRlZjZ0ZVpZSlhrd2xRbDZsWHBOS2t6OHUiLCJzY\
    29wZSI6Im9wZW5pZCBwcm9maWxlIGVtYWlsIG9mZmxpbmVfYWNjZXNzIiwicGVybWlzc2lvbnMiOltdfQ.mk5nkukONLjmayTL5RLytLAYO7w6\
    PU-0PeCyNmyP7LNUBgPGlG22m3PzJ3jaLFRiIy-8sG0nJ_vmjPhBYYI_61WEFdVj3oGmIbHXc4gVlICaTn_MbbchVDFRVzp09akYcjWvD4TeXp\
    IAp9Fc0-4b-FbCAxryETmS5W8JxyRscp1n9lOFia_yYgWXbXrETs9Guz_z6ErfYmGA71XiihJcy41ccGnb4Agf_aEn-Dwh3tCaKRJ-Mxb_yLKS\
    ZHKRyjNfZH9v_ZW1eDPfkF3oV0c4qFCIx8vHryK3q3h2jpsDw_r-_VmuNqSRxrY8ms0ixtq98PmjQ0vDvmiUYZPXnxBNOw";

#[derive(Debug, PartialEq, Eq)]
struct Refusal {
    cause: String,
    code: u8,
    requested: Vec<String>,
}

fn refusal(cause: &str, code: u8, requested: &[&str]) -> Refusal {
    Refusal { cause: cause.to_owned(), code, requested: requested.iter().map(|&path| path.to_owned()).collect() }
}

fn paths(stage: &Stage) -> Vec<String> {
    stage.service.requests().into_iter().map(|request| request.path).collect()
}

/// Runs a login. It must fail, leave nothing behind, and neither send nor show the token.
async fn refused(stage: &Stage, request: &Login, token: &str) -> Refusal {
    let outcome = stage.login(request).await;
    let told = format!("{}{}{}", outcome.stdout, outcome.stderr, outcome.error_chain());
    let Refused { cause, code } = Refused::from(stage, &outcome);
    assert_eq!(stage.stored(), None);
    assert_eq!(stage.home.config(), None);
    assert_eq!(stage.browser.opened(), []);
    // Only the signature makes a token secret.
    let secret = token.rsplit('.').next().unwrap();
    assert!(!told.contains(secret), "{told}");
    for sent in stage.service.requests() {
        assert!(!format!("{sent:?}").contains(secret), "sent: {sent:?}");
    }
    Refusal { cause, code, requested: paths(stage) }
}

struct Refused {
    cause: String,
    code: u8,
}

impl Refused {
    fn from(stage: &Stage, outcome: &Outcome) -> Self {
        let error_chain = outcome.error_chain();
        let about = format!("could not log in to {}\n", stage.service.domain());
        let cause = error_chain.strip_prefix(&about).unwrap_or(&error_chain).to_owned();
        Self { cause, code: outcome.exit_code() }
    }
}

/// A token of this world, ready to be refused.
async fn refused_token(make: impl FnOnce(&Stage) -> String) -> Refusal {
    let stage = Stage::new();
    let token = make(&stage);
    refused(&stage, &stage.token_request(&token), &token).await
}

async fn refused_claims(patch: Value) -> Refusal {
    refused_token(|stage| stage.service.access_token(&patch)).await
}

async fn refused_header(patch: Value) -> Refusal {
    refused_token(|stage| stage.service.sign(&patch, &claims(stage))).await
}

fn claims(stage: &Stage) -> Value {
    let token = stage.service.access_token(&json!({}));
    let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&claims).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "the tokens of this world are made by the machine's clock")]
fn now() -> Timestamp {
    Timestamp::now()
}

fn hint(outcome: &Outcome) -> String {
    outcome.result.as_ref().unwrap_err().hint().unwrap_or_default()
}

fn expected(stage: &Stage, token: &str) -> Credentials {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&bytes).unwrap();
    let at = |name: &str| Timestamp::from_second(claims[name].as_i64().unwrap()).unwrap();
    Credentials { issued_at: Some(at("iat")), expires_at: Some(at("exp")), ..stage.credentials(token) }
}

#[tokio::test]
async fn token_login_warns_of_no_refresh() {
    let stage = Stage::new();
    let token = stage.service.access_token(&json!({}));
    let request = Login { workspace: Some("Punched Cards".to_owned()), ..stage.token_request(&token) };
    let outcome = stage.login(&request).await.success();
    let credentials = expected(&stage, &token);
    assert_eq!(stage.stored().as_ref(), Some(&credentials));
    assert_eq!(stage.browser.opened(), [], "no browser");
    assert_eq!(outcome.stdout, "");
    let until = credentials.expires_at.unwrap().strftime("%Y-%m-%d %H:%M");
    assert_eq!(
        outcome.stderr,
        format!(
            "Logged in to {} as Ada Lovelace <ada@example.com>\n  organization  Analytical Engines\n  \
             workspace     Punched Cards\n  credentials   the test's keychain\n  expires       {until} UTC (in 24 hours); \
             log in again after that\n",
            stage.service.domain()
        )
    );
    // The token is asked for nothing but what a login needs, by an API that has been found to be the one it is for.
    let mut requested = paths(&stage);
    assert_eq!(requested[..2], [AUTH_CONFIG, KEYS]);
    requested[2..].sort();
    assert_eq!(requested[2..], ["/v1/organizations", "/v1/organizations/clorg00000000000000000001/workspaces", USER]);
    for request in stage.service.requests() {
        let bearer = request.path.starts_with("/v1/").then(|| format!("Bearer {token}"));
        assert_eq!(request.header("authorization"), bearer.as_deref(), "{}", request.path);
        assert!(!request.body.contains(&token) && request.query.iter().all(|(_, value)| *value != token));
    }
    let config = stage.home.config().unwrap();
    assert!(config.contains("user_email: ada@example.com"), "{config}");
    assert!(!config.contains(&token), "{config}");
}

#[tokio::test]
async fn bearer_prefix_and_white_space_are_dropped() {
    for (before, after) in [("Bearer ", ""), ("  bearer \t", " \r\n"), ("\u{feff}\"", "\"\n"), ("BEARER\n'", "'")] {
        let stage = Stage::new();
        let token = stage.service.access_token(&json!({}));
        let wrapped = token.replace('.', ".\r\n ");
        let outcome = stage.login(&stage.token_request(&format!("{before}{wrapped}{after}"))).await;
        assert_eq!(outcome.exit_code(), 0, "{before:?} {outcome:?}");
        assert_eq!(stage.stored(), Some(expected(&stage, &token)), "{before:?}");
    }
}

#[tokio::test]
async fn dash_reads_token_from_stdin() {
    let mut stage = Stage::new();
    let token = stage.service.access_token(&json!({}));
    stage.stdin = format!("Bearer {token}\r\n");
    let request = Login { token_login: Some(TokenArgument::Stdin), ..stage.request() };
    assert_eq!(stage.login(&request).await.exit_code(), 0);
    assert_eq!(stage.stored(), Some(expected(&stage, &token)));
}

#[tokio::test]
async fn empty_or_oversized_stdin_fails_without_request() {
    let cases = [
        (String::new(), "could not read a token from standard input\nthe text is empty", 4),
        ("\u{feff}\r\n".to_owned(), "could not read a token from standard input\nthe text is empty", 4),
        ("Bearer \n".to_owned(), "could not read a token from standard input\nthe text is empty", 4),
        ("***".to_owned(), "could not read a token from standard input\nthe text contains `*`, which no token does", 4),
        ("a".repeat(64 * 1024), "the token is longer than 16 KiB", 4),
        ("a".repeat(64 * 1024 + 1), "the input is longer than 64 KiB", 1),
    ];
    for (stdin, cause, code) in cases {
        let mut stage = Stage::new();
        stage.stdin = stdin;
        let request = Login { token_login: Some(TokenArgument::Stdin), ..stage.request() };
        assert_eq!(refused(&stage, &request, "a token that was never there").await, refusal(cause, code, &[]));
    }
}

#[tokio::test]
async fn empty_token_argument_is_named() {
    for token in ["", "  ", "Bearer", "bearer  "] {
        let stage = Stage::new();
        let outcome = stage.login(&stage.token_request(token)).await;
        let Refused { cause, code } = Refused::from(&stage, &outcome);
        let expected = "could not read a token from the argument of `--token-login`\nthe text is empty";
        assert_eq!((cause.as_str(), code, paths(&stage)), (expected, 4, Vec::new()), "{token:?}");
        assert!(hint(&outcome).starts_with("check the variable or secret that should hold the token"));
    }
}

#[tokio::test]
async fn jw_1_malformed_token_rejected_offline() {
    let not_a_jwt = refusal("not a JSON Web Token (JWT)", 4, &[]);
    for shape in ["opaque-and-secret", "a.b.c-secret", "e30.e30", "e30..c2VjcmV0"] {
        assert_eq!(refused_token(|_| shape.to_owned()).await, not_a_jwt, "{shape}");
    }
    let parts = |stage: &Stage| -> Vec<String> {
        stage.service.access_token(&json!({})).split('.').map(str::to_owned).collect()
    };
    let stage = Stage::new();
    let unsigned = parts(&stage)[..2].join(".") + ".";
    assert_eq!(Refused::from(&stage, &stage.login(&stage.token_request(&unsigned)).await).cause, not_a_jwt.cause);
    assert_eq!(paths(&stage), Vec::<String>::new());
    let encrypted = refused_token(|stage| format!("{}.a.b.c.d-secret", parts(stage)[0])).await;
    assert_eq!(encrypted, refusal("encrypted tokens are not supported", 4, &[]));
}

#[tokio::test]
async fn jw_2_jw_3_other_algorithms_rejected_offline() {
    for algorithm in ["none", "None", "HS256", "RS512", "PS256", "ES256", "rs256"] {
        let cause = format!("unsupported token algorithm `{algorithm}`; only `RS256` is accepted");
        assert_eq!(refused_header(json!({ "alg": algorithm })).await, refusal(&cause, 4, &[]));
    }
}

#[tokio::test]
async fn jw_8_jw_14_jw_15_bad_header_rejected_offline() {
    let cases = [
        (json!({"alg": null}), "the token has no `alg`"),
        (json!({"crit": ["b64"], "b64": false}), "unsupported `crit` header in the token"),
        (json!({"b64": false}), "unsupported `b64` header in the token"),
        (json!({"zip": "DEF"}), "unsupported `zip` header in the token"),
        (json!({"typ": "dpop+jwt"}), "unexpected token type `dpop+jwt`"),
    ];
    for (patch, cause) in cases {
        assert_eq!(refused_header(patch).await, refusal(cause, 4, &[]));
    }
}

#[tokio::test]
async fn cl_7_expired_token_rejected_offline() {
    for (ago, words) in [(61.seconds(), "1 minute ago"), (3.hours(), "3 hours ago")] {
        let exp = now() - ago;
        let cause = format!("expired on {} ({words})", exp.strftime("%Y-%m-%d"));
        assert_eq!(refused_claims(json!({"exp": exp.as_second()})).await, refusal(&cause, 4, &[]));
    }
    assert_eq!(refused_claims(json!({"exp": null})).await, refusal("the token has no `exp`", 4, &[]));
    assert_eq!(refused_claims(json!({"exp": "soon"})).await, refusal("the token's `exp` is malformed", 4, &[]));
}

#[tokio::test]
async fn documented_token_has_expired() {
    let stage = Stage::new();
    let request = stage.token_request(DOCUMENTED);
    let Refusal { cause, code, requested } = refused(&stage, &request, DOCUMENTED).await;
    let years = cause.strip_prefix("expired on 2023-03-22 (").and_then(|rest| rest.strip_suffix(" years ago)"));
    assert!(years.is_some_and(|years| years.parse::<u32>().is_ok_and(|years| years >= 3)), "{cause}");
    assert_eq!((code, requested), (4, Vec::new()));
    let outcome = stage.login(&request).await;
    assert_eq!(hint(&outcome), "log in again, or get a new token at https://cloud.astronomer.io/token");
}

#[tokio::test]
async fn jw_16_id_token_detected_by_type_or_audience() {
    let by_itself = json!({"aud": CLIENT_ID, "scope": null, "permissions": null});
    assert_eq!(refused_claims(by_itself).await, refusal("this is an ID token", 4, &[]));
    let by_nonce = json!({"nonce": "n", "scope": null, "permissions": null});
    assert_eq!(refused_claims(by_nonce).await, refusal("this is an ID token", 4, &[]));
    let by_audience = json!({ "aud": CLIENT_ID });
    assert_eq!(refused_claims(by_audience).await, refusal("this is an ID token", 4, &[AUTH_CONFIG]));
}

#[tokio::test]
async fn cl_1_cl_2_other_issuer_rejected_before_keys() {
    let stage = Stage::new();
    let domain = stage.service.domain();
    let issuer = stage.service.issuer();
    let token = stage.service.access_token(&json!({"iss": "https://auth.astronomer-stage.io/"}));
    let request = stage.token_request(&token);
    let cause = format!("issued for astronomer-stage.io, you asked for {domain}");
    assert_eq!(refused(&stage, &request, &token).await, refusal(&cause, 4, &[AUTH_CONFIG]));
    let outcome = stage.login(&request).await;
    assert_eq!(hint(&outcome), "run `astro login DOMAIN --token-login -` with the domain of the token");

    for other in [issuer.trim_end_matches('/'), "https://evil.example/\u{1b}[2J", &issuer.to_uppercase()] {
        let token = stage.service.access_token(&json!({ "iss": other }));
        let outcome = stage.login(&stage.token_request(&token)).await;
        let Refused { cause, code } = Refused::from(&stage, &outcome);
        assert_eq!(cause, format!("issued by {}, not by {issuer}", other.replace('\u{1b}', "")));
        assert_eq!(code, 4);
    }
    assert_eq!(paths(&stage), [AUTH_CONFIG; 5]);
    assert_eq!(stage.stored(), None);
}

#[tokio::test]
async fn cl_3_cl_4_bad_claims_rejected_before_keys() {
    let cases = [
        (json!({"iss": null}), "the token has no `iss`"),
        (json!({"aud": null}), "the token has no `aud`"),
        (json!({"aud": "other"}), "made for `other`, not for `astronomer-ee`"),
        (json!({"aud": ["one", "two"]}), "made for `one`, `two`, not for `astronomer-ee`"),
        (json!({"aud": [1]}), "the token's `aud` is malformed"),
        (json!({"sub": null}), "the token has no `sub`"),
        (json!({"sub": ""}), "the token's `sub` is malformed"),
        (json!({"nbf": true}), "the token's `nbf` is malformed"),
    ];
    for (patch, cause) in cases {
        assert_eq!(refused_claims(patch.clone()).await, refusal(cause, 4, &[AUTH_CONFIG]), "{patch}");
    }
}

#[tokio::test]
async fn cl_8_cl_10_future_token_rejected_before_keys() {
    let future = Timestamp::from_second(now().as_second() + 3600).unwrap();
    for (claim, words) in
        [("nbf", format!("not valid before {future}, and")), ("iat", format!("issued at {future}, but"))]
    {
        let Refusal { cause, code, requested } = refused_claims(json!({ claim: future.as_second() })).await;
        assert!(cause.starts_with(&format!("{words} this machine's clock says ")), "{cause}");
        assert_eq!((code, requested), (4, vec![AUTH_CONFIG.to_owned()]));
    }
}

#[tokio::test]
async fn cl_9_clock_skew_of_a_minute_accepted() {
    let stage = Stage::new();
    let soon = now().as_second() + 50;
    let token = stage.service.access_token(&json!({"nbf": soon, "iat": soon}));
    assert_eq!(stage.login(&stage.token_request(&token)).await.exit_code(), 0);
}

#[tokio::test]
async fn jw_10_jw_17_unknown_key_refetches_key_set() {
    let unknown = refusal("signed with a key that the issuer does not publish", 4, &[AUTH_CONFIG, KEYS, KEYS]);
    assert_eq!(refused_header(json!({"kid": "../../etc/passwd"})).await, unknown);
    let stage = Stage::new();
    stage.service.set(|world| world.signing_key = 1);
    let token = stage.service.access_token(&json!({}));
    assert_eq!(refused(&stage, &stage.token_request(&token), &token).await, unknown);
}

#[tokio::test]
async fn jw_17_new_key_is_found() {
    let stage = Stage::new();
    stage.service.set(|world| (world.signing_key, world.second_key_after) = (1, 1));
    let token = stage.service.access_token(&json!({}));
    drop(stage.login(&stage.token_request(&token)).await.success());
    assert_eq!(paths(&stage)[..3], [AUTH_CONFIG, KEYS, KEYS]);
    // No keys are kept on disk, so the next login fetches them again.
    let folder = std::fs::read_dir(stage.home.path().join(".astro")).unwrap();
    let names = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let known =
        |name: &str| name.starts_with("config.yaml") || name.ends_with("refresh.lock") || name == "login-names.json";
    let other: Vec<_> = names.filter(|name| !known(name)).collect();
    assert_eq!(other, [""; 0]);
    stage.service.set(|world| world.second_key_after = 0);
    assert_eq!(stage.login(&stage.token_request(&token)).await.exit_code(), 0);
    assert_eq!(stage.service.requests_to(KEYS).len(), 3);
}

#[tokio::test]
async fn cl_2_another_issuers_keys_do_not_count() {
    let (stage, other) =
        (Stage::new(), Stage::with(Options { second_key_after: 0, ..Options::default() }, Browser::NeverComeBack));
    stage.service.set(|world| world.signing_key = 1);
    let header = json!({"jku": other.service.url(KEYS).as_str()});
    let token = stage.service.sign(&header, &claims(&stage));
    let refused = refused(&stage, &stage.token_request(&token), &token).await;
    assert_eq!(refused, refusal("signed with a key that the issuer does not publish", 4, &[AUTH_CONFIG, KEYS, KEYS]));
    assert_eq!(paths(&other), [""; 0]);
}

#[tokio::test]
async fn login_removes_old_login_cache() {
    let stage = Stage::new();
    let cache = stage.home.path().join(".astro/login-cache.json");
    std::fs::write(&cache, "{}").unwrap();
    let token = stage.service.access_token(&json!({}));
    assert_eq!(stage.login(&stage.token_request(&token)).await.exit_code(), 0);
    assert!(!cache.exists());
}

#[tokio::test]
async fn jw_5_jw_9_jw_18_bad_signature_rejected() {
    let wrong = refusal("invalid token signature", 4, &[AUTH_CONFIG, KEYS]);
    let damaged = |stage: &Stage| {
        let token = stage.service.access_token(&json!({}));
        let middle = token.rfind('.').unwrap() + 100;
        let other = if &token[middle..=middle] == "A" { "B" } else { "A" };
        format!("{}{other}{}", &token[..middle], &token[middle + 1..])
    };
    assert_eq!(refused_token(damaged).await, wrong, "damaged");
    let forged = |stage: &Stage| {
        let [good, others] =
            [json!({}), json!({"sub": "auth0|grace@example.org"})].map(|it| stage.service.access_token(&it));
        let parts: Vec<&str> = good.split('.').collect();
        format!("{}.{}.{}", parts[0], others.split('.').nth(1).unwrap(), parts[2])
    };
    assert_eq!(refused_token(forged).await, wrong, "other claims");
    // A key in the header is not trusted.
    let by_another_key = |stage: &Stage| {
        stage.service.set(|world| world.signing_key = 1);
        let header =
            json!({"kid": "insecure-test-key-1", "jku": stage.service.url(KEYS).as_str(), "jwk": {"kty": "RSA"}});
        stage.service.sign(&header, &claims(stage))
    };
    assert_eq!(refused_token(by_another_key).await, wrong, "another key");
}

#[tokio::test]
async fn jw_17_jw_18_unreachable_keys_are_another_error() {
    let cases = [
        (Fault::Status(503, String::new()), "could not fetch the issuer's keys: @: HTTP status 503"),
        (Fault::CloseMidBody, "could not fetch the issuer's keys: @: the connection was closed during the response"),
        (Fault::Body("<html>".to_owned()), "could not fetch the issuer's keys: @: invalid response"),
        (
            Fault::Redirect("https://evil.example/keys".to_owned()),
            "could not fetch the issuer's keys: @: unexpected redirect to evil.example",
        ),
        (
            Fault::Body("x".repeat(1024 * 1024 + 1)),
            "could not fetch the issuer's keys: @: the response is larger than 1048576 bytes",
        ),
        (Fault::Body("{}".to_owned()), "the issuer's key set is invalid"),
        (Fault::Body(r#"{"keys": []}"#.to_owned()), "the issuer publishes no RSA signature key of at least 2048 bits"),
    ];
    for (fault, cause) in cases {
        let stage = Stage::new();
        stage.service.fail(KEYS, fault);
        let token = stage.service.access_token(&json!({}));
        let refused = refused(&stage, &stage.token_request(&token), &token).await;
        let cause = cause.replace('@', &stage.service.domain());
        assert_eq!(refused, refusal(&cause, 1, &[AUTH_CONFIG, KEYS]));
    }
}

#[tokio::test]
async fn missing_auth_config_stops_login() {
    let cases = [
        (Fault::Status(503, r#"{"message": "down for repair"}"#.to_owned()), "HTTP status 503: down for repair"),
        (Fault::Status(404, String::new()), "HTTP status 404"),
        (Fault::Body("<html>".to_owned()), "invalid response"),
        (Fault::Body("{}".to_owned()), "invalid response"),
        (Fault::Redirect("/elsewhere".to_owned()), "unexpected redirect"),
    ];
    for (fault, words) in cases {
        let stage = Stage::new();
        stage.service.fail(AUTH_CONFIG, fault);
        let token = stage.service.access_token(&json!({}));
        let refused = refused(&stage, &stage.token_request(&token), &token).await;
        let cause = format!("could not fetch the login configuration: {}: {words}", stage.service.domain());
        assert_eq!(refused, refusal(&cause, 1, &[AUTH_CONFIG]));
    }
}

#[tokio::test]
async fn ar_18_foreign_issuer_rejected() {
    let stage = Stage::new();
    stage.service.patch(Part::AuthConfig, json!({"domainUrl": "https://auth.evil.example/"}));
    let token = stage.service.access_token(&json!({"iss": "https://auth.evil.example/"}));
    let refused = refused(&stage, &stage.token_request(&token), &token).await;
    let domain = stage.service.domain();
    let cause = format!(
        "the login configuration of {domain} names `auth.evil.example` as its issuer, which does not belong to it"
    );
    assert_eq!(refused, refusal(&cause, 1, &[AUTH_CONFIG]));
}

#[tokio::test]
async fn refused_connection_names_host_and_cause() {
    let stage = Stage::new();
    let token = stage.service.access_token(&json!({}));
    let request = Login { domain: Some("localhost:1".to_owned()).into(), ..stage.token_request(&token) };
    let Refusal { cause, code, requested } = refused(&stage, &request, &token).await;
    let lines: Vec<&str> = cause.lines().collect();
    assert_eq!(lines[0], "could not log in to localhost:1");
    let words = "could not fetch the login configuration: localhost:1: could not connect: ";
    assert!(lines.len() == 2 && lines[1].starts_with(words), "{cause}");
    assert_eq!((code, requested), (1, Vec::new()));
}

#[tokio::test]
async fn token_refused_by_api_leaves_nothing() {
    for (status, code) in [(401, 4), (403, 1), (500, 1)] {
        let stage = Stage::new();
        stage.service.fail(USER, Fault::Status(status, r#"{"message": "revoked"}"#.to_owned()));
        let token = stage.service.access_token(&json!({}));
        let outcome = stage.login(&stage.token_request(&token)).await;
        let told = Refused::from(&stage, &outcome);
        let domain = stage.service.domain();
        let cause = format!("could not read your Astro user: {domain}: HTTP status {status}: revoked");
        assert_eq!((told.cause, told.code), (cause, code));
        assert_eq!((stage.stored(), stage.home.config()), (None, None));
    }
}

#[tokio::test]
async fn tk_3_token_follows_no_redirect() {
    let stage = Stage::new();
    stage.service.fail(USER, Fault::Redirect(stage.service.url("/elsewhere").to_string()));
    let token = stage.service.access_token(&json!({}));
    let outcome = stage.login(&stage.token_request(&token)).await;
    let Refused { cause, code } = Refused::from(&stage, &outcome);
    let domain = stage.service.domain();
    let words = format!("could not read your Astro user: {domain}: unexpected redirect to {domain}");
    assert_eq!((cause, code), (words, 1));
    assert_eq!(stage.service.requests_to("/elsewhere"), []);
    assert_eq!((stage.stored(), stage.home.config()), (None, None));
}

#[tokio::test]
async fn token_of_other_email_rejected() {
    let stage = Stage::new();
    let token = stage.service.access_token(&json!({}));
    let request = |email: &str| Login { email: Some(email.parse().unwrap()), ..stage.token_request(&token) };
    let outcome = stage.login(&request("grace@example.org")).await;
    let Refused { cause, code } = Refused::from(&stage, &outcome);
    assert_eq!(cause, "expected grace@example.org, but the token belongs to ada@example.com");
    assert_eq!(code, 4);
    assert_eq!(hint(&outcome), "use a token of the expected account, or drop `--email`");
    assert_eq!((stage.stored(), stage.home.config()), (None, None));

    stage.service.patch(Part::User, json!({"username": ""}));
    let Refused { cause, .. } = Refused::from(&stage, &stage.login(&request("ada@example.com")).await);
    assert_eq!(cause, "expected ada@example.com, but the token belongs to an account without a verified email");
    assert_eq!((stage.stored(), stage.home.config()), (None, None));

    stage.service.patch(Part::User, json!({}));
    assert_eq!(stage.login(&request("ADA@Example.com")).await.exit_code(), 0);
    assert_eq!(stage.stored(), Some(expected(&stage, &token)));
}

#[tokio::test]
async fn rejected_token_keeps_earlier_login() {
    let stage = Stage::new();
    let good = stage.service.access_token(&json!({}));
    assert_eq!(stage.login(&stage.token_request(&good)).await.exit_code(), 0);
    let (stored, config) = (stage.stored(), stage.home.config());
    let expired = stage.service.access_token(&json!({"exp": 1}));
    let damaged = format!("{}AAAA", &stage.service.access_token(&json!({}))[..400]);
    for token in [expired, damaged] {
        assert_ne!(stage.login(&stage.token_request(&token)).await.exit_code(), 0);
        assert_eq!((stage.stored(), stage.home.config()), (stored.clone(), config.clone()));
    }
}

#[tokio::test]
async fn locked_keychain_fails_before_token_is_sent() {
    let stage = Stage::new();
    stage.keychain.fail(StoreError::Locked);
    let token = stage.service.access_token(&json!({}));
    let outcome = stage.login(&stage.token_request(&token)).await;
    let Refused { cause, code } = Refused::from(&stage, &outcome);
    assert_eq!((cause.as_str(), code), ("could not use the keychain\nthe keychain is locked", 1));
    assert!(stage.service.requests().iter().all(|request| !format!("{request:?}").contains(&token)));
    assert_eq!(stage.home.config(), None);
}

#[tokio::test]
async fn environment_token_warning_names_variable() {
    let mut stage = Stage::new();
    stage.environment = stage.environment.clone().with("ASTRO_API_TOKEN", "a-secret-that-is-not-told");
    let token = stage.service.access_token(&json!({}));
    let outcome = stage.login(&stage.token_request(&token)).await.success();
    let warning = "warning: ASTRO_API_TOKEN is set and overrides this login\n";
    assert!(outcome.stderr.starts_with(warning), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("a-secret"), "{}", outcome.stderr);
}
