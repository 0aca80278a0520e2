//! The snippets of `docs/ci.md`, run unchanged by a shell, with the binary on the `PATH`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{self, Options, Service};
use saphyr_parser::{Event, Parser};
use serde_json::{Map, Value, json};

const PAGE: &str = include_str!("../../docs/ci.md");

#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    script: String,
    environment: Vec<(String, String)>,
    /// Whether the step runs after a failed one.
    always: bool,
}

struct Job {
    shell: &'static [&'static str],
    steps: Vec<Step>,
}

fn snippet(heading: &str, language: &str) -> &'static str {
    support::snippet(PAGE, heading, language)
}

/// A document without anchors and tags; every scalar is text.
fn yaml(text: &str) -> Value {
    fn value(event: &Event<'_>, events: &mut dyn Iterator<Item = Event<'_>>) -> Option<Value> {
        match event {
            Event::Scalar(text, ..) => Some(json!(text)),
            Event::SequenceStart(..) => {
                let mut list = Vec::new();
                loop {
                    let next = events.next().unwrap();
                    match value(&next, events) {
                        Some(entry) => list.push(entry),
                        None => return Some(Value::Array(list)),
                    }
                }
            }
            Event::MappingStart(..) => {
                let mut map = Map::new();
                loop {
                    let next = events.next().unwrap();
                    let Some(key) = value(&next, events) else { return Some(Value::Object(map)) };
                    let next = events.next().unwrap();
                    map.insert(key.as_str().unwrap().to_owned(), value(&next, events).unwrap());
                }
            }
            Event::SequenceEnd | Event::MappingEnd => None,
            other => panic!("{other:?}"),
        }
    }
    let mut events = Parser::new_from_str(text).map(|event| event.unwrap().0);
    let first = events.by_ref().nth(2).unwrap();
    value(&first, &mut events).unwrap()
}

/// GitHub runs each step by `bash -e`, puts secrets in where they are named, and takes what a step writes to `$GITHUB_ENV` for the
/// steps after it.
fn github(heading: &str, secrets: &BTreeMap<&str, String>) -> Job {
    let job = &yaml(snippet(heading, "yaml"))["jobs"]["deploy"];
    let steps = job["steps"].as_array().unwrap().iter().map(|step| {
        let environment = step["env"].as_object().into_iter().flatten().map(|(name, value)| {
            let secret = value.as_str().unwrap().strip_prefix("${{ secrets.").unwrap().strip_suffix(" }}").unwrap();
            (name.clone(), secrets[secret].clone())
        });
        Step {
            script: step["run"].as_str().unwrap().to_owned(),
            environment: environment.collect(),
            always: step["if"] == "always()",
        }
    });
    Job { shell: &["bash", "-e", "-c"], steps: steps.collect() }
}

/// GitLab runs the whole `script` in one shell and `after_script` in another, both with the project's variables.
fn gitlab(secrets: &BTreeMap<&str, String>, folder: &Path) -> Job {
    let job = &yaml(snippet("GitLab CI", "yaml"))["deploy"];
    let mut environment = vec![("ASTRO_JWT".to_owned(), secrets["ASTRO_JWT"].clone())];
    for (name, value) in job["variables"].as_object().unwrap() {
        let value = value.as_str().unwrap().replace("$CI_PROJECT_DIR", folder.to_str().unwrap());
        environment.push((name.clone(), value));
    }
    let step = |key: &str, always| {
        let lines: Vec<_> = job[key].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
        Step { script: lines.join("\n"), environment: environment.clone(), always }
    };
    Job { shell: &["sh", "-e", "-c"], steps: vec![step("script", false), step("after_script", true)] }
}

/// Jenkins runs each step by `sh -xe`, and knows a credential only within `withCredentials`.
fn jenkins(secrets: &BTreeMap<&str, String>, folder: &Path) -> Job {
    let code = snippet("Jenkins", "groovy");
    let home = code.split_once("ASTRO_HOME = \"${WORKSPACE_TMP}").unwrap().1.split_once('"').unwrap().0;
    let common = ("ASTRO_HOME".to_owned(), format!("{}{home}", folder.display()));
    let (stages, always) = code.split_once("post {\n        always {").unwrap();
    let (before, stages) = stages.split_once("withCredentials(").unwrap();
    let (within, after) = stages.split_once("\n                }\n").unwrap();
    assert!(within.contains("variable: 'ASTRO_JWT'"));
    let secret = ("ASTRO_JWT".to_owned(), secrets["ASTRO_JWT"].clone());
    let step = |script: String, more: &[(String, String)], always| Step {
        script,
        environment: [std::slice::from_ref(&common), more].concat(),
        always,
    };
    let mut steps = Vec::new();
    for (code, more, always) in
        [(before, &[][..], false), (within, &[secret][..], false), (after, &[][..], false), (always, &[][..], true)]
    {
        steps.extend(shell_lines(code).into_iter().map(|script| step(script, more, always)));
    }
    Job { shell: &["sh", "-xe", "-c"], steps }
}

/// The scripts of Groovy's `sh '…'` and `sh '''…'''`.
fn shell_lines(code: &str) -> Vec<String> {
    let starts = code.split(" sh '").skip(1);
    let script = |rest: &str| match rest.strip_prefix("''") {
        Some(long) => long.split_once("'''").unwrap().0.to_owned(),
        None => rest.split_once('\'').unwrap().0.to_owned(),
    };
    starts.map(script).collect()
}

#[derive(Debug)]
struct Ran {
    codes: Vec<i32>,
    output: String,
    sent: String,
    left: String,
}

/// Runs the job in `folder`, up to the first step that fails, and then those that run always. `curl` is the test's own,
/// and ends with this code.
fn run(job: &Job, folder: &Path, service: &Service, curl: i32) -> Ran {
    let programs = folder.join("programs");
    fs::create_dir_all(&programs).unwrap();
    symlink(env!("CARGO_BIN_EXE_astro"), programs.join("astro")).unwrap();
    let sent = programs.join("sent");
    let stub =
        format!("#!/bin/sh\n[ \"$1 $2 $3\" = '--fail --header @-' ] && cat >'{}' && exit {curl}\n", sent.display());
    fs::write(programs.join("curl"), stub).unwrap();
    fs::set_permissions(programs.join("curl"), fs::Permissions::from_mode(0o700)).unwrap();

    let exported = folder.join("github-env");
    fs::write(&exported, "").unwrap();
    let (mut codes, mut output) = (Vec::new(), String::new());
    for step in &job.steps {
        if !step.always && codes.last().is_some_and(|code| *code != 0) {
            continue;
        }
        let mut command = Command::new(job.shell[0]);
        command.args(&job.shell[1..]).arg(&step.script).env_clear().current_dir(folder);
        command.env("PATH", format!("{}:/usr/bin:/bin", programs.display())).env("HOME", folder);
        command.env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}/no-bus", folder.display()));
        command.env("ASTRO_DOMAIN", service.domain()).env("RUNNER_TEMP", folder).env("GITHUB_ENV", &exported);
        let before = fs::read_to_string(&exported).unwrap();
        command.envs(before.lines().map(|line| line.split_once('=').unwrap()));
        command.envs(step.environment.iter().map(|(name, value)| (name, value)));
        let ended = command.stdin(Stdio::null()).output().unwrap();
        codes.push(ended.status.code().unwrap());
        output += &String::from_utf8(ended.stdout).unwrap();
        output += &String::from_utf8(ended.stderr).unwrap();
    }
    let sent = fs::read_to_string(sent).unwrap_or_default();
    fs::remove_dir_all(programs).unwrap();
    Ran { codes, output, sent, left: texts(folder) }
}

fn texts(folder: &Path) -> String {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { texts(&path) } else { fs::read_to_string(path).unwrap() }).collect()
}

fn secrets(service: &Service) -> (BTreeMap<&'static str, String>, Vec<String>) {
    let secrets =
        BTreeMap::from([("ASTRO_JWT", service.access_token(&json!({}))), ("ASTRO_API_TOKEN", service.api_token())]);
    let signatures = secrets.values().map(|token| token.rsplit('.').next().unwrap().to_owned()).collect();
    (secrets, signatures)
}

#[test]
fn rf_10_tk_11_snippet_logs_in_and_leaves_no_secret() {
    for system in ["GitHub Actions", "GitLab CI", "Jenkins"] {
        for curl in [0, 22] {
            let service = Service::start(Options::default().organizations(1, 1));
            let folder = tempfile::tempdir().unwrap();
            let (secrets, signatures) = secrets(&service);
            let job = match system {
                "GitLab CI" => gitlab(&secrets, folder.path()),
                "Jenkins" => jenkins(&secrets, folder.path()),
                github_actions => github(github_actions, &secrets),
            };
            let ran = run(&job, folder.path(), &service, curl);
            let failed: Vec<_> = ran.codes.iter().copied().filter(|code| *code != 0).collect();
            assert_eq!(failed, if curl == 0 { vec![] } else { vec![curl] }, "{system}: {ran:#?}");
            assert_eq!(ran.sent, format!("Authorization: Bearer {}", secrets["ASTRO_JWT"]), "{system}: {ran:#?}");
            assert!(ran.output.contains(&format!("Logged in to {}", service.domain())), "{system}: {ran:#?}");
            assert!(ran.output.contains(&format!("Logged out of {}", service.domain())), "{system}: {ran:#?}");
            assert!(!ran.output.contains("warning:"), "{system}: {ran:#?}");
            assert!(ran.left.contains("contexts:"), "{system}: {ran:#?}");
            for secret in &signatures {
                assert!(!ran.output.contains(secret), "{system} shows a token: {ran:#?}");
                assert!(!ran.left.contains(secret), "{system} leaves a token behind: {ran:#?}");
            }
        }
    }
}

#[test]
fn rf_11_api_token_is_used_and_not_stored() {
    let service = Service::start(Options::default());
    let folder = tempfile::tempdir().unwrap();
    let (secrets, signatures) = secrets(&service);
    let ran = run(&github("With an API token", &secrets), folder.path(), &service, 0);
    assert_eq!(ran.codes, [0], "{ran:#?}");
    assert_eq!(ran.sent, format!("Authorization: Bearer {}", secrets["ASTRO_API_TOKEN"]));
    assert!(signatures.iter().all(|secret| !ran.left.contains(secret) && !ran.output.contains(secret)), "{ran:#?}");
}
