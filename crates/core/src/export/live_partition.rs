//! The bars of a partition, beside a process that may go on writing.

use grab_model::{Bars, Partition};

use super::{ExportError, ExportOptions};
use crate::{
    manifest::{ManifestReader, TaskState},
    store::{StoreError, scan},
};

/// How often a row is read again that has changed meanwhile. Each time the server has answered in between.
const ROUNDS: u32 = 50;

/// Reads a partition that is the one that was recorded. If another one is there, a process that goes on may have written
/// it: files get their names before they are recorded. Then it is held against what is recorded by now, and taken as it
/// is where a task is under way with it: it proves itself by its digest. Returns nothing if another process has taken it off
/// the books since, or is about to fetch it anew.
///
/// # Errors
/// If it is not what was stored.
pub(super) fn read(options: &ExportOptions, recorded: &Partition) -> Result<Option<Bars>, ExportError> {
    let ExportOptions { data_dir, is_adjusted, .. } = options;
    let mut row = recorded.clone();
    for _ in 0..ROUNDS {
        let changed = match scan::read_recorded(data_dir, &row, *is_adjusted) {
            Err(changed @ StoreError::Changed { .. }) => changed,
            read => return Ok(Some(read?)),
        };
        let now = ManifestReader::open(data_dir)?;
        let partitions = now.partitions(&row.symbol)?;
        match partitions.into_iter().find(|one| one.month == row.month) {
            None => return Ok(None),
            Some(newer) if newer != row => row = newer,
            Some(_) if is_under_way(&now, &row)? => {
                let read = scan::read_unrecorded(data_dir, &row.symbol, row.month, *is_adjusted)?;
                return read.map(Some).ok_or_else(|| changed.into());
            }
            Some(_) if now.is_live() && now.quarantined_months(&row.symbol)?.contains(&row.month) => {
                return Ok(None);
            }
            Some(_) => return Err(changed.into()),
        }
    }
    Ok(Some(scan::read_recorded(data_dir, &row, *is_adjusted)?))
}

/// Whether a task is under way that may have written the file of a partition and not recorded it yet.
fn is_under_way(now: &ManifestReader, row: &Partition) -> Result<bool, ExportError> {
    let tasks = now.tasks_of(&row.symbol)?;
    Ok(tasks.iter().any(|task| task.state == TaskState::Running && row.month.mask(task.window) != 0))
}
