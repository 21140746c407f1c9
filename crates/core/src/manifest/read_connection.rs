//! Opens the manifest for reading: it is not changed, and nothing has to be written beside it.

use std::{
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::fs::{Access, access};
use tempfile::TempDir;
use url::Url;

use super::{
    FILE_NAME, Lock, ManifestError,
    schema::{self, BUSY_TIMEOUT, check_tables, check_version, known_version},
};
use crate::{data_dir::DataDir, disk};

/// A manifest that is open for reading, also while another process writes it.
pub(super) struct ReadConnection {
    pub(super) connection: Connection,
    /// Whether its file is opened as immutable: nothing can be written beside it, and no process has it open.
    pub(super) is_still: bool,
    /// The copy that is read in its place, removed when it is closed.
    _copy: Option<TempDir>,
}

/// Opens the manifest of `data_dir` for reading, also while another process writes it. It is not changed: one of the
/// last few versions is shown as it would be after its migration.
pub(super) fn open_to_read(data_dir: &DataDir) -> Result<ReadConnection, ManifestError> {
    let path = data_dir.manifest();
    match path.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing(data_dir)),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(ManifestError::Io { path: data_dir.display().to_string(), source: error });
        }
        Err(source) => return Err(ManifestError::Io { path: path.display().to_string(), source }),
        Ok(_) => {}
    }
    let (reading, version) = connected(&path).map_err(|error| explained(error, &path, false))?;
    if version == 0 {
        // The process that created it crashed before the first transaction: nothing was ever started.
        return Err(missing(data_dir));
    }
    if !schema::is_readable(version) {
        let found = u32::try_from(version).unwrap_or_default();
        return Err(ManifestError::TooOld {
            found,
            oldest: u32::try_from(schema::oldest_readable()).unwrap_or_default(),
            known: known_version(),
            path: path.display().to_string(),
        });
    }
    check_tables(&reading.connection, version)?;
    if version < schema::latest() {
        reading.connection.pragma_update(None, "query_only", false)?;
        schema::show_as_latest(&reading.connection, version)?;
        reading.connection.pragma_update(None, "query_only", true)?;
    }
    Ok(reading)
}

/// Returns the error for a manifest that does not exist, or no longer.
#[must_use]
pub fn missing(data_dir: &DataDir) -> ManifestError {
    let path = data_dir.manifest().display().to_string();
    match check_not_lost(data_dir) {
        Ok(()) => ManifestError::Missing { path },
        Err(lost) => lost,
    }
}

/// Refuses to begin a manifest beside the plan of a lost one: its requests would be forgotten, or everything would be
/// fetched again.
///
/// # Errors
/// [`ManifestError::Lost`] if the plan exists.
pub fn check_not_lost(data_dir: &DataDir) -> Result<(), ManifestError> {
    if data_dir.plan().exists() {
        return Err(ManifestError::Lost { path: data_dir.manifest().display().to_string() });
    }
    Ok(())
}

fn connected(path: &Path) -> Result<(ReadConnection, usize), ManifestError> {
    let opened = connection_to(path).and_then(|connection| {
        let version = check_version(&connection, path)?;
        Ok((ReadConnection { connection, is_still: false, _copy: None }, version))
    });
    match opened {
        Err(ManifestError::Sqlite(error)) if is_unwritable(&error) => {
            let reading = if has_wal(path) { copied(path)? } else { still(path)? };
            let version = check_version(&reading.connection, path)?;
            Ok((reading, version))
        }
        opened => opened,
    }
}

fn connection_to(path: &Path) -> Result<Connection, ManifestError> {
    // The last reader with write permission merges the WAL into the file; a reader without it would leave the WAL
    // there.
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// Reads a copy of a manifest and its WAL that no process writes any more, and beside which nothing can be written: for
/// example on a file system that was mounted read-only after a crash.
fn copied(path: &Path) -> Result<ReadConnection, ManifestError> {
    let io = |source| ManifestError::Io { path: path.display().to_string(), source };
    let copy = tempfile::tempdir().map_err(io)?;
    let place = copy.path().join(FILE_NAME);
    std::fs::copy(path, &place).map_err(io)?;
    std::fs::copy(wal_of(path), wal_of(&place)).map_err(io)?;
    Ok(ReadConnection { connection: connection_to(&place)?, is_still: false, _copy: Some(copy) })
}

impl DataDir {
    /// Whether something was ever started here, by a grab of any version up to this one.
    ///
    /// # Errors
    /// If there is a file of this name that cannot be opened, is not a manifest, or is from a newer grab.
    pub fn has_manifest(&self) -> Result<bool, ManifestError> {
        Ok(version_of(self)?.is_some())
    }

    /// Migrates the manifest, if it exists and is of an older grab: before what it has saved for a command that writes
    /// is read. Commands that only read do not call this; [`DataDir::lock`] does the same under its lock.
    ///
    /// # Errors
    /// [`ManifestError::Locked`] if another process holds the directory; else if it cannot be read or migrated. A
    /// manifest that is missing, damaged, or cannot be opened is not an error here.
    pub fn migrate(&self) -> Result<(), ManifestError> {
        if is_older(self)? { self.lock().map(|_| ()) } else { Ok(()) }
    }
}

/// Migrates the manifest of `data_dir` under the lock that the caller has. One that is missing or damaged stays as it is.
pub(super) fn migrate_locked(data_dir: &DataDir, _lock: &Lock) -> Result<(), ManifestError> {
    if !is_older(data_dir)? {
        return Ok(());
    }
    let migrated =
        schema::open(data_dir).and_then(|manifest| Ok(manifest.close().map_err(|(_, error)| error)?));
    match migrated {
        Err(error) if error.is_damage() => Ok(()),
        migrated => migrated,
    }
}

/// Whether the manifest of `data_dir` is of an older grab. False if it is missing, damaged, or cannot be opened.
fn is_older(data_dir: &DataDir) -> Result<bool, ManifestError> {
    match version_of(data_dir) {
        Ok(version) => Ok(version.is_some_and(|version| version < schema::latest())),
        // Another program is writing it: it is not waited for a second time.
        Err(error @ ManifestError::Sqlite(_)) if !error.is_damage() => Err(error),
        Err(_) => Ok(false),
    }
}

/// The version of a manifest. None if the file is missing, or nothing was ever started in it.
fn version_of(data_dir: &DataDir) -> Result<Option<usize>, ManifestError> {
    let path = data_dir.manifest();
    if !path.exists() {
        return Ok(None);
    }
    let (_, version) = connected(&path).map_err(|error| explained(error, &path, false))?;
    Ok(Some(version).filter(|version| *version > 0))
}

/// Whether `SQLite` could not create the files that readers share beside the manifest.
fn is_unwritable(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly))
}

/// Whether the WAL has content that is not in the file yet. Without it, the whole manifest is in one file.
fn has_wal(path: &Path) -> bool {
    std::fs::metadata(wal_of(path)).is_ok_and(|wal| wal.len() > 0)
}

fn wal_of(path: &Path) -> PathBuf {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    wal.into()
}

/// Opens a manifest that is in one file and beside which nothing can be written: so it does not change while it is
/// read, unless another process begins to write it at this moment.
fn still(path: &Path) -> Result<ReadConnection, ManifestError> {
    let io = |()| ManifestError::Io {
        path: path.display().to_string(),
        source: io::ErrorKind::InvalidInput.into(),
    };
    let absolute = std::path::absolute(path).map_err(|_| io(()))?;
    let mut uri = Url::from_file_path(absolute).map_err(io)?;
    uri.set_query(Some("immutable=1"));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(uri.as_str(), flags)?;
    Ok(ReadConnection { connection, is_still: true, _copy: None })
}

/// Sizes and times that change when another process writes a manifest that was opened as immutable.
pub(super) fn marks(data_dir: &DataDir) -> [Option<(u64, SystemTime)>; 2] {
    let path = data_dir.manifest();
    let mark = |path: &Path| path.metadata().and_then(|file| Ok((file.len(), file.modified()?))).ok();
    [mark(&path), mark(&wal_of(&path))]
}

/// The number of open files with which a manifest can be read and written.
const FEW_FILES: u64 = 32;

/// Returns the system's error for a manifest that `SQLite` cannot open, because `SQLite` does not return the cause.
pub(super) fn explained(error: ManifestError, path: &Path, for_writing: bool) -> ManifestError {
    let codes =
        [ErrorCode::CannotOpen, ErrorCode::ReadOnly, ErrorCode::PermissionDenied, ErrorCode::SystemIoFailure];
    if let ManifestError::Sqlite(cause) = &error
        && cause.sqlite_error_code().is_some_and(|code| codes.contains(&code))
    {
        return refusal(path, for_writing).unwrap_or(error);
    }
    error
}

/// Asks the system without opening the file: closing it would release the locks that `SQLite` has on it.
fn refusal(path: &Path, for_writing: bool) -> Option<ManifestError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let refused = |path: &Path, source| ManifestError::Io { path: path.display().to_string(), source };
    match path.metadata() {
        Err(source) => return Some(refused(path, source)),
        Ok(file) if file.is_dir() => return Some(refused(path, io::ErrorKind::IsADirectory.into())),
        Ok(_) => {}
    }
    let (file, place) = if for_writing {
        (Access::READ_OK | Access::WRITE_OK, Access::WRITE_OK | Access::EXEC_OK)
    } else {
        (Access::READ_OK, Access::EXEC_OK)
    };
    if let Err(error) = access(path, file) {
        return Some(refused(path, error.into()));
    }
    if let Err(error) = access(folder, place) {
        return Some(refused(folder, error.into()));
    }
    disk::need_open_files(FEW_FILES).err().map(|source| refused(path, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_that_cannot_change_is_read_from_its_one_file() {
        let dir = tempfile::tempdir().unwrap();
        let odd = dir.path().join("a #1?mode=rw 50%20");
        std::fs::create_dir(&odd).unwrap();
        drop(schema::open(&DataDir::new(&odd)).unwrap());
        let path = odd.join(FILE_NAME);
        assert!(!has_wal(&path));
        let still = still(&path).unwrap().connection;
        assert_eq!(check_version(&still, &path).unwrap(), schema::latest());
        assert!(still.execute("DELETE FROM tasks", []).is_err());
        std::fs::write(odd.join(format!("{FILE_NAME}-wal")), "x").unwrap();
        assert!(has_wal(&path));
    }
}
