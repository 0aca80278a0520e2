//! `astro workspace`: lists the workspaces of the current organization, and switches between them.

use super::api_token_scope::ApiTokenScope;
use super::list::{Switched, print_json};
use super::selection::{self, SelectionCommand, Switch};
use crate::credentials::Credentials;
use crate::error::Error;
use crate::session::Session;
use crate::system::System;

pub async fn workspace(system: &System, command: SelectionCommand) -> Result<(), Error> {
    let session = Session::open(system, command.domain())?;
    let login = session.require_login().await?;
    let context = session.context()?;
    let granted = ApiTokenScope::of_environment(system);
    match command {
        SelectionCommand::List { json, .. } => {
            let organization = granted.organization.or_else(|| context.organization.clone());
            let organization = organization.ok_or(Error::NoOrganizationSelected)?;
            let current = context.workspace.filter(|_| context.organization.as_ref() == Some(&organization));
            let all = session.call(async |api| api.workspaces(&organization).await).await?;
            selection::list(&session, &all, granted.workspace.or(current).as_deref(), json.get())
        }
        SelectionCommand::Switch(Switch { wanted, workspace, json, .. }) => {
            let wanted = wanted.or(workspace);
            let organization = context.organization.ok_or(Error::NoOrganizationSelected)?;
            // The context belongs to the login, so nothing of another organization is written into it.
            if let Some(organization) = granted.organization.filter(|granted| *granted != organization) {
                return Err(Error::ApiTokenOfOtherOrganization { organization });
            }
            let current = context.workspace.as_deref();
            let switched = switch(&session, login.as_ref(), &organization, current, wanted.as_deref()).await?;
            if json.get() { print_json(system, &switched) } else { Ok(()) }
        }
    }
}

async fn switch(
    session: &Session<'_>,
    login: Option<&Credentials>,
    organization: &str,
    current: Option<&str>,
    wanted: Option<&str>,
) -> Result<Switched, Error> {
    let ui = &session.system.ui;
    if wanted.is_none() && !ui.can_ask() {
        return Err(Error::MissingArgument { what: "workspace" });
    }
    let all = session.call(async |api| api.workspaces(organization).await).await?;
    let workspace = selection::choose_one(ui, all, wanted, current).await?.ok_or(Error::NoWorkspace)?;
    session.config.edit_names(|names| names.remember(&workspace.id, &workspace.name));
    let name = workspace.name.clone();
    let switched = Switched::new(None, Some(&workspace));
    selection::write_workspace(session, login, organization, workspace).await?;
    ui.success(&format!("Switched to workspace {name}"));
    Ok(switched)
}
