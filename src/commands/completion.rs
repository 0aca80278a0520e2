//! `astro completion`: prints a shell's completion script on stdout.

use clap_complete::Shell;

use crate::error::Error;
use crate::ui::Ui;

pub fn completion(ui: &Ui, shell: Shell, command: clap::Command) -> Result<(), Error> {
    ui.write_data_ignoring_closed_pipe(script(shell, command).trim_end())?;
    Ok(())
}

/// Returns the completion script. It completes no file names where it has nothing to offer: no argument of ours is a file.
pub fn script(shell: Shell, mut command: clap::Command) -> String {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    let script = String::from_utf8_lossy(&script);
    match shell {
        Shell::Bash => script.replace(" -o bashdefault -o default", ""),
        Shell::Fish => format!("complete -c astro --no-files\n{script}"),
        _ => script.into_owned(),
    }
}
