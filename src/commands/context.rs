//! `astro context`: the domains that config.yaml knows, which of them is current, and their removal.
//!
//! Contexts of Astro Private Cloud stand in the same file. They are listed and can be made current; nothing else is
//! done to them.

use serde::Serialize;

use super::logout::sign_out;
use super::table::{self, Row};
use crate::aside::aside;
use crate::config::{Config, Context};
use crate::domain::Domain;
use crate::error::Error;
use crate::session::Session;
use crate::system::System;

/// What `astro context` was asked to do.
#[derive(Debug)]
pub enum ContextCommand {
    /// Show all contexts.
    List {
        /// As JSON.
        json: bool,
    },
    /// Make another one current.
    Switch {
        /// The domain, as it was typed; asked for where it is missing.
        domain: Option<String>,
    },
    /// Sign out of a domain, and forget it.
    Delete {
        /// The domain, as it was typed.
        domain: String,
        /// Without asking.
        force: bool,
    },
}

#[derive(Serialize)]
struct Listing {
    version: u32,
    contexts: Vec<Listed>,
}

#[derive(Serialize)]
struct Listed {
    domain: String,
    current: bool,
    astro: bool,
    account: Option<String>,
    organization: Option<String>,
    workspace: Option<String>,
}

/// Does what was asked.
pub async fn context(system: &System, command: ContextCommand) -> Result<(), Error> {
    let config = Config::new(&system.home);
    match command {
        ContextCommand::List { json } => list(system, &config, json),
        ContextCommand::Switch { domain } => switch(system, &config, domain.as_deref()).await,
        ContextCommand::Delete { domain, force } => delete(system, &domain.parse()?, force).await,
    }
}

fn list(system: &System, config: &Config, json: bool) -> Result<(), Error> {
    let document = config.read()?;
    let current = document.current_context();
    let listed = |context: Context| Listed {
        current: current.as_ref() == Some(&context.domain),
        astro: context.domain.parse::<Domain>().is_ok(),
        account: context.user_email,
        organization: context.organization,
        workspace: context.workspace,
        domain: context.domain,
    };
    let listing = Listing { version: 1, contexts: document.contexts().into_iter().map(listed).collect() };
    if json {
        return table::json(system, &listing);
    }
    let row = |it: &Listed| {
        let account = if it.astro { it.account.clone() } else { Some("(Astro Private Cloud)".to_owned()) };
        let cells = [Some(it.domain.clone()), account, it.organization.clone(), it.workspace.clone()];
        Row { current: it.current, cells: cells.into_iter().map(Option::unwrap_or_default).collect() }
    };
    let rows: Vec<Row> = listing.contexts.iter().map(row).collect();
    table::show(system, &["DOMAIN", "ACCOUNT", "ORGANIZATION", "WORKSPACE"], &rows)
}

async fn switch(system: &System, config: &Config, typed: Option<&str>) -> Result<(), Error> {
    let mut known: Vec<String> = config.read()?.contexts().into_iter().map(|context| context.domain).collect();
    let domain = match typed {
        Some(typed) => {
            // What the person types may be one of Astro's names in another dress, or a name that only the Go CLI knows.
            let wanted = typed.parse::<Domain>().map_or_else(|_| typed.to_owned(), |domain| domain.to_string());
            let shown = crate::text::clean(&wanted, 100);
            known.into_iter().find(|domain| *domain == wanted).ok_or(Error::NoContext { domain: shown })?
        }
        None if system.ui.can_ask() => {
            let labels = known.iter().map(|domain| crate::text::clean(domain, 100)).collect();
            let chosen = system.ui.choose("Context:", labels, 0).await?;
            known.swap_remove(chosen)
        }
        None => return Err(Error::NothingNamed { what: "context" }),
    };
    let (config, name) = (config.clone(), domain.clone());
    aside(move || config.edit(|document| document.set_current_context(Some(&name)))).await??;
    system.ui.success(&format!("The current context is {}", crate::text::clean(&domain, 100)));
    Ok(())
}

async fn delete(system: &System, domain: &Domain, force: bool) -> Result<(), Error> {
    let session = Session::of(system, domain.clone());
    if session.config.read()?.context(domain).is_none() {
        return Err(Error::NoContext { domain: domain.to_string() });
    }
    if !force {
        if !system.ui.can_ask() {
            return Err(Error::NotForced);
        }
        let question = format!("Sign out of {domain} and delete its context?");
        if !system.ui.confirm(&question, false).await? {
            return Err(Error::Cancelled);
        }
    }
    if !sign_out(&session).await {
        return Err(Error::Remains { domains: domain.to_string() });
    }
    let (config, doomed) = (session.config.clone(), domain.clone());
    aside(move || config.edit(|document| document.delete_context(&doomed))).await??;
    system.ui.success(&format!("The context {domain} is deleted"));
    Ok(())
}
