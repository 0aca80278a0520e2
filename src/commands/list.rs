//! Lists on stdout: columns for people, JSON for scripts.

use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use crate::error::Error;
use crate::system::System;

pub(super) struct Row {
    /// Whether this item is in use. Marked by `*`, since not everyone sees colors.
    pub(super) current: bool,
    /// The text of each column, safe to print.
    pub(super) cells: Vec<String>,
}

/// Prints rows under a header, or `No KIND.` if there are none.
pub(super) fn print_table(system: &System, kind: &str, header: &[&str], rows: &[Row]) -> Result<(), Error> {
    if rows.is_empty() {
        system.ui.say(&format!("No {kind}."));
        return Ok(());
    }
    let widest = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.cells.get(column));
        cells.map(|cell| cell.width()).chain([header[column].width()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..header.len()).map(widest).collect();
    let line = |mark: char, cells: &[&str]| {
        // `format!` pads by characters, but a wide character takes two columns.
        let padded =
            cells.iter().zip(&widths).map(|(cell, width)| format!("{cell}{}", " ".repeat(width - cell.width())));
        format!("{mark} {}", padded.collect::<Vec<_>>().join("  ")).trim_end().to_owned()
    };
    let mut lines = vec![line(' ', header)];
    lines.extend(rows.iter().map(|row| {
        let cells: Vec<&str> = row.cells.iter().map(String::as_str).collect();
        line(if row.current { '*' } else { ' ' }, &cells)
    }));
    // At once: a list may be long, and every write is flushed.
    system.ui.write_data_ignoring_closed_pipe(&lines.join("\n"))?;
    Ok(())
}

pub(super) fn print_json(system: &System, value: &impl Serialize) -> Result<(), Error> {
    system.ui.write_data_ignoring_closed_pipe(&serde_json::to_string_pretty(value).map_err(std::io::Error::from)?)?;
    Ok(())
}
