//! A program on a pseudo-terminal of its own: what a person types, and everything that the terminal shows.

use std::io::{Read, Write};
use std::process::Command;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use expectrl::process::Process;
use expectrl::process::unix::WaitStatus;
use expectrl::session::{OsProcess, OsStream};

/// What a test waits at most for one thing to happen.
const BOUND: Duration = Duration::from_secs(20);

/// Ctrl-C, as the keyboard sends it.
pub(crate) const CTRL_C: &str = "\x03";
/// Enter, as the keyboard sends it.
pub(crate) const ENTER: &str = "\r";

/// A running program, 80 columns wide and 24 rows high; killed when dropped.
pub(crate) struct Pty {
    process: OsProcess,
    keyboard: OsStream,
    screen: Receiver<Vec<u8>>,
    transcript: Vec<u8>,
    seen: usize,
}

impl Pty {
    /// Starts `program` with these variables and no others; `TERM` is `xterm` unless given.
    pub(crate) fn spawn<'a>(program: &str, args: &[&str], env: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut command = Command::new(program);
        command.args(args).env_clear().env("TERM", "xterm").envs(env);
        let mut process = OsProcess::spawn_command(command).unwrap();
        let keyboard = process.open_stream().unwrap();
        let mut display = process.get_raw_handle().unwrap();
        let (sender, screen) = mpsc::channel();
        thread::spawn(move || {
            let mut chunk = [0; 4096];
            // The end of a pseudo-terminal is an error on Linux.
            while let Ok(length @ 1..) = display.read(&mut chunk) {
                if sender.send(chunk[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { process, keyboard, screen, transcript: Vec::new(), seen: 0 }
    }

    /// Types `keys`, as they are.
    pub(crate) fn type_keys(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
    }

    /// Pastes `text`, marked as terminals mark it (bracketed paste).
    pub(crate) fn paste(&mut self, text: &str) {
        self.type_keys(&format!("\x1b[200~{text}\x1b[201~"));
    }

    /// Waits until `text` is shown after what was waited for before.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) {
        let deadline = Instant::now() + BOUND;
        loop {
            let new = &self.transcript[self.seen..];
            if let Some(at) = new.windows(text.len()).position(|window| window == text.as_bytes()) {
                self.seen += at + text.len();
                return;
            }
            match self.screen.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(chunk) => self.transcript.extend(chunk),
                Err(reason) => panic!("{text:?} did not appear ({reason}) in:\n{}", self.transcript()),
            }
        }
    }

    /// Everything shown so far that was read, escape sequences and all.
    pub(crate) fn transcript(&self) -> String {
        String::from_utf8_lossy(&self.transcript).into_owned()
    }

    /// Waits for the program's end; its exit code and everything it has shown.
    #[track_caller]
    pub(crate) fn finish(mut self) -> (i32, String) {
        let deadline = Instant::now() + BOUND;
        loop {
            match self.screen.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(chunk) => self.transcript.extend(chunk),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end:\n{}", self.transcript()),
            }
        }
        match self.process.wait() {
            Ok(WaitStatus::Exited(_, code)) => (code, self.transcript()),
            other => panic!("it ended with {other:?}:\n{}", self.transcript()),
        }
    }
}
