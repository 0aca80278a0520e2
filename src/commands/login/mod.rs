//! `astro login`, in the order in which it happens.
//!
//! Nothing is stored before everything is verified. Then there are two writes, each whole: the credentials and the account,
//! then the organization and workspace. So a canceled menu does not cost the login.

mod access_token;
mod account;
mod argument;
mod authorization_code;
mod events;
mod paste;
mod private_cloud;
mod save;
mod select;
mod share;
mod two_steps;
mod wait;

use std::time::Duration;

use clap::builder::TypedValueParser as _;
use clap::{Args, ValueHint};

use crate::api::{ListError, User};
use crate::commands::{DomainArgument, go_flags};
use crate::config::Context;
use crate::credentials::{Credentials, Kind};
use crate::domain::Product;
use crate::email::EmailAddress;
use crate::error::{Error, Warning};
use crate::http::Http;
use crate::jwt::Claims;
use crate::oauth::AuthConfig;
use crate::session::{Access, Session, Storage, StorageChoice};
use crate::system::System;
use crate::token::AccessToken;
use crate::ui::Ui;

pub use argument::{StandardInput, TokenArgument};
pub use events::Output;
pub(super) use wait::callback_port;

use events::Event;
use save::{Destination, PreviousLogin};
use select::Accessible;
use two_steps::PendingLogin;

const DOMAIN_HELP: &str =
    "Domain to log in to: astronomer.io, a preview, localhost[:PORT], or the base domain of Astro Private Cloud";

#[derive(Debug, Clone, Args)]
#[command(mut_arg("domain", |domain| domain.index(1).help(DOMAIN_HELP)))]
#[command(args = go_flags::of_login())]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub struct Login {
    /// Email to log in with; any other account is refused
    #[arg(long, value_hint = ValueHint::Other)]
    pub email: Option<EmailAddress>,
    /// Print a link to the login page instead of opening a browser
    #[arg(short, long, conflicts_with = "username")]
    pub login_link: bool,
    /// Without a terminal, read the URL of the browser's last page from standard input
    #[arg(long, requires = "login_link", conflicts_with = "token_login")]
    pub paste_stdin: bool,
    /// Print a link and end; `--complete` finishes the login within 10 minutes
    #[arg(long, conflicts_with_all = ["login_link", "token_login", "timeout", "username", "oauth"])]
    pub begin: bool,
    /// Finish a login of `--begin` with the URL of the browser's last page; `-` reads it from standard input
    #[arg(long, value_name = "URL", value_hint = ValueHint::Other, conflicts_with_all = OF_BEGIN.split(' '))]
    pub complete: Option<TokenArgument>,
    /// Log in with a token from cloud.astronomer.io/token, or from app.DOMAIN/token of Astro Private Cloud; `-` reads it from
    /// standard input
    #[arg(short, long, value_name = "TOKEN", value_hint = ValueHint::Other)]
    pub token_login: Option<TokenArgument>,
    /// Log in to Astro Private Cloud as this user, with a password; `-` behind it reads that from standard input
    #[arg(long, value_name = "NAME", conflicts_with = "token_login", value_hint = ValueHint::Other)]
    pub username: Option<String>,
    /// Log in to Astro Private Cloud in the browser, without asking for a user name
    #[arg(short, long, conflicts_with = "username")]
    pub oauth: bool,
    /// Organization to use, by name or ID
    #[arg(long, value_name = "NAME|ID", value_hint = ValueHint::Other)]
    pub organization: Option<String>,
    /// Workspace to use, by name or ID
    #[arg(long, value_name = "NAME|ID", value_hint = ValueHint::Other)]
    pub workspace: Option<String>,
    /// Time to wait for the browser [default: 300]
    #[arg(long, value_name = "SECONDS", value_hint = ValueHint::Other)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=86_400).map(Duration::from_secs))]
    pub timeout: Option<Duration>,
    /// Do nothing if a token is available already, for the account of `--email` if that is given
    #[arg(long, conflicts_with_all = ["token_login", "force"])]
    pub if_needed: bool,
    /// Save credentials unencrypted in config.yaml, which also logs in the Go CLI
    #[arg(long)]
    pub insecure_storage: bool,
    /// Save credentials in the keychain for this login, despite the settings
    #[arg(long, conflicts_with = "insecure_storage")]
    pub vault: bool,
    /// `json` prints events for programs, and asks no questions
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub output: Output,
    #[command(flatten)]
    pub domain: DomainArgument,
    /// Read the password of `--username` from standard input
    #[arg(index = 2, value_name = "-", value_parser = argument::parse_dash, requires = "username")]
    pub password: Option<StandardInput>,
}

impl Login {
    /// Returns the domain. A dash in its place stands for the password.
    fn domain(&self) -> Option<&str> {
        self.domain.get().filter(|it| !(*it == "-" && self.username.is_some()))
    }

    fn timeout(&self) -> Duration {
        self.timeout.unwrap_or(Duration::from_secs(300))
    }

    fn is_password_on_stdin(&self) -> bool {
        self.password.is_some() || self.domain().is_none() && self.domain.get().is_some()
    }
}

/// The arguments that the second step takes from the first.
const OF_BEGIN: &str = "begin email login_link paste_stdin token_login organization workspace timeout if_needed \
    insecure_storage vault username oauth password domain domain-flag";

/// One run of `astro login`, after its domain is resolved.
struct LoginFlow<'a> {
    session: Session<'a>,
    login: &'a Login,
    choice: StorageChoice,
    before: Context,
    /// The first step, if this is the second.
    pending: Option<PendingLogin>,
}

#[derive(Clone)]
struct NewLogin {
    credentials: Credentials,
    destination: Destination,
}

struct SavedAccount {
    user: User,
    accessible: Result<Accessible, ListError>,
    previous: PreviousLogin,
}

/// Returns the credentials of a verified user token, without what only a response of the issuer holds.
fn user_credentials(auth: &AuthConfig, access: AccessToken, claims: Claims) -> Credentials {
    Credentials {
        kind: Kind::User,
        access,
        refresh: None,
        issuer: claims.issuer,
        client_id: auth.client_id.clone(),
        audience: auth.audience.clone(),
        sub: claims.subject,
        email: claims.email,
        issued_at: claims.issued_at,
        expires_at: Some(claims.expires_at),
        replaced: None,
    }
}

pub async fn login(system: &System, login: &Login) -> Result<(), Error> {
    if login.complete.is_none() {
        return LoginFlow::new(Session::open(system, login.domain())?, login, None)?.run().await;
    }
    let pending = PendingLogin::load(system).await?;
    let session = Session::for_domain(system, pending.domain.parse()?);
    LoginFlow::new(session, &pending.login(login), Some(pending))?.run().await
}

/// Says that the login is saved, if the command is canceled before the summary.
struct SavedNotice<'a>(Option<&'a LoginFlow<'a>>);

impl Drop for SavedNotice<'_> {
    fn drop(&mut self) {
        if let Some(flow) = self.0 {
            flow.ui().success(&format!("Logged in to {}", flow.session.domain));
        }
    }
}

impl<'a> LoginFlow<'a> {
    fn new(session: Session<'a>, login: &'a Login, pending: Option<PendingLogin>) -> Result<Self, Error> {
        let system = session.system;
        session.config.check_owner()?;
        let flag = match (login.insecure_storage, login.vault) {
            (true, _) => Some(Storage::Plain),
            (false, true) => Some(Storage::Auto),
            (false, false) => None,
        };
        let choice = session.storage_choice(flag)?;
        let before = session.context()?;
        session.config.remove_login_cache();
        if let Some(folder) = session.config.writable_by_others() {
            Warning::FolderWritable { folder }.show(&system.ui);
        }
        if session.is_overridden() {
            Warning::ApiTokenOverrides.show(&system.ui);
        }
        tracing::info!(domain = %session.domain, config = %session.config.path().display(), "logging in");
        Ok(Self { session, login, choice, before, pending })
    }

    async fn run(&self) -> Result<(), Error> {
        let domain = &self.session.domain;
        if let Some(flag) = self.login.flag_of_other_product(domain.product()) {
            return Err(self.session.other_product(flag).during_login(domain));
        }
        if self.login.if_needed && self.has_token().await {
            self.ui().success(&format!("Already logged in to {domain}"));
            return self.event(&self.settled(None, None, None));
        }
        if self.login.begin {
            return self.begin().await.map_err(|error| error.during_login(domain));
        }
        let (new, account) = self.login_or_revoke().await.map_err(|error| error.during_login(domain))?;
        let SavedAccount { user, accessible, previous } = account;
        let mut notice = SavedNotice(Some(self));
        let select = async {
            let mut selection = None;
            let outcome = self.select(&mut selection, &new, &user, accessible).await;
            notice.0 = None;
            // Printed even if the selection failed: the login is saved.
            self.print_summary(&new, &user, &previous, selection.as_ref());
            outcome.and_then(|()| {
                self.event(&self.settled(save::email(&new, &user), selection.as_ref(), new.credentials.expires_at))
            })
        };
        let (outcome, ()) = tokio::join!(select, self.revoke_unused(&previous.unused));
        outcome.map_err(|error| error.during_selection(domain))
    }

    /// Returns `true` if a token is available for the account of `--email`, or for any without. A failure to get one is
    /// a reason to log in, which reports it if it stays.
    async fn has_token(&self) -> bool {
        match self.session.access().await {
            Ok(Access::Environment(_)) => self.login.email.is_none(),
            Ok(Access::Login(saved)) => {
                let is_of =
                    |email: &EmailAddress| saved.credentials.email.as_deref().is_some_and(|it| email.is_same_as(it));
                self.login.email.as_ref().is_none_or(is_of)
            }
            Err(failure) => {
                tracing::info!(%failure, "no token is available");
                false
            }
        }
    }

    /// Returns what the second step of a login starts from.
    fn second_step(&self) -> Option<(&PendingLogin, &TokenArgument)> {
        self.pending.as_ref().zip(self.login.complete.as_ref())
    }

    fn ui(&self) -> &Ui {
        &self.session.system.ui
    }

    fn http(&self) -> &Http {
        &self.session.system.http
    }

    /// Logs in up to the first write. Revokes a refresh token that was granted but could not be saved.
    async fn login_or_revoke(&self) -> Result<(NewLogin, SavedAccount), Error> {
        let outcome = async {
            let new = match (self.session.domain.product(), &self.login.token_login, self.second_step()) {
                (Product::PrivateCloud, ..) => self.authenticate_with_platform().await?,
                (Product::Astro, Some(token), _) => self.authenticate_with_token(token).await?,
                (Product::Astro, None, Some((pending, url))) => self.complete(pending, url).await?,
                (Product::Astro, None, None) => self.authenticate_with_browser().await?,
            };
            let account = self.load_profile_and_save(&new).await?;
            Ok((new, account))
        };
        let outcome = outcome.await;
        if outcome.is_err() {
            self.session.system.revoke_pending_grant().await;
        }
        outcome
    }

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
                self.warn_of_other_address(&new.credentials, &user);
                (user, accessible)
            }
            // An API token belongs to no user. Access to an organization proves it.
            Kind::ApiToken => (User::default(), Ok(self.accessible_with_api_token(new).await?)),
            // The list of workspaces proves the token.
            Kind::PrivateCloud => (User::default(), Ok(self.accessible_on_platform(new).await?)),
        };
        self.event(&Event::Confirmed { domain: self.session.domain.as_str(), account: save::email(new, &user) })?;
        let selected = self.before.organization.as_deref();
        let is_out_of_reach = accessible.as_ref().is_ok_and(|it| selected.is_some_and(|id| !it.includes(id)));
        let previous = self.save(new, &user, is_out_of_reach).await?;
        Ok(SavedAccount { user, accessible, previous })
    }

    /// Revokes the refresh tokens that this login replaced. They are removed even if that fails.
    async fn revoke_unused(&self, unused: &[Credentials]) {
        for credentials in unused {
            if let Err(failure) = self.session.revoke(credentials).await {
                Warning::NotRevoked { token: "the replaced refresh token", cause: failure.to_string() }.show(self.ui());
            }
        }
    }
}
