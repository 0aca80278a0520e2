//! The second write: the organization and the workspace. Then the summary.

use jiff::Timestamp;

use super::events::Event;
use super::save::PreviousLogin;
use super::{LoginFlow, NewLogin};
use crate::api::{ApiClient, ListError, Organization, User, Workspace};
use crate::commands::selection;
use crate::credentials::Kind;
use crate::error::Error;
use crate::next_astro;
use crate::session::Location;
use crate::text::clean;
use crate::time_format::format_timestamp;

pub(super) enum Accessible {
    Current(Organization, Vec<Workspace>),
    OfApiToken(Organization, Vec<Workspace>),
    All(Vec<Organization>),
    /// The workspaces of an Astro Private Cloud, which has no organizations.
    Platform(Vec<Workspace>),
}

impl Accessible {
    /// Returns `true` if the API confirmed access to the organization with this ID.
    pub(super) fn includes(&self, id: &str) -> bool {
        match self {
            Self::Current(organization, _) | Self::OfApiToken(organization, _) => organization.id == id,
            Self::Platform(_) => false,
            Self::All(organizations) => organizations.iter().any(|organization| organization.id == id),
        }
    }
}

pub(super) struct Selection {
    organization: Option<Organization>,
    workspace: Option<Workspace>,
}

impl LoginFlow<'_> {
    /// Asks the API for the organization in use before, else for all organizations.
    pub(super) async fn accessible(&self, api: &ApiClient<'_>) -> Result<Accessible, ListError> {
        if let Some(current) = self.before.organization.as_deref().filter(|_| self.login.organization.is_none()) {
            let (organization, workspaces) = tokio::join!(api.organization(current), api.workspaces(current));
            if let Some(organization) = organization? {
                return Ok(Accessible::Current(organization, workspaces?));
            }
        }
        Ok(Accessible::All(api.organizations().await?))
    }

    /// Selects an organization and a workspace, and writes them. `selection` is set once it is written, also if the choice of
    /// a workspace fails.
    pub(super) async fn select(
        &self,
        selection: &mut Option<Selection>,
        new: &NewLogin,
        user: &User,
        accessible: Result<Accessible, ListError>,
    ) -> Result<(), Error> {
        let current = self.session.context()?;
        let current_organization = current.organization.as_deref();
        let (organization, workspaces) = self.select_organization(new, user, accessible?, current_organization).await?;
        let is_new = organization.as_ref().is_some_and(|it| current_organization != Some(&it.id));
        let last_used = current.workspace.or(current.last_used_workspace);
        let wanted = self.login.workspace.as_deref();
        let chosen = selection::select_workspace(self.ui(), workspaces, wanted, last_used.as_deref()).await;
        let (workspace, outcome) = match chosen {
            Ok(workspace) => (workspace, Ok(())),
            Err(failure) => (None, Err(failure)),
        };
        // A new organization is written even if the choice of a workspace is canceled. One that was in use before keeps its
        // workspace.
        if outcome.is_ok() || is_new {
            let login = Some(&new.credentials);
            selection::write(&self.session, login, organization.as_ref(), workspace.as_ref()).await?;
        }
        *selection = Some(Selection { organization, workspace });
        outcome
    }

    async fn select_organization(
        &self,
        new: &NewLogin,
        user: &User,
        accessible: Accessible,
        current: Option<&str>,
    ) -> Result<(Option<Organization>, Vec<Workspace>), Error> {
        let api = self.session.api(&new.credentials.access);
        let all = match accessible {
            Accessible::Current(organization, workspaces) if current == Some(&organization.id) => {
                return Ok((Some(organization), workspaces));
            }
            Accessible::OfApiToken(organization, workspaces) => return Ok((Some(organization), workspaces)),
            Accessible::Platform(workspaces) => return Ok((None, workspaces)),
            Accessible::All(all) => all,
            // The organization in use belonged to the previous account; saving this login removed it.
            Accessible::Current(..) => api.organizations().await?,
        };
        let wanted = self.login.organization.as_deref();
        let organization = selection::select_organization(self.ui(), all, wanted, current, Some(&user.email)).await?;
        let workspaces = api.workspaces(&organization.id).await?;
        Ok((Some(organization), workspaces))
    }

    /// Returns the last event of a login.
    pub(super) fn settled<'a>(
        &'a self,
        account: Option<&'a str>,
        selection: Option<&'a Selection>,
        expires_at: Option<Timestamp>,
    ) -> Event<'a> {
        Event::Settled {
            domain: self.session.domain.as_str(),
            account,
            organization: selection.and_then(|it| it.organization.as_ref()).map(|it| it.id.as_str()),
            workspace: selection.and_then(|it| it.workspace.as_ref()).map(|it| it.id.as_str()),
            expires_at,
        }
    }

    pub(super) fn print_summary(
        &self,
        new: &NewLogin,
        user: &User,
        previous: &PreviousLogin,
        selection: Option<&Selection>,
    ) {
        let ui = self.ui();
        let who = match (user.name.as_str(), user.email.as_str()) {
            ("", email) => email.to_owned(),
            (name, "") => name.to_owned(),
            (name, email) => format!("{name} <{email}>"),
        };
        let domain = &self.session.domain;
        match new.credentials.kind {
            Kind::User => ui.success(&format!("Logged in to {domain} as {who}")),
            Kind::ApiToken => ui.success(&format!("Logged in to {domain} with an API token (accepted by the API)")),
            Kind::PrivateCloud => {
                ui.success(&format!("Logged in to {domain}"));
                let other = next_astro::next(&self.session.system.environment);
                if new.destination.location == Location::Keychain
                    && let Ok(Some(program)) = other
                {
                    let (program, flag) = (program.display(), "--insecure-storage");
                    ui.say(&format!("note: {program} cannot see this login; `astro login {domain} {flag}` shares it"));
                }
            }
        }
        if let Some(old) = &previous.account {
            let new = match new.credentials.kind {
                Kind::User | Kind::PrivateCloud => {
                    Some(user.email.as_str()).filter(|email| !email.is_empty()).unwrap_or(&who)
                }
                Kind::ApiToken => "an API token",
            };
            if old == new {
                ui.say("  account       changed (same email, different user)");
            } else {
                ui.say(&format!("  account       changed from {} to {new}", clean(old, 254)));
            }
        }
        if let Some(Selection { organization, workspace }) = selection {
            if let Some(organization) = organization {
                ui.say(&format!("  organization  {}", organization.name));
            }
            if let Some(workspace) = workspace {
                ui.say(&format!("  workspace     {}", workspace.name));
            }
        }
        ui.say(&format!("  credentials   {}", self.session.location_name(new.destination.location)));
        self.print_expiry(new);
    }

    fn print_expiry(&self, new: &NewLogin) {
        let Some(expires_at) = new.credentials.expires_at else { return };
        let expiry = format_timestamp(expires_at, self.session.now(), &(self.session.system.time_zone)());
        let then = match (&self.login.token_login, &new.credentials.refresh) {
            (_, Some(_)) => ", renews automatically",
            (Some(_), None) => "; log in again after that",
            (None, None) if new.credentials.kind == Kind::PrivateCloud => "; log in again after that",
            (None, None) => "; log in again after that (the issuer sent no refresh token)",
        };
        self.ui().say(&format!("  expires       {expiry}{then}"));
    }
}
