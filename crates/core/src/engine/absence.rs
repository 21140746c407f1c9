//! Questions about absent bars: on which days the market is closed, and whether a silent symbol is still listed. Nothing
//! here touches a task or a table: the answers are handed back.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use grab_model::Symbol;
use jiff::civil::Date;

use super::{
    Parts,
    errand::{self, Errand, Next, Outcome},
};
use crate::{
    manifest::ManifestError,
    source::{ClosedDay, Directory, FetchError, Lookup},
};

/// What is asked.
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
        /// Whether it is asked, where the service does not know the symbol today, if it knew it on its last session. An answer
        /// to that shows that the service knows symbols at all.
        is_doubted: bool,
    },
}

/// What was answered.
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

/// What the service says of a silent symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SilentListing {
    /// It is listed.
    Active,
    /// It is not listed any more, since a day that may be said.
    Left(Option<Date>),
    /// It is not known today.
    NotToday,
    /// It is not known today, and was on its last session.
    NotTodayButThen,
    /// It is neither known today nor on its last session.
    Never,
    /// The plan does not include the question, or the source has no such route.
    NotAnswered,
}

/// The job.
struct Asking<S> {
    source: S,
    left: Mutex<VecDeque<Question>>,
    answers: Mutex<Vec<AbsenceAnswer>>,
}

/// One request.
enum Question {
    Closures,
    /// The details of a symbol today, or on its last session.
    Details {
        symbol: Symbol,
        last_session: Date,
        is_doubted: bool,
        is_then: bool,
    },
}

/// What one request has brought.
enum Reply {
    Closures(Vec<ClosedDay>, u64),
    Details { active: Option<bool>, left: Option<Date>, bytes: u64 },
}

/// Asks until no question is left or the run is stopped. Questions that fail have no answer.
///
/// # Errors
/// If the manifest can no longer be written.
pub async fn ask_about_absences<S: Directory>(
    source: S,
    questions: Vec<AbsenceQuestion>,
    parts: Parts,
) -> Result<Vec<AbsenceAnswer>, ManifestError> {
    let questions = questions.into_iter().map(|question| match question {
        AbsenceQuestion::Closures => Question::Closures,
        AbsenceQuestion::Silent { symbol, last_session, is_doubted } => {
            Question::Details { symbol, last_session, is_doubted, is_then: false }
        }
    });
    let asking = Asking { source, left: Mutex::new(questions.collect()), answers: Mutex::default() };
    let asked = errand::run(asking, parts).await?;
    Ok(asked.answers.into_inner().unwrap_or_else(PoisonError::into_inner))
}

impl<S: Directory> Errand for Asking<S> {
    type Source = S;
    type Question = Question;
    type Answer = Reply;

    fn source(&self) -> &S {
        &self.source
    }

    fn next(&self, parts: &Parts) -> Option<Question> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if parts.stop.is_requested() { None } else { left.pop_front() }
    }

    fn name(question: &Question) -> String {
        match question {
            Question::Closures => "the days on which the market is closed".to_owned(),
            Question::Details { symbol, .. } => format!("the details of {symbol}"),
        }
    }

    async fn ask(&self, question: &Question) -> Result<Reply, FetchError> {
        match question {
            Question::Closures => {
                let (days, bytes) = self.source.closed_days().await?;
                Ok(Reply::Closures(days, bytes))
            }
            Question::Details { symbol, last_session, is_then, .. } => {
                let day = is_then.then_some(*last_session);
                let record = self.source.look_up(&Lookup::Details(symbol.clone(), day)).await?;
                Ok(Reply::Details { active: record.active, left: record.left, bytes: record.bytes })
            }
        }
    }

    fn bytes(reply: &Reply) -> u64 {
        match reply {
            Reply::Closures(_, bytes) | Reply::Details { bytes, .. } => *bytes,
        }
    }

    async fn keep(
        &self,
        _: &Parts,
        question: &Question,
        reply: Reply,
    ) -> Result<Next<Question>, ManifestError> {
        match (question, reply) {
            (Question::Closures, Reply::Closures(days, _)) => self.answer(AbsenceAnswer::Closures(days)),
            (
                Question::Details { symbol, last_session, is_then, .. },
                Reply::Details { active, left, .. },
            ) => {
                let listing = match (is_then, active) {
                    (true, _) => SilentListing::NotTodayButThen,
                    (false, Some(false)) => SilentListing::Left(left),
                    (false, Some(true) | None) => SilentListing::Active,
                };
                self.silent(symbol, *last_session, listing);
            }
            (Question::Closures | Question::Details { .. }, _) => {
                return Ok(Next::Settled(Outcome::Failed("an answer to another question".to_owned())));
            }
        }
        Ok(Next::Settled(Outcome::Kept))
    }

    fn instead(&self, question: &Question, refusal: &Outcome) -> Option<Question> {
        match (question, refusal) {
            (
                Question::Details { symbol, last_session, is_doubted: true, is_then: false },
                Outcome::NotFound,
            ) => Some(Question::Details {
                symbol: symbol.clone(),
                last_session: *last_session,
                is_doubted: true,
                is_then: true,
            }),
            (Question::Closures | Question::Details { .. }, _) => None,
        }
    }

    async fn settle(
        &self,
        _: &Parts,
        question: Question,
        outcome: Outcome,
    ) -> Result<Option<String>, ManifestError> {
        let Question::Details { symbol, last_session, is_then, .. } = question else { return Ok(None) };
        let listing = match outcome {
            Outcome::NotFound if is_then => SilentListing::Never,
            Outcome::NotFound => SilentListing::NotToday,
            Outcome::NotEntitled | Outcome::UnknownRoute => SilentListing::NotAnswered,
            Outcome::Kept | Outcome::NotYet | Outcome::Nobody | Outcome::Refused(_) | Outcome::Failed(_) => {
                return Ok(None);
            }
        };
        self.silent(&symbol, last_session, listing);
        Ok(None)
    }
}

impl<S> Asking<S> {
    fn silent(&self, symbol: &Symbol, last_session: Date, listing: SilentListing) {
        self.answer(AbsenceAnswer::Silent { symbol: symbol.clone(), last_session, listing });
    }

    fn answer(&self, answer: AbsenceAnswer) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).push(answer);
    }
}
