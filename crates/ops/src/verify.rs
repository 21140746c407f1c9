//! Proves what is stored, and what is not: `grab verify`.

use std::sync::Arc;

use grab_core::{
    clock::Clock,
    data_dir::DataDir,
    disk::need_open_files,
    exit::ExitStatus,
    manifest::missing,
    verify::{
        DeepSelection, OtherWriters, Severity, StoredWitness, Verification, VerifyOptions, VerifyProgress,
        verify,
    },
};

use crate::{
    ConnectOptions, Connection, DownloadRequest, Error, MissedThreshold, Observer, VerifyThresholds,
    WitnessReport, last_day, listing_cuts, manifest_of,
    witness::{fetch_then, lock_for_witness},
};

/// A verification of a data directory.
pub struct Verify {
    /// The directory of bars and manifest.
    pub data_dir: DataDir,
    /// Which files are read as a whole.
    pub deep: DeepSelection,
    /// Who says whether a symbol traded.
    pub witness: VerifyWitness,
    /// What should have been requested, if that is named.
    pub expected: Option<ExpectedRequest>,
    /// Under which conditions gaps are no error.
    pub thresholds: VerifyThresholds,
    /// The clock.
    pub clock: Clock,
}

/// Who says whether a symbol traded.
pub enum VerifyWitness {
    /// The stored witness.
    Stored,
    /// Nothing but the bars.
    Ignored,
    /// The stored witness, after what it lacks was fetched.
    Fetched(Box<ConnectOptions>),
}

/// A request to compare with what was requested.
pub struct ExpectedRequest {
    /// The request.
    pub request: DownloadRequest,
    /// The command that requests it, for findings.
    pub command: String,
}

/// What a verification found.
#[derive(Debug)]
pub struct VerifyReport {
    /// All results.
    pub verification: Verification,
    /// The result of the witness.
    pub witness: WitnessReport,
    /// The missed thresholds.
    pub missed: Vec<MissedThreshold>,
}

impl Verify {
    /// Verifies the directory.
    ///
    /// # Errors
    /// If nothing was ever started there, a folder cannot be listed, or a witness is to be fetched and another process
    /// holds the lock of the directory.
    pub fn run(self, observer: &Arc<dyn Observer>) -> Result<VerifyReport, Error> {
        let Self { data_dir, deep, witness, expected, thresholds, clock } = self;
        let expected = expected.map(|expected| {
            let request = expected.request.expanded(&data_dir, clock)?;
            Ok::<_, Error>(ExpectedRequest { request, ..expected })
        });
        let expected = expected.transpose()?;
        require_something(&data_dir)?;
        let (mut verification, witness) = witnessed(&data_dir, deep, witness, clock, observer)?;
        if let Some(ExpectedRequest { request, command }) = expected {
            verification.want(&request.missing(&verification.requested), &command);
        }
        if let Some(least) = thresholds.min_symbols_per_session {
            verification.demand_symbols(least);
        }
        let missed = thresholds.missed(&verification);
        Ok(VerifyReport { verification, witness, missed })
    }
}

impl VerifyReport {
    /// How it ended, as the process's exit code.
    #[must_use]
    pub fn exit(&self) -> ExitStatus {
        if self.verification.count(Severity::Damage) > 0 {
            ExitStatus::Damage
        } else if let Some(exit) = self.witness.exit() {
            exit
        } else if !self.missed.is_empty() || !self.witness.unexplained.is_empty() {
            ExitStatus::Gaps
        } else {
            ExitStatus::Complete
        }
    }
}

/// Checks that there is a manifest, which may be damaged.
///
/// # Errors
/// If there is none.
pub(crate) fn require_something(data_dir: &DataDir) -> Result<(), Error> {
    if data_dir.manifest().exists() {
        return Ok(());
    }
    manifest_of(data_dir)?;
    Err(missing(data_dir).into())
}

/// Verifies with the requested witness.
fn witnessed(
    data_dir: &DataDir,
    deep: DeepSelection,
    witness: VerifyWitness,
    clock: Clock,
    observer: &Arc<dyn Observer>,
) -> Result<(Verification, WitnessReport), Error> {
    let last = last_day(clock);
    let stored = match witness {
        VerifyWitness::Fetched(options) => {
            need_open_files(options.open_files(options.sandbox))?;
            // What is fetched is stored, so no other process may write meanwhile.
            let locked = lock_for_witness(data_dir)?;
            let cuts = listing_cuts(data_dir)?;
            let connection = Connection { options: *options, clock, observer: Arc::clone(observer) };
            let (place, observer) = (data_dir.clone(), Arc::clone(observer));
            let options = VerifyOptions {
                deep,
                witness: StoredWitness::Used,
                others: OtherWriters::Excluded,
                listing_cuts: cuts.clone(),
                last,
            };
            let verify = move || verify_directory(&place, &options, &*observer);
            return fetch_then(&connection, &locked, &cuts, verify);
        }
        VerifyWitness::Ignored => StoredWitness::Ignored,
        VerifyWitness::Stored => StoredWitness::Used,
    };
    let (others, listing_cuts) = (OtherWriters::Allowed, listing_cuts(data_dir)?);
    let options = VerifyOptions { deep, witness: stored, others, listing_cuts, last };
    let verified = verify_directory(data_dir, &options, &**observer)?;
    let report = WitnessReport::stored(stored == StoredWitness::Used, &verified);
    Ok((verified, report))
}

/// Verifies, and shows the progress.
///
/// # Errors
/// If the manifest cannot be read, or a folder cannot be listed.
pub fn verify_directory(
    data_dir: &DataDir,
    options: &VerifyOptions,
    observer: &dyn Observer,
) -> Result<Verification, Error> {
    let progress = Arc::new(VerifyProgress::default());
    let _shown = observer.verification(&progress);
    Ok(verify(data_dir, options, &progress)?)
}
