//! The whole `astro login`, for someone without an account and without a network.
//!
//! ```text
//! cargo run --locked --release --example demo                       in the browser
//! cargo run --locked --release --example demo -- --login-link       by a link
//! cargo run --locked --release --example demo -- --token-login -    with a token
//! cargo run --locked --release --example demo -- --keychain         with the real keychain, which forgets it at the end
//! cargo run --locked --release --example demo -- --serve            only the service, for `astro login localhost`
//! ```
//!
//! The program is the one that ships, entered where `main` enters it; whatever else follows the `--` goes to it. The
//! identity provider and the API are those of the tests.

#[path = "../tests/it/support/service.rs"]
mod service;

use std::error::Error;
use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::ExitCode;
use std::{fs, io};

use anstyle::{AnsiColor, Style};
use astro_login::cli;
use astro_login::credentials::{CredentialStore as _, Keychain};
use astro_login::domain::Domain;
use astro_login::environment::Environment;
use ring::rand::SystemRandom;
use serde_json::json;
use service::{Options, Service};
#[cfg(unix)]
use tokio::signal::unix::{SignalKind, signal};

/// Where `astro login localhost` goes.
const PORT: u16 = 8888;
/// An address in this domain belongs to one organization; whoever has another is asked which one they mean.
const MANAGED_DOMAIN: &str = "engines.example";
const MARGIN: Style = AnsiColor::Magenta.on_default();

#[expect(clippy::disallowed_methods, reason = "it stands in for the program's own `main`")]
fn main() -> ExitCode {
    let (own, further): (Vec<OsString>, Vec<OsString>) =
        std::env::args_os().skip(1).partition(|argument| argument == "--serve" || argument == "--keychain");
    let asked = |flag: &str| own.iter().any(|argument| argument == flag);
    // What the person has set up for the real Astro has no place here.
    let variables = std::env::vars_os().filter(|(name, _)| !name.to_string_lossy().starts_with("ASTRO_"));
    #[cfg(unix)]
    let _ = end_with_the_terminal();
    let outcome =
        if asked("--serve") { serve() } else { login(asked("--keychain"), further, Environment::new(variables)) };
    outcome.unwrap_or_else(|failure| {
        tell(&format!("The demo cannot go on: {failure}."));
        ExitCode::FAILURE
    })
}

/// Runs one login against a service of its own, in a temporary home.
fn login(keychain: bool, further: Vec<OsString>, environment: Environment) -> Result<ExitCode, Box<dyn Error>> {
    let service = Service::start(world(0));
    let home = temporary_home()?;
    let by_token = further.iter().any(|argument| argument == "-t" || argument == "--token-login");
    let mut arguments: Vec<OsString> = vec!["astro".into(), "login".into(), service.domain().into()];
    arguments.extend((!keychain).then(|| "--insecure-storage".into()));
    arguments.extend(further);
    welcome(&service.domain());
    if by_token {
        tell("Use this token, such as cloud.astronomer.io/token makes:");
        say(&format!("{}\n", service.access_token(&json!({}))));
    }
    let words: Vec<_> = arguments.iter().map(|argument| argument.to_string_lossy()).collect();
    tell(&format!("$ {}", words.join(" ")));

    let code = cli::run(arguments, environment.with("ASTRO_HOME", &home.path().to_string_lossy()));

    say("");
    farewell(&home.path().join(".astro").join("config.yaml"));
    if keychain {
        forget(&service.domain().parse()?)?;
    }
    home.close()?;
    Ok(code)
}

/// Takes the tokens out of the keychain again, once the person has had a look at them.
fn forget(domain: &Domain) -> Result<(), Box<dyn Error>> {
    let store = Keychain::new(SystemRandom::new());
    // Where there is no keychain, the tokens went into the file.
    if let Ok(Some(_)) = store.load(domain) {
        if io::stdin().is_terminal() {
            tell(&format!("The tokens are in {}, account {domain}. Ctrl-C removes them.", store.describe()));
            until_ctrl_c()?;
        }
        store.delete(domain)?;
        tell("The tokens are gone from the keychain.");
    }
    Ok(())
}

/// Serves where the program looks for `localhost`, until Ctrl-C.
fn serve() -> Result<ExitCode, Box<dyn Error>> {
    drop(TcpListener::bind((Ipv4Addr::LOCALHOST, PORT)).map_err(|error| format!("port {PORT}: {error}"))?);
    let service = Service::start(world(PORT));
    let home = temporary_home()?;
    welcome(&service.domain());
    let path = home.path().display();
    let set = if cfg!(windows) { format!("$env:ASTRO_HOME='{path}';") } else { format!("ASTRO_HOME='{path}'") };
    tell("Type this in another terminal, as often as you like. Ctrl-C ends the demo.");
    tell(&format!("$ {set} astro login localhost --insecure-storage"));
    tell("With --token-login, use this token, such as cloud.astronomer.io/token makes:");
    say(&format!("{}\n", service.access_token(&json!({}))));
    until_ctrl_c()?;
    farewell(&home.path().join(".astro").join("config.yaml"));
    home.close()?;
    Ok(ExitCode::SUCCESS)
}

/// Two organizations with three workspaces.
fn world(port: u16) -> Options {
    let mut world = Options { port, ..Options::default() };
    world.organizations[0].managed_domains = vec![MANAGED_DOMAIN.to_owned()];
    world
}

fn temporary_home() -> io::Result<tempfile::TempDir> {
    tempfile::Builder::new().prefix("astro-demo-").tempdir()
}

fn welcome(domain: &str) {
    tell(&format!(
        "This is the whole `astro login`, without an account and without a network.\n\n\
         The identity provider and the API are pretend ones at {domain}.\n\
         Any e-mail address and any password will do; please, no real ones.\n\
         Someone at {MANAGED_DOMAIN} belongs to one organization; others are asked.\n\n\
         Your own settings stay as they are: all this goes to a temporary home,\n\
         which is removed at the end."
    ));
}

/// Shows what was written, with the tokens cut short.
fn farewell(config: &Path) {
    let Ok(text) = fs::read_to_string(config) else { return tell("Nothing was written.") };
    let cut = |line: &str| match line.split_once("token: ") {
        Some((key, token)) => format!("  {key}token: {token:.24}…\n"),
        None => format!("  {line}\n"),
    };
    let text: String = text.lines().map(cut).collect();
    let path = config.display();
    tell(&format!("This was written, tokens cut short here; it is removed when the demo ends:\n{path}\n\n{text}"));
}

/// Waits for Ctrl-C, or for the signal by which a session is ended.
fn until_ctrl_c() -> io::Result<()> {
    // The program has taken the signals for itself, so a question that is read from stdin could not be broken off.
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

/// A terminal that is closed ends the demo as any other end does: the temporary home goes.
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

/// The demo's own words, marked, so that they are not taken for the program's.
fn tell(text: &str) {
    for line in text.lines() {
        say(&format!("{MARGIN}demo │{MARGIN:#} {line}"));
    }
    say("");
}

/// A line on stderr. That nobody reads it any more is no reason to leave anything behind.
fn say(line: &str) {
    let _ = writeln!(anstream::stderr(), "{line}");
}
