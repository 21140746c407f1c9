//! `grab resume`: continues with the outstanding tasks.

use grab_core::exit::ExitStatus;
use grab_ops::{Error as Failure, Resume};

use super::{
    args::{CommonArgs, ResumeArgs},
    notices::Terminal,
    output::{Output, announce_clock},
    run_report, saved_start,
    settings::{FetchSettings, Sources},
};

/// Runs the command.
///
/// # Errors
/// If nothing was ever started here, or the data directory cannot be used.
pub fn run(
    args: &ResumeArgs,
    common: &CommonArgs,
    sources: &Sources<'_>,
    output: Output,
) -> Result<ExitStatus, Failure> {
    let (data_dir, clock) = (sources.data_dir(common)?, sources.clock()?);
    data_dir.migrate()?;
    let sources = &saved_start::over(&data_dir, sources);
    let settings = FetchSettings::resolve_with(&args.fetch, &args.parquet, sources)?;
    announce_clock(clock);
    let observer = Terminal::observer(settings.progress, common.quiet, output);
    let resume = Resume { data_dir, options: settings.options, retry_failed: args.retry_failed, clock };
    let report = resume.run(&observer)?;
    output.report(&run_report::RunOutput(&report))
}
