//! Who has bars on the last sessions: whether an evening brought what it should have.

use jiff::civil::Date;
use serde::Serialize;

use crate::{
    calendar,
    manifest::{ManifestError, Overview},
    model::{Month, Window},
    universe::Universe,
};

/// A symbol with bars on each of so many sessions should have some on the next one.
pub(super) const REGULAR: usize = 5;

/// So many symbols may be halted on one day.
const FEW: u64 = 2;

/// Calendar days that have more sessions than that.
const LOOK_BACK: i32 = 14;

/// The last sessions, and who has bars on them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    sessions: Vec<SessionSymbols>,
    /// Symbols with bars on each of the sessions before the last one.
    regulars: u64,
    /// Those of them that have bars on the last one.
    regulars_present: u64,
}

/// How many symbols have bars on a session, and how many should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SessionSymbols {
    /// The session.
    #[serde(serialize_with = "text")]
    pub date: Date,
    /// Symbols with bars.
    pub symbols: u64,
    /// Symbols with bars on it or in the two weeks before, but for those that have left by then; and those that never had any
    /// although the lists have them as active.
    pub expected: u64,
}

impl SessionSymbols {
    /// The share of those that are expected that have bars. None if nobody is.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "there are not that many symbols")]
    pub fn share(&self) -> Option<f64> {
        (self.expected > 0).then(|| self.symbols as f64 / self.expected as f64)
    }
}

fn two_weeks_before(day: Date) -> Date {
    day.saturating_sub(jiff::Span::new().days(LOOK_BACK))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it so")]
fn text<S: serde::Serializer>(date: &Date, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(date)
}

impl Presence {
    /// Looks at the sessions from `since` to `last`, and at those of two weeks at least. Of who has left by the universe,
    /// nothing is expected.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn of(
        overview: &Overview,
        universe: &Universe,
        since: Option<Date>,
        last: Date,
    ) -> Result<Self, ManifestError> {
        let first = since.map_or(last, |since| since.min(last)).min(two_weeks_before(last));
        let window = Window::new(first, last);
        let dates: Vec<_> =
            window.into_iter().flat_map(calendar::sessions).map(calendar::Session::date).collect();
        let mut sessions: Vec<_> =
            dates.iter().map(|date| SessionSymbols { date: *date, symbols: 0, expected: 0 }).collect();
        let (mut regulars, mut regulars_present) = (0, 0);
        for (symbol, held) in overview.sessions_since(Month::of(two_weeks_before(first)))? {
            let has = |date: &Date| held.contains(date);
            for session in &mut sessions {
                let lately = two_weeks_before(session.date)..=session.date;
                let is_there = has(&session.date);
                let was_there = || held.range(lately).next().is_some();
                session.symbols += u64::from(is_there);
                session.expected +=
                    u64::from(is_there || was_there() && !universe.is_outside(&symbol, session.date));
            }
            let before = dates.len().saturating_sub(1 + REGULAR)..dates.len().saturating_sub(1);
            let is_regular = before.len() == REGULAR
                && dates.get(before).is_some_and(|days| days.iter().all(has))
                && !universe.is_outside(&symbol, last);
            regulars += u64::from(is_regular);
            regulars_present += u64::from(is_regular && has(&last));
        }
        for symbol in overview.symbols_without_bars()? {
            let is_known = universe.of(&symbol).next().is_some();
            let is_listed = |date| is_known && !universe.is_outside(&symbol, date);
            for session in &mut sessions {
                session.expected += u64::from(is_listed(session.date));
            }
        }
        Ok(Self { sessions, regulars, regulars_present })
    }

    /// The sessions after a day, and who has bars on them; at least the last one.
    #[must_use]
    pub fn since(&self, day: Option<Date>) -> Vec<SessionSymbols> {
        let new = self.sessions.iter().filter(|session| day.is_none_or(|day| session.date > day));
        let new: Vec<_> = new.copied().collect();
        if new.is_empty() { self.sessions.last().copied().into_iter().collect() } else { new }
    }

    /// The last sessions, so many of them as there are at most.
    #[must_use]
    pub fn last(&self, count: usize) -> Vec<SessionSymbols> {
        self.sessions.iter().skip(self.sessions.len().saturating_sub(count)).copied().collect()
    }

    /// Whether so many of those that trade every day have no bars on the last session that it is not there yet: more than half,
    /// or more than a tenth if that is more than one or two that are halted.
    #[must_use]
    pub fn is_lagging(&self) -> bool {
        let absent = self.regulars.saturating_sub(self.regulars_present);
        2 * absent > self.regulars || absent > FEW && 10 * absent > self.regulars
    }

    /// Symbols that trade every day, and how many of them have bars on the last session.
    #[must_use]
    pub fn regulars(&self) -> (u64, u64) {
        (self.regulars, self.regulars_present)
    }
}
