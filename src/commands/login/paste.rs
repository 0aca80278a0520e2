//! Text that is pasted during the wait. Only the response to this login ends it: any other paste gets a warning.

use std::time::Duration;

use tokio::time::timeout;
use url::Url;

use super::LoginFlow;
use super::wait::CallbackOutcome;
use crate::error::Warning;
use crate::oauth::{CallbackError, ExpectedResponse, PastedLines, RedirectUri, Rejection, joined};
use crate::ui::{InputLines, Line, Lines, Ui, UiError};

/// The lines of one paste arrive within this time of each other.
const SAME_PASTE: Duration = Duration::from_millis(150);

const MOST_LINES: usize = 100;

/// The source of pasted lines.
pub(super) enum Pastes {
    Terminal(Lines),
    Stdin(InputLines),
    Nowhere,
}

impl Pastes {
    pub(super) fn open(ui: &Ui, message: &str, stdin: bool) -> Result<Self, UiError> {
        if ui.can_ask() {
            return Ok(Self::Terminal(ui.lines(message)?));
        }
        ui.say(message);
        Ok(if stdin { Self::Stdin(ui.input_lines()) } else { Self::Nowhere })
    }

    /// Returns the next line. Waits forever if there is none, also after the end of stdin. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<Line, UiError> {
        match self {
            Self::Terminal(lines) => return lines.next().await,
            Self::Stdin(lines) => match lines.next().await? {
                Some(line) => return Ok(line),
                None => *self = Self::Nowhere,
            },
            Self::Nowhere => {}
        }
        std::future::pending().await
    }
}

impl LoginFlow<'_> {
    /// Sends the link to the clipboard if that is what the line asks for. Returns `true` if it does.
    pub(super) async fn copies_link(&self, typed: &Line, link: &Url) -> bool {
        let asked = self.ui().can_copy() && typed.expose().trim() == "c";
        if asked {
            self.ui().copy(link.as_str()).await;
            self.ui().say("Sent the link to your terminal, for its clipboard.");
        }
        asked
    }

    /// Parses a pasted line, with those that follow at once. Warns and returns `None` if they are no response to this login.
    pub(super) async fn accept_paste(
        &self,
        first: Line,
        pastes: &mut Pastes,
        before: &mut PastedLines,
        (redirect_uri, response): (&RedirectUri, &ExpectedResponse),
    ) -> Result<Option<CallbackOutcome>, UiError> {
        let mut pieces = vec![first];
        // Of stdin nothing is read ahead: what follows the URL belongs to another program.
        while matches!(pastes, Pastes::Terminal(_))
            && pieces.len() < MOST_LINES
            && let Ok(line) = timeout(SAME_PASTE, pastes.next()).await
        {
            pieces.push(line?);
        }
        let whole = pieces.iter().fold(joined("", ""), |whole, piece| joined(&whole, piece.expose()));
        if whole.trim().is_empty() {
            return Ok(None);
        }
        // The URL may be one of several lines, too.
        let texts = std::iter::once(whole.as_str()).chain(pieces.iter().map(Line::expose).filter(|_| pieces.len() > 1));
        let mut fault = None;
        for text in texts {
            match before.parse(text, redirect_uri, response) {
                Ok(code) => return Ok(Some(CallbackOutcome { code: Ok(code), reply: None })),
                Err(Rejection::Final(refused @ CallbackError::Refused(_))) => {
                    return Ok(Some(CallbackOutcome { code: Err(refused), reply: None }));
                }
                Err(rejection) => fault = fault.or(Some(rejection)),
            }
        }
        if let Some(fault) = fault {
            let warning = match fault {
                Rejection::Unrelated(reason) => Warning::Paste { reason, port: redirect_uri.port() },
                Rejection::Final(reason) => Warning::DamagedPaste { reason },
            };
            warning.show(self.ui());
        }
        Ok(None)
    }
}
