//! Securities under their tickers: what a list says of one, and what is known of its life.

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
    /// The UTC date of `delisted_utc`, of one that has left.
    #[serde(with = "serde_date::optional")]
    pub delisted: Option<Date>,
    /// The security on the exchanges of a country.
    pub composite_figi: Option<String>,
    /// The security in the whole world.
    pub share_class_figi: Option<String>,
    /// The issuer's number with the SEC.
    pub cik: Option<String>,
    /// When the service changed the row, in its own words.
    pub updated: Option<String>,
}

/// A security under one ticker, from its first day to its last. A ticker that another company gets later has two lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListingPeriod {
    /// What the newest list that had it says.
    pub listing: Listing,
    /// The company's first day, where its details were asked for and said so.
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

    /// The last day on which there can be bars of it; none if it has not ended. The day of `delisted_utc` counts: whether it
    /// is the last session or the first one without it differs from row to row. One that has left nobody knows when was gone
    /// when it was seen last.
    #[must_use]
    pub fn end(&self) -> Option<Date> {
        if self.listing.active {
            return None;
        }
        self.listing.delisted.or_else(|| new_york::date_of(self.last_seen_ms))
    }

    /// What names the security for good, as far as the list has it: FIGI, else CIK, else name.
    #[must_use]
    pub fn identity(&self) -> &str {
        let Listing { composite_figi, cik, name, .. } = &self.listing;
        composite_figi.as_deref().or(cik.as_deref()).or(name.as_deref()).unwrap_or_default()
    }
}
