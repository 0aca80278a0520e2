//! Blocking work beside the runtime.

use std::io;
use std::thread;

use tokio::sync::oneshot;

/// Runs blocking work on a thread of its own, so that the callback port, the spinner and Ctrl-C are served meanwhile.
///
/// A plain thread: one that hangs keeps neither the runtime nor the process from ending.
pub async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (tell, told) = oneshot::channel();
    // Nobody listens any more where the caller has given up waiting.
    thread::Builder::new().spawn(move || drop(tell.send(work())))?;
    told.await.map_err(|_| io::Error::other("the thread ended without a result"))
}
