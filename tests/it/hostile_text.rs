//! Hostile text of a server, a token or a file: no command of the built binary prints control characters or foreign
//! lines, as text, as JSON or in the log.

use crate::support::binary::{Astro, Output};
use crate::support::{Fault, Options, Part, Stage};
use serde_json::{Value, json};

/// Sets the title, clears the screen, colors, turns the direction around, and begins a line of its own: with seven-bit
/// controls, with eight-bit ones, and with Unicode's.
const HOSTILE: &str = "Mark\u{1b}]0;t\u{7}\u{1b}[2J\u{9b}31m\u{90}q\u{9c}\u{7f}\u{8}\u{85}\u{202e}\u{2066}\u{200f}\u{61c}\u{feff}\r\nforged:\u{2028}forged:";

enum Way {
    /// `astro login -t -` with a good token.
    Token,
    /// `astro login -l`, with a browser that opens the link.
    Link,
    Run(&'static [&'static str]),
}

#[track_caller]
fn assert_harmless(what: &str, said: &Output) {
    let said = format!("{}{}", said.stdout, said.stderr);
    let obeyed = |it: char| {
        let direction =
            matches!(it, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}');
        (it.is_control() && it != '\n') || direction || it == '\u{feff}'
    };
    assert_eq!(said.chars().find(|it| obeyed(*it)), None, "{what}: {said:?}");
    assert!(!said.lines().any(|line| line.trim_start().starts_with("forged:")), "{what}: {said}");
}

#[track_caller]
fn assert_is_text(what: &str, said: &Output) {
    assert_harmless(what, said);
    let shown = [&said.stdout, &said.stderr].iter().any(|text| text.to_lowercase().contains("mark"));
    assert!(shown, "{what} does not come up: {said:?}");
}

fn astro(stage: &Stage) -> Astro {
    Astro::at(&stage.home).with("ASTRO_DOMAIN", &stage.service.domain())
}

fn run(stage: &Stage, way: &Way) -> Output {
    match way {
        Way::Token => {
            let token = stage.service.access_token(&json!({}));
            astro(stage).stdin(&token).run(&["login", "-t", "-", "--insecure-storage", "-vv"])
        }
        Way::Link => {
            let mut running = astro(stage).start(&["login", "-l", "--insecure-storage", "-vv"]);
            stage.browser.visit(&running.line().parse().unwrap());
            running.finish()
        }
        Way::Run(arguments) => astro(stage).run(arguments),
    }
}

/// Returns a stage with hostile names everywhere, and a login of the Go CLI.
fn named() -> Stage {
    let mut options = Options::default();
    HOSTILE.clone_into(&mut options.people[0].name);
    for organization in &mut options.organizations {
        organization.name = format!("{HOSTILE}{}", organization.id);
        organization.product = Some(HOSTILE);
        for workspace in &mut organization.workspaces {
            workspace.name = format!("{HOSTILE}{}", workspace.id);
        }
    }
    let stage = Stage::with(options, crate::support::Mode::LogIn("ada@example.com".to_owned()));
    let config = format!(
        "contexts:\n    \"{0}\":\n        domain: \"{0}\"\n        organization: clorg00000000000000000001\n        token: Bearer {1}\n",
        stage.service.domain(),
        stage.service.access_token(&json!({}))
    );
    stage.home.write_config(&config);
    stage
}

#[test]
fn lb_21_cl_16_hostile_names_are_cleaned() {
    let table: [(&str, Way); 9] = [
        ("a login with a token", Way::Token),
        ("a login with a link", Way::Link),
        ("organizations", Way::Run(&["organization", "list", "-vv"])),
        ("organizations as JSON", Way::Run(&["organization", "list", "--json", "-vv"])),
        ("workspaces", Way::Run(&["workspace", "list", "-vv"])),
        ("workspaces as JSON", Way::Run(&["workspace", "list", "--json", "-vv"])),
        ("another organization", Way::Run(&["organization", "switch", "clorg00000000000000000002"])),
        ("no organization of this name", Way::Run(&["organization", "switch", "none"])),
        ("another workspace", Way::Run(&["workspace", "switch", "clws000010000000000000001"])),
    ];
    for (what, way) in table {
        assert_is_text(what, &run(&named(), &way));
    }
}

#[test]
fn lb_21_cl_16_hostile_server_errors_are_cleaned() {
    fn refuse(stage: &Stage, path: &str, status: u16) {
        let body = json!({"message": HOSTILE, "error": HOSTILE, "error_description": HOSTILE});
        stage.service.fail(path, Fault::Status(status, body.to_string()));
    }
    type Arrange = fn(&Stage);
    let table: [(&str, Arrange, Way); 16] = [
        (
            "the user's address",
            |it| it.service.patch(Part::User, json!({"username": HOSTILE, "fullName": ""})),
            Way::Token,
        ),
        ("a refusal of the API", |it| refuse(it, "/v1/users/self", 403), Way::Token),
        ("a failure of the API", |it| refuse(it, "/v1/organizations", 500), Way::Token),
        ("a check that is refused", |it| refuse(it, "/v1/users/self", 401), Way::Run(&["auth", "status", "--check"])),
        (
            "a check that is refused, as JSON",
            |it| refuse(it, "/v1/users/self", 403),
            Way::Run(&["auth", "status", "--check", "--json", "-vv"]),
        ),
        (
            "no login configuration",
            |it| refuse(it, "/private/v1alpha1/cli/auth-config", 500),
            Way::Run(&["login", "-l"]),
        ),
        (
            "the issuer's address",
            |it| it.service.patch(Part::AuthConfig, json!({"domainUrl": format!("https://mark.example/{HOSTILE}")})),
            Way::Run(&["login", "-l"]),
        ),
        (
            "the issuer's own name",
            |it| it.service.patch(Part::Metadata, json!({"issuer": HOSTILE})),
            Way::Run(&["login", "-l"]),
        ),
        (
            "the callback's error",
            |it| {
                it.service.patch(Part::Callback, json!({"code": null, "error": HOSTILE, "error_description": HOSTILE}));
            },
            Way::Link,
        ),
        ("the callback's issuer", |it| it.service.patch(Part::Callback, json!({"iss": HOSTILE})), Way::Link),
        ("the token endpoint's error", |it| refuse(it, "/oauth/token", 400), Way::Link),
        ("the token's type", |it| it.service.patch(Part::Token, json!({"token_type": HOSTILE})), Way::Link),
        ("the ID token's audience", |it| it.service.patch(Part::IdToken, json!({"aud": [HOSTILE]})), Way::Link),
        ("the ID token's issuer", |it| it.service.patch(Part::IdToken, json!({"iss": HOSTILE})), Way::Link),
        ("the access token's audience", |it| it.service.patch(Part::AccessToken, json!({"aud": [HOSTILE]})), Way::Link),
        ("a revocation that fails", |it| refuse(it, "/oauth/revoke", 400), Way::Run(&["logout", "-vv"])),
    ];
    for (what, arrange, way) in table {
        let stage = Stage::new();
        stage.keep_in_config(&stage.earlier_login(3_600));
        arrange(&stage);
        assert_is_text(what, &run(&stage, &way));
    }
}

#[test]
fn lb_21_cl_16_hostile_claims_are_cleaned() {
    let stage = Stage::new();
    let now = stage.earlier_login(3_600).issued_at.unwrap().as_second();
    let claims = |patch: Value| {
        let mut claims = json!({
            "iss": stage.service.issuer(), "aud": ["astronomer-ee"], "sub": "auth0|ada@example.com", "scope": "openid",
            "iat": now, "exp": now + 90_000,
        });
        claims.as_object_mut().unwrap().extend(patch.as_object().unwrap().clone());
        claims
    };
    let sign = |header: Value, patch: Value| stage.service.sign(&header, &claims(patch));
    let table = [
        ("its algorithm", sign(json!({"alg": HOSTILE}), json!({}))),
        ("its type", sign(json!({"typ": HOSTILE}), json!({}))),
        ("its issuer", sign(json!({}), json!({"iss": format!("https://mark.example/{HOSTILE}")}))),
        ("its audience", sign(json!({}), json!({"aud": [HOSTILE]}))),
    ];
    for (what, token) in &table {
        assert_is_text(what, &astro(&stage).stdin(token).run(&["login", "-t", "-", "--insecure-storage", "-vv"]));
    }
    let domain = stage.service.domain();
    let issuer = &table[2].1;
    stage.home.write_config(&format!(
        "contexts:\n    \"{domain}\":\n        domain: \"{domain}\"\n        organization: o\n        token: Bearer {issuer}\n"
    ));
    assert_is_text("a stored token", &astro(&stage).run(&["auth", "token", "-vv"]));
    let granted = json!({"permissions": [format!("organizationId:{HOSTILE}")]});
    for flags in [&["auth", "status"][..], &["auth", "status", "--json", "-vv"]] {
        let api_token = stage.service.api_token_with(&granted);
        let said = astro(&stage).with("ASTRO_API_TOKEN", &api_token).run(flags);
        assert_is_text("the organization of an API token", &said);
    }
}

/// As a text in YAML, with every character that might need it escaped.
fn quoted(text: &str) -> String {
    let escaped =
        |it: char| if it.is_ascii_alphanumeric() { it.to_string() } else { format!("\\U{:08x}", u32::from(it)) };
    format!("\"{}\"", text.chars().map(escaped).collect::<String>())
}

#[test]
fn lb_21_cl_16_hostile_config_is_cleaned() {
    let stage = Stage::new();
    let domain = stage.service.domain();
    let (hostile, token) = (quoted(HOSTILE), stage.service.access_token(&json!({})));
    let fields = ["user_email", "organization", "organization_product", "workspace", "last_used_workspace"];
    let fields: String = fields.map(|name| format!("        {name}: {hostile}\n")).concat();
    let contexts = format!(
        "contexts:\n    {hostile}:\n        domain: {hostile}\n        token: {hostile}\n{fields}    \
         \"{domain}\":\n        domain: \"{domain}\"\n        token: Bearer {token}\n{fields}"
    );
    let commands: [&[&str]; 10] = [
        &["context", "list", "-vv"],
        &["context", "list", "--json"],
        &["context", "switch", "none"],
        &["context", "switch", HOSTILE],
        &["context", "delete", "--force", "astronomer.io"],
        &["auth", "status"],
        &["auth", "status", "--json"],
        &["workspace", "list", "-vv"],
        &["organization", "list", "--json", "-vv"],
        &["logout", "-vv"],
    ];
    for arguments in commands {
        stage.home.write_config(&contexts);
        let said = astro(&stage).run(arguments);
        let tells_of_the_file = !matches!(arguments[0], "logout" | "organization");
        let assert = if tells_of_the_file { assert_is_text } else { assert_harmless };
        assert(&arguments.join(" "), &said);
    }
    stage.home.write_config(&contexts);
    assert_is_text("the logged-in account", &run(&stage, &Way::Token));

    let elsewhere = [
        ("a foreign current context", format!("context: {hostile}\n{contexts}")),
        ("a refresh token", format!("{contexts}        refreshtoken: {hostile}\n        mark: x\n")),
        ("a date", format!("{contexts}        expiresin: {hostile}\n        mark: x\n")),
        ("a key for the second time", format!("{hostile}: 1\n{hostile}: 2\n")),
        ("no YAML", format!("a: [{HOSTILE}")),
        ("no alias", "a: *Mark\u{1b}[2J\n".to_owned()),
    ];
    for (what, config) in elsewhere {
        stage.home.write_config(&config);
        let mut shown = false;
        for arguments in [&["auth", "status"][..], &["auth", "status", "--json", "-vv"], &["context", "list"]] {
            let without_domain = Astro::at(&stage.home);
            let said = if what.contains("current") { without_domain } else { astro(&stage) }.run(arguments);
            assert_harmless(&format!("{what}, {arguments:?}"), &said);
            shown |= format!("{said:?}").contains("Mark");
        }
        assert!(shown || what.starts_with("no "), "{what} does not come up");
    }
}
