//! Records about sessions and symbols without bars: the cut-offs of updates, closures, and silent symbols.

use std::collections::{BTreeSet, HashMap};

use grab_model::{Partition, Symbol};
use jiff::civil::Date;
use rusqlite::params;

use super::{ManifestError, ManifestReader, ManifestWriter, rows, transaction::Transaction};

/// A session of the calendar on which the market was closed according to the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closure {
    /// The day.
    pub date: Date,
    /// Which response of the service shows it.
    pub evidence: ClosureEvidence,
    /// The reason, as the service calls it; else how often it was requested.
    pub name: String,
}

/// How the service shows that the market was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosureEvidence {
    /// Its list of closures has the day (`/v1/marketstatus/upcoming`).
    MarketStatus,
    /// Its grouped daily bars have no symbol on that day, but some on the sessions around it.
    GroupedDaily,
}

/// The service's response about a silent symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// The symbol.
    pub symbol: Symbol,
    /// Its last session with bars. The response is valid only as long as this is the last one.
    pub last_session: Date,
    /// Whether the symbol is still listed.
    pub answer: SilenceAnswer,
    /// The day since which the symbol is delisted, if the response has it.
    pub left_on: Option<Date>,
    /// The response in words.
    pub words: String,
    /// When it was received, UTC ms.
    pub at_ms: i64,
}

/// Whether a silent symbol is still listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SilenceAnswer {
    /// It is listed: bars should come.
    Active,
    /// It is delisted: no more bars are expected.
    Left,
    /// The response does not show it.
    Unknown,
}

impl ClosureEvidence {
    /// The name in the table `closures`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MarketStatus => "market status",
            Self::GroupedDaily => "grouped daily",
        }
    }
}

impl SilenceAnswer {
    const ALL: [Self; 3] = [Self::Active, Self::Left, Self::Unknown];

    /// The name in the table `silences` and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Left => "left",
            Self::Unknown => "unknown",
        }
    }
}

impl ManifestWriter {
    /// Records the cut-off session of an update, with the last session that was requested for any symbol before. A
    /// later update with the same cut-off changes nothing.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub fn begin_update(&mut self, session: Date, before: Option<Date>) -> Result<(), ManifestError> {
        let change = self.begin()?;
        let insert = "INSERT OR IGNORE INTO evenings (session, before, at_ms) VALUES (?, ?, ?)";
        let before = before.map(|before| before.to_string());
        change.execute(insert, params![session.to_string(), before, change.now_ms])?;
        change.commit()
    }

    /// Records sessions on which the market was closed, and the responses about silent symbols.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub fn save_absences(&mut self, closures: &[Closure], silences: &[Silence]) -> Result<(), ManifestError> {
        let change = self.begin()?;
        for Closure { date, evidence, name } in closures {
            let insert = "INSERT OR IGNORE INTO closures (date, evidence, name, at_ms) VALUES (?, ?, ?, ?)";
            change.execute(insert, params![date.to_string(), evidence.as_str(), name, change.now_ms])?;
            let evidence = evidence.as_str();
            change.event(None, "closed", None, &format!("{date}: no session, by {evidence}: {name}"))?;
        }
        for Silence { symbol, last_session, answer, left_on, words, at_ms } in silences {
            let insert =
                "INSERT OR REPLACE INTO silences (ticker, last_session, answer, left_on, words, at_ms)
                          VALUES (?, ?, ?, ?, ?, ?)";
            let left_on = left_on.map(|day| day.to_string());
            let (ticker, last) = (symbol.as_str(), last_session.to_string());
            change.execute(insert, params![ticker, last, answer.as_str(), left_on, words, at_ms])?;
            change.event(None, "silent", None, &format!("{symbol} since {last_session}: {words}"))?;
        }
        change.commit()
    }
}

impl Transaction<'_> {
    /// Deletes the closures of days on which the partition has bars: they disprove the closure.
    pub(super) fn reopen_closed(&self, partition: &Partition) -> Result<(), ManifestError> {
        let mut select =
            self.sqlite.prepare_cached("SELECT date FROM closures WHERE substr(date, 1, 7) = ?")?;
        let dates = select.query_map([partition.month.to_string()], |row| row.get::<_, String>(0))?;
        for date in dates.collect::<Result<Vec<_>, _>>()? {
            let day = rows::date(&date)?;
            if partition.month.days(partition.session_mask()).any(|stored| stored == day) {
                self.execute("DELETE FROM closures WHERE date = ?", [&date])?;
                self.event(
                    None,
                    "closed",
                    None,
                    &format!("{date}: it was a session, {} has bars", partition.symbol),
                )?;
            }
        }
        Ok(())
    }
}

impl ManifestReader {
    /// The last session before those that were new to the first update with the cut-off `session`. None if there was no
    /// such update, or nothing was requested before it.
    ///
    /// # Errors
    /// If the manifest cannot be read, or has an invalid row.
    pub fn state_before_update(&self, session: Date) -> Result<Option<Date>, ManifestError> {
        self.day("SELECT max(before) FROM evenings WHERE session = ?", [session.to_string()])
    }

    /// The last session before those that were new to any update with a cut-off from `from` to `to`.
    ///
    /// # Errors
    /// If the manifest cannot be read, or has an invalid row.
    pub fn states_before_updates(&self, from: Date, to: Date) -> Result<Option<Date>, ManifestError> {
        let select = "SELECT min(before) FROM evenings WHERE session BETWEEN ? AND ?";
        self.day(select, [from.to_string(), to.to_string()])
    }

    /// The last cut-off of an update, up to `until`.
    ///
    /// # Errors
    /// If the manifest cannot be read, or has an invalid row.
    pub fn last_update(&self, until: Date) -> Result<Option<Date>, ManifestError> {
        self.day("SELECT max(session) FROM evenings WHERE session <= ?", [until.to_string()])
    }

    fn day<const N: usize>(&self, select: &str, values: [String; N]) -> Result<Option<Date>, ManifestError> {
        let text: Option<String> =
            self.connection().query_row(select, rusqlite::params_from_iter(values), |row| row.get(0))?;
        text.as_deref().map(rows::date).transpose()
    }

    /// The sessions of the calendar on which the market was closed according to the service.
    ///
    /// # Errors
    /// If the manifest cannot be read, or has an invalid row.
    pub fn closures(&self) -> Result<BTreeSet<Date>, ManifestError> {
        let mut select = self.connection().prepare_cached("SELECT date FROM closures")?;
        let dates = select.query_map([], |row| row.get::<_, String>(0))?;
        dates.map(|date| rows::date(&date?)).collect()
    }

    /// The service's responses about silent symbols.
    ///
    /// # Errors
    /// If the manifest cannot be read, or has an invalid row.
    pub fn silences(&self) -> Result<HashMap<Symbol, Silence>, ManifestError> {
        let mut select = self
            .connection()
            .prepare_cached("SELECT ticker, last_session, answer, left_on, words, at_ms FROM silences")?;
        let mut found = select.query([])?;
        let mut silences = HashMap::new();
        while let Some(row) = found.next()? {
            let (answer, left_on): (String, Option<String>) = (row.get(2)?, row.get(3)?);
            let unknown = || ManifestError::Corrupt(format!("the answer {answer:?} about a silent symbol"));
            let silence = Silence {
                symbol: rows::symbol(&row.get::<_, String>(0)?)?,
                last_session: rows::date(&row.get::<_, String>(1)?)?,
                answer: SilenceAnswer::ALL
                    .into_iter()
                    .find(|one| one.as_str() == answer)
                    .ok_or_else(unknown)?,
                left_on: left_on.as_deref().map(rows::date).transpose()?,
                words: row.get(4)?,
                at_ms: row.get(5)?,
            };
            silences.insert(silence.symbol.clone(), silence);
        }
        Ok(silences)
    }
}
