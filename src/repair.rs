//! `grab repair`: fetches again what `verify` finds wrong.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::{Component, Path, PathBuf},
    time::Duration,
};

use grab_core::{
    clock::Clock,
    data_dir::DataDir,
    exit::ExitStatus,
    manifest::{Lock, ManifestError, ManifestReader, ManifestWriter, StoreKind, migrate, missing},
    verify::{
        DeepSelection, Finding, FindingKind, ListingCuts, OtherWriters, RepairPlan, Severity, StoredWitness,
        Verification, lacking_sessions, request_windows,
    },
};
use grab_model::format;
use grab_model::{Month, Symbol, Window, calendar};
use grab_ops::{
    Error as Failure, HistoryCheck, Job, NextStep, RunReport, last_day, manifest_of, verify_directory,
};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{
    args::{CommonArgs, RepairArgs},
    clear::{Cleared, clear, discard_replaced},
    notices::Terminal,
    output::{Output, announce_clock, say},
    report::Report,
    run_report, saved_start,
    settings::{FetchSettings, Sources},
    text::Text,
};

/// The folders of a data directory that findings are about.
const TOP_FOLDERS: [&str; 2] = ["bars_1m", "reference"];

/// How much of a plan the text report lists.
const LISTED: usize = 20;

/// What was repaired, or would be.
#[derive(Default, Serialize)]
struct RepairReport {
    #[serde(flatten, serialize_with = "run_report::serialize_optional")]
    run: Option<RunReport>,
    dry_run: bool,
    /// The number of findings that are repaired.
    mended: usize,
    /// The windows that are requested again.
    asked_again: Vec<AskedAgain>,
    /// The size of the repair.
    estimate: RepairEstimate,
    /// Quarantined files: their new paths, or in a dry run, their present ones.
    set_aside: Vec<String>,
    /// Remaining damage, which needs a decision of the user.
    left: Vec<String>,
    /// Findings that name nothing to ask for, such as a gap of the market as a whole.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_asked: Vec<String>,
}

/// The size of a repair.
#[derive(Clone, Copy, Default, Serialize)]
struct RepairEstimate {
    /// Sessions that are lost, missing or thin, or belong to a task without data.
    sessions: u64,
    /// The windows of these sessions.
    windows: usize,
    /// The expected requests, by the symbols' stored bars.
    requests: u64,
    /// The time that these take at the configured pace. None without one.
    seconds: Option<f64>,
}

#[derive(Clone, Serialize)]
struct AskedAgain {
    ticker: Symbol,
    window: Window,
}

/// The fields that identify a finding in a saved report.
#[derive(Deserialize)]
struct Named {
    ticker: Option<String>,
    month: Option<String>,
    date: Option<String>,
    to: Option<String>,
    path: Option<PathBuf>,
}

#[derive(Deserialize)]
struct SavedReport {
    findings: Vec<Named>,
}

/// Runs the command.
///
/// # Errors
/// If nothing was ever started here, the manifest is damaged, or the directory cannot be locked or written.
pub fn run(
    args: &RepairArgs,
    common: &CommonArgs,
    sources: &Sources<'_>,
    output: Output,
) -> Result<ExitStatus, Failure> {
    let (data_dir, clock) = (sources.data_dir(common)?, sources.clock()?);
    if !args.dry_run {
        migrate(&data_dir)?;
    }
    let sources = &saved_start::over(&data_dir, sources);
    let settings = FetchSettings::resolve_with(&args.fetch, &args.parquet, sources)?;
    announce_clock(clock);
    let saved = args.from.as_deref().map(read_report).transpose()?;
    if !data_dir.manifest().exists() {
        manifest_of(&data_dir)?;
        return Err(missing(&data_dir).into());
    }
    let lock = Lock::take(&data_dir)?;
    let deep = saved.as_ref().map_or(DeepSelection::All, |saved| DeepSelection::Only(partitions(saved)));
    let cut_away = grab_ops::listing_cuts(&data_dir)?;
    // Tasks that extend beyond the last finished session are cut by the run itself, once the service confirms it.
    let observer = Terminal::observer(settings.progress, common.quiet, output);
    let mut verified = verify_directory(
        &data_dir,
        &deep,
        StoredWitness::Used,
        OtherWriters::Excluded,
        &cut_away,
        Date::MAX,
        &*observer,
    )?;
    if verified.findings.iter().any(|finding| finding.kind == FindingKind::ManifestCorrupt) {
        let damaged = "its pages do not fit together".to_owned();
        return Err(ManifestError::Corrupt(damaged).into());
    }
    if let Some(saved) = &saved {
        let found = std::mem::take(&mut verified.findings);
        let named =
            |finding: &Finding| saved.iter().filter_map(|named| named.part_of(finding)).collect::<Vec<_>>();
        verified.findings = found.iter().flat_map(named).collect();
        // A saved report names them on purpose, whatever the server has said.
        let absent = verified.findings.iter_mut().filter(|finding| finding.kind.is_of_sessions());
        absent.for_each(|finding| finding.severity = Severity::Gap);
    }
    let service = settings.options.service_of(ManifestReader::open(&data_dir)?.kind()?);
    let planned = Planned::of(&data_dir, &verified, &cut_away, clock, &settings, service.as_deref())?;
    if args.dry_run {
        let report = RepairReport::planned(&data_dir, &planned)?;
        return output.report(&report);
    }
    let Planned { plan, findings, estimate } = planned;
    if plan.is_empty() {
        say("there is nothing to repair");
    } else if estimate.windows > 0 {
        say(&format!("asks for {}", estimate.text()));
    }
    let kind = ready(&settings, &data_dir)?;
    let Cleared { mend, strays, untouched } = {
        let mut writer = ManifestWriter::open(&data_dir, clock)?;
        clear(&data_dir, kind, &plan, &mut writer)?
    };
    let again: Vec<_> = mend.replaced.iter().chain(&mend.again).chain(&mend.ordered).cloned().collect();
    let job = Job {
        command: "repair",
        arguments: describe(&plan),
        data_dir: data_dir.clone(),
        observer,
        options: settings.options,
        clock,
        plan_only: false,
        lock: Some(lock),
        lists: grab_ops::Needs::default(),
        absences: None,
        history_check: HistoryCheck::Never,
    };
    let (left, not_asked) = (left(&plan, &untouched), not_asked(&plan));
    let run = job.run_and_judge(
        move |writer| Ok(writer.apply_repair(&mend)?),
        |run, _| {
            let lost = if args.accept_loss { 0 } else { ManifestReader::open(&data_dir)?.lost_months()? };
            let run = if lost > 0 { run.with_gaps(NextStep::MonthsNotBack(lost)) } else { run };
            let lacking = lacking_sessions(&data_dir, last_day(clock))?;
            let run = if lacking.is_empty() {
                run
            } else {
                run.with_gaps(NextStep::SessionsLackSymbols(lacking.len()))
            };
            Ok(if left.is_empty() { run } else { run.damaged() })
        },
    )?;
    let mended = findings.saturating_sub(untouched.len());
    let report =
        RepairReport { run: Some(run), mended, left, not_asked, estimate, ..RepairReport::default() };
    let report = report.with(&again, &strays, &settle(args, &data_dir, clock)?);
    output.report(&report)
}

/// Removes quarantined files that are replaced. Returns those that remain.
fn settle(args: &RepairArgs, data_dir: &DataDir, clock: Clock) -> Result<Vec<PathBuf>, Failure> {
    let _lock = match Lock::take(data_dir) {
        // Another process came in between. The removal can wait for the next repair.
        Err(ManifestError::Locked { .. }) if !args.accept_loss => {
            let kept = ManifestReader::open(data_dir)?.set_aside()?;
            return Ok(kept.into_iter().map(|aside| data_dir.join(aside.path)).collect());
        }
        lock => lock?,
    };
    let mut writer = ManifestWriter::open(data_dir, clock)?;
    if args.accept_loss {
        let months = format::plural(writer.accept_loss()? as u64, "month");
        say(&format!("{months} with fewer bars than there were: taken for all there is"));
    }
    discard_replaced(data_dir, &mut writer)
}

/// A path as text, whatever bytes and control characters it has.
fn shown(path: &Path) -> String {
    path.display().to_string().chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Checks whether the run will be able to begin, before any file is moved: the kind of bars, and the key.
fn ready(settings: &FetchSettings, data_dir: &DataDir) -> Result<StoreKind, Failure> {
    let held = ManifestReader::open(data_dir)?.kind()?;
    let asked = settings.options.kind(held);
    match held.filter(|held| *held != asked) {
        Some(held) => Err(ManifestError::OtherKind { held, asked }.into()),
        None if asked.sandbox || settings.options.key.clone().map_err(Failure::Key)?.is_some() => Ok(asked),
        None => Err(Failure::Key("there is no API key".to_owned())),
    }
}

fn read_report(path: &Path) -> Result<Vec<Named>, Failure> {
    let named = |reason: String| Failure::Config(format!("{}: {reason}", path.display()));
    let bytes = fs::read(path).map_err(|error| named(error.to_string()))?;
    let text = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
    let saved: SavedReport = serde_json::from_slice(text)
        .map_err(|error| named(format!("not a report of grab verify --json: {error}")))?;
    Ok(saved.findings)
}

/// The partitions that a saved report names: they are read again, as they may have been repaired since. Thin sessions
/// need their partition too.
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

/// A path relative to the data directory, whose own path may be written in several ways.
fn below_data_dir(path: &Path) -> PathBuf {
    let is_top = |part: &Component<'_>| TOP_FOLDERS.iter().any(|top| part.as_os_str() == *top);
    let parts: Vec<_> = path.components().collect();
    let top = parts.iter().rposition(is_top).unwrap_or_default();
    parts.into_iter().skip(top).collect()
}

impl Named {
    /// The part of a finding that this one names: the same path, and of sessions the named ones.
    fn part_of(&self, finding: &Finding) -> Option<Finding> {
        let path = |path: &Option<PathBuf>| path.as_deref().map(below_data_dir);
        let has_place = self.month.is_some() || self.date.is_some();
        let is_same = self.ticker == finding.ticker.as_ref().map(ToString::to_string)
            && self.month == finding.month.map(|month| month.to_string())
            && self.date.is_some() == finding.date.is_some()
            && (has_place || path(&self.path) == path(&finding.path));
        let Some(date) = finding.date.filter(|_| is_same) else { return is_same.then(|| finding.clone()) };
        let named: Date = self.date.as_deref()?.parse().ok()?;
        let named_to = self.to.as_deref().map_or(Some(named), |to| to.parse().ok())?;
        let (from, to) = (date.max(named), finding.to.unwrap_or(date).min(named_to));
        (from <= to).then(|| Finding {
            date: Some(from),
            to: Some(to).filter(|to| *to != from),
            ..finding.clone()
        })
    }
}

/// The plan of a repair, with as few requests as possible.
struct Planned {
    plan: RepairPlan,
    /// The number of findings that are repaired.
    findings: usize,
    estimate: RepairEstimate,
}

impl Planned {
    fn of(
        data_dir: &DataDir,
        verified: &Verification,
        cut_away: &ListingCuts,
        clock: Clock,
        settings: &FetchSettings,
        service: Option<&str>,
    ) -> Result<Self, Failure> {
        let reader = ManifestReader::open(data_dir)?;
        let asked: HashMap<_, _> = reader.windows()?;
        let last_day = last_day(clock);
        let mut plan = RepairPlan::of(&verified.findings, &asked, cut_away, last_day);
        let findings = plan.count();
        plan.leave_out(&reader.pending_windows()?);
        reader.history_edge(service)?.into_iter().for_each(|edge| plan.cut(edge));
        let due = plan.again.iter().chain(&plan.unfinished).chain(&plan.cut_away).cloned();
        let due = due.chain(plan.lost_days());
        let sessions = due.map(|(_, window)| calendar::sessions(window).count() as u64).sum();
        plan.again = request_windows::joined(&reader, &plan.again, &asked)?.into_iter().collect();
        let windows = asked_for(data_dir, &plan)?;
        let requests = request_windows::requests(&reader, &windows)?;
        let sandbox = settings.options.sandbox || reader.kind()?.is_some_and(|held| held.sandbox);
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let seconds = settings.options.rate(sandbox).per_second().map(|rate| requests as f64 / rate);
        let estimate = RepairEstimate { sessions, windows: windows.len(), requests, seconds };
        Ok(Self { plan, findings, estimate })
    }
}

/// The windows that are requested if no file turns out to be good.
fn asked_for(data_dir: &DataDir, plan: &RepairPlan) -> Result<BTreeSet<(Symbol, Window)>, Failure> {
    let reader = ManifestReader::open(data_dir)?;
    let replaced = request_windows::joined(&reader, &plan.lost_days(), &reader.windows()?)?;
    let others = plan.again.iter().chain(&plan.unfinished).chain(&plan.cut_away);
    Ok(replaced.into_iter().chain(others.cloned()).collect())
}

/// A description of the repair for the run's row in the manifest.
fn describe(plan: &RepairPlan) -> String {
    let (lost, again) = (plan.broken.len() as u64, plan.windows() as u64);
    format!("{} lost, {} asked for again", format::plural(lost, "partition"), format::plural(again, "window"))
}

fn asked_again<'a>(again: impl IntoIterator<Item = &'a (Symbol, Window)>) -> Vec<AskedAgain> {
    let pair = |(symbol, window): &(Symbol, Window)| AskedAgain { ticker: symbol.clone(), window: *window };
    again.into_iter().map(pair).collect()
}

impl RepairEstimate {
    /// `61 sessions in 1 window, about 1 request, 12s`.
    fn text(&self) -> String {
        let time =
            self.seconds.map(|seconds| format!(", {}", format::duration(Duration::from_secs_f64(seconds))));
        format!(
            "{} in {}, about {}{}",
            format::plural(self.sessions, "session"),
            format::plural(self.windows as u64, "window"),
            format::plural(self.requests, "request"),
            time.unwrap_or_default()
        )
    }
}

impl RepairReport {
    fn planned(data_dir: &DataDir, planned: &Planned) -> Result<Self, Failure> {
        let Planned { plan, findings, estimate } = planned;
        let partition = |(symbol, month): &(Symbol, Month)| data_dir.partition(symbol, *month);
        let broken = plan.broken.keys().chain(plan.unknown.keys()).map(partition);
        let files = broken.filter(|path| path.exists());
        let others = plan.strays.iter().chain(plan.unwitnessed.values().flatten()).cloned();
        Ok(Self {
            dry_run: true,
            mended: *findings,
            asked_again: asked_again(&asked_for(data_dir, plan)?),
            estimate: *estimate,
            set_aside: files.chain(others).map(|path| shown(&path)).collect(),
            left: left(plan, &[]),
            not_asked: not_asked(plan),
            ..Self::default()
        })
    }

    /// Adds what was done before the run and after it.
    fn with(mut self, again: &[(Symbol, Window)], strays: &[PathBuf], kept: &[PathBuf]) -> Self {
        self.asked_again = asked_again(again);
        self.set_aside = kept.iter().chain(strays).map(|path| shown(path)).collect();
        self
    }
}

impl Report for RepairReport {
    fn exit(&self) -> ExitStatus {
        self.run.as_ref().map_or(ExitStatus::Complete, RunReport::exit)
    }

    fn text(&self) -> Text {
        let mut text = match &self.run {
            Some(run) => {
                let mut text = run_report::text(run);
                text.row("repeated", format::plural(self.asked_again.len() as u64, "window"));
                text
            }
            None => Text::new(format_args!(
                "to request again: {}; nothing was requested or changed",
                self.estimate.text()
            )),
        };
        for AskedAgain { ticker, window } in self.asked_again.iter().take(LISTED) {
            text.item(format_args!("{ticker} {window}"));
        }
        let more = self.asked_again.len().saturating_sub(LISTED);
        if more > 0 {
            text.item(format_args!("and {} more", format::count(more as u64)));
        }
        text.rows("moved", &self.set_aside);
        text.rows("remains", &self.left);
        text.rows("no repair", &self.not_asked);
        text
    }
}

/// What is no damage and names nothing to ask for, with its days.
fn not_asked(plan: &RepairPlan) -> Vec<String> {
    let text = |finding: &Finding| {
        let days = [finding.date, finding.to].map(|day| day.map(|day| day.to_string()));
        let days: Vec<_> = days.into_iter().flatten().collect();
        let place = finding.path.as_deref().map(shown);
        let place = place.into_iter().chain((!days.is_empty()).then(|| days.join("..")));
        place.chain([finding.detail.clone()]).collect::<Vec<_>>().join(": ")
    };
    plan.not_asked.iter().map(text).collect()
}

/// The remaining damage, and why it was not repaired.
fn left(plan: &RepairPlan, untouched: &[PathBuf]) -> Vec<String> {
    let found = plan.left.iter().map(|finding| {
        let place = finding.path.as_deref().map(shown).unwrap_or_default();
        format!("{place}: {}", finding.detail)
    });
    let linked = untouched.iter().map(|path| format!("{}: it lies behind a link", shown(path)));
    found.chain(linked).collect()
}
