//! The domain that a command is about: the argument's, else `ASTRO_DOMAIN`, else the current context's, else the default.

use crate::config::Config;
use crate::domain::{self, Domain, expand_short_name};
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
    /// The default, because the current context is this one, which is not an Astro context.
    #[error("the default, since the current context is not an Astro context")]
    DefaultInstead(String),
}

/// Returns the domain that a command is about, and its source.
pub fn resolve_domain(
    system: &System,
    config: &Config,
    argument: Option<&str>,
) -> Result<(Domain, DomainSource), Error> {
    let variable = || Some((system.environment.get("ASTRO_DOMAIN")?, DomainSource::EnvVar));
    if let Some((typed, source)) = argument.map(|typed| (typed, DomainSource::Argument)).or_else(variable) {
        // A token in place of the domain is a forgotten flag, and must not be printed.
        if may_be_secret(typed) {
            return Err(Error::TokenAsDomain);
        }
        return Ok((expand_short_name(typed).parse()?, source));
    }
    let default = domain::DEFAULT;
    let document = config.read()?;
    let Some(current) = document.current_context() else {
        return Ok((default.parse()?, DomainSource::Default));
    };
    let named = current.parse().ok().or_else(|| document.current_domain()?.parse().ok());
    if let Some(named) = named {
        return Ok((named, DomainSource::CurrentContext));
    }
    Ok((default.parse()?, DomainSource::DefaultInstead(clean(&current, 100))))
}
