//! Merges a page's bars into the files of their months.

use std::{collections::HashMap, ops::Range};

use grab_model::{Bars, Month, Partition, Revision, Symbol, Window};
use tokio::task;

use crate::{
    cpu::{self, CpuTurn},
    store::{
        BarStore, EncodedFile, Finality, MergeInput, MergeOutcome, PartitionData, PreparedMerge, StoreError,
        write_all,
    },
};

/// A page of a symbol, and the ranges of its months.
pub(super) struct PageBars {
    pub(super) symbol: Symbol,
    pub(super) bars: Bars,
    pub(super) cuts: Vec<(Month, Range<usize>)>,
    /// The days that are complete once it is stored.
    pub(super) whole: Option<Window>,
    /// The month of the last bar that the task had before it.
    pub(super) before: Option<Month>,
    /// Whether another page follows.
    pub(super) goes_on: bool,
    /// When it was fetched, UTC ms.
    pub(super) at_ms: i64,
    /// The recorded digests of these months' partitions, and of the one before.
    pub(super) recorded: HashMap<Month, u64>,
}

/// The result of a merge.
#[derive(Default)]
pub(super) struct MergedMonths {
    /// Partitions that are new on disk, or not recorded yet.
    pub(super) partitions: Vec<Partition>,
    /// What has changed in months that were already stored.
    pub(super) revisions: Vec<(Month, Revision)>,
    /// The content of the last one.
    pub(super) stored: Option<PartitionData>,
}

/// A month that could not be merged, and the partitions written before it, which are on stable storage.
pub(super) struct MergeFailure {
    pub(super) error: StoreError,
    pub(super) written: Vec<Partition>,
}

/// Merges a page into its months; `stored` is the known content of one of them. When this returns, they are on stable storage.
///
/// No core waits for the disk, and the page's bars are dropped before that wait: only the bytes of the files and the
/// last month stay in memory. An already stored month is read where it is merged.
pub(super) async fn merge(
    store: BarStore,
    page: PageBars,
    stored: Option<PartitionData>,
) -> Result<MergedMonths, MergeFailure> {
    // What was decoded is merged before anything else is decoded.
    let (months, files, failed) = cpu::run(CpuTurn::Next, move || in_memory(&store, &page, stored)).await;
    let written = match task::spawn_blocking(move || write_all(&files)).await {
        Ok(written) => written,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    };
    match (written, failed) {
        (Ok(()), None) => Ok(months),
        (Ok(()), Some(error)) => Err(MergeFailure { error, written: months.partitions }),
        // How far the write came is known only to the disk.
        (Err(error), _) => Err(MergeFailure { error, written: Vec::new() }),
    }
}

/// Merges and encodes month by month, up to the first failure.
fn in_memory(
    store: &BarStore,
    page: &PageBars,
    mut stored: Option<PartitionData>,
) -> (MergedMonths, Vec<EncodedFile>, Option<StoreError>) {
    let (mut months, mut files) = (MergedMonths::default(), Vec::new());
    let over = match &stored {
        Some(_) => stored.take_if(|stored| is_over(stored, page)),
        None => left_cut(store, page),
    };
    if let Some(over) = over {
        match store.prepare_final(&page.symbol, over) {
            Ok(finished) => stored = Some(months.add(finished, true, &mut files)),
            Err(error) => return (months, files, Some(error)),
        }
    }
    for (month, rows) in &page.cuts {
        let known = stored.take().filter(|stored| stored.month == *month);
        match one_month(store, page, (*month, rows), known) {
            Ok(merged) => stored = Some(months.add(merged, page.recorded.contains_key(month), &mut files)),
            Err(error) => return (months, files, Some(error)),
        }
    }
    (MergedMonths { stored, ..months }, files, None)
}

/// Whether a month was written in interim form, and the page has no more bars of it.
fn is_over(stored: &PartitionData, page: &PageBars) -> bool {
    stored.finality == Finality::Interim && page.cuts.iter().all(|(month, _)| *month != stored.month)
}

/// The interim month before the page, if it is no longer in memory: the task was parked, or continued by another run.
fn left_cut(store: &BarStore, page: &PageBars) -> Option<PartitionData> {
    let month = page.before?;
    // If the file is not the recorded one, `grab verify` reports it: that has nothing to do with the page.
    let read = || {
        store.check_recorded(&page.symbol, month, *page.recorded.get(&month)?).ok()?;
        store.read(&page.symbol, month).ok()?
    };
    let is_elsewhere = page.cuts.iter().all(|(cut, _)| *cut != month);
    is_elsewhere.then(read)?.filter(|stored| is_over(stored, page))
}

fn one_month(
    store: &BarStore,
    page: &PageBars,
    (month, rows): (Month, &Range<usize>),
    known: Option<PartitionData>,
) -> Result<PreparedMerge, StoreError> {
    let PageBars { symbol, bars, whole, at_ms, recorded, .. } = page;
    if let Some(digest) = recorded.get(&month).filter(|_| known.is_none()) {
        store.check_recorded(symbol, month, *digest)?;
    }
    let is_cut = page.goes_on && rows.end == bars.len();
    let finality = if is_cut { Finality::Interim } else { Finality::Final };
    let fetched = MergeInput { bars: bars.slice(rows.clone()), at_ms: *at_ms, whole: *whole, finality };
    store.prepare_merge(symbol, month, fetched, known)
}

impl MergedMonths {
    /// Adds a merged month; returns its content.
    fn add(
        &mut self,
        merged: PreparedMerge,
        is_recorded: bool,
        files: &mut Vec<EncodedFile>,
    ) -> PartitionData {
        let PreparedMerge { outcome: MergeOutcome { partition, stored, revision }, file } = merged;
        if !revision.is_empty() {
            self.revisions.push((partition.month, revision));
        }
        if file.is_some() || !is_recorded {
            self.partitions.push(partition);
        }
        files.extend(file);
        stored
    }
}

/// Splits ascending times at the ends of `months`. Months without any time are left out.
pub(super) fn cut(months: impl Iterator<Item = Month>, times: &[i64]) -> Vec<(Month, Range<usize>)> {
    let mut begin = 0;
    let mut cuts = Vec::new();
    for month in months {
        let end = times.partition_point(|t| *t < month.end_ms());
        if end > begin {
            cuts.push((month, begin..end));
        }
        begin = end;
    }
    cuts
}
