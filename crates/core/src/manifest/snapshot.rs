//! A manifest as it was at one instant, for readers that take long.
//!
//! A snapshot of `SQLite` that is held for hours would prevent checkpoints of the WAL, and a running writer would make
//! it grow without bound. So the rows are copied into temporary tables, in one transaction, and the snapshot is
//! released: temporary tables have the names of the tables that they replace, and `SQLite` looks them up first. They
//! are in memory as long as they are small, then in a temporary file that no other process can see.

use rusqlite::{Connection, ErrorCode, OptionalExtension};

use super::{ManifestError, ManifestReader, read_connection, schema};
use crate::data_dir::DataDir;

/// Tables that no long reader needs: they can be larger than all others.
const LEFT_OUT: [&str; 4] = ["events", "list_pages", "lookups", "quarantine"];

/// Columns by which rows are looked up.
const KEYS: [&str; 2] = ["ticker", "task_id"];

/// How often a manifest that was opened as immutable, and has changed, is opened again.
const ATTEMPTS: u32 = 10;

impl ManifestReader {
    /// Opens the manifest of `data_dir` as [`DataDir::open_read`] does, and shows its state of this instant, whatever
    /// is written meanwhile. Events and saved lists cannot be read from it.
    ///
    /// # Errors
    /// As [`DataDir::open_read`].
    pub fn snapshot(data_dir: &DataDir) -> Result<Self, ManifestError> {
        for attempt in 1.. {
            let before = read_connection::marks(data_dir);
            let reader = Self::open(data_dir)?;
            let frozen = freeze(reader.connection());
            if reader.is_immutable() && attempt < ATTEMPTS && read_connection::marks(data_dir) != before {
                // Another process has begun to write it: now the files for shared readers exist.
                continue;
            }
            return frozen.map(|()| reader);
        }
        Self::open(data_dir)
    }
}

fn freeze(connection: &Connection) -> Result<(), ManifestError> {
    match copy(connection) {
        Err(ManifestError::Sqlite(error)) if is_without_temporary_files(&error) => {
            keep_in_memory(connection)?;
            copy(connection)
        }
        copied => copied,
    }
}

/// Keeps temporary tables in memory from now on. That drops those that are there, and with them the views by which an older
/// manifest is shown as one of this version: they are made again.
pub(super) fn keep_in_memory(connection: &Connection) -> Result<(), ManifestError> {
    connection.execute_batch("ROLLBACK; PRAGMA temp_store = MEMORY; PRAGMA query_only = FALSE")?;
    let version = connection.pragma_query_value(None, "user_version", |row| row.get::<_, usize>(0))?;
    schema::show_as_latest(connection, version)?;
    Ok(connection.execute_batch("BEGIN")?)
}

/// Copies the rows, in the open transaction.
fn copy(connection: &Connection) -> Result<(), ManifestError> {
    connection.pragma_update(None, "query_only", false)?;
    let ours = schema::ours(schema::latest())?.iter().filter(|(_, sql)| sql.starts_with("CREATE TABLE"));
    for name in ours.map(|(name, _)| name).filter(|name| !LEFT_OUT.contains(&name.as_str())) {
        copy_table(connection, name)?;
        for key in KEYS {
            let has_key = "SELECT count(*) FROM pragma_table_info(?, 'temp') WHERE name = ?";
            if connection.query_row(has_key, [name.as_str(), key], |row| row.get::<_, i64>(0))? > 0 {
                connection.execute_batch(&format!("CREATE INDEX temp.{name}_by_{key} ON {name} ({key})"))?;
            }
        }
    }
    connection.execute_batch("COMMIT; BEGIN")?;
    Ok(connection.pragma_update(None, "query_only", true)?)
}

/// Copies one table. For an older manifest it copies what a view shows of it; a table that is new in this version is a
/// copy already.
fn copy_table(connection: &Connection, name: &str) -> Result<(), ManifestError> {
    let shown = "SELECT type FROM temp.sqlite_schema WHERE name = ?";
    let shown: Option<String> = connection.query_row(shown, [name], |row| row.get(0)).optional()?;
    match shown.as_deref() {
        None => {
            connection.execute_batch(&format!("CREATE TEMP TABLE {name} AS SELECT * FROM main.{name}"))?;
        }
        Some("view") => connection.execute_batch(&format!(
            "CREATE TEMP TABLE copy_of_{name} AS SELECT * FROM temp.{name}; DROP VIEW temp.{name};
             ALTER TABLE temp.copy_of_{name} RENAME TO {name}"
        ))?,
        Some(_) => {}
    }
    Ok(())
}

/// Whether there is no folder, or no space, for temporary files.
fn is_without_temporary_files(error: &rusqlite::Error) -> bool {
    let codes = [ErrorCode::CannotOpen, ErrorCode::DiskFull, ErrorCode::SystemIoFailure, ErrorCode::ReadOnly];
    error.sqlite_error_code().is_some_and(|code| codes.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Clock,
        manifest::{ManifestWriter, TaskState},
    };
    use grab_model::{Symbol, Window};

    fn open_writer(dir: &std::path::Path) -> ManifestWriter {
        ManifestWriter::open(&DataDir::new(dir), Clock::system()).unwrap()
    }

    fn tasks(symbols: &[&str]) -> Vec<(Symbol, Window)> {
        let day = jiff::civil::date(2024, 1, 3);
        symbols.iter().map(|symbol| (symbol.parse().unwrap(), Window::new(day, day).unwrap())).collect()
    }

    #[test]
    fn what_is_written_later_is_not_read_and_the_wal_can_be_folded_in() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = open_writer(dir.path());
        writer.add_tasks(&tasks(&["A", "B"])).unwrap();
        let (frozen, live) = (
            ManifestReader::snapshot(&DataDir::new(dir.path())).unwrap(),
            DataDir::new(dir.path()).open_read().unwrap(),
        );
        let count = |reader: &ManifestReader| reader.symbols().unwrap().len();
        assert_eq!((count(&frozen), count(&live)), (2, 2));
        drop(live);
        writer.add_tasks(&tasks(&["C"])).unwrap();
        let all = DataDir::new(dir.path()).open_read().unwrap();
        assert_eq!((count(&frozen), count(&all)), (2, 3));
        assert_eq!(frozen.tasks_of(&"A".parse().unwrap()).unwrap()[0].state, TaskState::Pending);
        assert_eq!(frozen.tasks_of(&"C".parse().unwrap()).unwrap(), []);
        drop(all);
        let folded = "PRAGMA wal_checkpoint(TRUNCATE)";
        let busy: i64 = writer.connection.query_row(folded, [], |row| row.get(0)).unwrap();
        assert_eq!(busy, 0, "the frozen one holds nothing");
        assert_eq!(count(&frozen), 2);
        assert!(frozen.connection().execute("DELETE FROM main.tasks", []).is_err(), "it only reads");
    }

    #[test]
    fn each_row_is_copied() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = open_writer(dir.path());
        writer.add_tasks(&tasks(&["A", "KIMpL"])).unwrap();
        let (live, frozen) = (
            DataDir::new(dir.path()).open_read().unwrap(),
            ManifestReader::snapshot(&DataDir::new(dir.path())).unwrap(),
        );
        assert_eq!(frozen.tasks().unwrap(), live.tasks().unwrap());
        assert_eq!(frozen.counts_by_window().unwrap(), live.counts_by_window().unwrap());
        assert_eq!(frozen.windows().unwrap(), live.windows().unwrap());
    }
}
