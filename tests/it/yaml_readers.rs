//! Settings that two YAML readers could read apart: what the Go CLI still reads after a logout is named.

use std::fs;

use serde_json::Value;

use crate::support::binary::{Astro, Output};
use crate::support::{Mode, Options, Stage};

/// Settings with a token for DOMAIN that the Go CLI reads, and what a logout says about them.
const TEXTS: [(&str, &str); 10] = [
    (
        "b: &b {domain: 'DOMAIN', TOKENS}\ncontext: DOMAIN\ncontexts:\n  DOMAIN: *b\n",
        "`contexts.DOMAIN` cannot be kept as it is written",
    ),
    (
        "context: DOMAIN\ncontexts:\n  DOMAIN:\n    <<: {TOKENS}\n    domain: DOMAIN\n",
        "`contexts.DOMAIN` cannot be kept as it is written",
    ),
    (
        "b: &b {TOKENS}\ncontext: DOMAIN\ncontexts:\n  DOMAIN:\n    <<: *b\n    domain: DOMAIN\n",
        "`contexts.DOMAIN` cannot be kept as it is written",
    ),
    (
        "b: &b Bearer ACCESS\ncontext: DOMAIN\ncontexts:\n  DOMAIN:\n    token: *b\n    refreshtoken: REFRESH\n",
        "`contexts.DOMAIN` cannot be kept as it is written",
    ),
    ("context: foo\ncontexts:\n  foo: {domain: 'DOMAIN', TOKENS}\n", "as `contexts.foo.token`"),
    ("context: foo\ncontexts:\n  foo: {domain: 'DOMAIN', refreshtoken: REFRESH}\n", "as `contexts.foo.refreshtoken`"),
    ("context: DOMAIN\ncontexts.DOMAIN: {domain: 'DOMAIN', TOKENS}\ncontexts: {}\n", "as `contexts.DOMAIN.token`"),
    (
        "context: DOMAIN\ncontexts:\n  DOMAIN:\n    # note\u{2028}    token: Bearer ACCESS\n    domain: DOMAIN\n",
        "line 4",
    ),
    ("context: DOMAIN\ncontexts:\n  DOMAIN:\n    domain: DOMAIN # a\u{85}    token: Bearer ACCESS\n", "line 4"),
    ("context: DOMAIN\ncontexts:\n  DOMAIN:\n    token: !!binary QmVhcmVyIGV5SlQ=\n", "line 4"),
];

fn stage(text: &str) -> (Stage, String) {
    let stage = Stage::with(Options::default(), Mode::NeverComeBack);
    let login = stage.earlier_login(3600);
    let access = login.access.expose().to_owned();
    let text = text
        .replace("DOMAIN", &stage.service.domain())
        .replace("TOKENS", "token: Bearer ACCESS, refreshtoken: REFRESH");
    stage.home.write_config(&text.replace("ACCESS", &access).replace("REFRESH", login.refresh.unwrap().expose()));
    (stage, access)
}

fn run(stage: &Stage, arguments: &[&str]) -> Output {
    Astro::at(&stage.home).run(arguments)
}

#[test]
fn rf_12_logout_names_token_that_go_cli_still_reads() {
    for (text, told) in TEXTS {
        for arguments in [&["logout"][..], &["logout", "--all"]] {
            let (stage, access) = stage(text);
            // Which context is current may change.
            let settings = || stage.home.config().unwrap().split_once('\n').unwrap().1.to_owned();
            let before = settings();
            let Output { stderr, code, .. } = run(&stage, arguments);
            assert_eq!((code, settings()), (Some(1), before), "{text}{stderr}");
            assert!(stderr.contains(&told.replace("DOMAIN", &stage.service.domain())), "{text}{stderr}");
            // The file can be written, so a hint that says no more would not help.
            assert!(
                ["by hand", "as `key: value`, then run `astro logout"].iter().any(|it| stderr.contains(it)),
                "{stderr}"
            );
            assert!(!stderr.contains("Logged out of localhost") && !stderr.contains(&access), "{stderr}");
            assert!(!stderr.contains("Not logged in to localhost"), "{stderr}");
        }
    }
}

#[test]
fn aliased_and_merged_login_is_used_as_by_go_cli() {
    for (text, told) in TEXTS {
        if !told.contains("cannot be kept") {
            continue;
        }
        let (stage, access) = stage(text);
        assert_eq!(run(&stage, &["auth", "token"]).stdout, format!("{access}\n"), "{text}");
        let status: Value = serde_json::from_str(&run(&stage, &["auth", "status", "--json"]).stdout).unwrap();
        assert_eq!((&status["state"], &status["source"]), (&"valid".into(), &"config".into()), "{text}");
        // It cannot be replaced, which is known before the link is shown.
        let login = run(&stage, &["login", "-l", "--insecure-storage"]);
        assert_eq!((login.code, login.stdout.as_str()), (Some(1), ""), "{login:?}");
        assert!(login.stderr.contains("cannot be kept as it is written"), "{login:?}");
        assert_eq!(run(&stage, &["logout"]).code, Some(1));
        assert_eq!(stage.service.live_refresh_tokens(), [""; 0], "revoked all the same");
    }
}

#[test]
fn null_token_is_not_a_login() {
    for null in ["null", "~", "Null", "''", ""] {
        let text = format!(
            "context: DOMAIN\ncontexts:\n  DOMAIN:\n    domain: DOMAIN\n    token: {null}\n    user_email: {null}\n"
        );
        let (stage, _) = stage(&text);
        for arguments in [&["auth", "token"][..], &["auth", "status"], &["organization", "list"]] {
            let output = run(&stage, arguments);
            let told = format!("error: not logged in to {}", stage.service.domain());
            assert_eq!(
                (output.code, output.stderr.contains(&told)),
                (Some(4), true),
                "{null} {arguments:?} {output:?}"
            );
        }
        let logout = run(&stage, &["logout"]);
        assert!(logout.code == Some(0) && logout.stderr.contains("Not logged in to"), "{logout:?}");
        assert!(!fs::read_to_string(stage.home.config_path()).unwrap().contains("token:"), "{null}");
    }
}

#[test]
fn context_of_other_name_is_current_by_its_domain() {
    let (stage, _) = stage("context: foo\ncontexts:\n  foo: {domain: 'DOMAIN'}\n");
    let token = run(&stage, &["auth", "token"]);
    let told = format!("error: not logged in to {}\n", stage.service.domain());
    assert!(token.code == Some(4) && token.stderr.starts_with(&told), "{token:?}");
    // Private Cloud's stays what it is.
    stage.home.write_config("context: foo\ncontexts:\n  foo: {domain: houston.example.com}\n");
    let token = run(&stage, &["auth", "token"]);
    assert!(token.stderr.starts_with("error: not logged in to houston.example.com\n"), "{token:?}");
}
