//! The rows of a question on the screen, which are drawn again after each key.

use std::io::{self, Write as _};

use anstream::adapter::strip_str;
use crossterm::terminal;

use super::{Ui, lock};

/// The size of a terminal that reports none.
const USUAL_SIZE: (u16, u16) = (80, 24);

/// Returns the columns that a row may fill without being wrapped by the terminal, and the rows of the terminal.
pub(super) fn size() -> (usize, usize) {
    let (columns, rows) =
        terminal::size().ok().filter(|(columns, rows)| *columns > 0 && *rows > 0).unwrap_or(USUAL_SIZE);
    (usize::from(columns).saturating_sub(1).max(1), usize::from(rows))
}

/// Returns `false` in a console of an old Windows, which prints escape sequences as text.
pub fn has_escapes() -> bool {
    #[cfg(windows)]
    return crossterm::ansi_support::supports_ansi();
    #[cfg(not(windows))]
    true
}

/// The picture of a question.
pub(super) struct View {
    pub(super) rows: Vec<String>,
    /// The row and the column of the cursor.
    pub(super) cursor: (usize, usize),
}

/// The place of a question. Dropping it clears the place.
pub(super) struct Screen<'a> {
    ui: &'a Ui,
    /// The row of the cursor, `None` before the first drawing.
    cursor_row: Option<usize>,
}

impl<'a> Screen<'a> {
    pub(super) fn new(ui: &'a Ui) -> Self {
        Self { ui, cursor_row: None }
    }

    /// Has the next drawing begin at the cursor: the shell has written since the last one.
    pub(super) fn start_anew(&mut self) {
        self.cursor_row = None;
    }

    pub(super) fn draw(&mut self, view: &View) {
        let (row, column) = view.cursor;
        let text = view.rows.join("\r\n");
        let text = if self.ui.0.color { text } else { strip_str(&text).to_string() };
        let back = moved(view.rows.len().saturating_sub(row + 1), 'A') + "\r" + &moved(column, 'C');
        self.write(&(self.erasing() + &text + &back));
        self.cursor_row = Some(row);
    }

    fn erasing(&self) -> String {
        self.cursor_row.map_or_else(String::new, |row| moved(row, 'A') + "\r\x1b[J")
    }

    /// Writes past the stream that removes escape sequences where there is no color.
    fn write(&self, text: &str) {
        let _stream = lock(&self.ui.0.err);
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

impl Drop for Screen<'_> {
    fn drop(&mut self) {
        self.write(&self.erasing());
    }
}

/// Returns the sequence that moves the cursor. A terminal takes zero for one.
fn moved(count: usize, direction: char) -> String {
    if count == 0 { String::new() } else { format!("\x1b[{count}{direction}") }
}
