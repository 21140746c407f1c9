//! One process a data directory.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use super::{ManifestError, schema::FILE_NAME};

/// Somebody who only looks ([`is_held`]) has the lock for an instant: one more attempt is enough to miss him.
const ATTEMPTS: u32 = 5;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(20);

/// The exclusive right to write in a data directory, until it is dropped or its process dies.
///
/// It is the system's lock on `manifest.sqlite.lock`, not the file itself: the file stays and means nothing.
/// (Locking the manifest would collide with `SQLite`'s own locks where `flock` is emulated, as on NFS.)
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of `data_dir`, which must exist.
    ///
    /// # Errors
    /// [`ManifestError::Locked`] if another process has it; [`ManifestError::Io`] if the file cannot be made.
    pub fn take(data_dir: &Path) -> Result<Self, ManifestError> {
        let path = path(data_dir);
        let io = |source| ManifestError::Io { path: path.display().to_string(), source };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
        for attempt in 1.. {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if attempt < ATTEMPTS => thread::sleep(BETWEEN_ATTEMPTS),
                Err(TryLockError::WouldBlock) => {
                    return Err(ManifestError::Locked { holder: holder(&mut file) });
                }
                Err(TryLockError::Error(source)) => return Err(io(source)),
            }
        }
        name_holder(&mut file).map_err(io)?;
        Ok(Self { _file: file })
    }
}

/// Takes the lock of `data_dir`, unless it lies where this process may not write: there it only looks whether another
/// one holds it.
///
/// # Errors
/// As [`Lock::take`].
pub fn take_if_writable(data_dir: &Path) -> Result<Option<Lock>, ManifestError> {
    match Lock::take(data_dir) {
        Ok(lock) => Ok(Some(lock)),
        Err(ManifestError::Io { source, .. }) if is_unwritable(&source) => {
            if is_held(data_dir) {
                Err(ManifestError::Locked { holder: None })
            } else {
                Ok(None)
            }
        }
        Err(error) => Err(error),
    }
}

fn is_unwritable(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied)
}

/// Whether a live process holds the lock of `data_dir`.
pub(super) fn is_held(data_dir: &Path) -> bool {
    File::open(path(data_dir))
        .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// The process that holds the lock of `data_dir`, if it has written down its id.
pub(super) fn holder_of(data_dir: &Path) -> Option<u32> {
    holder(&mut File::open(path(data_dir)).ok()?)
}

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(format!("{FILE_NAME}.lock"))
}

/// The process id is only for the message of whoever finds the lock taken.
fn name_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_told_who_the_first_is_and_a_drop_frees() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_held(dir.path()));
        let first = Lock::take(dir.path()).unwrap();
        assert!(is_held(dir.path()));
        assert_eq!(holder_of(dir.path()), Some(std::process::id()));
        let holder = match Lock::take(dir.path()) {
            Err(ManifestError::Locked { holder }) => holder,
            other => panic!("{other:?}"),
        };
        assert_eq!(holder, Some(std::process::id()));
        drop(first);
        assert!(!is_held(dir.path()));
        Lock::take(dir.path()).unwrap();
    }
}
