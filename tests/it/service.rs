//! The test service: it rejects wrong requests for the right reason.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde_json::{Value, json};
use url::Url;

use crate::support::{AUDIENCE, CLIENT_ID, FakeBrowser, Mode, Options, Service};

// RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const REDIRECT_URI: &str = "http://localhost:12345/callback";

const ASTRO: [(&str, &str); 3] = [
    ("x-astro-client-identifier", "cli"),
    ("x-astro-client-version", "1.0.0"),
    ("x-client-os-identifier", "linux-amd64"),
];

struct Client(reqwest::Client);

impl Client {
    fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self(reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap())
    }

    async fn get(&self, url: Url, bearer: &str) -> (u16, Value) {
        let request = ASTRO.iter().fold(self.0.get(url), |request, (name, value)| request.header(*name, *value));
        let answer = request.bearer_auth(bearer).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn post(&self, url: Url, form: &[(&str, &str)]) -> (u16, Value) {
        let answer = self.0.post(url).form(form).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn redeem(&self, service: &Service, code: &str, verifier: &str) -> (u16, Value) {
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", CLIENT_ID),
            ("code", code),
            ("code_verifier", verifier),
            ("redirect_uri", REDIRECT_URI),
        ];
        self.post(service.url("/oauth/token"), &form).await
    }

    async fn refresh(&self, service: &Service, token: &Value) -> (u16, Value) {
        let token = token.as_str().unwrap();
        let form = [("grant_type", "refresh_token"), ("client_id", CLIENT_ID), ("refresh_token", token)];
        self.post(service.url("/oauth/token"), &form).await
    }

    async fn log_in(&self, service: &Service) -> Value {
        let (status, tokens) = self.redeem(service, &code(service), VERIFIER).await;
        assert_eq!(status, 200, "{tokens}");
        tokens
    }
}

fn authorization_url(service: &Service, change: &[(&str, &str)]) -> Url {
    let mut url = service.url("/authorize");
    let parameters = [
        ("response_type", "code"),
        ("client_id", CLIENT_ID),
        ("audience", AUDIENCE),
        ("redirect_uri", REDIRECT_URI),
        ("scope", "openid profile email offline_access"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("state", "the-state"),
        ("nonce", "the-nonce"),
        ("login_hint", "\"ada\"@example.com"),
    ];
    let changed = |name: &str| change.iter().any(|(other, _)| *other == name);
    let kept = parameters.iter().filter(|(name, _)| !changed(name));
    url.query_pairs_mut().extend_pairs(kept.chain(change));
    url
}

/// The parameters that the browser would bring back.
fn redirect(service: &Service, mode: Mode, change: &[(&str, &str)]) -> Value {
    let browser = FakeBrowser::new(mode);
    browser.visit(&authorization_url(service, change));
    let redirect = browser.redirect().unwrap();
    assert_eq!(redirect.as_str().split_once('?').unwrap().0, REDIRECT_URI);
    redirect
        .query_pairs()
        .map(|(name, value)| (name.into_owned(), json!(value)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn code(service: &Service) -> String {
    let redirect = redirect(service, Mode::StopAtRedirect("ada@example.com".to_owned()), &[]);
    redirect["code"].as_str().unwrap().to_owned()
}

/// The claims of a token, once its signature is found good by the key of its `kid`.
fn verified(token: &Value, keys: &Value) -> Option<Value> {
    let (input, signature) = token.as_str()?.rsplit_once('.')?;
    let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).ok();
    let parts: Vec<Value> =
        input.split('.').map(|part| serde_json::from_slice(&decode(part)?).ok()).collect::<Option<_>>()?;
    let key = keys["keys"].as_array()?.iter().find(|key| key["kid"] == parts[0]["kid"])?;
    let key = RsaPublicKeyComponents { n: decode(key["n"].as_str()?)?, e: decode(key["e"].as_str()?)? };
    key.verify(&RSA_PKCS1_2048_8192_SHA256, input.as_bytes(), &decode(signature)?).ok()?;
    Some(parts[1].clone())
}

#[tokio::test]
async fn service_login_returns_valid_tokens() {
    let (service, client) = (Service::start(Options { now: Some(1_800_000_000), ..Options::default() }), Client::new());
    let tokens = client.log_in(&service).await;
    let (_, keys) = client.get(service.url("/.well-known/jwks.json"), "").await;
    let identity = json!({
        "iss": service.issuer(), "sub": "auth0|ada@example.com", "aud": CLIENT_ID, "iat": 1_800_000_000,
        "exp": 1_800_036_000, "nonce": "the-nonce", "name": "Ada Lovelace", "email": "ada@example.com",
        "email_verified": true,
    });
    assert_eq!(verified(&tokens["id_token"], &keys), Some(identity));
    assert_eq!(verified(&tokens["access_token"], &keys).unwrap()["exp"], 1_800_086_400);

    let access = tokens["access_token"].as_str().unwrap();
    let (status, user) = client.get(service.url("/v1/users/self?createIfNotExist=true"), access).await;
    assert_eq!((status, &user["username"]), (200, &json!("ada@example.com")));
    let (status, userinfo) = client.get(service.url("/userinfo"), access).await;
    assert_eq!((status, &userinfo["sub"]), (200, &json!("auth0|ada@example.com")));

    let id_token = tokens["id_token"].as_str().unwrap();
    assert_eq!(client.get(service.url("/v1/organizations"), id_token).await.0, 401);
    service.set(|options| options.now = Some(1_800_086_400));
    assert_eq!(client.get(service.url("/v1/organizations"), access).await.0, 401);
}

#[tokio::test]
async fn service_wrong_verifier_spends_code() {
    let (service, client) = (Service::start(Options::default()), Client::new());
    let code = code(&service);
    let (status, answer) = client.redeem(&service, &code, &VERIFIER.replace('d', "e")).await;
    assert_eq!((status, &answer["error"]), (400, &json!("invalid_grant")));
    assert_eq!(client.redeem(&service, &code, VERIFIER).await.0, 400);
}

#[tokio::test]
async fn service_code_replay_revokes_tokens() {
    let (service, client) = (Service::start(Options::default()), Client::new());
    let code = code(&service);
    let (_, tokens) = client.redeem(&service, &code, VERIFIER).await;
    assert_eq!(service.live_refresh_tokens(), [tokens["refresh_token"].as_str().unwrap()]);
    assert_eq!(client.redeem(&service, &code, VERIFIER).await.0, 400);
    assert_eq!((service.replays(), service.live_refresh_tokens()), (1, vec![]));
    assert_eq!(client.refresh(&service, &tokens["refresh_token"]).await.0, 403);
}

#[tokio::test]
async fn service_refresh_token_replay_revokes_family() {
    let (service, client) = (Service::start(Options::default()), Client::new());
    let first = client.log_in(&service).await;
    let (_, second) = client.refresh(&service, &first["refresh_token"]).await;
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    assert_ne!(first["access_token"], second["access_token"]);
    let (status, answer) = client.refresh(&service, &first["refresh_token"]).await;
    assert_eq!((status, &answer["error"]), (403, &json!("invalid_grant")));
    assert_eq!(client.refresh(&service, &second["refresh_token"]).await.0, 403);
    assert_eq!((service.replays(), service.token_requests().len()), (1, 4));

    service.set(|options| options.rotation = false);
    let stable = client.log_in(&service).await;
    assert_eq!(client.refresh(&service, &stable["refresh_token"]).await.1["refresh_token"], Value::Null);
    assert_eq!(client.refresh(&service, &stable["refresh_token"]).await.0, 200);
    let form = [("client_id", CLIENT_ID), ("token", stable["refresh_token"].as_str().unwrap())];
    assert!(client.0.post(service.url("/oauth/revoke")).form(&form).send().await.unwrap().status().is_success());
    assert_eq!(client.refresh(&service, &stable["refresh_token"]).await.0, 403);
}

#[tokio::test]
async fn service_overlap_accepts_previous_refresh_token() {
    let options = Options { now: Some(1_800_000_000), overlap: 30, ..Options::default() };
    let (service, client) = (Service::start(options), Client::new());
    let first = service.log_in("ada@example.com")["refresh_token"].clone();
    let (_, lost) = client.refresh(&service, &first).await;
    assert_eq!(service.live_refresh_tokens(), [lost["refresh_token"].as_str().unwrap()]);
    let (status, second) = client.refresh(&service, &first).await;
    assert_eq!((status, service.replays()), (200, 0));
    assert_eq!((client.refresh(&service, &first).await.0, service.replays()), (403, 1));
    assert_eq!(client.refresh(&service, &second["refresh_token"]).await.0, 403);

    let first = service.log_in("ada@example.com")["refresh_token"].clone();
    assert_eq!(client.refresh(&service, &first).await.0, 200);
    service.set(|options| options.now = Some(1_800_000_030));
    assert_eq!((client.refresh(&service, &first).await.0, service.replays()), (403, 2));
}

#[test]
fn service_redirects_errors_to_registered_uri_only() {
    let service = Service::start(Options { iss_in_callback: true, ..Options::default() });
    let ada = || Mode::LogIn("ada@example.com".to_owned());
    for fault in [
        ("response_type", "token"),
        ("response_mode", "fragment"),
        ("code_challenge_method", "plain"),
        ("code_challenge", "short"),
        ("audience", "another"),
        ("scope", "profile"),
        ("organization", "org_unknown"),
    ] {
        let redirect = redirect(&service, ada(), &[fault]);
        assert_eq!(
            (&redirect["error"], &redirect["state"]),
            (&json!("invalid_request"), &json!("the-state")),
            "{fault:?}"
        );
    }
    for fault in [("client_id", "another"), ("redirect_uri", "http://127.0.0.1:12345/callback")] {
        let browser = FakeBrowser::new(ada());
        browser.visit(&authorization_url(&service, &[fault]));
        assert_eq!(browser.redirect(), None);
        assert_eq!(browser.answers()[0].as_ref().map(|page| page.status), Ok(403), "{fault:?}");
    }
    let canceled = redirect(&service, Mode::Cancel, &[]);
    let expected = json!({"error": "access_denied", "error_description": "User canceled the login",
        "state": "the-state", "iss": service.issuer()});
    assert_eq!(canceled, expected);
}

#[tokio::test]
async fn service_requires_astro_headers() {
    let (service, client) = (Service::start(Options::default()), Client::new());
    let answer = client.0.get(service.url("/private/v1alpha1/cli/auth-config")).send().await.unwrap();
    let expected =
        json!({"message": "header x-astro-client-identifier is missing", "requestId": "request-1", "statusCode": 400});
    assert_eq!((answer.status().as_u16(), answer.json::<Value>().await.unwrap()), (400, expected));
    let (_, config) = client.get(service.url("/private/v1alpha1/cli/auth-config"), "").await;
    assert_eq!(config, json!({"clientId": CLIENT_ID, "audience": AUDIENCE, "domainUrl": service.issuer()}));
    let lookup = client.0.post(service.url("/hub/organization-lookup")).json(&json!({"email": "ada@example.com"}));
    let found: Value = lookup.send().await.unwrap().json().await.unwrap();
    assert_eq!(found, json!({"OrganizationIds": ["org_0000000000000001"]}));
}

#[test]
fn service_serves_both_loopback_addresses() {
    let reaches = |host: &str, port: u16| std::net::TcpStream::connect((host, port)).is_ok();
    let six = std::net::TcpListener::bind("[::1]:0").is_ok();
    // A parallel test may take a freed port, but not every time.
    let freed = (0..5).any(|_| {
        let service = Service::start(Options::default());
        let port = service.url("/").port().unwrap();
        assert!(reaches("127.0.0.1", port) && reaches("::1", port) == six);
        drop(service);
        !reaches("127.0.0.1", port) && !reaches("::1", port)
    });
    assert!(freed);
}
