//! Lists on stdout: columns for people, JSON for scripts.

use std::collections::BTreeMap;

use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use crate::api::{Organization, Workspace};
use crate::error::Error;
use crate::system::System;
use crate::text::cut;

/// The JSON of `switch`.
#[derive(Serialize)]
pub(super) struct Switched {
    version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    organization: Option<Named>,
    workspace: Option<Named>,
}

#[derive(Serialize)]
struct Named {
    id: String,
    name: String,
}

impl Switched {
    pub(super) fn new(organization: Option<&Organization>, workspace: Option<&Workspace>) -> Self {
        let organization = organization.map(|it| Named { id: it.id.clone(), name: it.name.clone() });
        Self {
            version: 1,
            organization,
            workspace: workspace.map(|it| Named { id: it.id.clone(), name: it.name.clone() }),
        }
    }
}

pub(super) struct Row {
    /// Whether this item is in use. Marked by `*`, since not everyone sees colors.
    pub(super) current: bool,
    /// The text of each column, safe to print.
    pub(super) cells: Vec<String>,
}

/// A column of a table. One for display is cut where a row is too wide; one to be copied never is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Display(&'static str),
    Copied(&'static str),
}

impl Column {
    fn title(self) -> &'static str {
        let (Self::Display(title) | Self::Copied(title)) = self;
        title
    }
}

/// The columns of a line, if the table can be cut to it, and those that a cut cell keeps at least.
const WIDTH: usize = 80;
const NARROWEST: usize = 10;

/// JSON with one member beside the version.
#[derive(Serialize)]
struct Report<'a, T> {
    version: u32,
    #[serde(flatten)]
    member: BTreeMap<&'a str, T>,
}

/// Prints JSON, or rows under a header, or that there are none.
pub(super) fn print_list<T: Serialize>(
    system: &System,
    kind: &str,
    json: bool,
    items: Vec<T>,
    header: &[Column],
    row: impl FnMut(T) -> Row,
) -> Result<(), Error> {
    let kind = &*format!("{kind}s");
    if json {
        return print_member(system, kind, items);
    }
    if items.is_empty() {
        system.ui.say(&format!("No {kind}."));
        return Ok(());
    }
    print_table(system, header, &items.into_iter().map(row).collect::<Vec<_>>())
}

fn print_table(system: &System, header: &[Column], rows: &[Row]) -> Result<(), Error> {
    let widths = widths(header, rows);
    let line = |mark: char, cells: &[&str]| {
        // `format!` pads by characters, but a wide character takes two columns.
        let padded = cells.iter().zip(&widths).map(|(cell, width)| {
            let cell = cut(cell, *width);
            let blanks = " ".repeat(width - cell.width());
            cell + &blanks
        });
        format!("{mark} {}", padded.collect::<Vec<_>>().join("  ")).trim_end().to_owned()
    };
    let titles: Vec<&str> = header.iter().map(|column| column.title()).collect();
    let mut lines = vec![line(' ', &titles)];
    lines.extend(rows.iter().map(|row| {
        let cells: Vec<&str> = row.cells.iter().map(String::as_str).collect();
        line(if row.current { '*' } else { ' ' }, &cells)
    }));
    // At once: a list may be long, and every write is flushed.
    system.ui.write_data_ignoring_closed_pipe(&lines.join("\n"))?;
    Ok(())
}

/// Returns the width of each column: that of its widest cell, cut from the widest column for display until a line fits.
fn widths(header: &[Column], rows: &[Row]) -> Vec<usize> {
    let widest = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.cells.get(column));
        cells.map(|cell| cell.width()).chain([header[column].title().width()]).max().unwrap_or_default()
    };
    let mut widths: Vec<usize> = (0..header.len()).map(widest).collect();
    // The mark, and two blanks between columns.
    while widths.iter().map(|width| width + 2).sum::<usize>() > WIDTH {
        let cuttable = |&column: &usize| {
            let narrowest = NARROWEST.max(header[column].title().width());
            matches!(header[column], Column::Display(_)) && widths[column] > narrowest
        };
        let Some(column) = (0..header.len()).filter(cuttable).max_by_key(|&column| widths[column]) else { break };
        widths[column] -= 1;
    }
    widths
}

pub(super) fn print_member<T: Serialize>(system: &System, name: &str, value: T) -> Result<(), Error> {
    print_json(system, &Report { version: 1, member: BTreeMap::from([(name, value)]) })
}

pub(super) fn print_json(system: &System, value: &impl Serialize) -> Result<(), Error> {
    system.ui.write_data_ignoring_closed_pipe(&serde_json::to_string_pretty(value).map_err(std::io::Error::from)?)?;
    Ok(())
}
