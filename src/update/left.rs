//! Stored symbols that were delisted.

use std::collections::HashSet;

use grab_core::manifest::ManifestReader;
use grab_model::{ListingPeriod, Symbol, universe::Universe};
use grab_ops::Error as Failure;
use jiff::civil::Date;
use serde::Serialize;

/// A stored symbol that the lists had as active until now; its JSON is public.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Left {
    /// The symbol.
    ticker: Symbol,
    /// The last day on which it can have bars.
    last_day: Option<String>,
    /// The present ticker of the same security, by its composite FIGI. Nothing is joined: `export --follow-renames` does that.
    now: Option<Symbol>,
    /// Whether the symbol belongs to another security now, whose bars follow.
    goes_on: bool,
}

impl Left {
    /// The symbols that the lists fetched a moment ago show as delisted.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn of(
        universe: &Universe,
        reader: &ManifestReader,
        brought: &grab_ops::ReferenceReport,
    ) -> Result<Vec<Self>, Failure> {
        let gone = brought.tickers.iter().flat_map(|tickers| &tickers.gone);
        let mut gone: Vec<_> = gone.collect();
        if gone.is_empty() {
            return Ok(Vec::new());
        }
        let held: HashSet<_> = reader.symbols()?.into_iter().collect();
        gone.retain(|symbol| held.contains(*symbol));
        Ok(gone.into_iter().map(|symbol| Self::new(symbol, universe)).collect())
    }

    fn new(symbol: &Symbol, universe: &Universe) -> Self {
        let ended = universe.of(symbol).filter_map(|(life, span)| Some((life, span.to?)));
        let last = ended.max_by_key(|(_, end)| *end);
        Self {
            ticker: symbol.clone(),
            last_day: last.map(|(_, end): (_, Date)| end.to_string()),
            now: last.and_then(|(life, _)| successor(life, universe)),
            goes_on: universe.end_of(symbol).is_none(),
        }
    }

    /// `FB on 2022-06-09 (now META)`, `DOC on 2024-03-04 (the ticker is another one's)`.
    pub fn text(&self) -> String {
        let day = self.last_day.as_ref().map(|day| format!(" on {day}")).unwrap_or_default();
        let now = self.now.as_ref().map(|now| format!("now {now}"));
        let goes_on = self.goes_on.then(|| "the ticker is another one's".to_owned());
        let notes: Vec<_> = now.into_iter().chain(goes_on).collect();
        let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join("; ")) };
        format!("{}{day}{notes}", self.ticker)
    }
}

fn successor(gone: &ListingPeriod, universe: &Universe) -> Option<Symbol> {
    let figi = gone.listing.composite_figi.as_deref()?;
    let is_same =
        |life: &&ListingPeriod| life.listing.active && life.listing.composite_figi.as_deref() == Some(figi);
    let mut lives = universe.periods().map(|(life, _)| life);
    lives.find(is_same).map(|life| life.ticker().clone()).filter(|now| now != gone.ticker())
}
