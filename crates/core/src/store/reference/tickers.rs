//! The universe on disk: one row for each life of a security under one ticker.

use std::path::Path;

use grab_model::{Life, Listing, universe::Universe};

use super::{
    Table,
    columns::{Columns, Kind, Read, Values, days_since_epoch},
    file::{self, Said},
    read_renames,
};
use crate::store::StoreError;

/// The table's name, which is also that of its file.
pub const TABLE: &str = "tickers";

/// The table's columns.
pub const COLUMNS: Columns = &[
    ("ticker", Kind::Text),
    ("name", Kind::OptionalText),
    ("type", Kind::OptionalText),
    ("exchange", Kind::OptionalText),
    ("active", Kind::Flag),
    ("listed", Kind::OptionalDay),
    ("delisted", Kind::OptionalDay),
    ("composite_figi", Kind::OptionalText),
    ("share_class_figi", Kind::OptionalText),
    ("cik", Kind::OptionalText),
    ("first_seen", Kind::Instant),
    ("last_seen", Kind::Instant),
    ("updated", Kind::OptionalText),
    ("sector", Kind::OptionalText),
    ("industry", Kind::OptionalText),
];

/// The table as it is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tickers {
    /// Its rows, by ticker and the day on which they left; who is listed comes last.
    pub lives: Vec<Life>,
    /// When the last sync asked for them, UTC ms.
    pub fetched_ms: i64,
    /// The host that it asked.
    pub source: String,
}

/// The tickers of a data directory; none if no sync has brought any yet.
///
/// # Errors
/// [`StoreError::Reference`] if the file is not what was written; else if it cannot be read.
pub fn read_tickers(data_dir: &Path) -> Result<Option<Tickers>, StoreError> {
    file::read(data_dir, TABLE, |bytes| {
        let (file, said) = file::decode(TABLE, COLUMNS, bytes)?;
        let lives = file.rows(|row| read_life(&file, row))?;
        Ok(Tickers { lives, fetched_ms: said.fetched_ms, source: said.source })
    })
}

/// The same with the renames that are known, to be asked who lived when. Renames that cannot be relied on are not used: a
/// life then begins no later than without them, and `verify` names their file.
///
/// # Errors
/// As for [`read_tickers`]; and if the renames cannot be opened.
pub fn read_universe(data_dir: &Path) -> Result<Option<Universe>, StoreError> {
    let Some(tickers) = read_tickers(data_dir)? else { return Ok(None) };
    Ok(Some(with_renames(tickers.lives, data_dir)?))
}

/// All that lists and events say of who lived when; nothing if neither is kept.
///
/// # Errors
/// As for [`read_universe`].
pub fn read_listings(data_dir: &Path) -> Result<Option<Universe>, StoreError> {
    let lives = read_tickers(data_dir)?.map(|tickers| tickers.lives);
    let is_kept = lives.is_some();
    let universe = with_renames(lives.unwrap_or_default(), data_dir)?;
    Ok(Some(universe).filter(|universe| is_kept || !universe.companies().is_empty()))
}

fn with_renames(lives: Vec<Life>, data_dir: &Path) -> Result<Universe, StoreError> {
    let renames = match read_renames(data_dir) {
        Err(StoreError::Reference { .. }) => None,
        renames => renames?,
    };
    let renames: Vec<_> = renames.iter().flat_map(Table::current).collect();
    Ok(Universe::with_renames(lives, &renames))
}

/// Writes the tickers of a data directory. When this returns, they are on stable storage.
///
/// # Errors
/// If they cannot be encoded, or the system refuses; what was there before is then untouched.
pub fn write_tickers(data_dir: &Path, tickers: &Tickers) -> Result<(), StoreError> {
    let said = Said { fetched_ms: tickers.fetched_ms, source: tickers.source.clone() };
    file::write(data_dir, TABLE, COLUMNS, &columns(&tickers.lives), said)
}

fn columns(lives: &[Life]) -> Vec<Values> {
    let texts = |of: fn(&Life) -> &Option<String>| {
        Values::OptionalText(lives.iter().map(|life| of(life).clone()).collect())
    };
    let days = |of: fn(&Life) -> Option<jiff::civil::Date>| {
        Values::OptionalDays(lives.iter().map(|life| of(life).map(days_since_epoch)).collect())
    };
    let instants = |of: fn(&Life) -> i64| Values::Instants(lives.iter().map(of).collect());
    vec![
        Values::Text(lives.iter().map(|life| life.ticker().to_string()).collect()),
        texts(|life| &life.listing.name),
        texts(|life| &life.listing.kind),
        texts(|life| &life.listing.exchange),
        Values::Flags(lives.iter().map(|life| life.listing.active).collect()),
        days(|life| life.listed),
        days(|life| life.listing.delisted),
        texts(|life| &life.listing.composite_figi),
        texts(|life| &life.listing.share_class_figi),
        texts(|life| &life.listing.cik),
        instants(|life| life.first_seen_ms),
        instants(|life| life.last_seen_ms),
        texts(|life| &life.listing.updated),
        texts(|life| &life.sector),
        texts(|life| &life.industry),
    ]
}

fn read_life(file: &Read, row: usize) -> Option<Life> {
    Some(Life {
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
