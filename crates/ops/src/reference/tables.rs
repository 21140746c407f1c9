//! Writes saved pages and answers from the manifest into the tables in `reference/`: first the file, to stable storage;
//! then the saved pages are deleted and the sync is recorded. After a crash in between, the last step is repeated.

use std::{
    collections::{BTreeSet, HashSet},
    io,
};

use grab_core::{
    data_dir::DataDir,
    manifest::{LookupKind, ManifestError, ManifestWriter, SavedListPage, SyncRecord},
    source::ReferenceList,
    store::{
        StoreError,
        reference::{self, ReferenceTable, TickersTable},
    },
};
use grab_model::{
    Listing, ListingPeriod, Rename, Split, Symbol,
    universe::{self, Annotation},
};
use jiff::civil::Date;
use serde::{Serialize, de::DeserializeOwned};

use super::selection::ReferenceSelection;
use crate::{Error, Notice, Observer};

/// The facts for each table besides its rows.
#[derive(Clone)]
pub struct TableSync {
    /// Where the tables are.
    pub data_dir: DataDir,
    /// The current time, UTC ms.
    pub now_ms: i64,
    /// The name of the service.
    pub source: String,
    /// Receives notices of replaced tables.
    pub observer: std::sync::Arc<dyn Observer>,
}

/// What the lists of tickers have changed; its JSON is public.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TickersReport {
    /// Rows of the lists.
    pub rows: u64,
    /// Pages with these rows.
    pub pages: u64,
    /// Listing periods in the table.
    #[serde(rename = "lives")]
    pub periods: u64,
    /// Listing periods that have not ended.
    pub active: u64,
    /// New listing periods.
    pub new: u64,
    /// Listing periods that have ended since the last sync.
    pub left: u64,
    /// Listing periods that the lists no longer have.
    pub not_seen: u64,
    /// Defects of the rows.
    pub defects: TickerDefects,
    /// The delisted symbols.
    #[serde(skip)]
    pub gone: Vec<Symbol>,
}

/// Defects of ticker rows, by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TickerDefects {
    /// Listings with two rows.
    pub listed_twice: u64,
    /// Rows that contradict the CIK of another row.
    pub other_cik: u64,
    /// Rows without a FIGI.
    pub without_figi: u64,
    /// Rows whose ticker is not a valid symbol.
    pub bad_symbols: u64,
    /// Rows with an invalid day.
    pub bad_days: u64,
    /// Rows that are not a JSON object.
    pub nonsense: u64,
}

/// What the list of splits has changed; its JSON is public.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SplitsReport {
    /// Rows of the list.
    pub rows: u64,
    /// Pages with these rows.
    pub pages: u64,
    /// Rows in the table.
    pub kept: u64,
    /// New rows.
    pub added: u64,
    /// Rows that the list no longer has.
    pub withdrawn: u64,
    /// Defects of the rows.
    pub defects: SplitDefects,
}

/// Defects of split rows, by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SplitDefects {
    /// Duplicate rows.
    pub duplicates: u64,
    /// Rows that contradict each other.
    pub contradictions: u64,
    /// Rows with an impossible ratio.
    pub refused: u64,
    /// Rows whose ticker is not a valid symbol.
    pub bad_symbols: u64,
    /// Rows with an invalid day.
    pub bad_days: u64,
    /// Rows that are not a JSON object.
    pub nonsense: u64,
}

/// What lookups of single tickers have changed; its JSON is public.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LookupsReport {
    /// Lookups of this run that were answered, also with an empty answer.
    pub answered: u64,
    /// Rows that they added to the table.
    #[serde(rename = "brought")]
    pub added: u64,
    /// Lookups that are left.
    pub left: u64,
}

/// The result of a user's table; its JSON is public.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AnnotationReport {
    /// Rows of the table.
    pub rows: u64,
    /// Tickers that have a sector or an industry now.
    pub tickers: u64,
    /// Tickers that are not known.
    pub unknown: u64,
}

/// Rows of all pages, and their defects.
struct Pages<T> {
    rows: Vec<T>,
    count: u64,
    bad_symbols: u64,
    bad_days: u64,
    nonsense: u64,
}

/// A stored response is damaged, or has the form of another version: it says nothing about what was asked.
struct UnreadableAnswer;

/// The list date of a stored response; None if the server knows none.
fn list_date(answer: &str) -> Result<Option<Date>, UnreadableAnswer> {
    let day: Option<String> = serde_json::from_str(answer).map_err(|_| UnreadableAnswer)?;
    day.map(|day| day.parse()).transpose().map_err(|_| UnreadableAnswer)
}

/// The renames of a stored response; None if the server does not know the ticker.
fn renames(answer: &str) -> Result<Option<Vec<Rename>>, UnreadableAnswer> {
    serde_json::from_str(answer).map_err(|_| UnreadableAnswer)
}

/// Forgets the answers of one kind that cannot be read, damaged or of another version's form: they are requested again. To take one for "the
/// server knows nothing" would be for good.
///
/// # Errors
/// If the manifest cannot be read or written.
pub fn forget_unreadable(
    writer: &mut ManifestWriter,
    kind: LookupKind,
    observer: &dyn Observer,
) -> Result<(), Error> {
    let can_be_read = |answer: &str| match kind {
        LookupKind::Details => list_date(answer).is_ok(),
        LookupKind::Renames => renames(answer).is_ok(),
    };
    let kept = writer.lookups(kind)?.into_iter();
    let subjects: Vec<_> = kept.filter(|kept| !can_be_read(&kept.answer)).map(|kept| kept.subject).collect();
    if !subjects.is_empty() {
        observer.notice(&Notice::AnswersUnreadable { count: subjects.len(), kind: kind.as_str() });
        writer.forget_lookups(kind, &subjects)?;
    }
    Ok(())
}

/// Forgets lists of which a stored page cannot be read, damaged or of another version's form: they are requested from the beginning.
///
/// # Errors
/// If the manifest cannot be read or written.
pub fn forget_unreadable_lists(writer: &mut ManifestWriter, observer: &dyn Observer) -> Result<(), Error> {
    for list in [ReferenceList::Active, ReferenceList::Left, ReferenceList::Splits, ReferenceList::OldSplits]
    {
        let pages = writer.list_pages(list.as_str())?;
        let is_unreadable = match list {
            ReferenceList::Active | ReferenceList::Left => Pages::<Listing>::read(&pages).is_err(),
            ReferenceList::Splits | ReferenceList::OldSplits => Pages::<Split>::read(&pages).is_err(),
        };
        if is_unreadable {
            observer.notice(&Notice::ListUnreadable(list.as_str()));
            writer.forget_list(list.as_str())?;
        }
    }
    Ok(())
}

impl<T: DeserializeOwned> Pages<T> {
    fn read(kept: &[SavedListPage]) -> Result<Self, ManifestError> {
        let mut all = Self { rows: Vec::new(), count: 0, bad_symbols: 0, bad_days: 0, nonsense: 0 };
        for page in kept {
            let rows: Vec<T> = serde_json::from_str(&page.rows)
                .map_err(|error| ManifestError::Corrupt(format!("a page of a list: {error}")))?;
            all.rows.extend(rows);
            all.count += 1;
            all.bad_symbols += page.bad_symbols;
            all.bad_days += page.bad_days;
            all.nonsense += page.nonsense;
        }
        Ok(all)
    }
}

/// Reads a table. A damaged one counts as absent: it is replaced, with a notice.
fn known<T>(table: Result<Option<T>, StoreError>, observer: &dyn Observer) -> Result<Option<T>, Error> {
    match table {
        Err(error @ StoreError::Reference { .. }) => {
            observer.notice(&Notice::TableReplaced(error.to_string()));
            Ok(None)
        }
        table => Ok(table?),
    }
}

/// Defects as JSON, for the history.
fn json(defects: &impl Serialize) -> Result<String, Error> {
    Ok(serde_json::to_string(defects).map_err(io::Error::other)?)
}

impl TableSync {
    /// Writes the tables whose lists are complete, then deletes the saved lists and records the changes, in one
    /// transaction.
    ///
    /// # Errors
    /// If table or manifest cannot be read or written.
    pub fn lists(
        &self,
        writer: &mut ManifestWriter,
        needs: ReferenceSelection,
    ) -> Result<(Option<TickersReport>, Option<SplitsReport>), Error> {
        let tickers = if needs.tickers { self.tickers(writer)? } else { None };
        let splits = if needs.splits { self.splits(writer)? } else { None };
        let (mut names, mut rows) = (Vec::new(), Vec::new());
        if let Some(tickers) = &tickers {
            names.extend([ReferenceList::Active.as_str(), ReferenceList::Left.as_str()]);
            let defects = json(&tickers.defects)?;
            rows.push(SyncRecord { what: "tickers", rows: tickers.rows, pages: tickers.pages, defects });
        }
        if let Some(splits) = &splits {
            names.extend([ReferenceList::Splits.as_str(), ReferenceList::OldSplits.as_str()]);
            let defects = json(&splits.defects)?;
            rows.push(SyncRecord { what: "splits", rows: splits.rows, pages: splits.pages, defects });
        }
        writer.end_sync(self.now_ms, &names, &rows)?;
        Ok((tickers, splits))
    }

    /// Writes the tickers, if both of their lists are complete.
    ///
    /// # Errors
    /// If table or manifest cannot be read or written.
    fn tickers(&self, writer: &ManifestWriter) -> Result<Option<TickersReport>, Error> {
        let names = [ReferenceList::Active.as_str(), ReferenceList::Left.as_str()];
        let (active, left) = (writer.complete_list(names[0])?, writer.complete_list(names[1])?);
        let Some((mut pages, left)) = active.zip(left) else { return Ok(None) };
        pages.extend(left);
        let Pages { rows, count: pages, bad_symbols, bad_days, nonsense } = Pages::<Listing>::read(&pages)?;
        let count = rows.len() as u64;
        if rows.iter().all(|row| row.active) {
            self.observer.notice(&Notice::NoDelistedSymbols);
        }
        let kept = known(reference::read_tickers(&self.data_dir), &*self.observer)?
            .map(|table| table.periods)
            .unwrap_or_default();
        let merged = universe::merge(kept, rows, self.now_ms);
        let universe::RowDefects { listed_twice, other_cik, without_figi } = merged.defects;
        let report = TickersReport {
            rows: count,
            pages,
            periods: merged.periods.len() as u64,
            active: merged.periods.iter().filter(|period| period.listing.active).count() as u64,
            new: merged.new,
            left: merged.left.len() as u64,
            gone: merged.left,
            not_seen: merged.not_seen,
            defects: TickerDefects { listed_twice, other_cik, without_figi, bad_symbols, bad_days, nonsense },
        };
        self.write_tickers(merged.periods)?;
        Ok(Some(report))
    }

    fn write_tickers(&self, periods: Vec<ListingPeriod>) -> Result<(), Error> {
        let tickers = TickersTable { periods, fetched_ms: self.now_ms, source: self.source.clone() };
        Ok(reference::write_tickers(&self.data_dir, &tickers)?)
    }

    /// Writes the splits, if their list is complete, from either endpoint.
    ///
    /// # Errors
    /// If table or manifest cannot be read or written.
    fn splits(&self, writer: &ManifestWriter) -> Result<Option<SplitsReport>, Error> {
        let new = writer.complete_list(ReferenceList::Splits.as_str())?;
        let is_old = new.is_none();
        let Some(pages) =
            new.map_or_else(|| writer.complete_list(ReferenceList::OldSplits.as_str()), |new| Ok(Some(new)))?
        else {
            return Ok(None);
        };
        let Pages { rows, count: pages, bad_symbols, bad_days, nonsense } = Pages::<Split>::read(&pages)?;
        let count = rows.len() as u64;
        let kept = known(reference::read_splits(&self.data_dir), &*self.observer)?
            .map(|table| table.rows)
            .unwrap_or_default();
        // Splits are never all withdrawn: an empty list is accepted only if no split is known. And the old endpoint
        // says nothing about rows of the new one.
        let covers = |split: &Split| count > 0 && (!is_old || split.adjustment_type.is_none());
        let merged = reference::merge(kept, rows, self.now_ms, covers);
        let report = SplitsReport {
            rows: count,
            pages,
            kept: merged.rows.len() as u64,
            added: merged.added,
            withdrawn: merged.withdrawn,
            defects: SplitDefects {
                duplicates: merged.duplicates,
                contradictions: merged.contradictions.len() as u64,
                refused: merged.refused.len() as u64,
                bad_symbols,
                bad_days,
                nonsense,
            },
        };
        merged.contradictions.iter().for_each(|one| tracing::warn!("{one}"));
        let (rows, source) = (merged.rows, self.source.clone());
        reference::write_splits(&self.data_dir, &ReferenceTable { rows, fetched_ms: self.now_ms, source })?;
        Ok(Some(report))
    }

    /// Writes the list dates of answered lookups into their listing periods. Returns how many had none before.
    ///
    /// # Errors
    /// If table or manifest cannot be read or written.
    pub fn details(&self, writer: &mut ManifestWriter) -> Result<u64, Error> {
        let Some(mut table) = reference::read_tickers(&self.data_dir)? else { return Ok(0) };
        let mut listed = std::collections::HashMap::new();
        for lookup in writer.lookups(LookupKind::Details)? {
            if let Ok(Some(day)) = list_date(&lookup.answer) {
                listed.insert(lookup.subject, day);
            }
        }
        let mut new = 0;
        for period in &mut table.periods {
            let day = listed.get(&subject_of(period)).filter(|_| period.listed.is_none());
            // A list date after the delisting is wrong.
            if let Some(day) = day.filter(|day| period.end().is_none_or(|end| **day <= end)) {
                period.listed = Some(*day);
                new += 1;
            }
        }
        if new > 0 {
            reference::write_tickers(&self.data_dir, &table)?;
        }
        let answers = writer.pending_lookups(LookupKind::Details)?.len() as u64;
        if answers > 0 {
            let defects = "{}".to_owned();
            writer.end_sync(
                self.now_ms,
                &[],
                &[SyncRecord { what: LookupKind::Details.as_str(), rows: new, pages: answers, defects }],
            )?;
        }
        Ok(new)
    }

    /// Writes the renames of answered lookups. Returns how many are new.
    ///
    /// # Errors
    /// If table or manifest cannot be read or written.
    pub fn renames(&self, writer: &mut ManifestWriter) -> Result<u64, Error> {
        let table = known(reference::read_renames(&self.data_dir), &*self.observer)?;
        let answers = match table {
            Some(_) => writer.pending_lookups(LookupKind::Renames)?,
            None => writer.lookups(LookupKind::Renames)?,
        };
        if answers.is_empty() {
            return Ok(0);
        }
        let (mut rows, mut requested): (Vec<Rename>, HashSet<Symbol>) = Default::default();
        for answer in &answers {
            // What could not be read was forgotten before this run asked.
            let Ok(renames) = renames(&answer.answer) else { continue };
            requested.insert(answer.ticker.clone());
            rows.extend(renames.unwrap_or_default());
        }
        let (count, pages) = (rows.len() as u64, answers.len() as u64);
        let kept = table.map(|table| table.rows).unwrap_or_default();
        let merged =
            reference::merge(kept, rows, self.now_ms, |rename: &Rename| requested.contains(&rename.asked_as));
        let (rows, source) = (merged.rows, self.source.clone());
        reference::write_renames(&self.data_dir, &ReferenceTable { rows, fetched_ms: self.now_ms, source })?;
        let defects = json(&serde_json::json!({
            "duplicates": merged.duplicates,
            "contradictions": merged.contradictions.len(),
        }))?;
        writer.end_sync(
            self.now_ms,
            &[],
            &[SyncRecord { what: LookupKind::Renames.as_str(), rows: count, pages, defects }],
        )?;
        Ok(merged.added)
    }

    /// Writes a user's sectors and industries to the tickers. Returns which of the user's tickers are not known.
    ///
    /// # Errors
    /// If there are no tickers yet, or table or manifest cannot be read or written.
    pub fn annotate(
        &self,
        writer: &mut ManifestWriter,
        annotations: &[Annotation],
    ) -> Result<(AnnotationReport, BTreeSet<String>), Error> {
        let nothing = || Error::Usage("--annotate: no tickers are known here yet".to_owned());
        let mut table = reference::read_tickers(&self.data_dir)?.ok_or_else(nothing)?;
        let (tickers, unknown) = universe::annotate(&mut table.periods, annotations);
        reference::write_tickers(&self.data_dir, &table)?;
        let (rows, defects) = (annotations.len() as u64, format!(r#"{{"unknown":{}}}"#, unknown.len()));
        writer.end_sync(self.now_ms, &[], &[SyncRecord { what: "annotations", rows, pages: 1, defects }])?;
        Ok((AnnotationReport { rows, tickers, unknown: unknown.len() as u64 }, unknown))
    }
}

/// The key of a saved details lookup: the ticker, and the permanent identity of the security.
pub fn subject_of(period: &ListingPeriod) -> String {
    format!("{}|{}", period.ticker(), period.identity())
}

/// The listing periods of a data directory; empty if no sync has fetched any.
///
/// # Errors
/// If they cannot be read.
pub fn listing_periods(data_dir: &DataDir) -> Result<Vec<ListingPeriod>, Error> {
    Ok(reference::read_tickers(data_dir)?.map(|table| table.periods).unwrap_or_default())
}
