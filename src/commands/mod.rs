//! The commands, one module each.

mod api_token_scope;
pub mod completion;
pub mod context;
pub mod doctor;
pub mod exec;
pub mod go_flags;
mod list;
pub mod login;
pub mod logout;
pub mod organization;
pub mod selection;
pub mod status;
pub mod token;
pub mod workspace;

use clap::{Args, ValueHint};

// The domain of a command, as an argument or as a flag. A doc comment would become the help of the command.
#[derive(Debug, Default, Clone, Args)]
pub struct DomainArgument {
    /// Domain [default: current context]
    #[arg(value_hint = ValueHint::Other)]
    domain: Option<String>,
    /// The same as the argument DOMAIN
    #[arg(id = "domain-flag", short, long = "domain", value_name = "DOMAIN", conflicts_with = "domain")]
    #[arg(value_hint = ValueHint::Other)]
    flag: Option<String>,
}

impl DomainArgument {
    pub fn get(&self) -> Option<&str> {
        self.domain.as_deref().or(self.flag.as_deref())
    }
}

impl From<Option<String>> for DomainArgument {
    fn from(domain: Option<String>) -> Self {
        Self { domain, flag: None }
    }
}

// A doc comment would become the help of the command.
#[derive(Debug, Default, Args)]
#[command(args = go_flags::of_json())]
pub struct JsonArgument {
    /// Print JSON
    #[arg(long, default_value_if("output", "json", "true"))]
    json: bool,
}

impl JsonArgument {
    pub fn get(&self) -> bool {
        self.json
    }
}

impl From<bool> for JsonArgument {
    fn from(json: bool) -> Self {
        Self { json }
    }
}
