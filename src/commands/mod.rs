//! The commands, one module each.

mod api_token_scope;
pub mod completion;
pub mod context;
pub mod doctor;
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
