//! The vault of Astro CLI 2: the login of this domain in it, and the contexts that share one login.

use std::sync::Arc;

use super::{Location, Session, clear_tokens, edit_config, set_tokens, tokens_of_context};
use crate::config::{Context, Document, DocumentError};
use crate::credentials::Credentials;
use crate::credentials::vault::{Vault, VaultError, VaultName, VaultTokens};
use crate::domain::{Domain, Product};
use crate::error::{Error, Warning};

impl Session<'_> {
    /// Makes one call of the vault, bounded in time as those of the keychain, which it may make.
    pub async fn vault<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Vault, &VaultName) -> Result<T, VaultError> + Send + 'static,
    ) -> Result<T, VaultError> {
        self.vault_of(&self.domain, call).await
    }

    async fn vault_of<T: Send + 'static>(
        &self,
        domain: &Domain,
        call: impl FnOnce(&Vault, &VaultName) -> Result<T, VaultError> + Send + 'static,
    ) -> Result<T, VaultError> {
        let (vault, name) = (Arc::clone(&self.system.vault), self.vault_name(domain));
        self.bounded(move || call(&vault, &name)).await
    }

    pub fn vault_name(&self, domain: &Domain) -> VaultName {
        VaultName::new(&self.config.canonical_path(), &domain.context_key())
    }

    pub fn vault_error(&self, source: VaultError) -> Error {
        Error::Vault { domain: self.domain.to_string(), source }
    }

    pub fn may_remain_in_vault(&self, failure: &VaultError) -> Warning {
        let domain = self.domain.to_string();
        Warning::MayRemainInVault { cause: failure.to_string(), domain, open: failure.open_folder() }
    }

    /// Reads what the vault holds for this domain, in use or not. It may be a refresh token alone.
    pub async fn load_from_vault(&self, context: &Context) -> Result<Option<Credentials>, VaultError> {
        if self.domain.product() == Product::PrivateCloud {
            return Ok(None);
        }
        let Some(VaultTokens { access, refresh }) = self.vault(Vault::load).await? else { return Ok(None) };
        let context = Context { token: access, refresh_token: refresh, ..context.clone() };
        Ok(tokens_of_context(&context))
    }

    /// Returns a warning of an entry beside the login of config.yaml that is in use, or of a vault that others have access to.
    pub fn vault_warning(&self, in_use: Location) -> Option<Warning> {
        if !self.has_vault() {
            return None;
        }
        let vault = &self.system.vault;
        match in_use {
            Location::Config if self.vault_has(VaultName::entry) && !self.is_marked() => {
                Some(Warning::WrittenBack { domain: self.domain.to_string() })
            }
            Location::Vault => vault.open_to_others().map(|it| Warning::VaultOpenToOthers { folder: it.to_owned() }),
            Location::Keychain | Location::Config => None,
        }
    }

    /// Returns `true` if the marker makes every program leave the login in config.yaml.
    pub(super) fn is_marked(&self) -> bool {
        self.vault_has(VaultName::marker)
    }

    fn vault_has(&self, file: impl FnOnce(&VaultName) -> String) -> bool {
        let vault = &self.system.vault;
        // Looked for before the links in the path of config.yaml are resolved for the name.
        vault.exists() && vault.has(&file(&self.vault_name(&self.domain)))
    }

    /// Returns the other domains whose contexts share the login of this one, as Astro CLI 2 sees it.
    fn sharing_domains(&self, document: &Document) -> Vec<Domain> {
        let own = document.context(&self.domain).unwrap_or_default();
        let sharing = document.contexts().into_iter().filter(|it| it.shares_login_with(&own));
        sharing.filter_map(|it| it.domain.parse().ok()).filter(|it| *it != self.domain).collect()
    }

    /// Returns the other domains whose contexts hold the refresh token of these credentials, in config.yaml or in the vault.
    pub async fn holders(&self, credentials: &Credentials) -> Result<Vec<Domain>, Error> {
        let document = self.config.read()?;
        let own = document.context(&self.domain).unwrap_or_default();
        let mut holders = Vec::new();
        for context in document.contexts() {
            let Ok(domain) = context.domain.parse::<Domain>() else { continue };
            let refresh = if context.in_vault && context.shares_login_with(&own) {
                match self.vault_of(&domain, Vault::load).await {
                    Err(failure @ VaultError::Keychain(_)) => return Err(self.vault_error(failure)),
                    // One that cannot be opened is of no use to other programs, either.
                    loaded => loaded.ok().flatten().and_then(|it| it.refresh),
                }
            } else {
                context.refresh_token
            };
            if domain != self.domain && refresh.is_some() && refresh == credentials.refresh {
                holders.push(domain);
            }
        }
        Ok(holders)
    }

    /// Removes the copies of a refresh token that was revoked, in contexts that share the login of this one. Returns their
    /// domains.
    pub async fn remove_copies(&self, revoked: &Credentials) -> Result<Vec<Domain>, Error> {
        let sharing = self.sharing_domains(&self.config.read()?);
        if revoked.refresh.is_none() || sharing.is_empty() {
            return Ok(Vec::new());
        }
        let mut holders = self.holders(revoked).await?;
        holders.retain(|it| sharing.contains(it));
        self.replace_shared(revoked, None).await?;
        Ok(holders)
    }

    /// Replaces a login in config.yaml or in the vault, and its copies in the contexts that share it: those with the refresh
    /// token that was spent. Removes them if `new` is `None`. Returns `false` if this domain's own was not replaced, because
    /// another program had changed it.
    pub async fn replace_shared(&self, old: &Credentials, new: Option<Credentials>) -> Result<bool, Error> {
        let document = self.config.read()?;
        let old = old.clone();
        let mut domains = self.sharing_domains(&document);
        domains.insert(0, self.domain.clone());
        let mut in_vault = Vec::new();
        // The entries first: until config.yaml is written, its older times do no harm.
        for domain in &domains {
            if document.context(domain).is_some_and(|it| it.in_vault) {
                match self.replace_entry(domain, &old, new.as_ref()).await {
                    Ok(true) => in_vault.push(domain.clone()),
                    Ok(false) => {}
                    Err(failure) if *domain == self.domain => return Err(self.vault_error(failure)),
                    Err(failure) => tracing::info!(%domain, %failure, "could not renew a shared login"),
                }
            }
        }
        let own = self.domain.clone();
        edit_config(&self.config, move |document| {
            let mut replaced = false;
            for domain in &domains {
                let is_own = *domain == own;
                let done = if in_vault.contains(domain) {
                    let end = new.as_ref().map(|it| it.expires_at);
                    document.update_context(domain, |context| match end {
                        Some(end) if context.in_vault => context.expires_at = end,
                        None if context.in_vault => clear_tokens(context),
                        Some(_) | None => {}
                    })?;
                    true
                } else {
                    replace_plain(document, domain, &old, new.clone(), is_own)?
                };
                if done && !is_own && new.is_none() {
                    document.clear_login(domain)?;
                }
                replaced |= done && is_own;
            }
            Ok(replaced)
        })
        .await
    }

    async fn replace_entry(
        &self,
        domain: &Domain,
        old: &Credentials,
        new: Option<&Credentials>,
    ) -> Result<bool, VaultError> {
        let (old, new) = (VaultTokens::from(old), new.map(VaultTokens::from));
        self.vault_of(domain, move |vault, name| vault.replace(name, &old, new.as_ref())).await
    }
}

/// Replaces the tokens in a context if they are still `old`. Returns `false` if they are not.
fn replace_plain(
    document: &mut Document,
    domain: &Domain,
    old: &Credentials,
    new: Option<Credentials>,
    is_own: bool,
) -> Result<bool, DocumentError> {
    let stored = document.context(domain).unwrap_or_default();
    if stored.token.is_none() || stored.refresh_token != old.refresh || (!is_own && old.refresh.is_none()) {
        return Ok(false);
    }
    let is_unchanged = !is_own || stored.token.as_ref() == Some(&old.access);
    match new {
        Some(new) if is_unchanged => document.update_context(domain, |it| set_tokens(it, new))?,
        None if is_unchanged => document.update_context(domain, clear_tokens)?,
        // The other program's access token stays, but its refresh token is the one that was spent here.
        Some(Credentials { refresh: Some(refresh), .. }) => {
            document.update_context(domain, |it| it.refresh_token = Some(refresh))?;
        }
        Some(_) | None => {}
    }
    Ok(is_unchanged)
}

impl From<&Credentials> for VaultTokens {
    fn from(credentials: &Credentials) -> Self {
        Self { access: Some(credentials.access.clone()), refresh: credentials.refresh.clone() }
    }
}
