//! Manifest against disk, both ways, one symbol at a time.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use jiff::civil::Date;

use super::{Finding, Kind, Severity, content};
use crate::{
    model::{Month, Partition, Symbol},
    store::{
        StoreError, layout,
        survey::{self, Listing},
    },
};

/// What was looked at, and what was found.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) findings: Vec<Finding>,
    /// Files that were read whole.
    pub(super) files: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Months of files that are there and not recorded.
    pub(super) unknown: Vec<Month>,
    /// What their sessions have.
    pub(super) measured: BTreeMap<Date, Measured>,
}

/// What the bars of one session come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Measured {
    /// The sum of their volumes.
    pub(super) shares: f64,
    /// The start of the last one, UTC ms.
    pub(super) last_ms: i64,
}

impl Checked {
    /// Whether the bars of a month are recorded and are not there as they were stored. Of a damaged file nobody can say
    /// which of its days are whole.
    pub(super) fn is_lost(&self, month: Month) -> bool {
        let is_damaged = |finding: &Finding| finding.severity == Severity::Damage;
        self.findings.iter().any(|finding| is_damaged(finding) && finding.month == Some(month))
    }
}

/// Holds what is recorded of a symbol against its folder; reads those partitions whole that `is_deep` names, and those
/// that a process which died may have been writing.
pub(super) fn check(
    data_dir: &Path,
    symbol: &Symbol,
    recorded: &[Partition],
    is_deep: impl Fn(&Partition) -> bool,
    is_in_flight: impl Fn(Month) -> bool,
) -> Result<Checked, StoreError> {
    let Listing { partitions, strays, unlisted } = survey::listing(data_dir, symbol);
    let mut on_disk: BTreeMap<Month, Result<u64, String>> = partitions.into_iter().collect();
    let mut checked = Checked::default();
    for partition in recorded {
        let path = layout::partition(data_dir, symbol, partition.month);
        match on_disk.remove(&partition.month) {
            None => {
                let detail = format!("{} bars are recorded", partition.bars);
                checked.findings.push(Kind::MissingFile.in_partition(symbol, partition.month, path, detail));
            }
            Some(Err(what)) => {
                checked.findings.push(Kind::CorruptFile.in_partition(symbol, partition.month, path, what));
            }
            Some(_) if is_deep(partition) || is_in_flight(partition.month) => {
                read(&mut checked, partition, &path, is_in_flight(partition.month))?;
            }
            Some(Ok(bytes)) if bytes != partition.bytes => {
                let detail = format!("{bytes} bytes, recorded {}", partition.bytes);
                checked.findings.push(Kind::DigestMismatch.in_partition(
                    symbol,
                    partition.month,
                    path,
                    detail,
                ));
            }
            Some(Ok(_)) => {}
        }
    }
    for month in on_disk.into_keys() {
        checked.unknown.push(month);
        let path = layout::partition(data_dir, symbol, month);
        let unknown = "a partition that the manifest does not know";
        // Readers take it for bars like all others.
        let (detail, severity) = if is_in_flight(month) {
            (content::UNRECORDED, Severity::Notice)
        } else {
            (unknown, Severity::Damage)
        };
        let finding = Kind::StrayFile.in_partition(symbol, month, path, detail.to_owned());
        checked.findings.push(Finding { severity, ..finding });
    }
    checked.findings.extend(strays.into_iter().map(|path| stray(Some(symbol), &path)));
    checked.findings.extend(unlisted.into_iter().map(|(path, why)| {
        let kind = Kind::CorruptFile;
        let (ticker, path, severity) = (Some(symbol.clone()), Some(path), kind.severity());
        Finding { ticker, month: None, date: None, to: None, kind, severity, path, detail: why }
    }));
    Ok(checked)
}

/// What is in the tree and belongs to no symbol.
pub(super) fn outside_of_symbols(data_dir: &Path) -> Result<Vec<Finding>, StoreError> {
    let all = layout::bars_folder(data_dir);
    let finding = |path: &PathBuf| {
        let finding = stray(None, path);
        if *path != all {
            return finding;
        }
        let detail = "a file in the place of the folder of all bars".to_owned();
        Finding { severity: Severity::Damage, detail, ..finding }
    };
    Ok(survey::strays(data_dir)?.iter().map(finding).collect())
}

fn stray(symbol: Option<&Symbol>, path: &Path) -> Finding {
    let kind = Kind::StrayFile;
    let detail = "no partition has this name".to_owned();
    // Readers take it for bars.
    let is_read = survey::is_read_as_bars(path);
    let severity = if is_read { Severity::Damage } else { kind.severity() };
    let (ticker, path) = (symbol.cloned(), Some(path.to_owned()));
    Finding { ticker, month: None, date: None, to: None, kind, severity, path, detail }
}

/// A file that is there and cannot be read is damaged, whatever the reason.
fn read(
    checked: &mut Checked,
    partition: &Partition,
    path: &Path,
    is_in_flight: bool,
) -> Result<(), StoreError> {
    match fs::read(path) {
        Ok(file) => {
            checked.files += 1;
            checked.bytes += file.len() as u64;
            let (findings, measured) = content::check(partition, path, file.into(), is_in_flight);
            checked.findings.extend(findings);
            checked.measured.extend(measured);
        }
        Err(error) if error.kind() == io::ErrorKind::OutOfMemory => {
            return Err(StoreError::Io { action: "read", path: path.to_owned(), source: error });
        }
        Err(error) => {
            let (symbol, month) = (&partition.symbol, partition.month);
            let finding = Kind::CorruptFile.in_partition(symbol, month, path.to_owned(), error.to_string());
            checked.findings.push(finding);
        }
    }
    Ok(())
}
