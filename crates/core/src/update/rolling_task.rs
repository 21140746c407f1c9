//! How far a symbol's history goes, and from which day on to request it.

use grab_model::{Window, calendar};
use jiff::civil::Date;

use super::UpdateCutoff;
use crate::{
    manifest::{TaskItem, TaskState},
    verify::RequestedSessions,
};

/// A symbol whose last bar is older than this many sessions is not traded at the moment: to request all these days
/// again in each update would fetch nothing.
const LONGEST_LAG: usize = 20;

/// What is known about a symbol.
pub(super) struct SymbolCoverage<'a> {
    pub(super) tasks: &'a [TaskItem],
    /// The last session with bars.
    pub(super) last_stored: Option<Date>,
    /// The last day on which it can have bars.
    pub(super) end: Option<Date>,
}

/// What to do about a symbol's last days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RollingTask {
    /// None of its tasks has ever finished.
    Unanswered,
    /// It is delisted, and all its days were answered after their late trades had been revised.
    Closed,
    /// Nothing: all its days were answered after they were settled. The next rolling task begins at `from`.
    UpToDate { from: Date },
    /// Up to date, but without bars on the last session: request this window if almost no symbol has bars there.
    Lacking(Window),
    /// Request these days.
    Ask(Window),
}

impl UpdateCutoff {
    /// When the last day of a delisted symbol becomes final, UTC ms: after as many further sessions as are requested
    /// again for every symbol. None if these sessions are still to come.
    fn final_ms(&self, sessions: &RequestedSessions, end: Date) -> Option<i64> {
        let after = sessions.dates().partition_point(|date| *date <= end);
        let last = sessions.dates().get((after + self.overlap).checked_sub(1)?)?;
        Some(calendar::session_on(*last)?.extended_close_ms().saturating_add(self.settle_ms))
    }
}

impl SymbolCoverage<'_> {
    /// Removes an end of the lists that bars contradict: bars after it that reach up to the days requested last. An end
    /// that is long ago may be right all the same, if another company has the symbol now.
    pub(super) fn by_bars(self, sessions: &RequestedSessions) -> Self {
        let place = |day: Date| sessions.dates().partition_point(|date| *date <= day);
        let is_recent = |stored: Date| {
            self.covered_to().is_none_or(|covered_to| place(stored) + LONGEST_LAG >= place(covered_to))
        };
        let contradicts =
            |end: &Date| self.last_stored.is_some_and(|stored| *end < stored && is_recent(stored));
        Self { end: self.end.filter(|end| !contradicts(end)), ..self }
    }

    /// The last day of a finished task.
    pub(super) fn covered_to(&self) -> Option<Date> {
        self.tasks.iter().filter(|task| task.state.is_covered()).map(|task| task.window.to()).max()
    }

    pub(super) fn rolling_task(&self, sessions: &RequestedSessions, cutoff: &UpdateCutoff) -> RollingTask {
        let today = cutoff.session.date();
        let end = self.end.filter(|end| *end <= today);
        let target = end.unwrap_or(today);
        let Some(covered_to) = self.covered_to() else {
            // Outstanding days are requested in this update; add the days after them.
            let since = self.outstanding_to().and_then(|outstanding_to| outstanding_to.tomorrow().ok());
            return since
                .and_then(|since| Window::new(since, target))
                .map_or(RollingTask::Unanswered, RollingTask::Ask);
        };
        let closing_ms = end.and_then(|end| cutoff.final_ms(sessions, end));
        let is_answered =
            covered_to >= target && self.answered_ms(target) >= Some(closing_ms.unwrap_or(cutoff.settled_ms));
        if is_answered && closing_ms.is_some() {
            return RollingTask::Closed;
        }
        let from = self.from(sessions, covered_to, cutoff.overlap).min(target);
        if self.outstanding_to().is_some_and(|outstanding_to| outstanding_to >= target) {
            return RollingTask::UpToDate { from };
        }
        // The delisting day of the lists may be too early: until it is final, later days are requested too.
        let until = if is_answered { target } else { today };
        let Some(window) = Window::new(from, until) else { return RollingTask::UpToDate { from } };
        if !is_answered {
            return RollingTask::Ask(window);
        }
        if end.is_none() && self.last_stored < Some(today) {
            RollingTask::Lacking(window)
        } else {
            RollingTask::UpToDate { from }
        }
    }

    /// The last day that is outstanding or failed: this update requests it anyway.
    fn outstanding_to(&self) -> Option<Date> {
        let is_outstanding = |task: &&TaskItem| !task.state.is_ended() || task.state == TaskState::Failed;
        self.tasks.iter().filter(is_outstanding).map(|task| task.window.to()).max()
    }

    /// When a day was last answered, UTC ms.
    fn answered_ms(&self, day: Date) -> Option<i64> {
        let covering = self.tasks.iter().filter(|task| task.state.is_covered() && task.window.to() >= day);
        covering.filter(|task| task.window.from() <= day).filter_map(|task| task.ended_ms).max()
    }

    /// The first day to request: `overlap` sessions before the last stored one, or before the last covered one if the
    /// stored one is long ago or not known yet.
    fn from(&self, sessions: &RequestedSessions, covered_to: Date, overlap: usize) -> Date {
        let place = |day: Date| sessions.dates().partition_point(|date| *date <= day).saturating_sub(1);
        let is_outstanding = self.tasks.iter().any(|task| !task.state.is_ended());
        let covered = place(covered_to);
        let stored =
            self.last_stored.map(place).filter(|stored| !is_outstanding && stored + LONGEST_LAG >= covered);
        let first = self.tasks.iter().map(|task| task.window.from()).min().unwrap_or(covered_to);
        let from = stored.map_or(covered, |stored| stored.min(covered)).saturating_sub(overlap);
        sessions.dates().get(from).map_or(first, |from| (*from).max(first))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::civil::date;

    use super::*;
    use grab_model::new_york;

    fn november(day: i8) -> Date {
        date(2024, 11, day)
    }

    /// A task from the first of November on that ended at nine in the evening of `to`, if it has ended.
    fn task(from: i8, to: i8, state: TaskState) -> TaskItem {
        TaskItem {
            symbol: "A".parse().unwrap(),
            window: Window::new(november(from), november(to)).unwrap(),
            state,
            bars: 1,
            pages: 1,
            cursor: None,
            attempts: 0,
            last_error: None,
            asked_again: None,
            sent_ms: None,
            ended_ms: state.is_ended().then(|| new_york::at_ms(november(to), 21, 0)),
            begun_ms: None,
            is_rolling: false,
            is_repair: false,
        }
    }

    /// The rolling task of a symbol at a quarter to nine in the evening.
    fn rolling_task(tasks: &[TaskItem], last_stored: Option<i8>, end: Option<i8>, today: i8) -> RollingTask {
        let now_ms = new_york::at_ms(november(today), 20, 45);
        let cutoff = UpdateCutoff::at(now_ms, Duration::from_mins(30), 3).unwrap();
        let sessions = RequestedSessions::spanned(Window::new(november(1), november(today)).into_iter());
        let known = SymbolCoverage { tasks, last_stored: last_stored.map(november), end: end.map(november) };
        known.rolling_task(&sessions, &cutoff)
    }

    fn ask(from: i8, to: i8) -> RollingTask {
        RollingTask::Ask(Window::new(november(from), november(to)).unwrap())
    }

    #[test]
    fn three_sessions_before_the_last_one_are_asked_for_again() {
        // Friday 15, Thursday 14, Wednesday 13 and Tuesday 12.
        assert_eq!(rolling_task(&[task(1, 15, TaskState::Done)], Some(15), None, 18), ask(12, 18));
        assert_eq!(
            rolling_task(&[task(1, 17, TaskState::Done)], Some(15), None, 18),
            ask(12, 18),
            "to a Sunday"
        );
        assert_eq!(
            rolling_task(&[task(15, 15, TaskState::Done)], Some(15), None, 18),
            ask(15, 18),
            "no further"
        );
        assert_eq!(
            rolling_task(&[task(1, 15, TaskState::Done)], Some(13), None, 18),
            ask(8, 18),
            "the source lagged"
        );
        assert_eq!(rolling_task(&[task(1, 15, TaskState::Empty)], None, None, 18), ask(12, 18));
    }

    #[test]
    fn what_was_answered_after_it_was_settled_is_not_asked_for_again() {
        let done = [task(1, 15, TaskState::Done)];
        assert_eq!(
            rolling_task(&done, Some(15), None, 16),
            RollingTask::UpToDate { from: november(12) },
            "Saturday"
        );
        assert!(matches!(rolling_task(&done, Some(14), None, 16), RollingTask::Lacking(_)));
        let early = TaskItem { ended_ms: Some(new_york::at_ms(november(15), 20, 5)), ..done[0].clone() };
        assert_eq!(
            rolling_task(&[early], Some(15), None, 16),
            ask(12, 15),
            "late trades of the last minutes"
        );
    }

    #[test]
    fn who_has_left_is_asked_for_until_its_last_days_are_final_and_no_longer() {
        let done = [task(1, 13, TaskState::Done)];
        assert_eq!(rolling_task(&done, Some(13), Some(14), 14), ask(8, 14));
        assert_eq!(
            rolling_task(&done, Some(13), Some(13), 15),
            ask(8, 15),
            "two sessions later: late trades"
        );
        assert_eq!(rolling_task(&done, Some(13), Some(13), 18), ask(8, 18), "three: a last time");
        let answered =
            |on: i8| TaskItem { ended_ms: Some(new_york::at_ms(november(on), 20, 45)), ..done[0].clone() };
        assert_eq!(rolling_task(&[answered(18)], Some(13), Some(13), 18), RollingTask::Closed);
        assert_eq!(rolling_task(&[answered(18)], Some(12), Some(13), 22), RollingTask::Closed);
        assert_eq!(
            rolling_task(&[answered(15)], Some(13), Some(13), 22),
            ask(8, 22),
            "the evenings since were missed"
        );
        assert_eq!(
            rolling_task(&[answered(15)], Some(13), Some(13), 15),
            RollingTask::UpToDate { from: november(8) }
        );
    }

    #[test]
    fn an_end_that_bars_contradict_is_not_believed_unless_they_are_old() {
        let sessions = RequestedSessions::spanned(Window::new(date(2024, 9, 2), november(29)).into_iter());
        let end = |last_stored: Date, end: Date| {
            let tasks = [task(1, 15, TaskState::Done)];
            SymbolCoverage { tasks: &tasks, last_stored: Some(last_stored), end: Some(end) }
                .by_bars(&sessions)
                .end
        };
        assert_eq!(end(november(15), november(8)), None);
        assert_eq!(end(november(8), november(8)), Some(november(8)), "its last day");
        assert_eq!(
            end(date(2024, 10, 18), date(2024, 10, 8)),
            None,
            "twenty sessions before the last answer"
        );
        assert_eq!(end(date(2024, 10, 17), date(2024, 10, 8)), Some(date(2024, 10, 8)));
    }

    #[test]
    fn who_leaves_tomorrow_is_still_there() {
        assert_eq!(rolling_task(&[task(1, 14, TaskState::Done)], Some(14), Some(18), 15), ask(11, 15));
    }

    #[test]
    fn what_is_owed_comes_first() {
        assert_eq!(rolling_task(&[task(1, 18, TaskState::Pending)], None, None, 18), RollingTask::Unanswered);
        assert_eq!(
            rolling_task(&[task(1, 15, TaskState::Pending)], None, None, 18),
            ask(16, 18),
            "the evenings since"
        );
        assert_eq!(rolling_task(&[task(1, 15, TaskState::Failed)], None, None, 18), ask(16, 18));
        assert_eq!(
            rolling_task(&[task(1, 15, TaskState::NotFound)], None, None, 18),
            RollingTask::Unanswered
        );
        let tasks = [task(1, 8, TaskState::Done), task(9, 18, TaskState::Pending)];
        assert_eq!(rolling_task(&tasks, Some(8), None, 18), RollingTask::UpToDate { from: november(5) });
    }
}
