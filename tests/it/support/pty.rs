//! A program on a pseudo-terminal: the typed keys, and the output of the terminal.

use std::io::{Read, Write};
use std::num::NonZero;
use std::process::Command;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use expectrl::process::Process;
use expectrl::process::unix::{Signal, WaitStatus};
use expectrl::session::{OsProcess, OsStream};
use rustix::process::{Pid, test_kill_process_group};
use rustix::termios::{LocalModes, tcgetattr};
use url::Url;

const BOUND: Duration = Duration::from_secs(20);

pub(crate) const CTRL_C: &str = "\x03";
pub(crate) const ENTER: &str = "\r";
pub(crate) const DOWN: &str = "\x1b[B";

pub(crate) struct Pty {
    process: OsProcess,
    keyboard: OsStream,
    display: Receiver<Vec<u8>>,
    transcript: Vec<u8>,
    seen: usize,
}

impl Pty {
    /// Starts `program` with these variables and no others; `TERM` is `xterm` unless given.
    pub(crate) fn spawn<'a>(program: &str, args: &[&str], env: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        // The terminal is made without an echo, unlike any that a person types a command into. Linux may throw away what
        // is written right after the signal that Ctrl-C raises; with `noflsh` it doesn't.
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", "stty sane noflsh && exec \"$@\"", "sh", program])
            .args(args)
            .env_clear()
            .env("TERM", "xterm")
            .envs(env);
        let mut process = OsProcess::spawn_command(command).unwrap();
        let keyboard = process.open_stream().unwrap();
        let mut master = process.get_raw_handle().unwrap();
        let (sender, display) = mpsc::channel();
        thread::spawn(move || {
            let mut chunk = [0; 4096];
            let mut ended = false;
            loop {
                match master.read(&mut chunk) {
                    Ok(length @ 1..) if sender.send(chunk[..length].to_vec()).is_ok() => {}
                    // The end, which is an error on Linux. What was written between Linux's look for output and its look
                    // for the end comes with a second reading.
                    Ok(0) | Err(_) if !ended => ended = true,
                    Ok(_) | Err(_) => return,
                }
            }
        });
        Self { process, keyboard, display, transcript: Vec::new(), seen: 0 }
    }

    pub(crate) fn type_keys(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
    }

    /// Pastes `text`, marked as terminals mark it (bracketed paste).
    pub(crate) fn paste(&mut self, text: &str) {
        self.type_keys(&format!("\x1b[200~{text}\x1b[201~"));
    }

    /// Chooses from the menu of this name by typing a part of the entry's.
    #[track_caller]
    pub(crate) fn choose(&mut self, menu: &str, part: &str) {
        self.wait_for(menu);
        self.wait_for("type to filter");
        self.type_keys(part);
        self.wait_for(part);
        self.type_keys(ENTER);
    }

    /// Sends a signal to the program in the foreground, which a shell may have started.
    pub(crate) fn signal_foreground(&mut self, signal: rustix::process::Signal) {
        let group = rustix::termios::tcgetpgrp(&self.keyboard).unwrap();
        rustix::process::kill_process_group(group, signal).unwrap();
    }

    /// Waits until the terminal is in raw mode, with signals as the program sets them after that, or in the usual mode.
    #[track_caller]
    pub(crate) fn wait_for_raw(&self, raw: bool) {
        let deadline = Instant::now() + BOUND;
        let has_signals = || tcgetattr(&self.keyboard).unwrap().local_modes.contains(LocalModes::ISIG);
        while self.is_raw() != raw || !has_signals() {
            assert!(Instant::now() < deadline, "raw mode: {}\n{}", !raw, self.screen());
            thread::yield_now();
        }
    }

    /// Asks the program to end, as a session that ends does.
    pub(crate) fn terminate(&mut self) {
        self.process.signal(Signal::SIGTERM).unwrap();
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
            match self.display.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(chunk) => self.transcript.extend(chunk),
                Err(reason) => panic!("{text:?} did not appear ({reason}) in:\n{}", self.screen()),
            }
        }
    }

    /// The link to the login page, as soon as it is shown.
    #[track_caller]
    pub(crate) fn link(&mut self) -> Url {
        self.wait_for("http://localhost:");
        self.wait_for("\n");
        let shown = self.transcript();
        let link = shown.rfind("http://localhost:").and_then(|start| shown[start..].split(['\r', '\n', '\x1b']).next());
        link.unwrap().parse().unwrap()
    }

    /// Everything shown so far that was read, escape sequences and all.
    pub(crate) fn transcript(&self) -> String {
        String::from_utf8_lossy(&self.transcript).into_owned()
    }

    pub(crate) fn screen(&self) -> String {
        screen(&self.transcript)
    }

    /// Returns true if the terminal is in raw mode, as during a question.
    pub(crate) fn is_raw(&self) -> bool {
        let usual = LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
        !tcgetattr(&self.keyboard).unwrap().local_modes.contains(usual)
    }

    /// The output of [`finish`](Self::finish). Panics unless the exit code is `expected`.
    #[track_caller]
    pub(crate) fn finish_with(self, expected: i32) -> String {
        let (code, shown) = self.finish();
        assert_eq!(code, expected, "{shown}");
        shown
    }

    /// Waits for the program's end, which must leave a usable terminal and no process behind; its exit code and
    /// everything it has shown.
    #[track_caller]
    pub(crate) fn finish(mut self) -> (i32, String) {
        let deadline = Instant::now() + BOUND;
        loop {
            match self.display.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(chunk) => self.transcript.extend(chunk),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end:\n{}", self.screen()),
            }
        }
        let group = Pid::from_raw(self.process.pid().as_raw()).unwrap();
        let code = match self.process.wait() {
            Ok(WaitStatus::Exited(_, code)) => code,
            other => panic!("it ended with {other:?}:\n{}", self.screen()),
        };
        // Other systems reset an unused terminal by themselves.
        #[cfg(target_os = "linux")]
        assert!(!self.is_raw(), "the terminal is left in raw mode:\n{}", self.screen());
        let (shown, hidden) = (self.transcript().rfind("\x1b[?25h"), self.transcript().rfind("\x1b[?25l"));
        assert!(shown >= hidden, "the cursor is left hidden:\n{}", self.transcript());
        assert!(test_kill_process_group(group).is_err(), "a process is left behind");
        (code, self.transcript())
    }
}

/// Returns the screen after `transcript`, on a terminal of 80 columns that never scrolls. Wrapped lines are joined.
pub(crate) fn screen(transcript: impl AsRef<[u8]>) -> String {
    let (rows, columns) = (NonZero::new(200).unwrap(), NonZero::new(80).unwrap());
    let mut terminal = vt100::Parser::new(rows, columns, 0);
    terminal.process(transcript.as_ref());
    let contents = terminal.screen().contents();
    contents.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_end().to_owned()
}
