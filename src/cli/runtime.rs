//! The tokio runtime of a command, and the signals that end it.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{Error, Warning};
use crate::jwt;
use crate::system::System;
use crate::ui::Ui;

/// An interrupted command says so if finishing a write takes longer than this.
const SILENT_BOUND: Duration = Duration::from_millis(300);
/// A process that was not stopped within this time goes on.
#[cfg(unix)]
const STOP_BOUND: Duration = Duration::from_millis(100);

pub(super) fn run<T>(
    system: &System,
    mut command: Pin<Box<dyn Future<Output = Result<T, Error>> + '_>>,
) -> Result<T, Error> {
    jwt::crypto::install();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        // Until it waits for something, the command has nothing to finish, and a signal may end it.
        if let Poll::Ready(outcome) = poll_fn(|context| Poll::Ready(command.as_mut().poll(context))).await {
            return outcome;
        }
        let mut signals = Signals::new();
        let mut stopped = std::pin::pin!(stop_and_continue(&system.ui));
        tokio::select! {
            // Biased: a prompt sees Ctrl-C first.
            biased;
            outcome = &mut command => return outcome,
            () = signals.first(&system.ui) => {}
            () = &mut stopped => {}
        }
        // Do not stop between the two stores, between spending a refresh token and storing the new one, or before a grant
        // is revoked. Ctrl-C again does. A second SIGHUP does not: a closed terminal may send several.
        let finish = async {
            let mut revoked = std::pin::pin!(system.revoke_pending_grant());
            if tokio::time::timeout(SILENT_BOUND, &mut revoked).await.is_err() {
                Warning::FinishingUp.show(&system.ui);
                revoked.await;
            }
        };
        tokio::select! {
            biased;
            () = finish => Err(Error::Canceled),
            outcome = &mut command => outcome,
            () = signals.interrupt() => Err(Error::Canceled),
        }
    });
    // Does not wait for threads that resolve a name or wait for the keychain.
    runtime.shutdown_background();
    outcome
}

/// The signals that ask the process to end: Ctrl-C, SIGTERM, and the SIGHUP of a closed terminal.
#[cfg(unix)]
struct Signals {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    hangup: Option<Signal>,
}

#[cfg(unix)]
impl Signals {
    fn new() -> Self {
        // `nohup` ignores SIGHUP for its command.
        let hangup = Some(SignalKind::hangup()).filter(|kind| !is_ignored(*kind)).and_then(|kind| signal(kind).ok());
        Self {
            interrupt: signal(SignalKind::interrupt()).ok(),
            terminate: signal(SignalKind::terminate()).ok(),
            hangup,
        }
    }

    async fn interrupt(&mut self) {
        received(&mut self.interrupt).await;
    }

    /// Waits for the first signal that does not cancel a prompt: the command ends by itself after a canceled prompt.
    async fn first(&mut self, ui: &Ui) {
        loop {
            tokio::select! {
                () = received(&mut self.interrupt) => if !ui.take_interrupt() { return },
                () = received(&mut self.terminate) => return,
                () = received(&mut self.hangup) => return,
            }
        }
    }
}

/// Waits for a signal. Without a handler, the signal ends the process by itself.
#[cfg(unix)]
async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Ctrl-C, the only signal elsewhere.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> Self {
        Self
    }

    async fn interrupt(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    async fn first(&mut self, ui: &Ui) {
        loop {
            self.interrupt().await;
            if !ui.take_interrupt() {
                return;
            }
        }
    }
}

/// Returns `true` if the parent process has this process ignore the signal. Only Linux tells; elsewhere `false`.
#[cfg(unix)]
fn is_ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (kind.as_raw_value() - 1) & 1 == 1)
}

/// Gives the terminal to the shell when the process is stopped, by Ctrl-Z or otherwise, and takes it again afterwards.
#[cfg(unix)]
async fn stop_and_continue(ui: &Ui) {
    use rustix::process::{self, getpid, kill_process};

    if !ui.is_terminal() {
        return std::future::pending().await;
    }
    let kind = |signal: process::Signal| SignalKind::from_raw(signal.as_raw());
    let mut continued = signal(kind(process::Signal::CONT)).ok();
    // A shell without job control may ignore it for its commands.
    let stop = Some(kind(process::Signal::TSTP)).filter(|kind| !is_ignored(*kind));
    let mut stop = stop.and_then(|kind| signal(kind).ok());
    loop {
        tokio::select! {
            () = received(&mut continued) => {}
            () = received(&mut stop) => {
                ui.suspend();
                // It stops by default, unlike SIGTSTP, which is caught. Neither stops a process that no shell could continue.
                if let Err(error) = kill_process(getpid(), process::Signal::TTIN) {
                    tracing::debug!(%error, "could not stop");
                }
                let _ = tokio::time::timeout(STOP_BOUND, received(&mut continued)).await;
            }
        }
        ui.resume();
    }
}

#[cfg(not(unix))]
async fn stop_and_continue(_: &Ui) {
    std::future::pending().await
}
