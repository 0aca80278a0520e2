//! The table of flags and names in docs/from-the-go-cli.md: each row is run.

use serde_json::{Value, json};

use crate::support::binary::{Astro, Output};
use crate::support::{Mode, Options, Stage};

const PAGE: &str = include_str!("../../docs/from-the-go-cli.md");
const ENGINES: &str = "clorg00000000000000000001";
const TOKEN_LOGIN: [&str; 6] = ["DOMAIN", "-t", "-", "--organization", "Compilers", "--insecure-storage"];

/// What a row does.
enum Effect {
    /// It ends with this code, and prints this.
    Prints(i32, &'static str),
    /// It prints this JSON, and possibly more members.
    Json(Value),
    /// With the flags of a token login behind it, it logs in.
    LogsIn,
    /// It leaves this in config.yaml.
    Config(&'static str),
    /// It removes this from config.yaml.
    Removes(&'static str),
}

fn rows() -> Vec<(&'static str, Effect)> {
    let chosen = json!({"id": "clws000020000000000000001", "name": "Flow-Matic"});
    let compilers = json!({"id": "clorg00000000000000000002", "name": "Compilers"});
    vec![
        ("astro wo list", Effect::Prints(0, "Difference Engine")),
        ("astro auth token -d DOMAIN", Effect::Prints(0, "eyJ")),
        ("astro --verbosity debug workspace list", Effect::Prints(0, "/workspaces")),
        (
            "astro organization list -o json",
            Effect::Json(json!({"organizations": [{"id": ENGINES, "isCurrent": true}, {"isCurrent": false}]})),
        ),
        ("astro workspace list --output table", Effect::Prints(0, "  NAME ")),
        ("astro context list --output text", Effect::Prints(0, "  DOMAIN ")),
        ("astro organization list --template '{{.}}'", Effect::Prints(2, "hint: use `-o json`")),
        (
            "astro organization switch Compilers -w Flow-Matic",
            Effect::Prints(0, "Switched to organization Compilers, workspace Flow-Matic"),
        ),
        (
            "astro organization switch Compilers --workspace-id Flow-Matic -o json",
            Effect::Json(json!({"organization": compilers, "workspace": chosen})),
        ),
        ("astro organization switch Compilers -l", Effect::Prints(0, "Switched to organization Compilers")),
        ("astro workspace switch Flow-Matic -o json", Effect::Json(json!({"workspace": chosen}))),
        ("astro login --oauth", Effect::LogsIn),
        ("astro login -l -t -", Effect::LogsIn),
        ("astro login --login-link=false", Effect::Prints(2, "cannot log in interactively: no terminal")),
        ("astro login --force", Effect::LogsIn),
        ("astro login --signin", Effect::LogsIn),
        ("astro login --vault", Effect::LogsIn),
        ("astro login --signup", Effect::Prints(2, "hint: create an account at https://cloud.astronomer.io")),
        ("astro context switch prod", Effect::Config("context: astronomer.io\n")),
        ("astro context switch astronomer-dev.io", Effect::Config("context: astronomer-dev.io\n")),
        ("astro context delete gcp0001.example.com -y", Effect::Removes("gcp0001")),
    ]
}

/// The commands of the table in the page.
fn listed() -> Vec<&'static str> {
    let (_, section) = PAGE.split_once("\n## Flags and names\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .map(|(command, _)| command)
        .collect()
}

/// A home in which Ada is logged in, in the first organization, beside a context of Astro Private Cloud.
fn logged_in(command: &str) -> Stage {
    let stage = Stage::with(Options::default(), Mode::NeverComeBack);
    stage.keep_in_config(&stage.earlier_login(3600));
    let organization =
        if command.starts_with("astro workspace switch") { "clorg00000000000000000002" } else { ENGINES };
    let config = stage.home.config().unwrap().replace("clkvh3b46003m01kbalgwwdcy", organization);
    stage.home.write_config(&config);
    stage
}

fn run(stage: &Stage, command: &str, more: &[&str]) -> Output {
    let domain = stage.service.domain();
    let words: Vec<&str> = command.split(' ').skip(1).chain(more.iter().copied()).collect();
    let words: Vec<&str> = words.into_iter().map(|word| if word == "DOMAIN" { &domain } else { word }).collect();
    // macOS and Windows have a browser, except over SSH.
    let astro = Astro::at(&stage.home).with("SSH_TTY", "/dev/pts/0");
    astro.stdin(stage.service.access_token(&json!({}))).run(&words)
}

/// Returns `true` if `whole` has everything that `part` has.
fn includes(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(name, value)| whole.get(name).is_some_and(|it| includes(it, value)))
        }
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(whole, part)| includes(whole, part))
        }
        _ => whole == part,
    }
}

#[test]
fn flags_of_go_cli_work_as_the_table_says() {
    let rows = rows();
    assert_eq!(listed(), rows.iter().map(|(command, _)| *command).collect::<Vec<_>>());
    for (command, effect) in rows {
        let stage = logged_in(command);
        let more: &[&str] = match effect {
            Effect::LogsIn if command.ends_with("-t -") => &["DOMAIN", "--organization", "Compilers"],
            Effect::LogsIn if command.contains("--vault") => &TOKEN_LOGIN[..5],
            Effect::LogsIn => &TOKEN_LOGIN,
            _ => &[],
        };
        let Output { stdout, stderr, code } = run(&stage, command, more);
        let config = stage.home.config().unwrap();
        let context = format!("{command}: {code:?} {stdout}{stderr}");
        match effect {
            Effect::Prints(expected, text) => {
                assert!(code == Some(expected) && format!("{stdout}{stderr}").contains(text), "{context}");
            }
            Effect::Json(expected) => {
                let printed: Value = serde_json::from_str(&stdout).unwrap();
                assert!(code == Some(0) && includes(&printed, &expected), "{context}");
            }
            Effect::LogsIn => assert!(code == Some(0) && stderr.contains("Logged in to "), "{context}"),
            Effect::Config(line) => assert!(code == Some(0) && config.contains(line), "{context}{config}"),
            Effect::Removes(name) => assert!(code == Some(0) && !config.contains(name), "{context}{config}"),
        }
    }
}

#[test]
fn short_forms_of_go_cli_work_too() {
    for arguments in ["auth login -o", "login --oauth=false", "login --force=true", "auth login --login-link=false"] {
        let stage = logged_in("");
        let Output { stderr, code, .. } = run(&stage, &format!("astro {arguments}"), &TOKEN_LOGIN);
        assert_eq!(code, Some(0), "{arguments}: {stderr}");
    }
    let stage = logged_in("");
    for (arguments, expected) in [
        ("auth status stage", "astronomer-stage.io"),
        ("auth status dev", "astronomer-dev.io"),
        ("auth status pr12345", "pr12345.astronomer-dev.io"),
        ("context list -ojson", "\"isCurrent\""),
        ("auth status -o json", "\"state\""),
        ("login --vault --insecure-storage", "cannot be used with"),
        ("organization list -o yaml", "[possible values: json, table, text]"),
        ("--verbosity loud auth status", "expected debug, info, warn, error, fatal or panic"),
        ("login --signup=true", "https://cloud.astronomer.io"),
    ] {
        let Output { stdout, stderr, .. } = run(&stage, &format!("astro {arguments}"), &[]);
        assert!(format!("{stdout}{stderr}").contains(expected), "{arguments}: {stdout}{stderr}");
    }
}
