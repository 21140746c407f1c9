//! `grab repair`: fetches again what `verify` finds wrong.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::{Component, Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    access::Access,
    args::{CommonArgs, RepairArgs},
    clear::{clear, discard_replaced},
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
    manifest::{FILE_NAME, Lock, ManifestError, Overview, StoreKind},
    model::{Month, Symbol, Window},
    store::layout,
    verify::{Deep, Finding, Kept, Kind, Mending, Verified},
};

/// The folders of a data directory that findings are about.
const TOP_FOLDERS: [&str; 2] = ["bars_1m", "reference"];

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
    let kind = ready(&settings, sources, &data_dir, clock, common.quiet)?;
    let (mend, mut set_aside) = clear(&data_dir, kind, &mending)?;
    let again = mend.again.clone();
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
    set_aside.extend(discard_replaced(&data_dir)?);
    let report = RepairReport::done(run, &mending, &again, set_aside);
    output.report(&report, RepairReport::text)?;
    Ok(report.run.as_ref().map_or(ExitStatus::Complete, RunReport::exit))
}

/// Finds out whether the run will be able to begin, before any file is moved: the kind of bars, and the key.
fn ready(
    settings: &FetchSettings,
    sources: &Sources<'_>,
    data_dir: &Path,
    clock: Clock,
    quiet: bool,
) -> Result<StoreKind, Failure> {
    let held = Overview::open(data_dir)?.kind()?;
    let asked = Access { command: "repair", settings, sources, clock, quiet }.kind(held);
    match held.filter(|held| *held != asked) {
        Some(held) => Err(ManifestError::OtherKind { held, asked }.into()),
        None if asked.sandbox || sources.key()?.is_some() => Ok(asked),
        None => Err(Failure::Key("there is no API key".to_owned())),
    }
}

fn read_report(path: &Path) -> Result<Vec<Named>, Failure> {
    let named = |reason: String| Failure::Config(format!("{}: {reason}", path.display()));
    let bytes = fs::read(path).map_err(|error| named(error.to_string()))?;
    let saved: SavedReport = serde_json::from_slice(&bytes)
        .map_err(|error| named(format!("not a report of `grab verify --json`: {error}")))?;
    Ok(saved.findings)
}

/// The partitions that a saved report names: they are read again, as they may have been mended since. Whether a session is
/// thin is seen in its partition too.
fn partitions(saved: &[Named]) -> BTreeSet<(Symbol, Month)> {
    let partition = |named: &Named| {
        let month = match (&named.month, &named.date) {
            (Some(month), _) => Month::parse(month)?,
            (None, date) => Month::of(date.as_deref()?.parse().ok()?),
        };
        Some((named.ticker.as_deref()?.parse().ok()?, month))
    };
    saved.iter().filter_map(partition).collect()
}

/// A path without the way to the data directory, which may be written in more than one way.
fn below_data_dir(path: &Path) -> PathBuf {
    let is_top = |part: &Component<'_>| TOP_FOLDERS.iter().any(|top| part.as_os_str() == *top);
    let parts: Vec<_> = path.components().collect();
    let top = parts.iter().rposition(is_top).unwrap_or_default();
    parts.into_iter().skip(top).collect()
}

impl Named {
    /// Whether it is about the same place.
    fn is(&self, finding: &Finding) -> bool {
        let path = |path: &Option<PathBuf>| path.as_deref().map(below_data_dir);
        let has_place = self.month.is_some() || self.date.is_some();
        self.ticker == finding.ticker.as_ref().map(ToString::to_string)
            && self.month == finding.month.map(|month| month.to_string())
            && self.date == finding.date.map(|date| date.to_string())
            && (has_place || path(&self.path) == path(&finding.path))
    }
}

fn mending(data_dir: &Path, verified: &Verified, clock: Clock) -> Result<Mending, Failure> {
    let asked: HashMap<_, _> = Overview::open(data_dir)?.windows()?;
    let last_day = calendar::last_finished(clock.now_ms()).map_or(calendar::FIRST_DAY, Session::date);
    Ok(Mending::of(&verified.findings, &asked, last_day))
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

    fn count(&self) -> usize {
        self.unknown.len() + self.strays.len() + self.again.len() + self.unwitnessed.len()
    }
}

fn asked_again<'a>(again: impl IntoIterator<Item = &'a (Symbol, Window)>) -> Vec<AskedAgain> {
    let pair = |(symbol, window): &(Symbol, Window)| AskedAgain { ticker: symbol.clone(), window: *window };
    again.into_iter().map(pair).collect()
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
            asked_again: asked_again(&mending.again),
            set_aside: files
                .chain(mending.strays.iter().cloned())
                .chain(mending.unwitnessed.values().flatten().cloned())
                .collect(),
        }
    }

    fn done(run: RunReport, mending: &Mending, again: &[(Symbol, Window)], set_aside: Vec<PathBuf>) -> Self {
        Self {
            run: Some(run),
            command: None,
            exit_code: None,
            dry_run: false,
            mended: mending.count(),
            asked_again: asked_again(again),
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
