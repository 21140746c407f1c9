//! The manifest's records at one instant, and whether another process goes on writing.

use std::{
    collections::HashMap,
    io,
    path::Path,
    sync::{Mutex, PoisonError},
};

use grab_model::{Month, Partition, Symbol, Window};
use jiff::civil::Date;

use super::VerifyError;
use crate::{
    data_dir::{self, DataDir},
    manifest::{ManifestError, ManifestReader, TaskItem, TaskState, is_held},
};

/// Whether another process may write while this one verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherWriters {
    /// No process can: this one holds the lock of the directory.
    Excluded,
    /// One may, now or at any moment.
    Allowed,
}

/// One snapshot of a manifest for all threads. Its records do not change while it is used.
pub(super) struct ManifestSnapshot {
    data_dir: DataDir,
    snapshot: Mutex<ManifestReader>,
    others: OtherWriters,
    /// The last finished day.
    last: Date,
    /// Whether another process was writing when the snapshot was taken.
    was_written: bool,
}

/// The records of one symbol.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct SymbolRows {
    /// By month.
    pub(super) partitions: Vec<Partition>,
    /// In the order in which they are worked on.
    pub(super) tasks: Vec<TaskItem>,
    /// Months whose files a repair has quarantined, or is about to.
    pub(super) set_aside: Vec<Month>,
    /// Whether another process was writing when these rows were read.
    pub(super) are_written: bool,
}

/// Which process may be writing to a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MonthWriter {
    /// No process.
    None,
    /// A live process: for a moment, files may be newer than their rows.
    Alive,
    /// A process that crashed: files may be newer than their rows until `grab resume`.
    Dead,
}

impl ManifestSnapshot {
    /// Takes the snapshot. `last` is the last finished day: later days cannot have bars.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub(super) fn take(data_dir: &DataDir, others: OtherWriters, last: Date) -> Result<Self, VerifyError> {
        let snapshot = ManifestReader::snapshot(data_dir)?;
        let was_written = others == OtherWriters::Allowed && snapshot.is_live();
        Ok(Self { data_dir: data_dir.to_owned(), snapshot: Mutex::new(snapshot), others, last, was_written })
    }

    /// Reads from the snapshot.
    ///
    /// # Errors
    /// Those of `question`.
    pub(super) fn read<T>(
        &self,
        question: impl FnOnce(&ManifestReader) -> Result<T, ManifestError>,
    ) -> Result<T, VerifyError> {
        Ok(question(&self.snapshot.lock().unwrap_or_else(PoisonError::into_inner))?)
    }

    /// The symbol's rows in the snapshot.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub(super) fn rows(&self, symbol: &Symbol) -> Result<SymbolRows, VerifyError> {
        self.read(|snapshot| rows(snapshot, symbol, self.was_written, self.last))
    }

    /// The symbol's rows as they are now, which may be newer than the snapshot.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub(super) fn rows_now(&self, symbol: &Symbol) -> Result<SymbolRows, VerifyError> {
        let now = self.data_dir.open_read()?;
        let are_written = self.others == OtherWriters::Allowed && now.is_live();
        Ok(rows(&now, symbol, are_written, self.last)?)
    }

    /// The requested windows of each symbol, cut at the last finished day.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub(super) fn requested_windows(&self) -> Result<HashMap<Symbol, Vec<Window>>, VerifyError> {
        let mut requested = self.read(ManifestReader::requested_windows)?;
        let until = |window: &Window| Window::new(window.from(), window.to().min(self.last));
        for windows in requested.values_mut() {
            *windows = windows.iter().filter_map(until).collect();
        }
        Ok(requested)
    }

    /// Reads from the manifest as it is now.
    ///
    /// # Errors
    /// Those of `question`.
    pub(super) fn read_now<T>(
        &self,
        question: impl FnOnce(&ManifestReader) -> Result<T, ManifestError>,
    ) -> Result<T, VerifyError> {
        Ok(question(&self.data_dir.open_read()?)?)
    }

    /// The last finished day.
    pub(super) fn last(&self) -> Date {
        self.last
    }

    /// Whether another process was writing when the snapshot was taken.
    pub(super) fn was_written(&self) -> bool {
        self.was_written
    }

    /// Whether the manifest may have changed since the snapshot.
    pub(super) fn may_be_behind(&self) -> bool {
        self.others == OtherWriters::Allowed
    }

    /// Whether another process is writing now.
    pub(super) fn is_written(&self) -> bool {
        self.may_be_behind() && is_held(&self.data_dir)
    }

    /// Whether a stray file is still there and no process is writing it.
    pub(super) fn is_litter(&self, path: &Path) -> bool {
        let is_gone = path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // Checked after the file was seen: if its writer is gone by now, the file is left over.
        let is_at_work = || data_dir::is_unfinished(name) && self.is_written();
        !is_gone && !is_at_work()
    }
}

fn rows(
    reader: &ManifestReader,
    symbol: &Symbol,
    are_written: bool,
    last: Date,
) -> Result<SymbolRows, ManifestError> {
    let set_aside = reader.quarantined_months(symbol)?;
    let (partitions, tasks) = (reader.partitions(symbol)?, reader.tasks_of(symbol)?);
    let tasks = tasks.into_iter().filter_map(|task| task.until(last)).collect();
    Ok(SymbolRows { partitions, tasks, set_aside, are_written })
}

impl SymbolRows {
    /// The partition of a month.
    pub(super) fn partition(&self, month: Month) -> Option<&Partition> {
        self.partitions.iter().find(|partition| partition.month == month)
    }

    /// Which process may be writing to a month.
    pub(super) fn writer(&self, month: Month) -> MonthWriter {
        let is_under_way = |task: &TaskItem| task.state == TaskState::Running && month.mask(task.window) != 0;
        if !self.tasks.iter().any(is_under_way) {
            MonthWriter::None
        } else if self.are_written {
            MonthWriter::Alive
        } else {
            MonthWriter::Dead
        }
    }

    /// Whether a live repair has quarantined the file of a month, or is about to.
    pub(super) fn is_in_repair(&self, month: Month) -> bool {
        self.are_written && self.set_aside.contains(&month)
    }

    /// Whether a month's records are equal in both.
    pub(super) fn are_same_for(&self, other: &Self, month: Month) -> bool {
        self.partition(month) == other.partition(month)
            && self.writer(month) == other.writer(month)
            && self.is_in_repair(month) == other.is_in_repair(month)
    }
}
