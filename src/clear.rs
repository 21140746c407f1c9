//! What a repair quarantines before it fetches, and removes afterwards.

use std::path::{Path, PathBuf};

use grab_core::{
    data_dir::DataDir,
    manifest::{ManifestReader, ManifestWriter, QuarantinedFile, RepairTransaction, StoreKind, has_all},
    store::{
        StoreError, quarantined_files,
        scan::{self, FoundPartition},
    },
    verify::{RepairPlan, UnrecordedPartition, request_windows},
};
use grab_model::{Month, Symbol, Window};
use grab_ops::{Error as Failure, kind_of};

use super::output::say;

/// What was quarantined, and what follows from it.
#[derive(Default)]
pub struct Cleared {
    /// The changes of the manifest.
    pub mend: RepairTransaction,
    /// The new paths of strays.
    pub strays: Vec<PathBuf>,
    /// Files behind a link, which were left in place.
    pub untouched: Vec<PathBuf>,
}

/// Quarantines what cannot be used, and returns the changes for the manifest. This comes first: a crash after it leaves
/// missing partitions, which the next repair finds. Each move is recorded before it is made, so that only recorded
/// files can ever be removed.
///
/// # Errors
/// If the system refuses, or the manifest cannot be written.
pub fn clear(
    data_dir: &DataDir,
    kind: StoreKind,
    plan: &RepairPlan,
    writer: &mut ManifestWriter,
) -> Result<Cleared, Failure> {
    let mut cleared = Cleared::default();
    cleared.mend.again = plan.again.iter().chain(&plan.unfinished).cloned().collect();
    cleared.mend.ordered = plan.cut_away.iter().cloned().collect();
    cleared.mend.unwitnessed = plan.unwitnessed.keys().copied().collect();
    for ((symbol, month), unknown) in &plan.unknown {
        cleared.take_up(data_dir, kind, (symbol, *month), unknown, writer)?;
    }
    for ((symbol, month), broken) in &plan.broken {
        // A run would find the file behind a link as it is, and store nothing.
        if !cleared.leaves(data_dir, &data_dir.partition(symbol, *month)) {
            cleared.replace(data_dir, kind, (symbol, *month), broken.may_be_good, writer)?;
            cleared.ask_for(symbol, &broken.days);
        }
    }
    for path in plan.strays.iter().chain(plan.unwitnessed.values().flatten()) {
        if !cleared.leaves(data_dir, path) {
            cleared.strays.extend(quarantined_files::quarantine_file(data_dir, path)?);
        }
    }
    cleared.mend.again.sort_unstable();
    cleared.mend.again.dedup();
    let (reader, replaced) = (ManifestReader::open(data_dir)?, cleared.mend.replaced.drain(..).collect());
    cleared.mend.replaced = request_windows::joined(&reader, &replaced, &reader.windows()?)?;
    Ok(cleared)
}

impl Cleared {
    /// Whether a path leads through a link: then it is not touched.
    fn leaves(&mut self, data_dir: &DataDir, path: &Path) -> bool {
        let is_left = quarantined_files::is_behind_link(data_dir, path);
        if is_left {
            say(&format!("{} lies behind a link: not touched", path.display().to_string().escape_debug()));
            self.untouched.push(path.to_owned());
        }
        is_left
    }

    fn ask_for(&mut self, symbol: &Symbol, windows: &[Window]) {
        self.mend.replaced.extend(windows.iter().map(|window| (symbol.clone(), *window)));
    }

    /// Records an unrecorded partition, if it is good.
    fn take_up(
        &mut self,
        data_dir: &DataDir,
        kind: StoreKind,
        (symbol, month): (&Symbol, Month),
        unknown: &UnrecordedPartition,
        writer: &mut ManifestWriter,
    ) -> Result<(), Failure> {
        if self.leaves(data_dir, &data_dir.partition(symbol, month)) {
            return Ok(());
        }
        let examined = scan::examine(data_dir, symbol, month);
        let is_damaged = matches!(examined, Err(StoreError::Damaged { .. }));
        let Some(found) = readable(examined)?.filter(|found| kind_of(found) == kind) else {
            set_aside(data_dir, (symbol, month), 0, writer)?;
            // From before a rebuild of the manifest. The file of another month or symbol proves nothing about this one.
            let is_forgotten = is_damaged && unknown.asked.is_empty();
            self.ask_for(symbol, if is_forgotten { &unknown.month } else { &unknown.asked });
            return Ok(());
        };
        let is_owed = |window: &&Window| month.mask(**window) & !found.whole_days != 0;
        let owed: Vec<_> = unknown.asked.iter().filter(is_owed).copied().collect();
        self.ask_for(symbol, &owed);
        self.mend.found.push(found.partition);
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
    ) -> Result<(), Failure> {
        let found = readable(scan::examine(data_dir, symbol, month))?;
        let found = found.filter(|found| kind_of(found) == kind);
        let recorded =
            ManifestReader::open(data_dir)?.partitions(symbol)?.into_iter().find(|one| one.month == month);
        let counts = recorded.as_ref().map_or([0; 31], |recorded| recorded.bars_by_day);
        if let Some(found) = found.as_ref().filter(|_| may_be_good)
            && has_all(&found.partition.bars_by_day, &counts)
        {
            self.mend.found.push(found.partition.clone());
            return Ok(());
        }
        let in_file = found.map_or(0, |found| found.partition.bars);
        let bars = recorded.map_or(0, |recorded| recorded.bars).max(in_file);
        set_aside(data_dir, (symbol, month), bars, writer)?;
        self.mend.lost.push((symbol.clone(), month));
        Ok(())
    }
}

fn set_aside(
    data_dir: &DataDir,
    (symbol, month): (&Symbol, Month),
    bars: u64,
    writer: &mut ManifestWriter,
) -> Result<(), Failure> {
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
pub fn discard_replaced(data_dir: &DataDir, writer: &mut ManifestWriter) -> Result<Vec<PathBuf>, Failure> {
    let mut kept = Vec::new();
    for set_aside in ManifestReader::open(data_dir)?.set_aside()? {
        let place = data_dir.join(&set_aside.path);
        if place.is_file() && !is_replaced(data_dir, &set_aside, &place)? {
            kept.push(place);
            continue;
        }
        if place.is_file() {
            quarantined_files::discard(&place)?;
        } else if place.exists() {
            // A folder where a file should have been: its content is not known.
            kept.push(place);
            continue;
        }
        writer.forget_quarantined(&set_aside.path)?;
    }
    Ok(kept)
}

/// Whether a month has as many bars on each day again, and none of its requested windows is outstanding or failed. For
/// an unreadable file, the recorded bars count; if its content is not known, nothing can replace it.
fn is_replaced(data_dir: &DataDir, set_aside: &QuarantinedFile, place: &Path) -> Result<bool, Failure> {
    let reader = ManifestReader::open(data_dir)?;
    let QuarantinedFile { symbol, month, bars, .. } = set_aside;
    let held = reader.partitions(symbol)?.into_iter().find(|one| one.month == *month);
    let Some(held) = held.filter(|held| held.bars >= *bars) else { return Ok(false) };
    let was = scan::examine_file(place, symbol, *month).ok().flatten();
    let has_all_of_it = match was {
        Some(was) => has_all(&held.bars_by_day, &was.partition.bars_by_day),
        None => *bars > 0 && !reader.lost(symbol)?.contains_key(month),
    };
    let tasks = reader.tasks_of(symbol)?;
    let mut in_month = tasks.iter().filter(|task| month.mask(task.window) != 0);
    Ok(has_all_of_it && in_month.all(|task| task.state.is_covered()))
}
