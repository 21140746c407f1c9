//! What follows the bars: if too few came, asks the service whether the market was closed, and whether silent symbols
//! are still listed.

use std::collections::BTreeSet;

use grab_core::{
    data_dir::DataDir,
    engine::{
        AbsenceAnswer, AbsenceQuestion, JobOutcome, RunContext, SilentListing, ask_about_absences,
        fetch_market,
    },
    manifest::{Closure, ClosureEvidence, Silence, SilenceAnswer, StoreKind},
    source::{ClosedDay, Polygon},
    store::BarStore,
    update::{SessionVerdict, UpdateCutoff},
};
use grab_model::{Symbol, calendar};
use jiff::civil::Date;

use super::{Client, Job};
use crate::{Connection, Error, RunHandles, usable_universe};

/// The most symbols that are looked up in one update while no regular symbol has bars: then the source is the likely cause.
const WHILE_SILENT: usize = 20;

/// After this time an answer that did not explain a silence is requested again, in ms.
const ASKED_AGAIN_MS: i64 = 35 * 86_400_000;

/// This many later sessions must have bars before grouped daily bars without a symbol count as a closed market: until
/// then, the service may still fill the day.
const LATER_SESSIONS: usize = 2;

/// What the service said about absences in this run.
#[derive(Clone, Debug, Default)]
pub struct Absences {
    /// Sessions of the calendar on which the market was closed.
    pub closures: Vec<Closure>,
    /// Symbols that are silent.
    pub silences: Vec<Silence>,
}

/// What to ask.
#[derive(Default)]
struct Questions {
    /// Questions about closures in general, and about silent symbols.
    absences: Vec<AbsenceQuestion>,
    /// Whether there are regular symbols with bars on the last session.
    is_alive: bool,
    /// Sessions without any bar on which the market may have been closed, each with the nearest sessions before and
    /// after it that have bars.
    days: Vec<[Date; 3]>,
    /// All sessions without any bar.
    empty: BTreeSet<Date>,
    /// The last session.
    last: Date,
}

impl Questions {
    fn of(data_dir: &DataDir, cutoff: &UpdateCutoff) -> Result<Self, Error> {
        let reader = data_dir.open_read()?;
        let universe = usable_universe(data_dir)?.unwrap_or_default();
        let verdict = SessionVerdict::of(&reader, &universe, cutoff)?;
        let is_alive = verdict.last().is_some_and(|last| last.present > 0);
        let known = reader.silences()?;
        let was_asked = |symbol: &Symbol, last_session: Date| {
            let recorded = known.get(symbol).filter(|silence| silence.last_session == last_session);
            recorded.is_some_and(|silence| cutoff.now_ms < silence.at_ms.saturating_add(ASKED_AGAIN_MS))
        };
        let silent = verdict.silent.iter().filter(|silent| {
            silent.is_long
                && universe.of(&silent.symbol).next().is_none()
                && !was_asked(&silent.symbol, silent.last_session)
        });
        let most = if is_alive { usize::MAX } else { WHILE_SILENT };
        let mut absences: Vec<_> = silent
            .take(most)
            .map(|silent| AbsenceQuestion::Silent {
                symbol: silent.symbol.clone(),
                last_session: silent.last_session,
                asks_of_the_past: !is_alive,
            })
            .collect();
        let empty: BTreeSet<Date> =
            verdict.lacking.iter().filter(|session| session.is_empty()).map(|session| session.date).collect();
        if !empty.is_empty() {
            absences.push(AbsenceQuestion::Closures);
        }
        let witnessed: BTreeSet<Date> = reader.witnesses()?.iter().map(|file| file.date).collect();
        let days = empty.iter().filter(|date| !witnessed.contains(date));
        let days = days.filter_map(|date| verdict.around(*date, LATER_SESSIONS)).collect();
        Ok(Self { absences, is_alive, days, empty, last: cutoff.session.date() })
    }

    fn is_empty(&self) -> bool {
        self.absences.is_empty() && self.days.is_empty()
    }

    /// Interprets the answers.
    fn settle(&self, answers: Vec<AbsenceAnswer>, now_ms: i64) -> Absences {
        let mut absences = Absences::default();
        for answer in answers {
            match answer {
                AbsenceAnswer::Closures(days) => {
                    absences.closures.extend(days.into_iter().filter_map(|day| self.closure(day)));
                }
                AbsenceAnswer::Silent { symbol, last_session, listing } => {
                    let (answer, left_on, words) = meaning_of(listing, last_session, self.is_alive);
                    absences.silences.push(Silence {
                        symbol,
                        last_session,
                        answer,
                        left_on,
                        words,
                        at_ms: now_ms,
                    });
                }
            }
        }
        absences
    }

    /// The closure of a calendar session without any bar, or after the last session. None if the day is not news.
    fn closure(&self, ClosedDay { date, name }: ClosedDay) -> Option<Closure> {
        let is_news =
            calendar::session_on(date).is_some() && (date > self.last || self.empty.contains(&date));
        is_news.then_some(Closure { date, evidence: ClosureEvidence::MarketStatus, name })
    }
}

/// What a listing means for a silent symbol, and its wording.
fn meaning_of(
    listing: SilentListing,
    last_session: Date,
    is_alive: bool,
) -> (SilenceAnswer, Option<Date>, String) {
    match listing {
        SilentListing::Active => (SilenceAnswer::Active, None, "the service lists it as active".to_owned()),
        SilentListing::Left(None) => {
            (SilenceAnswer::Left, None, "the service lists it as no longer active".to_owned())
        }
        SilentListing::Left(Some(day)) => {
            (SilenceAnswer::Left, Some(day), format!("the service lists it as delisted on {day}"))
        }
        SilentListing::NotTodayButThen => (
            SilenceAnswer::Left,
            None,
            format!("the service listed it on {last_session}, and does not list it today"),
        ),
        SilentListing::NotToday if is_alive => {
            (SilenceAnswer::Left, None, "the service does not list it today".to_owned())
        }
        SilentListing::NotToday | SilentListing::Never => (
            SilenceAnswer::Unknown,
            None,
            format!("the service knows it neither today nor on {last_session}"),
        ),
        SilentListing::NotAnswered => {
            (SilenceAnswer::Unknown, None, "the plan or the service has no details of it".to_owned())
        }
    }
}

impl Job {
    /// Asks about absences after an update, and records the answers. A failure changes nothing.
    pub(super) async fn ask_about_absences(
        &self,
        connection: &Connection,
        kind: StoreKind,
        store: &BarStore,
        running: &RunHandles,
        opened: Option<Client>,
    ) -> Result<Absences, Error> {
        let Some(cutoff) = self.absences.filter(|_| !running.stop.is_requested()) else {
            return Ok(Absences::default());
        };
        let questions = Questions::of(&self.data_dir, &cutoff)?;
        if questions.is_empty() {
            return Ok(Absences::default());
        }
        let (_sandbox, source) = match opened {
            Some(opened) => opened,
            None => connection.open(kind).await?,
        };
        let phase = RunHandles { stop: running.stop.of_phase(), ..running.clone() };
        let patience = Connection { options: self.options.for_lists(), ..connection.clone() };
        patience.stop_in_time(&phase.stop);
        let parts = || patience.parts(kind, store.clone(), &phase);
        let answers = ask_about_absences(source.clone(), questions.absences.clone(), parts()).await?;
        let mut absences = questions.settle(answers, self.clock.now_ms());
        absences.closures.extend(self.closed_by_witness(&questions, &absences, source, parts()).await?);
        let kept = absences.clone();
        running.manifest.call(move |writer| writer.save_absences(&kept.closures, &kept.silences)).await?;
        Ok(absences)
    }

    /// The days whose grouped daily bars have no symbol, although the sessions around have some.
    async fn closed_by_witness(
        &self,
        questions: &Questions,
        absences: &Absences,
        source: Polygon,
        parts: RunContext,
    ) -> Result<Vec<Closure>, Error> {
        let is_open = |day: &Date| absences.closures.iter().all(|closure| closure.date != *day);
        let unexplained: Vec<_> = questions.days.iter().filter(|[_, day, _]| is_open(day)).collect();
        if unexplained.is_empty() {
            return Ok(Vec::new());
        }
        let kept = || -> Result<BTreeSet<Date>, Error> {
            Ok(self.data_dir.open_read()?.witnesses()?.iter().map(|file| file.date).collect())
        };
        let known = kept()?;
        let mut days: Vec<_> = unexplained.iter().flat_map(|days| days.iter().copied()).collect();
        days.sort_unstable();
        days.dedup();
        days.retain(|day| !known.contains(day));
        let tally = fetch_market(source, days, None, parts).await?;
        let known = kept()?;
        let closed = unexplained.into_iter().filter(|[before, day, after]| {
            let is_without = tally.lacking.get(day) == Some(&JobOutcome::NoRows);
            is_without && known.contains(before) && known.contains(after)
        });
        let closure = |[before, day, after]: &[Date; 3]| Closure {
            date: *day,
            evidence: ClosureEvidence::GroupedDaily,
            name: format!("no symbol traded, and some did on {before} and {after}"),
        };
        Ok(closed.map(closure).collect())
    }
}
