//! The second write: the organization and the workspace, and the closing words.

use std::collections::HashMap;

use super::place::{self, Choice, Named};
use super::remember::Storage;
use super::{Attempt, Mode, SignedIn};
use crate::api::{ApiClient, ListError, Organization, User, Workspace};
use crate::error::Error;
use crate::system::aside;
use crate::when;

/// What the API lets this person reach.
pub(super) enum Reach {
    /// The organization in use before is still theirs, with these workspaces.
    Current(Organization, Vec<Workspace>),
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
        reach: Result<Reach, ListError>,
    ) -> Result<(), Error> {
        let mut place = None;
        let settled = self.choose(signed_in, user, reach, &mut place).await;
        // The login stands whatever became of the choice, and the person should know.
        self.tell(signed_in, user, place.as_ref());
        settled
    }

    /// `place` is what has been written, whatever comes after it.
    async fn choose(
        &self,
        signed_in: &SignedIn,
        user: &User,
        reach: Result<Reach, ListError>,
        place: &mut Option<Place>,
    ) -> Result<(), Error> {
        let api = ApiClient::new(&self.system.http, self.domain.api_base(), &signed_in.credentials.access);
        let current = self.config.read()?.context(&self.domain).unwrap_or_default();
        let (organization, workspaces) = match reach? {
            Reach::Current(organization, workspaces) if current.organization.as_ref() == Some(&organization.id) => {
                (organization, workspaces)
            }
            elsewhere => {
                let all = match elsewhere {
                    // What was in use belonged to another person, who was signed in here before.
                    Reach::Current(..) => api.organizations().await?,
                    Reach::All(all) => all,
                };
                let Some(organization) = self.choose_organization(all, current.organization.as_deref(), user).await?
                else {
                    return Ok(());
                };
                let workspaces = api.workspaces(&organization.id).await?;
                (organization, workspaces)
            }
        };
        let is_new = current.organization.as_ref() != Some(&organization.id);
        let last_used = current.workspace.or(current.last_used_workspace);
        let (workspace, outcome) = match self.choose_workspace(workspaces, last_used.as_deref()).await {
            Ok(workspace) => (workspace, Ok(())),
            Err(failure) => (None, Err(failure)),
        };
        // An organization is worth keeping even if the choice of a workspace is broken off. Where it was in use before,
        // so is the workspace that was.
        if outcome.is_ok() || is_new {
            self.write_place(&organization, workspace.as_ref()).await?;
        }
        *place = Some(Place { organization, workspace });
        outcome
    }

    async fn choose_organization(
        &self,
        mut all: Vec<Organization>,
        current: Option<&str>,
        user: &User,
    ) -> Result<Option<Organization>, Error> {
        let wanted = self.login.organization.as_deref();
        match place::organization(&all, wanted, current, Some(&user.email))? {
            Choice::One(organization) => Ok(Some(organization.clone())),
            Choice::Empty => Err(Error::NoOrganization),
            Choice::Open if self.system.ui.can_ask() => {
                let chosen = self.system.ui.choose("Organization:", labels(&all), 0).await?;
                Ok(Some(all.swap_remove(chosen)))
            }
            Choice::Open => {
                self.system.ui.warn(&format!(
                    "no organization is chosen: you belong to {} ({}); name one with `--organization`",
                    all.len(),
                    place::listing(&labels(&all))
                ));
                Ok(None)
            }
        }
    }

    async fn choose_workspace(
        &self,
        mut all: Vec<Workspace>,
        last_used: Option<&str>,
    ) -> Result<Option<Workspace>, Error> {
        match place::workspace(&all, self.login.workspace.as_deref(), last_used)? {
            Choice::One(workspace) => Ok(Some(workspace.clone())),
            Choice::Empty => Ok(None),
            Choice::Open if self.system.ui.can_ask() => {
                let chosen = self.system.ui.choose("Workspace:", labels(&all), 0).await?;
                Ok(Some(all.swap_remove(chosen)))
            }
            Choice::Open => {
                self.system.ui.warn(&format!(
                    "no workspace is chosen: there are {} ({}); name one with `--workspace`",
                    all.len(),
                    place::listing(&labels(&all))
                ));
                Ok(None)
            }
        }
    }

    async fn write_place(&self, organization: &Organization, workspace: Option<&Workspace>) -> Result<(), Error> {
        let (config, domain) = (self.config.clone(), self.domain.clone());
        let (organization, workspace) = (organization.clone(), workspace.map(|it| it.id.clone()));
        aside(move || {
            config.edit(|document| {
                document.update_context(&domain, |context| {
                    context.organization = Some(organization.id);
                    context.organization_product = Some(organization.product);
                    context.workspace.clone_from(&workspace);
                    context.last_used_workspace = workspace;
                })
            })
        })
        .await??;
        Ok(())
    }

    /// Says who is signed in, where, and until when.
    fn tell(&self, signed_in: &SignedIn, user: &User, place: Option<&Place>) {
        let ui = &self.system.ui;
        let who = match (user.name.as_str(), user.email.as_str()) {
            ("", email) => email.to_owned(),
            (name, "") => name.to_owned(),
            (name, email) => format!("{name} <{email}>"),
        };
        ui.success(&format!("Signed in to {} as {who}", self.domain));
        if let Some(place) = place {
            ui.say(&format!("  organization  {}", place.organization.name));
            if let Some(workspace) = &place.workspace {
                ui.say(&format!("  workspace     {}", workspace.name));
            }
        }
        let store = match signed_in.storage {
            Storage::Keychain => self.store_name(),
            Storage::Chosen | Storage::Fallback => format!("{}, as plain text", self.config.path().display()),
        };
        ui.say(&format!("  credentials   in {store}"));
        let until = when::dated(signed_in.credentials.expires_at, self.now(), &self.system.time_zone);
        let then = match (&self.login.mode, &signed_in.credentials.refresh) {
            (_, Some(_)) => "renewed when needed",
            (Mode::Token(_), None) => "it will not be renewed: sign in again then",
            (Mode::Browser | Mode::Link, None) => "the issuer gave no refresh token: sign in again then",
        };
        ui.say(&format!("  valid until   {until}; {then}"));
    }
}

/// The names, with the identifier where two are called the same.
fn labels<T: Named>(list: &[T]) -> Vec<String> {
    let mut count: HashMap<&str, usize> = HashMap::new();
    for it in list {
        *count.entry(it.name()).or_default() += 1;
    }
    let label = |it: &T| match count.get(it.name()) {
        Some(1) if !it.name().is_empty() => it.name().to_owned(),
        _ => format!("{} ({})", it.name(), it.id()).trim_start().to_owned(),
    };
    list.iter().map(label).collect()
}
