//! The command line: typed arguments → settings → one command → a report and an exit code.
//!
//! stdout gets the report, stderr everything else. With `--json` stdout gets exactly one JSON object, also on failure.

mod advice;
mod args;
mod bars;
mod called;
mod completions;
mod export;
mod left_out;
mod logging;
mod man;
mod notices;
mod output;
mod overview;
mod progress;
mod rebuild;
mod repair;
mod report;
mod resume;
mod rewrite;
mod run_report;
mod runs;
mod sandbox;
mod saved_start;
mod settings;
mod shell;
mod signals;
mod spec;
mod start;
mod status;
mod text;
mod thresholds;
mod universe;
mod update;
mod verify;
mod watch;
mod without_bars;
mod witness;

use std::{env, ffi::OsString, panic, process::ExitCode};

use clap::Parser;
use grab_core::exit::ExitStatus;
use grab_ops::Error as Failure;

use args::{Cli, Command, command_name, given_twice};
use called::CommandLine;
use output::Output;
use settings::Sources;

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().collect();
    // The panic's message is on stderr already. Its exit code is that of a bug.
    let status = panic::catch_unwind(|| run_typed(&arguments)).unwrap_or(ExitStatus::Bug);
    ExitCode::from(status.code())
}

/// Runs the program on `arguments`, the first of which is its name.
fn run_typed(arguments: &[OsString]) -> ExitStatus {
    // Checked by hand, because it must work even if the rest cannot be parsed.
    let json = arguments.iter().any(|argument| argument == "--json");
    let parsed = Cli::try_parse_from(arguments).and_then(|cli| given_twice(arguments).map_or(Ok(cli), Err));
    match parsed {
        Ok(cli) => run(&cli, arguments, Output::new(command_name(arguments), cli.common.json)),
        Err(error) => not_parsed(&error, arguments, json),
    }
}

fn run(cli: &Cli, typed: &[OsString], output: Output) -> ExitStatus {
    // A value that is not UTF-8 counts as set: it is refused where it is used, never ignored.
    let value = |name: &str| env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let env = |name: &str| value(name).filter(|value| !value.is_empty());
    // Commands without a data directory work whatever the config files contain.
    let is_tool = matches!(cli.command, Command::Spec(_) | Command::Completions(_) | Command::Man(_));
    let sources = if is_tool { Ok(Sources::without_files(&env)) } else { Sources::read(&env) };
    let done = sources.and_then(|sources| {
        let is_of_sandbox = cli.command.fetch().is_some_and(|fetch| fetch.sandbox);
        let sources = if is_of_sandbox { sources.of_sandbox() } else { sources };
        if !is_tool {
            called::set(CommandLine::new(cli, typed, sources.data_dir(&cli.common)?));
        }
        logging::start(&cli.common, &sources)?;
        if sources.allow_unsynced(&cli.common)? {
            grab_core::disk::accept_missing_fsync();
        }
        match &cli.command {
            Command::Start(args) => start::run(args, &cli.common, &sources, output),
            Command::Resume(args) => resume::run(args, &cli.common, &sources, output),
            Command::Repair(args) if args.rebuild_manifest => rebuild::run(&cli.common, &sources, output),
            Command::Repair(args) if args.rewrite => rewrite::run(args, &cli.common, &sources, output),
            Command::Repair(args) => repair::run(args, &cli.common, &sources, output),
            Command::Update(args) => update::run(args, &cli.common, &sources, output),
            Command::Status(args) => status::run(args, &cli.common, &sources, output),
            Command::Verify(args) => verify::run(args, &cli.common, &sources, output),
            Command::Export(args) => export::run(args, &cli.common, &sources, output),
            Command::Universe(args) => universe::run(args, &cli.common, &sources, output),
            Command::Sandbox(args) => sandbox::run(args, &sources, output),
            Command::Spec(args) => spec::run(args, &sources, output),
            Command::Completions(args) => completions::run(args, output),
            Command::Man(args) => man::run(args, output),
        }
    });
    done.unwrap_or_else(|failure| output.failure(&failure))
}

/// Prints help and version as reports; everything else is a usage error.
fn not_parsed(error: &clap::Error, arguments: &[OsString], json: bool) -> ExitStatus {
    if !error.use_stderr() {
        // A reader that closed the pipe has seen enough.
        let _ = error.print();
        return ExitStatus::Complete;
    }
    if json {
        let text = error.render().to_string();
        // The error comes first; the usage after it is for people.
        let what = text.split("\n\nUsage").next().unwrap_or_default().trim_start_matches("error: ");
        let what = what.split_whitespace().collect::<Vec<_>>().join(" ");
        return Output::new(command_name(arguments), true).failure(&Failure::Usage(what));
    }
    let _ = error.print();
    ExitStatus::Usage
}
