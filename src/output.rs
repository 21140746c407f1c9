//! stdout and stderr: the only place that prints.

use std::{
    io::{self, IsTerminal, Write},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use grab_core::{
    clock::Clock,
    exit::{ExitStatus, Outcome},
};
use grab_model::format;
use grab_ops::Error as Failure;
use serde::Serialize;

use super::{advice::hint, called, report::Report, run_report};

/// Whether stdout has its report. A second signal may want to print one while the first one is being printed.
static REPORTED: AtomicBool = AtomicBool::new(false);

/// The object that every command prints with `--json`: four fields, and between them the command's own.
#[derive(Serialize)]
struct Envelope<'a, T> {
    command: &'a str,
    outcome: Outcome,
    exit_code: u8,
    #[serde(flatten)]
    report: &'a T,
    elapsed_seconds: f64,
}

/// Where a command's report goes, and in which form.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    command: &'static str,
    begun: Instant,
    json: bool,
}

impl Output {
    /// The output of a command that begins now. `json`: whether stdout gets one JSON object instead of text.
    #[must_use]
    pub fn new(command: &'static str, json: bool) -> Self {
        Self { command, begun: Instant::now(), json }
    }

    /// Whether stdout gets JSON.
    #[must_use]
    pub fn is_json(self) -> bool {
        self.json
    }

    /// How long the command has run.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.begun.elapsed()
    }

    /// Prints a report, and returns how the command ends. A process prints only its first report.
    ///
    /// # Errors
    /// If stdout cannot be written; a reader that closed the pipe is no error.
    pub fn report<T: Report>(self, report: &T) -> Result<ExitStatus, Failure> {
        let exit = report.exit();
        let text = if self.json {
            let elapsed_seconds = (self.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
            let (outcome, exit_code) = (exit.outcome(), exit.code());
            let envelope = Envelope { command: self.command, outcome, exit_code, report, elapsed_seconds };
            called::whole_json(&serde_json::to_string(&envelope).map_err(io::Error::from)?).into_owned()
        } else {
            called::whole(&report.text().to_string()).into_owned()
        };
        let mut stdout = io::stdout().lock();
        if REPORTED.swap(true, Ordering::Relaxed) {
            return Ok(exit);
        }
        match writeln!(stdout, "{}", text.trim_end()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Report(error)),
            Ok(()) | Err(_) => Ok(exit),
        }
    }

    /// Prints on stderr why a command failed, and on stdout too if it is to be JSON.
    pub fn failure(self, failure: &Failure) -> ExitStatus {
        say(&format!("error: {}", failure.chain()));
        if let Some(hint) = hint(failure) {
            say(&format!("  {hint}"));
        }
        if self.json {
            // If stdout is gone as well, nothing can be reported.
            let _ = self.report(&run_report::FailureReport::new(failure));
        }
        failure.exit()
    }
}

/// Prints a line on stderr, with each command completed. Failures are ignored.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", called::whole(line));
}

/// Says that the time is pretended, so that a rehearsal is not taken for a real run.
pub fn announce_clock(clock: Clock) {
    if clock.is_simulated() {
        say(&format!("GRAB_NOW is set: it is taken to be {}", format::instant(clock.now_ms())));
    }
}

/// Whether stderr is a terminal that can redraw a line.
#[must_use]
pub fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}
