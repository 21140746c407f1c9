//! What became of the days.

use jiff::civil::Date;

/// So many days given up, and none answered in between, are the source's fault and not theirs.
const GIVEN_UP_IN_A_ROW: u32 = 5;

/// What became of one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is kept.
    Kept,
    /// The plan does not include it, nor, as a plan's history has one beginning, any day before it.
    BeforeHistory,
    /// The plan does not include it.
    NotEntitled,
    /// It is not served yet.
    NotYet,
    /// The source does not know it.
    NotFound,
    /// The answer says that nobody traded, on a session.
    Nobody,
    /// It was given up, for this reason.
    Failed(String),
}

/// What became of all days so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Days that are kept now.
    pub kept: Vec<Date>,
    /// Days that the plan does not include; those before its history are not even asked for.
    pub not_entitled: u64,
    /// Days that are not served yet.
    pub not_yet: u64,
    /// Days that the source does not know.
    pub not_found: u64,
    /// Sessions on which nobody traded, by the source's word.
    pub nobody: u64,
    /// Days that were given up.
    pub failed: u64,
    history_from: Option<Date>,
    given_up_in_a_row: u32,
}

impl Tally {
    /// Days that nobody will ask for again in this run.
    #[must_use]
    pub fn settled(&self) -> u64 {
        let without = self.not_entitled + self.not_yet + self.not_found + self.nobody + self.failed;
        self.kept.len() as u64 + without
    }

    /// Counts a day. Answers why nothing else is worth a request, if that is so.
    pub(super) fn add(&mut self, day: Date, outcome: Outcome) -> Option<String> {
        let in_a_row = std::mem::take(&mut self.given_up_in_a_row);
        match outcome {
            Outcome::Kept => self.kept.push(day),
            Outcome::BeforeHistory => {
                self.not_entitled += 1;
                self.history_from = self.history_from.max(day.tomorrow().ok());
            }
            Outcome::NotEntitled => self.not_entitled += 1,
            Outcome::NotYet => self.not_yet += 1,
            Outcome::NotFound => self.not_found += 1,
            Outcome::Nobody => self.nobody += 1,
            Outcome::Failed(reason) => {
                self.failed += 1;
                self.given_up_in_a_row = in_a_row + 1;
                return (self.given_up_in_a_row >= GIVEN_UP_IN_A_ROW).then_some(reason);
            }
        }
        None
    }

    /// Whether a day lies before the plan's history. Then it is counted, and needs no request.
    pub(super) fn is_before_history(&mut self, day: Date) -> bool {
        let is_before = self.history_from.is_some_and(|from| day < from);
        self.not_entitled += u64::from(is_before);
        is_before
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_history_has_one_beginning() {
        let mut tally = Tally::default();
        assert!(!tally.is_before_history(date(2024, 1, 3)));
        tally.add(date(2024, 1, 3), Outcome::BeforeHistory);
        tally.add(date(2023, 1, 3), Outcome::BeforeHistory);
        assert!(tally.is_before_history(date(2024, 1, 2)));
        assert!(!tally.is_before_history(date(2024, 1, 4)));
        tally.add(date(2024, 6, 3), Outcome::NotEntitled);
        assert!(
            !tally.is_before_history(date(2024, 1, 4)),
            "one refusal of another kind says nothing of others"
        );
        assert_eq!(tally.not_entitled, 4);
    }

    #[test]
    fn five_days_given_up_in_a_row_are_the_sources_fault() {
        let mut tally = Tally::default();
        let failed = || Outcome::Failed("HTTP 500".to_owned());
        for day in 1..=4 {
            assert_eq!(tally.add(date(2024, 1, day), failed()), None);
        }
        tally.add(date(2024, 1, 5), Outcome::NotFound);
        for day in 6..=9 {
            assert_eq!(tally.add(date(2024, 1, day), failed()), None);
        }
        assert_eq!(tally.add(date(2024, 1, 10), failed()), Some("HTTP 500".to_owned()));
        assert_eq!((tally.failed, tally.not_found), (9, 1));
    }
}
