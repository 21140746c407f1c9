//! Verifies one symbol: its files against its rows, and its sessions against the calendar and the witness.

use grab_model::{Symbol, universe::Universe};

use super::{
    Coverage, DeepSelection, Finding, ListingCuts, RequestedSessions, SessionStatus, Verification,
    VerifyError, Witness,
    coverage::SymbolFacts,
    gaps, integrity,
    manifest_snapshot::{ManifestSnapshot, SymbolRows},
};
use crate::data_dir::DataDir;

/// What the verification of each symbol needs.
pub(super) struct SymbolVerifier<'a> {
    pub(super) data_dir: &'a DataDir,
    pub(super) records: &'a ManifestSnapshot,
    /// Which files are read as a whole.
    pub(super) deep: &'a DeepSelection,
    /// Whether the bars are split-adjusted.
    pub(super) is_adjusted: bool,
    pub(super) sessions: &'a RequestedSessions,
    pub(super) universe: Option<&'a Universe>,
    pub(super) witness: &'a dyn Witness,
    pub(super) cut_away: &'a ListingCuts,
}

/// The results of one symbol.
pub(super) struct SymbolVerification {
    symbol: Symbol,
    findings: Vec<Finding>,
    coverage: Coverage,
    /// One explanation for each session. None if no session needs one.
    days: Option<Vec<SessionStatus>>,
    longest_gap: u64,
    /// The usual share of the witness's shares, if it is too low on most sessions.
    low_share: Option<f64>,
    /// Partitions that were compared with the disk.
    partitions: u64,
    /// Files that were read as a whole, and their bytes.
    files: u64,
    bytes: u64,
}

impl SymbolVerifier<'_> {
    /// Verifies a symbol.
    ///
    /// # Errors
    /// If the manifest cannot be read, a folder cannot be listed, or this process lacks the right or the memory to read
    /// a file.
    pub(super) fn verify(&self, symbol: &Symbol) -> Result<SymbolVerification, VerifyError> {
        let Self { data_dir, records, deep, sessions, universe, witness, cut_away, .. } = *self;
        let rows = records.rows(symbol)?;
        let mut checked = integrity::check(data_dir, symbol, &rows, records, &|one| deep.includes(one))?;
        if self.is_adjusted {
            // The witness counts shares as traded; this directory has other ones.
            checked.measured.clear();
        }
        let SymbolRows { tasks, partitions: recorded, are_written, .. } = &rows;
        let facts = SymbolFacts {
            symbol,
            tasks,
            not_entitled: &records.read(|snapshot| snapshot.not_entitled_of(symbol))?,
            recorded,
            lost: &records.read(|snapshot| snapshot.lost(symbol))?,
            checked: &checked,
            sessions,
            witness,
            universe,
            is_written: *are_written,
            cut_away,
        };
        let days = facts.explain();
        let gaps = facts.findings(&days);
        let low_share = facts.low_usual_share(&days);
        // A symbol that was cut away as a whole and did not trade needs no explanation.
        let has_records = !tasks.is_empty() || !recorded.is_empty() || !checked.unknown.is_empty();
        let is_explained = has_records || days.iter().any(|day| *day != SessionStatus::NotAsked);
        Ok(SymbolVerification {
            symbol: symbol.clone(),
            findings: checked.findings.into_iter().chain(gaps).collect(),
            coverage: Coverage::of(&days),
            longest_gap: gaps::longest(&days),
            days: is_explained.then_some(days),
            low_share,
            partitions: recorded.len() as u64,
            files: checked.files,
            bytes: checked.bytes,
        })
    }
}

impl Verification {
    /// Adds the results of the next symbol, in their order.
    pub(super) fn add(&mut self, verified: SymbolVerification) {
        let SymbolVerification {
            symbol,
            findings,
            coverage,
            days,
            longest_gap,
            low_share,
            partitions,
            files,
            bytes,
        } = verified;
        self.findings.extend(findings);
        self.coverage.add(coverage);
        self.longest_gap = self.longest_gap.max(longest_gap);
        self.low_shares.extend(low_share.map(|share| (symbol.clone(), share)));
        self.days.extend(days.map(|days| (symbol, days)));
        self.partitions += partitions;
        self.files += files;
        self.bytes += bytes;
    }
}
