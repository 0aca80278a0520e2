//! Events of the terminal: keys, pastes, and a change of its size. They are read on a thread of their own, because crossterm
//! waits for the end of an escape sequence.
//!
//! For the same reason, Ctrl-C and Ctrl-Z remain signals during a prompt, although the terminal is in raw mode.

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as std_mpsc;
use std::thread;
use std::time::Duration;

use crossterm::event::{self, Event};
use crossterm::terminal;
use tokio::sync::{Notify, mpsc};

use super::{Ui, UiError, restore_terminal};

/// The interval at which the thread checks if it is still needed.
const POLL: Duration = Duration::from_millis(50);
/// The longest wait for the thread's end. After half an escape sequence, crossterm waits for the other half.
const JOIN: Duration = Duration::from_millis(250);
/// The time to look for input to discard. With zero, crossterm does not look at all.
const DRAIN: Duration = Duration::from_millis(1);

/// The state that the reader shares with the signals.
#[derive(Default)]
pub(super) struct Reading {
    active: AtomicBool,
    pub(super) resumed: Notify,
    pub(super) took_interrupt: AtomicBool,
}

/// The terminal in raw mode. Dropping it ends the thread, restores the mode, and discards pending input.
pub(super) struct Reader {
    ui: Ui,
    interrupts: Interrupts,
    events: mpsc::UnboundedReceiver<io::Result<Event>>,
    ended: std_mpsc::Receiver<()>,
}

#[cfg(unix)]
type Interrupts = tokio::signal::unix::Signal;
#[cfg(windows)]
type Interrupts = tokio::signal::windows::CtrlC;

#[cfg(unix)]
pub(super) fn interrupts() -> io::Result<Interrupts> {
    tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())
}
#[cfg(windows)]
pub(super) fn interrupts() -> io::Result<Interrupts> {
    tokio::signal::windows::ctrl_c()
}

impl Ui {
    /// Takes the terminal for a prompt. Must be called before the prompt is shown, within a tokio runtime, and not again
    /// before the result is dropped.
    pub(super) fn reader(&self) -> Result<Reader, UiError> {
        if !self.is_terminal() {
            return Err(UiError::NoTerminal);
        }
        // First, so that Ctrl-C never ends the process in raw mode.
        let interrupts = interrupts().map_err(UiError::Io)?;
        let (sender, events) = mpsc::unbounded_channel();
        let (end, ended) = std_mpsc::channel();
        let reader = Reader { ui: self.clone(), interrupts, events, ended };
        self.0.reading.active.store(true, Ordering::Relaxed);
        self.enter_raw_mode().map_err(UiError::Io)?;
        let read = move || {
            read_events(&sender);
            drop(end);
        };
        thread::Builder::new().name("stdin".into()).spawn(read).map_err(UiError::Io)?;
        Ok(reader)
    }

    fn enter_raw_mode(&self) -> io::Result<()> {
        terminal::enable_raw_mode()?;
        #[cfg(unix)]
        adjust_raw_mode()?;
        // Without bracketed paste, a paste arrives as if typed.
        if self.supports_escapes() {
            let _ = crossterm::execute!(io::stderr(), event::EnableBracketedPaste);
        }
        Ok(())
    }

    /// Gives the terminal back to the shell, before the process stops.
    pub fn suspend(&self) {
        if self.0.reading.active.load(Ordering::Relaxed) {
            restore_terminal(self.supports_escapes());
        }
    }

    /// Takes the terminal again, after the process was stopped.
    pub fn resume(&self) {
        if self.0.reading.active.load(Ordering::Relaxed) {
            // The shell may have changed the mode, which crossterm would not notice.
            restore_terminal(self.supports_escapes());
            if let Err(error) = self.enter_raw_mode() {
                tracing::debug!(%error, "could not take the terminal again");
            }
        }
        self.0.reading.resumed.notify_waiters();
    }

    /// Returns `true`, once, if a prompt was canceled by Ctrl-C. The command then ends by itself.
    pub fn take_interrupt(&self) -> bool {
        self.0.reading.took_interrupt.swap(false, Ordering::Relaxed)
    }
}

impl Reader {
    /// Returns the next event, or `None` if the process was stopped, so that the prompt is drawn again. Ctrl-C and the end of
    /// the terminal are [`UiError::Canceled`]. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<Option<Event>, UiError> {
        let reading = &self.ui.0.reading;
        tokio::select! {
            biased;
            Some(()) = self.interrupts.recv() => {
                reading.took_interrupt.store(true, Ordering::Relaxed);
                Err(UiError::Canceled)
            }
            event = self.events.recv() => event.transpose().map_err(UiError::Io)?.map(Some).ok_or(UiError::Canceled),
            () = reading.resumed.notified() => Ok(None),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.events.close();
        // Nothing is sent: the thread's end closes the channel.
        let _ = self.ended.recv_timeout(JOIN);
        // First what the terminal holds, then what crossterm holds.
        discard_input();
        while event::poll(DRAIN).unwrap_or(false) && event::read().is_ok() {}
        self.ui.0.reading.active.store(false, Ordering::Relaxed);
        restore_terminal(self.ui.supports_escapes());
    }
}

/// Discards what was typed and not read: it was no answer to what is asked next.
pub(super) fn discard_input() {
    #[cfg(unix)]
    let _ = rustix::termios::tcflush(io::stdin(), rustix::termios::QueueSelector::IFlush);
}

/// Sends the events until nothing receives them, or the terminal is closed.
fn read_events(events: &mpsc::UnboundedSender<io::Result<Event>>) {
    while !events.is_closed() {
        match event::poll(POLL) {
            Ok(true) => drop(events.send(event::read())),
            Ok(false) if io::stdin().is_terminal() => {}
            // Closed, which `poll` does not report.
            Ok(false) => return,
            Err(error) => return drop(events.send(Err(error))),
        }
    }
}

/// Has the terminal send the signals of Ctrl-C and Ctrl-Z also in raw mode, but not the one of Ctrl-\, which would end the
/// process without restoring the terminal.
#[cfg(unix)]
fn adjust_raw_mode() -> io::Result<()> {
    use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, tcgetattr, tcsetattr};

    const DISABLED: u8 = if cfg!(target_os = "linux") { 0 } else { 0xff };
    let stdin = io::stdin();
    let mut mode = tcgetattr(&stdin)?;
    mode.local_modes |= LocalModes::ISIG;
    mode.special_codes[SpecialCodeIndex::VQUIT] = DISABLED;
    Ok(tcsetattr(&stdin, OptionalActions::Now, &mode)?)
}
