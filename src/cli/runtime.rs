//! The tokio runtime of a command, and the signals that end it.

use std::pin::Pin;
use std::time::Duration;

use crate::error::Error;
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
        // Do not stop between the two stores, or between spending a refresh token and storing the new one. A second
        // Ctrl-C does.
        let finish = async {
            let mut revoked = std::pin::pin!(system.revoke_pending_grant());
            if tokio::time::timeout(SILENT_BOUND, &mut revoked).await.is_err() {
                system.ui.warn("finishing up; press Ctrl-C again to stop now");
                revoked.await;
            }
        };
        tokio::select! {
            biased;
            () = finish => Err(Error::Canceled),
            outcome = &mut command => outcome,
            () = interrupted() => Err(Error::Canceled),
        }
    });
    // Does not wait for threads that resolve a name or wait for the keychain.
    runtime.shutdown_background();
    outcome
}

async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminated.recv() => {}
            }
            return;
        }
    }
    // Without a handler, the signal ends the process by itself.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
