//! A refresh token that was granted but not stored yet.
//!
//! Such a token would stay valid without a user, and an issuer limits the number of tokens per account. So it is either
//! stored or revoked, also after Ctrl-C.

use tokio::sync::{Mutex, MutexGuard};

use super::AuthConfig;
use crate::http::Http;
use crate::token::RefreshToken;

/// The refresh token that was granted but not stored yet, if there is one.
#[derive(Default)]
pub struct PendingGrant(Mutex<Option<Grant>>);

struct Grant {
    config: AuthConfig,
    token: RefreshToken,
}

/// A store in progress. [`PendingGrant::revoke`] waits until it is dropped.
#[must_use]
pub struct Storing<'a>(MutexGuard<'a, Option<Grant>>);

impl PendingGrant {
    /// Holds a refresh token until it is stored or revoked.
    pub async fn hold(&self, config: AuthConfig, token: RefreshToken) {
        *self.0.lock().await = Some(Grant { config, token });
    }

    /// Makes [`revoke`](Self::revoke) wait until the returned guard is dropped.
    pub async fn start_storing(&self) -> Storing<'_> {
        Storing(self.0.lock().await)
    }

    /// Waits for a store in progress, then revokes the token that is still held (RFC 7009). A failure is only logged: the
    /// token expires by itself.
    pub async fn revoke(&self, http: &Http) {
        if let Some(Grant { config, token }) = self.0.lock().await.take()
            && let Err(failure) = config.revoke(http, &token).await
        {
            tracing::info!(%failure, "could not revoke an unused refresh token");
        }
    }
}

impl Storing<'_> {
    /// Ends the store: the token is no longer pending. A guard that is dropped instead leaves it to be revoked.
    pub fn stored(mut self) {
        *self.0 = None;
    }
}
