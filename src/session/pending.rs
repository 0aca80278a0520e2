//! The login that waits for its second step: at most one a home, in the keychain or in a file of its own.

use zeroize::Zeroizing;

use super::{Location, Session};
use crate::blocking::run_blocking;
use crate::config::Lock;
use crate::credentials::StoreError;
use crate::domain;
use crate::error::Error;

impl Session<'_> {
    pub async fn load_pending(&self) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        if let Some(login) = self.config.pending_login() {
            return Ok(Some(login));
        }
        match self.keychain(|store, _| store.load_pending()).await {
            Ok(login) => Ok(login),
            Err(StoreError::Absent { .. }) => Ok(None),
            Err(failure) => Err(self.keychain_error(failure)),
        }
    }

    /// Keeps a login for its second step. Returns `true` if it replaced another.
    pub async fn keep_pending(&self, location: Location, login: Zeroizing<Vec<u8>>) -> Result<bool, Error> {
        let _lock = self.lock_pending().await?;
        let replaced = self.discard_pending(true).await;
        if location == Location::Config {
            let config = self.config.clone();
            run_blocking(move || config.write_pending_login(&login)).await??;
        } else {
            let saved = self.keychain(move |store, _| store.save_pending(&login)).await;
            saved.map_err(|failure| self.keychain_error(failure))?;
        }
        Ok(replaced)
    }

    /// Takes the lock of the default domain, since a home has one such login for all domains: two processes would each remove
    /// the other's from the other store.
    async fn lock_pending(&self) -> Result<Lock, Error> {
        Session::for_domain(self.system, domain::DEFAULT.parse()?).lock().await
    }

    /// Removes the kept login. Returns `false` if it is not `login` any more, or could not be removed.
    pub async fn take_pending(&self, login: &[u8]) -> Result<bool, Error> {
        let _lock = self.lock_pending().await?;
        let is_same = self.load_pending().await?.is_some_and(|kept| *kept == login);
        Ok(is_same && self.discard_pending(true).await)
    }

    /// Removes the kept login from the file, and from the keychain if that is `usable`. Returns `false` if there was none.
    pub async fn discard_pending(&self, usable: bool) -> bool {
        let was_in_file = self.config.remove_pending_login();
        let removed = if usable { self.keychain(|store, _| store.delete_pending()).await } else { Ok(false) };
        let was_in_keychain = removed.unwrap_or_else(|failure| {
            tracing::debug!(%failure, "could not remove a pending login from the keychain");
            false
        });
        was_in_file || was_in_keychain
    }
}
