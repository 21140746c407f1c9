//! The short tables of `grab verify`: tasks by window and state, coverage by month, the worst symbols.

use std::collections::BTreeMap;

use grab_core::{
    manifest::TaskState,
    verify::{Coverage, Verification},
};
use grab_model::format;
use grab_model::{Month, Symbol, Window};

/// How many windows and symbols are listed.
const LISTED: usize = 5;

/// Years side by side in 80 columns.
const YEARS_A_LINE: usize = 4;

/// The levels of partial coverage, the lowest first.
const LEVELS: [char; 7] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇'];

/// Full coverage.
const FULL: char = '█';

/// All tables, each with its name.
#[must_use]
pub fn tables(verified: &Verification) -> Vec<String> {
    let tables =
        [("tasks", windows(&verified.counts)), ("months", strip(verified)), ("worst", worst(verified))];
    let named = tables.into_iter().filter(|(_, lines)| !lines.is_empty());
    named.flat_map(|(name, lines)| std::iter::once(name.to_owned()).chain(lines)).collect()
}

/// The number of tasks by window and state: first the windows with the most tasks.
fn windows(counts: &BTreeMap<Window, BTreeMap<TaskState, u64>>) -> Vec<String> {
    let mut windows: Vec<_> = counts.iter().collect();
    windows.sort_by_key(|(_, states)| std::cmp::Reverse(states.values().sum::<u64>()));
    let line = |(window, states): &(&Window, &BTreeMap<TaskState, u64>)| {
        let states: Vec<_> =
            states.iter().map(|(state, tasks)| format!("{} {state}", format::count(*tasks))).collect();
        format!("  {window}  {}", states.join(", "))
    };
    let mut lines: Vec<_> = windows.iter().take(LISTED).map(line).collect();
    let more = windows.len().saturating_sub(LISTED);
    lines.extend((more > 0).then(|| format!("  and {} more", format::plural(more as u64, "window"))));
    lines
}

/// One character for each month, one block for each year.
fn strip(verified: &Verification) -> Vec<String> {
    let months = verified.by_month();
    let Some((first, last)) = months.keys().next().zip(months.keys().next_back()) else { return Vec::new() };
    let year = |year: i16| {
        let glyph = |month| Month::new(year, month).and_then(|month| months.get(&month)).map_or('·', glyph);
        format!("{year:04} {}", (1..=12).map(glyph).collect::<String>())
    };
    let years: Vec<_> = (first.year()..=last.year()).map(year).collect();
    years.chunks(YEARS_A_LINE).map(|years| format!("  {}", years.join("  "))).collect()
}

fn glyph(coverage: &Coverage) -> char {
    let (present, all) = (coverage.present_sessions, coverage.all_sessions());
    if present == all {
        return FULL;
    }
    let level = present * LEVELS.len() as u64 / all.max(1);
    LEVELS.get(usize::try_from(level).unwrap_or_default()).copied().unwrap_or(FULL)
}

/// The symbols with the smallest coverage.
fn worst(verified: &Verification) -> Vec<String> {
    let line = |(symbol, coverage): (&Symbol, Coverage)| {
        let share = 100.0 * coverage.ratio();
        format!(
            "  {symbol:<8} {share:6.2} %  {} of {}",
            format::count(coverage.present_sessions),
            format::count(coverage.all_sessions())
        )
    };
    verified.worst(LISTED).into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_full_only_if_all_is_there() {
        let of = |present_sessions| {
            glyph(&Coverage { expected_sessions: 21, present_sessions, ..Coverage::default() })
        };
        assert_eq!([0, 3, 11, 20, 21].map(of), ['▁', '▂', '▄', '▇', '█']);
    }
}
