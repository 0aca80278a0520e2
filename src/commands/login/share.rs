//! A login in the vault of Astro CLI 2, or what is left of one there after a login that is stored elsewhere.

use super::save::Saving;
use super::{LoginFlow, NewLogin};
use crate::credentials::Credentials;
use crate::credentials::vault::{Vault, VaultError, VaultTokens};
use crate::domain::Domain;
use crate::error::{Error, Warning};
use crate::session::{Location, is_same_user};

impl LoginFlow<'_> {
    /// Writes the entry, then config.yaml. Restores the entry if config.yaml cannot be written.
    pub(super) async fn save_in_vault(&self, saving: &mut Saving<'_>) -> Result<(), Error> {
        let vault_error = |failure| self.session.vault_error(failure);
        let tokens = VaultTokens::from(&saving.new.credentials);
        self.session.vault(move |vault, name| vault.save(name, &tokens)).await.map_err(vault_error)?;
        if let Err(failure) = self.write_account(saving).await {
            let old = saving.before.in_vault.as_ref().map(VaultTokens::from);
            let restored = self.session.vault(move |vault, name| match &old {
                Some(old) => vault.save(name, old),
                None => vault.remove(&name.entry()).map(drop),
            });
            if let Err(failure) = restored.await {
                self.may_remain_in_vault(&failure);
            }
            return Err(failure);
        }
        // Else other programs would take the login out of the vault again.
        self.session.vault(|vault, name| vault.remove(&name.marker())).await.map(drop).map_err(vault_error)
    }

    /// Makes other programs leave the login in config.yaml. Must be done before it is there.
    pub(super) async fn set_marker(&self) {
        if self.session.has_vault()
            && let Err(failure) = self.session.vault(Vault::mark).await
        {
            Warning::NotMarked { cause: failure.to_string(), open: failure.open_folder() }.show(self.ui());
        }
    }

    /// Removes the entry of a login that is stored elsewhere from now on, and says what that means to the other programs. One
    /// that this program does not understand stays.
    pub(super) async fn remove_from_vault(&self, location: Location, loaded: Result<Option<Credentials>, VaultError>) {
        if !self.session.has_vault() {
            return;
        }
        match loaded {
            Ok(None) => {}
            Ok(Some(_)) | Err(VaultError::Keychain(_)) => {
                if let Err(unreadable) = loaded {
                    Warning::RemovedUnread { cause: unreadable.to_string() }.show(self.ui());
                }
                if let Err(failure) = self.session.vault(|vault, name| vault.remove(&name.entry())).await {
                    self.may_remain_in_vault(&failure);
                }
            }
            Err(failure) => self.may_remain_in_vault(&failure),
        }
        if location == Location::Keychain {
            let (cause, open) = match self.session.vault(Vault::ready).await {
                Ok(_) => (format!("this login is in {}", self.session.location_name(Location::Keychain)), None),
                Err(failure) => (failure.to_string(), failure.open_folder()),
            };
            Warning::VaultNotUsed { domain: self.session.domain.to_string(), cause, open }.show(self.ui());
        }
    }

    fn may_remain_in_vault(&self, failure: &VaultError) {
        self.session.may_remain_in_vault(failure).show(self.ui());
    }

    /// Leaves out the replaced logins whose refresh token another context still uses, which a revocation would end. A context
    /// that shares the login gets the new one if that is the same user's.
    pub(super) async fn without_shared(&self, unused: Vec<Credentials>, new: &NewLogin) -> Vec<Credentials> {
        let mut revocable = Vec::new();
        for old in unused {
            match self.share(&old, new).await {
                Ok(holders) if holders.is_empty() => revocable.push(old),
                Ok(holders) => {
                    let holders: Vec<String> = holders.iter().map(ToString::to_string).collect();
                    let holders = holders.join(", ");
                    self.ui()
                        .say(&format!("Did not revoke the replaced refresh token, which is still in use: {holders}"));
                }
                Err(failure) => {
                    let (token, cause) = ("the replaced refresh token", failure.to_string());
                    Warning::NotRevoked { token, cause }.show(self.ui());
                }
            }
        }
        revocable
    }

    /// Replaces a login in the contexts that share it. Returns the domains that still hold its refresh token.
    async fn share(&self, old: &Credentials, new: &NewLogin) -> Result<Vec<Domain>, Error> {
        let NewLogin { credentials, destination } = new;
        // Beside our own entry in the keychain, another copy of a refresh token would not be renewed.
        let is_shareable = destination.location != Location::Keychain && credentials.refresh.is_some();
        if is_shareable && is_same_user(old, credentials) {
            self.session.replace_shared(old, Some(credentials.clone())).await?;
        }
        self.session.holders(old).await
    }
}
