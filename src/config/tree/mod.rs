//! What a real YAML parser saw in a text, and where.
//!
//! A [`Node`] knows the byte range of what it was read from, so that an edit can replace exactly that. A text that two
//! readers might understand differently (duplicate keys, several documents, a NUL) does not become a tree.

mod read;

use std::ops::Range;

use saphyr_parser::ScalarStyle;

use super::DocumentError;

/// A text and what is in it.
pub(super) struct Tree {
    text: String,
    /// Each before what it holds, in the order of the text; none, if there is nothing but comments.
    nodes: Vec<Data>,
}

#[derive(Clone, PartialEq, Eq)]
struct Data {
    /// Where the node stands, from its tag or anchor on. A block collection ends where its last child does.
    span: Range<usize>,
    /// The index behind the last node below this one.
    next: usize,
    kind: Kind,
    rest: Option<Box<Rest>>,
}

/// What few nodes have.
#[derive(Clone, PartialEq, Eq, Default)]
struct Rest {
    /// What a scalar says, where that is not the very text of its range.
    value: Option<Box<str>>,
    /// 0 for none, else the number of the anchor in order of appearance; of an alias, the one that it stands for.
    anchor: usize,
    tag: Option<Box<str>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Scalar(ScalarStyle),
    Alias,
    Sequence { flow: bool },
    Mapping { flow: bool },
}

/// A node of a tree.
#[derive(Clone, Copy)]
pub(super) struct Node<'a> {
    text: &'a str,
    nodes: &'a [Data],
    index: usize,
}

/// A key and its value.
pub(super) type Entry<'a> = (Node<'a>, Node<'a>);

impl Tree {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The root of the only document; `None` if there is nothing but comments.
    pub(super) fn root(&self) -> Option<Node<'_>> {
        let root = Node { text: &self.text, nodes: &self.nodes, index: 0 };
        (!self.nodes.is_empty()).then_some(root)
    }
}

impl<'a> Node<'a> {
    fn data(self) -> &'a Data {
        &self.nodes[self.index]
    }

    fn rest(self) -> Option<&'a Rest> {
        self.data().rest.as_deref()
    }

    pub(super) fn kind(self) -> Kind {
        self.data().kind
    }

    pub(super) fn span(self) -> Range<usize> {
        self.data().span.clone()
    }

    /// The text of a scalar, whatever its quoting.
    pub(super) fn scalar(self) -> Option<&'a str> {
        let Kind::Scalar(_) = self.kind() else { return None };
        self.value().or_else(|| self.text.get(self.span()))
    }

    fn value(self) -> Option<&'a str> {
        self.rest()?.value.as_deref()
    }

    /// What a collection holds, keys and values alike.
    fn children(self) -> impl Iterator<Item = Node<'a>> {
        let end = self.data().next;
        let mut index = self.index + 1;
        std::iter::from_fn(move || {
            let child = Node { index, ..self };
            (index < end).then(|| {
                index = child.data().next;
                child
            })
        })
    }

    /// The entries of a mapping; nothing else has any.
    pub(super) fn entries(self) -> impl Iterator<Item = Entry<'a>> {
        let mut children = self.children();
        let is_mapping = self.is_mapping();
        std::iter::from_fn(move || if is_mapping { children.next().zip(children.next()) } else { None })
    }

    pub(super) fn is_mapping(self) -> bool {
        matches!(self.kind(), Kind::Mapping { .. })
    }

    /// The entry under `key`.
    pub(super) fn get(self, key: &str) -> Option<Entry<'a>> {
        self.entries().find(|(name, _)| name.is_key(key))
    }

    pub(super) fn is_key(self, key: &str) -> bool {
        self.scalar().is_some_and(|name| is_same_key(name, key))
    }

    /// True where a mapping could stand but none does yet: nothing, null, or `{}`.
    pub(super) fn is_vacant(self) -> bool {
        self.is_bare()
            && match self.kind() {
                Kind::Scalar(ScalarStyle::Plain) => {
                    matches!(self.scalar(), Some("" | "~" | "null" | "Null" | "NULL"))
                }
                Kind::Mapping { .. } => self.entries().next().is_none(),
                Kind::Scalar(_) | Kind::Alias | Kind::Sequence { .. } => false,
            }
    }

    fn anchor(self) -> usize {
        self.rest().map_or(0, |rest| rest.anchor)
    }

    fn tag(self) -> Option<&'a str> {
        self.rest()?.tag.as_deref()
    }

    /// True without a tag and without an anchor.
    pub(super) fn is_bare(self) -> bool {
        self.anchor() == 0 && self.tag().is_none()
    }

    /// Whether the two are written alike as far as that can be said without looking at what they hold.
    pub(super) fn same_frame(self, other: Node) -> bool {
        let flow = |node: Node| match node.kind() {
            Kind::Sequence { flow } | Kind::Mapping { flow } => Some(flow),
            Kind::Scalar(_) | Kind::Alias => None,
        };
        self.anchor() == other.anchor() && self.tag() == other.tag() && flow(self) == flow(other)
    }

    /// The path of the first thing in which the two differ, be it value, quoting, tag, anchor or order.
    pub(super) fn difference(self, other: Node) -> Option<String> {
        let here = || Some(String::new());
        if !self.same_frame(other) {
            return here();
        }
        match (self.kind(), other.kind()) {
            (Kind::Scalar(style), Kind::Scalar(other_style)) => {
                let same = match style {
                    // Its range runs into the lines that follow it; its value says all there is.
                    ScalarStyle::Literal | ScalarStyle::Folded => self.scalar() == other.scalar(),
                    ScalarStyle::Plain | ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => {
                        self.value() == other.value() && self.text.get(self.span()) == other.text.get(other.span())
                    }
                };
                if same && style == other_style { None } else { here() }
            }
            (Kind::Alias, Kind::Alias) => None,
            (Kind::Sequence { .. }, Kind::Sequence { .. }) if self.children().count() == other.children().count() => {
                self.children().zip(other.children()).find_map(|(one, other)| one.difference(other))
            }
            (Kind::Mapping { .. }, Kind::Mapping { .. }) if self.children().count() == other.children().count() => {
                self.entries().zip(other.entries()).find_map(|(one, other)| entry_difference(one, other))
            }
            _ => here(),
        }
    }
}

/// Viper knows no case, so neither do we.
#[inline]
pub(super) fn is_same_key(one: &str, other: &str) -> bool {
    // Most are told apart by this, in thousands of comparisons.
    one.len() == other.len() && one.eq_ignore_ascii_case(other)
}

/// As [`Node::difference`], for a key with its value.
pub(super) fn entry_difference((key, value): Entry, (other_key, other_value): Entry) -> Option<String> {
    let name = key.scalar().unwrap_or("?");
    match key.difference(other_key) {
        Some(_) => Some(name.to_owned()),
        None => value.difference(other_value).map(|below| join(name, &below)),
    }
}

pub(super) fn join(above: &str, below: &str) -> String {
    match (above.is_empty(), below.is_empty()) {
        (true, _) => below.to_owned(),
        (false, true) => above.to_owned(),
        (false, false) => format!("{above}.{below}"),
    }
}

/// The error for a byte position of `text`.
pub(super) fn at(text: &str, position: usize, reason: &str) -> DocumentError {
    let before = text.get(..position).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    DocumentError::Syntax { line, column, reason: reason.to_owned() }
}
