//! `astro login`, told in the order in which it happens.
//!
//! Nothing is stored before everything has been verified. Then there are two writes, each whole: the credentials and who
//! they belong to, and where in Astro that person works. A choice that is broken off does not cost the login.

mod browser;
mod remember;
mod settle;
mod token;
mod wait;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::TypedValueParser as _;
use clap::{Args, ValueHint};
use zeroize::Zeroizing;

use crate::api::{ListError, User};
use crate::config::Context;
use crate::credentials::{Credentials, Kind};
use crate::email::EmailAddress;
use crate::error::Error;
use crate::session::{self, Session};
use crate::system::System;

pub(super) use wait::callback_port;

use remember::{Replaced, Storage};
use settle::Reach;

/// A request of `astro login`.
#[derive(Debug, Args)]
pub struct Login {
    /// Domain to log in to: astronomer.io, a preview, or localhost[:PORT]
    #[arg(value_hint = ValueHint::Other)]
    pub domain: Option<String>,
    /// Email to log in with; any other account is refused
    #[arg(long, value_hint = ValueHint::Other)]
    pub email: Option<EmailAddress>,
    /// Print a link to the login page instead of opening a browser
    #[arg(short, long)]
    pub login_link: bool,
    /// Log in with a token from cloud.astronomer.io/token; `-` reads it from standard input
    #[arg(short, long, value_name = "TOKEN", value_hint = ValueHint::Other, conflicts_with = "login_link")]
    pub token_login: Option<TokenArgument>,
    /// Organization to use, by name or ID
    #[arg(long, value_name = "NAME|ID", value_hint = ValueHint::Other)]
    pub organization: Option<String>,
    /// Workspace to use, by name or ID
    #[arg(long, value_name = "NAME|ID", value_hint = ValueHint::Other)]
    pub workspace: Option<String>,
    /// How long to wait for the browser
    #[arg(long, value_name = "SECONDS", default_value = "300", value_hint = ValueHint::Other)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=86_400).map(Duration::from_secs))]
    pub timeout: Duration,
    /// Save credentials unencrypted in config.yaml, which also logs in the Go CLI
    #[arg(long)]
    pub insecure_storage: bool,
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
    session: Session<'a>,
    login: &'a Login,
    /// The domain's context as it was when the login began.
    before: Context,
}

/// What a successful sign-in leaves to be kept.
struct SignedIn {
    credentials: Credentials,
    storage: Storage,
}

/// What is known of the person once the credentials are kept.
struct Remembered {
    user: User,
    reach: Result<Reach, ListError>,
    replaced: Replaced,
}

/// Signs a person in to Astro, and settles where they work.
pub async fn login(system: &System, login: &Login) -> Result<(), Error> {
    let attempt = Attempt::begin(system, login)?;
    let domain = &attempt.session.domain;
    let (signed_in, remembered) = attempt.sign_in().await.map_err(|error| error.during_sign_in(domain))?;
    let revoked = attempt.revoke(&remembered.replaced.unused);
    let settled = attempt.settle(&signed_in, &remembered.user, &remembered.replaced, remembered.reach);
    let (settled, ()) = tokio::join!(settled, revoked);
    settled.map_err(|error| error.during_settling(domain))
}

impl<'a> Attempt<'a> {
    fn begin(system: &'a System, login: &'a Login) -> Result<Self, Error> {
        let session = Session::open(system, login.domain.as_deref())?;
        let before = session.context()?;
        if let Some(warning) = session.config.writable_by_others() {
            system.ui.warn(&warning);
        }
        if session::environment_token(system).is_some() {
            system.ui.warn("ASTRO_API_TOKEN is set, and wins over any login; unset it to use this one");
        }
        tracing::info!(domain = %session.domain, config = %session.config.path().display(), "signing in");
        Ok(Self { session, login, before })
    }

    /// Up to the first write. What an issuer grants and that write does not keep goes back.
    async fn sign_in(&self) -> Result<(SignedIn, Remembered), Error> {
        let signed_in = self.sign_in_and_remember().await;
        if signed_in.is_err() {
            self.session.system.give_back().await;
        }
        signed_in
    }

    /// Signs in, asks the API who that is, and keeps the credentials.
    async fn sign_in_and_remember(&self) -> Result<(SignedIn, Remembered), Error> {
        let signed_in = match &self.login.token_login {
            Some(token) => self.sign_in_with_token(token).await?,
            None => self.sign_in_with_browser().await?,
        };
        let remembered = self.identify_and_remember(&signed_in).await?;
        Ok((signed_in, remembered))
    }

    /// Tells the issuer that these credentials' refresh tokens were replaced, and will never be used again. They lose their
    /// worth in time even if it fails.
    async fn revoke(&self, unused: &[Credentials]) {
        for credentials in unused {
            if let Err(failure) = self.session.revoke(credentials).await {
                tracing::info!(%failure, "an unused refresh token could not be revoked");
            }
        }
    }

    /// Asks the API who this is and, at the same time, where they may work; then keeps the credentials.
    async fn identify_and_remember(&self, signed_in: &SignedIn) -> Result<Remembered, Error> {
        let api = self.session.api(&signed_in.credentials.access);
        let (user, reach) = match signed_in.credentials.kind {
            Kind::User => {
                let (user, reach) = tokio::join!(api.user(), self.reach(&api));
                let user = user?;
                self.check_owner(&user)?;
                (user, reach)
            }
            // An API token is nobody's. That it reaches something is what proves it.
            Kind::ApiToken => (User::default(), Ok(self.api_token_reach(signed_in).await?)),
        };
        let replaced = self.remember(signed_in, &user).await?;
        Ok(Remembered { user, reach, replaced })
    }

    /// Holds the owner of a token to `--email`. A browser's account was compared when the issuer named it.
    fn check_owner(&self, user: &User) -> Result<(), Error> {
        match (&self.login.token_login, &self.login.email) {
            (Some(_), Some(asked)) if !asked.is_same_as(&user.email) => {
                let found = Some(user.email.clone()).filter(|email| !email.is_empty());
                Err(Error::OtherOwner { asked: asked.to_string(), found })
            }
            _ => Ok(()),
        }
    }
}
