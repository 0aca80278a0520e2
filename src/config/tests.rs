use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use super::document::Context;
use super::*;
use crate::token::{AccessToken, RefreshToken};

fn domain(name: &str) -> Domain {
    name.parse().unwrap()
}

fn at_home() -> (tempfile::TempDir, Config) {
    let home = tempfile::tempdir().unwrap();
    let config = Config::new(home.path());
    (home, config)
}

fn with(text: impl AsRef<[u8]>) -> (tempfile::TempDir, Config) {
    let (home, config) = at_home();
    fs::create_dir(home.path().join(".astro")).unwrap();
    fs::write(config.path(), text).unwrap();
    (home, config)
}

fn edited(text: &str, change: impl FnOnce(&mut Document) -> Result<(), DocumentError>) -> String {
    let mut document = Document::parse(text).unwrap();
    change(&mut document).unwrap();
    document.as_str().to_owned()
}

fn log_in(document: &mut Document) -> Result<(), DocumentError> {
    document.update_context(&domain("localhost:9000"), |context| {
        context.token = Some(AccessToken::new("eyJ.a-b_c.d"));
        context.expires_at = Some("2026-11-24T10:11:12.5+01:00".parse().unwrap());
    })?;
    document.set_current_context(Some("localhost:9000"))
}

const LOGGED_IN: &str = "contexts:\n    \"localhost:9000\":\n        domain: \"localhost:9000\"\n        expiresin: 2026-11-24T09:11:12.5Z\n        token: Bearer eyJ.a-b_c.d\ncontext: \"localhost:9000\"\n";

#[test]
fn begins_from_nothing() {
    for (start, kept) in [
        ("", ""),
        ("\n", "\n"),
        ("# note\n", "# note\n"),
        ("# note", "# note\n"),
        ("---\n", "---\n"),
        ("{}", ""),
        ("null\n", ""),
    ] {
        let text = edited(start, log_in);
        assert_eq!(text.trim_end(), format!("{kept}{LOGGED_IN}").trim_end(), "{start:?}");
    }
    assert_eq!(edited("\u{feff}", log_in), format!("\u{feff}{LOGGED_IN}"));
}

#[test]
fn finds_its_place_in_every_layout() {
    let new = |text: &str| edited(text, |document| document.update_context(&domain("localhost"), |_| ()));
    let table = [
        ("contexts:\n", "contexts:\n    localhost:\n        domain: localhost\n"),
        ("contexts: ~ # c\n", "contexts:\n    localhost:\n        domain: localhost # c\n"),
        ("contexts: {} # c\nx: 1\n", "contexts:\n    localhost:\n        domain: localhost # c\nx: 1\n"),
        ("contexts: {}\nx: 1\n", "contexts:\n    localhost:\n        domain: localhost\nx: 1\n"),
        ("contexts: {a: {b: c}}\n", "contexts: {a: {b: c}, localhost: {domain: localhost}}\n"),
        ("{contexts: {}, x: 1}", "{contexts: {localhost: {domain: localhost}}, x: 1}"),
        ("{x: 1}\n", "{x: 1, contexts: {localhost: {domain: localhost}}}\n"),
        ("contexts:\n  localhost: {}\n", "contexts:\n  localhost:\n      domain: localhost\n"),
        ("contexts:\n  localhost: {token: ''}\n", "contexts:\n  localhost: {token: '', domain: localhost}\n"),
        ("x: 1", "x: 1\ncontexts:\n    localhost:\n        domain: localhost"),
        ("x: |+\n  a\n\n\n", "x: |+\n  a\n\n\ncontexts:\n    localhost:\n        domain: localhost\n"),
        ("Contexts:\n  LOCALHOST:\n    Token: a\n", "Contexts:\n  LOCALHOST:\n    Token: a\n    domain: localhost\n"),
        (
            "contexts:\r\n  a:\r\n    domain: a\r\n# end\r\nx: 1\r\n",
            "contexts:\r\n  a:\r\n    domain: a\r\n  localhost:\r\n      domain: localhost\r\n# end\r\nx: 1\r\n",
        ),
        ("contexts:\n  a:\n  - é # ü\n", "contexts:\n  a:\n  - é # ü\n  localhost:\n      domain: localhost\n"),
    ];
    for (before, after) in table {
        assert_eq!(new(before), after, "{before:?}");
    }
}

#[test]
fn replaces_a_value_of_any_style() {
    for old in ["x", "'x' ", "\"x\"", "", "  |\n      x\n", "x\n      y", "[a, b]", "\n      a: b", "!!str x"] {
        let text = format!("contexts:\n  localhost:\n    token:{}{old}\n    domain: localhost\nx: 1\n", " ");
        let text = text.replace("\n\n", "\n");
        let set = |document: &mut Document| {
            document.update_context(&domain("localhost"), |context| context.token = Some(AccessToken::new("new")))
        };
        let mut document = Document::parse(text.as_str()).unwrap();
        set(&mut document).unwrap();
        assert_eq!(
            document.as_str().replace("new \n", "new\n"),
            "contexts:\n  localhost:\n    token: Bearer new\n    domain: localhost\nx: 1\n",
            "{old:?}"
        );
        document.clear_context(&domain("localhost")).unwrap();
        assert_eq!(document.as_str(), "contexts:\n  localhost:\n    domain: localhost\nx: 1\n", "{old:?}");
    }
}

#[test]
fn a_context_is_read_in_any_case_and_quoting() {
    let text = "contexts:\n  astronomer_io:\n    Domain: astronomer.io\n    ExpiresIn: 2026-11-24T10:11:12.123456789+01:00\n    organization: 'org'\n    organization_product: HOSTED\n    workspace: \"w\"\n    last_used_workspace: w\n    user_email: a@b.c\n    Token: Bearer eyJ\n    refreshtoken: v1.M\n  gcp_example_com:\n    token: 'Bearer '\n  odd: 5\n";
    let document = Document::parse(text).unwrap();
    let expected = Context {
        domain: "astronomer.io".into(),
        organization: Some("org".into()),
        organization_product: Some("HOSTED".into()),
        workspace: Some("w".into()),
        last_used_workspace: Some("w".into()),
        user_email: Some("a@b.c".into()),
        token: Some(AccessToken::new("eyJ")),
        refresh_token: Some(RefreshToken::new("v1.M")),
        expires_at: Some("2026-11-24T09:11:12.123456789Z".parse().unwrap()),
    };
    assert_eq!(document.context(&domain("astronomer.io")), Some(expected.clone()));
    assert_eq!(document.context(&domain("localhost")), None);
    let foreign = Context { domain: "gcp.example.com".into(), ..Context::default() };
    assert_eq!(document.domains(), [expected.domain.clone(), foreign.domain.clone()]);
    assert_eq!(document.contexts(), [expected.clone(), foreign]);
    let shown = format!("{expected:?}");
    assert!(!shown.contains("eyJ") && !shown.contains("v1.M"), "TK-11: {shown}");
}

#[test]
fn logged_in_is_what_the_go_cli_takes_for_it() {
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
fn workspace_and_the_last_used_one_are_written_together() {
    let text = edited("", |document| {
        document.update_context(&domain("localhost"), |context| context.workspace = Some("w".into()))
    });
    assert_eq!(
        text,
        "contexts:\n    localhost:\n        domain: localhost\n        last_used_workspace: w\n        workspace: w\n"
    );
}

#[test]
fn nothing_changes_where_nothing_is_new() {
    let text = edited("", log_in);
    assert_eq!(edited(&text, log_in), text);
    assert_eq!(edited("x: 1", |document| document.clear_context(&domain("localhost"))), "x: 1");
    assert_eq!(edited("x: 1", |document| document.set_current_context(None)), "x: 1");
    assert_eq!(edited("context: a # c\n", |document| document.set_current_context(None)), "context: \"\" # c\n");
}

#[test]
fn a_deleted_context_goes_whole() {
    let table = [
        ("contexts:\n  localhost:\n    domain: localhost\n    x: {y: [1]}\nz: 1\n", "contexts: {}\nz: 1\n"),
        ("contexts: # all\n  # ours\n  localhost: {token: x}", "contexts: {} # all\n  # ours\n"),
        (
            "contexts:\n  a:\n    b: c\n  LOCALHOST: # old\n    # note\n    t: |\n      x\n\nz: 1\n",
            "contexts:\n  a:\n    b: c\n\nz: 1\n",
        ),
        ("contexts:\n  localhost:\n    b: c\n  # of a\n  a: {}\n", "contexts:\n  # of a\n  a: {}\n"),
        ("contexts: {localhost: {token: x}}\n", "contexts: {}\n"),
        ("contexts: {localhost: {token: x}, a: {b: c}}\n", "contexts: {a: {b: c}}\n"),
        ("contexts: {a: {b: c}, localhost: {token: x} }\n", "contexts: {a: {b: c} }\n"),
        ("contexts: {a: 1, \"localhost\" : {}, c: 2}\n", "contexts: {a: 1, c: 2}\n"),
        ("{x: 1, contexts: {\n  a: {},\n  localhost: {},\n}}\n", "{x: 1, contexts: {\n  a: {},\n}}\n"),
        ("contexts:\r\n  localhost:\r\n    b: c\r\n", "contexts: {}\r\n"),
        ("contexts:\n  localhost: {}\n", "contexts: {}\n"),
        ("contexts:\n  a: {}\n", "contexts:\n  a: {}\n"),
        ("contexts: {}\n", "contexts: {}\n"),
    ];
    for (before, after) in table {
        let text = edited(before, |document| document.delete_context(&domain("localhost")));
        assert_eq!(text, after, "{before:?}");
        let again = edited(&text, |document| document.update_context(&domain("localhost"), |_| ()));
        assert!(Document::parse(again).unwrap().context(&domain("localhost")).is_some(), "{before:?}");
    }
    for kept in ["contexts: &c\n  localhost: {}\n", "contexts: !c {localhost: {}}\n"] {
        let mut document = Document::parse(kept).unwrap();
        document.delete_context(&domain("localhost")).unwrap_err();
        assert_eq!(document.as_str(), kept);
    }
}

#[test]
fn a_context_in_flow_style_is_cleared_without_leaving_empty_words() {
    let table = [
        ("{domain: localhost, token: x, mine: 1, workspace: w}", "{domain: localhost, mine: 1}"),
        ("{token: x, expiresin: 2026-11-24, refreshtoken: y}", "{domain: localhost}"),
        ("{token: x, mine: 1, workspace: w, organization: o}", "{mine: 1, domain: localhost}"),
        ("{token: x, mine: 1, }", "{mine: 1, domain: localhost, }"),
        ("{token}", "{domain: localhost}"),
    ];
    for (before, after) in table {
        let at = |context: &str| format!("contexts:\n  localhost: {context} # c\nz: 1\n");
        let text = edited(&at(before), |document| document.clear_context(&domain("localhost")));
        assert_eq!(text, at(after), "{before}");
    }
}

#[test]
fn the_words_that_forbid_the_plaintext_store() {
    for (text, expected) in [
        ("", false),
        ("no_insecure_fallback: false", false),
        ("no_insecure_fallback: true", true),
        ("No_Insecure_Fallback: \"TRUE\"", true),
        ("no_insecure_fallback: 'yes'", true),
    ] {
        assert_eq!(Document::parse(text).unwrap().no_insecure_fallback(), expected, "{text}");
    }
}

#[test]
fn values_that_need_quotes_come_back_whole() {
    for value in [
        "a: b",
        "a #b",
        "it's",
        "say \"x\"",
        "ünï 日本",
        "yes",
        "Null",
        "~",
        "1_000",
        "1.10",
        "2026-11-24",
        "- a",
        "a,b",
        "{x}",
        "*a",
        "&a",
        "!t",
        "%d",
        "@x",
        "`x`",
        " lead",
        "trail ",
        "tab\there",
        "line\nbreak",
        "nul\0",
        "del\u{7f}\u{85}\u{2028}\u{feff}",
        "back\\slash",
        "0o17",
        "x:",
        "😀",
    ] {
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
fn what_is_not_settings_is_refused_with_its_place() {
    let table = [
        ("a: 1\na: 2\n", 2, 1, "`a` for the second time"),
        ("contexts:\n  a: {token: x, Token: y}\n", 2, 17, "`token` for the second time"),
        ("contexts:\n  a_io: {}\n  A_io: {}\n", 3, 3, "`A_io` for the second time"),
        ("context: a\nContext: b\n", 2, 1, "`context` for the second time"),
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
fn hostile_depth_is_refused_quickly() {
    for open in ["[", "{a: ", "- ", "? ", "a:\n "] {
        assert!(Document::parse(open.repeat(20_000)).is_err(), "{open:?}");
    }
}

#[test]
fn what_cannot_be_edited_in_place_is_named_and_stays() {
    let table = [
        ("contexts: &c\n  a: 1\nx: *c\n", None),
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

#[test]
fn no_file_reads_as_an_empty_one_and_reading_creates_nothing() {
    let (home, config) = at_home();
    assert_eq!(config.read().unwrap().as_str(), "");
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn only_windows_refuses_for_a_moment() {
    for (code, on_windows) in [(5, true), (32, true), (2, false), (13, false), (18, false)] {
        let error = io::Error::from_raw_os_error(code);
        assert_eq!((may_pass(&error, true), may_pass(&error, false)), (on_windows, false), "{code}");
    }
    assert!(!may_pass(&io::ErrorKind::PermissionDenied.into(), true));
}

#[test]
fn rf_10_who_reads_meanwhile_stands_in_nobodys_way_and_sees_one_whole_text_or_another() {
    let (_home, config) = at_home();
    let log_out = |document: &mut Document| document.clear_context(&domain("localhost:9000"));
    let text = || fs::read_to_string(config.path());
    config.edit(log_in).unwrap();
    let logged_in = text().unwrap();
    config.edit(log_out).unwrap();
    let logged_out = text().unwrap();
    assert_ne!(logged_in, logged_out);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut seen = 0;
            while !stop.load(Ordering::SeqCst) {
                match text() {
                    Ok(text) => assert!(text == logged_in || text == logged_out, "{text}"),
                    // Windows may keep the file from being opened while it is replaced.
                    Err(error) => assert!(may_pass(&error, cfg!(windows)), "{error}"),
                }
                seen += 1;
            }
            seen
        });
        let edited = (0..50).try_for_each(|_| config.edit(log_in).and_then(|()| config.edit(log_out)));
        stop.store(true, Ordering::SeqCst);
        assert!(reading.join().unwrap() > 0);
        edited.unwrap();
    });
}

#[test]
fn what_others_change_is_seen_wherever_it_is() {
    let line = |number: usize| format!("a{number}: b\n");
    let lines = |last: usize| (0..=last).map(line).collect::<String>();
    let long = lines(CHUNK / 4);
    assert!(long.len() > 2 * CHUNK);
    let (_home, config) = with(&long);
    let first = long.replacen('b', "c", 1);
    let last = long.strip_suffix("b\n").unwrap().to_owned() + "c\n";
    for text in [long.clone(), long.clone(), first, last, lines(CHUNK / 5), long, lines(1), String::new()] {
        fs::write(config.path(), &text).unwrap();
        assert!(config.read().unwrap().as_str() == text);
    }
}

#[test]
fn an_edit_that_changes_nothing_does_not_write() {
    let (_home, config) = at_home();
    config.edit(|_| Ok(())).unwrap();
    assert!(!config.path().exists());
}

#[test]
fn a_file_that_is_not_understood_is_left_alone() {
    for bytes in [&b"a: [1\n"[..], b"a: 1\na: 2\n", b"a: \xff\n", b"- x\n"] {
        let (home, config) = with(bytes);
        let error = config.edit(log_in).unwrap_err();
        assert!(matches!(error, ConfigError::Document { source: DocumentError::Syntax { .. }, .. }), "{error}");
        assert_eq!(fs::read(config.path()).unwrap(), bytes);
        assert_eq!(names(home.path()), ["config.yaml", "config.yaml.lock"]);
    }
    let (_home, config) = with(b"a: 1\nb: \xff\n");
    let error = config.read().err().unwrap();
    let told = [error.to_string(), std::error::Error::source(&error).unwrap().to_string()];
    assert_eq!(told, [format!("could not use {}", config.path().display()), "line 2, column 4: not UTF-8".to_owned()]);
}

fn names(home: &Path) -> Vec<String> {
    let entries = fs::read_dir(home.join(".astro")).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_folder_in_the_files_place_is_told() {
    let (home, config) = at_home();
    fs::create_dir_all(home.path().join(".astro/config.yaml")).unwrap();
    assert!(matches!(config.read(), Err(ConfigError::NotAFile(_))));
    assert!(matches!(config.edit(log_in), Err(ConfigError::NotAFile(_))));
}

#[test]
fn rf_10_leftovers_of_a_crash_go_at_the_next_edit() {
    let (home, config) = with("x: 1\n");
    fs::write(home.path().join(".astro/.config.yaml.abc.tmp"), "token: Bearer eyJ").unwrap();
    fs::write(home.path().join(".astro/.config.yaml.mine"), "").unwrap();
    config.edit(log_in).unwrap();
    assert_eq!(names(home.path()), [".config.yaml.mine", "config.yaml", "config.yaml.lock"]);
}

#[test]
fn rf_3_one_holder_at_a_time_and_each_domain_for_itself() {
    let (home, config) = at_home();
    let held = config.lock_refresh(&domain("localhost:9000"), Duration::ZERO).unwrap();
    let error = config.lock_refresh(&domain("localhost:9000"), Duration::ZERO).unwrap_err();
    assert!(matches!(error, ConfigError::Locked { .. }), "{error}");
    let other = config.lock_refresh(&domain("astronomer.io"), Duration::ZERO).unwrap();
    drop((held, other));
    drop(config.lock_refresh(&domain("localhost:9000"), Duration::ZERO).unwrap());
    assert_eq!(names(home.path()), ["astronomer_io.refresh.lock", "localhost_9000.refresh.lock"]);
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn rf_10_private_whatever_it_was() {
        let (home, config) = at_home();
        config.edit(log_in).unwrap();
        assert_eq!((mode(&home.path().join(".astro")), mode(config.path())), (0o700, 0o600));
        assert_eq!(config.writable_by_others(), None);

        let (home, config) = with("x: 1\n");
        fs::set_permissions(config.path(), fs::Permissions::from_mode(0o644)).unwrap();
        fs::set_permissions(home.path().join(".astro"), fs::Permissions::from_mode(0o775)).unwrap();
        config.edit(log_in).unwrap();
        assert_eq!((mode(&home.path().join(".astro")), mode(config.path())), (0o775, 0o600));
        assert!(config.writable_by_others().is_some());
    }

    #[test]
    fn a_link_stays_a_link_and_its_target_is_replaced() {
        let (home, config) = at_home();
        fs::create_dir(home.path().join(".astro")).unwrap();
        fs::create_dir(home.path().join("dotfiles")).unwrap();
        let target = home.path().join("dotfiles/astro.yaml");
        fs::write(&target, "x: 1\n").unwrap();
        fs::write(home.path().join("dotfiles/.config.yaml.abc.tmp"), "token: Bearer eyJ").unwrap();
        symlink("../dotfiles/astro.yaml", config.path()).unwrap();
        config.edit(log_in).unwrap();
        assert!(config.path().is_symlink());
        assert_eq!(fs::read_to_string(&target).unwrap(), format!("x: 1\n{LOGGED_IN}"));
        assert_eq!(fs::read_dir(home.path().join("dotfiles")).unwrap().count(), 1, "the leftover is gone, too");
        assert_eq!(mode(&target), 0o600);
    }

    #[test]
    fn a_link_to_nothing_and_a_pipe_are_told() {
        let (home, config) = at_home();
        fs::create_dir(home.path().join(".astro")).unwrap();
        symlink("nowhere", config.path()).unwrap();
        assert!(matches!(config.edit(log_in), Err(ConfigError::DanglingLink(_))));
        fs::remove_file(config.path()).unwrap();
        symlink("/dev/null", config.path()).unwrap();
        assert!(matches!(config.edit(log_in), Err(ConfigError::NotAFile(_))));
        assert_eq!(names(home.path()), ["config.yaml", "config.yaml.lock"]);
    }
}
