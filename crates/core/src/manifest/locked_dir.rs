//! The two ways into a data directory: one snapshot of its manifest, to read, or locked, to write.

use std::sync::Arc;

use super::{Lock, ManifestError, ManifestReader, ManifestWriter, read_connection::migrate_locked};
use crate::{clock::Clock, data_dir::DataDir};

/// A data directory that only this process may write, until the last clone of this and the last writer are dropped.
/// Its manifest, if it has one, has the schema of this program.
#[derive(Clone, Debug)]
pub struct LockedDir {
    data_dir: DataDir,
    lock: Arc<Lock>,
}

impl DataDir {
    /// Opens one snapshot of the manifest. It takes no lock, migrates nothing, and works beside a live writer.
    ///
    /// # Errors
    /// [`ManifestError::Missing`] if nothing was ever started there; [`ManifestError::TooOld`] or
    /// [`ManifestError::TooNew`] if this program does not read its schema; else if it cannot be read.
    pub fn open_read(&self) -> Result<ManifestReader, ManifestError> {
        ManifestReader::open(self)
    }

    /// Takes the lock of the directory, which must exist, and migrates an older manifest under it. A manifest that is
    /// missing or damaged stays as it is, and is no error here: a rebuild needs the lock too.
    ///
    /// # Errors
    /// [`ManifestError::Locked`] if another process has it; else if the lock cannot be created, or the manifest cannot
    /// be migrated.
    pub fn lock(&self) -> Result<LockedDir, ManifestError> {
        let lock = Lock::take(self)?;
        migrate_locked(self, &lock)?;
        Ok(LockedDir { data_dir: self.clone(), lock: Arc::new(lock) })
    }
}

impl LockedDir {
    /// The directory.
    #[must_use]
    pub fn data_dir(&self) -> &DataDir {
        &self.data_dir
    }

    /// Opens the manifest to write, and creates it if it does not exist. The writer shares the lock.
    ///
    /// # Errors
    /// If the file cannot be opened, is not a manifest of grab, or is from a newer grab.
    pub fn open_write(&self, clock: Clock) -> Result<ManifestWriter, ManifestError> {
        Ok(ManifestWriter { _lock: Some(self.share()), ..ManifestWriter::open(&self.data_dir, clock)? })
    }

    /// Shares the lock with a writer.
    pub(super) fn share(&self) -> Arc<Lock> {
        Arc::clone(&self.lock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::is_held;

    #[test]
    fn a_locked_directory_refuses_a_second_lock_but_not_a_reader() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = DataDir::new(dir.path());
        let locked = data_dir.lock().unwrap();
        let writer = locked.open_write(Clock::default()).unwrap();
        assert!(matches!(data_dir.lock(), Err(ManifestError::Locked { .. })));
        data_dir.open_read().unwrap();
        drop(locked);
        assert!(is_held(&data_dir), "the writer still has it");
        drop(writer);
        data_dir.lock().unwrap();
    }

    #[test]
    fn a_damaged_manifest_can_be_locked_and_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = DataDir::new(dir.path());
        std::fs::write(data_dir.manifest(), vec![7; 8192]).unwrap();
        let locked = data_dir.lock().unwrap();
        assert_eq!(std::fs::read(data_dir.manifest()).unwrap(), vec![7; 8192]);
        assert!(locked.open_write(Clock::default()).is_err());
    }
}
