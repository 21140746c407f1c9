//! Ticker symbols.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{fmt, str::FromStr, sync::Arc};

use thiserror::Error;

use super::spellings;

/// The longest symbol that is accepted, in bytes. US stock symbols have at most a dozen.
const MAX_LEN: usize = 20;

/// A US stock symbol as traded: case-sensitive (`KIMpL` and `BRK.B` exist), ASCII, safe in a URL and in a path.
///
/// `CON`, `NUL` and `PRN` are ordinary symbols: the folder is `ticker=CON`, which is not a device on Windows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Symbol(Arc<str>);

/// Why a text is not a symbol.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SymbolError {
    /// Nothing but white space.
    #[error("an empty symbol")]
    Empty,
    /// More than 20 bytes.
    #[error("a symbol of {0} bytes: at most {MAX_LEN} are accepted")]
    TooLong(usize),
    /// A character that no symbol has.
    #[error(
        "{found:?} at character {position} of {symbol:?}: letters, digits, '.', '-' and '_' are accepted{}",
        suggest(symbol)
    )]
    BadCharacter {
        /// The text.
        symbol: String,
        /// The character.
        found: char,
        /// Where it is, counted from 1.
        position: usize,
    },
    /// It ends with a dot. Windows drops it from a folder's name, where `A.` would then be `A`.
    #[error("{symbol:?} ends with a dot: no symbol does{}", suggest(symbol))]
    BadEnd {
        /// The text.
        symbol: String,
    },
    /// It begins with a lower-case letter, a dot or a dash.
    #[error(
        "{symbol:?} does not begin with an upper-case letter or a digit: symbols are case-sensitive{}",
        suggest(symbol)
    )]
    BadStart {
        /// The text.
        symbol: String,
    },
}

fn suggest(symbol: &str) -> String {
    let meant = spellings(symbol).into_iter().next();
    meant.map(|meant| format!(", did you mean \"{meant}\"?")).unwrap_or_default()
}

impl Serialize for Symbol {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Symbol {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl Symbol {
    /// The symbol's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Symbol {
    type Err = SymbolError;

    fn from_str(text: &str) -> Result<Self, SymbolError> {
        if text.is_empty() {
            return Err(SymbolError::Empty);
        }
        if text.len() > MAX_LEN {
            return Err(SymbolError::TooLong(text.len()));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if let Some((at, found)) = text.chars().enumerate().find(|(_, c)| !allowed(*c)) {
            return Err(SymbolError::BadCharacter { symbol: text.to_owned(), found, position: at + 1 });
        }
        if !text.starts_with(|c: char| c.is_ascii_uppercase() || c.is_ascii_digit()) {
            return Err(SymbolError::BadStart { symbol: text.to_owned() });
        }
        if text.ends_with('.') {
            return Err(SymbolError::BadEnd { symbol: text.to_owned() });
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_symbols_are_accepted_as_they_are() {
        for text in ["AAPL", "BRK.B", "KIMpL", "NA", "NAN", "ON", "TRUE", "A", "CON", "ABCpA.WS"] {
            assert_eq!(text.parse::<Symbol>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn hostile_symbols_are_refused_with_the_reason() {
        let refused = |text: &str| text.parse::<Symbol>().unwrap_err();
        assert_eq!(refused(""), SymbolError::Empty);
        assert_eq!(refused(&"A".repeat(10_240)), SymbolError::TooLong(10_240));
        assert!(matches!(refused("../../etc/x"), SymbolError::BadCharacter { found: '/', position: 3, .. }));
        assert!(matches!(refused("A/B"), SymbolError::BadCharacter { found: '/', .. }));
        assert!(matches!(refused("A\0"), SymbolError::BadCharacter { found: '\0', .. }));
        assert!(matches!(refused("ÄPL"), SymbolError::BadCharacter { position: 1, .. }));
        assert!(matches!(refused("..A"), SymbolError::BadStart { .. }));
        assert!(matches!(refused("."), SymbolError::BadStart { .. }));
        assert!(
            matches!(refused("A."), SymbolError::BadEnd { .. }),
            "on Windows it would share a folder with A"
        );
        assert!(refused("aapl").to_string().ends_with("did you mean \"AAPL\"?"));
        assert!(refused("BRK/B").to_string().ends_with("are accepted, did you mean \"BRK.B\"?"));
        assert!(refused("BRK B").to_string().ends_with("did you mean \"BRK.B\"?"));
    }
}
