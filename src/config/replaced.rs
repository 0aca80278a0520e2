//! The name of the token in config.yaml that a login in the keychain replaced.
//!
//! It spares readers the keychain: they ask it only about a token with this name. The keychain's own record decides.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;

use super::{Config, TEMPORARY};
use crate::domain::Domain;

/// More than a digest has, in bytes.
const LONGEST: u64 = 256;

impl Config {
    /// Records the digest of a token that an edit is about to remove. The edit's lock is held, so no other edit takes the
    /// temporary file for a leftover. A failure costs only the protection against the token's return.
    pub fn note_replaced(&self, domain: &Domain, digest: &str) {
        let path = self.replaced_path(domain);
        let written = path.parent().map_or(Ok(()), |folder| {
            // Created with mode 0600. A link at the path is replaced, not followed.
            let mut file = tempfile::Builder::new().prefix(TEMPORARY.0).suffix(TEMPORARY.1).tempfile_in(folder)?;
            file.write_all(digest.as_bytes())?;
            file.persist(&path).map(drop).map_err(|refused| refused.error)
        });
        if let Err(error) = written {
            tracing::info!(%error, "could not record the replaced token");
        }
    }

    /// Returns `true` if the last token that a login in the keychain replaced has this digest.
    pub fn was_replaced(&self, domain: &Domain, digest: &str) -> bool {
        let path = self.replaced_path(domain);
        let mut recorded = String::new();
        // Opening a pipe would wait for a process at its other end.
        path.is_file()
            && File::open(path).and_then(|file| file.take(LONGEST).read_to_string(&mut recorded)).is_ok()
            && recorded.trim() == digest
    }

    fn replaced_path(&self, domain: &Domain) -> PathBuf {
        self.refresh_lock_path(domain).with_extension("").with_extension("replaced")
    }
}
