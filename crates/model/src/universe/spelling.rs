//! Finds the listed symbol that a user meant by a symbol without any bar.

use super::Universe;
use crate::{Symbol, spellings, without_punctuation};

impl Universe {
    /// The symbol that is or was listed and that `requested` is another notation of. None if `requested` itself is listed, or
    /// if no listed symbol is like it.
    #[must_use]
    pub fn spelled(&self, requested: &Symbol) -> Option<Symbol> {
        let is_listed = |symbol: &Symbol| self.of(symbol).next().is_some();
        if is_listed(requested) {
            return None;
        }
        let letters = without_punctuation(requested.as_str());
        let same = || {
            self.periods()
                .map(|(period, _)| period.ticker())
                .find(|ticker| without_punctuation(ticker.as_str()) == letters)
        };
        spellings(requested.as_str()).into_iter().find(is_listed).or_else(|| same().cloned())
    }
}
