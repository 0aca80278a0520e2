//! The environment variables, read once by `main` and passed down.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

pub const API_TOKEN: &str = "ASTRO_API_TOKEN";
pub const CREDENTIALS: &str = "ASTRO_CREDENTIALS";
pub const NO_INSECURE_FALLBACK: &str = "ASTRO_NO_INSECURE_FALLBACK";

/// The variables that choose an account, a server, a store or a browser. Ignoring one would choose another.
const TEXTS: [&str; 5] = ["ASTRO_DOMAIN", API_TOKEN, CREDENTIALS, NO_INSECURE_FALLBACK, "BROWSER"];
pub const PROXIES: [&str; 6] = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/// The variables that hold paths. `SSL_CERT_DIR` may hold several.
const PATHS: [&str; 3] = ["ASTRO_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR"];

/// The environment variables at the start of the process, as they are. An empty variable counts as unset.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<OsString, OsString>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnvironmentError {
    #[error("{0} is not an absolute path")]
    RelativePath(&'static str),
    #[error("{0} is not UTF-8 text")]
    NotText(&'static str),
}

impl Environment {
    pub fn new(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Self(variables.into_iter().collect())
    }

    pub fn from_pairs(pairs: &[(&str, &str)]) -> Self {
        Self::new(pairs.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))))
    }

    /// Returns a variable that is UTF-8.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_os(name)?.to_str()
    }

    /// Returns a variable, such as a path, whose bytes need not be UTF-8.
    pub fn get_os(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// Returns `true` for a variable that is set to nothing but white space, such as a secret that does not exist.
    pub fn is_empty(&self, name: &str) -> bool {
        self.0.get(OsStr::new(name)).and_then(|value| value.to_str()).is_some_and(|value| value.trim().is_empty())
    }

    /// Returns a variable that must be an absolute path: the working folder belongs to a project, not to the user.
    pub fn absolute_path(&self, name: &'static str) -> Result<Option<&Path>, EnvironmentError> {
        match self.get_os(name).map(Path::new) {
            Some(path) if !path.is_absolute() => Err(EnvironmentError::RelativePath(name)),
            path => Ok(path),
        }
    }

    /// Rejects values that could only be ignored or misunderstood.
    pub fn check(&self) -> Result<(), EnvironmentError> {
        let is_not_text = |name: &&str| self.get_os(name).is_some_and(|value| value.to_str().is_none());
        if let Some(name) = TEXTS.into_iter().chain(PROXIES).find(is_not_text) {
            return Err(EnvironmentError::NotText(name));
        }
        let is_relative = |value: &OsStr| std::env::split_paths(value).any(|path| !path.is_absolute());
        match PATHS.into_iter().find(|name| self.get_os(name).is_some_and(is_relative)) {
            Some(name) => Err(EnvironmentError::RelativePath(name)),
            None => Ok(()),
        }
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.0.insert(name.into(), value.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_path_in_variable_is_refused() {
        let table = [
            ("ASTRO_HOME", "~/x", true),
            ("ASTRO_HOME", "$HOME", true),
            ("ASTRO_HOME", ".", true),
            ("SSL_CERT_FILE", "certs.pem", true),
            ("SSL_CERT_DIR", "certs", true),
            ("ASTRO_HOME", "", false),
            ("BROWSER", "firefox", false),
        ];
        for (name, value, refused) in table {
            let outcome = Environment::from_pairs(&[(name, value)]).check();
            assert_eq!(outcome, if refused { Err(EnvironmentError::RelativePath(name)) } else { Ok(()) }, "{value:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn list_of_certificate_folders_is_absolute() {
        let check = |value| Environment::from_pairs(&[("SSL_CERT_DIR", value)]).check();
        assert_eq!(check("/etc/ssl/certs:/usr/share/certs"), Ok(()));
        assert_eq!(check("/etc/ssl/certs:certs"), Err(EnvironmentError::RelativePath("SSL_CERT_DIR")));
    }

    #[cfg(unix)]
    #[test]
    fn variable_that_is_not_utf_8_is_kept_or_refused() {
        use std::os::unix::ffi::OsStrExt as _;
        let odd = OsStr::from_bytes(b"/home/\xff");
        let with = |name: &str| Environment::new([(name.into(), odd.to_owned())]);
        for name in TEXTS.into_iter().chain(PROXIES) {
            assert_eq!(with(name).check(), Err(EnvironmentError::NotText(name)));
        }
        assert_eq!(with("ASTRO_HOME").check(), Ok(()));
        assert_eq!(with("ASTRO_HOME").absolute_path("ASTRO_HOME"), Ok(Some(Path::new(odd))));
        assert_eq!((with("PATH").get("PATH"), with("PATH").get_os("PATH")), (None, Some(odd)));
    }
}
