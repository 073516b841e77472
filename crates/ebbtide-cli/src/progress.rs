//! The progress bar: only where a person looks.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::messages;

/// A line at the bottom of the terminal, or nothing.
#[derive(Debug)]
pub(crate) struct Progress(Option<ProgressBar>);

impl Progress {
    /// On a terminal, and messages go around it from now on.
    pub(crate) fn on_a_terminal() -> Progress {
        if !std::io::stderr().is_terminal() {
            return Progress(None);
        }
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {pos} ended{msg} · {elapsed} · {per_sec}")
        {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        messages::show_around(bar.clone());
        Progress(Some(bar))
    }

    /// Nothing.
    pub(crate) fn none() -> Progress {
        Progress(None)
    }

    /// So many have ended, so many of them not well.
    pub(crate) fn show(&self, ended: u64, failed: u64) {
        let Some(bar) = &self.0 else { return };
        bar.set_position(ended);
        if failed > 0 {
            bar.set_message(format!(", {failed} not completed"));
        }
    }

    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
