//! Which sessions should have bars by the calendar, which have some, and why the others have none. No I/O.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::RangeInclusive,
};

use grab_model::{Month, Partition, Symbol, Window, new_york, universe::Universe};
use jiff::civil::Date;
use serde::Serialize;

use super::{
    Finding, FindingKind, ListingCuts, SessionStatus, Severity, Witness, WitnessView, gaps,
    integrity::CheckedSymbol, sessions::RequestedSessions,
};
use crate::manifest::{AnsweredAt, TaskItem, TaskState};

/// The numbers of expected, present and unexplained sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Coverage {
    /// Sessions of the requested windows that should have bars.
    pub expected_sessions: u64,
    /// Expected sessions that have bars. The number of bars does not matter: a thin session has a finding of its own.
    pub present_sessions: u64,
    /// Other requested sessions that have no bar by the server's response alone: no witness explains them.
    pub unexplained_sessions: u64,
}

impl Coverage {
    /// The expected and the unexplained sessions: all for which only the server may say that they need no bars.
    #[must_use]
    pub fn all_sessions(self) -> u64 {
        self.expected_sessions + self.unexplained_sessions
    }

    /// Returns the share of [`Self::all_sessions`] that is present; 1 if there is no session. The server's statement
    /// that it has no bars does not count as presence: a server that has lost a market says so too.
    #[must_use]
    pub fn ratio(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a ratio")]
        let (present, all) = (self.present_sessions as f64, self.all_sessions() as f64);
        if self.all_sessions() == 0 { 1.0 } else { present / all }
    }

    /// Counts the expected, present and unexplained sessions among `days`.
    #[must_use]
    pub fn of(days: &[SessionStatus]) -> Self {
        let count = |is: fn(SessionStatus) -> bool| days.iter().filter(|day| is(**day)).count() as u64;
        Self {
            expected_sessions: count(SessionStatus::is_expected),
            present_sessions: count(SessionStatus::is_present),
            unexplained_sessions: count(SessionStatus::is_unexplained),
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.expected_sessions += other.expected_sessions;
        self.present_sessions += other.present_sessions;
        self.unexplained_sessions += other.unexplained_sessions;
    }
}

/// All facts about one symbol.
pub(super) struct SymbolFacts<'a> {
    pub(super) symbol: &'a Symbol,
    pub(super) tasks: &'a [TaskItem],
    /// Requested days that the plan does not serve: no task has them.
    pub(super) not_entitled: &'a [Window],
    pub(super) recorded: &'a [Partition],
    /// The recorded bars of each day, for months whose partition was lost and whose bars are not all back.
    pub(super) lost: &'a HashMap<Month, [u16; 31]>,
    pub(super) checked: &'a CheckedSymbol,
    pub(super) sessions: &'a RequestedSessions,
    pub(super) witness: &'a dyn Witness,
    pub(super) universe: Option<&'a Universe>,
    /// Whether another process is writing: then running tasks are being worked on, not left over from a crash.
    pub(super) is_written: bool,
    pub(super) cut_away: &'a ListingCuts,
}

impl SymbolFacts<'_> {
    /// Returns one explanation for each session.
    pub(super) fn explain(&self) -> Vec<SessionStatus> {
        let mut days = vec![SessionStatus::NotAsked; self.sessions.dates().len()];
        for task in self.tasks {
            let status = self.status_of(task);
            days[self.sessions.within(task.window)].iter_mut().for_each(|day| *day = status.max(*day));
        }
        for window in self.not_entitled {
            let days = days[self.sessions.within(*window)].iter_mut();
            days.filter(|day| **day == SessionStatus::NotAsked)
                .for_each(|day| *day = SessionStatus::BeforeHistory);
        }
        // Each step may replace what the steps before it have found, so their order matters.
        self.mark_stored(&mut days);
        let traded = self.traded(&days);
        self.explain_absent(&mut days, &traded);
        self.mark_not_listed(&mut days, &traded);
        self.mark_cut_away(&mut days);
        self.mark_thin(&mut days);
        // Last, because too few bars came back on these days, however they look now.
        for (date, ..) in self.not_back() {
            if let Some(index) =
                self.sessions.index_of(date).filter(|index| days[*index] != SessionStatus::Pending)
            {
                days[index] = SessionStatus::Lost;
            }
        }
        days
    }

    /// Returns the days that have fewer bars than they had before the loss, in order: the former number and the present one.
    fn not_back(&self) -> Vec<(Date, u16, u16)> {
        let mut not_back = Vec::new();
        for (month, were) in self.lost {
            let stored = self.recorded.iter().find(|partition| partition.month == *month);
            for date in month.days(u32::MAX) {
                let day = usize::try_from(date.day() - 1).unwrap_or_default();
                let are = stored.map_or(0, |stored| stored.bars_by_day[day]);
                if are < were[day] {
                    not_back.push((date, were[day], are));
                }
            }
        }
        not_back.sort_unstable();
        not_back
    }

    /// The explanation that a task gives for the days of its window without bars. `AskedAgain` needs all bars that the
    /// server sent then to be still recorded.
    fn status_of(&self, task: &TaskItem) -> SessionStatus {
        match task.state {
            TaskState::Pending | TaskState::Running => SessionStatus::Pending,
            TaskState::Done | TaskState::Empty => {
                let is_kept = || self.recorded_in(task.window) >= task.bars;
                if task.asked_again.is_some() && is_kept() {
                    SessionStatus::AskedAgain
                } else {
                    SessionStatus::Empty
                }
            }
            TaskState::NotEntitled => SessionStatus::NotEntitled,
            TaskState::NotFound => SessionStatus::NotFound,
            TaskState::Failed => SessionStatus::Failed,
        }
    }

    /// The number of recorded bars on a window's days.
    fn recorded_in(&self, window: Window) -> u64 {
        let in_month = |partition: &Partition| {
            let mask = partition.month.mask(window);
            let days = partition.bars_by_day.iter().enumerate().filter(|(day, _)| mask & 1 << day != 0);
            days.map(|(_, bars)| u64::from(*bars)).sum::<u64>()
        };
        self.recorded.iter().map(in_month).sum()
    }

    fn mark_stored(&self, days: &mut [SessionStatus]) {
        for partition in self.recorded {
            let what = if self.checked.is_lost(partition.month) {
                SessionStatus::Lost
            } else {
                SessionStatus::Present
            };
            for date in partition.month.days(partition.session_mask()) {
                if let Some(day) = self.sessions.index_of(date).map(|index| &mut days[index])
                    && *day != SessionStatus::NotAsked
                {
                    *day = what;
                }
            }
        }
    }

    /// Explains the days without bars in windows that were traversed to the end: was any bar expected? Without a
    /// witness, bars are expected between the first day and the last day that are stored, or are on record as sent.
    fn explain_absent(&self, days: &mut [SessionStatus], traded: &BTreeSet<usize>) {
        let span = traded.first().copied().zip(traded.last().copied());
        let is_known = self.is_known_to_the_witness(traded);
        for (index, day) in days.iter_mut().enumerate() {
            if !matches!(day, SessionStatus::Empty | SessionStatus::AskedAgain) {
                continue;
            }
            let is_alive = span.is_some_and(|(first, last)| (first..=last).contains(&index));
            let date = self.sessions.dates()[index];
            *day = match self.witness.saw(self.symbol, date) {
                // Its bars may be in an unrecorded file, which has a finding of its own.
                _ if self.checked.unknown.contains(&Month::of(date)) => SessionStatus::Lost,
                Some(WitnessView::NoTrade) if is_known => SessionStatus::NoTrade,
                Some(WitnessView::Traded(_)) if *day == SessionStatus::AskedAgain => SessionStatus::Withheld,
                Some(WitnessView::NoTrade) | None if !is_alive => SessionStatus::Empty,
                Some(_) | None if *day == SessionStatus::AskedAgain => SessionStatus::AskedAgain,
                Some(_) | None => SessionStatus::Missing,
            };
        }
    }

    /// The indexes of the days that have or had bars: stored, or on record as sent.
    fn traded(&self, days: &[SessionStatus]) -> BTreeSet<usize> {
        let stored = days.iter().enumerate().filter_map(|(index, day)| day.has_bars().then_some(index));
        let sent = self.tasks.iter().filter_map(|task| task.sent_ms).flat_map(|(first, last)| [first, last]);
        stored.chain(sent.filter_map(|ms| self.sessions.index_of(new_york::date_of(ms)?))).collect()
    }

    /// Whether the witness knows the symbol, judged by the days that have or had bars. If the witness covers some of
    /// these days and saw trades on none, it does not know the symbol, for example because it is traded over the counter.
    fn is_known_to_the_witness(&self, traded: &BTreeSet<usize>) -> bool {
        let dates = traded.iter().filter_map(|index| self.sessions.dates().get(*index));
        let mut seen = dates.filter_map(|date| self.witness.saw(self.symbol, *date)).peekable();
        seen.peek().is_none() || seen.any(|seen| seen != WitnessView::NoTrade)
    }

    /// Returns the findings about missing or damaged days and about unfinished tasks.
    pub(super) fn findings(&self, days: &[SessionStatus]) -> Vec<Finding> {
        let unfinished = self.tasks.iter().filter(|task| !task.state.is_covered());
        let unfinished = unfinished.map(|task| unfinished_task(task, self.is_written));
        let mut findings: Vec<_> = unfinished.collect();
        findings.extend(self.lost_bars(days));
        let missing = self.runs(days, |day| day == SessionStatus::Missing);
        if self.recorded.is_empty() && !missing.is_empty() {
            findings.push(self.no_bar_at_all(&missing));
        } else {
            findings.extend(missing.iter().map(|span| self.missing(span)));
        }
        let cut_away = self.cut_away(days);
        if missing.is_empty() && cut_away.is_empty() {
            findings.extend(self.no_bar_by_its_word(days));
        }
        findings.extend(cut_away);
        findings.extend(self.outside_listing(days));
        let asked_again =
            self.runs(days, |day| matches!(day, SessionStatus::AskedAgain | SessionStatus::Withheld));
        findings.extend(asked_again.iter().map(|span| self.missing_at_the_server(span)));
        if days.contains(&SessionStatus::Thin) {
            findings.extend(
                self.thin_sessions(days).into_iter().map(|(date, thin)| self.thin_finding(date, thin)),
            );
        }
        findings
    }

    /// Returns one finding for each month with bars that were lost and did not come back.
    fn lost_bars(&self, days: &[SessionStatus]) -> Vec<Finding> {
        let is_outstanding = |date: Date| {
            self.sessions.index_of(date).is_some_and(|index| days[index] == SessionStatus::Pending)
        };
        let mut findings: BTreeMap<Month, (RangeInclusive<Date>, u32, u32)> = BTreeMap::new();
        // An outstanding task will fetch the day again, and a damaged month has a finding of its own.
        let is_reported = |date: Date| {
            let mut damaged = self.checked.findings.iter().filter(|one| one.severity == Severity::Damage);
            is_outstanding(date) || damaged.any(|one| one.month == Some(Month::of(date)))
        };
        for (date, were, are) in self.not_back().into_iter().filter(|(date, ..)| !is_reported(*date)) {
            let (days, most, stored) = findings.entry(Month::of(date)).or_insert_with(|| (date..=date, 0, 0));
            *days = *days.start()..=date;
            *most += u32::from(were);
            *stored += u32::from(are);
        }
        let findings = findings.into_values().map(|(days, most, stored)| {
            let kind = if stored == 0 { FindingKind::MissingSession } else { FindingKind::ThinSession };
            let detail = format!(
                "{stored} of the {most} bars that were on record; the others were lost and did not come back"
            );
            kind.on(self.symbol, &days, detail)
        });
        findings.collect()
    }

    /// Returns the runs of days of one kind, each with the number of these days. Days on which nothing is expected do
    /// not end a run.
    fn runs(&self, days: &[SessionStatus], is_meant: impl Fn(SessionStatus) -> bool) -> Vec<SessionRun> {
        let mut runs: Vec<SessionRun> = Vec::new();
        let mut goes_on = false;
        for (day, date) in days.iter().zip(self.sessions.dates()) {
            if is_meant(*day) {
                match runs.last_mut().filter(|_| goes_on) {
                    Some((days, count)) => {
                        *days = *days.start()..=*date;
                        *count += 1;
                    }
                    None => runs.push((*date..=*date, 1)),
                }
                goes_on = true;
            } else if day.is_expected() || matches!(day, SessionStatus::AskedAgain | SessionStatus::NotAsked)
            {
                goes_on = false;
            }
        }
        runs
    }

    /// The shares that the witness counted on days without stored bars. None if it does not cover them.
    pub(super) fn witnessed(&self, days: &RangeInclusive<Date>) -> Option<f64> {
        let dates = self.sessions.dates().iter().filter(|date| days.contains(date));
        let seen: Vec<f64> = dates
            .filter_map(|date| match self.witness.saw(self.symbol, *date) {
                Some(WitnessView::Traded(shares)) => Some(shares),
                Some(WitnessView::NoTrade) | None => None,
            })
            .collect();
        if seen.is_empty() { None } else { Some(seen.iter().sum()) }
    }

    fn why(&self, days: &RangeInclusive<Date>) -> String {
        let traded = |shares: f64| format!("the witness counts {shares:.0} shares");
        self.witnessed(days).map_or_else(|| "no source explains it".to_owned(), traded)
    }

    fn missing(&self, (days, count): &SessionRun) -> Finding {
        let detail = format!("{}, and {}", no_bar(days, *count), self.why(days));
        FindingKind::MissingSession.on(self.symbol, days, detail)
    }

    fn no_bar_at_all(&self, runs: &[SessionRun]) -> Finding {
        let count = runs.iter().map(|(_, count)| *count).sum();
        let (first, last) = (runs[0].0.start(), runs[runs.len() - 1].0.end());
        let days = *first..=*last;
        let detail = format!("{}, and {}", no_bar(&days, count), self.why(&days));
        FindingKind::MissingSymbol.on(self.symbol, &days, detail)
    }

    /// Returns the finding about a symbol without any bar that only the server explains. One of them is a notice; too
    /// many are a gap.
    fn no_bar_by_its_word(&self, days: &[SessionStatus]) -> Option<Finding> {
        let unexplained = self.runs(days, |day| day == SessionStatus::Empty);
        let (first, last) = unexplained.first().zip(unexplained.last()).filter(|_| gaps::has_no_bar(days))?;
        let (from, to) = (*first.0.start(), *last.0.end());
        let sessions: u64 = unexplained.iter().map(|(_, count)| *count).sum();
        let plural = if sessions == 1 { "" } else { "s" };
        let detail = format!(
            "no bar at all in {sessions} session{plural} to {to}, the server alone says so, and no witness confirms it"
        );
        let finding = FindingKind::MissingSymbol.on(self.symbol, &(from..=to), detail);
        Some(Finding { severity: Severity::Notice, ..finding })
    }

    fn missing_at_the_server(&self, (days, count): &SessionRun) -> Finding {
        let traded =
            self.witnessed(days).map(|shares| format!(", but the witness counts {shares:.0} shares"));
        let detail = format!(
            "{}: {}{}",
            no_bar(days, *count),
            self.answered(*days.start()),
            traded.unwrap_or_default()
        );
        let finding = FindingKind::MissingSession.on(self.symbol, days, detail);
        Finding { severity: Severity::Notice, ..finding }
    }

    pub(super) fn answer(&self, date: Date) -> Option<&AnsweredAt> {
        let requested =
            self.tasks.iter().filter(|task| task.window.from() <= date && date <= task.window.to());
        requested.filter_map(|task| task.asked_again.as_ref()).max_by_key(|answer| answer.at_ms)
    }

    pub(super) fn answered(&self, date: Date) -> String {
        let Some(answer) = self.answer(date) else { return "the server has no more".to_owned() };
        let request = answer.request_id.as_deref().map(|id| format!(" (request {id})")).unwrap_or_default();
        let day = new_york::date_of(answer.at_ms).map(|day| day.to_string()).unwrap_or_default();
        format!("it was requested again on {day}{request}, and the server has no more")
    }
}

/// The first day, the last day, and the number of sessions.
type SessionRun = (RangeInclusive<Date>, u64);

fn no_bar(days: &RangeInclusive<Date>, count: u64) -> String {
    if count == 1 { "no bar".to_owned() } else { format!("{count} sessions to {} have no bar", days.end()) }
}

fn unfinished_task(task: &TaskItem, is_written: bool) -> Finding {
    let reason = task.last_error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
    let is_left = task.state == TaskState::Running && !is_written;
    let crashed = if is_left { " in a process that crashed" } else { "" };
    let detail = format!("{} is {}{crashed}{reason}", task.window, task.state);
    FindingKind::UnfinishedTask.on(&task.symbol, &(task.window.from()..=task.window.to()), detail)
}

#[cfg(test)]
mod tests;
