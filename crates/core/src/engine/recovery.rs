//! What a crashed process left behind: unfinished files, and files that are newer than their rows.

use std::path::PathBuf;

use grab_model::{Month, Partition, new_york};
use thiserror::Error;

use crate::{
    data_dir::DataDir,
    manifest::{ManifestError, ManifestWriter, Task},
    store::{BarStore, StoreError, rewrite},
};

/// Why a data directory cannot be recovered, or its files cannot be rewritten.
#[derive(Debug, Error)]
pub enum RecoveryError {
    /// The manifest cannot be read or written.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A file cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes the rows of a locked directory agree with its files after a process crashed, and removes unfinished files. Every
/// job that writes bars begins with this. A repair moves damaged files away before: they cannot be recorded.
///
/// # Errors
/// If a folder cannot be listed or a file cannot be read or removed, or the manifest cannot be written.
pub fn recover(data_dir: &DataDir, writer: &mut ManifestWriter) -> Result<(), RecoveryError> {
    end_rewrites(data_dir, writer)?;
    let (kind, crashed) = (writer.kind()?, writer.crashed()?);
    if let Some(kind) = kind.filter(|_| !crashed.is_empty()) {
        // Nothing is written here, so the store needs no name of a source.
        let store = BarStore::new(data_dir.clone(), kind.adjusted, String::new());
        writer.reclaim(&newest_partitions(&store, &crashed)?)?;
    }
    Ok(())
}

/// Ends the rewrites that a crashed process began: each of their files is either the old or the new one.
pub(super) fn end_rewrites(data_dir: &DataDir, writer: &mut ManifestWriter) -> Result<(), RecoveryError> {
    let mut begun = writer.rewrites()?;
    if begun.is_empty() {
        return Ok(());
    }
    let paths: Vec<PathBuf> = begun.iter().map(|rewrite| data_dir.join(&rewrite.path)).collect();
    rewrite::sweep(paths.iter().map(PathBuf::as_path))?;
    begun.retain(|rewrite| rewrite.is_in_place(data_dir));
    Ok(writer.end_rewrites(&begun)?)
}

/// Removes the unfinished files of crashed tasks, and finds the files that these had finished: the months from the last
/// recorded bar on.
fn newest_partitions(store: &BarStore, crashed: &[Task]) -> Result<Vec<Partition>, StoreError> {
    let mut found = Vec::new();
    for task in crashed {
        store.sweep(&task.symbol, task.window)?;
        let recorded = task.last_ms.and_then(new_york::date_of).map(Month::of);
        for month in task.window.months().filter(|month| recorded.is_none_or(|recorded| *month >= recorded)) {
            found.extend(store.inspect(&task.symbol, month)?);
        }
    }
    Ok(found)
}
