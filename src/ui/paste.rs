//! Lines that are typed or pasted while a spinner runs. Input is counted, or hidden wholly, and not shown: a pasted
//! URL holds an authorization code, which must not stay in the scrollback. The editor is our own, because no library's wipes its text.

use std::fmt;

use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers};
use zeroize::Zeroizing;

use super::reader::Reader;
use super::{Spinner, Ui, UiError};

/// The longest accepted input, in bytes.
pub const MAX_INPUT: usize = 64 * 1024;

/// `AltGr`, as Windows reports it.
pub(super) const ALT_GR: KeyModifiers = KeyModifiers::CONTROL.union(KeyModifiers::ALT);

/// A typed or pasted line, or the whole of stdin. May hold a secret: wiped when dropped, redacted in `Debug`.
pub struct Line(pub(super) Zeroizing<String>);

impl Line {
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
/// The terminal is in raw mode until this is dropped.
pub struct Lines {
    // Before the reader, so that it is cleared in raw mode.
    spinner: Spinner,
    message: String,
    shows_length: bool,
    editor: Editor,
    reader: Reader,
    ui: Ui,
}

impl Ui {
    /// Starts to read lines, with `message` beside the spinner. No other prompt may start before the result is dropped.
    pub fn lines(&self, message: &str) -> Result<Lines, UiError> {
        let reader = self.reader()?;
        let spinner = self.spinner(message);
        if self.0.quiet {
            self.log(&self.wrap(message));
        }
        let (message, ui) = (message.to_owned(), self.clone());
        Ok(Lines { spinner, message, shows_length: true, editor: Editor::new(), reader, ui })
    }

    pub(super) fn warn_overlong(&self) {
        let dropped = format!("input of more than {} KiB was dropped", MAX_INPUT / 1024);
        self.warn(&dropped, "paste the URL or the token alone");
    }
}

impl Lines {
    /// Shows nothing of what is typed, not even its length.
    pub(super) fn without_length(self) -> Self {
        Self { shows_length: false, ..self }
    }

    /// Returns the next line, or [`UiError::Canceled`] after Ctrl-C. Cancel safe.
    pub async fn next(&mut self) -> Result<Line, UiError> {
        loop {
            // The spinner draws itself again after a stop.
            let Some(event) = self.reader.next().await? else { continue };
            let edit = self.editor.feed(event);
            match self.editor.text.chars().count() {
                _ if !self.shows_length => {}
                0 => self.spinner.set_message(&self.message),
                1 => self.spinner.set_message("1 character pasted; press Enter to submit"),
                n => self.spinner.set_message(&format!("{n} characters pasted; press Enter to submit")),
            }
            match edit {
                Edit::Unfinished => {}
                Edit::Overlong => self.ui.warn_overlong(),
                Edit::Entered(line) => return Ok(line),
                Edit::Canceled => return Err(UiError::Canceled),
            }
        }
    }
}

struct Editor {
    text: Zeroizing<String>,
    overlong: bool,
    /// The last key was Enter, so a line feed after it is part of CRLF.
    after_enter: bool,
}

/// The effect of an event on the line.
#[derive(Debug)]
enum Edit {
    Unfinished,
    Overlong,
    Entered(Line),
    Canceled,
}

impl Editor {
    fn new() -> Self {
        // Holds the longest line, so that it is never reallocated, which would leave a copy in memory.
        Self { text: Zeroizing::new(String::with_capacity(MAX_INPUT)), overlong: false, after_enter: false }
    }

    fn feed(&mut self, event: Event) -> Edit {
        match event {
            Event::Paste(text) => self.paste(&Zeroizing::new(text)),
            Event::Key(key) if key.kind != KeyEventKind::Release => self.key(key.code, key.modifiers & ALT_GR),
            _ => Edit::Unfinished,
        }
    }

    fn key(&mut self, code: KeyCode, control_and_alt: KeyModifiers) -> Edit {
        let after_enter = std::mem::replace(&mut self.after_enter, code == KeyCode::Enter);
        match (code, control_and_alt) {
            (KeyCode::Char('j'), KeyModifiers::CONTROL) if after_enter => {}
            (KeyCode::Enter, _) | (KeyCode::Char('j'), KeyModifiers::CONTROL) => return self.enter(),
            (KeyCode::Char('c'), KeyModifiers::CONTROL) => return Edit::Canceled,
            (KeyCode::Char('d'), KeyModifiers::CONTROL) if self.text.is_empty() => return Edit::Canceled,
            // A secret has no words, so Ctrl-W removes all of it as well.
            (KeyCode::Char('u' | 'w'), KeyModifiers::CONTROL) => drop(self.take()),
            (KeyCode::Backspace, _) | (KeyCode::Char('h'), KeyModifiers::CONTROL) => drop(self.text.pop()),
            (KeyCode::Char(character), held) if held.is_empty() || held == ALT_GR => {
                return self.append(character.encode_utf8(&mut [0; 4]));
            }
            _ => {}
        }
        Edit::Unfinished
    }

    /// Appends a paste. Line breaks inside come from wrapped text and are removed; a final one enters the line.
    fn paste(&mut self, text: &str) -> Edit {
        self.after_enter = false;
        if self.overlong {
            self.take();
        }
        for part in text.split(['\r', '\n']) {
            if let Edit::Overlong = self.append(part) {
                return Edit::Overlong;
            }
        }
        if text.ends_with(['\r', '\n']) && !self.text.is_empty() { self.enter() } else { Edit::Unfinished }
    }

    fn append(&mut self, text: &str) -> Edit {
        if self.overlong {
            return Edit::Unfinished;
        }
        if self.text.len() + text.len() > MAX_INPUT {
            self.take();
            self.overlong = true;
            return Edit::Overlong;
        }
        self.text.push_str(text);
        Edit::Unfinished
    }

    fn enter(&mut self) -> Edit {
        let entered = self.take();
        if entered.overlong { Edit::Unfinished } else { Edit::Entered(Line(entered.text)) }
    }

    /// Returns the line and begins a new one.
    fn take(&mut self) -> Self {
        std::mem::replace(self, Self { after_enter: self.after_enter, ..Self::new() })
    }
}

#[cfg(test)]
mod tests;
