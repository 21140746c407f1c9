//! Parses the command line, runs the command, exits with its code. All else is in the library.

use std::{panic, process::ExitCode};

use grab::{cli, exit::ExitStatus};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    // What a panic says is on stderr already. Its exit code is that of a bug.
    let status = panic::catch_unwind(|| cli::main(&arguments)).unwrap_or(ExitStatus::Bug);
    ExitCode::from(status.code())
}
