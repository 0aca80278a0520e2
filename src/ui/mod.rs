//! What the program says, and what it asks.
//!
//! People's text goes to stderr, data for scripts to stdout, and stdin has one owner: here. Nothing is asked unless a
//! person sits at a terminal; a spinner never tears what is said beside it; the terminal is left as it was found.

mod ask;
mod lines;
mod moving;

use std::fmt::Write as _;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use crossterm::{cursor, event, terminal};
use moving::Stage;

pub use anstream::ColorChoice;
pub use ask::UiError;
pub use lines::{Line, Lines, MAX_INPUT};
pub use moving::Spinner;

/// What went wrong.
pub const ERROR: Style = AnsiColor::Red.on_default().bold();
/// What is not as it should be.
pub const WARNING: Style = AnsiColor::Yellow.on_default().bold();
/// What is done, or well.
pub const SUCCESS: Style = AnsiColor::Green.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default();

/// The terminal's facts and the person's wishes; `main` finds them out.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Say only what went wrong, and what was asked for as data.
    pub quiet: bool,
    /// `Auto` heeds `NO_COLOR`, `TERM=dumb` and whether the stream is a terminal.
    pub color: ColorChoice,
    /// Whether stdin and stderr both are terminals: then, and only then, a person can answer.
    pub terminal: bool,
    /// Whether that terminal does what escape sequences say; a dumb one shows them.
    pub escapes: bool,
}

/// The three standard streams, as everything else here sees them. Clones share one terminal.
#[derive(Clone)]
pub struct Ui(Arc<Streams>);

struct Streams {
    quiet: bool,
    terminal: bool,
    color: bool,
    input: Mutex<Box<dyn Read + Send>>,
    out: Mutex<Box<dyn Write + Send>>,
    err: Mutex<Box<dyn Write + Send>>,
    /// Whatever moves at the bottom of the terminal. Lines are written while it steps aside.
    /// None where the terminal can't move anything, or is none.
    stage: Option<Arc<Stage>>,
}

impl Ui {
    /// On the process's own streams.
    pub fn new(options: Options) -> Self {
        let err = AutoStream::new(io::stderr(), options.color);
        let color = err.current_choice() != ColorChoice::Never;
        Self(Arc::new(Streams {
            quiet: options.quiet,
            terminal: options.terminal,
            color,
            input: Mutex::new(Box::new(io::stdin())),
            out: Mutex::new(Box::new(AutoStream::new(io::stdout(), options.color))),
            err: Mutex::new(Box::new(err)),
            stage: (options.terminal && options.escapes).then(|| Stage::new(color)),
        }))
    }

    /// Without a terminal: reads `input` as stdin, and keeps what it says for whoever holds the [`Captured`].
    pub fn captured(quiet: bool, input: impl Into<Vec<u8>>) -> (Self, Captured) {
        let captured = Captured::default();
        let (out, err): (Box<dyn Write + Send>, Box<dyn Write + Send>) =
            (Box::new(captured.out.clone()), Box::new(captured.err.clone()));
        let ui = Self(Arc::new(Streams {
            quiet,
            terminal: false,
            color: false,
            input: Mutex::new(Box::new(io::Cursor::new(input.into()))),
            out: Mutex::new(Box::new(AutoStream::never(out))),
            err: Mutex::new(Box::new(AutoStream::never(err))),
            stage: None,
        }));
        (ui, captured)
    }

    /// Whether there is a person to ask. Where not, every question ends with [`UiError::NoTerminal`].
    pub fn can_ask(&self) -> bool {
        self.0.terminal
    }

    /// One bare line on stdout, for scripts. That nobody reads any more is no error; that it cannot be written is.
    pub fn data(&self, line: &str) -> Result<(), UiError> {
        match self.hand_over(line) {
            Err(UiError::Io(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            outcome => outcome,
        }
    }

    /// One bare line on stdout that was the whole point of the command: that nobody reads it is an error too.
    pub fn hand_over(&self, line: &str) -> Result<(), UiError> {
        self.beside_moving(|| {
            let mut out = lock(&self.0.out);
            let written = writeln!(out, "{line}").and_then(|()| out.flush());
            if self.raw() {
                // stdout may be the same terminal, where a line feed alone doesn't return to the first column.
                let _ = write!(lock(&self.0.err), "\r");
            }
            written.map_err(UiError::Io)
        })
    }

    /// A line for people; nothing with `--quiet`.
    pub fn say(&self, text: &str) {
        if !self.0.quiet {
            self.line(text);
        }
    }

    /// A line about something done; nothing with `--quiet`.
    pub fn success(&self, text: &str) {
        if self.0.terminal {
            self.say(&format!("{SUCCESS}✓{SUCCESS:#} {text}"));
        } else {
            self.say(text);
        }
    }

    /// What to do next; nothing with `--quiet`.
    pub fn hint(&self, text: &str) {
        self.say(&format!("{HINT}hint:{HINT:#} {text}"));
    }

    /// Something is not as it should be, and the work goes on. Shown with `--quiet` too.
    pub fn warn(&self, text: &str) {
        self.line(&format!("{WARNING}warning:{WARNING:#} {text}"));
    }

    /// A line that is shown whatever `--quiet` says: what `-v` tells, and the link that nobody can do without.
    pub fn log(&self, text: &str) {
        self.line(text);
    }

    /// What happened, why (outermost cause first), and what to do next. Shown with `--quiet` too.
    pub fn error(&self, message: &str, causes: &[String], hint: Option<&str>) {
        let mut text = format!("{ERROR}error:{ERROR:#} {message}");
        for cause in causes {
            let _ = write!(text, "\n{ERROR}cause:{ERROR:#} {cause}");
        }
        if let Some(hint) = hint {
            let _ = write!(text, "\n{HINT}hint:{HINT:#} {hint}");
        }
        self.line(&text);
    }

    /// Says that something takes its time, for as long as the answer lives. Without a terminal it is one plain line.
    pub fn spinner(&self, message: &str) -> Spinner {
        if self.0.quiet { Spinner::hidden() } else { self.moving_line(message) }
    }

    /// A moving line where the terminal can move one (a dumb one can't), else a plain line.
    fn moving_line(&self, message: &str) -> Spinner {
        if let Some(stage) = &self.0.stage {
            stage.start(message)
        } else {
            self.line(message);
            Spinner::hidden()
        }
    }

    /// People's text, above whatever moves. That stderr cannot be written is nothing anyone could be told.
    fn line(&self, text: &str) {
        self.beside_moving(|| {
            let mut err = lock(&self.0.err);
            let _ =
                if self.raw() { write!(err, "{}\r\n", text.replace('\n', "\r\n")) } else { writeln!(err, "{text}") };
            let _ = err.flush();
        });
    }

    /// Does `write` while whatever moves has stepped aside.
    fn beside_moving<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.0.stage {
            Some(stage) => stage.beside(write),
            None => write(),
        }
    }

    /// Whether stderr is a terminal that does what escape sequences say.
    fn takes_escapes(&self) -> bool {
        self.0.stage.is_some()
    }

    /// Whether the terminal takes `\n` as it stands, without going back to the first column.
    fn raw(&self) -> bool {
        self.0.terminal && terminal::is_raw_mode_enabled().unwrap_or(false)
    }
}

/// What a [`Ui::captured`] has said so far.
#[derive(Clone, Default)]
pub struct Captured {
    out: Buffer,
    err: Buffer,
}

impl Captured {
    /// Everything written as data.
    pub fn stdout(&self) -> String {
        self.out.text()
    }

    /// Everything said to people, without colour.
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

/// Makes a panic leave a usable terminal behind, then reports it as before. `main` calls this once: the release build
/// aborts on a panic, so no destructor would. `escapes` as in [`Options`].
pub fn restore_terminal_on_panic(escapes: bool) {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        restore_terminal(escapes);
        report(panic);
    }));
}

/// Undoes what a question or [`Lines`] does to the terminal; nothing where nothing was done.
fn restore_terminal(escapes: bool) {
    if terminal::is_raw_mode_enabled().unwrap_or(false) {
        if escapes {
            let _ = crossterm::execute!(io::stderr(), event::DisableBracketedPaste, cursor::Show);
        }
        let _ = terminal::disable_raw_mode();
    }
}

/// A panic elsewhere leaves streams as usable as before.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_said(quiet: bool) -> (String, String) {
        let (ui, captured) = Ui::captured(quiet, "");
        ui.data("https://link").unwrap();
        ui.say("Welcome");
        ui.success("Signed in");
        ui.hint("try `astro login`");
        ui.warn("the port is taken");
        ui.error("could not sign in", &["no reply".into(), "timed out".into()], Some("try again"));
        let spinner = ui.spinner("Waiting");
        spinner.set_message("Still waiting");
        (captured.stdout(), captured.stderr())
    }

    #[test]
    fn messages_on_stderr_data_on_stdout() {
        let (out, err) = all_said(false);
        assert_eq!(out, "https://link\n");
        assert_eq!(
            err,
            "Welcome\nSigned in\nhint: try `astro login`\nwarning: the port is taken\n\
             error: could not sign in\ncause: no reply\ncause: timed out\nhint: try again\nWaiting\n"
        );
    }

    #[test]
    fn quiet_keeps_data_warnings_and_errors() {
        let (out, err) = all_said(true);
        assert_eq!(out, "https://link\n");
        assert_eq!(
            err,
            "warning: the port is taken\nerror: could not sign in\ncause: no reply\ncause: timed out\nhint: try again\n"
        );
    }

    struct Failing(ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn closed_stdout_is_no_error_failed_write_is() {
        let (ui, _) = Ui::captured(false, "");
        *lock(&ui.0.out) = Box::new(Failing(ErrorKind::BrokenPipe));
        assert!(ui.data("x").is_ok());
        assert!(matches!(ui.hand_over("x"), Err(UiError::Io(error)) if error.kind() == ErrorKind::BrokenPipe));
        *lock(&ui.0.out) = Box::new(Failing(ErrorKind::StorageFull));
        assert!(matches!(ui.data("x"), Err(UiError::Io(error)) if error.kind() == ErrorKind::StorageFull));
    }

    #[test]
    fn ui_is_shared_between_threads() {
        fn shared<T: Clone + Send + Sync + 'static>() {}
        shared::<Ui>();
    }
}
