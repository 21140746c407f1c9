//! The witness of a verification: which symbols traded on each session, by grouped daily bars. Fetched before it is used.

use std::{collections::BTreeMap, panic::resume_unwind, sync::Arc};

use grab_core::{
    data_dir::DataDir,
    disk::DiskTrouble,
    engine::{JobOutcome, MarketDayTally, RunCounters, Stop, StopReason, fetch_market},
    exit::ExitStatus,
    manifest::{LockedDir, ManifestError, Outstanding, StoreKind, rebuild},
    store::market_day,
    verify::{Finding, ListingCuts, UnwitnessedAbsence, Verification, wanted, witnessed},
};
use grab_model::calendar;
use jiff::civil::Date;
use serde::Serialize;
use tokio::{runtime::Runtime, task};

use crate::{
    Connection, Error, RunHandles,
    run::{OpenRun, RunStart, with_runtime},
};

/// What a verification knows of its witness.
#[derive(Debug)]
pub struct WitnessReport {
    /// Whether there is to be a witness.
    pub is_used: bool,
    /// Sessions with a witness that is trusted.
    pub sessions: u64,
    /// All requested sessions.
    pub of: u64,
    /// Sessions that this run has fetched.
    pub fetched: u64,
    /// The requests of this run.
    pub requests: u64,
    /// Sessions that were requested without a result.
    pub without: WitnessGaps,
    /// Why not all were requested.
    pub stopped: Option<Error>,
    /// Sessions with an absence that is unexplained because the requested witness is not available, by reason. They are
    /// empty by the server's response alone, which the witness was to check.
    pub unexplained: BTreeMap<WitnessGap, u64>,
}

/// How many sessions have no witness although they were requested, by reason; its JSON is public.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct WitnessGaps {
    /// The plan does not include them.
    pub not_entitled: u64,
    /// They are not served yet.
    pub not_yet: u64,
    /// The source does not know them.
    pub not_found: u64,
    /// The response has no row.
    #[serde(rename = "nobody_traded")]
    pub no_rows: u64,
    /// They were given up.
    pub failed: u64,
}

/// Why a session has no witness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WitnessGap {
    /// The response has no row.
    NoRows,
    /// It was given up.
    Failed,
    /// The source does not know it.
    NotFound,
    /// The plan does not include it.
    NotEntitled,
    /// It was not requested.
    NotRequested,
    /// It is not served yet.
    NotYet,
    /// There is one that cannot be used.
    Rejected,
}

/// The result of fetching market days.
#[derive(Debug, Default)]
struct MarketDays {
    tally: MarketDayTally,
    requests: u64,
    stopped: Option<Error>,
    /// Days that were not requested yet.
    left: usize,
    /// Findings about files that were stored before.
    damage: Vec<Finding>,
}

/// Market days to request.
struct MarketDayRequest {
    data_dir: DataDir,
    /// In the order of their value.
    days: Vec<Date>,
    /// The latest stored day.
    served: Option<Date>,
}

impl WitnessReport {
    /// The report if nothing was fetched. The absence of a witness is not counted then: it was not requested.
    pub(crate) fn stored(is_used: bool, verified: &Verification) -> Self {
        let unexplained = BTreeMap::new();
        Self { is_used, unexplained, ..Self::fetched(verified, MarketDays::default()) }
    }

    fn fetched(verified: &Verification, fetched: MarketDays) -> Self {
        let MarketDays { tally, requests, stopped, left, .. } = fetched;
        let mut unexplained = BTreeMap::new();
        let gaps = verified.unwitnessed.iter().map(|absence| WitnessGap::of(*absence, &tally));
        gaps.for_each(|gap| *unexplained.entry(gap).or_default() += 1);
        Self {
            is_used: true,
            sessions: verified.witnessed.sessions,
            of: verified.witnessed.of,
            fetched: tally.kept.len() as u64,
            requests,
            without: WitnessGaps {
                not_entitled: tally.not_entitled,
                not_yet: tally.not_yet,
                not_found: tally.not_found,
                no_rows: tally.no_rows,
                failed: tally.failed,
            },
            stopped: stopped.filter(|failure| left > 0 || failure.exit() != ExitStatus::Incomplete),
            unexplained,
        }
    }

    /// The exit code of a run that could not request everything that it should.
    #[must_use]
    pub fn exit(&self) -> Option<ExitStatus> {
        self.stopped.as_ref().map(Error::exit)
    }
}

impl WitnessGap {
    fn of(absence: UnwitnessedAbsence, tally: &MarketDayTally) -> Self {
        match tally.lacking.get(&absence.date) {
            Some(JobOutcome::NotEntitled) => Self::NotEntitled,
            Some(JobOutcome::NotYet) => Self::NotYet,
            Some(JobOutcome::NotFound | JobOutcome::UnknownRoute) => Self::NotFound,
            Some(JobOutcome::NoRows) => Self::NoRows,
            Some(JobOutcome::Refused(_) | JobOutcome::Failed(_) | JobOutcome::Kept) => Self::Failed,
            None if absence.is_rejected => Self::Rejected,
            None => Self::NotRequested,
        }
    }
}

/// Fetches the days that are not stored yet, then lets `verify` use all stored ones.
///
/// # Errors
/// If a signal came, nothing can be written, or `verify` fails. Refusals of the source are in the report.
pub(crate) fn fetch_then(
    connection: &Connection,
    locked: &LockedDir,
    listing_cuts: &ListingCuts,
    verify: impl FnOnce() -> Result<Verification, Error> + Send + 'static,
) -> Result<(Verification, WitnessReport), Error> {
    let signalled = Stop::default();
    let last_report = Box::new(|| Err(Error::Stopped(StopReason::Interrupted)));
    let (mut verified, mut fetched) =
        with_runtime(&*connection.observer, &signalled, last_report, |runtime| {
            let fetched = fetch(connection, locked, listing_cuts, runtime, &signalled)?;
            let verified = runtime.block_on(async {
                let verifying = signalled.unless_requested(task::spawn_blocking(verify)).await;
                match verifying.ok_or(Error::Stopped(StopReason::Interrupted))? {
                    Ok(verified) => verified,
                    Err(panicked) => resume_unwind(panicked.into_panic()),
                }
            })?;
            Ok((verified, fetched))
        })?;
    verified.findings.append(&mut fetched.damage);
    verified.findings.sort_unstable_by(|one, other| one.rank().cmp(&other.rank()));
    let report = WitnessReport::fetched(&verified, fetched);
    Ok((verified, report))
}

/// Fetches the days that are not stored yet, as a run of its own.
fn fetch(
    connection: &Connection,
    locked: &LockedDir,
    listing_cuts: &ListingCuts,
    runtime: &Runtime,
    signalled: &Stop,
) -> Result<MarketDays, Error> {
    let data_dir = locked.data_dir();
    if !rebuild::is_whole(data_dir)? {
        // The verification reports it.
        return Ok(MarketDays::default());
    }
    let (stored, damage) = witnessed(data_dir)?;
    let until = calendar::last_finished(connection.clock.now_ms()).map(calendar::Session::date);
    let mut days = until.map_or_else(|| Ok(Vec::new()), |until| wanted(data_dir, until, listing_cuts))?;
    days.retain(|day| !stored.contains(day));
    if days.is_empty() {
        return Ok(MarketDays::default());
    }
    market_day::sweep(data_dir)?;
    let start = RunStart {
        connection,
        locked,
        command: "verify",
        arguments: "--witness grouped-daily",
        kind_on_disk: None,
        checks_plan: false,
        counters: Arc::new(RunCounters::default()),
        stop: Stop::default(),
    };
    let OpenRun { kind, handles, writer } = start.begin()?;
    let request = MarketDayRequest { data_dir: data_dir.clone(), days, served: stored.last().copied() };
    let fetched = runtime.block_on(fetch_days(connection, kind, request, handles, signalled));
    writer.join();
    fetched.map(|fetched| fetched.with_damage(damage))
}

async fn fetch_days(
    connection: &Connection,
    kind: StoreKind,
    request: MarketDayRequest,
    handles: RunHandles,
    signalled: &Stop,
) -> Result<MarketDays, Error> {
    let (stop, signalled) = (handles.stop.clone(), signalled.clone());
    let forwarding = tokio::spawn(async move {
        signalled.requested().await;
        stop.request(StopReason::Interrupted);
    });
    let wanted = request.days.len();
    let answered = send(connection, kind, request, &handles).await;
    forwarding.abort();
    let totals = handles.counters.snapshot().totals;
    let (tally, failure) = match answered {
        Ok(tally) => (tally, handles.stop.reason().map(Error::Stopped)),
        Err(failure) => (MarketDayTally::default(), Some(failure)),
    };
    let exit = failure.as_ref().map_or(ExitStatus::Complete, Error::exit);
    let ended = handles.manifest.call(move |writer| writer.end_run(exit, &totals)).await;
    match failure {
        Some(failure) if is_fatal(&failure) => Err(failure),
        stopped => {
            ended?;
            let left = wanted.saturating_sub(usize::try_from(tally.finished()).unwrap_or(usize::MAX));
            Ok(MarketDays { tally, requests: totals.requests, stopped, left, damage: Vec::new() })
        }
    }
}

async fn send(
    connection: &Connection,
    kind: StoreKind,
    request: MarketDayRequest,
    handles: &RunHandles,
) -> Result<MarketDayTally, Error> {
    let MarketDayRequest { data_dir, days, served } = request;
    let store = connection.store(data_dir, kind)?;
    let (_sandbox, source) = connection.open(kind).await?;
    let outstanding = Outstanding { tasks: days.len() as u64, days: days.len() as u64 };
    let shown = connection.show(kind, "market day", Some("row"), outstanding, handles);
    connection.stop_in_time(&handles.stop);
    let tally = fetch_market(source, days, served, connection.parts(kind, store, handles)).await;
    shown.end().await;
    Ok(tally?)
}

/// Whether the failure makes a verification with the stored witness useless.
fn is_fatal(failure: &Error) -> bool {
    !matches!(failure.exit(), ExitStatus::Key | ExitStatus::Unreachable | ExitStatus::Incomplete)
}

impl MarketDays {
    /// Adds the findings from before this run about files that it has replaced: the others are found again.
    fn with_damage(mut self, damage: Vec<Finding>) -> Self {
        let mut by_day: BTreeMap<Date, Finding> =
            damage.into_iter().filter_map(|finding| Some((finding.date?, finding))).collect();
        for day in &self.tally.kept {
            if let Some(mut finding) = by_day.remove(day) {
                finding.detail = format!("{}; it was fetched again", finding.detail);
                self.damage.push(finding);
            }
        }
        self
    }
}

/// Locks the directory for what is to be fetched.
///
/// # Errors
/// If another process has it, or this one may not write here.
pub(crate) fn lock_for_witness(data_dir: &DataDir) -> Result<LockedDir, Error> {
    match data_dir.lock() {
        Ok(locked) => Ok(locked),
        Err(ManifestError::Locked { holder }) => Err(Error::WitnessLocked { holder }),
        Err(ManifestError::Io { source, .. })
            if matches!(DiskTrouble::of(&source), DiskTrouble::Denied | DiskTrouble::ReadOnly) =>
        {
            Err(not_writable(data_dir))
        }
        Err(error) => Err(error.into()),
    }
}

/// The error of a run without the right to write.
fn not_writable(data_dir: &DataDir) -> Error {
    let place = data_dir.display();
    Error::Usage(format!(
        "--witness grouped-daily stores what it fetches in {place}, where this process may not write: without the flag, \
         what is stored there is used"
    ))
}
