//! The demo without a terminal, from start to end.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::{FakeBrowser, Mode};
use url::Url;

/// Ended when dropped, so that a failing test leaves no process behind.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn demo() -> PathBuf {
    let debug = Path::new(env!("CARGO_BIN_EXE_astro")).parent().unwrap();
    let demo = debug.join("examples").join(format!("demo{}", std::env::consts::EXE_SUFFIX));
    assert!(demo.exists(), "without the whole test suite, `cargo build --example demo` first");
    demo
}

/// Starts the demo with all writable folders in `folder` and without access to a keychain.
fn start(folder: &Path, flags: &[&str]) -> Running {
    let mut command = Command::new(demo());
    command.args(flags).arg("--timeout=20");
    command.envs(["HOME", "TMPDIR", "TMP", "TEMP"].map(|name| (name, folder)));
    command.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent").env("ASTRO_DOMAIN", "not-heeded.example");
    command.env_remove("CLICOLOR_FORCE");
    Running(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
}

fn entries(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn demo_logs_in_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = start(folder.path(), &["--login-link", "--organization=Compilers"]);
    let mut link = String::new();
    BufReader::new(demo.0.stdout.take().unwrap()).read_line(&mut link).unwrap();
    let link = Url::parse(&link).expect("the first line on stdout is the link");
    assert_eq!(entries(folder.path()).len(), 1, "its temporary home is here");

    let browser = FakeBrowser::new(Mode::LogIn("someone@example.net".to_owned()));
    browser.visit(&link);
    let answers = browser.answers();
    assert_eq!(answers.iter().map(|page| page.as_ref().unwrap().status).collect::<Vec<_>>(), [200]);
    let mut told = String::new();
    demo.0.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(demo.0.wait().unwrap().code(), Some(0), "{told}");

    let port = link.port().unwrap();
    let told = told.replace(&format!("localhost:{port}"), "localhost:PORT");
    assert!(told.contains("\ndemo │ $ astro login localhost:PORT --insecure-storage --login-link"), "{told}");
    assert!(told.contains("\nLogged in to localhost:PORT as Someone <someone@example.net>\n"), "{told}");
    let written = told.split_once("\ndemo │ Saved (tokens").unwrap().1;
    assert!(written.contains("\ndemo │           user_email: someone@example.net\n"), "{told}");
    assert!(written.contains("\ndemo │           token: Bearer eyJhbGciOiJSUzI1N…\n"), "{told}");
    assert_eq!(entries(folder.path()), Vec::<String>::new(), "nothing is left behind");
    assert!(TcpStream::connect(("localhost", port)).is_err(), "nobody serves any more");
}

#[cfg(unix)]
#[test]
fn demo_leaves_nothing_after_any_signal() {
    use rustix::process::{Pid, Signal, kill_process};

    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let folder = tempfile::tempdir().unwrap();
        let mut demo = start(folder.path(), &["--login-link"]);
        BufReader::new(demo.0.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
        assert_eq!(entries(folder.path()).len(), 1, "its temporary home is here");
        drop(demo.0.stderr.take());
        kill_process(Pid::from_child(&demo.0), signal).unwrap();
        assert_eq!(demo.0.wait().unwrap().code(), Some(130), "{signal:?}");
        assert_eq!(entries(folder.path()), Vec::<String>::new(), "{signal:?}");
    }
}
