//! The outside world in one place.
//!
//! Nothing below reads the environment, the clock or the operating system's randomness by itself: a [`System`] is handed
//! down, and a test hands down another.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::{Mutex, oneshot};

use crate::browser::Browser;
use crate::credentials::CredentialStore;
use crate::http::Http;
use crate::oauth::{Random, RandomError};
use crate::ui::Ui;

/// Everything that a command may touch.
pub struct System {
    /// The environment variables.
    pub environment: Environment,
    /// The folder that holds `.astro`: `$ASTRO_HOME`, or the home directory.
    pub home: PathBuf,
    /// What the process speaks HTTP with.
    pub http: Http,
    /// The person's browser.
    pub browser: Arc<dyn Browser>,
    /// The operating system's credential store.
    pub keychain: Arc<dyn CredentialStore>,
    /// The terminal, or what stands in its place.
    pub ui: Ui,
    /// The clock.
    pub now: fn() -> Timestamp,
    /// The time zone in which people are told times.
    pub time_zone: TimeZone,
    /// Held while something is being stored that must not be left half done; Ctrl-C waits for it.
    pub storing: Mutex<()>,
    /// Where secrets come from.
    pub random: Arc<dyn Random>,
}

/// The environment variables as they were when the process started. An empty variable counts as unset.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Keeps the variables that are text; none that we know is anything else.
    pub fn new(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let text = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
        Self(variables.into_iter().filter_map(text).filter(|(_, value)| !value.is_empty()).collect())
    }

    /// An environment of these variables alone.
    pub fn from_pairs(pairs: &[(&str, &str)]) -> Self {
        Self::new(pairs.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))))
    }

    /// The value of a variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The same environment with one variable changed.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.0.insert(name.to_owned(), value.to_owned());
        self
    }
}

/// Runs blocking work on a thread of its own, so that the callback port, the spinner and Ctrl-C are served meanwhile.
///
/// A plain thread: one that hangs keeps neither the runtime nor the process from ending.
pub async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (tell, told) = oneshot::channel();
    // Nobody listens any more where the caller has given up waiting.
    thread::Builder::new().spawn(move || drop(tell.send(work())))?;
    told.await.map_err(|_| io::Error::other("the thread ended without a result"))
}

/// The operating system's randomness.
pub struct OsRandom(pub SystemRandom);

impl Random for OsRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        self.0.fill(bytes).map_err(|_| RandomError)
    }
}
