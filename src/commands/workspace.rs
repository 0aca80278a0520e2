//! `astro workspace`: lists the workspaces of the current organization, and switches between them.

use clap::{Subcommand, ValueHint};
use serde::Serialize;

use super::api_token_scope::ApiTokenScope;
use super::list::{Column, Named, Row, Switched, print_json, print_table};
use super::selection;
use crate::credentials::Credentials;
use crate::error::Error;
use crate::session::{Session, environment_token_is_set};
use crate::system::System;

#[derive(Debug, Subcommand)]
pub enum WorkspaceCommand {
    /// List the organization's workspaces
    #[command(visible_alias = "ls")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Domain [default: current context]
        #[arg(short, long, value_hint = ValueHint::Other)]
        domain: Option<String>,
    },
    /// Switch to another workspace
    #[command(visible_alias = "sw")]
    Switch {
        /// Name or ID [prompts if omitted]
        #[arg(value_name = "NAME|ID", value_hint = ValueHint::Other)]
        wanted: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Domain [default: current context]
        #[arg(short, long, value_hint = ValueHint::Other)]
        domain: Option<String>,
    },
}

#[derive(Serialize)]
struct Listing {
    version: u32,
    workspaces: Vec<Listed>,
}

#[derive(Serialize)]
struct Listed {
    id: String,
    name: String,
    current: bool,
    /// The same under the Go CLI's name.
    #[serde(rename = "isCurrent")]
    is_current: bool,
}

pub async fn workspace(system: &System, command: WorkspaceCommand) -> Result<(), Error> {
    let (WorkspaceCommand::List { domain, .. } | WorkspaceCommand::Switch { domain, .. }) = &command;
    let session = Session::open(system, domain.as_deref())?;
    let login = session.require_login().await?;
    let context = session.context()?;
    let granted = ApiTokenScope::of_environment(system);
    if let (WorkspaceCommand::List { json, .. }, Some(organization)) = (&command, &granted.organization) {
        let current = context.workspace.filter(|_| context.organization.as_ref() == Some(organization));
        return list(&session, organization, granted.workspace.or(current).as_deref(), *json).await;
    }
    let organization = context.organization.ok_or(Error::NoOrganizationSelected)?;
    match command {
        WorkspaceCommand::List { json, .. } => list(&session, &organization, context.workspace.as_deref(), json).await,
        WorkspaceCommand::Switch { wanted, json, .. } => {
            let current = context.workspace.as_deref();
            let chosen = switch(&session, login.as_ref(), &organization, current, wanted.as_deref()).await?;
            if json {
                print_json(system, &Switched { version: 1, organization: None, workspace: Some(chosen) })
            } else {
                Ok(())
            }
        }
    }
}

async fn list(session: &Session<'_>, organization: &str, current: Option<&str>, json: bool) -> Result<(), Error> {
    let all = session.call(async |api| api.workspaces(organization).await).await?;
    // Nothing is written for a token of the environment.
    if !environment_token_is_set(session.system)
        && let Some(current) = all.iter().find(|it| current == Some(&it.id))
    {
        session.config.edit_names(|names| names.remember(&current.id, &current.name));
    }
    let listed = all.into_iter().map(|it| {
        let current = current == Some(&it.id);
        Listed { current, is_current: current, id: it.id, name: it.name }
    });
    let listing = Listing { version: 1, workspaces: listed.collect() };
    if json {
        return print_json(session.system, &listing);
    }
    let row = |it: &Listed| Row { current: it.current, cells: vec![it.name.clone(), it.id.clone()] };
    let rows: Vec<Row> = listing.workspaces.iter().map(row).collect();
    print_table(session.system, "workspaces", &[Column::Display("NAME"), Column::Copied("ID")], &rows)
}

async fn switch(
    session: &Session<'_>,
    login: Option<&Credentials>,
    organization: &str,
    current: Option<&str>,
    wanted: Option<&str>,
) -> Result<Named, Error> {
    let ui = &session.system.ui;
    if wanted.is_none() && !ui.can_ask() {
        return Err(Error::MissingArgument { what: "workspace" });
    }
    let all = session.call(async |api| api.workspaces(organization).await).await?;
    let Some(workspace) = selection::choose_one(ui, all, wanted, current).await? else {
        return Err(Error::NoWorkspace);
    };
    session.config.edit_names(|names| names.remember(&workspace.id, &workspace.name));
    let chosen = Named::of(&workspace);
    selection::write_workspace(session, login, organization, workspace).await?;
    ui.success(&format!("Switched to workspace {}", chosen.name));
    Ok(chosen)
}
