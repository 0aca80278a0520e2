//! A refresh token that was granted but not stored yet.
//!
//! Such a token would stay valid without a user, and an issuer limits the number of tokens per account. So it is either
//! stored or revoked, also after Ctrl-C, SIGTERM and SIGHUP.

use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;

use super::AuthConfig;
use crate::http::Http;
use crate::token::RefreshToken;

/// The longest wait for the response to a code exchange, whose grant is then revoked.
const EXCHANGE_BOUND: Duration = Duration::from_secs(5);

/// The refresh token that was granted but not stored yet, if there is one.
#[derive(Default)]
pub struct PendingGrant {
    grant: Mutex<Option<Grant>>,
    exchange: Mutex<()>,
}

struct Grant {
    config: AuthConfig,
    token: RefreshToken,
}

/// A code exchange in progress. [`PendingGrant::revoke`] waits until it is dropped, or five seconds.
#[must_use]
pub struct Exchanging<'a>(#[expect(dead_code, reason = "held until it is dropped")] MutexGuard<'a, ()>);

/// A store in progress. [`PendingGrant::revoke`] waits until it is dropped.
#[must_use]
pub struct Storing<'a>(MutexGuard<'a, Option<Grant>>);

impl PendingGrant {
    /// Makes [`revoke`](Self::revoke) wait for a grant that a response may bring. Call [`hold`](Self::hold) with it before
    /// the returned guard is dropped.
    pub async fn start_exchange(&self) -> Exchanging<'_> {
        Exchanging(self.exchange.lock().await)
    }

    /// Holds a refresh token until it is stored or revoked.
    pub async fn hold(&self, config: AuthConfig, token: RefreshToken) {
        *self.grant.lock().await = Some(Grant { config, token });
    }

    /// Makes [`revoke`](Self::revoke) wait until the returned guard is dropped.
    pub async fn start_storing(&self) -> Storing<'_> {
        Storing(self.grant.lock().await)
    }

    /// Waits for a code exchange and a store in progress, then revokes the token that is still held (RFC 7009). A failure is
    /// only logged: the token expires by itself.
    pub async fn revoke(&self, http: &Http) {
        // Not bounded: the store after a refresh. A spent refresh token without the new one would end the login.
        let _exchanged = timeout(EXCHANGE_BOUND, self.exchange.lock()).await;
        if let Some(Grant { config, token }) = self.grant.lock().await.take()
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
