use super::*;
use crate::domain::Product;
use crate::token::{AccessToken, RefreshToken};

fn domain(name: &str) -> Domain {
    name.parse().unwrap()
}

fn edited(text: &str, change: impl FnOnce(&mut Document) -> Result<(), DocumentError>) -> String {
    let mut document = Document::parse(text).unwrap();
    change(&mut document).unwrap();
    document.as_str().to_owned()
}

pub(in crate::config) fn log_in(document: &mut Document) -> Result<(), DocumentError> {
    document.update_context(&domain("localhost:9000"), |context| {
        context.token = Some(AccessToken::new("eyJ.a-b_c.d"));
        context.expires_at = Some("2026-11-24T10:11:12.5+01:00".parse().unwrap());
    })?;
    document.set_current_context(Some("localhost:9000"))
}

pub(in crate::config) const LOGGED_IN: &str = "contexts:\n    localhost:9000:\n        domain: localhost:9000\n        expiresin: 2026-11-24T09:11:12.5Z\n        token: Bearer eyJ.a-b_c.d\ncontext: localhost:9000\n";

#[test]
fn login_into_empty_file() {
    for (start, kept) in [
        ("", ""),
        ("\n", "\n"),
        ("# note\n", "# note\n"),
        ("# note", "# note\n"),
        ("---\n", "---\n"),
        ("\u{feff}", "\u{feff}\n"),
    ] {
        let text = edited(start, log_in);
        assert_eq!(text.trim_end(), format!("{kept}{LOGGED_IN}").trim_end(), "{start:?}");
    }
}

#[test]
fn new_context_fits_each_layout() {
    let new = |text: &str| edited(text, |document| document.update_context(&domain("localhost"), |_| ()));
    let table = [
        ("contexts:\n", "contexts:\n    localhost:\n        domain: localhost\n"),
        ("contexts: ~ # c\n", "contexts: # c\n    localhost:\n        domain: localhost\n"),
        ("contexts: {} # c\nx: 1\n", "contexts: # c\n    localhost:\n        domain: localhost\nx: 1\n"),
        ("contexts: {}\nx: 1\n", "contexts:\n    localhost:\n        domain: localhost\nx: 1\n"),
        ("contexts: {a: {b: c}}\n", "contexts: {a: {b: c}, localhost: {domain: localhost}}\n"),
        ("{contexts: {}, x: 1}", "{contexts: {localhost: {domain: localhost}}, x: 1}"),
        ("{x: 1}\n", "{x: 1, contexts: {localhost: {domain: localhost}}}\n"),
        ("contexts:\n  localhost: {}\n", "contexts:\n  localhost:\n    domain: localhost\n"),
        ("contexts:\n  localhost: {token: ''}\n", "contexts:\n  localhost: {token: '', domain: localhost}\n"),
        ("x: 1", "x: 1\ncontexts:\n    localhost:\n        domain: localhost\n"),
        ("x: |+\n  a\n\n\n", "x: |+\n  a\n\n\ncontexts:\n    localhost:\n        domain: localhost\n"),
        ("Contexts:\n  LOCALHOST:\n    Token: a\n", "Contexts:\n  LOCALHOST:\n    Token: a\n    domain: localhost\n"),
        (
            "contexts:\r\n  a:\r\n    domain: a\r\n# end\r\nx: 1\r\n",
            "contexts:\r\n  a:\r\n    domain: a\r\n  localhost:\r\n    domain: localhost\r\n# end\r\nx: 1\r\n",
        ),
        ("contexts:\n  a:\n  - é # ü\n", "contexts:\n  a:\n  - é # ü\n  localhost:\n    domain: localhost\n"),
    ];
    for (before, after) in table {
        assert_eq!(new(before), after, "{before:?}");
    }
}

#[test]
fn value_of_each_style_is_replaced() {
    for old in ["x", "'x' ", "\"x\"", "", "  |\n      x\n", "x\n      y", "[a, b]", "\n      a: b", "!!str x"] {
        let text = format!("contexts:\n  localhost:\n    token:{}{old}\n    domain: localhost\nx: 1\n", " ");
        let text = text.replace("\n\n", "\n");
        let set = |document: &mut Document| {
            document.update_context(&domain("localhost"), |context| context.token = Some(AccessToken::new("new")))
        };
        let mut document = Document::parse(text.as_str()).unwrap();
        set(&mut document).unwrap();
        assert_eq!(
            document.as_str().replace("new \n", "new\n").replace(":   ", ": "),
            "contexts:\n  localhost:\n    token: Bearer new\n    domain: localhost\nx: 1\n",
            "{old:?}"
        );
        document.clear_login(&domain("localhost")).unwrap();
        assert_eq!(document.as_str(), "contexts:\n  localhost:\n    domain: localhost\nx: 1\n", "{old:?}");
    }
}

#[test]
fn context_read_in_any_case_and_quoting() {
    let text = "contexts:\n  astronomer_io:\n    Domain: astronomer.io\n    ExpiresIn: 2026-11-24T10:11:12.123456789+01:00\n    organization: 'org'\n    organization_product: HOSTED\n    workspace: \"w\"\n    last_used_workspace: w\n    user_email: a@b.c\n    Token: Bearer eyJ\n    refreshtoken: v1.M\n  gcp_example_com:\n    token: 'Bearer '\n  odd: 5\n";
    let document = Document::parse(text).unwrap();
    let expected = Context {
        product: Product::Astro,
        domain: "astronomer.io".into(),
        organization: Some("org".into()),
        organization_product: Some("HOSTED".into()),
        workspace: Some("w".into()),
        last_used_workspace: Some("w".into()),
        user_email: Some("a@b.c".into()),
        token: Some(AccessToken::new("eyJ")),
        refresh_token: Some(RefreshToken::new("v1.M")),
        in_vault: false,
        auth_domain: None,
        auth_client_id: None,
        expires_at: Some("2026-11-24T09:11:12.123456789Z".parse().unwrap()),
    };
    assert_eq!(document.context(&domain("astronomer.io")), Some(expected.clone()));
    assert_eq!(document.context(&domain("localhost")), None);
    let (product, domain) = (Product::PrivateCloud, "gcp.example.com".into());
    let foreign = Context { product, domain, ..Context::default() };
    assert_eq!(document.domains(), [expected.domain.clone(), foreign.domain.clone()]);
    assert_eq!(document.contexts(), [expected.clone(), foreign]);
    let shown = format!("{expected:?}");
    assert!(!shown.contains("eyJ") && !shown.contains("v1.M"), "TK-11: {shown}");
}

#[test]
fn token_read_as_go_cli_reads_it() {
    for (token, expected) in [
        ("", None),
        ("''", None),
        ("'Bearer '", None),
        ("Bearer", None),
        ("Bearer eyJ", Some("eyJ")),
        ("eyJ", Some("eyJ")),
    ] {
        let text = format!("contexts:\n  localhost:\n    token: {token}\n");
        let context = Document::parse(text).unwrap().context(&domain("localhost")).unwrap();
        assert_eq!(context.token.as_ref().map(AccessToken::expose), expected, "{token}");
    }
}

#[test]
fn token_that_is_no_string_is_empty() {
    let others = "7 -7 0x1F 0o17 0b11 1_000 1.5 .5 1e5 .inf -.inf .nan true False 2026-11-29 2026-11-29T10:00:00Z";
    let others = others.split(' ').chain(["2026-11-29 10:00:00", "!!int '7'", "[a]", "{a: b}"]).map(|it| (it, false));
    let strings = ["'7'", "\"true\"", "!!str 7", "7a", "0xg", "v1.7", "1.2.3", "yes"].map(|it| (it, true));
    for (token, is_string) in others.chain(strings) {
        let text = format!("contexts:\n  localhost:\n    token: {token}\n    refreshtoken: {token}\n");
        let context = Document::parse(text).unwrap().context(&domain("localhost")).unwrap();
        assert_eq!((context.token.is_some(), context.refresh_token.is_some()), (is_string, is_string), "{token}");
        let text = format!("contexts:\n  localhost:\n    token: 'Bearer '\n    refreshtoken: {token}\n");
        let context = Document::parse(text).unwrap().context(&domain("localhost")).unwrap();
        assert_eq!(context.in_vault, !is_string, "{token}");
    }
}

#[test]
fn pointer_replaces_refresh_token_beside_empty_token() {
    for token in ["'Bearer '", "bearer", "Bearer", "''"] {
        let text = format!("contexts:\n  localhost:\n    token: {token}\n    refreshtoken: v1.a\n");
        let mut document = Document::parse(text).unwrap();
        let is_login = token != "''";
        let context = document.context(&domain("localhost")).unwrap();
        assert_eq!((context.token.is_some_and(|it| it.is_empty()), context.in_vault), (is_login, false), "{token}");
        document
            .update_context(&domain("localhost"), |context| {
                (context.token, context.refresh_token, context.in_vault) = (None, None, true);
            })
            .unwrap();
        assert!(document.context(&domain("localhost")).unwrap().in_vault, "{}", document.as_str());
    }
}

#[test]
fn workspace_sets_last_used_workspace() {
    let text = edited("", |document| {
        document.update_context(&domain("localhost"), |context| context.workspace = Some("w".into()))
    });
    assert_eq!(
        text,
        "contexts:\n    localhost:\n        domain: localhost\n        last_used_workspace: w\n        workspace: w\n"
    );
}

#[test]
fn repeated_edit_keeps_text() {
    let text = edited("", log_in);
    assert_eq!(edited(&text, log_in), text);
    assert_eq!(edited("x: 1", |document| document.clear_login(&domain("localhost"))), "x: 1");
    assert_eq!(edited("x: 1", |document| document.set_current_context(None)), "x: 1");
    assert_eq!(edited("context: a # c\n", |document| document.set_current_context(None)), "context: \"\" # c\n");
}

#[test]
fn deleted_context_goes_with_its_comments() {
    let table = [
        ("contexts:\n  localhost:\n    domain: localhost\n    x: {y: [1]}\nz: 1\n", "contexts: {}\nz: 1\n"),
        ("contexts: # all\n  # ours\n  localhost: {token: x}", "contexts: # all\n  # ours\n  {}"),
        (
            "contexts:\n  a:\n    b: c\n  LOCALHOST: # old\n    # note\n    t: |\n      x\n\nz: 1\n",
            "contexts:\n  a:\n    b: c\nz: 1\n",
        ),
        ("contexts:\n  localhost:\n    b: c\n  # of a\n  a: {}\n", "contexts:\n  # of a\n  a: {}\n"),
        ("contexts: {localhost: {token: x}}\n", "contexts: {}\n"),
        ("contexts: {localhost: {token: x}, a: {b: c}}\n", "contexts: {a: {b: c}}\n"),
        ("contexts: {a: {b: c}, localhost: {token: x} }\n", "contexts: {a: {b: c}}\n"),
        ("contexts: {a: 1, \"localhost\" : {}, c: 2}\n", "contexts: {a: 1, c: 2}\n"),
        ("{x: 1, contexts: {\n  a: {},\n  localhost: {},\n}}\n", "{x: 1, contexts: {\n  a: {},\n}}\n"),
        ("contexts:\r\n  localhost:\r\n    b: c\r\n", "contexts: {}\r\n"),
        ("contexts:\n  localhost: {}\n", "contexts: {}\n"),
        ("contexts: &c\n  localhost: {}\n", "contexts: &c {}\n"),
        ("contexts: !c {localhost: {}}\n", "contexts: !c {}\n"),
        ("contexts:\n  a: {}\n", "contexts:\n  a: {}\n"),
        ("contexts: {}\n", "contexts: {}\n"),
    ];
    for (before, after) in table {
        let text = edited(before, |document| document.delete_context(&domain("localhost")));
        assert_eq!(text, after, "{before:?}");
        let again = edited(&text, |document| document.update_context(&domain("localhost"), |_| ()));
        assert!(Document::parse(again).unwrap().context(&domain("localhost")).is_some(), "{before:?}");
    }
    let many_comments = format!("contexts:\n  localhost: {{}}\n{}  a: {{}}\n", "  # c\n".repeat(101));
    let mut document = Document::parse(many_comments.as_str()).unwrap();
    document.delete_context(&domain("localhost")).unwrap_err();
    assert_eq!(document.as_str(), many_comments);
}

#[test]
fn flow_context_cleared_without_empty_entries() {
    let table = [
        ("{domain: localhost, token: x, mine: 1, workspace: w}", "{domain: localhost, mine: 1, workspace: w}"),
        ("{token: x, expiresin: 2026-11-24, refreshtoken: y}", "{domain: localhost}"),
        (
            "{token: x, mine: 1, workspace: w, organization: o}",
            "{mine: 1, workspace: w, organization: o, domain: localhost}",
        ),
        ("{token: x, mine: 1, }", "{mine: 1, domain: localhost, }"),
        ("{token}", "{domain: localhost}"),
    ];
    for (before, after) in table {
        let at = |context: &str| format!("contexts:\n  localhost: {context} # c\nz: 1\n");
        let text = edited(&at(before), |document| document.clear_login(&domain("localhost")));
        assert_eq!(text, at(after), "{before}");
    }
}

#[test]
fn no_insecure_fallback_values() {
    for (text, expected) in [
        ("", false),
        ("no_insecure_fallback: false", false),
        ("no_insecure_fallback: true", true),
        ("No_Insecure_Fallback: \"TRUE\"", true),
        ("no_insecure_fallback: 'yes'", true),
        ("no_insecure_fallback: ja", true),
        ("no_insecure_fallback: {}", true),
        ("no_insecure_fallback:", false),
        ("no_insecure_fallback: ~", false),
        ("no_insecure_fallback: ' Off '", false),
        ("no_insecure_fallback: NO", false),
        ("no_insecure_fallback: 0", false),
    ] {
        assert_eq!(Document::parse(text).unwrap().no_insecure_fallback(), expected, "{text}");
    }
}

#[test]
fn quoted_values_read_back() {
    let words = "it's yes Null ~ 1_000 1.10 2026-11-24 a,b {x} *a &a !t %d @x `x` back\\slash 0o17 x: 😀".split(' ');
    let others = [
        "a: b",
        "a #b",
        "say \"x\"",
        "ünï 日本",
        "- a",
        " lead",
        "trail ",
        "tab\there",
        "line\nbreak",
        "nul\0",
        "del\u{7f}\u{85}\u{2028}\u{feff}",
    ];
    for value in words.chain(others) {
        for start in ["", "{x: 1}", "contexts: {localhost: {domain: localhost}}"] {
            let mut document = Document::parse(start).unwrap();
            document
                .update_context(&domain("localhost"), |context| context.user_email = Some(value.to_owned()))
                .unwrap();
            let read = Document::parse(document.as_str()).unwrap().context(&domain("localhost")).unwrap();
            assert_eq!(read.user_email.as_deref(), Some(value));
            assert!(!document.as_str().contains(['\u{7f}', '\u{85}', '\u{2028}', '\0']));
        }
    }
}

#[test]
fn invalid_settings_refused_with_position() {
    let table = [
        ("a: 1\na: 2\n", 2, 1, "`a` for the second time"),
        ("contexts:\n  a: {token: x, Token: y}\n", 2, 17, "`Token` for the second time"),
        ("contexts:\n  a_io: {}\n  A_io: {}\n", 3, 3, "`A_io` for the second time"),
        ("context: a\nContext: b\n", 2, 1, "`Context` for the second time"),
        ("a: 1\n---\nb: 2\n", 2, 1, "a second document"),
        ("- a\n", 1, 1, "settings expected, as `key: value`"),
        ("just words\n", 1, 1, "settings expected, as `key: value`"),
        ("a: b\0c", 1, 5, "a NUL character"),
    ];
    for (text, line, column, reason) in table {
        let error = Document::parse(text).err();
        assert_eq!(error, Some(DocumentError::Syntax { line, column, reason: reason.to_owned() }), "{text:?}");
    }
    for text in ["a:\n\tb: 1\n", "a: [1\n", "a: *nowhere\n", "a: 1\n}\n", "a: \"x\n", "a: 1\n b: 2\n"] {
        assert!(matches!(Document::parse(text), Err(DocumentError::Syntax { .. })), "{text:?}");
    }
}

#[test]
fn deep_nesting_refused() {
    for open in ["[", "{a: ", "- ", "? ", "a:\n "] {
        assert!(Document::parse(open.repeat(20_000)).is_err(), "{open:?}");
    }
}

#[test]
fn uneditable_setting_named_and_kept() {
    let table = [
        ("contexts: &c\n  a: 1\nx: *c\n", None),
        ("null\n", Some("contexts.localhost")),
        ("contexts: 5\n", Some("contexts")),
        ("contexts: {localhost: *c}\nx: &c {}\n", Some("")),
        ("c: &c {token: x}\ncontexts:\n  localhost: *c\n", Some("contexts.localhost")),
        ("c: &c {token: x}\ncontexts:\n  localhost:\n    <<: *c\n", Some("contexts.localhost")),
        ("contexts:\n  localhost:\n    token: &t x\nx: *t\n", Some("contexts.localhost")),
    ];
    for (text, refused) in table {
        let Ok(mut document) = Document::parse(text) else {
            assert_eq!(refused, Some(""), "{text}");
            continue;
        };
        let result =
            document.update_context(&domain("localhost"), |context| context.token = Some(AccessToken::new("n")));
        let expected = refused.map(|key| DocumentError::WouldChange { key: key.to_owned() });
        assert_eq!(result.err(), expected, "{text}");
        assert_eq!(document.as_str() == text, refused.is_some(), "{text}");
    }
}
