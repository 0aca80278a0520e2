//! `astro login`, in the order in which it happens.
//!
//! Nothing is stored before everything is verified. Then there are two writes, each whole: the credentials and the account,
//! then the organization and workspace. So a cancelled menu does not cost the login.

mod access_token;
mod account;
mod authorization_code;
mod save;
mod select;
mod wait;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::api::{ListError, User};
use crate::config::Context;
use crate::credentials::{Credentials, Kind};
use crate::email::EmailAddress;
use crate::error::Error;
use crate::http::Http;
use crate::oauth::AuthConfig;
use crate::session::{self, Session};
use crate::system::System;
use crate::ui::Ui;

pub(super) use wait::callback_port;

use save::{Destination, PreviousLogin};
use select::Accessible;

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
    /// `-`: a hidden prompt on a terminal, else standard input.
    Stdin,
    /// The token itself, which other users of this machine can see.
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

/// One run of `astro login`, after its domain is resolved.
struct LoginFlow<'a> {
    session: Session<'a>,
    login: &'a Login,
    /// The domain's context before this login.
    before: Context,
}

/// Verified credentials, and the store that they go to.
struct NewLogin {
    credentials: Credentials,
    destination: Destination,
}

/// The account of a login that is saved.
struct SavedAccount {
    user: User,
    accessible: Result<Accessible, ListError>,
    previous: PreviousLogin,
}

/// Logs in to Astro, and selects an organization and a workspace.
pub async fn login(system: &System, login: &Login) -> Result<(), Error> {
    let flow = LoginFlow::resolve(system, login)?;
    let domain = &flow.session.domain;
    let (new, account) = flow.login_or_revoke().await.map_err(|error| error.during_login(domain))?;
    let SavedAccount { user, accessible, previous } = account;
    let select = async {
        let selected = flow.select(&new, &user, accessible).await;
        // Printed even if the selection failed: the login is saved.
        flow.print_summary(&new, &user, &previous, selected.selection.as_ref());
        selected.outcome
    };
    let (outcome, ()) = tokio::join!(select, flow.revoke_unused(&previous.unused));
    outcome.map_err(|error| error.during_selection(domain))
}

impl<'a> LoginFlow<'a> {
    /// Resolves the domain, and reads its context.
    fn resolve(system: &'a System, login: &'a Login) -> Result<Self, Error> {
        let session = Session::open(system, login.domain.as_deref())?;
        let before = session.context()?;
        if let Some(warning) = session.config.writable_by_others() {
            system.ui.warn(&warning);
        }
        if session::environment_token(system).is_some() {
            system.ui.warn("ASTRO_API_TOKEN is set and overrides this login");
        }
        tracing::info!(domain = %session.domain, config = %session.config.path().display(), "logging in");
        Ok(Self { session, login, before })
    }

    fn ui(&self) -> &Ui {
        &self.session.system.ui
    }

    fn http(&self) -> &Http {
        &self.session.system.http
    }

    /// Logs in up to the first write. Revokes a refresh token that was granted but could not be saved.
    async fn login_or_revoke(&self) -> Result<(NewLogin, SavedAccount), Error> {
        let outcome = self.authenticate_and_save().await;
        if outcome.is_err() {
            self.session.system.revoke_pending_grant().await;
        }
        outcome
    }

    async fn authenticate_and_save(&self) -> Result<(NewLogin, SavedAccount), Error> {
        let new = match &self.login.mode {
            Mode::Token(token) => self.authenticate_with_token(token).await?,
            Mode::Browser | Mode::Link => self.authenticate_with_browser().await?,
        };
        let account = self.load_profile_and_save(&new).await?;
        Ok((new, account))
    }

    /// Fetches the login configuration of the domain.
    async fn auth_config(&self) -> Result<AuthConfig, Error> {
        Ok(AuthConfig::fetch(self.http(), &self.session.domain).await?)
    }

    /// Asks the API for the user and, at the same time, for the organizations and workspaces; then saves the login.
    async fn load_profile_and_save(&self, new: &NewLogin) -> Result<SavedAccount, Error> {
        let api = self.session.api(&new.credentials.access);
        let (user, accessible) = match new.credentials.kind {
            Kind::User => {
                let (user, accessible) = tokio::join!(api.user(), self.accessible(&api));
                let user = user?;
                self.check_token_account(&user)?;
                (user, accessible)
            }
            // An API token belongs to no user. Access to an organization proves it.
            Kind::ApiToken => (User::default(), Ok(self.accessible_with_api_token(new).await?)),
        };
        let previous = self.save(new, &user).await?;
        Ok(SavedAccount { user, accessible, previous })
    }

    /// Revokes the refresh tokens that this login replaced. A failure is only logged: they expire by themselves.
    async fn revoke_unused(&self, unused: &[Credentials]) {
        for credentials in unused {
            if let Err(failure) = self.session.revoke(credentials).await {
                tracing::info!(%failure, "could not revoke an unused refresh token");
            }
        }
    }
}
