//! The command line as a clap tree. The commands' own requests are its leaves, whose arguments clap builds when it needs
//! them (`defer`).

use clap::builder::styling::{AnsiColor, Styles};
use clap::{ArgAction, Args, ColorChoice, Parser, Subcommand};
use clap_complete::Shell;

use crate::commands::context::ContextCommand;
use crate::commands::doctor::Doctor;
use crate::commands::exec::Exec;
use crate::commands::go_flags;
use crate::commands::login::Login;
use crate::commands::logout::Logout;
use crate::commands::selection::{SelectionCommand, Switch};
use crate::commands::status::Status;
use crate::commands::token::Token;

/// Log in to Astro from a laptop, over SSH, or in CI.
#[derive(Debug, Parser)]
#[command(name = "astro", version, styles = styles(), max_term_width = 100)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: GlobalArgs,
    #[command(subcommand)]
    pub(super) command: AnyCommand,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct GlobalArgs {
    /// Verbose output (-v steps, -vv HTTP requests); secrets are never printed
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(super) verbose: u8,
    /// Only print warnings and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(super) quiet: bool,
    /// As in the Go CLI: `info` is -v, `debug` is -vv
    #[arg(long, global = true, hide = true, value_name = "LEVEL", value_parser = parse_level)]
    pub(super) verbosity: Option<u8>,
    /// When to use color (also honors `NO_COLOR`)
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(super) color: ColorChoice,
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
#[expect(clippy::large_enum_variant, reason = "one value a process")]
pub(super) enum AnyCommand {
    #[command(flatten)]
    WithSystem(Command),
    /// Print a completion script for your shell
    ///
    /// Add the line for your shell to its startup file. (Packages install completions automatically.)
    #[command(arg_required_else_help = true)]
    Completion {
        /// Shell to print the script for
        shell: Shell,
    },
}

/// The commands that need the outside world.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    #[command(flatten)]
    Account(AccountCommand),
    /// Log in, log out, and manage credentials
    #[command(subcommand)]
    Auth(AuthCommand),
    /// Manage contexts
    ///
    /// A context is a domain that you logged in to, with its account, organization, and workspace. Contexts are in
    /// config.yaml, which the Go CLI also reads.
    #[command(subcommand, visible_alias = "c")]
    Context(ContextCommand),
    /// List and switch organizations
    #[command(subcommand, visible_alias = "org")]
    #[command(mut_subcommand("list", |list| list.about("List your organizations")))]
    #[command(mut_subcommand("switch", |switch| {
        let arguments = |switch| Switch::augment_args(switch).arg(go_flags::of_organization_switch());
        switch.about("Switch to another organization").defer(arguments)
    }))]
    Organization(SelectionCommand),
    /// List and switch workspaces
    #[command(subcommand, visible_aliases = ["wo", "ws", "w"])]
    #[command(mut_subcommand("list", |list| list.about("List the organization's workspaces")))]
    #[command(mut_subcommand("switch", |switch| {
        // Only an organization has several.
        let arguments = |switch| Switch::augment_args(switch).mut_arg("workspace", |it| it.hide(true));
        switch.about("Switch to another workspace").defer(arguments)
    }))]
    Workspace(SelectionCommand),
}

// The commands that are also in `auth`. A doc comment would become the help of that.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(super) enum AccountCommand {
    /// Log in to Astro or Astro Private Cloud
    ///
    /// Asks for your email, finds your organization, opens the browser, and waits for the login to finish there. For the base
    /// domain of an Astro Private Cloud, it asks for your user name and password, or opens the page that shows you a token to
    /// paste. Credentials are saved in the keychain of the operating system.
    Login(Login),
    /// Log out of Astro or Astro Private Cloud
    ///
    /// Revokes the refresh token and deletes the credentials from the keychain and from config.yaml. Depending on server
    /// settings, this may also log you out on other machines. Access tokens can't be revoked and stay valid until they expire,
    /// and so do tokens of Astro Private Cloud unless an administrator ends them.
    Logout(Logout),
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(super) enum AuthCommand {
    #[command(flatten)]
    Account(AccountCommand),
    /// Show login status
    ///
    /// Works offline. Exits with 4 if not logged in.
    Status(Status),
    /// Diagnose login problems on this machine
    ///
    /// Checks the browser, the callback port, the keychain, config.yaml, the network, and the clock, as a login does.
    /// Changes nothing and sends no credentials. Exits with 1 if a login would fail.
    Doctor(Doctor),
    /// Print a valid access token, refreshing it if needed
    ///
    /// Refreshes tokens that expire within five minutes. Never opens a browser; exits with 4 if you need to log in again.
    Token(Token),
    /// Run a command with a valid access token in its environment
    ///
    /// The token is in `ASTRO_API_TOKEN`, the domain in `ASTRO_DOMAIN`, and the ID of the organization in
    /// `ASTRO_ORGANIZATION`. The token is refreshed first if needed, but not while the command runs. Exits with 4, and runs
    /// nothing, if you need to log in again; with 127 if the command was not found, and 126 if it cannot be executed.
    Exec(Exec),
}

/// Parses a level of the Go CLI.
pub(super) fn parse_level(level: &str) -> Result<u8, String> {
    match level.to_ascii_lowercase().as_str() {
        "debug" | "trace" => Ok(2),
        "info" => Ok(1),
        "warn" | "warning" | "error" | "fatal" | "panic" => Ok(0),
        _ => Err("expected debug, info, warn, error, fatal or panic".to_owned()),
    }
}

fn styles() -> Styles {
    Styles::styled()
        .header(AnsiColor::Green.on_default().bold())
        .usage(AnsiColor::Green.on_default().bold())
        .literal(AnsiColor::Cyan.on_default().bold())
        .placeholder(AnsiColor::Cyan.on_default())
}
