//! The texts below the options in a command's help: examples, environment variables and exit codes.

use clap::builder::{Resettable, StyledStr};

/// The texts, each under the name of its command.
const TEXTS: &str = include_str!("examples.txt");

/// Adds the texts to the tree. Only help needs them, so no other command spends time on them.
pub(super) fn add(command: clap::Command) -> clap::Command {
    add_below(command, "astro")
}

fn add_below(command: clap::Command, path: &str) -> clap::Command {
    // `auth login` is `login`.
    let name = path.strip_prefix("astro auth log").map_or_else(|| path.to_owned(), |rest| format!("astro log{rest}"));
    let short = format!("Examples:\n{}", text(&name));
    let long = match &*name {
        "astro" => Some(format!("{short}\n\n{}\n\n{}", text("environment"), text("exit codes"))),
        "astro login" | "astro logout" | "astro auth status" | "astro auth doctor" | "astro auth token" => {
            Some(format!("{short}\n\n{}", text("exit codes")))
        }
        _ => None,
    };
    command.after_help(short).after_long_help(Resettable::from(long.map(StyledStr::from))).mut_subcommands(|below| {
        let path = format!("{path} {}", below.get_name());
        add_below(below, &path)
    })
}

/// Returns a text, or nothing, for which the test of the help fails.
fn text(name: &str) -> &'static str {
    let found = TEXTS.split("\n\n").find_map(|text| text.strip_prefix(&format!("[{name}]\n")));
    found.unwrap_or_default().trim_end()
}
