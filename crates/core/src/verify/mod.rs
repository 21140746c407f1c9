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
mod options;
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
mod symbol;
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
pub use options::{DeepSelection, VerifyOptions};
pub use repair_plan::{RepairPlan, UnrecordedPartition};
pub use request_windows::BarsBySession;
pub use session_presence::{FILLED_WITHIN_DAYS, SessionPresence, SessionSymbols, SilentSymbol};
pub use session_status::SessionStatus;
pub use sessions::RequestedSessions;
pub use stored_witness::{StoredWitness, UnwitnessedAbsence, WitnessedSessions, verify, witnessed};
pub use witness::{NoWitness, Witness, WitnessView};
pub use witness_plan::wanted;

use std::{
    collections::{BTreeMap, HashMap},
    sync::atomic::{AtomicU64, Ordering},
};

use grab_model::{Symbol, Window, universe::Universe};
use jiff::civil::Date;
use manifest_snapshot::ManifestSnapshot;
use symbol::SymbolVerifier;
use thiserror::Error;

use crate::{
    cpu,
    data_dir::DataDir,
    manifest::{ManifestError, ManifestReader, StoreKind, TaskState, rebuild},
    store::{StoreError, reference, scan},
};

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

/// The progress of a verification, for display.
#[derive(Debug, Default)]
pub struct VerifyProgress {
    /// Symbols to check; 0 until that is known.
    pub symbols: AtomicU64,
    /// Symbols that are checked.
    pub done: AtomicU64,
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
    let requested = records.requested_windows()?;
    let sessions =
        RequestedSessions::spanned(requested.values().flatten().copied().chain(cut_away.windows()));
    let sessions = sessions.without(&records.read(ManifestReader::closures)?);
    let universe = universe(data_dir);
    progress.symbols.store(symbols.len() as u64, Ordering::Relaxed);
    let strays = integrity::outside_of_symbols(data_dir, records)?;
    let counts = records.read(ManifestReader::counts_by_window)?;
    let each = SymbolVerifier {
        data_dir,
        records,
        deep,
        is_adjusted: kind.is_some_and(|kind| kind.adjusted),
        sessions: &sessions,
        universe: universe.as_ref(),
        witness,
        cut_away,
    };
    let verified_symbols = cpu::try_map(&symbols, |symbol| {
        let verified = each.verify(symbol)?;
        progress.done.fetch_add(1, Ordering::Relaxed);
        Ok::<_, VerifyError>(verified)
    })?;
    let mut verified = Verification {
        findings: strays,
        kind,
        requested,
        counts,
        is_beside_a_writer: records.was_written(),
        ..Verification::default()
    };
    for symbol in verified_symbols {
        verified.add(symbol);
    }
    verified.lacking = records
        .read(|snapshot| Ok(session_presence::lacking(snapshot, universe.as_ref(), records.last())))??;
    verified.findings.extend(verified.lacking.iter().map(session_presence::finding));
    verified.sessions = sessions;
    verified.findings.extend(thin_sessions::low_shares(data_dir, &verified.low_shares));
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
