//! The store of the next login: the setting that says so, and the plan that follows from it on this machine.
//!
//! `astro login` carries the plan out; `auth status` and `auth doctor` show it.

use std::fmt;

use serde::Serialize;

use super::{Location, Session, credentials_from_context, login_in_use};
use crate::config::{Context, forbids};
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

/// The store of the next login, as far as no question decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoragePlan {
    Keychain,
    /// config.yaml, by the setting.
    Plain,
    /// config.yaml, because there is no keychain. Asks first if a keychain held the last login.
    Fallback {
        reason: &'static str,
        asks: bool,
    },
    /// config.yaml, because the Go CLI shares the login, and there is no terminal to ask on.
    Shared,
    /// The user's choice, because the Go CLI shares the login. The keychain's failure counts if it is chosen.
    AskToShare {
        keychain: Result<(), StoreError>,
    },
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

    /// Plans the store of the next login. `keychain` is the outcome of reading it.
    pub fn plan_storage(
        &self,
        choice: &StorageChoice,
        context: &Context,
        keychain: &Result<Option<Credentials>, StoreError>,
    ) -> Result<StoragePlan, Error> {
        let can_ask = self.system.ui.can_ask();
        let keychain_only = choice.storage == Storage::Keychain;
        let usable = match keychain {
            _ if choice.storage == Storage::Plain => return Ok(StoragePlan::Plain),
            Err(StoreError::Absent { reason }) => {
                let asks = was_in_keychain(context);
                let why = match choice {
                    _ if keychain_only => NoPlaintext::KeychainOnly { setting: choice.source.name() },
                    _ if choice.is_forbidden => NoPlaintext::Forbidden,
                    _ if asks && !can_ask => NoPlaintext::LastInKeychain,
                    _ => return Ok(StoragePlan::Fallback { reason, asks }),
                };
                return Err(Error::NoKeychain { reason, why });
            }
            // A damaged entry will be replaced.
            Ok(_) | Err(StoreError::Damaged) => Ok(()),
            Err(failure) => Err(failure.clone()),
        };
        let is_decided = keychain_only || choice.is_answered || choice.is_forbidden;
        if !is_decided && self.is_shared(context, keychain) {
            return Ok(if can_ask { StoragePlan::AskToShare { keychain: usable } } else { StoragePlan::Shared });
        }
        usable.map(|()| StoragePlan::Keychain).map_err(|failure| self.keychain_error(failure))
    }

    /// Returns `true` if the login in use is one that the Go CLI reads. It writes an API token there by itself.
    fn is_shared(&self, context: &Context, keychain: &Result<Option<Credentials>, StoreError>) -> bool {
        let in_config = credentials_from_context(context)
            .filter(|it| !self.config.was_replaced(&self.domain, &it.access.digest()) && it.kind == Kind::User);
        let in_keychain = keychain.as_ref().ok().cloned().flatten();
        login_in_use(in_config, in_keychain).is_some_and(|(location, _)| location == Location::Config)
    }
}

/// Returns `true` if a keychain held the last login of `context`: it names an account, but has no token of any kind. A
/// logout removes the email too.
fn was_in_keychain(context: &Context) -> bool {
    context.user_email.is_some() && context.token.is_none() && context.refresh_token.is_none()
}
