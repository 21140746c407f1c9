//! One process exports to a folder at a time: each would take the other's unfinished files for litter.

use std::{
    fs::{File, TryLockError},
    path::Path,
};

use super::ExportError;
use crate::store::create_folders;

/// The right to write to a folder, until it is dropped or its process dies. It is a lock on the folder itself, where the
/// system has such locks: nothing lies about because of it.
pub(super) struct ExportFolderLock {
    _lock: Option<File>,
}

impl ExportFolderLock {
    /// Takes it. The folder is made if it is not there.
    ///
    /// # Errors
    /// If another process has it, or the folder cannot be made.
    pub(super) fn hold(path: &Path) -> Result<Self, ExportError> {
        create_folders(path)?;
        // Where a folder cannot be opened or locked, as on some shares, nobody is kept out.
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
