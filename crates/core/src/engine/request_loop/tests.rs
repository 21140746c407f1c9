//! One row for each disposition and state of the breaker: the verdict, the breaker after it, and the attempts that are spent.

use grab_model::Rate;

use super::*;
use crate::{
    engine::{
        question_job::{JobOutcome, NextQuestion, QuestionJob, QuestionQueue},
        scripted::{ScriptedFault, ScriptedSource, World},
    },
    source::{BarsPage, BarsRequest, PagePosition},
};

/// A job whose questions are symbols by number; some have an alternative.
struct TestJob {
    source: ScriptedSource,
    /// The dispositions that lead to an alternative.
    has_alternative: bool,
}

impl QuestionJob for TestJob {
    type Source = ScriptedSource;
    type Question = usize;
    type Answer = BarsPage;

    fn source(&self) -> &ScriptedSource {
        &self.source
    }

    fn name(number: &usize) -> String {
        format!("T{number}")
    }

    async fn ask(&self, number: &usize) -> Result<BarsPage, FetchError> {
        let window = grab_model::Month::new(2024, 1).unwrap().window();
        let question = BarsRequest { symbol: format!("T{number}").parse().unwrap(), window };
        self.source.page(&question, &PagePosition::Start).await
    }

    fn bytes(page: &BarsPage) -> u64 {
        page.bytes
    }

    async fn store(
        &self,
        _: &RunContext,
        _: &usize,
        _: BarsPage,
    ) -> Result<NextQuestion<usize>, ManifestError> {
        Ok(NextQuestion::Settled(JobOutcome::Kept))
    }

    fn alternative(&self, number: &usize, _: Disposition) -> Option<usize> {
        self.has_alternative.then_some(number + 100)
    }

    async fn settle(
        &self,
        _: &RunContext,
        _: &usize,
        _: JobOutcome,
    ) -> Result<Option<String>, ManifestError> {
        Ok(None)
    }
}

/// The breaker before a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Breaker {
    Untried,
    Closed,
    /// The request left before the breaker opened.
    Open,
    /// The request is the probe, which finds out whether the source is back.
    Probed,
}

const BREAKERS: [Breaker; 4] = [Breaker::Untried, Breaker::Closed, Breaker::Open, Breaker::Probed];

/// What is known when a request fails.
#[derive(Clone, Copy, Debug)]
struct Before {
    breaker: Breaker,
    /// How the control request, or a request that was answered before, fails.
    control: Option<ScriptedFault>,
    /// Attempts of eight that were spent.
    spent: u32,
    /// Whether anything was answered before.
    anything_came: bool,
    has_alternative: bool,
    /// Whether a failure of the item was excused.
    is_let_off: bool,
}

impl Before {
    const fn breaker(breaker: Breaker) -> Self {
        Self {
            breaker,
            control: None,
            spent: 0,
            anything_came: false,
            has_alternative: false,
            is_let_off: false,
        }
    }
}

fn words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Again => "again".to_owned(),
        Verdict::Retry { .. } => "retry".to_owned(),
        Verdict::Suspect { suspicion, .. } => format!("suspect {suspicion:?}"),
        Verdict::Refused(refusal) => format!("refused {:?}", refusal.kind),
        Verdict::Stop(StopReason::SourceLost(_)) => "stop SourceLost".to_owned(),
        Verdict::Stop(StopReason::KeyRefused(_)) => "stop KeyRefused".to_owned(),
        Verdict::Stop(StopReason::Unreachable(_)) => "stop Unreachable".to_owned(),
        Verdict::Stop(other) => format!("stop {other:?}"),
        Verdict::Stopped => "stopped".to_owned(),
    }
}

/// The result of a failure: the verdict, the breaker, and the attempts that are spent after it.
async fn judged(fault: ScriptedFault, before: Before) -> String {
    let control = before.control;
    let source = ScriptedSource::new(move |_| control);
    let world = World::new(1);
    let job = TestJob { source, has_alternative: before.has_alternative };
    let queue = QuestionQueue::new(job, 0..3, world.context.clone());
    let shared = RequestLoop::new(queue, world.context.clone());
    let mut item = shared.job.next(&|| false).await.unwrap().unwrap();
    let policy = world.context.retry_policy;
    for _ in 0..before.spent {
        QuestionQueue::<TestJob>::attempts(&mut item).spend(policy, 0.0);
    }
    if before.is_let_off {
        QuestionQueue::<TestJob>::attempts(&mut item).let_off();
    }
    let sent_at = Instant::now();
    if before.anything_came {
        shared.health.answer_came(&7, 1, sent_at);
    }
    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    if before.breaker != Breaker::Untried {
        shared.breaker.success();
    }
    let early = shared.breaker.acquire(0.0).await;
    if matches!(before.breaker, Breaker::Open | Breaker::Probed) {
        early.failure();
    }
    let pass = if before.breaker == Breaker::Probed { shared.breaker.acquire(0.0).await } else { early };
    let permit = shared.context.permit().await.unwrap();
    let verdict = shared.judge(&mut item, &pass, permit, fault.error(), sent_at).await.unwrap();
    let after = match (shared.breaker.is_untried(), shared.breaker.is_down()) {
        (true, _) => "untried",
        (_, true) => "open",
        (false, false) => "closed",
    };
    let spent = QuestionQueue::<TestJob>::attempts(&mut item).failures() - before.spent;
    format!("{}, {after}, {spent}", words(&verdict))
}

#[tokio::test(start_paused = true)]
async fn each_disposition_in_each_state_of_the_breaker() {
    // The breaker: untried, closed, open, probed. A single entry stands for all four.
    let rows: [(ScriptedFault, &[&str]); 13] = [
        (
            ScriptedFault::NoConnection,
            &["again, untried, 0", "again, open, 0", "again, open, 0", "again, open, 0"],
        ),
        (
            ScriptedFault::Status503,
            &["retry, closed, 1", "retry, closed, 1", "again, open, 0", "retry, closed, 0"],
        ),
        (
            ScriptedFault::Redirect,
            &["retry, closed, 1", "retry, closed, 1", "again, open, 0", "retry, closed, 0"],
        ),
        (ScriptedFault::TooMany, &["retry, closed, 1"]),
        (ScriptedFault::Mismatch, &["retry, closed, 1"]),
        (ScriptedFault::CursorForgets, &["retry, closed, 1"]),
        (
            ScriptedFault::BadRequest,
            &["retry, closed, 1", "retry, closed, 1", "again, open, 0", "retry, closed, 1"],
        ),
        (ScriptedFault::KeyRefused, &["refused KeyRefused, closed, 0"]),
        (ScriptedFault::NotYet, &["refused NotYet, closed, 0"]),
        (ScriptedFault::NotEntitled, &["refused NotEntitled, closed, 0"]),
        (ScriptedFault::Timeframe, &["refused Timeframe, closed, 0"]),
        (ScriptedFault::NotFound, &["refused NotFound, closed, 0"]),
        (
            ScriptedFault::UnknownRoute,
            &[
                "refused UnknownRoute, closed, 0",
                "refused UnknownRoute, closed, 0",
                "again, open, 0",
                "retry, closed, 0",
            ],
        ),
    ];
    for (fault, expected) in rows {
        for (place, breaker) in BREAKERS.into_iter().enumerate() {
            let expected = expected.get(place).unwrap_or(&expected[0]);
            assert_eq!(judged(fault, Before::breaker(breaker)).await, *expected, "{fault:?}, {breaker:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_control_question_decides_about_key_and_address() {
    use Breaker::{Closed, Untried};
    for (fault, breaker, control, expected) in [
        (ScriptedFault::KeyRefused, Closed, ScriptedFault::KeyRefused, "stop KeyRefused, closed, 0"),
        (ScriptedFault::KeyRefused, Untried, ScriptedFault::KeyRefused, "stop KeyRefused, untried, 0"),
        (ScriptedFault::KeyRefused, Closed, ScriptedFault::NotFound, "suspect Key, closed, 0"),
        (ScriptedFault::KeyRefused, Untried, ScriptedFault::Status503, "suspect Key, untried, 0"),
        (ScriptedFault::UnknownRoute, Untried, ScriptedFault::NotFound, "suspect Route, untried, 0"),
        (ScriptedFault::UnknownRoute, Closed, ScriptedFault::NotFound, "refused UnknownRoute, closed, 0"),
        (ScriptedFault::Redirect, Untried, ScriptedFault::Redirect, "suspect Redirect, untried, 0"),
        (ScriptedFault::Redirect, Closed, ScriptedFault::Redirect, "retry, closed, 1"),
    ] {
        let before = Before { control: Some(control), ..Before::breaker(breaker) };
        assert_eq!(judged(fault, before).await, expected, "{fault:?}, {breaker:?}, {control:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_attempt_is_not_spent_while_the_source_is_down() {
    let last = Before { spent: 7, anything_came: true, ..Before::breaker(Breaker::Closed) };
    let never = Before { anything_came: false, ..last };
    for (fault, before, control, expected) in [
        (ScriptedFault::Status503, last, None, "refused GivenUp { attempts: 8 }, closed, 1"),
        (
            ScriptedFault::Status503,
            last,
            Some(ScriptedFault::NotFound),
            "refused GivenUp { attempts: 8 }, closed, 1",
        ),
        (ScriptedFault::Status503, last, Some(ScriptedFault::Status503), "again, open, 0"),
        (ScriptedFault::Status503, last, Some(ScriptedFault::NoConnection), "again, open, 0"),
        (ScriptedFault::Status503, never, Some(ScriptedFault::Status503), "stop SourceLost, closed, 0"),
        (ScriptedFault::Status503, never, None, "refused GivenUp { attempts: 8 }, closed, 1"),
        (ScriptedFault::TooMany, last, None, "retry, closed, 0"),
        (ScriptedFault::TooMany, last, Some(ScriptedFault::TooMany), "again, open, 0"),
        (ScriptedFault::TooMany, never, Some(ScriptedFault::TooMany), "stop SourceLost, closed, 0"),
        (ScriptedFault::NoConnection, last, None, "again, open, 0"),
        // This is about the request, however the source answers others.
        (
            ScriptedFault::Mismatch,
            last,
            Some(ScriptedFault::Status503),
            "refused GivenUp { attempts: 8 }, closed, 1",
        ),
        // A source in trouble, or a proxy before it, may refuse everything like this.
        (ScriptedFault::BadRequest, last, Some(ScriptedFault::BadRequest), "again, open, 0"),
        (ScriptedFault::BadRequest, last, Some(ScriptedFault::Status503), "again, open, 0"),
        (ScriptedFault::BadRequest, last, None, "refused BadRequest { attempts: 8 }, closed, 0"),
        (ScriptedFault::BadRequest, never, Some(ScriptedFault::BadRequest), "again, open, 0"),
        (ScriptedFault::UnknownRoute, last, Some(ScriptedFault::UnknownRoute), "again, open, 0"),
        (ScriptedFault::UnknownRoute, last, Some(ScriptedFault::NoConnection), "again, open, 0"),
        (ScriptedFault::UnknownRoute, last, Some(ScriptedFault::NotFound), "again, open, 0"),
        (
            ScriptedFault::UnknownRoute,
            never,
            Some(ScriptedFault::NotFound),
            "refused UnknownRoute, closed, 0",
        ),
    ] {
        assert_eq!(judged(fault, Before { control, ..before }).await, expected, "{fault:?}, {control:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_failed_in_an_outage_that_is_over_is_let_off_once() {
    let probed = Before { is_let_off: true, ..Before::breaker(Breaker::Probed) };
    assert_eq!(judged(ScriptedFault::Status503, probed).await, "retry, closed, 1");
    let last = Before { spent: 7, anything_came: true, is_let_off: true, ..Before::breaker(Breaker::Closed) };
    assert_eq!(judged(ScriptedFault::TooMany, last).await, "refused GivenUp { attempts: 8 }, closed, 1");
    let still = Before { control: Some(ScriptedFault::TooMany), ..last };
    assert_eq!(judged(ScriptedFault::TooMany, still).await, "again, open, 0");
}

#[tokio::test(start_paused = true)]
async fn another_question_in_its_place_spends_no_attempt() {
    let before = Before { has_alternative: true, ..Before::breaker(Breaker::Closed) };
    for fault in [
        ScriptedFault::CursorForgets,
        ScriptedFault::NotFound,
        ScriptedFault::UnknownRoute,
        ScriptedFault::NotEntitled,
        ScriptedFault::Timeframe,
        ScriptedFault::KeyRefused,
    ] {
        assert_eq!(judged(fault, before).await, "again, closed, 0", "{fault:?}");
    }
    assert_eq!(judged(ScriptedFault::NotYet, before).await, "refused NotYet, closed, 0");
    assert_eq!(judged(ScriptedFault::BadRequest, before).await, "retry, closed, 1", "it may pass");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_finds_the_source_still_down_spends_nothing() {
    for control in [ScriptedFault::Status503, ScriptedFault::NoConnection, ScriptedFault::TooMany] {
        let before = Before { control: Some(control), ..Before::breaker(Breaker::Probed) };
        assert_eq!(judged(ScriptedFault::Status503, before).await, "again, open, 0", "{control:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_find_no_connection_cost_no_pace() {
    let mut world = World::new(1);
    let rate: Rate = "2/min".parse().unwrap();
    world.context.pacer = Arc::new(crate::pace::Pacer::new(rate, crate::pace::LearnedPace::default()));
    let source =
        ScriptedSource::new(|requested| (requested.number < 2).then_some(ScriptedFault::NoConnection));
    let job = TestJob { source: source.clone(), has_alternative: false };
    let begin = Instant::now();
    let context = world.context.clone();
    run(QuestionQueue::new(job, 0..1, context.clone()), context).await.unwrap();
    assert_eq!(source.log().len(), 3);
    assert!(begin.elapsed() < std::time::Duration::from_secs(30), "the breaker's pauses alone");
}
