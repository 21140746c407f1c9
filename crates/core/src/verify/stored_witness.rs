//! Verifies a data directory with its stored witness.

use std::{collections::BTreeSet, path::PathBuf};

use jiff::civil::Date;

use super::{
    Finding, FindingKind, GroupedDaily, ListingCuts, OtherWriters, SessionStatus, Verification, VerifyError,
    VerifyOptions, VerifyProgress, Witness, grouped_daily, is_whole, manifest_corrupt,
    manifest_snapshot::ManifestSnapshot, sessions, symbols, verify_whole, with_symbols, witness_quality,
};
use crate::{
    data_dir::DataDir,
    manifest::{ManifestReader, WitnessFile},
    store::{InvalidPartition, market_day, reference},
};

/// How often the rows of the witness are read again while another process goes on writing.
const ROUNDS: u32 = 10;

/// How the stored witness is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredWitness {
    /// Its files are read and used.
    Used,
    /// Only the existence of its files is checked.
    Ignored,
}

/// The number of requested sessions with a witness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WitnessedSessions {
    /// Sessions with a trusted witness.
    pub sessions: u64,
    /// All requested sessions.
    pub of: u64,
}

/// A session with an unexplained absence and without a witness for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnwitnessedAbsence {
    /// The session.
    pub date: Date,
    /// Whether there is a witness that was rejected.
    pub is_rejected: bool,
}

/// Verifies the bars of `data_dir` against its manifest and the stored witness, on all cores. The files of the witness
/// are compared with the manifest too: a file with other bytes is reported and rejected.
///
/// # Errors
/// If the manifest cannot be read, or a folder cannot be listed. Faults of files are findings.
pub fn verify(
    data_dir: &DataDir,
    options: &VerifyOptions,
    progress: &VerifyProgress,
) -> Result<Verification, VerifyError> {
    if !is_whole(data_dir)? {
        return Ok(manifest_corrupt(data_dir));
    }
    let sound = ManifestSnapshot::take(data_dir, options.others, options.last)
        .and_then(|records| verify_sound(data_dir, &records, options, progress));
    match sound {
        // `SQLite` may call a file intact that has impossible rows.
        Err(VerifyError::Manifest(error)) if error.is_damage() => Ok(manifest_corrupt(data_dir)),
        verified => verified,
    }
}

fn verify_sound(
    data_dir: &DataDir,
    records: &ManifestSnapshot,
    options: &VerifyOptions,
    progress: &VerifyProgress,
) -> Result<Verification, VerifyError> {
    let VerifyOptions { deep, witness: kept, listing_cuts: cut_away, .. } = options;
    let closures = records.read(ManifestReader::closures)?;
    let known = if *kept == StoredWitness::Used {
        with_symbols(symbols(data_dir, records)?, cut_away)
    } else {
        Vec::new()
    };
    let load = |files: &[WitnessFile]| grouped_daily::load(data_dir, files, &known, *kept, cut_away);
    let LoadedWitness { files, mut witness, mut findings } = loaded(records, load)?;
    let rejections = witness_quality::reject_thin_days(data_dir, records, &files, &known, &mut witness)?;
    findings.extend(rejections.findings);
    findings.extend(strays(data_dir, records, &files)?);
    findings.extend(reference::inspect(data_dir).into_iter().map(damaged_table));
    let (nothing, is_seen) = (ListingCuts::default(), witness.dates().next().is_some());
    let cut_away = if is_seen { cut_away } else { &nothing };
    let mut verified = verify_whole(data_dir, records, deep, &witness, cut_away, progress)?;
    verified.findings.extend(findings);
    verified.sort();
    // The windows of tasks only: what the plan does not serve needs no witness.
    let windows: Vec<_> = verified.counts.keys().copied().chain(cut_away.windows()).collect();
    let mut requested = sessions::requested(&windows);
    requested.retain(|date| !closures.contains(date));
    let sessions = requested.iter().filter(|date| witness.was_there(**date)).count() as u64;
    verified.witnessed = WitnessedSessions { sessions, of: requested.len() as u64 };
    verified.unwitnessed = unwitnessed(&verified, &witness, &rejections.days);
    verified.expect_planned(data_dir, records)?;
    Ok(verified)
}

/// The stored witness: the rows of its files, their content, and the findings.
struct LoadedWitness {
    files: Vec<WitnessFile>,
    witness: GroupedDaily,
    findings: Vec<Finding>,
}

/// Reads the files of the witness. If a file is not the recorded one, another process may have fetched it again: then
/// the rows are read again, as long as they change.
fn loaded(
    records: &ManifestSnapshot,
    load: impl Fn(&[WitnessFile]) -> (GroupedDaily, Vec<Finding>),
) -> Result<LoadedWitness, VerifyError> {
    let mut files = records.read(ManifestReader::witnesses)?;
    let mut round = 0;
    loop {
        let (witness, findings) = load(&files);
        round += 1;
        if !findings.is_empty() && records.may_be_behind() && round < ROUNDS {
            let now = records.read_now(ManifestReader::witnesses)?;
            if now != files {
                files = now;
                continue;
            }
        }
        return Ok(LoadedWitness { files, witness, findings });
    }
}

/// The sessions on which some absence is unexplained and the witness says nothing about it.
fn unwitnessed(
    verified: &Verification,
    witness: &GroupedDaily,
    rejected: &BTreeSet<Date>,
) -> Vec<UnwitnessedAbsence> {
    let mut open = vec![false; verified.sessions.dates().len()];
    for (symbol, days) in &verified.days {
        for ((open, date), day) in open.iter_mut().zip(verified.sessions.dates()).zip(days) {
            let is_unexplained = day.is_unexplained() || *day == SessionStatus::Missing;
            *open |= is_unexplained && witness.saw(symbol, *date).is_none();
        }
    }
    let open = verified.sessions.dates().iter().zip(open).filter_map(|(date, is)| is.then_some(*date));
    let is_rejected = |date| witness.was_there(date) || rejected.contains(&date);
    open.map(|date| UnwitnessedAbsence { date, is_rejected: is_rejected(date) }).collect()
}

/// The days with a stored and trusted file, and the damage of the others. For the process that holds the lock of the directory.
///
/// # Errors
/// If the manifest cannot be read.
pub fn witnessed(data_dir: &DataDir) -> Result<(BTreeSet<Date>, Vec<Finding>), VerifyError> {
    let records = &ManifestSnapshot::take(data_dir, OtherWriters::Excluded, Date::MAX)?;
    let files = records.read(ManifestReader::witnesses)?;
    let known = symbols(data_dir, records)?;
    let (mut witness, findings) =
        grouped_daily::load(data_dir, &files, &known, StoredWitness::Used, &ListingCuts::default());
    // A rejected day is no damage: it is requested again, and the verification reports it if it stays as it is.
    witness_quality::reject_thin_days(data_dir, records, &files, &known, &mut witness)?;
    Ok((witness.dates().collect(), findings))
}

/// Files among the reference data that were never recorded. A day's file gets its name before it is recorded.
fn strays(
    data_dir: &DataDir,
    records: &ManifestSnapshot,
    files: &[WitnessFile],
) -> Result<Vec<Finding>, VerifyError> {
    let listing = market_day::listing(data_dir)?;
    let recorded: BTreeSet<Date> = files.iter().map(|file| file.date).collect();
    let mut unknown: Vec<_> =
        listing.days.into_iter().map(|(date, _)| date).filter(|date| !recorded.contains(date)).collect();
    if !unknown.is_empty() && records.may_be_behind() {
        // Checked after the files were seen, in this order: if the writer is gone by then, the file is recorded or
        // never will be.
        let is_written = records.is_written();
        let now: BTreeSet<Date> =
            records.read_now(ManifestReader::witnesses)?.into_iter().map(|file| file.date).collect();
        unknown.retain(|date| !is_written && !now.contains(date));
    }
    let unknown = unknown.into_iter().map(|date| {
        let path = data_dir.market_day(date);
        let detail = "a day of the market that the manifest does not know: it is not used".to_owned();
        FindingKind::StrayFile.in_reference(Some(date), path, detail)
    });
    let others = listing.strays.into_iter().filter(|path| records.is_litter(path)).map(|path| {
        FindingKind::StrayFile.in_reference(None, path, "no reference data has this name".to_owned())
    });
    Ok(unknown.chain(others).collect())
}

/// Returns the finding about a damaged table.
fn damaged_table((path, why): (PathBuf, InvalidPartition)) -> Finding {
    let kind = match why {
        InvalidPartition::Corrupt(_) => FindingKind::CorruptFile,
        InvalidPartition::Schema(_) => FindingKind::SchemaMismatch,
    };
    let advice = "it is not used, and `grab universe sync` fetches it again";
    kind.in_reference(None, path, format!("{}: {advice}", why.reason()))
}
