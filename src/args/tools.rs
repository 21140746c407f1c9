//! The arguments of commands that need no data directory.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use clap_complete::Shell;

use super::help;

/// `grab spec`
#[derive(Debug, Args)]
pub struct SpecArgs {
    /// What to do with specs.
    #[command(subcommand)]
    pub command: SpecCommand,
}

/// What to do with specs.
#[derive(Debug, Subcommand)]
pub enum SpecCommand {
    /// Show what each spec requests, and what is wrong with it
    #[command(after_help = help::SPEC)]
    Check(SpecCheckArgs),
}

/// `grab spec check`
#[derive(Debug, Args)]
pub struct SpecCheckArgs {
    /// The specs; all are checked, even if the first is wrong
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// `grab completions`
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

/// `grab man`
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Write a page for each command into this directory: grab.1, grab-start.1 and so on
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}
