//! The commands of the Go CLI that this program lacks, for the tip after an unknown command.

use std::ffi::OsString;

/// Each group of commands that both programs have, under all of its names, and what only the Go CLI has there.
const GROUPS: [(&[&str], &[&str]); 3] = [
    (&["context", "c"], &[]),
    (&["organization", "org", "o"], &["audit-logs", "role", "team", "token", "user"]),
    (&["workspace", "ws", "w"], &["create", "delete", "role", "service-account", "team", "token", "update", "user"]),
];

/// The groups and commands that only the Go CLI has.
const TOP: [&str; 19] = [
    "api",
    "cluster",
    "config",
    "de",
    "deploy",
    "deployment",
    "dev",
    "flow",
    "ide",
    "otto",
    "registry",
    "remote",
    "run",
    "sql",
    "team",
    "telemetry",
    "upgrade",
    "user",
    "version",
];

/// Returns the command of the Go CLI that these arguments mean by `name`, such as `workspace create`.
pub(super) fn command(argv: &[OsString], name: &str) -> Option<String> {
    let words = argv.iter().skip(1).filter_map(|word| word.to_str()).take_while(|word| *word != name);
    // `help` stands before the same words.
    let mut words = words.filter(|word| !word.starts_with('-') && *word != "help");
    let group = words.find_map(|word| GROUPS.iter().find(|(names, _)| names.contains(&word)));
    match group {
        Some((names, commands)) => commands.contains(&name).then(|| format!("{} {name}", names[0])),
        None => TOP.contains(&name).then(|| name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_commands_of_go_cli_are_named() {
        let table = [
            ("deploy", Some("deploy")),
            ("help deployment", Some("deployment")),
            ("--color never dev", Some("dev")),
            ("workspace create", Some("workspace create")),
            ("ws -v update", Some("workspace update")),
            ("org team", Some("organization team")),
            ("lgoin", None),
            ("workspace deploy", None),
            ("context create", None),
            ("create", None),
        ];
        for (line, expected) in table {
            let argv: Vec<OsString> = std::iter::once("astro").chain(line.split(' ')).map(OsString::from).collect();
            let name = line.split(' ').next_back().unwrap();
            assert_eq!(command(&argv, name).as_deref(), expected, "{line}");
        }
    }
}
