//! `ASTRO_API_TOKEN`: held to its domain, checked before it is sent or printed, and never stored.

use astro_login::commands::organization::organization;
use astro_login::commands::selection::{SelectionCommand, Switch};
use astro_login::commands::workspace::workspace;
use astro_login::error::Error;
use serde_json::json;

use crate::support::{Outcome, Stage, token};

/// A stage whose command line, environment or config.yaml names the test's domain, and a value of the variable.
fn stage(variable: &str, named: bool) -> Stage {
    let mut stage = Stage::new();
    stage.environment = stage.environment.clone().with("ASTRO_API_TOKEN", variable);
    name(&mut stage, named);
    stage
}

fn name(stage: &mut Stage, named: bool) {
    let domain = stage.service.domain();
    if named {
        stage.environment = stage.environment.clone().with("ASTRO_DOMAIN", &domain);
    } else {
        stage.home.write_config(&format!("contexts:\n    {domain}:\n        domain: {domain}\ncontext: {domain}\n"));
    }
}

async fn printed(stage: &Stage) -> Outcome {
    stage.run(async |system| token(system, None).await).await
}

async fn organizations(stage: &Stage) -> Outcome {
    stage
        .run(async |system| organization(system, SelectionCommand::List { json: false.into(), domain: None }).await)
        .await
}

async fn workspaces(stage: &Stage) -> Outcome {
    stage.run(async |system| workspace(system, SelectionCommand::List { json: false.into(), domain: None }).await).await
}

#[tokio::test]
async fn rf_11_variable_that_is_no_token_is_not_printed() {
    let table = [
        ("***", "could not read a token from ASTRO_API_TOKEN\nthe text contains `*`, which no token does"),
        (
            "${ASTRO_API_TOKEN}",
            "could not read a token from ASTRO_API_TOKEN\nthe text contains `$`, which no token does",
        ),
        ("opaque-and-secret", "the token in ASTRO_API_TOKEN is not valid\nnot a JSON Web Token (JWT)"),
        ("one.two.three", "the token in ASTRO_API_TOKEN is not valid\nnot a JSON Web Token (JWT)"),
    ];
    for (value, error_chain) in table {
        let stage = stage(value, true);
        for outcome in [printed(&stage).await, organizations(&stage).await, workspaces(&stage).await] {
            assert_eq!((outcome.exit_code(), outcome.stdout.as_str()), (4, ""), "{value}");
            assert_eq!(outcome.error_chain(), error_chain);
            assert!(outcome.result.unwrap_err().hint().unwrap().contains("unset"));
        }
        assert_eq!(stage.request_log(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn rf_11_empty_variable_is_named() {
    for value in ["", "  ", "\r\n"] {
        let stage = stage(value, true);
        let error_chain = format!("not logged in to {}, and ASTRO_API_TOKEN is empty", stage.service.domain());
        for outcome in [printed(&stage).await, organizations(&stage).await, workspaces(&stage).await] {
            assert_eq!((outcome.exit_code(), outcome.error_chain()), (4, error_chain.clone()), "{value:?}");
        }
    }
}

#[tokio::test]
async fn rf_11_variable_is_cleaned_before_use() {
    let mut stage = stage("", true);
    let api_token = stage.service.api_token();
    for value in [format!("\u{feff}\"{api_token}\"\n"), api_token.replace('.', ".\n"), format!("'Bearer {api_token}'")]
    {
        stage.environment = stage.environment.clone().with("ASTRO_API_TOKEN", &value);
        assert_eq!(printed(&stage).await.success().stdout, format!("{api_token}\n"));
        assert_eq!(organizations(&stage).await.exit_code(), 0);
    }
}

#[tokio::test]
async fn rf_11_token_of_other_domain_is_refused() {
    let mut stage = stage("", true);
    for issuer in ["https://auth.astronomer.io/", "https://api.astronomer-stage.io/", "https://auth.astronomer-dev.io/"]
    {
        for token in
            [stage.service.api_token_with(&json!({"iss": issuer})), stage.service.access_token(&json!({"iss": issuer}))]
        {
            stage.environment = stage.environment.clone().with("ASTRO_API_TOKEN", &token);
            for outcome in [printed(&stage).await, organizations(&stage).await, workspaces(&stage).await] {
                assert_eq!((outcome.exit_code(), outcome.stdout.as_str()), (4, ""), "{issuer}");
                assert!(matches!(outcome.result, Err(Error::ApiTokenOfOtherDomain { .. })), "{outcome:?}");
            }
        }
    }
    assert_eq!(stage.request_log(), Vec::<String>::new());
    let token = stage.service.api_token_with(&json!({"iss": "https://auth.astronomer-dev.io/"}));
    stage.environment = stage.environment.clone().with("ASTRO_API_TOKEN", &token);
    for (domain, code) in [("pr1234.astronomer-dev.io", 0), ("astronomer-dev.io", 0), ("astronomer.io", 4)] {
        let outcome = stage.run(async |system| crate::support::token(system, Some(domain)).await).await;
        assert_eq!(outcome.exit_code(), code, "{domain}");
    }
}

#[tokio::test]
async fn rf_11_token_is_not_sent_to_leftover_localhost() {
    let mut stage = stage("", false);
    for token in [
        stage.service.api_token(),
        stage.service.api_token_with(&json!({"iss": "https://auth.astronomer.io/"})),
        stage.service.access_token(&json!({})),
    ] {
        stage.environment = stage.environment.clone().with("ASTRO_API_TOKEN", &token);
        assert_eq!(printed(&stage).await.success().stdout, format!("{token}\n"));
        let outcome = organizations(&stage).await;
        assert_eq!(outcome.exit_code(), 4);
        let domain = stage.service.domain();
        let told = format!("did not send ASTRO_API_TOKEN to {domain}, which only the current context names");
        assert_eq!(outcome.error_chain(), told);
    }
    assert_eq!(stage.request_log(), Vec::<String>::new());
    let token = stage.service.api_token();
    stage.environment = stage.environment.clone().with("ASTRO_API_TOKEN", &token);
    name(&mut stage, true);
    assert_eq!(organizations(&stage).await.exit_code(), 0);
}

#[tokio::test]
async fn rf_11_user_token_in_variable_is_verified_before_use() {
    let mut stage = stage("", true);
    let table = [
        (json!({}), 0, ""),
        (json!({"aud": "another-api"}), 4, "made for `another-api`, not for `astronomer-ee`"),
        (json!({"iss": "http://localhost:1/"}), 4, "issued "),
        (json!({"nbf": 4_000_000_000_u64}), 4, "not valid before"),
        (json!({"exp": 1_679_474_140}), 4, "the token in ASTRO_API_TOKEN expired on 2023-03-22"),
    ];
    for (patch, code, cause) in table {
        let token = stage.service.access_token(&patch);
        stage.environment = stage.environment.clone().with("ASTRO_API_TOKEN", &token);
        let outcome = organizations(&stage).await;
        assert_eq!(outcome.exit_code(), code, "{patch}");
        assert!(code == 0 || outcome.error_chain().contains(cause), "{}", outcome.error_chain());
    }
    let asked = stage.service.requests_to("/v1/organizations").len();
    stage.service.set(|options| options.signing_key = 1);
    let forged = stage.service.access_token(&json!({}));
    stage.environment = stage.environment.clone().with("ASTRO_API_TOKEN", &forged);
    let outcome = organizations(&stage).await;
    assert_eq!(outcome.exit_code(), 4, "{outcome:?}");
    assert_eq!((asked, stage.service.requests_to("/v1/organizations").len()), (1, 1));
}

#[tokio::test]
async fn permissions_name_the_organization_and_nothing_is_written() {
    let stage = stage("", true);
    let (organization, other) = ("clorg00000000000000000002", "clorg00000000000000000001");
    let domain = stage.service.domain();
    for config in
        [None, Some(format!("contexts:\n    {domain}:\n        domain: {domain}\n        organization: {other}\n"))]
    {
        let mut stage = self::stage("", true);
        let permissions = json!({"permissions": [format!("organizationId:{organization}")]});
        let token = stage.service.api_token_with(&permissions);
        stage.environment = stage.environment.clone().with("ASTRO_API_TOKEN", &token);
        let config = config.map(|config| config.replace(&domain, &stage.service.domain()));
        if let Some(config) = &config {
            stage.home.write_config(config);
        }
        let listed = workspaces(&stage).await.success().stdout;
        assert!(listed.contains("Flow-Matic"), "{listed}");
        let listed = organizations(&stage).await.success().stdout;
        assert!(listed.lines().any(|line| line.starts_with('*') && line.contains("Compilers")), "{listed}");
        assert_eq!(stage.home.config(), config);
        let files = std::fs::read_dir(stage.home.path().join(".astro")).unwrap().count();
        assert_eq!(files, usize::from(config.is_some()));
    }
}

#[tokio::test]
async fn workspace_switch_in_other_organization_is_refused() {
    let (granted, other) = ("clorg00000000000000000002", "clorg00000000000000000001");
    for (organization, expected) in [(granted, 0), (other, 1)] {
        let mut stage = stage("", true);
        let domain = stage.service.domain();
        let config =
            format!("contexts:\n    {domain}:\n        domain: {domain}\n        organization: {organization}\n");
        stage.home.write_config(&config);
        let token = stage.service.api_token_with(&json!({"permissions": [format!("organizationId:{granted}")]}));
        stage.environment = stage.environment.clone().with("ASTRO_API_TOKEN", &token);
        let command = SelectionCommand::Switch(Switch {
            wanted: Some("Flow-Matic".to_owned()),
            workspace: None,
            json: false.into(),
            domain: None,
        });
        let outcome = stage.run(async |system| workspace(system, command).await).await;
        assert_eq!(outcome.exit_code(), expected, "{outcome:?}");
        if organization == other {
            assert!(matches!(outcome.result, Err(Error::ApiTokenOfOtherOrganization { .. })), "{outcome:?}");
            assert_eq!((stage.home.config().unwrap(), stage.service.requests().len()), (config, 0));
        }
    }
}

#[tokio::test]
async fn permissions_of_user_token_name_no_organization() {
    let mut stage = stage("", true);
    let token = stage.service.access_token(&json!({"permissions": ["organizationId:clorg00000000000000000002"]}));
    stage.environment = stage.environment.clone().with("ASTRO_API_TOKEN", &token);
    let outcome = workspaces(&stage).await;
    assert!(matches!(outcome.result, Err(Error::NoOrganizationSelected)), "{outcome:?}");
}

#[tokio::test]
async fn expired_variable_is_reported_by_every_command() {
    let mut stage = stage("", true);
    let token = stage.service.api_token_with(&json!({"exp": 1_679_474_140}));
    stage.environment = stage.environment.clone().with("ASTRO_API_TOKEN", &token);
    for outcome in [printed(&stage).await, organizations(&stage).await, workspaces(&stage).await] {
        assert_eq!(outcome.exit_code(), 4);
        assert!(matches!(outcome.result, Err(Error::ApiTokenExpired { .. })), "{outcome:?}");
    }
    assert_eq!(stage.request_log(), Vec::<String>::new());
}
