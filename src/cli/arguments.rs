//! What can be typed, and the typed request that it makes.

use std::cell::Cell;
use std::ffi::OsString;
use std::mem::ManuallyDrop;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{
    ArgAction, ArgMatches, Args, ColorChoice, CommandFactory as _, FromArgMatches, Parser, Subcommand, ValueHint,
};
use clap_complete::Shell;

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

/// A command's examples, and these with the exit codes below, for those that end in more than one or two ways.
macro_rules! examples {
    ($short:ident, $long:ident, $examples:literal) => {
        const $short: &str = concat!("Examples:\n", $examples);
        const $long: &str = concat!("Examples:\n", $examples, "\n\n", exit_codes!());
    };
}

macro_rules! main_examples {
    () => {
        "Examples:
  astro login                     sign in with the browser
  astro auth status               show who is signed in, and until when
  astro auth explain MESSAGE      say what an error message means
  astro help login                show everything that a command can do"
    };
}

const MAIN: &str = main_examples!();

const MAIN_LONG: &str = concat!(
    main_examples!(),
    "

Environment:
  ASTRO_DOMAIN                the domain to use where none is named
  ASTRO_API_TOKEN             a token that wins over any login; it is not stored
  ASTRO_HOME                  where .astro/config.yaml is, if not in your home
  ASTRO_NO_INSECURE_FALLBACK  1: no plain text where there is no keychain

",
    exit_codes!()
);

examples!(
    LOGIN,
    LOGIN_LONG,
    "  astro login                              sign in with the browser
  astro login --login-link                 sign in with a browser elsewhere
  printenv ASTRO_JWT | astro login -t -    sign in without a browser, as in CI
  astro login --organization acme --workspace etl"
);

examples!(
    LOGOUT,
    LOGOUT_LONG,
    "  astro logout                    sign out of the current domain
  astro logout astronomer.io      sign out of this one
  astro logout --all              sign out of all of them"
);

const AUTH: &str = "Examples:
  astro auth status               show who is signed in, and until when
  astro auth token                print a token, for other programs
  astro auth doctor               see what is in the way of a login, if anything
  astro auth explain MESSAGE      say what an error message means";

examples!(
    STATUS,
    STATUS_LONG,
    "  astro auth status               ask nobody, only look at what is stored
  astro auth status --check       ask the API too
  astro auth status --json | jq -r .state"
);

examples!(
    DOCTOR,
    DOCTOR_LONG,
    "  astro auth doctor               see what is in the way of a login, if anything
  astro auth doctor --json | jq -r .would"
);

const EXPLAIN: &str = "Examples:
  astro auth explain no reply from the browser within 5 minutes
  astro auth explain keychain     everything that has this word
  astro auth explain | less       everything";

examples!(
    TOKEN,
    TOKEN_LONG,
    "  printf 'Authorization: Bearer %s' \"$(astro auth token)\" |
    curl --header @- https://api.astronomer.io/v1/organizations"
);

const CONTEXT: &str = "Examples:
  astro context list              show the domains, and which is current
  astro context switch astronomer.io";

const CONTEXT_LIST: &str = "Examples:
  astro context list
  astro context list --json | jq -r '.contexts[] | select(.current).domain'";

const CONTEXT_SWITCH: &str = "Examples:
  astro context switch            choose from a list
  astro context switch astronomer.io";

const CONTEXT_DELETE: &str = "Examples:
  astro context delete pr1234.astronomer-dev.io
  astro context delete pr1234.astronomer-dev.io --force    without a question";

const ORGANIZATION: &str = "Examples:
  astro organization list         show the organizations that you belong to
  astro organization switch acme  use another one from now on";

const ORGANIZATION_LIST: &str = "Examples:
  astro organization list
  astro organization list --json | jq -r '.organizations[].name'";

const ORGANIZATION_SWITCH: &str = "Examples:
  astro organization switch       choose from a list
  astro organization switch acme";

const WORKSPACE: &str = "Examples:
  astro workspace list            show the organization's workspaces
  astro workspace switch etl      use another one from now on";

const WORKSPACE_LIST: &str = "Examples:
  astro workspace list
  astro workspace list --json | jq -r '.workspaces[].name'";

const WORKSPACE_SWITCH: &str = "Examples:
  astro workspace switch          choose from a list
  astro workspace switch etl";

const COMPLETION: &str = "Examples:
  # in ~/.bashrc
  eval \"$(astro completion bash)\"
  # in ~/.zshrc, after `compinit`
  eval \"$(astro completion zsh)\"
  # in ~/.config/fish/config.fish
  astro completion fish | source
  # in $PROFILE, for PowerShell
  astro completion powershell | Out-String | Invoke-Expression
  # in ~/.config/elvish/rc.elv
  eval (astro completion elvish | slurp)";

const SIGN_IN: &str = "Sign in to Astro";
const SIGN_IN_LONG: &str = "Sign in to Astro

Asks for your e-mail address, works out the organization, sends you to the browser and notices when you have signed in. \
The credentials go into the keychain of the operating system.";

const SIGN_OUT: &str = "Sign out of Astro";
const SIGN_OUT_LONG: &str = "Sign out of Astro

Revokes the refresh token at the issuer, and removes the credentials from the keychain and from config.yaml. Where the \
issuer is set up so, this signs you out on your other machines too. A copy of the access token works until it expires: no \
issuer takes one back.";

/// Log in to Astro: from a laptop, over SSH, or in CI.
#[derive(Debug, Parser)]
#[command(name = "astro", version, styles = styles(), max_term_width = 100)]
#[command(after_help = MAIN, after_long_help = MAIN_LONG)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: GlobalArgs,
    #[command(subcommand)]
    pub(super) command: AnyCommand,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct GlobalArgs {
    /// Say more: -v each step, -vv each request; never a secret
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(super) verbose: u8,
    /// Say nothing but warnings and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(super) quiet: bool,
    /// When to use colour; `NO_COLOR` is respected
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(super) color: ColorChoice,
}

#[derive(Debug, Subcommand)]
pub(super) enum AnyCommand {
    #[command(flatten)]
    Outward(Command),
    /// Print a script that completes commands in your shell
    ///
    /// With the line below in the shell's own start-up file, the Tab key completes commands and flags in every new shell.
    /// The packages have the scripts in place.
    #[command(after_help = COMPLETION, arg_required_else_help = true)]
    Completion {
        /// Which shell
        shell: Shell,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    #[command(about = SIGN_IN, long_about = SIGN_IN_LONG)]
    Login(Late<LoginArgs>),
    #[command(about = SIGN_OUT, long_about = SIGN_OUT_LONG)]
    Logout(Late<LogoutArgs>),
    /// Sign in and out, show the login, print a token
    #[command(after_help = AUTH, subcommand_required = true, arg_required_else_help = true)]
    #[command(subcommand)]
    Auth(Late<AuthCommand>),
    /// Show and choose the domain in use
    ///
    /// A context is a domain that you have signed in to, with the account, the organization and the workspace in use there.
    /// The contexts are in config.yaml, which the Go CLI reads too.
    #[command(after_help = CONTEXT)]
    #[command(visible_alias = "c", subcommand_required = true, arg_required_else_help = true)]
    #[command(subcommand)]
    Context(Late<ContextArgs>),
    /// Show and choose the organization in use
    #[command(after_help = ORGANIZATION)]
    #[command(visible_alias = "org", subcommand_required = true, arg_required_else_help = true)]
    #[command(subcommand)]
    Organization(Late<OrganizationArgs>),
    /// Show and choose the workspace in use
    #[command(after_help = WORKSPACE)]
    #[command(visible_aliases = ["ws", "w"], subcommand_required = true, arg_required_else_help = true)]
    #[command(subcommand)]
    Workspace(Late<WorkspaceArgs>),
}

/// What clap hears of when somebody names the command that it belongs to: building it all takes longer than most of what
/// is asked for.
#[derive(Debug)]
pub(super) struct Late<T>(pub(super) T);

thread_local! {
    /// Whether it is late. Not for those who want to see all of the command line.
    static LATE: Cell<bool> = const { Cell::new(false) };
}

fn late(command: clap::Command, augment: fn(clap::Command) -> clap::Command) -> clap::Command {
    if LATE.get() { command.defer(augment) } else { augment(command) }
}

/// Reads a command line.
pub(super) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    LATE.set(true);
    // To give it back piece by piece would take a third of the time that it took to make it, and the process ends soon.
    let mut command = ManuallyDrop::new(Cli::command());
    let matches = command.try_get_matches_from_mut(arguments);
    LATE.set(false);
    Cli::from_arg_matches_mut(&mut matches?).map_err(|error| error.format(&mut command))
}

impl<T: Args> Args for Late<T> {
    fn augment_args(command: clap::Command) -> clap::Command {
        late(command, T::augment_args)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        late(command, T::augment_args_for_update)
    }
}

impl<T: Subcommand> Subcommand for Late<T> {
    fn augment_subcommands(command: clap::Command) -> clap::Command {
        late(command, T::augment_subcommands)
    }

    fn augment_subcommands_for_update(command: clap::Command) -> clap::Command {
        late(command, T::augment_subcommands_for_update)
    }

    fn has_subcommand(name: &str) -> bool {
        T::has_subcommand(name)
    }
}

impl<T: FromArgMatches> FromArgMatches for Late<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        T::from_arg_matches(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.update_from_arg_matches(matches)
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum AuthCommand {
    #[command(about = SIGN_IN, long_about = SIGN_IN_LONG)]
    Login(Late<LoginArgs>),
    #[command(about = SIGN_OUT, long_about = SIGN_OUT_LONG)]
    Logout(Late<LogoutArgs>),
    /// Show who is signed in, where, and until when
    ///
    /// Reads what is stored and asks nobody, so it works offline. Where nobody is signed in, it ends with exit code 4.
    #[command(after_help = STATUS, after_long_help = STATUS_LONG)]
    Status {
        /// Print JSON, for scripts
        #[arg(long)]
        json: bool,
        /// Ask the API too whether it accepts the login
        #[arg(long)]
        check: bool,
        /// Which domain; the current one if left out
        #[arg(long, value_hint = ValueHint::Other)]
        domain: Option<String>,
    },
    /// Show what a login would do here, why, and what is in its way
    ///
    /// Looks at the browser, the callback port, the keychain, config.yaml, the network and the clock, as a login does before
    /// it begins. Nothing is changed, and no credentials are sent. The exit code is 1 if a login would fail.
    #[command(after_help = DOCTOR, after_long_help = DOCTOR_LONG)]
    Doctor {
        /// Print JSON, for scripts
        #[arg(long)]
        json: bool,
        /// Which domain; the current one if left out
        #[arg(long, value_hint = ValueHint::Other)]
        domain: Option<String>,
    },
    /// Say what a message of this program means, and what to do
    ///
    /// Finds the message as it was printed, or all those about which these words are said.
    #[command(after_help = EXPLAIN)]
    Explain {
        /// The message, or words; everything if left out
        #[arg(value_hint = ValueHint::Other)]
        words: Vec<String>,
    },
    /// Print a token that is valid now, renewed if need be
    ///
    /// A token that ends within five minutes is renewed first. No browser is ever opened: where only `astro login` helps,
    /// it ends with exit code 4.
    #[command(after_help = TOKEN, after_long_help = TOKEN_LONG)]
    Token {
        /// Which domain; the current one if left out
        #[arg(long, value_hint = ValueHint::Other)]
        domain: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum ContextArgs {
    /// Show all contexts
    #[command(visible_alias = "ls", after_help = CONTEXT_LIST)]
    List {
        /// Print JSON, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Make another context the current one
    #[command(visible_alias = "sw", after_help = CONTEXT_SWITCH)]
    Switch {
        /// The domain; asked for if left out
        #[arg(value_hint = ValueHint::Other)]
        domain: Option<String>,
    },
    /// Sign out of a domain, and delete its context
    #[command(visible_alias = "de", after_help = CONTEXT_DELETE)]
    Delete {
        /// Which one
        #[arg(value_hint = ValueHint::Other)]
        domain: String,
        /// Do not ask first
        #[arg(short, long)]
        force: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum OrganizationArgs {
    /// Show the organizations that you belong to
    #[command(visible_alias = "ls", after_help = ORGANIZATION_LIST)]
    List {
        /// Print JSON, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Use another organization
    #[command(visible_alias = "sw", after_help = ORGANIZATION_SWITCH)]
    Switch {
        /// Its name or ID; asked for if left out
        #[arg(value_name = "NAME|ID", value_hint = ValueHint::Other)]
        wanted: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum WorkspaceArgs {
    /// Show the workspaces of the organization in use
    #[command(visible_alias = "ls", after_help = WORKSPACE_LIST)]
    List {
        /// Print JSON, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Use another workspace
    #[command(visible_alias = "sw", after_help = WORKSPACE_SWITCH)]
    Switch {
        /// Its name or ID; asked for if left out
        #[arg(value_name = "NAME|ID", value_hint = ValueHint::Other)]
        wanted: Option<String>,
    },
}

#[derive(Debug, Args)]
#[command(after_help = LOGOUT, after_long_help = LOGOUT_LONG)]
pub(super) struct LogoutArgs {
    /// Where to sign out; the current domain if left out
    #[arg(conflicts_with = "all", value_hint = ValueHint::Other)]
    pub(super) domain: Option<String>,
    /// Sign out of every Astro domain in config.yaml
    #[arg(long)]
    pub(super) all: bool,
}

#[derive(Debug, Args)]
#[command(after_help = LOGIN, after_long_help = LOGIN_LONG)]
pub(super) struct LoginArgs {
    /// Where to sign in: astronomer.io, a preview, or localhost[:PORT]
    #[arg(value_hint = ValueHint::Other)]
    domain: Option<String>,
    /// The e-mail address to sign in with; any other account is refused
    #[arg(long, value_hint = ValueHint::Other)]
    email: Option<EmailAddress>,
    /// Print a link to the login page instead of opening a browser
    #[arg(short, long)]
    login_link: bool,
    /// Sign in with a token from cloud.astronomer.io/token; `-` reads it from standard input
    #[arg(short, long, value_name = "TOKEN", value_hint = ValueHint::Other, conflicts_with = "login_link")]
    token_login: Option<TokenArgument>,
    /// The organization to use, by name or ID
    #[arg(long, value_name = "NAME|ID", value_hint = ValueHint::Other)]
    organization: Option<String>,
    /// The workspace to use, by name or ID
    #[arg(long, value_name = "NAME|ID", value_hint = ValueHint::Other)]
    workspace: Option<String>,
    /// How long to wait for the browser
    #[arg(long, value_name = "SECONDS", default_value = "300", value_hint = ValueHint::Other, value_parser = clap::value_parser!(u64).range(1..=86_400))]
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

impl From<OrganizationArgs> for PlaceCommand {
    fn from(args: OrganizationArgs) -> Self {
        match args {
            OrganizationArgs::List { json } => Self::List { json },
            OrganizationArgs::Switch { wanted } => Self::Switch { wanted },
        }
    }
}

impl From<WorkspaceArgs> for PlaceCommand {
    fn from(args: WorkspaceArgs) -> Self {
        match args {
            WorkspaceArgs::List { json } => Self::List { json },
            WorkspaceArgs::Switch { wanted } => Self::Switch { wanted },
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
