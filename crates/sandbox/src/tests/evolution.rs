//! The newest sessions as a client sees them on consecutive evenings.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use super::{super::Evolution, *};

const THURSDAY: Date = date(2026, 11, 19);
const MONDAY: Date = date(2026, 11, 23);
const TUESDAY: Date = date(2026, 11, 24);

/// Some stocks that trade every day.
const LIQUID: [&str; 12] =
    ["AAPL", "AMZN", "BAC", "C", "F", "GE", "IBM", "JPM", "MSFT", "NVDA", "SPY", "TSLA"];

async fn evolving(evolution: Evolution, day: Date, hour: i8, minute: i8) -> Trial {
    Trial::start(SandboxOptions { evolution, ..options_at(day, hour, minute) }).await
}

fn settling(settling: u8) -> Evolution {
    Evolution { settling, ..Evolution::default() }
}

fn grouped(day: Date) -> String {
    format!("/v2/aggs/grouped/locale/us/market/stocks/{day}?adjusted=false")
}

/// How many bars of a day are revised, and how many are late; no bar may differ from the truth in another way.
fn unsettled(shown: &[Value], truth: &[Value]) -> (usize, usize) {
    let at = |bar: &&Value, bars: &[Value]| bars.iter().find(|other| other["t"] == bar["t"]).cloned();
    let revised = shown.iter().filter(|bar| {
        let last = at(bar, truth).unwrap();
        assert!(["o", "h", "l", "c"].iter().all(|price| bar[price] == last[price]), "{bar} {last}");
        let is_other = **bar != last;
        let is_less = number(bar, "v") < number(&last, "v") && number(bar, "n") < number(&last, "n");
        assert!(!is_other || is_less && bar["vw"] != last["vw"], "{bar} {last}");
        is_other
    });
    (revised.count(), truth.iter().filter(|bar| at(bar, shown).is_none()).count())
}

#[tokio::test]
async fn a_session_settles_in_so_many_sessions_and_is_the_same_for_ever_after() {
    let truth = Trial::start(options_at(TUESDAY, 21, 0)).await;
    let mut left = Vec::new();
    for evening in [TODAY, MONDAY, TUESDAY] {
        let trial = evolving(settling(2), evening, 21, 0).await;
        let shown = trial.minutes("AAPL", TODAY, TODAY).await;
        left.push(unsettled(&shown, &truth.minutes("AAPL", TODAY, TODAY).await));
    }
    assert!((50..200).contains(&left[0].0) && (5..60).contains(&left[0].1), "{left:?}");
    assert!((10..left[0].0).contains(&left[1].0) && (1..left[0].1).contains(&left[1].1), "{left:?}");
    assert_eq!(left[2], (0, 0));
    let trial = evolving(settling(2), TODAY, 21, 0).await;
    let (from, before) = (date(2026, 10, 1), date(2026, 11, 18));
    assert_eq!(trial.minutes("AAPL", from, before).await, truth.minutes("AAPL", from, before).await);
    assert_ne!(
        trial.minutes("AAPL", THURSDAY, THURSDAY).await,
        truth.minutes("AAPL", THURSDAY, THURSDAY).await
    );
}

#[tokio::test]
async fn grouped_days_settle_with_their_minutes() {
    let (truth, trial) = (Trial::generated().await, evolving(settling(2), TODAY, 21, 0).await);
    let (shown, right) = (trial.results(&grouped(TODAY)).await, truth.results(&grouped(TODAY)).await);
    for ticker in LIQUID {
        let volume = |rows: &[Value]| number(rows.iter().find(|row| row["T"] == ticker).unwrap(), "v");
        let minutes = trial.minutes(ticker, TODAY, TODAY).await;
        let sum: f64 = minutes.iter().map(|bar| number(bar, "v")).sum();
        assert!((volume(&shown) - sum).abs() < 1e-5 && sum < volume(&right), "{ticker}");
    }
}

#[tokio::test]
async fn a_session_that_lags_is_absent_or_cut() {
    let lag = Evolution { lag: Duration::from_mins(45), ..Evolution::default() };
    let truth = Trial::generated().await;
    let early = evolving(lag, TODAY, 20, 44).await;
    let rows = early.results(&grouped(TODAY)).await;
    let (mut absent, mut cut) = (0, 0);
    for ticker in LIQUID {
        let (shown, right) =
            (early.minutes(ticker, THURSDAY, TODAY).await, truth.minutes(ticker, THURSDAY, TODAY).await);
        let is_today = |bar: &&Value| start(bar) >= new_york::day_start_ms(TODAY);
        let today = shown.iter().filter(is_today).count();
        assert_eq!(shown[..], right[..shown.len()], "{ticker}");
        assert!(
            shown.len() < right.len()
                && shown.len() - today == right.iter().filter(|bar| !is_today(bar)).count()
        );
        assert_eq!(rows.iter().any(|row| row["T"] == ticker), today > 0, "{ticker}");
        absent += usize::from(today == 0);
        cut += usize::from(today > 0);
    }
    assert!(absent > 1 && cut > 1, "{absent} {cut}");
    let late = evolving(lag, TODAY, 20, 45).await;
    assert_eq!(late.results(&grouped(TODAY)).await, truth.results(&grouped(TODAY)).await);
    assert_eq!(late.minutes("AAPL", TODAY, TODAY).await, truth.minutes("AAPL", TODAY, TODAY).await);
}

#[tokio::test]
async fn holes_are_whole_sessions_of_the_last_eight_and_grouped_days_know_better() {
    let holes = Evolution { holes: 0.3, ..Evolution::default() };
    let (truth, trial) = (Trial::generated().await, evolving(holes, TODAY, 21, 0).await);
    // Eight sessions from the 11th on, and eight before.
    let (from, recent) = (date(2026, 10, 30), date(2026, 11, 11));
    let mut missing = 0;
    for ticker in LIQUID {
        let (shown, right) =
            (trial.minutes(ticker, from, TODAY).await, truth.minutes(ticker, from, TODAY).await);
        let day = |bar: &Value| new_york::date_of(start(bar)).unwrap();
        let there: std::collections::BTreeSet<_> = shown.iter().map(day).collect();
        let days: std::collections::BTreeSet<_> = right.iter().map(day).collect();
        assert_eq!(days.len(), 16);
        let expected: Vec<_> = right.iter().filter(|bar| there.contains(&day(bar))).cloned().collect();
        assert_eq!(shown, expected, "{ticker}: whole sessions or none");
        let absent: Vec<_> = days.difference(&there).collect();
        assert!(absent.iter().all(|day| **day >= recent), "{ticker} {absent:?}");
        missing += absent.len();
    }
    assert!((10..60).contains(&missing), "{missing}");
    for day in [TODAY, date(2026, 11, 17)] {
        assert_eq!(trial.results(&grouped(day)).await, truth.results(&grouped(day)).await);
    }
}

#[tokio::test]
async fn a_sandbox_that_is_started_anew_goes_on_as_one_that_stays() {
    let all = Evolution { settling: 3, lag: Duration::from_mins(45), holes: 0.2 };
    let clock = Arc::new(AtomicI64::new(0));
    let hand = Arc::clone(&clock);
    let now = Arc::new(move || hand.load(Ordering::Relaxed));
    let staying = Trial::start(SandboxOptions { evolution: all, now, ..options() }).await;
    let path = |ticker| format!("/v2/aggs/ticker/{ticker}/range/1/minute/2026-11-10/2026-11-27?limit=50000");
    for (day, hour, minute) in
        [(TODAY, 20, 10), (TODAY, 21, 0), (MONDAY, 12, 0), (MONDAY, 20, 44), (TUESDAY, 23, 0)]
    {
        clock.store(new_york::at_ms(day, hour, minute), Ordering::Relaxed);
        let anew = evolving(all, day, hour, minute).await;
        for ticker in ["AAPL", "F"] {
            let (one, other) = (staying.get(&path(ticker)).await, anew.get(&path(ticker)).await);
            assert_eq!(one.text_without_id(), other.text_without_id());
        }
    }
}
