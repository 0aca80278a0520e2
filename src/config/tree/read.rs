//! From the parser's events to a tree.

use std::collections::HashSet;

use saphyr_parser::{Event, Marker, Parser, Span, Tag};

use super::{Data, DocumentError, Kind, Node, Rest, Tree, at};
use crate::text::clean;

/// Deeper than any settings file; bounds every recursion over a tree.
const MAX_DEPTH: usize = 64;

/// Up to how many keys of a mapping are compared one by one.
const FEW_KEYS: usize = 16;

impl Tree {
    pub(in super::super) fn read(text: String) -> Result<Self, DocumentError> {
        let nodes = nodes(&text)?;
        Ok(Self { text, nodes })
    }
}

/// A collection that is still being read.
struct Open {
    index: usize,
    children: usize,
    /// Where the last one ends.
    end: usize,
}

/// The nodes of the only document in `text`.
fn nodes(text: &str) -> Result<Vec<Data>, DocumentError> {
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

    let mut nodes: Vec<Data> = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    let mut documents = 0;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| refused(*error.marker(), &clean(error.info(), 200)))?;
        if open.len() >= MAX_DEPTH {
            return Err(refused(span.start, "too many levels"));
        }
        let range = byte(span.start)..byte(span.end);
        let index = nodes.len();
        let (kind, rest) = match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => continue,
            Event::DocumentStart(_) => {
                documents += 1;
                if documents > 1 {
                    return Err(refused(span.start, "a second document"));
                }
                continue;
            }
            // Whether in flow style, the end tells.
            Event::SequenceStart(anchor, tag) => (Kind::Sequence { flow: false }, rest(None, anchor, tag.as_deref())),
            Event::MappingStart(anchor, tag) => (Kind::Mapping { flow: false }, rest(None, anchor, tag.as_deref())),
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(done) = open.pop() else { return Err(refused(span.start, "an end without a start")) };
                let end = close(text, &mut nodes, &done, span, range.start)?;
                if let Some(parent) = open.last_mut() {
                    parent.end = end;
                }
                continue;
            }
            Event::Alias(anchor) => (Kind::Alias, rest(None, anchor, None)),
            Event::Scalar(value, style, anchor, tag) => {
                let value = Some(value).filter(|value| text.get(range.clone()) != Some(&**value));
                (Kind::Scalar(style), rest(value.map(|value| value.into_owned().into()), anchor, tag.as_deref()))
            }
        };
        if let Some(parent) = open.last_mut() {
            parent.children += 1;
            parent.end = range.end;
        }
        if let Kind::Sequence { .. } | Kind::Mapping { .. } = kind {
            open.push(Open { index, children: 0, end: range.start });
        }
        nodes.push(Data { span: range, next: index + 1, kind, rest });
    }
    Ok(nodes)
}

fn rest(value: Option<Box<str>>, anchor: usize, tag: Option<&Tag>) -> Option<Box<Rest>> {
    let rest = Rest { value, anchor, tag: tag.map(|tag| tag.to_string().into()) };
    (rest != Rest::default()).then(|| Box::new(rest))
}

/// Ends a collection: at `end`, which starts at the byte `start`.
fn close(text: &str, nodes: &mut [Data], open: &Open, end: Span, start: usize) -> Result<usize, DocumentError> {
    // Only a bracket has a width of its own, which may run into a comment behind it; a block ends where something else
    // begins.
    let is_flow = end.end.index() > end.start.index();
    let next = nodes.len();
    let data = &mut nodes[open.index];
    data.next = next;
    data.span.end = if is_flow { start + 1 } else { open.end };
    let end_byte = data.span.end;
    match &mut data.kind {
        Kind::Sequence { flow } => *flow = is_flow,
        Kind::Mapping { flow } => {
            *flow = is_flow;
            if !open.children.is_multiple_of(2) {
                return Err(refused(end.start, "a key without a value"));
            }
            if let Some(second) = duplicate(Node { text, nodes, index: open.index }, open.children / 2) {
                let name = clean(second.scalar().unwrap_or_default(), 60);
                return Err(at(text, second.span().start, &format!("`{name}` for the second time")));
            }
        }
        Kind::Scalar(_) | Kind::Alias => {}
    }
    Ok(end_byte)
}

/// The second of two keys that are one.
fn duplicate(mapping: Node, count: usize) -> Option<Node> {
    let mut keys = mapping.entries().map(|(key, _)| key).filter(|key| key.scalar().is_some());
    // A handful of short keys is compared faster than hashed, and there may be a thousand such mappings.
    if count <= FEW_KEYS {
        let mut seen = Vec::with_capacity(count);
        return keys.find(|key| {
            let known = seen.contains(&key.scalar());
            seen.push(key.scalar());
            known
        });
    }
    let mut seen = HashSet::with_capacity(count);
    keys.find(|key| !seen.insert(key.scalar()))
}

fn refused(marker: Marker, reason: &str) -> DocumentError {
    DocumentError::Syntax { line: marker.line(), column: marker.col() + 1, reason: reason.to_owned() }
}
