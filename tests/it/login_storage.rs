//! Where a login is kept: the keychain, or in its absence config.yaml, and that either of them is left as it was when
//! anything goes wrong.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use astro_login::commands::login::Login;
use astro_login::credentials::{Credentials, Kind, StoreError};
use astro_login::token::{AccessToken, RefreshToken};
use serde_json::json;

use crate::support::{Fault, Part, Stage};

const ABSENT: StoreError = StoreError::Absent { reason: "no D-Bus session bus" };

/// As the Go CLI writes it, in the middle of somebody's work with another cluster.
const GO: &str = "\
cloud:
    api:
        port: \"443\"
        protocol: https
        ws_protocol: wss
context: gcp0001.example.com
contexts:
    astronomer_io:
        domain: astronomer.io
        expiresin: 2026-11-24T10:11:12.123456789+01:00
        last_used_workspace: cl0v1p6lc728255byzyfs7lw21
        organization: clkvh3b46003m01kbalgwwdcy
        organization_product: HOSTED
        organization_short_name: acme
        refreshtoken: v1.MRrtOLD
        token: Bearer eyJOLD
        user_email: old@example.com
        workspace: cl0v1p6lc728255byzyfs7lw21
    gcp0001_example_com:
        domain: gcp0001.example.com
        last_used_workspace: ck05r3bor07h40d02y2hw4n4v
        refreshtoken: \"\"
        token: eyJPRIVATE
        workspace: ck05r3bor07h40d02y2hw4n4v
local:
    houston: http://localhost:8871/v1
page_size: \"20\"
postgres:
    port: \"5432\"
    tag: 1.10
show_warnings: \"true\"
";

/// `astro login localhost:PORT --insecure-storage`
fn insecure(stage: &Stage) -> Login {
    Login { insecure_storage: true, ..stage.request() }
}

/// An earlier login of Ada's, as the keychain would hold it.
fn earlier(stage: &Stage) -> Credentials {
    Credentials {
        kind: Kind::User,
        access: AccessToken::new("eyJearlier"),
        refresh: Some(RefreshToken::new("v1.earlier")),
        issuer: stage.service.issuer(),
        client_id: crate::support::CLIENT_ID.to_owned(),
        audience: crate::support::AUDIENCE.to_owned(),
        sub: "auth0|ada@example.com".to_owned(),
        email: Some("ada@example.com".to_owned()),
        issued_at: None,
        expires_at: Some("2026-11-24T10:00:00Z".parse().unwrap()),
    }
}

/// The refresh tokens that the service was told to forget, in order.
fn revoked(stage: &Stage) -> Vec<String> {
    stage.service.requests_to("/oauth/revoke").iter().map(|request| request.form("token").unwrap()).collect()
}

/// config.yaml with the tokens that the service issued replaced by what they are.
fn config(stage: &Stage) -> String {
    let mut text = stage.plain(&stage.home.config().unwrap());
    for request in stage.service.requests_to("/v1/users/self") {
        text = text.replace(request.header("authorization").unwrap(), "Bearer TOKEN");
    }
    for token in stage.service.live_refresh_tokens() {
        text = text.replace(&token, "REFRESH");
    }
    text
}

const CURRENT: &str = "context: \"localhost:PORT\"\n";

/// config.yaml after a plaintext login by Ada.
const PLAINTEXT: &str = "\
contexts:
    \"localhost:PORT\":
        domain: \"localhost:PORT\"
        expiresin: 2026-11-25T12:00:00Z
        refreshtoken: REFRESH
        token: Bearer TOKEN
        user_email: ada@example.com
        organization: clorg00000000000000000001
        organization_product: HOSTED
context: \"localhost:PORT\"
";

#[tokio::test]
async fn rf_10_without_a_keychain_the_go_clis_fields_are_used_aloud() {
    let stage = Stage::new().at_noon();
    stage.keychain.fail(ABSENT);
    let outcome = stage.login(&stage.request()).await;
    assert_eq!(outcome.exit_code(), 0, "{}", outcome.stderr);
    assert_eq!(config(&stage), PLAINTEXT);
    let said = stage.plain(&outcome.stderr);
    let warning = "warning: no keychain available (no D-Bus session bus); \
                   credentials will be saved unencrypted in CONFIG\n";
    assert!(said.find(warning) < said.find("LINK") && said.contains(warning), "{said}");
    assert!(said.contains("\n  credentials   CONFIG (unencrypted)\n"), "{said}");
    assert!(!outcome.all_text().contains("eyJ"), "{}", outcome.all_text());
}

#[cfg(unix)]
#[tokio::test]
async fn rf_10_plain_text_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    for before in [None, Some(0o644)] {
        let stage = Stage::new();
        if let Some(mode) = before {
            stage.home.write_config(GO);
            fs::set_permissions(stage.home.config_path(), fs::Permissions::from_mode(mode)).unwrap();
        }
        assert_eq!(stage.login(&insecure(&stage)).await.exit_code(), 0);
        let mode = fs::metadata(stage.home.config_path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[tokio::test]
async fn plain_text_that_is_chosen_needs_no_warning_and_removes_the_keychains_copy() {
    let stage = Stage::new().at_noon();
    stage.keychain.put(&stage.service.domain(), earlier(&stage));
    let outcome = stage.login(&insecure(&stage)).await;
    assert_eq!(outcome.exit_code(), 0, "{}", outcome.stderr);
    assert_eq!((config(&stage).as_str(), stage.stored()), (PLAINTEXT, None));
    assert_eq!(revoked(&stage), ["v1.earlier"]);
    assert!(!outcome.stderr.contains("keychain"), "{}", outcome.stderr);
}

#[tokio::test]
async fn a_keychains_copy_that_cannot_be_removed_is_pointed_out() {
    let stage = Stage::new();
    stage.keychain.put(&stage.service.domain(), earlier(&stage));
    stage.keychain.fail(StoreError::Locked);
    let outcome = stage.login(&insecure(&stage)).await;
    assert_eq!(outcome.exit_code(), 0, "{}", outcome.stderr);
    let warning = "warning: an older login may remain in the test's keychain: the keychain is locked\n";
    assert!(outcome.stderr.contains(warning), "{}", outcome.stderr);
    assert_eq!(revoked(&stage), [""; 0]);
}

#[tokio::test]
async fn a_fallback_that_is_forbidden_ends_the_login_before_a_browser_opens() {
    let table = [
        (None, "no_insecure_fallback: true\n"),
        (None, "no_insecure_fallback: \"true\"\n"),
        (Some("1"), ""),
        (Some("true"), ""),
        (Some("TRUE"), ""),
        (Some("yes"), ""),
        (Some("on"), ""),
    ];
    for (variable, settings) in table {
        let mut stage = Stage::new();
        stage.keychain.fail(ABSENT);
        stage.home.write_config(settings);
        if let Some(value) = variable {
            stage.environment = stage.environment.with("ASTRO_NO_INSECURE_FALLBACK", value);
        }
        let outcome = stage.login(&stage.request()).await;
        let complaint = "could not log in to localhost:PORT\nno keychain available (no D-Bus session bus), \
                         and saving credentials unencrypted is forbidden";
        assert!(outcome.result.is_err(), "{variable:?} {settings}");
        assert_eq!((outcome.exit_code(), stage.plain(&outcome.complaint()).as_str()), (1, complaint));
        assert_eq!((stage.browser.opened(), stage.home.config().as_deref()), (vec![], Some(settings)));
        let hint = stage.plain(&outcome.result.unwrap_err().hint().unwrap());
        assert!(hint.contains("`astro login localhost:PORT --insecure-storage`"), "{hint}");
    }
}

#[tokio::test]
async fn a_fallback_is_forbidden_only_where_somebody_said_so() {
    for (variable, settings) in [("0", ""), ("false", "no_insecure_fallback: \"false\"\n")] {
        let mut stage = Stage::new();
        stage.keychain.fail(ABSENT);
        stage.home.write_config(settings);
        stage.environment = stage.environment.with("ASTRO_NO_INSECURE_FALLBACK", variable);
        assert_eq!(stage.login(&stage.request()).await.exit_code(), 0, "{variable} {settings}");
    }
    // What is forbidden is to fall back; who asks for plain text gets it.
    let mut chosen = Stage::new();
    chosen.environment = chosen.environment.with("ASTRO_NO_INSECURE_FALLBACK", "1");
    assert_eq!(chosen.login(&insecure(&chosen)).await.exit_code(), 0);
}

#[tokio::test]
async fn a_keychain_that_is_there_and_cannot_be_used_ends_the_login_before_a_browser_opens() {
    let table = [
        (StoreError::Locked, "the keychain is locked"),
        (StoreError::Refused, "the keychain refused access"),
        (StoreError::TimedOut(Duration::from_secs(3)), "the keychain did not respond within 3 seconds"),
        (StoreError::NewerFormat, "the stored credentials were written by a newer version of this program"),
        (StoreError::Other("no such collection".to_owned()), "no such collection"),
    ];
    let mut hints = Vec::new();
    for (failure, told) in table {
        let stage = Stage::new();
        stage.keychain.fail(failure);
        let outcome = stage.login(&stage.request()).await;
        let complaint = format!("could not log in to localhost:PORT\ncould not use the keychain\n{told}");
        assert_eq!((outcome.exit_code(), stage.plain(&outcome.complaint())), (1, complaint));
        assert_eq!((stage.browser.opened(), stage.home.config()), (vec![], None));
        hints.push(outcome.result.unwrap_err().hint().unwrap());
    }
    hints.dedup();
    assert_eq!(hints.len(), 5, "each has its own way out: {hints:#?}");
}

#[tokio::test]
async fn a_damaged_entry_is_replaced() {
    let stage = Stage::new();
    stage.keychain.put(&stage.service.domain(), earlier(&stage));
    stage.keychain.damage(&stage.service.domain());
    let outcome = stage.login(&stage.request()).await;
    assert_eq!(outcome.exit_code(), 0, "{}", outcome.stderr);
    assert_ne!(stage.stored().unwrap().refresh, earlier(&stage).refresh);
    assert_eq!(revoked(&stage), [""; 0]);
}

#[tokio::test]
async fn what_cannot_be_saved_after_the_sign_in_is_given_back() {
    for earlier in [None, Some(earlier)] {
        let stage = Stage::new();
        let before = earlier.map(|earlier| earlier(&stage));
        if let Some(before) = &before {
            stage.keychain.put(&stage.service.domain(), before.clone());
        }
        stage.home.write_config(GO);
        stage.keychain.fail_saving(StoreError::Other("the keychain is full".to_owned()));
        let outcome = stage.login(&stage.request()).await;
        let complaint =
            "could not log in to localhost:PORT\ncould not use the keychain\nthe keychain is full".to_owned();
        assert_eq!((outcome.exit_code(), stage.plain(&outcome.complaint())), (1, complaint));
        assert_eq!((stage.stored(), stage.home.config().as_deref()), (before, Some(GO)));
        assert_eq!((revoked(&stage).len(), stage.service.live_refresh_tokens()), (1, vec![]));
        let hint = stage.plain(&outcome.result.unwrap_err().hint().unwrap());
        assert!(hint.contains("`astro login localhost:PORT --insecure-storage`"), "{hint}");
    }
}

#[tokio::test]
async fn a_config_that_cannot_be_written_after_the_sign_in_costs_nothing_but_the_login() {
    for earlier in [None, Some(earlier)] {
        let mut stage = Stage::new();
        let before = earlier.map(|earlier| earlier(&stage));
        if let Some(before) = &before {
            stage.keychain.put(&stage.service.domain(), before.clone());
        }
        let path = stage.home.config_path();
        stage.meanwhile = Arc::new(move || fs::create_dir(&path).unwrap());
        let outcome = stage.login(&stage.request()).await;
        let complaint = "could not log in to localhost:PORT\nCONFIG is not a file".to_owned();
        assert_eq!((outcome.exit_code(), stage.plain(&outcome.complaint())), (1, complaint));
        assert_eq!(stage.stored(), before);
        assert_eq!((revoked(&stage).len(), stage.service.live_refresh_tokens()), (1, vec![]));
    }
}

#[tokio::test]
async fn a_config_that_cannot_be_written_keeps_no_plain_text_either() {
    let mut stage = Stage::new();
    let path = stage.home.config_path();
    stage.meanwhile = Arc::new(move || fs::create_dir(&path).unwrap());
    stage.keychain.put(&stage.service.domain(), earlier(&stage));
    let outcome = stage.login(&insecure(&stage)).await;
    assert_eq!(outcome.exit_code(), 1);
    assert_eq!(stage.stored(), Some(earlier(&stage)));
    assert_eq!((revoked(&stage).len(), stage.service.live_refresh_tokens()), (1, vec![]));
}

#[tokio::test]
async fn a_config_that_cannot_be_read_is_left_alone_and_told_by_line_and_column() {
    let broken = "context: astronomer.io\ncontexts:\n  a: [1\n";
    let stage = Stage::new();
    stage.home.write_config(broken);
    let outcome = stage.login(&stage.request()).await;
    let complaint = stage.plain(&outcome.complaint());
    assert_eq!(outcome.exit_code(), 1);
    assert!(complaint.starts_with("could not use CONFIG\nline 4, column 1: "), "{complaint}");
    assert_eq!(complaint.lines().count(), 2, "{complaint}");
    assert_eq!(outcome.result.unwrap_err().hint().unwrap(), "correct the file by hand; it was not changed");
    assert_eq!((stage.home.config().as_deref(), stage.traffic(), stage.stored()), (Some(broken), vec![], None));
}

#[tokio::test]
async fn a_keychain_login_empties_the_plain_text_says_so_and_ends_the_older_login() {
    let stage = Stage::new().at_noon();
    assert_eq!(stage.login(&insecure(&stage)).await.exit_code(), 0);
    let older = stage.service.live_refresh_tokens();
    let outcome = stage.login(&stage.request()).await;
    assert_eq!(outcome.exit_code(), 0, "{}", outcome.stderr);
    assert_eq!(
        stage.plain(&stage.home.config().unwrap()),
        "\
contexts:
    \"localhost:PORT\":
        domain: \"localhost:PORT\"
        user_email: ada@example.com
        organization: clorg00000000000000000001
        organization_product: HOSTED
context: \"localhost:PORT\"
"
    );
    let notice = "Replaced the login that the Go CLI kept in config.yaml, so the Go CLI is now logged out; \
                  `--insecure-storage` shares the login with it.\n";
    assert!(outcome.stderr.contains(notice), "{}", outcome.stderr);
    assert_eq!(revoked(&stage), older);
    let refresh = stage.stored().unwrap().refresh.unwrap();
    assert_eq!(stage.service.live_refresh_tokens(), [refresh.expose()]);
}

#[tokio::test]
async fn a_second_login_replaces_the_first_and_ends_it() {
    for insecure_storage in [false, true] {
        let stage = Stage::new();
        let request = Login { insecure_storage, ..stage.request() };
        assert_eq!(stage.login(&request).await.exit_code(), 0);
        let first = stage.service.live_refresh_tokens();
        let outcome = stage.login(&request).await;
        assert_eq!(outcome.exit_code(), 0, "{}", outcome.stderr);
        assert_eq!(revoked(&stage), first);
        let [second] = stage.service.live_refresh_tokens().try_into().unwrap();
        assert_ne!([second.clone()].as_slice(), first);
        if insecure_storage {
            assert!(stage.home.config().unwrap().contains(&format!("refreshtoken: {second}\n")));
        } else {
            assert_eq!(stage.stored().unwrap().refresh.unwrap().expose(), second);
        }
    }
}

#[tokio::test]
async fn rf_8_a_refresh_token_goes_to_the_issuer_that_gave_it_and_in_the_name_of_its_client() {
    let stage = Stage::new();
    stage.keychain.put(
        &stage.service.domain(),
        Credentials { issuer: "https://auth.astronomer.io/".to_owned(), ..earlier(&stage) },
    );
    assert_eq!(stage.login(&stage.request()).await.exit_code(), 0);
    assert_eq!(revoked(&stage), [""; 0]);

    let stage = Stage::new();
    stage
        .keychain
        .put(&stage.service.domain(), Credentials { client_id: "another-client".to_owned(), ..earlier(&stage) });
    assert_eq!(stage.login(&stage.request()).await.exit_code(), 0);
    let [revocation] = stage.service.requests_to("/oauth/revoke").try_into().unwrap();
    assert_eq!(revocation.form("client_id").as_deref(), Some("another-client"));

    let stage = Stage::new();
    let foreign = stage.service.access_token(&json!({"iss": "https://auth.astronomer.io/"}));
    let domain = stage.service.domain();
    stage.home.write_config(&format!(
        "contexts:\n    \"{domain}\":\n        refreshtoken: v1.foreign\n        token: Bearer {foreign}\n"
    ));
    assert_eq!(stage.login(&stage.request()).await.exit_code(), 0);
    assert_eq!(revoked(&stage), [""; 0]);
    assert!(!stage.home.config().unwrap().contains("v1.foreign"));
}

#[tokio::test]
async fn a_login_that_stands_is_not_undone_by_a_revocation_that_fails() {
    let stage = Stage::new();
    stage.keychain.put(&stage.service.domain(), earlier(&stage));
    stage.service.fail("/oauth/revoke", Fault::Status(500, String::new()));
    let outcome = stage.login(&stage.request()).await;
    assert_eq!(outcome.exit_code(), 0, "{}", outcome.stderr);
    assert!(stage.stored().is_some_and(|stored| stored != earlier(&stage)));
}

#[tokio::test]
async fn what_other_programs_keep_in_the_config_stays_line_by_line() {
    for insecure_storage in [false, true] {
        let stage = Stage::new().at_noon();
        stage.home.write_config(GO);
        let outcome = stage.login(&Login { insecure_storage, ..stage.request() }).await;
        assert_eq!(outcome.exit_code(), 0, "{}", outcome.stderr);
        let ours = PLAINTEXT.strip_prefix("contexts:\n").unwrap().strip_suffix(CURRENT).unwrap();
        let is_token = |line: &str| ["expiresin", "refreshtoken", "token"].iter().any(|name| line.contains(name));
        let ours: String = ours.split_inclusive('\n').filter(|line| insecure_storage || !is_token(line)).collect();
        let expected =
            GO.replace("context: gcp0001.example.com\n", CURRENT).replace("local:\n", &format!("{ours}local:\n"));
        assert_eq!(config(&stage), expected);
    }
}

#[tokio::test]
async fn a_context_that_the_go_cli_wrote_is_taken_over_with_what_is_not_ours() {
    let stage = Stage::new().at_noon();
    let domain = stage.service.domain();
    let token = stage.service.access_token(&json!({}));
    let go = format!(
        "\
contexts:
    {domain}:
        domain: {domain}
        expiresin: 2026-11-24T10:11:12.123456789+01:00
        last_used_workspace: clws000010000000000000002
        organization: clorg00000000000000000001
        organization_product: HOSTED
        organization_short_name: engines
        refreshtoken: v1.go
        token: Bearer {token}
        user_email: ada@example.com
        workspace: clws000010000000000000002
"
    );
    stage.home.write_config(&go);
    let outcome = stage.login(&stage.request()).await;
    assert_eq!(outcome.exit_code(), 0, "{}", outcome.stderr);
    assert_eq!(
        stage.plain(&stage.home.config().unwrap()),
        "\
contexts:
    localhost:PORT:
        domain: localhost:PORT
        last_used_workspace: clws000010000000000000002
        organization: clorg00000000000000000001
        organization_product: HOSTED
        organization_short_name: engines
        user_email: ada@example.com
        workspace: clws000010000000000000002
context: \"localhost:PORT\"
"
    );
    assert_eq!(revoked(&stage), ["v1.go"]);
}

#[cfg(unix)]
#[tokio::test]
async fn rf_10_a_folder_that_others_may_write_in_is_pointed_out() {
    use std::os::unix::fs::PermissionsExt as _;
    let stage = Stage::new();
    let folder = stage.home.path().join(".astro");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    let outcome = stage.login(&stage.request()).await;
    let folder = folder.display();
    let warning = format!("warning: others may write in {folder}; `chmod go-w {folder}` ends that\n");
    assert!(outcome.stderr.starts_with(&warning), "{}", outcome.stderr);
}

#[tokio::test]
async fn a_refresh_token_that_comes_back_is_not_revoked_as_the_older_one() {
    let stage = Stage::new();
    stage.keychain.put(&stage.service.domain(), earlier(&stage));
    stage.service.patch(Part::Token, json!({"refresh_token": "v1.earlier"}));
    assert_eq!(stage.login(&stage.request()).await.exit_code(), 0);
    assert_eq!(revoked(&stage), [""; 0]);
    assert_eq!(stage.stored().unwrap().refresh, earlier(&stage).refresh);
}
