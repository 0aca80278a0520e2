//! The command line: what can be typed, turned into one typed request per command, run, and reported.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Styles};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, Args, ColorChoice, Parser, Subcommand};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use ring::rand::SystemRandom;
use tokio::sync::Mutex;

use crate::browser::{SystemBrowser, decide};
use crate::commands::context::{self, ContextCommand};
use crate::commands::login::{self, Login, Mode, TokenArgument};
use crate::commands::logout::{self, Logout};
use crate::commands::organization::{self, PlaceCommand};
use crate::commands::status::{self, Status};
use crate::commands::{token, workspace};
use crate::credentials::Keychain;
use crate::email::EmailAddress;
use crate::environment::Environment;
use crate::error::Error;
use crate::http::Http;
use crate::system::{OsRandom, System};
use crate::text::clean;
use crate::ui::{self, Ui};
use crate::{core_dumps, jwt, log};

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

/// What is over within this time needs no announcement.
const SILENT_BOUND: Duration = Duration::from_millis(300);

/// Few words that make sense here are longer, in bytes; every token is.
const LONGEST_SHOWN: usize = 40;

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
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct GlobalArgs {
    /// Tell more: -v the steps, -vv each request (never a secret)
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    /// Tell only warnings and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// When to use colour; `NO_COLOR` is respected
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: ColorChoice,
}

// Login and logout bring their own description along, which a comment here would replace.
#[derive(Debug, Subcommand)]
enum Command {
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
enum AuthCommand {
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
    /// Print a token that is valid now, renewed if need be
    #[command(after_help = TOKEN_HELP)]
    Token {
        /// The domain; the current one if left out
        #[arg(long)]
        domain: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
enum ContextArgs {
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
enum PlaceArgs {
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
struct LogoutArgs {
    /// Where to sign out; the current domain if left out
    #[arg(conflicts_with = "all")]
    domain: Option<String>,
    /// Sign out of every domain of Astro's in config.yaml
    #[arg(long)]
    all: bool,
}

/// Sign in to Astro
///
/// Asks for your e-mail address, works out the organization, sends you to the browser and notices when you have signed
/// in. The credentials go into the keychain of the operating system.
#[derive(Debug, Args)]
#[command(after_help = LOGIN_HELP)]
struct LoginArgs {
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

/// Runs one command line to its end: reads it, does what it says, reports a failure and names the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>, environment: Environment) -> ExitCode {
    core_dumps::forbid();
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(refused) => return refuse(refused),
    };
    ui::restore_terminal_on_panic();
    jwt::provider::install();
    let color = match cli.global.color {
        ColorChoice::Auto => anstream::ColorChoice::Auto,
        ColorChoice::Always => anstream::ColorChoice::Always,
        ColorChoice::Never => anstream::ColorChoice::Never,
    };
    let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    let ui = Ui::new(ui::Options { quiet: cli.global.quiet, color, terminal });
    log::start(cli.global.verbose, &ui);
    match system(environment, ui.clone()).and_then(|system| finish(&system, cli.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&ui, &error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// Runs one command on a runtime of its own, until it ends or the person ends it.
fn finish(system: &System, command: Command) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        let mut running = std::pin::pin!(execute(system, command));
        tokio::select! {
            outcome = &mut running => return outcome,
            () = interrupted() => {}
        }
        // Between the keychain and config.yaml, or between a spent refresh token and its successor, is no place to stop.
        // Whoever insists presses Ctrl-C again.
        let stored = async {
            if tokio::time::timeout(SILENT_BOUND, system.storing.lock()).await.is_err() {
                system.ui.warn("one moment: the login is being stored; Ctrl-C again stops at once");
                drop(system.storing.lock().await);
            }
        };
        tokio::select! {
            biased;
            () = stored => Err(Error::Cancelled),
            outcome = &mut running => outcome,
            () = interrupted() => Err(Error::Cancelled),
        }
    });
    // A name that is being resolved, or a keychain that does not answer, must not hold the process.
    runtime.shutdown_background();
    outcome
}

async fn execute(system: &System, command: Command) -> Result<(), Error> {
    match command {
        Command::Login(args) | Command::Auth { command: AuthCommand::Login(args) } => {
            login::login(system, &args.into()).await
        }
        Command::Logout(args) | Command::Auth { command: AuthCommand::Logout(args) } => {
            logout::logout(system, &Logout { domain: args.domain, all: args.all }).await
        }
        Command::Auth { command: AuthCommand::Status { json, check, domain } } => {
            status::status(system, &Status { domain, json, check }).await
        }
        Command::Auth { command: AuthCommand::Token { domain } } => token::token(system, domain.as_deref()).await,
        Command::Context { command } => context::context(system, command.into()).await,
        Command::Organization { command } => organization::organization(system, command.into()).await,
        Command::Workspace { command } => workspace::workspace(system, command.into()).await,
    }
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
    let browser = SystemBrowser::new(decide(&environment, std::env::consts::OS));
    Ok(System {
        environment,
        home,
        http: Http::default(),
        browser: Arc::new(browser),
        keychain: Arc::new(Keychain::new(SystemRandom::new())),
        ui,
        now,
        time_zone: TimeZone::system(),
        storing: Mutex::new(()),
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
