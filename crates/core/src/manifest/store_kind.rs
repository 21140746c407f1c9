//! The kind of bars in a directory: it is fixed by its first bar, and not before.

use rusqlite::{Connection, OptionalExtension, params};

use super::{
    ManifestError, ManifestReader, ManifestWriter, StoreKind, TaskEvent, transaction::Transaction,
    writer::VERSION,
};

/// Whether any bar is recorded, including lost and quarantined ones.
const HAS_BARS: &str =
    "EXISTS (SELECT 1 FROM partitions) OR EXISTS (SELECT 1 FROM lost) OR EXISTS (SELECT 1 FROM set_aside)";

/// Whether any data was fetched that differs between a sandbox and the service: lists, and the market's days.
const HAS_LISTS: &str =
    "EXISTS (SELECT 1 FROM syncs) OR EXISTS (SELECT 1 FROM lists) OR EXISTS (SELECT 1 FROM lookups)
     OR EXISTS (SELECT 1 FROM witnesses)";

impl ManifestWriter {
    /// Declares the directory's kind, or checks that it has this kind.
    ///
    /// Before the first bar the kind may change. Then the responses of the other source are invalid: each task
    /// restarts.
    ///
    /// # Errors
    /// [`ManifestError::OtherKind`] if it has bars of another kind, or lists of another source.
    pub fn declare_kind(&mut self, requested: StoreKind) -> Result<(), ManifestError> {
        let change = self.begin()?;
        let insert = "INSERT OR IGNORE INTO store (id, adjusted, sandbox, created_at_ms, created_by) VALUES (1, ?, ?, ?, ?)";
        change.execute(insert, params![requested.adjusted, requested.sandbox, change.now_ms, VERSION])?;
        let stored = kind(&change.sqlite)?.unwrap_or(requested);
        if stored != requested {
            let is_fixed = is_true(&change.sqlite, HAS_BARS)?
                || (stored.sandbox != requested.sandbox && is_true(&change.sqlite, HAS_LISTS)?);
            if is_fixed {
                return Err(ManifestError::OtherKind { stored, requested });
            }
            change.turn(stored, requested)?;
        }
        change.commit()
    }

    /// The directory's kind. None before it was declared.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn kind(&self) -> Result<Option<StoreKind>, ManifestError> {
        kind(&self.connection)
    }
}

impl Transaction<'_> {
    /// Changes the directory's kind, and deletes the earlier responses.
    fn turn(&self, stored: StoreKind, requested: StoreKind) -> Result<(), ManifestError> {
        self.execute(
            "UPDATE store SET adjusted = ?, sandbox = ?",
            params![requested.adjusted, requested.sandbox],
        )?;
        let reason = format!("{requested}, in place of {stored}: no bar was there");
        self.event(None, "kind_changed", None, &reason)?;
        let ended = "state NOT IN ('pending', 'running')";
        self.step_all(ended, TaskEvent::Reopened, "it was answered for another kind of bars")?;
        self.execute("DELETE FROM quarantine", [])?;
        let restart = "UPDATE tasks SET cursor = NULL, bars = 0, attempts = 0, last_error = NULL, asked_again = 0, begun_at_ms = NULL";
        self.execute(restart, [])?;
        self.reopen_not_entitled("the plan was that of another source")?;
        // All of these are from the other source.
        for table in ["pace", "evenings", "closures", "silences", "plan_history"] {
            self.execute(&format!("DELETE FROM {table}"), [])?;
        }
        Ok(())
    }
}

impl ManifestReader {
    /// The directory's kind. None before a command has declared it.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn kind(&self) -> Result<Option<StoreKind>, ManifestError> {
        kind(self.connection())
    }

    /// The directory's kind, if it has bars: then the kind cannot change. None otherwise.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn settled_kind(&self) -> Result<Option<StoreKind>, ManifestError> {
        if is_true(self.connection(), HAS_BARS)? { self.kind() } else { Ok(None) }
    }
}

fn is_true(connection: &Connection, condition: &str) -> Result<bool, ManifestError> {
    Ok(connection.query_row(&format!("SELECT {condition}"), [], |row| row.get(0))?)
}

pub(super) fn kind(connection: &Connection) -> Result<Option<StoreKind>, ManifestError> {
    let select = "SELECT adjusted, sandbox FROM store";
    let read = |row: &rusqlite::Row<'_>| Ok(StoreKind { adjusted: row.get(0)?, sandbox: row.get(1)? });
    Ok(connection.query_row(select, [], read).optional()?)
}
