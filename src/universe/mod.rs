//! `grab universe`: which symbols are and were listed, with splits and renames.

mod list;
mod order;
mod report;
mod sync;

pub use order::order;

use grab_core::exit::ExitStatus;

use grab_ops::Error as Failure;

use super::{
    args::{CommonArgs, UniverseArgs, UniverseCommand},
    output::Output,
    settings::Sources,
};

/// Runs the command.
///
/// # Errors
/// If requested data do not exist, or the data directory cannot be used.
pub fn run(
    args: &UniverseArgs,
    common: &CommonArgs,
    sources: &Sources<'_>,
    output: Output,
) -> Result<ExitStatus, Failure> {
    match &args.command {
        UniverseCommand::Sync(args) => sync::run(args, common, sources, output),
        UniverseCommand::List(args) => list::run(args, common, sources, output),
    }
}
