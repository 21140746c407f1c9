//! Fetches the lists that a command needs, saves them, and writes them into their tables.

use std::collections::{HashMap, HashSet};

use grab_core::{
    data_dir::DataDir,
    engine::{FetchedLists, ReferenceRequests, RunContext, fetch_lists},
    manifest::{LookupKind, ManifestError, ManifestWriter, Outstanding, StoreKind},
    source::{Lookup, Polygon, ReferenceList},
    store::BarStore,
};
use grab_model::{
    ListingPeriod, Symbol,
    universe::{ListingSpan, Universe},
};
use jiff::ToSpan;
use serde::Serialize;

use super::{
    selection::{ListDates, ReferenceSelection, Renames},
    subscription_scope::filter_of,
    tables::{
        LookupsReport, SplitsReport, TableSync, TickersReport, forget_unreadable, forget_unreadable_lists,
        listing_periods, subject_of,
    },
};
use crate::{Connection, Error, Observer, RunHandles};

/// What was fetched; its JSON is public.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ReferenceReport {
    /// Of the tickers.
    pub tickers: Option<TickersReport>,
    /// Of the splits.
    pub splits: Option<SplitsReport>,
    /// Of list dates.
    pub list_dates: Option<LookupsReport>,
    /// Of renames.
    pub renames: Option<LookupsReport>,
    /// What could not be fetched, and why.
    pub without: Vec<MissingList>,
}

/// Something that could not be fetched; its JSON is public.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MissingList {
    /// What it is.
    pub what: String,
    /// The reason.
    pub reason: String,
}

/// Everything that a fetch needs.
pub struct ReferenceFetch<'a> {
    /// How to reach the source.
    pub connection: &'a Connection,
    /// The kind of bars in the directory.
    pub kind: StoreKind,
    /// The store, which knows the name of the source.
    pub store: &'a BarStore,
    /// The client.
    pub source: &'a Polygon,
    /// What the workers of the run share.
    pub running: &'a RunHandles,
    /// Writes the tables.
    pub sync: TableSync,
}

impl ReferenceFetch<'_> {
    /// Fetches the tickers, and what else is needed, and writes them into their tables. If the run is stopped before
    /// all lists are complete, they stay saved as unfinished.
    ///
    /// # Errors
    /// If manifest or tables cannot be read or written.
    pub async fn fetch_all(&self, needs: ReferenceSelection) -> Result<ReferenceReport, Error> {
        let mut report = ReferenceReport::default();
        let mut lists = Vec::new();
        lists.extend(
            needs.tickers.then_some([ReferenceList::Active, ReferenceList::Left]).into_iter().flatten(),
        );
        lists.extend(needs.splits.then_some(ReferenceList::Splits));
        let mut wanted = lists.clone();
        if !lists.is_empty() {
            self.in_writer(|sync, writer| forget_unreadable_lists(writer, &*sync.observer)).await?;
        }
        let longest_ms = needs.begun_since_ms.map(|since| self.sync.now_ms.saturating_sub(since));
        let fetched = self
            .fetch("list", ReferenceRequests { lists, longest_ms, ..ReferenceRequests::default() })
            .await?;
        let without: HashSet<ReferenceList> = fetched.lists_without.iter().map(|(list, _)| *list).collect();
        wanted.retain(|list| !without.contains(list));
        report.add_without(fetched);
        if self.running.stop.is_requested() && !self.are_complete(wanted).await? {
            // A list that is written into its table is no longer saved: the next run would fetch it again.
            return Ok(report);
        }
        let lists = move |sync: &TableSync, writer: &mut ManifestWriter| sync.lists(writer, needs);
        (report.tickers, report.splits) = self.in_writer(lists).await?;
        if needs.list_dates != ListDates::None {
            report.list_dates = Some(self.list_dates(needs.list_dates, &mut report.without).await?);
        }
        if needs.renames != Renames::None {
            report.renames = Some(self.renames(needs.renames, &mut report.without).await?);
        }
        Ok(report)
    }

    /// Whether each list is complete.
    async fn are_complete(&self, lists: Vec<ReferenceList>) -> Result<bool, Error> {
        let is_whole = move |writer: &mut ManifestWriter| {
            let mut are_whole = true;
            for list in lists {
                let is_old = list == ReferenceList::Splits
                    && writer.complete_list(ReferenceList::OldSplits.as_str())?.is_some();
                are_whole &= is_old || writer.complete_list(list.as_str())?.is_some();
            }
            Ok(are_whole)
        };
        Ok(self.running.manifest.call(is_whole).await?)
    }

    /// Fetches the tickers and nothing else.
    ///
    /// # Errors
    /// If they are not there when this returns, for whatever reason.
    pub async fn fetch_universe(&self) -> Result<(), Error> {
        let report =
            self.fetch_all(ReferenceSelection { tickers: true, ..ReferenceSelection::default() }).await?;
        if report.tickers.is_some() {
            return Ok(());
        }
        if let Some(reason) = self.running.stop.reason() {
            return Err(Error::Stopped(reason));
        }
        let why = |one: &MissingList| format!("{}: {}", one.what, one.reason);
        Err(Error::NoList(report.without.iter().map(why).collect::<Vec<_>>().join("; ")))
    }

    async fn list_dates(
        &self,
        whose: ListDates,
        without: &mut Vec<MissingList>,
    ) -> Result<LookupsReport, Error> {
        let data_dir = self.sync.data_dir.clone();
        let wanted = self
            .in_writer(move |sync, writer| details_wanted(&data_dir, writer, whose, &*sync.observer))
            .await?;
        let answered = self.look_up("list date", wanted.clone(), without).await?;
        let new = self.in_writer(TableSync::details).await?;
        Ok(LookupsReport { answered, added: new, left: wanted.len() as u64 - answered })
    }

    async fn renames(&self, whose: Renames, without: &mut Vec<MissingList>) -> Result<LookupsReport, Error> {
        let data_dir = self.sync.data_dir.clone();
        let wanted = self
            .in_writer(move |sync, writer| renames_wanted(&data_dir, writer, whose, &*sync.observer))
            .await?;
        let answered = self.look_up("ticker", wanted.clone(), without).await?;
        let new = self.in_writer(TableSync::renames).await?;
        Ok(LookupsReport { answered, added: new, left: wanted.len() as u64 - answered })
    }

    /// Sends lookups. Returns how many were answered.
    async fn look_up(
        &self,
        what: &'static str,
        lookups: Vec<(Lookup, String)>,
        without: &mut Vec<MissingList>,
    ) -> Result<u64, Error> {
        let fetched = self.fetch(what, ReferenceRequests { lookups, ..ReferenceRequests::default() }).await?;
        let reasons = [(fetched.not_entitled, "the plan does not include it"), (fetched.failed, "given up")];
        for (count, reason) in reasons.into_iter().filter(|(count, _)| *count > 0) {
            without.push(MissingList { what: format!("{count} of {what}s"), reason: reason.to_owned() });
        }
        Ok(fetched.answered + fetched.not_found)
    }

    async fn fetch(&self, what: &'static str, wanted: ReferenceRequests) -> Result<FetchedLists, Error> {
        if self.running.stop.is_requested() || wanted.lists.is_empty() && wanted.lookups.is_empty() {
            return Ok(FetchedLists::default());
        }
        let count = (wanted.lists.len() + wanted.lookups.len()) as u64;
        let outstanding = Outstanding { tasks: count, days: count };
        let shown = self.connection.show(self.kind, what, None, outstanding, self.running);
        let fetched = fetch_lists(self.source.clone(), wanted, self.parts()).await;
        shown.end().await;
        Ok(fetched?)
    }

    fn parts(&self) -> RunContext {
        self.connection.parts(self.kind, self.store.clone(), self.running)
    }

    /// Runs a step that reads and writes the manifest and tables, on the manifest's own thread.
    async fn in_writer<T: Send + 'static>(
        &self,
        step: impl FnOnce(&TableSync, &mut ManifestWriter) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let sync = self.sync.clone();
        self.running.manifest.call(move |writer| Ok::<_, ManifestError>(step(&sync, writer))).await?
    }
}

impl ReferenceReport {
    fn add_without(&mut self, fetched: FetchedLists) {
        let without = fetched.lists_without.into_iter();
        self.without
            .extend(without.map(|(list, reason)| MissingList { what: list.as_str().to_owned(), reason }));
    }
}

/// The list dates that were never looked up: first of symbols with tasks, then of active ones.
fn details_wanted(
    data_dir: &DataDir,
    writer: &mut ManifestWriter,
    whose: ListDates,
    observer: &dyn Observer,
) -> Result<Vec<(Lookup, String)>, Error> {
    forget_unreadable(writer, LookupKind::Details, observer)?;
    let (requested, stored) = (writer.requested(LookupKind::Details)?, writer.windows()?);
    let mut wanted: Vec<ListingPeriod> = listing_periods(data_dir)?;
    if whose == ListDates::New {
        let first_sync = wanted.iter().map(|period| period.first_seen_ms).min();
        let universe = Universe::new(std::mem::take(&mut wanted));
        let filters: Vec<_> = writer.subscriptions()?.iter().map(filter_of).collect();
        let is_ordered = |(period, span): &(&ListingPeriod, ListingSpan)| {
            filters.iter().any(|one| one.admits(period, *span))
        };
        let new = universe.periods().filter(|(period, _)| Some(period.first_seen_ms) != first_sync);
        wanted = new.filter(is_ordered).map(|(period, _)| period.clone()).collect();
    }
    wanted.retain(|period| period.listed.is_none() && !requested.contains(&subject_of(period)));
    wanted.sort_by_key(|period| (!stored.contains_key(period.ticker()), !period.listing.active));
    let question = |period: &ListingPeriod| {
        let day = match (period.listing.active, period.listing.delisted) {
            (true, _) => None,
            (false, Some(left)) => Some(left.saturating_sub(1.day())),
            (false, None) => return None,
        };
        Some((Lookup::Details(period.ticker().clone(), day), subject_of(period)))
    };
    Ok(wanted.iter().filter_map(question).collect())
}

/// The number of list dates that were never looked up.
///
/// # Errors
/// If the manifest or the tickers cannot be read.
pub fn list_dates_left(data_dir: &DataDir) -> Result<u64, Error> {
    let requested = data_dir.open_read()?.requested(LookupKind::Details)?;
    let is_left = |period: &&ListingPeriod| {
        period.listed.is_none() && period.listing.delisted.is_some() != period.listing.active
    };
    Ok(listing_periods(data_dir)?
        .iter()
        .filter(is_left)
        .filter(|period| !requested.contains(&subject_of(period)))
        .count() as u64)
}

/// The tickers that were not looked up since their rows changed.
fn renames_wanted(
    data_dir: &DataDir,
    writer: &mut ManifestWriter,
    whose: Renames,
    observer: &dyn Observer,
) -> Result<Vec<(Lookup, String)>, Error> {
    forget_unreadable(writer, LookupKind::Renames, observer)?;
    let requested = writer.requested(LookupKind::Renames)?;
    let periods = listing_periods(data_dir)?;
    let stored: HashSet<Symbol> = writer.windows()?.into_keys().collect();
    let symbols = match whose {
        Renames::None => HashSet::new(),
        Renames::Successors => successors(&periods, &stored),
        Renames::Stored => stored,
    };
    let mut rows: HashMap<&Symbol, String> = HashMap::new();
    for period in &periods {
        let left = period.listing.delisted.map(|day| day.to_string()).unwrap_or_default();
        let row = format!("|{}|{}|{left}", period.identity(), period.listing.active);
        rows.entry(period.ticker()).or_default().push_str(&row);
    }
    let mut wanted: Vec<_> = symbols
        .into_iter()
        .map(|symbol| {
            let subject = format!("{symbol}{}", rows.get(&symbol).map(String::as_str).unwrap_or_default());
            (Lookup::Renames(symbol), subject)
        })
        .collect();
    wanted.retain(|(_, subject)| !requested.contains(subject));
    wanted.sort();
    Ok(wanted)
}

/// The present tickers of securities that are stored under a former one, if a later sync than the first has added them.
fn successors(periods: &[ListingPeriod], stored: &HashSet<Symbol>) -> HashSet<Symbol> {
    let first_sync = periods.iter().map(|period| period.first_seen_ms).min();
    let left = periods.iter().filter(|period| !period.listing.active && stored.contains(period.ticker()));
    let figis: HashSet<_> = left.filter_map(|period| period.listing.composite_figi.as_deref()).collect();
    let is_successor = |period: &&ListingPeriod| {
        let figi = period.listing.composite_figi.as_deref();
        period.listing.active
            && Some(period.first_seen_ms) != first_sync
            && figi.is_some_and(|figi| figis.contains(figi))
    };
    periods.iter().filter(is_successor).map(|period| period.ticker().clone()).collect()
}
