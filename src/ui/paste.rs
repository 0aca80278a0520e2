//! Lines that are typed or pasted while a spinner runs. Input is counted, not shown: a pasted URL holds an
//! authorization code, which must not stay in the scrollback.

use std::fmt;
use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as std_mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::terminal;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::{Spinner, Ui, UiError, lock, restore_terminal};

/// The longest accepted input, in bytes.
pub const MAX_INPUT: usize = 64 * 1024;

/// The interval at which the reader checks its stop flag.
const POLL: Duration = Duration::from_millis(50);
/// The longest wait for the reader's end. Half an escape sequence could block it for longer.
const JOIN: Duration = Duration::from_secs(1);
/// The time to look for input to discard. With zero, crossterm does not look at all.
const DRAIN: Duration = Duration::from_millis(1);
/// `AltGr`, as Windows reports it.
const ALT_GR: KeyModifiers = KeyModifiers::CONTROL.union(KeyModifiers::ALT);

/// A typed or pasted line, or the whole of stdin. May hold a secret: wiped when dropped, redacted in `Debug`.
pub struct Line(Zeroizing<String>);

impl Line {
    pub(super) fn new(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    /// Returns the text without its final newline.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Line(redacted)")
    }
}

/// A stream of lines from the terminal, with a spinner.
///
/// The terminal is in raw mode until this is dropped, so Ctrl-C arrives as [`UiError::Canceled`]. Dropping it ends the
/// reading thread, restores the terminal and discards pending input.
pub struct Lines {
    received: mpsc::UnboundedReceiver<Result<Line, UiError>>,
    stop: Arc<AtomicBool>,
    ended: std_mpsc::Receiver<()>,
    escapes: bool,
    // The last field, so that it is dropped after raw mode has ended.
    _progress: Arc<Progress>,
}

/// The spinner's line: the message, or how many characters have been entered.
struct Progress {
    spinner: Spinner,
    state: Mutex<ProgressState>,
}

struct ProgressState {
    message: String,
    characters: usize,
}

impl Progress {
    fn set_characters(&self, characters: usize) {
        self.update(|state| state.characters = characters);
    }

    fn update(&self, update: impl FnOnce(&mut ProgressState)) {
        let mut state = lock(&self.state);
        update(&mut state);
        match state.characters {
            0 => self.spinner.set_message(&state.message),
            1 => self.spinner.set_message("1 character pasted; press Enter to submit"),
            n => self.spinner.set_message(&format!("{n} characters pasted; press Enter to submit")),
        }
    }
}

impl Ui {
    /// Starts to read lines, with `message` beside the spinner. No other prompt may start before the result is dropped.
    pub fn lines(&self, message: &str) -> Result<Lines, UiError> {
        if !self.can_ask() {
            return Err(UiError::NoTerminal);
        }
        terminal::enable_raw_mode().map_err(UiError::Io)?;
        // Without bracketed paste, a paste arrives as if typed.
        if self.supports_escapes() {
            let _ = crossterm::execute!(io::stderr(), event::EnableBracketedPaste);
        }

        let state = Mutex::new(ProgressState { message: message.to_owned(), characters: 0 });
        let progress = Arc::new(Progress { spinner: self.spinner_even_if_quiet(message), state });
        let (sender, received) = mpsc::unbounded_channel();
        let (end, ended) = std_mpsc::channel();
        let (stop, escapes) = (Arc::default(), self.supports_escapes());
        let lines = Lines { received, stop, ended, escapes, _progress: Arc::clone(&progress) };
        let (ui, stop) = (self.clone(), Arc::clone(&lines.stop));
        thread::Builder::new()
            .name("stdin".into())
            .spawn(move || {
                read_lines(&ui, &progress, &stop, &sender);
                drop((progress, end));
            })
            .map_err(UiError::Io)?;
        Ok(lines)
    }
}

impl Lines {
    /// Returns the next line, or `None` after an error. Cancel safe.
    pub async fn next(&mut self) -> Option<Result<Line, UiError>> {
        self.received.recv().await
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Nothing is sent: the reader's end closes the channel.
        let _ = self.ended.recv_timeout(JOIN);
        while event::poll(DRAIN).unwrap_or(false) && event::read().is_ok() {}
        restore_terminal(self.escapes);
    }
}

fn read_lines(ui: &Ui, progress: &Progress, stop: &AtomicBool, lines: &mpsc::UnboundedSender<Result<Line, UiError>>) {
    let mut editor = Editor::new();
    while !stop.load(Ordering::Relaxed) {
        let edit = match event::poll(POLL) {
            Ok(true) => event::read().map(|event| editor.feed(event)),
            Ok(false) if io::stdin().is_terminal() => continue,
            // The terminal was closed, which `poll` does not report.
            Ok(false) => Ok(Edit::Canceled),
            Err(error) => Err(error),
        };
        let line = match edit {
            Ok(Edit::Unchanged) => continue,
            Ok(Edit::Changed) => {
                progress.set_characters(editor.characters);
                continue;
            }
            Ok(Edit::Overlong) => {
                progress.set_characters(0);
                ui.warn(
                    &format!("input of more than {} KiB was dropped", MAX_INPUT / 1024),
                    "copy the URL of the last page alone",
                );
                continue;
            }
            Ok(Edit::Entered(line)) => {
                progress.set_characters(0);
                Ok(line)
            }
            Ok(Edit::Canceled) => Err(UiError::Canceled),
            Err(error) => Err(UiError::Io(error)),
        };
        let last = line.is_err();
        if lines.send(line).is_err() || last {
            return;
        }
    }
}

struct Editor {
    text: Zeroizing<String>,
    characters: usize,
    overlong: bool,
    /// The last key was Enter, so a line feed after it is part of CRLF.
    after_enter: bool,
}

/// The effect of an event on the line.
#[derive(Debug)]
enum Edit {
    Unchanged,
    Changed,
    Overlong,
    Entered(Line),
    Canceled,
}

impl Editor {
    fn new() -> Self {
        // Holds the longest line, so that it is never reallocated, which would leave a copy in memory.
        let text = Zeroizing::new(String::with_capacity(MAX_INPUT));
        Self { text, characters: 0, overlong: false, after_enter: false }
    }

    fn feed(&mut self, event: Event) -> Edit {
        match event {
            Event::Paste(text) => self.paste(&Zeroizing::new(text)),
            Event::Key(KeyEvent { kind: KeyEventKind::Press | KeyEventKind::Repeat, code, modifiers, .. }) => {
                self.key(code, modifiers)
            }
            Event::Key(_) | Event::FocusGained | Event::FocusLost | Event::Mouse(_) | Event::Resize(..) => {
                Edit::Unchanged
            }
        }
    }

    fn key(&mut self, code: KeyCode, modifiers: KeyModifiers) -> Edit {
        let after_enter = std::mem::replace(&mut self.after_enter, code == KeyCode::Enter);
        let control_and_alt = modifiers & ALT_GR;
        match (code, control_and_alt) {
            (KeyCode::Char('j'), KeyModifiers::CONTROL) if after_enter => Edit::Unchanged,
            (KeyCode::Enter, _) | (KeyCode::Char('j'), KeyModifiers::CONTROL) => self.enter(),
            (KeyCode::Char('c'), KeyModifiers::CONTROL) => Edit::Canceled,
            (KeyCode::Char('d'), KeyModifiers::CONTROL) if self.text.is_empty() => Edit::Canceled,
            (KeyCode::Char('u'), KeyModifiers::CONTROL) => {
                self.clear();
                Edit::Changed
            }
            (KeyCode::Backspace, _) | (KeyCode::Char('h'), KeyModifiers::CONTROL) => {
                if self.text.pop().is_none() {
                    return Edit::Unchanged;
                }
                self.characters -= 1;
                Edit::Changed
            }
            (KeyCode::Char(character), held) if held.is_empty() || held == ALT_GR => {
                self.append(character.encode_utf8(&mut [0; 4]))
            }
            _ => Edit::Unchanged,
        }
    }

    /// Appends a paste. Line breaks inside come from wrapped text and are removed; a final one enters the line.
    fn paste(&mut self, text: &str) -> Edit {
        self.after_enter = false;
        if self.overlong {
            self.clear();
        }
        for part in text.split(['\r', '\n']).filter(|part| !part.is_empty()) {
            if let Edit::Overlong = self.append(part) {
                return Edit::Overlong;
            }
        }
        if text.ends_with(['\r', '\n']) && !self.text.is_empty() { self.enter() } else { Edit::Changed }
    }

    fn append(&mut self, text: &str) -> Edit {
        if self.overlong {
            return Edit::Unchanged;
        }
        if self.text.len() + text.len() > MAX_INPUT {
            self.clear();
            self.overlong = true;
            return Edit::Overlong;
        }
        self.text.push_str(text);
        self.characters += text.chars().count();
        Edit::Changed
    }

    fn enter(&mut self) -> Edit {
        let entered = std::mem::replace(self, Self { after_enter: self.after_enter, ..Self::new() });
        if entered.overlong { Edit::Changed } else { Edit::Entered(Line(entered.text)) }
    }

    fn clear(&mut self) {
        *self = Self { after_enter: self.after_enter, ..Self::new() };
    }
}

#[cfg(test)]
mod tests;
