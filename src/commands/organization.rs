//! `astro organization`: lists the user's organizations, and switches between them.

use super::api_token_scope::ApiTokenScope;
use super::selection::{self, SelectionCommand};
use crate::credentials::Credentials;
use crate::error::Error;
use crate::session::Session;
use crate::system::System;

pub async fn organization(system: &System, command: SelectionCommand) -> Result<(), Error> {
    let session = Session::open(system, command.domain())?;
    let login = session.require_login().await?;
    match command {
        SelectionCommand::List { json, .. } => {
            let granted = ApiTokenScope::of_environment(system).organization;
            let current = granted.or(session.context()?.organization);
            let all = session.call(async |api| api.organizations().await).await?;
            selection::list(&session, &all, current.as_deref(), json)
        }
        SelectionCommand::Switch { wanted, .. } => switch(&session, login.as_ref(), wanted.as_deref()).await,
    }
}

/// Switches to another organization, and in it to the workspace last used, the only one, or the one that the user chooses.
/// A canceled menu changes nothing.
async fn switch(session: &Session<'_>, login: Option<&Credentials>, wanted: Option<&str>) -> Result<(), Error> {
    let ui = &session.system.ui;
    if wanted.is_none() && !ui.can_ask() {
        return Err(Error::MissingArgument { what: "organization" });
    }
    let all = session.call(async |api| api.organizations().await).await?;
    let before = session.context()?;
    let organization = selection::choose_one(ui, all, wanted, before.organization.as_deref()).await?;
    let organization = organization.ok_or(Error::NoOrganization)?;
    let workspaces = session.call(async |api| api.workspaces(&organization.id).await).await?;
    let none = workspaces.is_empty();
    let last_used = before.workspace.or(before.last_used_workspace);
    let workspace = selection::select_workspace(ui, workspaces, None, last_used.as_deref()).await?;
    selection::write(session, login, &organization, workspace.as_ref()).await?;
    let workspace = workspace.map_or_else(String::new, |workspace| format!(", workspace {}", workspace.name));
    ui.success(&format!("Switched to organization {}{workspace}", organization.name));
    if none {
        ui.say("You have access to no workspace there");
    }
    Ok(())
}
