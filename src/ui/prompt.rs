//! Prompts on stderr.

use std::io::{self, Read};

use zeroize::Zeroizing;

use super::question::{ANSWER, MARK, Menu, Text};
use super::{Line, MAX_INPUT, Ui, lock};
use crate::blocking::run_blocking;

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

impl Ui {
    /// Asks for a line of text and returns it trimmed, or `None` if it is empty. Asks again while `check` rejects it.
    pub async fn ask_text(
        &self,
        question: &str,
        default: Option<&str>,
        help: Option<&str>,
        check: fn(&str) -> Result<(), String>,
    ) -> Result<Option<String>, UiError> {
        let parse = |typed: &str| match typed {
            "" => Ok(default.unwrap_or_default().to_owned()),
            _ => check(typed).map(|()| typed.to_owned()),
        };
        let behind = default.map(|default| format!(" ({default})")).unwrap_or_default();
        let answer = self.ask_line(question, &behind, help, parse, String::clone).await?;
        Ok(Some(answer).filter(|answer| !answer.is_empty()))
    }

    /// Asks for a secret that is pasted, and shows its length.
    pub async fn ask_secret(&self, question: &str) -> Result<Line, UiError> {
        self.lines(question)?.next().await
    }

    /// Asks for a password, and shows nothing of it.
    pub async fn ask_password(&self, question: &str) -> Result<Line, UiError> {
        self.lines(question)?.without_length().next().await
    }

    /// Asks yes or no. Enter alone means `default`.
    pub async fn confirm(&self, question: &str, default: bool) -> Result<bool, UiError> {
        let parse = |typed: &str| match typed.to_ascii_lowercase().as_str() {
            "" => Ok(default),
            "y" | "yes" => Ok(true),
            "n" | "no" => Ok(false),
            _ => Err("type y for yes or n for no".to_owned()),
        };
        let behind = if default { " (Y/n)" } else { " (y/N)" };
        self.ask_line(question, behind, None, parse, |yes| if *yes { "Yes" } else { "No" }.to_owned()).await
    }

    /// Asks for one of `options` and returns its index. The cursor starts at `start_at`; typed text filters the list.
    ///
    /// A canceled menu leaves nothing on the screen.
    pub async fn choose(&self, question: &str, options: Vec<String>, start_at: usize) -> Result<usize, UiError> {
        let chosen = self.ask(question, Menu::new(&options, start_at)).await?;
        self.show_answer(question, options.get(chosen).map_or("", String::as_str));
        Ok(chosen)
    }

    /// Reads stdin to its end: at most [`MAX_INPUT`] bytes. UTF-16, as `PowerShell` writes it to a file, becomes text with
    /// NUL characters; other bytes that are not UTF-8 become U+FFFD.
    pub async fn read_input(&self) -> Result<Line, UiError> {
        let ui = self.clone();
        run_blocking(move || {
            // Never reallocated, which would leave a copy of a secret in memory.
            let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_INPUT + 1));
            let mut input = lock(&ui.0.input);
            let mut bounded = input.as_mut().take(MAX_INPUT as u64 + 1);
            bounded.read_to_end(&mut bytes).map_err(UiError::Io)?;
            if bytes.len() > MAX_INPUT {
                return Err(UiError::TooLong);
            }
            let without_mark = bytes.strip_prefix(b"\xff\xfe").or_else(|| bytes.strip_prefix(b"\xfe\xff"));
            Ok(Line(Zeroizing::new(String::from_utf8_lossy(without_mark.unwrap_or(&bytes)).into_owned())))
        })
        .await
        .map_err(UiError::Io)?
    }

    /// Asks with `behind` at the question's end, and leaves the question and its answer on the screen.
    async fn ask_line<A>(
        &self,
        question: &str,
        behind: &str,
        help: Option<&str>,
        parse: impl Fn(&str) -> Result<A, String>,
        shown: impl Fn(&A) -> String,
    ) -> Result<A, UiError> {
        let outcome = self.ask(&format!("{question}{behind}"), Text { parse, help, wrong: None }).await;
        match &outcome {
            // The line that was typed is still there.
            _ if !self.supports_escapes() => {}
            Ok(answer) => self.show_answer(question, &shown(answer)),
            Err(UiError::Canceled) => self.log(&format!("{MARK}?{MARK:#} {question}")),
            Err(_) => {}
        }
        outcome
    }

    fn show_answer(&self, question: &str, answer: &str) {
        self.log(&format!("{MARK}>{MARK:#} {question} {ANSWER}{answer}{ANSWER:#}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_prompt_without_terminal() {
        let (ui, captured) = Ui::captured(false, "an unread answer\n");
        assert!(!ui.can_ask());
        assert!(matches!(ui.ask_text("Email:", None, None, |_| Ok(())).await, Err(UiError::NoTerminal)));
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
        assert_eq!(read(vec![b'e', 0xff]).await.unwrap().expose(), "e\u{fffd}");
        assert_eq!(read(vec![0xff, 0xfe, b'e', 0]).await.unwrap().expose(), "e\0");
    }
}
