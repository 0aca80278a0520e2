//! Lists for people and for scripts: columns on stdout, or JSON.

use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use crate::error::Error;
use crate::system::System;

/// One line of a list.
pub(super) struct Row {
    /// Whether this is the one in use; marked by a sign, since not everybody sees colour.
    pub(super) current: bool,
    /// The text of each column, safe to print.
    pub(super) cells: Vec<String>,
}

/// Prints rows under a head, the one in use marked.
pub(super) fn show(system: &System, head: &[&str], rows: &[Row]) -> Result<(), Error> {
    if rows.is_empty() {
        system.ui.say("There are none.");
        return Ok(());
    }
    let widest = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.cells.get(column));
        cells.map(|cell| cell.width()).chain([head[column].width()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..head.len()).map(widest).collect();
    let line = |mark: char, cells: &[&str]| {
        // A wide character takes two columns, so the padding is not `format!`'s, which counts characters.
        let padded =
            cells.iter().zip(&widths).map(|(cell, width)| format!("{cell}{}", " ".repeat(width - cell.width())));
        format!("{mark} {}", padded.collect::<Vec<_>>().join("  ")).trim_end().to_owned()
    };
    let mut lines = vec![line(' ', head)];
    lines.extend(rows.iter().map(|row| {
        let cells: Vec<&str> = row.cells.iter().map(String::as_str).collect();
        line(if row.current { '*' } else { ' ' }, &cells)
    }));
    // At once: a list may be long, and every write is flushed.
    system.ui.write_data_ignoring_closed_pipe(&lines.join("\n"))?;
    Ok(())
}

/// Prints one JSON document.
pub(super) fn json(system: &System, value: &impl Serialize) -> Result<(), Error> {
    system.ui.write_data_ignoring_closed_pipe(&serde_json::to_string_pretty(value).map_err(std::io::Error::from)?)?;
    Ok(())
}
