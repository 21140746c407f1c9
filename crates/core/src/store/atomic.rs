//! Files that are written completely or not at all.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tempfile::NamedTempFile;

use super::StoreError;
use crate::{
    data_dir::{self, DataDir, UNFINISHED},
    disk,
    failpoint::{CrashPoint, reached},
};

/// How many files are open at once in a group: a page of a quiet symbol can have bars of a hundred months.
const GROUP: usize = 8;

/// A file's path and its content.
pub(super) type FileContent<'a> = (&'a Path, &'a [u8]);

/// Writes `bytes` to `path` so that a crash at any instant leaves either the old content or all of the new one.
///
/// When it returns, the file and its name are on stable storage.
///
/// # Errors
/// If any step fails; the old file is then untouched and nothing is left beside it.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    write_all(&[(path, bytes)])
}

/// Writes many files, a group at a time: each step is done for all files of a group before the next one, and a folder
/// that gets many new files is synced once.
///
/// # Errors
/// If any step fails. If it fails for one file, those before it are still written, and those after it are not; if the
/// names of new folders cannot be made durable, nothing of the group is written.
pub(super) fn write_all(files: &[FileContent<'_>]) -> Result<(), StoreError> {
    files.chunks(GROUP).try_for_each(write_group)
}

fn write_group(files: &[FileContent<'_>]) -> Result<(), StoreError> {
    let mut failure = None;
    let mut fresh = BTreeSet::new();
    let files = each(files, &mut failure, |file| {
        fresh.extend(make_folders(folder_of(file.0))?);
        Ok(file)
    });
    secure(&fresh)?;
    let unfinished = each(files, &mut failure, |(path, bytes)| AtomicFile::with(path, bytes));
    let durable = each(unfinished, &mut failure, AtomicFile::sync);
    let placed = each(durable, &mut failure, AtomicFile::place);
    each(placed, &mut failure, |path| sync_names_of(&path));
    failure.map_or(Ok(()), Err)
}

/// Does a step with each item. After the first failure the later items are dropped, which removes their unfinished
/// files. The first failure is returned.
fn each<T, U>(
    items: impl IntoIterator<Item = T>,
    failure: &mut Option<StoreError>,
    mut step: impl FnMut(T) -> Result<U, StoreError>,
) -> Vec<U> {
    let mut keep = |error| {
        failure.get_or_insert(error);
    };
    items.into_iter().map_while(|item| step(item).map_err(&mut keep).ok()).collect()
}

/// An unfinished file beside its final path. If it is dropped before [`AtomicFile::finish`], it is removed.
pub(super) struct AtomicFile {
    file: NamedTempFile,
    path: PathBuf,
}

impl AtomicFile {
    /// Creates an unfinished file for `path`, and the folder if it does not exist.
    pub(super) fn begin(path: &Path) -> Result<Self, StoreError> {
        create_folders(folder_of(path))?;
        Self::begin_in_folder(path)
    }

    fn begin_in_folder(path: &Path) -> Result<Self, StoreError> {
        let folder = folder_of(path);
        let mut options = tempfile::Builder::new();
        options.prefix(UNFINISHED.0).suffix(UNFINISHED.1);
        // The default is 0600; bars are for every reader that the user's umask allows.
        options.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = options.tempfile_in(folder).map_err(failed("write in", folder))?;
        Ok(Self { file, path: path.to_owned() })
    }

    fn with(path: &Path, bytes: &[u8]) -> Result<Self, StoreError> {
        let mut unfinished = Self::begin_in_folder(path)?;
        reached(CrashPoint::BeforeWrite)
            .and_then(|()| unfinished.write_all(bytes))
            .and_then(|()| reached(CrashPoint::AfterWrite))
            .map_err(failed("write", path))?;
        Ok(unfinished)
    }

    /// Renames it to its final path. When this returns, the file and its name are on stable storage.
    pub(super) fn finish(self) -> Result<(), StoreError> {
        sync_names_of(&self.sync()?.place()?)
    }

    /// Makes its bytes durable.
    fn sync(self) -> Result<Self, StoreError> {
        let synced = disk::sync_file(self.file.as_file(), &self.path, || reached(CrashPoint::AfterSync));
        synced.map_err(failed("sync", &self.path))?;
        Ok(self)
    }

    /// Renames it to its final path; the name is not durable yet.
    fn place(self) -> Result<PathBuf, StoreError> {
        let Self { file, path } = self;
        file.persist(&path).map_err(|error| failed("rename a file to", &path)(error.error))?;
        reached(CrashPoint::AfterRename).map_err(failed("sync", &path))?;
        Ok(path)
    }
}

/// Makes the name of a file durable that was just renamed.
fn sync_names_of(path: &Path) -> Result<(), StoreError> {
    let folder = folder_of(path);
    disk::sync_folder(folder, || reached(CrashPoint::AfterFolderSync)).map_err(failed("sync", folder))
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The folders that this process has created and whose names may not be durable yet. A folder that is not in this set
/// has a durable name.
static FRESH: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn fresh_folders() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    FRESH.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Creates a folder and its parents, if they do not exist, each durable in the one above it.
///
/// # Errors
/// If one cannot be created, or its name cannot be made durable.
pub fn create_folders(folder: &Path) -> Result<(), StoreError> {
    secure(&make_folders(folder)?)
}

/// Creates a folder and its parents. Returns those whose names are not durable yet, whichever thread created them: no
/// thread waits for another one's sync.
fn make_folders(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut fresh = fresh_folders();
    make_missing(folder, &mut fresh)?;
    Ok(folder.ancestors().filter(|folder| fresh.contains(*folder)).map(Path::to_owned).collect())
}

fn make_missing(folder: &Path, fresh: &mut BTreeSet<PathBuf>) -> Result<(), StoreError> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    make_missing(folder.parent().unwrap_or(Path::new("")), fresh)?;
    match reached(CrashPoint::BeforeFolder).and_then(|()| fs::create_dir(folder)) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(failed("create", folder)(io::ErrorKind::NotADirectory.into()));
        }
        created => created.map_err(failed("create", folder))?,
    }
    fresh.insert(folder.to_owned());
    reached(CrashPoint::AfterFolder).map_err(failed("sync", folder))
}

/// Makes the names of new folders durable, from the top down. If that fails, they stay in the set.
fn secure<'a>(fresh: impl IntoIterator<Item = &'a PathBuf> + Copy) -> Result<(), StoreError> {
    let holders: BTreeSet<&Path> = fresh.into_iter().map(|folder| folder_of(folder)).collect();
    for holder in holders {
        match disk::sync_folder(holder, || reached(CrashPoint::AfterNameSync)) {
            // In a folder where the user may create folders but not list them, names cannot be made durable.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            synced => synced.map_err(failed("sync", holder))?,
        }
    }
    let mut known = fresh_folders();
    for folder in fresh {
        known.remove(folder);
    }
    Ok(())
}

/// Makes the names of folders durable, and those of all folders above them in `data_dir`, if they exist: a crashed
/// process may have created them without a sync.
pub(super) fn sync_folders(folders: &[PathBuf], data_dir: &DataDir) -> Result<(), StoreError> {
    let above = |folder: &PathBuf| {
        let above = folder.ancestors().skip(1).take_while(|above| above.starts_with(data_dir));
        above.filter(|above| above.is_dir()).map(Path::to_owned).collect::<Vec<_>>()
    };
    let holders: BTreeSet<PathBuf> = folders.iter().flat_map(above).collect();
    holders.iter().try_for_each(|holder| sync_folder(holder))
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    disk::sync_folder(folder, || Ok(())).map_err(failed("sync", folder))
}

pub(super) fn failed<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> StoreError + 'a {
    move |source| StoreError::Io { action, path: path.to_owned(), source }
}

/// Reads a regular file; to read a pipe would block without end.
pub(super) fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    let metadata = fs::metadata(path)?;
    if metadata.is_file() || metadata.is_dir() {
        fs::read(path)
    } else {
        Err(io::ErrorKind::InvalidInput.into())
    }
}

/// Removes unfinished files that a crash may have left in a folder. Returns their number.
///
/// # Errors
/// If the folder cannot be listed or a file cannot be removed.
pub(super) fn sweep_folder(folder: &Path) -> Result<u64, StoreError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(failed("list", folder)(error)),
    };
    let mut swept = 0;
    for entry in entries {
        let entry = entry.map_err(failed("list", folder))?;
        if data_dir::is_unfinished(&entry.file_name().to_string_lossy()) {
            let removed = reached(CrashPoint::BeforeSweep).and_then(|()| fs::remove_file(entry.path()));
            removed.map_err(failed("remove", &entry.path()))?;
            swept += 1;
        }
    }
    Ok(swept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/file");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn folders_that_are_not_there_yet_have_no_name_to_secure() {
        let dir = tempfile::tempdir().unwrap();
        let (there, missing) = (dir.path().join("a/b"), dir.path().join("a/x/y"));
        fs::create_dir_all(&there).unwrap();
        sync_folders(&[there.clone(), missing], &DataDir::new(dir.path())).unwrap();
        assert!(sync_folders(&[there.join("c")], &DataDir::new(&there)).is_ok());
    }

    #[test]
    fn bars_are_for_every_reader_that_the_umask_admits() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, plain) = (dir.path().join("ours"), dir.path().join("plain"));
        write(&ours, b"bytes").unwrap();
        fs::write(&plain, b"bytes").unwrap();
        let permissions = |path: &Path| path.metadata().unwrap().permissions();
        assert_eq!(permissions(&ours), permissions(&plain));
    }

    #[test]
    fn a_failed_rename_leaves_nothing_behind_and_names_the_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("place");
        fs::create_dir_all(path.join("occupied")).unwrap();
        let error = write(&path, b"bytes").unwrap_err().to_string();
        assert!(error.starts_with("cannot rename a file to ") && error.ends_with("place"), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
