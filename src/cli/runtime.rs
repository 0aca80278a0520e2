//! The tokio runtime of a command, and the signals that end it.

use std::pin::Pin;
use std::time::Duration;

use crate::error::{Error, Warning};
use crate::jwt;
use crate::system::System;

/// An interrupted command says so if finishing a write takes longer than this.
const SILENT_BOUND: Duration = Duration::from_millis(300);

pub(super) fn run(
    system: &System,
    mut command: Pin<Box<dyn Future<Output = Result<(), Error>> + '_>>,
) -> Result<(), Error> {
    jwt::crypto::install();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = &mut command => return outcome,
            () = interrupted() => {}
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
            () = ctrl_c() => Err(Error::Canceled),
        }
    });
    // Does not wait for threads that resolve a name or wait for the keychain.
    runtime.shutdown_background();
    outcome
}

/// Waits for Ctrl-C, SIGTERM, or the SIGHUP of a closed terminal.
async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::SignalKind;
        tokio::select! {
            () = ctrl_c() => {}
            () = received(SignalKind::terminate()) => {}
            // `nohup` ignores it for its command.
            () = received(SignalKind::hangup()), if !is_ignored(SignalKind::hangup()) => {}
        }
    }
    #[cfg(not(unix))]
    ctrl_c().await;
}

async fn ctrl_c() {
    // Without a handler, the signal ends the process by itself.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(unix)]
async fn received(kind: tokio::signal::unix::SignalKind) {
    match tokio::signal::unix::signal(kind) {
        Ok(mut signal) => drop(signal.recv().await),
        // Without a handler, the signal ends the process by itself.
        Err(_) => std::future::pending().await,
    }
}

/// Returns `true` if the parent process has this process ignore the signal. Only Linux tells; elsewhere `false`.
#[cfg(unix)]
fn is_ignored(kind: tokio::signal::unix::SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (kind.as_raw_value() - 1) & 1 == 1)
}
