//! Flags of the Go CLI that this program accepts, so that old scripts work.
//!
//! They are hidden: most change nothing here, `-o json` is `--json`, and those that cannot be met name another way.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches};

/// The flags that end the command, with the error and its hint.
const REFUSED: [(&str, &str); 2] = [
    ("signup", "`--signup` is not supported\nhint: create an account at https://cloud.astronomer.io"),
    ("template", "`--template` is not supported\nhint: use `-o json`, and a program such as jq"),
];

/// The switches that may have `=true` or `=false` behind them.
const SWITCHES: [&str; 8] = ["login-link", "oauth", "force", "signin", "signup", "vault", "json", "yes"];

/// Returns the flags of `login`. All but `--signup` have no effect: each login here is a new one.
pub(super) fn of_login() -> [Arg; 3] {
    [switch("force"), switch("signin"), switch("signup")]
}

/// Returns the flags of a command that has `--json`.
pub(super) fn of_json() -> [Arg; 2] {
    let output = hidden("output").short('o').value_name("FORMAT").value_parser(["json", "table", "text"]);
    [output, hidden("template").value_name("TEMPLATE")]
}

/// Returns the flag of `organization switch`, which has no effect.
pub fn of_organization_switch() -> Arg {
    switch("login-link").short('l')
}

fn switch(name: &'static str) -> Arg {
    hidden(name).action(ArgAction::SetTrue)
}

fn hidden(name: &'static str) -> Arg {
    Arg::new(name).long(name).hide(true)
}

/// Applies `=true` and `=false`, which the Go CLI accepts on every switch.
pub fn without_switch_values(argv: &[OsString]) -> Vec<OsString> {
    let switch = |argument: &OsString| {
        let (name, value) = argument.to_str()?.strip_prefix("--")?.split_once('=')?;
        SWITCHES.contains(&name).then(|| (format!("--{name}"), value.to_owned()))
    };
    let applied = argv.iter().filter_map(|argument| match switch(argument) {
        Some((_, value)) if value == "false" => None,
        Some((name, value)) if value == "true" => Some(name.into()),
        _ => Some(argument.clone()),
    });
    applied.collect()
}

/// Rejects the flags that this program cannot meet.
pub fn check(matches: &ArgMatches) -> Result<(), clap::Error> {
    let mut matches = matches;
    while let Some((_, below)) = matches.subcommand() {
        matches = below;
    }
    let is_given =
        |name| matches.try_contains_id(name).is_ok() && matches.value_source(name) == Some(ValueSource::CommandLine);
    // `login -o json`, where `-o` is `--oauth` and `json` would be the domain.
    let is_json = || matches!(matches.try_get_one::<String>("domain"), Ok(Some(domain)) if domain == "json");
    let message = match REFUSED.iter().find(|(name, _)| is_given(name)) {
        Some((_, message)) => *message,
        None if is_given("oauth") && is_json() => {
            "`-o` of `astro login` is `--oauth`\nhint: did you mean `--output json`?"
        }
        None => return Ok(()),
    };
    Err(clap::Error::raw(ErrorKind::InvalidValue, format!("{message}\n")))
}
