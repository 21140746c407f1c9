//! Compares the manifest with the disk in both directions, one symbol at a time.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use grab_model::{Month, Partition, Symbol};
use jiff::civil::Date;

use super::{
    Finding, FindingKind, Severity, VerifyError,
    manifest_snapshot::{ManifestSnapshot, MonthWriter, SymbolRows},
    partition_content::{self, SessionMeasure},
};
use crate::{
    data_dir::DataDir,
    store::{
        StoreError,
        scan::{self, SymbolFolder},
    },
};

/// What was checked, and what was found.
#[derive(Debug, Default)]
pub(super) struct CheckedSymbol {
    pub(super) findings: Vec<Finding>,
    /// Files that were read as a whole.
    pub(super) files: u64,
    /// Bytes of these files.
    pub(super) bytes: u64,
    /// Months with a file that is not recorded.
    pub(super) unknown: Vec<Month>,
    /// The shares and the last bar of each session.
    pub(super) measured: BTreeMap<Date, SessionMeasure>,
}

impl CheckedSymbol {
    /// Whether a month's bars are recorded and not on disk as stored. Which days of a damaged file are intact cannot be told.
    pub(super) fn is_lost(&self, month: Month) -> bool {
        let is_damaged = |finding: &Finding| {
            finding.severity == Severity::Damage || finding.kind == FindingKind::MissingFile
        };
        self.findings.iter().any(|finding| is_damaged(finding) && finding.month == Some(month))
    }
}

/// How often a month that another process is writing is checked again. Between two checks its row must have changed,
/// which takes a response of the server.
const ROUNDS: u32 = 50;

/// Compares a symbol's records with its folder. Reads the partitions that `is_deep` selects as a whole, and those that
/// another process may have been writing. What seems damaged but may only be newer than the snapshot is compared with
/// the records of the moment.
pub(super) fn check(
    data_dir: &DataDir,
    symbol: &Symbol,
    rows: &SymbolRows,
    records: &ManifestSnapshot,
    is_deep: &dyn Fn(&Partition) -> bool,
) -> Result<CheckedSymbol, VerifyError> {
    let SymbolFolder { partitions, strays, mut unlisted } = scan::listing(data_dir, symbol);
    let mut on_disk: BTreeMap<Month, Result<u64, String>> = partitions.into_iter().collect();
    let place = MonthPlace { data_dir, symbol, rows, is_deep };
    let mut months = BTreeMap::new();
    for partition in &rows.partitions {
        let month = partition.month;
        // A file that is replaced while its folder is listed may be absent from the list.
        let found = on_disk.remove(&month).or_else(|| scan::size_of_partition(data_dir, symbol, month));
        months.insert(month, place.month(month, found)?);
    }
    for (month, found) in on_disk {
        months.insert(month, place.month(month, Some(found))?);
    }
    if records.may_be_behind() {
        settle(&mut months, &place, records)?;
    }
    let mut checked = CheckedSymbol::default();
    for (month, one) in months {
        checked.findings.extend(one.findings);
        checked.measured.extend(one.measured);
        checked.unknown.extend(one.is_unknown.then_some(month));
        checked.files += u64::from(one.bytes.is_some());
        checked.bytes += one.bytes.unwrap_or_default();
    }
    checked.findings.extend(
        strays.into_iter().filter(|path| records.is_litter(path)).map(|path| stray(Some(symbol), &path)),
    );
    let is_denied = |(_, why): &(PathBuf, io::Error)| why.kind() == io::ErrorKind::PermissionDenied;
    if let Some(at) = unlisted.iter().position(is_denied) {
        let (path, source) = unlisted.swap_remove(at);
        return Err(StoreError::Io { action: "list", path, source }.into());
    }
    checked.findings.extend(unlisted.into_iter().map(|(path, why)| {
        let kind = FindingKind::CorruptFile;
        let (ticker, path, severity) = (Some(symbol.clone()), Some(path), kind.severity());
        Finding { ticker, month: None, date: None, to: None, kind, severity, path, detail: why.to_string() }
    }));
    Ok(checked)
}

/// Checks months that seem damaged again, as long as their records change. A file gets its name before it is recorded:
/// it is wrong only if the records before and after reading it are the same and it fits neither.
fn settle(
    months: &mut BTreeMap<Month, MonthFindings>,
    place: &MonthPlace<'_>,
    records: &ManifestSnapshot,
) -> Result<(), VerifyError> {
    for (month, one) in months.iter_mut().filter(|(_, one)| one.is_damaged()) {
        let mut before = place.rows.clone();
        for _ in 0..ROUNDS {
            let now = records.rows_now(place.symbol)?;
            if !one.is_damaged() || now.are_same_for(&before, *month) {
                break;
            }
            let place = MonthPlace { rows: &now, ..*place };
            *one = place.month(*month, scan::size_of_partition(place.data_dir, place.symbol, *month))?;
            before = now;
        }
    }
    Ok(())
}

/// What one month is compared with.
#[derive(Clone, Copy)]
struct MonthPlace<'a> {
    data_dir: &'a DataDir,
    symbol: &'a Symbol,
    rows: &'a SymbolRows,
    is_deep: &'a dyn Fn(&Partition) -> bool,
}

/// The findings about one month.
#[derive(Debug, Default)]
struct MonthFindings {
    findings: Vec<Finding>,
    measured: BTreeMap<Date, SessionMeasure>,
    /// Whether a file exists that is not recorded.
    is_unknown: bool,
    /// The size of a file that was read as a whole.
    bytes: Option<u64>,
}

impl MonthFindings {
    fn is_damaged(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Damage)
    }
}

impl MonthPlace<'_> {
    /// Compares a row with a file; `found` is the file's size, or None if there is no file.
    fn month(&self, month: Month, found: Option<Result<u64, String>>) -> Result<MonthFindings, StoreError> {
        let Self { data_dir, symbol, rows, is_deep } = *self;
        let path = data_dir.partition(symbol, month);
        let writer = rows.writer(month);
        let finding = |kind: FindingKind, detail: String| {
            let findings = vec![kind.in_partition(symbol, month, path.clone(), detail)];
            Ok(MonthFindings { findings, ..MonthFindings::default() })
        };
        match (rows.partition(month), found) {
            (Some(partition), None) if rows.is_in_repair(month) => {
                let detail = format!("{} bars are being fetched again by a repair", partition.bars);
                let finding = FindingKind::MissingFile.in_partition(symbol, month, path.clone(), detail);
                let findings = vec![Finding { severity: Severity::Gap, ..finding }];
                Ok(MonthFindings { findings, ..MonthFindings::default() })
            }
            (Some(partition), None) => {
                finding(FindingKind::MissingFile, format!("{} bars are recorded", partition.bars))
            }
            (Some(_), Some(Err(what))) => finding(FindingKind::CorruptFile, what),
            (Some(partition), Some(Ok(_))) if is_deep(partition) || writer != MonthWriter::None => {
                read(partition, &path, writer)
            }
            (Some(partition), Some(Ok(bytes))) if bytes != partition.bytes => {
                finding(FindingKind::DigestMismatch, format!("{bytes} bytes, recorded {}", partition.bytes))
            }
            (None, Some(_)) => Ok(self.unknown(month, path, writer)),
            (Some(_), Some(Ok(_))) | (None, None) => Ok(MonthFindings::default()),
        }
    }

    /// Returns the finding about an unrecorded file. Readers of the data directory take it for bars like all others.
    fn unknown(&self, month: Month, path: PathBuf, writer: MonthWriter) -> MonthFindings {
        let (detail, severity) = match writer {
            MonthWriter::Alive => return MonthFindings::default(),
            MonthWriter::Dead => (partition_content::UNRECORDED, Severity::Notice),
            MonthWriter::None => ("a partition that the manifest does not know", Severity::Damage),
        };
        let finding = FindingKind::StrayFile.in_partition(self.symbol, month, path, detail.to_owned());
        let findings = vec![Finding { severity, ..finding }];
        MonthFindings { findings, is_unknown: true, ..MonthFindings::default() }
    }
}

/// Returns the findings about files in the tree that belong to no symbol.
pub(super) fn outside_of_symbols(
    data_dir: &DataDir,
    records: &ManifestSnapshot,
) -> Result<Vec<Finding>, StoreError> {
    let all = data_dir.bars_folder();
    let finding = |path: &PathBuf| {
        let finding = stray(None, path);
        if *path != all {
            return finding;
        }
        let detail = "a file in the place of the folder of all bars".to_owned();
        Finding { severity: Severity::Damage, detail, ..finding }
    };
    Ok(scan::foreign_files(data_dir)?.iter().filter(|path| records.is_litter(path)).map(finding).collect())
}

fn stray(symbol: Option<&Symbol>, path: &Path) -> Finding {
    let kind = FindingKind::StrayFile;
    let detail = "no partition has this name".to_owned();
    // Readers of the data directory take it for bars.
    let is_read = scan::is_read_as_bars(path);
    let severity = if is_read { Severity::Damage } else { kind.severity() };
    let (ticker, path) = (symbol.cloned(), Some(path.to_owned()));
    Finding { ticker, month: None, date: None, to: None, kind, severity, path, detail }
}

/// Reads a file as a whole. If it exists and cannot be read it is damaged, unless the cause lies in this process.
///
/// # Errors
/// If this process lacks the right or the memory to read it.
fn read(partition: &Partition, path: &Path, writer: MonthWriter) -> Result<MonthFindings, StoreError> {
    match fs::read(path) {
        Ok(file) => {
            let bytes = Some(file.len() as u64);
            let (findings, measured) = partition_content::check(partition, path, file.into(), writer);
            Ok(MonthFindings { findings, measured, is_unknown: false, bytes })
        }
        Err(error)
            if matches!(error.kind(), io::ErrorKind::OutOfMemory | io::ErrorKind::PermissionDenied) =>
        {
            Err(StoreError::Io { action: "read", path: path.to_owned(), source: error })
        }
        Err(error) => {
            let (symbol, month) = (&partition.symbol, partition.month);
            let is_gone = error.kind() == io::ErrorKind::NotFound;
            let kind = if is_gone { FindingKind::MissingFile } else { FindingKind::CorruptFile };
            let findings = vec![kind.in_partition(symbol, month, path.to_owned(), error.to_string())];
            Ok(MonthFindings { findings, ..MonthFindings::default() })
        }
    }
}
