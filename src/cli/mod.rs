//! The command line: what was typed, turned into one typed request per command, run, and reported.

mod arguments;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ColorChoice, CommandFactory as _};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use ring::rand::SystemRandom;

use crate::browser::SystemBrowser;
use crate::commands::completion;
use crate::commands::context;
use crate::commands::doctor::{self, Doctor};
use crate::commands::explain::explain;
use crate::commands::login;
use crate::commands::logout::{self, Logout};
use crate::commands::organization;
use crate::commands::status::{self, Status};
use crate::commands::{token, workspace};
use crate::credentials::Keychain;
use crate::environment::Environment;
use crate::error::Error;
use crate::http::Http;
use crate::oauth::PendingGrant;
use crate::system::{OsRandom, System};
use crate::text::clean;
use crate::ui::{self, Ui};
use crate::{core_dumps, jwt, log};

use arguments::{AnyCommand, AuthCommand, Cli, Command, Late};

/// What is over within this time needs no announcement.
const SILENT_BOUND: Duration = Duration::from_millis(300);

/// Few words that make sense here are longer, in bytes; every token is.
const LONGEST_SHOWN: usize = 40;

/// The command line as clap knows it, for whatever is made of it: completion scripts and manual pages.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs one command line to its end: reads it, does what it says, reports a failure and names the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>, environment: Environment) -> ExitCode {
    core_dumps::forbid();
    let cli = match arguments::parse(arguments) {
        Ok(cli) => cli,
        Err(refused) => return refuse(refused),
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
        // It needs nothing of this machine, not even a home directory.
        AnyCommand::Completion { shell } => completion::completion(&ui, shell, command()),
        AnyCommand::Outward(command) => system(environment, ui.clone()).and_then(|system| finish(&system, command)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&ui, &error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// A command that is under way.
type Running<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + 'a>>;

/// Runs one command to its end.
fn finish(system: &System, command: Command) -> Result<(), Error> {
    let running: Running<'_> = match command {
        Command::Login(Late(args)) | Command::Auth(Late(AuthCommand::Login(Late(args)))) => {
            Box::pin(async move { login::login(system, &args.into()).await })
        }
        Command::Logout(Late(args)) | Command::Auth(Late(AuthCommand::Logout(Late(args)))) => {
            Box::pin(async move { logout::logout(system, &Logout { domain: args.domain, all: args.all }).await })
        }
        Command::Auth(Late(AuthCommand::Status { json, check, domain })) => {
            Box::pin(async move { status::status(system, &Status { domain, json, check }).await })
        }
        Command::Auth(Late(AuthCommand::Doctor { json, domain })) => {
            Box::pin(async move { doctor::doctor(system, &Doctor { domain, json }).await })
        }
        Command::Auth(Late(AuthCommand::Explain { words })) => return explain(&system.ui, &words),
        Command::Auth(Late(AuthCommand::Token { domain })) => {
            Box::pin(async move { token::token(system, domain.as_deref()).await })
        }
        Command::Context(Late(command)) => Box::pin(context::context(system, command.into())),
        Command::Organization(Late(command)) => Box::pin(organization::organization(system, command.into())),
        Command::Workspace(Late(command)) => Box::pin(workspace::workspace(system, command.into())),
    };
    wait(system, running)
}

/// Waits for a command, on a runtime of its own, until it ends or the person ends it.
fn wait(system: &System, mut running: Running<'_>) -> Result<(), Error> {
    jwt::crypto::install();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = &mut running => return outcome,
            () = interrupted() => {}
        }
        // Between the keychain and config.yaml, or between a spent refresh token and its successor, is no place to stop;
        // and what was granted and is not kept goes back. Whoever insists presses Ctrl-C again.
        let wound_up = async {
            let mut given_back = std::pin::pin!(system.revoke_pending_grant());
            if tokio::time::timeout(SILENT_BOUND, &mut given_back).await.is_err() {
                system.ui.warn("one moment: the login is being stored or given back; Ctrl-C again stops at once");
                given_back.await;
            }
        };
        tokio::select! {
            biased;
            () = wound_up => Err(Error::Cancelled),
            outcome = &mut running => outcome,
            () = interrupted() => Err(Error::Cancelled),
        }
    });
    // A name that is being resolved, or a keychain that does not answer, must not hold the process.
    runtime.shutdown_background();
    outcome
}

/// Ends with Ctrl-C, or with the signal by which a session is ended.
async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminated.recv() => {}
            }
            return;
        }
    }
    // Where no handler can be installed, the signal ends the process by itself.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// The real outside world.
fn system(environment: Environment, ui: Ui) -> Result<System, Error> {
    let home = environment.get("ASTRO_HOME").map(PathBuf::from).or_else(dirs::home_dir).ok_or(Error::NoHome)?;
    Ok(System {
        environment,
        machine: OnceLock::new(),
        http: Http::default(),
        home,
        browser: Arc::new(SystemBrowser),
        keychain: Arc::new(Keychain::new(SystemRandom::new())),
        ui,
        now,
        time_zone: TimeZone::system,
        pending_grant: PendingGrant::default(),
        random: Arc::new(OsRandom(SystemRandom::new())),
    })
}

#[expect(clippy::disallowed_methods, reason = "the one place where the clock is read")]
fn now() -> Timestamp {
    Timestamp::now()
}

fn report(ui: &Ui, error: &Error) {
    match error {
        // What the person has just done needs no explanation.
        Error::Cancelled => ui.warn("cancelled"),
        _ => ui.error(&error.to_string(), &error.causes(), error.hint().as_deref()),
    }
}

/// Shows help, or what is wrong with the command line.
fn refuse(mut refused: clap::Error) -> ExitCode {
    if refused.kind() == ErrorKind::InvalidSubcommand
        && let Some(ContextValue::String(name)) = refused.get(ContextKind::InvalidSubcommand)
        && name.len() <= LONGEST_SHOWN
    {
        let advice = format!("this program only signs in; for `{}` use the Go CLI", clean(name, LONGEST_SHOWN));
        refused.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![advice.into()]));
    }
    // Whatever is in a wrong place may be a token.
    for kind in [ContextKind::InvalidArg, ContextKind::InvalidSubcommand, ContextKind::InvalidValue] {
        if matches!(refused.get(kind), Some(ContextValue::String(value)) if value.len() > LONGEST_SHOWN) {
            refused.insert(kind, ContextValue::String("(too long to be shown)".to_owned()));
        }
    }
    // That help cannot be printed is nothing anyone could be told.
    let _ = refused.print();
    ExitCode::from(u8::try_from(refused.exit_code()).unwrap_or(2))
}
