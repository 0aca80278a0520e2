//! Flags of the Go CLI that this program accepts, so that old scripts work.
//!
//! They are hidden: most change nothing here, `-o json` is `--json`, and those that cannot be met name another way.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

/// The flags without an effect, under the command that has them. Each login here is a new one.
const IGNORED: [(&str, &str, Option<char>); 4] = [
    ("login", "oauth", Some('o')),
    ("login", "force", None),
    ("login", "signin", None),
    ("organization switch", "login-link", Some('l')),
];

/// The flags that end the command, with the error and its hint.
const REFUSED: [(&str, &str); 2] = [
    ("signup", "`--signup` is not supported\nhint: create an account at https://cloud.astronomer.io"),
    ("template", "`--template` is not supported\nhint: use `-o json`, and a program such as jq"),
];

/// The switches that may have `=true` or `=false` behind them.
const SWITCHES: [&str; 8] = ["login-link", "oauth", "force", "signin", "signup", "vault", "json", "yes"];

pub(super) fn add(tree: Command) -> Command {
    add_below(tree, "")
}

fn add_below(mut command: Command, path: &str) -> Command {
    let path = path.trim_start_matches("auth ");
    for (_, name, short) in IGNORED.iter().filter(|(of, ..)| *of == path) {
        command = command.arg(hidden(name).short(*short).action(ArgAction::SetTrue));
    }
    if path == "login" {
        command = command.arg(hidden("signup").action(ArgAction::SetTrue));
        command = command.mut_arg("if_needed", |it| it.conflicts_with("force"));
    }
    if path == "context delete" {
        command = command.mut_arg("force", |it| it.short_alias('y').alias("yes"));
    }
    if command.get_arguments().any(|it| it.get_id() == "json") {
        command = command
            .mut_arg("json", |it| it.default_value_if("output", "json", "true"))
            .arg(hidden("output").short('o').value_name("FORMAT").value_parser(["json", "table", "text"]))
            .arg(hidden("template").value_name("TEMPLATE"));
    }
    command.mut_subcommands(|below| {
        let path = format!("{path} {}", below.get_name());
        add_below(below, path.trim_start())
    })
}

fn hidden(name: &'static str) -> Arg {
    Arg::new(name).long(name).hide(true)
}

/// Applies `=true` and `=false`, which the Go CLI accepts on every switch.
pub(super) fn without_switch_values(argv: &[OsString]) -> Vec<OsString> {
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
pub(super) fn check(matches: &ArgMatches) -> Result<(), clap::Error> {
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
        None if is_given("oauth") && is_json() => "did you mean `--output json`?\nhint: `-o` is the Go CLI's `--oauth`",
        None => return Ok(()),
    };
    Err(clap::Error::raw(ErrorKind::InvalidValue, format!("{message}\n")))
}
