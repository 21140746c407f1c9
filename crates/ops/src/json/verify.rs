//! The JSON of a verification.

use grab_core::{
    exit::ExitStatus,
    verify::{Coverage, Finding, Severity, SymbolCounts, Verification},
};
use serde::Serialize;

use crate::{Error, VerifyReport, WitnessGaps, WitnessReport};

/// The report; its JSON is in the contract.
#[derive(Serialize)]
pub struct VerifyJson {
    pub coverage: CoverageJson,
    pub symbols: SymbolCounts,
    pub damage: usize,
    pub gaps: usize,
    pub notices: usize,
    /// Whether another process was writing at the start: all results are of that instant.
    pub beside_a_writer: bool,
    /// Partitions that were compared with the disk, and files that were read as a whole.
    pub partitions: u64,
    pub files_read: u64,
    pub bytes_read: u64,
    pub witness: WitnessJson,
    pub findings: Vec<Finding>,
    /// The missed thresholds, in words.
    pub missed: Vec<String>,
    /// For people.
    #[serde(skip)]
    pub tables: Vec<String>,
    #[serde(skip)]
    pub exit: ExitStatus,
}

#[derive(Serialize)]
pub struct CoverageJson {
    #[serde(flatten)]
    pub sessions: Coverage,
    pub ratio: f64,
}

impl VerifyJson {
    /// The JSON of a verification: `missed` are the missed thresholds in words, `tables` are for people.
    #[must_use]
    pub fn new(report: VerifyReport, missed: Vec<String>, tables: Vec<String>) -> Self {
        let exit = report.exit();
        let VerifyReport { verification, witness, .. } = report;
        let symbols = verification.symbols();
        let [damage, gaps, notices] =
            [Severity::Damage, Severity::Gap, Severity::Notice].map(|severity| verification.count(severity));
        let Verification { findings, coverage, partitions, files, bytes, is_beside_a_writer, .. } =
            verification;
        Self {
            coverage: CoverageJson { sessions: coverage, ratio: coverage.ratio() },
            symbols,
            damage,
            gaps,
            notices,
            beside_a_writer: is_beside_a_writer,
            partitions,
            files_read: files,
            bytes_read: bytes,
            witness: (&witness).into(),
            findings,
            missed,
            tables,
            exit,
        }
    }
}

/// The report about the witness; its JSON is public.
#[derive(Serialize)]
pub struct WitnessJson {
    pub source: &'static str,
    /// Sessions with a witness, and all requested sessions.
    pub sessions: u64,
    pub of: u64,
    /// Sessions that this run has fetched, and its requests.
    pub fetched: u64,
    pub requests: u64,
    /// Sessions that were requested without a result.
    pub without: WitnessGaps,
    /// Why not all were requested.
    pub error: Option<String>,
}

impl From<&WitnessReport> for WitnessJson {
    fn from(report: &WitnessReport) -> Self {
        Self {
            source: if report.is_used { "grouped-daily" } else { "none" },
            sessions: report.sessions,
            of: report.of,
            fetched: report.fetched,
            requests: report.requests,
            without: report.without,
            error: report.stopped.as_ref().map(Error::chain),
        }
    }
}
