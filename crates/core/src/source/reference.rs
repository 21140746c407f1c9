//! The reference data of a source: listings, splits, renames, details.

use grab_model::{Cursor, Listing, Rename, Split, Symbol};
use jiff::civil::Date;

use super::{FetchError, Source};

/// A list that is fetched page by page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReferenceList {
    /// All tickers that are listed.
    Active,
    /// All tickers that are delisted.
    Left,
    /// All splits.
    Splits,
    /// All splits from the deprecated endpoint: for plans that do not include the other.
    OldSplits,
}

impl ReferenceList {
    /// The name in the manifest and in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active tickers",
            Self::Left => "delisted tickers",
            Self::Splits => "splits",
            Self::OldSplits => "splits by the old endpoint",
        }
    }
}

/// The rows of a page.
#[derive(Clone, Debug, PartialEq)]
pub enum ListRows {
    /// Of tickers.
    Listings(Vec<Listing>),
    /// Of splits.
    Splits(Vec<Split>),
}

impl ListRows {
    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Listings(rows) => rows.len(),
            Self::Splits(rows) => rows.len(),
        }
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One page of a list, from a response that fits its request.
#[derive(Clone, Debug, PartialEq)]
pub struct ListPage {
    /// The valid rows.
    pub rows: ListRows,
    /// Rows whose ticker is not a symbol: they are left out.
    pub bad_symbols: u64,
    /// Rows with an invalid day.
    pub bad_days: u64,
    /// Rows that are not as documented: they are left out.
    pub nonsense: u64,
    /// The page after this one. None if the server says that this is the last.
    pub next: Option<Cursor>,
    /// Bytes of the body on the wire.
    pub bytes: u64,
}

/// A request about one ticker with one response.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lookup {
    /// When the company that has a ticker, today or on a day, was listed.
    Details(Symbol, Option<Date>),
    /// All tickers of the company that has this one now.
    Renames(Symbol),
}

impl Lookup {
    /// The ticker.
    #[must_use]
    pub fn ticker(&self) -> &Symbol {
        match self {
            Self::Details(ticker, _) | Self::Renames(ticker) => ticker,
        }
    }
}

/// The response to a lookup, which fits it.
#[derive(Clone, Debug, PartialEq)]
pub struct LookupAnswer {
    /// The company's first day, if it was requested and is known.
    pub listed: Option<Date>,
    /// Whether the ticker is listed, if that was requested and the response has it.
    pub active: Option<bool>,
    /// The day since which it is delisted, if the response has it.
    pub left: Option<Date>,
    /// Its tickers, if they were requested.
    pub renames: Vec<Rename>,
    /// Invalid events: they are left out.
    pub nonsense: u64,
    /// Bytes of the body on the wire.
    pub bytes: u64,
}

/// A day on which the stock exchanges are closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedDay {
    /// The day.
    pub date: Date,
    /// The reason, as the source calls it.
    pub name: String,
}

/// A source that also has reference lists.
pub trait ReferenceSource: Source {
    /// Sends one request for one page of a list: the first, or the one that another page named.
    ///
    /// # Errors
    /// As for [`Source::page`].
    ///
    /// # Cancellation
    /// As for [`Source::page`].
    fn list_page(
        &self,
        list: ReferenceList,
        cursor: Option<&Cursor>,
    ) -> impl Future<Output = Result<ListPage, FetchError>> + Send;

    /// Sends one request about one ticker.
    ///
    /// # Errors
    /// As for [`Source::page`].
    ///
    /// # Cancellation
    /// As for [`Source::page`].
    fn look_up(&self, lookup: &Lookup) -> impl Future<Output = Result<LookupAnswer, FetchError>> + Send;

    /// Requests the days on which the stock exchanges are closed, from about today on. Returns the size of the body
    /// too.
    ///
    /// # Errors
    /// As for [`Source::page`].
    ///
    /// # Cancellation
    /// As for [`Source::page`].
    fn closed_days(&self) -> impl Future<Output = Result<(Vec<ClosedDay>, u64), FetchError>> + Send;
}
