//! Finds where the plan's history begins after a window was refused because of its time. Pure.

use jiff::civil::Date;

use super::{
    SearchConclusion,
    session_search::{SessionSearch, session_before},
};

/// The search with single days of the window's own symbol: a day that is not refused is served, with bars or not.
#[derive(Clone, Debug)]
pub(super) struct RefusedWindow {
    pub(super) bracket: SessionSearch,
    /// The first session that the task still needs; if its days begin on a weekend, the session before.
    first: Date,
    /// The last session of the window.
    last: Date,
    /// Whether the first session itself was requested.
    is_first_known: bool,
    /// Whether the last finished session is served yet. None if it was not requested.
    is_end_served: Option<bool>,
    /// Whether the session before it is served, if the window has only the last session.
    is_before_end_served: Option<bool>,
    /// Whether a day of this symbol was served. Until then its refusals may have another reason.
    pub(super) is_proven: bool,
    /// Whether the message was not about time: then the first request shows whether the symbol is served at all.
    is_doubtful: bool,
}

impl RefusedWindow {
    /// Starts a search for a window from the session `first` to the session `last`.
    pub(super) fn new(
        bracket: SessionSearch,
        (first, last): (Date, Date),
        is_proven: bool,
        is_doubtful: bool,
    ) -> Self {
        Self {
            bracket,
            first,
            last,
            is_first_known: false,
            is_end_served: None,
            is_before_end_served: None,
            is_proven,
            is_doubtful,
        }
    }

    /// Returns the session to request next, or the conclusion.
    pub(super) fn next(&self) -> Result<Date, SearchConclusion> {
        if self.first == self.bracket.end && self.is_first_known {
            return self.only_the_end();
        }
        if self.is_doubtful && !self.is_proven {
            let recent = session_before(self.bracket.end).ok_or(SearchConclusion::NothingServed)?;
            let is_refused = self.is_before_end_served == Some(false)
                || self.bracket.last_refused.is_some_and(|last| last >= recent);
            return if is_refused { Err(SearchConclusion::NothingServed) } else { Ok(recent) };
        }
        if self.bracket.is_served(self.first) {
            return self.not_the_beginning();
        }
        // As long as no day was refused, the history may not be the reason: then the window's first day decides.
        let SessionSearch { first_served, last_refused, .. } = &self.bracket;
        let may_be_whole = !self.is_first_known && first_served.is_some() && last_refused.is_none();
        let first = Some(self.first).filter(|_| may_be_whole);
        if let Some(day) = self.bracket.guess(self.first).or(first).or_else(|| self.bracket.next(self.first))
        {
            return Ok(day);
        }
        match self.bracket.edge() {
            Some(edge) if self.is_proven => Err(SearchConclusion::Found(edge)),
            // Another symbol was served there. This one may be refused on every day.
            Some(edge) => Ok(edge.first_served()),
            None => Err(SearchConclusion::NothingServed),
        }
    }

    /// Records whether a day is served.
    pub(super) fn hear(&mut self, day: Date, is_served: bool) {
        if day == self.bracket.end {
            self.is_end_served = Some(is_served);
        }
        self.is_first_known |= day == self.first;
        self.is_proven |= is_served;
        if day < self.first {
            self.is_before_end_served = Some(is_served);
        } else if day == self.bracket.end && self.bracket.is_served(self.first) && day != self.first {
            // The end of a window that begins within the history: that it is not served yet says nothing about the beginning.
        } else if is_served {
            self.bracket.serves(day);
        } else {
            self.bracket.refuses(day);
        }
    }

    /// The window begins within the plan's history and is refused all the same: its end may be too recent.
    fn not_the_beginning(&self) -> Result<Date, SearchConclusion> {
        if !self.is_first_known {
            return Ok(self.first);
        }
        if self.last < self.bracket.end {
            return Err(SearchConclusion::OtherReason);
        }
        match self.is_end_served {
            None => Ok(self.bracket.end),
            Some(false) => Err(SearchConclusion::NotYet(self.bracket.end)),
            Some(true) => Err(SearchConclusion::OtherReason),
        }
    }

    /// The window has only the last finished session: the session before it shows whether the last one is too recent.
    fn only_the_end(&self) -> Result<Date, SearchConclusion> {
        match (self.is_end_served, self.is_before_end_served) {
            (Some(true), _) => Err(SearchConclusion::OtherReason),
            (_, Some(true)) => Err(SearchConclusion::NotYet(self.bracket.end)),
            (_, Some(false)) => Err(SearchConclusion::NothingServed),
            (_, None) => session_before(self.bracket.end).ok_or(SearchConclusion::NothingServed),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use grab_model::HistoryStart;

    const TODAY: Date = date(2026, 11, 30);
    const END: Date = date(2026, 11, 30);

    /// Runs the search to its conclusion; returns that and the requested days.
    fn conclude(
        known: (Option<Date>, Option<Date>),
        first: Date,
        last: Date,
        serves: impl Fn(Date) -> bool,
    ) -> (SearchConclusion, Vec<Date>) {
        let bracket = SessionSearch::new(known.0, known.1, END, &[], TODAY);
        let mut search = RefusedWindow::new(bracket, (first, last), false, false);
        let mut requested = Vec::new();
        loop {
            match search.next() {
                Ok(day) => {
                    requested.push(day);
                    search.hear(day, serves(day));
                }
                Err(conclusion) => return (conclusion, requested),
            }
            assert!(requested.len() < 30, "{search:?}");
        }
    }

    fn edge(last_refused: Date, first_served: Date) -> SearchConclusion {
        SearchConclusion::Found(HistoryStart::new(last_refused, Some(first_served)).unwrap())
    }

    #[test]
    fn the_free_plan_is_found_with_three_questions() {
        let floor = date(2024, 12, 1);
        let (found, requested) = conclude((None, None), date(2020, 1, 2), END, |day| day >= floor);
        assert_eq!(found, edge(date(2024, 11, 29), date(2024, 12, 2)));
        assert_eq!(requested.len(), 3, "{requested:?}");
    }

    #[test]
    fn a_window_within_the_history_is_refused_for_its_end_or_for_another_reason() {
        let within = |last, serves: &dyn Fn(Date) -> bool| {
            conclude((None, Some(date(2026, 11, 2))), date(2026, 11, 23), last, serves).0
        };
        assert_eq!(within(END, &|day| day < END), SearchConclusion::NotYet(END));
        assert_eq!(within(END, &|_| true), SearchConclusion::OtherReason);
        assert_eq!(within(date(2026, 11, 27), &|_| true), SearchConclusion::OtherReason);
    }

    #[test]
    fn a_history_that_has_moved_on_is_noticed_by_asking_for_the_first_day_again() {
        let floor = date(2024, 12, 2);
        let known = (Some(date(2024, 11, 27)), Some(date(2024, 11, 29)));
        let (found, requested) = conclude(known, date(2024, 11, 29), END, |day| day >= floor);
        assert_eq!(found, edge(date(2024, 11, 29), date(2024, 12, 2)));
        assert!(requested.len() <= 3, "{requested:?}");
    }

    #[test]
    fn a_symbol_that_is_refused_on_every_day_shows_no_history_though_others_are_served() {
        let known = (None, Some(date(2025, 3, 3)));
        let (found, requested) = conclude(known, date(2024, 6, 3), END, |_| false);
        assert_eq!(found, SearchConclusion::NothingServed, "{requested:?}");
        let known = (Some(date(2024, 11, 29)), Some(date(2025, 3, 3)));
        assert_eq!(conclude(known, date(2024, 12, 2), END, |_| false).0, SearchConclusion::NothingServed);
    }

    /// Runs a search with a message that is not about time.
    fn conclude_doubtful(first: Date, last: Date, serves: impl Fn(Date) -> bool) -> (SearchConclusion, u32) {
        let bracket = SessionSearch::new(None, None, END, &[], TODAY);
        let mut search = RefusedWindow::new(bracket, (first, last), false, true);
        for questions in 0..30 {
            match search.next() {
                Ok(day) => search.hear(day, serves(day)),
                Err(conclusion) => return (conclusion, questions),
            }
        }
        panic!("{search:?}")
    }

    #[test]
    fn a_refusal_in_words_that_are_not_about_time_costs_one_question_or_finds_the_history() {
        let found = conclude_doubtful(date(2020, 1, 2), END, |day| day >= date(2024, 12, 1));
        assert_eq!(found, (edge(date(2024, 11, 29), date(2024, 12, 2)), 4));
        assert_eq!(conclude_doubtful(date(2020, 1, 2), END, |_| false), (SearchConclusion::NothingServed, 1));
        assert_eq!(conclude_doubtful(END, END, |_| false), (SearchConclusion::NothingServed, 1));
        assert_eq!(conclude_doubtful(END, END, |day| day < END).0, SearchConclusion::NotYet(END));
    }

    #[test]
    fn the_last_session_alone_is_not_yet_served_or_nothing_is() {
        assert_eq!(conclude((None, None), END, END, |day| day < END).0, SearchConclusion::NotYet(END));
        assert_eq!(conclude((None, None), END, END, |_| false).0, SearchConclusion::NothingServed);
        assert_eq!(conclude((None, None), END, END, |_| true).0, SearchConclusion::OtherReason);
    }

    #[test]
    fn where_everything_is_refused_a_handful_of_questions_says_so() {
        let (found, requested) = conclude((None, None), date(2020, 1, 2), END, |_| false);
        assert_eq!(found, SearchConclusion::NothingServed);
        assert!(requested.len() <= 4, "{requested:?}");
    }
}
