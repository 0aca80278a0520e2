//! Spinners on stderr, which show that something takes time.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::HINT;
use crate::text::clean;

const FRAMES: &str = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ";
const FRAME: Duration = Duration::from_millis(100);

pub(super) struct Spinners {
    all: MultiProgress,
    style: ProgressStyle,
}

/// A spinner, which is cleared when it is dropped.
#[must_use = "a spinner is cleared as soon as it is dropped"]
pub struct Spinner(ProgressBar);

impl Spinners {
    pub(super) fn new(color: bool) -> Self {
        let template =
            if color { format!("{HINT}{{spinner}}{HINT:#} {{wide_msg}}") } else { "{spinner} {wide_msg}".to_owned() };
        let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_spinner());
        Self { all: MultiProgress::with_draw_target(ProgressDrawTarget::stderr()), style: style.tick_chars(FRAMES) }
    }

    pub(super) fn start(&self, message: &str) -> Spinner {
        let bar = self.all.add(ProgressBar::new_spinner().with_style(self.style.clone()));
        let spinner = Spinner(bar);
        spinner.set_message(message);
        spinner.0.enable_steady_tick(FRAME);
        spinner
    }

    /// Runs `write` while no spinner is on the screen.
    pub(super) fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        self.all.suspend(write)
    }
}

impl Spinner {
    pub(super) fn hidden() -> Self {
        Self(ProgressBar::hidden())
    }

    /// Removes it from the screen.
    pub(super) fn clear(&self) {
        self.0.finish_and_clear();
    }

    /// Changes the message. Control characters are removed, and what exceeds the width of the terminal is cut.
    pub fn set_message(&self, message: &str) {
        self.0.set_message(clean(message, usize::MAX));
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.clear();
    }
}
