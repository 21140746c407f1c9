//! Whether the generated market looks like one.

use grab_model::{Window, calendar};

use super::*;

/// How many decimals the shortest form of a field has.
fn decimals(bar: &Value, field: &str) -> usize {
    number(bar, field).to_string().split_once('.').map_or(0, |(_, decimals)| decimals.len())
}

#[tokio::test]
async fn the_same_seed_gives_the_same_market() {
    let path = "/v2/aggs/ticker/MSFT/range/1/minute/2024-01-02/2024-01-05";
    let text = async |seed| {
        let trial = Trial::start(SandboxOptions { seed, ..options() }).await;
        trial.get(path).await.text_without_id()
    };
    assert_eq!(text(7).await, text(7).await);
    assert_ne!(text(7).await, text(8).await);
}

#[tokio::test]
async fn bars_do_not_depend_on_the_range_that_was_asked_for() {
    let trial = Trial::generated().await;
    let year = trial.minutes("KO", date(2024, 1, 1), date(2024, 1, 31)).await;
    let day = date(2024, 1, 17);
    let bars = trial.minutes("KO", day, day).await;
    assert!(!bars.is_empty() && year.windows(bars.len()).any(|window| window == bars));
}

#[tokio::test]
async fn every_bar_is_sound() {
    let trial = Trial::generated().await;
    for ticker in ["AAPL", "BRK.A", "KIMpL", "SOXS", "NA"] {
        let bars = trial.minutes(ticker, date(2026, 2, 9), date(2026, 3, 6)).await;
        assert!(bars.is_sorted_by(|a, b| start(a) < start(b)), "{ticker}");
        for bar in &bars {
            let [open, high, low, close] = ["o", "h", "l", "c"].map(|field| number(bar, field));
            assert!(low > 0.0 && low <= open.min(close) && high >= open.max(close), "{ticker} {bar}");
            assert!(number(bar, "v") > 0.0 && number(bar, "n") >= 1.0, "{ticker} {bar}");
            assert!(
                ["o", "h", "l", "c", "vw"].into_iter().all(|price| decimals(bar, price) <= 4),
                "{ticker} {bar}"
            );
            let has_fractions = start(bar) >= new_york::at_ms(date(2026, 2, 23), 8, 0);
            assert!(decimals(bar, "v") <= if has_fractions { 6 } else { 0 }, "{ticker} {bar}");
            assert_eq!(start(bar) % 60_000, 0);
        }
    }
}

#[tokio::test]
async fn prices_and_volumes_have_the_vendors_digits() {
    let trial = Trial::generated().await;
    let bars = trial.minutes("AAPL", date(2026, 3, 2), date(2026, 3, 6)).await;
    let share = |is: fn(&Value) -> bool| {
        let matching = bars.iter().filter(|bar| is(bar)).count();
        f64::from(u32::try_from(matching * 100 / bars.len()).unwrap()) / 100.0
    };
    assert!((0.15..0.35).contains(&share(|bar| decimals(bar, "o") > 2)));
    assert!((0.2..0.4).contains(&share(|bar| decimals(bar, "v") > 0)));
    assert!(
        (0.05..0.4)
            .contains(&share(|bar| !(number(bar, "l")..=number(bar, "h")).contains(&number(bar, "vw"))))
    );
}

#[tokio::test]
async fn liquid_names_trade_all_day_and_thin_ones_seldom() {
    let trial = Trial::generated().await;
    let counts = async |ticker: &str, from: Date, to: Date| {
        let bars = trial.minutes(ticker, from, to).await;
        let sessions = calendar::sessions(Window::new(from, to).unwrap());
        let count = |day| bars.iter().filter(|bar| new_york::date_of(start(bar)) == Some(day)).count();
        sessions.map(|session| count(session.date())).collect::<Vec<_>>()
    };
    for liquid in ["AAPL", "SPY", "TSLA"] {
        let counts = counts(liquid, date(2024, 4, 1), date(2024, 4, 30)).await;
        assert!(counts.iter().all(|count| (700..=900).contains(count)), "{liquid}: {counts:?}");
    }
    let counts = counts("KIMpL", date(2024, 1, 1), date(2024, 12, 31)).await;
    assert!(counts.iter().all(|count| *count < 40) && counts.contains(&0), "{counts:?}");
}

#[tokio::test]
async fn volume_is_high_at_the_open_and_highest_in_the_closing_auction() {
    let trial = Trial::generated().await;
    let day = date(2024, 4, 2);
    let bars = trial.minutes("AAPL", day, day).await;
    let volume = |from: (i8, i8), to: (i8, i8)| {
        let hours = new_york::at_ms(day, from.0, from.1)..new_york::at_ms(day, to.0, to.1);
        bars.iter().filter(|bar| hours.contains(&start(bar))).map(|bar| number(bar, "v")).sum::<f64>()
    };
    assert!(volume((9, 30), (10, 0)) > 1.5 * volume((12, 30), (13, 0)));
    assert!(volume((15, 30), (16, 0)) > 1.5 * volume((12, 30), (13, 0)));
    assert!(volume((4, 0), (9, 30)) < volume((12, 30), (13, 0)));
    let auction = volume((16, 0), (16, 1));
    assert!(bars.iter().all(|bar| number(bar, "v") <= auction));
}

#[tokio::test]
async fn half_days_end_at_five() {
    let trial = Trial::generated().await;
    let day = date(2024, 11, 29);
    let bars = trial.minutes("SPY", day, day).await;
    assert!(bars.iter().all(|bar| start(bar) < new_york::at_ms(day, 17, 0)));
    let volume = |hour, minute| {
        let bar = bars.iter().find(|bar| start(bar) == new_york::at_ms(day, hour, minute));
        bar.map_or(0.0, |bar| number(bar, "v"))
    };
    assert!(volume(13, 0) > 5.0 * volume(12, 59), "the closing auction");
    assert!(volume(13, 1) < volume(12, 59));
}

#[tokio::test]
async fn bars_begin_and_end_with_the_listing() {
    let trial = Trial::generated().await;
    let days = async |ticker: &str, from, to| {
        let bars = trial.minutes(ticker, from, to).await;
        let day = |bar: Option<&Value>| bar.and_then(|bar| new_york::date_of(start(bar)));
        (day(bars.first()), day(bars.last()))
    };
    assert_eq!(days("SNOW", date(2020, 9, 1), date(2020, 9, 30)).await.0, Some(date(2020, 9, 16)));
    assert_eq!(days("LEH", date(2008, 9, 1), date(2008, 10, 31)).await.1, Some(date(2008, 9, 17)));
    assert_eq!(days("SPY", date(2003, 9, 1), date(2003, 9, 30)).await.0, Some(date(2003, 9, 10)));
    // META was another company's ticker before; in between it belonged to none.
    let (reused_from, reused_to) = (date(2022, 1, 25), date(2022, 6, 10));
    assert_eq!(days("META", reused_from, reused_to).await, (Some(reused_from), Some(reused_to)));
    assert_eq!(days("META", date(2022, 2, 1), date(2022, 6, 8)).await, (None, None));
}

#[tokio::test]
async fn an_unfinished_session_is_not_served() {
    let noon = new_york::at_ms(TODAY, 12, 0);
    let trial = Trial::start(SandboxOptions { now: Arc::new(move || noon), ..options() }).await;
    let bars = trial.minutes("SPY", date(2026, 11, 19), TODAY).await;
    assert_eq!(bars.last().and_then(|bar| new_york::date_of(start(bar))), Some(date(2026, 11, 19)));
}

#[tokio::test]
async fn seeds_make_companies_that_come_and_go() {
    let trial = Trial::generated().await;
    let names = async |query: &str| {
        let rows = trial.results(&format!("/v3/reference/tickers?limit=1000&{query}")).await;
        rows.iter().filter(|row| row["name"].as_str().unwrap().starts_with("Sandbox")).count()
    };
    let (active, gone) = (names("").await, names("active=false").await);
    assert!(active > 100 && gone > 20, "{active} {gone}");
    assert!(names("date=2010-01-04").await < active);
}

/// The start of a plan's history is searched with this symbol: like in the service, it must have bars on each session.
/// Checked where the histories of plans begin, and at both ends.
#[tokio::test]
async fn the_first_exchange_traded_fund_trades_on_every_session() {
    let trial = Trial::generated().await;
    let spans = [
        (date(2003, 9, 10), date(2003, 11, 30)),
        (date(2016, 11, 1), date(2016, 12, 31)),
        (date(2021, 11, 1), date(2021, 12, 31)),
        (date(2024, 11, 1), date(2024, 12, 31)),
        (date(2026, 11, 1), TODAY),
    ];
    for (from, to) in spans {
        let path = format!("/v2/aggs/ticker/SPY/range/1/day/{from}/{to}?adjusted=false&limit=50000");
        let days = trial.results(&path).await;
        let days: Vec<_> = days.iter().filter_map(|bar| new_york::date_of(start(bar))).collect();
        let sessions = calendar::sessions(Window::new(from, to).unwrap());
        assert_eq!(days, sessions.map(calendar::Session::date).collect::<Vec<_>>());
    }
    let floor = date(2024, 12, 2);
    let options = SandboxOptions { history_from: Some(floor), clip_history: true, ..options() };
    let clipping = Trial::start(options).await;
    assert!(clipping.minutes("SPY", date(2024, 11, 29), date(2024, 11, 29)).await.is_empty());
    assert!(!clipping.minutes("SPY", floor, floor).await.is_empty());
}
