//! The domain that a command is about: the argument's, else `ASTRO_DOMAIN`, else the current context's, else the default.

use std::fmt;

use crate::config::{Config, Document};
use crate::domain::{self, Domain, expand_short_name};
use crate::error::Error;
use crate::system::System;
use crate::text::{clean, may_be_secret};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DomainSource {
    Argument,
    EnvVar,
    CurrentContext,
    /// The default, because config.yaml names no current context.
    Default,
    /// The default, because the current context is this one, which is not an Astro context.
    DefaultInstead(String),
}

impl fmt::Display for DomainSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Argument => "from the command line",
            Self::EnvVar => "from ASTRO_DOMAIN",
            Self::CurrentContext => "the current context",
            Self::Default => "the default",
            Self::DefaultInstead(_) => "the default, since the current context is not an Astro context",
        })
    }
}

/// Returns the domain that a command is about, and its source.
pub fn resolve_domain(
    system: &System,
    config: &Config,
    argument: Option<&str>,
) -> Result<(Domain, DomainSource), Error> {
    match named_domain(system, argument)? {
        Some(named) => Ok(named),
        None => current_domain(&config.read()?),
    }
}

/// Returns the domain of the argument or the variable.
pub(super) fn named_domain(system: &System, argument: Option<&str>) -> Result<Option<(Domain, DomainSource)>, Error> {
    let variable = || Some((system.environment.get("ASTRO_DOMAIN")?, DomainSource::EnvVar));
    let named = argument.map(|typed| (typed, DomainSource::Argument)).or_else(variable);
    let Some((typed, source)) = named else { return Ok(None) };
    // A token in place of the domain is a forgotten flag, and must not be printed.
    if may_be_secret(typed) {
        return Err(Error::TokenAsDomain);
    }
    Ok(Some((expand_short_name(typed).parse()?, source)))
}

/// Returns the domain of the current context, else the default.
pub(super) fn current_domain(document: &Document) -> Result<(Domain, DomainSource), Error> {
    let default = domain::DEFAULT;
    let Some(current) = document.current_context() else {
        return Ok((default.parse()?, DomainSource::Default));
    };
    let named = current.parse().ok().or_else(|| document.current_domain()?.parse().ok());
    if let Some(named) = named {
        return Ok((named, DomainSource::CurrentContext));
    }
    Ok((default.parse()?, DomainSource::DefaultInstead(clean(&current, 100))))
}
