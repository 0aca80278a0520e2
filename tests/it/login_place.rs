//! Where a person works after a login: organization and workspace, each rung of the ladder, without a terminal.

use std::time::Duration;

use astro_login::commands::login::Login;
use serde_json::json;

use crate::support::{Fault, Mode, Options, Organization, Outcome, Part, Stage};

const ENGINES: &str = "clorg00000000000000000001";
const COMPILERS: &str = "clorg00000000000000000002";
const DIFFERENCE: &str = "clws000010000000000000001";
const CARDS: &str = "clws000010000000000000002";
const FLOW: &str = "clws000020000000000000001";

/// What is different about a stage.
type Arrange = fn(&Stage);

/// Signs in Grace, whose e-mail domain is nobody's, to the default world.
fn grace() -> Stage {
    Stage::with(Options::default(), Mode::LogIn("grace@example.org".to_owned())).at_noon()
}

/// Settings of the domain's context, as an earlier login left them.
fn remembering(stage: &Stage, settings: &[(&str, &str)]) {
    let domain = stage.service.domain();
    let lines: Vec<String> = settings.iter().map(|(name, value)| format!("        {name}: {value}\n")).collect();
    stage.home.write_config(&format!("contexts:\n    \"{domain}\":\n        domain: \"{domain}\"\n{}", lines.concat()));
}

fn naming(stage: &Stage, organization: Option<&str>, workspace: Option<&str>) -> Login {
    let owned = |name: Option<&str>| name.map(str::to_owned);
    Login { organization: owned(organization), workspace: owned(workspace), ..stage.request() }
}

/// Organization, product, workspace and last used workspace, as config.yaml has them.
fn place(stage: &Stage) -> [Option<String>; 4] {
    let config = astro_login::config::Config::new(stage.home.path()).read().unwrap();
    let context = config.context(&stage.service.domain().parse().unwrap()).unwrap();
    [context.organization, context.organization_product, context.workspace, context.last_used_workspace]
}

fn at(organization: &str, workspace: Option<&str>) -> [Option<String>; 4] {
    let workspace = workspace.map(str::to_owned);
    [Some(organization.to_owned()), Some("HOSTED".to_owned()), workspace.clone(), workspace]
}

const NOWHERE: [Option<String>; 4] = [None, None, None, None];

fn warnings(outcome: &Outcome) -> Vec<&str> {
    outcome.stderr.lines().filter(|line| line.starts_with("warning: ")).collect()
}

/// A login that stands, although it could not settle.
fn assert_stands(stage: &Stage, outcome: &Outcome, complaint: &str) {
    let complaint =
        format!("logged in to localhost:PORT, but could not select an organization and workspace\n{complaint}");
    assert!(outcome.result.is_err(), "{}", outcome.stderr);
    assert_eq!((outcome.exit_code(), stage.plain(&outcome.complaint())), (1, complaint));
    assert!(outcome.stderr.contains("Logged in to localhost:"), "{}", outcome.stderr);
    let kept = stage.stored().unwrap().refresh.unwrap();
    assert_eq!(stage.service.live_refresh_tokens(), [kept.expose()]);
}

#[tokio::test]
async fn the_flags_win_by_identifier_or_by_name() {
    let table = [
        (COMPILERS, None, at(COMPILERS, Some(FLOW))),
        ("compilers", None, at(COMPILERS, Some(FLOW))),
        ("Analytical Engines", Some("DIFFERENCE ENGINE"), at(ENGINES, Some(DIFFERENCE))),
        (ENGINES, Some(CARDS), at(ENGINES, Some(CARDS))),
    ];
    for (organization, workspace, expected) in table {
        let stage = grace();
        remembering(&stage, &[("organization", ENGINES), ("user_email", "grace@example.org")]);
        let outcome = stage.login(&naming(&stage, Some(organization), workspace)).await;
        assert_eq!(outcome.exit_code(), 0, "{}", outcome.stderr);
        assert_eq!((place(&stage), warnings(&outcome)), (expected, vec![]), "{organization} {workspace:?}");
    }
}

#[tokio::test]
async fn a_flag_that_names_nothing_says_what_there_is() {
    let stage = grace();
    let outcome = stage.login(&naming(&stage, Some("Nowhere\u{1b}[2J"), None)).await;
    assert_stands(&stage, &outcome, "no organization named `Nowhere[2J`; choose one of: Analytical Engines, Compilers");
    assert_eq!(place(&stage), NOWHERE);

    let stage = grace();
    let outcome = stage.login(&naming(&stage, Some(ENGINES), Some("Nowhere"))).await;
    assert_stands(&stage, &outcome, "no workspace named `Nowhere`; choose one of: Difference Engine, Punched Cards");
    assert_eq!(place(&stage), at(ENGINES, None));
}

#[tokio::test]
async fn a_flag_that_names_several_says_which() {
    let stage = grace();
    stage.service.set(|options| options.organizations[0].name = "COMPILERS".to_owned());
    let outcome = stage.login(&naming(&stage, Some("compilers"), None)).await;
    let ids = format!("{ENGINES}, {COMPILERS}");
    assert_stands(&stage, &outcome, &format!("several organizations are named `compilers`; use an ID: {ids}"));

    let stage = grace();
    stage.service.set(|options| options.organizations[0].workspaces[0].name = "Punched Cards".to_owned());
    let outcome = stage.login(&naming(&stage, Some(ENGINES), Some("Punched Cards"))).await;
    let ids = format!("{DIFFERENCE}, {CARDS}");
    assert_stands(&stage, &outcome, &format!("several workspaces are named `Punched Cards`; use an ID: {ids}"));
}

#[tokio::test]
async fn a_misspelt_workspace_does_not_cost_the_one_in_use() {
    let stage = grace();
    remembering(&stage, &[("organization", ENGINES), ("organization_product", "HOSTED"), ("workspace", CARDS)]);
    let outcome = stage.login(&naming(&stage, None, Some("Nowhere"))).await;
    assert_stands(&stage, &outcome, "no workspace named `Nowhere`; choose one of: Difference Engine, Punched Cards");
    assert_eq!(place(&stage)[2].as_deref(), Some(CARDS));

    // In another organization it has no meaning.
    let outcome = stage.login(&naming(&stage, Some(COMPILERS), Some("Nowhere"))).await;
    assert_stands(&stage, &outcome, "no workspace named `Nowhere`; choose one of: Flow-Matic");
    assert_eq!(place(&stage), at(COMPILERS, None));
}

#[tokio::test]
async fn the_contexts_organization_is_kept_without_looking_at_the_others() {
    let stage = grace();
    remembering(&stage, &[("organization", ENGINES), ("last_used_workspace", CARDS)]);
    let outcome = stage.login(&stage.request()).await;
    assert_eq!(outcome.exit_code(), 0, "{}", outcome.stderr);
    assert_eq!((place(&stage), warnings(&outcome)), (at(ENGINES, Some(CARDS)), vec![]));
    let asked: Vec<String> =
        stage.traffic().into_iter().filter(|line| line.starts_with("GET /v1/organizations")).collect();
    assert_eq!(
        asked,
        [format!("GET /v1/organizations/{ENGINES}"), format!("GET /v1/organizations/{ENGINES}/workspaces")]
    );
}

#[tokio::test]
async fn an_organization_that_is_gone_is_looked_for_in_the_list() {
    for status in [403, 404] {
        let stage = grace();
        remembering(&stage, &[("organization", "clorggone"), ("workspace", CARDS)]);
        stage.service.fail("/v1/organizations/clorggone", Fault::Status(status, "{}".to_owned()));
        stage.service.set(|options| drop(options.organizations.remove(0)));
        let outcome = stage.login(&stage.request()).await;
        assert_eq!(outcome.exit_code(), 0, "{}", outcome.stderr);
        assert_eq!(place(&stage), at(COMPILERS, Some(FLOW)), "{status}");
    }
}

#[tokio::test]
async fn an_organization_that_cannot_be_asked_for_is_neither_kept_nor_given_up() {
    let stage = grace();
    let settings = [("organization", ENGINES), ("workspace", CARDS)];
    remembering(&stage, &settings);
    stage.service.fail(&format!("/v1/organizations/{ENGINES}"), Fault::Status(500, "{}".to_owned()));
    let outcome = stage.login(&stage.request()).await;
    assert_stands(&stage, &outcome, "could not read the organization: localhost:PORT: it answered with status 500");
    assert_eq!(place(&stage), [Some(ENGINES.to_owned()), None, Some(CARDS.to_owned()), None]);
}

#[tokio::test]
async fn the_only_one_is_taken() {
    let stage = grace();
    stage.service.set(|options| drop(options.organizations.remove(0)));
    let outcome = stage.login(&stage.request()).await;
    assert_eq!((outcome.exit_code(), place(&stage)), (0, at(COMPILERS, Some(FLOW))));
    assert_eq!(warnings(&outcome), [""; 0]);
}

#[tokio::test]
async fn the_one_that_owns_the_persons_e_mail_domain_is_taken() {
    let stage = Stage::new();
    let outcome = stage.login(&stage.request()).await;
    assert_eq!((outcome.exit_code(), place(&stage)), (0, at(ENGINES, None)));
    assert_eq!(
        warnings(&outcome),
        ["warning: no workspace selected (2 available: Difference Engine, Punched Cards); use `--workspace`"]
    );
}

#[tokio::test]
async fn of_several_none_is_taken_and_the_flag_is_named() {
    let several = "warning: no organization selected (2 available: Analytical Engines, Compilers); \
                   use `--organization`";
    let stage = grace();
    let outcome = stage.login(&stage.request()).await;
    assert_eq!((outcome.exit_code(), place(&stage), warnings(&outcome)), (0, NOWHERE, vec![several]));

    let two_owners = Stage::new();
    two_owners.service.set(|options| options.organizations[1].managed_domains = vec!["Example.com".to_owned()]);
    let outcome = two_owners.login(&two_owners.request()).await;
    assert_eq!((outcome.exit_code(), place(&two_owners), warnings(&outcome)), (0, NOWHERE, vec![several]));

    let namesakes = grace();
    namesakes.service.set(|options| options.organizations[1].name = "Analytical Engines".to_owned());
    let outcome = namesakes.login(&namesakes.request()).await;
    let told = format!(
        "warning: no organization selected (2 available: Analytical Engines ({ENGINES}), \
         Analytical Engines ({COMPILERS})); use `--organization`"
    );
    assert_eq!((outcome.exit_code(), warnings(&outcome)), (0, vec![told.as_str()]));
}

#[tokio::test]
async fn who_belongs_nowhere_is_told_whom_to_ask() {
    let stage = grace();
    stage.service.set(|options| options.organizations.clear());
    let outcome = stage.login(&stage.request()).await;
    assert_stands(&stage, &outcome, "you are logged in, but belong to no organization");
    assert_eq!(
        stage.plain(&outcome.result.unwrap_err().hint().unwrap()),
        "ask the owner of your organization to invite you, then run `astro login localhost:PORT` again"
    );
}

#[tokio::test]
async fn an_organization_without_workspaces_is_no_failure() {
    let stage = grace();
    stage.service.set(|options| options.organizations = vec![Organization::new(7, "Empty", &[])]);
    let outcome = stage.login(&stage.request()).await;
    assert_eq!((outcome.exit_code(), place(&stage)), (0, at("clorg00000000000000000007", None)));
    assert_eq!(warnings(&outcome), [""; 0]);
}

#[tokio::test]
async fn an_organization_without_a_product_is_a_hybrid_one() {
    let stage = grace();
    stage.service.set(|options| {
        options.organizations.remove(0);
        options.organizations[0].product = None;
    });
    assert_eq!(stage.login(&stage.request()).await.exit_code(), 0);
    assert_eq!(place(&stage)[1].as_deref(), Some("HYBRID"));
}

#[tokio::test]
async fn the_last_used_workspace_is_kept_and_one_that_is_gone_is_not() {
    let settle = async |workspace: &str| {
        let stage = grace();
        remembering(&stage, &[("organization", ENGINES), ("last_used_workspace", workspace), ("workspace", workspace)]);
        let outcome = stage.login(&stage.request()).await;
        assert_eq!(outcome.exit_code(), 0, "{}", outcome.stderr);
        (place(&stage), warnings(&outcome).len())
    };
    assert_eq!(settle(CARDS).await, (at(ENGINES, Some(CARDS)), 0));
    // What was used last stays on record: the Go CLI takes it up again if it comes back.
    let [organization, product, workspace, _] = at(ENGINES, None);
    assert_eq!(settle("clwsgone").await, ([organization, product, workspace, Some("clwsgone".to_owned())], 1));
}

#[tokio::test]
async fn another_person_inherits_neither_organization_nor_workspace() {
    let mut stage = Stage::new();
    let request = naming(&stage, None, Some("Punched Cards"));
    assert_eq!(stage.login(&request).await.exit_code(), 0);
    assert_eq!(place(&stage), at(ENGINES, Some(CARDS)));

    stage.send(Mode::LogIn("grace@example.org".to_owned()));
    let outcome = stage.login(&stage.request()).await;
    assert_eq!((outcome.exit_code(), place(&stage)), (0, NOWHERE), "{}", outcome.stderr);
    assert_eq!(stage.stored().unwrap().sub, "auth0|grace@example.org");
    assert!(stage.home.config().unwrap().contains("user_email: grace@example.org\n"));
}

#[tokio::test]
async fn lists_are_read_to_their_end() {
    let stage = grace();
    stage.service.set(|options| *options = options.clone().organizations(250, 1));
    let outcome = stage.login(&naming(&stage, Some("Organization 00250"), None)).await;
    assert_eq!(outcome.exit_code(), 0, "{}", outcome.stderr);
    assert_eq!(place(&stage)[0].as_deref(), Some("clorg00000000000000000250"));
    let pages = stage.service.requests_to("/v1/organizations");
    let mut offsets: Vec<Option<&str>> = pages.iter().map(|page| page.query("offset")).collect();
    offsets.sort_unstable();
    assert_eq!(offsets, [Some("0"), Some("100"), Some("200")]);

    let stage = grace();
    stage.service.set(|options| *options = options.clone().organizations(250, 1));
    let outcome = stage.login(&stage.request()).await;
    let shown = "Organization 00001, Organization 00002, Organization 00003, Organization 00004, Organization 00005";
    let told = format!("warning: no organization selected (250 available: {shown} and 245 more); use `--organization`");
    assert_eq!((outcome.exit_code(), warnings(&outcome)), (0, vec![told.as_str()]));
}

#[tokio::test]
async fn workspaces_are_read_to_their_end_too() {
    let stage = grace();
    stage.service.set(|options| *options = options.clone().organizations(1, 1001));
    let outcome = stage.login(&naming(&stage, None, Some("Workspace 01001"))).await;
    assert_eq!(outcome.exit_code(), 0, "{}", outcome.stderr);
    assert_eq!(place(&stage)[2].as_deref(), Some("clws000010000000000001001"));
}

#[tokio::test]
async fn a_list_that_contradicts_itself_is_an_error_and_the_login_stands() {
    let table: [(Arrange, &str); 5] = [
        (
            |stage| stage.service.patch(Part::Organizations, json!({"totalCount": 7})),
            "could not list your organizations: the API announced 7 entries and listed 2",
        ),
        (
            |stage| stage.service.patch(Part::Organizations, json!({"totalCount": 1})),
            "could not list your organizations: the API announced 1 entries and listed 2",
        ),
        (
            |stage| stage.service.set(|options| options.endless_pages = true),
            "could not list your organizations: the list does not end within 1000 pages",
        ),
        (
            |stage| {
                let listed = json!([{"id": "../../x", "name": "X"}]);
                stage.service.patch(Part::Organizations, json!({"organizations": listed, "totalCount": 1}));
            },
            "could not list your organizations: the API listed an entry without a usable identifier",
        ),
        (
            |stage| stage.service.fail("/v1/organizations", Fault::Status(500, r#"{"message":"oops"}"#.to_owned())),
            "could not list your organizations: localhost:PORT: it answered with status 500: oops",
        ),
    ];
    for (arrange, complaint) in table {
        let stage = grace();
        arrange(&stage);
        let outcome = stage.login(&stage.request()).await;
        assert_stands(&stage, &outcome, complaint);
        assert_eq!(place(&stage), NOWHERE);
    }
}

#[tokio::test]
async fn pages_without_end_and_without_a_total_are_given_up() {
    let stage = grace();
    stage.service.set(|options| options.endless_pages = true);
    stage.service.patch(Part::Organizations, json!({"limit": 1, "totalCount": null}));
    let login = tokio::time::timeout(Duration::from_secs(60), async { stage.login(&stage.request()).await });
    let complaint = "could not list your organizations: the list does not end within 1000 pages";
    assert_stands(&stage, &login.await.unwrap(), complaint);
}

#[tokio::test]
async fn workspaces_that_cannot_be_listed_do_not_cost_the_login() {
    let stage = grace();
    stage.service.fail(&format!("/v1/organizations/{COMPILERS}/workspaces"), Fault::CloseMidBody);
    let outcome = stage.login(&naming(&stage, Some(COMPILERS), None)).await;
    let complaint = "could not list the workspaces: localhost:PORT: the connection ended in the middle of the answer";
    assert_stands(&stage, &outcome, complaint);
}
