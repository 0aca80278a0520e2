//! The environment variables, read once by `main` and passed down.

use std::collections::BTreeMap;
use std::ffi::OsString;

pub const API_TOKEN: &str = "ASTRO_API_TOKEN";

/// The environment variables at the start of the process. An empty variable counts as unset.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Keeps the variables that are UTF-8; all that this program reads are.
    pub fn new(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let text = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
        Self(variables.into_iter().filter_map(text).filter(|(_, value)| !value.is_empty()).collect())
    }

    pub fn from_pairs(pairs: &[(&str, &str)]) -> Self {
        Self::new(pairs.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))))
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.0.insert(name.to_owned(), value.to_owned());
        self
    }
}
