//! Reference data with the defects that were reported.

use std::collections::{BTreeMap, BTreeSet};

use super::{super::options::ReferenceQuality, *};

async fn defective() -> Trial {
    Trial::start(SandboxOptions { reference: ReferenceQuality::Defective, ..options() }).await
}

/// The rows of each ticker.
fn by_ticker(rows: &[Value]) -> BTreeMap<&str, Vec<&Value>> {
    let mut tickers = BTreeMap::<_, Vec<_>>::new();
    for row in rows {
        tickers.entry(row["ticker"].as_str().unwrap()).or_default().push(row);
    }
    tickers
}

const LIST: &str = "/v3/reference/tickers?limit=1000";

#[tokio::test]
async fn some_tickers_are_listed_twice_and_one_of_the_rows_is_older() {
    let (sound, trial) = (Trial::generated().await, defective().await);
    let rows = trial.results(LIST).await;
    let tickers = by_ticker(&rows);
    assert!(tickers.keys().copied().eq(texts(&sound.results(LIST).await, "ticker")));
    let twice: Vec<_> = tickers.values().filter(|rows| rows.len() == 2).collect();
    assert!(
        (3..30).contains(&twice.len()) && tickers.values().all(|rows| rows.len() <= 2),
        "{}",
        twice.len()
    );
    assert!(twice.iter().all(|rows| rows[0]["last_updated_utc"] != rows[1]["last_updated_utc"]));
    let differing = twice.iter().filter(|rows| rows[0]["cik"] != rows[1]["cik"]).count();
    assert!((1..twice.len()).contains(&differing), "{differing} of {}", twice.len());
    for limit in [1, 7, 100] {
        assert_eq!(trial.results(&format!("/v3/reference/tickers?limit={limit}")).await, rows, "{limit}");
    }
    let mut descending = trial.results("/v3/reference/tickers?limit=7&order=desc").await;
    descending.reverse();
    assert_eq!(descending, rows);
}

#[tokio::test]
async fn figis_are_missing_most_often_of_those_who_left() {
    let (sound, trial) = (Trial::generated().await, defective().await);
    let lacking = async |trial: &Trial, query: &str| {
        let rows = trial.results(&format!("{LIST}{query}")).await;
        let lacking = rows.iter().filter(|row| row.get("composite_figi").is_none());
        let tickers: BTreeSet<_> = lacking.map(|row| row["ticker"].as_str().unwrap()).collect();
        tickers.len() * 100 / by_ticker(&rows).len()
    };
    let (active, left) = (lacking(&trial, "").await, lacking(&trial, "&active=false").await);
    assert!(active > lacking(&sound, "").await && active < 40, "{active} %");
    assert!(left > lacking(&sound, "&active=false").await && left > 40, "{left} %");
}

#[tokio::test]
async fn rows_are_missing_on_some_days_of_the_past_and_never_today() {
    let (sound, trial) = (Trial::generated().await, defective().await);
    let share = async |day: &str| {
        let (of_all, there) = (
            sound.results(&format!("{LIST}&date={day}")).await,
            trial.results(&format!("{LIST}&date={day}")).await,
        );
        by_ticker(&there).len() * 100 / of_all.len()
    };
    assert!((55..80).contains(&share("2009-10-29").await), "the reported day");
    let mut poor = 0;
    for day in 1..=28 {
        let share = share(&format!("2015-06-{day:02}")).await;
        assert!(share == 100 || share < 80, "{share}");
        poor += u32::from(share < 100);
    }
    assert!((1..14).contains(&poor), "{poor}");
    let that_day = Trial::start(SandboxOptions {
        reference: ReferenceQuality::Defective,
        ..options_at(date(2009, 10, 29), 21, 0)
    });
    let today = that_day.await.results(LIST).await;
    let right = sound.results(&format!("{LIST}&date=2009-10-29")).await;
    assert_eq!(by_ticker(&today).len(), right.len(), "on the day itself");
}

#[tokio::test]
async fn some_splits_come_twice_and_some_in_odd_numbers() {
    let (sound, trial) = (Trial::generated().await, defective().await);
    for path in ["/v3/reference/splits?limit=1000", "/stocks/v1/splits?limit=1000"] {
        let (right, rows) = (sound.results(path).await, trial.results(path).await);
        let ids: BTreeSet<_> = texts(&rows, "id").into_iter().collect();
        assert_eq!(ids.len(), rows.len(), "no id twice");
        assert!(rows.len() > right.len() && rows.len() < right.len() * 3 / 2);
        let key = |row: &Value| (row["ticker"].to_string(), row["execution_date"].to_string());
        let ratio = |row: &Value| number(row, "split_from") / number(row, "split_to");
        let ratios: BTreeMap<_, _> = right.iter().map(|row| (key(row), ratio(row))).collect();
        assert!(rows.iter().all(|row| (ratio(row) / ratios[&key(row)] - 1.0).abs() < 1e-12), "{path}");
        let fractions = rows.iter().filter(|row| number(row, "split_to").fract() != 0.0).count();
        assert!(fractions > 0 && right.iter().all(|row| number(row, "split_to").fract() == 0.0));
        assert!(trial.get(path).await.text().contains(r#""split_from":1e+06,"split_to":2e+06"#), "{path}");
        let in_pages = trial.results(&path.replace("limit=1000", "limit=13")).await;
        assert_eq!(in_pages, rows, "{path}");
    }
}

#[tokio::test]
async fn bars_are_not_concerned() {
    let (sound, trial) = (Trial::generated().await, defective().await);
    for path in [
        "/v2/aggs/ticker/NVDA/range/1/day/2024-01-01/2024-12-31",
        "/v2/aggs/grouped/locale/us/market/stocks/2024-06-07",
    ] {
        assert_eq!(sound.get(path).await.text_without_id(), trial.get(path).await.text_without_id());
    }
}
