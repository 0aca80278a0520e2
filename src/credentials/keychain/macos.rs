//! The keychain of macOS.

use std::process::{Command, Stdio};

use security_framework::base::Error;

use super::{StdError, StoreError, Zeroizing};

pub(super) const NAME: &str = "macOS Keychain";

/// Always succeeds: macOS unlocks the login keychain on the first read or write.
#[allow(clippy::unnecessary_wraps, reason = "can fail on other platforms")]
pub(super) fn ready() -> Result<(), StoreError> {
    Ok(())
}

pub(super) fn classify(cause: &(dyn StdError + 'static)) -> Option<StoreError> {
    super::by_os_status(cause.downcast_ref::<Error>()?.code())
}

/// Finds a secret as Go's keyring package does, with a tool of macOS: the entry trusts the tool, so the Security framework
/// would show a dialog.
pub(in crate::credentials) fn find_as_go(service: &str, user: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
    let mut command = Command::new("/usr/bin/security");
    command.args(["find-generic-password", "-s", service, "-wa", user]).stdin(Stdio::null());
    let output = command.output().map_err(|error| StoreError::other(&error))?;
    let text = Zeroizing::new(output.stdout);
    match output.status.code() {
        Some(0) => super::decode_as_go(&text).map(Some),
        Some(code) => super::by_exit_code(code),
        None => Err(StoreError::Disconnected),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::failure;
    use super::*;

    #[test]
    fn the_keychains_errors_are_known_by_type() {
        assert_eq!(failure(Error::from_code(-25308)), StoreError::Locked);
        assert!(matches!(failure(Error::from_code(-25291)), StoreError::Other(_)));
    }
}
