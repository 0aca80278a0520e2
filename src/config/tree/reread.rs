//! The tree of an edited text, for which only the entry that was edited is read again.
//!
//! The entries of a mapping in block style don't depend on each other where each is whole lines, and the parser is between
//! two entries before and behind these. Then they can be read by themselves, and all else is what it was. That is said of
//! plain settings alone, as programs write them: keys with a scalar of one line, or with a mapping of such, without
//! properties, comments, and empty lines or values. Anything else is to be read as a whole.
//!
//! - What stands before is read as it was, for the lines begin as they did, at the same column and with the same key and
//!   colon, and the parser looks no further ahead.
//! - The lines are read in a mapping of that column and begin with a key of it, here and there. That they hold nothing more
//!   than its value, the reading shows.
//! - They leave nothing behind, neither the old ones nor the new: no quote or bracket, no scalar that may go on, no value
//!   that is still to come, no anchor. So what follows is read as it was. It starts a line, with a key of this mapping or of
//!   one around it.

use std::ops::Range;

use saphyr_parser::ScalarStyle;

use super::read::nodes;
use super::{Data, DocumentError, Entry, Kind, Node, Tree};

/// An entry of a mapping in block style.
struct Lines {
    /// From the start of the key's line up to the start of the line on which something else begins.
    range: Range<usize>,
    key: usize,
    /// The index behind its last node.
    next: usize,
    /// How many collections it is in.
    levels: usize,
}

impl Tree {
    /// Reads a text that is this tree's but for what stands in the place of `changed`.
    pub(in super::super) fn edited(&self, text: String, changed: &Range<usize>) -> Result<Self, DocumentError> {
        match self.reread(&text, changed) {
            Some(nodes) => Ok(Self { text, nodes }),
            None => Self::read(text),
        }
    }

    /// The nodes of the edited text; `None` where only reading all of it tells them.
    fn reread(&self, text: &str, changed: &Range<usize>) -> Option<Vec<Data>> {
        let entries = self.lines_around(changed)?;
        // What is most of the text is as well read with the rest.
        let mut small = entries.iter().rev().filter(|entry| entry.range.len() < self.text.len() / 2);
        small.find_map(|entry| self.reread_entry(entry, text))
    }

    fn reread_entry(&self, entry: &Lines, text: &str) -> Option<Vec<Data>> {
        let start = entry.range.start;
        let behind = text.len().checked_sub(self.text.len() - entry.range.end)?;
        let [old, new] = [self.text.get(entry.range.clone())?, text.get(start..behind)?];
        let key = self.nodes[entry.key].span.end - start;
        let colon = old.get(..=key).filter(|begin| begin.ends_with(':'))?;
        let settled = self.nodes[entry.key..entry.next].iter().all(|data| is_settled(data, &self.text));
        if !settled || !is_plain(old) || !is_plain(new) || !new.starts_with(colon) {
            return None;
        }
        let read = nodes(new, entry.levels - 1).ok()?;
        let root = Node { text: new, nodes: &read, index: 0 };
        let is_one = root.entries().count() == 1 && read.get(1)?.span.end == key;
        (is_one && read.iter().all(|data| is_settled(data, new))).then(|| self.with(entry, &read[1..], new.len()))
    }

    /// The entries in whose lines, behind the key, the change is; each is in the one before.
    fn lines_around(&self, changed: &Range<usize>) -> Option<Vec<Lines>> {
        let mut found: Vec<Lines> = Vec::new();
        let mut mapping = self.root()?;
        let mut end = self.text.len();
        while let Kind::Mapping { flow: false } = mapping.kind() {
            let mut entries = mapping.entries().peekable();
            let is_before = |(key, _): &Entry| key.span().end <= changed.start;
            let mut around = None;
            while let Some(entry) = entries.next_if(is_before) {
                around = Some(entry);
            }
            let Some((key, value)) = around else { break };
            let column = self.column(key)?;
            if let Some((next, _)) = entries.next() {
                end = next.span().start - self.column(next).filter(|other| *other == column)?;
            }
            if changed.end > end {
                break;
            }
            let range = key.span().start - column..end;
            found.push(Lines { range, key: key.index, next: value.data().next, levels: found.len() + 1 });
            mapping = value;
        }
        Some(found)
    }

    /// How many spaces there are before a key, if there is nothing else on its line.
    fn column(&self, key: Node) -> Option<usize> {
        let before = self.text.get(..key.span().start)?;
        let indent = &before[before.rfind('\n').map_or(0, |newline| newline + 1)..];
        indent.bytes().all(|byte| byte == b' ').then_some(indent.len())
    }

    /// All nodes, with `others` for those of an entry, whose lines are `length` now.
    fn with(&self, entry: &Lines, others: &[Data], length: usize) -> Vec<Data> {
        let Range { start, end } = entry.range;
        let last = self.nodes[entry.key + 1].span.end;
        let position = |behind: usize| behind + start + length - end;
        let index = |behind: usize| behind + entry.key + others.len() - entry.next;

        let mut all = Vec::with_capacity(self.nodes.len() + others.len());
        all.extend_from_slice(&self.nodes[..entry.key]);
        for around in all.iter_mut().filter(|data| data.next > entry.key) {
            around.next = index(around.next);
            // It ends where its last value does.
            let ends_here = around.span.end == last;
            around.span.end = if ends_here { start + others[1].span.end } else { position(around.span.end) };
        }
        all.extend(others.iter().cloned().map(|mut data| {
            data.span = data.span.start + start..data.span.end + start;
            data.next += entry.key - 1;
            data
        }));
        all.extend(self.nodes[entry.next..].iter().cloned().map(|mut data| {
            data.span = position(data.span.start)..position(data.span.end);
            data.next = index(data.next);
            data
        }));
        all
    }
}

/// Whether lines are plain as far as their characters tell: printable ASCII, each starting like a key, no comments.
fn is_plain(lines: &str) -> bool {
    let is_key = |first: u8| first.is_ascii_alphanumeric() || matches!(first, b'_' | b'"' | b'\'');
    let starts = |line: &str| line.trim_start_matches(' ').bytes().next().is_some_and(is_key);
    let is_text = |byte: u8| matches!(byte, b' '..=b'~' | b'\n') && byte != b'#';
    lines.strip_suffix('\n').is_some_and(|lines| lines.bytes().all(is_text) && lines.split('\n').all(starts))
}

/// Whether a node is a mapping in block style, or a scalar on one line that is not empty; and nothing more than that.
fn is_settled(data: &Data, text: &str) -> bool {
    use ScalarStyle::{DoubleQuoted, Plain, SingleQuoted};
    let is_bare = data.rest.as_ref().is_none_or(|rest| rest.anchor == 0 && rest.tag.is_none());
    let is_line = |text: &str| !text.is_empty() && !text.contains('\n');
    is_bare
        && match data.kind {
            Kind::Mapping { flow } => !flow,
            Kind::Scalar(Plain | SingleQuoted | DoubleQuoted) => text.get(data.span.clone()).is_some_and(is_line),
            Kind::Scalar(_) | Kind::Sequence { .. } | Kind::Alias => false,
        }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::{Index, select};

    use super::*;

    /// Lines whose meaning hangs on those around them, or that are more than a line.
    const ODD: [&str; 34] = [
        "",
        "  ",
        "# note",
        "        # note",
        "---",
        "...",
        "... # note",
        "- x",
        "    - x",
        "? x",
        ": x",
        "\t",
        "\t# note",
        "    b: |",
        "    b: |+",
        "        text: >2-",
        "            more",
        "     more",
        "        c:",
        "    c:   # note",
        "c:",
        "        d: &a x",
        "        e: *a",
        "        <<: *a",
        "    f: {g: h,",
        "        i: j}",
        "    k: [l] # note",
        "        'm",
        "        n': o",
        "        p: q\r",
        "        r: s\u{85}",
        "        t: \"u\u{2028}v\"",
        "    \u{feff}w: x",
        "        é: ü",
    ];

    const TEXTS: [&str; 40] = [
        "",
        " ",
        "\n",
        "\r\n",
        "x",
        ":",
        ": x",
        ": x\n",
        ": 'x'",
        ": \"x\"",
        ": \"\"",
        ": 'x",
        "'",
        "\"",
        ": x # note",
        " # note",
        "#",
        ": |\n            x\n",
        ": |+\n            x\n\n\n",
        ": >-\n",
        ": &a x",
        ": *a",
        ": !t x",
        ": [x]",
        ": {x: y}",
        ": {x",
        ": - x",
        ":\n",
        ":\n            x: y",
        ":\n            x: y\n            x: z",
        ":\n        - x",
        ":x: y",
        ": x\n    y: z\n",
        ": x\n        y: z\n",
        ": x\n        token: z",
        "\ncontext: z\n",
        "\n...\n",
        "\n---\n",
        ": x\t",
        ": é\u{2028}",
    ];

    /// A file as the Go CLI writes it, with a few lines that it never would.
    fn text() -> impl Strategy<Value = String> {
        let context = |number: usize| {
            let below = "token: \"\"\n        more:\n            a: 'b'\n            c: d e\n";
            format!("    pr{number}_io:\n        domain: pr{number}.io\n        {below}")
        };
        let odd = prop::collection::vec((any::<Index>(), select(&ODD[..])), 0..3);
        (odd, 1..5_usize, any::<bool>(), select(vec!["\n", "", "\n\n", "\r\n"])).prop_map(
            move |(odd, count, first, end)| {
                let contexts: String = (0..count).map(context).collect();
                let mut text = format!("project:\n    name: x y\nother: z\ncontexts:\n{contexts}");
                if first {
                    text.insert_str(0, "context: pr0.io\n");
                } else {
                    text.push_str("context: pr0.io\n");
                }
                let mut lines: Vec<&str> = text.lines().collect();
                for (index, line) in odd {
                    lines.insert(index.index(lines.len() + 1), line);
                }
                lines.join("\n") + end
            },
        )
    }

    /// Places where edits begin and end, and any other.
    fn place(text: &str, at: Index, kind: u8) -> usize {
        let ends: Vec<usize> = match kind {
            0 => text.match_indices(':').map(|(index, _)| index).collect(),
            1 => text.match_indices('\n').map(|(index, _)| index).collect(),
            2 => text.match_indices('\n').map(|(index, _)| index + 1).collect(),
            _ => text.char_indices().map(|(index, _)| index).collect(),
        };
        if ends.is_empty() { 0 } else { ends[at.index(ends.len())] }
    }

    fn edited(text: &str, changed: Range<usize>, with: &str) -> Result<Option<bool>, TestCaseError> {
        let Ok(before) = Tree::read(text.to_owned()) else { return Ok(None) };
        let mut after = text.to_owned();
        after.replace_range(changed.clone(), with);
        let Some(reread) = before.reread(&after, &changed) else { return Ok(Some(false)) };
        let whole = nodes(&after, 0);
        prop_assert!(whole.is_ok_and(|whole| whole == reread), "{:?} {:?} {:?}", text, changed, with);
        Ok(Some(true))
    }

    #[test]
    fn an_entry_is_enough_for_the_settings_of_programs() {
        let context =
            |number: usize| format!("    pr{number}_io:\n        domain: pr{number}.io\n        token: \"\"\n");
        let contexts: String = (0..5).map(context).collect();
        let end = "context: pr0.io\n";
        let text = format!("project:\n    name: ''\ncontexts:\n{contexts}{end}");
        let behind = |what: &str| text.rfind(what).unwrap() + what.len();
        for (at, length, with, enough) in [
            (behind("context"), 8, ": pr1.io", true),
            (behind("domain"), 8, ": pr7.io", true),
            (behind("token"), 4, ": x\n        workspace: y", true),
            (behind("token: \"\"\n"), 0, "        workspace: y\n", true),
            (behind("domain: pr4.io\n"), 18, "", true),
            (behind("domain: pr2.io\n"), 18, "", true),
            (behind("name"), 4, ": x", true),
            (behind("token: \"\"\n"), 0, "    pr7_io:\n        domain: x\n", false),
            (behind("token: \"\"\n"), 0, "        domain: x\n", false),
            (behind("context"), 8, ": |\n  pr1.io", false),
            (behind("context"), 8, ":", false),
            (behind("context"), 8, ": &a x", false),
            (behind("domain"), 8, ": # x", false),
        ] {
            assert_eq!(edited(&text, at..at + length, with).unwrap(), Some(enough), "{with:?}");
        }
    }

    #[test]
    fn what_an_entry_held_may_ask_for_the_whole() {
        let more = "b: &b x\nc: *b\nd: e\nf: g\nh: i\nj: k\n";
        for (old, enough) in [
            (" x", true),
            (" 'x'", true),
            ("\n  x: y", true),
            (" &a x", false),
            (" !t x", false),
            (" |\n  x", false),
            (" x\n  y", false),
            (" [x]", false),
            ("\n- x", false),
            ("", false),
            (" x # note", false),
            (" x\n# note", false),
            (" x\n", false),
            (" é", false),
            (" x\r", false),
        ] {
            for text in [format!("a:{old}\n{more}"), format!("z: z\nz1: &z z\na:{old}\n{more}")] {
                let start = text.find("a:").unwrap() + 1;
                assert_eq!(edited(&text, start..start + 1 + old.len(), ": x").unwrap(), Some(enough), "{old:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn an_entry_that_is_enough_says_what_the_whole_says(
            text in text(), from in any::<Index>(), to in any::<Index>(), kinds in (0..4_u8, 0..4_u8),
            near in any::<bool>(), with in select(&TEXTS[..]),
        ) {
            let from = place(&text, from, kinds.0);
            // Mostly up to the line's end, as edits are.
            let line_end = text[from..].find('\n').map_or(text.len(), |newline| from + newline);
            let to = if near { line_end } else { place(&text, to, kinds.1) };
            edited(&text, from.min(to)..from.max(to), with)?;
        }
    }
}
