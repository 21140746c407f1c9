//! What a source knows besides bars: who is listed, splits, renames, details.

use grab_model::{Cursor, Listing, Rename, Split, Symbol};
use jiff::civil::Date;

use super::{FetchError, Source};

/// A list that comes page by page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReferenceList {
    /// All tickers that are listed.
    Active,
    /// All tickers that have left.
    Left,
    /// All splits.
    Splits,
    /// The same from the endpoint that is deprecated: for plans that have no other.
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
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Listings(rows) => rows.len(),
            Self::Splits(rows) => rows.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One page of a list, by an answer that fits its question.
#[derive(Clone, Debug, PartialEq)]
pub struct ListPage {
    /// The rows that can be.
    pub rows: ListRows,
    /// Rows whose ticker is no symbol: they are left out.
    pub bad_symbols: u64,
    /// Rows with a day that is none.
    pub bad_days: u64,
    /// Rows that are nothing like what is documented: they are left out.
    pub nonsense: u64,
    /// The page after this one; none if the server says that this is the last.
    pub next: Option<Cursor>,
    /// Bytes of the body on the wire.
    pub bytes: u64,
}

/// A question about one ticker, which one answer settles.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lookup {
    /// When the company was listed that has a ticker, today or on a day.
    Details(Symbol, Option<Date>),
    /// The tickers that the company had which has this one now.
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

/// The answer to it, which fits.
#[derive(Clone, Debug, PartialEq)]
pub struct LookupAnswer {
    /// The company's first day, if it was asked for and is known.
    pub listed: Option<Date>,
    /// Whether the ticker is listed, if it was asked for and is said.
    pub active: Option<bool>,
    /// The day since which it is not, if that is said.
    pub left: Option<Date>,
    /// Its tickers, if they were asked for.
    pub renames: Vec<Rename>,
    /// Events that cannot be: they are left out.
    pub nonsense: u64,
    /// Bytes of the body on the wire.
    pub bytes: u64,
}

/// A day on which the stock exchanges are closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedDay {
    /// The day.
    pub date: Date,
    /// Why, as the source calls it.
    pub name: String,
}

/// A source that has reference lists as well.
pub trait ReferenceSource: Source {
    /// Asks once for one page of a list: the first, or the one that another page named.
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

    /// Asks once about one ticker.
    ///
    /// # Errors
    /// As for [`Source::page`].
    ///
    /// # Cancellation
    /// As for [`Source::page`].
    fn look_up(&self, lookup: &Lookup) -> impl Future<Output = Result<LookupAnswer, FetchError>> + Send;

    /// Asks once on which days the stock exchanges are closed, from about today on. Answers the size of the body too.
    ///
    /// # Errors
    /// As for [`Source::page`].
    ///
    /// # Cancellation
    /// As for [`Source::page`].
    fn closed_days(&self) -> impl Future<Output = Result<(Vec<ClosedDay>, u64), FetchError>> + Send;
}
