//! Companies: their ids, their tickers over time, and whether all endpoints agree on which are listed.

use std::collections::BTreeMap;

use super::*;

/// All tickers of both lists.
async fn everybody(trial: &Trial) -> Vec<Value> {
    let mut rows = trial.results("/v3/reference/tickers?limit=1000").await;
    rows.extend(trial.results("/v3/reference/tickers?limit=1000&active=false").await);
    rows
}

#[tokio::test]
async fn numbers_stay_with_a_company_and_some_have_none() {
    let trial = Trial::generated().await;
    let rows = everybody(&trial).await;
    let mut numbers = BTreeMap::<&str, Vec<_>>::new();
    for row in &rows {
        let number = ["cik", "composite_figi", "share_class_figi"].map(|field| row.get(field));
        numbers.entry(row["name"].as_str().unwrap()).or_default().push(number);
    }
    assert!(numbers.values().filter(|lives| lives.len() > 1).count() > 10);
    assert!(numbers.values().all(|lives| lives.iter().all(|numbers| *numbers == lives[0])));
    let lacking = |field: usize| numbers.values().filter(|lives| lives[0][field].is_none()).count();
    assert!((10..60).contains(&lacking(0)), "{}", lacking(0));
    assert!((10..60).contains(&lacking(1)) && lacking(1) == lacking(2), "{}", lacking(1));
    let other = Trial::start(SandboxOptions { seed: 2, ..options() }).await;
    let figi = async |trial: &Trial| {
        trial.json("/v3/reference/tickers/AAPL").await["results"]["composite_figi"].clone()
    };
    assert_ne!(figi(&trial).await, figi(&other).await);
}

#[tokio::test]
async fn a_cik_finds_all_classes_of_its_issuer() {
    let trial = Trial::generated().await;
    let cik = trial.json("/v3/reference/tickers/GOOG").await["results"]["cik"].clone();
    let rows = trial.results(&format!("/v3/reference/tickers?cik={}", cik.as_str().unwrap())).await;
    assert_eq!(texts(&rows, "ticker"), ["GOOG", "GOOGL"]);
}

#[tokio::test]
async fn the_tickers_of_a_company_to_the_letter() {
    let trial = Trial::generated().await;
    let numbers = r#""composite_figi":"BBG00KFXG3Z4","cik":"0006332449""#;
    let event = |ticker, date| {
        format!(r#"{{"ticker_change":{{"ticker":"{ticker}"}},"type":"ticker_change","date":"{date}"}}"#)
    };
    let events = [event("META", "2022-06-09"), event("FB", "2012-05-18")].join(",");
    let name = "Meta Platforms, Inc. Class A Common Stock";
    let body = format!(
        r#"{{"results":{{"name":"{name}",{numbers},"events":[{events}]}},"status":"OK","request_id":"ID"}}"#
    );
    for id in ["META", "0006332449", "BBG00KFXG3Z4"] {
        let reply = trial.get(&format!("/vX/reference/tickers/{id}/events?types=ticker_change")).await;
        assert_eq!(reply.text_without_id(), body, "{id}");
    }
    // No company has the ticker FB today.
    for id in ["FB", "NOBODY", "BBG000000000", "0000000000"] {
        let reply = trial.get(&format!("/vX/reference/tickers/{id}/events")).await;
        let expected = r#"{"status":"NOT_FOUND","request_id":"ID","message":"Ticker not found."}"#;
        assert_eq!((reply.status, reply.text_without_id().as_str()), (404, expected), "{id}");
    }
}

/// The tickers and the days of the events of an id, newest first.
async fn events(trial: &Trial, id: &str) -> Vec<(String, String)> {
    let body = trial.json(&format!("/vX/reference/tickers/{id}/events")).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let events = body["results"]["events"].as_array().unwrap();
    events.iter().map(|event| (text(&event["ticker_change"]["ticker"]), text(&event["date"]))).collect()
}

fn event(ticker: &str, date: &str) -> (String, String) {
    (ticker.to_owned(), date.to_owned())
}

#[tokio::test]
async fn events_are_those_of_who_has_the_ticker_today_and_not_of_tomorrow() {
    let trial = Trial::generated().await;
    assert_eq!(events(&trial, "AAPL").await, [event("AAPL", "1980-12-12")]);
    let healthpeak = [event("DOC", "2024-03-04"), event("PEAK", "2019-11-05"), event("HCP", "1985-05-23")];
    assert_eq!(events(&trial, "DOC").await, healthpeak);
    assert_eq!(events(&trial, "ELV").await.len(), 3);
    let none = trial.json("/vX/reference/tickers/META/events?types=dividend").await;
    assert_eq!(none["results"]["events"], serde_json::json!([]));

    let friday = Trial::start(options_at(date(2024, 3, 1), 21, 0)).await;
    assert_eq!(events(&friday, "DOC").await, [event("DOC", "2013-07-19")]);
    assert_eq!(events(&friday, "PEAK").await, healthpeak[1..]);
    let physicians = friday.json("/v3/reference/tickers/DOC").await["results"]["composite_figi"].clone();
    // Its FIGI still leads to the delisted company.
    assert_eq!(events(&trial, physicians.as_str().unwrap()).await, [event("DOC", "2013-07-19")]);
}

#[tokio::test]
async fn renamed_companies_go_on_trading_under_their_other_ticker() {
    let trial = Trial::generated().await;
    let rows = everybody(&trial).await;
    let left: Vec<_> =
        rows.iter().filter(|row| row["name"].as_str().unwrap().starts_with("Sandbox")).collect();
    let renamed = left.iter().filter_map(|row| {
        let on = row["delisted_utc"].as_str()?.get(..10)?.parse::<Date>().unwrap();
        let next =
            left.iter().find(|other| other["name"] == row["name"] && other["ticker"] != row["ticker"])?;
        Some((row["ticker"].as_str()?, next["ticker"].as_str()?, on))
    });
    assert!(renamed.count() > 5);
    // A known change: SQ until the evening before, XYZ from then on, at about the same price.
    let (from, on, to) = (date(2025, 1, 16), date(2025, 1, 21), date(2025, 1, 24));
    let (before, after) = (trial.minutes("SQ", from, to).await, trial.minutes("XYZ", from, to).await);
    assert!(!before.is_empty() && before.iter().all(|bar| start(bar) < new_york::day_start_ms(on)));
    assert!(after.iter().all(|bar| start(bar) > new_york::day_start_ms(on)));
    let price = |bar: Option<&Value>| number(bar.unwrap(), "c");
    assert!((0.9..1.1).contains(&(price(after.first()) / price(before.last()))));
    assert_eq!(trial.json("/v3/reference/tickers/XYZ").await["results"]["list_date"], "2015-11-19");
}

/// On these days a company is listed, is delisted, or changes its ticker.
#[tokio::test]
async fn lists_details_and_bars_agree_about_who_is_there() {
    for day in [
        date(2024, 3, 20),
        date(2024, 3, 21),
        date(2022, 10, 27),
        date(2022, 10, 28),
        date(2022, 6, 8),
        date(2022, 6, 9),
        date(2025, 1, 17),
        date(2025, 1, 21),
    ] {
        let trial = Trial::start(options_at(day, 21, 0)).await;
        let active = trial.results("/v3/reference/tickers?limit=1000").await;
        let left = trial.results("/v3/reference/tickers?limit=1000&active=false").await;
        let grouped = trial.results(&format!("/v2/aggs/grouped/locale/us/market/stocks/{day}")).await;
        for ticker in ["RDDT", "TWTR", "FB", "META", "SQ", "XYZ", "AAPL", "LEH"] {
            let is_listed = texts(&active, "ticker").contains(&ticker);
            let details = trial.get(&format!("/v3/reference/tickers/{ticker}")).await.status;
            assert_eq!(details == 200, is_listed, "{ticker} on {day}");
            let has_traded = !trial.minutes(ticker, day, day).await.is_empty();
            assert_eq!(has_traded, is_listed, "{ticker} on {day}");
            assert_eq!(texts(&grouped, "T").contains(&ticker), is_listed, "{ticker} on {day}");
            let gone: Vec<_> = left.iter().filter(|row| row["ticker"] == ticker).collect();
            assert!(gone.iter().all(|row| row["delisted_utc"].as_str().unwrap()[..10] <= *day.to_string()));
            assert_eq!(gone.len(), usize::from(has_left_by(ticker, day)), "{ticker} on {day}");
        }
        let tomorrow = trial.results("/v3/reference/tickers?limit=1000&date=2030-01-02").await;
        assert_eq!(tomorrow, active, "nothing of the future");
    }
}

/// Whether a company gave up a ticker by a day.
fn has_left_by(ticker: &str, day: Date) -> bool {
    let left = match ticker {
        "TWTR" => date(2022, 10, 28),
        "FB" => date(2022, 6, 9),
        "META" => date(2022, 1, 31),
        "SQ" => date(2025, 1, 21),
        "LEH" => date(2008, 9, 18),
        _ => return false,
    };
    left <= day
}
