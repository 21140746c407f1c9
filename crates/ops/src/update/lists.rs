//! What an update knows before it requests bars: the plan, and the lists on which it is based.

use std::collections::{HashMap, HashSet};

use grab_core::{
    data_dir::DataDir,
    manifest::ManifestReader,
    store::{
        StoreError,
        reference::{self, RowStatus},
    },
    update::{ListedSplit, ReferenceData, UpdateCutoff, UpdatePlan},
};
use grab_model::Symbol;

use super::UpdateShortfall;
use crate::{
    Error, ListDates, Notice, Observer, ReferenceReport, ReferenceSelection, Renames, TickersReport,
    newly_listed, usable_universe,
};

const HOUR_MS: i64 = 3_600_000;

/// One in this many known listings may be missing from the lists.
const MOST_UNSEEN: u64 = 20;

/// The lists that an update needs.
pub struct DueLists {
    /// Lists that were not requested since the session was settled.
    pub needs: ReferenceSelection,
    /// Whether newly listed symbols are added by them.
    is_ordered: bool,
    /// Whether bars depend on the splits.
    is_adjusted: bool,
}

impl DueLists {
    /// The lists that are due: tickers if a subscription needs them or an earlier sync fetched some, and splits if bars
    /// are adjusted or an earlier sync fetched some; each once per cut-off.
    ///
    /// # Errors
    /// If the manifest or a table cannot be read.
    pub fn of(data_dir: &DataDir, reader: &ManifestReader, cutoff: &UpdateCutoff) -> Result<Self, Error> {
        let is_adjusted = reader.kind()?.is_some_and(|kind| kind.adjusted);
        let is_ordered = !reader.orders()?.is_empty();
        // A sync more than an hour in the future was recorded by a clock that was ahead.
        let is_old = |what| {
            let synced_ms = reader.last_sync_ms(what)?;
            Ok::<_, Error>(synced_ms < Some(cutoff.settled_ms) || synced_ms > Some(cutoff.now_ms + HOUR_MS))
        };
        let has_universe = usable_universe(data_dir)?.is_some();
        let tickers = (is_ordered || has_universe) && (!has_universe || is_old("tickers")?);
        let has_splits = known(reference::read_splits(data_dir))?.is_some();
        let splits = (is_adjusted || has_splits) && (!has_splits || is_old("splits")?);
        let needs = ReferenceSelection {
            tickers,
            splits,
            begun_since_ms: (tickers || splits).then_some(cutoff.settled_ms),
            list_dates: if tickers && is_ordered { ListDates::New } else { ListDates::None },
            renames: if tickers { Renames::Successors } else { Renames::None },
        };
        Ok(Self { needs, is_ordered, is_adjusted })
    }

    /// Whether no list is due.
    pub fn are_known(&self) -> bool {
        self.needs == ReferenceSelection::default()
    }

    /// Why the update is not complete, if it depends on a list that is missing. Other missing lists are only reported.
    pub fn shortfall(&self, lists: &ReferenceReport, observer: &dyn Observer) -> Option<UpdateShortfall> {
        let due = [
            ("tickers", self.needs.tickers && lists.tickers.is_none(), self.is_ordered),
            ("splits", self.needs.splits && lists.splits.is_none(), self.is_adjusted),
        ];
        let mut shortfall = lists.tickers.as_ref().filter(|_| self.is_ordered).and_then(shrunk);
        for (list, _, is_needed) in due.into_iter().filter(|(_, is_missing, _)| *is_missing) {
            let why = lists.without.clone();
            if is_needed {
                shortfall = Some(UpdateShortfall::ListMissing { list, why });
            } else {
                observer.notice(&Notice::ListMissing { list, why });
            }
        }
        shortfall
    }
}

/// What is wrong with lists that lack many of their former rows.
fn shrunk(tickers: &TickersReport) -> Option<UpdateShortfall> {
    let (missing, known) = (tickers.not_seen, tickers.periods);
    (MOST_UNSEEN * missing > known).then_some(UpdateShortfall::ListsShrunk { missing, known })
}

/// Plans an update from what is stored here.
///
/// # Errors
/// If the manifest or a table cannot be read.
pub fn plan_update(
    data_dir: &DataDir,
    reader: &ManifestReader,
    cutoff: &UpdateCutoff,
    service: Option<&str>,
    observer: &dyn Observer,
) -> Result<UpdatePlan, Error> {
    let is_adjusted = reader.kind()?.is_some_and(|kind| kind.adjusted);
    let splits = if is_adjusted { splits(data_dir, reader, observer)? } else { HashMap::new() };
    let universe = usable_universe(data_dir)?.unwrap_or_default();
    let stored: HashSet<_> = reader.symbols()?.into_iter().collect();
    let joined = newly_listed(&reader.orders()?, &universe, &stored, cutoff.session.date())?;
    let history = reader.history_edge(service)?;
    Ok(UpdatePlan::of(reader, cutoff, &ReferenceData { universe, joined, splits, history })?)
}

/// Reads a table; None if it is damaged. The next sync rebuilds a damaged one and says so.
fn known<T>(table: Result<Option<T>, StoreError>) -> Result<Option<T>, Error> {
    match table {
        Err(StoreError::Reference { .. }) => Ok(None),
        table => Ok(table?),
    }
}

/// The known splits, by symbol. Those of the first sync count as known from the start. A withdrawn split changes as
/// much as a new one.
fn splits(
    data_dir: &DataDir,
    reader: &ManifestReader,
    observer: &dyn Observer,
) -> Result<HashMap<Symbol, Vec<ListedSplit>>, Error> {
    let Some(table) = known(reference::read_splits(data_dir))? else {
        observer.notice(&Notice::SplitsUnknown);
        return Ok(HashMap::new());
    };
    let first_sync = table.rows.iter().map(|kept| kept.first_seen_ms).min();
    let mut splits: HashMap<_, Vec<_>> = HashMap::new();
    for kept in &table.rows {
        let known_since_ms = match kept.standing {
            RowStatus::Current => Some(kept.first_seen_ms).filter(|seen| Some(*seen) != first_sync),
            RowStatus::Withdrawn => reader.sync_after("splits", kept.last_seen_ms)?,
            RowStatus::Contradicted => continue,
        };
        let split = ListedSplit { date: kept.row.execution_date, known_since_ms };
        splits.entry(kept.row.ticker.clone()).or_default().push(split);
    }
    Ok(splits)
}
