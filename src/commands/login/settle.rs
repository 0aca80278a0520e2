//! The second write: the organization and the workspace, and the closing words.

use super::remember::{Replaced, Storage};
use super::{Attempt, SignedIn};
use crate::api::{ApiClient, ListError, Organization, User, Workspace};
use crate::commands::place;
use crate::credentials::Kind;
use crate::error::Error;
use crate::session::Store;
use crate::text::clean;
use crate::when;

/// What the API lets this person reach.
pub(super) enum Reach {
    /// The organization in use before is still theirs, with these workspaces.
    Current(Organization, Vec<Workspace>),
    /// What an API token was made for.
    Granted(Organization, Vec<Workspace>),
    /// All their organizations.
    All(Vec<Organization>),
}

/// Where the person works from now on.
struct Place {
    organization: Organization,
    workspace: Option<Workspace>,
}

impl Attempt<'_> {
    /// Asks the API where the person may work: first whether it is where they worked before.
    pub(super) async fn reach(&self, api: &ApiClient<'_>) -> Result<Reach, ListError> {
        if let Some(current) = self.before.organization.as_deref().filter(|_| self.login.organization.is_none()) {
            let (organization, workspaces) = tokio::join!(api.organization(current), api.workspaces(current));
            if let Some(organization) = organization? {
                return Ok(Reach::Current(organization, workspaces?));
            }
        }
        Ok(Reach::All(api.organizations().await?))
    }

    /// Chooses organization and workspace, writes them, and says who, where and until when.
    pub(super) async fn settle(
        &self,
        signed_in: &SignedIn,
        user: &User,
        replaced: &Replaced,
        reach: Result<Reach, ListError>,
    ) -> Result<(), Error> {
        let mut place = None;
        let settled = self.choose(signed_in, user, reach, &mut place).await;
        // The login stands whatever became of the choice, and the person should know.
        self.tell(signed_in, user, replaced, place.as_ref());
        settled
    }

    /// `settled_place` is what has been written, whatever comes after it.
    async fn choose(
        &self,
        signed_in: &SignedIn,
        user: &User,
        reach: Result<Reach, ListError>,
        settled_place: &mut Option<Place>,
    ) -> Result<(), Error> {
        let api = self.session.api(&signed_in.credentials.access);
        let ui = &self.session.system.ui;
        let current = self.session.context()?;
        let (organization, workspaces) = match reach? {
            Reach::Current(organization, workspaces) if current.organization.as_ref() == Some(&organization.id) => {
                (organization, workspaces)
            }
            Reach::Granted(organization, workspaces) => (organization, workspaces),
            elsewhere => {
                let all = match elsewhere {
                    Reach::All(all) => all,
                    // What was in use belonged to another person, who was signed in here before.
                    Reach::Current(..) | Reach::Granted(..) => api.organizations().await?,
                };
                let (wanted, now) = (self.login.organization.as_deref(), current.organization.as_deref());
                let settled = place::settle_organization(ui, all, wanted, now, Some(&user.email)).await?;
                let Some(organization) = settled else { return Ok(()) };
                let workspaces = api.workspaces(&organization.id).await?;
                (organization, workspaces)
            }
        };
        let is_new = current.organization.as_ref() != Some(&organization.id);
        let last_used = current.workspace.or(current.last_used_workspace);
        let wanted = self.login.workspace.as_deref();
        let settled = place::settle_workspace(ui, workspaces, wanted, last_used.as_deref(), "--workspace").await;
        let (workspace, outcome) = match settled {
            Ok(workspace) => (workspace, Ok(())),
            Err(failure) => (None, Err(failure)),
        };
        // An organization is worth keeping even if the choice of a workspace is broken off. Where it was in use before,
        // so is the workspace that was.
        if outcome.is_ok() || is_new {
            place::write(&self.session, &organization, workspace.as_ref()).await?;
        }
        *settled_place = Some(Place { organization, workspace });
        outcome
    }

    /// Says who is signed in, where, and until when.
    fn tell(&self, signed_in: &SignedIn, user: &User, replaced: &Replaced, place: Option<&Place>) {
        let ui = &self.session.system.ui;
        let who = match (user.name.as_str(), user.email.as_str()) {
            ("", email) => email.to_owned(),
            (name, "") => name.to_owned(),
            (name, email) => format!("{name} <{email}>"),
        };
        let domain = &self.session.domain;
        match signed_in.credentials.kind {
            Kind::User => ui.success(&format!("Signed in to {domain} as {who}")),
            Kind::ApiToken => ui.success(&format!(
                "Signed in to {domain} with an API token, accepted by the server; its signature cannot be checked here"
            )),
        }
        if let Some(old) = &replaced.account {
            let new = match signed_in.credentials.kind {
                Kind::User => Some(user.email.as_str()).filter(|email| !email.is_empty()).unwrap_or(&who),
                Kind::ApiToken => "an API token",
            };
            if old == new {
                ui.say("  account       was another one with this address");
            } else {
                ui.say(&format!("  account       was {}, is now {new}", clean(old, 254)));
            }
        }
        if let Some(place) = place {
            ui.say(&format!("  organization  {}", place.organization.name));
            if let Some(workspace) = &place.workspace {
                ui.say(&format!("  workspace     {}", workspace.name));
            }
        }
        let store = match signed_in.storage {
            Storage::Keychain => self.session.store_name(Store::Keychain),
            Storage::Chosen | Storage::Fallback => self.session.store_name(Store::Config),
        };
        ui.say(&format!("  credentials   in {store}"));
        let Some(expires_at) = signed_in.credentials.expires_at else { return };
        let until = when::dated(expires_at, self.session.now(), &(self.session.system.time_zone)());
        let then = match (&self.login.token_login, &signed_in.credentials.refresh) {
            (_, Some(_)) => "renewed when needed",
            (Some(_), None) => "it will not be renewed: sign in again then",
            (None, None) => "the issuer gave no refresh token: sign in again then",
        };
        ui.say(&format!("  valid until   {until}; {then}"));
    }
}
