//! Allows one process at a time to export to a folder: another would remove its unfinished files.

use std::{
    fs::{File, TryLockError},
    path::Path,
};

use super::ExportError;
use crate::store::create_folders;

/// The right to write to a folder, until it is dropped or its process ends. It is a lock on the folder itself, where
/// the system has such locks: it leaves no file.
pub(super) struct ExportFolderLock {
    _lock: Option<File>,
}

impl ExportFolderLock {
    /// Takes the lock. Creates the folder if it does not exist.
    ///
    /// # Errors
    /// If another process has it, or the folder cannot be created.
    pub(super) fn hold(path: &Path) -> Result<Self, ExportError> {
        create_folders(path)?;
        // If a folder cannot be opened or locked, as on some shares, there is no lock.
        let Ok(folder) = File::open(path) else { return Ok(Self { _lock: None }) };
        match folder.try_lock() {
            Ok(()) => Ok(Self { _lock: Some(folder) }),
            Err(TryLockError::WouldBlock) => Err(ExportError::Held { path: path.to_owned() }),
            Err(TryLockError::Error(_)) => Ok(Self { _lock: None }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_export_to_a_folder_is_refused_until_the_first_has_ended() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("new/out");
        let first = ExportFolderLock::hold(&out).unwrap();
        assert!(matches!(ExportFolderLock::hold(&out), Err(ExportError::Held { .. })));
        drop(first);
        ExportFolderLock::hold(&out).unwrap();
        assert_eq!(std::fs::read_dir(&out).unwrap().count(), 0);
    }
}
