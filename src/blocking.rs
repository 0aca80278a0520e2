//! Blocking work, off the runtime.

use std::io;
use std::thread;

use tokio::sync::oneshot;

/// Runs blocking work on a thread of its own, so that the callback port, the spinner and Ctrl-C are served at the same time.
///
/// A plain thread: one that hangs keeps neither the runtime nor the process from ending.
pub async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (sender, receiver) = oneshot::channel();
    // Sending fails only after the caller has stopped waiting.
    thread::Builder::new().spawn(move || drop(sender.send(work())))?;
    receiver.await.map_err(|_| io::Error::other("the thread ended without a result"))
}
