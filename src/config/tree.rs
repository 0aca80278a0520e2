//! What a real YAML parser saw in a text, and where.
//!
//! A [`Node`] keeps the byte range of what it was read from, so that an edit can replace exactly that. A text that two
//! readers might understand differently (duplicate keys, several documents, a NUL) does not become a tree.

use std::collections::HashSet;
use std::ops::Range;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span};

use super::DocumentError;
use crate::text::clean;

/// Deeper than any settings file; bounds every recursion over a tree.
const MAX_DEPTH: usize = 64;

/// Up to how many keys of a mapping are compared one by one.
const FEW_KEYS: usize = 16;

pub(super) struct Node {
    /// Where the node stands, from its tag or anchor on. A block collection ends where its last child does.
    pub(super) span: Range<usize>,
    pub(super) kind: Kind,
    /// 0 for none, else the number of the anchor in order of appearance.
    anchor: usize,
    tag: Option<String>,
}

pub(super) enum Kind {
    Scalar { value: String, style: ScalarStyle },
    Alias(usize),
    Sequence { items: Vec<Node>, flow: bool },
    Mapping { entries: Vec<(Node, Node)>, flow: bool },
}

impl Node {
    /// The text of a scalar, whatever its quoting.
    pub(super) fn scalar(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { value, .. } => Some(value),
            Kind::Alias(_) | Kind::Sequence { .. } | Kind::Mapping { .. } => None,
        }
    }

    pub(super) fn entries(&self) -> Option<&[(Node, Node)]> {
        match &self.kind {
            Kind::Mapping { entries, .. } => Some(entries),
            Kind::Scalar { .. } | Kind::Alias(_) | Kind::Sequence { .. } => None,
        }
    }

    /// The entry under `key`. Viper knows no case, so neither do we.
    pub(super) fn get(&self, key: &str) -> Option<&(Node, Node)> {
        self.entries()?.iter().find(|(name, _)| name.is_key(key))
    }

    pub(super) fn is_key(&self, key: &str) -> bool {
        self.scalar().is_some_and(|name| name.eq_ignore_ascii_case(key))
    }

    /// True where a mapping could stand but none does yet: nothing, null, or `{}`.
    pub(super) fn is_vacant(&self) -> bool {
        match &self.kind {
            Kind::Scalar { value, style: ScalarStyle::Plain } => {
                self.is_bare() && matches!(value.as_str(), "" | "~" | "null" | "Null" | "NULL")
            }
            Kind::Mapping { entries, .. } => self.is_bare() && entries.is_empty(),
            Kind::Scalar { .. } | Kind::Alias(_) | Kind::Sequence { .. } => false,
        }
    }

    /// True without a tag and without an anchor.
    pub(super) fn is_bare(&self) -> bool {
        self.tag.is_none() && self.anchor == 0
    }

    /// Whether the two are written alike as far as that can be said without looking at what they hold.
    pub(super) fn same_frame(&self, other: &Node) -> bool {
        let flow = |node: &Node| match node.kind {
            Kind::Sequence { flow, .. } | Kind::Mapping { flow, .. } => Some(flow),
            Kind::Scalar { .. } | Kind::Alias(_) => None,
        };
        self.anchor == other.anchor && self.tag == other.tag && flow(self) == flow(other)
    }

    /// The path of the first thing in which the two differ, be it value, quoting, tag, anchor or order.
    pub(super) fn difference(&self, text: &str, other: &Node, other_text: &str) -> Option<String> {
        let here = || Some(String::new());
        if !self.same_frame(other) {
            return here();
        }
        match (&self.kind, &other.kind) {
            (Kind::Scalar { value, style }, Kind::Scalar { value: other_value, style: other_style }) => {
                // A block scalar's range runs into the lines that follow it; its value says all there is.
                let same_text = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded)
                    || text.get(self.span.clone()) == other_text.get(other.span.clone());
                if value == other_value && style == other_style && same_text { None } else { here() }
            }
            (Kind::Alias(anchor), Kind::Alias(other_anchor)) if anchor == other_anchor => None,
            (Kind::Sequence { items, .. }, Kind::Sequence { items: others, .. }) if items.len() == others.len() => {
                items.iter().zip(others).find_map(|(one, other)| one.difference(text, other, other_text))
            }
            (Kind::Mapping { entries, .. }, Kind::Mapping { entries: others, .. }) if entries.len() == others.len() => {
                entries.iter().zip(others).find_map(|(one, other)| entry_difference(one, text, other, other_text))
            }
            _ => here(),
        }
    }
}

/// As [`Node::difference`], for a key with its value.
pub(super) fn entry_difference(
    (key, value): &(Node, Node),
    text: &str,
    (other_key, other_value): &(Node, Node),
    other_text: &str,
) -> Option<String> {
    let name = key.scalar().unwrap_or("?");
    match key.difference(text, other_key, other_text) {
        Some(_) => Some(name.to_owned()),
        None => value.difference(text, other_value, other_text).map(|below| join(name, &below)),
    }
}

pub(super) fn join(above: &str, below: &str) -> String {
    match (above.is_empty(), below.is_empty()) {
        (true, _) => below.to_owned(),
        (false, true) => above.to_owned(),
        (false, false) => format!("{above}.{below}"),
    }
}

/// A collection that is still being read.
struct Open {
    start: usize,
    anchor: usize,
    tag: Option<String>,
    mapping: bool,
    children: Vec<Node>,
}

/// The root of the only document in `text`; `None` if there is nothing but comments.
pub(super) fn parse(text: &str) -> Result<Option<Node>, DocumentError> {
    // The parser takes a NUL for the end of its input, and what is behind it would never be looked at.
    if let Some(position) = text.find('\0') {
        return Err(at(text, position, "a NUL character"));
    }
    // The parser counts characters; Rust's strings are cut at bytes.
    let offsets: Option<Vec<usize>> = (!text.is_ascii()).then(|| text.char_indices().map(|(byte, _)| byte).collect());
    let byte = |marker: Marker| match &offsets {
        Some(offsets) => offsets.get(marker.index()).copied().unwrap_or(text.len()),
        None => marker.index().min(text.len()),
    };

    let mut open: Vec<Open> = Vec::new();
    let mut root = None;
    let mut documents = 0;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| refused(*error.marker(), &clean(error.info(), 200)))?;
        if open.len() >= MAX_DEPTH {
            return Err(refused(span.start, "too many levels"));
        }
        let start = byte(span.start);
        let node = match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => continue,
            Event::DocumentStart(_) => {
                documents += 1;
                if documents > 1 {
                    return Err(refused(span.start, "a second document"));
                }
                continue;
            }
            Event::SequenceStart(anchor, tag) => {
                open.push(Open::new(start, anchor, tag.map(|tag| tag.to_string()), false));
                continue;
            }
            Event::MappingStart(anchor, tag) => {
                open.push(Open::new(start, anchor, tag.map(|tag| tag.to_string()), true));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(done) => done.close(span, text, &byte)?,
                None => return Err(refused(span.start, "an end without a start")),
            },
            Event::Alias(anchor) => {
                Node { span: start..byte(span.end), kind: Kind::Alias(anchor), anchor: 0, tag: None }
            }
            Event::Scalar(value, style, anchor, tag) => Node {
                span: start..byte(span.end),
                kind: Kind::Scalar { value: value.into_owned(), style },
                anchor,
                tag: tag.map(|tag| tag.to_string()),
            },
        };
        match open.last_mut() {
            Some(parent) => parent.children.push(node),
            None => root = Some(node),
        }
    }
    Ok(root)
}

impl Open {
    fn new(start: usize, anchor: usize, tag: Option<String>, mapping: bool) -> Self {
        Self { start, anchor, tag, mapping, children: Vec::new() }
    }

    fn close(self, end: Span, text: &str, byte: &impl Fn(Marker) -> usize) -> Result<Node, DocumentError> {
        // Only a bracket has a width of its own, which may run into a comment behind it; a block ends where something else
        // begins.
        let flow = end.end.index() > end.start.index();
        let last = self.children.last().map_or(self.start, |child| child.span.end);
        let span = self.start..if flow { byte(end.start) + 1 } else { last };
        let kind = if self.mapping {
            let mut entries = Vec::with_capacity(self.children.len() / 2);
            let mut children = self.children.into_iter();
            while let Some(key) = children.next() {
                let value = children.next().ok_or_else(|| refused(end.start, "a key without a value"))?;
                entries.push((key, value));
            }
            if let Some(second) = duplicate(&entries) {
                let name = clean(second.scalar().unwrap_or_default(), 60);
                return Err(at(text, second.span.start, &format!("`{name}` for the second time")));
            }
            Kind::Mapping { entries, flow }
        } else {
            Kind::Sequence { items: self.children, flow }
        };
        Ok(Node { span, kind, anchor: self.anchor, tag: self.tag })
    }
}

/// The second of two keys that are one.
fn duplicate(entries: &[(Node, Node)]) -> Option<&Node> {
    let mut keys = entries.iter().map(|(key, _)| key).filter(|key| key.scalar().is_some()).enumerate();
    // A handful of short keys is compared faster than hashed, and there may be a thousand such mappings.
    if entries.len() <= FEW_KEYS {
        let earlier = |count: usize| entries.iter().filter_map(|(key, _)| key.scalar()).take(count);
        return keys.find(|(index, key)| earlier(*index).any(|name| Some(name) == key.scalar())).map(|(_, key)| key);
    }
    let mut seen = HashSet::with_capacity(entries.len());
    keys.find(|(_, key)| !seen.insert(key.scalar())).map(|(_, key)| key)
}

fn refused(marker: Marker, reason: &str) -> DocumentError {
    DocumentError::Syntax { line: marker.line(), column: marker.col() + 1, reason: reason.to_owned() }
}

/// The error for a byte position of `text`.
pub(super) fn at(text: &str, position: usize, reason: &str) -> DocumentError {
    let before = text.get(..position).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    DocumentError::Syntax { line, column, reason: reason.to_owned() }
}
