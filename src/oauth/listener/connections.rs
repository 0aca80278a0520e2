//! The crowd rule: how many connections are open at once, and which of them gives way to the next.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{self, AbortHandle};
use tokio::time::{self, Instant};

use super::Attempt;

/// How many connections are open at once. Some systems let a process have 256 files, and the login needs its own.
const MOST_CONNECTIONS: usize = 128;
/// How long a connection is open at least before it gives way to others. In a crowd of 200 that always comes again, the
/// last to come waits for two of these.
const GRACE: Duration = Duration::from_millis(20);
/// How soon it is looked whether a connection has ended by itself meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// The open connections, oldest first. Dropped, they are closed, except for the one that waits for its reply.
pub(super) struct Connections {
    open: VecDeque<Connection>,
    attempt: Arc<Attempt>,
}

struct Connection {
    task: AbortHandle,
    since: Instant,
}

impl Connections {
    /// None yet, of this attempt.
    pub(super) fn new(attempt: Arc<Attempt>) -> Self {
        Self { open: VecDeque::new(), attempt }
    }

    /// Adds a connection. Where there are too many, returns only when the oldest has given way. Nobody is refused: silent
    /// connections come in crowds (browsers open them in advance), and the last to come is most likely the one that matters.
    pub(super) async fn add(&mut self, task: AbortHandle) {
        self.open.push_back(Connection { task, since: Instant::now() });
        while self.count() > MOST_CONNECTIONS && self.give_way().await {}
    }

    /// How many are open.
    pub(super) fn count(&mut self) -> usize {
        self.open.retain(|open| !open.task.is_finished());
        self.open.len()
    }

    /// Closes the oldest connection, if there is one that may be closed, but not before its grace is over: else a crowd that
    /// comes between a browser's connecting and its asking would push it out. Until then it returns now and then, since
    /// another may have ended by itself. Those who come meanwhile wait in the operating system's queue, which costs us
    /// nothing, and what they say waits with them.
    pub(super) async fn give_way(&mut self) -> bool {
        let Some(oldest) = self.oldest() else { return false };
        let (id, since) = (oldest.task.id(), oldest.since);
        let due = since + GRACE;
        time::sleep_until(due.min(Instant::now() + LOOK_AGAIN)).await;
        // However late it is: what a connection has said by now is looked at first. It may be the one that matters.
        task::yield_now().await;
        if Instant::now() >= due
            && let Some(oldest) = self.oldest().filter(|oldest| oldest.task.id() == id)
        {
            oldest.task.abort();
            self.open.retain(|open| open.task.id() != id);
        }
        true
    }

    fn oldest(&self) -> Option<&Connection> {
        self.open.iter().find(|open| self.may_be_closed(open))
    }

    fn may_be_closed(&self, connection: &Connection) -> bool {
        self.attempt.claimed_by.get() != Some(&connection.task.id())
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.open.iter().filter(|open| self.may_be_closed(open)).for_each(|open| open.task.abort());
    }
}
