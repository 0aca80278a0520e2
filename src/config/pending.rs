//! `pending-login.json`: the login that waits for its second step, if the logins of this home are unencrypted.

use std::fs;
use std::path::PathBuf;

use zeroize::Zeroizing;

use super::{Config, ConfigError, EDIT_WAIT, own_file};

/// The largest file that is read, in bytes.
const LARGEST: u64 = 16 * 1024;

impl Config {
    pub fn pending_login(&self) -> Option<Zeroizing<Vec<u8>>> {
        own_file::read(&self.pending_path(), LARGEST).map(Zeroizing::new)
    }

    pub fn write_pending_login(&self, login: &[u8]) -> Result<(), ConfigError> {
        let _lock = self.lock(self.lock_path(), EDIT_WAIT)?;
        let path = self.pending_path();
        own_file::write(&path, login).map_err(|source| self.write_error(&path, source))
    }

    /// Returns `false` if there was nothing.
    pub fn remove_pending_login(&self) -> bool {
        fs::remove_file(self.pending_path()).is_ok()
    }

    fn pending_path(&self) -> PathBuf {
        self.folder.join("pending-login.json")
    }
}
