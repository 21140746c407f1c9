//! Files that are in the way, moved out of the tree of the bars. Nothing is deleted here that may be worth something.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    StoreError,
    atomic::{self, failed},
    layout, survey,
};
use crate::model::{Month, Symbol};

/// The folder of what was set aside, beside the bars, in the same order.
const FOLDER: &str = "set_aside";

/// A partition that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aside {
    /// Where it is now.
    pub path: PathBuf,
    /// What it was.
    pub symbol: Symbol,
    /// Of which month.
    pub month: Month,
    /// The bars that were recorded of it; 0 where it was not recorded. They are in its name, for whoever comes later.
    pub bars: u64,
}

/// Moves a file or folder of the tree to the same place below `set_aside/`. Answers where it is now; nothing if it is not
/// there. What was set aside before is never replaced. An unfinished file of a dead process is removed instead.
///
/// # Errors
/// If the system refuses.
pub fn set_aside(data_dir: &Path, path: &Path) -> Result<Option<PathBuf>, StoreError> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if layout::is_unfinished(&name) && !path.is_dir() {
        fs::remove_file(path).map_err(failed("remove", path))?;
        return Ok(None);
    }
    move_to(data_dir, path, &name)
}

/// Moves a partition's file away, if there is one. `bars` is what was recorded of it.
///
/// # Errors
/// If the system refuses.
pub fn set_partition_aside(
    data_dir: &Path,
    symbol: &Symbol,
    month: Month,
    bars: u64,
) -> Result<Option<PathBuf>, StoreError> {
    move_to(data_dir, &layout::partition(data_dir, symbol, month), &format!("bars-{bars}.parquet"))
}

/// Whether a path leads through a link below the folder of the bars: what lies there may be somebody else's, or a
/// partition under a second name.
#[must_use]
pub fn is_behind_link(data_dir: &Path, path: &Path) -> bool {
    let bars = layout::bars_folder(data_dir);
    let above = path.ancestors().skip(1).take_while(|folder| *folder != bars && folder.starts_with(&bars));
    above.into_iter().any(Path::is_symlink)
}

fn move_to(data_dir: &Path, path: &Path, name: &str) -> Result<Option<PathBuf>, StoreError> {
    if fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(None);
    }
    let place = path.strip_prefix(data_dir).unwrap_or(path);
    let folder = data_dir.join(FOLDER).join(place.parent().unwrap_or(Path::new("")));
    atomic::create_folders(&folder)?;
    let names = std::iter::once(name.to_owned()).chain((2..).map(|number| format!("{name}.{number}")));
    let free =
        names.into_iter().map(|name| folder.join(name)).find(|place| fs::symlink_metadata(place).is_err());
    let aside = free.unwrap_or_else(|| folder.join(name));
    rename(path, &aside)?;
    atomic::sync_folder(&folder)?;
    atomic::sync_folder(path.parent().unwrap_or(data_dir))?;
    Ok(Some(aside))
}

/// Renames, or copies where the folders are on different file systems: the copy is whole before the file goes.
fn rename(path: &Path, aside: &Path) -> Result<(), StoreError> {
    match fs::rename(path, aside) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            let copied = fs::copy(path, aside).and_then(|_| fs::File::open(aside)?.sync_all());
            copied.map_err(failed("copy to", aside))?;
            fs::remove_file(path).map_err(failed("remove", path))
        }
        renamed => renamed.map_err(failed("move away", path)),
    }
}

/// All partitions that were set aside, by this process or one before.
///
/// # Errors
/// If a folder cannot be listed.
pub fn partitions(data_dir: &Path) -> Result<Vec<Aside>, StoreError> {
    let root = data_dir.join(FOLDER);
    let mut found = Vec::new();
    for symbol in survey::symbols(&root)? {
        for month in survey::months(&root, &symbol)? {
            let folder = layout::month_folder(&root, &symbol, month);
            for name in survey::names(&folder)? {
                let count = name.strip_prefix("bars-").and_then(|rest| rest.split('.').next());
                if let Some(bars) = count.and_then(|count| count.parse().ok()) {
                    found.push(Aside { path: folder.join(&name), symbol: symbol.clone(), month, bars });
                }
            }
        }
    }
    Ok(found)
}

/// Removes a file that was set aside, once its replacement is in place, and the folders that it leaves empty.
///
/// # Errors
/// If the system refuses.
pub fn discard(data_dir: &Path, aside: &Path) -> Result<(), StoreError> {
    let removed = if aside.is_dir() { fs::remove_dir(aside) } else { fs::remove_file(aside) };
    removed.map_err(failed("remove", aside))?;
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
    fn a_partition_is_found_again_with_its_bars() {
        let dir = tempfile::tempdir().unwrap();
        let (symbol, month): (Symbol, _) = ("KIMpL".parse().unwrap(), Month::new(2024, 1).unwrap());
        let place = layout::partition(dir.path(), &symbol, month);
        let mut expected = Vec::new();
        for bars in [7, 7, 0] {
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(&place, "x").unwrap();
            let path = set_partition_aside(dir.path(), &symbol, month, bars).unwrap().unwrap();
            expected.push(Aside { path, symbol: symbol.clone(), month, bars });
        }
        let mut found = partitions(dir.path()).unwrap();
        found.sort_by(|one, other| one.path.cmp(&other.path));
        expected.sort_by(|one, other| one.path.cmp(&other.path));
        assert_eq!(found, expected);
    }

    #[test]
    #[cfg(unix)]
    fn a_link_is_seen_wherever_it_is_on_the_way() {
        let dir = tempfile::tempdir().unwrap();
        let bars = dir.path().join("bars_1m");
        fs::create_dir_all(bars.join("ticker=A/year=2024")).unwrap();
        std::os::unix::fs::symlink("ticker=A", bars.join("ticker=B")).unwrap();
        assert!(is_behind_link(dir.path(), &bars.join("ticker=B/year=2024/x")));
        assert!(!is_behind_link(dir.path(), &bars.join("ticker=A/year=2024/x")));
        assert!(!is_behind_link(dir.path(), &bars.join("ticker=B")), "the link itself can be moved");
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
