//! `astro organization`: lists the user's organizations, and switches between them.

use super::api_token_scope::ApiTokenScope;
use super::list::{Switched, print_json};
use super::selection::{self, SelectionCommand, Switch};
use crate::credentials::Credentials;
use crate::domain::Product;
use crate::error::Error;
use crate::session::Session;
use crate::system::System;

pub async fn organization(system: &System, command: SelectionCommand) -> Result<(), Error> {
    let session = Session::open(system, command.domain())?;
    if session.domain.product() == Product::PrivateCloud {
        return Err(session.other_product("`astro organization`"));
    }
    let login = session.require_login().await?;
    match command {
        SelectionCommand::List { json, .. } => {
            let granted = ApiTokenScope::of_environment(&session).organization;
            let current = granted.or(session.context()?.organization);
            let all = session.call(async |api| api.organizations().await).await?;
            selection::list(&session, &all, current.as_deref(), json.get())
        }
        SelectionCommand::Switch(Switch { wanted, workspace, json, .. }) => {
            let switched = switch(&session, login.as_ref(), wanted.as_deref(), workspace.as_deref()).await?;
            if json.get() { print_json(system, &switched) } else { Ok(()) }
        }
    }
}

/// Switches to another organization, and in it to the workspace last used, the only one, or the one that the user chooses.
/// A canceled menu changes nothing.
async fn switch(
    session: &Session<'_>,
    login: Option<&Credentials>,
    wanted: Option<&str>,
    workspace: Option<&str>,
) -> Result<Switched, Error> {
    let ui = &session.system.ui;
    if wanted.is_none() && !ui.can_ask() {
        return Err(Error::MissingArgument { what: "organization" });
    }
    let all = session.call(async |api| api.organizations().await).await?;
    let before = session.context()?;
    let organization = selection::choose_one(ui, all, wanted, before.organization.as_deref()).await?;
    let organization = organization.ok_or(Error::NoOrganization)?;
    let workspaces = session.workspaces(Some(&organization.id)).await?;
    let none = workspaces.is_empty();
    let last_used = before.workspace.or(before.last_used_workspace);
    let workspace = selection::select_workspace(ui, workspaces, workspace, last_used.as_deref()).await?;
    selection::write(session, login, Some(&organization), workspace.as_ref()).await?;
    let switched = Switched::new(Some(&organization), workspace.as_ref());
    let workspace = workspace.map_or_else(String::new, |workspace| format!(", workspace {}", workspace.name));
    ui.success(&format!("Switched to organization {}{workspace}", organization.name));
    if none {
        ui.say("You have access to no workspace there");
    }
    Ok(switched)
}
