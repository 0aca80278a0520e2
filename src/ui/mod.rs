//! Terminal output and prompts.
//!
//! Messages for people go to stderr, data for scripts to stdout. Only this module reads stdin. It prompts only on a
//! terminal, keeps messages and spinners apart, and restores the terminal.

mod link;
mod paste;
mod plain;
mod prompt;
mod prose;
mod question;
mod reader;
mod screen;
mod spinner;

use std::io::{self, ErrorKind, IsTerminal as _, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use crossterm::{cursor, event, terminal};
use reader::Reading;
use spinner::Spinners;

pub use anstream::ColorChoice;
pub use link::Clipboard;
pub use paste::{Line, Lines, MAX_INPUT};
pub use plain::InputLines;
pub use prompt::UiError;
pub use screen::has_escapes;
pub use spinner::Spinner;

pub const ERROR: Style = AnsiColor::Red.on_default().bold();
pub const WARNING: Style = AnsiColor::Yellow.on_default().bold();
pub const SUCCESS: Style = AnsiColor::Green.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default();

#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent properties of the streams")]
pub struct Options {
    pub quiet: bool,
    /// `Auto` depends on `NO_COLOR`, `TERM=dumb`, and whether the stream is a terminal.
    pub color: ColorChoice,
    /// Whether stdin and stderr are both terminals, so that prompts work.
    pub terminal: bool,
    /// Whether questions and spinners are drawn with escape sequences. Otherwise they are plain lines.
    pub escapes: bool,
    /// Whether the user may be asked anything but for a secret.
    pub asks: bool,
    pub clipboard: Clipboard,
}

/// The three standard streams. Clones share one terminal.
#[derive(Clone)]
pub struct Ui(Arc<Streams>);

#[expect(clippy::struct_excessive_bools, reason = "independent properties of the streams")]
struct Streams {
    quiet: bool,
    terminal: bool,
    asks: bool,
    color: bool,
    input: Mutex<Box<dyn Read + Send>>,
    out: Mutex<Box<dyn Write + Send>>,
    err: Mutex<Box<dyn Write + Send>>,
    /// `None` if nothing is drawn.
    spinners: Option<Spinners>,
    clipboard: Clipboard,
    reading: Reading,
    is_terminal: IsTerminal,
    wrote_data: AtomicBool,
}

/// The streams that are terminals, so that prose is wrapped.
#[derive(Default)]
struct IsTerminal {
    out: bool,
    err: bool,
}

impl Ui {
    pub fn new(options: Options) -> Self {
        let err = AutoStream::new(io::stderr(), options.color);
        let color = err.current_choice() != ColorChoice::Never;
        Self(Arc::new(Streams {
            quiet: options.quiet,
            terminal: options.terminal,
            asks: options.asks,
            color,
            input: Mutex::new(Box::new(plain::Stdin)),
            out: Mutex::new(Box::new(AutoStream::new(io::stdout(), options.color))),
            err: Mutex::new(Box::new(err)),
            spinners: (options.terminal && options.escapes).then(|| Spinners::new(color)),
            clipboard: options.clipboard,
            reading: Reading::default(),
            is_terminal: IsTerminal { out: io::stdout().is_terminal(), err: io::stderr().is_terminal() },
            wrote_data: AtomicBool::default(),
        }))
    }

    /// Reads `input` as stdin and captures the output, without a terminal.
    pub fn captured(quiet: bool, input: impl Into<Vec<u8>>) -> (Self, Captured) {
        let captured = Captured::default();
        let (out, err): (Box<dyn Write + Send>, Box<dyn Write + Send>) =
            (Box::new(captured.out.clone()), Box::new(captured.err.clone()));
        let ui = Self(Arc::new(Streams {
            quiet,
            terminal: false,
            asks: true,
            color: false,
            input: Mutex::new(Box::new(io::Cursor::new(input.into()))),
            out: Mutex::new(Box::new(AutoStream::never(out))),
            err: Mutex::new(Box::new(AutoStream::never(err))),
            spinners: None,
            clipboard: Clipboard::None,
            reading: Reading::default(),
            is_terminal: IsTerminal::default(),
            wrote_data: AtomicBool::default(),
        }));
        (ui, captured)
    }

    /// Returns true if the user may be asked a question.
    pub fn can_ask(&self) -> bool {
        self.0.terminal && self.0.asks
    }

    /// Returns true if prompts work. Otherwise every prompt fails with [`UiError::NoTerminal`].
    pub fn is_terminal(&self) -> bool {
        self.0.terminal
    }

    /// Writes a line to stdout. A closed pipe is not an error.
    pub fn write_data_ignoring_closed_pipe(&self, line: &str) -> Result<(), UiError> {
        match self.write_data(line) {
            Err(UiError::Io(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            outcome => outcome,
        }
    }

    /// Returns `true` if anything was written to stdout.
    pub fn has_written_data(&self) -> bool {
        self.0.wrote_data.load(Ordering::Relaxed)
    }

    /// Writes a line to stdout. A closed pipe is an error.
    pub fn write_data(&self, line: &str) -> Result<(), UiError> {
        self.0.wrote_data.store(true, Ordering::Relaxed);
        self.suspend_spinners(|| {
            let mut out = lock(&self.0.out);
            let written = writeln!(out, "{line}").and_then(|()| out.flush());
            if self.raw() {
                // In raw mode, a line feed does not return to the first column of the terminal.
                let _ = write!(lock(&self.0.err), "\r");
            }
            written.map_err(UiError::Io)
        })
    }

    pub fn say(&self, text: &str) {
        if !self.0.quiet {
            self.log(&self.wrap(text));
        }
    }

    pub fn success(&self, text: &str) {
        match (self.0.quiet, self.0.terminal) {
            (true, _) => {}
            (false, true) => self.log(&self.labeled(SUCCESS, "✓", text)),
            (false, false) => self.say(text),
        }
    }

    pub fn hint(&self, text: &str) {
        if !self.0.quiet {
            self.log(&self.labeled(HINT, "hint:", text));
        }
    }

    /// Prints a warning, and what the user can do about it.
    pub fn warn(&self, text: &str, hint: &str) {
        let (warning, hint) = (self.labeled(WARNING, "warning:", text), self.labeled(HINT, "hint:", hint));
        self.log(&format!("{warning}\n{hint}"));
    }

    /// Says that the command ends because the user wants it to.
    pub fn canceled(&self) {
        self.log(&format!("{WARNING}warning:{WARNING:#} canceled"));
    }

    /// Prints an error with its causes, outermost first, and a hint, also with `--quiet`.
    pub fn error(&self, message: &str, causes: &[String], hint: Option<&str>) {
        let mut lines = vec![self.labeled(ERROR, "error:", message)];
        lines.extend(causes.iter().map(|cause| self.labeled(ERROR, "cause:", cause)));
        lines.extend(hint.map(|hint| self.labeled(HINT, "hint:", hint)));
        self.log(&lines.join("\n"));
    }

    /// Shows a spinner until it is dropped, except with `--quiet`. If nothing is drawn it is a plain line.
    pub fn spinner(&self, message: &str) -> Spinner {
        match &self.0.spinners {
            Some(spinners) if !self.0.quiet => spinners.start(message),
            _ => {
                self.say(message);
                Spinner::hidden()
            }
        }
    }

    /// Prints to stderr above the spinner, also with `--quiet`: the events of `-v`, and the link of a login. Write errors are
    /// ignored: there is nowhere to report them.
    pub fn log(&self, text: &str) {
        self.suspend_spinners(|| {
            let mut err = lock(&self.0.err);
            let _ =
                if self.raw() { write!(err, "{}\r\n", text.replace('\n', "\r\n")) } else { writeln!(err, "{text}") };
            let _ = err.flush();
        });
    }

    /// Prints text to stderr and leaves its line open.
    fn log_open(&self, text: &str) {
        let mut err = lock(&self.0.err);
        let _ = write!(err, "{text} ").and_then(|()| err.flush());
    }

    fn suspend_spinners<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.0.spinners {
            Some(spinners) => spinners.suspend(write),
            None => write(),
        }
    }

    /// Returns true if questions and spinners are drawn.
    fn supports_escapes(&self) -> bool {
        self.0.spinners.is_some()
    }

    /// Returns true if the terminal is in raw mode, where `\n` does not return to the first column.
    fn raw(&self) -> bool {
        self.0.terminal && terminal::is_raw_mode_enabled().unwrap_or(false)
    }
}

#[derive(Clone, Default)]
pub struct Captured {
    out: Buffer,
    err: Buffer,
}

impl Captured {
    /// Returns everything that was written to stdout.
    pub fn stdout(&self) -> String {
        self.out.text()
    }

    /// Returns everything that was written to stderr, without color.
    pub fn stderr(&self) -> String {
        self.err.text()
    }
}

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&lock(&self.0)).into_owned()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Installs a panic hook that restores the terminal: the release build aborts on a panic, so no destructor runs.
/// `escapes` as in [`Options`].
pub fn restore_terminal_on_panic(escapes: bool) {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        restore_terminal(escapes);
        report(panic);
    }));
}

/// Leaves raw mode and bracketed paste, if the terminal is in raw mode.
fn restore_terminal(escapes: bool) {
    if terminal::is_raw_mode_enabled().unwrap_or(false) {
        if escapes {
            let _ = crossterm::execute!(io::stderr(), event::DisableBracketedPaste, cursor::Show);
        }
        let _ = terminal::disable_raw_mode();
    }
}

/// Locks `mutex`, also after a panic of another thread.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
