//! Prompts on stderr. Each runs on its own thread, so that the runtime goes on.

use std::io::{self, Read};
use std::thread;

use crossterm::terminal::{Clear, ClearType};
use inquire::error::{InquireError, InquireResult};
use inquire::ui::{RenderConfig, Styled};
use inquire::validator::Validation;
use inquire::{Confirm, Select, Text};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::{Line, MAX_INPUT, Ui, lock, restore_terminal};

const ROWS: usize = 10;

#[derive(Debug, thiserror::Error)]
pub enum UiError {
    #[error("canceled")]
    Canceled,
    #[error("no terminal to prompt on")]
    NoTerminal,
    #[error("the input is longer than {} KiB", MAX_INPUT / 1024)]
    TooLong,
    #[error("could not use the terminal or its streams")]
    Io(#[source] io::Error),
}

impl From<InquireError> for UiError {
    fn from(error: InquireError) -> Self {
        match error {
            InquireError::OperationCanceled | InquireError::OperationInterrupted => Self::Canceled,
            InquireError::NotTTY => Self::NoTerminal,
            InquireError::IO(error) => Self::Io(error),
            InquireError::InvalidConfiguration(reason) => Self::Io(io::Error::other(reason)),
            InquireError::Custom(reason) => Self::Io(io::Error::other(reason)),
        }
    }
}

impl Ui {
    /// Asks for a line of text and returns it trimmed, or `None` if it is empty. Asks again while `check` rejects it.
    pub async fn ask_text(
        &self,
        question: &str,
        default: Option<&str>,
        help: Option<&str>,
        check: fn(&str) -> Result<(), String>,
    ) -> Result<Option<String>, UiError> {
        let validate = move |answer: &str| match answer.trim() {
            "" => Ok(Validation::Valid),
            answer => Ok(check(answer).map_or_else(|wrong| Validation::Invalid(wrong.into()), |()| Validation::Valid)),
        };
        let (question, default, help) = (question.to_owned(), default.map(str::to_owned), help.map(str::to_owned));
        let answer = self.ask(move |render| {
            let mut text = Text::new(&question).with_render_config(render).with_validator(validate);
            text.default = default.as_deref();
            text.help_message = help.as_deref();
            text.prompt()
        });
        let answer = answer.await?.trim().to_owned();
        Ok(Some(answer).filter(|answer| !answer.is_empty()))
    }

    /// Asks for a secret and shows only its length.
    pub async fn ask_secret(&self, question: &str) -> Result<Line, UiError> {
        self.lines(question)?.next().await.unwrap_or(Err(UiError::Canceled))
    }

    /// Asks yes or no. Enter alone means `default`.
    pub async fn confirm(&self, question: &str, default: bool) -> Result<bool, UiError> {
        let question = question.to_owned();
        self.ask(move |render| Confirm::new(&question).with_default(default).with_render_config(render).prompt()).await
    }

    /// Asks for one of `options` and returns its index. The cursor starts at `start_at`; typed text filters the list.
    pub async fn choose(&self, question: &str, options: Vec<String>, start_at: usize) -> Result<usize, UiError> {
        let question = question.to_owned();
        let start_at = start_at.min(options.len().saturating_sub(1));
        self.ask(move |render| {
            Select::new(&question, options)
                .with_render_config(render)
                .with_page_size(ROWS)
                .with_starting_cursor(start_at)
                // Keeps the order of the list: all matches have the same score, and the default sort is unstable.
                .with_sorter(&|_| ())
                .raw_prompt()
        })
        .await
        .map(|chosen| chosen.index)
    }

    /// Reads stdin to its end: at most [`MAX_INPUT`] bytes of UTF-8.
    pub async fn read_input(&self) -> Result<Line, UiError> {
        let ui = self.clone();
        on_own_thread(move || {
            // Never reallocated, which would leave a copy of a secret in memory.
            let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_INPUT + 1));
            let mut input = lock(&ui.0.input);
            let mut bounded = input.as_mut().take(MAX_INPUT as u64 + 1);
            bounded.read_to_end(&mut bytes).map_err(UiError::Io)?;
            if bytes.len() > MAX_INPUT {
                return Err(UiError::TooLong);
            }
            let text = str::from_utf8(&bytes).map_err(|error| UiError::Io(io::Error::other(error)))?;
            Ok(Line::new(Zeroizing::new(text.to_owned())))
        })
        .await
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(RenderConfig<'static>) -> InquireResult<T> + Send + 'static,
    ) -> Result<T, UiError> {
        if !self.can_ask() {
            return Err(UiError::NoTerminal);
        }
        let render = if self.0.color { RenderConfig::default_colored() } else { RenderConfig::empty() };
        // The error report names the cancellation.
        let render = render.with_canceled_prompt_indicator(Styled::new(""));
        let _restore = RestoreTerminal { escapes: self.supports_escapes() };
        on_own_thread(move || {
            let answer = question(render);
            if let Err(InquireError::OperationInterrupted) = answer {
                // inquire leaves the prompt on the screen, below the cursor.
                let _ = crossterm::execute!(io::stderr(), Clear(ClearType::FromCursorDown));
            }
            Ok(answer?)
        })
        .await
    }
}

/// Restores the terminal when a prompt is dropped before its answer.
struct RestoreTerminal {
    escapes: bool,
}

impl Drop for RestoreTerminal {
    fn drop(&mut self) {
        restore_terminal(self.escapes);
    }
}

/// Runs `work` on a plain thread: unlike a thread of the runtime, it does not delay the end of the process.
async fn on_own_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, UiError> + Send + 'static,
) -> Result<T, UiError> {
    let (answer, answered) = oneshot::channel();
    thread::Builder::new()
        .name("stdin".into())
        .spawn(move || {
            // Fails if the prompt was dropped.
            let _ = answer.send(work());
        })
        .map_err(UiError::Io)?;
    answered.await.unwrap_or(Err(UiError::Canceled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_prompt_without_terminal() {
        let (ui, captured) = Ui::captured(false, "an answer that nobody reads\n");
        assert!(!ui.can_ask());
        assert!(matches!(ui.ask_text("E-mail:", None, None, |_| Ok(())).await, Err(UiError::NoTerminal)));
        assert!(matches!(ui.ask_secret("Token:").await, Err(UiError::NoTerminal)));
        assert!(matches!(ui.confirm("Sure?", true).await, Err(UiError::NoTerminal)));
        assert!(matches!(ui.choose("Which?", vec!["one".into()], 0).await, Err(UiError::NoTerminal)));
        assert!(matches!(ui.lines("Waiting"), Err(UiError::NoTerminal)));
        assert_eq!((captured.stdout(), captured.stderr()), (String::new(), String::new()));
    }

    #[tokio::test]
    async fn stdin_read_to_end_within_limit() {
        let read = |input: Vec<u8>| async move { Ui::captured(false, input).0.read_input().await };
        assert_eq!(read(b"eyJ\nabc\n".to_vec()).await.unwrap().expose(), "eyJ\nabc\n");
        assert_eq!(read(Vec::new()).await.unwrap().expose(), "");
        assert_eq!(read(vec![b'a'; MAX_INPUT]).await.unwrap().expose().len(), MAX_INPUT);
        assert!(matches!(read(vec![b'a'; MAX_INPUT + 1]).await, Err(UiError::TooLong)));
        assert!(matches!(read(vec![0xff]).await, Err(UiError::Io(_))));
    }
}
