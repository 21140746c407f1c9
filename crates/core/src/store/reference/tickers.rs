//! The universe on disk: one row for each listing period.

use grab_model::{Listing, ListingPeriod, universe::Universe};

use super::{
    ReferenceTable,
    columns::{ColumnType, ColumnValues, DecodedTable, TableColumns, days_since_epoch},
    file::{self, TableMetadata},
    read_renames,
};
use crate::{data_dir::DataDir, store::StoreError};

/// The table's name, which is also that of its file.
pub const TABLE: &str = "tickers";

/// The table's columns.
pub const COLUMNS: TableColumns = &[
    ("ticker", ColumnType::Text),
    ("name", ColumnType::OptionalText),
    ("type", ColumnType::OptionalText),
    ("exchange", ColumnType::OptionalText),
    ("active", ColumnType::Flag),
    ("listed", ColumnType::OptionalDay),
    ("delisted", ColumnType::OptionalDay),
    ("composite_figi", ColumnType::OptionalText),
    ("share_class_figi", ColumnType::OptionalText),
    ("cik", ColumnType::OptionalText),
    ("first_seen", ColumnType::Instant),
    ("last_seen", ColumnType::Instant),
    ("updated", ColumnType::OptionalText),
    ("sector", ColumnType::OptionalText),
    ("industry", ColumnType::OptionalText),
];

/// The table as it is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TickersTable {
    /// Its rows, by ticker and delisting day; the one that is still listed comes last.
    pub periods: Vec<ListingPeriod>,
    /// When the last sync requested them, UTC ms.
    pub fetched_ms: i64,
    /// The host of the service.
    pub source: String,
}

/// The tickers of a data directory. None if no sync has fetched any yet.
///
/// # Errors
/// [`StoreError::Reference`] if the file has changed since it was written; else if it cannot be read.
pub fn read_tickers(data_dir: &DataDir) -> Result<Option<TickersTable>, StoreError> {
    file::read(data_dir, TABLE, |bytes| {
        let (file, metadata) = file::decode(TABLE, COLUMNS, bytes)?;
        let periods = file.read_rows(|row| read_period(&file, row))?;
        Ok(TickersTable { periods, fetched_ms: metadata.fetched_ms, source: metadata.source })
    })
}

/// Reads the tickers with the known renames. A damaged table of renames is not used: a listing period then begins no
/// later than without it, and `verify` reports the file.
///
/// # Errors
/// As for [`read_tickers`]; and if the renames cannot be opened.
pub fn read_universe(data_dir: &DataDir) -> Result<Option<Universe>, StoreError> {
    let Some(tickers) = read_tickers(data_dir)? else { return Ok(None) };
    Ok(Some(with_renames(tickers.periods, data_dir)?))
}

/// Reads the listing periods of lists and events. None if neither are stored.
///
/// # Errors
/// As for [`read_universe`].
pub fn read_listings(data_dir: &DataDir) -> Result<Option<Universe>, StoreError> {
    let periods = read_tickers(data_dir)?.map(|tickers| tickers.periods);
    let is_kept = periods.is_some();
    let universe = with_renames(periods.unwrap_or_default(), data_dir)?;
    Ok(Some(universe).filter(|universe| is_kept || !universe.companies().is_empty()))
}

fn with_renames(periods: Vec<ListingPeriod>, data_dir: &DataDir) -> Result<Universe, StoreError> {
    let renames = match read_renames(data_dir) {
        Err(StoreError::Reference { .. }) => None,
        renames => renames?,
    };
    let renames: Vec<_> = renames.iter().flat_map(ReferenceTable::current).collect();
    Ok(Universe::with_renames(periods, &renames))
}

/// Writes the tickers of a data directory. When this returns, they are on stable storage.
///
/// # Errors
/// If they cannot be encoded, or the system refuses; the old file is then untouched.
pub fn write_tickers(data_dir: &DataDir, tickers: &TickersTable) -> Result<(), StoreError> {
    let metadata = TableMetadata { fetched_ms: tickers.fetched_ms, source: tickers.source.clone() };
    file::write(data_dir, TABLE, COLUMNS, &columns(&tickers.periods), metadata)
}

fn columns(periods: &[ListingPeriod]) -> Vec<ColumnValues> {
    let texts = |of: fn(&ListingPeriod) -> &Option<String>| {
        ColumnValues::OptionalText(periods.iter().map(|period| of(period).clone()).collect())
    };
    let days = |of: fn(&ListingPeriod) -> Option<jiff::civil::Date>| {
        ColumnValues::OptionalDays(periods.iter().map(|period| of(period).map(days_since_epoch)).collect())
    };
    let instants = |of: fn(&ListingPeriod) -> i64| ColumnValues::Instants(periods.iter().map(of).collect());
    vec![
        ColumnValues::Text(periods.iter().map(|period| period.ticker().to_string()).collect()),
        texts(|period| &period.listing.name),
        texts(|period| &period.listing.kind),
        texts(|period| &period.listing.exchange),
        ColumnValues::Flags(periods.iter().map(|period| period.listing.active).collect()),
        days(|period| period.listed),
        days(|period| period.listing.delisted),
        texts(|period| &period.listing.composite_figi),
        texts(|period| &period.listing.share_class_figi),
        texts(|period| &period.listing.cik),
        instants(|period| period.first_seen_ms),
        instants(|period| period.last_seen_ms),
        texts(|period| &period.listing.updated),
        texts(|period| &period.sector),
        texts(|period| &period.industry),
    ]
}

fn read_period(file: &DecodedTable, row: usize) -> Option<ListingPeriod> {
    Some(ListingPeriod {
        listing: Listing {
            ticker: file.text(0, row)?.parse().ok()?,
            name: file.optional_text(1, row),
            kind: file.optional_text(2, row),
            exchange: file.optional_text(3, row),
            active: file.flag(4, row)?,
            delisted: file.optional_day(6, row),
            composite_figi: file.optional_text(7, row),
            share_class_figi: file.optional_text(8, row),
            cik: file.optional_text(9, row),
            updated: file.optional_text(12, row),
        },
        listed: file.optional_day(5, row),
        first_seen_ms: file.instant(10, row)?,
        last_seen_ms: file.instant(11, row)?,
        sector: file.optional_text(13, row),
        industry: file.optional_text(14, row),
    })
}
