//! `astro workspace`: lists the workspaces of the current organization, and switches between them.

use clap::{Subcommand, ValueHint};
use serde::Serialize;

use super::api_token_scope::ApiTokenScope;
use super::list::{Column, Row, print_json, print_table};
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
        WorkspaceCommand::Switch { wanted, .. } => {
            switch(&session, login.as_ref(), &organization, context.workspace.as_deref(), wanted.as_deref()).await
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
    let listed = all.into_iter().map(|it| Listed { current: current == Some(&it.id), id: it.id, name: it.name });
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
) -> Result<(), Error> {
    let ui = &session.system.ui;
    if wanted.is_none() && !ui.can_ask() {
        return Err(Error::MissingArgument { what: "workspace" });
    }
    let all = session.call(async |api| api.workspaces(organization).await).await?;
    let Some(workspace) = selection::choose_one(ui, all, wanted, current).await? else {
        return Err(Error::NoWorkspace);
    };
    session.config.edit_names(|names| names.remember(&workspace.id, &workspace.name));
    let name = workspace.name.clone();
    selection::write_workspace(session, login, organization, workspace).await?;
    ui.success(&format!("Switched to workspace {name}"));
    Ok(())
}
