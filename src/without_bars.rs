//! Symbols without bars, in words.

use grab_model::format;
use grab_ops::{SymbolWithoutBars, WithoutBars};

/// A text about all of them. None if every symbol has bars.
#[must_use]
pub fn text(without: &WithoutBars) -> Option<String> {
    let named: Vec<_> = without.first.iter().map(named).collect();
    let more = without.symbols.saturating_sub(named.len() as u64);
    let more = if more > 0 { format!(" and {} more", format::count(more)) } else { String::new() };
    let all = format::plural(without.symbols, "symbol");
    (without.symbols > 0).then(|| format!("{all} without any bar: {}{more}", named.join(", ")))
}

fn named(symbol: &SymbolWithoutBars) -> String {
    match &symbol.did_you_mean {
        Some(meant) => format!("{} (did you mean {meant}?)", symbol.ticker),
        None => symbol.ticker.to_string(),
    }
}
