//! Why an update is not complete although no task is outstanding.

use grab_core::verify::SessionSymbols;

use crate::MissingList;

/// What each new session must have.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SessionThresholds {
    /// The fewest symbols with bars.
    pub min_symbols: Option<u64>,
    /// The least share of the symbols that had bars in the two weeks before.
    pub min_coverage: Option<f64>,
}

/// Why an update is not complete.
#[derive(Clone, Debug, PartialEq)]
pub enum UpdateShortfall {
    /// Sessions have fewer symbols than a threshold demands.
    FewSymbols {
        /// How many sessions.
        sessions: u64,
        /// The threshold.
        least: u64,
        /// The last of them.
        last: SessionSymbols,
    },
    /// Sessions have a smaller share of the expected symbols than a threshold demands.
    ThinCoverage {
        /// How many sessions.
        sessions: u64,
        /// The threshold.
        least: f64,
        /// The last of them.
        last: SessionSymbols,
        /// The share of that one.
        share: f64,
    },
    /// Sessions lack symbols that have bars every day.
    Lacking {
        /// How many sessions.
        sessions: u64,
        /// The last of them.
        last: SessionSymbols,
        /// Whether the source may only be late.
        is_early: bool,
    },
    /// The lists lack many of their former rows.
    ListsShrunk {
        /// How many known listings they lack.
        missing: u64,
        /// How many listings are known.
        known: u64,
    },
    /// A list is missing on which the update depends.
    ListMissing {
        /// The list.
        list: &'static str,
        /// What could not be fetched. Empty if the run was stopped.
        why: Vec<MissingList>,
    },
}

impl SessionThresholds {
    /// The missed thresholds. `is_alive`: whether any known symbol is still traded.
    #[must_use]
    pub fn missed(self, sessions: &[SessionSymbols], is_alive: bool) -> Vec<UpdateShortfall> {
        [self.few(sessions), self.thin(sessions, is_alive)].into_iter().flatten().collect()
    }

    fn few(self, sessions: &[SessionSymbols]) -> Option<UpdateShortfall> {
        let least = self.min_symbols?;
        let few: Vec<_> = sessions.iter().filter(|session| session.symbols < least).collect();
        few.last().map(|last| UpdateShortfall::FewSymbols { sessions: few.len() as u64, least, last: **last })
    }

    fn thin(self, sessions: &[SessionSymbols], is_alive: bool) -> Option<UpdateShortfall> {
        let least = self.min_coverage?;
        // A session without any expected symbol is not full coverage: else a silent source would never be noticed.
        let of_none = if is_alive { 0.0 } else { 1.0 };
        let share = |session: &SessionSymbols| session.share().unwrap_or(of_none);
        let thin: Vec<_> = sessions.iter().filter(|session| share(session) < least).collect();
        thin.last().map(|last| UpdateShortfall::ThinCoverage {
            sessions: thin.len() as u64,
            least,
            last: **last,
            share: share(last),
        })
    }
}
