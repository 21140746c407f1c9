//! What a repair moves out of the way before it fetches, and removes afterwards.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use super::{failure::Failure, fetch::kind_of, output::say};
use crate::{
    manifest::{Mend, Overview, StoreKind},
    model::{Month, Symbol, Window},
    store::{
        StoreError,
        aside::{self, Aside},
        layout,
        survey::{self, Found},
    },
    verify::Mending,
};

/// Moves out of the way what cannot be used, and says what is to change in the manifest. This comes first: whoever dies
/// after it leaves partitions that are missing, which the next repair finds. Answers also where strays are now.
///
/// # Errors
/// If the system refuses.
pub fn clear(data_dir: &Path, kind: StoreKind, mending: &Mending) -> Result<(Mend, Vec<PathBuf>), Failure> {
    let mut mend = Mend {
        again: mending.again.iter().cloned().collect(),
        lost: mending.lost.iter().cloned().collect(),
        unwitnessed: mending.unwitnessed.keys().copied().collect(),
        ..Mend::default()
    };
    for ((symbol, month), asked) in &mending.unknown {
        let path = layout::partition(data_dir, symbol, *month);
        if aside::is_behind_link(data_dir, &path) {
            say(&format!("{} lies behind a link: not touched", path.display()));
            continue;
        }
        let found = examine(data_dir, symbol, *month)?.filter(|found| kind_of(found) == kind);
        let whole_days = found.as_ref().map_or(0, |found| found.whole_days);
        if found.is_none() {
            aside::set_partition_aside(data_dir, symbol, *month, 0)?;
        }
        mend.found.extend(found.map(|found| found.partition));
        let is_owed = |window: &&Window| month.mask(**window) & !whole_days != 0;
        mend.again.extend(asked.iter().filter(is_owed).map(|window| (symbol.clone(), *window)));
    }
    let recorded = recorded(data_dir, mending)?;
    for (symbol, month) in &mending.lost {
        let bars = recorded.get(&(symbol.clone(), *month)).copied().unwrap_or_default();
        aside::set_partition_aside(data_dir, symbol, *month, bars)?;
    }
    let mut moved = Vec::new();
    for path in mending.strays.iter().chain(mending.unwitnessed.values().flatten()) {
        if aside::is_behind_link(data_dir, path) {
            say(&format!("{} lies behind a link: not touched", path.display()));
        } else {
            moved.extend(aside::set_aside(data_dir, path)?);
        }
    }
    mend.again.sort_unstable();
    mend.again.dedup();
    Ok((mend, moved))
}

/// A partition that can be taken up; nothing if it is not there, or damaged.
fn examine(data_dir: &Path, symbol: &Symbol, month: Month) -> Result<Option<Found>, StoreError> {
    match survey::examine(data_dir, symbol, month) {
        Err(error @ StoreError::Io { .. }) => Err(error),
        Err(_) => Ok(None),
        found => found,
    }
}

/// The bars that are recorded of each partition that is lost.
fn recorded(data_dir: &Path, mending: &Mending) -> Result<HashMap<(Symbol, Month), u64>, Failure> {
    let overview = Overview::open(data_dir)?;
    let mut recorded = HashMap::new();
    for (symbol, _) in &mending.lost {
        for partition in overview.partitions(symbol)? {
            recorded.insert((symbol.clone(), partition.month), partition.bars);
        }
    }
    Ok(recorded)
}

/// Removes what was set aside, by this repair or one before, and has a replacement now that is no smaller. Answers what
/// is left.
///
/// # Errors
/// If the system refuses.
pub fn discard_replaced(data_dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    let overview = Overview::open(data_dir)?;
    let mut kept = Vec::new();
    for aside in aside::partitions(data_dir)? {
        if is_replaced(&overview, &aside)? {
            aside::discard(data_dir, &aside.path)?;
        } else {
            kept.push(aside.path);
        }
    }
    Ok(kept)
}

/// Whether a month is held again with as many bars, and nothing that was asked for in it is owed or has failed.
fn is_replaced(overview: &Overview, aside: &Aside) -> Result<bool, Failure> {
    let partitions = overview.partitions(&aside.symbol)?;
    let is_held = partitions.iter().any(|one| one.month == aside.month && one.bars >= aside.bars);
    let tasks = overview.tasks_of(&aside.symbol)?;
    let mut in_month = tasks.iter().filter(|task| aside.month.mask(task.window) != 0);
    Ok(is_held && in_month.all(|task| task.state.is_covered()))
}
