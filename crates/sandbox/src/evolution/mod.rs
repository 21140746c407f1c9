//! The newest sessions, which are not final yet.
//!
//! # Flow
//! [`NewestSessions`] applies [`Evolution`] at an instant: it has the last few sessions, and how many sessions ago each
//! was. For a ticker it finds the `fate` of each of them, and passes bars accordingly; `settling` is about single bars.
//! All earlier sessions pass unchanged.
//!
//! # No state
//! Everything follows from the seed, the ticker, the session and the clock. A sandbox that is restarted every evening,
//! with a later clock each time, behaves as one that keeps running.

mod fate;
mod settling;
#[cfg(test)]
mod tests;

use std::{iter, time::Duration};

use grab_model::{
    calendar::{self, Session},
    new_york,
};
use jiff::civil::Date;

use self::fate::SessionFate;
use super::{market::Minutes, seed::Seed};

/// How the newest sessions differ from their final state. The default: not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evolution {
    /// For this many sessions after its own, a session is not final: some bars have less volume, and some are missing.
    pub settling: u8,
    /// For this long after its end a session's bars are missing, or some of them.
    pub lag: Duration,
    /// The share, from 0 to 1, of sessions of tickers that are missing at first and appear 2 to 8 sessions later.
    pub holes: f64,
}

impl Evolution {
    /// Whether all sessions are final at once.
    fn is_off(&self) -> bool {
        *self == Self::default()
    }

    /// How many published sessions may differ; the last of them is final.
    fn depth(&self) -> usize {
        let holes = if self.holes > 0.0 { fate::LAST_FILLING } else { 0 };
        usize::from(self.settling).max(holes)
    }
}

/// One of the newest sessions.
#[derive(Clone, Copy)]
struct Recent {
    session: Session,
    /// How many sessions after it are published.
    age: usize,
    /// Whether it is published: its end is longer ago than the lag.
    is_published: bool,
}

/// The newest sessions at an instant.
pub(super) struct NewestSessions {
    evolution: Evolution,
    seed: Seed,
    /// The last first.
    sessions: Vec<Recent>,
}

impl NewestSessions {
    /// The newest sessions at an instant. None if all sessions are final.
    pub fn at(evolution: Evolution, seed: u64, now_ms: i64) -> Option<Self> {
        if evolution.is_off() {
            return None;
        }
        let lag = i64::try_from(evolution.lag.as_millis()).unwrap_or(i64::MAX);
        let published_by = now_ms.saturating_sub(lag);
        let mut age = 0;
        let recent = sessions_back(calendar::last_finished(now_ms)?.date()).map(|session| {
            let is_published = session.extended_close_ms() <= published_by;
            let recent = Recent { session, age, is_published };
            age += usize::from(is_published);
            recent
        });
        let sessions = recent.take_while(|recent| recent.age < evolution.depth() || !recent.is_published);
        let sessions = sessions.collect();
        Some(Self { evolution, seed: Seed::root(seed).named("evolution"), sessions })
    }

    /// Those bars of a ticker that exist now, in their present state.
    pub fn seen<'m>(&self, ticker: &str, minutes: Minutes<'m>) -> Minutes<'m> {
        self.through(ticker, self.evolution.holes, minutes)
    }

    /// Those bars of a ticker that exist now, without gaps. Grouped daily bars are made of these: they have every
    /// symbol that traded (polygon-api.md §2).
    pub fn seen_without_holes<'m>(&self, ticker: &str, minutes: Minutes<'m>) -> Minutes<'m> {
        self.through(ticker, 0.0, minutes)
    }

    fn through<'m>(&self, ticker: &str, holes: f64, minutes: Minutes<'m>) -> Minutes<'m> {
        let seed = self.seed.named(ticker);
        let fates = self.sessions.iter().map(|recent| {
            let is_hole = fate::is_hole(seed.named("hole"), recent, &self.sessions, holes);
            let fate = if is_hole {
                SessionFate::Absent
            } else {
                SessionFate::of(seed, recent, self.evolution.settling)
            };
            (new_york::day_start_ms(recent.session.date()), fate)
        });
        let fates: Vec<(i64, SessionFate)> = fates.collect();
        Box::new(minutes.filter_map(move |bar| {
            let fate = fates.iter().find(|(start, _)| *start <= bar.timestamp);
            fate.map_or(Some(bar), |(_, fate)| fate.pass(bar))
        }))
    }
}

/// The sessions from a day backwards.
fn sessions_back(day: Date) -> impl Iterator<Item = Session> {
    iter::successors(Some(day), |day| day.yesterday().ok())
        .take_while(|day| *day >= calendar::FIRST_DAY)
        .filter_map(calendar::session_on)
}

/// The seed of a session.
fn of_session(seed: Seed, session: Session) -> Seed {
    seed.named(&session.date().to_string())
}
