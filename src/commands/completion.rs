//! `astro completion`: prints a shell's completion script on stdout.

use clap_complete::Shell;

use crate::error::Error;
use crate::ui::Ui;

pub fn completion(ui: &Ui, shell: Shell, mut command: clap::Command) -> Result<(), Error> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    ui.write_data_ignoring_closed_pipe(String::from_utf8_lossy(&script).trim_end())?;
    Ok(())
}
