//! The settings without the contexts that nobody asks for.
//!
//! A file may hold a thousand contexts, and a command reads and writes one or two of them: to parse the others would take
//! longer than all the rest. Where they are written as programs write them, they are left out of what is parsed, and stay
//! as they are in what is written. Only their keys and domains are taken from these lines; whatever else is told of them, and
//! whatever is changed in them, a YAML parser has read.
//!
//! That the rest is read as it would be among them, and they by themselves as they would be in the file, hangs on this:
//!
//! - Each line of the file is ASCII without tabs, and empty, a comment, or a key with at most a value that ends on its line.
//!   So at its end no quote, bracket or block of text is open, and there are no anchors, merges or second documents.
//! - A context is left out if its key stands on a line of its own, in the column of the contexts, and below it, in one
//!   deeper column, nothing but keys with a value each: a mapping of texts, whatever stands around it.
//! - No two contexts have the same name, and no two fields of a context that is left out.
//!
//! A file of which that can't be said is parsed whole.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use memchr::{memchr, memchr_iter, memchr2, memchr3};

use super::super::tree::is_same_key;
use super::edit::Splice;

/// Of more than 1,024 characters the parser takes none.
const LONGEST_KEY: usize = 512;

/// So many contexts are never left out: the last one, behind which new ones go, and another for when that one is deleted.
const STAY: usize = 2;

/// What an excerpt lacks of the whole text.
#[derive(Clone, Default)]
pub(super) struct LeftOut {
    /// From where the contexts were left out.
    text: Arc<String>,
    contexts: Vec<Gap>,
}

#[derive(Clone)]
struct Gap {
    /// Where it is in the excerpt.
    at: usize,
    /// The lines in the text.
    lines: Range<usize>,
}

impl LeftOut {
    /// Leaves out of a text what it can, and gives back the rest; `None` if there is nothing to leave out.
    pub(super) fn of(text: &Arc<String>) -> Option<(Self, String)> {
        let mut contexts = contexts(text)?;
        contexts.truncate(contexts.len().saturating_sub(STAY));
        let mut left_out = Self { text: Arc::clone(text), contexts: Vec::new() };
        let mut excerpt = String::new();
        let mut end = 0;
        for Block { lines, .. } in contexts.into_iter().filter(Block::may_be_left_out) {
            excerpt.push_str(&text[end..lines.start]);
            end = lines.end;
            left_out.contexts.push(Gap { at: excerpt.len(), lines });
        }
        excerpt.push_str(&text[end..]);
        (!left_out.is_nothing()).then_some((left_out, excerpt))
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.contexts.is_empty()
    }

    /// Each context: where it belongs, and its lines.
    pub(super) fn contexts(&self) -> impl Iterator<Item = (usize, &str)> {
        self.contexts.iter().map(|gap| (gap.at, &self.text[gap.lines.clone()]))
    }

    /// The lines of the context under `key`.
    pub(super) fn context(&self, key: &str) -> Option<&str> {
        self.contexts().map(|(_, lines)| lines).find(|lines| key_of(lines) == key)
    }

    /// The whole text.
    pub(super) fn put_into(&self, excerpt: &str) -> String {
        let mut whole = String::with_capacity(self.text.len() + excerpt.len());
        let mut end = 0;
        for (at, lines) in self.contexts() {
            whole.push_str(&excerpt[end..at]);
            whole.push_str(lines);
            end = at;
        }
        whole + &excerpt[end..]
    }

    /// All but the context under `key`, and the excerpt that has it.
    pub(super) fn bring_in(&self, key: &str, excerpt: &str) -> Option<(Self, String)> {
        let index = self.contexts().position(|(_, lines)| key_of(lines) == key)?;
        let mut rest = self.clone();
        let Gap { at, lines } = rest.contexts.remove(index);
        rest.contexts[index..].iter_mut().for_each(|gap| gap.at += lines.len());
        Some((rest, [&excerpt[..at], &self.text[lines], &excerpt[at..]].concat()))
    }

    /// The same contexts, for an excerpt that these splices have made. `None` if they don't fit in there.
    pub(super) fn moved(&self, splices: &[Splice], excerpt: &str) -> Option<Self> {
        let mut moved = self.clone();
        for gap in &mut moved.contexts {
            let at = gap.at;
            for (range, with) in splices {
                if range.end <= at {
                    gap.at = gap.at + with.len() - range.len();
                } else if range.start < at {
                    return None;
                }
            }
        }
        moved.fits(excerpt).then_some(moved)
    }

    /// Whether the excerpt is plain, and each context that is not in it has its place before or behind one that is.
    fn fits(&self, excerpt: &str) -> bool {
        if self.is_nothing() {
            return true;
        }
        let others = contexts(excerpt).unwrap_or_default();
        self.contexts().all(|(at, context)| {
            let Some((column, key, _)) = entries(context).next() else { return false };
            let is_beside = |it: &Block| it.column == column && (it.lines.start == at || it.lines.end == at);
            others.iter().any(is_beside) && !others.iter().any(|other| is_same_key(other.key, key))
        })
    }
}

/// The key of a context that was left out.
pub(super) fn key_of(context: &str) -> &str {
    entries(context).next().map_or("", |(_, key, _)| key)
}

/// What it says under `name`; nothing if that is empty.
pub(super) fn field_of<'a>(context: &'a str, name: &str) -> Option<&'a str> {
    let (_, _, value) = entries(context).skip(1).find(|(_, key, _)| *key == name)?;
    // In a plain value there may be quotes, too, but not at its start.
    let quote = if value.starts_with('\'') { '\'' } else { '"' };
    let inside = value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    Some(inside.unwrap_or(value)).filter(|value| !value.is_empty())
}

/// The column, key and value on each line that has them.
fn entries(text: &str) -> impl Iterator<Item = (usize, &str, &str)> {
    lines(text).filter_map(|(_, text)| match line(text)? {
        Line::Entry { column, key, value } => Some((column, key, value)),
        Line::Remark => None,
    })
}

/// A context in a text.
struct Block<'a> {
    lines: Range<usize>,
    column: usize,
    key: &'a str,
    /// So far.
    is_plain: bool,
    /// The column of its fields, or 0 before the first one.
    fields_at: usize,
}

impl Block<'_> {
    fn may_be_left_out(&self) -> bool {
        self.is_plain && self.fields_at > 0
    }
}

/// All contexts in `text`, in their order; none if not all of its lines are plain.
fn contexts(text: &str) -> Option<Vec<Block<'_>>> {
    // The others of the control characters are text like any other to the parser.
    if !text.is_ascii() || memchr3(b'\0', b'\t', b'\r', text.as_bytes()).is_some() {
        return None;
    }
    let mut contexts: Vec<Block> = Vec::new();
    let mut keys = HashSet::new();
    let mut fields: Vec<&str> = Vec::new();
    // Where they begin, or 0 before the first one; none among other settings.
    let mut contexts_at = None;
    for (range, text) in lines(text) {
        let Line::Entry { column, key, value } = line(text)? else {
            if let Some(context) = contexts.last_mut() {
                context.is_plain = false;
            }
            continue;
        };
        match contexts_at {
            _ if column == 0 => contexts_at = (key == "contexts" && value.is_empty()).then_some(0),
            None => {}
            Some(at) if at == 0 || at == column => {
                let lower = key.to_ascii_lowercase();
                contexts.push(Block {
                    lines: range,
                    column,
                    key,
                    is_plain: key == lower && value.is_empty(),
                    fields_at: 0,
                });
                contexts_at = Some(column);
                fields.clear();
                if !keys.insert(lower) {
                    return None;
                }
            }
            Some(at) => {
                let context = contexts.last_mut().filter(|_| at < column)?;
                let is_aligned = context.fields_at == column || context.fields_at == 0;
                let is_field =
                    !value.is_empty() && !fields.contains(&key) && !key.bytes().any(|byte| byte.is_ascii_uppercase());
                context.is_plain &= is_aligned && is_field;
                context.fields_at = column;
                context.lines.end = range.end;
                fields.push(key);
            }
        }
    }
    Some(contexts)
}

/// Where each line is, with its end, and what is on it.
fn lines(text: &str) -> impl Iterator<Item = (Range<usize>, &str)> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let rest = text.get(start..).filter(|rest| !rest.is_empty())?;
        let length = memchr(b'\n', rest.as_bytes()).unwrap_or(rest.len());
        let range = start..text.len().min(start + length + 1);
        start = range.end;
        Some((range, &rest[..length]))
    })
}

enum Line<'a> {
    /// Nothing, or a comment.
    Remark,
    /// The value as it is written, or nothing.
    Entry { column: usize, key: &'a str, value: &'a str },
}

/// A line without its end, if it is plain.
fn line(text: &str) -> Option<Line<'_>> {
    let column = text.bytes().take_while(|byte| *byte == b' ').count();
    let entry = &text[column..];
    if entry.is_empty() || entry.starts_with('#') {
        return Some(Line::Remark);
    }
    let (key, behind) = if let Some(quoted) = entry.strip_prefix('"') {
        let end = memchr(b'"', quoted.as_bytes())?;
        (&quoted[..end], quoted[end + 1..].strip_prefix(':')?)
    } else {
        let end = memchr(b':', entry.as_bytes()).filter(|_| begins_with_word(entry))?;
        (&entry[..end], &entry[end + 1..])
    };
    let is_key =
        key.len() <= LONGEST_KEY && key.bytes().all(|byte| is_word(byte) || matches!(byte, b'.' | b'-' | b':'));
    let value = if behind.is_empty() { behind } else { behind.strip_prefix(' ').filter(|value| is_value(value))? };
    is_key.then_some(Line::Entry { column, key, value })
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn begins_with_word(text: &str) -> bool {
    text.bytes().next().is_some_and(is_word)
}

/// Whether it is a text that begins and ends here, whatever stands on the next line.
fn is_value(text: &str) -> bool {
    let bytes = text.as_bytes();
    match bytes {
        [b'"', inside @ .., b'"'] => memchr2(b'"', b'\\', inside).is_none(),
        [b'\'', inside @ .., b'\''] => memchr(b'\'', inside).is_none(),
        [first, .., last] | [first @ last] => {
            let begins = is_word(*first) || matches!(first, b'/' | b'.' | b'+');
            let goes_on = |at: usize| bytes.get(at + 1).is_some_and(|next| *next != b' ');
            begins && *last != b' ' && memchr(b'#', bytes).is_none() && memchr_iter(b':', bytes).all(goes_on)
        }
        [] => false,
    }
}

#[cfg(test)]
mod tests;
