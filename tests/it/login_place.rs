//! The organization and workspace after a login without a terminal: each step of the selection.

use astro_login::commands::login::Login;
use serde_json::json;

use crate::support::{Fault, Mode, Options, Organization, Outcome, Part, Stage};

const ENGINES: &str = "clorg00000000000000000001";
const COMPILERS: &str = "clorg00000000000000000002";
const DIFFERENCE: &str = "clws000010000000000000001";
const CARDS: &str = "clws000010000000000000002";
const FLOW: &str = "clws000020000000000000001";

/// Logs in Grace, whose email domain belongs to no organization.
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
fn assert_stands(stage: &Stage, outcome: &Outcome, error_chain: &str) {
    // A question that could not be asked, or a name that does not fit.
    let code = if error_chain.starts_with("no organization selected") { 2 } else { 1 };
    let error_chain =
        format!("logged in to localhost:PORT, but could not select an organization and workspace\n{error_chain}");
    assert!(outcome.result.is_err(), "{}", outcome.stderr);
    assert_eq!((outcome.exit_code(), stage.normalize(&outcome.error_chain())), (code, error_chain));
    assert!(outcome.stderr.contains("Logged in to localhost:"), "{}", outcome.stderr);
    let kept = stage.stored().unwrap().refresh.unwrap();
    assert_eq!(stage.service.live_refresh_tokens(), [kept.expose()]);
}

#[tokio::test]
async fn flags_select_by_id_or_name() {
    let table = [
        (COMPILERS, None, at(COMPILERS, Some(FLOW))),
        ("compilers", None, at(COMPILERS, Some(FLOW))),
        ("Analytical Engines", Some("DIFFERENCE ENGINE"), at(ENGINES, Some(DIFFERENCE))),
        (ENGINES, Some(CARDS), at(ENGINES, Some(CARDS))),
    ];
    for (organization, workspace, expected) in table {
        let stage = grace();
        remembering(&stage, &[("organization", ENGINES), ("user_email", "grace@example.org")]);
        let outcome = stage.login(&naming(&stage, Some(organization), workspace)).await.success();
        assert_eq!((place(&stage), warnings(&outcome)), (expected, vec![]), "{organization} {workspace:?}");
    }
}

#[tokio::test]
async fn unknown_flag_value_lists_choices() {
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
async fn misspelled_workspace_keeps_current_one() {
    let stage = grace();
    remembering(&stage, &[("organization", ENGINES), ("organization_product", "HOSTED"), ("workspace", CARDS)]);
    let outcome = stage.login(&naming(&stage, None, Some("Nowhere"))).await;
    assert_stands(&stage, &outcome, "no workspace named `Nowhere`; choose one of: Difference Engine, Punched Cards");
    assert_eq!(place(&stage)[2].as_deref(), Some(CARDS));

    let outcome = stage.login(&naming(&stage, Some(COMPILERS), Some("Nowhere"))).await;
    assert_stands(&stage, &outcome, "no workspace named `Nowhere`; choose one of: Flow-Matic");
    assert_eq!(place(&stage), at(COMPILERS, None));
}

#[tokio::test]
async fn saved_organization_kept_without_list() {
    let stage = grace();
    remembering(&stage, &[("organization", ENGINES), ("last_used_workspace", CARDS)]);
    let outcome = stage.login(&stage.request()).await.success();
    assert_eq!((place(&stage), warnings(&outcome)), (at(ENGINES, Some(CARDS)), vec![]));
    let mut asked: Vec<String> =
        stage.request_log().into_iter().filter(|line| line.starts_with("GET /v1/organizations")).collect();
    // They are sent at the same time.
    asked.sort();
    assert_eq!(
        asked,
        [format!("GET /v1/organizations/{ENGINES}"), format!("GET /v1/organizations/{ENGINES}/workspaces")]
    );
}

#[tokio::test]
async fn removed_organization_is_selected_anew() {
    for status in [403, 404] {
        let stage = grace();
        remembering(&stage, &[("organization", "clorggone"), ("workspace", CARDS)]);
        stage.service.fail("/v1/organizations/clorggone", Fault::Status(status, "{}".to_owned()));
        stage.service.set(|options| drop(options.organizations.remove(0)));
        drop(stage.login(&stage.request()).await.success());
        assert_eq!(place(&stage), at(COMPILERS, Some(FLOW)), "{status}");
    }
}

#[tokio::test]
async fn only_organization_is_selected() {
    let stage = grace();
    stage.service.set(|options| drop(options.organizations.remove(0)));
    let outcome = stage.login(&stage.request()).await;
    assert_eq!((outcome.exit_code(), place(&stage)), (0, at(COMPILERS, Some(FLOW))));
    assert_eq!(warnings(&outcome), [""; 0]);
}

#[tokio::test]
async fn organization_with_email_domain_is_selected() {
    let stage = Stage::new();
    let outcome = stage.login(&stage.request()).await;
    assert_eq!((outcome.exit_code(), place(&stage)), (0, at(ENGINES, None)));
    assert_eq!(warnings(&outcome), ["warning: no workspace selected (2 available: Difference Engine, Punched Cards)"]);
}

#[tokio::test]
async fn several_organizations_fail_and_name_the_flag() {
    let several = "no organization selected (2 available: Analytical Engines, Compilers)";
    let stage = grace();
    let outcome = stage.login(&stage.request()).await;
    assert_stands(&stage, &outcome, several);
    assert_eq!(place(&stage), NOWHERE);
    assert_eq!(
        outcome.result.unwrap_err().hint().unwrap(),
        "run `astro organization switch NAME`, or log in with `--organization NAME`"
    );

    let two_owners = Stage::new().at_noon();
    two_owners.service.set(|options| options.organizations[1].managed_domains = vec!["Example.com".to_owned()]);
    let outcome = two_owners.login(&two_owners.request()).await;
    assert_stands(&two_owners, &outcome, several);

    let namesakes = grace();
    namesakes.service.set(|options| options.organizations[1].name = "Analytical Engines".to_owned());
    let outcome = namesakes.login(&namesakes.request()).await;
    assert_stands(
        &namesakes,
        &outcome,
        &format!(
            "no organization selected (2 available: Analytical Engines ({ENGINES}), Analytical Engines ({COMPILERS}))"
        ),
    );
}

#[tokio::test]
async fn token_login_with_several_organizations_fails() {
    let mut stage = grace();
    stage.clock = || "2026-11-24T12:00:00Z".parse().unwrap();
    let token = stage.service.access_token(&json!({"sub": "auth0|grace@example.org"}));
    let outcome = stage.login(&stage.token_request(&token)).await;
    assert_eq!((outcome.exit_code(), place(&stage)), (2, NOWHERE), "{outcome:?}");
    assert!(outcome.error_chain().ends_with("no organization selected (2 available: Analytical Engines, Compilers)"));
    assert_eq!(stage.stored().unwrap().access.expose(), token, "the login stands");

    let request = Login { organization: Some("Compilers".to_owned()), ..stage.token_request(&token) };
    assert_eq!(stage.login(&request).await.exit_code(), 0);
    assert_eq!(place(&stage)[0].as_deref(), Some(COMPILERS));
    let outcome = stage.login(&stage.token_request(&token)).await;
    assert_eq!(outcome.exit_code(), 0, "the one in use needs no flag");
}

#[tokio::test]
async fn no_organization_has_hint() {
    let stage = grace();
    stage.service.set(|options| options.organizations.clear());
    let outcome = stage.login(&stage.request()).await;
    assert_stands(&stage, &outcome, "you are logged in, but belong to no organization");
    assert_eq!(
        stage.normalize(&outcome.result.unwrap_err().hint().unwrap()),
        "ask the owner of your organization to invite you, then run `astro login localhost:PORT` again"
    );
}

#[tokio::test]
async fn organization_without_workspaces_is_no_error() {
    let stage = grace();
    stage.service.set(|options| options.organizations = vec![Organization::new(7, "Empty", &[])]);
    let outcome = stage.login(&stage.request()).await;
    assert_eq!((outcome.exit_code(), place(&stage)), (0, at("clorg00000000000000000007", None)));
    assert_eq!(warnings(&outcome), [""; 0]);
}

#[tokio::test]
async fn organization_without_product_is_hybrid() {
    let stage = grace();
    stage.service.set(|options| {
        options.organizations.remove(0);
        options.organizations[0].product = None;
    });
    assert_eq!(stage.login(&stage.request()).await.exit_code(), 0);
    assert_eq!(place(&stage)[1].as_deref(), Some("HYBRID"));
}

#[tokio::test]
async fn last_used_workspace_kept_unless_removed() {
    let settle = async |workspace: &str| {
        let stage = grace();
        remembering(&stage, &[("organization", ENGINES), ("last_used_workspace", workspace), ("workspace", workspace)]);
        let outcome = stage.login(&stage.request()).await.success();
        (place(&stage), warnings(&outcome).len())
    };
    assert_eq!(settle(CARDS).await, (at(ENGINES, Some(CARDS)), 0));
    // The last used workspace stays in config.yaml: the Go CLI selects it again if it reappears.
    let [organization, product, workspace, _] = at(ENGINES, None);
    assert_eq!(settle("clwsgone").await, ([organization, product, workspace, Some("clwsgone".to_owned())], 1));
}

#[tokio::test]
async fn unsafe_identifier_in_list_fails_after_login() {
    let stage = grace();
    let listed = json!([{"id": "../../x", "name": "X"}]);
    stage.service.patch(Part::Organizations, json!({"organizations": listed, "totalCount": 1}));
    let outcome = stage.login(&stage.request()).await;
    assert_stands(&stage, &outcome, "could not list your organizations: localhost:PORT: invalid response");
    assert_eq!(place(&stage), NOWHERE);
}
