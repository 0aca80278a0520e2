//! The vault's master key, in the keychain of the operating system.

use zeroize::Zeroizing;

use super::{MasterKeySource, VaultError};

#[derive(Debug, Clone, Copy)]
pub struct Keyring;

impl MasterKeySource for Keyring {
    #[cfg(all(unix, not(target_os = "macos")))]
    fn master_key(&self) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
        Ok(super::super::keychain::secret_service::find("astro", "master-key")?)
    }

    /// Fails: whether this program can read the key there was not tried yet.
    #[cfg(not(all(unix, not(target_os = "macos"))))]
    fn master_key(&self) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
        Err(VaultError::Unsupported)
    }
}
