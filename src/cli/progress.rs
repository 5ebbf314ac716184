//! Progress on a terminal, and the user's wish to stop.

use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{ProgressBar, ProgressStyle};
use wgmm::em::Progress;

use super::args::Shared;

/// Watches a fit: a line that changes in place on a terminal, and Ctrl-C.
pub(crate) struct Watch {
    bar: Option<ProgressBar>,
    stop: Arc<AtomicBool>,
}

impl Watch {
    pub(crate) fn new(shared: &Shared) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        // Where no handler can be set Ctrl-C ends the program at once, as it would without one.
        let _ = ctrlc::set_handler(move || {
            // Asked twice: the user does not want to wait.
            if asked.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
        });
        let visible = !shared.quiet && !shared.json && std::io::stderr().is_terminal();
        let bar = visible.then(|| {
            let style = ProgressStyle::with_template("{spinner} {msg}");
            let bar = ProgressBar::new_spinner();
            style.map_or(bar.clone(), |style| bar.with_style(style))
        });
        Self { bar, stop }
    }

    /// To be called after each iteration.
    pub(crate) fn observe(&self, progress: Progress) -> ControlFlow<()> {
        self.say(|| {
            format!(
                "iteration {}, mean log-likelihood {:.6}",
                progress.iteration, progress.mean_log_likelihood
            )
        });
        self.go_on()
    }

    /// Shows what is being done.
    pub(crate) fn say(&self, message: impl FnOnce() -> String) {
        if let Some(bar) = &self.bar {
            bar.set_message(message());
            bar.tick();
        }
    }

    /// Whether the user has not asked to stop.
    pub(crate) fn go_on(&self) -> ControlFlow<()> {
        if self.stop.load(Ordering::Relaxed) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    pub(crate) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
