//! The command line: argv → [`System`] → command → exit code.

mod args;
mod examples;
mod failure;
mod hand_on;
mod runtime;

use std::ffi::OsString;
use std::io::{IsTerminal, Write as _};
use std::path::PathBuf;
use std::process::{self, ExitCode};
use std::sync::{Arc, OnceLock};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ColorChoice, CommandFactory as _, FromArgMatches as _};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use ring::rand::SystemRandom;

use crate::browser::SystemBrowser;
use crate::commands::completion::completion;
use crate::commands::context::context;
use crate::commands::doctor::doctor;
use crate::commands::exec::prepare as exec;
use crate::commands::go_flags;
use crate::commands::login::login;
use crate::commands::logout::logout;
use crate::commands::organization::organization;
use crate::commands::status::status;
use crate::commands::token::token;
use crate::commands::workspace::workspace;
use crate::config::{Config, forbids};
use crate::credentials::Keychain;
use crate::credentials::vault::{self, Vault};
use crate::environment::Environment;
use crate::error::Error;
use crate::http::Http;
use crate::oauth::PendingGrant;
use crate::system::{OsRandom, System};
use crate::text::{NOT_SHOWN, may_be_secret};
use crate::ui::{self, Clipboard, Ui};
use crate::{core_dumps, log};

use args::{AccountCommand, AnyCommand, AuthCommand, Cli, Command};
use failure::{Failure, Json};
use hand_on::CommandLine;

/// The longest typed text that a usage error repeats, in bytes. Every token is longer.
const LONGEST_SHOWN: usize = 24;

/// Returns the clap tree, with which completion scripts and manual pages are generated.
pub fn command() -> clap::Command {
    examples::add(Cli::command())
}

pub fn run(argv: impl IntoIterator<Item = OsString>, environment: Environment) -> ExitCode {
    let limit = core_dumps::forbid();
    let argv: Vec<OsString> = argv.into_iter().collect();
    let json = Json::wanted(&argv);
    let line = CommandLine::new(&argv);
    let tree = Cli::command();
    let mut tip = None;
    if !line.is_ours(&tree) {
        let ui = start_ui(&environment, false, ColorChoice::Auto, json);
        match line.hand_on(&environment, &ui, &limit) {
            Ok(None) if line.is("version") => {
                let version = tree.render_version();
                let written = ui.write_data_ignoring_closed_pipe(version.trim_end());
                return written.map_or_else(|error| end(&ui, &error.into(), json), |()| ExitCode::SUCCESS);
            }
            Ok(None) => tip = Some(hand_on::tip(&environment)),
            Ok(Some(code)) => return code,
            Err(error) => return end(&ui, &error, json),
        }
    }
    let cli = match parse(tree, &argv, || line.last_of_help(&environment)) {
        Ok(cli) => cli,
        Err(error) => return print_usage(error, tip, json),
    };
    let ui = start_ui(&environment, cli.global.quiet, cli.global.color, json);
    log::start(cli.global.verbose.max(cli.global.verbosity.unwrap_or_default()), &ui);
    let outcome = match cli.command {
        // Works without a home directory.
        AnyCommand::Completion { shell } => completion(&ui, shell, command()).map(|()| None),
        AnyCommand::WithSystem(command) => system(environment, ui.clone())
            .and_then(|system| runtime::run(&system, Box::pin(execute(&system, command)))),
    };
    match outcome {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(program)) => {
            limit.set();
            let name = program.get_program().to_string_lossy().into_owned();
            let start = |source| Error::Start { program: name, source };
            hand_on::run(program).unwrap_or_else(|source| end(&ui, &start(source), json))
        }
        Err(error) => end(&ui, &error, json),
    }
}

fn start_ui(environment: &Environment, quiet: bool, color: ColorChoice, json: Json) -> Ui {
    let color = match color {
        ColorChoice::Auto => anstream::ColorChoice::Auto,
        ColorChoice::Always => anstream::ColorChoice::Always,
        ColorChoice::Never => anstream::ColorChoice::Never,
    };
    let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    let asks = json != Json::Events;
    let term = environment.get("TERM");
    let is_capable = terminal && ui::has_escapes() && term.map_or(cfg!(windows), |term| term != "dumb");
    // As for other programs with questions. A value counts as in a prohibition: it forbids drawing.
    let escapes = is_capable && !environment.get("ACCESSIBLE").is_some_and(forbids);
    let clipboard = match environment.get("TMUX") {
        // The Linux console prints a part of such sequences as text, and GNU screen drops them.
        _ if !asks || !is_capable || term == Some("linux") || environment.get("STY").is_some() => Clipboard::None,
        Some(_) => Clipboard::Tmux,
        None => Clipboard::Terminal,
    };
    ui::restore_terminal_on_panic(escapes);
    Ui::new(ui::Options { quiet, color, terminal, escapes, asks, clipboard })
}

/// Reports a failure, and returns its exit code.
fn end(ui: &Ui, error: &Error, json: Json) -> ExitCode {
    report(ui, error, json);
    ExitCode::from(error.exit_code())
}

/// Parses the command line. `last` returns the last line of the help of the whole program.
fn parse(
    mut tree: clap::Command,
    argv: &[OsString],
    last: impl FnOnce() -> Option<String>,
) -> Result<Cli, clap::Error> {
    let argv = go_flags::without_switch_values(argv);
    let parsed = tree.try_get_matches_from_mut(&argv).and_then(|mut matches| {
        go_flags::check(&matches)?;
        Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut tree))
    });
    parsed.map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let command = match last() {
                Some(line) => examples::end_with(command(), &line),
                None => command(),
            };
            command.try_get_matches_from(argv).err().unwrap_or(error)
        }
        _ => error,
    })
}

/// Runs a command. Returns the program that is to take the place of this one, if any.
async fn execute(system: &System, command: Command) -> Result<Option<process::Command>, Error> {
    let outcome = match command {
        Command::Auth(AuthCommand::Exec(request)) => return exec(system, &request).await.map(Some),
        Command::Account(command) | Command::Auth(AuthCommand::Account(command)) => match command {
            AccountCommand::Login(request) => login(system, &request).await,
            AccountCommand::Logout(request) => logout(system, &request).await,
        },
        Command::Auth(AuthCommand::Status(request)) => status(system, &request).await,
        Command::Auth(AuthCommand::Doctor(request)) => doctor(system, &request).await,
        Command::Auth(AuthCommand::Token(request)) => token(system, &request).await,
        Command::Context(request) => context(system, request).await,
        Command::Organization(request) => organization(system, request).await,
        Command::Workspace(request) => workspace(system, request).await,
    };
    outcome.map(|()| None)
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

/// Reports a failure: as JSON if that is wanted, unless the command has printed its own report.
fn report(ui: &Ui, error: &Error, json: Json) {
    let is_wanted = json == Json::Events || (json == Json::Object && !ui.has_written_data());
    if is_wanted && ui.write_data(&Failure::new(error).print(json)).is_ok() {
        return;
    }
    match error {
        // The user pressed Ctrl-C and needs no hint.
        Error::Canceled => ui.canceled(),
        Error::NotChosen { .. } => ui.warn(&error.to_string(), &error.hint().unwrap_or_default()),
        _ => ui.error(&error.to_string(), &error.causes(), error.hint().as_deref()),
    }
}

/// Prints a usage error. The tip is for a command that this program lacks, and not for a misspelled one.
fn print_usage(mut error: clap::Error, tip: Option<String>, json: Json) -> ExitCode {
    hide_secrets(&mut error);
    if error.kind() == ErrorKind::InvalidSubcommand
        && error.get(ContextKind::SuggestedSubcommand).is_none()
        && let Some(tip) = tip
    {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    let is_error = error.use_stderr();
    // A failure to print has nowhere to be reported.
    let _ = if is_error && json != Json::No {
        writeln!(std::io::stdout(), "{}", Failure::of_usage(&error).print(json))
    } else {
        error.print()
    };
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
