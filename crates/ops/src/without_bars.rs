//! Symbols without a bar in any of their windows, and what they may have been meant to be.

use grab_core::{data_dir::DataDir, manifest::ManifestReader, store::reference};
use grab_model::{Symbol, spellings};
use serde::Serialize;

use crate::Error;

/// How many are named.
const NAMED: usize = 20;

/// The symbols without bars; its JSON is public.
#[derive(Clone, Debug, Default, Serialize)]
pub struct WithoutBars {
    /// The number of these symbols.
    pub symbols: u64,
    /// The first of them, in the order of their tasks.
    pub first: Vec<SymbolWithoutBars>,
}

/// A symbol without bars.
#[derive(Clone, Debug, Serialize)]
pub struct SymbolWithoutBars {
    /// As it was requested.
    pub ticker: Symbol,
    /// The symbol that it may be another spelling of: a guess.
    pub did_you_mean: Option<Symbol>,
}

impl WithoutBars {
    /// Collects them. The stored universe tells which symbols exist; without one, only the form of a symbol does.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn of(reader: &ManifestReader, data_dir: &DataDir) -> Result<Self, Error> {
        let (symbols, first) = reader.answered_without_bars(NAMED)?;
        if first.is_empty() {
            return Ok(Self::default());
        }
        // A guess is no reason to fail: `verify` reports a table that cannot be read.
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
