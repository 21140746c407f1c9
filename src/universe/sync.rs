//! `grab universe sync`: fetches the lists, and reports the changes.

use grab_core::exit::ExitStatus;
use grab_ops::{Error as Failure, ListDates, ReferenceSelection, Renames, UniverseSync, read_annotations};

use super::{
    super::{
        args::{CommonArgs, UniverseSyncArgs},
        notices::Terminal,
        output::{Output, announce_clock},
        saved_start,
        settings::{FetchSettings, Sources},
    },
    report::SyncReport,
};

/// Runs the command.
///
/// # Errors
/// If the directory cannot be locked or its manifest cannot be used. All later failures are in the report.
pub fn run(
    args: &UniverseSyncArgs,
    common: &CommonArgs,
    sources: &Sources<'_>,
    output: Output,
) -> Result<ExitStatus, Failure> {
    let (data_dir, clock) = (sources.data_dir(common)?, sources.clock()?);
    let sources = &saved_start::over(&data_dir, sources);
    let settings = FetchSettings::resolve(&args.fetch, sources)?;
    announce_clock(clock);
    let annotations = args.annotate.as_deref().map(read_annotations).transpose()?;
    let observer = Terminal::observer(settings.progress, common.quiet, output);
    let needs = ReferenceSelection {
        tickers: true,
        splits: !args.no_splits,
        begun_since_ms: None,
        list_dates: if args.list_dates { ListDates::All } else { ListDates::None },
        renames: if args.renames { Renames::Stored } else { Renames::None },
    };
    let sync = UniverseSync { data_dir, options: settings.options, needs, annotations, clock };
    output.report(&SyncReport::new(sync.run(&observer)?, output.elapsed()))
}
