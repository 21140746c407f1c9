//! The bar of one symbol's whole day.

use super::Symbol;

/// The day bar of one symbol, as traded.
#[derive(Clone, Debug, PartialEq)]
pub struct DayBar {
    /// The symbol.
    pub symbol: Symbol,
    /// Of the first eligible trade, USD.
    pub open: f64,
    /// USD.
    pub high: f64,
    /// USD.
    pub low: f64,
    /// Of the last eligible trade, USD.
    pub close: f64,
    /// Shares of the whole day, early and late hours included; fractions are real.
    pub volume: f64,
    /// USD. None if it was not sent.
    pub vwap: Option<f64>,
    /// Number of trades. None if it was not sent.
    pub transactions: Option<i64>,
}

impl DayBar {
    /// Open, high, low, close and volume, which every day bar has.
    #[must_use]
    pub fn required(&self) -> [f64; 5] {
        [self.open, self.high, self.low, self.close, self.volume]
    }
}
