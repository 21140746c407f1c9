//! Which part of a plan of tasks the service's plan serves.

use std::collections::HashMap;

use crate::{HistoryStart, Symbol, Window, calendar};

/// Days of symbols.
type Tasks = Vec<(Symbol, Window)>;

/// Splits tasks where a plan's history begins: returns those that are served, in their order, and the days that are
/// not. A weekend before the first session is in neither.
#[must_use]
pub fn within_history(tasks: Tasks, edge: Option<HistoryStart>) -> (Tasks, Tasks) {
    let Some(edge) = edge else { return (tasks, Vec::new()) };
    let (mut served, mut before) = (Tasks::new(), Tasks::new());
    for (symbol, window) in tasks {
        let Some((early, rest)) = edge.split(window) else {
            served.push((symbol, window));
            continue;
        };
        if sessions_in([&early]) > 0 {
            before.push((symbol.clone(), early));
        }
        served.extend(rest.map(|rest| (symbol, rest)));
    }
    (served, before)
}

/// The number of sessions in windows, summed. Many symbols share few windows: each distinct window is computed once.
#[must_use]
pub fn sessions_in<'a>(windows: impl IntoIterator<Item = &'a Window>) -> u64 {
    let mut known: HashMap<Window, u64> = HashMap::new();
    let count =
        |window: &Window| *known.entry(*window).or_insert_with(|| calendar::sessions(*window).count() as u64);
    windows.into_iter().map(count).sum()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn tasks_are_parted_where_history_begins_and_sessions_counted() {
        let task = |symbol: &str, from, to| (symbol.parse().unwrap(), Window::new(from, to).unwrap());
        let edge = HistoryStart::new(date(2024, 11, 29), Some(date(2024, 12, 2)));
        let tasks = vec![
            task("A", date(2024, 11, 25), date(2024, 12, 31)),
            task("B", date(2024, 1, 1), date(2024, 1, 31)),
            task("C", date(2024, 11, 30), date(2024, 12, 31)),
        ];
        let (served, before) = within_history(tasks.clone(), edge);
        let expected = vec![
            task("A", date(2024, 12, 2), date(2024, 12, 31)),
            task("C", date(2024, 12, 2), date(2024, 12, 31)),
        ];
        assert_eq!(served, expected);
        assert_eq!(before.len(), 2);
        assert_eq!(sessions_in(before.iter().map(|(_, window)| window)), 4 + 21, "one was Thanksgiving");
        assert_eq!(within_history(tasks.clone(), None), (tasks, Vec::new()));
    }
}
