//! Symbols of which no bar came in any of their windows, and what they may have been meant for.

use grab_core::{data_dir::DataDir, manifest::ManifestReader, store::reference};
use grab_model::{Symbol, spellings};
use serde::Serialize;

use crate::Error;

/// How many are named.
const NAMED: usize = 20;

/// What a report says of them; its JSON is public.
#[derive(Clone, Debug, Default, Serialize)]
pub struct WithoutBars {
    /// How many there are.
    pub symbols: u64,
    /// The first of them, in the order of work.
    pub first: Vec<SymbolWithoutBars>,
}

/// One of them.
#[derive(Clone, Debug, Serialize)]
pub struct SymbolWithoutBars {
    /// As it was asked for.
    pub ticker: Symbol,
    /// The symbol of the service that it may be another way to write: a guess.
    pub did_you_mean: Option<Symbol>,
}

impl WithoutBars {
    /// Looks them up. What is listed is known by the universe that is kept; without one, the form of a symbol is all there is.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn of(reader: &ManifestReader, data_dir: &DataDir) -> Result<Self, Error> {
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
        let first =
            first.into_iter().map(|ticker| SymbolWithoutBars { did_you_mean: meant(&ticker), ticker });
        Ok(Self { symbols, first: first.collect() })
    }
}
