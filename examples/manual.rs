//! Writes what a package installs beside the program: a manual page for each command, and the completion scripts.
//!
//! ```text
//! cargo run --locked --example manual -- target/manual
//! ```
//!
//! They are made of the command line that the program itself reads, so they cannot say anything else.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use astro_login::cli;
use clap::{Command, ValueEnum as _};
use clap_complete::Shell;
use clap_mangen::Man;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from).ok_or("name the folder to write into")?;
    fs::create_dir_all(&folder)?;
    for shell in Shell::value_variants() {
        clap_complete::generate_to(*shell, &mut cli::command(), "astro", &folder)?;
    }
    // A page about `help` would say what each page says.
    let mut command = cli::command().disable_help_subcommand(true);
    command.build();
    pages(&command, &folder)?;
    Ok(())
}

/// Writes the page of `command`, and those of the commands below it.
fn pages(command: &Command, folder: &Path) -> io::Result<()> {
    for below in command.get_subcommands() {
        pages(below, folder)?;
    }
    let version = concat!("astro ", env!("CARGO_PKG_VERSION"));
    let page = Man::new(command.clone());
    let mut file = File::create(folder.join(page.get_filename()))?;
    // clap_mangen leaves an empty date out, and everything behind it would move up.
    writeln!(file, ".TH {} 1 \"\" \"{version}\" \"User Commands\"", page.get_filename().trim_end_matches(".1"))?;
    page.render_name_section(&mut file)?;
    // As the help has it: clap_mangen's lists every flag, in no order, and without its value.
    let usage = command.clone().render_usage().to_string();
    let name = command.get_bin_name().unwrap_or("astro");
    let arguments = usage.trim_start_matches("Usage: ").trim_start_matches(name);
    writeln!(file, ".SH SYNOPSIS\n\\fB{name}\\fR{arguments}")?;
    page.render_description_section(&mut file)?;
    page.render_options_section(&mut file)?;
    if command.has_subcommands() {
        page.render_subcommands_section(&mut file)?;
    }
    if let Some(further) = command.get_after_long_help().or_else(|| command.get_after_help()) {
        sections(&further.to_string(), &mut file)?;
    }
    if name == "astro auth explain" {
        messages(include_str!("../docs/troubleshooting.md"), &mut file)?;
    }
    let related = match name {
        "astro" => ".BR astro\\-auth\\-doctor (1),\n.BR astro\\-auth\\-explain (1)",
        _ => ".BR astro (1)",
    };
    writeln!(file, ".SH SEE ALSO\n{related}")?;
    Ok(())
}

/// Examples and exit codes, each under its own heading and in the lines they were written in.
fn sections(text: &str, file: &mut impl Write) -> io::Result<()> {
    for section in text.split("\n\n") {
        let (heading, lines) = section.split_once(":\n").unwrap_or(("notes", section));
        let heading = if heading == "Exit codes" { "exit status" } else { heading };
        writeln!(file, ".SH {}\n.nf", heading.to_uppercase())?;
        for line in lines.lines() {
            writeln!(file, "\\&{}", as_it_is(line.strip_prefix("  ").unwrap_or(line)))?;
        }
        writeln!(file, ".fi")?;
    }
    Ok(())
}

/// What the program tells of each message, under the headings of the page that it is from.
fn messages(page: &str, file: &mut impl Write) -> io::Result<()> {
    writeln!(file, ".SH MESSAGES")?;
    let (_, entries) = page.split_once("\n## ").unwrap_or_default();
    for line in format!("## {entries}").lines().filter(|line| !line.is_empty()) {
        if let Some(message) = line.strip_prefix("### ") {
            writeln!(file, ".TP\n\\fB{}\\fR", as_it_is(message))?;
        } else if let Some(place) = line.strip_prefix("## ") {
            writeln!(file, ".SS {}", as_it_is(place))?;
        } else {
            writeln!(file, "\\&{}", as_it_is(line))?;
        }
    }
    Ok(())
}

/// `text` without what groff would make commands, typographic quotes and dashes of.
fn as_it_is(text: &str) -> String {
    let mut plain = String::new();
    for character in text.chars() {
        match character {
            '\\' => plain.push_str("\\e"),
            '-' => plain.push_str("\\-"),
            '\'' => plain.push_str("\\(aq"),
            '`' => plain.push_str("\\(ga"),
            ascii if ascii.is_ascii() => plain.push(ascii),
            // Groff reads no UTF-8 by itself.
            other => plain.extend(format!("\\[u{:04X}]", u32::from(other)).chars()),
        }
    }
    plain
}
