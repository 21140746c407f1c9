//! Reads the bars of a partition while another process may go on writing.

use grab_model::{Bars, Partition};

use super::{ExportError, ExportOptions};
use crate::{
    manifest::{ManifestReader, TaskState},
    store::{StoreError, scan},
};

/// How often a changed row is read again. Between two changes the server has answered.
const ROUNDS: u32 = 50;

/// Reads a recorded partition. If the file is another one, a live process may have written it: files get their names
/// before they are recorded. Then it is compared with the present record, and taken as it is if a task is working on
/// it: its own digest proves it. Returns None if another process has removed the partition's record since, or is about
/// to fetch it again.
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
        let now = data_dir.open_read()?;
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

/// Whether a running task may have written the file of a partition and not recorded it yet.
fn is_under_way(now: &ManifestReader, row: &Partition) -> Result<bool, ExportError> {
    let tasks = now.tasks_of(&row.symbol)?;
    Ok(tasks.iter().any(|task| task.state == TaskState::Running && row.month.mask(task.window) != 0))
}
