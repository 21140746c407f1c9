//! Runs of sessions without bars, over all expected sessions of a symbol.

use std::collections::BTreeMap;

use grab_model::{Symbol, Window};

use super::{RequestedSessions, SessionStatus, Verification};

/// The number of requested symbols, and of those without bars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct SymbolCounts {
    /// Symbols with at least one requested session.
    pub asked_for: u64,
    /// Requested symbols without any bar, whatever the reason.
    pub without_bars: u64,
}

/// Whether no day has or had bars.
pub(super) fn has_no_bar(days: &[SessionStatus]) -> bool {
    !days.iter().any(|day| day.has_bars())
}

/// The length of the longest run of sessions that should have bars and have none, whatever the reason. Days on which
/// nothing is expected do not end a run. If the symbol has no bar at all, its unexplained days count too.
pub(super) fn longest(days: &[SessionStatus]) -> u64 {
    let is_bare = has_no_bar(days);
    let (mut longest, mut length) = (0, 0);
    for day in days {
        match day {
            SessionStatus::Present | SessionStatus::Thin | SessionStatus::NotAsked => length = 0,
            SessionStatus::Empty | SessionStatus::AskedAgain if is_bare => length += 1,
            SessionStatus::Empty
            | SessionStatus::NoTrade
            | SessionStatus::AskedAgain
            | SessionStatus::NotListed
            | SessionStatus::BeforeHistory => {}
            SessionStatus::NotFound
            | SessionStatus::NotEntitled
            | SessionStatus::Failed
            | SessionStatus::Pending
            | SessionStatus::Withheld
            | SessionStatus::Missing
            | SessionStatus::Lost
            | SessionStatus::CutAway => length += 1,
        }
        longest = length.max(longest);
    }
    longest
}

impl Verification {
    /// The number of requested symbols, and of those without bars.
    #[must_use]
    pub fn symbols(&self) -> SymbolCounts {
        let requested =
            self.days.iter().filter(|(_, days)| days.iter().any(|day| *day != SessionStatus::NotAsked));
        let without_bars = requested.clone().filter(|(_, days)| has_no_bar(days)).count() as u64;
        SymbolCounts { asked_for: requested.count() as u64, without_bars }
    }

    /// For each symbol, the number of sessions in windows that a spec wants and nothing has requested, and the longest
    /// gap over the requested and the wanted sessions together. The wanted sessions count as missing.
    pub(super) fn with_wanted(&self, wanted: &BTreeMap<&Symbol, Vec<Window>>) -> Vec<(u64, u64)> {
        let span = self.sessions.dates().first().zip(self.sessions.dates().last());
        let requested = span.and_then(|(first, last)| Window::new(*first, *last));
        let axis = RequestedSessions::spanned(wanted.values().flatten().copied().chain(requested));
        let begin = requested.map_or(0, |requested| axis.within(requested).start);
        let nothing = Vec::new();
        let joined = wanted.iter().map(|(symbol, windows)| {
            let known = self.days.binary_search_by(|(known, _)| known.cmp(symbol)).ok();
            let days = known.and_then(|index| self.days.get(index)).map_or(&nothing, |(_, days)| days);
            // Put the known days on the wider axis first: only sessions that are in no requested window become
            // outstanding.
            let mut joined = vec![SessionStatus::NotAsked; axis.dates().len()];
            joined.iter_mut().skip(begin).zip(days).for_each(|(slot, day)| *slot = *day);
            let mut outstanding = 0;
            for day in windows.iter().flat_map(|window| axis.within(*window)) {
                if let Some(day) = joined.get_mut(day).filter(|day| **day == SessionStatus::NotAsked) {
                    *day = SessionStatus::Pending;
                    outstanding += 1;
                }
            }
            (outstanding, longest(&joined))
        });
        joined.collect()
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use SessionStatus::{
        AskedAgain, Empty, Lost, Missing, NoTrade, NotAsked, Pending, Present, Thin, Withheld,
    };

    #[test]
    fn what_ends_a_gap_and_what_does_not() {
        assert_eq!(longest(&[]), 0);
        assert_eq!(longest(&[Present, Missing, NoTrade, Lost, AskedAgain, Withheld, Thin, Pending]), 3);
        assert_eq!(longest(&[Pending, Pending, NotAsked, Pending]), 2, "that day was never requested");
        assert_eq!(longest(&[Empty, Empty, Present, Empty]), 0, "before the first bar and after the last");
        assert_eq!(longest(&[Empty, NoTrade, AskedAgain, Empty]), 3, "not one bar");
    }

    #[test]
    fn a_gap_goes_on_from_what_was_asked_for_into_what_is_wanted() {
        let window = |from, to| Window::new(from, to).unwrap();
        let requested = window(date(2024, 1, 2), date(2024, 1, 5));
        let symbol = |text: &str| text.parse::<Symbol>().unwrap();
        let verified = Verification {
            sessions: RequestedSessions::spanned([requested].into_iter()),
            days: vec![(symbol("A"), vec![Present, Missing, Missing, Lost])],
            ..Verification::default()
        };
        let (a, new) = (symbol("A"), symbol("NEW"));
        let after = [window(date(2024, 1, 6), date(2024, 1, 9)), window(date(2024, 1, 9), date(2024, 1, 10))];
        let before = window(date(2023, 12, 28), date(2023, 12, 29));
        let wanted = BTreeMap::from([(&a, after.to_vec()), (&new, vec![before])]);
        assert_eq!(
            verified.with_wanted(&wanted),
            [(3, 6), (2, 2)],
            "the 9th is wanted twice and counts once"
        );
        assert_eq!(Verification::default().with_wanted(&wanted), [(3, 3), (2, 2)]);
    }
}
