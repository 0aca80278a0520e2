//! `astro organization`: those that the person belongs to, and which of them is in use.

use clap::{Subcommand, ValueHint};
use serde::Serialize;

use super::place;
use super::table::{self, Row};
use crate::choice::Named;
use crate::error::Error;
use crate::session::Session;
use crate::system::System;

/// A request of `astro organization`.
#[derive(Debug, Subcommand)]
pub enum OrganizationCommand {
    /// List your organizations
    #[command(visible_alias = "ls")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Switch to another organization
    #[command(visible_alias = "sw")]
    Switch {
        /// Name or ID [prompts if omitted]
        #[arg(value_name = "NAME|ID", value_hint = ValueHint::Other)]
        wanted: Option<String>,
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
}

/// Does what was asked.
pub async fn organization(system: &System, command: OrganizationCommand) -> Result<(), Error> {
    let session = Session::open(system, None)?;
    match command {
        OrganizationCommand::List { json } => list(&session, json).await,
        OrganizationCommand::Switch { wanted } => switch(&session, wanted.as_deref()).await,
    }
}

async fn list(session: &Session<'_>, json: bool) -> Result<(), Error> {
    let current = session.context()?.organization;
    let all = session.call(async |api| api.organizations().await).await?;
    let listed = all.into_iter().map(|it| Listed {
        current: current.as_ref() == Some(&it.id),
        id: it.id,
        name: it.name,
        product: it.product,
    });
    let listing = Listing { version: 1, organizations: listed.collect() };
    if json {
        return table::json(session.system, &listing);
    }
    let row =
        |it: &Listed| Row { current: it.current, cells: vec![it.name.clone(), it.id.clone(), it.product.clone()] };
    let rows: Vec<Row> = listing.organizations.iter().map(row).collect();
    table::show(session.system, &["NAME", "ID", "PRODUCT"], &rows)
}

/// Uses another organization, and in it the workspace last used, the only one, or the one that the person chooses. A
/// choice that is broken off changes nothing.
async fn switch(session: &Session<'_>, wanted: Option<&str>) -> Result<(), Error> {
    let ui = &session.system.ui;
    if wanted.is_none() && !ui.can_ask() {
        return Err(Error::NothingNamed { what: "organization" });
    }
    let all = session.call(async |api| api.organizations().await).await?;
    let before = session.context()?;
    let Some(organization) = place::pick(ui, all, wanted, before.organization.as_deref()).await? else {
        return Err(Error::NoOrganization);
    };
    let workspaces = session.call(async |api| api.workspaces(&organization.id).await).await?;
    let none = workspaces.is_empty();
    let last_used = before.workspace.or(before.last_used_workspace);
    let workspace =
        place::settle_workspace(ui, workspaces, None, last_used.as_deref(), "astro workspace switch").await?;
    place::write(session, &organization, workspace.as_ref()).await?;
    ui.success(&format!("The organization is {}", organization.name()));
    match workspace {
        Some(workspace) => ui.success(&format!("The workspace is {}", workspace.name())),
        None if none => ui.say("It has no workspace that you may see"),
        // Said already.
        None => {}
    }
    Ok(())
}
