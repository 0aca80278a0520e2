//! Questions in plain lines, for screen readers and for terminals without escape sequences; and lines of stdin. The
//! terminal's own line mode echoes and edits what is typed.

use std::io::{self, Read};
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering;
use std::time::Duration;

use zeroize::Zeroizing;

use super::question::Question;
use super::{Line, MAX_INPUT, Ui, UiError, lock, reader};
use crate::blocking::run_blocking;
use crate::text::clean;

/// The interval at which a wait without a spinner says that it goes on.
const REMINDER: Duration = Duration::from_secs(30);

/// Standard input without a buffer: what is not read is left for the next program.
pub(super) struct Stdin;

impl Read for Stdin {
    #[cfg(unix)]
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(io::stdin(), bytes)?)
    }

    #[cfg(windows)]
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        use std::io::IsTerminal as _;
        use std::os::windows::io::AsHandle as _;

        let stdin = io::stdin();
        // Only the library reads UTF-8 from a console.
        if stdin.is_terminal() {
            return stdin.lock().read(bytes);
        }
        std::fs::File::from(stdin.as_handle().try_clone_to_owned()?).read(bytes)
    }
}

type ReadLine = Result<Option<Line>, UiError>;

/// Lines of stdin. Each is read when it is asked for, and nothing after it.
pub struct InputLines {
    ui: Ui,
    reading: Option<Pin<Box<dyn Future<Output = io::Result<ReadLine>>>>>,
}

impl InputLines {
    /// Returns the next line, or `None` at the end. Cancel safe.
    pub async fn next(&mut self) -> Result<Option<Line>, UiError> {
        loop {
            let ui = self.ui.clone();
            let reading = self.reading.get_or_insert_with(|| Box::pin(run_blocking(move || ui.read_line())));
            let line = reading.await.map_err(UiError::Io)?;
            self.reading = None;
            match line {
                Err(UiError::TooLong) => self.ui.warn_overlong(),
                line => return line,
            }
        }
    }
}

impl Ui {
    pub fn input_lines(&self) -> InputLines {
        InputLines { ui: self.clone(), reading: None }
    }

    /// Says every 30 seconds that a wait goes on, on a terminal without a spinner.
    pub async fn remind(&self) {
        if self.supports_escapes() || !self.can_ask() {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(REMINDER).await;
            self.say("Still waiting…");
        }
    }

    /// Asks in plain lines until one is an answer.
    pub(super) async fn ask_plain<Q: Question>(&self, text: &str, mut question: Q) -> Result<Q::Answer, UiError> {
        if !self.can_ask() {
            return Err(UiError::NoTerminal);
        }
        loop {
            let mut lines = question.plain(text);
            let prompt = lines.pop().unwrap_or_default();
            for line in &lines {
                self.log(line);
            }
            let typed = self.typed_line(&prompt).await?;
            if let Some(answer) = question.enter_plain(&clean(typed.expose(), MAX_INPUT)) {
                return Ok(answer);
            }
        }
    }

    /// Reads a line from the terminal. Ctrl-C and the end of the input are [`UiError::Canceled`].
    async fn typed_line(&self, prompt: &str) -> Result<Line, UiError> {
        // First, so that Ctrl-C never ends the process.
        let mut interrupts = reader::interrupts().map_err(UiError::Io)?;
        let ui = self.clone();
        let mut reading = pin!(run_blocking(move || ui.read_line()));
        let outcome = loop {
            self.log_open(prompt);
            tokio::select! {
                biased;
                Some(()) = interrupts.recv() => {
                    self.0.reading.took_interrupt.store(true, Ordering::Relaxed);
                    break Err(UiError::Canceled);
                }
                line = &mut reading => break line.map_err(UiError::Io)?.and_then(|line| line.ok_or(UiError::Canceled)),
                // Asked again: the shell has written since.
                () = self.0.reading.resumed.notified() => {}
            }
        };
        if outcome.is_err() {
            // Ends the line of the question.
            self.log("");
        }
        reader::discard_input();
        outcome
    }

    /// Reads a line of stdin, byte by byte. Returns `None` at the end.
    #[expect(clippy::unbuffered_bytes, reason = "a buffer would take what follows the line, which belongs to others")]
    fn read_line(&self) -> ReadLine {
        // Never reallocated, which would leave a copy of a secret in memory.
        let mut line = Zeroizing::new(Vec::with_capacity(MAX_INPUT));
        let (mut is_end, mut is_too_long) = (true, false);
        for byte in lock(&self.0.input).as_mut().bytes() {
            is_end = false;
            match byte.map_err(UiError::Io)? {
                b'\n' => break,
                _ if line.len() == MAX_INPUT => is_too_long = true,
                byte => line.push(byte),
            }
        }
        match (is_end, is_too_long) {
            (true, _) => Ok(None),
            (false, true) => Err(UiError::TooLong),
            (false, false) => Ok(Some(Line(Zeroizing::new(String::from_utf8_lossy(&line).into_owned())))),
        }
    }
}

#[cfg(test)]
mod tests;
