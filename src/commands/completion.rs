//! `astro completion`: prints a shell's completion script on stdout.

use clap_complete::Shell;

use crate::error::Error;
use crate::ui::Ui;

// Each asks the next `astro` as well, through its own protocol: a line for each word, with a tab before the description, and
// a last line that begins with a colon.
const BASH: &str = include_str!("completion/next.bash");
const FISH: &str = include_str!("completion/next.fish");
const ZSH: &str = include_str!("completion/next.zsh");

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
        Shell::Bash => {
            script.replace(" -o bashdefault -o default", "").replace("complete -F _astro ", "complete -F _astro_all ")
                + BASH
        }
        Shell::Fish => format!("complete -c astro --no-files\n{script}{FISH}"),
        // Before the last lines of the script, which call `_astro`.
        Shell::Zsh => script.replacen("\n_astro() {\n", &format!("{ZSH}\n_astro_own() {{\n"), 1),
        _ => script.into_owned(),
    }
}
