//! The lock: one process at a time may write in a data directory.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::PathBuf,
    thread,
    time::Duration,
};

use super::ManifestError;
use crate::data_dir::{DataDir, MANIFEST};

/// [`is_held`] takes a shared lock for an instant. The writer waits for all of these, also if they are many.
const ATTEMPTS: u32 = 500;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(2);

/// The exclusive right to write in a data directory, until it is dropped or its process ends.
///
/// It is the system's lock on `manifest.sqlite.lock`, not the file itself: the file stays and means nothing by itself.
/// (Locking the manifest would collide with `SQLite`'s own locks where `flock` is emulated, as on NFS.)
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of `data_dir`, which must exist.
    ///
    /// # Errors
    /// [`ManifestError::Locked`] if another process has it; [`ManifestError::Io`] if the file cannot be created.
    pub(super) fn take(data_dir: &DataDir) -> Result<Self, ManifestError> {
        let path = path(data_dir);
        let io = |source| ManifestError::Io { path: path.display().to_string(), source };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
        for attempt in 1.. {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if attempt == ATTEMPTS || is_locked(&file) => {
                    return Err(ManifestError::Locked { holder: holder(&mut file) });
                }
                Err(TryLockError::WouldBlock) => {
                    file.unlock().map_err(io)?;
                    thread::sleep(BETWEEN_ATTEMPTS);
                }
                Err(TryLockError::Error(source)) => return Err(io(source)),
            }
        }
        name_holder(&mut file).map_err(io)?;
        Ok(Self { _file: file })
    }
}

/// Whether a process holds the lock of `data_dir`; this process counts too.
#[must_use]
pub fn is_held(data_dir: &DataDir) -> bool {
    File::open(path(data_dir)).is_ok_and(|file| is_locked(&file))
}

/// Whether a process holds the exclusive lock, and not just the shared one of [`is_held`].
fn is_locked(file: &File) -> bool {
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// The process that holds the lock of `data_dir`, if it has written its id.
pub(super) fn holder_of(data_dir: &DataDir) -> Option<u32> {
    holder(&mut File::open(path(data_dir)).ok()?)
}

/// The path of the lock file.
pub(super) fn path(data_dir: &DataDir) -> PathBuf {
    data_dir.join(format!("{MANIFEST}.lock"))
}

/// Writes the process id, which is only used in the message of another process that finds the lock taken.
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
        assert!(!is_held(&DataDir::new(dir.path())));
        let first = Lock::take(&DataDir::new(dir.path())).unwrap();
        assert!(is_held(&DataDir::new(dir.path())));
        assert_eq!(holder_of(&DataDir::new(dir.path())), Some(std::process::id()));
        let holder = match Lock::take(&DataDir::new(dir.path())) {
            Err(ManifestError::Locked { holder }) => holder,
            other => panic!("{other:?}"),
        };
        assert_eq!(holder, Some(std::process::id()));
        drop(first);
        assert!(!is_held(&DataDir::new(dir.path())));
        Lock::take(&DataDir::new(dir.path())).unwrap();
    }

    #[test]
    fn those_who_only_look_are_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        drop(Lock::take(&DataDir::new(dir.path())).unwrap());
        let looking = File::open(path(&DataDir::new(dir.path()))).unwrap();
        looking.try_lock_shared().unwrap();
        let (begun, waiting) = std::sync::mpsc::channel();
        let place = dir.path().to_owned();
        let taking = thread::spawn(move || {
            begun.send(()).unwrap();
            Lock::take(&DataDir::new(&place)).map(|_| ())
        });
        waiting.recv().unwrap();
        drop(looking);
        taking.join().unwrap().unwrap();
    }
}
