//! The command line: what was typed → what it means → one command → a report and an exit code.
//!
//! stdout is the report, stderr is talk. With `--json` stdout gets exactly one JSON object, also on failure.

mod args;
mod failure;
mod fetch;
mod format;
mod logging;
mod output;
mod progress;
mod report;
mod resume;
mod sandbox;
mod settings;
mod signals;
mod start;
mod status;

use std::{env, ffi::OsString};

use clap::Parser;

use crate::exit::ExitStatus;
use args::{Cli, Command};
use failure::Failure;
use output::Output;
use settings::Sources;

/// Runs the program on `arguments`, the first of which is its name.
#[must_use]
pub fn main(arguments: &[OsString]) -> ExitStatus {
    // Found out by hand, because it must hold even if the rest cannot be parsed.
    let json = arguments.iter().any(|argument| argument == "--json");
    match Cli::try_parse_from(arguments) {
        Ok(cli) => run(&cli, Output::new(cli.common.json)),
        Err(error) => not_parsed(&error, Output::new(json)),
    }
}

fn run(cli: &Cli, output: Output) -> ExitStatus {
    let env = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let done = Sources::read(&env).and_then(|sources| {
        logging::start(&cli.common, &sources)?;
        match &cli.command {
            Command::Start(args) => start::run(args, &cli.common, sources, output),
            Command::Resume(args) => resume::run(args, &cli.common, &sources, output),
            Command::Status(args) => status::run(args, &cli.common, &sources, output),
            Command::Sandbox(args) => sandbox::run(args, &sources, output),
        }
    });
    done.unwrap_or_else(|failure| output.failure(cli.command.name(), &failure))
}

/// Help and version are reports; everything else is a usage error.
fn not_parsed(error: &clap::Error, output: Output) -> ExitStatus {
    if !error.use_stderr() {
        // A reader that closed the pipe has seen enough.
        let _ = error.print();
        return ExitStatus::Complete;
    }
    if output.is_json() {
        let text = error.render().to_string();
        let first = text.lines().map(|line| line.trim_start_matches("error: ")).next().unwrap_or_default();
        return output.failure("", &Failure::Usage(first.to_owned()));
    }
    let _ = error.print();
    ExitStatus::Usage
}

impl Command {
    fn name(&self) -> &'static str {
        match self {
            Self::Start(_) => "start",
            Self::Resume(_) => "resume",
            Self::Status(_) => "status",
            Self::Sandbox(_) => "sandbox",
        }
    }
}
