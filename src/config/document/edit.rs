//! An edit of the text: where it goes, and the proof that it changed nothing else.

use std::ops::Range;

use super::super::tree::{Entry, Kind, Node, entry_difference, join};
use super::{Document, DocumentError, Value};
use crate::text::clean;

/// One place of the text and what is to stand there.
pub(super) type Splice = (Range<usize>, String);

/// What one edit does to the mapping at a path.
pub(super) struct Edit<'a> {
    pub(super) path: &'a [&'a str],
    /// Setting an empty text removes the entry, unless `keep_empty`.
    pub(super) fields: Vec<(&'a str, Value)>,
    pub(super) keep_empty: bool,
}

impl Document {
    pub(super) fn apply(&mut self, edit: &Edit) -> Result<(), DocumentError> {
        let mut edited = self.edited(edit);
        // An excerpt may lack what the edit needs; what the whole refuses, too, is refused.
        if edited.is_err() && !self.0.left_out.is_nothing() {
            edited = Self::parse_whole(self.as_str().to_owned())?.edited(edit);
        }
        *self = edited?;
        Ok(())
    }

    fn edited(&self, edit: &Edit) -> Result<Self, DocumentError> {
        let refused = || DocumentError::WouldChange { key: clean(&edit.path.join("."), 200) };
        let mut splices = self.splices(edit)?;
        splices.sort_by_key(|(range, _)| (range.start, range.end));
        let mut text = String::with_capacity(self.parsed().len() + 1024);
        let mut end = 0;
        for (range, with) in &splices {
            text.push_str(self.parsed().get(end..range.start).ok_or_else(refused)?);
            text.push_str(with);
            end = range.end;
        }
        text.push_str(&self.parsed()[end..]);
        let left_out = self.0.left_out.moved(&splices, &text).ok_or_else(refused)?;
        let edited = Self::parse_excerpt(text, left_out).map_err(|_| refused())?;
        match self.difference(edit, &edited) {
            Some(key) => Err(DocumentError::WouldChange { key: clean(&key, 200) }),
            None => Ok(edited),
        }
    }

    fn splices(&self, edit: &Edit) -> Result<Vec<Splice>, DocumentError> {
        let eol = self.eol();
        let refused = |depth: usize| DocumentError::WouldChange { key: clean(&edit.path[..depth].join("."), 200) };
        let text = self.parsed();
        let Some(root) = self.root().filter(|root| !root.is_vacant()) else {
            let block = edit.block(0, "", eol);
            let end = text.len();
            return Ok(match self.root() {
                Some(null) if !null.span().is_empty() => vec![(null.span(), block.trim_end().to_owned())],
                _ if text.is_empty() || text.ends_with(['\n', '\u{feff}']) => vec![(end..end, block)],
                _ => vec![(end..end, format!("{eol}{block}"))],
            });
        };
        let (mut holder, mut node) = (None, root);
        let mut indent = self.indent(root).ok_or_else(|| refused(0))?;
        for (depth, name) in edit.path.iter().enumerate() {
            let Kind::Mapping { flow } = node.kind() else { return Err(refused(depth)) };
            // What comes in by a merge can't be taken out here.
            if node.get("<<").is_some() {
                return Err(refused(depth));
            }
            let Some((key, value)) = node.get(name) else {
                let last = node.entries().last().ok_or_else(|| refused(depth))?;
                return Ok(vec![self.insertion(flow, last, &edit.flow(depth), &edit.block(depth, &indent, eol))]);
            };
            if value.is_vacant() {
                let below = if flow {
                    format!(": {{{}}}", edit.flow(depth + 1).join(", "))
                } else {
                    format!(":{eol}{}", edit.block(depth + 1, &deeper(&indent), eol).trim_end())
                };
                return Ok(vec![(key.span().end..self.value_end(key, value), below)]);
            }
            (holder, node) = (Some(key), value);
            if !flow {
                indent = self.indent(node).ok_or_else(|| refused(depth + 1))?;
            }
        }
        self.field_splices(edit, holder, node, &indent).ok_or_else(|| refused(edit.path.len()))
    }

    /// The splices within the mapping that holds the fields, itself held by `holder`.
    fn field_splices(&self, edit: &Edit, holder: Option<Node>, node: Node, indent: &str) -> Option<Vec<Splice>> {
        let Kind::Mapping { flow } = node.kind() else { return None };
        if node.get("<<").is_some() {
            return None;
        }
        let entries: Vec<Entry> = node.entries().collect();
        let mut splices = Vec::new();
        let mut missing = Edit { path: &[], fields: Vec::new(), keep_empty: edit.keep_empty };
        for (name, value) in &edit.fields {
            match node.get(name) {
                Some((key, old)) if !edit.removes(value) => {
                    splices.push((key.span().end..self.value_end(key, old), format!(": {}", value.yaml())));
                }
                None if !edit.removes(value) => missing.fields.push((name, value.clone())),
                Some(_) | None => {}
            }
        }
        let goes = |(key, _): &Entry| edit.fields.iter().any(|(name, new)| edit.removes(new) && key.is_key(name));
        let stays = entries.iter().rposition(|entry| !goes(entry));
        if stays.is_none() && flow {
            let all = format!(": {{{}}}", missing.flow(0).join(", "));
            return holder.map(|key| vec![(key.span().end..self.value_end(key, node), all)]);
        }
        if stays.is_none() && missing.fields.is_empty() {
            // A key with nothing below it would be null.
            let colon = self.behind_colon(holder?);
            splices.push((colon..colon, " {}".to_owned()));
        }
        for (index, entry) in entries.iter().enumerate().filter(|(_, entry)| goes(entry)) {
            // Each takes a comma with it: the one behind it, or the one before it where no other entry follows.
            let range = match stays {
                Some(last) if flow && index > last => self.entry_end(entries[index - 1])..self.entry_end(*entry),
                Some(_) if flow => entry.0.span().start..entries[index + 1].0.span().start,
                Some(_) | None => self.lines_of(*entry)?,
            };
            splices.push((range, String::new()));
        }
        if !missing.fields.is_empty() {
            let behind = if flow { entries[stays?] } else { *entries.last()? };
            splices.push(self.insertion(flow, behind, &missing.flow(0), &missing.block(0, indent, self.eol())));
        }
        Some(splices)
    }

    /// The whole lines on which a block mapping's entry stands, if nothing else stands there.
    fn lines_of(&self, entry: Entry) -> Option<Range<usize>> {
        let first = entry.0.span().start;
        let start = self.line_start(first);
        let alone = self.parsed()[start..first].trim_start_matches('\u{feff}').trim().is_empty();
        alone.then(|| start..self.line_end(self.entry_end(entry)))
    }

    /// Puts new entries behind one of a mapping's: `flow` or `block`, as the mapping is written.
    fn insertion(&self, is_flow: bool, behind: Entry, flow: &[String], block: &str) -> Splice {
        if is_flow {
            let end = self.entry_end(behind);
            return (end..end, format!(", {}", flow.join(", ")));
        }
        let end = behind.1.span().end;
        let place = if self.parsed()[..end].ends_with('\n') { end } else { self.line_end(end) };
        let text = if self.parsed()[..place].ends_with('\n') {
            block.to_owned()
        } else {
            format!("{}{}", self.eol(), block.trim_end())
        };
        (place..place, text)
    }

    fn entry_end(&self, (key, value): Entry) -> usize {
        self.value_end(key, value)
    }

    /// Where an entry ends: behind its value, or behind the colon if there is none.
    fn value_end(&self, key: Node, value: Node) -> usize {
        if value.span().is_empty() {
            return self.behind_colon(key);
        }
        // A block scalar's range holds its last line break.
        let behind = key.span().end;
        behind + self.parsed()[behind..value.span().end].trim_end().len()
    }

    /// Behind the colon that follows a key, or behind the key if there is none.
    fn behind_colon(&self, key: Node) -> usize {
        let rest = &self.parsed()[key.span().end..];
        let colon = rest.trim_start_matches([' ', '\t']);
        key.span().end + if colon.starts_with(':') { rest.len() - colon.len() + 1 } else { 0 }
    }

    /// The white space before the entries of a block mapping. Nothing for a flow mapping.
    fn indent(&self, node: Node) -> Option<String> {
        let Kind::Mapping { flow: false } = node.kind() else { return Some(String::new()) };
        let first = node.entries().next()?.0.span().start;
        let indent = self.parsed()[self.line_start(first)..first].trim_start_matches('\u{feff}');
        indent.bytes().all(|byte| byte == b' ').then(|| indent.to_owned())
    }

    fn line_start(&self, position: usize) -> usize {
        self.parsed()[..position].rfind('\n').map_or(0, |newline| newline + 1)
    }

    /// Behind the line break that ends the line.
    fn line_end(&self, position: usize) -> usize {
        self.parsed()[position..].find('\n').map_or(self.parsed().len(), |newline| position + newline + 1)
    }

    fn eol(&self) -> &'static str {
        if self.parsed().contains("\r\n") { "\r\n" } else { "\n" }
    }

    /// The path of the first thing that is not as `edit` meant it to be.
    fn difference(&self, edit: &Edit, edited: &Document) -> Option<String> {
        let mut path = String::new();
        let mut before = self.root();
        let mut after = edited.root();
        for name in edit.path {
            if let Some(key) = others_difference(&[*name], before, after) {
                return Some(join(&path, &key));
            }
            path = join(&path, name);
            before = before.and_then(|node| node.get(name)).map(|(_, value)| value);
            after = after.and_then(|node| node.get(name)).map(|(_, value)| value);
        }
        let names: Vec<&str> = edit.fields.iter().map(|(name, _)| *name).collect();
        if let Some(key) = others_difference(&names, before, after) {
            return Some(join(&path, &key));
        }
        let wrong = edit.fields.iter().find(|(name, value)| {
            let written = after.and_then(|node| node.get(name)).map(|(_, value)| value.scalar());
            match written {
                None => !edit.removes(value),
                Some(written) => edit.removes(value) || written != Some(&value.text()),
            }
        });
        wrong.map(|(name, _)| join(&path, name))
    }
}

/// Compares two mappings, all but the entries under `names`.
fn others_difference(names: &[&str], before: Option<Node>, after: Option<Node>) -> Option<String> {
    let [before, after] = [before, after].map(|node| node.filter(|node| !node.is_vacant()));
    let same_frame = match (before, after) {
        (Some(before), Some(after)) => before.same_frame(after),
        // Whatever it held was to go; what it was called must not.
        (Some(before), None) => before.is_bare(),
        (None, _) => true,
    };
    if !same_frame {
        return Some(String::new());
    }
    let mut before = others(before, names);
    let mut after = others(after, names);
    loop {
        match (before.next(), after.next()) {
            (Some(one), Some(other)) => {
                if let Some(key) = entry_difference(one, other) {
                    return Some(key);
                }
            }
            (Some((odd, _)), None) | (None, Some((odd, _))) => return Some(odd.scalar().unwrap_or("?").to_owned()),
            (None, None) => return None,
        }
    }
}

fn others<'a>(mapping: Option<Node<'a>>, names: &[&str]) -> impl Iterator<Item = Entry<'a>> {
    let entries = mapping.into_iter().flat_map(Node::entries);
    entries.filter(move |(key, _)| !names.iter().any(|name| key.is_key(name)))
}

impl Edit<'_> {
    fn removes(&self, value: &Value) -> bool {
        !self.keep_empty && value.text().is_empty()
    }

    /// What is missing from `depth` on, as lines.
    fn block(&self, depth: usize, indent: &str, eol: &str) -> String {
        let mut indent = indent.to_owned();
        let mut lines = Vec::new();
        for name in &self.path[depth..] {
            lines.push(format!("{indent}{}:{eol}", quoted(name)));
            indent = deeper(&indent);
        }
        let fields = self.fields.iter().filter(|(_, value)| !self.removes(value));
        lines.extend(fields.map(|(name, value)| format!("{indent}{}: {}{eol}", quoted(name), value.yaml())));
        lines.concat()
    }

    /// The same as the entries of a flow mapping.
    fn flow(&self, depth: usize) -> Vec<String> {
        let fields = self.fields.iter().filter(|(_, value)| !self.removes(value));
        let entries: Vec<String> = fields.map(|(name, value)| format!("{}: {}", quoted(name), value.yaml())).collect();
        self.path[depth..]
            .iter()
            .rev()
            .fold(entries, |below, name| vec![format!("{}: {{{}}}", quoted(name), below.join(", "))])
    }
}

fn deeper(indent: &str) -> String {
    format!("{indent}    ")
}

/// `text` as a YAML scalar that every reader takes for this very string: plain where that is beyond doubt, else in
/// double quotes.
pub(super) fn quoted(text: &str) -> String {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || b"._@/+=-".contains(&byte);
    let plain = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.split(' ').all(|part| !part.is_empty() && part.bytes().all(word));
    // Words that YAML 1.1 reads as something else.
    let taken = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    if plain && !taken.iter().any(|word| text.eq_ignore_ascii_case(word)) {
        return text.to_owned();
    }
    // YAML's double quotes take what JSON's do, and these escapes on top, without which YAML readers refuse the character.
    let json = serde_json::Value::from(text).to_string();
    json.chars()
        .map(|character| match character {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                format!("\\u{:04x}", u32::from(character))
            }
            _ => character.to_string(),
        })
        .collect()
}
