//! Thresholds of a verification, and which of them are missed.

use grab_core::verify::{Severity, Verification};

/// The conditions under which gaps are no error. Without them, any gap is one. Damage always is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct VerifyThresholds {
    /// The least share of the expected sessions that must be there.
    pub min_coverage: Option<f64>,
    /// The fewest symbols that a session may have.
    pub min_symbols_per_session: Option<u64>,
    /// The longest gap, in sessions.
    pub max_gap_sessions: Option<u64>,
}

/// A threshold that is missed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MissedThreshold {
    /// This many sessions lack too many symbols that have bars every day.
    SessionsLackSymbols(u64),
    /// The coverage is too small.
    Coverage {
        /// The coverage.
        ratio: f64,
        /// What it must be at least.
        least: f64,
    },
    /// There are this many gaps, and no threshold allows any.
    Gaps(u64),
    /// A gap is too long.
    LongGap {
        /// Its sessions.
        sessions: u64,
        /// How many it may have.
        most: u64,
    },
    /// Sessions have too few symbols.
    FewSymbols {
        /// How many sessions.
        sessions: u64,
        /// How many symbols each must have.
        least: u64,
    },
}

impl VerifyThresholds {
    /// The thresholds that a verification misses.
    #[must_use]
    pub fn missed(&self, verified: &Verification) -> Vec<MissedThreshold> {
        let lacking = verified.lacking.len() as u64;
        let mut missed =
            Vec::from_iter((lacking > 0).then_some(MissedThreshold::SessionsLackSymbols(lacking)));
        let (ratio, gaps) = (verified.coverage.ratio(), verified.count(Severity::Gap) as u64);
        match self.min_coverage {
            Some(least) if ratio < least => missed.push(MissedThreshold::Coverage { ratio, least }),
            None if gaps > 0 => missed.push(MissedThreshold::Gaps(gaps)),
            Some(_) | None => {}
        }
        let sessions = verified.longest_gap;
        if let Some(most) = self.max_gap_sessions.filter(|most| sessions > *most) {
            missed.push(MissedThreshold::LongGap { sessions, most });
        }
        if let Some(least) = self.min_symbols_per_session {
            let sessions = verified.sessions_below(least);
            missed.extend((sessions > 0).then_some(MissedThreshold::FewSymbols { sessions, least }));
        }
        missed
    }
}
