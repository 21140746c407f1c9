//! The progress of a verification or a rewrite on a terminal.

use std::{
    io::{IsTerminal, stderr},
    sync::{Arc, atomic::Ordering},
    thread,
    time::Duration,
};

use grab_core::verify::VerifyProgress;
use grab_ops::FileProgress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often the bar is redrawn.
const REDRAW: Duration = Duration::from_millis(200);

/// A bar, shown until it is dropped. None if stderr is no terminal.
pub struct VerifyBar(Option<ProgressBar>);

impl VerifyBar {
    /// Shows the progress.
    pub fn show(progress: &Arc<VerifyProgress>) -> Self {
        if !stderr().is_terminal() {
            return Self(None);
        }
        let bar = bar("symbols");
        let (shown, progress) = (bar.clone(), Arc::clone(progress));
        thread::spawn(move || {
            while !shown.is_finished() {
                shown.set_length(progress.symbols.load(Ordering::Relaxed));
                shown.set_position(progress.done.load(Ordering::Relaxed));
                thread::sleep(REDRAW);
            }
        });
        Self(Some(bar))
    }
}

impl Drop for VerifyBar {
    fn drop(&mut self) {
        self.0.iter().for_each(ProgressBar::finish_and_clear);
    }
}

/// A bar of files, shown until it is dropped. None if stderr is no terminal.
pub struct FileBar(Option<ProgressBar>);

impl FileBar {
    /// Shows a bar.
    pub fn new() -> Self {
        Self(stderr().is_terminal().then(|| bar("files")))
    }
}

impl FileProgress for FileBar {
    fn show(&self, done: u64, all: u64) {
        if let Some(bar) = &self.0 {
            bar.set_length(all);
            bar.set_position(done);
        }
    }
}

impl Drop for FileBar {
    fn drop(&mut self) {
        self.0.iter().for_each(ProgressBar::finish_and_clear);
    }
}

fn bar(unit: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    match ProgressStyle::with_template(&format!("{{bar:30}} {{percent:>3}}%  {{pos}} of {{len}} {unit}")) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
