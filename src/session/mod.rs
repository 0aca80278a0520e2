//! The login of one domain on this machine: where it is kept, and a token from it that is valid now.
//!
//! Every authenticated command goes through here. A token in config.yaml wins over the keychain's, because a login into
//! the keychain empties it: one that is there is newer, or was chosen. Nothing here asks a question or opens a browser.

mod keys;
mod refresh;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::api::{ApiClient, ListError};
use crate::aside::aside;
use crate::config::{Config, ConfigError, Context, Document, Lock, is_yes};
use crate::credentials::{self, CredentialStore, Credentials, Kind, StoreError};
use crate::domain::{self, Domain};
use crate::environment::API_TOKEN;
use crate::error::Error;
use crate::jwt::{TokenKind, Unverified};
use crate::oauth::{AuthConfig, Issuer};
use crate::system::System;
use crate::text::clean;
use crate::token::{AccessToken, RefreshToken};

pub use keys::Keys;
pub use refresh::{Access, earlier};

/// A keychain that answers within this time needs no announcement.
const SILENT_BOUND: Duration = Duration::from_millis(500);
/// How long the work of another process on the same login is waited for.
const LOCK_BOUND: Duration = Duration::from_secs(30);
const LOCK_RETRY: Duration = Duration::from_millis(50);

/// The login of one domain.
pub struct Session<'a> {
    /// The outside world.
    pub system: &'a System,
    /// The settings shared with the Go CLI.
    pub config: Config,
    /// The domain.
    pub domain: Domain,
}

/// Where a login is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// The operating system's credential store.
    Keychain,
    /// The plaintext fields of config.yaml, which are the Go CLI's.
    Config,
}

/// What has named the domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedBy {
    /// The command line.
    Typed,
    /// The environment.
    Variable,
    /// config.yaml.
    Context,
    /// Nothing: config.yaml names none.
    Default,
    /// Nothing: config.yaml names one that is not Astro's.
    Instead,
}

impl fmt::Display for NamedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Typed => "from --domain",
            Self::Variable => "from ASTRO_DOMAIN",
            Self::Context => "current context",
            Self::Default => "default",
            Self::Instead => "default; the current context is not an Astro context",
        })
    }
}

/// A login that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Where it is kept.
    pub store: Store,
    /// What is kept.
    pub credentials: Credentials,
}

impl<'a> Session<'a> {
    /// The session of the domain that was typed, else of `ASTRO_DOMAIN`, else of the current context, else of Astro's own.
    pub fn open(system: &'a System, typed: Option<&str>) -> Result<Self, Error> {
        let config = Config::new(&system.home);
        let (domain, _) = resolve(system, &config, typed)?;
        Ok(Self { system, config, domain })
    }

    /// The session of a domain that is known.
    pub fn of(system: &'a System, domain: Domain) -> Self {
        Self { system, config: Config::new(&system.home), domain }
    }

    /// The domain's context; an empty one where config.yaml has none.
    pub fn context(&self) -> Result<Context, Error> {
        Ok(self.config.read()?.context(&self.domain).unwrap_or_default())
    }

    /// The login that is kept for the domain, wherever it is. Where there is none, [`Error::SignedOut`] tells, and with it
    /// that there was no keychain to look into: another session of the same person, at the desktop, may have one.
    pub async fn stored(&self) -> Result<Stored, Error> {
        if let Some(stored) = self.stored_in_config()? {
            return Ok(stored);
        }
        let signed_out = |unseen| Error::SignedOut { domain: self.domain.to_string(), unseen };
        match self.keychain(|store, domain| store.load(domain)).await {
            Ok(Some(credentials)) => Ok(Stored { store: Store::Keychain, credentials }),
            Ok(None) => Err(signed_out(None)),
            Err(absent @ StoreError::Absent { .. }) => Err(signed_out(Some(absent))),
            Err(failure) => Err(self.keychain_failure(failure)),
        }
    }

    fn stored_in_config(&self) -> Result<Option<Stored>, Error> {
        Ok(plaintext(&self.context()?).map(|credentials| Stored { store: Store::Config, credentials }))
    }

    /// The domain's API, called with this very token.
    pub fn api<'b>(&'b self, token: &'b AccessToken) -> ApiClient<'b> {
        ApiClient::new(&self.system.http, self.domain.api_base(), token)
    }

    /// Calls the API with a token that is valid now. A token that it refuses all the same is renewed once; a second
    /// refusal is the end of it.
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
                Err(Error::TokenRefused { domain: self.domain.to_string(), answer: Some(failure) })
            }
            outcome => Ok(outcome?),
        }
    }

    /// Writes `credentials` in the place of those that were found there, in the same store and in its format; with none,
    /// the place is empty afterwards.
    ///
    /// Who changes config.yaml without our lock, as the Go CLI does, keeps what they wrote: then nothing is written, and
    /// the answer is `false`. The keychain's entries are changed by nobody but us.
    async fn replace(&self, found: &Stored, credentials: Option<Credentials>) -> Result<bool, Error> {
        match found.store {
            Store::Keychain => {
                let replaced = self.keychain(move |store, domain| match &credentials {
                    Some(credentials) => store.save(domain, credentials),
                    None => store.delete(domain).map(drop),
                });
                replaced.await.map_err(|failure| self.keychain_failure(failure))?;
                Ok(true)
            }
            Store::Config => {
                let (config, domain, refresh) =
                    (self.config.clone(), self.domain.clone(), found.credentials.refresh.clone());
                let replaced = aside(move || {
                    config.edit(|document| {
                        let is_there = document.context(&domain).is_some_and(|it| it.refresh_token == refresh);
                        if is_there {
                            document.update_context(&domain, |context| match credentials {
                                Some(credentials) => put(context, credentials),
                                None => empty(context),
                            })?;
                        }
                        Ok(is_there)
                    })
                });
                Ok(replaced.await??)
            }
        }
    }

    /// Sees that what comes in the place of `found` can be written there, before anything is spent for it. A keychain that
    /// has just been read is open.
    async fn rehearse(&self, found: &Stored) -> Result<(), Error> {
        if found.store == Store::Config {
            let (config, domain, old) = (self.config.clone(), self.domain.clone(), found.credentials.clone());
            // Somewhat longer than what is there, and no secret.
            let like = |text: &str| "x".repeat(text.len() + 1024);
            let (access, refresh) = (like(old.access.expose()), old.refresh.as_ref().map(|it| like(it.expose())));
            let sample =
                Credentials { access: AccessToken::new(access), refresh: refresh.map(RefreshToken::new), ..old };
            let edit = move |document: &mut Document| document.update_context(&domain, |context| put(context, sample));
            aside(move || config.rehearse(edit)).await??;
        }
        Ok(())
    }

    /// Tells the issuer that the refresh token of these credentials is no longer in use (RFC 7009). Without one there is
    /// nothing to tell.
    pub async fn revoke(&self, credentials: &Credentials) -> Result<(), Error> {
        if let Some(refresh) = &credentials.refresh {
            self.auth_of(credentials)?.revoke(&self.system.http, refresh).await?;
        }
        Ok(())
    }

    /// The issuer and the client that the credentials are bound to. Nobody else ever gets them (RFC 9700 section 4.9): the
    /// issuer has to be one of this domain's, whatever the store says.
    fn auth_of(&self, credentials: &Credentials) -> Result<AuthConfig, Error> {
        Ok(AuthConfig {
            client_id: credentials.client_id.clone(),
            audience: credentials.audience.clone(),
            issuer: Issuer::parse(&credentials.issuer, &self.domain)?,
            auth_flow: None,
        })
    }

    /// The lock under which the login of the domain is read, changed and written. Take it before any edit, never in one.
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

    /// One call of the keychain, bounded, with a word to the person when it takes its time.
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

    /// What a failing keychain means for a command.
    pub fn keychain_failure(&self, source: StoreError) -> Error {
        Error::Store { domain: self.domain.to_string(), source }
    }

    /// Whether plain text may not take the place of a keychain that is not there.
    pub fn fallback_is_forbidden(&self) -> Result<bool, Error> {
        let by_environment = self.system.environment.get("ASTRO_NO_INSECURE_FALLBACK").is_some_and(is_yes);
        Ok(by_environment || self.config.read()?.no_insecure_fallback())
    }

    /// What people call a store.
    pub fn store_name(&self, store: Store) -> String {
        match store {
            Store::Keychain => self.system.keychain.describe(),
            Store::Config => format!("{}, as plain text", self.config.path().display()),
        }
    }

    /// What the clock says.
    pub fn now(&self) -> Timestamp {
        (self.system.now)()
    }
}

/// The credentials that the Go CLI's fields hold. They name no issuer; the token itself does.
pub fn plaintext(context: &Context) -> Option<Credentials> {
    let access = context.token.clone()?;
    let claims = Unverified::parse(access.expose()).ok();
    let claims = claims.as_ref();
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    // An access token is made for the API and, beside it, for the issuer's own userinfo.
    let audience = claims.and_then(|it| it.audience().into_iter().find(|one| !one.ends_with("/userinfo")));
    let credentials = Credentials {
        kind: if claims.is_some_and(|it| it.kind() == TokenKind::Api) { Kind::ApiToken } else { Kind::User },
        refresh: context.refresh_token.clone(),
        issuer: text(claims.and_then(Unverified::issuer)),
        client_id: text(claims.and_then(Unverified::authorized_party)),
        audience: text(audience),
        sub: text(claims.and_then(Unverified::subject)),
        email: context.user_email.clone(),
        issued_at: claims.and_then(Unverified::issued_at),
        expires_at: claims.and_then(Unverified::expires_at).or(context.expires_at),
        access: access.clone(),
    };
    Some(credentials)
}

/// Whether the person and the place in `context` are those of this login. Where they aren't, somebody else's login was
/// being replaced in the keychain, and the program was ended before it came to config.yaml.
pub fn is_context_of(context: &Context, login: &Credentials) -> bool {
    match (&context.user_email, &login.email) {
        (Some(context), Some(login)) => context.trim().to_lowercase() == login.trim().to_lowercase(),
        // An API token is nobody's, so it is not that person's.
        (Some(_), None) => login.kind == Kind::User,
        (None, _) => true,
    }
}

/// Puts credentials into the Go CLI's fields; the other fields stay.
pub fn put(context: &mut Context, credentials: Credentials) {
    context.token = Some(credentials.access);
    context.refresh_token = credentials.refresh;
    context.expires_at = credentials.expires_at;
}

/// Takes credentials out of the Go CLI's fields; the other fields stay.
pub fn empty(context: &mut Context) {
    context.token = None;
    context.refresh_token = None;
    context.expires_at = None;
}

/// The Astro API token of the environment, which wins over any login and is never kept.
pub fn environment_token(system: &System) -> Option<AccessToken> {
    let text = system.environment.get(API_TOKEN)?;
    Some(AccessToken::new(bare(text))).filter(|token| !token.expose().is_empty())
}

/// A token without the white space and the word `Bearer` that come along when it is copied.
pub fn bare(text: &str) -> &str {
    let text = text.trim();
    match text.split_once(char::is_whitespace) {
        Some((word, rest)) if word.eq_ignore_ascii_case("bearer") => rest.trim_start(),
        Some(_) | None if text.eq_ignore_ascii_case("bearer") => "",
        Some(_) | None => text,
    }
}

/// The domain that was typed, else that of `ASTRO_DOMAIN`, else that of the current context, else Astro's own.
pub fn resolve(system: &System, config: &Config, typed: Option<&str>) -> Result<(Domain, NamedBy), Error> {
    let variable = || Some((system.environment.get("ASTRO_DOMAIN")?, NamedBy::Variable));
    if let Some((typed, by)) = typed.map(|typed| (typed, NamedBy::Typed)).or_else(variable) {
        // A token in the place of the domain is a forgotten flag, and must not be printed. A domain has no part longer
        // than 63 octets (RFC 1035 section 2.3.4).
        if typed.split('.').any(|part| part.len() > 63) {
            return Err(Error::TokenAsDomain);
        }
        return Ok((typed.parse()?, by));
    }
    let Some(current) = config.read()?.current_context() else {
        return Ok((domain::DEFAULT.parse()?, NamedBy::Default));
    };
    if let Ok(current) = current.parse() {
        return Ok((current, NamedBy::Context));
    }
    let current = clean(&current, 100);
    let default = domain::DEFAULT;
    system.ui.say(&format!("the current context, {current}, is not one of Astro's; this is about {default}"));
    Ok((default.parse()?, NamedBy::Instead))
}
