//! The command line as a clap tree. The commands' own requests are its leaves.

use clap::builder::styling::{AnsiColor, Styles};
use clap::{ArgAction, Args, ColorChoice, Parser, Subcommand};
use clap_complete::Shell;

use crate::commands::DomainArgument;
use crate::commands::context::ContextCommand;
use crate::commands::doctor::Doctor;
use crate::commands::login::Login;
use crate::commands::logout::Logout;
use crate::commands::selection::SelectionCommand;
use crate::commands::status::Status;

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
    /// When to use color (also honors `NO_COLOR`)
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(super) color: ColorChoice,
}

#[derive(Debug, Subcommand)]
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
    Login(Login),
    Logout(Logout),
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
    #[command(mut_subcommand("switch", |switch| switch.about("Switch to another organization")))]
    Organization(SelectionCommand),
    /// List and switch workspaces
    #[command(subcommand, visible_aliases = ["ws", "w"])]
    #[command(mut_subcommand("list", |list| list.about("List the organization's workspaces")))]
    #[command(mut_subcommand("switch", |switch| switch.about("Switch to another workspace")))]
    Workspace(SelectionCommand),
}

#[derive(Debug, Subcommand)]
pub(super) enum AuthCommand {
    Login(Login),
    Logout(Logout),
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
    Token(DomainArgument),
}

fn styles() -> Styles {
    Styles::styled()
        .header(AnsiColor::Green.on_default().bold())
        .usage(AnsiColor::Green.on_default().bold())
        .literal(AnsiColor::Cyan.on_default().bold())
        .placeholder(AnsiColor::Cyan.on_default())
}
