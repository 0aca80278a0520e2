//! The values of a YAML text, read by a YAML parser.
//!
//! A text that two readers could understand differently (duplicate keys, several documents, a NUL) is refused.

use std::collections::HashSet;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, StrInput, Tag};

use super::DocumentError;
use crate::text::clean;

/// The levels that a text may have. Bounds each recursion over its nodes.
const MAX_DEPTH: usize = 64;

pub(super) struct Node {
    pub(super) content: Content,
    /// The number of the anchor in order of appearance, 0 for none. For an alias, the number of its anchor.
    anchor: usize,
    tag: Option<String>,
    start: Marker,
}

#[derive(PartialEq)]
pub(super) enum Content {
    Scalar(String, ScalarStyle),
    Alias,
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

pub(super) type Entry = (Node, Node);

impl PartialEq for Node {
    /// Compares everything but the position.
    fn eq(&self, other: &Self) -> bool {
        self.anchor == other.anchor && self.tag == other.tag && self.content == other.content
    }
}

impl Node {
    /// Reads the only document in `text`. Returns `None` if it holds nothing but comments.
    pub(super) fn read(text: &str) -> Result<Option<Self>, DocumentError> {
        // The parser ends at a NUL and would ignore the rest.
        if let Some(position) = text.find('\0') {
            return Err(error_at(text, position, "a NUL character"));
        }
        let mut reader = Reader(Parser::new_from_str(text));
        let mut root = None;
        let mut documents = 0;
        while let Some((event, span)) = reader.next()? {
            match event {
                Event::DocumentStart(_) if documents > 0 => return Err(refused(span.start, "a second document")),
                Event::DocumentStart(_) => documents += 1,
                Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
                _ => root = Some(reader.node(event, span, 0)?),
            }
        }
        Ok(root)
    }

    pub(super) fn scalar(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(text, _) => Some(text),
            Content::Alias | Content::Sequence(_) | Content::Mapping(_) => None,
        }
    }

    pub(super) fn entries(&self) -> &[Entry] {
        match &self.content {
            Content::Mapping(entries) => entries,
            Content::Scalar(..) | Content::Alias | Content::Sequence(_) => &[],
        }
    }

    pub(super) fn is_mapping(&self) -> bool {
        matches!(self.content, Content::Mapping(_))
    }

    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|(name, _)| name.is_key(key))
    }

    /// Compares without case, as the Go CLI does.
    pub(super) fn is_key(&self, key: &str) -> bool {
        self.scalar().is_some_and(|name| name.eq_ignore_ascii_case(key))
    }

    /// True for null and `{}`, which a mapping may replace.
    pub(super) fn is_vacant(&self) -> bool {
        self.is_bare()
            && match &self.content {
                Content::Scalar(text, ScalarStyle::Plain) => matches!(&**text, "" | "~" | "null" | "Null" | "NULL"),
                Content::Mapping(entries) => entries.is_empty(),
                Content::Scalar(..) | Content::Alias | Content::Sequence(_) => false,
            }
    }

    /// True without a tag and without an anchor.
    pub(super) fn is_bare(&self) -> bool {
        self.anchor == 0 && self.tag.is_none()
    }

    /// True if the node or one inside it has an anchor or is an alias.
    pub(super) fn has_anchors(&self) -> bool {
        let inside = match &self.content {
            Content::Scalar(..) | Content::Alias => false,
            Content::Sequence(nodes) => nodes.iter().any(Self::has_anchors),
            Content::Mapping(entries) => entries.iter().any(|(key, value)| key.has_anchors() || value.has_anchors()),
        };
        self.anchor != 0 || inside
    }

    /// Compares tag, anchor and type of two collections, not their contents.
    pub(super) fn is_same_collection(&self, other: &Self) -> bool {
        self.anchor == other.anchor && self.tag == other.tag && self.is_mapping() == other.is_mapping()
    }

    pub(super) fn position(&self) -> (usize, usize) {
        (self.start.line(), self.start.col())
    }

    pub(super) fn error(&self, reason: &str) -> DocumentError {
        refused(self.start, reason)
    }

    pub(super) fn duplicate(&self) -> DocumentError {
        self.error(&format!("`{}` for the second time", clean(self.scalar().unwrap_or_default(), 60)))
    }
}

struct Reader<'a>(Parser<'a, StrInput<'a>>);

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, DocumentError> {
        let next = self.0.next_event().transpose();
        next.map_err(|error| refused(*error.marker(), &clean(error.info(), 200)))
    }

    fn node(&mut self, event: Event, span: Span, depth: usize) -> Result<Node, DocumentError> {
        if depth >= MAX_DEPTH {
            return Err(refused(span.start, "too many levels"));
        }
        let text = |tag: Option<&Tag>| tag.map(ToString::to_string);
        let (content, anchor, tag) = match event {
            Event::Scalar(value, style, anchor, tag) => {
                (Content::Scalar(value.into_owned(), style), anchor, text(tag.as_deref()))
            }
            Event::SequenceStart(anchor, tag) => {
                (Content::Sequence(self.children(depth)?), anchor, text(tag.as_deref()))
            }
            Event::MappingStart(anchor, tag) => {
                (Content::Mapping(entries(self.children(depth)?)?), anchor, text(tag.as_deref()))
            }
            Event::Alias(anchor) => (Content::Alias, anchor, None),
            _ => return Err(refused(span.start, "an end without a start")),
        };
        Ok(Node { content, anchor, tag, start: span.start })
    }

    /// Reads the nodes of a collection up to its end, keys and values alike.
    fn children(&mut self, depth: usize) -> Result<Vec<Node>, DocumentError> {
        let mut children = Vec::new();
        while let Some((event, span)) = self.next()? {
            if let Event::SequenceEnd | Event::MappingEnd = event {
                break;
            }
            children.push(self.node(event, span, depth + 1)?);
        }
        Ok(children)
    }
}

/// Pairs keys with values. Refuses duplicate keys.
fn entries(nodes: Vec<Node>) -> Result<Vec<Entry>, DocumentError> {
    let mut nodes = nodes.into_iter();
    let entries: Vec<Entry> = std::iter::from_fn(|| nodes.next().zip(nodes.next())).collect();
    let mut known = HashSet::with_capacity(entries.len());
    match entries.iter().find(|(key, _)| key.scalar().is_some_and(|name| !known.insert(name))) {
        Some((second, _)) => Err(second.duplicate()),
        None => Ok(entries),
    }
}

fn refused(marker: Marker, reason: &str) -> DocumentError {
    DocumentError::Syntax { line: marker.line(), column: marker.col() + 1, reason: reason.to_owned() }
}

pub(super) fn error_at(text: &str, position: usize, reason: &str) -> DocumentError {
    let before = text.get(..position).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    DocumentError::Syntax { line, column, reason: reason.to_owned() }
}
