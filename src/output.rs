//! stdout and stderr: the only place that prints.

use std::{
    io::{self, IsTerminal, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use grab_core::{clock::Clock, exit::ExitStatus};
use grab_model::format;
use grab_ops::{Error as Failure, RunReport};
use serde::Serialize;

use super::{advice::hint, called, report};

/// Whether stdout has its report. A second signal may want to print one while the first one is being printed.
static REPORTED: AtomicBool = AtomicBool::new(false);

/// The form of a command's report.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    json: bool,
}

impl Output {
    /// `json`: whether stdout gets one JSON object instead of text.
    #[must_use]
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether stdout gets JSON.
    #[must_use]
    pub fn is_json(self) -> bool {
        self.json
    }

    /// Prints a report: the value as JSON, or the text from `render`. A process prints only its first report.
    ///
    /// # Errors
    /// If stdout cannot be written; a reader that closed the pipe is no error.
    pub fn report<T: Serialize>(self, value: &T, render: impl FnOnce(&T) -> String) -> Result<(), Failure> {
        let text =
            if self.json { serde_json::to_string(value).map_err(io::Error::from)? } else { render(value) };
        let text = if self.json { called::whole_json(&text) } else { called::whole(&text) };
        let mut stdout = io::stdout().lock();
        if REPORTED.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        match writeln!(stdout, "{}", text.trim_end()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Report(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Prints the report of a run.
    ///
    /// # Errors
    /// Those of [`Output::report`].
    pub fn report_run(self, report: &RunReport) -> Result<(), Failure> {
        self.report(&report::json(report), |_| report::text(report))
    }

    /// Prints on stderr why a command failed, and on stdout too if it is to be JSON.
    pub fn failure(self, command: &str, failure: &Failure) -> ExitStatus {
        let exit = failure.exit();
        say(&format!("error: {}", failure.chain()));
        if let Some(hint) = hint(failure) {
            say(&format!("  {hint}"));
        }
        if self.json {
            let report = report::failed(command, failure);
            // If stdout is gone as well, nothing can be reported.
            let _ = self.report(&report, |_| String::new());
        }
        exit
    }
}

/// Prints a line on stderr, with each command completed. Failures are ignored.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", called::whole(line));
}

/// Says that the time is pretended, so that a rehearsal is not taken for a real run.
pub fn announce_clock(clock: Clock) {
    if clock.is_pretended() {
        say(&format!("GRAB_NOW is set: it is taken to be {}", format::instant(clock.now_ms())));
    }
}

/// Whether stderr is a terminal that can redraw a line.
#[must_use]
pub fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}
