//! `astro organization`: lists the user's organizations, and switches between them.

use clap::{Subcommand, ValueHint};
use serde::Serialize;

use super::api_token_scope::ApiTokenScope;
use super::list::{Column, Named, Row, Switched, print_json, print_table};
use super::selection::{self, Selectable as _};
use crate::credentials::Credentials;
use crate::error::Error;
use crate::session::{Session, environment_token_is_set};
use crate::system::System;

#[derive(Debug, Subcommand)]
pub enum OrganizationCommand {
    /// List your organizations
    #[command(visible_alias = "ls")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Domain [default: current context]
        #[arg(short, long, value_hint = ValueHint::Other)]
        domain: Option<String>,
    },
    /// Switch to another organization
    #[command(visible_alias = "sw")]
    Switch {
        /// Name or ID [prompts if omitted]
        #[arg(value_name = "NAME|ID", value_hint = ValueHint::Other)]
        wanted: Option<String>,
        /// Workspace to use there, by name or ID
        #[arg(short, long, alias = "workspace-id", value_name = "NAME|ID", value_hint = ValueHint::Other)]
        workspace: Option<String>,
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
    organizations: Vec<Listed>,
}

#[derive(Serialize)]
struct Listed {
    id: String,
    name: String,
    product: String,
    current: bool,
    /// The same under the Go CLI's name.
    #[serde(rename = "isCurrent")]
    is_current: bool,
}

pub async fn organization(system: &System, command: OrganizationCommand) -> Result<(), Error> {
    let (OrganizationCommand::List { domain, .. } | OrganizationCommand::Switch { domain, .. }) = &command;
    let session = Session::open(system, domain.as_deref())?;
    let login = session.require_login().await?;
    match command {
        OrganizationCommand::List { json, .. } => list(&session, json).await,
        OrganizationCommand::Switch { wanted, workspace, json, .. } => {
            switch(&session, login.as_ref(), wanted.as_deref(), workspace.as_deref(), json).await
        }
    }
}

async fn list(session: &Session<'_>, json: bool) -> Result<(), Error> {
    let granted = ApiTokenScope::of_environment(session.system).organization;
    let current = granted.or(session.context()?.organization);
    let all = session.call(async |api| api.organizations().await).await?;
    // Nothing is written for a token of the environment.
    if !environment_token_is_set(session.system)
        && let Some(current) = all.iter().find(|it| current.as_ref() == Some(&it.id))
    {
        session.config.edit_names(|names| names.remember(&current.id, &current.name));
    }
    let listed = all.into_iter().map(|it| Listed {
        current: current.as_ref() == Some(&it.id),
        is_current: current.as_ref() == Some(&it.id),
        id: it.id,
        name: it.name,
        product: it.product,
    });
    let listing = Listing { version: 1, organizations: listed.collect() };
    if json {
        return print_json(session.system, &listing);
    }
    let row =
        |it: &Listed| Row { current: it.current, cells: vec![it.name.clone(), it.id.clone(), it.product.clone()] };
    let rows: Vec<Row> = listing.organizations.iter().map(row).collect();
    print_table(
        session.system,
        "organizations",
        &[Column::Display("NAME"), Column::Copied("ID"), Column::Copied("PRODUCT")],
        &rows,
    )
}

/// Switches to another organization, and in it to the workspace last used, the only one, or the one that the user chooses.
/// A canceled menu changes nothing.
async fn switch(
    session: &Session<'_>,
    login: Option<&Credentials>,
    wanted: Option<&str>,
    workspace: Option<&str>,
    json: bool,
) -> Result<(), Error> {
    let ui = &session.system.ui;
    if wanted.is_none() && !ui.can_ask() {
        return Err(Error::MissingArgument { what: "organization" });
    }
    let all = session.call(async |api| api.organizations().await).await?;
    let before = session.context()?;
    let Some(organization) = selection::choose_one(ui, all, wanted, before.organization.as_deref()).await? else {
        return Err(Error::NoOrganization);
    };
    let workspaces = session.call(async |api| api.workspaces(&organization.id).await).await?;
    let none = workspaces.is_empty();
    let last_used = before.workspace.or(before.last_used_workspace);
    let workspace = selection::select_workspace(ui, workspaces, workspace, last_used.as_deref()).await?;
    selection::write(session, login, &organization, workspace.as_ref()).await?;
    let switched = Switched {
        version: 1,
        organization: Some(Named::of(&organization)),
        workspace: workspace.as_ref().map(Named::of),
    };
    let organization = organization.name();
    match workspace {
        Some(workspace) => {
            ui.success(&format!("Switched to organization {organization}, workspace {}", workspace.name()));
        }
        None => ui.success(&format!("Switched to organization {organization}")),
    }
    if none {
        ui.say("You have access to no workspace there");
    }
    if json { print_json(session.system, &switched) } else { Ok(()) }
}
