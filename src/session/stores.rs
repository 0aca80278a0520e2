//! The stores of a login: reads, and writes that another program may cross.

use super::{Location, SavedLogin, Session, credentials_from_context, login_in_use, set_pointer, set_tokens};
use crate::blocking::run_blocking;
use crate::config::{Context, Document};
use crate::credentials::{self, Credentials, Kind, StoreError};
use crate::error::{Error, NO_EMAIL, Warning};
use crate::oauth::{AuthConfig, Issuer};
use crate::text::clean;
use crate::token::{AccessToken, RefreshToken};

impl Session<'_> {
    /// Finds the stored login of the domain. Without one, [`Error::NotLoggedIn`] says if there was no keychain to read:
    /// a desktop session of the same user may have one.
    pub async fn saved_login(&self) -> Result<SavedLogin, Error> {
        self.saved_login_of(self.context()?).await
    }

    /// Finds the stored login by a context that was just read.
    pub(super) async fn saved_login_of(&self, context: Context) -> Result<SavedLogin, Error> {
        let not_logged_in = |no_keychain| Error::NotLoggedIn { domain: self.domain.to_string(), no_keychain };
        if context.in_vault {
            let found = self.load_from_vault(&context).await.map_err(|failure| self.vault_error(failure))?;
            let credentials = found.filter(|it| !it.access.is_empty()).ok_or_else(|| not_logged_in(None))?;
            return Ok(SavedLogin { location: Location::Vault, credentials });
        }
        let in_config = credentials_from_context(&context);
        if let Some(credentials) = in_config.clone().filter(|it| !self.may_be_ignored(it)) {
            return Ok(SavedLogin { location: Location::Config, credentials });
        }
        let (in_keychain, no_keychain) = match self.keychain(|store, domain| store.load(domain)).await {
            Ok(found) => (found, None),
            Err(absent @ StoreError::Absent { .. }) => (None, Some(absent)),
            // Without an answer there is no sign of a login that would count more.
            Err(StoreError::TimedOut(_) | StoreError::Disconnected | StoreError::Other(_))
                if in_config.as_ref().is_some_and(|it| it.kind == Kind::ApiToken) =>
            {
                (None, None)
            }
            Err(failure) => return Err(self.keychain_error(failure)),
        };
        let in_use = login_in_use(&context, None, in_keychain).ok_or_else(|| not_logged_in(no_keychain))?;
        Ok(SavedLogin { location: in_use.0, credentials: in_use.1 })
    }

    /// Rejects a stored login that no command can use, without a request: every command that needs a token fails with the
    /// same error.
    pub fn require_usable(&self, credentials: &Credentials) -> Result<(), Error> {
        self.require_issuer_of_domain(credentials)?;
        match credentials.expires_at {
            Some(at) if at <= self.now() && credentials.refresh.is_none() => {
                Err(Error::LoginExpired { domain: self.domain.to_string(), at, now: self.now() })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Rejects a stored login whose issuer does not belong to this domain (RFC 9700 section 4.14).
    pub(super) fn require_issuer_of_domain(&self, credentials: &Credentials) -> Result<(), Error> {
        let Credentials { kind, issuer, .. } = credentials;
        match kind {
            // A refresh token alone goes to the domain's own issuer.
            Kind::User if credentials.access.is_empty() => Ok(()),
            Kind::User if Issuer::parse(issuer, &self.domain).is_err() => {
                let issuer = Some(clean(issuer, 100)).filter(|issuer| !issuer.is_empty());
                Err(Error::IssuerMismatch { domain: self.domain.to_string(), issuer })
            }
            // These tokens name no issuer.
            Kind::User | Kind::ApiToken | Kind::PrivateCloud => Ok(()),
        }
    }

    /// Returns `true` if a login in the keychain may count more than this one of config.yaml. Other readers of config.yaml
    /// do without the keychain.
    fn may_be_ignored(&self, in_config: &Credentials) -> bool {
        in_config.kind == Kind::ApiToken || self.config.was_replaced(&self.domain, &in_config.access.digest())
    }

    /// Returns the login in the store that is not in use. A keychain that cannot be read counts as empty.
    pub async fn second_login(&self, in_use: Location) -> Option<Credentials> {
        match in_use {
            Location::Keychain => credentials_from_context(&self.context().ok()?),
            Location::Vault | Location::Config => {
                let (store, domain) = (self.system.keychain.clone(), self.domain.clone());
                credentials::bounded(credentials::WITHOUT_PERSON, move || store.load(&domain)).await.ok()?
            }
        }
    }

    /// Returns a warning of the login in the other store than the one in use.
    pub fn second_login_warning(&self, in_use: Location, second: &Credentials) -> Warning {
        let domain = self.domain.to_string();
        let what = match (in_use, second.kind) {
            (Location::Keychain, Kind::ApiToken) => "an API token",
            (Location::Keychain, Kind::User | Kind::PrivateCloud) => "the login that this one replaced",
            (Location::Vault | Location::Config, _) => {
                let account = second.email.as_deref().map_or_else(|| NO_EMAIL.to_owned(), |email| clean(email, 254));
                return Warning::UnusedInKeychain { keychain: self.location_name(Location::Keychain), account, domain };
            }
        };
        Warning::UsedByGoOnly { what, domain }
    }

    /// Replaces a saved login in its own store, or removes it if `new` is `None`.
    ///
    /// Returns `false` if the store holds other tokens than `saved` by now, access or refresh token: another program wrote
    /// them, and they stay. The Go CLI writes config.yaml without our lock.
    pub(super) async fn replace(&self, saved: &SavedLogin, new: Option<Credentials>) -> Result<bool, Error> {
        let old = saved.credentials.clone();
        match saved.location {
            Location::Keychain => {
                let replaced = self.keychain(move |store, domain| {
                    let stored = store.load(domain)?;
                    if stored.is_none_or(|stored| (stored.access, stored.refresh) != (old.access, old.refresh)) {
                        return Ok(false);
                    }
                    match &new {
                        Some(credentials) => store.save(domain, credentials)?,
                        None => drop(store.delete(domain)?),
                    }
                    Ok(true)
                });
                replaced.await.map_err(|failure| self.keychain_error(failure))
            }
            Location::Vault | Location::Config => self.replace_shared(&old, new).await,
        }
    }

    /// Checks that the refreshed login can be stored, before the refresh token is spent. A keychain that was just read needs
    /// no check.
    pub(super) async fn check_replaceable(&self, saved: &SavedLogin) -> Result<(), Error> {
        if saved.location == Location::Keychain {
            return Ok(());
        }
        // 1 KiB longer than the tokens that it replaces, and no secret.
        let like = |text: &str| "x".repeat(text.len() + 1024);
        let old = saved.credentials.clone();
        let (access, refresh) = (like(old.access.expose()), old.refresh.as_ref().map(|it| like(it.expose())));
        let in_vault = saved.location == Location::Vault;
        if in_vault {
            // In base64, twice.
            let length = 2 * (access.len() + refresh.as_ref().map_or(0, String::len));
            let checked = self.vault(move |vault, name| vault.dry_run(name, length)).await;
            checked.map_err(|failure| self.vault_error(failure))?;
        }
        let (config, domain) = (self.config.clone(), self.domain.clone());
        let sample = Credentials { access: AccessToken::new(access), refresh: refresh.map(RefreshToken::new), ..old };
        let edit = move |document: &mut Document| {
            document.update_context(&domain, |context| {
                if in_vault { set_pointer(context, sample.expires_at) } else { set_tokens(context, sample) }
            })
        };
        Ok(run_blocking(move || config.dry_run(edit)).await??)
    }

    /// Revokes the refresh token of these credentials, if they have one (RFC 7009).
    pub async fn revoke(&self, credentials: &Credentials) -> Result<(), Error> {
        if let Some(refresh) = &credentials.refresh {
            self.revocation_config(credentials).await?.revoke(&self.system.http, refresh).await?;
        }
        Ok(())
    }

    /// Returns the issuer and the client that the credentials are bound to. Credentials go to no other server (RFC 9700
    /// section 4.9), and a stored issuer that does not belong to this domain is an error.
    fn auth_config_of(&self, credentials: &Credentials) -> Result<AuthConfig, Error> {
        Ok(AuthConfig {
            client_id: credentials.client_id.clone(),
            audience: credentials.audience.clone(),
            issuer: Issuer::parse(&credentials.issuer, &self.domain)?,
            identity_first: false,
        })
    }

    /// Like [`auth_config_of`](Self::auth_config_of), but a refresh token without an access token is taken for one of the
    /// domain's own login configuration.
    pub(super) async fn renewal_config(&self, credentials: &Credentials) -> Result<AuthConfig, Error> {
        if credentials.access.is_empty() {
            return Ok(AuthConfig::fetch(&self.system.http, &self.domain).await?);
        }
        self.auth_config_of(credentials)
    }

    /// Like [`auth_config_of`](Self::auth_config_of), but a refresh token beside no access token, or beside one that does not
    /// name issuer and client, is taken for one of the domain's own login configuration.
    async fn revocation_config(&self, credentials: &Credentials) -> Result<AuthConfig, Error> {
        let names_issuer = credentials.kind == Kind::User && !credentials.issuer.is_empty();
        let foreign =
            || Error::IssuerMismatch { domain: self.domain.to_string(), issuer: Some(clean(&credentials.issuer, 100)) };
        if names_issuer {
            let named = self.auth_config_of(credentials).map_err(|_| foreign())?;
            if !named.client_id.is_empty() {
                return Ok(named);
            }
        }
        let own = AuthConfig::fetch(&self.system.http, &self.domain).await?;
        if names_issuer && own.issuer.as_str() != credentials.issuer { Err(foreign()) } else { Ok(own) }
    }
}
