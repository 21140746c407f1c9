//! The spec with which a data directory was started.

use rusqlite::{Connection, OptionalExtension, params};

use super::{ManifestError, ManifestReader, ManifestWriter, transaction::Transaction};

/// A spec as it was read. The caller has made sure that it holds no key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecText {
    /// Its path, as it was given.
    pub path: String,
    /// The whole text.
    pub text: String,
}

/// The saved spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedSpec {
    /// Its path and text.
    pub spec: SpecText,
    /// Since when this text is saved, UTC ms.
    pub kept_at_ms: i64,
}

impl Transaction<'_> {
    /// Saves a spec in place of the one before, and records an event. The same spec changes nothing.
    pub(super) fn save_spec(&self, kept: &SavedSpec) -> Result<(), ManifestError> {
        let SpecText { path, text } = &kept.spec;
        let reason = match read(&self.sqlite)?.map(|before| before.spec) {
            Some(before) if before == kept.spec => return Ok(()),
            Some(before) if before.path == *path => format!("{path}, which has changed"),
            Some(before) => format!("{path} in place of {}", before.path),
            None => path.clone(),
        };
        let replace = "INSERT OR REPLACE INTO spec (id, path, text, kept_at_ms) VALUES (1, ?, ?, ?)";
        self.execute(replace, params![path, text, kept.kept_at_ms])?;
        self.event(None, "spec_kept", None, &reason)
    }

    /// Saves the spec that a `start` has just read.
    pub(super) fn save_new_spec(&self, spec: Option<&SpecText>) -> Result<(), ManifestError> {
        let kept = spec.map(|spec| SavedSpec { spec: spec.clone(), kept_at_ms: self.now_ms });
        kept.map_or(Ok(()), |kept| self.save_spec(&kept))
    }
}

impl ManifestWriter {
    /// Saves the spec of another manifest.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub fn restore_spec(&mut self, kept: &SavedSpec) -> Result<(), ManifestError> {
        let change = self.begin()?;
        change.save_spec(kept)?;
        change.commit()
    }
}

impl ManifestReader {
    /// The spec with which the directory was started. None if there was none.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn spec(&self) -> Result<Option<SavedSpec>, ManifestError> {
        read(self.connection())
    }
}

pub(super) fn read(connection: &Connection) -> Result<Option<SavedSpec>, ManifestError> {
    let select = "SELECT path, text, kept_at_ms FROM spec";
    let row = |row: &rusqlite::Row<'_>| {
        let spec = SpecText { path: row.get(0)?, text: row.get(1)? };
        Ok(SavedSpec { spec, kept_at_ms: row.get(2)? })
    };
    Ok(connection.query_row(select, [], row).optional()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::data_dir::DataDir;

    fn spec(path: &str, text: &str) -> SpecText {
        SpecText { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn the_last_one_is_kept_and_each_that_differs_is_an_event() {
        let dir = tempfile::tempdir().unwrap();
        let at = |instant: &str| Clock::starting_at(instant.parse().unwrap());
        let mut writer = ManifestWriter::open(&DataDir::new(dir.path()), at("2024-01-05T12:00:00Z")).unwrap();
        let mut start = |clock, spec: Option<&SpecText>| {
            writer.clock = clock;
            writer.add_tasks_of(spec, [], &[]).unwrap();
            DataDir::new(dir.path()).open_read().unwrap().spec().unwrap()
        };
        let day = 86_400_000;
        assert_eq!(start(at("2024-01-05T12:00:00Z"), None), None);
        let first = start(at("2024-01-05T12:00:00Z"), Some(&spec("a.toml", "1"))).unwrap();
        assert_eq!(first.spec, spec("a.toml", "1"));
        assert_eq!(start(at("2024-01-06T12:00:00Z"), Some(&spec("a.toml", "1"))).unwrap(), first);
        assert_eq!(start(at("2024-01-06T12:00:00Z"), None).unwrap(), first);
        let second = start(at("2024-01-07T12:00:00Z"), Some(&spec("a.toml", "2"))).unwrap();
        // The simulated clock runs on while the test does.
        let later = second.kept_at_ms - first.kept_at_ms;
        assert!((2 * day - day / 2..2 * day + day / 2).contains(&later), "{later}");
        assert_eq!(start(at("2024-01-07T12:00:00Z"), Some(&spec("b", "2"))).unwrap().spec, spec("b", "2"));
        let select = "SELECT group_concat(reason, '; ') FROM events WHERE kind = 'spec_kept'";
        let events: String = writer.connection.query_row(select, [], |row| row.get(0)).unwrap();
        assert_eq!(events, "a.toml; a.toml, which has changed; b in place of a.toml");
    }
}
