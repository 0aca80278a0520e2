//! The open connections, of which the oldest is closed when there are too many.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::task::AbortHandle;

use super::Attempt;

/// The most open connections. Some systems allow a process 256 files, and the login needs its own.
const MAX_CONNECTIONS: usize = 128;

/// The open connections, oldest first. Dropping it closes them, except the one that delivered the callback.
pub(super) struct Connections {
    open: VecDeque<AbortHandle>,
    attempt: Arc<Attempt>,
}

impl Connections {
    pub(super) fn new(attempt: Arc<Attempt>) -> Self {
        Self { open: VecDeque::new(), attempt }
    }

    /// Adds a connection, and closes the oldest one if there are too many. The newest is never refused: browsers open
    /// silent connections in advance, so the newest is the most likely one to deliver the callback.
    pub(super) fn add(&mut self, task: AbortHandle) {
        self.open.retain(|task| !task.is_finished());
        self.open.push_back(task);
        if self.open.len() > MAX_CONNECTIONS {
            self.close_oldest();
        }
    }

    /// Closes the oldest connection that did not deliver the callback. Returns whether there was one.
    pub(super) fn close_oldest(&mut self) -> bool {
        self.open.retain(|task| !task.is_finished());
        let oldest = self.open.iter().position(|task| !self.is_claimed(task)).and_then(|index| self.open.remove(index));
        oldest.inspect(AbortHandle::abort).is_some()
    }

    fn is_claimed(&self, task: &AbortHandle) -> bool {
        self.attempt.claimed_by.get() == Some(&task.id())
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        while self.close_oldest() {}
    }
}
