//! What the responses of a service show about the time.
//!
//! A session is finished only if it is over by the earlier of this machine's clock and the response's `Date`: with a
//! clock that is ahead, unfinished days would be recorded as complete. A `Date` is not always right either: it may be
//! missing or unreadable, and a proxy or a server may have a wrong clock. It is rejected if it is from before the
//! service's first bars, and every `Date` of a run is rejected once a response has a bar that is newer than its own:
//! then only the clock is left. A cached response has an old `Date`, which is right: the response does not cover later
//! days.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::clock::Clock;

/// 2003-09-10 in UTC ms: the day of the service's first bars (polygon-api.md §3). No response is older.
const FIRST_BARS_MS: i64 = 1_063_152_000_000;

/// A response's `Date` is at least this long after the start of its newest bar, in ms: clocks of servers differ by
/// seconds.
const BAR_MS: i64 = 60_000;

/// The time by this machine's clock and by a service. Clones share the dates that were received.
#[derive(Clone, Debug)]
pub struct ServiceClock {
    clock: Clock,
    dates: Arc<Mutex<ServiceDates>>,
}

/// The dates of responses so far.
#[derive(Debug, Default)]
struct ServiceDates {
    /// By how much the clock was ahead of a response's `Date`, ms: the smallest difference. Negative if the clock is
    /// behind.
    ahead_ms: Option<i64>,
    /// Why every `Date` is rejected.
    rejected: Option<String>,
    /// A `Date` that is unreadable or impossible.
    odd: Option<String>,
}

/// The `Date` of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseDate {
    /// When the response was received, by the clock, UTC ms.
    received_ms: i64,
    /// Its `Date`, UTC ms. None if it is missing or invalid.
    date_ms: Option<i64>,
}

impl ServiceClock {
    /// A clock that has received no response yet.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, dates: Arc::default() }
    }

    /// This machine's clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Reads the `Date` of a response that was received just now.
    #[must_use]
    pub fn response_date(&self, date: Option<&[u8]>) -> ResponseDate {
        let received_ms = self.clock.now_ms();
        let read = date.map(|date| {
            read(date).filter(|ms| *ms >= FIRST_BARS_MS).ok_or_else(|| {
                String::from_utf8_lossy(date).chars().filter(|c| !c.is_control()).take(40).collect::<String>()
            })
        });
        let date_ms = match read.transpose() {
            Ok(date_ms) => date_ms,
            Err(odd) => {
                self.locked().odd.get_or_insert(odd);
                None
            }
        };
        ResponseDate { received_ms, date_ms }
    }

    /// Records the `Date` of any response.
    pub fn record_date(&self, date: Option<&[u8]>) {
        let _ = self.as_of(self.response_date(date), None);
    }

    /// Returns the instant as of which a response is valid, UTC ms. `newest_ms` is the start of its newest bar.
    #[must_use]
    pub fn as_of(&self, answer: ResponseDate, newest_ms: Option<i64>) -> i64 {
        let ResponseDate { received_ms, date_ms } = answer;
        let Some(date_ms) = date_ms else { return received_ms };
        let mut dates = self.locked();
        if let Some(newest_ms) = newest_ms.filter(|newest_ms| *newest_ms > date_ms + BAR_MS) {
            let instant = |ms| Timestamp::from_millisecond(ms).map(|at| at.to_string()).unwrap_or_default();
            dates.rejected.get_or_insert_with(|| {
                format!("an answer of {} has a bar of {}", instant(date_ms), instant(newest_ms))
            });
        }
        if dates.rejected.is_some() {
            return received_ms;
        }
        let ahead_ms = received_ms - date_ms;
        dates.ahead_ms = Some(dates.ahead_ms.map_or(ahead_ms, |least| least.min(ahead_ms)));
        received_ms.min(date_ms)
    }

    /// Now, by the earlier of the clock and the service, UTC ms.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.clock.now_ms() - self.ahead_ms().max(0)
    }

    /// Now, by the later of the clock and the service, UTC ms: no later instant has passed by either. None if no `Date`
    /// was received, or if it is rejected.
    #[must_use]
    pub fn latest_ms(&self) -> Option<i64> {
        let dates = self.locked();
        let ahead_ms = dates.ahead_ms.filter(|_| dates.rejected.is_none())?;
        Some(self.clock.now_ms() - ahead_ms.min(0))
    }

    /// By how much the clock is ahead of the service, ms; negative if it is behind, zero if that is not known.
    #[must_use]
    pub fn ahead_ms(&self) -> i64 {
        let dates = self.locked();
        if dates.rejected.is_some() { 0 } else { dates.ahead_ms.unwrap_or(0) }
    }

    /// Describes what is wrong with the service's own dates. None if nothing is.
    #[must_use]
    pub fn oddity(&self) -> Option<String> {
        let dates = self.locked();
        let odd = dates.odd.as_ref().map(|odd| format!("an answer has the Date {odd:?}"));
        dates.rejected.clone().or(odd)
    }

    /// The state is consistent between any two statements, so a panic elsewhere cannot have left it half-written.
    fn locked(&self) -> MutexGuard<'_, ServiceDates> {
        self.dates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads an HTTP date: the current form, and the two old ones that must be accepted (RFC 9110, section 5.6.7).
fn read(date: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(date).ok()?.trim();
    let parse = |format: &str| jiff::fmt::strtime::parse(format, text).ok()?.to_datetime().ok();
    let forms = ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    let at = forms.into_iter().find_map(parse)?;
    Some(at.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: &[u8] = b"Mon, 30 Nov 2026 12:00:00 GMT";
    const NOON_MS: i64 = 1_796_040_000_000;
    const DAY_MS: i64 = 86_400_000;

    fn at(ms: i64) -> ServiceClock {
        ServiceClock::new(Clock::starting_at(Timestamp::from_millisecond(ms).unwrap()))
    }

    /// Whether two instants are equal, apart from the duration of a test.
    fn about(one: i64, other: i64) -> bool {
        (one - other).abs() < 60_000
    }

    #[test]
    fn all_three_forms_of_a_date_are_read_and_nothing_else() {
        for text in
            ["Mon, 30 Nov 2026 12:00:00 GMT", "Monday, 30-Nov-26 12:00:00 GMT", "Mon Nov 30 12:00:00 2026"]
        {
            assert_eq!(read(text.as_bytes()), Some(NOON_MS), "{text}");
        }
        for text in ["", "yesterday", "2026-11-30T12:00:00Z", "Mon, 31 Nov 2026 12:00:00 GMT", "\u{fffd}"] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_earlier_of_clock_and_date_counts() {
        for (clock_ms, as_of_ms, ahead_ms) in [
            (NOON_MS, NOON_MS, 0),
            (NOON_MS + 30 * DAY_MS, NOON_MS, 30 * DAY_MS),
            (NOON_MS - 30 * DAY_MS, NOON_MS - 30 * DAY_MS, -30 * DAY_MS),
        ] {
            let time = at(clock_ms);
            assert!(about(time.now_ms(), clock_ms), "nothing is known yet");
            let answer = time.response_date(Some(NOON));
            assert!(about(time.as_of(answer, None), as_of_ms));
            assert!(about(time.now_ms(), as_of_ms));
            assert!(about(time.ahead_ms(), ahead_ms));
            assert_eq!(time.oddity(), None);
        }
    }

    #[test]
    fn without_a_date_that_can_be_the_clock_counts() {
        for date in [None, Some(&b"soon"[..]), Some(b"Thu, 01 Jan 1970 00:00:00 GMT")] {
            let time = at(NOON_MS);
            let answer = time.response_date(date);
            assert!(about(time.as_of(answer, Some(NOON_MS - DAY_MS)), NOON_MS));
            assert_eq!(time.oddity().is_some(), date.is_some(), "{:?}", time.oddity());
        }
    }

    #[test]
    fn a_date_that_is_older_than_a_bar_of_its_answer_is_wrong_and_so_are_the_others() {
        let time = at(NOON_MS + 30 * DAY_MS);
        let answer = time.response_date(Some(NOON));
        assert!(about(time.as_of(answer, Some(NOON_MS - BAR_MS)), NOON_MS), "an old answer is believed");
        assert!(about(time.as_of(answer, Some(NOON_MS + DAY_MS)), NOON_MS + 30 * DAY_MS));
        assert!(about(time.as_of(answer, None), NOON_MS + 30 * DAY_MS), "from then on");
        assert!(about(time.now_ms(), NOON_MS + 30 * DAY_MS) && time.oddity().is_some());
    }

    #[test]
    fn the_freshest_answer_says_by_how_much_the_clock_is_ahead() {
        let time = at(NOON_MS + 2 * DAY_MS);
        for (date, ahead_ms) in [("Sat, 28 Nov", 4), ("Mon, 30 Nov", 2), ("Sun, 29 Nov", 2)] {
            let date = format!("{date} 2026 12:00:00 GMT");
            let answer = time.response_date(Some(date.as_bytes()));
            let _ = time.as_of(answer, None);
            assert!(about(time.ahead_ms(), ahead_ms * DAY_MS), "{date}");
        }
    }
}
