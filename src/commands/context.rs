//! `astro context`: lists the contexts of config.yaml, switches between them, and deletes them.
//!
//! Contexts of Astro Private Cloud are in the same file. They are listed, can be made current, and can be deleted.

use clap::Subcommand;
use serde::Serialize;

use super::list::{Column, Row, print_list, print_member};
use super::logout::{Removal, log_out};
use super::{DomainArgument, JsonArgument};
use crate::config::{Config, Context};
use crate::credentials::StoreError;
use crate::domain::{Domain, DomainError, Product, expand_typed};
use crate::error::{Error, NotFound, Warning};
use crate::session::{Session, edit_config};
use crate::system::System;
use crate::text::clean;

#[derive(Debug, Subcommand)]
pub enum ContextCommand {
    /// List contexts
    #[command(visible_alias = "ls")]
    List {
        #[command(flatten)]
        json: JsonArgument,
    },
    /// Switch to another context
    #[command(visible_alias = "sw")]
    #[command(mut_arg("domain", |domain| domain.help("Domain [prompts if omitted]")))]
    Switch {
        #[command(flatten)]
        domain: DomainArgument,
        #[command(flatten)]
        json: JsonArgument,
    },
    /// Log out of a domain and delete its context
    #[command(visible_alias = "de", mut_arg("domain", |domain| domain.help("Context to delete")))]
    #[command(mut_group("DomainArgument", |domain| domain.required(true)))]
    Delete {
        #[command(flatten)]
        domain: DomainArgument,
        /// Skip confirmation
        #[arg(short, long, short_alias = 'y', alias = "yes")]
        force: bool,
        #[command(flatten)]
        json: JsonArgument,
    },
}

#[derive(Serialize)]
struct Listed {
    domain: String,
    current: bool,
    /// The same under the Go CLI's name.
    #[serde(rename = "isCurrent")]
    is_current: bool,
    astro: bool,
    account: Option<String>,
    organization: Option<String>,
    workspace: Option<String>,
}

pub async fn context(system: &System, command: ContextCommand) -> Result<(), Error> {
    let config = Config::new(&system.home);
    let (json, member, name) = match command {
        ContextCommand::List { json } => return list(system, &config, json.get()),
        ContextCommand::Switch { domain, json } => {
            let name = switch(system, &config, domain.get()).await?;
            system.ui.success(&format!("Switched to context {name}"));
            if system.environment.get("ASTRO_DOMAIN").is_some() {
                Warning::DomainOverrides.show(&system.ui);
            }
            (json, "context", name)
        }
        ContextCommand::Delete { domain, force, json } => {
            let typed = domain.get().unwrap_or_default();
            let name = match expand_typed(typed).parse() {
                Ok(domain) => delete(system, &domain, force).await?,
                Err(not_a_domain) => delete_foreign(system, &config, typed, force, not_a_domain).await?,
            };
            (json, "deleted", name)
        }
    };
    if json.get() { print_member(system, member, name) } else { Ok(()) }
}

fn list(system: &System, config: &Config, json: bool) -> Result<(), Error> {
    let document = config.read()?;
    let current = document.current_context();
    // The values in the file came from servers and other programs.
    let shown = |text: &str| clean(text, 200);
    let listed = |context: Context| Listed {
        domain: shown(&context.domain),
        current: current.as_ref() == Some(&context.domain),
        is_current: current.as_ref() == Some(&context.domain),
        astro: context.product == Product::Astro,
        account: context.user_email.as_deref().map(shown),
        organization: context.organization.as_deref().map(shown),
        workspace: context.workspace.as_deref().map(shown),
    };
    let contexts = document.contexts().into_iter().map(listed).collect();
    let known = config.names();
    let named = |id: Option<String>| id.map(|id| known.name(&id).unwrap_or(id));
    let row = |it: Listed| {
        let account = if it.astro { it.account } else { Some("(Astro Private Cloud)".to_owned()) };
        let cells = [Some(it.domain), account, named(it.organization), named(it.workspace)];
        Row { current: it.current, cells: cells.into_iter().map(Option::unwrap_or_default).collect() }
    };
    let header = [
        Column::Copied("DOMAIN"),
        Column::Display("ACCOUNT"),
        Column::Display("ORGANIZATION"),
        Column::Display("WORKSPACE"),
    ];
    print_list(system, "context", json, contexts, &header, row)
}

/// Returns the name of the context that is current now.
async fn switch(system: &System, config: &Config, typed: Option<&str>) -> Result<String, Error> {
    let document = config.read()?;
    let mut known = document.domains();
    let labels = || known.iter().map(|domain| clean(domain, 100)).collect();
    let chosen = match typed {
        Some(typed) => match (find_context(&known, typed), expand_typed(typed).parse::<Domain>()) {
            (Some(found), _) => found,
            (None, Ok(domain)) if domain.product() == Product::Astro => return switch_to_new(config, domain).await,
            (None, _) => return Err(no_context(typed, labels())),
        },
        None if !system.ui.can_ask() => return Err(Error::MissingArgument { what: "context" }),
        None if known.is_empty() => return Err(Error::NoContexts),
        None => {
            let current = document.current_context();
            let current = known.iter().position(|domain| Some(domain) == current.as_ref());
            let chosen = system.ui.choose("Context:", labels(), current.unwrap_or_default()).await;
            chosen.map_err(Error::of_menu("context"))?
        }
    };
    let name = known.swap_remove(chosen);
    let shown = clean(&name, 100);
    edit_config(config, move |document| document.set_current_context(Some(&name))).await?;
    Ok(shown)
}

/// Switches to an Astro domain that was never used here. The Go CLI needs a context for it.
async fn switch_to_new(config: &Config, domain: Domain) -> Result<String, Error> {
    let name = domain.to_string();
    edit_config(config, move |document| {
        document.update_context(&domain, |_| ())?;
        document.set_current_context(Some(domain.as_str()))
    })
    .await?;
    Ok(name)
}

/// Finds a context by exact name, else by an equivalent spelling of an Astro domain.
fn find_context(known: &[String], typed: &str) -> Option<usize> {
    let typed = typed.trim();
    let parsed = expand_typed(typed).parse::<Domain>().ok();
    known.iter().position(|domain| domain == typed).or_else(|| {
        let wanted = parsed.as_ref().map_or(typed, Domain::as_str);
        known.iter().position(|domain| domain.eq_ignore_ascii_case(wanted))
    })
}

fn no_context(typed: &str, known: Vec<String>) -> Error {
    NotFound::Nothing { kind: "context", wanted: clean(typed, 100), known }.into()
}

/// Returns `true` for a login whose context was deleted by the Go CLI, which knows no keychain.
async fn is_in_keychain(session: &Session<'_>) -> Result<bool, Error> {
    match session.keychain(|store, domain| store.load(domain)).await {
        Ok(found) => Ok(found.is_some()),
        Err(StoreError::Absent { .. }) => Ok(false),
        Err(StoreError::Damaged | StoreError::NewerFormat) => Ok(true),
        Err(failure) => Err(session.keychain_error(failure)),
    }
}

async fn confirm(system: &System, question: &str, force: bool) -> Result<(), Error> {
    if !force && !system.ui.can_ask() {
        return Err(Error::ConfirmationRequired);
    }
    if force || system.ui.confirm(question, false).await? { Ok(()) } else { Err(Error::Canceled) }
}

/// Deletes a context whose name is not a domain, with the token in it. Nothing can revoke that token.
async fn delete_foreign(
    system: &System,
    config: &Config,
    typed: &str,
    force: bool,
    not_a_domain: DomainError,
) -> Result<String, Error> {
    config.check_owner()?;
    let mut known = config.read()?.domains();
    let Some(found) = find_context(&known, typed) else { return Err(not_a_domain.into()) };
    let name = known.swap_remove(found);
    let shown = clean(&name, 100);
    confirm(system, &format!("Delete the context {shown}?"), force).await?;
    edit_config(config, move |document| {
        document.delete_foreign_context(&name)?;
        if document.current_context().as_ref() == Some(&name) { document.set_current_context(None) } else { Ok(()) }
    })
    .await?;
    system.ui.success(&format!("Deleted context {shown}"));
    Ok(shown)
}

/// Logs out of the domain and deletes its context, even if the issuer or the keychain fails. Warns of what remains.
async fn delete(system: &System, domain: &Domain, force: bool) -> Result<String, Error> {
    let session = Session::for_domain(system, domain.clone());
    session.config.check_owner()?;
    let document = session.config.read()?;
    if document.context(domain).is_none() && !is_in_keychain(&session).await? {
        let known = document.domains().iter().map(|domain| clean(domain, 100)).collect();
        return Err(no_context(domain.as_str(), known));
    }
    confirm(system, &format!("Log out of {domain} and delete its context?"), force).await?;
    let removal = log_out(&session).await;
    let deleted = domain.clone();
    edit_config(&session.config, move |document| {
        document.delete_context(&deleted)?;
        let current = document.current_context().and_then(|current| current.parse::<Domain>().ok());
        if current.as_ref() == Some(&deleted) { document.set_current_context(None) } else { Ok(()) }
    })
    .await?;
    system.ui.success(&format!("Deleted context {domain}"));
    match removal {
        Removal::Whole | Removal::Nothing => Ok(domain.to_string()),
        Removal::Partial => Err(Error::LogoutIncomplete { domains: domain.to_string() }),
    }
}
