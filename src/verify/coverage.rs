//! What should be there by the calendar, and what is. No I/O.

use std::{collections::BTreeSet, ops::RangeInclusive};

use jiff::civil::Date;
use serde::Serialize;

use super::{Finding, Kind};
use crate::{
    calendar,
    manifest::TaskItem,
    model::{Month, Partition, Symbol},
};

/// How many of the expected sessions are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Coverage {
    /// Sessions of the windows that were asked for, within each symbol's life.
    pub expected_sessions: u64,
    /// Those of them that have a bar.
    pub present_sessions: u64,
}

impl Coverage {
    /// The share that is present; all of nothing is all.
    #[must_use]
    pub fn ratio(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a ratio")]
        let (present, expected) = (self.present_sessions as f64, self.expected_sessions as f64);
        if self.expected_sessions == 0 { 1.0 } else { present / expected }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.expected_sessions += other.expected_sessions;
        self.present_sessions += other.present_sessions;
    }
}

/// Holds what is held of a symbol against what was asked for: absent sessions between its first and its last bar, in
/// stretches, and tasks that have not come to their end.
///
/// Before its first bar and after its last one the server has said, by the end of a traversal, that there is nothing.
/// What stood in a month that is lost covers nothing, but that is no gap of its own: the damage has a finding.
pub(super) fn check(
    symbol: &Symbol,
    tasks: &[TaskItem],
    recorded: &[Partition],
    is_lost: impl Fn(Month) -> bool,
) -> (Coverage, Vec<Finding>) {
    let days = |one: &Partition| one.month.days(one.session_mask()).collect::<Vec<_>>();
    let stored: BTreeSet<Date> = recorded.iter().flat_map(days).collect();
    let present: BTreeSet<Date> = recorded.iter().filter(|one| !is_lost(one.month)).flat_map(days).collect();
    let ended = |task: &&TaskItem| task.state.is_covered();
    let mut findings: Vec<_> = tasks.iter().filter(|task| !ended(task)).map(unfinished).collect();
    let asked = sessions(tasks.iter());
    let proven = sessions(tasks.iter().filter(ended));
    let life = stored.first().copied().zip(stored.last().copied()).map(|(first, last)| first..=last);
    let is_alive = |day: &Date| life.as_ref().is_none_or(|life| life.contains(day));
    // What an unfinished task has not come to is expected all the same.
    let expected: BTreeSet<Date> = asked
        .iter()
        .copied()
        .filter(|day| if proven.contains(day) { life.is_some() && is_alive(day) } else { true })
        .collect();
    let absent: Vec<Date> =
        expected.difference(&stored).copied().filter(|day| proven.contains(day)).collect();
    findings.extend(stretches(&expected, &absent).into_iter().map(|stretch| missing(symbol, &stretch)));
    let coverage = Coverage {
        expected_sessions: expected.len() as u64,
        present_sessions: expected.intersection(&present).count() as u64,
    };
    (coverage, findings)
}

fn sessions<'a>(tasks: impl Iterator<Item = &'a TaskItem>) -> BTreeSet<Date> {
    tasks.flat_map(|task| calendar::sessions(task.window).map(calendar::Session::date)).collect()
}

/// Absent sessions that follow each other: the first, the last and their number.
fn stretches(expected: &BTreeSet<Date>, absent: &[Date]) -> Vec<(RangeInclusive<Date>, u64)> {
    let mut stretches: Vec<(RangeInclusive<Date>, u64)> = Vec::new();
    for day in absent {
        let before = expected.range(..*day).next_back();
        match stretches.last_mut().filter(|(days, _)| Some(days.end()) == before) {
            Some((days, count)) => {
                *days = *days.start()..=*day;
                *count += 1;
            }
            None => stretches.push((*day..=*day, 1)),
        }
    }
    stretches
}

fn missing(symbol: &Symbol, (days, count): &(RangeInclusive<Date>, u64)) -> Finding {
    let detail = if *count == 1 {
        "no bar, and nobody says why".to_owned()
    } else {
        format!("{count} sessions to {} have no bar, and nobody says why", days.end())
    };
    Kind::MissingSession.on(symbol, *days.start(), detail)
}

fn unfinished(task: &TaskItem) -> Finding {
    let reason = task.last_error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
    let detail = format!("{} is {}{reason}", task.window, task.state);
    Kind::UnfinishedTask.on(&task.symbol, task.window.from(), detail)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::{manifest::TaskState, model::Window};

    fn task(from: Date, to: Date, state: TaskState) -> TaskItem {
        TaskItem {
            symbol: "A".parse().unwrap(),
            window: Window::new(from, to).unwrap(),
            state,
            bars: 0,
            pages: 1,
            cursor: None,
            attempts: 0,
            last_error: (state == TaskState::Failed).then(|| "HTTP 500".to_owned()),
        }
    }

    /// A January with bars on these days.
    fn held(days: &[usize]) -> Vec<Partition> {
        let mut bars_by_day = [0; 31];
        for day in days {
            bars_by_day[day - 1] = 390;
        }
        vec![Partition {
            symbol: "A".parse().unwrap(),
            month: Month::new(2024, 1).unwrap(),
            bars: 1,
            first_ms: 0,
            last_ms: 0,
            bytes: 1,
            xxh3: 0,
            bars_by_day,
        }]
    }

    /// Expected and present sessions, and what is said of gaps.
    fn checked(tasks: &[TaskItem], held: &[Partition]) -> (u64, u64, Vec<String>) {
        let (coverage, findings) = check(&"A".parse().unwrap(), tasks, held, |_| false);
        let said = |finding: &Finding| {
            format!("{} {}: {}", finding.kind.as_str(), finding.date.unwrap(), finding.detail)
        };
        (coverage.expected_sessions, coverage.present_sessions, findings.iter().map(said).collect())
    }

    #[test]
    fn weekends_and_holidays_are_no_gaps() {
        // The 15th was Martin Luther King's day.
        let month = [task(date(2024, 1, 1), date(2024, 1, 31), TaskState::Done)];
        assert_eq!(checked(&month, &held(&[11, 12, 16, 17, 18, 19, 22])), (7, 7, vec![]));
    }

    #[test]
    fn sessions_without_a_bar_between_others_are_named_in_stretches() {
        let month = [task(date(2024, 1, 1), date(2024, 1, 31), TaskState::Done)];
        let gaps = vec![
            "missing_session 2024-01-03: no bar, and nobody says why".to_owned(),
            "missing_session 2024-01-05: 3 sessions to 2024-01-09 have no bar, and nobody says why"
                .to_owned(),
        ];
        assert_eq!(checked(&month, &held(&[2, 4, 10])), (7, 3, gaps));
    }

    #[test]
    fn what_is_proven_to_be_empty_is_not_expected() {
        let month = [task(date(2024, 1, 1), date(2024, 1, 31), TaskState::Empty)];
        assert_eq!(checked(&month, &[]), (0, 0, vec![]));
    }

    #[test]
    fn what_an_unfinished_task_owes_is_expected_and_its_reason_is_said() {
        let tasks = [
            task(date(2024, 1, 1), date(2024, 1, 12), TaskState::Done),
            task(date(2024, 1, 13), date(2024, 1, 31), TaskState::Failed),
        ];
        let owed = "unfinished_task 2024-01-13: 2024-01-13..2024-01-31 is failed: HTTP 500".to_owned();
        assert_eq!(checked(&tasks, &held(&[2, 3, 4, 5, 8, 9, 10, 11, 12])), (21, 9, vec![owed]));
    }
}
