//! Reference lists in progress, responses about single tickers, and the history of syncs.

use std::collections::HashSet;

use grab_model::{Cursor, Symbol};
use rusqlite::{Connection, OptionalExtension, params};

use super::{ManifestError, ManifestReader, ManifestWriter, saved_json};

/// The progress of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialList {
    /// The page to request next. None at the beginning.
    pub cursor: Option<Cursor>,
    /// Saved pages.
    pub pages: u64,
    /// Whether the server named no further page.
    pub is_whole: bool,
}

/// A saved page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedListPage {
    /// Its rows, as JSON.
    pub rows: String,
    /// Rows that were left out because their ticker is not a symbol.
    pub bad_symbols: u64,
    /// Invalid days.
    pub bad_days: u64,
    /// Rows that were left out because they are not as documented.
    pub nonsense: u64,
}

/// What a lookup asks about a ticker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupKind {
    /// Its details, of which the list date is stored.
    Details,
    /// Its renames.
    Renames,
}

impl LookupKind {
    /// The name in the manifest, both of the lookups and of a [`SyncRecord`] of them.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Details => "details",
            Self::Renames => "renames",
        }
    }
}

/// A lookup with its response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedLookup {
    /// What was asked.
    pub kind: LookupKind,
    /// What was requested: it is never requested again.
    pub subject: String,
    /// The ticker.
    pub ticker: Symbol,
    /// The response as JSON; `null` if the server has none.
    pub answer: String,
}

/// The record of what was fetched into a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncRecord {
    /// `tickers`, `splits`, `details`, `renames` or `annotations`.
    pub what: &'static str,
    /// Fetched rows.
    pub rows: u64,
    /// Pages or single responses.
    pub pages: u64,
    /// Defects by kind, as a JSON object.
    pub defects: String,
}

impl ManifestWriter {
    /// Continues a list after its last saved page. Begins it again if that is longer ago than `longest_ms`, or if it
    /// was of another source.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub fn begin_list(
        &mut self,
        list: &str,
        source: &str,
        longest_ms: i64,
    ) -> Result<PartialList, ManifestError> {
        let change = self.begin()?;
        let old = "DELETE FROM lists WHERE list = ? AND (source <> ? OR begun_at_ms NOT BETWEEN ? AND ?)";
        change.execute(old, params![list, source, change.now_ms - longest_ms, change.now_ms])?;
        let insert = "INSERT OR IGNORE INTO lists (list, source, begun_at_ms) VALUES (?, ?, ?)";
        change.execute(insert, params![list, source, change.now_ms])?;
        let select = "SELECT cursor, pages, is_whole FROM lists WHERE list = ?";
        let way = change.sqlite.query_row(select, [list], |row| {
            let cursor = row.get::<_, Option<String>>(0)?.map(Cursor::from_stored);
            Ok(PartialList { cursor, pages: row.get(1)?, is_whole: row.get(2)? })
        })?;
        change.commit()?;
        Ok(way)
    }

    /// Deletes the progress of a list: its cursor is refused.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub fn forget_list(&mut self, list: &str) -> Result<(), ManifestError> {
        let change = self.begin()?;
        change.execute("DELETE FROM lists WHERE list = ?", [list])?;
        change.commit()
    }

    /// Saves a page with the cursor of the next one; without a cursor, the list is complete.
    ///
    /// # Errors
    /// If the manifest cannot be written, or the page is not the next one.
    pub fn save_list_page(
        &mut self,
        list: &str,
        page: &SavedListPage,
        next: Option<&Cursor>,
    ) -> Result<(), ManifestError> {
        let change = self.begin()?;
        let update =
            "UPDATE lists SET pages = pages + 1, cursor = ?, is_whole = ? WHERE list = ? AND is_whole = 0";
        if change.execute(update, params![next.map(Cursor::as_str), next.is_none(), list])? != 1 {
            return Err(ManifestError::Corrupt(format!("the list of {list} is not being fetched")));
        }
        let insert = "INSERT INTO list_pages (list, page, rows, bad_symbols, bad_days, nonsense)
             SELECT list, pages, ?, ?, ?, ? FROM lists WHERE list = ?";
        let rows = saved_json::wrap(&page.rows);
        let values = params![rows, page.bad_symbols, page.bad_days, page.nonsense, list];
        change.execute(insert, values)?;
        change.commit()
    }

    /// The saved pages of a list, in order. None if the list is not complete.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn complete_list(&self, list: &str) -> Result<Option<Vec<SavedListPage>>, ManifestError> {
        let select = "SELECT is_whole FROM lists WHERE list = ?";
        let is_whole: Option<bool> =
            self.connection.query_row(select, [list], |row| row.get(0)).optional()?;
        if is_whole != Some(true) {
            return Ok(None);
        }
        self.list_pages(list).map(Some)
    }

    /// The pages of a list that are kept, in order, whether it is whole or not.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn list_pages(&self, list: &str) -> Result<Vec<SavedListPage>, ManifestError> {
        let select =
            "SELECT rows, bad_symbols, bad_days, nonsense FROM list_pages WHERE list = ? ORDER BY page";
        let mut select = self.connection.prepare(select)?;
        let pages = select.query_map([list], |row| {
            Ok(SavedListPage {
                rows: saved_json::unwrap(row.get(0)?),
                bad_symbols: row.get(1)?,
                bad_days: row.get(2)?,
                nonsense: row.get(3)?,
            })
        })?;
        Ok(pages.collect::<Result<_, _>>()?)
    }

    /// Saves the response of a lookup.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub fn save_lookup(&mut self, lookup: &SavedLookup) -> Result<(), ManifestError> {
        let change = self.begin()?;
        let insert = "INSERT OR REPLACE INTO lookups (kind, subject, ticker, asked_at_ms, answer) VALUES (?, ?, ?, ?, ?)";
        let SavedLookup { kind, subject, ticker, answer } = lookup;
        let answer = saved_json::wrap(answer);
        change.execute(insert, params![kind.as_str(), subject, ticker.as_str(), change.now_ms, answer])?;
        change.commit()
    }

    /// Forgets answers to single questions, by their subjects: they are requested again.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub fn forget_lookups(&mut self, kind: LookupKind, subjects: &[String]) -> Result<(), ManifestError> {
        let change = self.begin()?;
        for subject in subjects {
            change.execute(
                "DELETE FROM lookups WHERE kind = ? AND subject = ?",
                params![kind.as_str(), subject],
            )?;
        }
        change.commit()
    }

    /// The subjects of one kind that were requested.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn requested(&self, kind: LookupKind) -> Result<HashSet<String>, ManifestError> {
        requested(&self.connection, kind)
    }

    /// Returns all saved lookups of one kind, by subject.
    ///
    /// # Errors
    /// If the manifest cannot be read, or has an invalid row.
    pub fn lookups(&self, kind: LookupKind) -> Result<Vec<SavedLookup>, ManifestError> {
        let select = "SELECT subject, ticker, answer FROM lookups WHERE kind = ? ORDER BY subject";
        self.select_lookups(select, kind)
    }

    /// Returns the saved lookups of one kind that no table has yet, by subject.
    ///
    /// # Errors
    /// As for [`Self::lookups`].
    pub fn pending_lookups(&self, kind: LookupKind) -> Result<Vec<SavedLookup>, ManifestError> {
        let select =
            "SELECT subject, ticker, answer FROM lookups WHERE kind = ? AND is_applied = 0 ORDER BY subject";
        self.select_lookups(select, kind)
    }

    fn select_lookups(&self, select: &str, kind: LookupKind) -> Result<Vec<SavedLookup>, ManifestError> {
        let mut select = self.connection.prepare(select)?;
        let mut found = select.query([kind.as_str()])?;
        let mut lookups = Vec::new();
        while let Some(row) = found.next()? {
            let text: String = row.get(1)?;
            let ticker = text.parse().map_err(|_| ManifestError::Corrupt(format!("a lookup of {text:?}")))?;
            let answer = saved_json::unwrap(row.get(2)?);
            lookups.push(SavedLookup { kind, subject: row.get(0)?, ticker, answer });
        }
        Ok(lookups)
    }

    /// Ends a sync whose tables are on stable storage: deletes its pages, and records what was fetched into tables with
    /// the timestamp `at_ms` (UTC).
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub fn end_sync(
        &mut self,
        at_ms: i64,
        lists: &[&str],
        synced: &[SyncRecord],
    ) -> Result<(), ManifestError> {
        let change = self.begin()?;
        let mut begun_at_ms = at_ms;
        for list in lists {
            let select = "SELECT begun_at_ms FROM lists WHERE list = ?";
            let begun = change.sqlite.query_row(select, [list], |row| row.get(0)).optional()?;
            begun_at_ms = begun_at_ms.min(begun.unwrap_or(at_ms));
            change.execute("DELETE FROM lists WHERE list = ?", [list])?;
        }
        for row in synced {
            change.execute("UPDATE lookups SET is_applied = 1 WHERE kind = ?", [row.what])?;
            let insert = "INSERT INTO syncs (run, at_ms, begun_at_ms, what, rows, pages, defects) VALUES (?, ?, ?, ?, ?, ?, ?)";
            let SyncRecord { what, rows, pages, defects } = row;
            change.execute(insert, params![change.run, at_ms, begun_at_ms, what, rows, pages, defects])?;
        }
        change.commit()
    }
}

impl ManifestReader {
    /// The subjects of one kind that were requested.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn requested(&self, kind: LookupKind) -> Result<HashSet<String>, ManifestError> {
        requested(self.connection(), kind)
    }

    /// How new `what` (see [`SyncRecord::what`]) is: when the first page of its last sync was requested, UTC ms.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn last_sync_ms(&self, what: &str) -> Result<Option<i64>, ManifestError> {
        let select = "SELECT max(coalesce(begun_at_ms, at_ms)) FROM syncs WHERE what = ?";
        Ok(self.connection().query_row(select, [what], |row| row.get(0))?)
    }

    /// The first sync of `what` after an instant, both UTC ms, as recorded in its table.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn sync_after(&self, what: &str, at_ms: i64) -> Result<Option<i64>, ManifestError> {
        let select = "SELECT min(at_ms) FROM syncs WHERE what = ? AND at_ms > ?";
        Ok(self.connection().query_row(select, params![what, at_ms], |row| row.get(0))?)
    }
}

fn requested(connection: &Connection, kind: LookupKind) -> Result<HashSet<String>, ManifestError> {
    let mut select = connection.prepare("SELECT subject FROM lookups WHERE kind = ?")?;
    let subjects = select.query_map([kind.as_str()], |row| row.get(0))?;
    Ok(subjects.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::data_dir::DataDir;

    fn page(rows: &str) -> SavedListPage {
        SavedListPage { rows: rows.to_owned(), bad_symbols: 1, bad_days: 2, nonsense: 3 }
    }

    fn clock(text: &str) -> Clock {
        Clock::starting_at(text.parse().unwrap())
    }

    const DAY: i64 = 86_400_000;

    #[test]
    fn a_list_goes_on_where_it_was_left_for_a_day() {
        let dir = tempfile::tempdir().unwrap();
        let cursor = Cursor::from_stored("/x?cursor=1".to_owned());
        {
            let mut writer =
                ManifestWriter::open(&DataDir::new(dir.path()), clock("2024-01-03T12:00:00Z")).unwrap();
            let begun = writer.begin_list("splits", "here", DAY).unwrap();
            assert_eq!(begun, PartialList { cursor: None, pages: 0, is_whole: false });
            writer.save_list_page("splits", &page("[1]"), Some(&cursor)).unwrap();
            assert_eq!(writer.complete_list("splits").unwrap(), None);
        }
        let begin = |now, source| {
            let mut writer = ManifestWriter::open(&DataDir::new(dir.path()), clock(now)).unwrap();
            writer.begin_list("splits", source, DAY).unwrap()
        };
        let goes_on = PartialList { cursor: Some(cursor), pages: 1, is_whole: false };
        assert_eq!(begin("2024-01-04T11:59:00Z", "here"), goes_on);
        assert_eq!(begin("2024-01-04T12:05:00Z", "here").pages, 0, "that is too long ago");
        let mut writer =
            ManifestWriter::open(&DataDir::new(dir.path()), clock("2024-01-04T13:00:00Z")).unwrap();
        writer.save_list_page("splits", &page("[1]"), Some(&Cursor::from_stored("/y".to_owned()))).unwrap();
        assert_eq!(writer.begin_list("splits", "elsewhere", DAY).unwrap().pages, 0);
    }

    #[test]
    fn a_whole_list_is_kept_until_its_table_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = ManifestWriter::open(&DataDir::new(dir.path()), Clock::system()).unwrap();
        writer.begin_list("splits", "here", DAY).unwrap();
        let cursor = Cursor::from_stored("/x".to_owned());
        writer.save_list_page("splits", &page("[1]"), Some(&cursor)).unwrap();
        writer.save_list_page("splits", &page("[2]"), None).unwrap();
        assert_eq!(writer.complete_list("splits").unwrap(), Some(vec![page("[1]"), page("[2]")]));
        assert!(writer.save_list_page("splits", &page("[3]"), None).is_err(), "nothing comes after the end");
        let sync = SyncRecord { what: "splits", rows: 2, pages: 2, defects: "{}".to_owned() };
        writer.end_sync(1, &["splits"], &[sync]).unwrap();
        assert_eq!(writer.complete_list("splits").unwrap(), None);
        let left: u64 =
            writer.connection.query_row("SELECT count(*) FROM list_pages", [], |r| r.get(0)).unwrap();
        assert_eq!(left, 0);
        assert!(writer.connection.execute("DELETE FROM syncs", []).is_err(), "history stays");
    }

    #[test]
    fn an_answer_is_applied_once_and_never_asked_for_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = ManifestWriter::open(&DataDir::new(dir.path()), Clock::system()).unwrap();
        let lookup = SavedLookup {
            kind: LookupKind::Details,
            subject: "A|F".to_owned(),
            ticker: "A".parse().unwrap(),
            answer: "null".to_owned(),
        };
        writer.save_lookup(&lookup).unwrap();
        let kind: String = writer.connection.query_row("SELECT kind FROM lookups", [], |r| r.get(0)).unwrap();
        assert_eq!(kind, "details", "manifests of before have this name");
        assert_eq!(writer.pending_lookups(LookupKind::Details).unwrap(), std::slice::from_ref(&lookup));
        let row = SyncRecord { what: "details", rows: 1, pages: 1, defects: "{}".to_owned() };
        writer.end_sync(1, &[], &[row]).unwrap();
        assert!(writer.pending_lookups(LookupKind::Details).unwrap().is_empty());
        assert_eq!(writer.lookups(LookupKind::Details).unwrap(), [lookup]);
        assert!(writer.requested(LookupKind::Details).unwrap().contains("A|F"));
    }
}
