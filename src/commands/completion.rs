//! `astro completion`: the script by which a shell completes this program's commands and flags, on stdout.

use clap_complete::Shell;

use crate::error::Error;
use crate::ui::Ui;

/// Prints the script for `shell`, made of the command line as it is. Reads nothing, asks nobody.
pub fn completion(ui: &Ui, shell: Shell, mut command: clap::Command) -> Result<(), Error> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    ui.data(String::from_utf8_lossy(&script).trim_end())?;
    Ok(())
}
