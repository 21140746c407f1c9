//! Which lives are meant.

use jiff::civil::Date;

use super::{Span, Universe};
use crate::model::{Life, Symbol};

/// What narrows a universe; what is not given does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only these types, as the service names them.
    pub types: Option<Vec<String>>,
    /// Only what is listed on these exchanges, by MIC.
    pub exchanges: Option<Vec<String>>,
    /// Only what was active on this day.
    pub active_on: Option<Date>,
    /// Whether it must be known that it was: else one whose first day nobody knows is taken for active.
    pub is_strict: bool,
    /// Only these symbols.
    pub tickers: Option<Vec<Symbol>>,
}

impl Filter {
    /// Whether a life is meant.
    #[must_use]
    pub fn admits(&self, life: &Life, span: Span) -> bool {
        let is_among = |codes: &Option<Vec<String>>, code: &Option<String>| {
            codes.as_ref().is_none_or(|codes| code.as_ref().is_some_and(|code| codes.contains(code)))
        };
        is_among(&self.types, &life.listing.kind)
            && is_among(&self.exchanges, &life.listing.exchange)
            && self.active_on.is_none_or(|day| {
                Universe::is_active(life, span, day) && (!self.is_strict || span.from.is_some())
            })
            && self.tickers.as_ref().is_none_or(|tickers| tickers.contains(life.ticker()))
    }
}
