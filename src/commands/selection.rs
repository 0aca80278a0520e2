//! Selects one of several: an organization or a workspace, by name, by last use, or because it is the only one.
//!
//! If nothing decides, the user chooses from a menu. The first of several is never taken silently.

use std::collections::HashMap;

use crate::api::{Organization, Workspace};
use crate::config::Context;
use crate::credentials::Credentials;
use crate::error::{Error, NotFound, Warning};
use crate::session::{self, Location, Session, edit_config};
use crate::text::clean;
use crate::ui::Ui;

#[derive(Debug, PartialEq, Eq)]
enum Choice<'a, T> {
    One(&'a T),
    Open,
    Empty,
}

pub(super) trait Selectable {
    const KIND: &'static str;
    const QUESTION: &'static str;
    fn id(&self) -> &str;
    /// The name, safe to print.
    fn name(&self) -> &str;
}

impl Selectable for Organization {
    const KIND: &'static str = "organization";
    const QUESTION: &'static str = "Organization:";
    fn id(&self) -> &str {
        &self.id
    }
    fn name(&self) -> &str {
        &self.name
    }
}

impl Selectable for Workspace {
    const KIND: &'static str = "workspace";
    const QUESTION: &'static str = "Workspace:";
    fn id(&self) -> &str {
        &self.id
    }
    fn name(&self) -> &str {
        &self.name
    }
}

/// Selects an organization, with a menu if nothing else decides. Without a terminal for the menu, an error names the flag:
/// no command of the API works without an organization.
pub(super) async fn select_organization(
    ui: &Ui,
    mut all: Vec<Organization>,
    wanted: Option<&str>,
    current: Option<&str>,
    email: Option<&str>,
) -> Result<Organization, Error> {
    match decide_organization(&all, wanted, current, email)? {
        Choice::One(organization) => Ok(organization.clone()),
        Choice::Empty => Err(Error::NoOrganization),
        Choice::Open if ui.can_ask() => {
            let chosen = choose::<Organization>(ui, labels(&all), 0).await?;
            Ok(all.swap_remove(chosen))
        }
        Choice::Open => Err(NotFound::Open { kind: Organization::KIND, known: labels(&all) }.into()),
    }
}

/// Selects a workspace, with a menu if nothing else decides. Returns `None` if there is none, or no terminal for the menu.
pub(super) async fn select_workspace(
    ui: &Ui,
    mut all: Vec<Workspace>,
    wanted: Option<&str>,
    last_used: Option<&str>,
) -> Result<Option<Workspace>, Error> {
    match decide_workspace(&all, wanted, last_used)? {
        Choice::One(workspace) => Ok(Some(workspace.clone())),
        Choice::Empty => Ok(None),
        Choice::Open => Ok(ask(ui, &all).await?.map(|it| all.swap_remove(it))),
    }
}

/// Returns the item that `wanted` names, else the one that the user chooses. Returns `None` if there are no items.
pub(super) async fn choose_one<T: Selectable>(
    ui: &Ui,
    mut all: Vec<T>,
    wanted: Option<&str>,
    current: Option<&str>,
) -> Result<Option<T>, Error> {
    if all.is_empty() {
        return Ok(None);
    }
    let chosen = if let Some(wanted) = wanted {
        find_by_name(&all, wanted)?
    } else {
        let current = all.iter().position(|it| Some(it.id()) == current);
        choose::<T>(ui, labels(&all), current.unwrap_or_default()).await?
    };
    Ok(Some(all.swap_remove(chosen)))
}

async fn choose<T: Selectable>(ui: &Ui, labels: Vec<String>, start_at: usize) -> Result<usize, Error> {
    ui.choose(T::QUESTION, labels, start_at).await.map_err(Error::of_menu(T::KIND))
}

/// Lets the user choose from a menu. Without a terminal, warns and returns `None`.
async fn ask<T: Selectable>(ui: &Ui, all: &[T]) -> Result<Option<usize>, Error> {
    let labels = labels(all);
    if ui.can_ask() {
        return Ok(Some(choose::<T>(ui, labels, 0).await?));
    }
    Warning::NotSelected { kind: T::KIND, known: labels }.show(ui);
    Ok(None)
}

/// Writes organization and workspace into the domain's context. Without a workspace, the last used one stays on record for
/// the next selection of its organization. `login` is the one that the selection was made with.
pub(super) async fn write(
    session: &Session<'_>,
    login: Option<&Credentials>,
    organization: &Organization,
    workspace: Option<&Workspace>,
) -> Result<(), Error> {
    session.config.edit_names(|names| {
        names.remember(&organization.id, &organization.name);
        if let Some(workspace) = workspace {
            names.remember(&workspace.id, &workspace.name);
        }
    });
    let (organization, workspace) = (organization.clone(), workspace.map(|it| it.id.clone()));
    let change = move |context: &mut Context| {
        context.organization = Some(organization.id);
        context.organization_product = Some(organization.product);
        if workspace.is_some() {
            context.last_used_workspace.clone_from(&workspace);
        }
        context.workspace = workspace;
    };
    update_context(session, login, |_| true, change).await
}

/// Writes the workspace of an organization into the domain's context, if the organization is still the selected one.
pub(super) async fn write_workspace(
    session: &Session<'_>,
    login: Option<&Credentials>,
    organization: &str,
    workspace: Workspace,
) -> Result<(), Error> {
    let organization = Some(organization.to_owned());
    let change = |context: &mut Context| {
        context.workspace = Some(workspace.id.clone());
        context.last_used_workspace = Some(workspace.id);
    };
    update_context(session, login, move |context| context.organization == organization, change).await
}

/// Changes the domain's context, unless another program logged out or logged in as another user since `login` was read, or
/// the context is not as `expected`. Removes tokens that the Go CLI wrote back after a login replaced them.
async fn update_context(
    session: &Session<'_>,
    login: Option<&Credentials>,
    expected: impl FnOnce(&Context) -> bool + Send + 'static,
    change: impl FnOnce(&mut Context) + Send + 'static,
) -> Result<(), Error> {
    let crossed = || Error::SelectionCrossed { domain: session.domain.to_string() };
    let stored = match login {
        Some(login) => {
            let stored = session.saved_login().await?;
            if !session::is_same_user(&stored.credentials, login) {
                return Err(crossed());
            }
            Some(stored)
        }
        None => None,
    };
    let domain = session.domain.clone();
    let edited = edit_config(&session.config, move |document| {
        let before = document.context(&domain).unwrap_or_default();
        if !expected(&before) || stored.as_ref().is_some_and(|stored| !stored.is_in_use(&before)) {
            return Ok(None);
        }
        let written_back = before.token.as_ref().zip(stored.as_ref()).is_some_and(|(token, stored)| {
            stored.location == Location::Keychain && session::is_replaced(&stored.credentials, token)
        });
        document.update_context(&domain, |context| {
            if written_back {
                session::clear_tokens(context);
            }
            // Nothing of another account stays beside the new selection.
            if let Some(stored) = stored.filter(|it| !session::belongs_to(context, &it.credentials)) {
                context.user_email = stored.credentials.email;
                context.last_used_workspace = None;
            }
            change(context);
        })?;
        Ok(Some(session::tokens_of_context(&before).filter(|_| written_back)))
    });
    if let Some(removed) = edited.await?.ok_or_else(crossed)?
        && let Err(failure) = session.revoke(&removed).await
    {
        tracing::info!(%failure, "could not revoke an unused refresh token");
    }
    Ok(())
}

/// Finds the item with this ID, else with this exact name, else with this name in any case.
fn find_by_name<T: Selectable>(list: &[T], wanted: &str) -> Result<usize, NotFound> {
    let wanted = clean(wanted, 200);
    let folded = wanted.to_lowercase();
    let all = |matches: &dyn Fn(&T) -> bool| (0..list.len()).filter(|&it| matches(&list[it])).collect::<Vec<_>>();
    let by_id = all(&|it| it.id() == wanted);
    let by_name = all(&|it| it.name() == wanted);
    let by_any_case = all(&|it| it.name().to_lowercase() == folded);
    match [by_id, by_name, by_any_case].into_iter().find(|found| !found.is_empty()).as_deref() {
        Some([one]) => Ok(*one),
        Some(several) => {
            let ids = several.iter().map(|&it| list[it].id().to_owned()).collect();
            Err(NotFound::Ambiguous { kind: T::KIND, wanted, ids })
        }
        None => {
            let known = list.iter().map(|it| it.name().to_owned()).collect();
            Err(NotFound::Nothing { kind: T::KIND, wanted, known })
        }
    }
}

/// Decides by the flag, the context, the only organization, or the one that owns the domain of the email.
fn decide_organization<'a>(
    list: &'a [Organization],
    wanted: Option<&str>,
    current: Option<&str>,
    email: Option<&str>,
) -> Result<Choice<'a, Organization>, NotFound> {
    if let Some(wanted) = wanted {
        return find_by_name(list, wanted).map(|it| Choice::One(&list[it]));
    }
    if let Some(known) = current_or_only(list, current) {
        return Ok(known);
    }
    let domain = email.and_then(|email| email.rsplit_once('@')).map(|(_, domain)| domain.to_ascii_lowercase());
    let owners: Vec<&Organization> = match domain {
        Some(domain) => list.iter().filter(|it| it.email_domains.contains(&domain)).collect(),
        None => Vec::new(),
    };
    Ok(if let [owner] = owners.as_slice() { Choice::One(owner) } else { Choice::Open })
}

/// Decides by the flag, the last use, or the only workspace.
fn decide_workspace<'a>(
    list: &'a [Workspace],
    wanted: Option<&str>,
    last_used: Option<&str>,
) -> Result<Choice<'a, Workspace>, NotFound> {
    match wanted {
        Some(wanted) => find_by_name(list, wanted).map(|it| Choice::One(&list[it])),
        None => Ok(current_or_only(list, last_used).unwrap_or(Choice::Open)),
    }
}

/// Decides without any preference: the item in use, or the only one.
fn current_or_only<'a, T: Selectable>(list: &'a [T], current: Option<&str>) -> Option<Choice<'a, T>> {
    if let Some(found) = list.iter().find(|it| Some(it.id()) == current) {
        return Some(Choice::One(found));
    }
    match list {
        [] => Some(Choice::Empty),
        [only] => Some(Choice::One(only)),
        _ => None,
    }
}

fn labels<T: Selectable>(list: &[T]) -> Vec<String> {
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

#[cfg(test)]
mod tests;
