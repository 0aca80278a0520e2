//! What can be typed, and the typed request that it makes.

use std::time::Duration;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{ArgAction, Args, ColorChoice, Parser, Subcommand};

use crate::commands::context::ContextCommand;
use crate::commands::login::{Login, Mode, TokenArgument};
use crate::commands::organization::PlaceCommand;
use crate::email::EmailAddress;

macro_rules! exit_codes {
    () => {
        "Exit codes:
  0    done
  1    failed: the network, the storage, or something else on this machine
  2    the command line is wrong
  4    not authenticated: the sign-in or the token was refused
  130  cancelled"
    };
}

const LOGIN_HELP: &str = concat!(
    "Examples:
  astro login                              sign in with the browser
  astro login --login-link                 sign in with a browser elsewhere
  printenv ASTRO_JWT | astro login -t -    sign in without a browser, as in CI

",
    exit_codes!()
);

const STATUS_HELP: &str = concat!(
    "Examples:
  astro auth status                 who, where, until when; offline
  astro auth status --check         the same, and ask the API
  astro auth status --json | jq -r .state

",
    exit_codes!()
);

const DOCTOR_HELP: &str = concat!(
    "Examples:
  astro auth doctor                 what stands in the way of a login, if anything
  astro auth doctor --json | jq -r .would

",
    exit_codes!()
);

const TOKEN_HELP: &str = concat!(
    "Examples:
  curl -H \"Authorization: Bearer $(astro auth token)\" https://api.astronomer.io/v1/organizations

",
    exit_codes!()
);

const LOGOUT_HELP: &str = concat!(
    "Examples:
  astro logout                      the current domain
  astro logout --all                every domain of Astro's

",
    exit_codes!()
);

/// Log in to Astro: from a laptop, over SSH, or in CI.
#[derive(Debug, Parser)]
#[command(name = "astro", version, styles = styles(), after_help = exit_codes!(), max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: GlobalArgs,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Args)]
pub(super) struct GlobalArgs {
    /// Tell more: -v the steps, -vv each request (never a secret)
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(super) verbose: u8,
    /// Tell only warnings and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(super) quiet: bool,
    /// When to use colour; `NO_COLOR` is respected
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(super) color: ColorChoice,
}

// Login and logout bring their own description along, which a comment here would replace.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Login(LoginArgs),
    Logout(LogoutArgs),
    /// Sign in and out, show the login, print a token
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Auth {
        #[command(subcommand)]
        command: AuthCommand,
    },
    /// Show and choose the domain in use
    #[command(visible_alias = "c", subcommand_required = true, arg_required_else_help = true)]
    Context {
        #[command(subcommand)]
        command: ContextArgs,
    },
    /// Show and choose the organization in use
    #[command(visible_alias = "org", subcommand_required = true, arg_required_else_help = true)]
    Organization {
        #[command(subcommand)]
        command: PlaceArgs,
    },
    /// Show and choose the workspace in use
    #[command(visible_aliases = ["ws", "w"], subcommand_required = true, arg_required_else_help = true)]
    Workspace {
        #[command(subcommand)]
        command: PlaceArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum AuthCommand {
    Login(LoginArgs),
    Logout(LogoutArgs),
    /// Show who is signed in, where, and until when
    #[command(after_help = STATUS_HELP)]
    Status {
        /// Print JSON, for scripts
        #[arg(long)]
        json: bool,
        /// Ask the API too whether it accepts the login
        #[arg(long)]
        check: bool,
        /// The domain; the current one if left out
        #[arg(long)]
        domain: Option<String>,
    },
    /// Show what a login would do here, why, and what is in its way
    ///
    /// Looks at the browser, the callback port, the keychain, config.yaml, the network and the clock, as a login does before
    /// it begins. Nothing is changed, and no credentials are sent. The exit code is 1 if a login would fail.
    #[command(after_help = DOCTOR_HELP)]
    Doctor {
        /// Print JSON, for scripts
        #[arg(long)]
        json: bool,
        /// The domain; the current one if left out
        #[arg(long)]
        domain: Option<String>,
    },
    /// Print a token that is valid now, renewed if need be
    #[command(after_help = TOKEN_HELP)]
    Token {
        /// The domain; the current one if left out
        #[arg(long)]
        domain: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum ContextArgs {
    /// Show all contexts
    #[command(visible_alias = "ls")]
    List {
        /// Print JSON, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Make another context the current one
    #[command(visible_alias = "sw")]
    Switch {
        /// The domain; asked for if left out
        domain: Option<String>,
    },
    /// Sign out of a domain, and delete its context
    #[command(visible_alias = "de")]
    Delete {
        /// The domain
        domain: String,
        /// Without being asked
        #[arg(short, long)]
        force: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum PlaceArgs {
    /// Show all there are
    #[command(visible_alias = "ls")]
    List {
        /// Print JSON, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Use another one
    #[command(visible_alias = "sw")]
    Switch {
        /// Its name or ID; asked for if left out
        #[arg(value_name = "NAME|ID")]
        wanted: Option<String>,
    },
}

/// Sign out of Astro
///
/// Revokes the refresh token at the issuer, and removes the credentials from the keychain and from config.yaml. Where the
/// issuer is set up so, this signs you out on your other machines too. A copy of the access token works until it expires:
/// no issuer takes one back.
#[derive(Debug, Args)]
#[command(after_help = LOGOUT_HELP)]
pub(super) struct LogoutArgs {
    /// Where to sign out; the current domain if left out
    #[arg(conflicts_with = "all")]
    pub(super) domain: Option<String>,
    /// Sign out of every domain of Astro's in config.yaml
    #[arg(long)]
    pub(super) all: bool,
}

/// Sign in to Astro
///
/// Asks for your e-mail address, works out the organization, sends you to the browser and notices when you have signed
/// in. The credentials go into the keychain of the operating system.
#[derive(Debug, Args)]
#[command(after_help = LOGIN_HELP)]
pub(super) struct LoginArgs {
    /// Where to sign in: astronomer.io, a preview, or localhost[:PORT]
    domain: Option<String>,
    /// The e-mail address to sign in with; any other account is refused
    #[arg(long)]
    email: Option<EmailAddress>,
    /// Print a link to the login page instead of opening a browser
    #[arg(short, long)]
    login_link: bool,
    /// Sign in with a token from cloud.astronomer.io/token; `-` reads it from standard input
    #[arg(short, long, value_name = "TOKEN", conflicts_with = "login_link")]
    token_login: Option<TokenArgument>,
    /// The organization to use, by ID or name
    #[arg(long, value_name = "ID|NAME")]
    organization: Option<String>,
    /// The workspace to use, by ID or name
    #[arg(long, value_name = "ID|NAME")]
    workspace: Option<String>,
    /// How long to wait for the browser
    #[arg(long, value_name = "SECONDS", default_value = "300", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    /// Keep the credentials as plain text in config.yaml, where the Go CLI finds them too
    #[arg(long)]
    insecure_storage: bool,
}

impl From<LoginArgs> for Login {
    fn from(args: LoginArgs) -> Self {
        let mode = match args.token_login {
            Some(token) => Mode::Token(token),
            None if args.login_link => Mode::Link,
            None => Mode::Browser,
        };
        Self {
            domain: args.domain,
            email: args.email,
            mode,
            organization: args.organization,
            workspace: args.workspace,
            timeout: Duration::from_secs(args.timeout),
            insecure_storage: args.insecure_storage,
        }
    }
}

impl From<ContextArgs> for ContextCommand {
    fn from(args: ContextArgs) -> Self {
        match args {
            ContextArgs::List { json } => Self::List { json },
            ContextArgs::Switch { domain } => Self::Switch { domain },
            ContextArgs::Delete { domain, force } => Self::Delete { domain, force },
        }
    }
}

impl From<PlaceArgs> for PlaceCommand {
    fn from(args: PlaceArgs) -> Self {
        match args {
            PlaceArgs::List { json } => Self::List { json },
            PlaceArgs::Switch { wanted } => Self::Switch { wanted },
        }
    }
}

fn styles() -> Styles {
    Styles::styled()
        .header(AnsiColor::Green.on_default().bold())
        .usage(AnsiColor::Green.on_default().bold())
        .literal(AnsiColor::Cyan.on_default().bold())
        .placeholder(AnsiColor::Cyan.on_default())
}
