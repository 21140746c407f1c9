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
use grab_model::format;
use grab_model::{Symbol, universe::Universe};
use grab_ops::Error as Failure;

use super::super::output::say;

const HOUR_MS: i64 = 3_600_000;

/// One in this many known listings may be missing from the lists.
const MOST_UNSEEN: u64 = 20;

/// The lists that an update needs.
pub struct Lists {
    /// Lists that were not requested since the session was settled.
    pub needs: grab_ops::Needs,
    /// Whether newly listed symbols are added by them.
    is_ordered: bool,
    /// Whether bars depend on the splits.
    is_adjusted: bool,
}

impl Lists {
    /// The lists that are due: tickers if a subscription needs them or an earlier sync fetched some, and splits if bars
    /// are adjusted or an earlier sync fetched some; each once per cut-off.
    ///
    /// # Errors
    /// If the manifest or a table cannot be read.
    pub fn due(data_dir: &DataDir, reader: &ManifestReader, cutoff: &UpdateCutoff) -> Result<Self, Failure> {
        let is_adjusted = reader.kind()?.is_some_and(|kind| kind.adjusted);
        let is_ordered = !reader.orders()?.is_empty();
        // A sync more than an hour in the future was recorded by a clock that was ahead.
        let is_old = |what| {
            let synced_ms = reader.last_sync_ms(what)?;
            Ok::<_, Failure>(synced_ms < Some(cutoff.settled_ms) || synced_ms > Some(cutoff.now_ms + HOUR_MS))
        };
        let is_kept = known_universe(data_dir)?.is_some();
        let tickers = (is_ordered || is_kept) && (!is_kept || is_old("tickers")?);
        let has_splits = known(reference::read_splits(data_dir))?.is_some();
        let splits = (is_adjusted || has_splits) && (!has_splits || is_old("splits")?);
        let needs = grab_ops::Needs {
            tickers,
            splits,
            begun_since_ms: (tickers || splits).then_some(cutoff.settled_ms),
            list_dates: if tickers && is_ordered {
                grab_ops::ListDates::New
            } else {
                grab_ops::ListDates::None
            },
            renames: if tickers { grab_ops::Renames::Successors } else { grab_ops::Renames::None },
        };
        Ok(Self { needs, is_ordered, is_adjusted })
    }

    /// Whether no list is due.
    pub fn are_known(&self) -> bool {
        self.needs == grab_ops::Needs::default()
    }

    /// Why the update is not complete, if it depends on a list that is missing. Other missing lists are only reported.
    pub fn missed(&self, brought: &grab_ops::ReferenceReport) -> Option<String> {
        let lists = [
            ("tickers", self.needs.tickers && brought.tickers.is_none(), self.is_ordered),
            ("splits", self.needs.splits && brought.splits.is_none(), self.is_adjusted),
        ];
        let reasons: Vec<_> =
            brought.without.iter().map(|one| format!("{}: {}", one.what, one.reason)).collect();
        let reasons = if reasons.is_empty() { "the run was stopped".to_owned() } else { reasons.join("; ") };
        let mut missed = brought.tickers.as_ref().filter(|_| self.is_ordered).and_then(shrunk);
        for (what, _, is_needed) in lists.into_iter().filter(|(_, is_missing, _)| *is_missing) {
            let why = format!("the list of {what} was not to be had ({reasons})");
            if is_needed {
                missed = Some(format!("{why}: run `grab update` again later"));
            } else {
                say(&format!("note: {why}"));
            }
        }
        missed
    }
}

/// What is wrong with lists that lack many of their former rows.
fn shrunk(tickers: &grab_ops::TickersReport) -> Option<String> {
    let (missing, known) = (tickers.not_seen, tickers.lives);
    (MOST_UNSEEN * missing > known).then(|| {
        let known = format::plural(known, "listing");
        format!(
            "the lists lack {} of {known} that are known: run `grab update` again later",
            format::count(missing)
        )
    })
}

/// Plans an update from what is stored here.
///
/// # Errors
/// If the manifest or a table cannot be read.
pub fn plan(
    data_dir: &DataDir,
    reader: &ManifestReader,
    cutoff: &UpdateCutoff,
    service: Option<&str>,
) -> Result<UpdatePlan, Failure> {
    let is_adjusted = reader.kind()?.is_some_and(|kind| kind.adjusted);
    let splits = if is_adjusted { splits(data_dir, reader)? } else { HashMap::new() };
    let universe = known_universe(data_dir)?.unwrap_or_default();
    let held: HashSet<_> = reader.symbols()?.into_iter().collect();
    let joined = grab_ops::newly_listed(&reader.orders()?, &universe, &held, cutoff.session.date())?;
    let history = reader.history_edge(service)?;
    Ok(UpdatePlan::of(reader, cutoff, &ReferenceData { universe, joined, splits, history })?)
}

/// The stored universe. None if there is none or it is damaged.
///
/// # Errors
/// If its file cannot be opened.
pub fn known_universe(data_dir: &DataDir) -> Result<Option<Universe>, Failure> {
    grab_ops::usable_universe(data_dir)
}

/// Reads a table; None if it is damaged. The next sync rebuilds a damaged one and says so.
fn known<T>(table: Result<Option<T>, StoreError>) -> Result<Option<T>, Failure> {
    match table {
        Err(StoreError::Reference { .. }) => Ok(None),
        table => Ok(table?),
    }
}

/// The known splits, by symbol. Those of the first sync count as known from the start. A withdrawn split changes as
/// much as a new one.
fn splits(data_dir: &DataDir, reader: &ManifestReader) -> Result<HashMap<Symbol, Vec<ListedSplit>>, Failure> {
    let Some(table) = known(reference::read_splits(data_dir))? else {
        say("bars are adjusted here, and no splits are known yet: a new one would go unnoticed");
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
