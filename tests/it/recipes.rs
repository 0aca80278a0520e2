//! The snippets of `docs/recipes.md`, run unchanged, with the binary on the `PATH`. Docker, Terraform, ssh, direnv and the
//! host of the MCP server are stand-ins; the Python programs are real, and `.ci/run` installs them.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use astro_login::credentials::Credentials;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::keyring::Session;
use crate::support::{self, Fault, Mode, Options, Service, Stage, binary};

const PAGE: &str = include_str!("../../docs/recipes.md");
const NO_BUS: &str = "unix:path=/nonexistent/bus";
const NO_DAGS: &str = r#"{"dags": [], "total_entries": 0}"#;

fn snippet(heading: &str, language: &str) -> &'static str {
    support::snippet(PAGE, heading, language)
}

/// A folder for `PATH` with this program and others.
struct Programs(TempDir);

impl Programs {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        symlink(binary::BINARY, folder.path().join("astro")).unwrap();
        Self(folder)
    }

    /// Adds a program that records its arguments and its environment, and then runs these lines.
    fn with(self, name: &str, lines: &str) -> Self {
        let (path, arguments) = (self.0.path().join(name), self.0.path().join("arguments"));
        let record = format!("echo \"{name} $*\" >>'{}'; env >'{}.env'", arguments.display(), path.display());
        write_program(&path, &format!("{record}\n{lines}"));
        self
    }

    /// Adds a real program, recorded as well.
    fn with_real(self, name: &str) -> Self {
        self.with(name, &format!("exec '{}' \"$@\"", python_packages().join(name).display()))
    }

    fn arguments(&self) -> String {
        fs::read_to_string(self.0.path().join("arguments")).unwrap()
    }

    /// The variable of the last start of this program.
    fn variable(&self, program: &str, name: &str) -> Option<String> {
        let variables = fs::read_to_string(self.0.path().join(format!("{program}.env"))).unwrap();
        variables.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
    }

    fn command(&self, program: &str, home: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("HOME", home).current_dir(home).env("AF_TELEMETRY_DISABLED", "1");
        command.env("PATH", format!("{}:/usr/bin:/bin", self.0.path().display()));
        command.env("DBUS_SESSION_BUS_ADDRESS", NO_BUS).stdin(Stdio::null());
        command
    }

    fn shell(&self, home: &Path, script: &str) -> Command {
        let mut command = self.command("sh", home);
        command.args(["-e", "-c", script]);
        command
    }

    #[track_caller]
    fn check_arguments(&self, service: &Service, expected: &str) {
        assert_eq!(self.arguments(), expected);
        let secrets = service.secrets();
        assert!(!secrets.is_empty() && secrets.iter().all(|secret| binary::leaked(expected, secret).is_none()));
    }
}

fn write_program(path: &Path, lines: &str) {
    fs::write(path, format!("#!/bin/sh\n{lines}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[expect(clippy::disallowed_methods, reason = "tests are told by a variable where they are")]
fn python_packages() -> PathBuf {
    let folder = std::env::var_os("PYTHON_PACKAGES");
    folder.expect("PYTHON_PACKAGES names no folder of programs: .ci/run installs them with pip").into()
}

/// Runs the command, which succeeds, and returns its stdout.
#[track_caller]
fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(output.status.success(), "{command:?}: {stdout}{stderr}");
    stdout
}

/// Runs `astro`, which reads this token.
#[track_caller]
fn log_in(command: &mut Command, token: &str) {
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(token.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A home with a login, and an Airflow without DAGs.
fn logged_in() -> (Stage, Credentials) {
    let stage = Stage::with(Options::default(), Mode::NeverComeBack);
    // Longer than the recipes ask for.
    let credentials = stage.earlier_login(20 * 3600);
    stage.keep_in_config(&credentials);
    serve_airflow(&stage.service);
    (stage, credentials)
}

fn serve_airflow(service: &Service) {
    service.fail("/api/v2/version", Fault::Body(r#"{"version": "3.1.0"}"#.to_owned()));
    service.fail("/api/v2/dags", Fault::Body(NO_DAGS.to_owned()));
}

fn airflow_url(service: &Service) -> String {
    service.url("/").as_str().trim_end_matches('/').to_owned()
}

/// The `Authorization` headers of the requests for this path.
fn authorizations(service: &Service, path: &str) -> Vec<String> {
    let requests = service.requests_to(path);
    requests.iter().map(|request| request.header("authorization").unwrap_or_default().to_owned()).collect()
}

/// Starts the server as the entry says, with another URL.
fn start_mcp_server(programs: &Programs, stage: &Stage) -> Child {
    let entry: Value = serde_json::from_str(snippet("MCP server", "json")).unwrap();
    let entry = &entry["mcpServers"]["airflow"];
    let mut command = programs.command(entry["command"].as_str().unwrap(), stage.home.path());
    command.args(entry["args"].as_array().unwrap().iter().map(|argument| argument.as_str().unwrap()));
    assert_eq!(entry["env"], json!({"AIRFLOW_API_URL": "https://ORGANIZATION.astronomer.run/DEPLOYMENT"}));
    command.env("AIRFLOW_API_URL", airflow_url(&stage.service));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn each_recipe_has_a_test() {
    let headings: Vec<_> = PAGE.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let run = ["af", "MCP server", "airflowctl", "Terraform", "docker run", "httpx", "A remote machine", "direnv"];
    assert_eq!(headings, run);
}

#[test]
fn tk_11_ex_1_recipe_terraform_gets_token_and_organization() {
    let (stage, login) = logged_in();
    let programs = Programs::new().with("terraform", "");
    succeed(&mut programs.shell(stage.home.path(), snippet("Terraform", "sh")));
    programs.check_arguments(&stage.service, "terraform apply\n");
    let variable = |name| programs.variable("terraform", name).unwrap();
    assert_eq!(variable("ASTRO_API_TOKEN"), login.access.expose());
    assert_eq!(variable("TF_VAR_organization_id"), "clkvh3b46003m01kbalgwwdcy");
}

#[test]
fn tk_11_ex_1_recipe_docker_gets_variables_by_name() {
    let (stage, login) = logged_in();
    let programs = Programs::new().with("docker", "");
    succeed(&mut programs.shell(stage.home.path(), snippet("docker run", "sh")));
    let arguments = "docker run --rm -e ASTRO_API_TOKEN -e ASTRO_DOMAIN -e ASTRO_ORGANIZATION my-image\n";
    programs.check_arguments(&stage.service, arguments);
    let variable = |name| programs.variable("docker", name).unwrap();
    assert_eq!(variable("ASTRO_API_TOKEN"), login.access.expose());
    assert_eq!(variable("ASTRO_DOMAIN"), stage.service.domain());
    assert_eq!(variable("ASTRO_ORGANIZATION"), "clkvh3b46003m01kbalgwwdcy");
}

#[test]
fn tk_11_ex_1_recipe_mcp_entry_starts_the_server() {
    let (stage, login) = logged_in();
    let programs = Programs::new().with("astro-airflow-mcp", "cat");
    let mut server = start_mcp_server(&programs, &stage);
    server.stdin.take().unwrap().write_all(b"a request").unwrap();
    let output = server.wait_with_output().unwrap();
    assert_eq!((output.status.success(), output.stdout), (true, b"a request".to_vec()));
    programs.check_arguments(&stage.service, "astro-airflow-mcp \n");
    let variable = |name| programs.variable("astro-airflow-mcp", name);
    assert_eq!(variable("AIRFLOW_AUTH_TOKEN").as_deref(), Some(login.access.expose()));
    assert_eq!(variable("AIRFLOW_API_URL"), Some(airflow_url(&stage.service)));
    assert_eq!(variable("ASTRO_API_TOKEN"), None);
}

#[test]
fn tk_11_recipe_remote_machine_gets_the_access_token_alone() {
    let stage = Stage::with(Options::default().organizations(1, 1), Mode::NeverComeBack);
    let login = stage.earlier_login(20 * 3600);
    stage.keep_in_config(&login);
    let remote = tempfile::tempdir().unwrap();
    let (home, domain) = (remote.path().display(), stage.service.domain());
    // As ssh does: the words are one command for the shell there.
    let there = format!("shift\ncd '{home}'\nHOME='{home}' ASTRO_DOMAIN='{domain}' exec sh -c \"$*\"");
    let programs = Programs::new().with("ssh", &there);
    succeed(&mut programs.shell(stage.home.path(), snippet("A remote machine", "sh")));
    programs.check_arguments(&stage.service, "ssh box astro login -t -\n");
    assert_eq!(programs.variable("ssh", "ASTRO_API_TOKEN"), None);
    let printed = succeed(&mut programs.shell(remote.path(), "astro auth token"));
    assert_eq!(printed.trim_end(), login.access.expose());
    let config = fs::read_to_string(remote.path().join(".astro/config.yaml")).unwrap();
    assert_eq!(binary::leaked(&config, login.refresh.unwrap().expose()), None);
}

#[test]
fn tk_11_recipe_direnv_keeps_accounts_apart() {
    let service = Service::start(Options::default().organizations(1, 1));
    let home = tempfile::tempdir().unwrap();
    let programs = Programs::new().with("direnv", "shift\ncd \"$1\"\n. ./.envrc\nshift\nexec \"$@\"");
    let run = |folder: &str, command: &str| {
        let mut shell = programs.shell(home.path(), &format!("direnv exec {folder} astro {command}"));
        shell.env("ASTRO_DOMAIN", service.domain());
        shell
    };
    let accounts = [("acme", "ada@example.com"), ("globex", "grace@example.org")].map(|(folder, email)| {
        fs::create_dir(home.path().join(folder)).unwrap();
        fs::write(home.path().join(folder).join(".envrc"), snippet("direnv", "sh")).unwrap();
        let token = service.log_in(email)["access_token"].as_str().unwrap().to_owned();
        log_in(&mut run(folder, "login -t -"), &token);
        (folder, token)
    });
    for (folder, token) in accounts {
        assert_eq!(succeed(&mut run(folder, "auth token")).trim_end(), token);
        assert!(home.path().join(".astro-homes").join(folder).is_dir());
    }
    let of =
        |command: &str| ["acme", "globex"].map(|folder| format!("direnv exec {folder} astro {command}\n")).concat();
    programs.check_arguments(&service, &(of("login -t -") + &of("auth token")));
    assert!(!home.path().join(".astro").exists());
}

/// Prints a deployment as version 1 of the Go CLI does.
const GO_CLI: &str = "case $1.$2 in
deployment.list) printf ' NAME     NAMESPACE       DEPLOYMENT ID\n etl      stellar-1234    cldep1\n' ;;
deployment.inspect) printf 'deployment:
  configuration: {name: etl, workspace_name: Acme}
  metadata: {deployment_id: cldep1, workspace_id: clws1, webserver_url: \"%s?orgId=org\"}\n' \"$AIRFLOW_API_URL\" ;;
*) exit 9 ;;
esac";

#[test]
#[ignore = "needs PYTHON_PACKAGES, dbus-daemon and gnome-keyring-daemon"]
fn tk_11_recipe_af_needs_exec_after_a_keychain_login() {
    let (session, service) = (Session::with_keyring(), Service::start(Options::default().organizations(1, 1)));
    serve_airflow(&service);
    let programs = Programs::new().with_real("af");
    let next = tempfile::tempdir().unwrap();
    write_program(&next.path().join("astro"), GO_CLI);
    let path = format!("{}:{}:/usr/bin:/bin", programs.0.path().display(), next.path().display());
    let run = |script: &str| {
        let mut shell = programs.shell(&session.path(""), script);
        shell.env("DBUS_SESSION_BUS_ADDRESS", session.address()).env("PATH", &path);
        shell.env("AIRFLOW_API_URL", airflow_url(&service));
        shell
    };
    let token = service.access_token(&json!({}));
    log_in(&mut run(&format!("astro login {} -t -", service.domain())), &token);

    // AIRFLOW_API_URL would override the deployment that was discovered.
    let script = snippet("af", "sh").replace("astro auth exec --", "unset AIRFLOW_API_URL\nastro auth exec --");
    let printed = succeed(&mut run(&script));
    assert!(printed.contains("Added acme-etl") && printed.contains("\"total_dags\": 0"), "{printed}");
    let seen = || authorizations(&service, "/api/v2/dags");
    assert_eq!(seen(), [format!("Bearer {token}")]);
    assert_eq!(programs.variable("af", "ASTRO_API_TOKEN"), Some(token.clone()));

    let alone = run("unset AIRFLOW_API_URL; af dags list").output().unwrap();
    let said = String::from_utf8([alone.stdout, alone.stderr].concat()).unwrap();
    assert_eq!((alone.status.code(), seen().len()), (Some(1), 1), "{said}");
    assert!(said.contains("No refresh_token or token in astro context"), "{said}");

    // af wrote to config.yaml, which still names the login.
    log_in(&mut run("astro login --insecure-storage -t -"), &token);
    succeed(&mut run("unset AIRFLOW_API_URL; af dags list"));
    assert_eq!(seen(), vec![format!("Bearer {token}"); 2]);
    let started = "af instance discover astro\naf instance use acme-etl\naf dags list\naf dags list\naf dags list\n";
    programs.check_arguments(&service, started);
}

#[test]
#[ignore = "needs PYTHON_PACKAGES"]
fn tk_11_recipe_mcp_server_sends_the_token() {
    let (stage, login) = logged_in();
    let programs = Programs::new().with_real("astro-airflow-mcp");
    let mut server = start_mcp_server(&programs, &stage);
    let mut stdin = server.stdin.take().unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let mut ask = |id: u32, method: &str, params: Value| {
        writeln!(stdin, "{}", json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})).unwrap();
        let mut answers = lines.by_ref().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
        let answer = answers.find(|answer| answer["id"] == id).expect("an answer");
        writeln!(stdin, "{}", json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).unwrap();
        answer
    };
    let client = json!({"name": "test", "version": "1"});
    ask(1, "initialize", json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client}));
    let answer = ask(2, "tools/call", json!({"name": "list_dags", "arguments": {}}));
    assert_eq!(answer["result"]["isError"], false, "{answer}");
    drop(stdin);
    server.wait().unwrap();
    assert_eq!(authorizations(&stage.service, "/api/v2/dags"), [format!("Bearer {}", login.access.expose())]);
    programs.check_arguments(&stage.service, "astro-airflow-mcp \n");
}

#[test]
#[ignore = "needs PYTHON_PACKAGES"]
fn tk_11_recipe_airflowctl_sends_the_token_and_stores_none() {
    let (stage, login) = logged_in();
    let programs = Programs::new().with_real("airflowctl");
    let url = airflow_url(&stage.service);
    let mut shell = programs.shell(stage.home.path(), snippet("airflowctl", "sh"));
    succeed(shell.env("AIRFLOW_API_URL", &url));
    assert_eq!(authorizations(&stage.service, "/api/v2/dags"), [format!("Bearer {}", login.access.expose())]);
    let arguments = format!("airflowctl auth login --skip-keyring --api-url {url}\nairflowctl dags list\n");
    programs.check_arguments(&stage.service, &arguments);
    let folder = fs::read_dir(stage.home.path().join("airflow")).unwrap();
    for file in folder.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        let text = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
        assert_eq!(binary::leaked(&text, login.access.expose()), None, "{}", file.display());
    }
}

#[test]
#[ignore = "needs PYTHON_PACKAGES"]
fn tk_11_recipe_httpx_renews_a_refused_token_once() {
    let (stage, login) = logged_in();
    stage.service.set(|options| options.demands_client = false);
    let programs = Programs::new().with_real("python3");
    fs::write(stage.home.path().join("recipe.py"), snippet("httpx", "python")).unwrap();
    let path = "/v1/organizations";
    let request = "import sys; from recipe import client; print(client.get(sys.argv[1]).status_code)";
    let run = || {
        let mut python = programs.command("python3", stage.home.path());
        python.args(["-c", request, stage.service.url(path).as_str()]);
        python
    };
    let seen = || authorizations(&stage.service, path);
    let old = format!("Bearer {}", login.access.expose());
    assert_eq!((succeed(&mut run()).as_str(), seen()), ("200\n", vec![old.clone()]));

    stage.service.fail_times(path, 1, Fault::Status(401, "{}".to_owned()));
    assert_eq!(succeed(&mut run()), "200\n");
    let sent = seen();
    assert_eq!((sent.len(), stage.service.token_requests().len()), (3, 1));
    assert!(sent[1] == old && sent[2] != old, "{sent:?}");

    // A token that is refused although it is new is not sent a third time.
    stage.service.fail(path, Fault::Status(401, "{}".to_owned()));
    assert_eq!((succeed(&mut run()).as_str(), seen().len()), ("401\n", 5));

    fs::remove_file(stage.home.config_path()).unwrap();
    let output = run().env("ASTRO_DOMAIN", stage.service.domain()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let expected = format!("\nRuntimeError: not logged in to {}", stage.service.domain());
    assert!(!output.status.success() && stderr.contains(&expected), "{stderr}");
    let line = format!("python3 -c {request} {}\n", stage.service.url(path));
    programs.check_arguments(&stage.service, &line.repeat(4));
}
