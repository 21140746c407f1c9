//! What the lists say about absences, and what bars say about the lists.

use std::{collections::BTreeSet, ops::Range};

use grab_model::universe::ListedDays;

use super::{Finding, FindingKind, SessionStatus, WitnessView, coverage::SymbolFacts};

/// Bars that end at most this many sessions before the first listed day, or begin at most this many after the last one,
/// belong to the same security: the list has a wrong date. Farther away they may belong to another company.
const NEAR: usize = 20;

impl SymbolFacts<'_> {
    /// Marks the days outside of all listing periods of the symbol: no bars are expected there, unless the witness saw
    /// it trade, or bars contradict the list. Days of outstanding tasks stay as they are, because their bars may
    /// contradict it too.
    pub(super) fn mark_not_listed(&self, days: &mut [SessionStatus], traded: &BTreeSet<usize>) {
        let Some(listed) = self.listed() else { return };
        for run in self.unlisted_runs(listed) {
            let contradicted = self.contradicting(listed, &run, traded).unwrap_or(run.start..run.start);
            for index in run.filter(|index| !contradicted.contains(index)) {
                let date = self.sessions.dates()[index];
                let has_traded =
                    || matches!(self.witness.saw(self.symbol, date), Some(WitnessView::Traded(_)));
                if is_absent(days[index]) && !has_traded() {
                    days[index] = SessionStatus::NotListed;
                }
            }
        }
    }

    fn listed(&self) -> Option<ListedDays<'_>> {
        self.universe?.listed(self.symbol)
    }

    /// The sessions on which the lists do not have the symbol, as runs of consecutive indexes.
    fn unlisted_runs(&self, listed: ListedDays<'_>) -> Vec<Range<usize>> {
        let mut runs: Vec<Range<usize>> = Vec::new();
        for (index, date) in self.sessions.dates().iter().enumerate() {
            if listed.has(*date) {
                continue;
            }
            match runs.last_mut().filter(|run| run.end == index) {
                Some(run) => run.end += 1,
                None => runs.push(index..index + 1),
            }
        }
        runs
    }

    /// The sessions of a run on which bars show that the list is wrong: from the first session with bars to the last
    /// one, extended to the listed days where these are near. Bars on the day of `delisted_utc` contradict nothing.
    fn contradicting(
        &self,
        listed: ListedDays<'_>,
        run: &Range<usize>,
        traded: &BTreeSet<usize>,
    ) -> Option<Range<usize>> {
        let is_last_day = |index: &usize| listed.is_last_day(self.sessions.dates()[*index]);
        let mut indexes = traded.range(run.clone()).copied().filter(|index| !is_last_day(index));
        let first = indexes.next()?;
        let last = indexes.next_back().unwrap_or(first);
        let follows = run.start > 0 && first - run.start <= NEAR;
        let precedes = run.end < self.sessions.dates().len() && run.end - last <= NEAR + 1;
        Some(if follows { run.start } else { first }..if precedes { run.end } else { last + 1 })
    }

    /// Returns one notice for each run of sessions with bars that the lists deny.
    pub(super) fn outside_listing(&self, days: &[SessionStatus]) -> Vec<Finding> {
        let Some(listed) = self.listed() else { return Vec::new() };
        let date = |index: usize| self.sessions.dates()[index];
        let of_run = |run: Range<usize>| {
            let has_bars = |index: &usize| days[*index].has_bars() && !listed.is_last_day(date(*index));
            let stored: Vec<usize> = run.filter(has_bars).collect();
            let (first, last) = (date(*stored.first()?), date(*stored.last()?));
            let sessions = if stored.len() == 1 {
                "1 session has bars".to_owned()
            } else {
                format!("{} sessions to {last} have bars", stored.len())
            };
            let around = listed.nearest_listed_days(first);
            let detail = format!("{sessions}, and the lists have the symbol {around}: the bars are used");
            Some(FindingKind::OutsideListing.on(self.symbol, &(first..=last), detail))
        };
        self.unlisted_runs(listed).into_iter().filter_map(of_run).collect()
    }
}

/// Whether a list may explain that a day has no bar.
fn is_absent(day: SessionStatus) -> bool {
    match day {
        SessionStatus::NotFound
        | SessionStatus::NotEntitled
        | SessionStatus::Failed
        | SessionStatus::Empty
        | SessionStatus::AskedAgain
        | SessionStatus::Missing => true,
        SessionStatus::NotAsked
        | SessionStatus::Pending
        | SessionStatus::NoTrade
        | SessionStatus::Withheld
        | SessionStatus::Lost
        | SessionStatus::Thin
        | SessionStatus::Present
        | SessionStatus::NotListed
        | SessionStatus::CutAway
        | SessionStatus::BeforeHistory => false,
    }
}
