//! What a login leaves behind, and the places that can keep it.
//!
//! A [`CredentialStore`] holds one [`Credentials`] per domain. Its calls block, and a keychain may wait for a person
//! or for a service that never answers, so async code makes them through [`bounded`]. [`StoreError`] keeps apart the
//! outcomes that are treated differently: only an absent keychain may be replaced by another store.

use std::time::Duration;

use crate::aside::aside;
use crate::domain::Domain;
use crate::text::clean;
use crate::token::{AccessToken, RefreshToken};

mod keychain;
mod pieces;
mod record;

pub use keychain::Keychain;

/// How long a call may take where a person can answer the keychain's dialog.
pub const WITH_PERSON: Duration = Duration::from_secs(60);

/// How long a call may take where nobody can.
pub const WITHOUT_PERSON: Duration = Duration::from_secs(3);

/// The outcome of a login, bound to the issuer, client and audience that it was made for (RFC 9700 section 4.14).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// What sort of token `access` is.
    pub kind: Kind,
    /// What the API is called with.
    pub access: AccessToken,
    /// What buys the next access token; a token that was pasted in has none.
    pub refresh: Option<RefreshToken>,
    /// The issuer's name, with its trailing slash. A refresh token goes to this issuer only.
    pub issuer: String,
    /// The client that the tokens were issued to.
    pub client_id: String,
    /// The API that the tokens were issued for.
    pub audience: String,
    /// Whose they are, in the issuer's words.
    pub sub: String,
    /// The person's e-mail address, for display.
    pub email: Option<String>,
    /// When the access token was issued.
    pub issued_at: Option<jiff::Timestamp>,
    /// When the access token ends; an API token may have no end.
    pub expires_at: Option<jiff::Timestamp>,
}

/// What sort of token a login left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A person's, signed by the issuer.
    User,
    /// An organization's, workspace's or deployment's API token.
    ApiToken,
}

/// A place that keeps the credentials of each domain. Calls block, without a limit of their own.
///
/// Writers of one domain must not overlap: whoever saves or deletes holds the domain's refresh lock.
pub trait CredentialStore: Send + Sync {
    /// The credentials of `domain`, if there are any. May raise the store's own dialog.
    fn load(&self, domain: &Domain) -> Result<Option<Credentials>, StoreError>;

    /// Replaces the credentials of `domain`. Interrupted at any point, it leaves the old or the new ones.
    fn save(&self, domain: &Domain, credentials: &Credentials) -> Result<(), StoreError>;

    /// Removes the credentials of `domain`, readable or not, with whatever an interrupted save left behind.
    /// Tells whether there was anything.
    fn delete(&self, domain: &Domain) -> Result<bool, StoreError>;

    /// Whether a save would find the store there and open, without writing to it. May raise the store's own dialog.
    fn ready(&self) -> Result<(), StoreError>;

    /// What people call this store.
    fn describe(&self) -> String;
}

/// Why a store did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// This machine or session has no keychain. The only outcome after which another store may be used.
    #[error("there is no keychain here: {reason}")]
    Absent {
        /// What is missing.
        reason: &'static str,
    },
    /// There is a keychain, it is locked, and nobody could be asked to unlock it.
    #[error("the keychain is locked")]
    Locked,
    /// A person, or the system for them, said no.
    #[error("the keychain refused access")]
    Refused,
    /// No answer within this time. The call may still take effect later.
    #[error("the keychain did not answer within {} seconds", .0.as_secs())]
    TimedOut(Duration),
    /// The service or the way to it ended during the call, which may have taken effect.
    #[error("the keychain went away before it answered")]
    WentAway,
    /// Something is stored, but it is not what was written.
    #[error("the stored credentials are damaged")]
    Damaged,
    /// Something is stored that a later version of this program wrote.
    #[error("the stored credentials were written by a newer version of this program")]
    NewerFormat,
    /// Anything else, in the store's words, safe to print.
    #[error("{0}")]
    Other(String),
}

impl StoreError {
    /// A failure that has no variant of its own. The error's text must hold no secret.
    pub(crate) fn other(error: &dyn std::fmt::Display) -> Self {
        Self::Other(clean(&error.to_string(), 200))
    }
}

/// Makes one blocking call on a thread of its own and waits for it, at most for `bound`.
///
/// The thread is a plain one: a call that never returns then keeps neither the runtime nor the process from ending,
/// and the D-Bus client may not block on a thread of the runtime. After [`StoreError::TimedOut`] the call goes on unobserved.
pub async fn bounded<T, F>(bound: Duration, call: F) -> Result<T, StoreError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, StoreError> + Send + 'static,
{
    match tokio::time::timeout(bound, aside(call)).await {
        Ok(Ok(result)) => result,
        Ok(Err(error)) => Err(StoreError::other(&error)),
        Err(_) => Err(StoreError::TimedOut(bound)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn bounded_call_returns_result() {
        assert_eq!(bounded(WITHOUT_PERSON, || Ok(7)).await, Ok(7));
        assert_eq!(bounded::<(), _>(WITHOUT_PERSON, || Err(StoreError::Locked)).await, Err(StoreError::Locked));
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
        let result = bounded::<(), _>(WITHOUT_PERSON, || std::panic::resume_unwind(Box::new(()))).await;
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
