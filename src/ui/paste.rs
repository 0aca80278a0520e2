//! Lines that are typed or pasted while a spinner runs. Input is counted, not shown: a pasted URL holds an
//! authorization code, which must not stay in the scrollback.

use std::fmt;
use std::sync::{Arc, Mutex};

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use zeroize::Zeroizing;

use super::reader::{Input, Reader};
use super::{Spinner, Ui, UiError, lock};

/// The longest accepted input, in bytes.
pub const MAX_INPUT: usize = 64 * 1024;

/// `AltGr`, as Windows reports it.
pub(super) const ALT_GR: KeyModifiers = KeyModifiers::CONTROL.union(KeyModifiers::ALT);

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
/// The terminal is in raw mode until this is dropped.
pub struct Lines {
    reader: Reader<Line>,
    progress: Arc<Progress>,
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
        let terminal = self.take_terminal()?;
        let state = Mutex::new(ProgressState { message: message.to_owned(), characters: 0 });
        let progress = Arc::new(Progress { spinner: self.spinner_even_if_quiet(message), state });
        let (ui, shown, mut editor) = (self.clone(), Arc::clone(&progress), Editor::new());
        let reader = terminal.read(move |input| match input {
            Input::Event(event) => read_line(&ui, &shown, &mut editor, event),
            // The spinner draws itself.
            Input::Draw => None,
        })?;
        Ok(Lines { reader, progress })
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        // Also if the reader does not end yet.
        self.progress.spinner.clear();
    }
}

impl Lines {
    /// Returns the next line, [`UiError::Canceled`] after Ctrl-C, or `None` after an error. Cancel safe.
    pub async fn next(&mut self) -> Option<Result<Line, UiError>> {
        self.reader.next().await
    }
}

fn read_line(ui: &Ui, progress: &Progress, editor: &mut Editor, event: Event) -> Option<Result<Line, UiError>> {
    let edit = editor.feed(event);
    match edit {
        Edit::Unchanged => {}
        Edit::Changed => progress.set_characters(editor.characters),
        Edit::Overlong => {
            progress.set_characters(0);
            ui.warn(
                &format!("input of more than {} KiB was dropped", MAX_INPUT / 1024),
                "copy the URL of the last page alone",
            );
        }
        Edit::Entered(line) => {
            progress.set_characters(0);
            return Some(Ok(line));
        }
        Edit::Canceled => return Some(Err(UiError::Canceled)),
    }
    None
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
            // A secret has no words, so Ctrl-W removes all of it as well.
            (KeyCode::Char('u' | 'w'), KeyModifiers::CONTROL) => {
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
