//! Symbols of which no bar came in any of their windows, and what they may have been meant for.

use grab_core::{data_dir::DataDir, manifest::ManifestReader, store::reference};
use grab_model::{Symbol, spellings};
use serde::Serialize;

use super::{failure::Failure, format};

/// How many are named.
const NAMED: usize = 20;

/// What a report says of them; its JSON is public.
#[derive(Clone, Debug, Default, Serialize)]
pub struct WithoutBars {
    /// How many there are.
    symbols: u64,
    /// The first of them, in the order of work.
    first: Vec<Named>,
}

#[derive(Clone, Debug, Serialize)]
struct Named {
    ticker: Symbol,
    /// The symbol of the service that it may be another way to write: a guess.
    did_you_mean: Option<Symbol>,
}

impl WithoutBars {
    /// Looks them up. What is listed is known by the universe that is kept; without one, the form of a symbol is all there is.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn of(reader: &ManifestReader, data_dir: &DataDir) -> Result<Self, Failure> {
        let (symbols, first) = reader.answered_without_bars(NAMED)?;
        if first.is_empty() {
            return Ok(Self::default());
        }
        // A guess is no reason to fail: `verify` says what is wrong with a table that cannot be read.
        let universe = reference::read_universe(data_dir).ok().flatten();
        let meant = |symbol: &Symbol| match &universe {
            Some(universe) => universe.spelled(symbol),
            None => spellings(symbol.as_str()).into_iter().next(),
        };
        let first = first.into_iter().map(|ticker| Named { did_you_mean: meant(&ticker), ticker });
        Ok(Self { symbols, first: first.collect() })
    }

    /// For a person; nothing if there is none.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let named: Vec<_> = self.first.iter().map(Named::text).collect();
        let more = self.symbols.saturating_sub(named.len() as u64);
        let more = if more > 0 { format!(" and {} more", format::count(more)) } else { String::new() };
        let all = format::plural(self.symbols, "symbol");
        (self.symbols > 0).then(|| format!("{all} without any bar: {}{more}", named.join(", ")))
    }
}

impl Named {
    fn text(&self) -> String {
        match &self.did_you_mean {
            Some(meant) => format!("{} (did you mean {meant}?)", self.ticker),
            None => self.ticker.to_string(),
        }
    }
}
