//! How far back the plan behind a service serves, as far as it was found.

use grab_model::{HistoryStart, Symbol};
use jiff::{ToSpan, civil::Date};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{ManifestError, ManifestReader, ManifestWriter, rows};

/// What showed where a plan's history begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryEvidence {
    /// Earlier days are refused.
    Refusal,
    /// Earlier days are silently left out of responses, also for a symbol that traded on them.
    Clipping,
}

/// A search for the beginning of a plan's history that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenSearch {
    /// A window was refused. Single days of this symbol are requested.
    Refusal(Symbol),
    /// A response began late. Single days of the control symbol are requested.
    Clipping,
    /// Nothing shows on that day whether responses are clipped.
    Undecided,
}

/// The known part of a plan's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanHistory {
    /// The last session that was not served.
    pub last_refused: Option<Date>,
    /// The first session that is known to be served.
    pub first_served: Option<Date>,
    /// Whether no session lies between these two.
    pub is_found: bool,
    /// The New York day on which that was true.
    pub as_of: Date,
    /// How it was shown. None as long as nothing proves that the plan is the reason.
    pub shown_by: Option<HistoryEvidence>,
    /// The message of the service's refusal.
    pub words: Option<String>,
    /// The search in progress. None if it has ended, or never began.
    pub search: Option<OpenSearch>,
}

impl HistoryEvidence {
    /// The name in the manifest and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refusal => "refusal",
            Self::Clipping => "clipping",
        }
    }

    fn parse(text: &str) -> Result<Self, ManifestError> {
        [Self::Refusal, Self::Clipping]
            .into_iter()
            .find(|shown_by| shown_by.as_str() == text)
            .ok_or_else(|| ManifestError::Corrupt(format!("plan_history.shown_by: {text}")))
    }
}

impl OpenSearch {
    fn as_str(&self) -> &'static str {
        match self {
            Self::Refusal(_) => "refusal",
            Self::Clipping => "clipping",
            Self::Undecided => "undecided",
        }
    }

    fn asks_about(&self) -> Option<&str> {
        match self {
            Self::Refusal(symbol) => Some(symbol.as_str()),
            Self::Clipping | Self::Undecided => None,
        }
    }

    fn parse(text: &str, asks_about: Option<&str>) -> Result<Self, ManifestError> {
        match (text, asks_about) {
            ("refusal", Some(symbol)) => Ok(Self::Refusal(rows::symbol(symbol)?)),
            ("clipping", None) => Ok(Self::Clipping),
            ("undecided", None) => Ok(Self::Undecided),
            _ => Err(ManifestError::Corrupt(format!("plan_history.search: {text} of {asks_about:?}"))),
        }
    }
}

impl PlanHistory {
    /// The first session that the plan serves, as of that day. None if it was not found.
    #[must_use]
    pub fn first_served_day(&self) -> Option<Date> {
        self.first_served.filter(|_| self.is_found)
    }

    /// The edge at which new tasks are cut: no day that might be served is cut off. None if no refused day is known.
    #[must_use]
    pub fn edge(&self) -> Option<HistoryStart> {
        // A day without bars of the control symbol counts only after two requests, which end the search.
        let is_proven = self.shown_by.is_some() && self.search != Some(OpenSearch::Clipping);
        HistoryStart::new(self.last_refused.filter(|_| is_proven)?, self.first_served_day())
    }

    /// The first day that is certainly served on a later day: the start of a plan's history moves by at most one day a
    /// day.
    #[must_use]
    pub fn served_on(&self, today: Date) -> Option<Date> {
        self.first_served.map(|first| first.saturating_add(self.days_until(today).days()))
    }

    /// The last day that is refused on a later day, if the start of the history moves by one day a day.
    #[must_use]
    pub fn refused_on(&self, today: Date) -> Option<Date> {
        self.last_refused.map(|last| last.saturating_add(self.days_until(today).days()))
    }

    fn days_until(&self, today: Date) -> i32 {
        today.since(self.as_of).map_or(0, |span| span.get_days()).max(0)
    }
}

impl ManifestWriter {
    /// Saves what is known of the plan behind a service.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub fn save_plan_history(&mut self, service: &str, known: &PlanHistory) -> Result<(), ManifestError> {
        let change = self.begin()?;
        let replace = "INSERT OR REPLACE INTO plan_history (service, last_refused, first_served, is_found, as_of, shown_by,
                           words, search, asks_about, run_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let text = |day: Option<Date>| day.map(|day| day.to_string());
        let values = params![
            service,
            text(known.last_refused),
            text(known.first_served),
            known.is_found,
            known.as_of.to_string(),
            known.shown_by.map(HistoryEvidence::as_str),
            known.words,
            known.search.as_ref().map(OpenSearch::as_str),
            known.search.as_ref().and_then(OpenSearch::asks_about),
            change.run
        ];
        change.execute(replace, values)?;
        change.commit()
    }

    /// Returns what is known of the plan behind a service.
    ///
    /// # Errors
    /// If the manifest cannot be read, or has an invalid row.
    pub fn plan_history(&self, service: &str) -> Result<Option<PlanHistory>, ManifestError> {
        of_service(&self.connection, service)
    }
}

impl ManifestReader {
    /// Returns what is known of the plan behind a service.
    ///
    /// # Errors
    /// If the manifest cannot be read, or has an invalid row.
    pub fn plan_history(&self, service: &str) -> Result<Option<PlanHistory>, ManifestError> {
        of_service(self.connection(), service)
    }

    /// Returns where the history of the plan behind a service begins. None for a source that serves everything.
    ///
    /// # Errors
    /// If the manifest cannot be read, or has an invalid row.
    pub fn history_edge(&self, service: Option<&str>) -> Result<Option<HistoryStart>, ManifestError> {
        let known = service.map(|service| self.plan_history(service)).transpose()?.flatten();
        Ok(known.as_ref().and_then(PlanHistory::edge))
    }

    /// Returns what is known of each service, by its name: the latest record comes first.
    ///
    /// # Errors
    /// If the manifest cannot be read, or has an invalid row.
    pub fn plan_histories(&self) -> Result<Vec<(String, PlanHistory)>, ManifestError> {
        let select = format!("{COLUMNS} ORDER BY run_id DESC, as_of DESC, service");
        let mut select = self.connection().prepare_cached(&select)?;
        let mut found = select.query([])?;
        let mut histories = Vec::new();
        while let Some(row) = found.next()? {
            histories.push((row.get("service")?, read(row)?));
        }
        Ok(histories)
    }
}

const COLUMNS: &str =
    "SELECT service, last_refused, first_served, is_found, as_of, shown_by, words, search, asks_about
     FROM plan_history";

fn of_service(connection: &Connection, service: &str) -> Result<Option<PlanHistory>, ManifestError> {
    let mut select = connection.prepare_cached(&format!("{COLUMNS} WHERE service = ?"))?;
    select.query_row([service], |row| Ok(read(row))).optional()?.transpose()
}

fn read(row: &Row<'_>) -> Result<PlanHistory, ManifestError> {
    let day = |column: &str| {
        let text: Option<String> = row.get(column)?;
        text.map(|text| day(&text)).transpose()
    };
    let shown_by: Option<String> = row.get("shown_by")?;
    let (search, asks_about): (Option<String>, Option<String>) = (row.get("search")?, row.get("asks_about")?);
    Ok(PlanHistory {
        last_refused: day("last_refused")?,
        first_served: day("first_served")?,
        is_found: row.get("is_found")?,
        as_of: self::day(&row.get::<_, String>("as_of")?)?,
        shown_by: shown_by.map(|text| HistoryEvidence::parse(&text)).transpose()?,
        words: row.get("words")?,
        search: search.map(|search| OpenSearch::parse(&search, asks_about.as_deref())).transpose()?,
    })
}

fn day(text: &str) -> Result<Date, ManifestError> {
    text.parse().map_err(|_| ManifestError::Corrupt(format!("a day of plan_history: {text}")))
}

#[cfg(test)]
mod tests {
    use crate::data_dir::DataDir;
    use jiff::civil::date;

    use super::*;
    use crate::clock::Clock;

    fn found() -> PlanHistory {
        PlanHistory {
            last_refused: Some(date(2024, 11, 29)),
            first_served: Some(date(2024, 12, 2)),
            is_found: true,
            as_of: date(2026, 11, 30),
            shown_by: Some(HistoryEvidence::Refusal),
            words: Some("Your plan".to_owned()),
            search: None,
        }
    }

    #[test]
    fn what_is_kept_is_read_again_by_service_and_what_the_last_run_found_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = ManifestWriter::open(&DataDir::new(dir.path()), Clock::system()).unwrap();
        writer.begin_run("start", "").unwrap();
        writer.save_plan_history("one", &found()).unwrap();
        writer.begin_run("start", "").unwrap();
        let open = PlanHistory {
            last_refused: None,
            first_served: Some(date(2020, 1, 2)),
            is_found: false,
            shown_by: None,
            words: None,
            ..found()
        };
        writer.save_plan_history("other", &open).unwrap();
        let reader = DataDir::new(dir.path()).open_read().unwrap();
        assert_eq!(reader.plan_history("one").unwrap(), Some(found()));
        assert_eq!(writer.plan_history("nobody").unwrap(), None);
        let all = [("other".to_owned(), open.clone()), ("one".to_owned(), found())];
        assert_eq!(reader.plan_histories().unwrap(), all);
        let searches =
            [OpenSearch::Refusal("BRK.B".parse().unwrap()), OpenSearch::Clipping, OpenSearch::Undecided];
        for search in searches {
            let going_on = PlanHistory { search: Some(search), ..open.clone() };
            writer.save_plan_history("other", &going_on).unwrap();
            assert_eq!(writer.plan_history("other").unwrap(), Some(going_on));
        }
    }

    #[test]
    fn a_history_moves_on_by_a_day_a_day_at_most() {
        assert_eq!(found().served_on(date(2026, 11, 30)), Some(date(2024, 12, 2)));
        assert_eq!(found().served_on(date(2026, 12, 30)), Some(date(2025, 1, 1)));
        assert_eq!(found().served_on(date(2020, 1, 1)), Some(date(2024, 12, 2)), "a clock that went back");
    }

    #[test]
    fn nothing_that_may_be_served_is_cut_off_before_the_first_served_day_is_found() {
        assert_eq!(found().edge().unwrap().first_served(), date(2024, 12, 2));
        let open = PlanHistory { is_found: false, ..found() };
        assert_eq!(open.edge().unwrap().first_served(), date(2024, 11, 30));
        assert_eq!(PlanHistory { last_refused: None, ..open.clone() }.edge(), None);
        let refusal = Some(OpenSearch::Refusal("A".parse().unwrap()));
        let unproven = PlanHistory { shown_by: None, search: refusal.clone(), ..open.clone() };
        assert_eq!(unproven.edge(), None, "nothing says yet that the plan is the reason");
        let proven = PlanHistory { search: refusal, ..open.clone() };
        assert_eq!(proven.edge().unwrap().first_served(), date(2024, 11, 30));
        let unconfirmed = PlanHistory { search: Some(OpenSearch::Clipping), ..open };
        assert_eq!(unconfirmed.edge(), None, "a day without bars may be a server's mistake");
    }
}
