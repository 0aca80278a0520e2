//! A full `astro login` against a local fake service.
//!
//! ```text
//! cargo run --locked --example demo                       in the browser
//! cargo run --locked --example demo -- --login-link       by a link
//! cargo run --locked --example demo -- --token-login -    with a token
//! cargo run --locked --example demo -- --keychain         in the real keychain; deleted on exit
//! cargo run --locked --example demo -- --serve            only the service, for `astro login localhost`
//! ```
//!
//! It runs the program's own `cli::run`, which gets all other arguments. The login server and the API are those of the
//! tests. `scripts/bench` adds `--delay=MILLISECONDS` for each response and `--organizations=COUNT` to `--serve`.

#[path = "../tests/it/support/service.rs"]
mod service;

use std::error::Error;
use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use std::{fs, io};

use anstyle::{AnsiColor, Style};
use astro_login::cli;
use astro_login::config::Config;
use astro_login::credentials::{CredentialStore as _, Keychain};
use astro_login::domain::Domain;
use astro_login::environment::Environment;
use ring::rand::SystemRandom;
use serde_json::json;
use service::{Options, Service};
#[cfg(unix)]
use tokio::signal::unix::{SignalKind, signal};

/// The port of `astro login localhost`.
const PORT: u16 = 8888;
/// The email domain of one organization; any other address gets a menu.
const MANAGED_DOMAIN: &str = "engines.example";
const MARGIN: Style = AnsiColor::Magenta.on_default();

#[expect(clippy::disallowed_methods, reason = "it replaces the program's `main`")]
fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let mut flag = |name: &str| {
        let found = arguments.iter().position(|argument| argument == name);
        found.map(|index| arguments.remove(index)).is_some()
    };
    let (only_serve, keychain) = (flag("--serve"), flag("--keychain"));
    // Without the settings for the real Astro.
    let variables = std::env::vars_os().filter(|(name, _)| !name.to_string_lossy().starts_with("ASTRO_"));
    #[cfg(unix)]
    let _ = end_with_the_terminal();
    let outcome = if only_serve { serve(&arguments) } else { login(keychain, arguments, Environment::new(variables)) };
    outcome.unwrap_or_else(|error| {
        tell(&format!("error: {error}"));
        ExitCode::FAILURE
    })
}

/// Runs one login against its own service, in a temporary home.
fn login(keychain: bool, further: Vec<OsString>, environment: Environment) -> Result<ExitCode, Box<dyn Error>> {
    let service = Service::start(options());
    let home = temporary_home()?;
    let by_token = further.iter().any(|argument| argument == "-t" || argument == "--token-login");
    let mut arguments: Vec<OsString> = vec!["astro".into(), "login".into(), service.domain().into()];
    arguments.extend((!keychain).then(|| "--insecure-storage".into()));
    arguments.extend(further);
    welcome(&service.domain());
    if by_token {
        tell("Use this token instead of one from cloud.astronomer.io/token:");
        say(&format!("{}\n", service.access_token(&json!({}))));
    }
    let words: Vec<_> = arguments.iter().map(|argument| argument.to_string_lossy()).collect();
    tell(&format!("$ {}", words.join(" ")));

    let code = cli::run(arguments, environment.with("ASTRO_HOME", &home.path().to_string_lossy()));

    say("");
    farewell(&home.path().join(".astro").join("config.yaml"));
    if keychain {
        forget(&service.domain().parse()?, home.path())?;
    }
    home.close()?;
    Ok(code)
}

/// Deletes the tokens from the keychain after Ctrl-C.
fn forget(domain: &Domain, home: &Path) -> Result<(), Box<dyn Error>> {
    let home = Config::new(home).home_id(dirs::home_dir().as_deref());
    let account = home.as_ref().map_or_else(|| domain.to_string(), |home| format!("{domain}@{home}"));
    let store = Keychain::new(SystemRandom::new(), home);
    // Without a keychain, the tokens are in the file.
    if let Ok(Some(_)) = store.load(domain) {
        if io::stdin().is_terminal() {
            tell(&format!("The tokens are in {}, account {account}. Press Ctrl-C to delete them.", store.describe()));
            until_ctrl_c()?;
        }
        store.delete(domain)?;
        tell("Deleted the tokens from the keychain.");
    }
    Ok(())
}

/// Serves on the port of `localhost` until Ctrl-C.
fn serve(arguments: &[OsString]) -> Result<ExitCode, Box<dyn Error>> {
    drop(TcpListener::bind((Ipv4Addr::LOCALHOST, PORT)).map_err(|error| format!("port {PORT}: {error}"))?);
    let value = |name: &str| {
        let mut values =
            arguments.iter().filter_map(|argument| argument.to_str()?.strip_prefix(name)?.parse::<u32>().ok());
        values.next()
    };
    let mut options = Options { port: PORT, demands_client: false, ..options() };
    options.delay = Duration::from_millis(value("--delay=").unwrap_or_default().into());
    if let Some(count) = value("--organizations=") {
        options = options.organizations(count as usize, 1);
    }
    let service = Service::start(options);
    let home = temporary_home()?;
    welcome(&service.domain());
    let path = home.path().display();
    let set = if cfg!(windows) { format!("$env:ASTRO_HOME='{path}';") } else { format!("ASTRO_HOME='{path}'") };
    tell("Run this in another terminal. Press Ctrl-C to stop the demo.");
    tell(&format!("$ {set} astro login localhost --insecure-storage"));
    tell("After the login, the API answers:");
    tell(&format!(
        "$ printf 'Authorization: Bearer %s' \"$({set} astro auth token)\" |\n    curl --header @- http://localhost:{PORT}/v1/organizations"
    ));
    tell("With --token-login, use this token instead of one from cloud.astronomer.io/token:");
    say(&format!("{}\n", service.access_token(&json!({}))));
    until_ctrl_c()?;
    farewell(&home.path().join(".astro").join("config.yaml"));
    home.close()?;
    Ok(ExitCode::SUCCESS)
}

/// Two organizations with three workspaces.
fn options() -> Options {
    let mut options = Options::default();
    options.organizations[0].managed_domains = vec![MANAGED_DOMAIN.to_owned()];
    options
}

fn temporary_home() -> io::Result<tempfile::TempDir> {
    tempfile::Builder::new().prefix("astro-demo-").tempdir()
}

fn welcome(domain: &str) {
    tell(&format!(
        "A full `astro login` against a local fake service.\n\n\
         The login server and the API are fakes running at {domain}.\n\
         Any email and password works. Don't use real ones.\n\
         {MANAGED_DOMAIN} addresses belong to one organization; any other address\n\
         gets a menu.\n\n\
         Your own settings are not touched: the demo uses a temporary home, which is\n\
         deleted on exit."
    ));
}

/// Prints config.yaml with truncated tokens.
fn farewell(config: &Path) {
    let Ok(text) = fs::read_to_string(config) else { return tell("Nothing was saved.") };
    let cut = |line: &str| match line.split_once("token: ") {
        Some((key, token)) => format!("  {key}token: {token:.24}…\n"),
        None => format!("  {line}\n"),
    };
    let text: String = text.lines().map(cut).collect();
    let path = config.display();
    tell(&format!("Saved (tokens truncated; deleted on exit):\n{path}\n\n{text}"));
}

/// Waits for Ctrl-C or SIGTERM.
fn until_ctrl_c() -> io::Result<()> {
    // `cli::run` has installed signal handlers, so Ctrl-C would not end a read from stdin.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        #[cfg(unix)]
        {
            let mut terminated = signal(SignalKind::terminate())?;
            tokio::select! {
                outcome = tokio::signal::ctrl_c() => outcome,
                _ = terminated.recv() => Ok(()),
            }
        }
        #[cfg(not(unix))]
        tokio::signal::ctrl_c().await
    })
}

/// Turns SIGHUP into SIGTERM, so that a closed terminal deletes the temporary home as well.
#[cfg(unix)]
fn end_with_the_terminal() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut closed = {
        let _context = runtime.enter();
        signal(SignalKind::hangup())?
    };
    std::thread::spawn(move || {
        runtime.block_on(closed.recv());
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM)
    });
    Ok(())
}

/// Prints text of the demo, marked to tell it from the program's.
fn tell(text: &str) {
    for line in text.lines() {
        say(&format!("{MARGIN}demo │{MARGIN:#} {line}"));
    }
    say("");
}

/// Prints a line to stderr. Ignores a closed stderr, so that the demo still cleans up.
fn say(line: &str) {
    let _ = writeln!(anstream::stderr(), "{line}");
}
