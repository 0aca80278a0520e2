//! `astro organization` and `astro workspace`: what is listed, what is chosen, and on whose authority.

use std::time::Duration;

use crate::support::{AUDIENCE, CLIENT_ID, Mode, Options, Organization, Outcome, Part, Stage};
use astro_login::commands::organization::{PlaceCommand, organization};
use astro_login::commands::workspace::workspace;
use astro_login::credentials::{Credentials, Kind};
use astro_login::token::AccessToken;
use serde_json::{Value, json};

const ENGINES: &str = "clorg00000000000000000001";
const COMPILERS: &str = "clorg00000000000000000002";

async fn organizations(stage: &Stage, json: bool) -> Outcome {
    stage.run(async |system| organization(system, PlaceCommand::List { json }).await).await
}

async fn workspaces(stage: &Stage, json: bool) -> Outcome {
    stage.run(async |system| workspace(system, PlaceCommand::List { json }).await).await
}

async fn switch_organization(stage: &Stage, wanted: Option<&str>) -> Outcome {
    let wanted = wanted.map(str::to_owned);
    stage.run(async |system| organization(system, PlaceCommand::Switch { wanted }).await).await
}

async fn switch_workspace(stage: &Stage, wanted: Option<&str>) -> Outcome {
    let wanted = wanted.map(str::to_owned);
    stage.run(async |system| workspace(system, PlaceCommand::Switch { wanted }).await).await
}

/// A world in which Ada is signed in, with `fields` in her context.
fn stage(options: Options, fields: &str) -> Stage {
    let stage = Stage::with(options, Mode::NeverComeBack);
    let domain = stage.service.domain();
    stage
        .home
        .write_config(&format!("context: {domain}\ncontexts:\n    {domain}:\n        domain: {domain}\n{fields}"));
    stage.keychain.put(
        &domain,
        Credentials {
            kind: Kind::User,
            access: AccessToken::new(stage.service.access_token(&json!({}))),
            refresh: None,
            issuer: stage.service.issuer(),
            client_id: CLIENT_ID.to_owned(),
            audience: AUDIENCE.to_owned(),
            sub: "auth0|ada@example.com".to_owned(),
            email: Some("ada@example.com".to_owned()),
            issued_at: None,
            expires_at: None,
        },
    );
    stage
}

/// Ada works in the first organization, and in its first workspace.
fn at_work() -> Stage {
    stage(Options::default(), &context(ENGINES, Some("clws000010000000000000001"), "clws000010000000000000001"))
}

fn context(organization: &str, workspace: Option<&str>, last_used: &str) -> String {
    let workspace = workspace.map(|it| format!("        workspace: {it}\n")).unwrap_or_default();
    format!(
        "        last_used_workspace: {last_used}\n        organization: {organization}\n        \
         organization_product: HOSTED\n{workspace}"
    )
}

/// The lines of the domain's context below its `domain`, in any order.
fn fields(stage: &Stage) -> Vec<String> {
    let config = stage.home.config().unwrap();
    let mut lines: Vec<String> = config.lines().skip(4).map(str::to_owned).collect();
    lines.sort();
    lines
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

#[tokio::test]
async fn both_lists_mark_what_is_in_use() {
    let stage = at_work();
    let outcome = organizations(&stage, false).await;
    assert_eq!((outcome.exit_code(), outcome.stderr.as_str()), (0, ""));
    assert_eq!(
        outcome.stdout,
        "  NAME                ID                         PRODUCT\n\
         * Analytical Engines  clorg00000000000000000001  HOSTED\n\
         \x20 Compilers           clorg00000000000000000002  HOSTED\n"
    );
    let outcome = workspaces(&stage, false).await;
    assert_eq!((outcome.exit_code(), outcome.stderr.as_str()), (0, ""));
    assert_eq!(
        outcome.stdout,
        "  NAME               ID\n\
         * Difference Engine  clws000010000000000000001\n\
         \x20 Punched Cards      clws000010000000000000002\n"
    );
}

#[tokio::test]
async fn the_schema_of_the_lists_is_frozen() {
    let stage = at_work();
    let outcome = organizations(&stage, true).await;
    let expected = json!({"version": 1, "organizations": [
        {"id": ENGINES, "name": "Analytical Engines", "product": "HOSTED", "current": true},
        {"id": COMPILERS, "name": "Compilers", "product": "HOSTED", "current": false},
    ]});
    assert_eq!((serde_json::from_str::<Value>(&outcome.stdout).unwrap(), outcome.stderr.as_str()), (expected, ""));
    let outcome = workspaces(&stage, true).await;
    let expected = json!({"version": 1, "workspaces": [
        {"id": "clws000010000000000000001", "name": "Difference Engine", "current": true},
        {"id": "clws000010000000000000002", "name": "Punched Cards", "current": false},
    ]});
    assert_eq!((serde_json::from_str::<Value>(&outcome.stdout).unwrap(), outcome.stderr.as_str()), (expected, ""));
}

#[tokio::test]
async fn empty_lists_are_a_remark_or_an_empty_array() {
    let stage = stage(Options::default().organizations(0, 0), "");
    let table = organizations(&stage, false).await;
    assert_eq!((table.exit_code(), table.stdout.as_str(), table.stderr.as_str()), (0, "", "No organizations.\n"));
    let json = organizations(&stage, true).await;
    assert_eq!(serde_json::from_str::<Value>(&json.stdout).unwrap(), json!({"version": 1, "organizations": []}));
    let switched = switch_organization(&stage, Some("any")).await;
    assert_eq!(
        (switched.exit_code(), switched.complaint().as_str()),
        (1, "you are logged in, but belong to no organization")
    );

    let stage = self::stage(Options::default().organizations(1, 0), &context(ENGINES, None, "gone"));
    let table = workspaces(&stage, false).await;
    assert_eq!((table.exit_code(), table.stdout.as_str(), table.stderr.as_str()), (0, "", "No workspaces.\n"));
    let switched = switch_workspace(&stage, Some("any")).await;
    assert_eq!(
        (switched.exit_code(), switched.complaint().as_str()),
        (1, "you have access to no workspace in this organization")
    );
    let switched = switch_organization(&stage, Some(ENGINES)).await;
    assert_eq!((switched.exit_code(), switched.stdout.as_str()), (0, ""));
    assert_eq!(switched.stderr, "Switched to organization Organization 00001\nYou have access to no workspace there\n");
}

#[tokio::test]
async fn cl_16_names_cannot_steer_the_terminal_and_wide_ones_line_up() {
    let mut options = Options::default();
    options.organizations[0].name = "\u{1b}[2J\u{9b}1m\u{202e}日本語\u{7}".to_owned();
    options.organizations[1].name = "two\nlines".to_owned();
    let stage = stage(options, &context(ENGINES, None, "w"));
    let table = organizations(&stage, false).await;
    assert_eq!(
        table.stdout,
        "  NAME         ID                         PRODUCT\n\
         * [2J1m日本語  clorg00000000000000000001  HOSTED\n\
         \x20 two lines    clorg00000000000000000002  HOSTED\n"
    );
    let json = organizations(&stage, true).await;
    assert!(!json.stdout.contains(['\u{1b}', '\u{9b}', '\u{202e}', '\u{7}']));
    let switched = switch_organization(&stage, Some("x\u{1b}[31m")).await;
    assert_eq!(switched.complaint(), "no organization named `x[31m`; choose one of: [2J1m日本語, two lines");
}

#[tokio::test]
async fn the_only_workspace_comes_with_the_organization() {
    let stage = at_work();
    let outcome = switch_organization(&stage, Some("compilers")).await;
    assert_eq!((outcome.exit_code(), outcome.stdout.as_str()), (0, ""));
    assert_eq!(outcome.stderr, "Switched to organization Compilers, workspace Flow-Matic\n");
    let flow_matic = "clws000020000000000000001";
    assert_eq!(fields(&stage), lines(&context(COMPILERS, Some(flow_matic), flow_matic)));
}

#[tokio::test]
async fn of_several_workspaces_none_is_taken_without_asking() {
    let stage = stage(Options::default().organizations(2, 7), &context(ENGINES, Some("w"), "w"));
    let outcome = switch_organization(&stage, Some(COMPILERS)).await;
    assert_eq!((outcome.exit_code(), outcome.stdout.as_str()), (0, ""));
    assert_eq!(
        outcome.stderr,
        "warning: no workspace selected (7 available: Workspace 00001, Workspace 00002, Workspace 00003, Workspace \
         00004, Workspace 00005 and 2 more); use `astro workspace switch`\n\
         Switched to organization Organization 00002\n"
    );
    assert_eq!(fields(&stage), lines(&context(COMPILERS, None, "w")), "the last used one is not forgotten");
}

#[tokio::test]
async fn the_last_used_workspace_is_kept_and_taken_up_again() {
    let last = "clws000010000000000000003";
    let stage = stage(Options::default().organizations(2, 7), &context(ENGINES, Some(last), last));
    assert_eq!(switch_organization(&stage, Some(ENGINES)).await.exit_code(), 0);
    assert_eq!(fields(&stage), lines(&context(ENGINES, Some(last), last)));
    assert_eq!(switch_organization(&stage, Some(COMPILERS)).await.exit_code(), 0);
    assert_eq!(fields(&stage), lines(&context(COMPILERS, None, last)));
    let back = switch_organization(&stage, Some(ENGINES)).await;
    assert_eq!(back.stderr, "Switched to organization Organization 00001, workspace Workspace 00003\n");
    assert_eq!(fields(&stage), lines(&context(ENGINES, Some(last), last)));
}

#[tokio::test]
async fn a_workspace_is_named_by_its_id_or_its_name_and_both_keys_are_written() {
    for wanted in ["Punched Cards", " punched cards ", "clws000010000000000000002"] {
        let stage = at_work();
        let outcome = switch_workspace(&stage, Some(wanted)).await;
        assert_eq!((outcome.exit_code(), outcome.stdout.as_str()), (0, ""), "{wanted}");
        assert_eq!(outcome.stderr, "Switched to workspace Punched Cards\n");
        let cards = "clws000010000000000000002";
        assert_eq!(fields(&stage), lines(&context(ENGINES, Some(cards), cards)));
    }
}

#[tokio::test]
async fn what_names_nothing_or_several_says_what_there_is_and_changes_nothing() {
    let mut options = Options::default();
    options.organizations.push(Organization::new(3, "COMPILERS", &[]));
    options.organizations[0].workspaces[0].name = "Cards".to_owned();
    options.organizations[0].workspaces[1].name = "Cards".to_owned();
    let stage = stage(options, &context(ENGINES, None, "w"));
    let before = stage.home.config();
    let none = switch_organization(&stage, Some("Nobody")).await;
    assert_eq!(none.exit_code(), 1);
    assert_eq!(
        none.complaint(),
        "no organization named `Nobody`; choose one of: Analytical Engines, Compilers, COMPILERS"
    );
    assert_eq!(none.result.unwrap_err().hint().unwrap(), "run `astro organization list` to see all of them");
    let several = switch_organization(&stage, Some("compilers")).await;
    assert_eq!(several.exit_code(), 1);
    assert_eq!(
        several.complaint(),
        format!("several organizations are named `compilers`; use an ID: {COMPILERS}, clorg00000000000000000003")
    );
    let several = switch_workspace(&stage, Some("Cards")).await;
    assert_eq!(
        several.complaint(),
        "several workspaces are named `Cards`; use an ID: clws000010000000000000001, clws000010000000000000002"
    );
    assert_eq!(several.result.unwrap_err().hint().unwrap(), "run `astro workspace list` to see all of them");
    assert_eq!(stage.home.config(), before);
    assert_eq!(switch_organization(&stage, Some("Compilers")).await.exit_code(), 0, "the very name wins");
}

#[tokio::test]
async fn without_a_terminal_the_name_is_needed_and_nobody_is_called() {
    let stage = at_work();
    let outcome = switch_organization(&stage, None).await;
    assert_eq!(
        (outcome.exit_code(), outcome.complaint().as_str()),
        (2, "no organization given, and no terminal to prompt on")
    );
    let outcome = switch_workspace(&stage, None).await;
    assert_eq!(
        (outcome.exit_code(), outcome.complaint().as_str()),
        (2, "no workspace given, and no terminal to prompt on")
    );
    assert_eq!(stage.service.requests(), []);
}

#[tokio::test]
async fn workspaces_need_an_organization() {
    let stage = stage(Options::default(), "");
    for outcome in [workspaces(&stage, false).await, switch_workspace(&stage, Some("Flow-Matic")).await] {
        assert_eq!((outcome.exit_code(), outcome.complaint().as_str()), (1, "no organization selected"));
        assert_eq!(outcome.result.unwrap_err().hint().unwrap(), "run `astro organization switch`");
    }
    assert_eq!(stage.service.requests(), []);
}

#[tokio::test]
async fn an_organization_that_was_left_is_told() {
    let stage = stage(Options::default(), &context("clgone", None, "w"));
    let outcome = workspaces(&stage, false).await;
    assert_eq!((outcome.exit_code(), outcome.stdout.as_str()), (1, ""));
    assert!(outcome.complaint().contains("could not list the workspaces"), "{}", outcome.complaint());
}

#[tokio::test]
async fn ten_thousand_of_each_are_listed_whole_and_in_order() {
    let names = |table: &str| -> Vec<String> {
        table.lines().skip(1).map(|line| line[2..].split("  ").next().unwrap().to_owned()).collect()
    };
    let all = stage(Options::default().organizations(10_000, 0), "");
    let table = organizations(&all, false).await;
    assert_eq!((table.exit_code(), table.stderr.as_str()), (0, ""));
    assert_eq!(names(&table.stdout), (1..=10_000).map(|n| format!("Organization {n:05}")).collect::<Vec<_>>());
    // A full page may have another behind it, so an empty one ends the list.
    assert_eq!(all.service.requests_to("/v1/organizations").len(), 101);

    let all = stage(Options::default().organizations(1, 10_000), &context(ENGINES, None, "w"));
    let table = workspaces(&all, false).await;
    assert_eq!((table.exit_code(), table.stderr.as_str()), (0, ""));
    assert_eq!(names(&table.stdout), (1..=10_000).map(|n| format!("Workspace {n:05}")).collect::<Vec<_>>());
    assert_eq!(all.service.requests_to(&format!("/v1/organizations/{ENGINES}/workspaces")).len(), 11);
}

#[tokio::test]
async fn pages_are_asked_for_at_once() {
    // Each answer takes its time, so that what is asked together is in hand together.
    let delay = Duration::from_millis(200);
    let stage = stage(Options { delay, ..Options::default().organizations(2_050, 0) }, "");
    assert_eq!(organizations(&stage, true).await.exit_code(), 0);
    assert_eq!((stage.service.requests_to("/v1/organizations").len(), stage.service.most_at_once()), (21, 8));
}

#[tokio::test]
async fn a_list_that_contradicts_itself_or_never_ends_is_an_error() {
    for (said, complaint) in [
        (5, "could not list your organizations: the API announced 5 entries and listed 250"),
        (300, "could not list your organizations: the API announced 300 entries and listed 250"),
    ] {
        let stage = stage(Options::default().organizations(250, 0), "");
        stage.service.patch(Part::Organizations, json!({"totalCount": said}));
        let outcome = organizations(&stage, false).await;
        assert_eq!((outcome.exit_code(), outcome.stdout.as_str()), (1, ""));
        assert_eq!(outcome.complaint(), complaint);
    }
    for total in [json!(null), json!(usize::MAX), json!(100)] {
        let stage = stage(
            Options { endless_pages: true, ..Options::default().organizations(1, 1) },
            &context(ENGINES, None, "w"),
        );
        stage.service.patch(Part::Workspaces, json!({"totalCount": total, "limit": 1}));
        stage.service.patch(Part::Organizations, json!({"totalCount": total}));
        let outcome = organizations(&stage, false).await;
        assert_eq!((outcome.exit_code(), outcome.stdout.as_str()), (1, ""), "{total}");
        let complaint = outcome.complaint();
        assert!(complaint.starts_with("could not list your organizations: the "), "{complaint}");
        assert!(stage.service.requests_to("/v1/organizations").len() <= 1000);
    }
}

#[tokio::test]
async fn a_list_of_slow_pages_is_given_up_after_a_minute() {
    let stage = stage(Options { endless_pages: true, ..Options::default() }, "");
    // Without a total, each page waits for the one before.
    stage.service.patch(Part::Organizations, json!({"totalCount": null}));
    let pages = || stage.service.requests_to("/v1/organizations").len();
    let slowness = async {
        // No page takes long enough to be given up for itself.
        for page in 1.. {
            while pages() < page {
                tokio::task::yield_now().await;
            }
            tokio::time::pause();
            tokio::time::advance(Duration::from_secs(10)).await;
            tokio::time::resume();
        }
    };
    let outcome = tokio::select! {
        outcome = organizations(&stage, false) => outcome,
        () = slowness => unreachable!("it never ends"),
    };
    let complaint = "could not list your organizations: localhost:PORT: the list was not complete after 60 seconds";
    assert_eq!((outcome.exit_code(), outcome.stdout.as_str()), (1, ""));
    assert_eq!(outcome.complaint(), complaint.replace("localhost:PORT", &stage.service.domain()));
    assert!(pages() < 20, "{}", pages());
}

#[tokio::test]
async fn a_token_that_the_api_refuses_is_renewed_once() {
    let stage = Stage::new();
    assert_eq!(stage.login(&stage.request()).await.exit_code(), 0);
    let refused = Credentials { access: AccessToken::new("a.b.c"), ..stage.stored().unwrap() };
    stage.keychain.put(&stage.service.domain(), refused);
    let outcome = organizations(&stage, false).await;
    assert_eq!((outcome.exit_code(), outcome.stdout.lines().count()), (0, 3), "{:?}", outcome.result);
    assert_eq!(stage.service.token_requests().len(), 2);
    assert_ne!(stage.stored().unwrap().access, AccessToken::new("a.b.c"));
}

#[tokio::test]
async fn each_command_works_on_the_domain_that_astro_domain_or_the_current_context_names() {
    let mut stage = at_work();
    let domain = stage.service.domain();
    let config = stage.home.config().unwrap().replace(&format!("context: {domain}"), "context: astronomer.io");
    stage.home.write_config(&config);
    for outcome in [organizations(&stage, false).await, switch_organization(&stage, Some("Compilers")).await] {
        assert_eq!((outcome.exit_code(), outcome.complaint().as_str()), (4, "not logged in to astronomer.io"));
    }
    let outcome = workspaces(&stage, false).await;
    assert_eq!((outcome.exit_code(), outcome.complaint().as_str()), (1, "no organization selected"));

    stage.environment = stage.environment.clone().with("ASTRO_DOMAIN", &domain);
    assert_eq!(organizations(&stage, false).await.stdout.lines().count(), 3);
    assert_eq!(workspaces(&stage, false).await.stdout.lines().count(), 3);
    assert_eq!(switch_organization(&stage, Some("Compilers")).await.exit_code(), 0);
    assert_eq!(switch_workspace(&stage, Some("flow-matic")).await.exit_code(), 0);
    let after = stage.home.config().unwrap();
    assert!(after.starts_with("context: astronomer.io\n") && after.contains(COMPILERS), "{after}");

    stage.environment = stage.environment.clone().with("ASTRO_DOMAIN", "gcp.example.com");
    let outcome = organizations(&stage, false).await;
    assert_eq!((outcome.exit_code(), outcome.complaint().as_str()), (2, "`gcp.example.com` is not an Astro domain"));
}

#[tokio::test]
async fn rf_11_an_api_token_of_the_environment_needs_no_login_and_is_not_kept() {
    let mut stage = Stage::new();
    let (domain, token) = (stage.service.domain(), stage.service.api_token());
    stage.environment = stage.environment.clone().with("ASTRO_DOMAIN", &domain).with("ASTRO_API_TOKEN", &token);
    let outcome = organizations(&stage, false).await;
    assert_eq!((outcome.exit_code(), outcome.stdout.lines().count(), outcome.stderr.as_str()), (0, 3, ""));
    assert_eq!(stage.home.config(), None);
    assert_eq!(switch_organization(&stage, Some("Compilers")).await.exit_code(), 0);
    assert_eq!(workspaces(&stage, false).await.stdout.lines().count(), 2);
    assert_eq!(stage.stored(), None);
    assert!(!stage.home.config().unwrap().contains("token"));
    let bearer = format!("Bearer {token}");
    assert!(stage.service.requests().iter().all(|request| request.header("authorization") == Some(bearer.as_str())));
}

#[cfg(unix)]
mod terminal {
    use super::*;
    use crate::support::pty::{CTRL_C, ENTER, Pty};

    /// With the credentials in config.yaml, so that no keychain is asked.
    fn at_a_terminal(options: Options) -> Stage {
        let fields = context(ENGINES, Some("clws000010000000000000001"), "clws000010000000000000001");
        let stage = stage(options, &fields);
        let token = stage.service.access_token(&json!({}));
        let config = stage.home.config().unwrap();
        stage.home.write_config(&format!("{config}        token: Bearer {token}\n"));
        stage
    }

    fn astro(stage: &Stage, args: &[&str]) -> Pty {
        let args = [args, &["--color", "never"]].concat();
        Pty::spawn(env!("CARGO_BIN_EXE_astro"), &args, [("ASTRO_HOME", stage.home.path().to_str().unwrap())])
    }

    #[test]
    fn organization_and_workspace_are_found_by_typing() {
        let stage = at_a_terminal(Options::default().organizations(300, 40));
        let mut pty = astro(&stage, &["org", "sw"]);
        pty.wait_for("Organization:");
        pty.wait_for("> Organization 00001");
        pty.type_keys("0217");
        pty.wait_for("> Organization 00217");
        pty.type_keys(ENTER);
        pty.wait_for("Workspace:");
        pty.type_keys("033");
        pty.wait_for("> Workspace 00033");
        pty.type_keys(ENTER);
        pty.wait_for("Switched to organization Organization 00217, workspace Workspace 00033");
        assert_eq!(pty.finish().0, 0);
        let config = stage.home.config().unwrap();
        assert!(config.contains("organization: clorg00000000000000000217\n"), "{config}");
        assert!(config.contains(" workspace: clws002170000000000000033\n"), "{config}");

        let mut pty = astro(&stage, &["w", "sw"]);
        pty.wait_for("> Workspace 00033");
        pty.type_keys("007");
        pty.wait_for("> Workspace 00007");
        pty.type_keys(ENTER);
        pty.wait_for("Switched to workspace Workspace 00007");
        assert_eq!(pty.finish().0, 0);
    }

    #[test]
    fn a_choice_that_is_broken_off_changes_nothing() {
        let stage = at_a_terminal(Options::default().organizations(3, 4));
        let before = stage.home.config();
        let mut pty = astro(&stage, &["organization", "switch"]);
        pty.wait_for("Organization:");
        pty.type_keys(CTRL_C);
        assert_eq!(pty.finish().0, 130);
        let mut pty = astro(&stage, &["organization", "switch", COMPILERS]);
        pty.wait_for("Workspace:");
        pty.type_keys(CTRL_C);
        assert_eq!(pty.finish().0, 130);
        let mut pty = astro(&stage, &["workspace", "switch"]);
        pty.wait_for("Workspace:");
        pty.type_keys("\x1b");
        assert_eq!(pty.finish().0, 130);
        assert_eq!(stage.home.config(), before);
    }
}
