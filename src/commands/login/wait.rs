//! The wait for the browser, at two doors at once: the callback listener, and an address pasted into the terminal.
//!
//! Both lead through the same parser. Whatever does not belong to this login is told off, and the wait goes on; only the
//! answer to this login, the person's Ctrl-C or the end of the time ends it.

use std::sync::Arc;

use tokio::time::{Instant, sleep_until};
use url::Url;

use super::Attempt;
use super::browser::{Invited, Way};
use crate::browser::{self, forward_command};
use crate::domain::Domain;
use crate::error::Error;
use crate::oauth::{
    AuthorizationCode, CallbackError, CallbackListener, Callbacks, Event, ExpectedResponse, ListenError, RedirectUri,
    Reply, Stranger, Verdict, parse_pasted, who_has,
};
use crate::ui::{Line, Lines, UiError};

/// The port that Astro's redirect URI is registered with.
const CALLBACK_PORT: u16 = 12345;

/// The port that the callback comes to; 0 where any will do.
pub(in crate::commands) fn callback_port(domain: &Domain) -> u16 {
    // A development server takes any redirect URI; Astro's has this one registered, and no other.
    if domain.local_port().is_some() { 0 } else { CALLBACK_PORT }
}

/// What the issuer answered, and the browser that brought it, where one did.
pub(super) struct Answer {
    pub(super) result: Result<AuthorizationCode, CallbackError>,
    pub(super) reply: Option<Reply>,
}

/// Where the answer can come in.
pub(super) struct Doors<'a> {
    /// None where another program has the port.
    callbacks: Option<Callbacks>,
    redirect_uri: &'a RedirectUri,
    response: ExpectedResponse,
}

impl<'a> Doors<'a> {
    pub(super) fn open(
        listener: Option<CallbackListener>,
        redirect_uri: &'a RedirectUri,
        response: ExpectedResponse,
    ) -> Self {
        let callbacks = listener.map(|listener| listener.serve(response.clone()));
        Self { callbacks, redirect_uri, response }
    }

    async fn event(&mut self) -> Event {
        match &mut self.callbacks {
            Some(callbacks) => callbacks.next().await,
            None => std::future::pending().await,
        }
    }
}

impl Attempt<'_> {
    /// Takes the callback port. Where another program has it, the person can still paste.
    pub(super) fn bind(&self) -> Result<(RedirectUri, Option<CallbackListener>), Error> {
        match CallbackListener::bind(callback_port(&self.session.domain)) {
            Ok(listener) => Ok((listener.redirect_uri(), Some(listener))),
            Err(ListenError::PortTaken(port)) if self.session.system.ui.can_ask() => {
                self.session.system.ui.warn(&format!(
                    "another program has port {port}, so the browser cannot report back; `{}` tells which. \
                     You can still paste the address that the browser ends on",
                    who_has(port)
                ));
                Ok((RedirectUri::new(port), None))
            }
            Err(failure) => Err(failure.into()),
        }
    }

    /// Shows the link or opens it, then waits for the answer.
    pub(super) async fn wait(
        &self,
        mut doors: Doors<'_>,
        way: Way,
        link: &Url,
        invited: &Invited,
    ) -> Result<Answer, Error> {
        let ui = &self.session.system.ui;
        let deadline = Instant::now() + self.login.timeout;
        let mut open_on_enter = self.show(way, link, invited, &doors).await?;
        let waiting = match &doors.callbacks {
            Some(_) => "Waiting for you to finish in the browser (Ctrl-C cancels)",
            None => "Waiting for the address that the browser ends on: paste it here",
        };
        let message = if open_on_enter { "Press Enter to open the browser (Ctrl-C cancels)" } else { waiting };
        let mut lines = if ui.can_ask() { Some(ui.lines(message)?) } else { None };
        let _spinner = lines.is_none().then(|| ui.spinner(message));
        loop {
            tokio::select! {
                // An answer that is there when the time is over still counts, and the browser behind it learns how it ended.
                biased;
                event = doors.event() => match event {
                    Event::Callback(callback) => {
                        return Ok(Answer { result: callback.result, reply: Some(callback.reply) });
                    }
                    Event::TlsAttempt => ui.warn(
                        "the browser has tried https, which is not spoken here; change https:// to http:// in its \
                         address bar, or copy the address from the question mark on and paste it here",
                    ),
                },
                entered = next_line(&mut lines) => match entered {
                    Ok(text) if text.expose().trim().is_empty() => {
                        if std::mem::take(&mut open_on_enter) {
                            self.open_browser(link).await;
                            if let Some(lines) = &lines {
                                lines.set_message(waiting);
                            }
                        }
                    }
                    Ok(text) => match parse_pasted(text.expose(), doors.redirect_uri, &doors.response) {
                        Ok(code) => return Ok(Answer { result: Ok(code), reply: None }),
                        Err(Verdict::Ended(error)) => return Ok(Answer { result: Err(error), reply: None }),
                        Err(Verdict::Stranger(stranger @ Stranger::NotTheRedirectUri)) => {
                            ui.warn(&format!("{stranger}: http://localhost:{}…", doors.redirect_uri.port()));
                        }
                        Err(Verdict::Stranger(stranger)) => ui.warn(&stranger.to_string()),
                    },
                    Err(error) => return Err(error.into()),
                },
                () = sleep_until(deadline) => return Err(Error::NoReply { waited: self.login.timeout }),
            }
        }
    }

    /// Brings the link before the person. Returns whether the browser is to be opened when they press Enter.
    async fn show(&self, way: Way, link: &Url, invited: &Invited, doors: &Doors<'_>) -> Result<bool, Error> {
        let ui = &self.session.system.ui;
        match way {
            Way::Opened if ui.can_ask() && !invited.answered => {
                self.show_link("Sign in at this link:", link);
                Ok(true)
            }
            Way::Opened => {
                self.show_link("Opening the browser. If nothing opens, visit this link yourself:", link);
                self.open_browser(link).await;
                Ok(false)
            }
            Way::Link => {
                ui.say("Open this link in a browser, on any device:\n");
                ui.write_data_ignoring_closed_pipe(link.as_str())?;
                ui.say("");
                self.explain_other_machines(doors);
                Ok(false)
            }
        }
    }

    /// The link for people. They need it with `--quiet` as well, because an opener may say that it has opened and lie.
    fn show_link(&self, introduction: &str, link: &Url) {
        let ui = &self.session.system.ui;
        ui.say(&format!("{introduction}\n"));
        ui.log(&format!("  {link}"));
        ui.say("");
    }

    /// How an answer gets here from a browser on another machine.
    fn explain_other_machines(&self, doors: &Doors<'_>) {
        let ui = &self.session.system.ui;
        let mut ways = Vec::new();
        if ui.can_ask() {
            ways.push("On another machine the last page will not load: paste its address here.".to_owned());
        }
        if let Some(forward) = doors
            .callbacks
            .as_ref()
            .and_then(|_| forward_command(&self.session.system.environment, doors.redirect_uri.port()))
        {
            let when = if ui.can_ask() {
                "Or let it load, by running this on that machine first:"
            } else {
                "For a browser on another machine, run this there first:"
            };
            ways.push(format!("{when}\n\n  {forward}\n"));
        }
        if !ways.is_empty() {
            ui.say(&ways.join("\n"));
        }
    }

    async fn open_browser(&self, link: &Url) {
        let system = self.session.system;
        if let Err(error) = browser::open(Arc::clone(&system.browser), link.clone(), system.opening()).await {
            system.ui.warn(&format!("no browser could be opened ({error}); open the link yourself"));
        }
    }
}

/// The next pasted line. Never, where nobody can paste.
async fn next_line(lines: &mut Option<Lines>) -> Result<Line, UiError> {
    let next = match lines {
        Some(reader) => reader.next().await,
        None => std::future::pending().await,
    };
    // The reader ends after an error that it has told; there is nothing more to say then.
    next.unwrap_or(Err(UiError::Cancelled))
}
