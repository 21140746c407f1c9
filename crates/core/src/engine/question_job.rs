//! Single questions as a job of the request loop: each is requested until it is settled, and its answer is stored at once.
//!
//! Workers take questions in their order. A worker waits itself until it may repeat a question: there are few
//! questions, and none has anything to resume. An answer may lead to a further question, as a page does to the next
//! one: the same worker continues with it. Market days, reference lists and questions about absences are fetched like this.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::time::{Instant, sleep_until};

use super::{
    RunContext, StopReason,
    request_loop::{
        self, AnswerEvidence, Attempts, BreakerPass, FetchJob, NextRequest, Refusal, RefusalKind, Step,
        Suspicion,
    },
};
use crate::{
    manifest::ManifestError,
    source::{Disposition, FetchError, Source},
};

/// What differs between the kinds of questions.
pub(super) trait QuestionJob: Send + Sync + 'static {
    /// The type of the source.
    type Source: Source;
    /// The type of a question.
    type Question: Clone + Send + Sync;
    /// The type of an answer.
    type Answer: Send;

    /// The source that is asked.
    fn source(&self) -> &Self::Source;

    /// Whether a question is worth a request, judged by earlier answers. The job counts a question that is not.
    fn is_worth_asking(&self, _question: &Self::Question) -> bool {
        true
    }

    /// A short name of a question, for logs and progress.
    fn name(question: &Self::Question) -> String;

    /// Sends one request.
    fn ask(&self, question: &Self::Question)
    -> impl Future<Output = Result<Self::Answer, FetchError>> + Send;

    /// The size of an answer on the wire, in bytes.
    fn bytes(answer: &Self::Answer) -> u64;

    /// Writes an answer to stable storage.
    fn store(
        &self,
        context: &RunContext,
        question: &Self::Question,
        answer: Self::Answer,
    ) -> impl Future<Output = Result<NextQuestion<Self::Question>, ManifestError>> + Send;

    /// The question to ask instead of one that fails like this. None if there is no other question.
    fn alternative(&self, question: &Self::Question, disposition: Disposition) -> Option<Self::Question>;

    /// Counts a settled question. Returns why nothing else is worth a request, if that is so.
    fn settle(
        &self,
        context: &RunContext,
        question: &Self::Question,
        outcome: JobOutcome,
    ) -> impl Future<Output = Result<Option<String>, ManifestError>> + Send;
}

/// The result of one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobOutcome {
    /// Its answer is stored.
    Kept,
    /// The plan does not include it.
    NotEntitled,
    /// It is not served yet.
    NotYet,
    /// The source does not know it.
    NotFound,
    /// The source has no such route.
    UnknownRoute,
    /// The answer has nothing where there must be something.
    NoRows,
    /// A well-formed request was refused, for this reason.
    Refused(String),
    /// It was given up, for this reason.
    Failed(String),
}

/// What follows from an answer.
pub(super) enum NextQuestion<Q> {
    /// Ask this next.
    Further(Q),
    /// The question is settled.
    Settled(JobOutcome),
    /// The run is to stop.
    Stopped,
}

/// A queue of questions for the request loop.
pub(super) struct QuestionQueue<J: QuestionJob> {
    job: J,
    context: RunContext,
    state: Mutex<QueueState<J::Question>>,
}

struct QueueState<Q> {
    /// Questions that no worker has taken yet, in the order of their value, with their numbers.
    waiting: VecDeque<(usize, Q)>,
    /// The number of questions that workers have taken.
    in_hand: u64,
}

/// A question that a worker has taken.
pub(super) struct QuestionItem<Q> {
    number: usize,
    question: Q,
    attempts: Attempts,
}

/// Asks until no question is left or the run is stopped.
///
/// # Errors
/// If the manifest can no longer be written.
pub(super) async fn run<J: QuestionJob>(
    job: J,
    questions: impl IntoIterator<Item = J::Question>,
    context: RunContext,
) -> Result<J, ManifestError> {
    let queue = QuestionQueue::new(job, questions, context.clone());
    Ok(request_loop::run(queue, context).await?.job)
}

impl<J: QuestionJob> QuestionQueue<J> {
    /// Takes the questions in the order of their value.
    pub(super) fn new(job: J, questions: impl IntoIterator<Item = J::Question>, context: RunContext) -> Self {
        let waiting = questions.into_iter().enumerate().collect();
        Self { job, context, state: Mutex::new(QueueState { waiting, in_hand: 0 }) }
    }

    /// The state is whole between any two statements, so a panic elsewhere cannot have left it half-written.
    fn locked(&self) -> MutexGuard<'_, QueueState<J::Question>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count_settled(&self) {
        self.context.counters.task_ended();
        self.context.counters.covered(1);
    }

    async fn settled(&self, question: &J::Question, outcome: JobOutcome) -> Result<Step, ManifestError> {
        self.count_settled();
        if let Some(reason) = self.job.settle(&self.context, question, outcome).await? {
            self.context.stop.request(StopReason::SourceLost(reason));
        }
        Ok(Step::Settled)
    }
}

impl<J: QuestionJob> FetchJob for QuestionQueue<J> {
    type Source = J::Source;
    type Item = QuestionItem<J::Question>;
    type Id = usize;
    type Request = J::Question;
    type Answer = J::Answer;

    fn source(&self) -> &J::Source {
        self.job.source()
    }

    async fn next(
        &self,
        _: &(impl Fn() -> bool + Send + Sync),
    ) -> Result<Option<QuestionItem<J::Question>>, ManifestError> {
        let mut state = self.locked();
        while !self.context.stop.is_requested()
            && let Some((number, question)) = state.waiting.pop_front()
        {
            if self.job.is_worth_asking(&question) {
                state.in_hand += 1;
                return Ok(Some(QuestionItem { number, question, attempts: Attempts::new() }));
            }
            self.count_settled();
        }
        Ok(None)
    }

    fn id(item: &QuestionItem<J::Question>) -> usize {
        item.number
    }

    fn subject(item: &QuestionItem<J::Question>) -> String {
        J::name(&item.question)
    }

    fn attempts(item: &mut QuestionItem<J::Question>) -> &mut Attempts {
        &mut item.attempts
    }

    async fn outstanding(&self) -> Result<u64, ManifestError> {
        let state = self.locked();
        Ok(state.waiting.len() as u64 + state.in_hand)
    }

    async fn request(
        &self,
        item: &mut QuestionItem<J::Question>,
    ) -> Result<NextRequest<J::Question>, ManifestError> {
        Ok(NextRequest::Send(item.question.clone()))
    }

    fn is_still_wanted(&self, _: &QuestionItem<J::Question>, _: &J::Question) -> bool {
        true
    }

    fn note_sent(item: &mut QuestionItem<J::Question>, _: &J::Question) -> bool {
        item.attempts.note_sent()
    }

    async fn send(
        &self,
        _: &QuestionItem<J::Question>,
        question: &J::Question,
        _: &mut BreakerPass<'_>,
    ) -> Result<J::Answer, FetchError> {
        self.job.ask(question).await
    }

    async fn send_again(&self, question: &J::Question) -> Result<(), FetchError> {
        self.job.ask(question).await.map(|_| ())
    }

    fn evidence(answer: &J::Answer) -> AnswerEvidence {
        AnswerEvidence::GoodQuestion(J::bytes(answer))
    }

    async fn store(
        &self,
        item: &mut QuestionItem<J::Question>,
        answer: J::Answer,
    ) -> Result<Step, ManifestError> {
        match self.job.store(&self.context, &item.question, answer).await? {
            NextQuestion::Further(further) => {
                (item.question, item.attempts) = (further, Attempts::new());
                Ok(Step::Onward)
            }
            NextQuestion::Settled(outcome) => self.settled(&item.question, outcome).await,
            NextQuestion::Stopped => Ok(Step::Settled),
        }
    }

    fn alternative(&self, item: &mut QuestionItem<J::Question>, disposition: Disposition) -> bool {
        let other = self.job.alternative(&item.question, disposition);
        let is_there = other.is_some();
        if let Some(other) = other {
            (item.question, item.attempts) = (other, Attempts::new());
        }
        is_there
    }

    async fn settle(
        &self,
        item: &mut QuestionItem<J::Question>,
        refusal: Refusal,
    ) -> Result<Step, ManifestError> {
        let reason = refusal.reason;
        let outcome = match refusal.kind {
            RefusalKind::NotEntitled | RefusalKind::Timeframe | RefusalKind::KeyRefused => {
                JobOutcome::NotEntitled
            }
            RefusalKind::NotYet => JobOutcome::NotYet,
            RefusalKind::NotFound => JobOutcome::NotFound,
            RefusalKind::UnknownRoute => JobOutcome::UnknownRoute,
            RefusalKind::BadRequest { .. } => JobOutcome::Refused(reason),
            RefusalKind::GivenUp { attempts } => {
                JobOutcome::Failed(format!("{reason} (requested {attempts} times)"))
            }
        };
        self.settled(&item.question, outcome).await
    }

    async fn settle_suspect(
        &self,
        item: QuestionItem<J::Question>,
        suspicion: Suspicion,
        reason: String,
    ) -> Result<(), ManifestError> {
        let outcome = match suspicion {
            Suspicion::Key => JobOutcome::NotEntitled,
            Suspicion::Route => JobOutcome::UnknownRoute,
            Suspicion::Redirect => JobOutcome::Failed(reason),
        };
        self.settled(&item.question, outcome).await.map(|_| ())
    }

    async fn postpone(
        &self,
        item: QuestionItem<J::Question>,
        until: Instant,
        _: String,
    ) -> Result<Option<QuestionItem<J::Question>>, ManifestError> {
        // If the run is to stop meanwhile, the next round notices it.
        self.context.stop.unless_requested(sleep_until(until)).await;
        Ok(Some(item))
    }

    fn rest(_: &mut QuestionItem<J::Question>) {}

    async fn release(&self, _: QuestionItem<J::Question>) -> Result<(), ManifestError> {
        Ok(())
    }

    async fn let_go(&self) {
        self.locked().in_hand -= 1;
    }

    async fn wind_up(&self) -> Result<(), ManifestError> {
        Ok(())
    }
}
