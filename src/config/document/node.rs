//! The values of a YAML text, read by a YAML parser.
//!
//! Aliases and merged mappings are followed, as the Go CLI follows them. A text that two readers could understand differently
//! (duplicate keys, several documents, a NUL, the line breaks of YAML 1.1) is refused.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, StrInput};

use super::DocumentError;
use crate::text::clean;

/// The levels that a text may have. Bounds each recursion over its nodes.
const MAX_DEPTH: usize = 64;

/// The nodes that a text with aliases may have once they are followed. Bounds each loop over its contexts.
const MAX_NODES: usize = 1_000_000;

/// Line breaks in YAML 1.1, which the Go CLI reads, and other characters since YAML 1.2.
const OLD_LINE_BREAKS: [char; 3] = ['\u{85}', '\u{2028}', '\u{2029}'];

const BINARY: &str = "tag:yaml.org,2002:binary";
pub(super) const BINARY_REFUSED: &str = "a text with the tag `!!binary`";
const TAGS: &str = "tag:yaml.org,2002:";
const STRING: &str = "tag:yaml.org,2002:str";
const MERGE: &str = "tag:yaml.org,2002:merge";

pub(super) struct Node {
    /// For an alias, the content of its anchor.
    content: Arc<Content>,
    is_alias: bool,
    /// The number of the anchor in order of appearance, 0 for none. For an alias, the number of its anchor.
    anchor: usize,
    tag: Option<String>,
    start: Marker,
}

#[derive(PartialEq)]
enum Content {
    Scalar(String, ScalarStyle),
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

pub(super) type Entry = (Node, Node);

impl PartialEq for Node {
    /// Compares everything but the position.
    fn eq(&self, other: &Self) -> bool {
        self.is_marked_as(other) && (self.is_alias || self.content == other.content)
    }
}

impl Node {
    /// Reads the only document in `text`. Returns `None` if it holds nothing but comments.
    pub(super) fn read(text: &str) -> Result<Option<Self>, DocumentError> {
        refuse_odd_characters(text)?;
        let mut reader = Reader { parser: Parser::new_from_str(text), anchors: HashMap::new(), nodes: 0 };
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
        match &*self.content {
            Content::Scalar(text, _) => Some(text),
            Content::Sequence(_) | Content::Mapping(_) => None,
        }
    }

    /// Returns the text of a value. Null and an empty or blank text are none.
    pub(super) fn text(&self) -> Option<&str> {
        self.scalar().filter(|text| !text.trim().is_empty() && !self.is_null())
    }

    fn is_null(&self) -> bool {
        let is_null_word = |text: &str| matches!(text, "" | "~" | "null" | "Null" | "NULL");
        self.tag.is_none() && matches!(&*self.content, Content::Scalar(text, ScalarStyle::Plain) if is_null_word(text))
    }

    pub(super) fn entries(&self) -> &[Entry] {
        match &*self.content {
            Content::Mapping(entries) => entries,
            Content::Scalar(..) | Content::Sequence(_) => &[],
        }
    }

    pub(super) fn is_mapping(&self) -> bool {
        matches!(&*self.content, Content::Mapping(_))
    }

    /// Returns the entry that the mapping itself has.
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|(name, _)| name.is_key(key))
    }

    /// Returns the value of an entry that the mapping itself has, or that it merges.
    pub(super) fn find(&self, key: &str) -> Option<&Self> {
        let merged = || self.all_entries().into_iter().find(|(name, _)| name.is_key(key));
        self.get(key).or_else(|| if self.has_merges() { merged() } else { None }).map(|(_, value)| value)
    }

    /// Returns the entries of the mapping, and behind them the ones that it merges. The first of one name counts.
    pub(super) fn all_entries(&self) -> Vec<&Entry> {
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        let mut open = vec![self];
        while let Some(node) = open.pop() {
            if !seen.insert(Arc::as_ptr(&node.content)) {
                continue;
            }
            match &*node.content {
                Content::Scalar(..) => {}
                Content::Sequence(nodes) => open.extend(nodes.iter().rev()),
                Content::Mapping(entries) => {
                    found.extend(entries.iter().filter(|(key, _)| !key.is_merge()));
                    open.extend(entries.iter().filter(|(key, _)| key.is_merge()).map(|(_, value)| value));
                }
            }
        }
        found
    }

    pub(super) fn has_merges(&self) -> bool {
        self.entries().iter().any(|(key, _)| key.is_merge())
    }

    fn is_merge(&self) -> bool {
        let is_tagged = || self.tag.as_deref() == Some(MERGE);
        matches!(&*self.content, Content::Scalar(text, style) if text == "<<" && (*style == ScalarStyle::Plain || is_tagged()))
    }

    /// True for a scalar that is a string in YAML, not a number, a time, or true or false.
    pub(super) fn is_string(&self) -> bool {
        match (&*self.content, self.tag.as_deref()) {
            (Content::Scalar(text, ScalarStyle::Plain), None) => !is_of_other_type(text),
            (Content::Scalar(..), tag) => tag.is_none_or(|tag| tag == STRING || !tag.starts_with(TAGS)),
            (Content::Sequence(_) | Content::Mapping(_), _) => false,
        }
    }

    /// True for a text that the Go CLI decodes from Base64.
    pub(super) fn is_binary(&self) -> bool {
        self.tag.as_deref() == Some(BINARY)
    }

    pub(super) fn is_alias(&self) -> bool {
        self.is_alias
    }

    /// Compares without case, as the Go CLI does.
    pub(super) fn is_key(&self, key: &str) -> bool {
        // The Kelvin sign is a K, too.
        let is_same = |name: &str| name.eq_ignore_ascii_case(key) || (!name.is_ascii() && name.to_lowercase() == key);
        self.scalar().is_some_and(is_same)
    }

    /// True for null and `{}`, which a mapping may replace.
    pub(super) fn is_vacant(&self) -> bool {
        let is_empty_mapping = matches!(&*self.content, Content::Mapping(entries) if entries.is_empty());
        self.is_bare() && (self.is_null() || is_empty_mapping)
    }

    /// True without a tag and without an anchor.
    pub(super) fn is_bare(&self) -> bool {
        self.anchor == 0 && self.tag.is_none()
    }

    /// True if the node or one inside it has an anchor or is an alias.
    pub(super) fn has_anchors(&self) -> bool {
        self.anchor != 0
            || match &*self.content {
                Content::Scalar(..) => false,
                Content::Sequence(nodes) => nodes.iter().any(Self::has_anchors),
                Content::Mapping(entries) => {
                    entries.iter().any(|(key, value)| key.has_anchors() || value.has_anchors())
                }
            }
    }

    /// Compares tag, anchor and type of two collections, not their contents.
    pub(super) fn is_same_collection(&self, other: &Self) -> bool {
        self.is_marked_as(other) && self.is_mapping() == other.is_mapping()
    }

    fn is_marked_as(&self, other: &Self) -> bool {
        self.anchor == other.anchor && self.tag == other.tag && self.is_alias == other.is_alias
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

/// True for a plain scalar that the Go CLI's library reads as a number, a time, or true or false.
fn is_of_other_type(text: &str) -> bool {
    let number = text.trim_start_matches(['+', '-']).replace('_', "").to_ascii_lowercase();
    let is_in_base = |(prefix, base): (&str, u32)| {
        number.strip_prefix(prefix).is_some_and(|it| u64::from_str_radix(it, base).is_ok())
    };
    let is_word = matches!(&*number, "true" | "false" | ".inf" | ".nan");
    let is_number = number.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        && (number.parse::<f64>().is_ok() || [("0x", 16), ("0o", 8), ("0b", 2)].into_iter().any(is_in_base));
    is_word || is_number || super::context::timestamp(text).is_some()
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Anchor>,
    /// The nodes so far, with those that aliases repeat.
    nodes: usize,
}

#[derive(Clone)]
struct Anchor {
    content: Arc<Content>,
    tag: Option<String>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, DocumentError> {
        let next = self.parser.next_event().transpose();
        next.map_err(|error| refused(*error.marker(), &clean(error.info(), 200)))
    }

    fn node(&mut self, event: Event, span: Span, depth: usize) -> Result<Node, DocumentError> {
        if depth >= MAX_DEPTH {
            return Err(refused(span.start, "too many levels"));
        }
        let before = self.nodes;
        self.nodes += 1;
        let (content, anchor, tag) = match event {
            Event::Scalar(value, style, anchor, tag) => (Content::Scalar(value.into_owned(), style), anchor, tag),
            Event::SequenceStart(anchor, tag) => (Content::Sequence(self.children(depth)?), anchor, tag),
            Event::MappingStart(anchor, tag) => (Content::Mapping(entries(self.children(depth)?)?), anchor, tag),
            Event::Alias(anchor) => return self.alias(anchor, span.start),
            _ => return Err(refused(span.start, "an end without a start")),
        };
        let content = Arc::new(content);
        let tag = tag.map(|tag| format!("{}{}", tag.handle, tag.suffix));
        if anchor != 0 {
            let nodes = self.nodes - before;
            self.anchors.insert(anchor, Anchor { content: Arc::clone(&content), tag: tag.clone(), nodes });
        }
        Ok(Node { content, is_alias: false, anchor, tag, start: span.start })
    }

    fn alias(&mut self, anchor: usize, start: Marker) -> Result<Node, DocumentError> {
        let Some(Anchor { content, tag, nodes }) = self.anchors.get(&anchor).cloned() else {
            return Err(refused(start, "an alias inside of its anchor"));
        };
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            return Err(refused(start, "too many aliases"));
        }
        Ok(Node { content, is_alias: true, anchor, tag, start })
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

/// Refuses a NUL, at which the parser would end and ignore the rest, and characters that end a line for one reader only.
fn refuse_odd_characters(text: &str) -> Result<(), DocumentError> {
    let odd = text.char_indices().find(|(_, it)| *it == '\0' || OLD_LINE_BREAKS.contains(it));
    match odd {
        Some((position, '\0')) => Err(error_at(text, position, "a NUL character")),
        Some((position, odd)) => {
            Err(error_at(text, position, &format!("the unusual line break U+{:04X}", u32::from(odd))))
        }
        None => Ok(()),
    }
}

/// Pairs keys with values. Refuses duplicate keys.
fn entries(nodes: Vec<Node>) -> Result<Vec<Entry>, DocumentError> {
    let mut nodes = nodes.into_iter();
    let entries: Vec<Entry> = std::iter::from_fn(|| nodes.next().zip(nodes.next())).collect();
    let mut known = HashSet::with_capacity(entries.len());
    if let Some((key, _)) = entries.iter().find(|(key, _)| key.is_binary()) {
        return Err(key.error(BINARY_REFUSED));
    }
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

#[cfg(test)]
mod tests;
