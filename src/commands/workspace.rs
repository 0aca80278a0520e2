//! `astro workspace`: lists the workspaces of the current organization, or of an Astro Private Cloud, and switches between them.

use super::api_token_scope::ApiTokenScope;
use super::list::{Switched, print_json};
use super::selection::{self, SelectionCommand, Switch};
use crate::credentials::Credentials;
use crate::domain::Product;
use crate::error::Error;
use crate::session::Session;
use crate::system::System;

pub async fn workspace(system: &System, command: SelectionCommand) -> Result<(), Error> {
    let session = Session::open(system, command.domain())?;
    let login = session.require_login().await?;
    let context = session.context()?;
    let granted = ApiTokenScope::of_environment(&session);
    match command {
        SelectionCommand::List { json, .. } => {
            let selected = granted.organization.or_else(|| context.organization.clone());
            let organization = organization(&session, selected)?;
            let current = context.workspace.filter(|_| organization.is_none() || context.organization == organization);
            let all = session.workspaces(organization.as_deref()).await?;
            selection::list(&session, &all, granted.workspace.or(current).as_deref(), json.get())
        }
        SelectionCommand::Switch(Switch { wanted, workspace, json, .. }) => {
            let wanted = wanted.or(workspace);
            let organization = organization(&session, context.organization)?;
            // The context belongs to the login, so nothing of another organization is written into it.
            if let Some(granted) = granted.organization.filter(|it| Some(it) != organization.as_ref()) {
                return Err(Error::ApiTokenOfOtherOrganization { organization: granted });
            }
            let current = context.workspace.as_deref();
            let switched =
                switch(&session, login.as_ref(), organization.as_deref(), current, wanted.as_deref()).await?;
            if json.get() { print_json(system, &switched) } else { Ok(()) }
        }
    }
}

/// Returns the organization that has the workspaces. Astro Private Cloud has none.
fn organization(session: &Session<'_>, selected: Option<String>) -> Result<Option<String>, Error> {
    match session.domain.product() {
        Product::Astro => selected.map(Some).ok_or(Error::NoOrganizationSelected),
        Product::PrivateCloud => Ok(None),
    }
}

async fn switch(
    session: &Session<'_>,
    login: Option<&Credentials>,
    organization: Option<&str>,
    current: Option<&str>,
    wanted: Option<&str>,
) -> Result<Switched, Error> {
    let ui = &session.system.ui;
    if wanted.is_none() && !ui.can_ask() {
        return Err(Error::MissingArgument { what: "workspace" });
    }
    let all = session.workspaces(organization).await?;
    let workspace = selection::choose_one(ui, all, wanted, current).await?.ok_or(Error::NoWorkspace)?;
    session.config.edit_names(|names| names.remember(&workspace.id, &workspace.name));
    let name = workspace.name.clone();
    let switched = Switched::new(None, Some(&workspace));
    selection::write_workspace(session, login, organization, workspace).await?;
    ui.success(&format!("Switched to workspace {name}"));
    Ok(switched)
}
