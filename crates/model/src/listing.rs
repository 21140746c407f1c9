//! Securities under their tickers: a row of a list, and the listing period that is known.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{Symbol, new_york, serde_date};

/// One row of the service's list of tickers (polygon-api.md §2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The symbol, as traded.
    pub ticker: Symbol,
    /// The company's or fund's name.
    pub name: Option<String>,
    /// The service's code for what it is: `CS`, `ADRC`, `ETF`, ….
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The primary exchange's MIC.
    pub exchange: Option<String>,
    /// Whether it is listed.
    pub active: bool,
    /// The UTC date of `delisted_utc`, if it is delisted.
    #[serde(with = "serde_date::optional")]
    pub delisted: Option<Date>,
    /// FIGI of the security on the exchanges of one country.
    pub composite_figi: Option<String>,
    /// FIGI of the security in the whole world.
    pub share_class_figi: Option<String>,
    /// The issuer's number with the SEC.
    pub cik: Option<String>,
    /// When the service changed the row, as the service writes it.
    pub updated: Option<String>,
}

/// A security under one ticker, from its first day to its last. A ticker that another company gets later has two
/// listing periods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListingPeriod {
    /// The newest row that was fetched for it.
    pub listing: Listing,
    /// The company's first listed day, if its details were requested and have it.
    pub listed: Option<Date>,
    /// The first sync that had it, UTC ms.
    pub first_seen_ms: i64,
    /// The last sync that had it, UTC ms.
    pub last_seen_ms: i64,
    /// The sector, as a user's file has it.
    pub sector: Option<String>,
    /// The industry, as a user's file has it.
    pub industry: Option<String>,
}

impl ListingPeriod {
    /// The symbol.
    #[must_use]
    pub fn ticker(&self) -> &Symbol {
        &self.listing.ticker
    }

    /// The last day on which it can have bars. None if it is still listed. The day of `delisted_utc` counts: in some
    /// rows it is the last session, in others the first day without it. A delisted one without a date ends on the day
    /// on which it was last seen.
    #[must_use]
    pub fn end(&self) -> Option<Date> {
        if self.listing.active {
            return None;
        }
        self.listing.delisted.or_else(|| new_york::date_of(self.last_seen_ms))
    }

    /// Returns the permanent identifier of the security: FIGI, else CIK, else name.
    #[must_use]
    pub fn identity(&self) -> &str {
        let Listing { composite_figi, cik, name, .. } = &self.listing;
        composite_figi.as_deref().or(cik.as_deref()).or(name.as_deref()).unwrap_or_default()
    }
}
