//! `grab repair`: fetches again what `verify` finds wrong.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    args::{CommonArgs, RepairArgs},
    failure::Failure,
    fetch::{Job, announce_clock, overview},
    format,
    output::{Output, say},
    report::RunReport,
    settings::{FetchSettings, Sources},
    verify::watched,
};
use crate::{
    calendar::{self, Session},
    clock::Clock,
    exit::ExitStatus,
    manifest::{FILE_NAME, Lock, ManifestError, Mend, Overview},
    model::{Month, Symbol, Window},
    store::{StoreError, aside, layout, survey},
    verify::{Deep, Finding, Kept, Kind, Mending, Verified},
};

/// How much of a plan is listed for a person.
const LISTED: usize = 20;

/// What was done, or would be.
#[derive(Serialize)]
struct RepairReport {
    #[serde(flatten)]
    run: Option<RunReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<u8>,
    dry_run: bool,
    /// Findings that something is done about.
    mended: usize,
    /// What is asked for again.
    asked_again: Vec<AskedAgain>,
    /// Files that are out of the way: where they are now, or in a dry run, where they are.
    set_aside: Vec<PathBuf>,
}

#[derive(Clone, Serialize)]
struct AskedAgain {
    ticker: Symbol,
    window: Window,
}

/// What names a finding in a saved report.
#[derive(Deserialize)]
struct Named {
    ticker: Option<String>,
    month: Option<String>,
    date: Option<String>,
    path: Option<PathBuf>,
}

#[derive(Deserialize)]
struct SavedReport {
    findings: Vec<Named>,
}

/// Runs the command.
///
/// # Errors
/// If nothing was ever started here, the manifest is damaged, or the directory cannot be held or written.
pub fn run(
    args: &RepairArgs,
    common: &CommonArgs,
    sources: &Sources<'_>,
    output: Output,
) -> Result<ExitStatus, Failure> {
    let settings = FetchSettings::resolve(&args.fetch, sources)?;
    let (data_dir, clock) = (sources.data_dir(common)?, sources.clock()?);
    announce_clock(clock);
    let saved = args.from.as_deref().map(read_report).transpose()?;
    if !data_dir.join(FILE_NAME).exists() {
        overview(&data_dir)?;
        return Err(ManifestError::Missing { path: data_dir.join(FILE_NAME).display().to_string() }.into());
    }
    let lock = Lock::take(&data_dir)?;
    let deep = saved.as_ref().map_or(Deep::All, |saved| Deep::Only(partitions(saved)));
    let mut verified = watched(&data_dir, &deep, Kept::Used, common.quiet)?;
    if verified.findings.iter().any(|finding| finding.kind == Kind::ManifestCorrupt) {
        let damaged = "its pages do not fit together".to_owned();
        return Err(ManifestError::Corrupt(damaged).into());
    }
    if let Some(saved) = &saved {
        verified.findings.retain(|finding| saved.iter().any(|named| named.is(finding)));
    }
    let mending = mending(&data_dir, &verified, clock)?;
    if args.dry_run {
        let report = RepairReport::planned(&data_dir, &mending);
        output.report(&report, RepairReport::text)?;
        return Ok(ExitStatus::Complete);
    }
    if mending.is_empty() {
        say("there is nothing to repair");
    }
    let (mend, set_aside) = clear(&data_dir, &mending)?;
    let job = Job {
        command: "repair",
        arguments: mending.describe(),
        data_dir: data_dir.clone(),
        settings,
        sources,
        clock,
        plan_only: false,
        quiet: common.quiet,
        output,
        lock: Some(lock),
    };
    let run = job.run(move |ledger| ledger.mend(&mend))?;
    let set_aside = discard_replaced(&data_dir, set_aside)?;
    let report = RepairReport::done(run, &mending, set_aside);
    output.report(&report, RepairReport::text)?;
    Ok(report.run.as_ref().map_or(ExitStatus::Complete, RunReport::exit))
}

fn read_report(path: &Path) -> Result<Vec<Named>, Failure> {
    let named = |reason: String| Failure::Config(format!("{}: {reason}", path.display()));
    let bytes = fs::read(path).map_err(|error| named(error.to_string()))?;
    let saved: SavedReport = serde_json::from_slice(&bytes)
        .map_err(|error| named(format!("not a report of `grab verify --json`: {error}")))?;
    Ok(saved.findings)
}

/// The partitions that a saved report names: they are read again, as they may have been mended since.
fn partitions(saved: &[Named]) -> BTreeSet<(Symbol, Month)> {
    let partition = |named: &Named| {
        Some((named.ticker.as_deref()?.parse().ok()?, Month::parse(named.month.as_deref()?)?))
    };
    saved.iter().filter_map(partition).collect()
}

impl Named {
    /// Whether it is about the same place.
    fn is(&self, finding: &Finding) -> bool {
        let text = |value: Option<String>| value;
        self.ticker == text(finding.ticker.as_ref().map(ToString::to_string))
            && self.month == text(finding.month.map(|month| month.to_string()))
            && self.date == text(finding.date.map(|date| date.to_string()))
            && (self.ticker.is_some() || self.path == finding.path)
    }
}

fn mending(data_dir: &Path, verified: &Verified, clock: Clock) -> Result<Mending, Failure> {
    let asked: HashMap<_, _> = Overview::open(data_dir)?.windows()?;
    let last_day = calendar::last_finished(clock.now_ms()).map_or(calendar::FIRST_DAY, Session::date);
    Ok(Mending::of(&verified.findings, &asked, last_day))
}

/// A file that was moved away, and the partition that it was.
struct Aside {
    path: PathBuf,
    partition: Option<(Symbol, Month)>,
}

/// Moves out of the way what cannot be used. This comes first: whoever dies after it leaves partitions that are missing,
/// which the next repair finds.
fn clear(data_dir: &Path, mending: &Mending) -> Result<(Mend, Vec<Aside>), Failure> {
    let mut mend = Mend { again: mending.again.iter().cloned().collect(), ..Mend::default() };
    let mut set_aside = Vec::new();
    for (symbol, month) in &mending.unknown {
        match survey::examine(data_dir, symbol, *month) {
            Ok(found) => mend.found.extend(found.map(|found| found.partition)),
            Err(error @ StoreError::Io { .. }) => return Err(error.into()),
            Err(_) => set_aside.extend(move_partition(data_dir, symbol, *month)?),
        }
    }
    for (symbol, month) in &mending.lost {
        set_aside.extend(move_partition(data_dir, symbol, *month)?);
        mend.lost.push((symbol.clone(), *month));
    }
    for stray in &mending.strays {
        let path = aside::set_aside(data_dir, stray)?;
        set_aside.extend(path.map(|path| Aside { path, partition: None }));
    }
    Ok((mend, set_aside))
}

fn move_partition(data_dir: &Path, symbol: &Symbol, month: Month) -> Result<Option<Aside>, StoreError> {
    let path = aside::set_partition_aside(data_dir, symbol, month)?;
    Ok(path.map(|path| Aside { path, partition: Some((symbol.clone(), month)) }))
}

/// Removes those files that were set aside and have a replacement now. Answers the others.
fn discard_replaced(data_dir: &Path, set_aside: Vec<Aside>) -> Result<Vec<PathBuf>, Failure> {
    let overview = Overview::open(data_dir)?;
    let mut kept = Vec::new();
    for Aside { path, partition } in set_aside {
        let is_replaced = match partition {
            Some((symbol, month)) => is_whole(&overview, &symbol, month)?,
            None => false,
        };
        if is_replaced {
            aside::discard(data_dir, &path)?;
        } else {
            kept.push(path);
        }
    }
    Ok(kept)
}

/// Whether a month is held again, and nothing that was asked for in it is owed or has failed.
fn is_whole(overview: &Overview, symbol: &Symbol, month: Month) -> Result<bool, ManifestError> {
    let is_held = overview.partitions(symbol)?.iter().any(|partition| partition.month == month);
    let tasks = overview.tasks_of(symbol)?;
    let mut in_month = tasks.iter().filter(|task| month.mask(task.window) != 0);
    Ok(is_held && in_month.all(|task| task.state.is_covered()))
}

impl Mending {
    /// For the run's row in the manifest.
    fn describe(&self) -> String {
        let (lost, again) = (self.lost.len() as u64, self.again.len() as u64);
        format!(
            "{} lost, {} asked for again",
            format::plural(lost, "partition"),
            format::plural(again, "window")
        )
    }

    fn asked_again(&self) -> Vec<AskedAgain> {
        let pair =
            |(symbol, window): &(Symbol, Window)| AskedAgain { ticker: symbol.clone(), window: *window };
        self.again.iter().map(pair).collect()
    }

    fn count(&self) -> usize {
        self.unknown.len() + self.strays.len() + self.again.len()
    }
}

impl RepairReport {
    fn planned(data_dir: &Path, mending: &Mending) -> Self {
        let partition = |(symbol, month): &(Symbol, Month)| layout::partition(data_dir, symbol, *month);
        let files = mending.lost.iter().map(partition).filter(|path| path.exists());
        Self {
            run: None,
            command: Some("repair"),
            exit_code: Some(ExitStatus::Complete.code()),
            dry_run: true,
            mended: mending.count(),
            asked_again: mending.asked_again(),
            set_aside: files.chain(mending.strays.iter().cloned()).collect(),
        }
    }

    fn done(run: RunReport, mending: &Mending, set_aside: Vec<PathBuf>) -> Self {
        Self {
            run: Some(run),
            command: None,
            exit_code: None,
            dry_run: false,
            mended: mending.count(),
            asked_again: mending.asked_again(),
            set_aside,
        }
    }

    fn text(&self) -> String {
        let mut lines: Vec<_> = self.run.iter().map(RunReport::text).collect();
        let windows = format::plural(self.asked_again.len() as u64, "window");
        lines.push(if self.dry_run {
            format!("{windows} to ask for again; nothing was asked or changed")
        } else {
            format!("  again     {windows} asked for again")
        });
        let again = self.asked_again.iter().take(LISTED);
        lines.extend(again.map(|again| format!("  {} {}", again.ticker, again.window)));
        let more = self.asked_again.len().saturating_sub(LISTED);
        lines.extend((more > 0).then(|| format!("  and {} more", format::count(more as u64))));
        lines.extend(self.set_aside.iter().map(|path| format!("  aside     {}", path.display())));
        lines.join("\n")
    }
}
