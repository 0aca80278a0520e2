//! The support code of the integration tests: service, browser, home directory.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "each test crate uses another part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test whose support breaks should stop")]

pub mod attacks;
pub mod binary;
mod browser;
pub mod callback_client;
#[cfg(unix)]
pub mod chromium;
pub mod diff;
#[cfg(target_os = "linux")]
pub mod houston;
#[cfg(all(unix, not(target_os = "macos")))]
pub mod keyring;
mod program;
#[cfg(unix)]
pub mod proxy;
#[cfg(unix)]
pub mod pty;
mod service;

use std::fs;
use std::path::{Path, PathBuf};

use astro_login::browser::Machine;
use astro_login::environment::Environment;

pub use browser::{FakeBrowser, Mode, Page};
pub use program::token;
pub use program::{ADA_CONFIG, MemoryStore, NOON, Outcome, Stage, callback_port};
pub use service::{AUDIENCE, CLIENT_ID, Fault, Options, Organization, Part, Person, Request, Service, Workspace};

/// The reason why no browser opens in an empty environment, on Linux.
pub fn no_screen() -> &'static str {
    let is_container = Machine::detect(&Environment::default()).container;
    if is_container { "running in a container" } else { "no display" }
}

/// The only snippet of the page under this heading, which is to be of this language.
pub fn snippet(page: &'static str, heading: &str, language: &str) -> &'static str {
    let section = page.split_once(&format!("\n## {heading}\n")).unwrap().1;
    let section = section.split("\n## ").next().unwrap();
    let code = section.split_once(&format!("```{language}\n")).unwrap().1.split_once("```").unwrap();
    assert!(!code.1.contains("```"), "a second snippet under {heading:?} that is not run");
    code.0
}

/// A home directory of its own, with an empty `.astro`; gone when dropped.
pub struct TestHome(tempfile::TempDir);

impl TestHome {
    pub fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join(".astro")).unwrap();
        Self(home)
    }

    /// The folder for `HOME` and `ASTRO_HOME`.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn config_path(&self) -> PathBuf {
        // Each with the separator of its platform, as the program tells it.
        self.path().join(".astro").join("config.yaml")
    }

    pub fn config(&self) -> Option<String> {
        fs::read_to_string(self.config_path()).ok()
    }

    pub fn write_config(&self, text: &str) {
        fs::write(self.config_path(), text).unwrap();
    }
}
