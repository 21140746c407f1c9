//! What an evening's update asks for: the days since the last one, a few before them, and holes that may have been filled.
//!
//! # Tail
//! Late trades revise bars (polygon-api.md §1), so each symbol is asked for from a few sessions before the last one that is
//! held, in one request. Sessions that are not finished, or were finished a moment ago, are not asked for.
//!
//! # Holes
//! A session without bars between others is asked for once more, then each evening together with the tail, and a last time
//! when it is old: the service fills some of its own after weeks (polygon-api.md §4). Many holes go into one request, as far
//! as its page reaches.
//!
//! # Listings
//! Who has left is asked for until its last days are final; one that has bars after the day that the lists say has not left. Who is new and was ordered by a list is asked for from its first day
//! on.
//!
//! # Splits
//! Where bars are adjusted, a split changes all that came before it: what was answered before the split is asked for again.
//!
//! Nothing here writes or asks: the plan is a value, made from the manifest alone.

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
    verify::{AskedSessions, VerifyError, by_manifest},
};
use rolling_task::{RollingTask, SymbolCoverage};

/// How long after its end a source may be late with a session: after a day, a person has to look.
const LATE_BY_MS: i64 = 86_400_000;

/// The evening that an update is about.
#[derive(Clone, Copy, Debug)]
pub struct UpdateCutoff {
    /// The last session that is settled.
    pub session: Session,
    /// Since when it is, UTC ms.
    pub settled_ms: i64,
    /// What time it is, UTC ms.
    pub now_ms: i64,
    /// How long after its end a session is settled, in ms.
    pub settle_ms: i64,
    /// So many sessions before the last one that is held are asked for once more.
    pub overlap: usize,
}

impl UpdateCutoff {
    /// The evening of `now_ms` (UTC), where a session is settled so long after its end. None if no session is.
    #[must_use]
    pub fn at(now_ms: i64, settle: Duration, overlap: usize) -> Option<Self> {
        let settle_ms = i64::try_from(settle.as_millis()).unwrap_or(i64::MAX);
        let session = calendar::last_finished(now_ms.saturating_sub(settle_ms))?;
        let settled_ms = session.extended_close_ms().saturating_add(settle_ms);
        Some(Self { session, settled_ms, now_ms, settle_ms, overlap })
    }

    /// Whether a session has ended less than a day ago, so that its bars may only be late.
    #[must_use]
    pub fn is_early(&self, date: Date) -> bool {
        let end_ms = calendar::session_on(date).map(Session::extended_close_ms);
        end_ms.is_some_and(|end_ms| self.now_ms < end_ms.saturating_add(LATE_BY_MS))
    }
}

/// What is to be asked for, and what is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpdatePlan {
    /// The last days of each symbol that is behind.
    pub tails: Vec<(Symbol, Window)>,
    /// Symbols that join, each with the windows in which it lived.
    pub joined: Vec<(Symbol, Window)>,
    /// Stretches with sessions that have no bars.
    pub holes: Vec<(Symbol, Window)>,
    /// Splits that a symbol's adjusted bars do not know of yet.
    pub splits: Vec<(Symbol, ListedSplit)>,
    /// The windows that are asked for from the beginning because of them.
    pub reopened: Vec<(Symbol, Window)>,
    /// Sessions without bars in the holes.
    pub hole_sessions: u64,
    /// Symbols that have all there is.
    pub up_to_date: u64,
    /// Symbols that are traded no more, and have all there will be.
    pub closed: u64,
    /// Symbols of which nothing has ever come to its end: what is owed of them comes first.
    pub unanswered: u64,
    /// The last session that anybody was asked for before.
    pub newest: Option<Date>,
    /// Whether the last answers lacked so many symbols on the last session that all of them are asked for once more.
    pub was_lagging: bool,
}

impl UpdatePlan {
    /// Plans an evening by what the manifest and the reference data say.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn of(
        reader: &ManifestReader,
        evening: &UpdateCutoff,
        reference: &ReferenceData,
    ) -> Result<Self, VerifyError> {
        let today = evening.session.date();
        let windows = reader.windows()?.into_values().flatten();
        let windows = windows.chain(Window::new(today, today));
        let sessions = AskedSessions::spanned(windows).without(&reader.closures()?);
        let verdict = SessionVerdict::of(reader, &reference.universe, evening)?;
        let silent: HashMap<_, _> =
            verdict.silent.iter().map(|silent| (&silent.symbol, silent.is_long)).collect();
        let silences = reader.silences()?;
        let joined = reference.joined.clone();
        let mut plan = Self { joined, was_lagging: verdict.is_lagging(), ..Self::default() };
        let mut lacking = Vec::new();
        for symbol in reader.symbols()? {
            let facts = by_manifest(reader, &symbol, &sessions, Some(&reference.universe))?;
            let last_held =
                facts.recorded.last().and_then(|last| last.month.days(last.session_mask()).last());
            let left = silences.get(&symbol).and_then(|silence| last_day(silence, last_held));
            let known =
                SymbolCoverage { tasks: &facts.tasks, last_held, end: reference.universe.end_of(&symbol) };
            let known = known.by_bars(&sessions);
            let known = SymbolCoverage { end: known.end.or(left), ..known };
            plan.newest = plan.newest.max(known.covered_to());
            let until = match known.tail(&sessions, evening) {
                RollingTask::Ask(window) => {
                    let from = gaps::oldest_young(&facts, &sessions, evening)
                        .map_or(window.from(), |hole| hole.min(window.from()));
                    plan.tails.extend(Window::new(from, window.to()).map(|window| (symbol.clone(), window)));
                    window.from()
                }
                RollingTask::Lacking(window) => {
                    let is_missed = silent.get(&symbol).is_some_and(|is_long| !is_long);
                    if is_missed { &mut plan.tails } else { &mut lacking }.push((symbol.clone(), window));
                    window.from()
                }
                RollingTask::UpToDate { from } => {
                    // A session that lacks symbols is asked for again on each run.
                    let absent = verdict.lacking.iter().find(|session| !facts.has_bars(session.date));
                    match absent.and_then(|session| Window::new(session.date, today)) {
                        Some(window) => plan.tails.push((symbol.clone(), window)),
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
            let (missed, windows) = splits::outdated(&facts.tasks, listed, evening);
            if !missed.is_empty() {
                plan.splits.extend(missed.into_iter().map(|split| (symbol.clone(), split)));
                plan.reopened.extend(windows.into_iter().map(|window| (symbol.clone(), window)));
                continue;
            }
            let mut due = gaps::due(&facts, &sessions, evening, until);
            // What the plan's history has moved on from is not served any more.
            due.retain(|date| reference.history.is_none_or(|edge| *date > edge.last_refused()));
            plan.hole_sessions += due.len() as u64;
            plan.holes.extend(gaps::windows(&due, &facts).into_iter().map(|window| (symbol.clone(), window)));
        }
        if plan.was_lagging {
            plan.tails.append(&mut lacking);
        } else {
            plan.up_to_date += lacking.len() as u64;
        }
        plan.tails.sort_unstable();
        Ok(plan)
    }

    /// All windows that are to be asked for.
    pub fn asked(&self) -> impl Iterator<Item = &(Symbol, Window)> {
        self.tails.iter().chain(&self.joined).chain(&self.holes).chain(&self.reopened)
    }
}

/// The last day on which there can be bars of a symbol that has left by the service's answer; none if it goes on, or has
/// had bars since.
fn last_day(silence: &Silence, last_held: Option<Date>) -> Option<Date> {
    let has_left = silence.answer == SilenceAnswer::Left && last_held == Some(silence.last_session);
    has_left
        .then(|| silence.left_on.map_or(silence.last_session, |left_on| left_on.max(silence.last_session)))
}
