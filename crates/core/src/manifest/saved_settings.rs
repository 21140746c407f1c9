//! Saved settings: how `grab start` was set to fetch. Later commands in the directory use them.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::{ManifestError, ManifestReader, ManifestWriter, transaction::Transaction};

/// One setting. The caller has made sure that its value holds no key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedSetting {
    /// The name of the setting in a config file, such as `rate`.
    pub setting: String,
    /// The value, as in a config file.
    pub value: String,
    /// Since when it is set, UTC ms.
    pub saved_at_ms: i64,
}

impl ManifestWriter {
    /// Saves the settings of a `start` by name, and deletes those without a value. Settings that are not among them
    /// stay.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub fn save_settings(
        &mut self,
        settings: &BTreeMap<String, Option<String>>,
    ) -> Result<(), ManifestError> {
        let change = self.begin()?;
        change.tell(settings)?;
        change.commit()
    }

    /// Saves the settings of another manifest.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub fn restore_settings(&mut self, settings: BTreeMap<String, String>) -> Result<(), ManifestError> {
        self.save_settings(&settings.into_iter().map(|(setting, value)| (setting, Some(value))).collect())
    }
}

impl Transaction<'_> {
    /// Saves settings: see [`ManifestWriter::save_settings`].
    pub(super) fn tell(&self, settings: &BTreeMap<String, Option<String>>) -> Result<(), ManifestError> {
        for (setting, value) in settings {
            let select = "SELECT value FROM told WHERE setting = ?";
            let mut select = self.sqlite.prepare_cached(select)?;
            let before: Option<String> = select.query_row([setting], |row| row.get(0)).optional()?;
            if before == *value {
                continue;
            }
            let reason = match (&before, value) {
                (None, Some(value)) => format!("{setting} {value}"),
                (Some(before), Some(value)) => format!("{setting} {value} in place of {before}"),
                (before, None) => {
                    format!("no {setting} in place of {}", before.as_deref().unwrap_or_default())
                }
            };
            match value {
                Some(value) => {
                    let replace = "INSERT OR REPLACE INTO told (setting, value, told_at_ms) VALUES (?, ?, ?)";
                    self.execute(replace, params![setting, value, self.now_ms])?
                }
                None => self.execute("DELETE FROM told WHERE setting = ?", [setting])?,
            };
            self.event(None, "told", None, &reason)?;
        }
        Ok(())
    }
}

impl ManifestReader {
    /// The saved settings of `start`.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn saved_settings(&self) -> Result<Vec<SavedSetting>, ManifestError> {
        read(self.connection())
    }
}

pub(super) fn read(connection: &Connection) -> Result<Vec<SavedSetting>, ManifestError> {
    let mut select =
        connection.prepare_cached("SELECT setting, value, told_at_ms FROM told ORDER BY setting")?;
    let settings = select.query_map([], |row| {
        Ok(SavedSetting { setting: row.get(0)?, value: row.get(1)?, saved_at_ms: row.get(2)? })
    })?;
    Ok(settings.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::data_dir::DataDir;

    #[test]
    fn the_last_word_on_each_setting_is_kept_and_each_change_is_an_event() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = ManifestWriter::open(&DataDir::new(dir.path()), Clock::system()).unwrap();
        let mut saved = |settings: &[(&str, Option<&str>)]| {
            let owned =
                |(setting, value): &(&str, Option<&str>)| ((*setting).to_owned(), value.map(str::to_owned));
            writer.save_settings(&settings.iter().map(owned).collect()).unwrap();
            let kept = DataDir::new(dir.path()).open_read().unwrap().saved_settings().unwrap();
            kept.into_iter()
                .map(|one| format!("{} {}", one.setting, one.value))
                .collect::<Vec<_>>()
                .join(", ")
        };
        assert_eq!(saved(&[("rate", None)]), "");
        assert_eq!(
            saved(&[("rate", Some("5/min")), ("base_url", Some("http://a/"))]),
            "base_url http://a/, rate 5/min"
        );
        assert_eq!(saved(&[]), "base_url http://a/, rate 5/min", "nothing was said of them");
        assert_eq!(saved(&[("rate", Some("100/s"))]), "base_url http://a/, rate 100/s");
        assert_eq!(saved(&[("rate", Some("100/s")), ("base_url", None)]), "rate 100/s");
        let select = "SELECT group_concat(reason, '; ') FROM events WHERE kind = 'told'";
        let events: String = writer.connection.query_row(select, [], |row| row.get(0)).unwrap();
        assert_eq!(
            events,
            "base_url http://a/; rate 5/min; rate 100/s in place of 5/min; no base_url in place of http://a/"
        );
    }
}
