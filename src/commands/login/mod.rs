//! `astro login`, told in the order in which it happens.
//!
//! Nothing is stored before everything has been verified. Then there are two writes, each whole: the credentials and who
//! they belong to, and where in Astro that person works. A choice that is broken off does not cost the login.

mod browser;
mod keys;
pub mod place;
mod remember;
mod settle;
mod token;
mod wait;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::api::{ApiClient, ListError, User};
use crate::config::{Config, Context};
use crate::credentials::Credentials;
use crate::domain::{self, Domain};
use crate::email::EmailAddress;
use crate::error::Error;
use crate::oauth::AuthConfig;
use crate::system::System;
use crate::text::clean;
use crate::token::RefreshToken;

use remember::Storage;
use settle::Reach;

/// What `astro login` was asked to do.
#[derive(Debug)]
pub struct Login {
    /// The domain as it was typed.
    pub domain: Option<String>,
    /// The only account that will do.
    pub email: Option<EmailAddress>,
    /// How to sign in.
    pub mode: Mode,
    /// The organization to use, by identifier or name.
    pub organization: Option<String>,
    /// The workspace to use, by identifier or name.
    pub workspace: Option<String>,
    /// How long to wait for the browser.
    pub timeout: Duration,
    /// Keep the credentials in config.yaml.
    pub insecure_storage: bool,
}

/// How to sign in.
#[derive(Debug)]
pub enum Mode {
    /// Open a browser here, where there is one.
    Browser,
    /// Print a link for a browser elsewhere.
    Link,
    /// Take a token that was made elsewhere.
    Token(TokenArgument),
}

/// The value of `--token-login`.
#[derive(Clone)]
pub enum TokenArgument {
    /// `-`: standard input, or a hidden prompt where that is a terminal.
    Stdin,
    /// The token itself, for all the machine to see.
    Given(Zeroizing<String>),
}

impl FromStr for TokenArgument {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(if text == "-" { Self::Stdin } else { Self::Given(Zeroizing::new(text.to_owned())) })
    }
}

impl fmt::Debug for TokenArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stdin => "Stdin",
            Self::Given(_) => "Given(redacted)",
        })
    }
}

/// One run of `astro login`, once it is known where it goes.
struct Attempt<'a> {
    system: &'a System,
    login: &'a Login,
    config: Config,
    domain: Domain,
    /// The domain's context as it was when the login began.
    before: Context,
}

/// What a successful sign-in leaves to be kept.
struct SignedIn {
    auth: AuthConfig,
    credentials: Credentials,
    storage: Storage,
}

/// What is known of the person once the credentials are kept.
struct Remembered {
    user: User,
    reach: Result<Reach, ListError>,
    /// The refresh tokens of the login that this one replaces.
    superseded: Vec<RefreshToken>,
}

/// Signs a person in to Astro, and settles where they work.
pub async fn login(system: &System, login: &Login) -> Result<(), Error> {
    let attempt = Attempt::begin(system, login)?;
    let domain = &attempt.domain;
    let (signed_in, remembered) = attempt.sign_in().await.map_err(|error| error.during_sign_in(domain))?;
    let revoked = attempt.revoke(&signed_in.auth, &remembered.superseded);
    let (settled, ()) = tokio::join!(attempt.settle(&signed_in, &remembered.user, remembered.reach), revoked);
    settled.map_err(|error| error.during_settling(domain))
}

impl<'a> Attempt<'a> {
    fn begin(system: &'a System, login: &'a Login) -> Result<Self, Error> {
        let config = Config::new(&system.home);
        let document = config.read()?;
        let domain = resolve_domain(system, login, document.current_context().as_deref())?;
        let before = document.context(&domain).unwrap_or_default();
        if config.writable_by_others() {
            let folder = config.path().parent().unwrap_or(config.path()).display();
            system.ui.warn(&format!("others may write in {folder}; `chmod go-w {folder}` ends that"));
        }
        if system.environment.get("ASTRO_API_TOKEN").is_some() {
            system.ui.warn("ASTRO_API_TOKEN is set, and wins over any login; unset it to use this one");
        }
        tracing::info!(%domain, config = %config.path().display(), "signing in");
        Ok(Self { system, login, config, domain, before })
    }

    /// Up to the first write: signs in, asks the API who that is, and keeps the credentials.
    async fn sign_in(&self) -> Result<(SignedIn, Remembered), Error> {
        let signed_in = match &self.login.mode {
            Mode::Token(token) => self.sign_in_with_token(token).await?,
            Mode::Browser | Mode::Link => self.sign_in_with_browser().await?,
        };
        match self.identify_and_remember(&signed_in).await {
            Ok(remembered) => Ok((signed_in, remembered)),
            Err(failure) => {
                // Nobody will ever use it, and an account may hold only so many of them.
                self.revoke(&signed_in.auth, signed_in.credentials.refresh.as_slice()).await;
                Err(failure)
            }
        }
    }

    /// Asks the API who this is and, at the same time, where they may work; then keeps the credentials.
    async fn identify_and_remember(&self, signed_in: &SignedIn) -> Result<Remembered, Error> {
        let api = ApiClient::new(&self.system.http, self.domain.api_base(), &signed_in.credentials.access);
        let (user, reach) = tokio::join!(api.user(), self.reach(&api));
        let user = user?;
        self.check_owner(&user)?;
        let superseded = self.remember(signed_in, &user).await?;
        Ok(Remembered { user, reach, superseded })
    }

    /// Holds the owner of a token to `--email`. A browser's account was compared when the issuer named it.
    fn check_owner(&self, user: &User) -> Result<(), Error> {
        match (&self.login.mode, &self.login.email) {
            (Mode::Token(_), Some(asked)) if !asked.is_same_as(&user.email) => {
                let found = Some(user.email.clone()).filter(|email| !email.is_empty());
                Err(Error::OtherOwner { asked: asked.to_string(), found })
            }
            _ => Ok(()),
        }
    }

    fn now(&self) -> Timestamp {
        (self.system.now)()
    }
}

/// The domain: as typed, else as `ASTRO_DOMAIN` says, else the current context's, else Astro's own.
fn resolve_domain(system: &System, login: &Login, current: Option<&str>) -> Result<Domain, Error> {
    let environment = system.environment.get("ASTRO_DOMAIN");
    if let Some(typed) = login.domain.as_deref().or(environment) {
        // A token in the place of the domain is a forgotten flag, and must not be printed. A domain has no part longer
        // than 63 octets (RFC 1035 section 2.3.4).
        if typed.split('.').any(|part| part.len() > 63) {
            return Err(Error::TokenAsDomain);
        }
        return Ok(typed.parse()?);
    }
    let fallback = || domain::DEFAULT.parse().map_err(Error::from);
    let Some(current) = current else { return fallback() };
    current.parse().or_else(|_| {
        let current = clean(current, 100);
        let default = domain::DEFAULT;
        system.ui.say(&format!("the current context, {current}, is not an Astro domain; signing in to {default}"));
        fallback()
    })
}
