//! Finds the listed symbol that a user meant by a symbol without any bar.

use super::Universe;
use crate::{Symbol, spellings, without_punctuation};

impl Universe {
    /// The symbol that is or was listed and that `asked` is another notation of. None if `asked` itself is listed, or
    /// if no listed symbol is like it.
    #[must_use]
    pub fn spelled(&self, asked: &Symbol) -> Option<Symbol> {
        let is_listed = |symbol: &Symbol| self.of(symbol).next().is_some();
        if is_listed(asked) {
            return None;
        }
        let letters = without_punctuation(asked.as_str());
        let same = || {
            self.periods()
                .map(|(period, _)| period.ticker())
                .find(|ticker| without_punctuation(ticker.as_str()) == letters)
        };
        spellings(asked.as_str()).into_iter().find(is_listed).or_else(|| same().cloned())
    }
}
