//! Rebuilds a manifest from partitions alone.
//!
//! It is built in a folder of its own and renamed into place when it is complete. The old manifest is moved away,
//! never deleted: a person may still find something in it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use grab_model::{Partition, Symbol, Window};
use jiff::tz::TimeZone;
use rusqlite::params;

use super::{FILE_NAME, LockedDir, ManifestError, ManifestWriter, TaskState, read_connection};
use crate::{clock::Clock, data_dir::DataDir, disk};

/// The folder in which a manifest is built; below the data directory, so that it can be renamed into place.
const FOLDER: &str = ".rebuild";

/// The status in the evidence of a rebuilt task, which has no response of the server.
pub(super) const REBUILT: &str = "REBUILT";

/// Days that are complete according to a symbol's partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WholeDays {
    /// The days.
    pub window: Window,
    /// Bars on these days.
    pub bars: u64,
}

/// Whether `data_dir` has a manifest of grab that `SQLite` finds sound.
///
/// # Errors
/// If there is a file of this name that is not of grab, or from a newer grab: it may not be replaced.
pub fn is_whole(data_dir: &DataDir) -> Result<bool, ManifestError> {
    let before = read_connection::marks(data_dir);
    let mut is_still = false;
    let mut check = || -> Result<bool, ManifestError> {
        let reading = read_connection::open_to_read(data_dir)?;
        is_still = reading.is_still;
        let verdict: String = reading.connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        Ok(verdict == "ok")
    };
    let checked = match check() {
        Err(ManifestError::Missing { .. } | ManifestError::Lost { .. }) => Ok(false),
        Err(error) if error.is_damage() => Ok(false),
        // One that cannot be opened now may still be sound.
        checked => checked,
    };
    if is_still && matches!(checked, Ok(false)) && read_connection::marks(data_dir) != before {
        // Another process began to write it while it was opened as immutable.
        return is_whole(data_dir);
    }
    checked
}

/// Whether it is sound, and each of its rows can be read.
///
/// # Errors
/// As for [`is_whole`].
pub fn is_readable(data_dir: &DataDir) -> Result<bool, ManifestError> {
    let read = || -> Result<(), ManifestError> {
        let reader = data_dir.open_read()?;
        reader.tasks()?;
        reader.witnesses()?;
        reader.not_entitled()?;
        reader.plan_histories()?;
        reader.symbols()?.iter().try_for_each(|symbol| reader.partitions(symbol).map(|_| ()))
    };
    match read() {
        _ if !is_whole(data_dir)? => Ok(false),
        Err(error) if error.is_damage() => Ok(false),
        read => read.map(|()| true),
    }
}

/// Begins a new manifest in its own folder. The files of an earlier attempt are removed.
///
/// # Errors
/// If the folder cannot be created.
pub fn begin(locked: &LockedDir, clock: Clock) -> Result<ManifestWriter, ManifestError> {
    let folder = locked.data_dir().join(FOLDER);
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(cannot(&folder)(error)),
        Ok(()) | Err(_) => {}
    }
    fs::create_dir(&folder).map_err(cannot(&folder))?;
    // It uses the plan beside the manifest that it replaces: `ManifestWriter::restore_plan`.
    let writer = ManifestWriter::open(&DataDir::new(folder), clock)?;
    Ok(ManifestWriter { plan_in: None, _lock: Some(locked.share()), ..writer })
}

/// Puts a manifest that was begun with [`begin`] into place. Returns the path of the old one, if there was one.
///
/// # Errors
/// If a file cannot be renamed.
pub fn finish(writer: ManifestWriter, data_dir: &DataDir) -> Result<Option<PathBuf>, ManifestError> {
    let clock = writer.clock;
    // Closed, so that all of it is in one file.
    writer.connection.close().map_err(|(_, error)| error)?;
    let moved = move_away(data_dir, clock)?;
    let (made, place) = (data_dir.join(FOLDER).join(FILE_NAME), data_dir.manifest());
    fs::rename(&made, &place).map_err(cannot(&place))?;
    disk::sync_folder(data_dir.path(), || Ok(())).map_err(cannot(data_dir.path()))?;
    fs::remove_dir_all(data_dir.join(FOLDER)).map_err(cannot(&data_dir.join(FOLDER)))?;
    Ok(moved)
}

/// The name under which a file of a data directory is moved away: earlier ones are never replaced.
pub(super) fn free_name(data_dir: &DataDir, file: &str, now_ms: i64) -> String {
    let now = jiff::Timestamp::from_millisecond(now_ms).unwrap_or_default().to_zoned(TimeZone::UTC);
    let base = format!("{file}.set-aside-{}", now.strftime("%Y%m%dT%H%M%SZ"));
    let is_taken = |name: &String| {
        ["", "-wal", "-shm"].iter().any(|ending| data_dir.join(format!("{name}{ending}")).exists())
    };
    let names = std::iter::once(base.clone()).chain((1..).map(|n| format!("{base}-{n}")));
    names.into_iter().find(|name| !is_taken(name)).unwrap_or(base)
}

/// Renames a manifest and its WAL, which may have content that the file lacks.
fn move_away(data_dir: &DataDir, clock: Clock) -> Result<Option<PathBuf>, ManifestError> {
    let name = free_name(data_dir, FILE_NAME, clock.now_ms());
    let mut moved = None;
    for ending in ["-wal", "-shm", ""] {
        let (from, to) =
            (data_dir.join(format!("{FILE_NAME}{ending}")), data_dir.join(format!("{name}{ending}")));
        match fs::rename(&from, &to) {
            Ok(()) if ending.is_empty() => moved = Some(to),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(cannot(&from)(error)),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(moved)
}

fn cannot(path: &Path) -> impl FnOnce(io::Error) -> ManifestError + '_ {
    move |source| ManifestError::Io { path: path.display().to_string(), source }
}

impl ManifestWriter {
    /// Records a symbol's partitions, and their complete days as ended tasks.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub fn adopt(
        &mut self,
        symbol: &Symbol,
        partitions: &[Partition],
        spans: &[WholeDays],
    ) -> Result<(), ManifestError> {
        let change = self.begin()?;
        for partition in partitions {
            change.replace(partition)?;
        }
        for WholeDays { window, bars } in spans {
            let state = if *bars > 0 { TaskState::Done } else { TaskState::Empty };
            let (from, to) = (window.from().to_string(), window.to().to_string());
            change.execute(
                "INSERT INTO tasks (ticker, from_date, to_date, state, pages, bars, updated_at_ms)
                 VALUES (?, ?, ?, ?, 1, ?, ?)",
                params![symbol.as_str(), from, to, state.as_str(), bars, change.now_ms],
            )?;
            let task = change.sqlite.last_insert_rowid();
            let span = (*bars > 0).then(|| (window.start_ms(), window.end_ms()));
            let (first, last) = span.unzip();
            change.execute(
                "INSERT INTO pages (task_id, number, run_id, stored_at_ms, status, bars, first_ms, last_ms, bytes)
                 VALUES (?, 1, ?, ?, ?, ?, ?, ?, 0)",
                params![task, change.run, change.now_ms, REBUILT, bars, first, last],
            )?;
        }
        let reason = format!("{symbol}: {} partitions, {} runs of days", partitions.len(), spans.len());
        change.event(None, "rebuilt", None, &reason)?;
        change.commit()
    }
}
