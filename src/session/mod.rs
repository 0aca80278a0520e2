//! The login of one domain on this machine: finds it, and calls the API with a token that is valid now.
//!
//! Every authenticated command goes through here. [`login_in_use`] says which of two stored logins counts. Nothing here
//! prompts or opens a browser.

mod domain;
mod environment_token;
mod key_source;
mod pending;
mod plaintext;
mod refresh;
mod retry;
mod storage_choice;
mod stores;
mod vault;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use url::Url;

use crate::api::{ApiClient, ListError, Workspace};
use crate::blocking::run_blocking;
use crate::config::{Config, ConfigError, Context, Document, DocumentError, Lock};
use crate::credentials::{self, CredentialStore, Credentials, StoreError};
use crate::domain::{Domain, Product};
use crate::error::Error;
use crate::houston::{Houston, HoustonError};
use crate::system::System;
use crate::text::clean;
use crate::token::AccessToken;

use domain::find_domain;

pub use domain::{DomainSource, resolve_domain};
pub use environment_token::{check_environment_token, environment_token};
pub use key_source::KeySource;
pub use plaintext::{
    belongs_to, clear_tokens, credentials_from_context, is_replaced, is_same_user, login_in_use,
    private_cloud_credentials, set_pointer, set_tokens, tokens_of_context,
};
pub use storage_choice::{Storage, StorageChoice, StoragePlan, StorageSource};

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
    /// The vault of Astro CLI 2 and Astro Desktop.
    Vault,
    /// The plaintext fields of config.yaml, which are the Go CLI's.
    Config,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedLogin {
    pub location: Location,
    pub credentials: Credentials,
}

impl SavedLogin {
    /// Returns `true` if the login of this user is still in use beside `context`, which may have changed.
    pub fn is_in_use(&self, context: &Context) -> bool {
        let stored_in = |location| (self.location == location).then(|| self.credentials.clone());
        let in_use = login_in_use(context, stored_in(Location::Vault), stored_in(Location::Keychain));
        in_use.is_some_and(|(location, it)| location == self.location && is_same_user(&it, &self.credentials))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    Environment(AccessToken),
    Login(Box<SavedLogin>),
}

impl Access {
    pub fn token(&self) -> &AccessToken {
        match self {
            Self::Environment(token) => token,
            Self::Login(saved) => &saved.credentials.access,
        }
    }
}

impl<'a> Session<'a> {
    /// Opens the session of the domain that [`resolve_domain`] finds.
    pub fn open(system: &'a System, argument: Option<&str>) -> Result<Self, Error> {
        Self::open_with_context(system, argument).map(|(session, _)| session)
    }

    /// Like [`open`](Self::open). Returns the context too if config.yaml was read for the domain.
    pub fn open_with_context(system: &'a System, argument: Option<&str>) -> Result<(Self, Option<Context>), Error> {
        let config = Config::new(&system.home);
        let (domain, source, document) = find_domain(system, &config, argument)?;
        let context = document.map(|it| it.context(&domain).unwrap_or_default());
        match &source {
            DomainSource::DefaultInstead(current) => {
                system.ui.say(&format!("note: current context {current} is not a domain; using {domain}"));
            }
            DomainSource::Argument | DomainSource::EnvVar => {
                let typed = argument.or(system.environment.get("ASTRO_DOMAIN")).unwrap_or_default().trim();
                if domain.product() == Product::PrivateCloud && typed != domain.as_str() {
                    system.ui.say(&format!("note: using {domain}, the base domain of {}", clean(typed, 100)));
                }
            }
            DomainSource::CurrentContext | DomainSource::Default => {}
        }
        Ok((Self { system, config, domain, domain_source: Some(source) }, context))
    }

    pub fn for_domain(system: &'a System, domain: Domain) -> Self {
        Self { system, config: Config::new(&system.home), domain, domain_source: None }
    }

    pub fn context(&self) -> Result<Context, Error> {
        Ok(self.config.read()?.context(&self.domain).unwrap_or_default())
    }

    pub fn api<'b>(&'b self, token: &'b AccessToken) -> ApiClient<'b> {
        ApiClient::new(&self.system.http, self.domain.api_base(), token)
    }

    /// Returns the error for `what`, which the product of this domain does not have.
    pub fn other_product(&self, what: &'static str) -> Error {
        Error::OtherProduct { what, domain: self.domain.to_string(), product: self.domain.product() }
    }

    /// Calls the API of an Astro Private Cloud.
    pub async fn call_platform<T>(
        &self,
        call: impl AsyncFnOnce(&Houston<'_>) -> Result<T, HoustonError>,
    ) -> Result<T, Error> {
        let houston = Houston::new(&self.system.http, self.platform_api());
        call(&houston).await.map_err(|failure| self.houston_error(failure))
    }

    /// Returns the address of the API of an Astro Private Cloud, at the port of config.yaml if that can be read.
    pub fn platform_api(&self) -> Url {
        let mut api = self.domain.api_base().clone();
        // Fails only for a URL without a host.
        let _ = api.set_port(self.config.read().ok().and_then(|document| document.platform_port()));
        api
    }

    pub fn houston_error(&self, failure: HoustonError) -> Error {
        Error::Houston { domain: self.domain.to_string(), failure: Box::new(failure) }
    }

    /// Lists the workspaces of an organization, or all of an Astro Private Cloud, which has no organizations.
    pub async fn workspaces(&self, organization: Option<&str>) -> Result<Vec<Workspace>, Error> {
        if let Some(organization) = organization {
            return self.call(async |api| api.workspaces(organization).await).await;
        }
        let access = self.access().await?;
        Ok(self.call_platform(async |houston| houston.platform(access.token()).await).await?.workspaces)
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

    /// Takes the lock under which the login of the domain is read, changed and written. Take it before the lock of
    /// config.yaml, never while holding that.
    pub async fn lock(&self) -> Result<Lock, Error> {
        wait_for_lock(|| self.config.lock_refresh(&self.domain, Duration::ZERO)).await
    }

    /// Takes [`lock`](Self::lock) to replace or remove a login, and beside Astro CLI 2 the lock of its renewals: one that is
    /// under way would store the earlier login again.
    pub async fn lock_to_replace(&self) -> Result<(Lock, Option<Lock>), Error> {
        let lock = self.lock().await?;
        let renewal = if self.has_vault() { Some(self.lock_renewal().await?) } else { None };
        Ok((lock, renewal))
    }

    /// Takes the lock under which Astro CLI 2 renews a login, after [`lock`](Self::lock).
    async fn lock_renewal(&self) -> Result<Lock, Error> {
        wait_for_lock(|| self.config.lock_renewal(Duration::ZERO)).await
    }

    /// Makes one keychain call, bounded in time, with a spinner if it is slow.
    pub async fn keychain<T: Send + 'static>(
        &self,
        call: impl FnOnce(&dyn CredentialStore, &Domain) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (store, domain) = (Arc::clone(&self.system.keychain), self.domain.clone());
        self.bounded(move || call(&*store, &domain)).await
    }

    async fn bounded<T: Send + 'static, E: From<StoreError> + Send + 'static>(
        &self,
        call: impl FnOnce() -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let bound = if self.system.ui.can_ask() { credentials::WITH_PERSON } else { credentials::WITHOUT_PERSON };
        let mut running = std::pin::pin!(credentials::bounded(bound, call));
        if let Ok(outcome) = tokio::time::timeout(SILENT_BOUND, &mut running).await {
            return outcome;
        }
        let _spinner = self.system.ui.spinner("waiting for the keychain…");
        running.await
    }

    /// Reads the keychain, which must be available and unlocked.
    pub async fn ready_keychain(&self) -> Result<Option<Credentials>, StoreError> {
        self.keychain(|store, domain| store.load(domain).and_then(|found| store.ready().map(|()| found))).await
    }

    pub fn keychain_error(&self, source: StoreError) -> Error {
        Error::Store { domain: self.domain.to_string(), source }
    }

    /// Returns `true` if Astro CLI 2 has a vault, which holds logins to Astro alone.
    pub fn has_vault(&self) -> bool {
        self.domain.product() == Product::Astro && self.system.vault.exists()
    }

    pub fn location_name(&self, location: Location) -> String {
        match location {
            Location::Keychain => self.system.keychain.describe(),
            Location::Vault => format!("{}, shared with it and Astro Desktop", credentials::vault::NAME),
            Location::Config => {
                let shared =
                    if self.is_marked() { ", shared with Astro CLI 1.x, Astro CLI 2 and Astro Desktop" } else { "" };
                format!("{} (unencrypted){shared}", self.config.path().display())
            }
        }
    }

    pub fn now(&self) -> Timestamp {
        (self.system.now)()
    }
}

/// Waits for another process that holds a lock.
async fn wait_for_lock(take: impl Fn() -> Result<Lock, ConfigError>) -> Result<Lock, Error> {
    let mut waited = Duration::ZERO;
    loop {
        match take() {
            Err(ConfigError::Locked { path, .. }) if waited >= LOCK_BOUND => {
                return Err(ConfigError::Locked { path, waited }.into());
            }
            Err(ConfigError::Locked { .. }) => tokio::time::sleep(LOCK_RETRY).await,
            outcome => return Ok(outcome?),
        }
        waited += LOCK_RETRY;
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

/// Returns the expiry of a token: its signed `exp`, or the response's `expires_in` if that is sooner (RFC 6749 section 5.1).
pub fn effective_expiry(
    expires_at: Timestamp,
    issued_at: Option<Timestamp>,
    expires_in: Option<Duration>,
) -> Timestamp {
    let announced = expires_in.and_then(|lifetime| issued_at?.checked_add(lifetime).ok());
    announced.map_or(expires_at, |announced| announced.min(expires_at))
}
