//! The settings as text, read and edited in place.
//!
//! An edit replaces, inserts or removes whole entries at positions that a YAML parser reported, reads the result, and
//! compares the two trees: everything that was not asked for must be as it was, down to quoting, tags and anchors, and
//! what was asked for must read back. Else the edit is refused and the text stays. What was left out of the parsed text is
//! written back byte for byte.

mod edit;
mod excerpt;

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use jiff::civil::DateTime;

use super::tree::{Node, Tree, at, is_same_key};
use crate::domain::Domain;
use crate::text::clean;
use crate::token::{AccessToken, RefreshToken};

use edit::{Edit, quoted};
use excerpt::LeftOut;

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
    fn read(key: &str, node: Node) -> Self {
        let texts: Vec<(&str, &str)> =
            node.entries().filter_map(|(key, value)| Some((key.scalar()?, value.scalar()?))).collect();
        let written = |name| texts.iter().find(|(key, _)| is_same_key(key, name)).map(|(_, text)| *text);
        let text = |name| written(name).filter(|text| !text.is_empty()).map(str::to_owned);
        let token = written("token").map(|token| token.strip_prefix(BEARER).unwrap_or(token).trim());
        Self {
            domain: domain_of(key, node),
            organization: text("organization"),
            organization_product: text("organization_product"),
            workspace: text("workspace"),
            last_used_workspace: text("last_used_workspace"),
            user_email: text("user_email"),
            token: token.filter(|token| !token.is_empty() && *token != BEARER.trim()).map(AccessToken::new),
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

/// The domain as the context says it, or else as its key does.
fn domain_of(key: &str, context: Node) -> String {
    let said = context.get("domain").and_then(|(_, domain)| domain.scalar()).filter(|domain| !domain.is_empty());
    said.map_or_else(|| domain_of_key(key), str::to_owned)
}

fn domain_of_key(key: &str) -> String {
    key.replace('_', ".")
}

/// A context that was left out, read from its lines.
fn by_itself(lines: &str) -> Option<Context> {
    let tree = Tree::read(lines.to_owned()).ok()?;
    let (key, context) = tree.root()?.entries().next()?;
    Some(Context::read(key.scalar()?, context))
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

/// The settings file's text, with a typed view on the part that is ours.
///
/// Clones share what was parsed.
#[derive(Clone)]
pub struct Document(Arc<Settings>);

struct Settings {
    /// What was parsed: the text, or an excerpt of it.
    tree: Tree,
    left_out: LeftOut,
    /// The text, if that is more than what was parsed.
    whole: OnceLock<Arc<String>>,
}

impl Document {
    /// Reads settings. The top level is a mapping, or nothing at all.
    pub fn parse(text: impl Into<String>) -> Result<Self, DocumentError> {
        let text = Arc::new(text.into());
        // What is wrong with an excerpt is wrong with the whole, where its place can be told.
        if let Some((left_out, excerpt)) = LeftOut::of(&text)
            && let Ok(tree) = settings(excerpt)
        {
            return Ok(Self(Arc::new(Settings { tree, left_out, whole: OnceLock::from(text) })));
        }
        Self::parse_whole(Arc::unwrap_or_clone(text))
    }

    fn parse_whole(text: String) -> Result<Self, DocumentError> {
        Self::parse_excerpt(text, LeftOut::default())
    }

    fn parse_excerpt(text: String, left_out: LeftOut) -> Result<Self, DocumentError> {
        Ok(Self(Arc::new(Settings { tree: settings(text)?, left_out, whole: OnceLock::new() })))
    }

    /// `None`: nothing but comments.
    fn root(&self) -> Option<Node<'_>> {
        self.0.tree.root()
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
        if self.0.left_out.is_nothing() {
            return self.parsed();
        }
        self.0.whole.get_or_init(|| Arc::new(self.0.left_out.put_into(self.parsed())))
    }

    /// The text of what was parsed, in which all nodes have their places.
    fn parsed(&self) -> &str {
        self.0.tree.text()
    }

    /// Parses the context under `key`, if it was left out.
    fn bring_in(&mut self, key: &str) -> Result<(), DocumentError> {
        if let Some((left_out, excerpt)) = self.0.left_out.bring_in(key, self.parsed()) {
            *self = Self::parse_excerpt(excerpt, left_out)?;
        }
        Ok(())
    }

    /// The domain of the current context, as the file names it.
    pub fn current_context(&self) -> Option<String> {
        let name = self.root()?.get("context")?.1.scalar()?;
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
        if let Some(lines) = self.0.left_out.context(&key) {
            return by_itself(lines);
        }
        let (_, node) = self.root()?.get("contexts")?.1.get(&key)?;
        node.is_mapping().then(|| Context::read(&key, node))
    }

    /// All contexts in the file's order, those of other programs among them.
    pub fn contexts(&self) -> Vec<Context> {
        self.in_order(Context::read, by_itself)
    }

    /// The domains of all contexts, in the same order.
    pub fn domains(&self) -> Vec<String> {
        let of_lines = |lines: &str| {
            let said = excerpt::field_of(lines, "domain");
            said.map_or_else(|| domain_of_key(excerpt::key_of(lines)), str::to_owned)
        };
        self.in_order(domain_of, |lines| Some(of_lines(lines)))
    }

    /// What is said of each context, by its key and value or by its lines.
    fn in_order<T>(&self, parsed: impl Fn(&str, Node) -> T, left_out: impl Fn(&str) -> Option<T>) -> Vec<T> {
        let contexts = self.root().and_then(|root| root.get("contexts"));
        let entries = contexts.into_iter().flat_map(|(_, contexts)| contexts.entries());
        let entries = entries.filter(|(_, context)| context.is_mapping());
        let parsed = entries.filter_map(|(key, it)| Some((key.span().start, parsed(key.scalar()?, it))));
        let left_out = self.0.left_out.contexts().filter_map(|(at, lines)| Some((at, left_out(lines)?)));
        // What was left out in front of a context comes before it.
        let mut all: Vec<(usize, T)> = left_out.chain(parsed).collect();
        all.sort_by_key(|(at, _)| *at);
        all.into_iter().map(|(_, it)| it).collect()
    }

    /// Lets `change` alter the context of `domain` (a new one if there is none) and writes what it altered. Fields
    /// that became `None` leave the file; `domain` is always written as `domain`.
    pub fn update_context(&mut self, domain: &Domain, change: impl FnOnce(&mut Context)) -> Result<(), DocumentError> {
        let key = domain.context_key();
        self.bring_in(&key)?;
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
        self.bring_in(&key)?;
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
        self.bring_in(&key)?;
        if self.context(domain).is_none() {
            return Ok(());
        }
        self.apply(&Edit { path: &["contexts"], fields: vec![(&key, Value::Text(String::new()))], keep_empty: false })
    }

    /// Whether the person forbade a plaintext store.
    pub fn no_insecure_fallback(&self) -> bool {
        let value = self.root().and_then(|root| root.get("no_insecure_fallback"));
        value.and_then(|(_, value)| value.scalar()).is_some_and(is_yes)
    }

    fn field(&self, context: &str, name: &str) -> Option<Node<'_>> {
        self.root()?.get("contexts")?.1.get(context)?.1.get(name).map(|(_, value)| value)
    }
}

/// Reads what stands at the top level of settings.
fn settings(text: String) -> Result<Tree, DocumentError> {
    let tree = Tree::read(text)?;
    if let Some(root) = tree.root() {
        if !root.is_mapping() && !root.is_vacant() {
            return Err(at(tree.text(), root.span().start, "settings expected, as `key: value`"));
        }
        refuse_ambiguity(tree.text(), root)?;
    }
    Ok(tree)
}

/// Two spellings of a key are one key to the Go CLI, so where it is ours there must be one only.
fn refuse_ambiguity(text: &str, root: Node) -> Result<(), DocumentError> {
    let twice =
        |key: Node, name: &str| Err(at(text, key.span().start, &format!("`{}` for the second time", clean(name, 60))));
    let unique = |node: Node, names: &[&str]| {
        if !is_spelled_oddly(node) {
            return Ok(());
        }
        let mut seen = Vec::with_capacity(names.len());
        for (key, _) in node.entries() {
            let key_text = key.scalar().unwrap_or_default();
            let Some(name) = names.iter().find(|name| is_same_key(key_text, name)) else { continue };
            if seen.contains(&name) {
                return twice(key, name);
            }
            seen.push(name);
        }
        Ok(())
    };
    unique(root, &["context", "contexts", "no_insecure_fallback"])?;
    let Some((_, contexts)) = root.get("contexts") else { return Ok(()) };
    if is_spelled_oddly(contexts) {
        let mut seen = HashSet::new();
        for (key, _) in contexts.entries() {
            let name = key.scalar().unwrap_or_default();
            if !seen.insert(name.to_ascii_lowercase()) {
                return twice(key, name);
            }
        }
    }
    let names = Context::default().fields().map(|(name, _)| name);
    contexts.entries().try_for_each(|(_, context)| unique(context, &names))
}

/// Whether a mapping has keys with capitals, or that are no text. Among others none is there twice, or it would not have
/// been read.
fn is_spelled_oddly(mapping: Node) -> bool {
    let is_odd = |key: &str| key.bytes().any(|byte| byte.is_ascii_uppercase());
    mapping.entries().any(|(key, _)| key.scalar().is_none_or(is_odd))
}
