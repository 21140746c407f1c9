//! The data of the endpoints: bars as traded, listings and splits.

use std::ops::RangeInclusive;

use grab_model::{Bar, new_york};
use jiff::civil::Date;

use super::{identity::Identity, params::SortOrder};

/// Bars of a ticker, read one after the other on demand.
pub(super) type Minutes<'m> = Box<dyn Iterator<Item = Bar> + 'm>;

/// A source of bars. It knows no clock and no plan: the caller narrows the range before.
pub(super) trait Market: Send + Sync {
    /// All listings of all times, by ticker, then by first day.
    fn listings(&self) -> Vec<&MarketListing>;

    /// The bars of a ticker, as traded, that begin within `range` (UTC ms). None if the ticker is not known.
    fn minutes(&self, ticker: &str, range: RangeInclusive<i64>, order: SortOrder) -> Minutes<'_>;
}

/// A security under one ticker, from its first to its last day. A ticker may be listed again later, by another company.
#[derive(Clone, Debug)]
pub(super) struct MarketListing {
    pub ticker: String,
    /// The company's name: the same under all its tickers, and unique.
    pub name: String,
    pub identity: Identity,
    /// The vendor's type code: `CS`, `ETF`, `ADRC`, `PFD`, `FUND`.
    pub kind: &'static str,
    /// The primary exchange's MIC, where it is known.
    pub exchange: Option<&'static str>,
    /// The first day of trading.
    pub listed: Date,
    /// The first day without trading. None if it is still listed.
    pub delisted: Option<Date>,
    /// By date.
    pub splits: Vec<MarketSplit>,
}

impl MarketListing {
    /// Whether it is traded on a day, if that day is a session.
    pub fn is_active_on(&self, date: Date) -> bool {
        self.listed <= date && self.delisted.is_none_or(|delisted| date < delisted)
    }
}

/// A split: `from` shares become `to` shares before the session of `date`.
#[derive(Clone, Copy, Debug)]
pub(super) struct MarketSplit {
    pub date: Date,
    pub from: f64,
    pub to: f64,
}

impl MarketSplit {
    /// The factor of prices before it.
    pub fn factor(&self) -> f64 {
        self.from / self.to
    }

    /// Whether it is a reverse split.
    pub fn is_reverse(&self) -> bool {
        self.to < self.from
    }

    /// The vendor's `adjustment_type`.
    pub fn kind(&self) -> &'static str {
        if self.is_reverse() { "reverse_split" } else { "forward_split" }
    }
}

/// The splits that turn bars as traded into adjusted ones, as of a day.
pub(super) struct SplitFactors(Vec<(i64, f64)>);

impl SplitFactors {
    /// No splits: bars stay as traded.
    pub fn none() -> Self {
        Self(Vec::new())
    }

    /// All splits of a ticker that are executed until `today`.
    pub fn of(listings: &[&MarketListing], ticker: &str, today: Date) -> Self {
        let splits =
            listings.iter().filter(|listing| listing.ticker == ticker).flat_map(|listing| &listing.splits);
        let executed = splits.filter(|split| split.date <= today);
        Self(executed.map(|split| (new_york::day_start_ms(split.date), split.factor())).collect())
    }

    /// The bar in shares of the last day; the extra digits of the result are not rounded away.
    pub fn apply(&self, bar: Bar) -> Bar {
        let later = self.0.iter().filter(|(executed, _)| *executed > bar.timestamp);
        let factor: f64 = later.map(|(_, factor)| factor).product();
        Bar {
            open: bar.open * factor,
            high: bar.high * factor,
            low: bar.low * factor,
            close: bar.close * factor,
            volume: bar.volume / factor,
            vwap: bar.vwap.map(|vwap| vwap * factor),
            ..bar
        }
    }
}
