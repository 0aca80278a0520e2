//! The test service: it rejects wrong requests for the right reason.

use std::collections::HashSet;
use std::error::Error as _;
use std::io;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde_json::{Value, json};
use url::Url;

use crate::support::{AUDIENCE, CLIENT_ID, FakeBrowser, Fault, Mode, Options, Part, Service};

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
async fn service_lists_are_paged_or_endless() {
    let (service, client) = (Service::start(Options::default().organizations(250, 3)), Client::new());
    let token = service.access_token(&json!({}));
    let mut ids = HashSet::new();
    for (offset, expected) in [(0, 100), (100, 100), (200, 50), (300, 0)] {
        let url = service.url(&format!("/v1/organizations?limit=100&offset={offset}"));
        let (_, page) = client.get(url, &token).await;
        let page_ids = page["organizations"].as_array().unwrap().iter().map(|one| one["id"].to_string());
        let before = ids.len();
        ids.extend(page_ids);
        assert_eq!((ids.len() - before, &page["totalCount"]), (expected, &json!(250)));
    }
    let id = service.options().organizations[249].id.clone();
    assert!(ids.contains(&json!(id).to_string()));
    let (_, page) = client.get(service.url(&format!("/v1/organizations/{id}/workspaces?sorts=name:asc")), &token).await;
    assert_eq!(page["workspaces"][2]["name"], "Workspace 00003");
    service.set(|options| options.endless_pages = true);
    let (_, page) = client.get(service.url("/v1/organizations?limit=300&offset=9000"), &token).await;
    assert_eq!(page["organizations"].as_array().unwrap().len(), 300);
}

#[tokio::test]
async fn service_tokens_can_be_patched() {
    let (service, client) = (Service::start(Options::default()), Client::new());
    let expired = service.access_token(&json!({"exp": 1}));
    assert_eq!(client.get(service.url("/v1/organizations"), &expired).await.0, 401);
    let (status, _) = client.get(service.url("/v1/organizations"), &service.api_token()).await;
    let (user_status, _) = client.get(service.url("/v1/users/self?createIfNotExist=true"), &service.api_token()).await;
    assert_eq!((status, user_status), (200, 403));

    service.patch(Part::IdToken, json!({"nonce": "another", "email": null}));
    service.patch(Part::Token, json!({"refresh_token": null, "expires_in": "soon"}));
    service.set(|options| (options.signing_key, options.second_key_after) = (1, 1));
    let tokens = client.log_in(&service).await;
    assert_eq!((&tokens["refresh_token"], &tokens["expires_in"]), (&Value::Null, &json!("soon")));
    let (_, keys) = client.get(service.url("/.well-known/jwks.json"), "").await;
    assert_eq!(verified(&tokens["id_token"], &keys), None);
    let (_, keys) = client.get(service.url("/.well-known/jwks.json"), "").await;
    let claims = verified(&tokens["id_token"], &keys).unwrap();
    assert_eq!((&claims["nonce"], &claims["email"]), (&json!("another"), &Value::Null));
}

#[tokio::test]
async fn service_paths_can_fail_and_heal() {
    let (service, client) = (Service::start(Options::default()), Client::new());
    let (path, url) = ("/.well-known/openid-configuration", service.url("/.well-known/openid-configuration"));
    service.fail_times(path, 1, Fault::Status(503, "{}".to_owned()));
    assert_eq!(client.get(url.clone(), "").await, (503, json!({})));
    assert_eq!(client.get(url.clone(), "").await.1["issuer"], service.issuer());
    service.fail(path, Fault::RetryAfter(7));
    assert_eq!(client.0.get(url.clone()).send().await.unwrap().headers()["retry-after"], "7");
    service.fail(path, Fault::Redirect("https://elsewhere.example/".to_owned()));
    assert_eq!(client.0.get(url.clone()).send().await.unwrap().headers()["location"], "https://elsewhere.example/");
    service.fail(path, Fault::Body("not JSON".to_owned()));
    assert_eq!(client.0.get(url.clone()).send().await.unwrap().text().await.unwrap(), "not JSON");

    service.fail(path, Fault::CloseMidBody);
    let torn = client.0.get(url.clone()).send().await.unwrap();
    assert_eq!(torn.status(), 200);
    assert!(torn.bytes().await.is_err());
    for broken in [Fault::Reset, Fault::ResetMidBody] {
        service.fail(path, broken);
        let error = match client.0.get(url.clone()).send().await {
            Ok(answer) => answer.bytes().await.unwrap_err(),
            Err(error) => error,
        };
        let chain = std::iter::successors(error.source(), |it| (*it).source());
        let kinds: Vec<_> = chain.filter_map(|it| Some(it.downcast_ref::<io::Error>()?.kind())).collect();
        assert!(kinds.contains(&io::ErrorKind::ConnectionReset), "{error:?}");
    }
    service.fail(path, Fault::StallMidBody);
    let half = client.0.get(url.clone()).timeout(Duration::from_millis(500)).send().await.unwrap();
    assert!(half.bytes().await.unwrap_err().is_timeout());
    service.fail(path, Fault::Endless);
    let endless = client.0.get(url.clone()).send().await.unwrap();
    assert_eq!(endless.content_length(), Some(1024 * 1024 * 1024));
    drop(endless);
    assert!((1..1024 * 1024 * 1024).contains(&service.bytes_sent()));
    service.fail(path, Fault::Truncate);
    let text = client.0.get(url.clone()).send().await.unwrap().text().await.unwrap();
    assert!(text.starts_with("{\"") && !text.ends_with('}'), "{text}");
    service.fail(path, Fault::ContentType("text/plain"));
    let claimed = client.0.get(url.clone()).send().await.unwrap();
    assert_eq!(claimed.headers()["content-type"], "text/plain");
    assert_eq!(claimed.json::<Value>().await.unwrap()["issuer"], service.issuer());
    service.fail(path, Fault::Page(502));
    let page = client.0.get(url.clone()).send().await.unwrap();
    assert_eq!((page.status().as_u16(), &page.headers()["content-type"]), (502, &"text/html".parse().unwrap()));
    service.fail(path, Fault::Hold);
    let held = client.0.get(url.clone()).timeout(Duration::from_millis(50)).send().await;
    assert!(held.unwrap_err().is_timeout());
    let released = async {
        while service.requests_to(path).len() < 14 {
            tokio::task::yield_now().await;
        }
        service.repair(path);
    };
    let (held, ()) = tokio::join!(client.get(url.clone(), ""), released);
    assert_eq!(held.1["issuer"], service.issuer());
    service.fail(path, Fault::Stall);
    let stalled = client.0.get(url.clone()).timeout(Duration::from_millis(50)).send().await;
    assert!(stalled.unwrap_err().is_timeout());
    service.repair(path);
    assert_eq!(client.get(url, "").await.0, 200);
    assert_eq!(service.wait_for(path, 17).method, "GET");
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

#[test]
fn fake_browser_delivers_each_mode() {
    let service = Service::start(Options::default());
    let callback = service.url("/callback");
    let ada = "ada@example.com".to_owned();
    // The service has no callback, but it answers 404 and keeps what was delivered.
    for (mode, states) in [
        (Mode::LogIn(ada.clone()), vec!["the-state"]),
        (Mode::Cancel, vec!["the-state"]),
        (Mode::TamperState(ada.clone()), vec!["a-strangers-state", "the-state"]),
        (Mode::DeliverTwice(ada.clone()), vec!["the-state", "the-state"]),
        (Mode::StopAtRedirect(ada), vec![]),
        (Mode::NeverComeBack, vec![]),
    ] {
        let (browser, before) = (FakeBrowser::new(mode.clone()), service.requests_to("/callback").len());
        let url = authorization_url(&service, &[("redirect_uri", callback.as_str())]);
        browser.visit(&url);
        let answers: Vec<u16> = browser.answers().into_iter().map(|page| page.unwrap().status).collect();
        let delivered = service.requests_to("/callback").split_off(before);
        let delivered: Vec<&str> = delivered.iter().map(|request| request.query("state").unwrap()).collect();
        assert_eq!((answers, delivered, browser.opened()), (vec![404; states.len()], states, vec![url]), "{mode:?}");
    }
}
