//! Sessions without bars that the service may have filled by now.

use grab_model::{
    Window,
    calendar::{self, Session},
};
use jiff::civil::Date;

use super::UpdateCutoff;
use crate::verify::{BarsBySession, ExplainedSymbol, FILLED_WITHIN_DAYS, RequestedSessions, SessionStatus};

/// A session that is older is requested a last time; if it stays empty, the gap is the server's own.
const FILLED_WITHIN_MS: i64 = FILLED_WITHIN_DAYS as i64 * 86_400_000;

/// The sessions before `until` to request again.
pub(super) fn due(
    explained: &ExplainedSymbol,
    sessions: &RequestedSessions,
    cutoff: &UpdateCutoff,
    until: Date,
) -> Vec<Date> {
    // A session that was requested twice is due a last time, once it is old; `oldest_young` covers it until then.
    let days = explained.days.iter().zip(sessions.dates()).take_while(|(_, date)| **date < until);
    let is_due = |day: SessionStatus, date: Date| match day {
        SessionStatus::Missing => true,
        SessionStatus::AskedAgain | SessionStatus::Withheld => {
            is_old_by_now(explained.asked_again_ms(date), date, cutoff.now_ms)
        }
        SessionStatus::NotAsked
        | SessionStatus::NotFound
        | SessionStatus::NotEntitled
        | SessionStatus::Failed
        | SessionStatus::Pending
        | SessionStatus::Empty
        | SessionStatus::NoTrade
        | SessionStatus::Lost
        | SessionStatus::Thin
        | SessionStatus::Present
        | SessionStatus::NotListed
        | SessionStatus::CutAway
        | SessionStatus::BeforeHistory => false,
    };
    days.filter(|(day, date)| is_due(**day, **date)).map(|(_, date)| *date).collect()
}

/// The first young session without bars that was requested twice, or comes before a symbol's first bar: the service may
/// still fill it. From there to the last session is less than a page.
pub(super) fn oldest_young(
    explained: &ExplainedSymbol,
    sessions: &RequestedSessions,
    cutoff: &UpdateCutoff,
) -> Option<Date> {
    let mut days = explained.days.iter().zip(sessions.dates());
    let is_young =
        |date: Date| calendar::session_on(date).is_some_and(|session| cutoff.now_ms < old_from(session));
    let may_be_filled = |day: SessionStatus| {
        matches!(day, SessionStatus::AskedAgain | SessionStatus::Withheld | SessionStatus::Empty)
    };
    days.find(|(day, date)| may_be_filled(**day) && is_young(**date)).map(|(_, date)| *date)
}

/// The time from which a session is old, UTC ms.
fn old_from(session: Session) -> i64 {
    session.extended_close_ms() + FILLED_WITHIN_MS
}

/// Whether a session that was young when it was requested is old now.
fn is_old_by_now(asked_ms: Option<i64>, date: Date, now_ms: i64) -> bool {
    let old_ms = calendar::session_on(date).map(old_from);
    asked_ms.zip(old_ms).is_some_and(|(asked_ms, old_ms)| asked_ms < old_ms && old_ms <= now_ms)
}

/// Joins the due sessions to as few windows as possible that each fit in one page.
pub(super) fn windows(due: &[Date], explained: &ExplainedSymbol) -> Vec<Window> {
    let days: Vec<_> = due.iter().filter_map(|date| Window::new(*date, *date)).collect();
    let requested: Vec<_> = explained.tasks.iter().map(|task| task.window).collect();
    BarsBySession::of(&explained.recorded).joined(&days, &requested)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use grab_model::new_york;

    #[test]
    fn a_young_hole_is_asked_for_again_when_it_is_old() {
        let day = date(2024, 1, 3);
        let at = |days: i64| new_york::at_ms(day, 20, 0) + days * 86_400_000;
        assert!(!is_old_by_now(Some(at(2)), day, at(34)));
        assert!(is_old_by_now(Some(at(2)), day, at(36)));
        assert!(!is_old_by_now(Some(at(36)), day, at(400)), "it was old then");
        assert!(!is_old_by_now(None, day, at(36)));
    }
}
