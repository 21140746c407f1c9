//! What an update requests: the days since the last one, a few before them, and gaps that may have been filled.
//!
//! # Rolling tasks
//! Late trades revise bars (polygon-api.md §1), so one request per symbol starts a few sessions before its last stored
//! one. Sessions that are not finished, or were finished only a moment ago, are not requested.
//!
//! # Gaps
//! A session without bars between others is requested once more, then in each update together with the rolling task,
//! and a last time when it is old: the service fills some of its gaps after weeks (polygon-api.md §4). Many gaps go
//! into one request, as far as its page reaches.
//!
//! # Listings
//! A delisted symbol is requested until its last days are final; a symbol with bars after the delisting day of the
//! lists is not delisted. A newly listed symbol of a subscription is requested from its first day on.
//!
//! # Splits
//! If bars are adjusted, a split changes all earlier bars: what was fetched before the split is requested again.
//!
//! Nothing here writes or sends a request: the plan is a value, made from the manifest alone.

mod gaps;
mod rolling_task;
mod session_verdict;
mod splits;

pub use session_verdict::SessionVerdict;
pub use splits::{ListedSplit, ReferenceData};

use std::{collections::HashMap, time::Duration};

use grab_model::{
    Symbol, Window,
    calendar::{self, Session},
};
use jiff::civil::Date;

use crate::{
    manifest::{ManifestReader, Silence, SilenceAnswer},
    verify::{RequestedSessions, VerifyError, by_manifest},
};
use rolling_task::{RollingTask, SymbolCoverage};

/// How late a source may be with a session after its end: after a day, the user has to check.
const LATE_BY_MS: i64 = 86_400_000;

/// The cut-off of an update: the last session that it is about.
#[derive(Clone, Copy, Debug)]
pub struct UpdateCutoff {
    /// The last session that is settled.
    pub session: Session,
    /// The time from which it is settled, UTC ms.
    pub settled_ms: i64,
    /// The current time, UTC ms.
    pub now_ms: i64,
    /// How long after its end a session counts as settled, in ms.
    pub settle_ms: i64,
    /// The number of sessions before the last stored one that are requested again.
    pub overlap: usize,
}

impl UpdateCutoff {
    /// The cut-off at `now_ms` (UTC) if a session is settled `settle` after its end. None if no session is settled.
    #[must_use]
    pub fn at(now_ms: i64, settle: Duration, overlap: usize) -> Option<Self> {
        let settle_ms = i64::try_from(settle.as_millis()).unwrap_or(i64::MAX);
        let session = calendar::last_finished(now_ms.saturating_sub(settle_ms))?;
        let settled_ms = session.extended_close_ms().saturating_add(settle_ms);
        Some(Self { session, settled_ms, now_ms, settle_ms, overlap })
    }

    /// Whether a session ended less than a day ago, so that its bars may only be late.
    #[must_use]
    pub fn is_early(&self, date: Date) -> bool {
        let end_ms = calendar::session_on(date).map(Session::extended_close_ms);
        end_ms.is_some_and(|end_ms| self.now_ms < end_ms.saturating_add(LATE_BY_MS))
    }
}

/// What an update requests, and what it leaves out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpdatePlan {
    /// The windows of the rolling tasks of symbols that are behind.
    pub extended: Vec<(Symbol, Window)>,
    /// Newly listed symbols, each with the windows in which it was listed.
    pub joined: Vec<(Symbol, Window)>,
    /// Windows with sessions that have no bars.
    pub gaps: Vec<(Symbol, Window)>,
    /// Splits that a symbol's adjusted bars do not include yet.
    pub splits: Vec<(Symbol, ListedSplit)>,
    /// The windows that are requested from the beginning because of these splits.
    pub reopened: Vec<(Symbol, Window)>,
    /// Sessions without bars in `gaps`.
    pub gap_sessions: u64,
    /// Symbols that need no request.
    pub up_to_date: u64,
    /// Symbols that are no longer traded and need no further request.
    pub closed: u64,
    /// Symbols of which no task has ever finished: their outstanding tasks come first.
    pub unanswered: u64,
    /// The last session that was requested before, for any symbol.
    pub newest: Option<Date>,
    /// Whether so many symbols lacked bars on the last session that all of them are requested again.
    pub was_lagging: bool,
}

impl UpdatePlan {
    /// Plans an update from the manifest and the reference data.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn of(
        reader: &ManifestReader,
        cutoff: &UpdateCutoff,
        reference: &ReferenceData,
    ) -> Result<Self, VerifyError> {
        let today = cutoff.session.date();
        let windows = reader.windows()?.into_values().flatten();
        let windows = windows.chain(Window::new(today, today));
        let sessions = RequestedSessions::spanned(windows).without(&reader.closures()?);
        let verdict = SessionVerdict::of(reader, &reference.universe, cutoff)?;
        let silent: HashMap<_, _> =
            verdict.silent.iter().map(|silent| (&silent.symbol, silent.is_long)).collect();
        let silences = reader.silences()?;
        let joined = reference.joined.clone();
        let mut plan = Self { joined, was_lagging: verdict.is_lagging(), ..Self::default() };
        let mut lacking = Vec::new();
        for symbol in reader.symbols()? {
            let facts = by_manifest(reader, &symbol, &sessions, Some(&reference.universe))?;
            let last_stored =
                facts.recorded.last().and_then(|last| last.month.days(last.session_mask()).last());
            let left = silences.get(&symbol).and_then(|silence| last_day(silence, last_stored));
            let known =
                SymbolCoverage { tasks: &facts.tasks, last_stored, end: reference.universe.end_of(&symbol) };
            let known = known.by_bars(&sessions);
            let known = SymbolCoverage { end: known.end.or(left), ..known };
            plan.newest = plan.newest.max(known.covered_to());
            let until = match known.rolling_task(&sessions, cutoff) {
                RollingTask::Ask(window) => {
                    // Begin with the oldest session that may still be filled, so that one request covers both.
                    let from = gaps::oldest_young(&facts, &sessions, cutoff)
                        .map_or(window.from(), |gap| gap.min(window.from()));
                    plan.extended
                        .extend(Window::new(from, window.to()).map(|window| (symbol.clone(), window)));
                    window.from()
                }
                RollingTask::Lacking(window) => {
                    // A symbol that is silent only for a short time is requested again; the others only if the whole
                    // source lags.
                    let is_missed = silent.get(&symbol).is_some_and(|is_long| !is_long);
                    if is_missed { &mut plan.extended } else { &mut lacking }.push((symbol.clone(), window));
                    window.from()
                }
                RollingTask::UpToDate { from } => {
                    // A session that lacks symbols is requested again on each run.
                    let absent = verdict.lacking.iter().find(|session| !facts.has_bars(session.date));
                    match absent.and_then(|session| Window::new(session.date, today)) {
                        Some(window) => plan.extended.push((symbol.clone(), window)),
                        None => plan.up_to_date += 1,
                    }
                    from
                }
                RollingTask::Closed => {
                    plan.closed += 1;
                    Date::MAX
                }
                RollingTask::Unanswered => {
                    plan.unanswered += 1;
                    continue;
                }
            };
            let listed = reference.splits.get(&symbol).map_or(&[][..], Vec::as_slice);
            let (missed, windows) = splits::outdated(&facts.tasks, listed, cutoff);
            if !missed.is_empty() {
                plan.splits.extend(missed.into_iter().map(|split| (symbol.clone(), split)));
                plan.reopened.extend(windows.into_iter().map(|window| (symbol.clone(), window)));
                continue;
            }
            let mut due = gaps::due(&facts, &sessions, cutoff, until);
            // The plan no longer serves days before the beginning of its history.
            due.retain(|date| reference.history.is_none_or(|edge| *date > edge.last_refused()));
            plan.gap_sessions += due.len() as u64;
            plan.gaps.extend(gaps::windows(&due, &facts).into_iter().map(|window| (symbol.clone(), window)));
        }
        if plan.was_lagging {
            plan.extended.append(&mut lacking);
        } else {
            plan.up_to_date += lacking.len() as u64;
        }
        plan.extended.sort_unstable();
        Ok(plan)
    }

    /// All windows to request.
    pub fn requested(&self) -> impl Iterator<Item = &(Symbol, Window)> {
        self.extended.iter().chain(&self.joined).chain(&self.gaps).chain(&self.reopened)
    }
}

/// The last day on which a symbol can have bars if the service says that it is delisted. None if it is still listed, or
/// has had bars since.
fn last_day(silence: &Silence, last_stored: Option<Date>) -> Option<Date> {
    let has_left = silence.answer == SilenceAnswer::Left && last_stored == Some(silence.last_session);
    has_left
        .then(|| silence.left_on.map_or(silence.last_session, |left_on| left_on.max(silence.last_session)))
}
