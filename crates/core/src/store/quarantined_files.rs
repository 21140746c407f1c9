//! Moves files that are in the way out of the tree of the bars. Files that may be of value are never deleted here.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use grab_model::{Month, Symbol};

use super::{
    StoreError,
    atomic::{self, failed},
};
use crate::{
    data_dir::{self, DataDir},
    disk,
};

/// The folder of quarantined files, beside the bars, with the same structure.
const FOLDER: &str = "set_aside";

/// The folder in it of files that are not partitions.
const STRAYS: &str = "set_aside/strays";

/// Moves a file or folder of the tree to the same relative path below `set_aside/strays/`. Returns its new path. None
/// if it does not exist. A quarantined file is never replaced. An unfinished file of a crashed process is removed
/// instead.
///
/// # Errors
/// If the system refuses.
pub fn quarantine_file(data_dir: &DataDir, path: &Path) -> Result<Option<PathBuf>, StoreError> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if data_dir::is_unfinished(&name) && !path.is_dir() {
        fs::remove_file(path).map_err(failed("remove", path))?;
        return Ok(None);
    }
    if !is_there(path) {
        return Ok(None);
    }
    let target = free_place(data_dir, STRAYS, path, &name);
    move_to(path, &target)?;
    Ok(Some(target))
}

/// Returns the path to which a partition's file would be moved, if it exists: its name has the number of its bars.
#[must_use]
pub fn place_of_partition(data_dir: &DataDir, symbol: &Symbol, month: Month, bars: u64) -> Option<PathBuf> {
    let path = data_dir.partition(symbol, month);
    is_there(&path).then(|| free_place(data_dir, FOLDER, &path, &format!("bars-{bars}.parquet")))
}

/// Moves a partition's file to a path of [`place_of_partition`].
///
/// # Errors
/// If the system refuses.
pub fn quarantine_partition(
    data_dir: &DataDir,
    symbol: &Symbol,
    month: Month,
    target: &Path,
) -> Result<(), StoreError> {
    move_to(&data_dir.partition(symbol, month), target)
}

/// Whether a path leads through a link below the data directory: a file there may belong to something else, or be a
/// partition under a second name.
#[must_use]
pub fn is_behind_link(data_dir: &DataDir, path: &Path) -> bool {
    let mut above = path
        .ancestors()
        .skip(1)
        .take_while(|folder| *folder != data_dir.path() && folder.starts_with(data_dir));
    above.any(Path::is_symlink)
}

fn is_there(path: &Path) -> bool {
    !fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

fn free_place(data_dir: &DataDir, root: &str, path: &Path, name: &str) -> PathBuf {
    let place = path.strip_prefix(data_dir).unwrap_or(path);
    let folder = data_dir.join(root).join(place.parent().unwrap_or(Path::new("")));
    let names = std::iter::once(name.to_owned()).chain((2..).map(|number| format!("{name}.{number}")));
    let free = names.into_iter().map(|name| folder.join(name)).find(|place| !is_there(place));
    free.unwrap_or_else(|| folder.join(name))
}

fn move_to(path: &Path, target: &Path) -> Result<(), StoreError> {
    let folder = target.parent().unwrap_or(target);
    atomic::create_folders(folder)?;
    if let Err(error) = rename(path, target) {
        // Folders that were created for the failed move are removed again.
        remove_empty_folders(target);
        return Err(error);
    }
    atomic::sync_folder(folder)?;
    atomic::sync_folder(path.parent().unwrap_or(path))
}

/// Removes the empty folders above a path, up to the quarantine folder.
fn remove_empty_folders(place: &Path) {
    let is_quarantine = |folder: &&Path| folder.components().any(|part| part.as_os_str() == FOLDER);
    let folders = place.ancestors().skip(1).take_while(is_quarantine);
    // The first folder that is not empty ends the loop.
    let _ = folders.map(fs::remove_dir).find(Result::is_err);
}

/// Renames, or copies if the folders are on different file systems: the copy is complete before the original is
/// removed.
fn rename(path: &Path, target: &Path) -> Result<(), StoreError> {
    match fs::rename(path, target) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            let copied = fs::copy(path, target)
                .and_then(|_| disk::sync_file(&fs::File::open(target)?, target, || Ok(())));
            copied.map_err(failed("copy to", target))?;
            fs::remove_file(path).map_err(failed("remove", path))
        }
        renamed => renamed.map_err(failed("move away", path)),
    }
}

/// Removes a quarantined file, once its replacement is written, and the folders that it leaves empty.
///
/// # Errors
/// If the system refuses.
pub fn discard(file: &Path) -> Result<(), StoreError> {
    fs::remove_file(file).map_err(failed("remove", file))?;
    remove_empty_folders(file);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_aside_keeps_its_place_and_replaces_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("bars_1m/ticker=A/x");
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        let mut aside = Vec::new();
        for text in ["one", "two"] {
            fs::write(&place, text).unwrap();
            aside.push(quarantine_file(&DataDir::new(dir.path()), &place).unwrap().unwrap());
        }
        let below = |name: &str| dir.path().join("set_aside/strays/bars_1m/ticker=A").join(name);
        assert_eq!(aside, [below("x"), below("x.2")]);
        assert_eq!(fs::read_to_string(below("x")).unwrap(), "one");
        assert_eq!(quarantine_file(&DataDir::new(dir.path()), &place).unwrap(), None, "nothing is there");
        discard(&below("x")).unwrap();
        assert!(below("x.2").exists());
        discard(&below("x.2")).unwrap();
        assert!(!dir.path().join("set_aside").exists());
    }

    #[test]
    fn a_partition_has_a_place_of_its_own_each_time() {
        let dir = tempfile::tempdir().unwrap();
        let (symbol, month): (Symbol, _) = ("KIMpL".parse().unwrap(), Month::new(2024, 1).unwrap());
        let place = DataDir::new(dir.path()).partition(&symbol, month);
        assert_eq!(place_of_partition(&DataDir::new(dir.path()), &symbol, month, 7), None);
        for name in ["bars-7.parquet", "bars-7.parquet.2"] {
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(&place, "x").unwrap();
            let aside = place_of_partition(&DataDir::new(dir.path()), &symbol, month, 7).unwrap();
            quarantine_partition(&DataDir::new(dir.path()), &symbol, month, &aside).unwrap();
            assert!(aside.ends_with(name) && aside.exists() && !place.exists());
        }
    }

    #[test]
    fn a_link_is_seen_wherever_it_is_on_the_way() {
        let dir = tempfile::tempdir().unwrap();
        let bars = dir.path().join("bars_1m");
        fs::create_dir_all(bars.join("ticker=A/year=2024")).unwrap();
        std::os::unix::fs::symlink("ticker=A", bars.join("ticker=B")).unwrap();
        assert!(is_behind_link(&DataDir::new(dir.path()), &bars.join("ticker=B/year=2024/x")));
        assert!(!is_behind_link(&DataDir::new(dir.path()), &bars.join("ticker=A/year=2024/x")));
        assert!(
            !is_behind_link(&DataDir::new(dir.path()), &bars.join("ticker=B")),
            "the link itself can be moved"
        );
    }

    #[test]
    fn what_a_dead_process_left_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let litter = dir.path().join(".bars-abc.tmp");
        fs::write(&litter, "").unwrap();
        assert_eq!(quarantine_file(&DataDir::new(dir.path()), &litter).unwrap(), None);
        assert!(!litter.exists() && !dir.path().join("set_aside").exists());
    }
}
