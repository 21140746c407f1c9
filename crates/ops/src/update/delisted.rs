//! Stored symbols that were delisted.

use std::collections::HashSet;

use grab_core::manifest::ManifestReader;
use grab_model::{ListingPeriod, Symbol, universe::Universe};
use jiff::civil::Date;

use crate::{Error, ReferenceReport};

/// A stored symbol that the lists had as active until now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DelistedSymbol {
    /// The symbol.
    pub symbol: Symbol,
    /// The last day on which it can have bars.
    pub last_day: Option<Date>,
    /// The present ticker of the same security, by its composite FIGI. Nothing is joined: `export --follow-renames` does that.
    pub successor: Option<Symbol>,
    /// Whether the symbol belongs to another security now, whose bars follow.
    pub is_reused: bool,
}

impl DelistedSymbol {
    /// The symbols that the lists fetched a moment ago show as delisted.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub(super) fn all(
        universe: &Universe,
        reader: &ManifestReader,
        lists: &ReferenceReport,
    ) -> Result<Vec<Self>, Error> {
        let mut gone: Vec<_> = lists.tickers.iter().flat_map(|tickers| &tickers.gone).collect();
        if gone.is_empty() {
            return Ok(Vec::new());
        }
        let stored: HashSet<_> = reader.symbols()?.into_iter().collect();
        gone.retain(|symbol| stored.contains(*symbol));
        Ok(gone.into_iter().map(|symbol| Self::new(symbol, universe)).collect())
    }

    fn new(symbol: &Symbol, universe: &Universe) -> Self {
        let ended = universe.of(symbol).filter_map(|(period, span)| Some((period, span.to?)));
        let last = ended.max_by_key(|(_, end)| *end);
        Self {
            symbol: symbol.clone(),
            last_day: last.map(|(_, end)| end),
            successor: last.and_then(|(period, _)| successor(period, universe)),
            is_reused: universe.end_of(symbol).is_none(),
        }
    }
}

fn successor(delisted: &ListingPeriod, universe: &Universe) -> Option<Symbol> {
    let figi = delisted.listing.composite_figi.as_deref()?;
    let is_same = |period: &&ListingPeriod| {
        period.listing.active && period.listing.composite_figi.as_deref() == Some(figi)
    };
    let mut periods = universe.periods().map(|(period, _)| period);
    let now = periods.find(is_same).map(|period| period.ticker().clone());
    now.filter(|now| now != delisted.ticker())
}
