//! The vault's master key, in the keychain of the operating system.

use zeroize::Zeroizing;

use super::{MasterKeySource, VaultError};
use crate::credentials::keychain;

#[derive(Debug, Clone, Copy)]
pub struct Keyring;

impl Keyring {
    /// Reads the key from where Go's keyring package, which Astro CLI 2 uses, keeps it.
    pub fn stored_key() -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
        Ok(keychain::find_as_go("astro", "master-key")?)
    }
}

impl MasterKeySource for Keyring {
    /// Fails on macOS and Windows: it was not tried there yet.
    fn master_key(&self) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
        if cfg!(all(unix, not(target_os = "macos"))) { Self::stored_key() } else { Err(VaultError::Unsupported) }
    }
}
