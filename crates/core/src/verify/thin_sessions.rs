//! Sessions that have far too few bars.
//!
//! # By shares
//! Where a file was read as a whole and a witness counted the day's shares, the minutes' part of these shares is
//! compared with the part that is usual for the symbol: the median of the sessions around. A service may leave kinds of
//! trades out of its minutes, so that they have 70 % of the day's shares on each day: that is its way of counting, not a gap.
//!
//! # By bars
//! The manifest knows the number of bars of each session. If a symbol has a bar in nearly every minute of each day and
//! far fewer on one of them, some are missing, whether files are read or not. Where its shares are known, they decide.
//!
//! A thin session has bars: it counts as present in the coverage, which does not depend on the files that are read.

use std::collections::BTreeMap;

use grab_model::{
    Symbol,
    calendar::{self, Session},
    new_york,
};
use jiff::civil::Date;

use super::{
    Finding, FindingKind, SessionStatus, Severity, WitnessView, coverage::SymbolFacts,
    partition_content::SessionMeasure,
};
use crate::{
    data_dir::DataDir,
    manifest::{TaskItem, TaskState},
};

/// A session with less than this part of the usual share is thin.
const THIN: f64 = 0.8;

/// The limit for a session whose last bar comes before the close: an early end is a reason to be stricter.
const THIN_AND_CUT: f64 = 0.95;

/// How many usual deviations below the usual share a thin session lies: for a symbol that trades little, the minutes
/// have a third of its shares on one day and all of them on the next.
const DEVIATIONS: f64 = 4.0;

/// Sessions before and after one that define what is usual, together a year. The way a service counts may change over
/// the years.
const YEAR_HALF: usize = 125;

/// Sessions before and after one for numbers of bars, which follow the market from week to week.
const AROUND: usize = 10;

/// The fewest other sessions that define how many bars are usual.
const LEAST: usize = 3;

/// Bars of a session in which nearly every minute from 9:30 to 16:00 has one.
const DENSE: u16 = 351;

/// Tenths of the other sessions' bars below which a session is thin.
const TENTHS: u32 = 6;

/// Minutes from open to close: of a full session, and of a half one.
const MINUTES: (u32, u32) = (390, 210);

/// The fewest bars that show whether a session has one in nearly every minute.
const AN_HOUR: u16 = 60;

/// A dense session whose last bar is this long before the close has broken off, in ms.
const BROKEN_OFF_MS: i64 = 30 * 60_000;

const MINUTE_MS: i64 = 60_000;

/// Why a session is thin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum ThinReason {
    /// Its minutes have too few of the witness's shares.
    Shares {
        measured: SessionMeasure,
        witnessed: f64,
        /// The usual share of the minutes, at most 1.
        usual: f64,
    },
    /// It has far fewer bars than three quarters of the sessions around it; `around` is the first quartile of their bars.
    Bars { bars: u16, around: u16 },
}

/// The shares of one session, by the minutes and by the witness.
struct SessionShares {
    date: Date,
    measured: SessionMeasure,
    witnessed: f64,
    is_broken_off: bool,
}

impl SessionShares {
    fn share(&self) -> f64 {
        self.measured.shares / self.witnessed
    }

    /// The least part of the usual share with which the session is whole.
    fn least(&self) -> f64 {
        let is_cut = calendar::session_on(self.date)
            .is_some_and(|session| self.measured.last_ms + MINUTE_MS < session.close_ms());
        if is_cut { THIN_AND_CUT } else { THIN }
    }
}

impl SymbolFacts<'_> {
    pub(super) fn mark_thin(&self, days: &mut [SessionStatus]) {
        for date in self.thin_sessions(days).into_keys() {
            if let Some(index) = self.sessions.index_of(date) {
                days[index] = SessionStatus::Thin;
            }
        }
    }

    /// The thin sessions, each with its reason.
    pub(super) fn thin_sessions(&self, days: &[SessionStatus]) -> BTreeMap<Date, ThinReason> {
        let bars = self.bars(days);
        // Where the shares of a session are known, they decide instead of its bars.
        let counted = self.counted(&bars);
        let mut thin: BTreeMap<_, _> = self
            .thin_by_bars(&bars)
            .filter(|(date, _)| counted.binary_search_by_key(date, |counted| counted.date).is_err())
            .collect();
        thin.extend(
            (0..counted.len()).filter_map(|at| Some((counted[at].date, thin_by_shares(&counted, at)?))),
        );
        thin
    }

    /// The part of the witness's shares that the minutes have on most sessions. None if it is high enough.
    pub(super) fn low_usual_share(&self, days: &[SessionStatus]) -> Option<f64> {
        let counted = self.counted(&self.bars(days));
        let whole = counted.iter().filter(|counted| !counted.is_broken_off);
        median(whole.map(SessionShares::share).collect()).filter(|usual| *usual < THIN)
    }

    /// The number of bars of each session whose partition is as it was stored; 0 for the others.
    fn bars(&self, days: &[SessionStatus]) -> Vec<u16> {
        let mut bars = vec![0; days.len()];
        for partition in self.recorded {
            for date in partition.month.days(partition.session_mask()) {
                let index = self.sessions.index_of(date);
                let stored = index
                    .filter(|index| matches!(days[*index], SessionStatus::Present | SessionStatus::Thin));
                let stored = stored.filter(|_| !self.goes_on_from(date));
                if let (Some(index), Ok(day)) = (stored, usize::try_from(date.day() - 1)) {
                    bars[index] = partition.bars_by_day[day];
                }
            }
        }
        bars
    }

    /// Whether a day has the last bar of an unfinished task, whose next page continues the day.
    fn goes_on_from(&self, date: Date) -> bool {
        let is_under_way = |task: &&TaskItem| matches!(task.state, TaskState::Pending | TaskState::Running);
        let last = |task: &TaskItem| task.sent_ms.and_then(|(_, last)| new_york::date_of(last));
        self.tasks.iter().filter(is_under_way).any(|task| last(task) == Some(date))
    }

    /// The sessions whose files were read and whose shares the witness counted, in order.
    fn counted(&self, bars: &[u16]) -> Vec<SessionShares> {
        let counted = self.checked.measured.iter().filter_map(|(date, measured)| {
            let stored = self.sessions.index_of(*date).map(|index| bars[index]).filter(|bars| *bars > 0)?;
            let Some(WitnessView::Traded(witnessed)) = self.witness.saw(self.symbol, *date) else {
                return None;
            };
            let is_broken_off =
                calendar::session_on(*date).is_some_and(|day| has_broken_off(day, *measured, stored));
            Some(SessionShares { date: *date, measured: *measured, witnessed, is_broken_off })
        });
        counted.collect()
    }

    /// The sessions that have far fewer bars than three quarters of the dense sessions around them. The symbol's very
    /// first session is left out: a new listing opens in the middle of a day.
    fn thin_by_bars<'a>(&'a self, bars: &'a [u16]) -> impl Iterator<Item = (Date, ThinReason)> + 'a {
        let first = bars.iter().position(|bars| *bars > 0);
        let later = bars.iter().enumerate().filter(move |(index, bars)| **bars > 0 && Some(*index) != first);
        later.filter_map(move |(index, stored)| {
            let date = *self.sessions.dates().get(index)?;
            let near = index.saturating_sub(AROUND)..(index + AROUND + 1).min(bars.len());
            let most = bars[near.clone()].iter().max().filter(|most| **most >= DENSE)?;
            if 10 * u32::from(*stored) >= TENTHS * u32::from(*most) {
                return None;
            }
            let near: Vec<_> = near
                .filter(|other| *other != index && self.is_full_day(*other) && bars[*other] > 0)
                .collect();
            let (full, half) = MINUTES;
            let length = if self.is_full_day(index) { full } else { half };
            let is_above = |other: &u16| {
                *other >= DENSE && 10 * full * u32::from(*stored) < TENTHS * length * u32::from(*other)
            };
            if !are_most(near.iter().map(|other| is_above(&bars[*other]))) || self.was_quiet(date, &near) {
                return None;
            }
            let mut around: Vec<_> = near.iter().map(|other| bars[*other]).collect();
            around.sort_unstable();
            Some((date, ThinReason::Bars { bars: *stored, around: *around.get(around.len() / 4)? }))
        })
    }

    /// Whether the witness too counts far fewer shares on a day than on those around it, for example because trading
    /// was halted.
    fn was_quiet(&self, date: Date, around: &[usize]) -> bool {
        let Some(WitnessView::Traded(shares)) = self.witness.saw(self.symbol, date) else { return false };
        let others = around.iter().filter_map(|index| self.sessions.dates().get(*index));
        are_most(others.filter_map(|date| match self.witness.saw(self.symbol, *date)? {
            WitnessView::Traded(other) => Some(10.0 * shares < f64::from(TENTHS) * other),
            WitnessView::NoTrade => None,
        }))
    }

    fn is_full_day(&self, index: usize) -> bool {
        let date = self.sessions.dates().get(index);
        date.and_then(|date| calendar::session_on(*date)).is_some_and(|session| !session.is_half_day())
    }

    /// Returns the finding about a thin session: a gap, unless the server was requested again.
    pub(super) fn thin_finding(&self, date: Date, thin: ThinReason) -> Finding {
        let detail = match thin {
            ThinReason::Shares { measured, witnessed, usual } => {
                let percent = 100.0 * usual;
                let usual =
                    if usual < 1.0 { format!(", where {percent:.0} % are usual") } else { String::new() };
                let (shares, last) = (measured.shares, new_york::time_of(measured.last_ms));
                format!(
                    "{shares:.0} of the {witnessed:.0} shares that the witness counts{usual}; the last bar is at {last}"
                )
            }
            ThinReason::Bars { bars, around } => {
                format!("{bars} bars, where most of the sessions around it have {around} or more")
            }
        };
        let finding = FindingKind::ThinSession.on(self.symbol, &(date..=date), detail);
        if self.answer(date).is_none() {
            return finding;
        }
        let detail = format!("{}: {}", finding.detail, self.answered(date));
        Finding { severity: Severity::Notice, detail, ..finding }
    }
}

/// Returns the finding about symbols whose minutes have a small part of the day's shares on most sessions.
pub(super) fn low_shares(data_dir: &DataDir, low: &[(Symbol, f64)]) -> Option<Finding> {
    let (symbol, share) = low.iter().min_by(|one, other| one.1.total_cmp(&other.1))?;
    let (count, percent) = (low.len(), 100.0 * share);
    let plural = if count == 1 { "" } else { "s" };
    let detail = format!(
        "the minutes of {count} symbol{plural} have fewer than {:.0} % of the shares that the witness counts on most sessions \
         ({symbol} {percent:.0} %): the service counts so, and these sessions are not thin",
        100.0 * THIN
    );
    let finding = FindingKind::ThinSession.in_reference(None, data_dir.market_folder(), detail);
    Some(Finding { severity: Severity::Notice, ..finding })
}

/// Whether a session has a bar in nearly every minute up to its last one, and that one is long before the close.
fn has_broken_off(session: Session, measured: SessionMeasure, bars: u16) -> bool {
    let minutes = (measured.last_ms - session.open_ms()) / MINUTE_MS + 1;
    let is_dense = bars >= AN_HOUR && 10 * i64::from(bars) >= 9 * minutes;
    is_dense && measured.last_ms + BROKEN_OFF_MS <= session.close_ms()
}

/// The reason if the session `at` has far fewer shares than usual. Broken-off sessions do not define what is usual,
/// unless all others have broken off and this one has not. Without any other session, the witness's count is the measure.
fn thin_by_shares(counted: &[SessionShares], at: usize) -> Option<ThinReason> {
    let one = &counted[at];
    let (share, least) = (one.share(), one.least());
    if share >= least {
        return None;
    }
    let near = at.saturating_sub(YEAR_HALF)..(at + YEAR_HALF + 1).min(counted.len());
    let others: Vec<_> = near.filter(|other| *other != at).map(|other| &counted[other]).collect();
    let leaves_out_broken_off = one.is_broken_off || others.iter().any(|other| !other.is_broken_off);
    let whole = others.iter().filter(|other| !(leaves_out_broken_off && other.is_broken_off));
    let others: Vec<_> = whole.map(|other| other.share()).collect();
    let middle = median(others.clone()).unwrap_or(1.0);
    let deviation = median(others.iter().map(|share| (share - middle).abs()).collect()).unwrap_or(0.0);
    // Minutes with more shares than the witness counted must not make other sessions thin.
    let usual = middle.min(1.0);
    let is_thin = share < least * usual && usual - share > DEVIATIONS * deviation;
    is_thin.then_some(ThinReason::Shares { measured: one.measured, witnessed: one.witnessed, usual })
}

/// Whether there are enough votes, and three quarters of them are yes.
fn are_most(answers: impl Iterator<Item = bool>) -> bool {
    let (all, yes) = answers.fold((0, 0), |(all, yes), answer| (all + 1, yes + usize::from(answer)));
    all >= LEAST && 4 * yes >= 3 * all
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    let middle = values.len() / 2;
    (!values.is_empty()).then(|| *values.select_nth_unstable_by(middle, f64::total_cmp).1)
}
