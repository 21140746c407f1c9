//! Between which sessions a plan's history begins, and which session to request next. Pure.

use jiff::{ToSpan, civil::Date};

use grab_model::{
    HistoryStart, Window,
    calendar::{self, Session},
};

/// The first day with bars in any plan (polygon-api.md §3).
pub(super) const FIRST_BARS: Date = jiff::civil::date(2003, 9, 10);

/// The lengths in years of the known plans' histories (polygon-api.md §1, Plans).
const PLAN_YEARS: [i16; 3] = [2, 5, 10];

/// The history of a plan certainly begins within this many days before or after the computed day.
const EDGE_DAYS: i32 = 7;

/// The last session known to be refused and the first known to be served; all sessions in between are open. A history
/// has one beginning, so each response narrows the bracket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SessionSearch {
    pub(super) last_refused: Option<Date>,
    pub(super) first_served: Option<Date>,
    /// The last finished session.
    pub(super) end: Date,
    /// Sessions to request before the search bisects, in this order.
    guesses: Vec<Date>,
}

impl SessionSearch {
    /// Starts with what is known. Requests `hints` first, then the days around the beginnings of the known plans' histories.
    pub(super) fn new(
        last_refused: Option<Date>,
        first_served: Option<Date>,
        end: Date,
        hints: &[Date],
        today: Date,
    ) -> Self {
        let mut guesses = hints.to_vec();
        for (place, years) in PLAN_YEARS.into_iter().enumerate() {
            let edge = today.saturating_sub(years.years());
            // The exact day is not known: a day that is one day after it was served, and one that is three weeks
            // earlier was refused (polygon-api.md §1, Plans).
            guesses.extend(session_before(edge.saturating_sub(1.day())));
            guesses.extend(session_from(edge.saturating_add(1.day())));
            if place == 0 {
                // If even this session is refused, history is not the reason. The last session may be too recent.
                guesses.extend(session_before(end));
            }
        }
        guesses.extend(session_before(FIRST_BARS));
        guesses.push(FIRST_BARS);
        Self { last_refused, first_served, end, guesses }
    }

    /// Whether a session is known to be served.
    pub(super) fn is_served(&self, day: Date) -> bool {
        self.first_served.is_some_and(|first| first <= day)
    }

    /// Records that a session is served, and so all after it.
    pub(super) fn serves(&mut self, day: Date) {
        self.first_served = Some(self.first_served.map_or(day, |first| first.min(day)));
        self.last_refused = self.last_refused.filter(|last| *last < day);
    }

    /// Records that a session is refused, and so all before it.
    pub(super) fn refuses(&mut self, day: Date) {
        self.last_refused = self.last_refused.max(Some(day));
        self.first_served = self.first_served.filter(|first| *first > day);
    }

    /// The session to request next, of the open ones from `first` on. None if no session is open.
    pub(super) fn next(&self, first: Date) -> Option<Date> {
        self.guess(first).or_else(|| {
            let sessions: Vec<_> = calendar::sessions(self.open(first)?).map(Session::date).collect();
            sessions.get(sessions.len() / 2).copied()
        })
    }

    /// The first guess that is still open.
    pub(super) fn guess(&self, first: Date) -> Option<Date> {
        let open = self.open(first)?;
        self.guesses.iter().copied().find(|day| (open.from()..=open.to()).contains(day))
    }

    /// The days from `first` on that are neither known to be served nor known to be refused.
    fn open(&self, first: Date) -> Option<Window> {
        let from = self.last_refused.map_or(first, |last| last.saturating_add(1.day()).max(first));
        let to = self.first_served.map_or(self.end, |served| served.saturating_sub(1.day()).min(self.end));
        Window::new(from, to)
    }

    /// Where the history begins. None while a session is open.
    pub(super) fn edge(&self) -> Option<HistoryStart> {
        let (last_refused, first_served) = self.last_refused.zip(self.first_served)?;
        let between = Window::new(last_refused.saturating_add(1.day()), first_served.saturating_sub(1.day()));
        let is_found = between.is_none_or(|between| calendar::sessions(between).next().is_none());
        HistoryStart::new(last_refused, Some(first_served)).filter(|_| is_found)
    }
}

/// Whether some plan's history may begin within or right after a window.
pub(super) fn may_begin_in(window: Window, today: Date) -> bool {
    let edges = PLAN_YEARS.map(|years| today.saturating_sub(years.years()));
    edges.into_iter().any(|edge| {
        window.from() <= edge.saturating_add(EDGE_DAYS.days())
            && edge.saturating_sub(EDGE_DAYS.days()) <= window.to()
    })
}

/// The first session on or after a day.
pub(super) fn session_from(day: Date) -> Option<Date> {
    let window = Window::new(day, day.saturating_add(14.days()))?;
    calendar::sessions(window).next().map(Session::date)
}

/// The last session before a day.
pub(super) fn session_before(day: Date) -> Option<Date> {
    let window = Window::new(day.saturating_sub(14.days()), day.saturating_sub(1.day()))?;
    calendar::sessions(window).last().map(Session::date)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    const TODAY: Date = date(2026, 11, 30);
    const END: Date = date(2026, 11, 27);

    /// Searches until the beginning is found; returns it and the number of requests.
    fn search(first: Date, floor: Date, known: Option<(Date, Date)>) -> (Option<HistoryStart>, u32) {
        let (last_refused, first_served) = known.unzip();
        let hints: Vec<_> = first_served.and_then(session_before).into_iter().collect();
        let mut bracket = SessionSearch::new(last_refused, first_served, END, &hints, TODAY);
        let mut questions = 0;
        while let Some(day) = bracket.next(first) {
            questions += 1;
            if day >= floor {
                bracket.serves(day);
            } else {
                bracket.refuses(day);
            }
            assert!(questions < 30, "{bracket:?}");
        }
        (bracket.edge(), questions)
    }

    #[test]
    fn the_histories_that_plans_have_are_found_with_a_few_questions() {
        let first = date(2003, 9, 10);
        for (floor, most) in [
            (date(2024, 11, 29), 3),
            (date(2024, 11, 30), 3),
            (date(2024, 12, 1), 3),
            (date(2021, 11, 29), 5),
            (date(2021, 11, 30), 5),
            (date(2021, 12, 1), 5),
            (date(2016, 11, 30), 6),
        ] {
            let (edge, questions) = search(first, floor, None);
            assert_eq!(edge.unwrap().first_served(), session_from(floor).unwrap(), "{floor}");
            assert!(questions <= most, "{floor}: {questions}");
        }
    }

    #[test]
    fn a_history_that_has_moved_on_since_it_was_found_takes_one_question() {
        // Found a month ago; what is certainly served today is a month later.
        let known = Some((date(2024, 10, 29), date(2024, 11, 29)));
        let (edge, questions) = search(date(2024, 10, 30), date(2024, 11, 29), known);
        assert_eq!((edge.unwrap().first_served(), questions), (date(2024, 11, 29), 1));
    }

    #[test]
    fn a_history_may_begin_near_the_years_that_plans_have() {
        let may_begin = |from, to| may_begin_in(Window::new(from, to).unwrap(), TODAY);
        assert!(may_begin(date(2024, 11, 26), date(2024, 11, 29)), "two years");
        assert!(may_begin(date(2024, 12, 2), date(2024, 12, 2)));
        assert!(may_begin(date(2016, 1, 1), date(2026, 1, 1)));
        assert!(!may_begin(date(2024, 1, 2), date(2024, 1, 2)));
        assert!(!may_begin(date(2024, 12, 9), date(2024, 12, 10)));
    }

    #[test]
    fn where_nothing_is_served_there_is_no_edge() {
        assert_eq!(search(date(2024, 1, 2), date(2027, 1, 1), None).0, None);
        assert_eq!(search(date(2024, 1, 2), date(2003, 1, 1), None).0, None, "all is served");
    }

    #[test]
    fn a_later_answer_that_contradicts_an_earlier_one_wins() {
        let mut bracket = SessionSearch::new(Some(date(2024, 6, 3)), Some(date(2024, 6, 4)), END, &[], TODAY);
        bracket.refuses(date(2024, 6, 4));
        assert_eq!((bracket.last_refused, bracket.first_served), (Some(date(2024, 6, 4)), None));
        bracket.serves(date(2024, 6, 3));
        assert_eq!((bracket.last_refused, bracket.first_served), (None, Some(date(2024, 6, 3))));
    }

    proptest! {
        #[test]
        fn any_edge_is_found_and_soon(first in 0..8_000_i32, floor in 0..8_500_i32) {
            let day = |n: i32| FIRST_BARS.saturating_add(n.days());
            let (first, floor) = (day(first), day(floor));
            let (edge, questions) = search(first, floor, None);
            let sessions: Vec<_> = calendar::sessions(Window::new(first, END).unwrap()).map(Session::date).collect();
            let served = sessions.iter().find(|session| **session >= floor);
            let has_edge = served.is_some() && sessions.first() != served;
            prop_assert_eq!(edge.map(HistoryStart::first_served), served.copied().filter(|_| has_edge));
            prop_assert!(questions <= 18, "{} questions", questions);
        }
    }
}
