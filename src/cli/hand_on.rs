//! Hands commands that this program lacks to the next `astro` on `PATH`.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::{Command, ExitCode};

use super::args::parse_level;
use crate::config::Config;
use crate::core_dumps::InheritedLimit;
use crate::domain::{Domain, Product, expand_typed};
use crate::environment::{API_TOKEN, Environment};
use crate::error::Error;
use crate::log;
use crate::next_astro::{self, HANDED_ON, MOST_HANDED_ON, NextError, Skipped};
use crate::text::may_be_secret;
use crate::ui::Ui;

pub(super) const WHERE_TO_GET_IT: &str = "https://www.astronomer.io/docs/astro/cli/install-cli";

/// The parts of a command line that decide which program runs it.
pub(super) struct CommandLine<'a> {
    argv: &'a [OsString],
    /// The command, and what follows it except for flags and their values.
    words: Vec<&'a OsStr>,
    /// The verbosity that the flags before the command ask for.
    verbosity: u8,
}

impl<'a> CommandLine<'a> {
    pub(super) fn new(argv: &'a [OsString]) -> Self {
        let mut line = Self { argv, words: Vec::new(), verbosity: 0 };
        let mut arguments = argv.iter().skip(1);
        while let Some(argument) = arguments.next() {
            let text = argument.to_string_lossy();
            if !text.starts_with('-') || text == "-" {
                line.words.push(argument);
                continue;
            }
            if matches!(&*text, "-h" | "--help" | "-V" | "--version") && line.words.is_empty() {
                break;
            }
            let (flag, value) =
                text.split_once('=').map_or((&*text, None), |(flag, value)| (flag, Some(value.to_owned())));
            let value = if value.is_some() || is_switch(flag) {
                value
            } else {
                // As the Go CLI does, takes the word behind an unknown flag for its value.
                arguments.next().map(|value| value.to_string_lossy().into_owned())
            };
            if line.words.is_empty() {
                line.verbosity = line.verbosity.max(verbosity(flag, value.as_deref()));
            }
        }
        line
    }

    /// Returns `true` for a command of this program, and for text that may be a token, which no other program gets.
    pub(super) fn is_ours(&self, tree: &clap::Command) -> bool {
        let mut words = self.words.iter().skip_while(|word| **word == "help");
        let is_secret = |word: &OsStr| may_be_secret(&word.to_string_lossy());
        let Some(first) = words.next() else { return true };
        let Some(command) = tree.find_subcommand(first) else { return is_secret(first) };
        // Of these groups, this program has a part.
        if !["context", "organization", "workspace"].contains(&command.get_name()) {
            return true;
        }
        words.next().is_some_and(|second| command.find_subcommand(second).is_some() || is_secret(second))
    }

    /// Returns the last line of the help of the whole program, which names the program that runs all other commands.
    pub(super) fn last_of_help(&self, environment: &Environment) -> Option<String> {
        if self.words.iter().any(|word| *word != "help") {
            return None;
        }
        let program = next_astro::next(environment).ok()??;
        Some(format!("All other commands run {}", program.display()))
    }

    /// Returns `true` if the command line is this command alone.
    pub(super) fn is(&self, word: &str) -> bool {
        matches!(self.words[..], [only] if only == word)
    }

    /// Runs the next `astro` with the same arguments. Returns only if there is none, or if it could not be run.
    pub(super) fn hand_on(
        &self,
        environment: &Environment,
        ui: &Ui,
        limit: &InheritedLimit,
    ) -> Result<Option<ExitCode>, Error> {
        let Some(program) = next_astro::next(environment)? else { return Ok(None) };
        let count = next_astro::handed_on(environment);
        if count >= MOST_HANDED_ON {
            return Err(NextError::Loop(program).into());
        }
        log::start(self.verbosity, ui);
        tracing::info!(program = %program.display(), "running the next astro");
        if ui.can_ask() {
            remark(environment, ui, &program);
        }
        limit.set();
        let mut command = Command::new(&program);
        command.args(&self.argv[1..]).env(HANDED_ON, (count + 1).to_string());
        run(command).map(Some).map_err(|source| NextError::Start { path: program, source }.into())
    }
}

/// Says that version 1 of the Go CLI cannot see a login in the keychain. Asks the program for its version, so at most once a
/// day, which must be on record before.
fn remark(environment: &Environment, ui: &Ui, program: &Path) -> Option<()> {
    let config = Config::new(&super::home(environment).ok()?);
    let today = super::now().strftime("%F").to_string();
    let names = config.names();
    if names.is_remarked_on(&today) {
        return None;
    }
    let document = config.read().ok()?;
    let domain = environment.get("ASTRO_DOMAIN").map(expand_typed).or(document.current_context())?;
    let domain: Domain = domain.parse().ok()?;
    let context = document.context(&domain)?;
    let is_overridden = domain.product() == Product::Astro && environment.get(API_TOKEN).is_some();
    // A login of a user in a keychain leaves the email, one of a token nothing.
    let is_elsewhere = context.token.is_none() && (context.user_email.is_some() || names.is_in_keychain(&domain));
    if is_overridden || !is_elsewhere {
        return None;
    }
    config.edit_names(|names| names.set_remarked_on(&today));
    let is_version_1 = || next_astro::version(program).is_some_and(|version| version.starts_with("1."));
    if config.names().is_remarked_on(&today) && is_version_1() {
        let place = if context.in_vault { "vault of Astro CLI 2" } else { "keychain" };
        ui.log(&format!(
            "note: {} cannot see your login, which is in the {place}; `astro login --insecure-storage` shares it",
            program.display()
        ));
    }
    Some(())
}

/// Returns the tip for a command that no program on this machine has.
pub(super) fn tip(environment: &Environment) -> String {
    let open = next_astro::on_path(environment).into_iter().find_map(|program| match program.skipped {
        Some(Skipped::Ourselves) | None => None,
        Some(reason) => Some(format!("; skipped {}: {reason}", program.path.display())),
    });
    format!("no other `astro` on PATH to run this; get the Go CLI from {WHERE_TO_GET_IT}{}", open.unwrap_or_default())
}

fn is_switch(flag: &str) -> bool {
    let is_short = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| b"vqh".contains(&byte));
    matches!(flag, "--" | "--verbose" | "--quiet" | "--help") || flag.strip_prefix('-').is_some_and(is_short)
}

fn verbosity(flag: &str, value: Option<&str>) -> u8 {
    match (flag, value) {
        ("--verbose", _) => 1,
        ("--verbosity", Some(level)) => parse_level(level).unwrap_or_default(),
        _ if is_switch(flag) && !flag.starts_with("--") => u8::try_from(flag.matches('v').count()).unwrap_or(u8::MAX),
        _ => 0,
    }
}

/// Replaces this process, so that the terminal, job control and signals are the program's.
#[cfg(unix)]
pub(super) fn run(mut command: Command) -> std::io::Result<ExitCode> {
    use std::os::unix::process::CommandExt as _;
    Err(command.exec())
}

/// Runs the program as a child, which gets Ctrl-C from the console as this process does, and returns its exit code.
#[cfg(not(unix))]
pub(super) fn run(mut command: Command) -> std::io::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _entered = runtime.enter();
    // Their handlers keep this process alive until the child has ended.
    let _ctrl_c = tokio::signal::windows::ctrl_c()?;
    let _ctrl_break = tokio::signal::windows::ctrl_break()?;
    let code = command.status()?.code();
    Ok(ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn na_1_na_5_first_word_decides_who_runs_it() {
        let tree = super::super::command();
        let ours = [
            "",
            "--help",
            "--version",
            "-V deploy",
            "login",
            "help login",
            "help auth status",
            "-v --color never logout",
            "--verbosity debug auth token",
            "--domain deploy login",
            "auth frobnicate",
            "completion bash",
            "c ls",
            "org -v sw",
            "workspace list --frobnicate",
            "wo switch",
            "context delete",
            "eyJhbGciOiJSUzI1NiJ9.e30",
            "workspace eyJhbGciOiJSUzI1NiJ9.e30",
            "-t eyJhbGciOiJSUzI1NiJ9.e30 login",
        ];
        let theirs = [
            "deploy",
            "deploy login",
            "deploy --help",
            "help deploy",
            "help workspace create",
            "version",
            "__complete login",
            "workspace",
            "workspace --help",
            "ws -v create list",
            "--color never dev start",
            "--verbosity=debug dev",
            "--workspace-id login deploy",
            "--workspace-id=1 deploy",
            "-qv deploy",
            "-- deploy",
            "lgoin",
            "- login",
        ];
        for (line, expected) in ours.map(|line| (line, true)).into_iter().chain(theirs.map(|line| (line, false))) {
            let argv: Vec<OsString> =
                std::iter::once("astro").chain(line.split_whitespace()).map(OsString::from).collect();
            assert_eq!(CommandLine::new(&argv).is_ours(&tree), expected, "{line}");
        }
    }
}
