//! Expands symbols × windows to tasks, without what is recorded already.

use std::{collections::HashMap, hash::BuildHasher};

use crate::{Symbol, Window, calendar};

/// The tasks that `requested` needs beyond those that are recorded, in the order of work: window by window.
///
/// A window of a symbol that is recorded exactly needs no task. Of any other window, only the days that no recorded
/// window of the symbol has are requested, so that a wider request, or the same one a year later, fetches nothing
/// twice. Windows that overlap within one request stay as they are given.
#[must_use]
pub fn missing_windows<H: BuildHasher>(
    symbols: &[Symbol],
    requested: &[Window],
    recorded: &HashMap<Symbol, Vec<Window>, H>,
) -> Vec<(Symbol, Window)> {
    let mut tasks = Vec::new();
    for (at, window) in requested.iter().enumerate() {
        if requested[..at].contains(window) {
            continue;
        }
        for symbol in symbols {
            let covered = recorded.get(symbol).map_or(&[][..], Vec::as_slice);
            tasks.extend(uncovered(*window, covered).into_iter().map(|window| (symbol.clone(), window)));
        }
    }
    tasks
}

/// Returns the missing parts of tasks that are given one by one, in their order; see [`missing_windows`].
#[must_use]
pub fn missing_tasks<H: BuildHasher>(
    requested: &[(Symbol, Window)],
    recorded: &HashMap<Symbol, Vec<Window>, H>,
) -> Vec<(Symbol, Window)> {
    let covered = |symbol| recorded.get(symbol).map_or(&[][..], Vec::as_slice);
    let missing = requested.iter().flat_map(|(symbol, window)| {
        uncovered(*window, covered(symbol)).into_iter().map(|window| (symbol.clone(), window))
    });
    missing.collect()
}

/// The ranges of `window` that no window of `covered` has. A remaining part is worth a request only if it has a session.
fn uncovered(window: Window, covered: &[Window]) -> Vec<Window> {
    // Each recorded window takes its days away from the parts that are left.
    let cut = |rest: Vec<Window>, covered: &Window| {
        rest.into_iter().flat_map(|part| part.minus(*covered)).collect()
    };
    let rest: Vec<Window> = covered.iter().fold(vec![window], cut);
    let is_worth_asking = |part: &Window| *part == window || calendar::sessions(*part).next().is_some();
    rest.into_iter().filter(is_worth_asking).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::read_windows;

    fn plan(requested: &str, recorded: &str) -> Vec<String> {
        let symbol: Symbol = "A".parse().unwrap();
        let recorded = if recorded.is_empty() { Vec::new() } else { read_windows(recorded).unwrap() };
        let recorded = HashMap::from([(symbol.clone(), recorded)]);
        let tasks = missing_windows(&[symbol], &read_windows(requested).unwrap(), &recorded);
        tasks.into_iter().map(|(_, window)| window.to_string()).collect()
    }

    #[test]
    fn the_same_again_needs_nothing() {
        assert_eq!(plan("2004-2010,2011-2016", "2004-2010,2011-2016"), [""; 0]);
    }

    #[test]
    fn more_windows_need_just_the_new_ones() {
        assert_eq!(plan("2023,2024", "2023"), ["2024-01-01..2024-12-31"]);
        assert_eq!(plan("2022-2024", "2023"), ["2022-01-01..2022-12-31", "2024-01-01..2024-12-31"]);
        assert_eq!(plan("2023", "2022-2024"), [""; 0]);
    }

    #[test]
    fn a_holiday_that_is_left_over_is_not_worth_a_request() {
        assert_eq!(plan("2024-01", "2024-01-02..2024-01-31"), [""; 0]);
        assert_eq!(plan("2024-01-01", ""), ["2024-01-01..2024-01-01"], "if it was asked for, it is asked");
        assert_eq!(plan("2024,2024", "").len(), 1);
    }

    #[test]
    fn a_year_that_was_cut_off_at_yesterday_goes_on_from_there() {
        assert_eq!(plan("2026-01-01..2026-11-23", "2026-01-01..2026-11-20"), ["2026-11-21..2026-11-23"]);
    }

    #[test]
    fn windows_of_one_request_may_overlap() {
        assert_eq!(plan("2024-01..2024-03,2024-02..2024-05", "").len(), 2);
    }

    #[test]
    fn tasks_one_by_one_need_what_no_window_of_their_own_symbol_has() {
        let task = |symbol: &str, window| (symbol.parse().unwrap(), read_windows(window).unwrap()[0]);
        let recorded = HashMap::from([("A".parse().unwrap(), read_windows("2024-01").unwrap())]);
        let requested = [task("B", "2024-01"), task("A", "2024-01-09"), task("A", "2024-01-30..2024-02-02")];
        let shown: Vec<_> =
            missing_tasks(&requested, &recorded).iter().map(|(s, w)| format!("{s} {w}")).collect();
        assert_eq!(shown, ["B 2024-01-01..2024-01-31", "A 2024-02-01..2024-02-02"]);
    }

    #[test]
    fn the_order_of_work_is_window_by_window() {
        let symbols = ["B", "A"].map(|text| text.parse().unwrap());
        let tasks = missing_windows(&symbols, &read_windows("2024,2023").unwrap(), &HashMap::new());
        let shown: Vec<_> = tasks.iter().map(|(s, w)| format!("{s} {}", w.from().year())).collect();
        assert_eq!(shown, ["B 2024", "A 2024", "B 2023", "A 2023"]);
    }
}
