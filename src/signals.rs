//! Handles Ctrl-C and SIGTERM.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

use grab_core::{
    engine::{Stop, StopReason},
    exit::ExitStatus,
};

/// From now on SIGINT and SIGTERM request a clean stop, and a second one ends the process at once, with the exit code
/// of `last_word`, which prints the report.
///
/// Ending at once is safe: it is a crash like any other.
///
/// # Errors
/// If the system refuses the handlers.
pub fn watch(stop: Stop, last_word: impl FnOnce() -> ExitStatus + Send + 'static) -> io::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::spawn(async move {
        for _ in 0..2 {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            // The second time this changes nothing; the next line ends the process.
            stop.request(StopReason::Interrupted);
        }
        #[expect(clippy::exit, reason = "the second signal asks for just this")]
        std::process::exit(i32::from(last_word().code()));
    });
    Ok(())
}
