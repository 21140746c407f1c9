//! Endpoints that a plan includes or leaves out together.

use clap::ValueEnum;

/// A family of endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum EndpointFamily {
    /// Bars of a ticker: in a range, and of the last day, which the service has in the same plans (polygon-api.md §2).
    Aggs,
    /// The day bars of the whole market.
    Grouped,
    /// Tickers, as a list and one by one, and how they changed.
    Tickers,
    /// Splits, from the old endpoint and from its successor.
    Splits,
    /// The market's state now, and its holidays to come.
    #[value(name = "marketstatus")]
    MarketStatus,
}

impl EndpointFamily {
    /// The family of a path, if there is one.
    pub(super) fn of(segments: &[&str]) -> Option<Self> {
        match segments {
            ["v2", "aggs", "ticker", ..] => Some(Self::Aggs),
            ["v2", "aggs", "grouped", ..] => Some(Self::Grouped),
            ["v3" | "vX", "reference", "tickers", ..] => Some(Self::Tickers),
            ["v3", "reference", "splits"] | ["stocks", "v1", "splits"] => Some(Self::Splits),
            ["v1", "marketstatus", ..] => Some(Self::MarketStatus),
            _ => None,
        }
    }
}
