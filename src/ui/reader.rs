//! Keys from the terminal, read on a thread of their own, so that the runtime goes on.
//!
//! During a read the terminal is in raw mode, but Ctrl-C and Ctrl-Z remain signals: while the parser waits for the end of an
//! escape sequence, it would hold these keys back.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as std_mpsc;
use std::thread;
use std::time::Duration;

use crossterm::{event, terminal};
use tokio::sync::mpsc;

use super::{Ui, UiError, restore_terminal};

/// The interval at which the reader checks its stop flag.
const POLL: Duration = Duration::from_millis(50);
/// The longest wait for the reader's end. After half an escape sequence, crossterm waits for the other half.
const JOIN: Duration = Duration::from_millis(250);
/// The time to look for input to discard. With zero, crossterm does not look at all.
const DRAIN: Duration = Duration::from_millis(1);

/// The state that the reader shares with the signals.
#[derive(Default)]
pub(super) struct Reading {
    active: AtomicBool,
    redraw: AtomicBool,
    took_interrupt: AtomicBool,
}

pub(super) enum Input {
    Event(event::Event),
    /// The prompt is to be drawn: at the start, and after the process was stopped.
    Draw,
}

/// The results of the keys. Dropping it ends the thread, then drops the [`Terminal`].
pub(super) struct Reader<T> {
    received: mpsc::UnboundedReceiver<Result<T, UiError>>,
    stop: Arc<AtomicBool>,
    ended: std_mpsc::Receiver<()>,
    terminal: Terminal,
}

/// The terminal in raw mode. Dropping it restores the mode and discards pending input.
pub(super) struct Terminal {
    ui: Ui,
    interrupts: Interrupts,
}

#[cfg(unix)]
type Interrupts = tokio::signal::unix::Signal;
#[cfg(windows)]
type Interrupts = tokio::signal::windows::CtrlC;

#[cfg(unix)]
fn interrupts() -> io::Result<Interrupts> {
    tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())
}
#[cfg(windows)]
fn interrupts() -> io::Result<Interrupts> {
    tokio::signal::windows::ctrl_c()
}

impl Ui {
    /// Takes the terminal for a prompt. Must be called before the prompt is shown, within a tokio runtime, and not again
    /// before the result is dropped.
    pub(super) fn take_terminal(&self) -> Result<Terminal, UiError> {
        if !self.can_ask() {
            return Err(UiError::NoTerminal);
        }
        // First, so that Ctrl-C never ends the process in raw mode.
        let terminal = Terminal { ui: self.clone(), interrupts: interrupts().map_err(UiError::Io)? };
        self.0.reading.active.store(true, Ordering::Relaxed);
        self.enter_raw_mode().map_err(UiError::Io)?;
        Ok(terminal)
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
            self.0.reading.redraw.store(true, Ordering::Relaxed);
        }
    }

    /// Returns `true`, once, if a prompt was canceled by Ctrl-C. The command then ends by itself.
    pub fn take_interrupt(&self) -> bool {
        self.0.reading.took_interrupt.swap(false, Ordering::Relaxed)
    }
}

impl Terminal {
    /// Passes the input to `feed`, until an error.
    pub(super) fn read<T: Send + 'static>(
        self,
        feed: impl FnMut(Input) -> Option<Result<T, UiError>> + Send + 'static,
    ) -> Result<Reader<T>, UiError> {
        let (sender, received) = mpsc::unbounded_channel();
        let (end, ended) = std_mpsc::channel();
        let reader = Reader { received, stop: Arc::default(), ended, terminal: self };
        let (ui, stop) = (reader.terminal.ui.clone(), Arc::clone(&reader.stop));
        thread::Builder::new()
            .name("stdin".into())
            .spawn(move || {
                read_events(&ui, &stop, feed, &sender);
                drop(end);
            })
            .map_err(UiError::Io)?;
        Ok(reader)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // First what the terminal holds, then what crossterm holds.
        #[cfg(unix)]
        let _ = rustix::termios::tcflush(io::stdin(), rustix::termios::QueueSelector::IFlush);
        while event::poll(DRAIN).unwrap_or(false) && event::read().is_ok() {}
        self.ui.0.reading.active.store(false, Ordering::Relaxed);
        restore_terminal(self.ui.supports_escapes());
    }
}

impl<T> Reader<T> {
    /// Returns the next result, [`UiError::Canceled`] after Ctrl-C, or `None` after an error. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<Result<T, UiError>> {
        tokio::select! {
            biased;
            received = self.received.recv() => received,
            Some(()) = self.terminal.interrupts.recv() => {
                self.terminal.ui.0.reading.took_interrupt.store(true, Ordering::Relaxed);
                Some(Err(UiError::Canceled))
            }
        }
    }
}

impl<T> Drop for Reader<T> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Nothing is sent: the reader's end closes the channel.
        let _ = self.ended.recv_timeout(JOIN);
    }
}

fn read_events<T>(
    ui: &Ui,
    stop: &AtomicBool,
    mut feed: impl FnMut(Input) -> Option<Result<T, UiError>>,
    results: &mpsc::UnboundedSender<Result<T, UiError>>,
) {
    let mut input = Ok(Input::Draw);
    while !stop.load(Ordering::Relaxed) {
        if let Some(result) = input.map_or_else(|failure| Some(Err(failure)), &mut feed) {
            let last = result.is_err();
            if results.send(result).is_err() || last {
                return;
            }
        }
        input = loop {
            match event::poll(POLL) {
                Ok(true) => break event::read().map(Input::Event).map_err(UiError::Io),
                Ok(false) if stop.load(Ordering::Relaxed) => return,
                Ok(false) if ui.0.reading.redraw.swap(false, Ordering::Relaxed) => break Ok(Input::Draw),
                Ok(false) if io::stdin().is_terminal() => {}
                // The terminal was closed, which `poll` does not report.
                Ok(false) => break Err(UiError::Canceled),
                Err(error) => break Err(UiError::Io(error)),
            }
        };
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
