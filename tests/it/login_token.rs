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
}

#[tokio::test]
async fn jw_2_jw_3_jw_8_jw_14_jw_15_bad_header_rejected_offline() {
    let cases = [
        (json!({"alg": null}), "the token has no `alg`"),
        (json!({"alg": "none"}), "unsupported token algorithm `none`; only `RS256` is accepted"),
        (json!({"alg": "HS256"}), "unsupported token algorithm `HS256`; only `RS256` is accepted"),
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
async fn jw_18_unusable_key_set_is_another_error() {
    let cases = [
        (Fault::Body("{}".to_owned()), "the issuer's key set is invalid"),
        (Fault::Body(r#"{"keys": []}"#.to_owned()), "the issuer publishes no RSA signature key of at least 2048 bits"),
    ];
    for (fault, cause) in cases {
        let stage = Stage::new();
        stage.service.fail(KEYS, fault);
        let token = stage.service.access_token(&json!({}));
        let refused = refused(&stage, &stage.token_request(&token), &token).await;
        assert_eq!(refused, refusal(cause, 1, &[AUTH_CONFIG, KEYS]));
    }
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
