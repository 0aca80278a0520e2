//! A login in the vault of Astro CLI 2, or what is left of one there after a login that is stored elsewhere.

use super::save::Before;
use super::{LoginFlow, NewLogin};
use crate::api::User;
use crate::credentials::Credentials;
use crate::credentials::vault::{Vault, VaultError, VaultTokens};
use crate::error::{Error, Warning};
use crate::session::Location;

impl LoginFlow<'_> {
    /// Writes the entry, then config.yaml. Restores the entry if config.yaml cannot be written.
    pub(super) async fn save_in_vault(
        &self,
        new: &NewLogin,
        user: &User,
        is_out_of_reach: bool,
        before: &mut Before,
    ) -> Result<(), Error> {
        let vault_error = |failure| self.session.vault_error(failure);
        let tokens = VaultTokens::from(&new.credentials);
        self.session.vault(move |vault, name| vault.save(name, &tokens)).await.map_err(vault_error)?;
        if let Err(failure) = self.write_account(new, user, is_out_of_reach, before).await {
            let old = before.in_vault.as_ref().map(VaultTokens::from);
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
            let cause = failure.to_string();
            Warning::NotMarked { cause }.show(self.ui());
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
            let cause = match self.session.vault(Vault::ready).await {
                Ok(_) => format!("this login is in {}", self.session.location_name(Location::Keychain)),
                Err(failure) => failure.to_string(),
            };
            Warning::VaultNotUsed { domain: self.session.domain.to_string(), cause }.show(self.ui());
        }
    }

    fn may_remain_in_vault(&self, failure: &VaultError) {
        let domain = self.session.domain.to_string();
        Warning::MayRemainInVault { cause: failure.to_string(), domain }.show(self.ui());
    }
}
