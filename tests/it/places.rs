//! `astro organization` and `astro workspace`: list and switch.

use std::time::Duration;

use crate::support::{Mode, Options, Organization, Outcome, Part, Stage};
use astro_login::commands::organization::organization;
use astro_login::commands::selection::{SelectionCommand, Switch};
use astro_login::commands::workspace::workspace;
use astro_login::credentials::Credentials;
use serde_json::{Value, json};

const ENGINES: &str = "clorg00000000000000000001";
const COMPILERS: &str = "clorg00000000000000000002";

async fn organizations(stage: &Stage, json: bool) -> Outcome {
    stage
        .run(async |system| organization(system, SelectionCommand::List { json: json.into(), domain: None }).await)
        .await
}

async fn workspaces(stage: &Stage, json: bool) -> Outcome {
    stage.run(async |system| workspace(system, SelectionCommand::List { json: json.into(), domain: None }).await).await
}

async fn switch_organization(stage: &Stage, wanted: Option<&str>) -> Outcome {
    let wanted = wanted.map(str::to_owned);
    stage
        .run(async |system| {
            organization(
                system,
                SelectionCommand::Switch(Switch { wanted, workspace: None, json: false.into(), domain: None }),
            )
            .await
        })
        .await
}

async fn switch_workspace(stage: &Stage, wanted: Option<&str>) -> Outcome {
    let wanted = wanted.map(str::to_owned);
    stage
        .run(async |system| {
            workspace(
                system,
                SelectionCommand::Switch(Switch { wanted, workspace: None, json: false.into(), domain: None }),
            )
            .await
        })
        .await
}

fn stage(options: Options, fields: &str) -> Stage {
    let stage = Stage::with(options, Mode::NeverComeBack);
    let domain = stage.service.domain();
    stage
        .home
        .write_config(&format!("context: {domain}\ncontexts:\n    {domain}:\n        domain: {domain}\n{fields}"));
    stage.keep_in_keychain(&stage.credentials(&stage.service.access_token(&json!({}))));
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
async fn lists_mark_current() {
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
async fn list_json_schema() {
    let stage = at_work();
    let outcome = organizations(&stage, true).await;
    let expected = json!({"version": 1, "organizations": [
        {"id": ENGINES, "name": "Analytical Engines", "product": "HOSTED", "current": true, "isCurrent": true},
        {"id": COMPILERS, "name": "Compilers", "product": "HOSTED", "current": false, "isCurrent": false},
    ]});
    assert_eq!((serde_json::from_str::<Value>(&outcome.stdout).unwrap(), outcome.stderr.as_str()), (expected, ""));
    let outcome = workspaces(&stage, true).await;
    let expected = json!({"version": 1, "workspaces": [
        {"id": "clws000010000000000000001", "name": "Difference Engine", "current": true, "isCurrent": true},
        {"id": "clws000010000000000000002", "name": "Punched Cards", "current": false, "isCurrent": false},
    ]});
    assert_eq!((serde_json::from_str::<Value>(&outcome.stdout).unwrap(), outcome.stderr.as_str()), (expected, ""));
}

#[tokio::test]
async fn empty_list_is_a_note_or_an_empty_array() {
    let stage = stage(Options::default().organizations(0, 0), "");
    let table = organizations(&stage, false).await;
    assert_eq!((table.exit_code(), table.stdout.as_str(), table.stderr.as_str()), (0, "", "No organizations.\n"));
    let json = organizations(&stage, true).await;
    assert_eq!(serde_json::from_str::<Value>(&json.stdout).unwrap(), json!({"version": 1, "organizations": []}));
    let switched = switch_organization(&stage, Some("any")).await;
    assert_eq!(
        (switched.exit_code(), switched.error_chain().as_str()),
        (1, "you are logged in, but belong to no organization")
    );

    let stage = self::stage(Options::default().organizations(1, 0), &context(ENGINES, None, "gone"));
    let table = workspaces(&stage, false).await;
    assert_eq!((table.exit_code(), table.stdout.as_str(), table.stderr.as_str()), (0, "", "No workspaces.\n"));
    let switched = switch_workspace(&stage, Some("any")).await;
    assert_eq!(
        (switched.exit_code(), switched.error_chain().as_str()),
        (1, "you have access to no workspace in this organization")
    );
    let switched = switch_organization(&stage, Some(ENGINES)).await;
    assert_eq!((switched.exit_code(), switched.stdout.as_str()), (0, ""));
    assert_eq!(switched.stderr, "Switched to organization Organization 00001\nYou have access to no workspace there\n");
}

#[tokio::test]
async fn cl_16_names_are_cleaned_and_aligned() {
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
    assert_eq!(switched.error_chain(), "no organization named `x[31m`; choose one of: [2J1m日本語, two lines");
}

#[tokio::test]
async fn organization_switch_selects_only_workspace() {
    let stage = at_work();
    let outcome = switch_organization(&stage, Some("compilers")).await;
    assert_eq!((outcome.exit_code(), outcome.stdout.as_str()), (0, ""));
    assert_eq!(outcome.stderr, "Switched to organization Compilers, workspace Flow-Matic\n");
    let flow_matic = "clws000020000000000000001";
    assert_eq!(fields(&stage), lines(&context(COMPILERS, Some(flow_matic), flow_matic)));
}

#[tokio::test]
async fn organization_switch_selects_none_of_several_workspaces() {
    let stage = stage(Options::default().organizations(2, 7), &context(ENGINES, Some("w"), "w"));
    let outcome = switch_organization(&stage, Some(COMPILERS)).await;
    assert_eq!((outcome.exit_code(), outcome.stdout.as_str()), (0, ""));
    assert_eq!(
        outcome.stderr,
        "warning: no workspace selected (7 available: Workspace 00001, Workspace 00002, Workspace 00003, Workspace \
         00004, Workspace 00005 and 2 more)\n\
         hint: run `astro workspace switch NAME`, or log in with `--workspace NAME`\n\
         Switched to organization Organization 00002\n"
    );
    assert_eq!(fields(&stage), lines(&context(COMPILERS, None, "w")), "the last used one is not forgotten");
}

#[tokio::test]
async fn organization_switch_restores_last_used_workspace() {
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
async fn workspace_switch_by_id_or_name_writes_both_keys() {
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
async fn unknown_or_ambiguous_name_changes_nothing() {
    let mut options = Options::default();
    options.organizations.push(Organization::new(3, "COMPILERS", &[]));
    options.organizations[0].workspaces[0].name = "Cards".to_owned();
    options.organizations[0].workspaces[1].name = "Cards".to_owned();
    let stage = stage(options, &context(ENGINES, None, "w"));
    let before = stage.home.config();
    let none = switch_organization(&stage, Some("Nobody")).await;
    assert_eq!(none.exit_code(), 1);
    assert_eq!(
        none.error_chain(),
        "no organization named `Nobody`; choose one of: Analytical Engines, Compilers, COMPILERS"
    );
    assert_eq!(none.result.unwrap_err().hint().unwrap(), "run `astro organization list` to see all of them");
    let several = switch_organization(&stage, Some("compilers")).await;
    assert_eq!(several.exit_code(), 1);
    assert_eq!(
        several.error_chain(),
        format!("several organizations are named `compilers`; use an ID: {COMPILERS}, clorg00000000000000000003")
    );
    let several = switch_workspace(&stage, Some("Cards")).await;
    assert_eq!(
        several.error_chain(),
        "several workspaces are named `Cards`; use an ID: clws000010000000000000001, clws000010000000000000002"
    );
    assert_eq!(several.result.unwrap_err().hint().unwrap(), "run `astro workspace list` to see all of them");
    assert_eq!(stage.home.config(), before);
    assert_eq!(switch_organization(&stage, Some("Compilers")).await.exit_code(), 0, "the very name wins");
}

#[tokio::test]
async fn switch_without_terminal_needs_name() {
    let stage = at_work();
    let outcome = switch_organization(&stage, None).await;
    assert_eq!(
        (outcome.exit_code(), outcome.error_chain().as_str()),
        (2, "no organization given, and no terminal to prompt on")
    );
    let outcome = switch_workspace(&stage, None).await;
    assert_eq!(
        (outcome.exit_code(), outcome.error_chain().as_str()),
        (2, "no workspace given, and no terminal to prompt on")
    );
    assert_eq!(stage.service.requests(), []);
}

#[tokio::test]
async fn commands_without_login_name_the_login_first() {
    let expired = stage(Options::default(), "");
    expired.keep_in_keychain(&Credentials { refresh: None, ..expired.earlier_login(-3_600) });
    for (stage, said) in [(Stage::new(), "not logged in to "), (expired, "your login to ")] {
        let outcomes = [
            organizations(&stage, false).await,
            switch_organization(&stage, None).await,
            switch_organization(&stage, Some("Compilers")).await,
            workspaces(&stage, true).await,
            switch_workspace(&stage, None).await,
            switch_workspace(&stage, Some("Flow-Matic")).await,
        ];
        for outcome in outcomes {
            assert_eq!((outcome.exit_code(), outcome.error_chain().starts_with(said)), (4, true), "{outcome:?}");
            assert!(outcome.result.unwrap_err().hint().unwrap().starts_with("run `astro login"));
        }
        assert_eq!(stage.service.requests(), []);
    }
}

#[tokio::test]
async fn workspace_commands_need_organization() {
    let stage = stage(Options::default(), "");
    for outcome in [workspaces(&stage, false).await, switch_workspace(&stage, Some("Flow-Matic")).await] {
        assert_eq!((outcome.exit_code(), outcome.error_chain().as_str()), (1, "no organization selected"));
        assert_eq!(outcome.result.unwrap_err().hint().unwrap(), "run `astro organization switch`");
    }
    assert_eq!(stage.service.requests(), []);
}

#[tokio::test]
async fn ten_thousand_entries_listed_in_order() {
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
async fn list_pages_are_requested_concurrently() {
    // Each answer takes its time, so that what is asked together is in hand together.
    let delay = Duration::from_millis(200);
    let stage = stage(Options { delay, ..Options::default().organizations(2_050, 0) }, "");
    assert_eq!(organizations(&stage, true).await.exit_code(), 0);
    assert_eq!((stage.service.requests_to("/v1/organizations").len(), stage.service.most_at_once()), (21, 8));
}

#[tokio::test]
async fn inconsistent_or_endless_list_fails() {
    for (said, error_chain) in [
        (5, "could not list your organizations: the API announced 5 entries and listed 250"),
        (300, "could not list your organizations: the API announced 300 entries and listed 250"),
    ] {
        let stage = stage(Options::default().organizations(250, 0), "");
        stage.service.patch(Part::Organizations, json!({"totalCount": said}));
        let outcome = organizations(&stage, false).await;
        assert_eq!((outcome.exit_code(), outcome.stdout.as_str()), (1, ""));
        assert_eq!(outcome.error_chain(), error_chain);
    }
    for total in [json!(null), json!(usize::MAX), json!(100)] {
        let stage = stage(
            Options { endless_pages: true, ..Options::default().organizations(1, 1) },
            &context(ENGINES, None, "w"),
        );
        stage.service.patch(Part::Organizations, json!({"totalCount": total, "limit": 1}));
        let outcome = organizations(&stage, false).await;
        assert_eq!((outcome.exit_code(), outcome.stdout.as_str()), (1, ""), "{total}");
        let error_chain = outcome.error_chain();
        assert!(error_chain.starts_with("could not list your organizations: the "), "{error_chain}");
        assert!(stage.service.requests_to("/v1/organizations").len() <= 1000);
    }
}

#[tokio::test]
async fn slow_list_times_out() {
    let mut stage = stage(Options { endless_pages: true, ..Options::default() }, "");
    // Shorter than a thousand requests, one after the other, can take.
    stage.limits.list = Duration::from_millis(250);
    // Without a total, each page waits for the one before.
    stage.service.patch(Part::Organizations, json!({"totalCount": null}));
    let pages = || stage.service.requests_to("/v1/organizations").len();
    let outcome = organizations(&stage, false).await;
    let error_chain = "could not list your organizations: localhost:PORT: the list was not complete after 0.25 seconds";
    assert_eq!((outcome.exit_code(), outcome.stdout.as_str()), (1, ""));
    assert_eq!(outcome.error_chain(), error_chain.replace("localhost:PORT", &stage.service.domain()));
    assert!(pages() < 1000, "{}", pages());
}

#[tokio::test]
async fn domain_is_astro_domain_or_current_context() {
    let mut stage = at_work();
    let domain = stage.service.domain();
    let config = stage.home.config().unwrap().replace(&format!("context: {domain}"), "context: astronomer.io");
    stage.home.write_config(&config);
    for outcome in [organizations(&stage, false).await, switch_organization(&stage, Some("Compilers")).await] {
        assert_eq!((outcome.exit_code(), outcome.error_chain().as_str()), (4, "not logged in to astronomer.io"));
    }
    let outcome = workspaces(&stage, false).await;
    assert_eq!((outcome.exit_code(), outcome.error_chain().as_str()), (4, "not logged in to astronomer.io"));

    stage.environment = stage.environment.clone().with("ASTRO_DOMAIN", &domain);
    assert_eq!(organizations(&stage, false).await.stdout.lines().count(), 3);
    assert_eq!(workspaces(&stage, false).await.stdout.lines().count(), 3);
    assert_eq!(switch_organization(&stage, Some("Compilers")).await.exit_code(), 0);
    assert_eq!(switch_workspace(&stage, Some("flow-matic")).await.exit_code(), 0);
    let after = stage.home.config().unwrap();
    assert!(after.starts_with("context: astronomer.io\n") && after.contains(COMPILERS), "{after}");

    stage.environment = stage.environment.clone().with("ASTRO_DOMAIN", "gcp.example.com");
    let outcome = organizations(&stage, false).await;
    assert_eq!(
        (outcome.exit_code(), outcome.error_chain().as_str()),
        (2, "`astro organization` does not work with gcp.example.com, which is a domain of Astro Private Cloud")
    );
}

#[tokio::test]
async fn rf_11_environment_token_is_used_and_not_stored() {
    let mut stage = Stage::new();
    let (domain, token) = (stage.service.domain(), stage.service.api_token());
    stage.environment = stage.environment.clone().with("ASTRO_DOMAIN", &domain).with("ASTRO_API_TOKEN", &token);
    let outcome = organizations(&stage, false).await;
    assert_eq!((outcome.exit_code(), outcome.stdout.lines().count(), outcome.stderr.as_str()), (0, 3, ""));
    assert_eq!(stage.home.config(), None);
    assert_eq!(switch_organization(&stage, Some("Compilers")).await.exit_code(), 0);
    // The token's organization, not the context's.
    assert_eq!(workspaces(&stage, false).await.stdout.lines().count(), 3);
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
    fn menus_filter_by_typed_text() {
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
    fn canceled_menu_changes_nothing() {
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
