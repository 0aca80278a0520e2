//! `astro login` with a browser and without a terminal: its requests, its messages, the stored login, and that a failed
//! login leaves nothing.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use astro_login::commands::login::Login;
use astro_login::credentials::Credentials;
use astro_login::domain::Domain;
use astro_login::environment::Environment;
use astro_login::ui::Ui;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::{
    ADA_CONFIG, AUDIENCE, CLIENT_ID, Fault, Mode, NOON, Options, Outcome, Page, Part, Stage, callback_port,
};

const ADA: &str = "ada@example.com";

/// Settings of other programs, which a failed login must not change.
const OTHERS: &str = "\
contexts:
    gcp0001_example_com:
        domain: gcp0001.example.com
        token: eyJPRIVATE
show_warnings: \"true\"   # quoted, as Go wants it
";

type Arrange = fn(&Stage);

type Variables<'a> = &'a [(&'a str, &'a str)];

fn log_in(email: &str) -> Mode {
    Mode::LogIn(email.to_owned())
}

fn request_as(stage: &Stage, email: &str) -> Login {
    Login { email: Some(email.parse().unwrap()), ..stage.request() }
}

/// The stage after a person has used the domain before.
fn remembering(stage: &Stage, settings: &str) {
    let domain = stage.service.domain();
    stage.home.write_config(&format!("contexts:\n    \"{domain}\":\n        domain: \"{domain}\"\n{settings}"));
}

fn secrets(stage: &Stage) -> Vec<String> {
    let redeemed = stage.service.token_requests();
    let fields = redeemed.iter().flat_map(|request| [request.form("code"), request.form("code_verifier")]);
    // Every JWT of the service begins with `{"alg":` in base64url, every refresh token with `v1.`. Fewer characters than
    // these could occur in the random values of the link.
    fields.flatten().chain(["eyJhbGciOi".to_owned(), "v1.".to_owned()]).collect()
}

fn assert_no_secret(stage: &Stage, text: &str) {
    for secret in secrets(stage) {
        assert!(!text.contains(&secret), "{secret} is in {text}");
    }
}

async fn page(stage: &Stage) -> Page {
    let pages = stage.pages().await;
    let [Ok(page)] = pages.as_slice() else { panic!("one page expected: {pages:?}") };
    page.clone()
}

#[tokio::test]
async fn login_stores_verified_tokens() {
    let stage = Stage::new().at_noon();
    drop(stage.login(&request_as(&stage, ADA)).await.success());

    let stored = stage.stored().unwrap();
    // The API takes only tokens that the service has issued.
    let presented = stage.service.requests_to("/v1/users/self")[0].header("authorization").unwrap().to_owned();
    assert_eq!(presented, format!("Bearer {}", stored.access.expose()));
    let refresh = stored.refresh.clone().unwrap();
    assert_eq!([refresh.expose()].as_slice(), stage.service.live_refresh_tokens());
    let expected = Credentials {
        refresh: Some(refresh),
        issued_at: Some(NOON.parse().unwrap()),
        expires_at: Some("2026-11-25T12:00:00Z".parse().unwrap()),
        ..stage.credentials(stored.access.expose())
    };
    assert_eq!(stored, expected);

    assert_eq!(stage.normalize(&stage.home.config().unwrap()), ADA_CONFIG);
}

#[tokio::test]
async fn login_shows_account_place_and_expiry() {
    let stage = Stage::new().at_noon();
    let request = Login { workspace: Some("punched cards".to_owned()), ..request_as(&stage, ADA) };
    let outcome = stage.login(&request).await;
    assert_eq!(outcome.stdout, "");
    assert_eq!(
        stage.normalize(&outcome.stderr),
        "\
Preparing to log in to localhost:PORT…
Looking up your organization…
Opening your browser. If it doesn't open, go to:

  LINK

Waiting for browser login… (Ctrl-C to cancel)
Verifying the login…
Logged in to localhost:PORT as Ada Lovelace <ada@example.com>
  organization  Analytical Engines
  workspace     Punched Cards
  credentials   the test's keychain
  expires       2026-11-25 12:00 UTC (in 1 day), renews automatically
"
    );
    let opened: Vec<String> = stage.browser.opened().iter().map(ToString::to_string).collect();
    assert!(outcome.stderr.contains(&format!("\n  {}\n", opened[0])), "{}", outcome.stderr);
    assert_no_secret(&stage, &outcome.all_text());
}

#[tokio::test]
async fn login_request_log() {
    let stage = Stage::new();
    drop(stage.login(&request_as(&stage, ADA)).await.success());
    assert_eq!(
        stage.request_log(),
        [
            "GET /.well-known/jwks.json",
            "GET /.well-known/openid-configuration",
            "GET /authorize",
            "GET /private/v1alpha1/cli/auth-config",
            "GET /v1/organizations",
            "GET /v1/organizations/clorg00000000000000000001/workspaces",
            "GET /v1/users/self",
            "POST /authorize",
            "POST /hub/organization-lookup",
            "POST /oauth/token",
        ]
    );
    let lookup = &stage.service.requests_to("/hub/organization-lookup")[0];
    assert_eq!(lookup.body, r#"{"email":"ada@example.com"}"#);
}

#[tokio::test]
async fn ar_1_ar_3_ar_4_ar_11_ar_12_authorization_request() {
    let stage = Stage::new();
    let outcome = stage.login(&request_as(&stage, ADA)).await.success();
    let sent = stage.service.authorization_request();
    let redeemed = &stage.service.token_requests()[0];
    let verifier = redeemed.form("code_verifier").unwrap();

    let hash = ring::digest::digest(&ring::digest::SHA256, verifier.as_bytes());
    let callback = callback_port(&outcome.stderr).unwrap();
    let expected: BTreeMap<String, String> = [
        ("response_type", "code"),
        ("response_mode", "query"),
        ("client_id", CLIENT_ID),
        ("audience", AUDIENCE),
        ("redirect_uri", &format!("http://localhost:{callback}/callback")),
        ("scope", "openid profile email offline_access"),
        ("code_challenge", &BASE64_URL_SAFE_NO_PAD.encode(hash)),
        ("code_challenge_method", "S256"),
        ("prompt", "login"),
        ("state", &sent["state"]),
        ("nonce", &sent["nonce"]),
        ("login_hint", ADA),
        ("organization", "org_0000000000000001"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect();
    assert_eq!(sent, expected);
    for (what, secret) in [("verifier", &verifier), ("state", &sent["state"]), ("nonce", &sent["nonce"])] {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(secret).unwrap();
        assert!((secret.len(), bytes.len()) == (43, 32) && bytes.iter().any(|byte| *byte != bytes[0]), "{what}");
    }
}

#[tokio::test]
async fn ar_5_rejected_s256_is_not_retried() {
    let stage = Stage::new();
    stage.service.patch(Part::Metadata, json!({"code_challenge_methods_supported": ["plain"]}));
    let description = "code_challenge_method S256 is not supported, use plain";
    let refusal = json!({"code": null, "error": "invalid_request", "error_description": description});
    stage.service.patch(Part::Callback, refusal);
    let outcome = stage.login(&stage.request()).await;
    assert_eq!(
        (outcome.exit_code(), stage.normalize(&outcome.error_chain())),
        (4, format!("could not log in to localhost:PORT\nlogin failed: {description} (invalid_request)"))
    );
    let requests = stage.service.requests_to("/authorize");
    let asked = requests.iter().filter(|request| request.method == "GET");
    let methods: Vec<_> = asked.map(|request| request.query("code_challenge_method")).collect();
    assert_eq!((methods, stage.service.token_requests()), (vec![Some("S256")], vec![]));
}

#[tokio::test]
async fn tk_1_tk_2_ar_19_lb_22_token_request() {
    let stage = Stage::new();
    drop(stage.login(&stage.request()).await.success());
    let redeemed = &stage.service.token_requests()[0];
    let code = stage.browser.redirect().unwrap().query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let sent: BTreeMap<String, String> = url::form_urlencoded::parse(redeemed.body.as_bytes()).into_owned().collect();
    let expected: BTreeMap<String, String> = [
        ("grant_type", "authorization_code".to_owned()),
        ("client_id", CLIENT_ID.to_owned()),
        ("code", code),
        ("code_verifier", sent["code_verifier"].clone()),
        ("redirect_uri", stage.service.authorization_request()["redirect_uri"].clone()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    assert_eq!(sent, expected);
    assert_eq!((redeemed.method.as_str(), redeemed.query.as_slice()), ("POST", [].as_slice()));
}

#[tokio::test]
async fn ar_8_two_logins_share_no_value() {
    let stage = Stage::new();
    for _ in 0..2 {
        assert_eq!(stage.login(&stage.request()).await.exit_code(), 0);
    }
    let requests = stage.service.requests_to("/authorize");
    let [first, second] = [&requests[0], &requests[2]];
    for name in ["state", "nonce", "code_challenge"] {
        assert_ne!(first.query(name).unwrap(), second.query(name).unwrap(), "{name}");
    }
}

#[tokio::test]
async fn lb_22_lb_26_success_page_has_no_secret() {
    let stage = Stage::new();
    assert_eq!(stage.login(&stage.request()).await.exit_code(), 0);
    let page = page(&stage).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("Authenticated as <bdi>ada@example.com</bdi>"), "{}", page.body);
    assert_no_secret(&stage, &page.body);
}

#[tokio::test]
async fn tk_11_verbose_login_shows_no_secret() {
    // The whole process logs into this from now on; what other tests add does no harm.
    let (ui, log) = Ui::captured(false, "");
    astro_login::log::start(2, &ui);
    let stage = Stage::with(Options::default(), Mode::TamperState(ADA.to_owned()));
    assert_eq!(stage.login(&stage.request()).await.exit_code(), 0);
    let log = log.stderr();
    assert!(log.contains(&format!("host=\"{}\" path=\"/oauth/token\"", stage.service.domain())), "{log}");
    assert_no_secret(&stage, &log);
    let sent = stage.service.authorization_request();
    assert!(!log.contains(&sent["state"]) && !log.contains(&sent["nonce"]), "{log}");
}

#[tokio::test]
async fn saved_email_without_terminal_is_only_a_hint() {
    let stage = Stage::with(Options::default(), log_in("grace@example.org"));
    remembering(&stage, "        user_email: ada@example.com\n");
    // Grace has several organizations and selects none.
    assert_eq!(stage.login(&stage.request()).await.exit_code(), 2);
    let sent = stage.service.authorization_request();
    let hints = ["login_hint", "organization"].map(|name| sent.get(name).map(String::as_str));
    assert_eq!(hints, [Some(ADA), Some("org_0000000000000001")]);
    assert_eq!(stage.stored().unwrap().email.as_deref(), Some("grace@example.org"));
}

#[tokio::test]
async fn no_saved_email_sends_no_hint() {
    let stage = Stage::new();
    assert_eq!(stage.login(&stage.request()).await.exit_code(), 0);
    let sent = stage.service.authorization_request();
    assert!(!sent.contains_key("login_hint") && !sent.contains_key("organization"), "{sent:?}");
    assert_eq!(stage.service.requests_to("/hub/organization-lookup"), []);
}

#[tokio::test]
async fn lookup_finds_exactly_one_organization() {
    let table: [(&str, Arrange, Option<&str>, usize); 5] = [
        ("one id", |_| (), Some("org_0000000000000001"), 1),
        ("none", |stage| stage.service.patch(Part::Lookup, json!({"OrganizationIds": []})), None, 1),
        ("several", |stage| stage.service.patch(Part::Lookup, json!({"OrganizationIds": ["org_1", "org_2"]})), None, 1),
        (
            "in lower case",
            |stage| {
                let ids = json!({"OrganizationIds": null, "organizationIds": ["org_0000000000000002"]});
                stage.service.patch(Part::Lookup, ids);
            },
            Some("org_0000000000000002"),
            1,
        ),
        (
            "identity first",
            |stage| stage.service.patch(Part::AuthConfig, json!({"authFlow": "IDENTITY_FIRST"})),
            None,
            0,
        ),
    ];
    for (what, arrange, organization, lookups) in table {
        let stage = Stage::new();
        arrange(&stage);
        let outcome = stage.login(&request_as(&stage, ADA)).await;
        assert_eq!(outcome.exit_code(), 0, "{what}: {}", outcome.stderr);
        let sent = stage.service.authorization_request();
        assert_eq!(sent.get("organization").map(String::as_str), organization, "{what}");
        assert_eq!(stage.service.requests_to("/hub/organization-lookup").len(), lookups, "{what}");
    }
}

#[tokio::test]
async fn jw_17_unknown_key_refetches_key_set() {
    let stage = Stage::with(Options { signing_key: 1, second_key_after: 1, ..Options::default() }, log_in(ADA));
    drop(stage.login(&stage.request()).await.success());
    assert_eq!(stage.service.requests_to("/.well-known/jwks.json").len(), 2);
    assert!(stage.stored().is_some());
}

#[tokio::test]
async fn ar_9_lb_10_unrelated_callback_ignored() {
    let stage = Stage::with(Options::default(), Mode::TamperState(ADA.to_owned()));
    drop(stage.login(&stage.request()).await.success());
    let pages: Vec<Page> = stage.pages().await.into_iter().map(Result::unwrap).collect();
    assert_eq!(pages.iter().map(|page| page.status).collect::<Vec<_>>(), [400, 200]);
    assert!(pages[0].body.contains("This request is not part of the current login"), "{}", pages[0].body);
    assert!(pages[1].body.contains("Authenticated as"), "{}", pages[1].body);
    assert_eq!(stage.service.token_requests().len(), 1);
}

#[tokio::test]
async fn lb_5_port_serves_reloads_until_reply_is_sent() {
    let stage = Stage::with(Options::default(), Mode::StopAtRedirect(ADA.to_owned()));
    stage.service.fail("/oauth/token", Fault::Hold);
    let request = stage.request();
    let reload = async {
        let redirect = stage.redirect().await;
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let first = tokio::spawn(client.get(redirect.clone()).send());
        while stage.service.token_requests().is_empty() {
            tokio::task::yield_now().await;
        }
        // The exchange is slow: a reload, a prefetch, and a request for an icon.
        let again = client.get(redirect.clone()).send().await.unwrap();
        assert_eq!(again.status(), 200);
        assert!(again.text().await.unwrap().contains("This login already has its response"));
        let prefetch = client.get(redirect.clone()).header("Sec-Purpose", "prefetch").send().await.unwrap();
        assert_eq!(prefetch.status(), 503);
        assert_eq!(client.get(redirect.join("/favicon.ico").unwrap()).send().await.unwrap().status(), 404);
        stage.service.repair("/oauth/token");
        let page = first.await.unwrap().unwrap().text().await.unwrap();
        assert!(page.contains("Authenticated as"), "{page}");
        redirect.port().unwrap()
    };
    let (outcome, port) = tokio::join!(stage.login(&request), reload);
    drop(outcome.success());
    assert_eq!(stage.service.token_requests().len(), 1);
    assert!(is_free(port).await, "LB-5");
}

#[tokio::test]
async fn lb_28_account_is_named_without_terminal() {
    let table = [
        (None, "Authenticated as ada@example.com\n"),
        (Some("grace@example.org"), "warning: expected grace@example.org, but logged in as ada@example.com\n"),
        (Some(ADA), ""),
    ];
    for (remembered, named) in table {
        let stage = Stage::new();
        if let Some(email) = remembered {
            let domain = json!(stage.service.domain());
            stage.home.write_config(&format!(
                "context: {domain}\ncontexts:\n    {domain}:\n        domain: {domain}\n        user_email: {email}\n"
            ));
        }
        let outcome = stage.login(&stage.request()).await.success();
        let stderr = outcome.stderr;
        assert!(stderr.contains(&format!("Verifying the login…\n{named}")), "{stderr}");
        assert_eq!(stderr.contains("Authenticated as"), remembered.is_none(), "{stderr}");
        assert_eq!(stderr.contains("expected"), remembered == Some("grace@example.org"), "{stderr}");
    }
}

#[tokio::test]
async fn lb_17_code_delivered_twice_redeemed_once() {
    let stage = Stage::with(Options::default(), Mode::DeliverTwice(ADA.to_owned()));
    drop(stage.login(&stage.request()).await.success());
    assert_eq!((stage.service.token_requests().len(), stage.service.replays()), (1, 0));
    let confirmed =
        |page: &Result<Page, String>| page.as_ref().is_ok_and(|page| page.body.contains("Authenticated as"));
    let pages = stage.pages().await;
    assert_eq!(pages.iter().filter(|page| confirmed(page)).count(), 1, "{pages:?}");
}

#[tokio::test]
async fn lb_14_matching_iss_accepted() {
    let told = Stage::with(Options { iss_in_callback: true, ..Options::default() }, log_in(ADA));
    assert_eq!(told.login(&told.request()).await.exit_code(), 0);
    let untold = Stage::with(Options { iss_in_callback: true, ..Options::default() }, log_in(ADA));
    untold.service.patch(Part::Metadata, json!({"authorization_response_iss_parameter_supported": null}));
    assert_eq!(untold.login(&untold.request()).await.exit_code(), 0);
}

#[tokio::test]
async fn tk_8_earlier_expiry_counts() {
    for (expires_in, end) in [
        (json!(60), "2026-11-24T12:01:00Z"),
        (json!("3600"), "2026-11-24T13:00:00Z"),
        (json!(172_800), "2026-11-25T12:00:00Z"),
        (json!(0), "2026-11-25T12:00:00Z"),
        (json!(-1), "2026-11-25T12:00:00Z"),
        (json!(null), "2026-11-25T12:00:00Z"),
    ] {
        let stage = Stage::new().at_noon();
        stage.service.patch(Part::Token, json!({"expires_in": expires_in}));
        assert_eq!(stage.login(&stage.request()).await.exit_code(), 0);
        assert_eq!(stage.stored().unwrap().expires_at, Some(end.parse().unwrap()), "{expires_in}");
    }
}

#[tokio::test]
async fn tk_7_missing_refresh_token_warns() {
    let stage = Stage::new().at_noon();
    stage.service.patch(Part::Token, json!({"refresh_token": null, "scope": "openid profile email"}));
    let outcome = stage.login(&stage.request()).await;
    assert_eq!((outcome.exit_code(), stage.stored().unwrap().refresh), (0, None));
    let last = outcome.stderr.lines().last().unwrap();
    assert_eq!(
        last,
        "  expires       2026-11-25 12:00 UTC (in 1 day); log in again after that (the issuer sent no refresh token)"
    );
}

#[tokio::test]
async fn requested_email_matches_in_any_case() {
    let stage = Stage::new();
    assert_eq!(stage.login(&request_as(&stage, "ADA@Example.com")).await.exit_code(), 0);
}

#[tokio::test]
async fn cl_14_cl_18_userinfo_supplies_missing_email() {
    let nobody = |stage: &Stage| stage.service.patch(Part::Userinfo, json!({"email": null}));
    let broken = |stage: &Stage| stage.service.fail("/userinfo", Fault::Status(500, "{}".to_owned()));
    let warning = "warning: could not fetch the user info: localhost:PORT: HTTP status 500\n";
    let table: [(&str, Arrange, Option<&str>, &str); 3] =
        [("known", |_| (), Some(ADA), ""), ("unknown", nobody, None, ""), ("broken", broken, None, warning)];
    for (what, arrange, email, warning) in table {
        let stage = Stage::new();
        stage.service.patch(Part::IdToken, json!({"email": null}));
        arrange(&stage);
        let outcome = stage.login(&stage.request()).await;
        assert_eq!(outcome.exit_code(), 0, "{what}: {}", outcome.stderr);
        // The record says what config.yaml says, which is the API's word.
        assert_eq!(stage.stored().unwrap().email.as_deref(), Some(ADA), "{what}");
        assert_eq!(stage.service.requests_to("/userinfo").len(), 1, "{what}");
        assert!(stage.normalize(&outcome.stderr).contains(warning), "{what}: {}", outcome.stderr);
        let who = email.unwrap_or("auth0|ada@example.com");
        assert!(page(&stage).await.body.contains(&format!("Authenticated as <bdi>{who}</bdi>")), "{what}");
    }
}

#[tokio::test]
async fn cl_14_unverified_email_counts_as_none() {
    for unverified in [json!(false), json!("false"), json!("no"), json!(null), json!(0)] {
        let stage = Stage::new();
        stage.service.patch(Part::IdToken, json!({"email_verified": unverified}));
        if unverified.is_null() {
            // Some issuers leave it out.
            assert_eq!(stage.login(&request_as(&stage, ADA)).await.exit_code(), 0);
            continue;
        }
        let outcome = stage.login(&request_as(&stage, ADA)).await;
        let told = "expected ada@example.com, but logged in as an account without a verified email";
        assert_eq!(outcome.exit_code(), 4, "{unverified}");
        assert!(outcome.error_chain().ends_with(told), "{}", outcome.error_chain());
        assert_eq!((stage.stored(), stage.service.requests_to("/userinfo").len()), (None, 0));
    }
}

#[tokio::test]
async fn other_address_in_api_is_said() {
    for (known, said) in [("Ada@Example.com", false), ("ada.old@example.com", true), ("", false)] {
        let stage = Stage::new();
        stage.service.patch(Part::User, json!({"username": known}));
        let request = Login { organization: Some("Compilers".to_owned()), ..request_as(&stage, ADA) };
        let outcome = stage.login(&request).await.success();
        let warning = format!(
            "warning: logged in as {ADA}, which Astro knows as {known}\nhint: run `astro logout` unless this is an account of yours"
        );
        assert_eq!(outcome.stderr.contains(&warning), said, "{}", outcome.stderr);
    }
}

/// The clock of this machine, and what a login and a later refresh say about it.
#[tokio::test]
async fn cl_7_wrong_clock_is_blamed_for_fresh_token() {
    let hour = 3600;
    for (ahead, blamed) in
        [(23 * hour, true), (11 * hour, true), (9 * hour, false), (70, false), (-70, true), (-hour, true)]
    {
        let stage = Stage::new().at_noon();
        let noon: Timestamp = NOON.parse().unwrap();
        let theirs = noon.as_second() - ahead;
        stage.service.set(|options| options.now = Some(theirs));
        let outcome = stage.login(&stage.request()).await;
        if !blamed {
            assert_eq!(outcome.exit_code(), 0, "{ahead}: {outcome:?}");
            continue;
        }
        let theirs = Timestamp::from_second(theirs).unwrap();
        let told = format!("\nthis machine's clock says {NOON}, but the issuer's says {theirs}");
        assert!(outcome.error_chain().ends_with(&told), "{ahead}: {}", outcome.error_chain());
        assert_eq!(outcome.result.unwrap_err().hint().as_deref(), Some("set the clock of this machine"));
        assert_eq!(stage.stored(), None);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// No browser was opened.
    Early,
    /// The callback was rejected and its code not redeemed.
    AtTheCallback,
    /// The code was redeemed without a usable token.
    AtTheTokenEndpoint,
    /// The tokens were rejected.
    AfterTheGrant,
}

/// The name of the fault, its arrangement, and the error chain below the headline.
type Failure = (&'static str, Arrange, &'static str);

/// Runs a login for each fault. It must fail at this step with this exit code, and leave nothing behind.
async fn assert_fail(ended: Ended, exit: u8, failures: &[Failure]) {
    for (what, arrange, error_chain) in failures {
        assert_fails(arrange, (what, ended, exit, error_chain)).await;
    }
}

/// Runs a login for each patch of this response. It must fail after the grant, and leave nothing behind.
async fn assert_rejected<const N: usize>(part: Part, rejected: [(&str, Value, &str); N]) {
    for (rule, patch, error_chain) in rejected {
        let what = format!("{rule}: {patch}");
        let arrange = |stage: &Stage| stage.service.patch(part, patch);
        assert_fails(arrange, (&what, Ended::AfterTheGrant, 4, error_chain)).await;
    }
}

async fn assert_fails(arrange: impl FnOnce(&Stage), expected: (&str, Ended, u8, &str)) {
    let stage = Stage::new().at_noon();
    stage.home.write_config(OTHERS);
    arrange(&stage);
    let outcome = stage.login(&stage.request()).await;
    assert_failed(&stage, &outcome, expected).await;
}

async fn assert_failed(stage: &Stage, outcome: &Outcome, expected: (&str, Ended, u8, &str)) {
    let (what, ended, exit, error_chain) = expected;
    assert!(outcome.result.is_err(), "{what}: {}", outcome.stderr);
    let error_chain = format!("could not log in to localhost:PORT\n{error_chain}");
    assert_eq!((outcome.exit_code(), stage.normalize(&outcome.error_chain())), (exit, error_chain), "{what}");
    assert_eq!(outcome.stdout, "", "{what}");
    assert_no_secret(stage, &outcome.all_text());

    assert_eq!(stage.stored(), None, "{what}");
    assert_eq!(stage.home.config().as_deref(), Some(OTHERS), "{what}");
    let count = |path| stage.service.requests_to(path).len();
    let requests = [count("/oauth/token"), count("/oauth/revoke"), count("/v1/users/self")];
    let pages: Vec<Page> = stage.pages().await.into_iter().map(Result::unwrap).collect();
    match ended {
        Ended::Early => assert_eq!((requests, count("/authorize"), pages.len()), ([0, 0, 0], 0, 0), "{what}"),
        Ended::AtTheCallback => assert_eq!((requests, pages.len()), ([0, 0, 0], 1), "{what}"),
        Ended::AtTheTokenEndpoint => assert_eq!((requests, pages.len()), ([1, 0, 0], 1), "{what}"),
        Ended::AfterTheGrant => {
            assert_eq!((requests, pages.len()), ([1, 1, 0], 1), "{what}");
            assert_eq!(stage.service.live_refresh_tokens(), [""; 0], "{what}");
        }
    }
    for page in pages {
        assert_eq!(page.status, 400, "{what}");
        assert!(page.body.contains("Login failed"), "{what}: {}", page.body);
        assert!(
            page.body.contains("an earlier one stays as it was") && !page.body.contains('`'),
            "{what}: {}",
            page.body
        );
        assert_no_secret(stage, &page.body);
    }
    if let Some(callback) = callback_port(&outcome.stderr) {
        assert!(is_free(callback).await, "{what}: LB-5");
    }
}

async fn is_free(port: u16) -> bool {
    tokio::task::yield_now().await;
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err()
}

#[tokio::test]
async fn ar_17_ar_18_bad_issuer_fails_before_browser() {
    let failures: &[Failure] = &[
        (
            "AR-18: an issuer elsewhere",
            |stage| stage.service.patch(Part::AuthConfig, json!({"domainUrl": "https://evil.example/"})),
            "the login configuration of localhost:PORT names `evil.example` as its issuer, which does not belong to it",
        ),
        (
            "AR-17: another issuer's metadata",
            |stage| stage.service.patch(Part::Metadata, json!({"issuer": "https://evil.example/"})),
            "the metadata of http://localhost:PORT/ names `https://evil.example/` as its issuer",
        ),
        (
            "no key of use",
            |stage| stage.service.patch(Part::Keys, json!({"keys": [{"kty": "oct", "k": "AAAA"}]})),
            "the issuer publishes no RSA signature key of at least 2048 bits",
        ),
    ];
    assert_fail(Ended::Early, 1, failures).await;
}

#[tokio::test]
async fn lb_12_lb_13_lb_21_bad_callback_ends_login() {
    let failures: &[Failure] = &[
        (
            "LB-12: another issuer's answer",
            |stage| stage.service.patch(Part::Callback, json!({"iss": "https://evil.example/"})),
            "the browser's response is from the unexpected issuer `https://evil.example/`",
        ),
        (
            "LB-13: nobody's answer",
            |stage| {
                stage.service.set(|options| options.iss_in_callback = true);
                stage.service.patch(Part::Callback, json!({"iss": null}));
            },
            "the browser's response does not name its issuer",
        ),
        (
            "LB-21: a refusal that would paint the terminal",
            |stage| {
                let refusal = json!({"code": null, "error": "unauthorized", "error_description": "no\u{1b}[31m <b>"});
                stage.service.patch(Part::Callback, refusal);
            },
            "login failed: no[31m <b> (unauthorized)",
        ),
    ];
    assert_fail(Ended::AtTheCallback, 4, failures).await;
}

#[tokio::test]
async fn cancel_in_browser_fails_login() {
    let stage = Stage::with(Options::default(), Mode::Cancel).at_noon();
    stage.home.write_config(OTHERS);
    let outcome = stage.login(&stage.request()).await;
    let error_chain = "login denied: User canceled the login (access_denied)";
    assert_failed(&stage, &outcome, ("canceled", Ended::AtTheCallback, 4, error_chain)).await;
}

#[tokio::test]
async fn lb_5_lb_25_login_times_out() {
    let stage = Stage::with(Options::default(), Mode::NeverComeBack).at_noon();
    stage.home.write_config(OTHERS);
    let request = Login { timeout: Some(Duration::from_secs(1)), ..stage.request() };
    let outcome = stage.login(&request).await;
    assert_eq!(
        (outcome.exit_code(), stage.normalize(&outcome.error_chain()).as_str()),
        (1, "could not log in to localhost:PORT\ntimed out after 1 second waiting for the browser")
    );
    let text = outcome.all_text();
    assert!(text.contains("allow more time with `--timeout`") && !text.contains("paste"), "{text}");
    assert_eq!(stage.pages().await, []);
    let callback = callback_port(&outcome.stderr).unwrap();
    assert!(is_free(callback).await);
    assert_eq!((stage.stored(), stage.home.config().as_deref()), (None, Some(OTHERS)));
    assert_eq!(stage.service.token_requests(), []);
}

#[tokio::test]
async fn tk_9_refused_code_exchange() {
    fn answer(stage: &Stage, fault: Fault) {
        stage.service.fail("/oauth/token", fault);
    }
    let failures: &[Failure] = &[
        (
            "TK-9: refused with 400",
            |stage| {
                let body = r#"{"error":"invalid_grant","error_description":"no\u001b[2J such code"}"#;
                answer(stage, Fault::Status(400, body.to_owned()));
            },
            "the issuer refused the request: no[2J such code (invalid_grant)",
        ),
        (
            "TK-9: refused with 403, without a word",
            |stage| answer(stage, Fault::Status(403, r#"{"error":"unauthorized_client"}"#.to_owned())),
            "the issuer refused the request (unauthorized_client)",
        ),
        (
            "TK-9: refused with 200",
            |stage| answer(stage, Fault::Body(r#"{"error":"access_denied","access_token":"eyJ"}"#.to_owned())),
            "the issuer refused the request (access_denied)",
        ),
    ];
    assert_fail(Ended::AtTheTokenEndpoint, 4, failures).await;
}

#[tokio::test]
async fn tk_5_tk_6_rf_16_grant_with_unusable_token_is_revoked() {
    let failures: &[Failure] = &[
        (
            "TK-6: no access token",
            |stage| stage.service.patch(Part::Token, json!({"access_token": null})),
            "could not exchange the code for a token: localhost:PORT: invalid response",
        ),
        (
            "TK-6: an access token that is no text",
            |stage| stage.service.patch(Part::Token, json!({"access_token": 7, "expires_in": "soon"})),
            "could not exchange the code for a token: localhost:PORT: invalid response",
        ),
        (
            "TK-5: a token of another type",
            |stage| stage.service.patch(Part::Token, json!({"token_type": "DPoP"})),
            "the issuer sent a token of type `DPoP` instead of `Bearer`",
        ),
        (
            "TK-5: no token type",
            |stage| stage.service.patch(Part::Token, json!({"token_type": null})),
            "could not exchange the code for a token: localhost:PORT: invalid response",
        ),
    ];
    assert_fail(Ended::AfterTheGrant, 1, failures).await;
}

#[tokio::test]
async fn cl_5_cl_11_bad_id_token_revokes_login() {
    let failures: &[Failure] = &[(
        "no ID token",
        |stage| stage.service.patch(Part::Token, json!({"id_token": null})),
        "the issuer sent no ID token",
    )];
    let rejected = [
        ("CL-11", json!({"nonce": "another"}), "the ID token belongs to another login"),
        ("CL-11", json!({"nonce": null}), "the ID token belongs to another login"),
        ("CL-5", json!({"aud": "another-client"}), "made for `another-client`, not for `astro-cli-client`"),
        ("CL-5", json!({"aud": [CLIENT_ID, "another-client"]}), "the ID token is also made for `another-client`"),
        ("CL-12", json!({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}), "the ID token belongs to another access token"),
    ];
    assert_rejected(Part::IdToken, rejected).await;
    assert_fail(Ended::AfterTheGrant, 4, failures).await;
}

#[tokio::test]
async fn cl_4_cl_14_bad_access_token_revokes_login() {
    let failures: &[Failure] = &[(
        "CL-14: the userinfo of somebody else",
        |stage| {
            stage.service.patch(Part::IdToken, json!({"email": null}));
            stage.service.patch(Part::Userinfo, json!({"sub": "auth0|mallory@example.com"}));
        },
        "the issuer's responses are about different users",
    )];
    let rejected = [
        ("CL-4", json!({"aud": ["another-api"]}), "made for `another-api`, not for `astronomer-ee`"),
        ("CL-15", json!({"sub": "auth0|mallory@example.com"}), "the issuer's responses are about different users"),
    ];
    assert_rejected(Part::AccessToken, rejected).await;
    assert_fail(Ended::AfterTheGrant, 4, failures).await;
}

#[tokio::test]
async fn jw_17_still_unknown_key_fails() {
    let stage = Stage::with(Options { signing_key: 1, ..Options::default() }, log_in(ADA)).at_noon();
    stage.home.write_config(OTHERS);
    let outcome = stage.login(&stage.request()).await;
    let error_chain = "signed with a key that the issuer does not publish";
    assert_failed(&stage, &outcome, ("unknown key", Ended::AfterTheGrant, 4, error_chain)).await;
    assert_eq!(stage.service.requests_to("/.well-known/jwks.json").len(), 2);
}

#[tokio::test]
async fn cl_19_other_organization_rejected() {
    let ended = Ended::AfterTheGrant;
    let table = [
        (json!("org_9"), "logged in to the organization `org_9` instead of the organization `org_0000000000000001`"),
        (json!(null), "logged in to no organization instead of the organization `org_0000000000000001`"),
    ];
    for (org_id, error_chain) in table {
        let stage = Stage::new().at_noon();
        stage.home.write_config(OTHERS);
        stage.service.patch(Part::IdToken, json!({"org_id": org_id}));
        let outcome = stage.login(&request_as(&stage, ADA)).await;
        assert_failed(&stage, &outcome, ("another organization", ended, 4, error_chain)).await;
    }
}

#[tokio::test]
async fn other_account_than_requested_rejected() {
    let table = [
        (json!({}), "expected ada@example.com, but logged in as grace@example.org"),
        (json!({"email": null}), "expected ada@example.com, but logged in as an account without a verified email"),
        (
            json!({"email_verified": false}),
            "expected ada@example.com, but logged in as an account without a verified email",
        ),
        (
            json!({"email_verified": "false"}),
            "expected ada@example.com, but logged in as an account without a verified email",
        ),
    ];
    for (userinfo, error_chain) in table {
        let stage = Stage::with(Options::default(), log_in("grace@example.org")).at_noon();
        stage.home.write_config(OTHERS);
        stage.service.patch(Part::IdToken, json!({"email": null}));
        stage.service.patch(Part::Userinfo, userinfo);
        let outcome = stage.login(&request_as(&stage, ADA)).await;
        assert_failed(&stage, &outcome, ("another account", Ended::AfterTheGrant, 4, error_chain)).await;
    }
}

#[tokio::test]
async fn failed_revocation_keeps_login_error() {
    let stage = Stage::new();
    stage.service.fail("/oauth/revoke", Fault::Status(503, "{}".to_owned()));
    stage.service.patch(Part::IdToken, json!({"nonce": "another"}));
    let outcome = stage.login(&stage.request()).await;
    assert_eq!(
        (outcome.exit_code(), stage.normalize(&outcome.error_chain()).as_str()),
        (4, "could not log in to localhost:PORT\nthe ID token belongs to another login")
    );
}

/// Returns the domain of a login without an argument, from the rejection of a token before any request.
async fn destination(environment: Variables<'_>, config: &str, typed: Option<&str>) -> (u8, String, String) {
    let mut stage = Stage::new();
    stage.environment = Environment::from_pairs(environment);
    stage.home.write_config(config);
    let request = Login { domain: typed.map(str::to_owned).into(), ..stage.token_request("no token") };
    let outcome = stage.login(&request).await;
    assert_eq!(stage.request_log(), [""; 0]);
    let headline = outcome.error_chain().lines().next().unwrap().to_owned();
    (outcome.exit_code(), headline, outcome.stderr)
}

#[tokio::test]
async fn domain_precedence() {
    let stage_context = "context: astronomer-stage.io\n";
    let dev = [("ASTRO_DOMAIN", "astronomer-dev.io")];
    let table: [(Variables, &str, Option<&str>, &str); 5] = [
        (&dev, stage_context, Some("cloud.Astronomer-PERF.io/"), "astronomer-perf.io"),
        (&dev, stage_context, None, "astronomer-dev.io"),
        (&[], stage_context, None, "astronomer-stage.io"),
        (&[("ASTRO_DOMAIN", "")], stage_context, None, "astronomer-stage.io"),
        (&[], "", None, "astronomer.io"),
    ];
    for (environment, config, typed, domain) in table {
        let expected = (4, format!("could not log in to {domain}"), String::new());
        assert_eq!(destination(environment, config, typed).await, expected);
    }
}

#[tokio::test]
async fn malformed_current_context_skipped_with_notice() {
    let said = "note: current context gcp0001 is not a domain; using astronomer.io\n";
    let expected = (4, "could not log in to astronomer.io".to_owned(), said.to_owned());
    assert_eq!(destination(&[], "context: gcp0001\n", None).await, expected);
}

#[tokio::test]
async fn foreign_domain_rejected_with_parsed_host() {
    let refusal = "example".parse::<Domain>().unwrap_err().to_string();
    let expected = (2, refusal, String::new());
    assert_eq!(destination(&[], "", Some("https://Example/")).await, expected);
    assert_eq!(destination(&[("ASTRO_DOMAIN", "Example")], "", None).await, expected);
    let token = Stage::new().service.access_token(&Value::Null);
    let expected = (2, "this looks like a token, not like a domain".to_owned(), String::new());
    assert_eq!(destination(&[], "", Some(&token)).await, expected);
}

#[tokio::test]
async fn environment_token_warns() {
    let mut stage = Stage::new();
    stage.environment = stage.environment.with("ASTRO_API_TOKEN", "eyJsecret");
    let outcome = stage.login(&stage.request()).await.success();
    let first = outcome.stderr.lines().next().unwrap();
    assert_eq!(first, "warning: ASTRO_API_TOKEN is set and overrides this login");
    assert!(!outcome.all_text().contains("eyJsecret"), "{}", outcome.all_text());
}
