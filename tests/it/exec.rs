//! `astro auth exec`, and `astro login --if-needed`.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::{Command, Output};

use astro_login::credentials::Credentials;

use crate::support::Stage;

const FRESH: i64 = 3600;
const ENDED: i64 = -3600;

fn seen(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn exec(stage: &Stage, arguments: &[&str]) -> (i32, String, String) {
    let mut command = stage.command(&["auth", "exec"]);
    seen(&command.env("PATH", "/usr/bin:/bin").args(arguments).output().unwrap())
}

/// Prints process ID and environment.
const SHOW: &str = "echo $PPID $$ $1; env | grep -E '^(ASTRO|TOKEN|OTHER)' | sort";

#[test]
fn ex_1_command_gets_token_domain_and_organization() {
    let (stage, login) = Stage::logged_in(FRESH);
    let (domain, token) = (stage.service.domain(), login.access.expose().to_owned());
    let home = stage.home.path().display().to_string();
    let place = format!("ASTRO_DOMAIN={domain}\nASTRO_HOME={home}\nASTRO_ORGANIZATION=clkvh3b46003m01kbalgwwdcy\n");
    let (code, stdout, stderr) = exec(&stage, &["--", "sh", "-c", SHOW, "sh", "--force"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let (ids, variables) = stdout.split_once('\n').unwrap();
    assert!(ids.ends_with(" --force"), "{ids}");
    assert_eq!(variables, format!("ASTRO_API_TOKEN={token}\n{place}"));
    let (_, stdout, _) = exec(&stage, &["-d", &domain, "--env", "TOKEN", "--env=OTHER", "sh", "-c", SHOW]);
    assert_eq!(stdout.split_once('\n').unwrap().1, format!("{place}OTHER={token}\nTOKEN={token}\n"));
    assert_eq!(stage.service.requests().len(), 0);
}

#[test]
fn ex_1_command_takes_place_of_this_program() {
    let (stage, _) = Stage::logged_in(FRESH);
    let mut command = stage.command(&["auth", "exec", "--", "/bin/sh", "-c", "echo $$; ulimit -c; exit 77"]);
    let child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let id = child.id();
    let (code, stdout, _) = seen(&child.wait_with_output().unwrap());
    let limit = Command::new("/bin/sh").args(["-c", "ulimit -c"]).output().unwrap();
    assert_eq!((code, stdout), (77, format!("{id}\n{}", seen(&limit).1)));
}

#[test]
fn ex_2_nothing_starts_without_token() {
    let (stage, login) = Stage::logged_in(ENDED);
    stage.keep_in_config(&Credentials { refresh: None, ..login });
    let before = stage.home.config();
    assert_eq!(exec(&stage, &["--", "touch", "started"]).0, 4);
    assert_eq!(exec(&stage, &["--valid-for", "48h", "--", "touch", "started"]).0, 4);
    assert!(!stage.home.path().join("started").exists());
    assert_eq!(stage.home.config(), before);
}

#[test]
fn ex_2_old_token_is_renewed_first() {
    let (stage, login) = Stage::logged_in(ENDED);
    let (code, stdout, _) = exec(&stage, &["--", "printenv", "ASTRO_API_TOKEN"]);
    assert_eq!((code, stage.service.token_requests().len()), (0, 1));
    assert_ne!(stdout.trim_end(), login.access.expose());
    assert_eq!(exec(&stage, &["--valid-for", "48h", "--", "true"]).0, 1);
}

#[test]
fn ex_3_command_that_cannot_run_has_codes_of_shell() {
    let (stage, _) = Stage::logged_in(FRESH);
    fs::write(stage.home.path().join("text"), "no program").unwrap();
    let text = stage.home.path().join("text").display().to_string();
    for (command, code) in [("no-such-command", 127), ("/nonexistent/program", 127), (&*text, 126), ("/", 126)] {
        let (seen, stdout, stderr) = exec(&stage, &["--", command]);
        assert_eq!((seen, stdout.as_str()), (code, ""), "{command} {stderr}");
        assert!(stderr.starts_with(&format!("error: could not run {command}\ncause: ")), "{stderr}");
    }
    for arguments in [&[][..], &["--"], &["--env", "A=B", "true"], &["--env", "1", "true"], &["--env=", "true"]] {
        assert_eq!(exec(&stage, arguments).0, 2, "{arguments:?}");
    }
}

#[test]
fn ex_4_other_astro_is_not_started() {
    let (stage, login) = Stage::logged_in(FRESH);
    let folder = stage.home.path().join("bin");
    fs::create_dir(&folder).unwrap();
    let other = folder.join("astro");
    fs::write(&other, "#!/bin/sh\nenv\n").unwrap();
    fs::set_permissions(&other, fs::Permissions::from_mode(0o755)).unwrap();
    let run = |name: &str| {
        let mut command = stage.command(&["auth", "exec", "--", name, "auth", "token"]);
        seen(&command.env("PATH", &folder).output().unwrap())
    };
    for name in ["astro", other.to_str().unwrap()] {
        let (code, stdout, stderr) = run(name);
        assert_eq!((code, stdout.as_str()), (2, ""));
        assert!(stderr.contains("--insecure-storage"), "{stderr}");
    }
    fs::remove_file(&other).unwrap();
    symlink(env!("CARGO_BIN_EXE_astro"), &other).unwrap();
    assert_eq!(run("astro"), (0, format!("{}\n", login.access.expose()), String::new()));
}

#[tokio::test]
async fn login_if_needed_asks_nobody_with_a_token() {
    let (stage, _) = Stage::logged_in(FRESH);
    let mut request = stage.request();
    request.if_needed = true;
    for email in [None, Some("ADA@example.com")] {
        request.email = email.map(|it| it.parse().unwrap());
        let outcome = stage.login(&request).await;
        assert_eq!((outcome.exit_code(), stage.service.requests().len()), (0, 0), "{outcome:?}");
        assert!(outcome.stderr.contains("Already logged in to "), "{outcome:?}");
    }
}

#[tokio::test]
async fn login_if_needed_logs_in_for_other_account_or_none() {
    for (logged_in, email) in [(true, Some("grace@example.com")), (false, None)] {
        let stage = Stage::new();
        if logged_in {
            stage.keep_in_config(&stage.earlier_login(FRESH));
        }
        let request = astro_login::commands::login::Login {
            if_needed: true,
            email: email.map(|it| it.parse().unwrap()),
            ..stage.request()
        };
        let _ = stage.login(&request).await;
        assert_eq!(stage.browser.opened().len(), 1, "{email:?}");
    }
}
