//! The state of a new session of a ticker.

use grab_model::{Bar, calendar::Session};

use super::{Recent, of_session, settling::Settling};
use crate::seed::Seed;

/// After how many sessions a gap is filled: at least and at most.
const FIRST_FILLING: usize = 2;
pub(super) const LAST_FILLING: usize = 8;

/// How many gaps are of several sessions in a row, and of how many. They are filled together: a weekend is not too soon
/// for the last of them.
const LONG_HOLES: f64 = 0.25;
const LONG_HOLE: usize = 3;

/// The share of sessions that begin a gap, for a share of sessions in one: the more there are, the more of them
/// overlap.
fn beginnings(share: f64) -> f64 {
    share / (1.5 - 0.5 * share)
}

/// The state of a session's bars.
#[derive(Clone, Copy)]
pub(super) enum SessionFate {
    /// There are no bars yet.
    Absent,
    /// The bars before an instant (UTC ms) exist, as far as they have settled.
    Settling { until: i64, settling: Settling },
}

impl SessionFate {
    /// The state of a session that is in no gap, by the seed of its ticker.
    pub fn of(ticker: Seed, recent: &Recent, sessions: u8) -> Self {
        let seed = of_session(ticker, recent.session);
        let settling = Settling { seed: seed.named("settling"), sessions, age: recent.age };
        if recent.is_published {
            return Self::Settling { until: i64::MAX, settling };
        }
        let mut draws = seed.named("lag").draws();
        if draws.happens(0.5) {
            return Self::Absent;
        }
        Self::Settling { until: part_of(recent.session, draws.between(0.1, 0.9)), settling }
    }

    /// A bar as it is now. None if it does not exist yet.
    pub fn pass(&self, bar: Bar) -> Option<Bar> {
        match self {
            Self::Absent => None,
            Self::Settling { until, settling } => (bar.timestamp < *until).then(|| settling.pass(bar))?,
        }
    }
}

/// The instant at which a part of a session is over, UTC ms.
fn part_of(session: Session, part: f64) -> i64 {
    let (start, end) = (session.extended_open_ms(), session.extended_close_ms());
    #[expect(clippy::cast_possible_truncation, reason = "a part of a thousand minutes")]
    let minutes = (part * f64::from(i32::try_from((end - start) / 60_000).unwrap_or_default())) as i64;
    start + minutes * 60_000
}

/// Whether a session is in a gap that is not filled yet. `seed` is that of the ticker's gaps; `newest` has all sessions
/// whose gaps may still be open, the last first.
pub(super) fn is_hole(seed: Seed, recent: &Recent, newest: &[Recent], share: f64) -> bool {
    let of_before = newest.iter().skip_while(|other| other.session != recent.session);
    // A gap that covers the session may begin at the session itself, or at one of the two before it.
    share > 0.0
        && of_before.take(LONG_HOLE).enumerate().any(|(behind, beginning)| {
            let mut draws = of_session(seed, beginning.session).draws();
            if !draws.happens(beginnings(share)) {
                return false;
            }
            let length = if draws.happens(LONG_HOLES) { LONG_HOLE } else { 1 };
            // Also the last session of a long gap is filled two sessions after its own at the earliest.
            let first_filling = FIRST_FILLING + length - 1;
            let filling = first_filling + draws.below(LAST_FILLING - first_filling + 1);
            behind < length && beginning.age < filling
        })
}
