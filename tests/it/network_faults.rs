//! Every request of every flow with every network fault: the error names step and host, the exit code is right, the
//! time limit holds, a failed login leaves nothing, and no code or refresh token is sent twice.
//!
//! Certificates, proxies and unresolved names are in `tls.rs`.

use std::time::Duration;

use astro_login::commands::login::{Login, login};
use astro_login::commands::logout::{Logout, logout};
use astro_login::commands::organization::organization;
use astro_login::commands::selection::{SelectionCommand, Switch};
use astro_login::commands::status::{Status, status};
use astro_login::commands::workspace::workspace;
use astro_login::credentials::Credentials;
use astro_login::error::Error;
use astro_login::http::{Http, TimeLimits};
use astro_login::token::RefreshToken;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::Instant;

use crate::support::{Fault, Mode, Options, Outcome, Part, Stage, token};

const AUTH_CONFIG: &str = "/private/v1alpha1/cli/auth-config";
const KEYS: &str = "/.well-known/jwks.json";
const METADATA: &str = "/.well-known/openid-configuration";
const LOOKUP: &str = "/hub/organization-lookup";
const TOKEN: &str = "/oauth/token";
const USERINFO: &str = "/userinfo";
const REVOKE: &str = "/oauth/revoke";
const USER: &str = "/v1/users/self";
const ORGANIZATIONS: &str = "/v1/organizations";
const ORGANIZATION: &str = "/v1/organizations/clorg00000000000000000001";
const WORKSPACES: &str = "/v1/organizations/clorg00000000000000000001/workspaces";

const ADA: &str = "ada@example.com";

const CLOSED: &str = "localhost:1";

const OTHERS: &str = "show_warnings: \"true\"   # quoted, as Go wants it\n";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    /// `astro login --email ADA`
    Browser,
    /// `astro login`, and the ID token names no address.
    BrowserAskingWho,
    /// `astro login` of a user unknown to the API: the grant is revoked.
    BrowserNotKept,
    /// `astro login` over an earlier login, whose refresh token is revoked.
    BrowserAgain,
    Token,
    /// The same, where an organization is in use.
    TokenAgain,
    /// `astro login --token-login` with an API token.
    ApiToken,
    /// `astro auth token`, and the one that is kept has ended.
    Refresh,
    Logout,
    Check,
    OrganizationList,
    OrganizationSwitch,
    WorkspaceList,
    WorkspaceSwitch,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// It fails without changes.
    Essential,
    /// It goes on without a message.
    Optional,
    /// It goes on with a warning.
    Warned,
    /// The login is kept without a selection.
    AfterLogin,
    /// It fails. After a 401 the token is refreshed and the request repeated.
    WithLogin,
    /// The local login is removed regardless.
    AtLogout,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    flow: Flow,
    path: &'static str,
    step: &'static str,
    effect: Effect,
    time_limit: TimeLimit,
    /// The largest answer that is read.
    limit: usize,
}

type TimeLimit = fn(&mut TimeLimits) -> &mut Duration;

const LIMIT_REQUEST: TimeLimit = |limits| &mut limits.request;
const LIMIT_KEYS: TimeLimit = |limits| &mut limits.keys;
const LIMIT_METADATA: TimeLimit = |limits| &mut limits.metadata;
const LIMIT_LOOKUP: TimeLimit = |limits| &mut limits.lookup;
const LIMIT_REVOKE: TimeLimit = |limits| &mut limits.revoke;

const MIB: usize = 1024 * 1024;

const fn row(flow: Flow, path: &'static str, step: &'static str, effect: Effect, time_limit: TimeLimit) -> Row {
    Row { flow, path, step, effect, time_limit, limit: MIB }
}

const fn list(flow: Flow, path: &'static str, step: &'static str, effect: Effect) -> Row {
    Row { flow, path, step, effect, time_limit: LIMIT_REQUEST, limit: 10 * MIB }
}

const ROWS: [Row; 30] = {
    use Effect::{AfterLogin, AtLogout, Essential, Optional, Warned, WithLogin};
    use Flow::{
        ApiToken, Browser, BrowserAgain, BrowserAskingWho, BrowserNotKept, Check, OrganizationList, OrganizationSwitch,
        Refresh, Token, TokenAgain, WorkspaceList, WorkspaceSwitch,
    };
    [
        row(Browser, AUTH_CONFIG, "fetch the login configuration", Essential, LIMIT_REQUEST),
        row(Browser, METADATA, "fetch the issuer's metadata", Optional, LIMIT_METADATA),
        row(Browser, KEYS, "fetch the issuer's keys", Essential, LIMIT_KEYS),
        row(Browser, LOOKUP, "look up your organization", Optional, LIMIT_LOOKUP),
        row(Browser, TOKEN, "exchange the code for a token", Essential, LIMIT_REQUEST),
        row(Browser, USER, "read your Astro user", Essential, LIMIT_REQUEST),
        list(Browser, ORGANIZATIONS, "list your organizations", AfterLogin),
        list(Browser, WORKSPACES, "list the workspaces", AfterLogin),
        row(BrowserAskingWho, USERINFO, "fetch the user info", Warned, LIMIT_REQUEST),
        row(BrowserNotKept, REVOKE, "revoke the refresh token", Optional, LIMIT_REVOKE),
        row(BrowserAgain, REVOKE, "revoke the refresh token", Optional, LIMIT_REVOKE),
        row(Token, AUTH_CONFIG, "fetch the login configuration", Essential, LIMIT_REQUEST),
        row(Token, KEYS, "fetch the issuer's keys", Essential, LIMIT_KEYS),
        row(Token, USER, "read your Astro user", Essential, LIMIT_REQUEST),
        list(Token, ORGANIZATIONS, "list your organizations", AfterLogin),
        list(Token, WORKSPACES, "list the workspaces", AfterLogin),
        row(TokenAgain, USER, "read your Astro user", Essential, LIMIT_REQUEST),
        row(TokenAgain, ORGANIZATION, "read the organization", AfterLogin, LIMIT_REQUEST),
        list(TokenAgain, WORKSPACES, "list the workspaces", AfterLogin),
        row(ApiToken, ORGANIZATION, "read the organization", Essential, LIMIT_REQUEST),
        list(ApiToken, WORKSPACES, "list the workspaces", Essential),
        row(Refresh, KEYS, "fetch the issuer's keys", Essential, LIMIT_KEYS),
        row(Refresh, TOKEN, "refresh the login", Essential, LIMIT_REQUEST),
        row(Flow::Logout, REVOKE, "revoke the refresh token", AtLogout, LIMIT_REVOKE),
        Row { limit: 10 * MIB, ..row(Check, USER, "check the login", WithLogin, LIMIT_REQUEST) },
        list(OrganizationList, ORGANIZATIONS, "list your organizations", WithLogin),
        list(OrganizationSwitch, ORGANIZATIONS, "list your organizations", WithLogin),
        list(OrganizationSwitch, WORKSPACES, "list the workspaces", WithLogin),
        list(WorkspaceList, WORKSPACES, "list the workspaces", WithLogin),
        list(WorkspaceSwitch, WORKSPACES, "list the workspaces", WithLogin),
    ]
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NetworkFault {
    /// The connection is refused. Only for the first request of a flow.
    Refused,
    Reset,
    ResetMidBody,
    EndMidBody,
    Stall,
    StallMidBody,
    Gibibyte,
    Redirect,
    OtherContentType,
    Truncated,
    Portal,
    ErrorPage,
    Unauthorized,
    Forbidden,
    NotFound,
    TooMany,
    ServerError,
}

impl NetworkFault {
    /// All faults without a timeout.
    const QUICK: [Self; 14] = [
        Self::Reset,
        Self::ResetMidBody,
        Self::EndMidBody,
        Self::Gibibyte,
        Self::Redirect,
        Self::OtherContentType,
        Self::Truncated,
        Self::Portal,
        Self::ErrorPage,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::TooMany,
        Self::ServerError,
    ];
    const STALLS: [Self; 2] = [Self::Stall, Self::StallMidBody];

    fn service_fault(self) -> Fault {
        let said = |status| Fault::Status(status, json!({"message": format!("{SAID}\u{1b}[2J")}).to_string());
        match self {
            Self::Refused => panic!("there is nobody who could"),
            Self::Reset => Fault::Reset,
            Self::ResetMidBody => Fault::ResetMidBody,
            Self::EndMidBody => Fault::CloseMidBody,
            Self::Stall => Fault::Stall,
            Self::StallMidBody => Fault::StallMidBody,
            Self::Gibibyte => Fault::Endless,
            Self::Redirect => Fault::Redirect("https://evil.example/elsewhere".to_owned()),
            Self::OtherContentType => Fault::ContentType("text/html"),
            Self::Truncated => Fault::Truncate,
            Self::Portal => Fault::Page(200),
            Self::ErrorPage => Fault::Page(502),
            Self::Unauthorized => said(401),
            Self::Forbidden => said(403),
            Self::NotFound => said(404),
            Self::TooMany => Fault::RetryAfter(3600),
            Self::ServerError => Fault::Status(500, String::new()),
        }
    }

    fn status(self) -> Option<u16> {
        match self {
            Self::ErrorPage => Some(502),
            Self::Unauthorized => Some(401),
            Self::Forbidden => Some(403),
            Self::NotFound => Some(404),
            Self::TooMany => Some(429),
            Self::ServerError => Some(500),
            _ => None,
        }
    }

    fn is_stall(self) -> bool {
        Self::STALLS.contains(&self)
    }

    /// Returns true if the service has processed the request and only its response is broken.
    fn acted(self) -> bool {
        use NetworkFault::{EndMidBody, OtherContentType, ResetMidBody, StallMidBody, Truncated};
        matches!(self, EndMidBody | OtherContentType | ResetMidBody | StallMidBody | Truncated)
    }

    /// Returns true if the program accepts the response.
    fn is_fine(self, row: &Row) -> bool {
        // The program ignores the content type.
        self == Self::OtherContentType
            // The response to a revocation has no content (RFC 7009 section 2.2).
            || (row.path == REVOKE && matches!(self, Self::Truncated | Self::Portal))
    }

    /// Returns the error text after step and host.
    fn words(self, row: &Row) -> String {
        match self {
            // The rest of the text comes from the operating system.
            Self::Refused => "could not connect: ".to_owned(),
            Self::Reset | Self::ResetMidBody | Self::EndMidBody => {
                "the connection was closed during the response".to_owned()
            }
            Self::Stall | Self::StallMidBody => format!("no response within {} seconds", SHORT.as_secs()),
            Self::Gibibyte => format!("the response is larger than {} bytes", row.limit),
            Self::Redirect => "unexpected redirect to evil.example".to_owned(),
            Self::Truncated | Self::Portal | Self::OtherContentType => "invalid response".to_owned(),
            Self::Unauthorized | Self::Forbidden | Self::NotFound => {
                format!("HTTP status {}: {SAID}[2J", self.status().unwrap())
            }
            Self::ErrorPage | Self::TooMany | Self::ServerError => {
                format!("HTTP status {}", self.status().unwrap())
            }
        }
    }

    /// Returns the expected hint. `person`: whether the request carried a token.
    fn hint(self, person: bool) -> &'static str {
        match (self, self.status()) {
            (
                Self::Refused | Self::Reset | Self::ResetMidBody | Self::EndMidBody | Self::Stall | Self::StallMidBody,
                _,
            ) => "check that the local server is running",
            (_, Some(401)) if person => "log in again, or get a new token at https://cloud.astronomer.io/token",
            (_, Some(403)) if person => "ask the owner of your organization for access",
            (_, Some(429)) => "try again in 60 minutes",
            (_, Some(500..)) => "try again in a minute",
            _ => "try another network, because a proxy or captive portal may interfere with this one",
        }
    }
}

/// The message of the server's errors, without the escape sequence that clears the screen.
const SAID: &str = "not you";

impl Flow {
    async fn stage(self, closed: bool) -> (Stage, String) {
        let options = Options { overlap: 30, ..Options::default() };
        let stage = Stage::with(options, Mode::LogIn(ADA.to_owned())).at_noon();
        let domain = if closed { CLOSED.to_owned() } else { stage.service.domain() };
        let keep = |seconds| {
            let issuer = format!("http://{domain}/");
            stage.keychain.put(&domain, Credentials { issuer, ..stage.earlier_login(seconds) });
        };
        let in_use = format!(
            "context: {domain}\ncontexts:\n    {domain}:\n        domain: {domain}\n        organization: \
             clorg00000000000000000001\n        organization_product: HOSTED\n        user_email: {ADA}\n{OTHERS}"
        );
        match self {
            Self::Browser | Self::Token | Self::ApiToken => stage.home.write_config(OTHERS),
            Self::BrowserAskingWho => {
                stage.home.write_config(OTHERS);
                stage.service.patch(Part::IdToken, json!({"email": null}));
            }
            Self::BrowserNotKept => {
                stage.home.write_config(OTHERS);
                stage.service.fail(USER, Fault::Status(403, r#"{"message": "suspended"}"#.to_owned()));
            }
            Self::TokenAgain => stage.home.write_config(&in_use),
            Self::Check => {
                // The API knows only users who have logged in.
                assert_eq!(
                    stage.login(&stage.token_request(&stage.service.access_token(&json!({})))).await.exit_code(),
                    0
                );
                keep(3600);
            }
            Self::BrowserAgain
            | Self::Logout
            | Self::OrganizationList
            | Self::OrganizationSwitch
            | Self::WorkspaceList
            | Self::WorkspaceSwitch => {
                stage.home.write_config(&in_use);
                keep(3600);
            }
            Self::Refresh => {
                stage.home.write_config(&in_use);
                keep(-3600);
            }
        }
        (stage, domain)
    }

    async fn run(self, stage: &Stage, domain: &str) -> Outcome {
        let domain = Some(domain.to_owned());
        let browser =
            Login { timeout: Some(Duration::from_secs(120)), domain: domain.clone().into(), ..stage.request() };
        let log_in = async |request: Login| stage.run(async |system| login(system, &request).await).await;
        let wanted = |name: &str| Some(name.to_owned());
        match self {
            Self::Browser => log_in(Login { email: Some(ADA.parse().unwrap()), ..browser }).await,
            Self::BrowserAskingWho | Self::BrowserNotKept | Self::BrowserAgain => log_in(browser).await,
            Self::Token | Self::TokenAgain => {
                log_in(Login { domain: domain.into(), ..stage.token_request(&stage.service.access_token(&json!({}))) })
                    .await
            }
            Self::ApiToken => {
                log_in(Login { domain: domain.into(), ..stage.token_request(&stage.service.api_token()) }).await
            }
            Self::Refresh => stage.run(async |system| token(system, domain.as_deref()).await).await,
            Self::Logout => {
                stage
                    .run(async |system| {
                        logout(system, &Logout { domain: domain.into(), all: false, json: false.into() }).await
                    })
                    .await
            }
            Self::Check => {
                let request = Status { domain: domain.into(), json: false.into(), check: true };
                stage.run(async |system| status(system, &request).await).await
            }
            Self::OrganizationList => {
                stage
                    .run(async |system| {
                        organization(system, SelectionCommand::List { json: false.into(), domain: None }).await
                    })
                    .await
            }
            Self::OrganizationSwitch => {
                let switch = SelectionCommand::Switch(Switch {
                    wanted: wanted("Analytical Engines"),
                    workspace: None,
                    json: false.into(),
                    domain: None,
                });
                stage.run(async |system| organization(system, switch).await).await
            }
            Self::WorkspaceList => {
                stage
                    .run(async |system| {
                        workspace(system, SelectionCommand::List { json: false.into(), domain: None }).await
                    })
                    .await
            }
            Self::WorkspaceSwitch => {
                let switch = SelectionCommand::Switch(Switch {
                    wanted: wanted("Punched Cards"),
                    workspace: None,
                    json: false.into(),
                    domain: None,
                });
                stage.run(async |system| workspace(system, switch).await).await
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Report {
    exit: u8,
    error_chain: String,
    hint: Option<String>,
}

impl Report {
    fn of(stage: &Stage, outcome: &Outcome) -> Self {
        let error_chain = if outcome.result.is_err() { stage.normalize(&outcome.error_chain()) } else { String::new() };
        let hint = outcome.result.as_ref().err().and_then(Error::hint).map(|hint| stage.normalize(&hint));
        Self { exit: outcome.exit_code(), error_chain, hint }
    }
}

/// Returns true if the flow goes on after a rejection: a former organization is selected anew, and the API token of a
/// deployment sees no workspace.
fn has_alternative(row: &Row, fault: NetworkFault) -> bool {
    matches!((row.flow, row.path), (Flow::TokenAgain, ORGANIZATION) | (Flow::ApiToken, WORKSPACES))
        && matches!(fault, NetworkFault::Forbidden | NetworkFault::NotFound)
}

fn expected(row: &Row, fault: NetworkFault) -> Report {
    let person = row.path.starts_with("/v1/");
    let cause = match (row.path, fault) {
        // An OAuth error tells more than the HTTP status.
        (TOKEN, NetworkFault::TooMany) => "the issuer refused the request: slow down (too_many_requests)".to_owned(),
        _ => format!("could not {}: localhost:PORT: {}", row.step, fault.words(row)),
    };
    let (exit, why, hint) = match (row.flow, row.path, fault.status()) {
        (Flow::ApiToken, ORGANIZATION, Some(401 | 403 | 404)) => {
            let why = "the API of localhost:PORT refused this API token\n";
            (4, why, "create a new API token in the Astro UI")
        }
        (Flow::Check, ..) if matches!(fault.status(), Some(401 | 403 | 404)) => {
            (4, NOT_ANY_MORE, "run `astro login localhost:PORT`")
        }
        (_, _, Some(401)) if row.effect == Effect::WithLogin => (4, NOT_ANY_MORE, "run `astro login localhost:PORT`"),
        (_, _, Some(401 | 403)) if person => (4, "", fault.hint(person)),
        _ => (1, "", fault.hint(person)),
    };
    let headline = match (row.effect, row.flow) {
        (Effect::AtLogout, _) => {
            let error_chain = "logout from localhost:PORT was incomplete".to_owned();
            let hint = Some("follow the hints of the warnings above".to_owned());
            return Report { exit: 1, error_chain, hint };
        }
        (Effect::Essential, Flow::Refresh) if fault == NetworkFault::TooMany && row.path == TOKEN => {
            "could not renew the login to localhost:PORT\n"
        }
        (Effect::Essential, Flow::Refresh) | (Effect::WithLogin, _) => "",
        (Effect::AfterLogin, _) => "logged in to localhost:PORT, but could not select an organization and workspace\n",
        _ => "could not log in to localhost:PORT\n",
    };
    Report { exit, error_chain: format!("{headline}{why}{cause}"), hint: Some(hint.to_owned()) }
}

const NOT_ANY_MORE: &str = "the API of localhost:PORT refused the login\n";

fn attempts(row: &Row, fault: NetworkFault) -> usize {
    match (row.flow, row.effect, fault) {
        // RF-7: a transient failure is retried once. A request to wait for an hour is not obeyed.
        (
            Flow::Refresh,
            _,
            NetworkFault::Reset
            | NetworkFault::ResetMidBody
            | NetworkFault::EndMidBody
            | NetworkFault::Stall
            | NetworkFault::StallMidBody
            | NetworkFault::ErrorPage
            | NetworkFault::ServerError,
        )
        | (_, Effect::WithLogin, NetworkFault::Unauthorized) => 2,
        _ => 1,
    }
}

/// The cells that run at a time, without those that wait for a limit. More would exceed other limits on a slow machine.
static BUSY: Semaphore = Semaphore::const_new(3);

/// The limit of the request that stalls. Other requests of the flow may share it, so a busy machine must keep it too.
const SHORT: Duration = Duration::from_secs(5);
/// All other limits, so that only the limit under test can end the flow in time.
const LONG: Duration = Duration::from_secs(60);

async fn cell(row: &Row, fault: NetworkFault) {
    let what = format!("{:?} {} {fault:?}", row.flow, row.path);
    let busy = BUSY.acquire().await.unwrap();
    let (mut stage, domain) = row.flow.stage(false).await;
    if fault.is_stall() {
        let [connect, request, keys, metadata, lookup, revoke, list] = [LONG; 7];
        stage.limits = TimeLimits { connect, request, keys, metadata, lookup, revoke, list };
        *(row.time_limit)(&mut stage.limits) = SHORT;
    }
    let requests = || stage.service.requests_to(row.path).len();
    let (before, earlier) = ((stage.home.config(), stage.stored()), requests());
    stage.service.fail(row.path, fault.service_fault());
    let started = Instant::now();
    let stalled = async {
        stage.service.until_stalled(1).await;
        drop(busy);
        std::future::pending::<()>().await;
    };
    let outcome = tokio::select! {
        outcome = row.flow.run(&stage, &domain) => outcome,
        () = stalled => unreachable!("it never ends"),
    };
    let took = started.elapsed();
    let pages = stage.pages().await;

    let report = Report::of(&stage, &outcome);
    let stderr = stage.normalize(&outcome.stderr);
    // Without the link, whose random values may look like anything.
    let all = stage.normalize(&outcome.all_text());
    let secret = |it: &str| all.contains(it) && !(row.flow == Flow::Refresh && outcome.stdout.contains(it));
    assert!(!["eyJ", "v1.refresh", "code-0000"].into_iter().any(secret), "{what}: {all}");
    assert!(!all.contains('\u{1b}'), "{what}: {all:?}");
    assert_eq!(requests() - earlier, attempts(row, fault), "{what}");
    assert_eq!(stage.service.replays(), 0, "{what}");
    if fault == NetworkFault::Gibibyte {
        // Some bytes are still in buffers when the program stops reading.
        let bytes_sent = stage.service.bytes_sent();
        assert!((row.limit..row.limit + 32 * MIB).contains(&bytes_sent), "{what}: {bytes_sent}");
    }
    if fault.is_stall() {
        let least = SHORT * u32::try_from(attempts(row, fault)).unwrap();
        assert!(least <= took && took < LONG, "{what}: {took:?}");
    }

    if fault.is_fine(row) || row.effect == Effect::Optional {
        let (undisturbed, domain) = row.flow.stage(false).await;
        let outcome = row.flow.run(&undisturbed, &domain).await;
        assert_eq!(outcome.result.is_ok(), row.flow != Flow::BrowserNotKept, "{what}: {outcome:?}");
        drop(undisturbed.pages().await);
        assert_eq!(report, Report::of(&undisturbed, &outcome), "{what}");
        // Progress lines appear only when a step is slow.
        let lines = |text: &str| {
            let mut lines: Vec<String> = text.lines().filter(|it| !it.ends_with('…')).map(str::to_owned).collect();
            lines.sort();
            lines
        };
        let mut said = lines(&stderr);
        if row.flow == Flow::BrowserAgain && row.path == REVOKE && !fault.is_fine(row) {
            let begin = format!("warning: could not revoke the refresh token: localhost:PORT: {}", fault.words(row));
            let end = "; the replaced refresh token stays valid until it expires";
            let warning = said.iter().position(|line| line.starts_with(&begin) && line.ends_with(end));
            said.remove(warning.unwrap_or_else(|| panic!("{what}: {stderr}")));
            said.retain(|line| !line.starts_with("hint: contact Astronomer support if others"));
        }
        assert_eq!(said, lines(&undisturbed.normalize(&outcome.stderr)), "{what}");
        assert_eq!(stage.stored().is_some(), undisturbed.stored().is_some(), "{what}");
    } else if row.effect == Effect::Warned {
        let warning = format!("warning: could not {}: localhost:PORT: {}\n", row.step, fault.words(row));
        assert!(report.exit == 0 && stderr.contains(&warning), "{what}: {report:?}\n{stderr}");
        assert!(stage.stored().is_some(), "{what}");
    } else if has_alternative(row, fault) {
        assert_eq!((report.exit, stage.stored().is_some()), (0, true), "{what}: {report:?}");
    } else {
        assert_eq!(report, expected(row, fault), "{what}");
        left(row, fault, &stage, &before, &stderr, &what);
        for page in pages {
            let page = page.unwrap();
            let failed = page.body.contains("Login failed");
            assert_eq!(failed, row.path == TOKEN, "{what}: {}", page.body);
        }
    }
    // A refresh token that nobody keeps is not left good, unless its revocation was what failed, or the answer that
    // brought it was lost.
    let live = stage.service.live_refresh_tokens();
    let kept = stage.stored().and_then(|it| it.refresh);
    let stray = live.iter().filter(|it| kept.as_ref().is_none_or(|kept| kept.expose() != it.as_str())).count();
    let lost = match row.path {
        REVOKE => usize::from(!fault.acted()),
        TOKEN => usize::from(fault.acted() && !fault.is_fine(row)),
        _ => 0,
    };
    assert_eq!(stray, lost, "{what}: {live:?}");
}

fn left(
    row: &Row,
    fault: NetworkFault,
    stage: &Stage,
    before: &(Option<String>, Option<Credentials>),
    stderr: &str,
    what: &str,
) {
    let stored = stage.stored();
    let live = stage.service.live_refresh_tokens().pop().map(RefreshToken::new);
    match row.effect {
        Effect::AfterLogin => {
            assert!(stored.is_some(), "{what}");
            assert!(stderr.contains("Logged in to localhost:PORT as Ada Lovelace"), "{what}: {stderr}");
            let organization = |config: &str| config.contains("organization: clorg00000000000000000001");
            let config = stage.home.config().unwrap();
            assert_eq!(organization(&config), before.0.as_deref().is_some_and(organization), "{what}: {config}");
        }
        Effect::AtLogout => {
            assert_eq!(stored, None, "{what}");
            let warning = format!("warning: could not revoke the refresh token: localhost:PORT: {}", fault.words(row));
            let rest = "the refresh token stays valid until it expires\n";
            assert!(stderr.contains(&warning) && stderr.contains(rest), "{what}: {stderr}");
            assert!(stderr.contains("Removed credentials from the test's keychain\n"), "{what}: {stderr}");
        }
        // The token was renewed before it was refused for good.
        Effect::WithLogin if fault == NetworkFault::Unauthorized => {
            assert_eq!(stage.home.config(), before.0, "{what}");
            assert_eq!(stored.unwrap().refresh, live, "{what}");
        }
        Effect::Essential | Effect::WithLogin | Effect::Optional | Effect::Warned => {
            assert_eq!((stage.home.config(), stored), before.clone(), "{what}");
        }
    }
}

async fn cells(flows: &[Flow]) {
    for row in ROWS.iter().filter(|row| flows.contains(&row.flow)) {
        at_once(NetworkFault::QUICK.into_iter().map(|fault| cell(row, fault))).await;
    }
}

async fn at_once(cells: impl IntoIterator<Item = impl Future<Output = ()> + 'static>) {
    let (local, mut running) = (LocalSet::new(), JoinSet::new());
    for cell in cells {
        running.spawn_local_on(Box::pin(cell), &local);
    }
    local.run_until(running.join_all()).await;
}

#[tokio::test]
async fn tk_3_tk_4_browser_login_faults() {
    cells(&[Flow::Browser]).await;
}

#[tokio::test]
async fn tk_3_optional_request_faults() {
    cells(&[Flow::BrowserAskingWho, Flow::BrowserNotKept, Flow::BrowserAgain]).await;
}

#[tokio::test]
async fn tk_3_token_login_faults() {
    cells(&[Flow::Token, Flow::TokenAgain]).await;
}

#[tokio::test]
async fn tk_3_api_token_login_faults() {
    cells(&[Flow::ApiToken]).await;
}

#[tokio::test]
async fn tk_3_rf_7_refresh_faults() {
    cells(&[Flow::Refresh]).await;
}

#[tokio::test]
async fn tk_3_rf_12_logout_faults() {
    cells(&[Flow::Logout]).await;
}

#[tokio::test]
async fn tk_3_status_check_faults() {
    cells(&[Flow::Check]).await;
}

#[tokio::test]
async fn tk_3_list_and_switch_faults() {
    cells(&[Flow::OrganizationList, Flow::OrganizationSwitch, Flow::WorkspaceList, Flow::WorkspaceSwitch]).await;
}

/// A refresh is tried twice.
#[tokio::test]
async fn tk_4_stalled_request_times_out() {
    at_once(ROWS.iter().flat_map(|row| NetworkFault::STALLS.into_iter().map(move |fault| cell(row, fault)))).await;
}

#[test]
fn time_limits_as_shipped() {
    let [connect, request, keys, metadata, lookup, revoke, list] =
        [5000, 15_000, 10_000, 3000, 1500, 5000, 60_000].map(Duration::from_millis);
    let shipped = TimeLimits { connect, request, keys, metadata, lookup, revoke, list };
    assert_eq!(Http::default().limits(), &shipped);
}

/// A host that refuses the connection, for each request that may be the first that it gets.
#[tokio::test]
async fn refused_connection_shows_step_and_host() {
    let first = |row: &&Row| ROWS.iter().find(|it| it.flow == row.flow).unwrap().path == row.path;
    let variants = [Flow::BrowserAskingWho, Flow::BrowserNotKept, Flow::BrowserAgain, Flow::TokenAgain];
    at_once(ROWS.iter().filter(first).filter(|row| !variants.contains(&row.flow)).map(refused)).await;
}

async fn refused(row: &Row) {
    let (stage, domain) = row.flow.stage(true).await;
    let all = || (stage.home.config(), stage.keychain.get(&domain), stage.service.requests().len());
    let before = all();
    let outcome = row.flow.run(&stage, &domain).await;
    let (what, report) = (row.flow, Report::of(&stage, &outcome));
    let Report { exit, error_chain, hint } = expected(row, NetworkFault::Refused);
    let here = |text: String| text.replace("localhost:PORT", &domain);
    let (error_chain, hint) = (here(error_chain), hint.map(here));
    assert_eq!((report.exit, &report.hint), (exit, &hint), "{what:?}: {report:?}");
    assert!(report.error_chain.starts_with(&error_chain), "{what:?}: {}\nis not\n{error_chain}", report.error_chain);
    if row.effect == Effect::AtLogout {
        let warning = format!("could not {}: {domain}: {}", row.step, NetworkFault::Refused.words(row));
        assert!(outcome.stderr.contains(&warning), "{what:?}: {}", outcome.stderr);
        assert_eq!((stage.keychain.get(&domain), stage.service.requests().len()), (None, before.2));
    } else {
        assert_eq!(all(), before, "{what:?}");
    }
}

/// An issuer that cannot be reached, when the API could.
#[tokio::test]
async fn refused_connection_to_issuer_shows_host() {
    for row in ROWS.iter().filter(|row| row.path == KEYS && row.flow != Flow::Refresh) {
        let (stage, domain) = row.flow.stage(false).await;
        let issuer = format!("http://{CLOSED}/");
        stage.service.patch(Part::AuthConfig, json!({ "domainUrl": issuer }));
        let token = stage.service.access_token(&json!({ "iss": issuer }));
        let outcome = match row.flow {
            Flow::Token => stage.login(&stage.token_request(&token)).await,
            _ => row.flow.run(&stage, &domain).await,
        };
        let Report { exit, error_chain, hint } = Report::of(&stage, &outcome);
        let words = "could not log in to localhost:PORT\ncould not fetch the issuer's keys: localhost:1: could \
                     not connect: ";
        assert!(error_chain.starts_with(words), "{error_chain}");
        assert_eq!((exit, hint.as_deref()), (1, Some(NetworkFault::Refused.hint(false))));
        assert_eq!((stage.stored(), stage.home.config().as_deref()), (None, Some(OTHERS)));
        assert_eq!(stage.request_log(), [format!("GET {AUTH_CONFIG}")]);
    }
}
