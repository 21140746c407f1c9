//! What an outage does to each kind of job, and what a single bad item does to the others: in memory, on a paused clock.

use std::{sync::Mutex, time::Duration};

use super::{
    StopReason,
    scripted::{JobEnd, Kind, ScriptedFault, ScriptedSource, World, fetch},
};

const ITEMS: usize = 20;
const ALL_ANSWERED: JobEnd = JobEnd { answered: ITEMS, given_up: 0, outstanding: 0 };
const NOTHING_BURNT: JobEnd = JobEnd { answered: 0, given_up: 0, outstanding: ITEMS };
const MINUTE: Duration = Duration::from_mins(1);

/// All faults with which a source, or a proxy before it, can refuse everything for a while.
const STORMS: [ScriptedFault; 5] = [
    ScriptedFault::Status503,
    ScriptedFault::TooMany,
    ScriptedFault::NoConnection,
    ScriptedFault::BadRequest,
    ScriptedFault::UnknownRoute,
];

/// A source that works for five requests, and then fails in one way for every request until `end`.
fn storm(fault: ScriptedFault, end: Duration) -> ScriptedSource {
    ScriptedSource::new(move |requested| (requested.number >= 5 && requested.at < end).then_some(fault))
}

#[tokio::test(start_paused = true)]
async fn a_minute_in_which_everything_fails_burns_nothing() {
    for fault in STORMS {
        for (kind, workers) in Kind::ALL.into_iter().flat_map(|kind| [(kind, 1), (kind, 4)]) {
            let source = storm(fault, MINUTE);
            let (end, stopped) = fetch(kind, &source, ITEMS, World::new(workers).with_attempts(3)).await;
            let case = format!("{fault:?}, {kind:?}, {workers} workers: {}", source.story());
            assert_eq!((end, stopped), (ALL_ANSWERED, None), "{case}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_minute_in_which_nothing_is_found_ends_less_than_eight_items() {
    for kind in Kind::ALL {
        let source = storm(ScriptedFault::NotFound, MINUTE);
        let (end, stopped) = fetch(kind, &source, ITEMS, World::new(1)).await;
        // Five before the minute; tasks that are not found count as neither answered nor given up.
        assert!(end.answered >= ITEMS - 7, "{kind:?}: {end:?}: {}", source.story());
        assert_eq!(stopped, None, "{kind:?}: {end:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_without_an_end_stops_the_run_and_burns_nothing() {
    for fault in STORMS {
        for kind in Kind::ALL {
            let source = storm(fault, Duration::MAX);
            let (end, stopped) = fetch(kind, &source, ITEMS, World::new(4).with_attempts(3)).await;
            let expected = JobEnd { answered: 5, given_up: 0, outstanding: ITEMS - 5 };
            assert_eq!(end, expected, "{fault:?}, {kind:?}");
            assert!(matches!(stopped, Some(StopReason::SourceLost(_))), "{fault:?}, {kind:?}: {stopped:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_down_from_the_beginning_stops_the_run_and_burns_nothing() {
    for fault in [ScriptedFault::Status503, ScriptedFault::TooMany, ScriptedFault::NoConnection] {
        for kind in Kind::ALL {
            let source = ScriptedSource::new(move |_| Some(fault));
            let (end, stopped) = fetch(kind, &source, ITEMS, World::new(4).with_attempts(3)).await;
            assert_eq!(end, NOTHING_BURNT, "{fault:?}, {kind:?}");
            let is_expected = if fault == ScriptedFault::NoConnection {
                matches!(stopped, Some(StopReason::Unreachable(_)))
            } else {
                matches!(stopped, Some(StopReason::SourceLost(_)))
            };
            assert!(is_expected, "{fault:?}, {kind:?}: {stopped:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_poisoned_item_among_good_ones_is_given_up_alone() {
    for fault in [ScriptedFault::Status503, ScriptedFault::TooMany, ScriptedFault::Mismatch] {
        for (kind, workers) in Kind::ALL.into_iter().flat_map(|kind| [(kind, 1), (kind, 4)]) {
            let poisoned = kind.item(3);
            let source = ScriptedSource::new({
                let poisoned = poisoned.clone();
                move |requested| (requested.what == poisoned).then_some(fault)
            });
            let (end, stopped) = fetch(kind, &source, ITEMS, World::new(workers).with_attempts(3)).await;
            let expected = JobEnd { answered: ITEMS - 1, given_up: 1, outstanding: 0 };
            assert_eq!((end, stopped), (expected, None), "{fault:?}, {kind:?}, {workers} workers");
            let requested = source.log().iter().filter(|what| **what == poisoned).count();
            // A first 429 may be caused by the pace, and spends nothing then.
            let most = if fault == ScriptedFault::TooMany { 4 } else { 3 };
            assert!((3..=most).contains(&requested), "{fault:?}, {kind:?}: {requested} times");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_key_stops_the_run_and_burns_nothing() {
    for kind in Kind::ALL {
        let source = ScriptedSource::new(|_| Some(ScriptedFault::KeyRefused));
        let (end, stopped) = fetch(kind, &source, ITEMS, World::new(4)).await;
        assert_eq!(end, NOTHING_BURNT, "{kind:?}");
        assert!(matches!(stopped, Some(StopReason::KeyRefused(_))), "{kind:?}: {stopped:?}");
        assert_eq!(source.log().len(), 2, "one item and the control question");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_cannot_be_judged_waits_for_an_answer_and_is_taken_for_true_without_one() {
    for kind in Kind::ALL {
        // The control request says nothing about the key.
        let refuse = |requested: &str, all: bool, first: &str| match requested {
            "control" => Some(ScriptedFault::NotFound),
            what if all || what == first => Some(ScriptedFault::KeyRefused),
            _ => None,
        };
        let first = kind.item(0);
        let source = ScriptedSource::new(move |requested| refuse(requested.what, false, &first));
        let (end, stopped) = fetch(kind, &source, 3, World::new(1)).await;
        assert_eq!((end.given_up, stopped), (0, None), "{kind:?}");
        assert!(end.answered >= 2, "{kind:?}: {end:?}");

        let source = ScriptedSource::new(move |requested| refuse(requested.what, true, ""));
        let (end, stopped) = fetch(kind, &source, 3, World::new(1)).await;
        assert_eq!((end.answered, end.given_up), (0, 0), "{kind:?}");
        assert!(matches!(stopped, Some(StopReason::KeyRefused(_))), "{kind:?}: {stopped:?}");
        assert_eq!(source.requested("control"), 1, "asked in vain once: {:?}", source.log());
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_not_the_service_stops_the_run_and_burns_nothing() {
    for fault in [ScriptedFault::UnknownRoute, ScriptedFault::Redirect] {
        for kind in Kind::ALL {
            let source = ScriptedSource::new(move |_| Some(fault));
            let (end, stopped) = fetch(kind, &source, ITEMS, World::new(4)).await;
            assert_eq!(end, NOTHING_BURNT, "{fault:?}, {kind:?}");
            assert!(matches!(stopped, Some(StopReason::Unreachable(_))), "{fault:?}, {kind:?}: {stopped:?}");
        }
    }
}

/// A schedule of outages for all requests, in any way, of up to a minute and a half, with some seconds without faults
/// in between.
fn outages(seed: u64) -> Vec<(Duration, Duration, ScriptedFault)> {
    let mut random = fastrand::Rng::with_seed(seed);
    let faults = STORMS;
    let mut at = Duration::from_millis(random.u64(20..2_000));
    let mut outages = Vec::new();
    for _ in 0..random.usize(1..6) {
        let end = at + Duration::from_millis(random.u64(100..90_000));
        outages.push((at, end, faults[random.usize(..faults.len())]));
        at = end + Duration::from_millis(random.u64(100..10_000));
    }
    outages
}

#[tokio::test(start_paused = true)]
async fn no_schedule_of_outages_gives_up_what_the_source_would_have_answered() {
    for seed in 0..24 {
        for kind in Kind::ALL {
            let (outages, last) = (outages(seed), Mutex::new(None));
            let source = ScriptedSource::new(move |requested| {
                let mut last = last.lock().unwrap();
                let now = outages.iter().find(|(from, to, _)| (*from..*to).contains(&requested.at));
                // A request right after a failure meets the same fault.
                let fault = now.map(|(.., fault)| *fault).or_else(|| {
                    let (at, fault): (Duration, ScriptedFault) = (*last)?;
                    (requested.at < at + Duration::from_millis(50)).then_some(fault)
                });
                *last = fault.map(|fault| (requested.at, fault));
                fault
            });
            let workers = 1 + usize::try_from(seed).unwrap() % 4;
            let (end, stopped) = fetch(kind, &source, ITEMS, World::new(workers).with_attempts(2)).await;
            assert_eq!(end.given_up, 0, "{seed}, {kind:?}: {}", source.story());
            assert!(stopped.is_some() || end == ALL_ANSWERED, "{seed}, {kind:?}: {end:?}");
        }
    }
}
