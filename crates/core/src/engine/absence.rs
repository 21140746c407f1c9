//! Questions about absent bars: on which days the market is closed, and whether a silent symbol is still listed.
//! Changes no task and no table: the answers are returned.

use std::sync::{Mutex, PoisonError};

use grab_model::Symbol;
use jiff::civil::Date;

use super::{
    RunContext,
    question_job::{self, JobOutcome, NextQuestion, QuestionJob},
};
use crate::{
    manifest::ManifestError,
    source::{ClosedDay, Disposition, FetchError, Lookup, ReferenceSource},
};

/// A question about absent bars.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AbsenceQuestion {
    /// On which days the market is closed.
    Closures,
    /// Whether a symbol is still listed.
    Silent {
        /// The symbol.
        symbol: Symbol,
        /// Its last session with bars.
        last_session: Date,
        /// If the service does not know the symbol today: whether to ask also if it knew the symbol on its last
        /// session. If it did, the service knows symbols at all.
        asks_of_the_past: bool,
    },
}

/// The answer to an [`AbsenceQuestion`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AbsenceAnswer {
    /// Days on which the market is closed.
    Closures(Vec<ClosedDay>),
    /// Whether a symbol is listed.
    Silent {
        /// The symbol.
        symbol: Symbol,
        /// Its last session with bars.
        last_session: Date,
        /// What the service says of it.
        listing: SilentListing,
    },
}

/// What the service says about a silent symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SilentListing {
    /// It is listed.
    Active,
    /// It is no longer listed, since this day if the service names one.
    Left(Option<Date>),
    /// The service does not know it today.
    NotToday,
    /// The service does not know it today, but did on its last session.
    NotTodayButThen,
    /// The service knows it neither today nor on its last session.
    Never,
    /// The plan does not include the request, or the source has no such route.
    NotAnswered,
}

/// The job that asks the questions.
struct AbsenceJob<S> {
    source: S,
    answers: Mutex<Vec<AbsenceAnswer>>,
}

/// One request.
#[derive(Clone)]
enum AbsenceRequest {
    Closures,
    /// The details of a symbol today, or on its last session.
    Details {
        symbol: Symbol,
        last_session: Date,
        asks_of_the_past: bool,
        is_then: bool,
    },
}

/// The response to one request.
enum AbsenceReply {
    Closures(Vec<ClosedDay>, u64),
    Details { active: Option<bool>, left: Option<Date>, bytes: u64 },
}

/// Asks until no question is left or the run is stopped. Questions that fail have no answer.
///
/// # Errors
/// If the manifest can no longer be written.
pub async fn ask_about_absences<S: ReferenceSource>(
    source: S,
    questions: Vec<AbsenceQuestion>,
    parts: RunContext,
) -> Result<Vec<AbsenceAnswer>, ManifestError> {
    let questions = questions.into_iter().map(|question| match question {
        AbsenceQuestion::Closures => AbsenceRequest::Closures,
        AbsenceQuestion::Silent { symbol, last_session, asks_of_the_past } => {
            AbsenceRequest::Details { symbol, last_session, asks_of_the_past, is_then: false }
        }
    });
    let job = question_job::run(AbsenceJob { source, answers: Mutex::default() }, questions, parts).await?;
    Ok(job.answers.into_inner().unwrap_or_else(PoisonError::into_inner))
}

impl<S: ReferenceSource> QuestionJob for AbsenceJob<S> {
    type Source = S;
    type Question = AbsenceRequest;
    type Answer = AbsenceReply;

    fn source(&self) -> &S {
        &self.source
    }

    fn name(question: &AbsenceRequest) -> String {
        match question {
            AbsenceRequest::Closures => "the days on which the market is closed".to_owned(),
            AbsenceRequest::Details { symbol, .. } => format!("the details of {symbol}"),
        }
    }

    async fn ask(&self, question: &AbsenceRequest) -> Result<AbsenceReply, FetchError> {
        match question {
            AbsenceRequest::Closures => {
                let (days, bytes) = self.source.closed_days().await?;
                Ok(AbsenceReply::Closures(days, bytes))
            }
            AbsenceRequest::Details { symbol, last_session, is_then, .. } => {
                let day = is_then.then_some(*last_session);
                let record = self.source.look_up(&Lookup::Details(symbol.clone(), day)).await?;
                Ok(AbsenceReply::Details { active: record.active, left: record.left, bytes: record.bytes })
            }
        }
    }

    fn bytes(reply: &AbsenceReply) -> u64 {
        match reply {
            AbsenceReply::Closures(_, bytes) | AbsenceReply::Details { bytes, .. } => *bytes,
        }
    }

    async fn store(
        &self,
        _: &RunContext,
        question: &AbsenceRequest,
        reply: AbsenceReply,
    ) -> Result<NextQuestion<AbsenceRequest>, ManifestError> {
        match (question, reply) {
            (AbsenceRequest::Closures, AbsenceReply::Closures(days, _)) => {
                self.answer(AbsenceAnswer::Closures(days));
            }
            (
                AbsenceRequest::Details { symbol, last_session, is_then, .. },
                AbsenceReply::Details { active, left, .. },
            ) => {
                let listing = match (is_then, active) {
                    (true, _) => SilentListing::NotTodayButThen,
                    (false, Some(false)) => SilentListing::Left(left),
                    (false, Some(true) | None) => SilentListing::Active,
                };
                self.silent(symbol, *last_session, listing);
            }
            (AbsenceRequest::Closures | AbsenceRequest::Details { .. }, _) => {
                return Ok(NextQuestion::Settled(JobOutcome::Failed(
                    "a response to another request".to_owned(),
                )));
            }
        }
        Ok(NextQuestion::Settled(JobOutcome::Kept))
    }

    fn alternative(&self, question: &AbsenceRequest, disposition: Disposition) -> Option<AbsenceRequest> {
        match (question, disposition) {
            (
                AbsenceRequest::Details { symbol, last_session, asks_of_the_past: true, is_then: false },
                Disposition::NotFound,
            ) => Some(AbsenceRequest::Details {
                symbol: symbol.clone(),
                last_session: *last_session,
                asks_of_the_past: true,
                is_then: true,
            }),
            (AbsenceRequest::Closures | AbsenceRequest::Details { .. }, _) => None,
        }
    }

    async fn settle(
        &self,
        _: &RunContext,
        question: &AbsenceRequest,
        outcome: JobOutcome,
    ) -> Result<Option<String>, ManifestError> {
        let AbsenceRequest::Details { symbol, last_session, is_then, .. } = question else { return Ok(None) };
        let listing = match outcome {
            JobOutcome::NotFound if *is_then => SilentListing::Never,
            JobOutcome::NotFound => SilentListing::NotToday,
            JobOutcome::NotEntitled | JobOutcome::UnknownRoute => SilentListing::NotAnswered,
            JobOutcome::Kept
            | JobOutcome::NotYet
            | JobOutcome::NoRows
            | JobOutcome::Refused(_)
            | JobOutcome::Failed(_) => {
                return Ok(None);
            }
        };
        self.silent(symbol, *last_session, listing);
        Ok(None)
    }
}

impl<S> AbsenceJob<S> {
    fn silent(&self, symbol: &Symbol, last_session: Date, listing: SilentListing) {
        self.answer(AbsenceAnswer::Silent { symbol: symbol.clone(), last_session, listing });
    }

    fn answer(&self, answer: AbsenceAnswer) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).push(answer);
    }
}
