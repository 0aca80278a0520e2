//! The command line: argv → [`System`] → command → exit code.

mod args;
mod examples;
mod go_cli;
mod runtime;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ColorChoice, CommandFactory as _, Parser as _};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use ring::rand::SystemRandom;

use crate::browser::SystemBrowser;
use crate::commands::completion::completion;
use crate::commands::context::context;
use crate::commands::doctor::doctor;
use crate::commands::login::login;
use crate::commands::logout::logout;
use crate::commands::organization::organization;
use crate::commands::status::status;
use crate::commands::token::token;
use crate::commands::workspace::workspace;
use crate::config::Config;
use crate::credentials::Keychain;
use crate::credentials::vault::{self, Vault};
use crate::environment::Environment;
use crate::error::Error;
use crate::http::Http;
use crate::oauth::PendingGrant;
use crate::system::{OsRandom, System};
use crate::text::{NOT_SHOWN, may_be_secret};
use crate::ui::{self, Ui};
use crate::{core_dumps, log};

use args::{AnyCommand, AuthCommand, Cli, Command};

/// The longest typed text that a usage error repeats, in bytes. Every token is longer.
const LONGEST_SHOWN: usize = 24;

/// Returns the clap tree, with which completion scripts and manual pages are generated.
pub fn command() -> clap::Command {
    examples::add(Cli::command())
}

pub fn run(argv: impl IntoIterator<Item = OsString>, environment: Environment) -> ExitCode {
    core_dumps::forbid();
    let argv: Vec<OsString> = argv.into_iter().collect();
    let cli = match parse(&argv) {
        Ok(cli) => cli,
        Err(error) => return print_usage(error, &argv),
    };
    let color = match cli.global.color {
        ColorChoice::Auto => anstream::ColorChoice::Auto,
        ColorChoice::Always => anstream::ColorChoice::Always,
        ColorChoice::Never => anstream::ColorChoice::Never,
    };
    let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    let escapes = terminal && environment.get("TERM").map_or(cfg!(windows), |term| term != "dumb");
    ui::restore_terminal_on_panic(escapes);
    let ui = Ui::new(ui::Options { quiet: cli.global.quiet, color, terminal, escapes });
    log::start(cli.global.verbose, &ui);
    let outcome = match cli.command {
        // Works without a home directory.
        AnyCommand::Completion { shell } => completion(&ui, shell, command()),
        AnyCommand::WithSystem(command) => system(environment, ui.clone())
            .and_then(|system| runtime::run(&system, Box::pin(execute(&system, command)))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&ui, &error);
            ExitCode::from(error.exit_code())
        }
    }
}

fn parse(argv: &[OsString]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(argv).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            command().try_get_matches_from(argv).err().unwrap_or(error)
        }
        _ => error,
    })
}

async fn execute(system: &System, command: Command) -> Result<(), Error> {
    match command {
        Command::Login(request) | Command::Auth(AuthCommand::Login(request)) => login(system, &request).await,
        Command::Logout(request) | Command::Auth(AuthCommand::Logout(request)) => logout(system, &request).await,
        Command::Auth(AuthCommand::Status(request)) => status(system, &request).await,
        Command::Auth(AuthCommand::Doctor(request)) => doctor(system, &request).await,
        Command::Auth(AuthCommand::Token(domain)) => token(system, domain.get()).await,
        Command::Context(request) => context(system, request).await,
        Command::Organization(request) => organization(system, request).await,
        Command::Workspace(request) => workspace(system, request).await,
    }
}

/// Returns the folder that holds `.astro`: `ASTRO_HOME`, else the home directory.
fn home(environment: &Environment) -> Result<PathBuf, Error> {
    // Windows takes the home directory from the user's profile.
    let variables: &[&str] = if cfg!(unix) { &["ASTRO_HOME", "HOME"] } else { &["ASTRO_HOME"] };
    for name in variables {
        if let Some(home) = environment.absolute_path(name)? {
            return Ok(home.to_owned());
        }
    }
    dirs::home_dir().ok_or(Error::NoHome)
}

fn system(environment: Environment, ui: Ui) -> Result<System, Error> {
    environment.check()?;
    let home = home(&environment)?;
    let ordinary_home = dirs::home_dir().filter(|home| home.is_absolute());
    let keychain = Keychain::new(SystemRandom::new(), Config::new(&home).home_id(ordinary_home.as_deref()));
    // As in Astro CLI 2: without this variable there is no vault.
    let vault_home = environment.get_os(if cfg!(windows) { "USERPROFILE" } else { "HOME" }).map(PathBuf::from);
    let vault_home = vault_home.filter(|home| home.is_absolute());
    let vault = Vault::new(vault_home.as_deref(), Arc::new(vault::Keyring), SystemRandom::new());
    Ok(System {
        http: Http::default().in_environment(&environment),
        environment,
        machine: OnceLock::new(),
        home,
        browser: Arc::new(SystemBrowser),
        keychain: Arc::new(keychain),
        vault: Arc::new(vault),
        ui,
        now,
        time_zone: TimeZone::system,
        pending_grant: PendingGrant::default(),
        random: Arc::new(OsRandom(SystemRandom::new())),
    })
}

#[expect(clippy::disallowed_methods, reason = "the only place that reads the clock")]
fn now() -> Timestamp {
    Timestamp::now()
}

fn report(ui: &Ui, error: &Error) {
    match error {
        // The user pressed Ctrl-C and needs no hint.
        Error::Canceled => ui.canceled(),
        Error::NotChosen { .. } => ui.warn(&error.to_string(), &error.hint().unwrap_or_default()),
        _ => ui.error(&error.to_string(), &error.causes(), error.hint().as_deref()),
    }
}

fn print_usage(mut error: clap::Error, argv: &[OsString]) -> ExitCode {
    hide_secrets(&mut error);
    if error.kind() == ErrorKind::InvalidSubcommand
        && let Some(ContextValue::String(name)) = error.get(ContextKind::InvalidSubcommand)
        && name != NOT_SHOWN
        && let Some(command) = go_cli::command(argv, name)
    {
        let advice = format!("this program only logs in; use the Go CLI for `{command}`");
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![advice.into()]));
    }
    // A failure to print has nowhere to be reported.
    let _ = error.print();
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// Removes typed text that may be a token from a usage error: a token in the wrong place, or glued to a flag.
fn hide_secrets(error: &mut clap::Error) {
    let typed = match error.kind() {
        ErrorKind::UnknownArgument => ContextKind::InvalidArg,
        ErrorKind::InvalidSubcommand => ContextKind::InvalidSubcommand,
        _ => ContextKind::InvalidValue,
    };
    let is_shown = |text: &str| {
        text.len() <= LONGEST_SHOWN && !may_be_secret(text) && !text.trim_start_matches('-').starts_with("token-login")
    };
    if matches!(error.get(typed), Some(ContextValue::String(text)) if !is_shown(text)) {
        error.insert(typed, ContextValue::String(NOT_SHOWN.to_owned()));
        // clap's own tip repeats the text.
        let advice = "to log in with a token, use `--token-login -` and paste it there";
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![advice.into()]));
    }
}
