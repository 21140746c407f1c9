//! Which reference data to fetch.

/// What to fetch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReferenceSelection {
    /// Tickers.
    pub tickers: bool,
    /// Splits.
    pub splits: bool,
    /// Unfinished lists from before this instant (UTC ms) are started again: they do not include the day of this update.
    pub begun_since_ms: Option<i64>,
    /// List dates.
    pub list_dates: ListDates,
    /// Renames.
    pub renames: Renames,
}

/// Whose list dates to fetch. Each listing period is looked up once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListDates {
    /// None.
    #[default]
    None,
    /// Of subscribed symbols that were added by a later sync than the first.
    New,
    /// Of all symbols.
    All,
}

/// Whose renames to fetch. Each row is looked up once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Renames {
    /// None.
    #[default]
    None,
    /// Of new tickers of stored companies that were added by a later sync than the first.
    Successors,
    /// Of all stored symbols.
    Stored,
}
