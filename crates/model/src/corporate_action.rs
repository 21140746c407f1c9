//! Splits and changes of a ticker.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{Symbol, serde_date};

/// A split as the service lists it: `split_from` shares become `split_to` shares before the session of a day
/// (polygon-api.md §2). Both may be fractions, and large.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Split {
    /// The symbol at that time.
    pub ticker: Symbol,
    /// The first New York day on which the new shares trade.
    #[serde(with = "serde_date")]
    pub execution_date: Date,
    /// Old shares.
    pub split_from: f64,
    /// New shares for the old ones.
    pub split_to: f64,
    /// `forward_split`, `reverse_split` or `stock_dividend`. None if it was not sent.
    pub adjustment_type: Option<String>,
    /// The service's ID of the row.
    pub id: Option<String>,
}

/// One `ticker_change` event of a company: from a day on it traded under a symbol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rename {
    /// The company's composite FIGI, where it was sent.
    pub composite_figi: Option<String>,
    /// Its number with the SEC, where it was sent.
    pub cik: Option<String>,
    /// Its name, where it was sent.
    pub name: Option<String>,
    /// The symbol.
    pub ticker: Symbol,
    /// The first New York day on which the company had it.
    #[serde(with = "serde_date")]
    pub date: Date,
    /// The symbol in the request. The service returns the events of the company that has this symbol now.
    pub asked_as: Symbol,
}
