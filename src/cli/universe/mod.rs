//! `grab universe`: who is listed and who was, with splits and renames.

mod fetching;
mod list;
mod orders;
mod report;
mod sync;
mod tables;

pub use fetching::{Brought, Fetching, ListDates, Needs, Renames, Without};
pub use orders::{is_kept, joining, kept, order, plan_orders, tasks_of, unplanned};
pub use tables::{Sync, TickersBrought};

use super::{
    args::{CommonArgs, UniverseArgs, UniverseCommand},
    failure::Failure,
    output::Output,
    settings::Sources,
};
use crate::exit::ExitStatus;

/// Runs the command.
///
/// # Errors
/// If something that is asked for is not there, or the data directory cannot be used.
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
