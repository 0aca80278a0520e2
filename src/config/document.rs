//! The settings as text, read and edited in place.
//!
//! An edit replaces, inserts or removes whole entries at positions that a YAML parser reported, parses the result, and
//! compares the two trees: everything that was not asked for must be as it was, down to quoting, tags and anchors, and
//! what was asked for must read back. Else the edit is refused and the text stays.

use std::ops::Range;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::DateTime;

use super::tree::{Kind, Node, at, entry_difference, join, parse};
use crate::domain::Domain;
use crate::text::clean;
use crate::token::{AccessToken, RefreshToken};

/// Why a text could not be read as settings, or not be edited.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Not YAML, or YAML that isn't one mapping with unique keys. Lines and columns count from 1.
    #[error("line {line}, column {column}: {reason}")]
    Syntax {
        /// The line.
        line: usize,
        /// The column, in characters.
        column: usize,
        /// What is wrong there.
        reason: String,
    },
    /// The edit would have changed a setting that is not ours, or is written in a way that can't be edited in place.
    #[error("`{key}` cannot be kept as it is written")]
    WouldChange {
        /// The path of the setting, joined by dots.
        key: String,
    },
}

/// What the file says about one domain. An empty text counts as none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Context {
    /// The domain; where the file does not say, the context's key with dots for underscores.
    pub domain: String,
    /// The organization's id.
    pub organization: Option<String>,
    /// `HOSTED` or `HYBRID`.
    pub organization_product: Option<String>,
    /// The workspace's id. Setting it sets `last_used_workspace` with it.
    pub workspace: Option<String>,
    /// The workspace that was chosen last.
    pub last_used_workspace: Option<String>,
    /// The e-mail address of who is logged in.
    pub user_email: Option<String>,
    /// The plaintext access token; there is one exactly if the Go CLI takes the context for logged in.
    pub token: Option<AccessToken>,
    /// The plaintext refresh token.
    pub refresh_token: Option<RefreshToken>,
    /// When `token` expires.
    pub expires_at: Option<Timestamp>,
}

const BEARER: &str = "Bearer ";

/// The settings that are ours, in the Go CLI's order, with the text of each; empty for none.
type Fields = [(&'static str, Value); 9];

/// A scalar as the file is to hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Text(String),
    /// Written without quotes, since the Go CLI reads it as a time only then.
    Time(Option<Timestamp>),
}

impl Value {
    fn text(&self) -> String {
        match self {
            Value::Text(text) => text.clone(),
            Value::Time(time) => time.map(|time| time.to_string()).unwrap_or_default(),
        }
    }

    fn yaml(&self) -> String {
        match self {
            Value::Time(Some(time)) => time.to_string(),
            Value::Text(_) | Value::Time(None) => quoted(&self.text()),
        }
    }
}

impl Context {
    fn read(key: &str, node: &Node) -> Self {
        let text = |name| Some(node.get(name)?.1.scalar()?.to_owned()).filter(|text| !text.is_empty());
        let token = text("token").map(|token| token.strip_prefix(BEARER).unwrap_or(&token).trim().to_owned());
        Self {
            domain: text("domain").unwrap_or_else(|| key.replace('_', ".")),
            organization: text("organization"),
            organization_product: text("organization_product"),
            workspace: text("workspace"),
            last_used_workspace: text("last_used_workspace"),
            user_email: text("user_email"),
            token: token.filter(|token| !token.is_empty() && token != BEARER.trim()).map(AccessToken::new),
            refresh_token: text("refreshtoken").map(RefreshToken::new),
            expires_at: text("expiresin").and_then(|time| timestamp(&time)),
        }
    }

    fn fields(&self) -> Fields {
        let text = |value: &Option<String>| Value::Text(value.clone().unwrap_or_default());
        let token = self.token.as_ref().map(|token| format!("{BEARER}{}", token.expose()));
        let refresh_token = self.refresh_token.as_ref().map(|token| token.expose().to_owned());
        [
            ("domain", Value::Text(self.domain.clone())),
            ("expiresin", Value::Time(self.expires_at)),
            ("last_used_workspace", text(&self.last_used_workspace)),
            ("organization", text(&self.organization)),
            ("organization_product", text(&self.organization_product)),
            ("refreshtoken", text(&refresh_token)),
            ("token", text(&token)),
            ("user_email", text(&self.user_email)),
            ("workspace", text(&self.workspace)),
        ]
    }
}

/// Whether a switch is on. A word that may mean yes is taken for yes, for what is switched on here is caution.
pub fn is_yes(word: &str) -> bool {
    ["true", "t", "1", "yes", "y", "on"].iter().any(|yes| word.eq_ignore_ascii_case(yes))
}

/// RFC 3339 with an offset, or the forms without one that YAML knows too and Go reads as UTC.
fn timestamp(text: &str) -> Option<Timestamp> {
    let in_utc = || jiff::tz::TimeZone::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok();
    text.parse().ok().or_else(in_utc)
}

/// One place of the text and what is to stand there.
type Splice = (Range<usize>, String);

/// The settings file's text, with a typed view on the part that is ours.
///
/// Clones share what was parsed.
#[derive(Clone)]
pub struct Document {
    text: Arc<str>,
    /// `None`: nothing but comments.
    root: Option<Arc<Node>>,
}

/// What one edit does to the mapping at a path.
struct Edit<'a> {
    path: &'a [&'a str],
    /// Setting an empty text removes the entry, unless `keep_empty`.
    fields: Vec<(&'a str, Value)>,
    keep_empty: bool,
}

impl Document {
    /// Reads settings. The top level is a mapping, or nothing at all.
    pub fn parse(text: impl Into<String>) -> Result<Self, DocumentError> {
        let text = text.into();
        let root = parse(&text)?;
        if let Some(root) = &root
            && root.entries().is_none()
            && !root.is_vacant()
        {
            return Err(at(&text, root.span.start, "settings expected, as `key: value`"));
        }
        let document = Self { text: text.into(), root: root.map(Arc::new) };
        document.refuse_ambiguity()?;
        Ok(document)
    }

    pub(super) fn from_bytes(bytes: Vec<u8>) -> Result<Self, DocumentError> {
        let text = String::from_utf8(bytes).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            let before = String::from_utf8_lossy(&error.as_bytes()[..valid]);
            at(&before, valid, "not UTF-8")
        })?;
        Self::parse(text)
    }

    /// The settings as they are to be written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The domain of the current context, as the file names it.
    pub fn current_context(&self) -> Option<String> {
        let name = self.root.as_ref()?.get("context")?.1.scalar()?;
        Some(name.to_owned()).filter(|name| !name.is_empty())
    }

    /// Makes the context of this domain the current one, be it Astro's or not; `None` leaves no context current.
    pub fn set_current_context(&mut self, domain: Option<&str>) -> Result<(), DocumentError> {
        let name = domain.unwrap_or_default();
        if self.current_context().unwrap_or_default() == name {
            return Ok(());
        }
        let fields = vec![("context", Value::Text(name.to_owned()))];
        self.apply(&Edit { path: &[], fields, keep_empty: true })
    }

    /// What the file says about `domain`.
    pub fn context(&self, domain: &Domain) -> Option<Context> {
        let key = domain.context_key();
        let (_, node) = self.root.as_ref()?.get("contexts")?.1.get(&key)?;
        node.entries().map(|_| Context::read(&key, node))
    }

    /// All contexts in the file's order, those of other programs among them.
    pub fn contexts(&self) -> Vec<Context> {
        let contexts = self.root.as_deref().and_then(|root| root.get("contexts"));
        let entries = contexts.and_then(|(_, contexts)| contexts.entries()).unwrap_or_default();
        let mapping = |(key, node): &(Node, Node)| Some(Context::read(key.scalar()?, node.entries().map(|_| node)?));
        entries.iter().filter_map(mapping).collect()
    }

    /// Lets `change` alter the context of `domain` (a new one if there is none) and writes what it altered. Fields
    /// that became `None` leave the file; `domain` is always written as `domain`.
    pub fn update_context(&mut self, domain: &Domain, change: impl FnOnce(&mut Context)) -> Result<(), DocumentError> {
        let key = domain.context_key();
        let before = self.context(domain).unwrap_or_default();
        let mut after = before.clone();
        change(&mut after);
        domain.as_str().clone_into(&mut after.domain);
        if after.workspace.is_some() && after.workspace != before.workspace {
            after.last_used_workspace.clone_from(&after.workspace);
        }
        let mut fields: Vec<_> = before.fields().into_iter().zip(after.fields()).collect();
        let says_domain = self.field(&key, "domain").is_some();
        fields.retain(|((name, before), (_, after))| before != after || (*name == "domain" && !says_domain));
        if fields.is_empty() {
            return Ok(());
        }
        let fields = fields.into_iter().map(|(_, after)| after).collect();
        self.apply(&Edit { path: &["contexts", &key], fields, keep_empty: false })
    }

    /// Takes everything of ours but `domain` out of the context, also where it is empty already. Without such a
    /// context nothing happens.
    pub fn clear_context(&mut self, domain: &Domain) -> Result<(), DocumentError> {
        let key = domain.context_key();
        let mut fields = Vec::from(Context::default().fields());
        fields.retain(|(name, _)| *name != "domain" && self.field(&key, name).is_some());
        if fields.is_empty() {
            return Ok(());
        }
        if self.field(&key, "domain").is_none() {
            fields.push(("domain", Value::Text(domain.as_str().to_owned())));
        }
        self.apply(&Edit { path: &["contexts", &key], fields, keep_empty: false })
    }

    /// Takes the whole context out, with whatever else it holds. Without such a context nothing happens.
    pub fn delete_context(&mut self, domain: &Domain) -> Result<(), DocumentError> {
        let key = domain.context_key();
        if self.context(domain).is_none() {
            return Ok(());
        }
        self.apply(&Edit { path: &["contexts"], fields: vec![(&key, Value::Text(String::new()))], keep_empty: false })
    }

    /// Whether the person forbade a plaintext store.
    pub fn no_insecure_fallback(&self) -> bool {
        let value = self.root.as_deref().and_then(|root| root.get("no_insecure_fallback"));
        value.and_then(|(_, value)| value.scalar()).is_some_and(is_yes)
    }

    fn field(&self, context: &str, name: &str) -> Option<&Node> {
        self.root.as_ref()?.get("contexts")?.1.get(context)?.1.get(name).map(|(_, value)| value)
    }

    /// Two spellings of a key are one key to the Go CLI, so where it is ours there must be one only.
    fn refuse_ambiguity(&self) -> Result<(), DocumentError> {
        let unique = |node: &Node, names: &[&str]| {
            let entries = node.entries().unwrap_or_default();
            for name in names {
                if let Some((second, _)) = entries.iter().filter(|(key, _)| key.is_key(name)).nth(1) {
                    return Err(at(&self.text, second.span.start, &format!("`{name}` for the second time")));
                }
            }
            Ok(())
        };
        let Some(root) = &self.root else { return Ok(()) };
        unique(root, &["context", "contexts", "no_insecure_fallback"])?;
        let Some((_, contexts)) = root.get("contexts") else { return Ok(()) };
        let names = Context::default().fields().map(|(name, _)| name);
        let mut seen = std::collections::HashSet::new();
        for (key, context) in contexts.entries().unwrap_or_default() {
            let name = key.scalar().unwrap_or_default();
            if !seen.insert(name.to_ascii_lowercase()) {
                let reason = format!("`{}` for the second time", clean(name, 60));
                return Err(at(&self.text, key.span.start, &reason));
            }
            unique(context, &names)?;
        }
        Ok(())
    }

    fn apply(&mut self, edit: &Edit) -> Result<(), DocumentError> {
        let mut splices = self.splices(edit)?;
        splices.sort_by_key(|(range, _)| (range.start, range.end));
        let mut text = String::from(&*self.text);
        for (range, with) in splices.into_iter().rev() {
            text.replace_range(range, &with);
        }
        let refused = || DocumentError::WouldChange { key: clean(&edit.path.join("."), 200) };
        let edited = Document::parse(text).map_err(|_| refused())?;
        if let Some(key) = self.difference(edit, &edited) {
            return Err(DocumentError::WouldChange { key: clean(&key, 200) });
        }
        *self = edited;
        Ok(())
    }

    fn splices(&self, edit: &Edit) -> Result<Vec<Splice>, DocumentError> {
        let eol = self.eol();
        let refused = |depth: usize| DocumentError::WouldChange { key: clean(&edit.path[..depth].join("."), 200) };
        let Some(root) = self.root.as_deref().filter(|root| !root.is_vacant()) else {
            let block = edit.block(0, "", eol);
            let end = self.text.len();
            return Ok(match &self.root {
                Some(null) if !null.span.is_empty() => vec![(null.span.clone(), block.trim_end().to_owned())],
                _ if self.text.is_empty() || self.text.ends_with(['\n', '\u{feff}']) => vec![(end..end, block)],
                _ => vec![(end..end, format!("{eol}{block}"))],
            });
        };
        let (mut holder, mut node) = (None, root);
        let mut indent = self.indent(root).ok_or_else(|| refused(0))?;
        for (depth, name) in edit.path.iter().enumerate() {
            let Kind::Mapping { entries, flow } = &node.kind else { return Err(refused(depth)) };
            // What comes in by a merge can't be taken out here.
            if entries.iter().any(|(key, _)| key.is_key("<<")) {
                return Err(refused(depth));
            }
            let Some((key, value)) = node.get(name) else {
                let last = entries.last().ok_or_else(|| refused(depth))?;
                return Ok(vec![self.insertion(*flow, last, &edit.flow(depth), &edit.block(depth, &indent, eol))]);
            };
            if value.is_vacant() {
                let below = if *flow {
                    format!(": {{{}}}", edit.flow(depth + 1).join(", "))
                } else {
                    format!(":{eol}{}", edit.block(depth + 1, &deeper(&indent), eol).trim_end())
                };
                return Ok(vec![(key.span.end..self.value_end(key, value), below)]);
            }
            (holder, node) = (Some(key), value);
            if !flow {
                indent = self.indent(node).ok_or_else(|| refused(depth + 1))?;
            }
        }
        self.field_splices(edit, holder, node, &indent).ok_or_else(|| refused(edit.path.len()))
    }

    /// The splices within the mapping that holds the fields, itself held by `holder`.
    fn field_splices(&self, edit: &Edit, holder: Option<&Node>, node: &Node, indent: &str) -> Option<Vec<Splice>> {
        let Kind::Mapping { entries, flow } = &node.kind else { return None };
        if entries.iter().any(|(key, _)| key.is_key("<<")) {
            return None;
        }
        let mut splices = Vec::new();
        let mut missing = Edit { path: &[], fields: Vec::new(), keep_empty: edit.keep_empty };
        for (name, value) in &edit.fields {
            match node.get(name) {
                Some((key, old)) if !edit.removes(value) => {
                    splices.push((key.span.end..self.value_end(key, old), format!(": {}", value.yaml())));
                }
                None if !edit.removes(value) => missing.fields.push((name, value.clone())),
                Some(_) | None => {}
            }
        }
        let goes =
            |(key, _): &(Node, Node)| edit.fields.iter().any(|(name, new)| edit.removes(new) && key.is_key(name));
        let stays = entries.iter().rposition(|entry| !goes(entry));
        if stays.is_none() && *flow {
            let all = format!(": {{{}}}", missing.flow(0).join(", "));
            return holder.map(|key| vec![(key.span.end..self.value_end(key, node), all)]);
        }
        if stays.is_none() && missing.fields.is_empty() {
            // A key with nothing below it would be null.
            let colon = self.behind_colon(holder?);
            splices.push((colon..colon, " {}".to_owned()));
        }
        for (index, entry) in entries.iter().enumerate().filter(|(_, entry)| goes(entry)) {
            // Each takes a comma with it: the one behind it, or the one before it where no other entry follows.
            let range = match stays {
                Some(last) if *flow && index > last => self.entry_end(&entries[index - 1])..self.entry_end(entry),
                Some(_) if *flow => entry.0.span.start..entries[index + 1].0.span.start,
                Some(_) | None => self.lines_of(entry)?,
            };
            splices.push((range, String::new()));
        }
        if !missing.fields.is_empty() {
            let behind = if *flow { &entries[stays?] } else { entries.last()? };
            splices.push(self.insertion(*flow, behind, &missing.flow(0), &missing.block(0, indent, self.eol())));
        }
        Some(splices)
    }

    /// The whole lines on which a block mapping's entry stands, if nothing else stands there.
    fn lines_of(&self, entry: &(Node, Node)) -> Option<Range<usize>> {
        let first = entry.0.span.start;
        let start = self.line_start(first);
        let alone = self.text[start..first].trim_start_matches('\u{feff}').trim().is_empty();
        alone.then(|| start..self.line_end(self.entry_end(entry)))
    }

    /// Puts new entries behind one of a mapping's: `flow` or `block`, as the mapping is written.
    fn insertion(&self, is_flow: bool, behind: &(Node, Node), flow: &[String], block: &str) -> Splice {
        if is_flow {
            let end = self.entry_end(behind);
            return (end..end, format!(", {}", flow.join(", ")));
        }
        let end = behind.1.span.end;
        let place = if self.text[..end].ends_with('\n') { end } else { self.line_end(end) };
        let text = if self.text[..place].ends_with('\n') {
            block.to_owned()
        } else {
            format!("{}{}", self.eol(), block.trim_end())
        };
        (place..place, text)
    }

    fn entry_end(&self, (key, value): &(Node, Node)) -> usize {
        self.value_end(key, value)
    }

    /// Where an entry ends: behind its value, or behind the colon if there is none.
    fn value_end(&self, key: &Node, value: &Node) -> usize {
        if value.span.is_empty() {
            return self.behind_colon(key);
        }
        // A block scalar's range holds its last line break.
        let behind = key.span.end;
        behind + self.text[behind..value.span.end].trim_end().len()
    }

    /// Behind the colon that follows a key, or behind the key if there is none.
    fn behind_colon(&self, key: &Node) -> usize {
        let rest = &self.text[key.span.end..];
        let colon = rest.trim_start_matches([' ', '\t']);
        key.span.end + if colon.starts_with(':') { rest.len() - colon.len() + 1 } else { 0 }
    }

    /// The white space before the entries of a block mapping. Nothing for a flow mapping.
    fn indent(&self, node: &Node) -> Option<String> {
        let Kind::Mapping { entries, flow: false } = &node.kind else { return Some(String::new()) };
        let first = entries.first()?.0.span.start;
        let indent = self.text[self.line_start(first)..first].trim_start_matches('\u{feff}');
        indent.bytes().all(|byte| byte == b' ').then(|| indent.to_owned())
    }

    fn line_start(&self, position: usize) -> usize {
        self.text[..position].rfind('\n').map_or(0, |newline| newline + 1)
    }

    /// Behind the line break that ends the line.
    fn line_end(&self, position: usize) -> usize {
        self.text[position..].find('\n').map_or(self.text.len(), |newline| position + newline + 1)
    }

    fn eol(&self) -> &'static str {
        if self.text.contains("\r\n") { "\r\n" } else { "\n" }
    }

    /// The path of the first thing that is not as `edit` meant it to be.
    fn difference(&self, edit: &Edit, edited: &Document) -> Option<String> {
        let mut path = String::new();
        let mut before = self.root.as_deref();
        let mut after = edited.root.as_deref();
        for name in edit.path {
            if let Some(key) = self.others_difference(&[*name], before, edited, after) {
                return Some(join(&path, &key));
            }
            path = join(&path, name);
            before = before.and_then(|node| node.get(name)).map(|(_, value)| value);
            after = after.and_then(|node| node.get(name)).map(|(_, value)| value);
        }
        let names: Vec<&str> = edit.fields.iter().map(|(name, _)| *name).collect();
        if let Some(key) = self.others_difference(&names, before, edited, after) {
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

    /// Compares two mappings, all but the entries under `names`.
    fn others_difference(
        &self,
        names: &[&str],
        before: Option<&Node>,
        edited: &Document,
        after: Option<&Node>,
    ) -> Option<String> {
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
        let before = others(before, names);
        let after = others(after, names);
        let mut pairs = before.iter().zip(&after);
        pairs.find_map(|(one, other)| entry_difference(one, &self.text, other, &edited.text)).or_else(|| {
            let odd = before.get(after.len()).or_else(|| after.get(before.len()))?;
            Some(odd.0.scalar().unwrap_or("?").to_owned())
        })
    }
}

fn others<'a>(mapping: Option<&'a Node>, names: &[&str]) -> Vec<&'a (Node, Node)> {
    let entries = mapping.and_then(Node::entries).unwrap_or_default();
    entries.iter().filter(|(key, _)| !names.iter().any(|name| key.is_key(name))).collect()
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
fn quoted(text: &str) -> String {
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
