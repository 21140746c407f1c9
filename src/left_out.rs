//! What lists leave out of a subscription, in words.

use std::collections::BTreeSet;

use grab_model::format;
use grab_model::{Symbol, universe::DroppedByFilter};
use grab_ops::{CutByLists, LeftOut};

/// How many are named in a text.
const NAMED: usize = 10;

/// Everything that is left out: a line for each reason.
#[must_use]
pub fn notes(left_out: &LeftOut) -> Vec<String> {
    dropped(&left_out.dropped).into_iter().chain(cut(&left_out.cut)).collect()
}

fn cut(cut: &CutByLists) -> Option<String> {
    let named =
        cut.items.iter().map(|item| format!("{} {} (listed {})", item.ticker, item.window, item.listed));
    let (symbols, windows) =
        (format::plural(cut.symbols as u64, "symbol"), format::plural(cut.windows as u64, "window"));
    (cut.windows > 0).then(|| {
        format!(
            "not requested, because the lists do not have the symbol then: {windows} of {symbols}: {}; \
             `grab verify --witness grouped-daily` finds what traded all the same",
            first_of(named, cut.windows)
        )
    })
}

/// The tickers that a filter drops because a field is missing: a line for each field.
#[must_use]
pub fn dropped(dropped: &DroppedByFilter) -> Vec<String> {
    let DroppedByFilter { without_type, without_exchange } = dropped;
    let fields = [("type", without_type), ("exchange", without_exchange)];
    let line = |(field, symbols): (&str, &BTreeSet<Symbol>)| {
        format!(
            "left out, because the list does not give their {field}: {}: {}; a '?' among the codes of --{field} includes them",
            format::plural(symbols.len() as u64, "symbol"),
            first_of(symbols.iter().map(ToString::to_string), symbols.len())
        )
    };
    fields.into_iter().filter(|(_, symbols)| !symbols.is_empty()).map(line).collect()
}

fn first_of(names: impl Iterator<Item = String>, count: usize) -> String {
    let first: Vec<_> = names.take(NAMED).collect();
    let more = count.saturating_sub(first.len());
    let more = if more > 0 { format!(", and {} more", format::count(more as u64)) } else { String::new() };
    first.join(", ") + &more
}
