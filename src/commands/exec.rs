//! `astro auth exec`: prepares a command with a token in its environment. The token never appears in an argument.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use clap::{Args, ValueHint};

use super::api_token_scope::ApiTokenScope;
use super::token::{ValidToken, Validity, valid_token};
use crate::domain::Product;
use crate::environment::API_TOKEN;
use crate::error::Error;
use crate::jwt::Unverified;
use crate::next_astro;
use crate::session::Session;
use crate::system::System;

#[derive(Debug, Args)]
pub struct Exec {
    /// Domain [default: current context]
    #[arg(short, long, value_hint = ValueHint::Other)]
    pub domain: Option<String>,
    #[command(flatten)]
    pub validity: Validity,
    /// Variable for the token, may be repeated [default: `ASTRO_API_TOKEN`]
    #[arg(long = "env", value_name = "NAME", value_parser = parse_name, value_hint = ValueHint::Other)]
    pub names: Vec<String>,
    /// Command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    #[arg(value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
}

fn parse_name(name: &str) -> Result<String, String> {
    let is_name = !name.is_empty() && !name.starts_with(|it: char| it.is_ascii_digit());
    let is_name = is_name && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_name { Ok(name.to_owned()) } else { Err("expected the name of a variable".to_owned()) }
}

/// Returns the command with the token, the domain and the organization in its environment. Starts nothing.
pub async fn prepare(system: &System, request: &Exec) -> Result<Command, Error> {
    let (program, arguments) = request.command.split_first().ok_or(Error::NoCommand)?;
    if next_astro::is_other_astro(&system.environment, Path::new(program)) {
        return Err(Error::ExecOfAstro);
    }
    let domain = request.domain.as_deref();
    let ValidToken { token, domain, .. } = valid_token(system, domain, request.validity.valid_for, false).await?;
    if let Some(domain) = domain.as_ref().filter(|it| request.names.is_empty() && it.product() == Product::PrivateCloud)
    {
        return Err(Error::ExecWithoutVariable { domain: domain.to_string() });
    }
    let mut command = Command::new(program);
    command.args(arguments);
    let default = [API_TOKEN.to_owned()];
    for name in if request.names.is_empty() { &default } else { &request.names[..] } {
        command.env(name, token.expose());
    }
    let scope = Unverified::parse(token.expose()).map(|claims| ApiTokenScope::of(&claims)).unwrap_or_default();
    let mut organization = scope.organization;
    if let Some(domain) = domain {
        command.env("ASTRO_DOMAIN", domain.to_string());
        if organization.is_none() {
            organization = Session::for_domain(system, domain).context()?.organization;
        }
    }
    if let Some(organization) = organization {
        command.env("ASTRO_ORGANIZATION", organization);
    }
    Ok(command)
}
