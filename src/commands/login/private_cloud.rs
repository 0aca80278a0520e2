//! Logs in to an Astro Private Cloud: with a token that its page shows after a login in the browser, with user name and
//! password, or with an existing token. Its API is asked without a token first, so nothing is typed for another server.

use url::Url;

use super::select::Accessible;
use super::wait::LinkDelivery;
use super::{LoginFlow, NewLogin, TokenArgument};
use crate::domain::is_known_host;
use crate::error::{Error, Warning};
use crate::houston::{HoustonError, LoginSettings};
use crate::jwt::{TokenKind, Unverified};
use crate::session::private_cloud_credentials;
use crate::text::parse_url;
use crate::token::{AccessToken, Password};

impl LoginFlow<'_> {
    pub(super) async fn authenticate_with_platform(&self) -> Result<NewLogin, Error> {
        let (login, ui) = (self.login, self.ui());
        if !ui.can_ask() && login.token_login.is_none() && !login.is_password_on_stdin() {
            return Err(self.session.houston_error(HoustonError::NoTerminal));
        }
        for ignored in self.session.config.read()?.ignored_settings() {
            Warning::SettingIgnored(ignored).show(ui);
        }
        let spinner = ui.spinner(&format!("Preparing to log in to {}…", self.session.domain));
        let settings = self.session.call_platform(async |houston| houston.login_settings().await);
        let (settings, plan) = tokio::try_join!(settings, self.prepare_to_save())?;
        drop(spinner);
        let destination = self.destination(plan).await?;
        let token = match &login.token_login {
            Some(token) => self.read_token(token).await?,
            None => self.token_of_user(settings).await?,
        };
        let credentials = private_cloud_credentials(token);
        let now = self.session.now();
        let failure = match credentials.expires_at {
            _ if is_of_astro(&credentials.access) => HoustonError::AstroToken,
            Some(at) if at <= now => HoustonError::Expired { at, now },
            Some(_) | None => return Ok(NewLogin { credentials, destination }),
        };
        Err(self.session.houston_error(failure))
    }

    /// Gets a token by the way that the user chooses and the platform has.
    async fn token_of_user(&self, settings: LoginSettings) -> Result<AccessToken, Error> {
        let LoginSettings { has_passwords, has_providers } = settings;
        let refused = |failure| self.session.houston_error(failure);
        let name = match &self.login.username {
            Some(_) if !has_passwords => return Err(refused(HoustonError::NoPasswords)),
            Some(name) => Some(name.clone()),
            None if has_passwords && !self.login.oauth => {
                let help = has_providers.then_some("press Enter to log in in the browser");
                self.ui().ask_text("User name:", None, help, |_| Ok(())).await?
            }
            None => None,
        };
        match name {
            Some(name) => {
                let password = self.read_password().await?;
                if password.expose().is_empty() {
                    return Err(refused(HoustonError::EmptyPassword));
                }
                let _spinner = self.ui().spinner("Logging in…");
                self.session.call_platform(async |houston| houston.create_token(&name, &password).await).await
            }
            None if has_providers => self.token_of_page().await,
            None => Err(refused(HoustonError::NoProviders)),
        }
    }

    async fn read_password(&self) -> Result<Password, Error> {
        let ui = self.ui();
        // `--output json` asks nothing, and still hides what `-` reads.
        if ui.is_terminal() {
            return Ok(Password::new(ui.ask_password("Type your password (input hidden):").await?.expose()));
        }
        let input = ui.read_input().await?;
        let line = input.expose();
        Ok(Password::new(line.strip_suffix('\n').map_or(line, |line| line.strip_suffix('\r').unwrap_or(line))))
    }

    /// Opens the page of the platform that shows a token after the login, and asks for the token.
    async fn token_of_page(&self) -> Result<AccessToken, Error> {
        let page = format!("https://{}", self.session.domain.token_page());
        let delivery = self.link_delivery()?;
        self.show_link(delivery, &page)?;
        let open = async {
            if delivery == LinkDelivery::OpenBrowser
                && let Ok(page) = Url::parse(&page)
                && let Err(error) = self.open_browser(&page).await
            {
                Warning::BrowserNotOpened { cause: error.to_string() }.show(self.ui());
            }
        };
        tokio::join!(self.read_token(&TokenArgument::Stdin), open).0
    }

    /// Lists the workspaces with the new token, which must pass this check before it is stored.
    pub(super) async fn accessible_on_platform(&self, new: &NewLogin) -> Result<Accessible, Error> {
        let token = &new.credentials.access;
        let platform = self.session.call_platform(async |houston| houston.platform(token).await).await?;
        if platform.has_registry() {
            self.ui().say(&format!(
                "note: not logged in to registry.{}; `docker login` does that, as user `user` with this token",
                self.session.domain
            ));
        }
        Ok(Accessible::Platform(platform.workspaces))
    }
}

/// Returns `true` for a token that Astro issued, which no other server must see.
fn is_of_astro(token: &AccessToken) -> bool {
    let Ok(claims) = Unverified::parse(token.expose()) else { return false };
    let issuer = claims.issuer().and_then(|issuer| parse_url(issuer).ok());
    claims.kind() == TokenKind::Api || issuer.is_some_and(|issuer| issuer.host_str().is_some_and(is_known_host))
}
