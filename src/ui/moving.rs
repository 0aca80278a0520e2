//! The moving line at the bottom of the terminal, which says that something takes its time.
//!
//! It is drawn on stderr, never wider than the terminal, whatever its text holds. What is printed meanwhile comes out
//! above it, and nothing of it is left when its [`Spinner`] is dropped. Of several, the newest is seen.

use std::io::{self, BufWriter, Write};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crossterm::queue;
use crossterm::style::Print;
use crossterm::terminal::{Clear, ClearType};
use terminal_size::{Width, terminal_size_of};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{HINT, lock};
use crate::text::clean;

const FRAMES: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const FRAME: Duration = Duration::from_millis(100);
/// How wide a terminal is that doesn't say.
const USUAL_WIDTH: u16 = 80;
/// The moving sign, the blank after it, and the last column: some terminals wrap as soon as that is written to.
const TAKEN: usize = 3;

/// Where the line moves.
pub(super) struct Stage {
    color: bool,
    moving: Mutex<Moving>,
    /// Told when nothing moves any more.
    still: Condvar,
}

#[derive(Default)]
struct Moving {
    /// The number and the message of each spinner, the oldest first.
    spinners: Vec<(usize, String)>,
    /// The number of the next one.
    next: usize,
    frame: usize,
    /// Whether a thread draws the frames.
    ticking: bool,
}

/// A moving line; gone when dropped.
#[must_use = "a spinner is gone as soon as it is dropped"]
pub struct Spinner(Option<(Arc<Stage>, usize)>);

impl Stage {
    pub(super) fn new(color: bool) -> Arc<Self> {
        Arc::new(Self { color, moving: Mutex::default(), still: Condvar::new() })
    }

    /// Starts to say `message`.
    pub(super) fn start(self: &Arc<Self>, message: &str) -> Spinner {
        let mut moving = lock(&self.moving);
        let number = moving.next;
        moving.next += 1;
        moving.spinners.push((number, message.to_owned()));
        self.draw(&moving);
        if !moving.ticking {
            let stage = Arc::clone(self);
            // Where there can be no thread, the line stands still.
            moving.ticking = thread::Builder::new().name("spinner".into()).spawn(move || stage.tick()).is_ok();
        }
        Spinner(Some((Arc::clone(self), number)))
    }

    /// Does `write` while the line has stepped aside.
    pub(super) fn beside<T>(&self, write: impl FnOnce() -> T) -> T {
        let moving = lock(&self.moving);
        moving.erase();
        let written = write();
        self.draw(&moving);
        written
    }

    fn tick(&self) {
        let mut moving = lock(&self.moving);
        while !moving.spinners.is_empty() {
            (moving, _) = self.still.wait_timeout(moving, FRAME).unwrap_or_else(PoisonError::into_inner);
            moving.frame = (moving.frame + 1) % FRAMES.len();
            self.draw(&moving);
        }
        moving.ticking = false;
    }

    /// That stderr cannot be written is nothing anyone could be told.
    fn draw(&self, moving: &Moving) {
        let Some((_, message)) = moving.spinners.last() else { return };
        let width = terminal_size_of(io::stderr()).map_or(USUAL_WIDTH, |(Width(width), _)| width);
        let message = cut(message, usize::from(width).saturating_sub(TAKEN));
        let sign = FRAMES[moving.frame];
        let line = if self.color { format!("\r{HINT}{sign}{HINT:#} {message}") } else { format!("\r{sign} {message}") };
        // In one piece: a terminal may show what it has got so far.
        let mut err = BufWriter::new(io::stderr());
        let _ = queue!(err, Print(line), Clear(ClearType::UntilNewLine)).and_then(|()| err.flush());
    }
}

impl Moving {
    fn erase(&self) {
        if !self.spinners.is_empty() {
            let mut err = BufWriter::new(io::stderr());
            let _ = queue!(err, Print('\r'), Clear(ClearType::UntilNewLine)).and_then(|()| err.flush());
        }
    }
}

impl Spinner {
    /// One that nobody sees.
    pub(super) fn hidden() -> Self {
        Self(None)
    }

    /// Says something else from now on (on a terminal alone).
    pub fn set_message(&self, message: &str) {
        let Some((stage, number)) = &self.0 else { return };
        let mut moving = lock(&stage.moving);
        if let Some((_, said)) = moving.spinners.iter_mut().find(|(it, _)| it == number) {
            message.clone_into(said);
        }
        stage.draw(&moving);
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        let Some((stage, number)) = &self.0 else { return };
        let mut moving = lock(&stage.moving);
        moving.erase();
        moving.spinners.retain(|(it, _)| it != number);
        stage.draw(&moving);
        if moving.spinners.is_empty() {
            stage.still.notify_all();
        }
    }
}

/// `message` without what a terminal would obey, in so many columns; an ellipsis marks the cut.
fn cut(message: &str, columns: usize) -> String {
    let message = clean(message, usize::MAX);
    if message.width() <= columns {
        return message;
    }
    let mut width = 0;
    let fits = |character: &char| {
        width += character.width().unwrap_or_default();
        width < columns
    };
    let mut cut: String = message.chars().take_while(fits).collect();
    if columns > 0 {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_cut_by_columns_and_holds_nothing_that_a_terminal_obeys() {
        let table = [
            ("Waiting", 7, "Waiting"),
            ("Waiting", 6, "Waiti…"),
            ("Waiting", 1, "…"),
            ("Waiting", 0, ""),
            ("日本語", 6, "日本語"),
            ("日本語", 5, "日本…"),
            ("日本語", 4, "日…"),
            ("one\r\ntwo\u{1b}[2J", 20, "one two[2J"),
            ("", 0, ""),
        ];
        for (message, columns, expected) in table {
            assert_eq!(cut(message, columns), expected, "{message:?} in {columns}");
        }
    }
}
