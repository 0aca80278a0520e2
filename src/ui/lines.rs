//! Lines typed or pasted while something else is waited for. What is typed is counted, not shown: a pasted address
//! holds an authorization code, and that must not stay in the scrollback.

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

/// The longest input that is taken, in bytes.
pub const MAX_INPUT: usize = 64 * 1024;

/// How soon the reader sees that it is no longer wanted.
const POLL: Duration = Duration::from_millis(50);
/// How long to wait for the reader's end. Longer only where half an escape sequence keeps it waiting for the other half.
const JOIN: Duration = Duration::from_secs(1);
/// How long to look for input that nobody wants any more; crossterm doesn't look at all in no time.
const DRAIN: Duration = Duration::from_millis(1);
/// As Windows tells it.
const ALT_GR: KeyModifiers = KeyModifiers::CONTROL.union(KeyModifiers::ALT);

/// A line that a person typed or pasted, or the whole of stdin. It may hold a secret: wiped when dropped, not in `Debug`.
pub struct Line(Zeroizing<String>);

impl Line {
    pub(super) fn new(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    /// The text, without the newline that ended it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Line(redacted)")
    }
}

/// Lines from the terminal, as they are entered, under a moving line that says what is waited for.
///
/// The terminal is in raw mode for as long as this lives, so Ctrl-C arrives here, as [`UiError::Cancelled`]. Dropped, it
/// has ended its reading thread, given the terminal back and thrown away whatever else was typed.
pub struct Lines {
    received: mpsc::UnboundedReceiver<Result<Line, UiError>>,
    stop: Arc<AtomicBool>,
    ended: std_mpsc::Receiver<()>,
    escapes: bool,
    // Dropped last, by its place here: after the terminal is back in its usual mode.
    moving: Arc<Moving>,
}

/// The moving line: what is waited for, or how much has been typed.
struct Moving {
    spinner: Spinner,
    shown: Mutex<Shown>,
}

struct Shown {
    message: String,
    characters: usize,
}

impl Moving {
    fn show(&self, characters: usize) {
        self.change(|shown| shown.characters = characters);
    }

    fn change(&self, change: impl FnOnce(&mut Shown)) {
        let mut shown = lock(&self.shown);
        change(&mut shown);
        match shown.characters {
            0 => self.spinner.set_message(&shown.message),
            1 => self.spinner.set_message("1 character, Enter sends it"),
            n => self.spinner.set_message(&format!("{n} characters, Enter sends them")),
        }
    }
}

impl Ui {
    /// Starts reading lines, and says `message` (what fits on one line) meanwhile. Nothing else may ask before the answer is dropped.
    pub fn lines(&self, message: &str) -> Result<Lines, UiError> {
        if !self.can_ask() {
            return Err(UiError::NoTerminal);
        }
        terminal::enable_raw_mode().map_err(UiError::Io)?;
        // Where the terminal doesn't know how to mark a paste, it arrives as if typed.
        if self.takes_escapes() {
            let _ = crossterm::execute!(io::stderr(), event::EnableBracketedPaste);
        }

        let shown = Mutex::new(Shown { message: message.to_owned(), characters: 0 });
        let moving = Arc::new(Moving { spinner: self.moving_line(message), shown });
        let (sender, received) = mpsc::unbounded_channel();
        let (end, ended) = std_mpsc::channel();
        let (stop, escapes) = (Arc::default(), self.takes_escapes());
        let lines = Lines { received, stop, ended, escapes, moving: Arc::clone(&moving) };
        let (ui, stop) = (self.clone(), Arc::clone(&lines.stop));
        thread::Builder::new()
            .name("stdin".into())
            .spawn(move || {
                read_lines(&ui, &moving, &stop, &sender);
                drop((moving, end));
            })
            .map_err(UiError::Io)?;
        Ok(lines)
    }
}

impl Lines {
    /// The next line; safe to give up and ask again, nothing is lost. `None` after an error: then nothing more comes.
    pub async fn next(&mut self) -> Option<Result<Line, UiError>> {
        self.received.recv().await
    }

    /// Says something else is waited for from now on.
    pub fn set_message(&self, message: &str) {
        self.moving.change(|shown| message.clone_into(&mut shown.message));
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Nothing is ever sent: the reader's end closes the channel.
        let _ = self.ended.recv_timeout(JOIN);
        while event::poll(DRAIN).unwrap_or(false) && event::read().is_ok() {}
        restore_terminal(self.escapes);
    }
}

fn read_lines(ui: &Ui, moving: &Moving, stop: &AtomicBool, lines: &mpsc::UnboundedSender<Result<Line, UiError>>) {
    let mut editor = Editor::new();
    while !stop.load(Ordering::Relaxed) {
        let edit = match event::poll(POLL) {
            Ok(true) => event::read().map(|event| editor.feed(event)),
            Ok(false) if io::stdin().is_terminal() => continue,
            // A terminal that was closed is none any more, and its end is not told otherwise.
            Ok(false) => Ok(Edit::Cancelled),
            Err(error) => Err(error),
        };
        let line = match edit {
            Ok(Edit::Unchanged) => continue,
            Ok(Edit::Changed) => {
                moving.show(editor.characters);
                continue;
            }
            Ok(Edit::Overlong) => {
                moving.show(0);
                ui.warn(&format!("input of more than {} KiB was dropped", MAX_INPUT / 1024));
                continue;
            }
            Ok(Edit::Entered(line)) => {
                moving.show(0);
                Ok(line)
            }
            Ok(Edit::Cancelled) => Err(UiError::Cancelled),
            Err(error) => Err(UiError::Io(error)),
        };
        let last = line.is_err();
        if lines.send(line).is_err() || last {
            return;
        }
    }
}

/// The line under way: a state machine over the terminal's events.
struct Editor {
    text: Zeroizing<String>,
    characters: usize,
    /// The line has grown too long; the rest of it is dropped up to its end.
    overlong: bool,
    /// The last key was Enter: a line feed after it belongs to it.
    after_enter: bool,
}

/// What an event did to the line.
#[derive(Debug)]
enum Edit {
    Unchanged,
    Changed,
    Overlong,
    Entered(Line),
    Cancelled,
}

impl Editor {
    fn new() -> Self {
        // Room for the longest line, so that it never moves and leaves no copy of itself behind.
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
            (KeyCode::Char('c'), KeyModifiers::CONTROL) => Edit::Cancelled,
            (KeyCode::Char('d'), KeyModifiers::CONTROL) if self.text.is_empty() => Edit::Cancelled,
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

    /// Line breaks inside come from text that was wrapped where it was copied; one at the end enters the line.
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
mod tests {
    use super::*;

    const PLAIN: KeyModifiers = KeyModifiers::NONE;
    const CONTROL: KeyModifiers = KeyModifiers::CONTROL;

    fn key(code: KeyCode, modifiers: KeyModifiers) -> Event {
        Event::Key(KeyEvent::new(code, modifiers))
    }

    fn control(letter: char) -> Event {
        key(KeyCode::Char(letter), CONTROL)
    }

    fn enter() -> Event {
        key(KeyCode::Enter, PLAIN)
    }

    fn typed(text: &str) -> Vec<Event> {
        text.chars().map(|character| key(KeyCode::Char(character), PLAIN)).collect()
    }

    fn pasted(text: &str) -> Vec<Event> {
        vec![Event::Paste(text.to_owned())]
    }

    /// What came of the events: lines entered, cancellations, what was too long, and how much stands on the line now.
    fn outcome(events: impl IntoIterator<Item = Event>) -> String {
        let mut editor = Editor::new();
        let mut outcome = String::new();
        for event in events {
            match editor.feed(event) {
                Edit::Unchanged | Edit::Changed => {}
                Edit::Entered(line) => outcome.extend(["[", line.expose(), "]"]),
                Edit::Overlong => outcome += "overlong ",
                Edit::Cancelled => outcome += "cancelled",
            }
            assert_eq!(editor.characters, editor.text.chars().count());
        }
        outcome + &editor.characters.to_string()
    }

    #[test]
    fn line_is_edited_and_entered() {
        let backspace = || key(KeyCode::Backspace, PLAIN);
        let released = Event::Key(KeyEvent::new_with_kind(KeyCode::Char('x'), PLAIN, KeyEventKind::Release));
        let table: Vec<(&str, Vec<Event>, &str)> = vec![
            ("typing", typed("añ日"), "3"),
            ("enter", [typed("ab"), vec![enter()]].concat(), "[ab]0"),
            ("empty line", vec![enter(), enter()], "[][]0"),
            ("backspace", [typed("añ"), vec![backspace(), backspace(), backspace(), enter()]].concat(), "[]0"),
            ("control-h", [typed("ab"), vec![control('h'), enter()]].concat(), "[a]0"),
            ("control-u", [typed("ab"), vec![control('u')], typed("c"), vec![enter()]].concat(), "[c]0"),
            ("control-c", [typed("ab"), vec![control('c')]].concat(), "cancelled2"),
            ("control-d on an empty line", vec![control('d')], "cancelled0"),
            ("control-d elsewhere", [typed("a"), vec![control('d')]].concat(), "1"),
            ("line feed", [typed("a"), vec![control('j')]].concat(), "[a]0"),
            ("line feed of a typed CRLF", [typed("a"), vec![enter(), control('j'), control('j')]].concat(), "[a][]0"),
            ("other keys", vec![control('z'), key(KeyCode::Left, PLAIN), key(KeyCode::Esc, PLAIN), released], "0"),
            ("alt", vec![key(KeyCode::Char('x'), KeyModifiers::ALT)], "0"),
            ("shift", vec![key(KeyCode::Char('X'), KeyModifiers::SHIFT)], "1"),
            ("AltGr on Windows", vec![key(KeyCode::Char('@'), CONTROL | KeyModifiers::ALT), enter()], "[@]0"),
            ("resizing", vec![Event::Resize(80, 24)], "0"),
        ];
        for (name, events, expected) in table {
            assert_eq!(outcome(events), expected, "{name}");
        }
    }

    #[test]
    fn paste_is_one_line_entered_by_its_newline() {
        let table: Vec<(&str, Vec<Event>, &str)> = vec![
            ("without a newline", pasted("http://localhost/?code=x"), "24"),
            ("then Enter", [pasted("abc"), vec![enter()]].concat(), "[abc]0"),
            ("with a newline", pasted("abc\n"), "[abc]0"),
            ("with Windows' newline", pasted("abc\r\n"), "[abc]0"),
            ("wrapped", pasted("abc\r\ndef\nghi\n"), "[abcdefghi]0"),
            ("in two parts", [pasted("abc"), pasted("def\r")].concat(), "[abcdef]0"),
            ("newlines alone open no browser", pasted("\n\n"), "0"),
        ];
        for (name, events, expected) in table {
            assert_eq!(outcome(events), expected, "{name}");
        }
    }

    #[test]
    fn overlong_line_dropped_to_its_end() {
        let longest = "a".repeat(MAX_INPUT);
        assert_eq!(outcome([pasted(&longest), vec![enter()]].concat()), format!("[{longest}]0"));
        let too_long = longest + "a";
        assert_eq!(outcome([pasted(&too_long), vec![enter()], typed("b"), vec![enter()]].concat()), "overlong [b]0");
        assert_eq!(outcome([pasted(&too_long), pasted("right\n")].concat()), "overlong [right]0");
        assert_eq!(
            outcome([pasted(&too_long), vec![control('u')], typed("b"), vec![enter()]].concat()),
            "overlong [b]0"
        );
        assert_eq!(outcome([typed(&too_long), typed("rest"), vec![enter(), enter()]].concat()), "overlong []0");
    }

    #[test]
    fn tk_11_debug_hides_line() {
        let mut editor = Editor::new();
        editor.feed(Event::Paste("code=secret".into()));
        assert_eq!(format!("{:?}", editor.feed(enter())), "Entered(Line(redacted))");
    }
}
