//! The lines of a question on the screen, which are drawn again after each key.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use anstyle::Style;
use crossterm::terminal;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{Ui, lock};

/// The size of a terminal that does not tell.
const USUAL_SIZE: (u16, u16) = (80, 24);

/// A line in pieces of one style each.
pub(super) type Row = Vec<(Style, String)>;

/// The picture of a question.
pub(super) struct View {
    pub(super) rows: Vec<Row>,
    /// The row and the column of the cursor.
    pub(super) cursor: (usize, usize),
}

/// Returns the columns that a line may fill without being wrapped by the terminal, and the rows of the terminal.
pub(super) fn size() -> (usize, usize) {
    let (columns, rows) =
        terminal::size().ok().filter(|(columns, rows)| *columns > 0 && *rows > 0).unwrap_or(USUAL_SIZE);
    (usize::from(columns).saturating_sub(1).max(1), usize::from(rows))
}

/// The place of a question. Dropping it clears the place.
pub(super) struct Screen {
    ui: Ui,
    /// The row of the cursor, `None` before the first drawing.
    cursor_row: Option<usize>,
}

impl Screen {
    pub(super) fn new(ui: &Ui) -> Self {
        Self { ui: ui.clone(), cursor_row: None }
    }

    /// Has the next drawing begin at the cursor: the shell has written since the last one.
    pub(super) fn start_anew(&mut self) {
        self.cursor_row = None;
    }

    pub(super) fn draw(&mut self, view: &View) {
        let (columns, _) = size();
        let mut text = self.erasing();
        for (index, row) in view.rows.iter().enumerate() {
            text += if index == 0 { "" } else { "\r\n" };
            let mut left = columns;
            for (style, piece) in row {
                let piece = fitting(piece, left);
                left -= piece.width();
                let style = if self.ui.0.color { *style } else { Style::new() };
                let _ = write!(text, "{style}{piece}{style:#}");
            }
        }
        let (row, column) = view.cursor;
        text += &up(view.rows.len().saturating_sub(row + 1));
        text.push('\r');
        if column > 0 {
            let _ = write!(text, "\x1b[{}C", column.min(columns));
        }
        self.cursor_row = Some(row);
        self.write(&text);
    }

    pub(super) fn clear(&mut self) {
        let text = self.erasing();
        self.cursor_row = None;
        self.write(&text);
    }

    fn erasing(&self) -> String {
        self.cursor_row.map_or_else(String::new, |row| up(row) + "\r\x1b[J")
    }

    /// Writes past the stream that removes escape sequences where there is no color.
    fn write(&self, text: &str) {
        let _stream = lock(&self.ui.0.err);
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.clear();
    }
}

fn up(rows: usize) -> String {
    if rows == 0 { String::new() } else { format!("\x1b[{rows}A") }
}

/// Returns the beginning of `text` that fits into this many columns.
fn fitting(text: &str, columns: usize) -> &str {
    let mut width = 0;
    let end = text.char_indices().find(|(_, character)| {
        width += character.width().unwrap_or(0);
        width > columns
    });
    &text[..end.map_or(text.len(), |(index, _)| index)]
}

/// Returns the end of `text` that fits into this many columns.
pub(super) fn fitting_end(text: &str, columns: usize) -> &str {
    let mut width = 0;
    let start = text.char_indices().rev().find(|(_, character)| {
        width += character.width().unwrap_or(0);
        width > columns
    });
    &text[start.map_or(0, |(index, character)| index + character.len_utf8())..]
}

/// Breaks `text` at blanks into rows of at most this many columns, and longer words anywhere.
pub(super) fn broken(text: &str, columns: usize) -> Vec<String> {
    let mut rows = Vec::new();
    for line in crate::text::wrapped(text, columns) {
        let mut rest = line.as_str();
        while rest.width() > columns && !fitting(rest, columns).is_empty() {
            let row = fitting(rest, columns);
            rows.push(row.to_owned());
            rest = &rest[row.len()..];
        }
        rows.push(rest.to_owned());
    }
    rows
}
