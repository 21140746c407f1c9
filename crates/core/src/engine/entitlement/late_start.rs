//! Decides why a response begins later than its window: the symbol is young, or the response is clipped. Pure.
//!
//! A plan's history may begin within a window without an error: HTTP 200, with the bars from then on (polygon-api.md
//! §1, Plans). The symbol itself cannot tell, because one that was listed later looks the same. So the search requests
//! a control symbol that traded on every session of all these years. If it has bars on the first session of the window,
//! that day is served, and the symbol is young. If it has none there and has bars later, the days before were clipped.
//! If it has bars nowhere, this source does not know it and nothing is decided: then the days stay empty by the
//! server's response alone, which `verify` counts as unexplained.

use jiff::civil::Date;

use super::{
    SearchConclusion,
    session_search::{SessionSearch, session_before},
};

/// What the response for the control symbol on one day shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum ControlSymbol {
    /// Bars.
    Bars,
    /// No bar, and no reason.
    Nothing,
    /// A refusal: the plan does not include the day.
    Refusal,
}

/// The last day without bars is requested twice: servers were seen to be empty for a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SecondLook {
    /// It is not requested a second time yet.
    Due,
    /// It has no bars again, or was refused explicitly.
    Confirmed,
    /// It has bars.
    Contradicted,
}

/// The search with single days of the control symbol: only a day with bars is served.
#[derive(Clone, Debug)]
pub(super) struct LateStart {
    pub(super) bracket: SessionSearch,
    /// The first session of the window on which the service can have bars.
    first: Date,
    /// The day of the first bar in the response. None if it has no bars.
    bars_from: Option<Date>,
    is_first_known: bool,
    /// Whether the control symbol has bars anywhere. None if that is not known yet.
    is_control_known: Option<bool>,
    second_look: SecondLook,
    /// Whether a day was refused explicitly.
    pub(super) is_refused: bool,
}

impl LateStart {
    /// Starts a search for a response whose first bar is on `bars_from`. If the symbol is the control symbol itself,
    /// the response has shown already that the first session has no bars.
    pub(super) fn new(
        mut bracket: SessionSearch,
        first: Date,
        bars_from: Option<Date>,
        is_control: bool,
    ) -> Self {
        if is_control {
            bracket.refuses(first);
        }
        Self {
            bracket,
            first,
            bars_from,
            is_first_known: is_control,
            is_control_known: (is_control && bars_from.is_some()).then_some(true),
            second_look: SecondLook::Due,
            is_refused: false,
        }
    }

    /// Continues an earlier search; `is_proven` if it has shown that the control symbol has bars.
    pub(super) fn going_on(mut self, is_proven: bool) -> Self {
        if is_proven {
            self.is_control_known = Some(true);
        }
        self.is_first_known |= self.bracket.last_refused.is_some_and(|last| last >= self.first);
        self
    }

    /// Whether the control symbol is known to have bars. Until then, a day without bars may be one that this source
    /// lacks altogether.
    pub(super) fn is_proven(&self) -> bool {
        self.is_control_known == Some(true)
    }

    /// Returns the session to request next, or the conclusion.
    pub(super) fn next(&self) -> Result<Date, SearchConclusion> {
        if self.second_look == SecondLook::Contradicted || self.is_control_known == Some(false) {
            return Err(SearchConclusion::Undecided);
        }
        if self.bracket.is_served(self.first) {
            return Err(SearchConclusion::AllServed);
        }
        if !self.is_first_known {
            return Ok(self.first);
        }
        if self.is_control_known.is_none() {
            return self.day_with_bars().ok_or(SearchConclusion::Undecided);
        }
        if let Some(day) = self.before_first_bar().or_else(|| self.bracket.next(self.first)) {
            return Ok(day);
        }
        match (self.bracket.edge(), self.bracket.last_refused) {
            (Some(edge), _) if self.second_look == SecondLook::Confirmed => {
                Err(SearchConclusion::Found(edge))
            }
            (Some(_), Some(last)) => Ok(last),
            (_, None) | (None, Some(_)) => Err(SearchConclusion::Undecided),
        }
    }

    /// Records the response for one day.
    pub(super) fn hear(&mut self, day: Date, control: ControlSymbol) {
        let is_again = self.bracket.last_refused == Some(day);
        let is_first = day == self.first;
        match control {
            ControlSymbol::Bars if is_again => self.second_look = SecondLook::Contradicted,
            ControlSymbol::Bars => {
                self.is_control_known = Some(true);
                self.bracket.serves(day);
            }
            ControlSymbol::Nothing if is_again => self.second_look = SecondLook::Confirmed,
            ControlSymbol::Nothing if self.is_first_known && self.is_control_known.is_none() => {
                self.is_control_known = Some(false);
            }
            ControlSymbol::Nothing => self.refuse(day),
            ControlSymbol::Refusal => {
                // An explicit refusal needs neither a second request nor a proof that the control symbol is known.
                self.refuse(day);
                self.is_control_known = Some(true);
                self.second_look = SecondLook::Confirmed;
                self.is_refused = true;
            }
        }
        self.is_first_known |= is_first;
    }

    fn refuse(&mut self, day: Date) {
        self.bracket.refuses(day);
        self.second_look = SecondLook::Due;
    }

    /// A day on which the control symbol must have bars if this source knows it.
    fn day_with_bars(&self) -> Option<Date> {
        let end = self.bracket.end;
        let days = [self.bars_from, self.bracket.first_served, session_before(end), Some(end)];
        days.into_iter().flatten().find(|day| *day > self.first)
    }

    /// The session before the first bar: if responses are clipped, it is the last one that is not served. None if it is
    /// known already.
    fn before_first_bar(&self) -> Option<Date> {
        let before = session_before(self.bars_from?)?;
        let is_open = self.bracket.last_refused.is_none_or(|last| last < before)
            && self.bracket.first_served.is_none_or(|first| before < first);
        (is_open && before >= self.first).then_some(before)
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use grab_model::HistoryStart;

    const TODAY: Date = date(2026, 11, 30);
    const FIRST: Date = date(2016, 1, 4);
    const FLOOR: Date = date(2024, 12, 2);

    fn conclude(
        bars_from: Option<Date>,
        is_control: bool,
        has: impl Fn(Date) -> ControlSymbol,
    ) -> (SearchConclusion, u32) {
        let served = bars_from;
        let bracket = SessionSearch::new(None, served, date(2026, 11, 27), &[], TODAY);
        let mut search = LateStart::new(bracket, FIRST, bars_from, is_control);
        for questions in 0..30 {
            match search.next() {
                Ok(day) => search.hear(day, has(day)),
                Err(conclusion) => return (conclusion, questions),
            }
        }
        panic!("{search:?}")
    }

    fn clipped(day: Date) -> ControlSymbol {
        if day < FLOOR { ControlSymbol::Nothing } else { ControlSymbol::Bars }
    }

    fn edge() -> SearchConclusion {
        SearchConclusion::Found(HistoryStart::new(date(2024, 11, 29), Some(FLOOR)).unwrap())
    }

    #[test]
    fn a_young_symbol_costs_one_question() {
        let (conclusion, questions) = conclude(Some(date(2023, 9, 14)), false, |_| ControlSymbol::Bars);
        assert_eq!((conclusion, questions), (SearchConclusion::AllServed, 1));
        assert_eq!(
            conclude(None, false, |_| ControlSymbol::Bars),
            (SearchConclusion::AllServed, 1),
            "one without any bar"
        );
    }

    #[test]
    fn a_clipped_answer_is_known_by_the_control_symbol() {
        let (conclusion, questions) = conclude(Some(FLOOR), false, clipped);
        assert_eq!(
            (conclusion, questions),
            (edge(), 4),
            "the first day, the floor, the day before it, twice"
        );
        assert_eq!(conclude(Some(FLOOR), true, clipped), (edge(), 2), "the control symbol itself");
    }

    #[test]
    fn the_history_begins_before_the_first_bar_of_a_young_symbol_in_a_clipped_answer() {
        let (conclusion, questions) = conclude(Some(date(2025, 6, 2)), false, clipped);
        assert_eq!(conclusion, edge());
        assert!(questions <= 8, "{questions}");
        assert_eq!(conclude(None, false, clipped).0, edge(), "an answer without any bar");
    }

    #[test]
    fn nothing_is_decided_where_the_control_symbol_is_not_known() {
        assert_eq!(
            conclude(Some(FLOOR), false, |_| ControlSymbol::Nothing),
            (SearchConclusion::Undecided, 2)
        );
        assert_eq!(conclude(None, false, |_| ControlSymbol::Nothing), (SearchConclusion::Undecided, 2));
    }

    #[test]
    fn a_server_that_is_empty_for_a_moment_clips_nothing() {
        let requested = std::cell::Cell::new(0);
        let falsely_empty_at = |at: u32| {
            requested.set(0);
            conclude(Some(FLOOR), false, |_| {
                requested.set(requested.get() + 1);
                if requested.get() == at { ControlSymbol::Nothing } else { ControlSymbol::Bars }
            })
            .0
        };
        assert_eq!(falsely_empty_at(1), SearchConclusion::Undecided);
        assert_eq!(falsely_empty_at(2), SearchConclusion::AllServed);
    }

    /// As if each run may send one request: only the saved state of the search is there for the next run.
    #[test]
    fn a_search_that_is_left_open_after_each_answer_comes_to_the_same_end() {
        for (has, expected) in [
            (clipped as fn(Date) -> ControlSymbol, edge()),
            (|_| ControlSymbol::Bars, SearchConclusion::AllServed),
            (|_| ControlSymbol::Nothing, SearchConclusion::Undecided),
        ] {
            let mut bracket =
                SessionSearch::new(None, Some(date(2025, 3, 3)), date(2026, 11, 27), &[], TODAY);
            let mut is_proven = false;
            let mut conclusion = None;
            for _ in 0..30 {
                let mut search = LateStart::new(bracket, FIRST, None, false).going_on(is_proven);
                if let Ok(day) = search.next() {
                    search.hear(day, has(day));
                }
                conclusion = search.next().err();
                if conclusion.is_some() {
                    break;
                }
                is_proven = search.is_proven();
                bracket = search.bracket;
            }
            assert_eq!(conclusion, Some(expected));
        }
    }

    #[test]
    fn a_refusal_in_words_needs_no_second_one() {
        let refused = |day| if day < FLOOR { ControlSymbol::Refusal } else { ControlSymbol::Bars };
        assert_eq!(conclude(Some(FLOOR), false, refused), (edge(), 2));
    }
}
