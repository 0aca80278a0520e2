//! Shows the link, then waits for the callback: at the listener, and for a URL pasted into the terminal.
//!
//! One parser decides about both. Anything that does not belong to this login gets a warning, and the wait goes on; only
//! the response to this login, Ctrl-C or the timeout ends it.

use std::io;
use std::pin::pin;
use std::sync::Arc;

use tokio::time::{Instant, sleep_until};
use url::Url;

use super::LoginFlow;
use super::events::Output;
use super::paste::Pastes;
use crate::browser::{self, BrowserLaunch, forward_command};
use crate::domain::Domain;
use crate::error::{Error, PASTE_HERE, WRITE_TO_STDIN, Warning};
use crate::oauth::{
    AuthorizationCode, CallbackError, CallbackListener, Callbacks, Event, ExpectedResponse, ListenError, PastedLines,
    RedirectUri, Reply,
};

pub(super) const CALLBACK_PORT: u16 = 12345;

/// Returns the callback port of a domain; 0 stands for any free port.
pub(in crate::commands) fn callback_port(domain: &Domain) -> u16 {
    // A development server accepts any redirect URI; Astro accepts the registered one only.
    if domain.local_port().is_some() { 0 } else { CALLBACK_PORT }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LinkDelivery {
    OpenBrowser,
    /// It is printed, for a browser on any machine.
    Print,
}

pub(super) struct CallbackOutcome {
    pub(super) code: Result<AuthorizationCode, CallbackError>,
    pub(super) reply: Option<Reply>,
}

pub(super) struct CallbackSources<'a> {
    /// `None` if another program uses the port.
    callbacks: Option<Callbacks>,
    redirect_uri: &'a RedirectUri,
    response: ExpectedResponse,
}

impl<'a> CallbackSources<'a> {
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

impl LoginFlow<'_> {
    /// Decides how the user gets the link. Without a browser on this machine it is printed, if there is a terminal.
    pub(super) fn link_delivery(&self) -> Result<LinkDelivery, Error> {
        if self.login.login_link {
            return Ok(LinkDelivery::Print);
        }
        match self.session.system.opening() {
            BrowserLaunch::FromEnv(_) | BrowserLaunch::Platform(_) => Ok(LinkDelivery::OpenBrowser),
            BrowserLaunch::Unavailable(reason) if self.ui().can_ask() => {
                self.ui().say(&format!("Not opening a browser ({reason})."));
                Ok(LinkDelivery::Print)
            }
            BrowserLaunch::Unavailable(reason) => Err(Error::NoBrowserNoTerminal { reason }),
        }
    }

    /// Returns what the user can do with a URL that they copied, or `None` if nothing reads it.
    fn paste(&self) -> Option<&'static str> {
        if self.ui().can_ask() { Some(PASTE_HERE) } else { self.login.paste_stdin.then_some(WRITE_TO_STDIN) }
    }

    /// Binds the callback port. If another program uses it, the user can still paste.
    pub(super) fn bind(&self) -> Result<(RedirectUri, Option<CallbackListener>), Error> {
        match (CallbackListener::bind(callback_port(&self.session.domain)), self.paste()) {
            (Ok(listener), _) => Ok((listener.redirect_uri(), Some(listener))),
            (Err(ListenError::PortTaken(port)), Some(paste)) => {
                Warning::PortTaken { port, paste }.show(self.ui());
                Ok((RedirectUri::new(port), None))
            }
            (Err(failure), _) => Err(failure.into()),
        }
    }

    /// Shows the link, opens it if there is a browser, and waits for the response.
    pub(super) async fn wait(
        &self,
        sources: &mut CallbackSources<'_>,
        delivery: LinkDelivery,
        link: &Url,
    ) -> Result<CallbackOutcome, Error> {
        let ui = self.ui();
        let deadline = Instant::now() + self.login.timeout();
        self.show(delivery, link, sources)?;
        let (mut opening, mut is_opening) = (pin!(self.open_browser(link)), delivery == LinkDelivery::OpenBrowser);
        let message = match &sources.callbacks {
            Some(_) if ui.can_copy() => "Waiting for browser login… (Ctrl-C to cancel, c and Enter to copy the link)",
            Some(_) => "Waiting for browser login… (Ctrl-C to cancel)",
            None if ui.can_ask() => "Paste the URL of the browser's last page here (Ctrl-C to cancel):",
            None => "Waiting for the URL of the browser's last page… (Ctrl-C to cancel)",
        };
        let mut before = PastedLines::default();
        let mut pastes = Pastes::open(ui, message, self.login.paste_stdin)?;
        let mut reminder = pin!(ui.remind());
        loop {
            tokio::select! {
                // Biased: a response that arrived before the deadline counts, and its browser gets the outcome.
                biased;
                event = sources.event() => match event {
                    Event::Callback(callback) => {
                        return Ok(CallbackOutcome { code: callback.result, reply: Some(callback.reply) });
                    }
                    Event::TlsAttempt => Warning::TlsAttempt { paste: self.paste() }.show(ui),
                },
                entered = pastes.next() => {
                    let entered = entered?;
                    let expected = (sources.redirect_uri, &sources.response);
                    if self.copies_link(&entered, link).await {
                        continue;
                    }
                    if let Some(outcome) = self.accept_paste(entered, &mut pastes, &mut before, expected).await? {
                        return Ok(outcome);
                    }
                },
                () = &mut reminder => {}
                opened = &mut opening, if is_opening => {
                    is_opening = false;
                    self.warn_unless_opened(opened, sources);
                },
                () = sleep_until(deadline) => {
                    return Err(Error::CallbackTimeout { waited: self.login.timeout(), paste: self.paste() });
                }
            }
        }
    }

    fn show(&self, delivery: LinkDelivery, link: &Url, sources: &CallbackSources<'_>) -> Result<(), Error> {
        let ui = self.ui();
        self.show_link(delivery, link.as_str())?;
        match delivery {
            LinkDelivery::OpenBrowser if ui.can_ask() && sources.callbacks.is_some() => {
                ui.say("If the last page doesn't load, copy its URL from the address bar and paste it here.\n");
            }
            LinkDelivery::OpenBrowser => {}
            LinkDelivery::Print => self.explain_other_machines(sources),
        }
        Ok(())
    }

    pub(super) fn show_link(&self, delivery: LinkDelivery, link: &str) -> Result<(), Error> {
        let ui = self.ui();
        match delivery {
            LinkDelivery::OpenBrowser => {
                ui.say("Opening your browser. If it doesn't open, go to:\n");
                // On stderr, and also with `--quiet`: an opener may report success without opening anything.
                ui.show_link(link);
            }
            // The event holds it.
            LinkDelivery::Print if self.login.output == Output::Json => {}
            LinkDelivery::Print => {
                ui.say("Open this URL in a browser on any device:\n");
                ui.write_link(link)?;
            }
        }
        ui.say("");
        Ok(())
    }

    fn explain_other_machines(&self, sources: &CallbackSources<'_>) {
        let ui = self.ui();
        let mut introduction = "If the browser is on another machine, forward the port first, from that machine:";
        if let Some(paste) = self.paste() {
            introduction = "Or forward the port first, from that machine:";
            ui.say(&format!(
                "If the browser is on another machine, the last page won't load. Copy its URL from the address bar and \
                 {paste}.",
            ));
        }
        let port = sources.callbacks.as_ref().map(|_| sources.redirect_uri.port());
        if let Some(forward) = port.and_then(|port| forward_command(&self.session.system.environment, port)) {
            ui.say(&format!("{introduction}\n\n  {forward}\n"));
        }
    }

    fn warn_unless_opened(&self, opened: io::Result<()>, sources: &CallbackSources<'_>) {
        if let Err(error) = opened {
            Warning::BrowserNotOpened { cause: error.to_string() }.show(self.ui());
            self.explain_other_machines(sources);
        }
    }

    pub(super) async fn open_browser(&self, link: &Url) -> io::Result<()> {
        let system = self.session.system;
        browser::open(Arc::clone(&system.browser), link.clone(), system.opening()).await
    }
}
