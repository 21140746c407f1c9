//! The results of the days.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;

use super::JobOutcome;

/// If this many days are refused and none is answered, the plan has none of them.
const REFUSED_AT_ONCE: usize = 3;

/// If this many days in a row are given up, the source is at fault.
const GIVEN_UP_IN_A_ROW: u32 = 5;

/// The results of all days so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MarketDayTally {
    /// Days that are stored now.
    pub kept: Vec<Date>,
    /// Days that the plan does not include, with those before its history, which are not even requested.
    pub not_entitled: u64,
    /// Days that are not served yet.
    pub not_yet: u64,
    /// Days that the source does not know.
    pub not_found: u64,
    /// Sessions without any trade, by the source's response.
    pub no_rows: u64,
    /// Days that were given up.
    pub failed: u64,
    /// The result of each day that is not stored.
    pub lacking: BTreeMap<Date, JobOutcome>,
    refused: BTreeSet<Date>,
    latest_served: Option<Date>,
    given_up_in_a_row: u32,
}

impl MarketDayTally {
    /// Starts empty, but for the latest day that was served to an earlier run.
    pub(super) fn new(latest_served: Option<Date>) -> Self {
        Self { latest_served, ..Self::default() }
    }

    /// Days that this run will not request again.
    #[must_use]
    pub fn finished(&self) -> u64 {
        let without = self.not_entitled + self.not_yet + self.not_found + self.no_rows + self.failed;
        self.kept.len() as u64 + without
    }

    /// Counts a day. Returns why nothing else is worth a request, if that is so.
    pub(super) fn add(&mut self, day: Date, outcome: JobOutcome) -> Option<String> {
        let in_a_row = std::mem::take(&mut self.given_up_in_a_row);
        if outcome != JobOutcome::Kept {
            self.lacking.insert(day, outcome.clone());
        }
        match outcome {
            JobOutcome::Kept => {
                self.kept.push(day);
                self.latest_served = self.latest_served.max(Some(day));
            }
            JobOutcome::NotEntitled => {
                self.not_entitled += 1;
                self.refused.insert(day);
            }
            JobOutcome::NotYet => self.not_yet += 1,
            JobOutcome::NotFound | JobOutcome::UnknownRoute => self.not_found += 1,
            JobOutcome::NoRows => self.no_rows += 1,
            JobOutcome::Refused(reason) | JobOutcome::Failed(reason) => {
                self.failed += 1;
                self.given_up_in_a_row = in_a_row + 1;
                return (self.given_up_in_a_row >= GIVEN_UP_IN_A_ROW).then_some(reason);
            }
        }
        None
    }

    /// Whether a day lies before the plan's history, which has one beginning. Then counts the day: it needs no request.
    pub(super) fn is_before_history(&mut self, day: Date) -> bool {
        let is_before = self.last_before_history().is_some_and(|last| day < last);
        if is_before {
            self.not_entitled += 1;
            self.lacking.insert(day, JobOutcome::NotEntitled);
        }
        is_before
    }

    /// The last refused day before a served one. The latest of all days may be refused because it is too recent.
    fn last_before_history(&self) -> Option<Date> {
        match self.latest_served {
            Some(served) => self.refused.range(..served).next_back().copied(),
            None => self.refused.last().copied().filter(|_| self.refused.len() >= REFUSED_AT_ONCE),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_history_has_one_beginning() {
        let mut tally = MarketDayTally::default();
        tally.add(date(2024, 6, 5), JobOutcome::NotEntitled);
        assert!(!tally.is_before_history(date(2024, 6, 4)), "it may just be too early for it");
        tally.add(date(2024, 1, 3), JobOutcome::NotEntitled);
        tally.add(date(2024, 6, 4), JobOutcome::Kept);
        assert!(tally.is_before_history(date(2024, 1, 2)));
        assert!(!tally.is_before_history(date(2024, 1, 4)));
        assert_eq!(tally.not_entitled, 3);
        assert_eq!(tally.lacking.get(&date(2024, 1, 2)), Some(&JobOutcome::NotEntitled));
        assert_eq!(tally.lacking.len(), 3, "what is kept is not among them");
        let mut later = MarketDayTally::new(Some(date(2024, 6, 4)));
        later.add(date(2024, 1, 3), JobOutcome::NotEntitled);
        assert!(later.is_before_history(date(2024, 1, 2)), "an earlier run was served");
    }

    #[test]
    fn a_plan_without_any_day_is_not_asked_for_all() {
        let mut tally = MarketDayTally::default();
        for day in [9, 8] {
            tally.add(date(2024, 1, day), JobOutcome::NotEntitled);
            assert!(!tally.is_before_history(date(2024, 1, 2)));
        }
        tally.add(date(2024, 1, 5), JobOutcome::NotEntitled);
        assert!(tally.is_before_history(date(2024, 1, 2)));
    }

    #[test]
    fn five_days_given_up_in_a_row_are_the_sources_fault() {
        let mut tally = MarketDayTally::default();
        let failed = || JobOutcome::Failed("HTTP 500".to_owned());
        for day in 1..=4 {
            assert_eq!(tally.add(date(2024, 1, day), failed()), None);
        }
        tally.add(date(2024, 1, 5), JobOutcome::NotFound);
        for day in 6..=9 {
            assert_eq!(tally.add(date(2024, 1, day), failed()), None);
        }
        assert_eq!(tally.add(date(2024, 1, 10), failed()), Some("HTTP 500".to_owned()));
        assert_eq!((tally.failed, tally.not_found), (9, 1));
    }
}
