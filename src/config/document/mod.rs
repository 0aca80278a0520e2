//! The text of the settings, read and edited in place.
//!
//! After an edit the text is parsed again and compared: each foreign setting must be as it was, with its quoting, tag and
//! anchor, and each changed setting must read back. Otherwise the edit is refused and the text stays.

mod context;
mod edit;
mod node;

use std::collections::HashSet;

pub use context::Context;

use crate::domain::Domain;
use context::domain_of;
use edit::Edit;
use node::{Entry, Node, error_at};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// The text is not YAML, or not one mapping with unique keys. Lines and columns count from 1.
    #[error("line {line}, column {column}: {reason}")]
    Syntax { line: usize, column: usize, reason: String },
    #[error("`{key}` cannot be kept as it is written")]
    WouldChange {
        /// The path of the setting, joined by dots.
        key: String,
    },
}

/// Returns true for each word that may mean yes: what is switched on here is caution.
pub fn is_yes(word: &str) -> bool {
    ["true", "t", "1", "yes", "y", "on"].iter().any(|yes| word.eq_ignore_ascii_case(yes))
}

/// The text of the settings file, with a typed view of our part.
pub struct Document {
    text: String,
    /// `None` if there is nothing but comments.
    root: Option<Node>,
}

impl Document {
    /// Reads settings. The top level is a mapping, or nothing at all.
    pub fn parse(text: impl Into<String>) -> Result<Self, DocumentError> {
        let text = text.into();
        let root = Node::read(&text)?;
        if let Some(root) = &root {
            if !root.is_mapping() && !root.is_vacant() {
                return Err(root.error("settings expected, as `key: value`"));
            }
            refuse_ambiguity(root)?;
        }
        Ok(Self { text, root })
    }

    pub(super) fn from_bytes(bytes: Vec<u8>) -> Result<Self, DocumentError> {
        let text = String::from_utf8(bytes).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            let before = String::from_utf8_lossy(&error.as_bytes()[..valid]);
            error_at(&before, valid, "not UTF-8")
        })?;
        Self::parse(text)
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn current_context(&self) -> Option<String> {
        let name = self.value(&["context"])?.scalar()?;
        Some(name.to_owned()).filter(|name| !name.is_empty())
    }

    /// Makes the context of any domain, Astro's or not, the current one. `None` leaves no context current.
    pub fn set_current_context(&mut self, domain: Option<&str>) -> Result<(), DocumentError> {
        let name = domain.unwrap_or_default();
        if self.current_context().unwrap_or_default() == name {
            return Ok(());
        }
        self.apply(&Edit { path: &[], fields: vec![("context", Some(name.to_owned()))] })
    }

    pub fn context(&self, domain: &Domain) -> Option<Context> {
        let key = domain.context_key();
        let node = self.value(&["contexts", &key])?;
        node.is_mapping().then(|| Context::read(&key, node))
    }

    /// All contexts in the file's order, including those of other programs.
    pub fn contexts(&self) -> Vec<Context> {
        self.each_context(Context::read)
    }

    pub fn domains(&self) -> Vec<String> {
        self.each_context(domain_of)
    }

    fn each_context<T>(&self, read: impl Fn(&str, &Node) -> T) -> Vec<T> {
        let contexts = self.value(&["contexts"]).map(Node::entries).unwrap_or_default().iter();
        let contexts = contexts.filter(|(_, context)| context.is_mapping());
        contexts.filter_map(|(key, context)| Some(read(key.scalar()?, context))).collect()
    }

    /// Lets `change` alter the context of `domain`, a new one if there is none, and writes the fields that differ. Fields
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
        let names_domain = self.value(&["contexts", &key, "domain"]).is_some();
        fields.retain(|((name, before), (_, after))| before != after || (*name == "domain" && !names_domain));
        if fields.is_empty() {
            return Ok(());
        }
        let fields = fields.into_iter().map(|(_, after)| after).collect();
        self.apply(&Edit { path: &["contexts", &key], fields })
    }

    /// Removes our fields except `domain` from the context, empty ones too. Does nothing without such a context.
    pub fn clear_context(&mut self, domain: &Domain) -> Result<(), DocumentError> {
        let key = domain.context_key();
        let names = Context::default().fields().map(|(name, _)| name);
        let has = |name: &str| self.value(&["contexts", &key, name]).is_some();
        let mut fields: Vec<_> =
            names.into_iter().filter(|name| *name != "domain" && has(name)).map(|name| (name, None)).collect();
        if fields.is_empty() {
            return Ok(());
        }
        if !has("domain") {
            // Set first, so that the mapping is never empty.
            fields.insert(0, ("domain", Some(domain.as_str().to_owned())));
        }
        self.apply(&Edit { path: &["contexts", &key], fields })
    }

    /// Removes the whole context, including foreign fields. Does nothing without such a context.
    pub fn delete_context(&mut self, domain: &Domain) -> Result<(), DocumentError> {
        let key = domain.context_key();
        if self.context(domain).is_none() {
            return Ok(());
        }
        self.apply(&Edit { path: &["contexts"], fields: vec![(&key, None)] })
    }

    /// True if the user forbade the plaintext store.
    pub fn no_insecure_fallback(&self) -> bool {
        self.value(&["no_insecure_fallback"]).and_then(Node::scalar).is_some_and(is_yes)
    }

    fn value(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self.root.as_ref()?, |node, name| node.get(name).map(|(_, value)| value))
    }
}

/// Refuses two spellings of one key among the keys that are ours. The Go CLI ignores case.
fn refuse_ambiguity(root: &Node) -> Result<(), DocumentError> {
    let unique = |entries: &[Entry], is_ours: &dyn Fn(&Node) -> bool| {
        let mut known = HashSet::new();
        let mut keys = entries.iter().map(|(key, _)| key).filter(|key| is_ours(key));
        let second = keys.find(|key| !known.insert(key.scalar().map(str::to_ascii_lowercase)));
        second.map_or(Ok(()), |key| Err(key.duplicate()))
    };
    let is_one_of = |names: &'static [&'static str]| move |key: &Node| names.iter().any(|name| key.is_key(name));
    unique(root.entries(), &is_one_of(&["context", "contexts", "no_insecure_fallback"]))?;
    let Some((_, contexts)) = root.get("contexts") else { return Ok(()) };
    unique(contexts.entries(), &|key| key.scalar().is_some())?;
    let names = Context::default().fields().map(|(name, _)| name);
    let is_field = |key: &Node| names.iter().any(|name| key.is_key(name));
    contexts.entries().iter().try_for_each(|(_, context)| unique(context.entries(), &is_field))
}

#[cfg(test)]
pub(super) mod tests;
