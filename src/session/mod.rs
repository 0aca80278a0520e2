//! The login of one domain on this machine: finds it, and calls the API with a token that is valid now.
//!
//! Every authenticated command goes through here. A token in config.yaml wins over the keychain's: a login into the keychain
//! empties the one in config.yaml, so one that is there is newer, or was chosen. Nothing here prompts or opens a browser.

mod domain;
mod environment_token;
mod key_source;
mod plaintext;
mod refresh;
mod retry;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::api::{ApiClient, ListError};
use crate::blocking::run_blocking;
use crate::config::{Config, ConfigError, Context, Document, DocumentError, Lock, is_yes};
use crate::credentials::{self, CredentialStore, Credentials, StoreError};
use crate::domain::Domain;
use crate::error::Error;
use crate::oauth::{AuthConfig, Issuer};
use crate::system::System;
use crate::token::{AccessToken, RefreshToken};

pub use domain::{DomainSource, resolve_domain};
pub use environment_token::{check_environment_token, environment_token, environment_token_is_set};
pub use key_source::KeySource;
pub use plaintext::{belongs_to, clear_tokens, credentials_from_context, set_tokens};
pub use refresh::{Access, effective_expiry};

/// A keychain call within this time shows no spinner.
const SILENT_BOUND: Duration = Duration::from_millis(500);
/// The longest wait for another process that holds the refresh lock.
const LOCK_BOUND: Duration = Duration::from_secs(30);
const LOCK_RETRY: Duration = Duration::from_millis(50);

/// The login of one domain.
pub struct Session<'a> {
    pub system: &'a System,
    pub config: Config,
    pub domain: Domain,
    /// `None` if no command line, variable or file named the domain.
    pub domain_source: Option<DomainSource>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Location {
    Keychain,
    /// The plaintext fields of config.yaml, which are the Go CLI's.
    Config,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedLogin {
    pub location: Location,
    pub credentials: Credentials,
}

impl<'a> Session<'a> {
    /// Opens the session of the domain that [`resolve_domain`] finds.
    pub fn open(system: &'a System, argument: Option<&str>) -> Result<Self, Error> {
        let config = Config::new(&system.home);
        let (domain, source) = resolve_domain(system, &config, argument)?;
        Ok(Self { system, config, domain, domain_source: Some(source) })
    }

    pub fn for_domain(system: &'a System, domain: Domain) -> Self {
        Self { system, config: Config::new(&system.home), domain, domain_source: None }
    }

    pub fn context(&self) -> Result<Context, Error> {
        Ok(self.config.read()?.context(&self.domain).unwrap_or_default())
    }

    /// Finds the stored login of the domain. Without one, [`Error::NotLoggedIn`] says if there was no keychain to read:
    /// a desktop session of the same user may have one.
    pub async fn saved_login(&self) -> Result<SavedLogin, Error> {
        if let Some(saved) = self.saved_in_config()? {
            return Ok(saved);
        }
        let not_logged_in = |no_keychain| Error::NotLoggedIn { domain: self.domain.to_string(), no_keychain };
        match self.keychain(|store, domain| store.load(domain)).await {
            Ok(Some(credentials)) => Ok(SavedLogin { location: Location::Keychain, credentials }),
            Ok(None) => Err(not_logged_in(None)),
            Err(absent @ StoreError::Absent { .. }) => Err(not_logged_in(Some(absent))),
            Err(failure) => Err(self.keychain_error(failure)),
        }
    }

    fn saved_in_config(&self) -> Result<Option<SavedLogin>, Error> {
        let credentials = credentials_from_context(&self.context()?);
        Ok(credentials.map(|credentials| SavedLogin { location: Location::Config, credentials }))
    }

    pub fn api<'b>(&'b self, token: &'b AccessToken) -> ApiClient<'b> {
        ApiClient::new(&self.system.http, self.domain.api_base(), token)
    }

    /// Calls the API with a token that is valid now. A token that the API refuses is refreshed once; a second refusal is
    /// final.
    pub async fn call<T>(&self, call: impl AsyncFn(&ApiClient<'_>) -> Result<T, ListError>) -> Result<T, Error> {
        let attempt = async |access: &Access| call(&self.api(access.token())).await;
        let access = self.access().await?;
        let refused = match attempt(&access).await {
            Err(ListError::Http(failure)) if failure.status() == Some(401) => failure,
            outcome => return Ok(outcome?),
        };
        let access = self.access_instead_of(access, refused).await?;
        match attempt(&access).await {
            Err(ListError::Http(failure)) if failure.status() == Some(401) => {
                Err(Error::TokenRefused { domain: self.domain.to_string(), response: Some(failure) })
            }
            outcome => Ok(outcome?),
        }
    }

    /// Replaces a saved login in its own store, or removes it if `credentials` is `None`.
    ///
    /// Returns `false` and writes nothing if config.yaml holds another refresh token by now: the Go CLI writes there
    /// without our lock, and its login stays. Only we change the keychain's entries.
    async fn replace(&self, saved: &SavedLogin, credentials: Option<Credentials>) -> Result<bool, Error> {
        match saved.location {
            Location::Keychain => {
                let replaced = self.keychain(move |store, domain| match &credentials {
                    Some(credentials) => store.save(domain, credentials),
                    None => store.delete(domain).map(drop),
                });
                replaced.await.map_err(|failure| self.keychain_error(failure))?;
                Ok(true)
            }
            Location::Config => {
                let (domain, refresh) = (self.domain.clone(), saved.credentials.refresh.clone());
                edit_config(&self.config, move |document| {
                    let unchanged = document.context(&domain).is_some_and(|it| it.refresh_token == refresh);
                    if unchanged {
                        document.update_context(&domain, |context| match credentials {
                            Some(credentials) => set_tokens(context, credentials),
                            None => clear_tokens(context),
                        })?;
                    }
                    Ok(unchanged)
                })
                .await
            }
        }
    }

    /// Checks that the refreshed login can be stored, before the refresh token is spent. A keychain that was just read needs
    /// no check.
    async fn check_replaceable(&self, saved: &SavedLogin) -> Result<(), Error> {
        if saved.location == Location::Config {
            let (config, domain, old) = (self.config.clone(), self.domain.clone(), saved.credentials.clone());
            // 1 KiB longer than the tokens that it replaces, and no secret.
            let like = |text: &str| "x".repeat(text.len() + 1024);
            let (access, refresh) = (like(old.access.expose()), old.refresh.as_ref().map(|it| like(it.expose())));
            let sample =
                Credentials { access: AccessToken::new(access), refresh: refresh.map(RefreshToken::new), ..old };
            let edit =
                move |document: &mut Document| document.update_context(&domain, |context| set_tokens(context, sample));
            run_blocking(move || config.dry_run(edit)).await??;
        }
        Ok(())
    }

    /// Revokes the refresh token of these credentials, if they have one (RFC 7009).
    pub async fn revoke(&self, credentials: &Credentials) -> Result<(), Error> {
        if let Some(refresh) = &credentials.refresh {
            self.auth_config_of(credentials)?.revoke(&self.system.http, refresh).await?;
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

    /// Takes the lock under which the login of the domain is read, changed and written. Take it before the lock of
    /// config.yaml, never while holding that.
    pub async fn lock(&self) -> Result<Lock, Error> {
        let mut waited = Duration::ZERO;
        loop {
            match self.config.lock_refresh(&self.domain, Duration::ZERO) {
                Err(ConfigError::Locked { path, .. }) if waited >= LOCK_BOUND => {
                    return Err(ConfigError::Locked { path, waited }.into());
                }
                Err(ConfigError::Locked { .. }) => tokio::time::sleep(LOCK_RETRY).await,
                outcome => return Ok(outcome?),
            }
            waited += LOCK_RETRY;
        }
    }

    /// Makes one keychain call, bounded in time, with a spinner if it is slow.
    pub async fn keychain<T: Send + 'static>(
        &self,
        call: impl FnOnce(&dyn CredentialStore, &Domain) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (store, domain) = (Arc::clone(&self.system.keychain), self.domain.clone());
        let bound = if self.system.ui.can_ask() { credentials::WITH_PERSON } else { credentials::WITHOUT_PERSON };
        let mut running = std::pin::pin!(credentials::bounded(bound, move || call(&*store, &domain)));
        if let Ok(outcome) = tokio::time::timeout(SILENT_BOUND, &mut running).await {
            return outcome;
        }
        let _spinner = self.system.ui.spinner("waiting for the keychain…");
        running.await
    }

    pub fn keychain_error(&self, source: StoreError) -> Error {
        Error::Store { domain: self.domain.to_string(), source }
    }

    /// Returns `true` if credentials must not be saved unencrypted in place of an absent keychain.
    pub fn forbids_insecure_fallback(&self) -> Result<bool, Error> {
        let by_environment = self.system.environment.get("ASTRO_NO_INSECURE_FALLBACK").is_some_and(is_yes);
        Ok(by_environment || self.config.read()?.no_insecure_fallback())
    }

    pub fn location_name(&self, location: Location) -> String {
        match location {
            Location::Keychain => self.system.keychain.describe(),
            Location::Config => format!("{} (unencrypted)", self.config.path().display()),
        }
    }

    pub fn now(&self) -> Timestamp {
        (self.system.now)()
    }
}

/// Edits config.yaml off the runtime: an edit may wait for the lock of the file.
pub async fn edit_config<T: Send + 'static>(
    config: &Config,
    edit: impl FnOnce(&mut Document) -> Result<T, DocumentError> + Send + 'static,
) -> Result<T, Error> {
    let config = config.clone();
    Ok(run_blocking(move || config.edit(edit)).await??)
}
