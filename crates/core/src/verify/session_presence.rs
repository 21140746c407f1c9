//! Which symbols have bars on the last sessions, and which should: whether a session is complete.
//!
//! A symbol is *regular* if it has bars on each of the five sessions that end with its last one. A regular symbol is
//! expected on every later session, however long it is silent, until it is known to be delisted: by the lists of
//! tickers, or by the service's response to a question about its silence. All other symbols may be quiet.

use std::collections::{BTreeSet, HashMap};

use grab_model::{Month, Symbol, Window, calendar, universe::Universe};
use jiff::{ToSpan, civil::Date};
use serde::Serialize;

use super::{Finding, FindingKind};
use crate::manifest::{ManifestError, ManifestReader, Silence, SilenceAnswer};

/// A regular symbol has bars on this many sessions in a row, up to its last one.
const REGULAR: usize = 5;

/// This many symbols may be halted on one day.
const FEW: u64 = 2;

/// A symbol that has been silent for this many sessions may be delisted: the service is asked.
pub const LONG: usize = 10;

/// The last sessions that each update requests again: each of them must have bars of some symbol.
const RECENT: usize = 4;

/// Calendar days before a session in which a symbol with any bars is expected by `--min-coverage`.
const LOOK_BACK: i32 = 14;

/// For how many days a session that lacks symbols may still be filled: the service fills its own gaps within four weeks
/// (ISS#309 in polygon-api.md).
pub const FILLED_WITHIN_DAYS: i32 = 35;

/// The last sessions, and the number of symbols with bars on each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionPresence {
    sessions: Vec<SessionSymbols>,
    /// Regular symbols without bars on the last session.
    silent: Vec<SilentSymbol>,
}

/// How many symbols have bars on a session, and how many should have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SessionSymbols {
    /// The session.
    #[serde(serialize_with = "text")]
    pub date: Date,
    /// Symbols with bars.
    pub symbols: u64,
    /// Symbols with bars on it or in the two weeks before, and regular ones, except those delisted by then; and those
    /// that never had bars although the lists have them as active.
    pub expected: u64,
    /// Regular symbols that are not delisted.
    #[serde(skip)]
    pub regular: u64,
    /// Regular symbols with bars.
    #[serde(skip)]
    pub present: u64,
}

/// A regular symbol without bars on the last session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SilentSymbol {
    /// The symbol.
    pub symbol: Symbol,
    /// Its last session with bars.
    pub last_session: Date,
    /// Whether it has been silent for `LONG` sessions.
    pub is_long: bool,
}

impl SessionSymbols {
    /// The share of the expected symbols that have bars. None if no symbol is expected.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        share(self.symbols, self.expected)
    }

    /// The share of the regular symbols that have bars. None if there are no regular symbols.
    #[must_use]
    pub fn regular_share(&self) -> Option<f64> {
        share(self.present, self.regular)
    }

    /// Whether too many regular symbols have no bars for the session to be complete: at least half of them, or more
    /// than two and more than a tenth.
    #[must_use]
    pub fn is_lacking(&self) -> bool {
        let absent = self.regular.saturating_sub(self.present);
        absent > 0 && (2 * absent >= self.regular || absent > FEW && 10 * absent > self.regular)
    }

    /// Whether no symbol has bars, although there are regular symbols.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.symbols == 0 && self.regular > 0
    }
}

#[expect(clippy::cast_precision_loss, reason = "there are not that many symbols")]
fn share(part: u64, all: u64) -> Option<f64> {
    (all > 0).then(|| part as f64 / all as f64)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it so")]
fn text<S: serde::Serializer>(date: &Date, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(date)
}

/// The sessions on which the market was open, by the calendar and the service.
struct OpenDays {
    closures: BTreeSet<Date>,
    /// For a day, the last [`REGULAR`] sessions up to it, newest first.
    runs: HashMap<Date, Vec<Date>>,
}

impl OpenDays {
    fn within(&self, window: Option<Window>) -> Vec<Date> {
        let days = window.into_iter().flat_map(calendar::sessions).map(calendar::Session::date);
        days.filter(|date| !self.closures.contains(date)).collect()
    }

    /// Whether there are bars on each of the [`REGULAR`] sessions that end with `last`.
    fn is_regular(&mut self, stored: &BTreeSet<Date>, last: Date) -> bool {
        if !self.runs.contains_key(&last) {
            let days = Window::new(last.saturating_sub((3 * LOOK_BACK).days()), last);
            let run = self.within(days).into_iter().rev().take(REGULAR).collect();
            self.runs.insert(last, run);
        }
        self.runs
            .get(&last)
            .is_some_and(|run| run.len() == REGULAR && run.iter().all(|day| stored.contains(day)))
    }
}

impl SessionPresence {
    /// Reads the sessions after `since` up to `last`, and at least those of two weeks.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn of(
        reader: &ManifestReader,
        universe: &Universe,
        since: Option<Date>,
        last: Date,
    ) -> Result<Self, ManifestError> {
        let first = since.map_or(last, |since| since.min(last)).min(two_weeks_before(last));
        let mut open = OpenDays { closures: reader.closures()?, runs: HashMap::new() };
        let dates = open.within(Window::new(first, last));
        let mut sessions: Vec<_> =
            dates.iter().map(|date| SessionSymbols { date: *date, ..SessionSymbols::default() }).collect();
        let silences = reader.silences()?;
        let last_sessions = open.within(Window::new(last.saturating_sub((3 * LOOK_BACK).days()), last));
        let long_ago = last_sessions.iter().rev().nth(LONG - 1).copied();
        let mut silent = Vec::new();
        let not_served = not_served(reader)?;
        for (symbol, stored) in reader.last_sessions(Month::of(two_weeks_before(first)))? {
            let silence = silences.get(&symbol);
            let is_delisted =
                |date, before| universe.is_delisted(&symbol, date, before) || has_left(silence, before);
            let is_silent = count(&mut sessions, &stored, not_served.get(&symbol), &mut open, is_delisted);
            if is_silent {
                silent.extend(stored.last().map(|last_session| SilentSymbol {
                    symbol,
                    last_session: *last_session,
                    is_long: long_ago.is_some_and(|long_ago| *last_session < long_ago),
                }));
            }
        }
        // A listed symbol that never had a bar is expected all the same: else it would never be missed.
        for symbol in reader.symbols_without_bars()? {
            let is_known = universe.of(&symbol).next().is_some();
            let is_listed = |date| is_known && !universe.is_outside(&symbol, date);
            for session in &mut sessions {
                session.expected += u64::from(is_listed(session.date));
            }
        }
        Ok(Self { sessions, silent })
    }

    /// The sessions after a day; at least the last one.
    #[must_use]
    pub fn since(&self, day: Option<Date>) -> Vec<SessionSymbols> {
        let new = self.sessions.iter().filter(|session| day.is_none_or(|day| session.date > day));
        let new: Vec<_> = new.copied().collect();
        if new.is_empty() { self.sessions.last().copied().into_iter().collect() } else { new }
    }

    /// The last `count` sessions, or all if there are fewer.
    #[must_use]
    pub fn last(&self, count: usize) -> &[SessionSymbols] {
        &self.sessions[self.sessions.len().saturating_sub(count)..]
    }

    /// The sessions that lack symbols: of those after `since` and the last one, each on which too many regular symbols
    /// have no bars; of the last `recent` ones, each on which no symbol has any.
    #[must_use]
    pub fn lacking(&self, since: Option<Date>, recent: usize) -> Vec<SessionSymbols> {
        let judged = self.since(since.or(self.sessions.last().map(|session| session.date)));
        let lacking = judged.into_iter().filter(SessionSymbols::is_lacking);
        let empty = self.last(recent).iter().copied().filter(SessionSymbols::is_empty);
        let mut lacking: Vec<_> = lacking.chain(empty).collect();
        lacking.sort_unstable_by_key(|session| session.date);
        lacking.dedup();
        lacking
    }

    /// Regular symbols without bars on the last session, in order.
    #[must_use]
    pub fn silent(&self) -> &[SilentSymbol] {
        &self.silent
    }
}

/// Counts a symbol with these sessions on each session. Returns whether it is regular and has no bars on the last one.
fn count(
    sessions: &mut [SessionSymbols],
    stored: &BTreeSet<Date>,
    not_served: Option<&Vec<Window>>,
    open: &mut OpenDays,
    is_delisted: impl Fn(Date, Option<Date>) -> bool,
) -> bool {
    let mut is_absent = false;
    for session in sessions {
        let date = session.date;
        let is_there = stored.contains(&date);
        if !is_there && is_within(not_served, date) {
            // The plan does not serve this day, so the symbol is not silent, whatever it was on the session before.
            is_absent = false;
            continue;
        }
        let before = stored.range(..date).next_back().copied();
        let has_left = is_delisted(date, before);
        // Only the bars before the session count, so that a lacking session cannot make a symbol irregular.
        let is_regular = !has_left && before.is_some_and(|before| open.is_regular(stored, before));
        let was_there = before.is_some_and(|before| before >= two_weeks_before(date)) && !has_left;
        session.symbols += u64::from(is_there);
        session.expected += u64::from(is_there || was_there || is_regular);
        session.regular += u64::from(is_regular);
        session.present += u64::from(is_regular && is_there);
        is_absent = is_regular && !is_there;
    }
    is_absent
}

fn two_weeks_before(day: Date) -> Date {
    day.saturating_sub(LOOK_BACK.days())
}

/// The sessions up to a day that the last update judged as lacking symbols; none if no update ever ran.
pub(super) fn lacking(
    reader: &ManifestReader,
    universe: Option<&Universe>,
    last: Date,
) -> Result<Vec<SessionSymbols>, ManifestError> {
    let Some(last) = reader.last_update(last)? else { return Ok(Vec::new()) };
    let judged = reader.states_before_updates(last.saturating_sub(FILLED_WITHIN_DAYS.days()), last)?;
    let none = Universe::default();
    let presence = SessionPresence::of(reader, universe.unwrap_or(&none), judged, last)?;
    Ok(presence.lacking(judged, RECENT))
}

/// The requested days of each symbol that the plan does not serve.
fn not_served(reader: &ManifestReader) -> Result<HashMap<Symbol, Vec<Window>>, ManifestError> {
    let mut days: HashMap<_, Vec<_>> = HashMap::new();
    for (symbol, window) in reader.not_entitled()? {
        days.entry(symbol).or_default().push(window);
    }
    Ok(days)
}

fn is_within(windows: Option<&Vec<Window>>, date: Date) -> bool {
    windows.into_iter().flatten().any(|window| window.from() <= date && date <= window.to())
}

/// Returns the finding about a session that lacks symbols.
pub(super) fn finding(session: &SessionSymbols) -> Finding {
    let SessionSymbols { date, present, regular, .. } = session;
    let detail = format!("{present} of {regular} symbols that have bars every day have bars");
    FindingKind::MissingSymbol.market_wide(&(*date..=*date), detail)
}

/// Whether the service has said that a symbol is delisted, and no bars came since.
fn has_left(silence: Option<&Silence>, last_session: Option<Date>) -> bool {
    let left = silence.filter(|silence| silence.answer == SilenceAnswer::Left);
    left.is_some_and(|silence| last_session == Some(silence.last_session))
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn lacks(regular: u64, present: u64) -> bool {
        SessionSymbols { regular, present, ..SessionSymbols::default() }.is_lacking()
    }

    #[test]
    fn half_of_the_regular_symbols_or_more_than_two_and_a_tenth() {
        let table = [
            (0, 0, false),
            (1, 1, false),
            (1, 0, true),
            (2, 1, true),
            (3, 2, false),
            (4, 2, true),
            (5, 3, false),
            (20, 18, false),
            (20, 17, true),
            (29, 26, true),
            (30, 27, false),
            (31, 27, true),
            (10_000, 9_000, false),
            (10_000, 8_999, true),
        ];
        for (regular, present, is_lacking) in table {
            assert_eq!(lacks(regular, present), is_lacking, "{present} of {regular}");
        }
    }

    /// Two weeks of January 2024: a symbol with bars up to the 12th, and days that the plan does not serve.
    fn silent(not_served: &[(i8, i8)]) -> bool {
        let day = |day| date(2024, 1, day);
        let window = |from, to| Window::new(day(from), day(to)).unwrap();
        let mut open = OpenDays { closures: BTreeSet::new(), runs: HashMap::new() };
        let stored = open.within(Some(window(2, 12))).into_iter().collect();
        let dates = open.within(Some(window(2, 18)));
        let mut sessions: Vec<_> =
            dates.iter().map(|date| SessionSymbols { date: *date, ..SessionSymbols::default() }).collect();
        let not_served: Vec<_> = not_served.iter().map(|(from, to)| window(*from, *to)).collect();
        count(&mut sessions, &stored, Some(&not_served), &mut open, |_, _| false)
    }

    #[test]
    fn an_absence_from_one_session_does_not_stand_for_one_that_the_plan_does_not_serve() {
        assert!(silent(&[]), "absent on the 16th, 17th and 18th");
        assert!(silent(&[(16, 17)]), "absent on the last session, which is served");
        assert!(!silent(&[(18, 18)]), "absent on the 16th and 17th, and the 18th is not served");
        assert!(!silent(&[(16, 18)]));
    }
}
