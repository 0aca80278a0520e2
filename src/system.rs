//! The outside world in one place.
//!
//! Nothing below reads the environment, the clock or the operating system's randomness by itself: a [`System`] is passed
//! down, and a test passes another.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use ring::rand::{SecureRandom, SystemRandom};

use crate::browser::{self, Browser, BrowserLaunch, Machine};
use crate::credentials::CredentialStore;
use crate::credentials::vault::Vault;
use crate::environment::Environment;
use crate::http::Http;
use crate::oauth::{PendingGrant, Random, RandomError};
use crate::ui::Ui;

/// Everything outside of this process that a command uses.
pub struct System {
    pub environment: Environment,
    /// The facts about this machine that decide about a browser. Read on first use: most commands need none of them.
    pub machine: OnceLock<Machine>,
    /// The folder that holds `.astro`: `$ASTRO_HOME`, or the home directory.
    pub home: PathBuf,
    pub http: Http,
    pub browser: Arc<dyn Browser>,
    pub keychain: Arc<dyn CredentialStore>,
    /// The vault of Astro CLI 2, in the home directory whatever `ASTRO_HOME` says.
    pub vault: Arc<Vault>,
    /// The terminal, or its replacement in a test.
    pub ui: Ui,
    pub now: fn() -> Timestamp,
    /// The time zone of printed times.
    pub time_zone: fn() -> TimeZone,
    /// A refresh token that was granted but not stored yet. Locked from grant to store, so that a signal can wait for the
    /// store or revoke the token.
    pub pending_grant: PendingGrant,
    pub random: Arc<dyn Random>,
}

impl System {
    pub fn opening(&self) -> BrowserLaunch {
        browser::decide(&self.environment, self.machine())
    }

    pub fn machine(&self) -> &Machine {
        self.machine.get_or_init(|| Machine::detect(&self.environment))
    }

    /// Waits for a store in progress, then revokes a refresh token that was granted but not stored.
    pub async fn revoke_pending_grant(&self) {
        self.pending_grant.revoke(&self.http).await;
    }
}

pub struct OsRandom(pub SystemRandom);

impl Random for OsRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        self.0.fill(bytes).map_err(|_| RandomError)
    }
}
