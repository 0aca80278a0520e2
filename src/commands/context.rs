//! `astro context`: the domains that config.yaml knows, which of them is current, and their removal.
//!
//! Contexts of Astro Private Cloud stand in the same file. They are listed and can be made current; nothing else is
//! done to them.

use clap::{Subcommand, ValueHint};
use serde::Serialize;

use super::logout::sign_out;
use super::table::{self, Row};
use crate::aside::aside;
use crate::choice::NotFound;
use crate::config::{Config, Context};
use crate::domain::Domain;
use crate::error::Error;
use crate::session::Session;
use crate::system::System;
use crate::text::clean;

/// A request of `astro context`.
#[derive(Debug, Subcommand)]
pub enum ContextCommand {
    /// List contexts
    #[command(visible_alias = "ls")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Switch to another context
    #[command(visible_alias = "sw")]
    Switch {
        /// Domain [prompts if omitted]
        #[arg(value_hint = ValueHint::Other)]
        domain: Option<String>,
    },
    /// Log out of a domain and delete its context
    #[command(visible_alias = "de")]
    Delete {
        /// Context to delete
        #[arg(value_hint = ValueHint::Other)]
        domain: String,
        /// Skip confirmation
        #[arg(short, long)]
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
    // The file is the person's, but what stands in it came from elsewhere.
    let shown = |text: &str| clean(text, 200);
    let listed = |context: Context| Listed {
        domain: shown(&context.domain),
        current: current.as_ref() == Some(&context.domain),
        astro: context.domain.parse::<Domain>().is_ok(),
        account: context.user_email.as_deref().map(shown),
        organization: context.organization.as_deref().map(shown),
        workspace: context.workspace.as_deref().map(shown),
    };
    let listing = Listing { version: 1, contexts: document.contexts().into_iter().map(listed).collect() };
    if json {
        return table::json(system, &listing);
    }
    let row = |it: Listed| {
        let account = if it.astro { it.account } else { Some("(Astro Private Cloud)".to_owned()) };
        let cells = [Some(it.domain), account, it.organization, it.workspace];
        Row { current: it.current, cells: cells.into_iter().map(Option::unwrap_or_default).collect() }
    };
    let rows: Vec<Row> = listing.contexts.into_iter().map(row).collect();
    table::show(system, &["DOMAIN", "ACCOUNT", "ORGANIZATION", "WORKSPACE"], &rows)
}

async fn switch(system: &System, config: &Config, typed: Option<&str>) -> Result<(), Error> {
    let document = config.read()?;
    let mut known = document.domains();
    let labels = || known.iter().map(|domain| clean(domain, 100)).collect();
    let chosen = match typed {
        Some(typed) => named(&known, typed).ok_or_else(|| no_context(typed, labels()))?,
        None if !system.ui.can_ask() => return Err(Error::NothingNamed { what: "context" }),
        None if known.is_empty() => return Err(Error::NoContexts),
        None => {
            let current = document.current_context();
            let current = known.iter().position(|domain| Some(domain) == current.as_ref());
            system.ui.choose("Context:", labels(), current.unwrap_or_default()).await?
        }
    };
    let name = known.swap_remove(chosen);
    let shown = clean(&name, 100);
    let config = config.clone();
    aside(move || config.edit(|document| document.set_current_context(Some(&name)))).await??;
    system.ui.success(&format!("The current context is {shown}"));
    if system.environment.get("ASTRO_DOMAIN").is_some() {
        system.ui.warn("ASTRO_DOMAIN is set, and wins over the current context");
    }
    Ok(())
}

/// The context that was meant: by its very name, or by one of Astro's names in another dress.
fn named(known: &[String], typed: &str) -> Option<usize> {
    let typed = typed.trim();
    let parsed = typed.parse::<Domain>().ok();
    known.iter().position(|domain| domain == typed).or_else(|| {
        known.iter().position(|domain| match &parsed {
            Some(parsed) => domain == parsed.as_str(),
            None => domain.eq_ignore_ascii_case(typed),
        })
    })
}

fn no_context(typed: &str, known: Vec<String>) -> Error {
    NotFound::Nothing { kind: "context", wanted: clean(typed, 100), known }.into()
}

/// Signs out of the domain and forgets it, whatever the issuer and the keychain say to that; what remains is told.
async fn delete(system: &System, domain: &Domain, force: bool) -> Result<(), Error> {
    let session = Session::of(system, domain.clone());
    let document = session.config.read()?;
    if document.context(domain).is_none() {
        let known = document.domains().iter().map(|domain| clean(domain, 100)).collect();
        return Err(no_context(domain.as_str(), known));
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
    let signed_out = sign_out(&session).await;
    let (config, doomed) = (session.config.clone(), domain.clone());
    aside(move || {
        config.edit(|document| {
            document.delete_context(&doomed)?;
            let current = document.current_context().and_then(|current| current.parse::<Domain>().ok());
            if current.as_ref() == Some(&doomed) { document.set_current_context(None) } else { Ok(()) }
        })
    })
    .await??;
    system.ui.success(&format!("The context {domain} is deleted"));
    if signed_out { Ok(()) } else { Err(Error::Remains { domains: domain.to_string() }) }
}
