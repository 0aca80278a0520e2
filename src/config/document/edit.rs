//! Edits of the text, by a library that keeps comments and layout, and the check that nothing else changed.

use std::str::FromStr as _;

use yaml_edit::{Mapping, MappingEntry, ScalarValue, YamlFile};

use super::context::EXPIRES_AT;
use super::node::{Entry, Node};
use super::{Document, DocumentError};
use crate::text::clean;

const INDENTATION: usize = 4;
const LIBRARY_INDENTATION: usize = 2;

/// The comment lines behind the first entry of a mapping with which it may be removed. The library's time grows with the
/// cube of their number: 0.05 s for 100, 6 s for 500.
const MAX_COMMENTS: usize = 100;

/// A change of the mapping at a path.
pub(super) struct Edit<'a> {
    pub(super) path: &'a [&'a str],
    /// The keys to set, or to remove if the value is `None`.
    pub(super) fields: Vec<(&'a str, Option<String>)>,
}

impl<'a> Edit<'a> {
    fn first_name(&self) -> &'a str {
        self.path.first().or(self.fields.first().map(|(name, _)| name)).copied().unwrap_or_default()
    }
}

impl Document {
    pub(super) fn apply(&mut self, edit: &Edit) -> Result<(), DocumentError> {
        let refused = |key: &str| {
            let key = if key.is_empty() { edit.first_name() } else { key };
            DocumentError::WouldChange { key: clean(key, 200) }
        };
        if let Some(depth) = self.obstacle(edit) {
            return Err(refused(&edit.path[..depth].join(".")));
        }
        let edited = self.edited(edit).and_then(|text| Self::parse(text).ok());
        let edited = edited.ok_or_else(|| refused(&edit.path.join(".")))?;
        if let Some(key) = difference(edit, self.root.as_ref(), edited.root.as_ref()) {
            return Err(refused(&key));
        }
        *self = edited;
        Ok(())
    }

    /// Returns the number of names in the path of the first node that the library must not edit.
    fn obstacle(&self, edit: &Edit) -> Option<usize> {
        let mut node = self.root.as_ref()?;
        for depth in 0..=edit.path.len() {
            if node.is_vacant() {
                return None;
            }
            // An entry of an alias or of a merged mapping cannot be removed here.
            if !node.is_mapping() || node.is_alias() || node.has_merges() {
                return Some(depth);
            }
            match edit.path.get(depth) {
                Some(name) => node = &node.get(name)?.1,
                None => return self.is_obstacle(node.entries(), &edit.fields).then_some(depth),
            }
        }
        None
    }

    /// True if the fields have anchors, whose aliases the library would rewrite, or too many comments.
    fn is_obstacle(&self, entries: &[Entry], fields: &[(&str, Option<String>)]) -> bool {
        let change = |key: &Node| fields.iter().find(|(name, _)| key.is_key(name));
        let is_anchored = |(key, value): &Entry| change(key).is_some() && (key.has_anchors() || value.has_anchors());
        let is_kept = |(key, _): &&Entry| change(key).is_none_or(|(_, value)| value.is_some());
        let (Some((first, _)), Some((next, _))) = (entries.first(), entries.iter().find(is_kept).or(entries.last()))
        else {
            return false;
        };
        let (first, next) = (first.position().0, next.position().0);
        let behind = self.text.lines().skip(first).take(next.saturating_sub(first));
        let comments = behind.filter(|line| line.trim_start().starts_with('#')).count();
        comments > MAX_COMMENTS || entries.iter().any(is_anchored)
    }

    /// Returns the edited text; `None` if the library cannot edit it.
    fn edited(&self, edit: &Edit) -> Option<String> {
        let file = YamlFile::from_str(&self.text).ok()?;
        let document = file.ensure_document();
        if document.as_mapping().is_none() {
            document.set(edit.first_name(), ScalarValue::null());
        }
        let mut mapping = document.as_mapping()?;
        let mut node = self.root.as_ref();
        let mut added: Option<MappingEntry> = None;
        for name in edit.path {
            let entry = node.and_then(|node| node.get(name));
            let key = spelled(entry, name);
            if entry.is_none_or(|(_, value)| value.is_vacant()) {
                mapping.set(key, Mapping::new_pending_block());
                added = added.or_else(|| mapping.find_entry_by_key(key));
            }
            mapping = mapping.get_mapping(key)?;
            node = entry.map(|(_, value)| value);
        }
        for (name, value) in &edit.fields {
            let key = spelled(node.and_then(|node| node.get(name)), name);
            match value {
                Some(value) => mapping.set(key, scalar(name, value)),
                None => drop(mapping.remove(key)),
            }
        }
        let text = file.to_string();
        match added {
            Some(entry) => self.indented(&text, &entry),
            None => Some(text),
        }
    }

    fn indented(&self, text: &str, entry: &MappingEntry) -> Option<String> {
        let range = entry.byte_range();
        let (start, end) = (usize::try_from(range.start).ok()?, usize::try_from(range.end).ok()?);
        let (before, entry, behind) = (text.get(..start)?, text.get(start..end)?, text.get(end..)?);
        let column = before.len() - before.rfind('\n').map_or(0, |newline| newline + 1);
        let deeper = self.indentation().saturating_sub(LIBRARY_INDENTATION);
        let mut lines = entry.split_inclusive('\n');
        let mut indented = format!("{before}{}", lines.next()?);
        for line in lines {
            let below = line.len() - line.trim_start_matches(' ').len();
            let levels = below.saturating_sub(column) / LIBRARY_INDENTATION;
            indented.push_str(&" ".repeat(levels * deeper));
            indented.push_str(line);
        }
        Some(indented + behind)
    }

    /// The spaces in front of the first key at the second level, which stands on a line of its own.
    fn indentation(&self) -> usize {
        let entries = self.root.as_ref().map(Node::entries).unwrap_or_default();
        let nested = entries.iter().find_map(|(key, value)| {
            let (line, column) = value.entries().first()?.0.position();
            (line > key.position().0).then_some(column)
        });
        nested.unwrap_or(INDENTATION)
    }
}

fn spelled<'a>(entry: Option<&'a Entry>, name: &'a str) -> &'a str {
    entry.and_then(|(key, _)| key.scalar()).unwrap_or(name)
}

/// A scalar on one line that each reader takes for this text: in quotes if YAML 1.1 could read a number or a date. The Go
/// CLI reads a time only without quotes.
fn scalar(name: &str, text: &str) -> ScalarValue {
    if name == EXPIRES_AT {
        ScalarValue::plain(text)
    } else if text.starts_with(|first: char| first.is_ascii_alphabetic()) && !text.contains(char::is_control) {
        ScalarValue::string(text)
    } else {
        ScalarValue::double_quoted(text)
    }
}

/// Returns the path of the first setting that is not as `edit` should have left it.
fn difference<'a>(edit: &Edit, mut before: Option<&'a Node>, mut after: Option<&'a Node>) -> Option<String> {
    let mut path = Vec::new();
    for name in edit.path {
        if let Some(key) = foreign_difference(&[*name], before, after) {
            return Some(joined(&path, key));
        }
        path.push(*name);
        let below = |node: Option<&'a Node>| node.and_then(|node| node.get(name)).map(|(_, value)| value);
        (before, after) = (below(before), below(after));
    }
    let names: Vec<&str> = edit.fields.iter().map(|(name, _)| *name).collect();
    if let Some(key) = foreign_difference(&names, before, after) {
        return Some(joined(&path, key));
    }
    let is_wrong = |(name, value): &&(&str, Option<String>)| {
        let written = after.and_then(|node| node.get(name)).map(|(_, value)| value.scalar());
        written != value.as_deref().map(Some)
    };
    edit.fields.iter().find(is_wrong).map(|(name, _)| joined(&path, name))
}

fn joined(path: &[&str], key: &str) -> String {
    path.iter().copied().chain([key]).filter(|name| !name.is_empty()).collect::<Vec<_>>().join(".")
}

/// Compares two mappings, except for the entries under `names`. Returns the first key that differs, empty for the mapping.
fn foreign_difference<'a>(names: &[&str], before: Option<&'a Node>, after: Option<&'a Node>) -> Option<&'a str> {
    let [before, after] = [before, after].map(|node| node.filter(|node| !node.is_vacant()));
    let is_kept = match (before, after) {
        (Some(before), Some(after)) => before.is_same_collection(after),
        (Some(before), None) => before.is_bare(),
        (None, _) => true,
    };
    if !is_kept {
        return Some("");
    }
    let foreign = |node: Option<&'a Node>| {
        let entries = node.map(Node::entries).unwrap_or_default().iter();
        entries.filter(|(key, _)| !names.iter().any(|name| key.is_key(name)))
    };
    let (mut before, mut after) = (foreign(before), foreign(after));
    loop {
        match (before.next(), after.next()) {
            (None, None) => return None,
            (one, other) if one == other => {}
            (one, other) => return one.or(other).map(|(key, _)| key.scalar().unwrap_or("?")),
        }
    }
}
