//! What `grab verify --witness grouped-daily` fetches before it verifies.

use std::{collections::BTreeMap, sync::Arc};

use grab_core::{
    data_dir::DataDir,
    disk::DiskTrouble,
    engine::{JobOutcome, MarketDayTally, RunCounters, Stop, StopReason, fetch_market},
    exit::ExitStatus,
    manifest::{Lock, ManifestError, ManifestWriter, Outstanding, StoreKind, WriterHandle, migrate, rebuild},
    store::market_day,
    verify::{Finding, ListingCuts, UnwitnessedAbsence, Verification, wanted, witnessed},
};
use grab_model::calendar;
use grab_model::format;
use grab_ops::{Connection, Error as Failure, RunHandles, declare_kind};
use jiff::civil::Date;
use serde::Serialize;
use tokio::task;

/// The value on the command line.
const GROUPED_DAILY: &str = "grouped-daily";

/// Why sessions have no witness: not in the plan, not yet, not found, no trades, failed.
const REASONS: [&str; 5] =
    ["not in the plan", "not served yet", "not found", "answered without a row", "failed"];

/// The report about the witness; its JSON is public.
#[derive(Clone, Debug, Serialize)]
pub struct WitnessReport {
    source: &'static str,
    /// Sessions with a witness, and all requested sessions.
    sessions: u64,
    of: u64,
    /// Sessions that this run has fetched, and its requests.
    fetched: u64,
    requests: u64,
    /// Sessions that were requested in vain.
    without: Without,
    /// Why not all were requested.
    error: Option<String>,
    /// The exit code of that reason.
    #[serde(skip)]
    exit: Option<ExitStatus>,
    /// Sessions that the witness was to explain and does not, in words.
    #[serde(skip)]
    missed: Option<String>,
}

/// Why sessions have no witness although they were requested.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Without {
    not_entitled: u64,
    not_yet: u64,
    not_found: u64,
    nobody_traded: u64,
    failed: u64,
}

/// What a run has fetched.
#[derive(Debug, Default)]
struct Fetched {
    tally: MarketDayTally,
    requests: u64,
    stopped: Option<Failure>,
    /// Days that were not requested yet.
    left: usize,
    /// Findings about files that were stored before.
    damage: Vec<Finding>,
}

impl WitnessReport {
    /// The report if nothing was fetched; `is_used` tells whether the stored witness is used.
    #[must_use]
    pub fn kept(is_used: bool, verified: &Verification) -> Self {
        let source = if is_used { GROUPED_DAILY } else { "none" };
        // It was not requested, so its absence is no miss.
        Self { missed: None, ..Self::new(source, verified, &Fetched::default()) }
    }

    fn new(source: &'static str, verified: &Verification, fetched: &Fetched) -> Self {
        let tally = &fetched.tally;
        let is_short = |failure: &&Failure| fetched.left > 0 || failure.exit() != ExitStatus::Incomplete;
        let stopped = fetched.stopped.as_ref().filter(is_short);
        Self {
            source,
            sessions: verified.witnessed.sessions,
            of: verified.witnessed.of,
            fetched: tally.kept.len() as u64,
            requests: fetched.requests,
            without: Without {
                not_entitled: tally.not_entitled,
                not_yet: tally.not_yet,
                not_found: tally.not_found,
                nobody_traded: tally.nobody,
                failed: tally.failed,
            },
            error: stopped.map(Failure::chain),
            exit: stopped.map(Failure::exit),
            missed: missed(verified, tally),
        }
    }

    /// Why the demand for a witness is not met. None if it is.
    #[must_use]
    pub fn missed(&self) -> Option<&str> {
        self.missed.as_deref()
    }

    /// The exit code of a run that could not request everything that it should.
    #[must_use]
    pub fn exit(&self) -> Option<ExitStatus> {
        self.exit
    }

    /// The report as text.
    #[must_use]
    pub fn text(&self) -> String {
        if self.sessions == 0 && self.requests == 0 && self.error.is_none() {
            return "none: --witness grouped-daily asks who traded on each session".to_owned();
        }
        let mut text = format!(
            "{}: {} of {}",
            self.source,
            format::count(self.sessions),
            format::plural(self.of, "session")
        );
        if self.requests > 0 {
            let (fetched, requests) = (format::count(self.fetched), format::plural(self.requests, "request"));
            text = format!("{text}, {fetched} fetched with {requests}");
        }
        let Without { not_entitled, not_yet, not_found, nobody_traded, failed } = self.without;
        let counts = [not_entitled, not_yet, not_found, nobody_traded, failed];
        for (sessions, reason) in counts.into_iter().zip(REASONS).filter(|(sessions, _)| *sessions > 0) {
            text = format!("{text}; {} {reason}", format::count(sessions));
        }
        match &self.error {
            Some(error) => format!("{text}; cut short, the same command goes on: {error}"),
            None => text,
        }
    }
}

/// Why a day has no witness, in words.
fn reason(outcome: &JobOutcome) -> &'static str {
    let [not_entitled, not_yet, not_found, nobody_traded, failed] = REASONS;
    match outcome {
        JobOutcome::NotEntitled => not_entitled,
        JobOutcome::NotYet => not_yet,
        JobOutcome::NotFound | JobOutcome::UnknownRoute => not_found,
        JobOutcome::Nobody => nobody_traded,
        JobOutcome::Refused(_) | JobOutcome::Failed(_) | JobOutcome::Kept => failed,
    }
}

/// The sessions with an absence that is unexplained because the requested witness is not available. They are empty by
/// the server's response alone, which the witness was to check.
fn missed(verified: &Verification, tally: &MarketDayTally) -> Option<String> {
    let why = |day: &UnwitnessedAbsence| match tally.lacking.get(&day.date) {
        Some(outcome) => reason(outcome),
        None if day.is_doubted => "not to be relied on",
        None => "not asked for",
    };
    let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
    verified.unwitnessed.iter().for_each(|day| *reasons.entry(why(day)).or_default() += 1);
    let parts: Vec<_> = reasons.iter().map(|(why, days)| format!("{} {why}", format::count(*days))).collect();
    let sessions = format::plural(verified.unwitnessed.len() as u64, "session");
    (!parts.is_empty())
        .then(|| format!("{sessions} with absences that no witness explains: {}", parts.join(", ")))
}

/// Fetches the days that are not stored yet, then lets `verify` use all stored ones.
///
/// # Errors
/// If a signal came, nothing can be written, or `verify` fails. Refusals of the source are in the report.
pub fn fetch_then(
    connection: &Connection,
    data_dir: &DataDir,
    cut_away: &ListingCuts,
    verify: impl FnOnce() -> Result<Verification, Failure> + Send + 'static,
) -> Result<(Verification, WitnessReport), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let signalled = Stop::default();
    {
        let _entered = runtime.enter();
        let last_report = || Err(Failure::Stopped(StopReason::Interrupted));
        connection.observer.watch_signals(signalled.clone(), Box::new(last_report))?;
    }
    let done = bring(connection, data_dir, cut_away, &runtime, &signalled).and_then(|fetched| {
        let verified = runtime.block_on(async {
            let verifying = signalled.unless_requested(task::spawn_blocking(verify)).await;
            match verifying.ok_or(Failure::Stopped(StopReason::Interrupted))? {
                Ok(verified) => verified,
                Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
            }
        });
        Ok((verified?, fetched))
    });
    // An abandoned verification must not hold up the process: it only reads.
    runtime.shutdown_background();
    let (mut verified, mut fetched) = done?;
    verified.findings.append(&mut fetched.damage);
    verified.findings.sort_unstable_by(|one, other| one.rank().cmp(&other.rank()));
    let report = WitnessReport::new(GROUPED_DAILY, &verified, &fetched);
    Ok((verified, report))
}

fn bring(
    connection: &Connection,
    data_dir: &DataDir,
    cut_away: &ListingCuts,
    runtime: &tokio::runtime::Runtime,
    signalled: &Stop,
) -> Result<Fetched, Failure> {
    if !rebuild::is_whole(data_dir)? {
        // The verification reports it.
        return Ok(Fetched::default());
    }
    let (kept, damage) = witnessed(data_dir)?;
    let until = calendar::last_finished(connection.clock.now_ms()).map(calendar::Session::date);
    let mut days = until.map_or_else(|| Ok(Vec::new()), |until| wanted(data_dir, until, cut_away))?;
    days.retain(|day| !kept.contains(day));
    if days.is_empty() {
        return Ok(Fetched::default());
    }
    market_day::sweep(data_dir)?;
    let mut writer = ManifestWriter::open(data_dir, connection.clock)?;
    let kind = connection.options.kind(writer.kind()?);
    declare_kind(&mut writer, kind, data_dir)?;
    let pacer = connection.pacer(kind, &writer)?;
    writer.begin_run("verify", "--witness grouped-daily")?;
    let (manifest, writer_thread) = WriterHandle::start(writer);
    let running =
        RunHandles { manifest, counters: Arc::new(RunCounters::default()), pacer, stop: Stop::default() };
    let asked = Asked { data_dir: data_dir.to_owned(), days, served: kept.last().copied() };
    let fetched = runtime.block_on(run(connection, kind, asked, running, signalled));
    // The last handle is gone: the manifest is closed, and its WAL merged.
    if let Err(panicked) = writer_thread.join() {
        std::panic::resume_unwind(panicked);
    }
    fetched.map(|fetched| fetched.with_damage(damage))
}

/// What to request.
struct Asked {
    data_dir: DataDir,
    /// In the order of their value.
    days: Vec<Date>,
    /// The latest stored day.
    served: Option<Date>,
}

async fn run(
    connection: &Connection,
    kind: StoreKind,
    asked: Asked,
    running: RunHandles,
    signalled: &Stop,
) -> Result<Fetched, Failure> {
    let (stop, signalled) = (running.stop.clone(), signalled.clone());
    let forwarding = tokio::spawn(async move {
        signalled.requested().await;
        stop.request(StopReason::Interrupted);
    });
    let wanted = asked.days.len();
    let answered = ask(connection, kind, asked, &running).await;
    forwarding.abort();
    let totals = running.counters.snapshot().totals;
    let (tally, failure) = match answered {
        Ok(tally) => (tally, running.stop.reason().map(Failure::Stopped)),
        Err(failure) => (MarketDayTally::default(), Some(failure)),
    };
    let exit = failure.as_ref().map_or(ExitStatus::Complete, Failure::exit);
    let ended = running.manifest.call(move |writer| writer.end_run(exit, &totals)).await;
    match failure {
        Some(failure) if is_fatal(&failure) => Err(failure),
        stopped => {
            ended?;
            let left = wanted.saturating_sub(usize::try_from(tally.finished()).unwrap_or(usize::MAX));
            Ok(Fetched { tally, requests: totals.requests, stopped, left, damage: Vec::new() })
        }
    }
}

async fn ask(
    connection: &Connection,
    kind: StoreKind,
    asked: Asked,
    running: &RunHandles,
) -> Result<MarketDayTally, Failure> {
    let Asked { data_dir, days, served } = asked;
    let store = connection.store(data_dir, kind)?;
    let (sandbox, source) = connection.open(kind).await?;
    let owed = Outstanding { tasks: days.len() as u64, days: days.len() as u64 };
    let shown = connection.show(kind, "market day", owed, running);
    connection.stop_in_time(&running.stop);
    let tally = fetch_market(source, days, served, connection.parts(kind, store, running)).await;
    shown.end().await;
    drop(sandbox);
    Ok(tally?)
}

/// Whether the failure makes a verification with the stored witness useless.
fn is_fatal(failure: &Failure) -> bool {
    !matches!(failure.exit(), ExitStatus::Key | ExitStatus::Unreachable | ExitStatus::Incomplete)
}

impl Fetched {
    /// Adds the findings from before this run about files that it has replaced: the others are found again.
    fn with_damage(mut self, damage: Vec<Finding>) -> Self {
        let mut by_day: BTreeMap<Date, Finding> =
            damage.into_iter().filter_map(|finding| Some((finding.date?, finding))).collect();
        for day in &self.tally.kept {
            if let Some(mut finding) = by_day.remove(day) {
                finding.detail = format!("{}; it was fetched anew", finding.detail);
                self.damage.push(finding);
            }
        }
        self
    }
}

/// Takes the lock of the directory for what is to be fetched, and migrates an older manifest.
///
/// # Errors
/// If another process has it, or this one may not write here.
pub fn hold(data_dir: &DataDir) -> Result<Lock, Failure> {
    migrate(data_dir)?;
    match Lock::take(data_dir) {
        Ok(lock) => Ok(lock),
        Err(ManifestError::Locked { holder }) => Err(Failure::WitnessLocked { holder }),
        Err(ManifestError::Io { source, .. })
            if matches!(DiskTrouble::of(&source), DiskTrouble::Denied | DiskTrouble::ReadOnly) =>
        {
            Err(not_writable(data_dir))
        }
        Err(error) => Err(error.into()),
    }
}

/// The failure of a run without the right to write.
fn not_writable(data_dir: &DataDir) -> Failure {
    let place = data_dir.display();
    Failure::Usage(format!(
        "--witness grouped-daily keeps what it fetches in {place}, where this process may not write: without the flag, \
         what is kept there is used"
    ))
}
