//! The config.yaml that is shared with the Go CLI: its settings stay unchanged.

use std::fs;
use std::path::Path;

use crate::support::diff::diff;
use astro_login::config::{Config, Document, DocumentError};
use astro_login::domain::Domain;
use astro_login::token::{AccessToken, RefreshToken};
use proptest::prelude::*;

/// As the Go CLI writes it, with two contexts that are none of our business.
const GO: &str = include_str!("../fixtures/go-cli.yaml");

/// Scalars that a careless writer changes.
const ODD: &str = include_str!("../fixtures/foreign-scalars.yaml");

fn domain(name: &str) -> Domain {
    name.parse().unwrap()
}

fn write(home: &Path, text: &str) -> Config {
    let config = Config::new(home);
    fs::create_dir_all(home.join(".astro")).unwrap();
    fs::write(config.path(), text).unwrap();
    config
}

fn text(config: &Config) -> String {
    fs::read_to_string(config.path()).unwrap()
}

fn log_in(document: &mut Document, name: &str) -> Result<(), DocumentError> {
    let domain = domain(name);
    document.update_context(&domain, |context| {
        context.token = Some(AccessToken::new("eyJNEW"));
        context.refresh_token = Some(RefreshToken::new("v1.NEW"));
        context.expires_at = Some("2026-11-25T00:00:00Z".parse().unwrap());
        context.user_email = Some("new@example.com".to_owned());
        context.workspace = Some("clnew".to_owned());
    })?;
    document.set_current_context(Some(domain.as_str()))
}

#[test]
fn login_and_logout_edit_only_own_lines() {
    let home = tempfile::tempdir().unwrap();
    let config = write(home.path(), GO);
    config.edit(|document| log_in(document, "astronomer.io")).unwrap();
    let logged_in = text(&config);
    assert_eq!(
        diff(GO, &logged_in),
        [
            "-context: gcp0001.example.com",
            "+context: astronomer.io",
            "-        expiresin: 2026-11-24T10:11:12.123456789+01:00",
            "-        last_used_workspace: cl0v1p6lc728255byzyfs7lw21",
            "+        expiresin: 2026-11-25T00:00:00Z",
            "+        last_used_workspace: clnew",
            "-        refreshtoken: v1.MRrtOLD",
            "-        token: Bearer eyJOLD",
            "-        user_email: old@example.com",
            "-        workspace: cl0v1p6lc728255byzyfs7lw21",
            "+        refreshtoken: v1.NEW",
            "+        token: Bearer eyJNEW",
            "+        user_email: new@example.com",
            "+        workspace: clnew",
        ]
    );
    config.edit(|document| document.clear_login(&domain("astronomer.io"))).unwrap();
    assert_eq!(
        diff(&logged_in, &text(&config)),
        [
            "-        expiresin: 2026-11-25T00:00:00Z",
            "-        refreshtoken: v1.NEW",
            "-        token: Bearer eyJNEW",
            "-        user_email: new@example.com",
        ]
    );
}

#[test]
fn new_context_is_appended() {
    let home = tempfile::tempdir().unwrap();
    let config = write(home.path(), GO);
    config.edit(|document| document.update_context(&domain("localhost:9000"), |_| ())).unwrap();
    assert_eq!(diff(GO, &text(&config)), ["+    localhost:9000:", "+        domain: localhost:9000"]);
}

#[test]
fn foreign_scalars_and_comments_are_kept() {
    let home = tempfile::tempdir().unwrap();
    for (before, after) in
        [("", ODD), (ODD, ""), (ODD, "contexts:\n    astronomer_io: {domain: astronomer.io} # ours\n")]
    {
        let start = format!("{before}{after}");
        let config = write(home.path(), &start);
        config.edit(|document| log_in(document, "astronomer.io")).unwrap();
        let gone: Vec<_> = diff(&start, &text(&config)).into_iter().filter(|line| line.starts_with('-')).collect();
        assert!(gone.is_empty() || gone == ["-    astronomer_io: {domain: astronomer.io} # ours"], "{gone:?}");
        config.edit(|document| document.clear_login(&domain("astronomer.io"))).unwrap();
        assert!(ODD.lines().all(|line| text(&config).lines().any(|kept| kept == line)));
    }
}

#[test]
fn concurrent_edits_lose_nothing() {
    let home = tempfile::tempdir().unwrap();
    write(home.path(), GO);
    std::thread::scope(|threads| {
        for first in [1000, 2000, 3000] {
            let config = Config::new(home.path());
            threads.spawn(move || {
                for number in first..first + 4 {
                    let preview = domain(&format!("pr{number}.astronomer-dev.io"));
                    config.edit(|document| document.update_context(&preview, |_| ())).unwrap();
                }
            });
        }
    });
    let contexts = Config::new(home.path()).read().unwrap().contexts();
    assert_eq!(contexts.len(), 3 + 12);
}

/// `flock(1)` takes the lock as the Go CLI does.
#[cfg(target_os = "linux")]
#[test]
fn config_lock_is_shared_with_go_cli() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use astro_login::config::ConfigError;

    let home = tempfile::tempdir().unwrap();
    let config = write(home.path(), GO);
    let lock = home.path().join(".astro/config.yaml.lock");
    let mut other = Command::new("flock")
        .arg(home.path().join(".astro/localhost.refresh.lock"))
        .arg("flock")
        .arg(&lock)
        .args(["sh", "-c", "echo held; read line; echo 'late: 1' >> \"$0\""])
        .arg(config.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(other.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "held\n");
    let refused = config.lock_refresh(&domain("localhost"), Duration::ZERO).unwrap_err();
    assert!(matches!(refused, ConfigError::Locked { .. }), "{refused}");
    std::thread::scope(|threads| {
        let edit = threads.spawn(|| config.edit(|document| document.update_context(&domain("localhost"), |_| ())));
        // Nothing is written until the other program releases the lock; then its change is read.
        drop(other.stdin.take());
        edit.join().unwrap().unwrap();
    });
    assert!(other.wait().unwrap().success());
    let after = text(&config);
    assert!(after.contains("late: 1\n") && after.contains("domain: localhost\n"), "{after}");

    // The reverse: flock(1) fails during our edit.
    let taken = config.edit(|_| Ok(Command::new("flock").arg("-n").arg(&lock).arg("true").status().unwrap().success()));
    assert!(!taken.unwrap());
}

/// A foreign setting: one or several whole lines.
fn setting() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        Just("1_000"),
        Just("1.10"),
        Just("yes"),
        Just("~"),
        Just(""),
        Just("'it''s' # note"),
        Just("\"a: \\\"b\\\"\""),
        Just("2026-11-24"),
        Just("!t ünï"),
        Just("[a, {b: c}]"),
        Just("{a: 'x', b: }"),
        Just("|\n            one\n\n              two"),
        Just(">-\n            one\n            two"),
        Just("word\n            more"),
        Just("&a x"),
    ];
    (0..1000, scalar, any::<bool>()).prop_map(|(number, scalar, note)| {
        let note = if note { "# note\n" } else { "" };
        format!("{note}key{number}: {scalar}\n").replace(": \n", ":\n")
    })
}

fn indented(settings: &[String], indent: &str) -> String {
    settings
        .concat()
        .lines()
        .map(|line| if line.is_empty() { "\n".into() } else { format!("{indent}{line}\n") })
        .collect()
}

proptest! {
    #[test]
    fn arbitrary_config_keeps_foreign_lines(
        before in prop::collection::vec(setting(), 0..4),
        ours in prop::collection::vec(setting(), 0..4),
        between in prop::collection::vec(setting(), 0..4),
        after in prop::collection::vec(setting(), 0..4),
        known in any::<bool>(),
        crlf in any::<bool>(),
        newline in any::<bool>(),
    ) {
        let token = if known { "        Token: 'Bearer old' # ours\n" } else { "" };
        let mut start = format!(
            "{}contexts:\n    other_io:\n        domain: x\n{}    astronomer_io:\n{token}        domain: astronomer.io\n{}{}",
            before.concat(), indented(&between, "        "), indented(&ours, "        "), after.concat(),
        );
        if crlf { start = start.replace('\n', "\r\n"); }
        if !newline { start.truncate(start.trim_end().len()); }
        let Ok(mut document) = Document::parse(start.as_str()) else { return Ok(()) };
        log_in(&mut document, "astronomer.io").unwrap();
        for line in diff(&start, document.as_str()).iter().filter(|line| line.starts_with('-')) {
            prop_assert!(line.contains("Token:"), "{line} of {start}");
        }
        let context = document.context(&domain("astronomer.io")).unwrap();
        prop_assert_eq!(context.token, Some(AccessToken::new("eyJNEW")));
        prop_assert_eq!(document.current_context(), Some("astronomer.io".to_owned()));
        let logged_in = document.as_str().to_owned();
        document.clear_login(&domain("astronomer.io")).unwrap();
        let gone = diff(&logged_in, document.as_str());
        prop_assert_eq!(gone.len(), 4, "{:?}", gone);
        let cleared = document.as_str().to_owned();
        // Anchors behind a deleted one would be others than before; then the whole deletion is refused.
        if let Err(refused) = document.delete_context(&domain("astronomer.io")) {
            prop_assert!(ours.concat().contains('&'), "{refused} in {start}");
            prop_assert_eq!(document.as_str(), cleared);
            return Ok(());
        }
        prop_assert!(document.contexts().iter().all(|context| context.domain == "x"));
        let deleted = diff(&cleared, document.as_str());
        prop_assert!(deleted.iter().all(|line| line.starts_with('-')), "{:?}", deleted);
        prop_assert!(deleted.len() <= cleared.lines().count() - before.concat().lines().count() - after.concat().lines().count());
    }

    #[test]
    fn arbitrary_text_never_panics(text in "[a-c:{}\\[\\],&*!|>'\"#%@`?~ \t\r\n\u{feff}\u{2028}é-]{0,60}") {
        for text in [text.clone(), format!("contexts:\n    astronomer_io:\n        {text}"), format!("contexts: {text}\nx: 1")] {
            if let Ok(mut document) = Document::parse(text.as_str()) {
                let foreign = document.contexts().len();
                if log_in(&mut document, "astronomer.io").is_ok() {
                    prop_assert!(document.contexts().len() >= foreign);
                    document.clear_login(&domain("astronomer.io")).ok();
                }
            }
        }
    }
}
