//! The store of the next login: the setting that says so, and the plan that follows from it on this machine.
//!
//! `astro login` carries the plan out; `auth status` and `auth doctor` show it.

use std::fmt;

use serde::Serialize;

use super::{Location, Session, login_in_use};
use crate::config::{Context, forbids};
use crate::credentials::vault::VaultError;
use crate::credentials::{Credentials, Kind, StoreError};
use crate::environment::{CREDENTIALS, NO_INSECURE_FALLBACK};
use crate::error::{Error, NoPlaintext};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Storage {
    /// The keychain, or config.yaml without one. A login that the Go CLI shares is moved only if the user decided so.
    Auto,
    Keychain,
    Plain,
}

impl Storage {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Keychain => "keychain",
            Self::Plain => "plain",
        }
    }

    /// The value is never printed: it may be a token in the wrong variable.
    fn parse(text: &str, setting: StorageSource) -> Result<Self, Error> {
        let known = [Self::Auto, Self::Keychain, Self::Plain].into_iter().find(|it| it.as_str() == text.trim());
        known.ok_or(Error::StorageSetting { setting: setting.name() })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StorageSource {
    Flag,
    Variable,
    Config,
    Default,
}

impl StorageSource {
    fn name(self) -> &'static str {
        match self {
            Self::Flag => "the command line",
            Self::Variable => CREDENTIALS,
            Self::Config => "`credentials` in config.yaml",
            Self::Default => "the default",
        }
    }
}

/// The setting in effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct StorageChoice {
    #[serde(rename = "choice")]
    pub storage: Storage,
    pub source: StorageSource,
    /// Whether the user has decided about a login that the Go CLI shares: `credentials:` is present in config.yaml.
    #[serde(skip)]
    is_answered: bool,
    #[serde(skip)]
    is_forbidden: bool,
}

impl fmt::Display for StorageChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = if self.source == StorageSource::Default { "" } else { "from " };
        write!(f, "{} ({from}{})", self.storage.as_str(), self.source.name())
    }
}

/// The store of the next login, before any question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoragePlan {
    /// The keychain, or the vault of Astro CLI 2.
    Encrypted(Location),
    /// config.yaml, by the setting.
    Plain,
    /// config.yaml, because there is no keychain. Asks first if a keychain held the last login.
    Fallback { reason: &'static str, asks: bool },
    /// config.yaml, because the Go CLI shares the login, and there is no terminal to ask on.
    Shared,
    /// The user's choice, because the Go CLI shares the login. A failure of the keychain counts if that is chosen.
    AskToShare { encrypted: Result<Location, StoreError> },
}

impl Session<'_> {
    /// Returns the setting in effect: the command line's, else the variable's, else that of config.yaml.
    pub fn storage_choice(&self, flag: Option<Storage>) -> Result<StorageChoice, Error> {
        let document = self.config.read()?;
        let environment = &self.system.environment;
        let in_file = document.credentials_setting();
        let (storage, source) = match (flag, environment.get(CREDENTIALS), in_file) {
            (Some(storage), _, _) => (storage, StorageSource::Flag),
            (None, Some(text), _) => (Storage::parse(text, StorageSource::Variable)?, StorageSource::Variable),
            (None, None, Some(text)) => (Storage::parse(text, StorageSource::Config)?, StorageSource::Config),
            (None, None, None) => (Storage::Auto, StorageSource::Default),
        };
        let in_environment = environment.get(NO_INSECURE_FALLBACK).is_some_and(forbids);
        let is_forbidden = in_environment || document.no_insecure_fallback();
        if storage == Storage::Plain && source != StorageSource::Flag && is_forbidden {
            let prohibition =
                if in_environment { NO_INSECURE_FALLBACK } else { "`no_insecure_fallback` in config.yaml" };
            return Err(Error::StorageContradiction { setting: source.name(), prohibition });
        }
        let is_answered = in_file.is_some() || source == StorageSource::Flag;
        Ok(StorageChoice { storage, source, is_answered, is_forbidden })
    }

    /// Plans the store of the next login. `vault` and `keychain` are the outcomes of looking at them; neither matters to a
    /// setting that excludes it, and the keychain not if the vault is usable.
    pub fn plan_storage(
        &self,
        choice: &StorageChoice,
        context: &Context,
        vault: &Result<Option<String>, VaultError>,
        keychain: &Result<Option<Credentials>, StoreError>,
    ) -> Result<StoragePlan, Error> {
        if choice.storage == Storage::Plain {
            return Ok(StoragePlan::Plain);
        }
        let can_ask = self.system.ui.can_ask();
        let may_use_vault = choice.storage == Storage::Auto;
        let encrypted = match (vault, keychain) {
            (Ok(Some(_)), _) if may_use_vault => Ok(Location::Vault),
            (Err(VaultError::Keychain(failure)), _)
                if may_use_vault && !matches!(failure, StoreError::Absent { .. }) =>
            {
                Err(failure.clone())
            }
            (_, Err(StoreError::Absent { reason })) => {
                let asks = was_in_keychain(context);
                let why = match choice.storage {
                    Storage::Keychain => NoPlaintext::KeychainOnly { setting: choice.source.name() },
                    _ if choice.is_forbidden => NoPlaintext::Forbidden,
                    _ if asks && !can_ask => NoPlaintext::LastInKeychain,
                    _ => return Ok(StoragePlan::Fallback { reason, asks }),
                };
                return Err(Error::NoKeychain { reason, why });
            }
            // A damaged entry will be replaced.
            (_, Ok(_) | Err(StoreError::Damaged)) => Ok(Location::Keychain),
            (_, Err(failure)) => Err(failure.clone()),
        };
        let is_open = may_use_vault && !choice.is_answered && !choice.is_forbidden;
        if is_open && self.is_shared(context, keychain) {
            return Ok(if can_ask { StoragePlan::AskToShare { encrypted } } else { StoragePlan::Shared });
        }
        encrypted.map(StoragePlan::Encrypted).map_err(|failure| self.keychain_error(failure))
    }

    /// Returns `true` if the login in use is one that the Go CLI reads. It writes an API token there by itself.
    fn is_shared(&self, context: &Context, keychain: &Result<Option<Credentials>, StoreError>) -> bool {
        let in_keychain = keychain.as_ref().ok().cloned().flatten();
        login_in_use(context, None, in_keychain).is_some_and(|(location, it)| {
            let was_replaced = || self.config.was_replaced(&self.domain, &it.access.digest());
            location == Location::Config && it.kind != Kind::ApiToken && !was_replaced()
        })
    }
}

/// Returns `true` if a keychain held the last login of `context`: it has the pointer to the vault, or names an account
/// without any token. A logout removes the email too.
fn was_in_keychain(context: &Context) -> bool {
    let has_tokens = context.token.is_some() || context.refresh_token.is_some();
    context.in_vault || (context.user_email.is_some() && !has_tokens)
}
