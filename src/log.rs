//! The log of `-v` and `-vv`: this program's steps and requests, on stderr.
//!
//! Only events of this crate are shown, with fixed fields: method, host, path, status, time. The libraries below log headers
//! and bodies; those events are dropped.

use std::io::{self, Write};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::ui::Ui;

/// Starts the log: nothing at verbosity 0, the steps at 1, each request at 2 and above.
pub fn start(verbosity: u8, ui: &Ui) {
    let level = match verbosity {
        0 => return,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    let ui = ui.clone();
    let lines = fmt::layer()
        .with_writer(move || Line { ui: ui.clone(), bytes: Vec::new() })
        .with_ansi(false)
        .with_target(false)
        .without_time();
    // Fails if there is a subscriber already, as when several commands run in one test process.
    let _ = tracing_subscriber::registry()
        .with(lines.with_filter(Targets::new().with_target("astro_login", level)))
        .try_init();
}

/// Collects one event and prints it when complete, so that it appears above a spinner and correctly in raw mode.
struct Line {
    ui: Ui,
    bytes: Vec<u8>,
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.ui.log(String::from_utf8_lossy(&self.bytes).trim_end());
    }
}
