//! Every request of every flow against everything that a network does to it. Whatever happens, the person reads at which
//! step and with which host, the exit code is right, it takes no longer than the program's own bound, nothing of a login
//! that failed is left behind, and nothing is sent twice that must not be.
//!
//! Certificates, proxies and names that do not resolve are in `tls.rs`.

use std::time::Duration;

use astro_login::commands::login::{Login, login};
use astro_login::commands::logout::{Logout, logout};
use astro_login::commands::organization::{PlaceCommand, organization};
use astro_login::commands::status::{Status, status};
use astro_login::commands::workspace::workspace;
use astro_login::credentials::Credentials;
use astro_login::error::Error;
use astro_login::token::RefreshToken;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, timeout};

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

/// Port 1 is nobody's.
const CLOSED: &str = "localhost:1";

/// Settings of other programs.
const OTHERS: &str = "show_warnings: \"true\"   # quoted, as Go wants it\n";

/// A command, in a world in which it would do what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    /// `astro login --email ADA`
    Browser,
    /// `astro login`, and the ID token names no address.
    BrowserAskingWho,
    /// `astro login`, and the API does not know the person: what was granted is given back.
    BrowserNotKept,
    /// `astro login` over an earlier login, whose refresh token is given back.
    BrowserAgain,
    /// `astro login --token-login`
    Token,
    /// The same, where an organization is in use.
    TokenAgain,
    /// `astro login --token-login` with an API token.
    ApiToken,
    /// `astro auth token`, and the one that is kept has ended.
    Refresh,
    /// `astro logout`
    Logout,
    /// `astro auth status --check`
    Check,
    /// `astro organization list`
    OrganizationList,
    /// `astro organization switch`
    OrganizationSwitch,
    /// `astro workspace list`
    WorkspaceList,
    /// `astro workspace switch`
    WorkspaceSwitch,
}

/// What becomes of a flow if a request of it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    /// It ends, and nothing has changed.
    Essential,
    /// It goes on as if nothing had happened.
    Optional,
    /// It goes on with a warning.
    Warned,
    /// The login stands, and only where to work is left open.
    AfterLogin,
    /// It ends; a token that is refused is renewed first, and the request made once more.
    WithLogin,
    /// What is here goes all the same.
    AtLogout,
}

/// A request of a flow.
#[derive(Debug, Clone, Copy)]
struct Row {
    flow: Flow,
    path: &'static str,
    step: &'static str,
    weight: Weight,
    /// Its bound in seconds, as it is told.
    bound: &'static str,
    /// The largest answer that is read.
    limit: usize,
}

const MIB: usize = 1024 * 1024;

const fn row(flow: Flow, path: &'static str, step: &'static str, weight: Weight, bound: &'static str) -> Row {
    Row { flow, path, step, weight, bound, limit: MIB }
}

const fn list(flow: Flow, path: &'static str, step: &'static str, weight: Weight) -> Row {
    Row { flow, path, step, weight, bound: "15", limit: 10 * MIB }
}

const ROWS: [Row; 30] = {
    use Flow::{
        ApiToken, Browser, BrowserAgain, BrowserAskingWho, BrowserNotKept, Check, OrganizationList, OrganizationSwitch,
        Refresh, Token, TokenAgain, WorkspaceList, WorkspaceSwitch,
    };
    use Weight::{AfterLogin, AtLogout, Essential, Optional, Warned, WithLogin};
    [
        row(Browser, AUTH_CONFIG, "fetch the login configuration", Essential, "15"),
        row(Browser, METADATA, "fetch the issuer's metadata", Optional, "3"),
        row(Browser, KEYS, "fetch the issuer's keys", Essential, "10"),
        row(Browser, LOOKUP, "look up your organization", Optional, "1.5"),
        row(Browser, TOKEN, "exchange the code for a token", Essential, "15"),
        row(Browser, USER, "read your Astro user", Essential, "15"),
        list(Browser, ORGANIZATIONS, "list your organizations", AfterLogin),
        list(Browser, WORKSPACES, "list the workspaces", AfterLogin),
        row(BrowserAskingWho, USERINFO, "ask who has signed in", Warned, "15"),
        row(BrowserNotKept, REVOKE, "revoke the refresh token", Optional, "5"),
        row(BrowserAgain, REVOKE, "revoke the refresh token", Optional, "5"),
        row(Token, AUTH_CONFIG, "fetch the login configuration", Essential, "15"),
        row(Token, KEYS, "fetch the issuer's keys", Essential, "10"),
        row(Token, USER, "read your Astro user", Essential, "15"),
        list(Token, ORGANIZATIONS, "list your organizations", AfterLogin),
        list(Token, WORKSPACES, "list the workspaces", AfterLogin),
        row(TokenAgain, USER, "read your Astro user", Essential, "15"),
        row(TokenAgain, ORGANIZATION, "read the organization", AfterLogin, "15"),
        list(TokenAgain, WORKSPACES, "list the workspaces", AfterLogin),
        row(ApiToken, ORGANIZATION, "read the organization", Essential, "15"),
        list(ApiToken, WORKSPACES, "list the workspaces", Essential),
        row(Refresh, KEYS, "fetch the issuer's keys", Essential, "10"),
        row(Refresh, TOKEN, "refresh the login", Essential, "15"),
        row(Flow::Logout, REVOKE, "revoke the refresh token", AtLogout, "5"),
        Row { limit: 10 * MIB, ..row(Check, USER, "check the login", WithLogin, "15") },
        list(OrganizationList, ORGANIZATIONS, "list your organizations", WithLogin),
        list(OrganizationSwitch, ORGANIZATIONS, "list your organizations", WithLogin),
        list(OrganizationSwitch, WORKSPACES, "list the workspaces", WithLogin),
        list(WorkspaceList, WORKSPACES, "list the workspaces", WithLogin),
        list(WorkspaceSwitch, WORKSPACES, "list the workspaces", WithLogin),
    ]
};

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    /// Nobody listens; only for the first request of a flow.
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

impl Column {
    /// All that need no patience.
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

    fn fault(self) -> Fault {
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

    /// Whether the service did what it was asked, and only its answer suffered.
    fn acted(self) -> bool {
        use Column::{EndMidBody, OtherContentType, ResetMidBody, StallMidBody, Truncated};
        matches!(self, EndMidBody | OtherContentType | ResetMidBody | StallMidBody | Truncated)
    }

    /// Whether nothing is wrong with the answer, as far as this program looks at it.
    fn is_fine(self, row: &Row) -> bool {
        // Types are for those who show an answer; here only what is in it counts.
        self == Self::OtherContentType
            // Nothing is to be read in the answer to a revocation (RFC 7009 section 2.2).
            || (row.path == REVOKE && matches!(self, Self::Truncated | Self::Portal))
    }

    /// What of it is told, after step and host.
    fn words(self, row: &Row) -> String {
        match self {
            // What follows are the operating system's words.
            Self::Refused => "no connection: ".to_owned(),
            Self::Reset | Self::ResetMidBody | Self::EndMidBody => {
                "the connection ended in the middle of the answer".to_owned()
            }
            Self::Stall | Self::StallMidBody => format!("no answer within {} seconds", row.bound),
            Self::Gibibyte => format!("the answer is larger than {} bytes", row.limit),
            Self::Redirect => "it redirects to evil.example, which is not followed".to_owned(),
            Self::Truncated | Self::Portal | Self::OtherContentType => "its answer could not be understood".to_owned(),
            Self::Unauthorized | Self::Forbidden | Self::NotFound => {
                format!("it answered with status {}: {SAID}[2J", self.status().unwrap())
            }
            Self::ErrorPage | Self::TooMany | Self::ServerError => {
                format!("it answered with status {}", self.status().unwrap())
            }
        }
    }

    /// What to do about it. `person`: whether the request showed who asks.
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
            _ => "try another network; a proxy or captive portal may interfere with this one",
        }
    }
}

/// What the server says of its refusals, before it tries to clear the screen.
const SAID: &str = "not you";

impl Flow {
    /// The world that it runs in, and the domain: that of the service, or one where nobody listens.
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
                // The API knows those who have signed in.
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
        let browser = Login { timeout: Duration::from_secs(120), domain: domain.clone(), ..stage.request() };
        let sign_in = async |request: Login| stage.run(async |system| login(system, &request).await).await;
        let place = |wanted: &str| PlaceCommand::Switch { wanted: Some(wanted.to_owned()) };
        match self {
            Self::Browser => sign_in(Login { email: Some(ADA.parse().unwrap()), ..browser }).await,
            Self::BrowserAskingWho | Self::BrowserNotKept | Self::BrowserAgain => sign_in(browser).await,
            Self::Token | Self::TokenAgain => {
                sign_in(Login { domain, ..stage.token_request(&stage.service.access_token(&json!({}))) }).await
            }
            Self::ApiToken => sign_in(Login { domain, ..stage.token_request(&stage.service.api_token()) }).await,
            Self::Refresh => stage.run(async |system| token(system, domain.as_deref()).await).await,
            Self::Logout => stage.run(async |system| logout(system, &Logout { domain, all: false }).await).await,
            Self::Check => {
                let request = Status { domain, json: false, check: true };
                stage.run(async |system| status(system, &request).await).await
            }
            Self::OrganizationList => {
                stage.run(async |system| organization(system, PlaceCommand::List { json: false }).await).await
            }
            Self::OrganizationSwitch => {
                stage.run(async |system| organization(system, place("Analytical Engines")).await).await
            }
            Self::WorkspaceList => {
                stage.run(async |system| workspace(system, PlaceCommand::List { json: false }).await).await
            }
            Self::WorkspaceSwitch => stage.run(async |system| workspace(system, place("Punched Cards")).await).await,
        }
    }
}

/// How a flow ends.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    exit: u8,
    complaint: String,
    hint: Option<String>,
}

impl Told {
    fn of(stage: &Stage, outcome: &Outcome) -> Self {
        let complaint = if outcome.result.is_err() { stage.plain(&outcome.complaint()) } else { String::new() };
        let hint = outcome.result.as_ref().err().and_then(Error::hint).map(|hint| stage.plain(&hint));
        Self { exit: outcome.exit_code(), complaint, hint }
    }
}

/// Where a refusal means that there is another way: the person has left the organization, and it is chosen anew; the API
/// token is for a deployment alone, and sees no workspace.
fn detour(row: &Row, column: Column) -> bool {
    matches!((row.flow, row.path), (Flow::TokenAgain, ORGANIZATION) | (Flow::ApiToken, WORKSPACES))
        && matches!(column, Column::Forbidden | Column::NotFound)
}

fn expected(row: &Row, column: Column) -> Told {
    let person = row.path.starts_with("/v1/");
    let cause = match (row.path, column) {
        // OAuth has words of its own, which tell more than the status.
        (TOKEN, Column::TooMany) => "the issuer refused with `too_many_requests`: slow down".to_owned(),
        _ => format!("could not {}: localhost:PORT: {}", row.step, column.words(row)),
    };
    let (exit, why, hint) = match (row.flow, row.path, column.status()) {
        (Flow::ApiToken, ORGANIZATION, Some(401 | 403 | 404)) => {
            let why = "the API of localhost:PORT refused this API token\n";
            (4, why, "create a new API token in the Astro UI")
        }
        (Flow::Check, ..) if matches!(column.status(), Some(401 | 403 | 404)) => {
            (4, NOT_ANY_MORE, "run `astro login localhost:PORT`")
        }
        (_, _, Some(401)) if row.weight == Weight::WithLogin => (4, NOT_ANY_MORE, "run `astro login localhost:PORT`"),
        (_, _, Some(401)) if person => (4, "", column.hint(person)),
        _ => (1, "", column.hint(person)),
    };
    let headline = match (row.weight, row.flow) {
        (Weight::AtLogout, _) => {
            let complaint = "logout from localhost:PORT was incomplete; see the warnings above".to_owned();
            return Told { exit: 1, complaint, hint: None };
        }
        (Weight::Essential, Flow::Refresh) if column == Column::TooMany && row.path == TOKEN => {
            "could not renew the login to localhost:PORT\n"
        }
        (Weight::Essential, Flow::Refresh) | (Weight::WithLogin, _) => "",
        (Weight::AfterLogin, _) => "logged in to localhost:PORT, but could not select an organization and workspace\n",
        _ => "could not log in to localhost:PORT\n",
    };
    Told { exit, complaint: format!("{headline}{why}{cause}"), hint: Some(hint.to_owned()) }
}

const NOT_ANY_MORE: &str = "the API of localhost:PORT refused the login\n";

/// How often the request is made.
fn attempts(row: &Row, column: Column) -> usize {
    match (row.flow, row.weight, column) {
        // RF-7: what may pass is tried once more. What is asked to wait for an hour is not.
        (
            Flow::Refresh,
            _,
            Column::Reset
            | Column::ResetMidBody
            | Column::EndMidBody
            | Column::Stall
            | Column::StallMidBody
            | Column::ErrorPage
            | Column::ServerError,
        )
        // The token is renewed, and shown once more.
        | (_, Weight::WithLogin, Column::Unauthorized) => 2,
        _ => 1,
    }
}

/// So many cells are at work at a time; one that only waits for the bound is not. More would run into bounds that are not
/// theirs on a slow machine.
static BUSY: Semaphore = Semaphore::const_new(6);

/// One request of one flow, and what happens to it.
async fn cell(row: &Row, column: Column) {
    let what = format!("{:?} {} {column:?}", row.flow, row.path);
    let busy = BUSY.acquire().await.unwrap();
    let (stage, domain) = row.flow.stage(false).await;
    let requests = || stage.service.requests_to(row.path).len();
    let (before, earlier) = ((stage.home.config(), stage.stored()), requests());
    stage.service.fail(row.path, column.fault());
    let started = Instant::now();
    let outcome = if row.flow == Flow::Refresh && column.is_stall() {
        let patience = impatience(&stage, row, attempts(row, column));
        let both = async { tokio::join!(row.flow.run(&stage, &domain), patience).0 };
        timeout(Duration::from_secs(120), both).await.unwrap()
    } else {
        let stalled = async {
            stage.service.until_stalled(1).await;
            drop(busy);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            outcome = row.flow.run(&stage, &domain) => outcome,
            () = stalled => unreachable!("it never ends"),
        }
    };
    let took = started.elapsed();
    let pages = stage.pages().await;

    let told = Told::of(&stage, &outcome);
    let stderr = stage.plain(&outcome.stderr);
    // Without the link, whose random values may look like anything.
    let all = stage.plain(&outcome.all_text());
    let secret = |it: &str| all.contains(it) && !(row.flow == Flow::Refresh && outcome.stdout.contains(it));
    assert!(!["eyJ", "v1.refresh", "code-0000"].into_iter().any(secret), "{what}: {all}");
    assert!(!all.contains('\u{1b}'), "{what}: {all:?}");
    assert_eq!(requests() - earlier, attempts(row, column), "{what}");
    assert_eq!(stage.service.replays(), 0, "{what}");
    if column == Column::Gibibyte {
        // What is on its way when the program has had enough is in buffers.
        let poured = stage.service.poured();
        assert!((row.limit..row.limit + 32 * MIB).contains(&poured), "{what}: {poured}");
    }
    if column.is_stall() {
        let bound: f32 = row.bound.parse().unwrap();
        let bound = Duration::from_secs_f32(bound) * u32::try_from(attempts(row, column)).unwrap();
        assert!(bound <= took && took < bound + Duration::from_secs(30), "{what}: {took:?}");
    }

    if column.is_fine(row) || row.weight == Weight::Optional {
        let (undisturbed, domain) = row.flow.stage(false).await;
        let outcome = row.flow.run(&undisturbed, &domain).await;
        assert_eq!(outcome.result.is_ok(), row.flow != Flow::BrowserNotKept, "{what}: {outcome:?}");
        drop(undisturbed.pages().await);
        assert_eq!(told, Told::of(&undisturbed, &outcome), "{what}");
        // What is going on is said only where it takes its time.
        let lines = |text: &str| {
            let mut lines: Vec<String> = text.lines().filter(|it| !it.ends_with('…')).map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(lines(&stderr), lines(&undisturbed.plain(&outcome.stderr)), "{what}");
        assert_eq!(stage.stored().is_some(), undisturbed.stored().is_some(), "{what}");
    } else if row.weight == Weight::Warned {
        let warning = format!("warning: could not {}: localhost:PORT: {}\n", row.step, column.words(row));
        assert!(told.exit == 0 && stderr.contains(&warning), "{what}: {told:?}\n{stderr}");
        assert!(stage.stored().is_some(), "{what}");
    } else if detour(row, column) {
        assert_eq!((told.exit, stage.stored().is_some()), (0, true), "{what}: {told:?}");
    } else {
        assert_eq!(told, expected(row, column), "{what}");
        left(row, column, &stage, &before, &stderr, &what);
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
        REVOKE => usize::from(!column.acted()),
        TOKEN => usize::from(column.acted() && !column.is_fine(row)),
        _ => 0,
    };
    assert_eq!(stray, lost, "{what}: {live:?}");
}

/// Lets the bound of each of so many requests go by as soon as its answer has stalled. Only where no other is under way.
async fn impatience(stage: &Stage, row: &Row, requests: usize) {
    for count in 1..=requests {
        stage.service.until_stalled(count).await;
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(row.bound.parse().unwrap())).await;
        tokio::time::resume();
    }
}

/// What a failure leaves behind.
fn left(
    row: &Row,
    column: Column,
    stage: &Stage,
    before: &(Option<String>, Option<Credentials>),
    stderr: &str,
    what: &str,
) {
    let stored = stage.stored();
    let live = stage.service.live_refresh_tokens().pop().map(RefreshToken::new);
    match row.weight {
        Weight::AfterLogin => {
            assert!(stored.is_some(), "{what}");
            assert!(stderr.contains("Logged in to localhost:PORT as Ada Lovelace"), "{what}: {stderr}");
            let organization = |config: &str| config.contains("organization: clorg00000000000000000001");
            let config = stage.home.config().unwrap();
            assert_eq!(organization(&config), before.0.as_deref().is_some_and(organization), "{what}: {config}");
        }
        Weight::AtLogout => {
            assert_eq!(stored, None, "{what}");
            let warning = "warning: the refresh token stays valid until it expires: \
                           could not revoke the refresh token: localhost:PORT: ";
            assert!(stderr.contains(&format!("{warning}{}\n", column.words(row))), "{what}: {stderr}");
            assert!(stderr.contains("Removed credentials from the test's keychain\n"), "{what}: {stderr}");
        }
        // The token was renewed before it was refused for good.
        Weight::WithLogin if column == Column::Unauthorized => {
            assert_eq!(stage.home.config(), before.0, "{what}");
            assert_eq!(stored.unwrap().refresh, live, "{what}");
        }
        Weight::Essential | Weight::WithLogin | Weight::Optional | Weight::Warned => {
            assert_eq!((stage.home.config(), stored), before.clone(), "{what}");
        }
    }
}

async fn cells(flows: &[Flow]) {
    for row in ROWS.iter().filter(|row| flows.contains(&row.flow)) {
        at_once(Column::QUICK.into_iter().map(|column| cell(row, column))).await;
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
async fn tk_3_tk_4_a_login_in_the_browser() {
    cells(&[Flow::Browser]).await;
}

#[tokio::test]
async fn tk_3_what_a_login_can_do_without() {
    cells(&[Flow::BrowserAskingWho, Flow::BrowserNotKept, Flow::BrowserAgain]).await;
}

#[tokio::test]
async fn tk_3_a_login_with_a_token() {
    cells(&[Flow::Token, Flow::TokenAgain]).await;
}

#[tokio::test]
async fn tk_3_a_login_with_an_api_token() {
    cells(&[Flow::ApiToken]).await;
}

#[tokio::test]
async fn tk_3_rf_7_a_refresh() {
    cells(&[Flow::Refresh]).await;
}

#[tokio::test]
async fn tk_3_rf_12_a_logout() {
    cells(&[Flow::Logout]).await;
}

#[tokio::test]
async fn tk_3_a_status_that_checks() {
    cells(&[Flow::Check]).await;
}

#[tokio::test]
async fn tk_3_organizations_and_workspaces() {
    cells(&[Flow::OrganizationList, Flow::OrganizationSwitch, Flow::WorkspaceList, Flow::WorkspaceSwitch]).await;
}

/// All at once, for each takes as long as the program waits. A refresh waits twice, and has a test of its own.
#[tokio::test]
async fn whoever_stalls_is_given_up_after_the_bound_of_the_request() {
    let rows = ROWS.iter().filter(|row| row.flow != Flow::Refresh);
    at_once(rows.flat_map(|row| Column::STALLS.into_iter().map(move |column| cell(row, column)))).await;
}

#[tokio::test]
async fn a_refresh_gives_up_whoever_stalls_twice() {
    for row in ROWS.iter().filter(|row| row.flow == Flow::Refresh) {
        for column in Column::STALLS {
            cell(row, column).await;
        }
    }
}

/// A host that refuses the connection, for each request that may be the first that it gets.
#[tokio::test]
async fn a_connection_that_is_refused_is_told() {
    let first = |row: &&Row| ROWS.iter().find(|it| it.flow == row.flow).unwrap().path == row.path;
    let alone = [
        Flow::Browser,
        Flow::Token,
        Flow::ApiToken,
        Flow::Refresh,
        Flow::Logout,
        Flow::Check,
        Flow::OrganizationList,
        Flow::OrganizationSwitch,
        Flow::WorkspaceList,
        Flow::WorkspaceSwitch,
    ];
    at_once(ROWS.iter().filter(first).filter(|row| alone.contains(&row.flow)).map(refused)).await;
}

async fn refused(row: &Row) {
    let (stage, domain) = row.flow.stage(true).await;
    let all = || (stage.home.config(), stage.keychain.get(&domain), stage.service.requests().len());
    let before = all();
    let outcome = row.flow.run(&stage, &domain).await;
    let (what, told) = (row.flow, Told::of(&stage, &outcome));
    let Told { exit, complaint, hint } = expected(row, Column::Refused);
    let here = |text: String| text.replace("localhost:PORT", &domain);
    let (complaint, hint) = (here(complaint), hint.map(here));
    assert_eq!((told.exit, &told.hint), (exit, &hint), "{what:?}: {told:?}");
    assert!(told.complaint.starts_with(&complaint), "{what:?}: {}\nis not\n{complaint}", told.complaint);
    if row.weight == Weight::AtLogout {
        let warning = format!("could not {}: {domain}: {}", row.step, Column::Refused.words(row));
        assert!(outcome.stderr.contains(&warning), "{what:?}: {}", outcome.stderr);
        assert_eq!((stage.keychain.get(&domain), stage.service.requests().len()), (None, before.2));
    } else {
        assert_eq!(all(), before, "{what:?}");
    }
}

/// An issuer that cannot be reached, when the API could.
#[tokio::test]
async fn an_issuer_that_refuses_the_connection_is_told() {
    for row in ROWS.iter().filter(|row| row.path == KEYS && row.flow != Flow::Refresh) {
        let (stage, domain) = row.flow.stage(false).await;
        let issuer = format!("http://{CLOSED}/");
        stage.service.patch(Part::AuthConfig, json!({ "domainUrl": issuer }));
        let token = stage.service.access_token(&json!({ "iss": issuer }));
        let outcome = match row.flow {
            Flow::Token => stage.login(&stage.token_request(&token)).await,
            _ => row.flow.run(&stage, &domain).await,
        };
        let Told { exit, complaint, hint } = Told::of(&stage, &outcome);
        let words = "could not log in to localhost:PORT\ncould not fetch the issuer's keys: localhost:1: no \
                     connection: ";
        assert!(complaint.starts_with(words), "{complaint}");
        assert_eq!((exit, hint.as_deref()), (1, Some(Column::Refused.hint(false))));
        assert_eq!((stage.stored(), stage.home.config().as_deref()), (None, Some(OTHERS)));
        assert_eq!(stage.traffic(), [format!("GET {AUTH_CONFIG}")]);
    }
}
