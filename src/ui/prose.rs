//! Messages, wrapped at the width of the terminal.

use anstyle::Style;

use super::{Ui, screen};
use crate::text::wrapped;

/// Returns all columns: unlike a question, a message may fill the last one.
fn columns() -> usize {
    screen::size().0 + 1
}

impl Ui {
    /// Returns the columns of stdout, or `None` if it is no terminal.
    pub fn out_columns(&self) -> Option<usize> {
        self.0.is_terminal.out.then(columns)
    }

    /// Wraps prose for stderr. Lines that begin with a blank are laid out already: tables, URLs and commands.
    pub(super) fn wrap(&self, text: &str) -> String {
        if !self.0.is_terminal.err {
            return text.to_owned();
        }
        let columns = columns();
        let wrap = |line: &str| if line.starts_with(' ') { line.to_owned() } else { wrapped(line, columns).join("\n") };
        text.split('\n').map(wrap).collect::<Vec<_>>().join("\n")
    }

    /// Returns `label` in this style and prose behind it.
    pub(super) fn labeled(&self, style: Style, label: &str, text: &str) -> String {
        let wrapped = self.wrap(&format!("{label} {text}"));
        let rest = wrapped.strip_prefix(label).unwrap_or_default();
        format!("{style}{label}{style:#}{rest}")
    }
}
