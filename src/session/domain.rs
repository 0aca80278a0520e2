//! The domain that a command is about: the argument's, else `ASTRO_DOMAIN`, else the current context's, else the default.

use crate::config::{Config, Document};
use crate::domain::{self, Domain, Product, expand_typed};
use crate::error::Error;
use crate::system::System;
use crate::text::{clean, may_be_secret};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DomainSource {
    #[error("from the command line")]
    Argument,
    #[error("from ASTRO_DOMAIN")]
    EnvVar,
    #[error("the current context")]
    CurrentContext,
    /// The default, because config.yaml names no current context.
    #[error("the default")]
    Default,
    /// The default, because the current context is this one, which is not a domain.
    #[error("the default, since the current context is not a domain")]
    DefaultInstead(String),
}

/// Returns the domain that a command is about, and its source.
pub fn resolve_domain(
    system: &System,
    config: &Config,
    argument: Option<&str>,
) -> Result<(Domain, DomainSource), Error> {
    find_domain(system, config, argument).map(|(domain, source, _)| (domain, source))
}

/// Resolves the domain, and returns the settings too if they were read for it.
pub(super) fn find_domain(
    system: &System,
    config: &Config,
    argument: Option<&str>,
) -> Result<(Domain, DomainSource, Option<Document>), Error> {
    let variable = || Some((system.environment.get("ASTRO_DOMAIN")?, DomainSource::EnvVar));
    if let Some((typed, source)) = argument.map(|typed| (typed, DomainSource::Argument)).or_else(variable) {
        // A token in place of the domain is a forgotten flag, and must not be printed.
        if may_be_secret(typed) {
            return Err(Error::TokenAsDomain);
        }
        return Ok((expand_typed(typed).parse()?, source, None));
    }
    let default = domain::DEFAULT;
    let document = config.read()?;
    let Some(current) = document.current_context() else {
        return Ok((default.parse()?, DomainSource::Default, Some(document)));
    };
    // The name of the context, if that is Astro's; else its domain, as in the Go CLI.
    let named: Option<Domain> = current.parse().ok();
    let is_astro = |it: &Domain| it.product() == Product::Astro;
    let of_context = || document.current_domain()?.parse().ok();
    if let Some(named) = named.clone().filter(is_astro).or_else(of_context).or(named) {
        return Ok((named, DomainSource::CurrentContext, Some(document)));
    }
    Ok((default.parse()?, DomainSource::DefaultInstead(clean(&current, 100)), Some(document)))
}
