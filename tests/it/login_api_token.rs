//! `astro login --token-login` with an Astro API token, which only the API can verify.

use crate::support::{Fault, Mode, Options, Outcome, Stage};
use astro_login::commands::login::Login;
use astro_login::commands::status::{Status, status};
use astro_login::credentials::{Credentials, Kind};
use astro_login::token::AccessToken;
use serde_json::{Value, json};

const ORGANIZATION: &str = "clorg00000000000000000001";
const OF_ORGANIZATION: &str = "/v1/organizations/clorg00000000000000000001";
const WORKSPACES: &str = "/v1/organizations/clorg00000000000000000001/workspaces";

/// A token of the first organization with these further permissions.
fn for_organization(stage: &Stage, more: &[&str]) -> String {
    let mut permissions = vec!["apiTokenId:t1", "organizationId:clorg00000000000000000001"];
    permissions.extend(more);
    stage.service.api_token_with(&json!({ "permissions": permissions }))
}

async fn log_in(stage: &Stage, token: &str) -> Outcome {
    stage.login(&stage.token_request(token)).await
}

/// The paths that were asked for, each of which must have carried this token.
fn asked(stage: &Stage, token: &str) -> Vec<String> {
    let requests = stage.service.requests();
    for request in &requests {
        assert_eq!(request.header("authorization"), Some(format!("Bearer {token}").as_str()), "{}", request.path);
    }
    let mut paths: Vec<String> = requests.into_iter().map(|request| request.path).collect();
    paths.dedup();
    paths
}

fn chosen(stage: &Stage) -> (Option<String>, Option<String>) {
    let config = stage.home.config().unwrap_or_default();
    let of = |name: &str| {
        let line = config.lines().find_map(|line| line.trim().strip_prefix(name))?;
        Some(line.trim_matches(['"', ' ', ':']).to_owned()).filter(|value| !value.is_empty())
    };
    (of("organization: "), of("workspace: "))
}

fn some(organization: &str, workspace: &str) -> (Option<String>, Option<String>) {
    (Some(organization.to_owned()), Some(workspace.to_owned()))
}

fn nothing_is_stored(stage: &Stage) {
    assert_eq!((stage.stored(), stage.home.config()), (None, None));
}

#[tokio::test]
async fn cl_17_workspace_token_selects_its_workspace() {
    let stage = Stage::new();
    let token = for_organization(&stage, &["workspaceId:clws000010000000000000002"]);
    let outcome = log_in(&stage, &format!(" Bearer {token}\n")).await.success();
    let domain = stage.service.domain();
    let said = format!(
        "Logged in to {domain} with an API token (accepted by the API)\n  \
         organization  Analytical Engines\n  workspace     Punched Cards\n  credentials   the test's keychain\n"
    );
    assert_eq!((outcome.stderr, outcome.stdout.as_str()), (said, ""));
    assert_eq!(asked(&stage, &token), [OF_ORGANIZATION, WORKSPACES]);
    let stored = stage.stored().unwrap();
    let expected = Credentials {
        kind: Kind::ApiToken,
        access: AccessToken::new(&token),
        refresh: None,
        issuer: String::new(),
        client_id: String::new(),
        audience: String::new(),
        sub: "cltoken1".to_owned(),
        email: None,
        issued_at: stored.issued_at,
        expires_at: None,
        replaced: None,
    };
    assert_eq!(stored, expected);
    assert_eq!(chosen(&stage), some(ORGANIZATION, "clws000010000000000000002"));

    let request = Status { domain: Some(domain).into(), json: false.into(), check: false };
    let shown = stage.run(async |system| status(system, &request).await).await.stdout;
    assert!(shown.contains("type          API token (signature not verified)\n"), "{shown}");
}

#[tokio::test]
async fn deployment_token_without_organization_uses_list() {
    let permissions = json!({"permissions": ["apiTokenId:t1", "deploymentId:d1"]});
    let stage = Stage::with(Options::default().organizations(1, 1), Mode::NeverComeBack);
    let token = stage.service.api_token_with(&permissions);
    drop(log_in(&stage, &token).await.success());
    assert_eq!(asked(&stage, &token), ["/v1/organizations", WORKSPACES]);
    assert_eq!(chosen(&stage), some(ORGANIZATION, "clws000010000000000000001"));

    let stage = Stage::new();
    let outcome = log_in(&stage, &stage.service.api_token_with(&permissions)).await;
    assert_eq!(outcome.exit_code(), 2);
    assert!(outcome.error_chain().contains("\nno organization selected (2 available: "), "{}", outcome.error_chain());
    assert_eq!((chosen(&stage), stage.stored().is_some()), ((None, None), true));
}

#[tokio::test]
async fn unknown_permissions_accepted_empty_ones_rejected() {
    let stage = Stage::new();
    let token = stage.service.api_token_with(&json!({"permissions": ["apiTokenId:t1", "moonId:m1", "odd"]}));
    let outcome = log_in(&stage, &token).await;
    assert!(outcome.error_chain().contains("no organization selected (2 available: "), "{}", outcome.error_chain());
    assert!(stage.stored().is_some());

    for patch in [json!({"permissions": null}), json!({"permissions": []}), json!({"permissions": 7})] {
        let stage = Stage::new();
        let outcome = log_in(&stage, &stage.service.api_token_with(&patch)).await;
        assert_eq!(outcome.exit_code(), 4);
        assert!(outcome.error_chain().ends_with("\nthis API token has no permissions"), "{}", outcome.error_chain());
        assert_eq!(stage.service.requests(), []);
        nothing_is_stored(&stage);
    }
}

#[tokio::test]
async fn api_token_refused_by_api_not_stored() {
    let refusals = [(401, "Invalid or expired token"), (403, "not yours"), (404, "no such organization")];
    for (status, message) in refusals {
        for (path, permission) in
            [(OF_ORGANIZATION, "organizationId:clorg00000000000000000001"), ("/v1/organizations", "deploymentId:d1")]
        {
            let stage = Stage::new();
            stage.service.fail(path, Fault::Status(status, json!({ "message": message }).to_string()));
            let token = stage.service.api_token_with(&json!({"permissions": ["apiTokenId:t1", permission]}));
            let outcome = log_in(&stage, &token).await;
            assert_eq!(outcome.exit_code(), 4, "{}", outcome.error_chain());
            let domain = stage.service.domain();
            assert!(outcome.error_chain().contains(&format!("the API of {domain} refused this API token\n")));
            assert!(outcome.error_chain().ends_with(&format!("HTTP status {status}: {message}")));
            assert!(!outcome.error_chain().contains(&token) && !outcome.stderr.contains(&token));
            nothing_is_stored(&stage);
        }
    }
}

#[tokio::test]
async fn api_failure_stores_no_token_and_shows_cause() {
    let stage = Stage::new();
    stage.service.fail(OF_ORGANIZATION, Fault::Status(503, String::new()));
    let outcome = log_in(&stage, &for_organization(&stage, &[])).await;
    assert_eq!(outcome.exit_code(), 1, "{}", outcome.error_chain());
    nothing_is_stored(&stage);
}

#[tokio::test]
async fn api_token_without_workspace_access_logs_in_and_warns() {
    let stage = Stage::new();
    stage.service.fail(WORKSPACES, Fault::Status(403, String::new()));
    let outcome = log_in(&stage, &for_organization(&stage, &["deploymentId:d1"])).await.success();
    assert!(outcome.stderr.contains("warning: this API token cannot list workspaces\n"));
    assert_eq!(chosen(&stage), (Some(ORGANIZATION.to_owned()), None));

    let stage = Stage::new();
    let outcome = log_in(&stage, &for_organization(&stage, &["workspaceId:gone"])).await.success();
    assert!(outcome.stderr.contains("warning: the API does not list the workspace that this API token names\n"));
    assert_eq!(chosen(&stage), (Some(ORGANIZATION.to_owned()), None));
}

#[tokio::test]
async fn api_token_for_other_organization_rejected() {
    let stage = Stage::new();
    let wanted = |name: &str| Login {
        organization: Some(name.to_owned()),
        ..stage.token_request(&for_organization(&stage, &[]))
    };
    let outcome = stage.login(&wanted("Compilers")).await;
    assert_eq!(outcome.exit_code(), 1);
    assert!(outcome.error_chain().ends_with("no organization named `Compilers`; choose one of: Analytical Engines"));
    nothing_is_stored(&stage);
    assert_eq!(stage.login(&wanted("analytical engines")).await.exit_code(), 0);
}

#[tokio::test]
async fn api_token_checked_offline_first() {
    let stage = Stage::new();
    let unsigned = |token: &str| token.rsplit_once('.').unwrap().0.to_owned() + ".";
    let table: [(String, &str); 3] = [
        (stage.service.api_token_with(&json!({"exp": 1_679_474_140})), "expired on 2023-03-22"),
        (stage.service.api_token_with(&json!({"exp": "never"})), "exp"),
        (unsigned(&stage.service.api_token()), "not a JSON Web Token (JWT)"),
    ];
    for (token, why) in table {
        let outcome = log_in(&stage, &token).await;
        assert_eq!(outcome.exit_code(), 4, "{}", outcome.error_chain());
        assert!(outcome.error_chain().contains(why), "{}", outcome.error_chain());
        assert_eq!(stage.service.requests(), []);
        nothing_is_stored(&stage);
    }
}

#[tokio::test]
async fn api_token_expiry_is_stored_and_shown() {
    let stage = Stage::new();
    let end = Value::from(4_102_444_800_i64);
    let outcome = log_in(&stage, &stage.service.api_token_with(&json!({ "exp": end }))).await.success();
    assert_eq!(stage.stored().unwrap().expires_at, Some("2100-01-01T00:00:00Z".parse().unwrap()));
    assert!(outcome.stderr.contains("  expires       2100-01-01 00:00 UTC"), "{}", outcome.stderr);
    assert!(outcome.stderr.ends_with("; log in again after that\n"), "{}", outcome.stderr);
}

#[tokio::test]
async fn api_token_stored_in_config() {
    let stage = Stage::new();
    let token = for_organization(&stage, &[]);
    let request = Login { insecure_storage: true, ..stage.token_request(&token) };
    assert_eq!(stage.login(&request).await.exit_code(), 0);
    let config = stage.home.config().unwrap();
    assert!(config.contains(&format!("Bearer {token}")), "{config}");
    assert!(!config.contains("refreshtoken") && !config.contains("user_email"), "{config}");
    assert_eq!(stage.stored(), None);
}
