//! `login-names.json`, beside config.yaml: the names of the organizations and workspaces whose identifiers config.yaml has.
//!
//! Only for display: nothing is decided by it. A file that is missing, odd, another user's or a link reads as empty, and a
//! file that cannot be written is left.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Config, own_file};
use crate::domain::Domain;
use crate::text::clean;

/// The largest file that is read, in bytes.
const LARGEST_NAMES: u64 = 64 * 1024;
/// The number of names that are kept. Without more space, the older ones go.
const MOST_NAMES: usize = 200;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoginNames {
    names: BTreeMap<String, String>,
    /// The domains whose login is unencrypted because the command line asked for it.
    unencrypted_by_choice: BTreeSet<String>,
    /// The domains whose login is in the keychain.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    in_keychain: BTreeSet<String>,
    /// The day of the last remark that is made once a day.
    #[serde(skip_serializing_if = "String::is_empty")]
    remarked_on: String,
}

impl LoginNames {
    /// Returns the name of an organization or a workspace, safe to print.
    pub fn name(&self, id: &str) -> Option<String> {
        self.names.get(id).map(|name| clean(name, 200)).filter(|name| !name.is_empty())
    }

    pub fn remember(&mut self, id: &str, name: &str) {
        if name.is_empty() || self.names.get(id).is_some_and(|known| known == name) {
            return;
        }
        if self.names.len() >= MOST_NAMES {
            self.names.clear();
        }
        self.names.insert(id.to_owned(), name.to_owned());
    }

    pub fn is_remarked_on(&self, day: &str) -> bool {
        self.remarked_on == day
    }

    pub fn set_remarked_on(&mut self, day: &str) {
        day.clone_into(&mut self.remarked_on);
    }

    pub fn is_unencrypted_by_choice(&self, domain: &Domain) -> bool {
        self.unencrypted_by_choice.contains(domain.as_str())
    }

    pub fn set_unencrypted_by_choice(&mut self, domain: &Domain, chosen: bool) {
        set(&mut self.unencrypted_by_choice, domain, chosen);
    }

    pub fn is_in_keychain(&self, domain: &Domain) -> bool {
        self.in_keychain.contains(domain.as_str())
    }

    pub fn set_in_keychain(&mut self, domain: &Domain, is_there: bool) {
        set(&mut self.in_keychain, domain, is_there);
    }
}

fn set(domains: &mut BTreeSet<String>, domain: &Domain, is_in: bool) {
    if is_in {
        domains.insert(domain.to_string());
    } else {
        domains.remove(domain.as_str());
    }
}

impl Config {
    pub fn names(&self) -> LoginNames {
        let bytes = own_file::read(&self.names_path(), LARGEST_NAMES).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// Edits the names, and replaces the file if anything changed. A failure is only logged.
    pub fn edit_names(&self, change: impl FnOnce(&mut LoginNames)) {
        let before = self.names();
        let mut after = before.clone();
        change(&mut after);
        if after != before
            && let Err(error) = self.write_names(&after)
        {
            tracing::debug!(%error, "could not write login-names.json");
        }
    }

    fn write_names(&self, names: &LoginNames) -> io::Result<()> {
        // Not worth a wait.
        let _lock = self.lock(self.lock_path(), Duration::ZERO).map_err(io::Error::other)?;
        own_file::write(&self.names_path(), &serde_json::to_vec_pretty(names)?)
    }

    fn names_path(&self) -> PathBuf {
        self.folder.join("login-names.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> (tempfile::TempDir, Config) {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".astro")).unwrap();
        let config = Config::new(home.path());
        (home, config)
    }

    #[test]
    fn names_survive_and_odd_files_read_as_empty() {
        let (_home, config) = config();
        assert_eq!(config.names(), LoginNames::default());
        config.edit_names(|names| names.remember("clorg1", "Ac\u{1b}[31mme"));
        assert_eq!(config.names().name("clorg1").as_deref(), Some("Ac[31mme"));
        for odd in ["", "[]", "{\"names\": 7}", "\u{0}", &"x".repeat(70_000)] {
            std::fs::write(config.names_path(), odd).unwrap();
            assert_eq!(config.names(), LoginNames::default(), "{}", odd.len());
        }
        config.edit_names(|names| names.remember("clorg1", "Acme"));
        assert_eq!(config.names().name("clorg1").as_deref(), Some("Acme"), "an odd file is replaced");
    }

    #[test]
    fn number_of_names_is_bounded() {
        let (_home, config) = config();
        config.edit_names(|names| (0..5 * MOST_NAMES).for_each(|n| names.remember(&n.to_string(), "name")));
        assert!(config.names().names.len() <= MOST_NAMES);
        assert_eq!(config.names().name(&(5 * MOST_NAMES - 1).to_string()).as_deref(), Some("name"));
    }

    #[cfg(unix)]
    #[test]
    fn link_pipe_folder_and_open_file_are_ignored() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let (home, config) = config();
        let path = config.names_path();
        let target = home.path().join("target");
        let text = r#"{"names": {"clorg1": "Planted"}}"#;
        std::fs::write(&target, text).unwrap();
        symlink(&target, &path).unwrap();
        assert_eq!(config.names(), LoginNames::default(), "a link");
        config.edit_names(|names| names.remember("clorg1", "Acme"));
        assert_eq!(std::fs::read_to_string(&target).unwrap(), text, "the link's target is untouched");
        assert_eq!(config.names().name("clorg1").as_deref(), Some("Acme"));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(config.names(), LoginNames::default(), "a file that others may write");
        std::fs::remove_file(&path).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert_eq!(config.names(), LoginNames::default(), "a pipe");
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        config.edit_names(|names| names.remember("clorg1", "Acme"));
        assert_eq!(config.names(), LoginNames::default(), "a folder");
    }
}
