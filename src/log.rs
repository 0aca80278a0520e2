//! What `-v` and `-vv` tell: this program's own steps and requests, on stderr.
//!
//! Only events of this crate are shown, and their fields are fixed where they are made: method, host, path, status, time.
//! The libraries below log headers and bodies; none of that comes through.

use std::io::{self, Write};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::ui::Ui;

/// Starts telling, through `ui`: nothing at 0, the steps at 1, each request at 2 and above.
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
    // Failure means that a subscriber is there already, as when several commands run in one test process.
    let _ = tracing_subscriber::registry()
        .with(lines.with_filter(Targets::new().with_target("astro_login", level)))
        .try_init();
}

/// Collects one event and hands it on when it is complete, so that it comes out above a spinner and straight in raw mode.
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
