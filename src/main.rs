//! Parses the command line, runs the command, exits with its code. All else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    ExitCode::from(grab::cli::main(&arguments).code())
}
