//! Tickers, splits, holidays, and the whole market's days.

use super::*;

#[tokio::test]
async fn a_ticker_to_the_letter() {
    let trial = Trial::generated().await;
    let reply = trial.get("/v3/reference/tickers?ticker=FB&active=false").await;
    let row = r#"{"ticker":"FB","name":"Meta Platforms, Inc. Class A Common Stock","market":"stocks","locale":"us","primary_exchange":"XNAS","type":"CS","active":false,"currency_name":"usd","cik":"0006332449","composite_figi":"BBG00KFXG3Z4","share_class_figi":"BBG001LGGJB7","last_updated_utc":"2022-06-09T00:00:00Z","delisted_utc":"2022-06-09T00:00:00Z"}"#;
    assert_eq!(
        reply.text_without_id(),
        format!(r#"{{"results":[{row}],"status":"OK","request_id":"ID","count":1}}"#)
    );
    let reply = trial.get("/v3/reference/tickers/KIMpL").await;
    let row = r#"{"ticker":"KIMpL","name":"Kimco Realty Corporation Class L Depositary Shares","market":"stocks","locale":"us","primary_exchange":"XNYS","type":"PFD","active":true,"currency_name":"usd","cik":"0006475926","composite_figi":"BBG00QN0W395","share_class_figi":"BBG00113S8V7","list_date":"2017-08-16"}"#;
    assert_eq!(reply.text_without_id(), format!(r#"{{"results":{row},"status":"OK","request_id":"ID"}}"#));
}

#[tokio::test]
async fn tickers_are_paged_in_both_orders() {
    let trial = Trial::generated().await;
    let whole = trial.results("/v3/reference/tickers?limit=1000&date=2015-06-01").await;
    assert!(texts(&whole, "ticker").is_sorted() && whole.len() > 100);
    let pages = trial.pages("/v3/reference/tickers?limit=17&date=2015-06-01").await;
    assert_eq!(pages.len(), whole.len().div_ceil(17));
    assert_eq!(pages[0]["count"], 17);
    let mut descending = trial.results("/v3/reference/tickers?limit=17&date=2015-06-01&order=desc").await;
    descending.reverse();
    assert_eq!(descending, whole);
    let default = trial.json("/v3/reference/tickers").await;
    assert_eq!(default["count"], 100);
}

#[tokio::test]
async fn the_cursor_pins_the_day_and_keeps_the_comparisons() {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let trial = Trial::generated().await;
    let page = trial.json("/v3/reference/tickers?limit=1&ticker.gte=AAPL&type=CS").await;
    let cursor = page["next_url"].as_str().unwrap().split_once("cursor=").unwrap().1.to_owned();
    let inside = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).unwrap()).unwrap();
    let (before, after) = inside.split_once("page_marker=AAPL%7C").unwrap();
    assert_eq!(before, "active=true&date=2026-11-20&limit=1&order=asc&");
    assert_eq!(&after[64..], "&sort=ticker&ticker.gte=AAPL&type=CS");
}

#[tokio::test]
async fn who_was_listed_depends_on_the_day() {
    let trial = Trial::generated().await;
    let found = async |query: &str| {
        let rows = trial.results(&format!("/v3/reference/tickers?{query}")).await;
        texts(&rows, "name").first().map(|name| (*name).to_owned())
    };
    let (etf, company) = (
        Some("Roundhill Ball Metaverse ETF".into()),
        Some("Meta Platforms, Inc. Class A Common Stock".into()),
    );
    assert_eq!(found("ticker=META&date=2021-12-01").await, etf);
    assert_eq!(found("ticker=META&date=2022-03-01").await, None);
    assert_eq!(found("ticker=META").await, company);
    assert_eq!(found("ticker=META&active=false").await, etf);
    assert_eq!(found("ticker=FB&date=2021-12-01").await, company);
    assert_eq!(found("ticker=LEH&date=2008-09-17").await, Some("Lehman Brothers Holdings Inc.".into()));
    assert_eq!(found("ticker=LEH&date=2008-09-18").await, None);
    assert_eq!(trial.get("/v3/reference/tickers/LEH").await.status, 404);
    assert_eq!(trial.get("/v3/reference/tickers/LEH?date=2008-09-17").await.status, 200);
    assert_eq!(found("market=crypto").await, None);
    assert_eq!(found("search=lehman&active=false").await, Some("Lehman Brothers Holdings Inc.".into()));
    assert_eq!(trial.get("/v3/reference/tickers?date=yesterday").await.status, 400);
    assert_eq!(trial.get("/v3/reference/tickers?sort=name").await.status, 400);
}

#[tokio::test]
async fn splits_of_both_endpoints_to_the_letter() {
    let trial = Trial::generated().await;
    let reply = trial.get("/v3/reference/splits?ticker=AAPL&execution_date.gte=2020-01-01").await;
    let id = serde_json::from_str::<Value>(&reply.text()).unwrap()["results"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(id.len() == 65 && id.starts_with('E'));
    let row = format!(r#""id":"{id}","split_from":1,"split_to":4,"ticker":"AAPL""#);
    let tail = r#""status":"OK","request_id":"ID""#;
    assert_eq!(
        reply.text_without_id(),
        format!(r#"{{"results":[{{"execution_date":"2020-08-31",{row}}}],{tail}}}"#)
    );
    let reply = trial.get("/stocks/v1/splits?ticker=AAPL&execution_date.gte=2020-01-01").await;
    let start = r#""adjustment_type":"forward_split","execution_date":"2020-08-31","historical_adjustment_factor":0.25"#;
    assert_eq!(reply.text_without_id(), format!(r#"{{"results":[{{{start},{row}}}],{tail}}}"#));
}

#[tokio::test]
async fn factors_are_cumulative() {
    let trial = Trial::generated().await;
    let rows = trial.results("/stocks/v1/splits?ticker=AAPL").await;
    let factors: Vec<_> = rows.iter().map(|row| row["historical_adjustment_factor"].to_string()).collect();
    // The last is the documented one: 1/56.
    assert_eq!(factors, ["0.25", "0.035714", "0.017857"]);
    let rows = trial
        .results("/stocks/v1/splits?ticker=SOXS&adjustment_type=reverse_split&sort=execution_date.asc")
        .await;
    assert_eq!(texts(&rows, "execution_date")[0], "2019-06-28");
    assert_eq!(number(&rows[0], "historical_adjustment_factor").to_string(), "2400000");
}

#[tokio::test]
async fn splits_are_paged_with_the_recorded_cursor() {
    let trial = Trial::generated().await;
    let whole = trial.results("/v3/reference/splits?limit=1000").await;
    assert!(texts(&whole, "execution_date").iter().rev().is_sorted() && whole.len() > 40);
    let pages = trial.pages("/v3/reference/splits?limit=3").await;
    // ap=3&as=&limit=3&order=desc&sort=execution_date
    let cursor = "YXA9MyZhcz0mbGltaXQ9MyZvcmRlcj1kZXNjJnNvcnQ9ZXhlY3V0aW9uX2RhdGU";
    assert!(pages[0]["next_url"].as_str().unwrap().ends_with(cursor));
    assert_eq!(trial.results("/v3/reference/splits?limit=3").await, whole);
    let successor = trial.results("/stocks/v1/splits?limit=7&sort=execution_date.desc").await;
    assert_eq!(texts(&successor, "id"), texts(&whole, "id"));
    let default = trial.json("/v3/reference/splits").await;
    assert_eq!(default["results"].as_array().unwrap().len(), 10);
    let sorted =
        trial.results("/stocks/v1/splits?sort=ticker,execution_date.desc&ticker.any_of=AAPL,NVDA").await;
    assert_eq!(
        texts(&sorted, "execution_date")[..4],
        ["2020-08-31", "2014-06-09", "2005-02-28", "2024-06-10"]
    );
    let reverse = trial.results("/v3/reference/splits?limit=1000&reverse_split=true").await;
    assert!(
        reverse.iter().all(|row| number(row, "split_from") > number(row, "split_to")) && !reverse.is_empty()
    );
}

#[tokio::test]
async fn a_day_of_the_whole_market_is_made_of_minutes() {
    let trial = Trial::generated().await;
    for day in [date(2024, 6, 7), date(2024, 7, 3)] {
        let path = format!("/v2/aggs/grouped/locale/us/market/stocks/{day}?adjusted=false");
        let body = trial.json(&path).await;
        let rows = body["results"].as_array().unwrap();
        assert!(rows.len() > 100 && body["count"] == rows.len() && body.get("ticker").is_none());
        for row in rows {
            let minutes = trial.minutes(row["T"].as_str().unwrap(), day, day).await;
            let sum = |field: &str| minutes.iter().map(|bar| number(bar, field)).sum::<f64>();
            assert!((number(row, "v") - sum("v")).abs() < 1e-6, "{row}");
            assert!((number(row, "n") - sum("n")).abs() < 0.5, "{row}");
            assert_eq!(start(row), new_york::at_ms(day, 16, 0));
        }
    }
    let order: Vec<_> =
        ["T", "v", "vw", "o", "c", "h", "l", "t", "n"].map(|key| format!("\"{key}\":")).into();
    let text = trial.get("/v2/aggs/grouped/locale/us/market/stocks/2024-06-07").await.text();
    assert!(order.iter().map(|key| text.find(key).unwrap()).is_sorted());
}

#[tokio::test]
async fn who_did_not_trade_is_not_in_the_market_and_early_and_late_minutes_count() {
    let trial = Trial::generated().await;
    // A full day and a half day; on both, some companies were not listed yet, and others no longer.
    for day in [date(2008, 9, 18), date(2022, 11, 25)] {
        let rows =
            trial.results(&format!("/v2/aggs/grouped/locale/us/market/stocks/{day}?adjusted=false")).await;
        let traded = texts(&rows, "T");
        let open = new_york::at_ms(day, 9, 30);
        let (mut early, mut absent) = (0, 0);
        for ticker in ["AAPL", "MSFT", "LEH", "META", "FB", "BRK.A", "KIMpL", "NOBODY"] {
            let minutes = trial.minutes(ticker, day, day).await;
            assert_eq!(traded.contains(&ticker), !minutes.is_empty(), "{ticker} on {day}");
            absent += usize::from(minutes.is_empty());
            early += minutes.iter().filter(|bar| start(bar) < open).count();
            let row = rows.iter().find(|row| row["T"] == ticker);
            let volume: f64 = minutes.iter().map(|bar| number(bar, "v")).sum();
            assert!((row.map_or(0.0, |row| number(row, "v")) - volume).abs() < 1e-6, "{ticker} on {day}");
        }
        assert!(early > 0 && absent > 1, "{day}: {early} early bars, {absent} absent");
    }
}

#[tokio::test]
async fn on_a_closed_day_the_market_has_no_results() {
    let trial = Trial::generated().await;
    for day in ["2024-01-01", "2024-01-06", "2026-11-23"] {
        let reply = trial.get(&format!("/v2/aggs/grouped/locale/us/market/stocks/{day}")).await;
        let expected = r#"{"queryCount":0,"resultsCount":0,"adjusted":true,"status":"OK","request_id":"ID"}"#;
        assert_eq!((reply.status, reply.text_without_id().as_str()), (200, expected));
    }
    assert_eq!(trial.get("/v2/aggs/grouped/locale/us/market/stocks/today").await.status, 400);
    let floor = SandboxOptions { history_from: Some(date(2024, 1, 2)), ..options() };
    let trial = Trial::start(floor).await;
    assert_eq!(trial.get("/v2/aggs/grouped/locale/us/market/stocks/2024-01-01").await.status, 403);
}

#[tokio::test]
async fn the_day_before_is_the_last_finished_session() {
    let trial = Trial::generated().await;
    let body = trial.json("/v2/aggs/ticker/AAPL/prev").await;
    let grouped = trial.json(&format!("/v2/aggs/grouped/locale/us/market/stocks/{TODAY}")).await;
    let grouped =
        grouped["results"].as_array().unwrap().iter().find(|row| row["T"] == "AAPL").unwrap().clone();
    assert_eq!((&body["ticker"], &body["results"][0]), (&Value::from("AAPL"), &grouped));
    assert_eq!(trial.json("/v2/aggs/ticker/NOBODY/prev").await["resultsCount"], 0);
}

#[tokio::test]
async fn holidays_are_those_to_come() {
    let trial = Trial::generated().await;
    let text = trial.get("/v1/marketstatus/upcoming").await.text();
    let thanksgiving = r#"[{"exchange":"NYSE","name":"Thanksgiving","date":"2026-11-26","status":"closed"},{"exchange":"NASDAQ""#;
    assert!(text.starts_with(thanksgiving), "{text}");
    let early = r#"{"exchange":"NYSE","name":"Thanksgiving","date":"2026-11-27","status":"early-close","open":"2026-11-27T14:30:00.000Z","close":"2026-11-27T18:00:00.000Z"}"#;
    assert!(text.contains(early), "{text}");
    assert!(!text.contains("2026-07") && text.contains("2027-07-05"));
}

#[tokio::test]
async fn the_market_is_open_extended_or_closed() {
    for (hour, early, market, after) in [
        (3, false, "closed", false),
        (5, true, "extended-hours", false),
        (12, false, "open", false),
        (17, false, "extended-hours", true),
        (21, false, "closed", false),
    ] {
        let now = new_york::at_ms(TODAY, hour, 0);
        let trial = Trial::start(SandboxOptions { now: Arc::new(move || now), ..options() }).await;
        let expected = format!(
            r#"{{"market":"{market}","earlyHours":{early},"afterHours":{after},"serverTime":"2026-11-20T{hour:02}:00:00-05:00","exchanges":{{"nyse":"{market}","nasdaq":"{market}","otc":"{market}"}},"currencies":{{"fx":"open","crypto":"open"}}}}"#
        );
        assert_eq!(trial.get("/v1/marketstatus/now").await.text(), expected);
    }
}
