//! Selects one of several: an organization or a workspace, by name, by last use, or because it is the only one.
//!
//! If nothing decides, the user chooses from a menu. The first of several is never taken silently.

use std::collections::HashMap;

use clap::{Args, Subcommand, ValueHint};
use serde::Serialize;

use super::JsonArgument;
use super::list::{Column, Row, print_list};
use crate::api::{Organization, Workspace};
use crate::config::Context;
use crate::credentials::Credentials;
use crate::error::{Error, NotFound, Warning};
use crate::session::{self, Location, Session, edit_config};
use crate::text::clean;
use crate::ui::Ui;

/// The commands of organizations and of workspaces.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum SelectionCommand {
    #[command(visible_alias = "ls")]
    List {
        #[command(flatten)]
        json: JsonArgument,
        /// Domain [default: current context]
        #[arg(short, long, value_hint = ValueHint::Other)]
        domain: Option<String>,
    },
    #[command(visible_alias = "sw")]
    Switch(Switch),
}

#[derive(Debug, Args)]
pub struct Switch {
    /// Name or ID [prompts if omitted]
    #[arg(value_name = "NAME|ID", value_hint = ValueHint::Other)]
    pub wanted: Option<String>,
    /// Workspace to use there, by name or ID
    #[arg(short, long, alias = "workspace-id", value_name = "NAME|ID", value_hint = ValueHint::Other)]
    pub workspace: Option<String>,
    #[command(flatten)]
    pub json: JsonArgument,
    /// Domain [default: current context]
    #[arg(short, long, value_hint = ValueHint::Other)]
    pub domain: Option<String>,
}

impl SelectionCommand {
    pub(super) fn domain(&self) -> Option<&str> {
        let (Self::List { domain, .. } | Self::Switch(Switch { domain, .. })) = self;
        domain.as_deref()
    }
}

pub(super) trait Selectable: Serialize {
    const KIND: &'static str;
    const QUESTION: &'static str;
    const COLUMNS: &'static [Column];
    fn id(&self) -> &str;
    /// The name, safe to print.
    fn name(&self) -> &str;
    fn cells(&self) -> Vec<String>;
}

impl Selectable for Organization {
    const KIND: &'static str = "organization";
    const QUESTION: &'static str = "Organization:";
    const COLUMNS: &'static [Column] = &[Column::Display("NAME"), Column::Copied("ID"), Column::Copied("PRODUCT")];
    fn id(&self) -> &str {
        &self.id
    }
    fn name(&self) -> &str {
        &self.name
    }
    fn cells(&self) -> Vec<String> {
        vec![self.name.clone(), self.id.clone(), self.product.clone()]
    }
}

impl Selectable for Workspace {
    const KIND: &'static str = "workspace";
    const QUESTION: &'static str = "Workspace:";
    const COLUMNS: &'static [Column] = &[Column::Display("NAME"), Column::Copied("ID")];
    fn id(&self) -> &str {
        &self.id
    }
    fn name(&self) -> &str {
        &self.name
    }
    fn cells(&self) -> Vec<String> {
        vec![self.name.clone(), self.id.clone()]
    }
}

#[derive(Serialize)]
struct Listed<'a, T> {
    #[serde(flatten)]
    item: &'a T,
    current: bool,
    /// The same under the Go CLI's name.
    #[serde(rename = "isCurrent")]
    is_current: bool,
}

/// Prints a list, and remembers the name of the current item for commands that do not ask the API.
pub(super) fn list<T: Selectable>(
    session: &Session<'_>,
    all: &[T],
    current: Option<&str>,
    json: bool,
) -> Result<(), Error> {
    // Nothing is written for a token of the environment.
    if !session.is_overridden()
        && let Some(current) = all.iter().find(|it| Some(it.id()) == current)
    {
        session.config.edit_names(|names| names.remember(current.id(), current.name()));
    }
    let listed = all.iter().map(|item| {
        let current = Some(item.id()) == current;
        Listed { item, current, is_current: current }
    });
    let listed = listed.collect();
    let row = |it: Listed<'_, T>| Row { current: it.current, cells: it.item.cells() };
    print_list(session.system, T::KIND, json, listed, T::COLUMNS, row)
}

/// Selects an organization, with a menu if nothing else decides: no command of the API works without one.
pub(super) async fn select_organization(
    ui: &Ui,
    mut all: Vec<Organization>,
    wanted: Option<&str>,
    current: Option<&str>,
    email: Option<&str>,
) -> Result<Organization, Error> {
    if all.is_empty() && wanted.is_none() {
        return Err(Error::NoOrganization);
    }
    let chosen = match decide(&all, wanted, current)?.or_else(|| only_owner(&all, email?)) {
        Some(decided) => decided,
        None => choose(ui, &all, None).await?,
    };
    Ok(all.swap_remove(chosen))
}

/// Selects a workspace, with a menu if nothing else decides. Returns `None` if there is none, or no terminal for the menu.
pub(super) async fn select_workspace(
    ui: &Ui,
    mut all: Vec<Workspace>,
    wanted: Option<&str>,
    last_used: Option<&str>,
) -> Result<Option<Workspace>, Error> {
    if all.is_empty() && wanted.is_none() {
        return Ok(None);
    }
    let chosen = match decide(&all, wanted, last_used)? {
        Some(decided) => decided,
        None => match choose(ui, &all, None).await {
            Err(Error::NotFound(open @ NotFound::Open { .. })) => {
                Warning::NotSelected(open).show(ui);
                return Ok(None);
            }
            chosen => chosen?,
        },
    };
    Ok(Some(all.swap_remove(chosen)))
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
    let chosen = match wanted {
        Some(wanted) => find_by_name(&all, wanted)?,
        None => choose(ui, &all, current).await?,
    };
    Ok(Some(all.swap_remove(chosen)))
}

/// Lets the user choose from a menu, which starts at the current item.
async fn choose<T: Selectable>(ui: &Ui, all: &[T], current: Option<&str>) -> Result<usize, Error> {
    if !ui.can_ask() {
        return Err(NotFound::Open { kind: T::KIND, known: labels(all) }.into());
    }
    let start = all.iter().position(|it| Some(it.id()) == current).unwrap_or_default();
    ui.choose(T::QUESTION, labels(all), start).await.map_err(Error::of_menu(T::KIND))
}

/// Writes the organization, if the product has any, and the workspace into the domain's context. Without a workspace, the last
/// used one stays on record for the next selection of its organization. `login` is the one that the selection was made with.
pub(super) async fn write(
    session: &Session<'_>,
    login: Option<&Credentials>,
    organization: Option<&Organization>,
    workspace: Option<&Workspace>,
) -> Result<(), Error> {
    session.config.edit_names(|names| {
        if let Some(organization) = organization {
            names.remember(&organization.id, &organization.name);
        }
        if let Some(workspace) = workspace {
            names.remember(&workspace.id, &workspace.name);
        }
    });
    let (organization, workspace) = (organization.cloned(), workspace.map(|it| it.id.clone()));
    let change = move |context: &mut Context| {
        if let Some(organization) = organization {
            context.organization = Some(organization.id);
            context.organization_product = Some(organization.product);
        }
        if workspace.is_some() {
            context.last_used_workspace.clone_from(&workspace);
        }
        context.workspace = workspace;
    };
    update_context(session, login, |_| true, change).await
}

/// Writes the workspace into the domain's context, if its organization is still the selected one. Astro Private Cloud has none.
pub(super) async fn write_workspace(
    session: &Session<'_>,
    login: Option<&Credentials>,
    organization: Option<&str>,
    workspace: Workspace,
) -> Result<(), Error> {
    let organization = organization.map(str::to_owned);
    let change = |context: &mut Context| {
        context.workspace = Some(workspace.id.clone());
        context.last_used_workspace = Some(workspace.id);
    };
    let expected = move |context: &Context| organization.is_none() || context.organization == organization;
    update_context(session, login, expected, change).await
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

/// Decides by the flag, the last use, or because there is only one.
fn decide<T: Selectable>(list: &[T], wanted: Option<&str>, current: Option<&str>) -> Result<Option<usize>, NotFound> {
    if let Some(wanted) = wanted {
        return find_by_name(list, wanted).map(Some);
    }
    let in_use = list.iter().position(|it| Some(it.id()) == current);
    Ok(in_use.or((list.len() == 1).then_some(0)))
}

/// Finds the only organization that owns the domain of the email.
fn only_owner(list: &[Organization], email: &str) -> Option<usize> {
    let domain = email.rsplit_once('@')?.1.to_ascii_lowercase();
    let mut owners = (0..list.len()).filter(|&it| list[it].email_domains.contains(&domain));
    owners.next().filter(|_| owners.next().is_none())
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
