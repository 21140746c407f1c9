//! Which symbols are and were listed, by the stored universe: `grab universe list`. Sends no request.

use grab_core::{data_dir::DataDir, store::reference};
use grab_model::{
    ListingPeriod,
    universe::{DroppedByFilter, Filter, ListingSpan},
};

use crate::{Error, stored_universe};

/// A list of the stored universe.
pub struct UniverseQuery {
    /// The data directory.
    pub data_dir: DataDir,
    /// Which listing periods to list.
    pub filter: Filter,
}

/// The listing periods that a filter admits.
#[derive(Debug)]
pub struct UniverseListReport {
    /// When the tickers were fetched, UTC ms.
    pub fetched_ms: i64,
    /// The service that sent them.
    pub source: String,
    /// Tickers that the filter drops only because the list lacks a field.
    pub dropped: DroppedByFilter,
    /// The listing periods, each with the days on which it had its ticker.
    pub periods: Vec<(ListingPeriod, ListingSpan)>,
}

impl UniverseQuery {
    /// Lists the listing periods.
    ///
    /// # Errors
    /// If there is no stored universe, or it cannot be read.
    pub fn run(self) -> Result<UniverseListReport, Error> {
        let Self { data_dir, filter } = self;
        let universe = stored_universe(&data_dir)?;
        let table = reference::read_tickers(&data_dir)?;
        let (fetched_ms, source) = table.map(|table| (table.fetched_ms, table.source)).unwrap_or_default();
        let admitted = universe.periods().filter(|(period, span)| filter.admits(period, *span));
        Ok(UniverseListReport {
            fetched_ms,
            source,
            dropped: filter.dropped(universe.periods()),
            periods: admitted.map(|(period, span)| (period.clone(), span)).collect(),
        })
    }
}

impl UniverseListReport {
    /// The number of listing periods whose beginning is not known: they count as if they had always existed.
    #[must_use]
    pub fn unknown_list_dates(&self) -> u64 {
        self.periods.iter().filter(|(_, span)| span.from.is_none()).count() as u64
    }
}
