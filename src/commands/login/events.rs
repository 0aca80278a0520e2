//! The events of a login, for programs: a JSON object a line on stdout, described in `docs/programs.md`.

use std::time::Duration;

use clap::ValueEnum;
use jiff::Timestamp;
use serde::Serialize;

use super::LoginFlow;
use crate::error::Error;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Text,
    Json,
}

/// An event. The last one of a login that fails is `error`, which the command line prints.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Event<'a> {
    Link {
        link: &'a str,
        expires_at: Timestamp,
        #[serde(skip_serializing_if = "Option::is_none")]
        next: Option<&'a str>,
    },
    Waiting,
    /// The account, before anything is stored.
    Confirmed {
        domain: &'a str,
        account: Option<&'a str>,
    },
    Settled {
        domain: &'a str,
        account: Option<&'a str>,
        organization: Option<&'a str>,
        workspace: Option<&'a str>,
        expires_at: Option<Timestamp>,
    },
}

#[derive(Serialize)]
struct Line<'a> {
    version: u8,
    #[serde(flatten)]
    event: &'a Event<'a>,
}

impl LoginFlow<'_> {
    /// Prints an event, if the command line asks for them.
    pub(super) fn event(&self, event: &Event<'_>) -> Result<(), Error> {
        if self.login.output == Output::Text {
            return Ok(());
        }
        let line = serde_json::to_string(&Line { version: 1, event }).unwrap_or_default();
        Ok(self.ui().write_data_ignoring_closed_pipe(&line)?)
    }

    /// Returns the end of a time that begins now, in whole seconds.
    pub(super) fn expiry(&self, lifetime: Duration) -> Timestamp {
        let end = self.session.now().saturating_add(lifetime).unwrap_or(Timestamp::MAX);
        Timestamp::from_second(end.as_second()).unwrap_or(end)
    }
}
