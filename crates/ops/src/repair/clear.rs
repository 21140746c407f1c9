//! What a repair quarantines before it fetches, and removes afterwards.

use std::path::{Path, PathBuf};

use grab_core::{
    data_dir::DataDir,
    manifest::{ManifestWriter, QuarantinedFile, RepairTransaction, StoreKind, has_all},
    store::{
        StoreError, quarantined_files,
        scan::{self, FoundPartition},
    },
    verify::{RepairPlan, UnrecordedPartition, request_windows},
};
use grab_model::{Month, Symbol, Window};

use crate::{Error, Notice, Observer, kind_of};

/// What was quarantined, and what follows from it.
#[derive(Default)]
pub(super) struct ClearedFiles {
    /// The changes of the manifest.
    pub changes: RepairTransaction,
    /// The new paths of strays.
    pub strays: Vec<PathBuf>,
    /// Files behind a link, which were left in place.
    pub behind_links: Vec<PathBuf>,
}

/// Quarantines what cannot be used, and returns the changes for the manifest. This comes first: a crash after it leaves
/// missing partitions, which the next repair finds. Each move is recorded before it is made, so that only recorded
/// files can ever be removed.
///
/// # Errors
/// If the system refuses, or the manifest cannot be written.
pub(super) fn clear(
    data_dir: &DataDir,
    kind: StoreKind,
    plan: &RepairPlan,
    writer: &mut ManifestWriter,
    observer: &dyn Observer,
) -> Result<ClearedFiles, Error> {
    let mut cleared = ClearedFiles::default();
    cleared.changes.again = plan.again.iter().chain(&plan.unfinished).cloned().collect();
    cleared.changes.ordered = plan.cut_away.iter().cloned().collect();
    cleared.changes.unwitnessed = plan.unwitnessed.keys().copied().collect();
    for ((symbol, month), unknown) in &plan.unknown {
        cleared.adopt(data_dir, kind, (symbol, *month), unknown, writer, observer)?;
    }
    for ((symbol, month), broken) in &plan.broken {
        // A run would find the file behind a link as it is, and store nothing.
        if !cleared.is_behind_link(data_dir, &data_dir.partition(symbol, *month), observer) {
            cleared.replace(data_dir, kind, (symbol, *month), broken.may_be_good, writer)?;
            cleared.request(symbol, &broken.days);
        }
    }
    for path in plan.strays.iter().chain(plan.unwitnessed.values().flatten()) {
        if !cleared.is_behind_link(data_dir, path, observer) {
            cleared.strays.extend(quarantined_files::quarantine_file(data_dir, path)?);
        }
    }
    cleared.changes.again.sort_unstable();
    cleared.changes.again.dedup();
    let (reader, replaced) = (data_dir.open_read()?, cleared.changes.replaced.drain(..).collect());
    cleared.changes.replaced = request_windows::joined(&reader, &replaced, &reader.windows()?)?;
    Ok(cleared)
}

impl ClearedFiles {
    /// Whether a path leads through a link: then it is not touched.
    fn is_behind_link(&mut self, data_dir: &DataDir, path: &Path, observer: &dyn Observer) -> bool {
        let is_linked = quarantined_files::is_behind_link(data_dir, path);
        if is_linked {
            observer.notice(&Notice::BehindLink(path.to_owned()));
            self.behind_links.push(path.to_owned());
        }
        is_linked
    }

    fn request(&mut self, symbol: &Symbol, windows: &[Window]) {
        self.changes.replaced.extend(windows.iter().map(|window| (symbol.clone(), *window)));
    }

    /// Records an unrecorded partition, if it is good.
    fn adopt(
        &mut self,
        data_dir: &DataDir,
        kind: StoreKind,
        (symbol, month): (&Symbol, Month),
        unknown: &UnrecordedPartition,
        writer: &mut ManifestWriter,
        observer: &dyn Observer,
    ) -> Result<(), Error> {
        if self.is_behind_link(data_dir, &data_dir.partition(symbol, month), observer) {
            return Ok(());
        }
        let examined = scan::examine(data_dir, symbol, month);
        let is_damaged = matches!(examined, Err(StoreError::Damaged { .. }));
        let Some(found) = readable(examined)?.filter(|found| kind_of(found) == kind) else {
            quarantine(data_dir, (symbol, month), 0, writer)?;
            // From before a rebuild of the manifest. The file of another month or symbol proves nothing about this one.
            let is_forgotten = is_damaged && unknown.requested.is_empty();
            self.request(symbol, if is_forgotten { &unknown.month } else { &unknown.requested });
            return Ok(());
        };
        let is_incomplete = |window: &&Window| month.mask(**window) & !found.whole_days != 0;
        let outstanding: Vec<_> = unknown.requested.iter().filter(is_incomplete).copied().collect();
        self.request(symbol, &outstanding);
        self.changes.found.push(found.partition);
        Ok(())
    }

    /// Quarantines a partition that is not the recorded one. A good one without a bar less is recorded instead: then
    /// the manifest is behind, for example because it comes from a backup.
    fn replace(
        &mut self,
        data_dir: &DataDir,
        kind: StoreKind,
        (symbol, month): (&Symbol, Month),
        may_be_good: bool,
        writer: &mut ManifestWriter,
    ) -> Result<(), Error> {
        let found = readable(scan::examine(data_dir, symbol, month))?;
        let found = found.filter(|found| kind_of(found) == kind);
        let recorded = data_dir.open_read()?.partitions(symbol)?.into_iter().find(|one| one.month == month);
        let counts = recorded.as_ref().map_or([0; 31], |recorded| recorded.bars_by_day);
        if let Some(found) = found.as_ref().filter(|_| may_be_good)
            && has_all(&found.partition.bars_by_day, &counts)
        {
            self.changes.found.push(found.partition.clone());
            return Ok(());
        }
        let in_file = found.map_or(0, |found| found.partition.bars);
        let bars = recorded.map_or(0, |recorded| recorded.bars).max(in_file);
        quarantine(data_dir, (symbol, month), bars, writer)?;
        self.changes.lost.push((symbol.clone(), month));
        Ok(())
    }
}

fn quarantine(
    data_dir: &DataDir,
    (symbol, month): (&Symbol, Month),
    bars: u64,
    writer: &mut ManifestWriter,
) -> Result<(), Error> {
    let Some(place) = quarantined_files::place_of_partition(data_dir, symbol, month, bars) else {
        return Ok(());
    };
    let path = place.strip_prefix(data_dir).unwrap_or(&place).to_owned();
    writer.record_quarantined(&QuarantinedFile { path, symbol: symbol.clone(), month, bars })?;
    Ok(quarantined_files::quarantine_partition(data_dir, symbol, month, &place)?)
}

/// A partition that can be recorded. None if it does not exist or is damaged.
fn readable(
    examined: Result<Option<FoundPartition>, StoreError>,
) -> Result<Option<FoundPartition>, StoreError> {
    match examined {
        Err(error @ StoreError::Io { .. }) => Err(error),
        Err(_) => Ok(None),
        found => found,
    }
}

/// Removes quarantined files, of this or an earlier repair, whose replacement lacks none of their bars. Returns what is left.
///
/// # Errors
/// If the system refuses, or the manifest cannot be written.
pub(super) fn discard_replaced(
    data_dir: &DataDir,
    writer: &mut ManifestWriter,
) -> Result<Vec<PathBuf>, Error> {
    let mut remaining = Vec::new();
    for file in data_dir.open_read()?.set_aside()? {
        let place = data_dir.join(&file.path);
        if place.is_file() && !is_replaced(data_dir, &file, &place)? {
            remaining.push(place);
            continue;
        }
        if place.is_file() {
            quarantined_files::discard(&place)?;
        } else if place.exists() {
            // A folder where a file should have been: its content is not known.
            remaining.push(place);
            continue;
        }
        writer.forget_quarantined(&file.path)?;
    }
    Ok(remaining)
}

/// Whether a month has as many bars on each day again, and none of its requested windows is outstanding or failed. For
/// an unreadable file, the recorded bars count; if its content is not known, nothing can replace it.
fn is_replaced(data_dir: &DataDir, file: &QuarantinedFile, place: &Path) -> Result<bool, Error> {
    let reader = data_dir.open_read()?;
    let QuarantinedFile { symbol, month, bars, .. } = file;
    let stored = reader.partitions(symbol)?.into_iter().find(|one| one.month == *month);
    let Some(stored) = stored.filter(|stored| stored.bars >= *bars) else { return Ok(false) };
    let was = scan::examine_file(place, symbol, *month).ok().flatten();
    let has_all_of_it = match was {
        Some(was) => has_all(&stored.bars_by_day, &was.partition.bars_by_day),
        None => *bars > 0 && !reader.lost(symbol)?.contains_key(month),
    };
    let tasks = reader.tasks_of(symbol)?;
    let mut in_month = tasks.iter().filter(|task| month.mask(task.window) != 0);
    Ok(has_all_of_it && in_month.all(|task| task.state.is_covered()))
}
