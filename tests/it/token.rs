//! `astro auth token` as a process: its output for scripts, and concurrent runs.

use std::fs::OpenOptions;
use std::process::{Command, Output, Stdio};

use astro_login::credentials::Credentials;
use astro_login::token::RefreshToken;

use crate::support::pty::Pty;
use crate::support::{Fault, Stage};

const TOKEN: &str = "/oauth/token";
const ENDED: i64 = -3600;
const ENDS_SOON: i64 = 200;
const FRESH: i64 = 3600;

fn auth_token(stage: &Stage) -> Command {
    let mut command = stage.command(&["auth", "token"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn seen(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn run(command: &mut Command) -> (i32, String, String) {
    seen(command.output().unwrap())
}

fn printed(credentials: &Credentials) -> (i32, String, String) {
    (0, format!("{}\n", credentials.access.expose()), String::new())
}

/// The lines of config.yaml that differ from `before`, without what stands behind their keys.
fn changed(stage: &Stage, before: &str) -> Vec<String> {
    let after = stage.home.config().unwrap();
    assert_eq!(after.lines().count(), before.lines().count());
    let pairs = before.lines().zip(after.lines()).filter(|(before, after)| before != after);
    pairs.map(|(_, after)| after.split_once(": ").unwrap().0.to_owned()).collect()
}

#[test]
fn fresh_token_printed_without_request() {
    let (stage, old) = Stage::logged_in(FRESH);
    let before = stage.home.config();
    assert_eq!(run(&mut auth_token(&stage)), printed(&old));
    assert_eq!((stage.service.requests(), stage.home.config()), (vec![], before));
}

#[test]
fn ctrl_c_ends_refresh_before_request() {
    let (stage, _) = Stage::logged_in(ENDED);
    let keys = "/.well-known/jwks.json";
    stage.service.fail(keys, Fault::Stall);
    let mut running = auth_token(&stage).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    stage.service.wait_for(keys, 1);
    let kill = format!("kill -INT {}", running.id());
    assert!(Command::new("/bin/sh").args(["-c", &kill]).status().unwrap().success());
    assert_eq!(running.wait().unwrap().code(), Some(130));
    assert_eq!(stage.service.token_requests(), []);
}

#[test]
fn go_cli_login_is_refreshed_in_place() {
    for seconds in [ENDS_SOON, ENDED] {
        let (stage, old) = Stage::logged_in(seconds);
        let before = stage.home.config().unwrap();
        let (code, stdout, stderr) = run(&mut auth_token(&stage));
        assert_eq!((code, stderr.as_str()), (0, ""));
        let token = stdout.strip_suffix('\n').unwrap();
        assert_ne!(token, old.access.expose());
        assert_eq!(changed(&stage, &before), ["        expiresin", "        refreshtoken", "        token"]);
        let after = stage.home.config().unwrap();
        let [refresh] = stage.service.live_refresh_tokens().try_into().unwrap();
        assert!(after.contains(&format!("\n        token: Bearer {token}\n")), "{after}");
        assert!(after.contains(&format!("\n        refreshtoken: {refresh}\n")), "{after}");
        let expires = after.lines().find_map(|line| line.strip_prefix("        expiresin: ")).unwrap();
        let end = astro_login::jwt::Unverified::parse(token).unwrap().expires_at().unwrap();
        assert_eq!(expires, end.to_string());
        assert_eq!(
            (run(&mut auth_token(&stage)), stage.service.token_requests().len()),
            ((0, stdout, String::new()), 1)
        );
    }
}

#[test]
fn rf_3_fifty_processes_refresh_once() {
    let (stage, old) = Stage::logged_in(ENDED);
    let running: Vec<_> = (0..50).map(|_| auth_token(&stage).spawn().unwrap()).collect();
    let mut seen: Vec<_> = running.into_iter().map(|child| self::seen(child.wait_with_output().unwrap())).collect();
    seen.dedup();
    let [(0, stdout, stderr)] = seen.as_slice() else { panic!("{seen:?}") };
    assert_eq!(stderr, "");
    assert_ne!(stdout.trim_end(), old.access.expose());
    assert!(stage.home.config().unwrap().contains(&format!("token: Bearer {stdout}")));
    assert_eq!((stage.service.token_requests().len(), stage.service.replays()), (1, 0));
}

#[test]
fn rf_2_rotated_refresh_token_stored_before_print() {
    let (stage, _) = Stage::logged_in(ENDED);
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (code, _, stderr) = run(auth_token(&stage).stdout(full));
    assert_eq!(code, 1, "{stderr}");
    let [refresh] = stage.service.live_refresh_tokens().try_into().unwrap();
    assert!(stage.home.config().unwrap().contains(&format!("refreshtoken: {refresh}\n")));
}

#[test]
fn closed_stdout_fails_auth_token() {
    let (stage, _) = Stage::logged_in(FRESH);
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (code, _, stderr) = run(auth_token(&stage).stdout(full));
    assert_eq!(code, 1, "{stderr}");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let (code, _, stderr) = run(auth_token(&stage).stdout(writer));
    assert_eq!(code, 1, "{stderr}");
}

/// The Go CLI takes no lock of ours. What it writes while we ask the issuer is newer than what we get.
#[test]
fn rf_6_concurrent_go_cli_login_is_kept() {
    for revoked in [false, true] {
        let (stage, old) = Stage::logged_in(ENDED);
        let other = stage.earlier_login(FRESH);
        if revoked {
            stage.keep_in_config(&Credentials { refresh: Some(RefreshToken::new("v1.revoked")), ..old });
        }
        stage.service.fail(TOKEN, Fault::Hold);
        let child = auth_token(&stage).spawn().unwrap();
        stage.service.wait_for(TOKEN, 1);
        stage.keep_in_config(&other);
        let before = stage.home.config();
        stage.service.repair(TOKEN);
        assert_eq!(seen(child.wait_with_output().unwrap()), printed(&other), "revoked: {revoked}");
        assert_eq!((stage.home.config(), stage.service.token_requests().len()), (before, 1), "revoked: {revoked}");
    }
}

#[test]
fn rf_6_ended_login_hints_at_login_without_browser() {
    let (stage, old) = Stage::logged_in(ENDED);
    stage.keep_in_config(&Credentials { refresh: Some(RefreshToken::new("v1.revoked")), ..old });
    let before = stage.home.config().unwrap();
    let (code, stdout, stderr) = run(&mut auth_token(&stage));
    let domain = stage.service.domain();
    let error_chain = format!(
        "error: your login to {domain} has expired or was revoked\ncause: the issuer refused the request: unknown or invalid refresh \
         token (invalid_grant)\nhint: run `astro login {domain}`\n"
    );
    assert_eq!((code, stdout.as_str(), stderr), (4, "", error_chain));
    let after = before.replace("        refreshtoken: v1.revoked\n", "");
    assert_eq!(stage.home.config(), Some(after));
    assert_eq!(run(&mut auth_token(&stage)).0, 4);
    assert_eq!(stage.service.token_requests().len(), 1);
    assert!(!stage.home.path().join("opened").exists());
}

#[test]
fn auth_token_at_terminal_never_prompts() {
    for seconds in [FRESH, ENDED] {
        let (stage, old) = Stage::logged_in(seconds);
        stage.keep_in_config(&Credentials { refresh: None, ..old.clone() });
        let home = stage.home.path().to_str().unwrap();
        let environment = [("HOME", home), ("ASTRO_HOME", home), ("BROWSER", "touch opened"), ("NO_COLOR", "1")];
        let (code, screen) = Pty::spawn(env!("CARGO_BIN_EXE_astro"), &["auth", "token"], environment).finish();
        if seconds == FRESH {
            assert_eq!((code, screen), (0, format!("{}\r\n", old.access.expose())));
        } else {
            let domain = stage.service.domain();
            assert_eq!(code, 4);
            assert!(screen.starts_with(&format!("error: your login to {domain} expired on ")), "{screen}");
            assert!(screen.ends_with(&format!("hint: run `astro login {domain}`\r\n")), "{screen}");
        }
        assert!(!stage.home.path().join("opened").exists());
        assert_eq!(stage.service.requests(), []);
    }
}

/// Runs a browser login, then every command as a process.
#[test]
fn plaintext_login_serves_scripts_across_refresh() {
    let stage = Stage::new();
    // Such a token expires soon, so every call refreshes it.
    stage.service.set(|options| options.token_lifetime = ENDS_SOON);
    let domain = stage.service.domain();
    let arguments = ["login", &domain, "--insecure-storage", "--login-link", "--organization", "Compilers"];
    let child = stage.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap();
    let mut link = String::new();
    let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut stdout, &mut link).unwrap();
    stage.browser.visit(&link.trim_end().parse().unwrap());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let tokens: Vec<_> = (0..3).map(|_| run(&mut auth_token(&stage))).collect();
    assert!(
        tokens.iter().all(|(code, token, stderr)| (*code, stderr.as_str()) == (0, "") && token.len() > 100),
        "{tokens:?}"
    );
    assert!(tokens[0] != tokens[1] && tokens[1] != tokens[2]);
    assert_eq!((stage.service.token_requests().len(), stage.service.replays()), (4, 0));
}
