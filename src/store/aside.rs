//! Files that are in the way, moved out of the tree of the bars. Nothing is deleted here that may be worth something.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    StoreError,
    atomic::{self, failed},
    layout,
};
use crate::model::{Month, Symbol};

/// The folder of what was set aside, beside the bars.
const FOLDER: &str = "set_aside";

/// Moves a file or folder of the tree to the same place below `set_aside/`. Answers where it is now; nothing if it is not
/// there. What was set aside before is never replaced. An unfinished file of a dead process is removed instead.
///
/// # Errors
/// If the system refuses.
pub fn set_aside(data_dir: &Path, path: &Path) -> Result<Option<PathBuf>, StoreError> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if layout::is_unfinished(&name) {
        fs::remove_file(path).map_err(failed("remove", path))?;
        return Ok(None);
    }
    if fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(None);
    }
    let place = path.strip_prefix(data_dir).unwrap_or(Path::new(&name));
    let folder = data_dir.join(FOLDER).join(place.parent().unwrap_or(Path::new("")));
    atomic::create_folders(&folder)?;
    let names = std::iter::once(name.clone()).chain((2..).map(|number| format!("{name}.{number}")));
    let free =
        names.into_iter().map(|name| folder.join(name)).find(|place| fs::symlink_metadata(place).is_err());
    let aside = free.unwrap_or_else(|| folder.join(&name));
    fs::rename(path, &aside).map_err(failed("move away", path))?;
    atomic::sync_folder(&folder)?;
    atomic::sync_folder(path.parent().unwrap_or(data_dir))?;
    Ok(Some(aside))
}

/// Moves a partition's file away, if there is one.
///
/// # Errors
/// If the system refuses.
pub fn set_partition_aside(
    data_dir: &Path,
    symbol: &Symbol,
    month: Month,
) -> Result<Option<PathBuf>, StoreError> {
    set_aside(data_dir, &layout::partition(data_dir, symbol, month))
}

/// Removes a file that was set aside, once its replacement is in place, and the folders that it leaves empty.
///
/// # Errors
/// If the system refuses.
pub fn discard(data_dir: &Path, aside: &Path) -> Result<(), StoreError> {
    match fs::remove_file(aside) {
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => return Ok(()),
        removed => removed.map_err(failed("remove", aside))?,
    }
    let folders = aside.ancestors().skip(1).take_while(|folder| *folder != data_dir);
    // The first that is not empty ends it.
    let _ = folders.map(fs::remove_dir).find(Result::is_err);
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
            aside.push(set_aside(dir.path(), &place).unwrap().unwrap());
        }
        let below = |name: &str| dir.path().join("set_aside/bars_1m/ticker=A").join(name);
        assert_eq!(aside, [below("x"), below("x.2")]);
        assert_eq!(fs::read_to_string(below("x")).unwrap(), "one");
        assert_eq!(set_aside(dir.path(), &place).unwrap(), None, "nothing is there");
        discard(dir.path(), &below("x")).unwrap();
        assert!(below("x.2").exists());
        discard(dir.path(), &below("x.2")).unwrap();
        assert!(!dir.path().join("set_aside").exists());
    }

    #[test]
    fn what_a_dead_process_left_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let litter = dir.path().join(".bars-abc.tmp");
        fs::write(&litter, "").unwrap();
        assert_eq!(set_aside(dir.path(), &litter).unwrap(), None);
        assert!(!litter.exists() && !dir.path().join("set_aside").exists());
    }
}
