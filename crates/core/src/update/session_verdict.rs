//! Whether the sessions up to an update's cut-off are complete.

use grab_model::universe::Universe;
use jiff::{ToSpan, civil::Date};

use super::UpdateCutoff;
use crate::{
    manifest::{ManifestError, ManifestReader},
    verify::{FILLED_WITHIN_DAYS, SessionPresence, SessionSymbols, SilentSymbol},
};

/// The state of the sessions up to a cut-off, by the manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionVerdict {
    /// The sessions since the update before this cut-off; at least the last one.
    pub new: Vec<SessionSymbols>,
    /// These sessions, and those that were requested again.
    pub requested: Vec<SessionSymbols>,
    /// The sessions that lack symbols: of those that were new to some update and may still be filled, in order.
    pub lacking: Vec<SessionSymbols>,
    /// Whether each of them ended so recently that the source may only be late.
    pub is_early: bool,
    /// Regular symbols without bars on the last session.
    pub silent: Vec<SilentSymbol>,
    /// All sessions that were judged, and some before them.
    sessions: Vec<SessionSymbols>,
}

impl SessionVerdict {
    /// Judges the sessions. A later update with the same cut-off judges the same sessions.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn of(
        reader: &ManifestReader,
        universe: &Universe,
        cutoff: &UpdateCutoff,
    ) -> Result<Self, ManifestError> {
        let date = cutoff.session.date();
        let before = reader.state_before_update(date)?;
        let judged_since = judged_since(reader, date)?;
        let since = before.into_iter().chain(judged_since).min();
        let presence = SessionPresence::of(reader, universe, since, date)?;
        let (new, recent) = (presence.since(before.or(Some(date))), 1 + cutoff.overlap);
        let requested = presence.last(new.len().max(recent)).to_vec();
        let lacking = presence.lacking(judged_since, recent);
        let is_early = lacking.iter().all(|session| cutoff.is_early(session.date));
        let (silent, sessions) = (presence.silent().to_vec(), presence.last(usize::MAX).to_vec());
        Ok(Self { new, requested, lacking, is_early, silent, sessions })
    }

    /// A session with the nearest sessions before and after it that have bars. None if fewer than `later` sessions
    /// after it have any.
    #[must_use]
    pub fn around(&self, date: Date, later: usize) -> Option<[Date; 3]> {
        let with_bars =
            || self.sessions.iter().filter(|session| session.symbols > 0).map(|session| session.date);
        let before = with_bars().take_while(|with_bars| *with_bars < date).last()?;
        let mut after = with_bars().filter(|with_bars| *with_bars > date);
        let first = after.next()?;
        (1 + after.count() >= later).then_some([before, date, first])
    }

    /// Whether the last session lacks symbols.
    #[must_use]
    pub fn is_lagging(&self) -> bool {
        self.last().is_some_and(SessionSymbols::is_lacking)
    }

    /// The last session.
    #[must_use]
    pub fn last(&self) -> Option<&SessionSymbols> {
        self.new.last()
    }
}

/// The session before the first one that was new to an update and may still be filled.
fn judged_since(reader: &ManifestReader, last: Date) -> Result<Option<Date>, ManifestError> {
    reader.states_before_updates(last.saturating_sub(FILLED_WITHIN_DAYS.days()), last)
}
