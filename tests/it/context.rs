//! `astro context`: list, switch and delete.

use crate::support::{Fault, Outcome, Stage};
use astro_login::commands::context::{ContextCommand, context};
use astro_login::credentials::StoreError;
use serde_json::{Value, json};

const FILE: &str = include_str!("../fixtures/contexts.yaml");

async fn list(stage: &Stage, json: bool) -> Outcome {
    stage.run(async |system| context(system, ContextCommand::List { json: json.into() }).await).await
}

async fn switch(stage: &Stage, domain: Option<&str>) -> Outcome {
    let domain = domain.map(str::to_owned);
    stage
        .run(async |system| context(system, ContextCommand::Switch { domain: domain.into(), json: false.into() }).await)
        .await
}

async fn delete(stage: &Stage, domain: &str, force: bool) -> Outcome {
    let domain = domain.to_owned();
    stage
        .run(async |system| {
            context(system, ContextCommand::Delete { domain: Some(domain).into(), force, json: false.into() }).await
        })
        .await
}

fn stage(config: &str) -> Stage {
    let stage = Stage::new();
    stage.home.write_config(config);
    stage
}

/// Returns a stage with a login, its context as the current one, and the context of another program.
async fn logged_in() -> Stage {
    let stage = Stage::new();
    assert_eq!(stage.login(&stage.request()).await.exit_code(), 0);
    let foreign = "    gcp_example_com: {domain: gcp.example.com, token: x} # theirs\n";
    let config = stage.home.config().unwrap().replace("contexts:\n", &format!("contexts:\n{foreign}"));
    stage.home.write_config(&format!("page_size: \"20\" # mine\n{config}"));
    stage
}

#[tokio::test]
async fn context_list_marks_current() {
    let stage = stage(FILE);
    let outcome = list(&stage, false).await;
    assert_eq!((outcome.exit_code(), outcome.stderr.as_str()), (0, ""));
    assert_eq!(
        outcome.stdout,
        "  DOMAIN               ACCOUNT                ORGANIZATION  WORKSPACE\n\
         * astronomer.io        ada@example.com        clorg1        clws1\n\
         \x20 gcp0001.example.com  (Astro Private Cloud)                ck05\n\
         \x20 astronomer-stage.io\n"
    );
    assert_eq!(stage.home.config().unwrap(), FILE);
}

#[tokio::test]
async fn context_list_shows_names_within_80_columns() {
    let stage = stage(
        "contexts:\n    astronomer_io: {domain: astronomer.io, user_email: ada.lovelace@analytical-engines.example.com, \
         organization: clorg00000000000000000001, workspace: clws000010000000000000002}\n",
    );
    let names = [("clorg00000000000000000001", "Analytical Engines"), ("clws000010000000000000002", "Punched Cards")];
    let config = astro_login::config::Config::new(stage.home.path());
    config.edit_names(|known| names.iter().for_each(|(id, name)| known.remember(id, name)));
    let listed = list(&stage, false).await.success().stdout;
    assert_eq!(
        listed,
        "  DOMAIN         ACCOUNT                       ORGANIZATION        WORKSPACE\n\
         \x20 astronomer.io  ada.lovelace@analytical-eng…  Analytical Engines  Punched Cards\n"
    );
    let identifiers = list(&stage, true).await.success().stdout;
    assert!(identifiers.contains("clorg00000000000000000001") && !identifiers.contains("Punched"), "{identifiers}");

    for name in ["Analytical Engines of the whole of Great Britain and Ireland".to_owned(), "日本語".repeat(30)] {
        config.edit_names(|known| names.iter().for_each(|(id, _)| known.remember(id, &name)));
        let listed = list(&stage, false).await.success().stdout;
        let widest = listed.lines().map(unicode_width::UnicodeWidthStr::width).max().unwrap();
        assert!((70..=80).contains(&widest), "{widest}: {listed}");
    }
}

#[tokio::test]
async fn context_list_json_schema() {
    let outcome = list(&stage(FILE), true).await;
    assert_eq!((outcome.exit_code(), outcome.stderr.as_str()), (0, ""));
    let expected = json!({"version": 1, "contexts": [
        {"domain": "astronomer.io", "current": true, "isCurrent": true, "astro": true, "account": "ada@example.com",
         "organization": "clorg1", "workspace": "clws1"},
        {"domain": "gcp0001.example.com", "current": false, "isCurrent": false, "astro": false, "account": "not@ours.example",
         "organization": null, "workspace": "ck05"},
        {"domain": "astronomer-stage.io", "current": false, "isCurrent": false, "astro": true, "account": null,
         "organization": null, "workspace": null},
    ]});
    assert_eq!(serde_json::from_str::<Value>(&outcome.stdout).unwrap(), expected);
    assert!(outcome.stdout.starts_with("{\n  \"version\": 1,\n  \"contexts\": ["), "{}", outcome.stdout);
}

#[tokio::test]
async fn context_list_empty() {
    for config in ["", "contexts: {}\n", "contexts:\n", "context: astronomer.io\n"] {
        let stage = stage(config);
        let table = list(&stage, false).await;
        assert_eq!((table.exit_code(), table.stdout.as_str(), table.stderr.as_str()), (0, "", "No contexts.\n"));
        let json = list(&stage, true).await;
        let parsed: Value = serde_json::from_str(&json.stdout).unwrap();
        assert_eq!((parsed, json.stderr.as_str()), (json!({"version": 1, "contexts": []}), ""));
        let switched = switch(&stage, Some("gcp.example.com")).await;
        assert_eq!(switched.exit_code(), 1);
        assert_eq!(switched.error_chain(), "no context named `gcp.example.com` (you have no contexts yet)");
    }
}

#[tokio::test]
async fn cl_16_context_names_are_cleaned_and_aligned() {
    let stage = stage(
        "contexts:\n    a: {domain: \"e\\e[2J\\u009b1m\\u202evil.example\", organization: \"\\e]0;x\\a日本\"}\n    \
         b: {domain: 東京.example, organization: o}\n",
    );
    let table = list(&stage, false).await;
    assert_eq!(
        table.stdout,
        "  DOMAIN             ACCOUNT                ORGANIZATION  WORKSPACE\n\
         \x20 e[2J1mvil.example  (Astro Private Cloud)  ]0;x日本\n\
         \x20 東京.example       (Astro Private Cloud)  o\n"
    );
    let json = list(&stage, true).await;
    assert!(!json.stdout.contains(|character: char| character.is_control() && character != '\n'), "{:?}", json.stdout);
    let unknown = switch(&stage, Some("x\u{1b}[31m")).await;
    assert_eq!(unknown.error_chain(), "no context named `x[31m`; choose one of: e[2J1mvil.example, 東京.example");
}

#[tokio::test]
async fn context_switch_changes_only_current() {
    for (typed, name) in [
        ("gcp0001.example.com", "gcp0001.example.com"),
        ("GCP0001.example.com ", "gcp0001.example.com"),
        ("https://cloud.astronomer-stage.io/", "astronomer-stage.io"),
    ] {
        let stage = stage(FILE);
        let outcome = switch(&stage, Some(typed)).await;
        assert_eq!((outcome.exit_code(), outcome.stdout.as_str()), (0, ""), "{typed}");
        assert_eq!(outcome.stderr, format!("Switched to context {name}\n"));
        let expected = FILE.replace("context: astronomer.io\n", &format!("context: {name}\n"));
        assert_eq!(stage.home.config().unwrap(), expected);
        assert_eq!(stage.service.requests(), []);
    }
}

#[tokio::test]
async fn context_exact_name_wins() {
    let stage = stage("contexts:\n    cloud_astronomer_io: {domain: cloud.astronomer.io}\n");
    assert_eq!(switch(&stage, Some("cloud.astronomer.io")).await.exit_code(), 0);
    assert!(stage.home.config().unwrap().ends_with("context: cloud.astronomer.io\n"));
}

#[tokio::test]
async fn context_switch_under_astro_domain_warns() {
    let mut stage = stage(FILE);
    stage.environment = stage.environment.with("ASTRO_DOMAIN", "astronomer.io");
    let outcome = switch(&stage, Some("astronomer-stage.io")).await.success();
    assert_eq!(
        outcome.stderr,
        "Switched to context astronomer-stage.io\nwarning: ASTRO_DOMAIN is set and overrides the current context\n\
         hint: unset ASTRO_DOMAIN to use the current context\n"
    );
}

#[tokio::test]
async fn unknown_context_lists_contexts() {
    let stage = stage(FILE);
    let there = "choose one of: astronomer.io, gcp0001.example.com, astronomer-stage.io";
    let outcome = switch(&stage, Some("gcp.example.com")).await;
    assert_eq!(
        (outcome.exit_code(), outcome.error_chain()),
        (1, format!("no context named `gcp.example.com`; {there}"))
    );
    let hint = outcome.result.unwrap_err().hint();
    assert_eq!(hint.as_deref(), Some("run `astro context list` to see all of them"));
    let outcome = delete(&stage, "astronomer-dev.io", true).await;
    assert_eq!(
        (outcome.exit_code(), outcome.error_chain()),
        (1, format!("no context named `astronomer-dev.io`; {there}"))
    );
    assert_eq!(stage.home.config().unwrap(), FILE);
}

#[tokio::test]
async fn context_delete_finds_keychain_login_without_context() {
    let stage = stage("context: gcp.example.com\n");
    let domain = stage.service.domain();
    for is_damaged in [false, true] {
        stage.keep_in_keychain(&stage.earlier_login(3600));
        if is_damaged {
            stage.keychain.damage(&domain);
        }
        let outcome = delete(&stage, &domain, true).await;
        assert_eq!((outcome.exit_code(), stage.stored()), (u8::from(is_damaged), None), "{}", outcome.stderr);
        assert!(outcome.stderr.ends_with(&format!("Deleted context {domain}\n")), "{}", outcome.stderr);
        assert_eq!(stage.service.live_refresh_tokens().len(), usize::from(is_damaged));
        assert_eq!(stage.home.config().unwrap(), "context: gcp.example.com\n");
        assert_eq!(delete(&stage, &domain, true).await.exit_code(), 1);
    }
    stage.keychain.fail(StoreError::Absent { reason: "no session bus" });
    assert!(delete(&stage, &domain, true).await.error_chain().starts_with("no context named "));
    stage.keychain.fail(StoreError::Locked);
    let outcome = delete(&stage, &domain, true).await;
    assert_eq!(outcome.error_chain(), "could not use the keychain\nthe keychain is locked");
}

#[tokio::test]
async fn context_without_terminal_needs_name_and_force() {
    let stage = stage(FILE);
    let outcome = switch(&stage, None).await;
    assert_eq!(outcome.exit_code(), 2);
    assert_eq!(outcome.error_chain(), "no context given, and no terminal to prompt on");
    let outcome = delete(&stage, "astronomer.io", false).await;
    assert_eq!(outcome.exit_code(), 2);
    assert_eq!(outcome.error_chain(), "could not confirm the deletion: no terminal to prompt on");
    assert_eq!(outcome.result.unwrap_err().hint().unwrap(), "use `--force` to delete without confirmation");
    assert_eq!(stage.home.config().unwrap(), FILE);
}

#[tokio::test]
async fn foreign_context_is_deleted_after_confirmation() {
    let stage = stage(FILE);
    let outcome = delete(&stage, "gcp0001.example.com", false).await;
    assert_eq!(outcome.error_chain(), "could not confirm the deletion: no terminal to prompt on");
    let outcome = delete(&stage, "gcp0002.example.com", true).await;
    assert_eq!(
        (outcome.exit_code(), outcome.error_chain().as_str()),
        (
            1,
            "no context named `gcp0002.example.com`; choose one of: astronomer.io, gcp0001.example.com, astronomer-stage.io"
        )
    );
    assert_eq!(stage.home.config().unwrap(), FILE);
    let outcome = delete(&stage, "GCP0001.example.com", true).await.success();
    let path = stage.home.config_path().display().to_string();
    let said = format!(
        "Removed credentials from {path}\nCopies of the token stay valid until an administrator ends it\nLogged out of \
         gcp0001.example.com\nDeleted context gcp0001.example.com\n"
    );
    assert_eq!(outcome.stderr, said);
    assert_eq!(list(&stage, false).await.stdout.lines().count(), 3);
    let rest: Vec<&str> = FILE.lines().filter(|line| !line.contains("gcp0001") && !line.contains("ck05")).collect();
    for line in stage.home.config().unwrap().lines() {
        assert!(rest.contains(&line), "{line}");
    }
    assert_eq!(stage.service.requests(), []);
}

#[tokio::test]
async fn deleting_current_malformed_context_leaves_none() {
    let stage = stage("context: gcp\ncontexts:\n    gcp: {token: x}\n    a_io: {domain: a.io}\n");
    assert_eq!(delete(&stage, "gcp", true).await.success().stderr, "Deleted context gcp\n");
    assert_eq!(stage.home.config().unwrap(), "context: \"\"\ncontexts:\n    a_io: {domain: a.io}\n");
}

#[tokio::test]
async fn context_switch_creates_context_of_astro_domain() {
    for (typed, name) in
        [("dev", "astronomer-dev.io"), ("pr12345", "pr12345.astronomer-dev.io"), ("prod", "astronomer.io")]
    {
        let stage = stage("page_size: 20\n");
        let outcome = switch(&stage, Some(typed)).await.success();
        assert_eq!(outcome.stderr, format!("Switched to context {name}\n"));
        let key = name.replace('.', "_");
        let expected = format!("page_size: 20\ncontexts:\n    {key}:\n        domain: {name}\ncontext: {name}\n");
        assert_eq!(stage.home.config().unwrap(), expected);
    }
}

#[tokio::test]
async fn rf_12_context_delete_logs_out_and_removes_entry() {
    let stage = logged_in().await;
    assert_eq!(stage.service.live_refresh_tokens().len(), 1);
    let outcome = delete(&stage, &stage.service.domain(), true).await;
    assert_eq!((outcome.exit_code(), outcome.stdout.as_str()), (0, ""), "{}", outcome.stderr);
    assert!(outcome.stderr.ends_with(&format!("Deleted context {}\n", stage.service.domain())));
    assert_eq!((stage.service.live_refresh_tokens(), stage.stored()), (vec![], None));
    assert_eq!(
        stage.home.config().unwrap(),
        "page_size: \"20\" # mine\n\
         contexts:\n    gcp_example_com: {domain: gcp.example.com, token: x} # theirs\n\
         context: \"\"\n"
    );
}

#[tokio::test]
async fn deleting_last_context_leaves_valid_map() {
    let stage = Stage::new();
    assert_eq!(stage.login(&stage.request()).await.exit_code(), 0);
    assert_eq!(delete(&stage, &stage.service.domain(), true).await.exit_code(), 0);
    assert_eq!(stage.home.config().unwrap(), "contexts: {}\ncontext: \"\"\n");
    assert_eq!(stage.login(&stage.request()).await.exit_code(), 0);
    assert_eq!(list(&stage, false).await.stdout.lines().count(), 2);
}

#[tokio::test]
async fn deleting_other_context_keeps_current() {
    let stage = logged_in().await;
    assert_eq!(switch(&stage, Some("gcp.example.com")).await.exit_code(), 0);
    assert_eq!(delete(&stage, &stage.service.domain(), true).await.exit_code(), 0);
    assert!(stage.home.config().unwrap().ends_with("context: gcp.example.com\n"));
}

#[tokio::test]
async fn context_delete_removes_unknown_keys_and_comments() {
    let stage = logged_in().await;
    let domain = stage.service.domain();
    for ours in [
        format!("    \"{domain}\": {{domain: \"{domain}\", mine: [1, 2]}} # ours\n"),
        format!("    \"{domain}\": # ours\n        # a note\n        mine: {{x: y}}\n        user_email: a@b.c\n"),
    ] {
        let others = "    a_example_com:\n        domain: a.example.com\n";
        stage.home.write_config(&format!("contexts:\n{others}{ours}x: 1\n"));
        assert_eq!(delete(&stage, &domain, true).await.exit_code(), 0);
        assert_eq!(stage.home.config().unwrap(), format!("contexts:\n{others}x: 1\n"));
    }
    let flow = format!("contexts: {{a: {{token: x}}, \"{domain}\": {{token: ''}}, b: {{}}}}\n");
    stage.home.write_config(&flow);
    assert_eq!(delete(&stage, &domain, true).await.exit_code(), 0);
    assert_eq!(stage.home.config().unwrap(), "contexts: {a: {token: x}, b: {}}\n");
}

#[tokio::test]
async fn context_delete_without_issuer_warns() {
    let stage = logged_in().await;
    stage.service.fail("/oauth/revoke", Fault::Status(503, "{}".to_owned()));
    let outcome = delete(&stage, &stage.service.domain(), true).await;
    assert_eq!(outcome.exit_code(), 1, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("could not revoke the refresh token: "), "{}", outcome.stderr);
    assert_eq!(stage.stored(), None);
    assert!(!stage.home.config().unwrap().contains(&stage.service.domain()));
}

#[tokio::test]
async fn context_delete_with_silent_keychain_warns() {
    let stage = logged_in().await;
    stage.keychain.fail(StoreError::Locked);
    let outcome = delete(&stage, &stage.service.domain(), true).await;
    assert_eq!(outcome.exit_code(), 1, "{}", outcome.stderr);
    assert!(!stage.home.config().unwrap().contains(&stage.service.domain()));
}

#[cfg(unix)]
mod terminal {
    use super::*;
    use crate::support::pty::{CTRL_C, ENTER, Pty};

    fn astro(stage: &Stage, args: &[&str]) -> Pty {
        Pty::spawn(env!("CARGO_BIN_EXE_astro"), args, [("ASTRO_HOME", stage.home.path().to_str().unwrap())])
    }

    #[test]
    fn context_menu_filters_by_typed_text() {
        let stage = stage(FILE);
        let mut pty = astro(&stage, &["c", "sw"]);
        pty.wait_for("Context:");
        pty.wait_for("astronomer-stage.io");
        pty.type_keys("gcp");
        pty.wait_for("gcp0001");
        pty.type_keys(ENTER);
        pty.wait_for("Switched to context gcp0001.example.com");
        assert_eq!(pty.finish().0, 0);
        assert!(stage.home.config().unwrap().starts_with("context: gcp0001.example.com\n"));

        // The list begins at the current one, so Enter alone changes nothing.
        let mut pty = astro(&stage, &["context", "switch", "--color", "never"]);
        pty.wait_for("Context:");
        pty.wait_for("> gcp0001.example.com");
        pty.type_keys(ENTER);
        pty.wait_for("Switched to context gcp0001.example.com");
        assert_eq!(pty.finish().0, 0);
    }

    #[test]
    fn canceled_context_command_changes_nothing() {
        let stage = stage(FILE);
        for (args, question, keys) in [
            (&["context", "switch"][..], "Context:", CTRL_C),
            (&["c", "de", "astronomer.io"], "Log out of astronomer.io and delete its context?", "n\r"),
            (&["c", "delete", "astronomer.io"], "Log out of astronomer.io", ENTER),
            (&["c", "delete", "astronomer.io"], "Log out of astronomer.io", CTRL_C),
        ] {
            let mut pty = astro(&stage, args);
            pty.wait_for(question);
            pty.type_keys(keys);
            assert_eq!(pty.finish().0, 130, "{args:?}");
            assert_eq!(stage.home.config().unwrap(), FILE);
        }
    }

    #[test]
    fn single_context_is_not_asked_for() {
        let stage = Stage::new();
        let mut pty = astro(&stage, &["context", "switch"]);
        pty.wait_for("no contexts yet");
        pty.wait_for("run `astro login` to create one");
        assert_eq!(pty.finish().0, 1);
    }
}
