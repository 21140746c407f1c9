//! The JSON of a stored universe.

use grab_model::{
    ListingPeriod, format,
    universe::{DroppedByFilter, ListingSpan},
};
use serde::Serialize;

use crate::UniverseListReport;

/// The report; its JSON is public.
#[derive(Serialize)]
pub struct UniverseListJson {
    /// The time and the service of the last sync.
    pub fetched_at: String,
    pub source: String,
    pub count: u64,
    /// Listing periods whose beginning is not known: they count as if they had always existed.
    pub unknown_list_dates: u64,
    /// Tickers that --type and --exchange drop only because the list lacks the field.
    pub dropped: DroppedByFilter,
    pub items: Vec<ListingPeriodJson>,
    #[serde(skip)]
    pub tickers_only: bool,
}

/// One listing period.
#[derive(Serialize)]
pub struct ListingPeriodJson {
    pub ticker: String,
    pub name: Option<String>,
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub exchange: Option<String>,
    pub active: bool,
    /// The company's first day by its details.
    pub listed: Option<String>,
    pub delisted: Option<String>,
    /// The days on which it had the ticker, as far as known.
    pub from: Option<String>,
    pub to: Option<String>,
    pub composite_figi: Option<String>,
    pub share_class_figi: Option<String>,
    pub cik: Option<String>,
    pub sector: Option<String>,
    pub industry: Option<String>,
    pub first_seen: String,
    pub last_seen: String,
}

impl UniverseListJson {
    /// The JSON of a list. `tickers_only`: whether people want the tickers alone.
    #[must_use]
    pub fn new(listed: UniverseListReport, tickers_only: bool) -> Self {
        let unknown_list_dates = listed.unknown_list_dates();
        let UniverseListReport { fetched_ms, source, dropped, periods } = listed;
        Self {
            fetched_at: format::instant(fetched_ms),
            source,
            count: periods.len() as u64,
            unknown_list_dates,
            dropped,
            items: periods.into_iter().map(|(period, span)| ListingPeriodJson::of(period, span)).collect(),
            tickers_only,
        }
    }
}

impl ListingPeriodJson {
    fn of(period: ListingPeriod, span: ListingSpan) -> Self {
        let day = |day: Option<jiff::civil::Date>| day.map(|day| day.to_string());
        let listing = period.listing;
        Self {
            ticker: listing.ticker.to_string(),
            name: listing.name,
            kind: listing.kind,
            exchange: listing.exchange,
            active: listing.active,
            listed: day(period.listed),
            delisted: day(listing.delisted),
            from: day(span.from),
            to: day(span.to),
            composite_figi: listing.composite_figi,
            share_class_figi: listing.share_class_figi,
            cik: listing.cik,
            sector: period.sector,
            industry: period.industry,
            first_seen: format::instant(period.first_seen_ms),
            last_seen: format::instant(period.last_seen_ms),
        }
    }
}
