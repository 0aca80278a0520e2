//! `astro auth token` as programs call it: `--force`, `--valid-for`, JSON, and failures as JSON.

use std::collections::BTreeSet;
use std::process::{Command, Output, Stdio};

use astro_login::credentials::Credentials;
use serde_json::{Value, json};

use crate::support::binary::commands;
use crate::support::{Fault, Stage};

const PROGRAMS: &str = include_str!("../../docs/programs.md");
const FRESH: i64 = 3600;

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

fn seen(output: Output) -> (i32, String, String) {
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn run(stage: &Stage, arguments: &[&str]) -> (i32, String, String) {
    seen(stage.command(arguments).output().unwrap())
}

fn failure(command: &mut Command) -> (i32, Value, String) {
    let (code, stdout, stderr) = seen(command.output().unwrap());
    assert_eq!(stdout.lines().count(), 1, "{stdout} {stderr}");
    (code, serde_json::from_str(&stdout).unwrap(), stderr)
}

#[test]
fn rf_3_fifty_forced_refreshes_at_once_are_one() {
    let (stage, old) = Stage::logged_in(FRESH);
    let start = |_| {
        let mut command = stage.command(&["auth", "token", "--force"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let running: Vec<_> = (0..50).map(start).collect();
    let outputs: Vec<_> = running.into_iter().map(|it| seen(it.wait_with_output().unwrap())).collect();
    assert!(outputs.iter().all(|it| it.0 == 0 && *it == outputs[0]), "{outputs:?}");
    assert_ne!(outputs[0].1.trim_end(), old.access.expose());
    assert_eq!((stage.service.token_requests().len(), stage.service.replays()), (1, 0));
    // It is new, so it is not refreshed again.
    assert_eq!(
        (run(&stage, &["auth", "token", "--force"]), stage.service.token_requests().len()),
        (outputs[0].clone(), 1)
    );
}

#[test]
fn token_shorter_than_demanded_is_refreshed_or_not_printed() {
    let (stage, old) = Stage::logged_in(FRESH);
    let printed = |token: &str| (0, format!("{token}\n"), String::new());
    assert_eq!(run(&stage, &["auth", "token", "--valid-for", "50m"]), printed(old.access.expose()));
    assert_eq!(stage.service.token_requests().len(), 0);
    let (code, token, _) = run(&stage, &["auth", "token", "--valid-for", "2h"]);
    assert_eq!((code, stage.service.token_requests().len()), (0, 1));
    assert_ne!(token.trim_end(), old.access.expose());
    // The service's tokens last a day. A second attempt within a minute spends no refresh token.
    for _ in 0..2 {
        let (code, stdout, stderr) = run(&stage, &["auth", "token", "--valid-for", "48h"]);
        assert_eq!((code, stdout.as_str(), stage.service.token_requests().len()), (1, "", 1));
        assert!(stderr.contains("ends in") && stderr.ends_with("hint: ask for less with `--valid-for`\n"), "{stderr}");
    }
    for duration in ["2", "-2h", "0s", "soon", ""] {
        assert_eq!(run(&stage, &["auth", "token", &format!("--valid-for={duration}")]).0, 2, "{duration}");
    }
}

#[test]
fn demand_without_refresh_token_fails() {
    let (stage, old) = Stage::logged_in(FRESH);
    stage.keep_in_config(&Credentials { refresh: None, ..old });
    for arguments in [&["auth", "token", "--force"][..], &["auth", "token", "--valid-for", "2h"]] {
        let (code, stdout, stderr) = run(&stage, arguments);
        assert_eq!((code, stdout.as_str()), (4, ""));
        assert!(stderr.contains("it has no refresh token"), "{stderr}");
    }
    assert_eq!(run(&stage, &["auth", "token"]).0, 0);
}

#[test]
fn api_token_is_held_to_demands() {
    let (stage, _) = Stage::logged_in(FRESH);
    let end = |seconds: i64| json!({"exp": (stage.clock)().as_second() + seconds});
    let with = |token: &str, arguments: &[&str]| {
        let mut command = stage.command(&["auth", "token"]);
        seen(command.args(arguments).env("ASTRO_API_TOKEN", token).output().unwrap())
    };
    let (short, endless) =
        (stage.service.api_token_with(&end(FRESH)), stage.service.api_token_with(&json!({"exp": null})));
    assert_eq!(with(&short, &["--force"]).0, 2);
    assert_eq!(with(&short, &["--valid-for", "2h"]).0, 1);
    assert_eq!(with(&short, &["--valid-for", "30m"]).1.trim_end(), short);
    assert_eq!(with(&endless, &["--valid-for", "2h"]).1.trim_end(), endless);
}

#[test]
fn json_has_token_domain_and_expiry() {
    let (stage, old) = Stage::logged_in(FRESH);
    let domain = stage.service.domain();
    let expected = json!({
        "token": old.access.expose(), "domain": domain, "expires_at": old.expires_at.unwrap().to_string(),
    });
    for arguments in [&["-o", "json"][..], &["--json"], &["--output=json"], &["-ojson", "--domain", &domain]] {
        let (code, stdout, stderr) = seen(stage.command(&["auth", "token"]).args(arguments).output().unwrap());
        assert_eq!((code, stderr.as_str()), (0, ""));
        assert_eq!(serde_json::from_str::<Value>(&stdout).unwrap(), expected);
    }
    assert_eq!(run(&stage, &["auth", "token", "-o", "text"]).1.trim_end(), old.access.expose());
}

#[test]
fn each_kind_of_failure_is_one_json_object() {
    let (stage, _) = Stage::logged_in(FRESH);
    let domain = stage.service.domain();
    let organizations = "/v1/organizations";
    let json = ["-o", "json"];
    let list = ["organization", "list", "--json"];
    let fails = |path: &'static str, status: u16| {
        stage.service.fail(path, Fault::Status(status, "{}".to_owned()));
        let outcome = failure(&mut stage.command(&list));
        stage.service.repair(path);
        outcome
    };
    let table = [
        (failure(stage.command(&["auth", "token", "--no-such-flag"]).args(json)), 2, Some("usage")),
        (failure(stage.command(&["auth", "token", "no such domain"]).args(json)), 2, Some("usage")),
        (failure(&mut stage.command(&["auth", "no-such-command", "--json"])), 2, Some("usage")),
        (failure(&mut stage.command(&["context", "switch", "--output=json"])), 2, Some("input_required")),
        (failure(stage.command(&["context", "delete", &domain]).args(json)), 2, Some("input_required")),
        (failure(stage.command(&["logout", "--all", &domain]).args(json)), 2, Some("usage")),
        (failure(&mut stage.command(&["login", "--output", "json", "--no-such-flag"])), 2, Some("usage")),
        (failure(&mut stage.command(&["organization", "switch", "-o", "json"])), 2, Some("input_required")),
        (failure(stage.command(&["auth", "token", "astronomer.io"]).args(json)), 4, Some("unauthenticated")),
        (fails(organizations, 403), 4, Some("forbidden")),
        (fails(organizations, 404), 1, Some("not_found")),
        (fails(organizations, 409), 1, Some("conflict")),
        (fails(organizations, 503), 1, Some("api_unavailable")),
    ];
    let cell = |text: &str| text.trim_matches('`').to_owned();
    let listed = PROGRAMS.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        Some((cell(cells.next()?), cells.next()?.parse::<i32>().ok()?))
    });
    let provoked: BTreeSet<(String, i32)> = table.iter().map(|(_, code, kind)| (cell(kind.unwrap()), *code)).collect();
    assert_eq!(listed.collect::<BTreeSet<_>>(), provoked, "each kind of docs/programs.md");
    for ((code, object, stderr), expected, kind) in table {
        assert_eq!((code, &object["code"], object["kind"].as_str()), (expected, &json!(expected), kind), "{object}");
        assert!(object["error"].as_str().is_some_and(|it| !it.is_empty() && !it.starts_with("error")), "{object}");
        let known = ["code", "error", "event", "hint", "kind", "version"];
        assert!(object.as_object().unwrap().keys().all(|it| known.contains(&it.as_str())), "{object}");
        assert!(!stderr.contains("error:"), "{stderr}");
    }
    // A problem of this machine has no kind.
    stage.home.write_config("contexts: [\n");
    let (code, object, _) = failure(stage.command(&["auth", "token"]).args(json));
    assert_eq!((code, &object["code"], &object["kind"]), (1, &json!(1), &Value::Null));
}

#[test]
fn each_command_prints_its_result_as_json() {
    // `login` has `-o` for `--oauth`, and the other two print what another program reads.
    let without = ["login", "auth login", "auth exec", "completion"];
    let words: Vec<String> = commands().iter().map(|words| words.join(" ")).collect();
    let is_group = |it: &str| it.is_empty() || words.iter().any(|other| other.starts_with(&format!("{it} ")));
    for words in words.iter().filter(|it| !is_group(it) && !it.contains("help") && !without.contains(&it.as_str())) {
        let (stage, _) = Stage::logged_in(FRESH);
        let words: Vec<&str> = words.split(' ').collect();
        let (code, object, _) = failure(stage.command(&words).args(["--json", "--no-such-flag"]));
        assert_eq!((code, &object["error"]), (2, &json!("unexpected argument '--no-such-flag' found")), "{words:?}");
    }
    let (stage, _) = Stage::logged_in(FRESH);
    let domain = stage.service.domain();
    for (arguments, expected) in [
        (&["logout"][..], json!({"version": 1, "logged_out": [&domain]})),
        (&["logout", &domain][..], json!({"version": 1, "logged_out": []})),
        (&["context", "switch", "stage"][..], json!({"version": 1, "context": "astronomer-stage.io"})),
        (&["context", "delete", "stage", "-y"][..], json!({"version": 1, "deleted": "astronomer-stage.io"})),
    ] {
        let (code, stdout, stderr) = seen(stage.command(arguments).args(["-o", "json"]).output().unwrap());
        assert_eq!((code, serde_json::from_str(&stdout).ok()), (0, Some(expected)), "{stdout}{stderr}");
    }
}
