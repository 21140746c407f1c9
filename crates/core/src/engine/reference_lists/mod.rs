//! Reference lists, page by page, and lookups of single tickers. Changes no task and no table: responses are stored in
//! the manifest, where a list is complete or continues at its cursor.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use grab_model::Cursor;

use super::{
    RunContext,
    question_job::{self, JobOutcome, NextQuestion, QuestionJob},
};
use crate::{
    manifest::{LookupKind, ManifestError, SavedListPage, SavedLookup},
    source::{
        Disposition, FetchError, ListPage, ListRows, Lookup, LookupAnswer, ReferenceList, ReferenceSource,
        ResponseMismatch,
    },
};

/// More pages than any list has: 1,000 tickers each, of some 40,000 that ever existed.
const MOST_PAGES: u32 = 1_000;

/// After this many pages in a row without a row, each of which names another page, the list is taken to be endless.
const BARREN_PAGES: u32 = 20;

/// If this many lookups in a row are given up, the source is at fault.
const GIVEN_UP_IN_A_ROW: u32 = 5;

/// The longest age of an unfinished list that is continued, in ms: its cursor pins the day.
const LONGEST_MS: i64 = 86_400_000;

/// What to fetch.
#[derive(Clone, Debug, Default)]
pub struct ReferenceRequests {
    /// Whole lists.
    pub lists: Vec<ReferenceList>,
    /// The longest age of an unfinished list that is continued, in ms; never more than a day.
    pub longest_ms: Option<i64>,
    /// Lookups, each with the subject under which it is stored, in the order of their value.
    pub lookups: Vec<(Lookup, String)>,
}

/// The result of a fetch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchedLists {
    /// Lists that the plan does not include or the source does not have, and those that were given up, each with the reason.
    pub lists_without: Vec<(ReferenceList, String)>,
    /// Lookups that were answered.
    pub answered: u64,
    /// Lookups of tickers that the source does not know.
    pub not_found: u64,
    /// Lookups that the plan does not include.
    pub not_entitled: u64,
    /// Lookups that were given up.
    pub failed: u64,
    given_up_in_a_row: u32,
}

/// One request.
#[derive(Clone)]
enum ListQuestion {
    /// The next page of a list.
    Page(ListProgress),
    /// A lookup of one ticker, and the subject under which it is stored.
    Single(Lookup, String),
}

/// The progress of a list in this run.
#[derive(Clone)]
struct ListProgress {
    list: ReferenceList,
    cursor: Option<Cursor>,
    pages: u32,
    /// Pages in a row without a row.
    barren: u32,
    /// Cursors that were followed.
    followed: HashSet<Cursor>,
    /// Whether it was started again, which helps once.
    is_restarted: bool,
}

enum ListAnswer {
    Page(ListPage),
    Single(LookupAnswer),
}

/// The job that fetches them.
struct ListsJob<S> {
    source: S,
    tally: Mutex<FetchedLists>,
}

/// Fetches what is wanted until nothing is left or the run is stopped. Each page and each response is in the manifest
/// before anything follows from it.
///
/// # Errors
/// If the manifest can no longer be written.
pub async fn fetch_lists<S: ReferenceSource>(
    source: S,
    wanted: ReferenceRequests,
    parts: RunContext,
) -> Result<FetchedLists, ManifestError> {
    let mut requested = Vec::new();
    let longest_ms = wanted.longest_ms.map_or(LONGEST_MS, |longest| longest.min(LONGEST_MS));
    for list in wanted.lists {
        let name = parts.store.source().to_owned();
        let way =
            parts.manifest.call(move |writer| writer.begin_list(list.as_str(), &name, longest_ms)).await?;
        if !way.is_whole {
            let pages = u32::try_from(way.pages).unwrap_or(MOST_PAGES);
            let followed = way.cursor.iter().cloned().collect();
            let walk =
                ListProgress { list, cursor: way.cursor, pages, barren: 0, followed, is_restarted: false };
            requested.push(ListQuestion::Page(walk));
        }
    }
    requested
        .extend(wanted.lookups.into_iter().map(|(lookup, subject)| ListQuestion::Single(lookup, subject)));
    let job = question_job::run(ListsJob { source, tally: Mutex::default() }, requested, parts).await?;
    Ok(job.tally.into_inner().unwrap_or_else(PoisonError::into_inner))
}

impl<S: ReferenceSource> QuestionJob for ListsJob<S> {
    type Source = S;
    type Question = ListQuestion;
    type Answer = ListAnswer;

    fn source(&self) -> &S {
        &self.source
    }

    fn name(question: &ListQuestion) -> String {
        match question {
            ListQuestion::Page(walk) => format!("page {} of the {}", walk.pages + 1, walk.list.as_str()),
            ListQuestion::Single(Lookup::Details(ticker, _), _) => format!("the details of {ticker}"),
            ListQuestion::Single(Lookup::Renames(ticker), _) => format!("the renames of {ticker}"),
        }
    }

    async fn ask(&self, question: &ListQuestion) -> Result<ListAnswer, FetchError> {
        match question {
            ListQuestion::Page(walk) => {
                let page = self.source.list_page(walk.list, walk.cursor.as_ref()).await?;
                walk.check(&page)?;
                Ok(ListAnswer::Page(page))
            }
            ListQuestion::Single(lookup, _) => self.source.look_up(lookup).await.map(ListAnswer::Single),
        }
    }

    fn bytes(answer: &ListAnswer) -> u64 {
        match answer {
            ListAnswer::Page(page) => page.bytes,
            ListAnswer::Single(record) => record.bytes,
        }
    }

    async fn store(
        &self,
        parts: &RunContext,
        question: &ListQuestion,
        answer: ListAnswer,
    ) -> Result<NextQuestion<ListQuestion>, ManifestError> {
        match (question, answer) {
            (ListQuestion::Page(walk), ListAnswer::Page(page)) => walk.keep(parts, page).await,
            (ListQuestion::Single(lookup, subject), ListAnswer::Single(record)) => {
                keep_record(parts, lookup, subject, Some(record)).await?;
                Ok(NextQuestion::Settled(JobOutcome::Kept))
            }
            (ListQuestion::Page(_) | ListQuestion::Single(..), _) => {
                Ok(NextQuestion::Settled(JobOutcome::Failed("a response to another request".to_owned())))
            }
        }
    }

    fn alternative(&self, question: &ListQuestion, disposition: Disposition) -> Option<ListQuestion> {
        let ListQuestion::Page(walk) = question else { return None };
        let is_left_on_its_way = walk.cursor.is_some() && !walk.is_restarted;
        match disposition {
            // The cursor is refused; the list itself may not be.
            Disposition::RetryTwice | Disposition::NotFound | Disposition::UnknownRoute
                if is_left_on_its_way =>
            {
                Some(ListQuestion::Page(ListProgress::restarted(walk.list)))
            }
            Disposition::NotEntitled
            | Disposition::Timeframe
            | Disposition::KeyRefused
            | Disposition::NotFound
            | Disposition::UnknownRoute
                if walk.list == ReferenceList::Splits =>
            {
                Some(ListQuestion::Page(ListProgress::restarted(ReferenceList::OldSplits)))
            }
            Disposition::Retry
            | Disposition::Unwell(_)
            | Disposition::RetryTwice
            | Disposition::SlowDown { .. }
            | Disposition::Outage
            | Disposition::KeyRefused
            | Disposition::CursorForgets
            | Disposition::NotYet
            | Disposition::NotEntitled
            | Disposition::Timeframe
            | Disposition::NotFound
            | Disposition::UnknownRoute => None,
        }
    }

    async fn settle(
        &self,
        parts: &RunContext,
        question: &ListQuestion,
        outcome: JobOutcome,
    ) -> Result<Option<String>, ManifestError> {
        match question {
            ListQuestion::Page(walk) => {
                if let Some(why) = why(outcome) {
                    self.tally().lists_without.push((walk.list, why));
                }
                Ok(None)
            }
            ListQuestion::Single(lookup, subject) => {
                if outcome == JobOutcome::NotFound {
                    // The source does not know the ticker: another request would not change that.
                    keep_record(parts, lookup, subject, None).await?;
                }
                Ok(self.tally().add(outcome))
            }
        }
    }
}

impl<S> ListsJob<S> {
    fn tally(&self) -> std::sync::MutexGuard<'_, FetchedLists> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why there is no list. None if there is one.
fn why(outcome: JobOutcome) -> Option<String> {
    match outcome {
        JobOutcome::Kept => None,
        JobOutcome::NotEntitled | JobOutcome::NotYet => Some("the plan does not include it".to_owned()),
        JobOutcome::NotFound | JobOutcome::UnknownRoute => Some("the source has no such list".to_owned()),
        JobOutcome::NoRows => Some("it is empty".to_owned()),
        JobOutcome::Refused(reason) | JobOutcome::Failed(reason) => Some(reason),
    }
}

impl FetchedLists {
    /// Counts a lookup. Returns why nothing else is worth a request, if that is so.
    fn add(&mut self, outcome: JobOutcome) -> Option<String> {
        let in_a_row = std::mem::take(&mut self.given_up_in_a_row);
        match outcome {
            JobOutcome::Kept => self.answered += 1,
            JobOutcome::NotFound => self.not_found += 1,
            JobOutcome::NotEntitled | JobOutcome::NotYet | JobOutcome::UnknownRoute => self.not_entitled += 1,
            JobOutcome::NoRows => self.failed += 1,
            JobOutcome::Refused(reason) | JobOutcome::Failed(reason) => {
                self.failed += 1;
                self.given_up_in_a_row = in_a_row + 1;
                return (self.given_up_in_a_row >= GIVEN_UP_IN_A_ROW).then_some(reason);
            }
        }
        None
    }
}

impl ListProgress {
    /// Starts a list from its beginning, whatever is stored of it.
    fn restarted(list: ReferenceList) -> Self {
        Self { list, cursor: None, pages: 0, barren: 0, followed: HashSet::new(), is_restarted: true }
    }

    /// Checks that the page can be followed to an end.
    fn check(&self, page: &ListPage) -> Result<(), ResponseMismatch> {
        let Some(next) = &page.next else { return Ok(()) };
        if self.followed.contains(next) {
            return Err(ResponseMismatch::Repeated(next.to_string()));
        }
        let barren = if page.rows.is_empty() { self.barren + 1 } else { 0 };
        if barren >= BARREN_PAGES {
            return Err(ResponseMismatch::Endless { pages: barren });
        }
        if self.pages + 1 >= MOST_PAGES {
            return Err(ResponseMismatch::TooLong { pages: self.pages + 1 });
        }
        Ok(())
    }

    async fn keep(
        &self,
        parts: &RunContext,
        page: ListPage,
    ) -> Result<NextQuestion<ListQuestion>, ManifestError> {
        let (list, is_first) = (self.list, self.pages == 0);
        let (next, is_barren) = (page.next.clone(), page.rows.is_empty());
        if is_first && is_barren && next.is_none() && list == ReferenceList::Active {
            // There is no market without tickers: an accepted empty list would say of each that it is not listed.
            return Ok(NextQuestion::Settled(JobOutcome::NoRows));
        }
        let name = parts.store.source().to_owned();
        let kept = kept(page)?;
        let cursor = next.clone();
        parts
            .manifest
            .call(move |writer| {
                if is_first {
                    writer.forget_list(list.as_str())?;
                    writer.begin_list(list.as_str(), &name, LONGEST_MS)?;
                }
                writer.save_list_page(list.as_str(), &kept, cursor.as_ref())
            })
            .await?;
        let Some(cursor) = next else { return Ok(NextQuestion::Settled(JobOutcome::Kept)) };
        let mut walk = self.clone();
        walk.followed.insert(cursor.clone());
        walk.cursor = Some(cursor);
        walk.pages += 1;
        walk.barren = if is_barren { walk.barren + 1 } else { 0 };
        Ok(NextQuestion::Further(ListQuestion::Page(walk)))
    }
}

fn kept(page: ListPage) -> Result<SavedListPage, ManifestError> {
    let rows = match page.rows {
        ListRows::Listings(rows) => serde_json::to_string(&rows),
        ListRows::Splits(rows) => serde_json::to_string(&rows),
    };
    let rows = rows.map_err(|error| ManifestError::Corrupt(error.to_string()))?;
    let ListPage { bad_symbols, bad_days, nonsense, .. } = page;
    Ok(SavedListPage { rows, bad_symbols, bad_days, nonsense })
}

async fn keep_record(
    parts: &RunContext,
    lookup: &Lookup,
    subject: &str,
    record: Option<LookupAnswer>,
) -> Result<(), ManifestError> {
    let (kind, answer) = match (lookup, record) {
        (Lookup::Details(..), record) => {
            let listed = record.and_then(|record| record.listed).map(|day| day.to_string());
            (LookupKind::Details, serde_json::to_string(&listed))
        }
        (Lookup::Renames(_), record) => {
            (LookupKind::Renames, serde_json::to_string(&record.map(|record| record.renames)))
        }
    };
    let answer = answer.map_err(|error| ManifestError::Corrupt(error.to_string()))?;
    let (subject, ticker) = (subject.to_owned(), lookup.ticker().clone());
    let kept = SavedLookup { kind, subject, ticker, answer };
    parts.manifest.call(move |writer| writer.save_lookup(&kept)).await
}
