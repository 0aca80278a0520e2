//! The outside world in one place.
//!
//! Nothing below reads the environment, the clock or the operating system's randomness by itself: a [`System`] is handed
//! down, and a test hands down another.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::Mutex;

use crate::browser::{self, Browser, BrowserLaunch, Machine};
use crate::credentials::CredentialStore;
use crate::environment::Environment;
use crate::http::Http;
use crate::oauth::{AuthConfig, Random, RandomError};
use crate::token::RefreshToken;
use crate::ui::Ui;

/// Everything that a command may touch.
pub struct System {
    /// The environment variables.
    pub environment: Environment,
    /// The machine, as far as it decides about a browser, once it has been looked at: most commands have no need to.
    pub machine: OnceLock<Machine>,
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
    /// Held while something is being stored that must not be left half done; Ctrl-C waits for it. In it, what nothing
    /// keeps yet.
    pub storing: Mutex<Option<Granted>>,
    /// Where secrets come from.
    pub random: Arc<dyn Random>,
}

/// A refresh token that an issuer has granted, and that is not stored.
pub struct Granted {
    /// The issuer, and to whom.
    pub auth: AuthConfig,
    /// The token.
    pub refresh: RefreshToken,
}

impl System {
    /// What to do about a browser here.
    pub fn opening(&self) -> BrowserLaunch {
        browser::decide(&self.environment, self.machine())
    }

    /// The machine, which is looked at once.
    pub fn machine(&self) -> &Machine {
        self.machine.get_or_init(|| Machine::detect(&self.environment))
    }

    /// Once nothing is being stored any more, gives back what was granted and is not kept (RFC 7009): nobody will ever use
    /// it, and an account may hold only so many. It loses its worth in time even if this fails.
    pub async fn give_back(&self) {
        let mut storing = self.storing.lock().await;
        if let Some(Granted { auth, refresh }) = &*storing
            && let Err(failure) = auth.revoke(&self.http, refresh).await
        {
            tracing::info!(%failure, "an unused refresh token could not be revoked");
        }
        *storing = None;
    }
}

/// The operating system's randomness.
pub struct OsRandom(pub SystemRandom);

impl Random for OsRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        self.0.fill(bytes).map_err(|_| RandomError)
    }
}
