//! `grab completions`: a script that completes command lines.

use clap::CommandFactory;
use grab_core::exit::ExitStatus;
use grab_ops::Error as Failure;
use serde::Serialize;

use super::{
    args::{Cli, CompletionsArgs},
    output::Output,
    report::Report,
    text::Text,
};

#[derive(Serialize)]
struct Completions {
    shell: String,
    script: String,
}

/// Prints the script for a shell.
///
/// # Errors
/// If stdout cannot be written.
pub fn run(args: &CompletionsArgs, output: Output) -> Result<ExitStatus, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "grab", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    let completions = Completions { shell: args.shell.to_string(), script };
    output.report(&completions)
}

impl Report for Completions {
    fn text(&self) -> Text {
        Text::new(&self.script)
    }
}
