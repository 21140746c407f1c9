//! The plan's history in memory, on a paused clock.

use grab_model::{Symbol, Window, calendar};
use jiff::civil::{Date, date};

use super::recheck_history;
use crate::{
    engine::{
        StopReason, run,
        scripted::{ScriptedFault, ScriptedSource, World},
    },
    manifest::TaskState,
};

fn symbol(text: &str) -> Symbol {
    text.parse().unwrap()
}

fn sessions(from: Date, to: Date) -> u64 {
    calendar::sessions(Window::new(from, to).unwrap()).count() as u64
}

/// The control symbol may begin late in a source for reasons of its own. A response that has bars from before the beginning that
/// it seems to show disproves it, also one that was under way meanwhile.
#[tokio::test(start_paused = true)]
async fn bars_from_before_a_history_that_was_concluded_meanwhile_disprove_it() {
    let (late, early, end) = (date(2025, 3, 3), date(2025, 1, 2), date(2025, 4, 30));
    let source = ScriptedSource::new(|_| None)
        .with_bars(move |symbol| Some(if symbol.as_str() == "SPY" { late } else { early }))
        // Until a response has come, one request is sent alone. Then the page of A comes while the search is under way that the
        // control symbol's page has begun.
        .with_order(&[
            ("read page SPY", "sent page A"),
            ("page A", "sent day SPY"),
            ("day SPY", "read page A"),
        ]);
    let window = Window::new(date(2024, 12, 2), end).unwrap();
    let world = World::new(2).with_tasks(vec![(symbol("SPY"), window), (symbol("A"), window)]).await;
    assert_eq!(run(source.clone(), world.context.clone()).await.unwrap(), None);
    assert!(source.requested("day SPY") > 0, "there was a search: {}", source.story());
    let reader = world.reader();
    let ended: Vec<_> = reader.tasks().unwrap().into_iter().map(|task| (task.state, task.bars)).collect();
    // What is served is stored, and nothing is claimed about the plan.
    let expected = [late, early].map(|first| (TaskState::Done, sessions(first, end)));
    assert_eq!(ended, expected, "{}", source.story());
    let histories = reader.plan_histories().unwrap();
    assert!(histories.iter().all(|(_, history)| history.edge().is_none()), "{histories:?}");
}

/// The first session that the plan serves.
const FLOOR: Date = date(2024, 12, 2);

/// A directory in which the days before the plan's beginning are `not_entitled`.
async fn with_refused_days() -> World {
    let window = Window::new(date(2024, 6, 3), date(2025, 1, 31)).unwrap();
    let world = World::new(2).with_tasks(vec![(symbol("A"), window)]).await;
    let source = ScriptedSource::new(|requested| {
        let is_before = requested.window.is_some_and(|window| window.from() < FLOOR);
        is_before.then_some(ScriptedFault::Timeframe)
    });
    let source = source.with_bars(|_| Some(date(2020, 1, 2)));
    assert_eq!(run(source.clone(), world.context.clone()).await.unwrap(), None);
    assert_eq!(pending(&world), 0, "{}", source.story());
    assert_eq!(world.reader().not_entitled().unwrap().len(), 1, "{}", source.story());
    world
}

fn pending(world: &World) -> usize {
    let tasks = world.reader().tasks().unwrap();
    tasks.iter().filter(|task| task.state == TaskState::Pending).count()
}

#[tokio::test(start_paused = true)]
async fn the_question_whether_the_plan_serves_more_is_asked_as_all_others_are() {
    for fault in [ScriptedFault::NoConnection, ScriptedFault::Status503, ScriptedFault::TooMany] {
        let world = with_refused_days().await;
        let source = ScriptedSource::new(move |requested| (requested.number < 2).then_some(fault));
        let source = source.with_bars(|_| Some(date(2020, 1, 2)));
        recheck_history(source.clone(), world.context.clone()).await.unwrap();
        assert_eq!(world.context.stop.reason(), None, "{fault:?}: {}", source.story());
        assert!(pending(&world) > 0, "{fault:?}: it is served now: {}", source.story());
    }
    // It is still not served.
    let world = with_refused_days().await;
    let source = ScriptedSource::new(|_| Some(ScriptedFault::Timeframe));
    recheck_history(source.clone(), world.context.clone()).await.unwrap();
    assert_eq!((source.log().len(), pending(&world)), (1, 0), "{}", source.story());
    // The source cannot be reached.
    let source = ScriptedSource::new(|_| Some(ScriptedFault::NoConnection));
    recheck_history(source.clone(), world.context.clone()).await.unwrap();
    let stopped = world.context.stop.reason();
    assert!(matches!(stopped, Some(StopReason::Unreachable(_))), "{stopped:?}");
    assert_eq!((source.log().len(), pending(&world)), (3, 0), "{}", source.story());
}
