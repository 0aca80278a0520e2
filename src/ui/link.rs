//! The link of a login on terminals that know hyperlinks (OSC 8) and the clipboard (OSC 52).

use std::io::{self, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::time::timeout;

use super::{Ui, UiError, lock};
use crate::blocking::run_blocking;

/// The longest wait for tmux.
const TMUX: Duration = Duration::from_secs(2);

/// The way to the clipboard of the person at the terminal, who may be on another machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clipboard {
    None,
    Terminal,
    /// tmux, which by default ignores OSC 52 of the programs in it.
    Tmux,
}

impl Ui {
    /// Shows a link on stderr, also with `--quiet`.
    pub fn show_link(&self, link: &str) {
        self.log(&format!("  {}", self.hyperlink(link)));
    }

    /// Writes a link to stdout, with nothing around it unless stdout is a terminal. A closed pipe is not an error.
    pub fn write_link(&self, link: &str) -> Result<(), UiError> {
        let text = if self.0.is_terminal.out { self.hyperlink(link) } else { link.to_owned() };
        self.write_data_ignoring_closed_pipe(&text)
    }

    /// Returns the link as one hyperlink, however the terminal wraps it. The `id` joins its parts in other rows.
    fn hyperlink(&self, link: &str) -> String {
        if self.0.clipboard == Clipboard::None || !self.supports_escapes() {
            return link.to_owned();
        }
        format!("\x1b]8;id=login;{link}\x1b\\{link}\x1b]8;;\x1b\\")
    }

    /// Returns `true` if the terminal may have a clipboard.
    pub fn can_copy(&self) -> bool {
        self.0.clipboard != Clipboard::None
    }

    /// Sends text to the terminal for its clipboard. Terminals do not say if they take it.
    pub async fn copy(&self, text: &str) {
        let owned = text.to_owned();
        if self.0.clipboard == Clipboard::Tmux
            && let Ok(Ok(Ok(true))) = timeout(TMUX, run_blocking(move || load_into_tmux(&owned))).await
        {
            return;
        }
        self.suspend_spinners(|| {
            // Past the stream that removes escape sequences if there is no color.
            let _stream = lock(&self.0.err);
            let _ = write!(io::stderr(), "\x1b]52;c;{}\x07", STANDARD.encode(text));
        });
    }
}

/// Fills tmux's buffer and has tmux fill the clipboard of the terminal around it.
fn load_into_tmux(text: &str) -> io::Result<bool> {
    let mut tmux = Command::new("tmux");
    tmux.args(["load-buffer", "-w", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = tmux.spawn()?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(text.as_bytes())?;
    }
    Ok(child.wait()?.success())
}
