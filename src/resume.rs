//! `grab resume`: goes on with what is owed.

use grab_core::{
    exit::ExitStatus,
    manifest::{ManifestError, migrate},
};

use super::{
    args::{CommonArgs, ResumeArgs},
    failure::Failure,
    fetch::{AskAnew, Job, announce_clock, begun},
    output::Output,
    remembered::Remembered,
    report::RunReport,
    settings::{FetchSettings, Sources},
    universe,
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
    migrate(&data_dir)?;
    let sources = &Remembered::of(&data_dir).over(sources);
    let settings = FetchSettings::resolve_with(&args.fetch, args.parquet, sources)?;
    announce_clock(clock);
    begun(&data_dir)?;
    let retry_failed = args.retry_failed;
    let job = Job {
        command: "resume",
        arguments: if retry_failed { "--retry-failed".to_owned() } else { String::new() },
        data_dir,
        settings,
        sources,
        clock,
        plan_only: false,
        quiet: common.quiet,
        output,
        lock: None,
        lists: universe::Needs::default(),
        absences: None,
        ask_anew: if retry_failed { AskAnew::IfAny } else { AskAnew::Never },
    };
    let path = job.data_dir.manifest().display().to_string();
    let report = job.run(move |writer| {
        if writer.counts()?.total() == 0 && writer.subscriptions()?.is_empty() {
            // A start that could not record what it was asked for has left an empty one.
            return Err(ManifestError::Missing { path }.into());
        }
        if retry_failed {
            writer.reopen_unsuccessful()?;
        }
        Ok(())
    })?;
    output.report(&report, RunReport::text)?;
    Ok(report.exit())
}
