//! `grab universe`: who is listed and who was, with splits and renames.

mod cut_away;
mod fetching;
mod list;
mod orders;
mod planned;
mod report;
mod sync;
mod tables;

pub use cut_away::cut_away;
pub use fetching::{Brought, Fetching, ListDates, Needs, Renames, Without};
pub use orders::{is_kept, joining, kept, known, order, plan_orders, unplanned};
pub use planned::{LeftOut, Planned};
pub use tables::{Sync, TickersBrought};

use grab_core::exit::ExitStatus;

use super::{
    args::{CommonArgs, UniverseArgs, UniverseCommand},
    failure::Failure,
    output::Output,
    settings::Sources,
};

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
