//! The hints for the keychain and for the vault of Astro CLI 2, in which `{login}` stands for the command that logs in.

use crate::credentials::StoreError;
use crate::credentials::vault::VaultError;

pub(super) fn store_hint(error: &StoreError) -> &'static str {
    match error {
        StoreError::Absent { .. } => "start a keychain, or save unencrypted with `{login} --insecure-storage`",
        StoreError::Locked => {
            "unlock the keychain and try again, or save unencrypted with `{login} --insecure-storage`"
        }
        StoreError::Refused => {
            "allow access in the keychain's prompt, or save unencrypted with `{login} --insecure-storage`"
        }
        StoreError::TimedOut(_) => {
            "answer the keychain's prompt if there is one, or save unencrypted with `{login} --insecure-storage`"
        }
        StoreError::Damaged => "run `{login}` to replace them",
        StoreError::NewerFormat => "use the newer version, or remove the entry of service `astro-login`",
        StoreError::Disconnected | StoreError::Other(_) => {
            "try again, or save unencrypted with `{login} --insecure-storage`"
        }
    }
}

pub(super) fn vault_hint(error: &VaultError) -> &'static str {
    match error {
        VaultError::Folder(_) => "move ~/.astro/secrets away and run `{login}`",
        VaultError::OpenToOthers(_) => "run `chmod 700 ~/.astro/secrets`",
        VaultError::Keychain(StoreError::Absent { .. }) => {
            "set ASTRO_API_TOKEN to a token, or run `{login} --login-link`"
        }
        VaultError::Keychain(StoreError::Locked) => "unlock the keychain and try again",
        VaultError::Keychain(StoreError::Refused) => "try again and allow access in the keychain's prompt",
        VaultError::Keychain(StoreError::TimedOut(_)) => "answer the keychain's prompt if there is one, and try again",
        VaultError::Keychain(_) => "try again, and restart the keychain if it happens again",
        VaultError::NoKey | VaultError::InvalidKey | VaultError::OtherKey | VaultError::Damaged(_) => {
            "run `{login}` to log in again"
        }
        VaultError::Newer(_) | VaultError::Unsupported => {
            "use Astro CLI 2 for this login, or run `{login}` for one in the keychain"
        }
        VaultError::Io { .. } => "check that you may read and write ~/.astro/secrets",
    }
}
