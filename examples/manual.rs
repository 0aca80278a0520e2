//! Generates the manual pages and completion scripts of a package.
//!
//! ```text
//! cargo run --locked --example manual -- target/manual
//! ```

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use astro_login::cli;
use astro_login::commands::completion;
use clap::{Command, ValueEnum as _};
use clap_complete::{Generator as _, Shell};
use clap_mangen::Man;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from).ok_or("usage: manual FOLDER")?;
    fs::create_dir_all(&folder)?;
    for shell in Shell::value_variants() {
        let script = completion::script(*shell, cli::command());
        fs::write(folder.join(shell.file_name("astro")), script)?;
    }
    // A page about `help` would repeat the other pages.
    let mut command = cli::command().disable_help_subcommand(true);
    command.build();
    pages(&command, &folder)?;
    Ok(())
}

/// Writes the pages of `command` and its subcommands.
fn pages(command: &Command, folder: &Path) -> io::Result<()> {
    for below in command.get_subcommands() {
        pages(below, folder)?;
    }
    let version = concat!("astro ", env!("CARGO_PKG_VERSION"));
    let page = Man::new(command.clone());
    let mut file = File::create(folder.join(page.get_filename()))?;
    // clap_mangen omits an empty date, which shifts the fields after it.
    writeln!(file, ".TH {} 1 \"\" \"{version}\" \"User Commands\"", page.get_filename().trim_end_matches(".1"))?;
    page.render_name_section(&mut file)?;
    // The usage line of the help: clap_mangen lists every flag unsorted and without values.
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
    let related = match name {
        "astro" => ".BR astro\\-auth\\-doctor (1)",
        _ => ".BR astro (1)",
    };
    writeln!(file, ".SH SEE ALSO\n{related}")?;
    Ok(())
}

/// Writes examples and exit codes, each under its own heading, without wrapping their lines.
fn sections(text: &str, file: &mut impl Write) -> io::Result<()> {
    for section in text.split("\n\n") {
        let (heading, lines) = section.split_once(":\n").unwrap_or(("notes", section));
        let heading = if heading == "Exit codes" { "exit status" } else { heading };
        writeln!(file, ".SH {}\n.nf", heading.to_uppercase())?;
        for line in lines.lines() {
            writeln!(file, "\\&{}", escape(line.strip_prefix("  ").unwrap_or(line)))?;
        }
        writeln!(file, ".fi")?;
    }
    Ok(())
}

/// Escapes what groff would take for a command, a typographic quote or a dash.
fn escape(text: &str) -> String {
    let mut plain = String::new();
    for character in text.chars() {
        match character {
            '\\' => plain.push_str("\\e"),
            '-' => plain.push_str("\\-"),
            '\'' => plain.push_str("\\(aq"),
            '`' => plain.push_str("\\(ga"),
            ascii if ascii.is_ascii() => plain.push(ascii),
            // groff does not read UTF-8.
            other => plain.extend(format!("\\[u{:04X}]", u32::from(other)).chars()),
        }
    }
    plain
}
