//! `astro login --login-link --paste-stdin`: a URL for a login without a terminal.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use astro_login::ui::MAX_INPUT;
use url::Url;

use crate::support::{FakeBrowser, Mode, Options, Stage};

const EMAIL: &str = "ada@example.com";

struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Running {
    /// Starts a shell with `$1` as the command of a login.
    fn start(stage: &Stage, script: &str, flags: &str) -> Self {
        let login = format!("login {} --insecure-storage --login-link {flags}", stage.service.domain());
        let like = stage.command(&[]);
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script, "sh"]).arg(like.get_program()).args(login.split_whitespace());
        command.env_clear().envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, stdin, stdout }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn write(&mut self, text: &str) {
        self.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// The exit code, the rest of stdout, and stderr.
    fn end(mut self) -> (Option<i32>, String, String) {
        drop(self.stdin.take());
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.stdout.read_to_string(&mut stdout).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        (self.child.wait().unwrap().code(), stdout, stderr)
    }
}

fn stage() -> Stage {
    Stage::with(Options::default().organizations(1, 1), Mode::NeverComeBack)
}

/// Logs in on another machine and returns the URL of the last page there.
fn last_page(link: &str) -> Url {
    let browser = FakeBrowser::new(Mode::StopAtRedirect(EMAIL.to_owned()));
    browser.visit(&link.parse().unwrap());
    browser.redirect().unwrap()
}

#[test]
fn lb_27_pasting_to_stdin_leaves_what_follows() {
    let stage = stage();
    let script = "while read -r job; do echo \"job $job\"; [ \"$job\" = first ] && \"$@\"; done; echo end";
    let mut running = Running::start(&stage, script, "--paste-stdin");
    running.write("first\n");
    assert_eq!(running.line(), "job first");
    let link = running.line();
    let url = last_page(&link);
    let (start, end) = url.as_str().split_at(80);
    let other = url.as_str().replace("state=", "state=x");
    running.write(&format!("hello\n\n{other}\n{}\n{start}\n{end}\nsecond\nthird", "x".repeat(MAX_INPUT + 1)));
    let (code, stdout, stderr) = running.end();
    assert_eq!((code, stdout.as_str()), (Some(0), "job second\nend\n"), "{stderr}");
    for (text, times) in [
        ("warning: this is not the callback URL", 1),
        ("warning: this URL is from a different login attempt", 1),
        ("warning: input of more than 64 KiB was dropped", 1),
        ("Copy its URL from the address bar and write it to standard input.", 1),
        ("Logged in to", 1),
        ("here", 0),
    ] {
        assert_eq!(stderr.matches(text).count(), times, "{text}: {stderr}");
    }
    let code = url.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    assert!(!stderr.contains(&code), "{stderr}");
    assert_eq!(stage.service.token_requests().len(), 1);
}

#[test]
fn end_of_stdin_ends_pasting_but_not_wait() {
    let stage = stage();
    let mut running = Running::start(&stage, "\"$@\" </dev/null", "--paste-stdin");
    let link = running.line();
    drop(running.stdin.take());
    FakeBrowser::new(Mode::LogIn(EMAIL.to_owned())).visit(&link.parse().unwrap());
    let (code, _, stderr) = running.end();
    assert_eq!(code, Some(0), "{stderr}");
}

#[test]
fn words_name_only_what_reads_a_url() {
    for (flags, hint) in [
        ("", "hint: run this again, and allow more time with `--timeout`"),
        (
            "--paste-stdin",
            "hint: if the last page did not load, run this again, copy its URL and write it to standard input",
        ),
    ] {
        let stage = stage();
        let mut running = Running::start(&stage, "exec \"$@\"", &format!("{flags} --timeout 1"));
        running.line();
        let (code, _, stderr) = running.end();
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains(hint), "{stderr}");
        assert!(!stderr.contains("paste"), "{stderr}");
    }
}

#[test]
fn paste_stdin_needs_link_and_no_token() {
    for flags in [&["--paste-stdin"][..], &["--paste-stdin", "--login-link", "--token-login", "-"]] {
        let output = stage().command(&[&["login"], flags].concat()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
}
