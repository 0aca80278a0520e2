//! Where in Astro the person works: one organization, and in it perhaps one workspace. Asks where the choice is open,
//! and writes it down.

use crate::api::{Organization, Workspace};
use crate::aside::aside;
use crate::choice::{self, Choice, Named, labels, listing, named};
use crate::error::Error;
use crate::session::{self, Session};
use crate::ui::Ui;

/// Chooses an organization, and asks where nothing else decides. None where nobody can be asked.
pub(super) async fn settle_organization(
    ui: &Ui,
    mut all: Vec<Organization>,
    wanted: Option<&str>,
    current: Option<&str>,
    email: Option<&str>,
) -> Result<Option<Organization>, Error> {
    match choice::organization(&all, wanted, current, email)? {
        Choice::One(organization) => Ok(Some(organization.clone())),
        Choice::Empty => Err(Error::NoOrganization),
        Choice::Open => Ok(ask(ui, &all, "--organization").await?.map(|it| all.swap_remove(it))),
    }
}

/// Chooses a workspace likewise. None also where there is none. `how` is what a person types to choose one.
pub(super) async fn settle_workspace(
    ui: &Ui,
    mut all: Vec<Workspace>,
    wanted: Option<&str>,
    last_used: Option<&str>,
    how: &str,
) -> Result<Option<Workspace>, Error> {
    match choice::workspace(&all, wanted, last_used)? {
        Choice::One(workspace) => Ok(Some(workspace.clone())),
        Choice::Empty => Ok(None),
        Choice::Open => Ok(ask(ui, &all, how).await?.map(|it| all.swap_remove(it))),
    }
}

/// The one that was named, else the one that the person chooses, beginning at the one in use. None where there is none.
pub(super) async fn pick<T: Named>(
    ui: &Ui,
    mut all: Vec<T>,
    wanted: Option<&str>,
    current: Option<&str>,
) -> Result<Option<T>, Error> {
    if all.is_empty() {
        return Ok(None);
    }
    let chosen = if let Some(wanted) = wanted {
        named(&all, wanted)?
    } else {
        let current = all.iter().position(|it| Some(it.id()) == current);
        ui.choose(T::QUESTION, labels(&all), current.unwrap_or_default()).await?
    };
    Ok(Some(all.swap_remove(chosen)))
}

/// Lets the person choose. Where there is nobody to ask, says how a choice is made, and makes none.
async fn ask<T: Named>(ui: &Ui, all: &[T], how: &str) -> Result<Option<usize>, Error> {
    let labels = labels(all);
    if ui.can_ask() {
        return Ok(Some(ui.choose(T::QUESTION, labels, 0).await?));
    }
    let (kind, count) = (T::KIND, all.len());
    ui.warn(&format!("no {kind} is chosen: there are {count} ({}); name one with `{how}`", listing(&labels)));
    Ok(None)
}

/// Writes organization and workspace into the domain's context. The last used workspace outlives a choice of none: it is
/// taken up again where its organization is.
pub(super) async fn write(
    session: &Session<'_>,
    organization: &Organization,
    workspace: Option<&Workspace>,
) -> Result<(), Error> {
    let (config, domain) = (session.config.clone(), session.domain.clone());
    let (organization, workspace) = (organization.clone(), workspace.map(|it| it.id.clone()));
    let login = match session::environment_token(session.system) {
        Some(_) => None,
        None => match session.stored().await {
            Ok(stored) => Some(stored.credentials),
            Err(Error::SignedOut { .. }) => None,
            Err(failure) => return Err(failure),
        },
    };
    aside(move || {
        config.edit(|document| {
            document.update_context(&domain, |context| {
                // Of a person whose login was being replaced, nothing is left to mix with what is chosen now.
                if let Some(login) = login.filter(|login| !session::is_context_of(context, login)) {
                    context.user_email = login.email;
                    context.last_used_workspace = None;
                }
                context.organization = Some(organization.id);
                context.organization_product = Some(organization.product);
                if workspace.is_some() {
                    context.last_used_workspace.clone_from(&workspace);
                }
                context.workspace = workspace;
            })
        })
    })
    .await??;
    Ok(())
}
