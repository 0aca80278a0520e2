//! The text of the settings, read and edited in place.
//!
//! After an edit the text is parsed again and compared: each foreign setting must be as it was, with its quoting, tag and
//! anchor, and each changed setting must read back. Otherwise the edit is refused and the text stays.

mod context;
mod edit;
mod node;

use std::collections::{HashMap, HashSet};

pub use context::Context;

use crate::domain::Domain;
use crate::token::AccessToken;
use context::{LOGIN_FIELDS, domain_of};
use edit::Edit;
use node::{BINARY_REFUSED, Node, error_at};

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

/// A setting of the Go CLI that does not apply here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IgnoredSetting {
    #[error("`houston.skip_verify_tls` of config.yaml does not apply here: certificates are checked")]
    Certificates,
    #[error("`cloud.api.protocol` of config.yaml does not apply here: the protocol is https")]
    Protocol,
    #[error("`cloud.api.port` of config.yaml is not a port: 443 is used")]
    Port,
}

/// Returns `true` unless the value of a prohibition is empty or a word for no: a prohibition fails closed.
pub fn forbids(value: &str) -> bool {
    !["", "false", "0", "no", "off"].iter().any(|no| value.trim().eq_ignore_ascii_case(no))
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
        self.value(&["context"])?.text().map(str::to_owned)
    }

    /// Returns the domain of the current context. Its key may have another name, which the Go CLI does not mind.
    pub fn current_domain(&self) -> Option<String> {
        let key = self.current_context()?.replace('.', "_");
        Some(domain_of(&key, self.value(&["contexts", &key]).filter(|context| context.is_mapping())?))
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
        let mut known = HashSet::new();
        let contexts = named_entries(self.value(&["contexts"]));
        let contexts = contexts.filter(|(key, context)| known.insert(key.to_lowercase()) && context.is_mapping());
        contexts.map(|(key, context)| read(key, context)).collect()
    }

    /// Returns the key of a token for `domain` that the Go CLI reads: in its context, under another name of that, or under one
    /// key with dots in place of levels.
    pub fn token_left(&self, domain: &Domain) -> Option<String> {
        let contexts = named_entries(self.value(&["contexts"]));
        let dotted = named_entries(self.root.as_ref()).filter_map(|(key, value)| {
            let (contexts, name) = key.split_at_checked("contexts.".len())?;
            contexts.eq_ignore_ascii_case("contexts.").then_some((name, value))
        });
        contexts.chain(dotted).find_map(|(key, node)| Some(format!("contexts.{}", token_in(domain, key, node)?)))
    }

    /// Lets `change` alter the context of `domain`, a new one if there is none, and writes the fields that differ. Fields
    /// that became `None` leave the file; `domain` is always written as `domain`.
    pub fn update_context(&mut self, domain: &Domain, change: impl FnOnce(&mut Context)) -> Result<(), DocumentError> {
        let key = domain.context_key();
        let before = self.context(domain).unwrap_or_default();
        let mut after = before.clone();
        change(&mut after);
        domain.as_str().clone_into(&mut after.domain);
        after.product = domain.product();
        if after.workspace.is_some() && after.workspace != before.workspace {
            after.last_used_workspace.clone_from(&after.workspace);
        }
        let mut fields: Vec<_> = before.fields().into_iter().zip(after.fields()).collect();
        let names_domain = self.value(&["contexts", &key, "domain"]).is_some();
        // Alone, a `Bearer ` that was left beside a refresh token would be the pointer to the vault.
        let had_refresh_alone =
            before.token.as_ref().is_none_or(AccessToken::is_empty) && before.refresh_token.is_some();
        fields.retain(|((name, before), (_, after))| match *name {
            "domain" => before != after || !names_domain,
            "token" => before != after || had_refresh_alone,
            _ => before != after,
        });
        if fields.is_empty() {
            return Ok(());
        }
        let fields = fields.into_iter().map(|(_, after)| after).collect();
        self.apply(&Edit { path: &["contexts", &key], fields })
    }

    /// Removes the tokens and the email from the context, empty ones too. The organization and the workspace stay: CLI 2
    /// takes a context without any for a new customer's. Does nothing without such a context.
    pub fn clear_login(&mut self, domain: &Domain) -> Result<(), DocumentError> {
        let key = domain.context_key();
        let has = |name: &str| self.value(&["contexts", &key, name]).is_some();
        let mut fields: Vec<_> = LOGIN_FIELDS.into_iter().filter(|name| has(name)).map(|name| (name, None)).collect();
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

    /// Removes the whole context of a name that is not a domain. Does nothing without such a context.
    pub fn delete_foreign_context(&mut self, domain: &str) -> Result<(), DocumentError> {
        let keys = self.each_context(|key, node| (domain_of(key, node) == domain).then(|| key.to_owned()));
        let Some(key) = keys.into_iter().flatten().next() else { return Ok(()) };
        self.apply(&Edit { path: &["contexts"], fields: vec![(&key, None)] })
    }

    /// True if the user forbade the plaintext store.
    pub fn no_insecure_fallback(&self) -> bool {
        let value = self.value(&["no_insecure_fallback"]);
        value.is_some_and(|value| value.scalar().is_none() || value.text().is_some_and(forbids))
    }

    /// Returns the port of Astro Private Cloud's API, if the settings name one.
    pub fn platform_port(&self) -> Option<u16> {
        self.value(&["cloud", "api", "port"])?.text()?.parse().ok().filter(|port| *port != 0)
    }

    /// Returns the settings of the Go CLI for Astro Private Cloud that do not apply here.
    pub fn ignored_settings(&self) -> Vec<IgnoredSetting> {
        let is = |path: &[&str], ignored: fn(&str) -> bool| self.value(path).and_then(Node::text).is_some_and(ignored);
        let table = [
            (IgnoredSetting::Certificates, is(&["houston", "skip_verify_tls"], |it| it.eq_ignore_ascii_case("true"))),
            (IgnoredSetting::Protocol, is(&["cloud", "api", "protocol"], |it| !it.eq_ignore_ascii_case("https"))),
            (IgnoredSetting::Port, is(&["cloud", "api", "port"], |_| true) && self.platform_port().is_none()),
        ];
        table.into_iter().filter(|(_, is_ignored)| *is_ignored).map(|(ignored, _)| ignored).collect()
    }

    /// Returns the value of `credentials`, the store that the user wants. A mapping or a list is an empty value.
    pub fn credentials_setting(&self) -> Option<&str> {
        let value = self.value(&["credentials"])?;
        if value.scalar().is_some() { value.text() } else { Some("") }
    }

    pub fn set_credentials_setting(&mut self, value: &str) -> Result<(), DocumentError> {
        if self.credentials_setting() == Some(value) {
            return Ok(());
        }
        self.apply(&Edit { path: &[], fields: vec![("credentials", Some(value.to_owned()))] })
    }

    fn value(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self.root.as_ref()?, |node, name| node.find(name))
    }
}

/// Returns the entries of a mapping whose keys are texts.
fn named_entries(mapping: Option<&Node>) -> impl Iterator<Item = (&str, &Node)> {
    let entries = mapping.map(Node::all_entries).unwrap_or_default().into_iter();
    entries.filter_map(|(key, value)| Some((key.scalar()?, value)))
}

/// Returns the key of a token in the context `key` if that is about `domain`.
fn token_in(domain: &Domain, key: &str, context: &Node) -> Option<String> {
    let own_key = domain.context_key();
    let is_token = |node: &Node| node.text().is_some_and(|text| !matches!(text.trim(), "" | "Bearer"));
    let names = ["token", "refreshtoken"];
    if let Some((above, name)) = key.rsplit_once('.')
        && context.scalar().is_some()
    {
        let is_ours = above.eq_ignore_ascii_case(&own_key) && names.iter().any(|it| name.eq_ignore_ascii_case(it));
        return (is_ours && is_token(context)).then(|| key.to_owned());
    }
    let is_ours = key.eq_ignore_ascii_case(&own_key) || domain_of(key, context).parse().ok().as_ref() == Some(domain);
    let name = names.into_iter().find(|name| is_ours && context.find(name).is_some_and(is_token))?;
    Some(format!("{key}.{name}"))
}

/// Refuses two spellings of one key among the keys that are ours. The Go CLI ignores case.
fn refuse_ambiguity(root: &Node) -> Result<(), DocumentError> {
    let unique = |mapping: &Node, is_ours: &dyn Fn(&Node) -> bool| {
        let mut known: HashMap<String, &str> = HashMap::new();
        for (key, value) in mapping.all_entries().into_iter().filter(|(key, _)| is_ours(key)) {
            if value.is_binary() {
                return Err(value.error(BINARY_REFUSED));
            }
            let name = key.scalar().unwrap_or_default();
            // A merged entry with the same name is overridden.
            if *known.entry(name.to_lowercase()).or_insert(name) != name {
                return Err(key.duplicate());
            }
        }
        Ok(())
    };
    let is_one_of = |names: &'static [&'static str]| move |key: &Node| names.iter().any(|name| key.is_key(name));
    unique(root, &is_one_of(&["context", "contexts", "credentials", "no_insecure_fallback"]))?;
    let Some(contexts) = root.find("contexts") else { return Ok(()) };
    unique(contexts, &|key| key.scalar().is_some())?;
    let names = Context::default().fields().map(|(name, _)| name);
    let is_field = |key: &Node| names.iter().any(|name| key.is_key(name));
    contexts.all_entries().into_iter().try_for_each(|(_, context)| unique(context, &is_field))
}

#[cfg(test)]
pub(super) mod tests;
