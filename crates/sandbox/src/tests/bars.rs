//! Bars of a range: pages, bounds, sizes and adjustment.

use std::fmt::Display;

use super::*;

/// The day before a ten-for-one split of NVDA, and its day.
const BEFORE_SPLIT: Date = date(2024, 6, 7);
const SPLIT: Date = date(2024, 6, 10);

fn aggs(ticker: &str, size: &str, from: &dyn Display, to: &dyn Display, query: &str) -> String {
    format!("/v2/aggs/ticker/{ticker}/range/{size}/{from}/{to}?{query}")
}

#[tokio::test]
async fn pages_of_seven_are_the_day() {
    let trial = Trial::generated().await;
    let day = date(2024, 1, 2);
    let whole = trial.minutes("AAPL", day, day).await;
    for (order, path) in ["asc", "desc"].map(|order| {
        (order, aggs("AAPL", "1/minute", &day, &day, &format!("adjusted=false&limit=7&sort={order}")))
    }) {
        let pages = trial.pages(&path).await;
        assert_eq!(pages.len(), whole.len().div_ceil(7));
        assert!(
            pages.iter().all(|page| page["adjusted"] == false && page["queryCount"] == page["resultsCount"])
        );
        let mut bars = trial.results(&path).await;
        if order == "desc" {
            bars.reverse();
        }
        assert_eq!(bars, whole);
    }
}

#[tokio::test]
async fn the_next_page_is_named_as_documented() {
    let trial = Trial::generated().await;
    let path = aggs("AAPL", "1/day", &"2024-01-01", &"2024-06-30", "limit=5");
    let next = trial.json(&path).await["next_url"].as_str().unwrap().to_owned();
    let documented =
        "/v2/aggs/ticker/AAPL/range/1/day/1704776400000/2024-06-30?cursor=bGltaXQ9NSZzb3J0PWFzYw";
    assert_eq!(next, format!("{}{documented}", trial.sandbox.base_url()));
}

#[tokio::test]
async fn the_host_of_the_next_page_is_the_one_that_was_called() {
    let trial = Trial::generated().await;
    let headers = [("authorization", "Bearer key"), ("host", "api.polygon.test:81")];
    let path = aggs("BRK%2EB", "1/minute", &"2024-01-02", &"2024-01-02", "limit=2");
    let text = trial.send(&path, &headers).await.text();
    assert!(
        text.contains(r#""next_url":"http://api.polygon.test:81/v2/aggs/ticker/BRK%2EB/range/1/minute/"#),
        "{text}"
    );
}

#[tokio::test]
async fn limits_have_a_default_and_a_cap() {
    let trial = Trial::generated().await;
    let count = async |query| {
        trial.json(&aggs("SPY", "1/minute", &"2023-01-01", &"2024-12-31", query)).await["count"].clone()
    };
    assert_eq!(count("").await, 5_000);
    assert_eq!(count("limit=60000").await, 50_000);
    let small = Trial::start(SandboxOptions { page_cap: 10, ..options() }).await;
    assert_eq!(small.json(&aggs("SPY", "1/minute", &"2024-01-01", &"2024-01-31", "")).await["count"], 10);
}

#[tokio::test]
async fn bounds_in_ms_are_inside() {
    let trial = Trial::generated().await;
    let day = date(2024, 1, 2);
    let at = |hour, minute| new_york::at_ms(day, hour, minute);
    let starts = async |from: i64, to: i64| {
        let bars = trial.results(&aggs("SPY", "1/minute", &from, &to, "")).await;
        bars.iter().map(start).collect::<Vec<_>>()
    };
    assert_eq!(starts(at(10, 0), at(10, 2)).await, [at(10, 0), at(10, 1), at(10, 2)]);
    assert_eq!(starts(at(10, 0) + 1, at(10, 1) + 1).await, [at(10, 0), at(10, 1), at(10, 2)]);
    assert_eq!(starts(at(10, 0), at(10, 0)).await, [at(10, 0)]);
}

#[tokio::test]
async fn days_are_new_york_days_on_both_sides_of_a_dst_change() {
    let trial = Trial::generated().await;
    for day in [date(2024, 3, 8), date(2024, 3, 11), date(2024, 11, 1), date(2024, 11, 4)] {
        let bars = trial.minutes("SPY", day, day).await;
        let hours = new_york::at_ms(day, 4, 0)..new_york::at_ms(day, 20, 0);
        assert!(bars.len() > 700 && bars.iter().all(|bar| hours.contains(&start(bar))), "{day}");
        assert!(bars.iter().any(|bar| start(bar) == new_york::at_ms(day, 9, 30)), "{day}");
    }
}

#[tokio::test]
async fn merged_bars_are_made_of_minutes() {
    let trial = Trial::generated().await;
    let day = date(2024, 1, 2);
    let minutes = trial.minutes("AAPL", day, day).await;
    let traded = |bars: &[Value]| bars.iter().map(|bar| number(bar, "v")).sum::<f64>();
    for size in ["5/minute", "1/hour", "1/day"] {
        let merged = trial.results(&aggs("AAPL", size, &day, &day, "adjusted=false")).await;
        assert!(merged.len() < minutes.len() / 3);
        assert!((traded(&merged) - traded(&minutes)).abs() < 1e-6, "{size}");
        let highest = |bars: &[Value]| bars.iter().map(|bar| number(bar, "h")).fold(0.0, f64::max);
        assert!(highest(&merged) <= highest(&minutes));
        // Small pages give the same bars, although the limit counts minutes.
        let paged = trial.results(&aggs("AAPL", size, &day, &day, "adjusted=false&limit=100")).await;
        assert_eq!(paged, merged, "{size}");
    }
}

#[tokio::test]
async fn adjusted_bars_are_multiplied_through_the_split() {
    let trial = Trial::generated().await;
    let traded = trial.minutes("NVDA", BEFORE_SPLIT, SPLIT).await;
    let adjusted = trial.results(&aggs("NVDA", "1/minute", &BEFORE_SPLIT, &SPLIT, "limit=50000")).await;
    assert_eq!(traded.len(), adjusted.len());
    for (traded, adjusted) in traded.iter().zip(&adjusted) {
        let factor: f64 = if start(traded) < new_york::day_start_ms(SPLIT) { 1.0 / 10.0 } else { 1.0 };
        for field in ["o", "h", "l", "c", "vw"] {
            assert_eq!(number(adjusted, field).to_bits(), (number(traded, field) * factor).to_bits());
        }
        assert_eq!(number(adjusted, "v").to_bits(), (number(traded, "v") / factor).to_bits());
        assert_eq!(adjusted["n"], traded["n"]);
    }
    let jump = |bars: &[Value]| number(&bars[bars.len() - 1], "c") / number(&bars[0], "o");
    assert!((0.08..0.13).contains(&jump(&traded)) && (0.8..1.3).contains(&jump(&adjusted)));
}

#[tokio::test]
async fn adjustment_is_the_default_and_may_be_declined_in_two_ways() {
    let trial = Trial::generated().await;
    for (query, adjusted) in [
        ("", true),
        ("adjusted=true", true),
        ("adjusted=false", false),
        ("unadjusted=true", false),
        ("unadjusted=0", true),
    ] {
        let page = trial.json(&aggs("NVDA", "1/day", &BEFORE_SPLIT, &BEFORE_SPLIT, query)).await;
        assert_eq!(page["adjusted"], adjusted, "{query}");
        assert_eq!(number(&page["results"][0], "c") < 300.0, adjusted, "{query}");
    }
    assert_eq!(trial.get(&aggs("A", "1/day", &SPLIT, &SPLIT, "adjusted=perhaps")).await.status, 400);
}

#[tokio::test]
async fn a_cursor_that_forgets_adjusted_leads_to_adjusted_bars() {
    let forgetful = Trial::start(SandboxOptions { forget_adjusted: true, ..options() }).await;
    // The whole day is before the split, and all of its bars differ by the factor.
    let path = |query: &str| aggs("NVDA", "1/minute", &BEFORE_SPLIT, &BEFORE_SPLIT, query);
    let pages = forgetful.pages(&path("adjusted=false&limit=100")).await;
    let next = pages[0]["next_url"].as_str().unwrap();
    assert!(next.ends_with("?cursor=bGltaXQ9MTAwJnNvcnQ9YXNj"), "limit=100&sort=asc and no more: {next}");
    let said: Vec<_> = pages.iter().map(|page| page["adjusted"] == true).collect();
    assert!(said.len() > 2 && !said[0] && said[1..].iter().all(|adjusted| *adjusted), "{said:?}");

    let faithful = Trial::generated().await;
    let traded = faithful.results(&path("adjusted=false&limit=50000")).await;
    let adjusted = faithful.results(&path("limit=50000")).await;
    let got = pages.iter().flat_map(|page| page["results"].as_array().unwrap());
    assert!(got.eq(traded[..100].iter().chain(&adjusted[100..])));
    assert_ne!(traded[100], adjusted[100]);
}

#[tokio::test]
async fn a_delayed_plan_says_so_with_its_bars() {
    let trial = Trial::start(SandboxOptions { delayed: true, ..options() }).await;
    assert_eq!(trial.json(&aggs("A", "1/day", &SPLIT, &SPLIT, "")).await["status"], "DELAYED");
    assert_eq!(trial.json("/v3/reference/tickers").await["status"], "OK");
}

#[tokio::test]
async fn nothing_is_an_answer_too() {
    let trial = Trial::generated().await;
    for (ticker, day) in
        [("NOBODY", "2024-01-02"), ("AAPL", "2024-01-01"), ("AAPL", "1999-01-04"), ("AAPL", "2026-11-23")]
    {
        let reply = trial.get(&aggs(ticker, "1/minute", &day, &day, "adjusted=false")).await;
        let expected = format!(
            r#"{{"ticker":"{ticker}","queryCount":0,"resultsCount":0,"adjusted":false,"status":"OK","request_id":"ID"}}"#
        );
        assert_eq!((reply.status, reply.text_without_id()), (200, expected));
    }
}
