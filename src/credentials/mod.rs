//! The credentials of a login, and the keychain that stores them.
//!
//! A [`CredentialStore`] holds one [`Credentials`] per domain. Its calls block, and a keychain may wait for the user or for
//! a service that never responds, so async code makes them through [`bounded`]. [`StoreError`] has a variant for each
//! outcome that is treated differently: only an absent keychain may be replaced by the plaintext fields of config.yaml.

use std::time::Duration;

use zeroize::Zeroizing;

use crate::blocking::run_blocking;
use crate::domain::Domain;
use crate::text::clean;
use crate::token::{AccessToken, RefreshToken};

mod chunked;
mod keychain;
mod record;
pub mod vault;

pub use keychain::Keychain;

pub const WITH_PERSON: Duration = Duration::from_secs(60);

pub const WITHOUT_PERSON: Duration = Duration::from_secs(3);

/// The outcome of a login, bound to the issuer, client and audience that it was made for (RFC 9700 section 4.14).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    pub kind: Kind,
    pub access: AccessToken,
    /// The token for the next access token. `None` for a login with `--token-login`.
    pub refresh: Option<RefreshToken>,
    /// The issuer identifier, with its trailing slash. A refresh token goes to this issuer only.
    pub issuer: String,
    pub client_id: String,
    pub audience: String,
    pub sub: String,
    pub email: Option<String>,
    /// The `iat` of the access token.
    pub issued_at: Option<jiff::Timestamp>,
    /// The expiry of the access token. An API token may have none.
    pub expires_at: Option<jiff::Timestamp>,
    /// The digest of the access token in config.yaml that a login in the keychain replaced. The Go CLI may write that token
    /// back: a menu of its keeps the file as it was in memory.
    pub replaced: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    User,
    ApiToken,
    /// A token of Astro Private Cloud, of a user or a service account. It names no issuer that could be asked.
    PrivateCloud,
}

/// A store of the credentials of each domain. Calls block, without a time limit of their own.
///
/// Writers of one domain must not overlap: a caller that saves or deletes holds the domain's refresh lock.
///
/// The plaintext fields of config.yaml are not an implementation. They hold two tokens and an expiry only, so the issuer and
/// the client come from the token itself; they are written in one edit with the account and the context; and the Go CLI
/// writes them without our lock, so each write compares them with what was read.
pub trait CredentialStore: Send + Sync {
    /// Reads the credentials of `domain`. May show the store's own prompt.
    fn load(&self, domain: &Domain) -> Result<Option<Credentials>, StoreError>;

    /// Replaces the credentials of `domain`. An interruption leaves the old or the new ones.
    fn save(&self, domain: &Domain, credentials: &Credentials) -> Result<(), StoreError>;

    /// Removes the credentials of `domain`, readable or not, with the remains of an interrupted save. Returns `false` if
    /// there was nothing.
    fn delete(&self, domain: &Domain) -> Result<bool, StoreError>;

    /// Returns the domains with credentials of this home, readable or not. May show the store's own prompt.
    fn domains(&self) -> Result<Vec<Domain>, StoreError>;

    /// Reads the login that waits for its second step, as its writer encoded it. A home has at most one.
    fn load_pending(&self) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError>;

    fn save_pending(&self, login: &[u8]) -> Result<(), StoreError>;

    /// Returns `false` if there was nothing.
    fn delete_pending(&self) -> Result<bool, StoreError>;

    /// Checks that the store is available and unlocked, without writing to it. May show the store's own prompt.
    fn ready(&self) -> Result<(), StoreError>;

    fn describe(&self) -> String;
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// This machine or session has no keychain. The only outcome after which another store may be used.
    #[error("no keychain available ({reason})")]
    Absent { reason: &'static str },
    /// The keychain is locked, and no prompt could be shown to unlock it.
    #[error("the keychain is locked")]
    Locked,
    #[error("the keychain refused access")]
    Refused,
    /// No response within this time. The call may still take effect later.
    #[error("the keychain did not respond within {} seconds", .0.as_secs())]
    TimedOut(Duration),
    /// The connection to the keychain was lost during the call, which may have taken effect.
    #[error("lost the connection to the keychain")]
    Disconnected,
    #[error("the stored credentials are damaged")]
    Damaged,
    /// A later version of this program wrote the entry.
    #[error("the stored credentials were written by a newer version of this program")]
    NewerFormat,
    /// Another failure, in the store's words, safe to print.
    #[error("{0}")]
    Other(String),
}

impl StoreError {
    /// Wraps a failure that has no variant of its own. The error's text must contain no secret.
    pub(crate) fn other(error: &dyn std::fmt::Display) -> Self {
        Self::Other(clean(&error.to_string(), 200))
    }
}

/// Makes one blocking call on a thread of its own, and waits for it for at most `bound`.
///
/// A plain thread: a call that never returns keeps neither the runtime nor the process from ending, and the D-Bus client
/// must not block on a thread of the runtime. After [`StoreError::TimedOut`] the call goes on, and its result is dropped.
pub async fn bounded<T, E, F>(bound: Duration, call: F) -> Result<T, E>
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
    F: FnOnce() -> Result<T, E> + Send + 'static,
{
    match tokio::time::timeout(bound, run_blocking(call)).await {
        Ok(Ok(result)) => result,
        Ok(Err(error)) => Err(StoreError::other(&error).into()),
        Err(_) => Err(StoreError::TimedOut(bound).into()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn bounded_call_returns_result() {
        assert_eq!(bounded(WITHOUT_PERSON, || Ok::<_, StoreError>(7)).await, Ok(7));
        assert_eq!(bounded::<(), _, _>(WITHOUT_PERSON, || Err(StoreError::Locked)).await, Err(StoreError::Locked));
    }

    #[tokio::test]
    async fn silent_store_times_out_without_blocking_runtime() {
        let (release, held) = mpsc::channel::<()>();
        let bound = Duration::from_millis(20);
        let call = bounded(bound, move || held.recv().map_err(|_| StoreError::Locked));
        let meanwhile = async { "served" };
        assert_eq!(tokio::join!(call, meanwhile), (Err(StoreError::TimedOut(bound)), "served"));
        drop(release);
    }

    #[tokio::test]
    async fn panic_in_store_call_is_an_error() {
        let result = bounded::<(), StoreError, _>(WITHOUT_PERSON, || std::panic::resume_unwind(Box::new(()))).await;
        assert!(matches!(result, Err(StoreError::Other(_))), "{result:?}");
    }

    #[test]
    fn rf_10_debug_hides_tokens() {
        let shown = format!("{:?}", record::tests::credentials());
        assert!(shown.contains("AccessToken(redacted)"), "{shown}");
        assert!(!shown.contains("eyJ") && !shown.contains("v1."), "{shown}");
    }

    #[test]
    fn store_error_text_has_no_control_characters() {
        assert_eq!(StoreError::other(&"no\u{1b}[31m such\nthing"), StoreError::Other("no[31m such thing".to_owned()));
    }
}
