//! The name of the token in config.yaml that a login in the keychain replaced.
//!
//! It spares readers the keychain: they ask it only about a token with this name. The keychain's own record decides.

use std::path::PathBuf;

use super::{Config, own_file};
use crate::domain::Domain;

/// More than a digest has, in bytes.
const LONGEST: u64 = 256;

impl Config {
    /// Records the digest of a token that an edit is about to remove, under the edit's lock. A failure costs only the
    /// protection against the token's return.
    pub fn note_replaced(&self, domain: &Domain, digest: &str) {
        if let Err(error) = own_file::write(&self.replaced_path(domain), digest.as_bytes()) {
            tracing::info!(%error, "could not record the replaced token");
        }
    }

    /// Returns `true` if the last token that a login in the keychain replaced has this digest.
    pub fn was_replaced(&self, domain: &Domain, digest: &str) -> bool {
        own_file::read(&self.replaced_path(domain), LONGEST).is_some_and(|recorded| recorded == digest.as_bytes())
    }

    fn replaced_path(&self, domain: &Domain) -> PathBuf {
        self.refresh_lock_path(domain).with_extension("").with_extension("replaced")
    }
}
