//! The Credential Manager of Windows.

use std::collections::HashMap;

use super::{StdError, StoreError, Zeroizing};

pub(super) const NAME: &str = "Windows Credential Manager";

/// Always succeeds: the Credential Manager is unlocked while the user is logged in to Windows.
#[allow(clippy::unnecessary_wraps, reason = "can fail on other platforms")]
pub(super) fn ready() -> Result<(), StoreError> {
    Ok(())
}

/// Finds a secret under the name that Go's keyring package gives it.
pub(in crate::credentials) fn find_as_go(service: &str, user: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
    super::status()?;
    let target = format!("{service}:{user}");
    let modifiers = HashMap::from([("target", target.as_str())]);
    let entry = keyring_core::Entry::new_with_modifiers(service, user, &modifiers);
    super::found(entry.and_then(|entry| entry.get_secret()).map(Zeroizing::new))
}

/// Classifies nothing: the Credential Manager is always available and never prompts.
pub(super) fn classify(_cause: &(dyn StdError + 'static)) -> Option<StoreError> {
    None
}
