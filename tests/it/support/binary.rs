//! The built binary, in a controlled environment.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::iter;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use astro_login::cli;

use crate::support::TestHome;

pub const BINARY: &str = env!("CARGO_BIN_EXE_astro");

const BOUND: Duration = Duration::from_secs(60);

#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub struct Output {
    pub stdout: String,
    pub stderr: String,
    /// None where a signal ended it.
    pub code: Option<i32>,
}

/// The binary with no more environment than it is given.
pub struct Astro {
    environment: Vec<(OsString, OsString)>,
    stdin: Option<Vec<u8>>,
    stdout: Option<Stdio>,
    words: Vec<OsString>,
}

impl Astro {
    /// With `home` as its home directory, 80 columns, universal time, no keychain, and no way to anything of this machine.
    pub fn at(home: &TestHome) -> Self {
        let astro = Self { environment: Vec::new(), stdin: None, stdout: None, words: vec![BINARY.into()] };
        let no_bus = format!("unix:path={}", home.path().join("no-bus").display());
        let home = home.path().to_str().unwrap();
        astro
            .with("HOME", home)
            .with("ASTRO_HOME", home)
            .with("COLUMNS", "80")
            .with("TZ", "UTC")
            .with("DBUS_SESSION_BUS_ADDRESS", &no_bus)
            .inherit("SystemRoot")
    }

    pub fn with(self, name: &str, value: &str) -> Self {
        let mut astro = self.without(name);
        astro.environment.push((name.into(), value.into()));
        astro
    }

    pub fn without(mut self, name: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self
    }

    /// Gives it this on stdin; without, stdin is empty.
    pub fn stdin(mut self, text: impl AsRef<[u8]>) -> Self {
        self.stdin = Some(text.as_ref().to_owned());
        self
    }

    /// Connects stdout to something else, so that the output has none.
    pub fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.stdout = Some(stdout.into());
        self
    }

    /// Starts it by another program, which gets these arguments and the whole command line after them.
    pub fn through(mut self, words: &[&str]) -> Self {
        self.words.splice(0..0, words.iter().map(OsString::from));
        self
    }

    /// Takes this file for the program: a copy of it, in another place.
    pub fn copied_to(mut self, binary: &Path) -> Self {
        self.words.pop();
        self.words.push(binary.into());
        self
    }

    pub fn run(self, arguments: &[&str]) -> Output {
        self.start(arguments).finish()
    }

    pub fn start(self, arguments: &[&str]) -> Running {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]).args(arguments).env_clear().envs(self.environment);
        command.stdin(if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(self.stdout.unwrap_or_else(Stdio::piped)).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        if let (Some(mut pipe), Some(text)) = (child.stdin.take(), self.stdin) {
            // The program may end without reading.
            thread::spawn(move || drop(pipe.write_all(&text)));
        }
        let stdout = child.stdout.take().map(Lines::of);
        let stderr = child.stderr.take().map(Lines::of);
        Running { child, stdout, stderr }
    }

    /// Windows can't open a socket without it.
    #[expect(clippy::disallowed_methods, reason = "the rest of the environment stays outside")]
    fn inherit(self, name: &str) -> Self {
        match std::env::var(name) {
            Ok(value) => self.with(name, &value),
            Err(_) => self,
        }
    }
}

/// The running binary; killed when dropped.
pub struct Running {
    child: Child,
    stdout: Option<Lines>,
    stderr: Option<Lines>,
}

impl Running {
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line on stdout, without its end.
    #[track_caller]
    pub fn line(&mut self) -> String {
        let line = self.stdout.as_mut().and_then(|stdout| stdout.next(Instant::now() + BOUND));
        let Some(line) = line else { panic!("no line came; stderr: {}", self.stderr_so_far()) };
        line.trim_end().to_owned()
    }

    /// Waits for a line on stderr that holds this; the line.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) -> String {
        let deadline = Instant::now() + BOUND;
        let found =
            self.stderr.as_mut().and_then(|it| iter::from_fn(|| it.next(deadline)).find(|it| it.contains(text)));
        found.unwrap_or_else(|| panic!("`{text}` did not come"))
    }

    /// Waits for its end. What was read from stdout before is part of the output.
    #[track_caller]
    pub fn finish(mut self) -> Output {
        let deadline = Instant::now() + BOUND;
        let stdout = self.stdout.take().map(|stdout| stdout.rest(deadline)).unwrap_or_default();
        let stderr = self.stderr.take().map(|stderr| stderr.rest(deadline)).unwrap_or_default();
        assert!(Instant::now() < deadline, "it does not end:\n{stdout}\n{stderr}");
        Output { stdout, stderr, code: self.child.wait().unwrap().code() }
    }

    fn stderr_so_far(&mut self) -> String {
        self.stderr.take().map(|stderr| stderr.rest(Instant::now())).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A stream of the child, read on a thread so that waiting for it can end.
struct Lines {
    coming: Receiver<String>,
    read: String,
}

impl Lines {
    fn of(stream: impl Read + Send + 'static) -> Self {
        let (sender, coming) = mpsc::channel();
        thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while let Ok(1..) = stream.read_until(b'\n', &mut line) {
                if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    return;
                }
                line.clear();
            }
        });
        Self { coming, read: String::new() }
    }

    fn next(&mut self, deadline: Instant) -> Option<String> {
        let line = self.coming.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()?;
        self.read.push_str(&line);
        Some(line)
    }

    fn rest(mut self, deadline: Instant) -> String {
        while self.next(deadline).is_some() {}
        self.read
    }
}

/// The words of every command that is not `help`, those of `astro` itself first.
pub fn commands() -> Vec<Vec<String>> {
    fn below(command: &clap::Command, words: &[String], found: &mut Vec<Vec<String>>) {
        found.push(words.to_vec());
        for command in command.get_subcommands() {
            below(command, &[words, &[command.get_name().to_owned()]].concat(), found);
        }
    }
    let mut found = Vec::new();
    below(&cli::command(), &[], &mut found);
    found
}

/// The first piece of `secret`, eight characters long, that `text` holds.
pub fn leaked<'a>(text: &str, secret: &'a str) -> Option<&'a str> {
    assert!(secret.is_ascii() && secret.len() >= 8);
    (0..=secret.len() - 8).map(|start| &secret[start..start + 8]).find(|piece| text.contains(piece))
}
