//! The outside world in one place.
//!
//! Nothing below reads the environment, the clock or the operating system's randomness by itself: a [`System`] is handed
//! down, and a test hands down another.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::Mutex;

use crate::browser::Browser;
use crate::credentials::CredentialStore;
use crate::environment::Environment;
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
    pub time_zone: fn() -> TimeZone,
    /// Held while something is being stored that must not be left half done; Ctrl-C waits for it.
    pub storing: Mutex<()>,
    /// Where secrets come from.
    pub random: Arc<dyn Random>,
}

/// The operating system's randomness.
pub struct OsRandom(pub SystemRandom);

impl Random for OsRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        self.0.fill(bytes).map_err(|_| RandomError)
    }
}
