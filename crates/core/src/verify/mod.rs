//! Verifies a data directory without trust in the run that filled it.
//!
//! Compares manifest and disk in both directions; `deep` reads files as a whole and compares their bytes with the
//! recorded digest and counts, the calendar and the rules of valid bars. Everything that is wrong becomes a
//! [`Finding`]; a finding never ends the search.

mod coverage;
mod finding;
mod gaps;
mod grouped_daily;
mod integrity;
mod listing_cuts;
mod listing_rule;
mod manifest_only;
mod manifest_snapshot;
mod partition_content;
mod planned;
mod repair_plan;
pub mod report;
pub mod request_windows;
mod session_presence;
mod session_status;
mod sessions;
mod stored_witness;
mod summary;
mod thin_sessions;
mod thresholds;
mod unlisted_symbols;
mod witness;
mod witness_plan;
mod witness_quality;

pub use coverage::Coverage;
pub use finding::{Finding, FindingKind, Severity};
pub use gaps::SymbolCounts;
pub use grouped_daily::GroupedDaily;
pub use listing_cuts::ListingCuts;
pub use manifest_only::{ExplainedSymbol, by_manifest};
pub use manifest_snapshot::OtherWriters;
pub use repair_plan::{RepairPlan, UnrecordedPartition};
pub use request_windows::BarsBySession;
pub use session_presence::{FILLED_WITHIN_DAYS, SessionPresence, SessionSymbols, SilentSymbol};
pub use session_status::SessionStatus;
pub use sessions::RequestedSessions;
pub use stored_witness::{StoredWitness, UnwitnessedAbsence, WitnessedSessions, verify_with_kept, witnessed};
pub use witness::{NoWitness, Witness, WitnessView};
pub use witness_plan::wanted;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
};

use coverage::SymbolFacts;
use grab_model::{Month, Partition, Symbol, Window, universe::Universe};
use jiff::civil::Date;
use manifest_snapshot::{ManifestSnapshot, SymbolRows};
use thiserror::Error;

use crate::{
    data_dir::DataDir,
    manifest::{ManifestError, ManifestReader, StoreKind, TaskState, rebuild},
    store::{StoreError, reference, scan},
};

/// Which files are read as a whole.
#[derive(Clone, Debug, PartialEq)]
pub enum DeepSelection {
    /// None: names and sizes only.
    None,
    /// All.
    All,
    /// These partitions.
    Only(BTreeSet<(Symbol, Month)>),
    /// This share of all files, from 0 to 1: always the same files, chosen by their digests.
    Share(f64),
    /// The `n`th of `of` parts, counted from 1: the parts together are all files.
    Part {
        /// The number of the part.
        n: u64,
        /// The number of parts.
        of: u64,
    },
}

impl DeepSelection {
    /// Parses a share such as `5%` or a part such as `1/10`. None if it is neither.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(percent) = text.strip_suffix('%') {
            let percent: f64 = percent.trim().parse().ok()?;
            return (0.0..=100.0).contains(&percent).then_some(Self::Share(percent / 100.0));
        }
        let (n, of) = text.split_once('/')?;
        let (n, of) = (n.parse().ok()?, of.parse().ok()?);
        (1..=of).contains(&n).then_some(Self::Part { n, of })
    }
}

/// The results of a verification.
#[derive(Clone, Debug, Default)]
pub struct Verification {
    /// The worst first, then by symbol and time.
    pub findings: Vec<Finding>,
    /// The numbers of expected, present and unexplained sessions.
    pub coverage: Coverage,
    /// Which kind of bars the directory holds, once that is decided.
    pub kind: Option<StoreKind>,
    /// The requested windows of each symbol, including those that the plan does not serve.
    pub requested: HashMap<Symbol, Vec<Window>>,
    /// The number of tasks, by window and state.
    pub counts: BTreeMap<Window, BTreeMap<TaskState, u64>>,
    /// Whether another process was writing at the start: all results are of that instant.
    pub is_beside_a_writer: bool,
    /// All requested sessions.
    pub sessions: RequestedSessions,
    /// Each symbol with one explanation for each session, in the order of the symbols.
    pub days: Vec<(Symbol, Vec<SessionStatus>)>,
    /// Windows that a spec or the plan beside the manifest wants and no task requests: none of their sessions is in `days`.
    pub unrequested: Vec<(Symbol, Window)>,
    /// Symbols whose minutes have too few of the witness's shares on most sessions, and the usual share.
    pub low_shares: Vec<(Symbol, f64)>,
    /// Sessions in the longest gap.
    pub longest_gap: u64,
    /// Partitions that were compared with the disk.
    pub partitions: u64,
    /// Files that were read as a whole.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
    /// The number of requested sessions with a witness.
    pub witnessed: WitnessedSessions,
    /// The sessions with unexplained absences and without a trusted witness.
    pub unwitnessed: Vec<UnwitnessedAbsence>,
    /// The sessions that were new to an update and lack symbols that have bars every day.
    pub lacking: Vec<SessionSymbols>,
}

/// Why a verification cannot go on. Faults of the data are findings instead.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// The manifest cannot be read.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A folder cannot be listed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl DeepSelection {
    /// Chooses by the digest: it is as good as random, and always the same.
    fn includes(&self, partition: &Partition) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Only(these) => these.contains(&(partition.symbol.clone(), partition.month)),
            #[expect(clippy::cast_precision_loss, reason = "a lot, not a count")]
            Self::Share(share) => (partition.xxh3 as f64) < *share * u64::MAX as f64,
            Self::Part { n, of } => partition.xxh3 % (*of).max(1) == n.saturating_sub(1),
        }
    }
}

/// The progress of a verification, for display.
#[derive(Debug, Default)]
pub struct VerifyProgress {
    /// Symbols to check; 0 until that is known.
    pub symbols: AtomicU64,
    /// Symbols that are checked.
    pub done: AtomicU64,
}

/// Verifies the bars of `data_dir` against its manifest and a witness, on all cores.
///
/// # Errors
/// If the manifest cannot be read, or a folder cannot be listed. Faults of files are findings.
pub fn verify(
    data_dir: &DataDir,
    deep: &DeepSelection,
    witness: &dyn Witness,
    progress: &VerifyProgress,
) -> Result<Verification, VerifyError> {
    if !is_whole(data_dir)? {
        return Ok(manifest_corrupt(data_dir));
    }
    let records = ManifestSnapshot::take(data_dir, OtherWriters::Allowed, Date::MAX)?;
    verify_whole(data_dir, &records, deep, witness, &ListingCuts::default(), progress)
}

/// Whether the manifest is intact. An incomplete one, of a process that crashed while it created it, counts as missing,
/// unless there are bars: then something has emptied it.
fn is_whole(data_dir: &DataDir) -> Result<bool, VerifyError> {
    match data_dir.open_read() {
        Err(error @ (ManifestError::Missing { .. } | ManifestError::Lost { .. }))
            if scan::symbols(data_dir)?.is_empty() =>
        {
            Err(error.into())
        }
        Err(ManifestError::Missing { .. } | ManifestError::Lost { .. }) => Ok(false),
        Err(error) if !error.is_damage() => Err(error.into()),
        Ok(_) | Err(_) => Ok(rebuild::is_whole(data_dir)?),
    }
}

/// Verifies a data directory whose manifest is intact.
fn verify_whole(
    data_dir: &DataDir,
    records: &ManifestSnapshot,
    deep: &DeepSelection,
    witness: &dyn Witness,
    cut_away: &ListingCuts,
    progress: &VerifyProgress,
) -> Result<Verification, VerifyError> {
    let symbols = with_symbols(symbols(data_dir, records)?, cut_away);
    let kind = records.read(ManifestReader::kind)?;
    let is_adjusted = kind.is_some_and(|kind| kind.adjusted);
    let requested = records.requested_windows()?;
    let sessions =
        RequestedSessions::spanned(requested.values().flatten().copied().chain(cut_away.windows()));
    let sessions = sessions.without(&records.read(ManifestReader::closures)?);
    let universe = universe(data_dir);
    progress.symbols.store(symbols.len() as u64, Ordering::Relaxed);
    let strays = integrity::outside_of_symbols(data_dir, records)?;
    let counts = records.read(ManifestReader::counts_by_window)?;
    let begun = Verification { findings: strays, kind, requested, counts, ..Verification::default() };
    let verified = Mutex::new(Verification { is_beside_a_writer: records.was_written(), ..begun });
    let next = AtomicUsize::new(0);
    let work = || -> Result<(), VerifyError> {
        while let Some(symbol) = symbols.get(next.fetch_add(1, Ordering::Relaxed)) {
            let rows = records.rows(symbol)?;
            let mut checked = integrity::check(data_dir, symbol, &rows, records, &|one| deep.includes(one))?;
            if is_adjusted {
                // The witness counts shares as traded; this directory has other ones.
                checked.measured.clear();
            }
            let SymbolRows { tasks, partitions: recorded, .. } = &rows;
            let lost = &records.read(|snapshot| snapshot.lost(symbol))?;
            let not_entitled = &records.read(|snapshot| snapshot.not_entitled_of(symbol))?;
            let (checked_now, sessions) = (&checked, &sessions);
            let (universe, is_written) = (universe.as_ref(), rows.are_written);
            let facts = SymbolFacts {
                symbol,
                tasks,
                not_entitled,
                recorded,
                lost,
                checked: checked_now,
                sessions,
                witness,
                universe,
                is_written,
                cut_away,
            };
            let days = facts.explain();
            let (gaps, longest_gap) = (facts.findings(&days), gaps::longest(&days));
            let low = facts.low_usual_share(&days).map(|share| (symbol.clone(), share));
            let mut verified = verified.lock().unwrap_or_else(PoisonError::into_inner);
            verified.findings.extend(checked.findings.into_iter().chain(gaps));
            verified.coverage.add(Coverage::of(&days));
            verified.longest_gap = verified.longest_gap.max(longest_gap);
            // A symbol that was cut away as a whole and did not trade needs no explanation.
            let has_records = !tasks.is_empty() || !recorded.is_empty() || !checked.unknown.is_empty();
            if has_records || days.iter().any(|day| *day != SessionStatus::NotAsked) {
                verified.days.push((symbol.clone(), days));
            }
            verified.low_shares.extend(low);
            verified.partitions += recorded.len() as u64;
            verified.files += checked.files;
            verified.bytes += checked.bytes;
            progress.done.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(ended) => ended,
            Err(panicked) => std::panic::resume_unwind(panicked),
        })
    })?;
    let mut verified = verified.into_inner().unwrap_or_else(PoisonError::into_inner);
    verified.lacking = records
        .read(|snapshot| Ok(session_presence::lacking(snapshot, universe.as_ref(), records.last())))??;
    verified.findings.extend(verified.lacking.iter().map(session_presence::finding));
    verified.sessions = sessions;
    verified.findings.extend(thin_sessions::low_shares(data_dir, &verified.low_shares));
    verified.days.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    verified.sort();
    Ok(verified)
}

/// The symbols' listing periods by lists and events, if they are stored and valid. Damaged tables have findings of their own.
fn universe(data_dir: &DataDir) -> Option<Universe> {
    reference::read_listings(data_dir).ok().flatten()
}

/// Returns the sessions up to a day that the last update judged as lacking symbols, in order; none if no update ever ran.
///
/// # Errors
/// If the manifest cannot be read.
pub fn lacking_sessions(data_dir: &DataDir, last: Date) -> Result<Vec<SessionSymbols>, VerifyError> {
    Ok(session_presence::lacking(&data_dir.open_read()?, universe(data_dir).as_ref(), last)?)
}

/// The result for a damaged manifest: nothing else can be verified.
fn manifest_corrupt(data_dir: &DataDir) -> Verification {
    let kind = FindingKind::ManifestCorrupt;
    let detail = "`grab repair --rebuild-manifest` rebuilds it from the bars".to_owned();
    let path = Some(data_dir.manifest());
    let finding = Finding {
        ticker: None,
        month: None,
        date: None,
        to: None,
        kind,
        severity: kind.severity(),
        path,
        detail,
    };
    Verification { findings: vec![finding], ..Verification::default() }
}

/// Adds the symbols that have cut windows; returns all in order.
fn with_symbols(mut symbols: Vec<Symbol>, cut_away: &ListingCuts) -> Vec<Symbol> {
    symbols.extend(cut_away.symbols().cloned());
    symbols.sort_unstable();
    symbols.dedup();
    symbols
}

/// Returns the symbols that the manifest or the disk knows.
fn symbols(data_dir: &DataDir, records: &ManifestSnapshot) -> Result<Vec<Symbol>, VerifyError> {
    let mut symbols = scan::symbols(data_dir)?;
    symbols.extend(records.read(ManifestReader::symbols)?);
    symbols.sort_unstable();
    symbols.dedup();
    Ok(symbols)
}
