//! Bars from a folder are served exactly as recorded, in every page.

use std::{fs, path::Path};

use flate2::{Compression, write::GzEncoder};
use tempfile::TempDir;

use super::*;

/// Tuesday 2024-01-02 09:30 in New York.
const OPEN: i64 = 1_704_205_800_000;

fn folder(name: &str, text: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(name), text).unwrap();
    folder
}

async fn serve(folder: &Path) -> Trial {
    Trial::start(SandboxOptions { recorded: Some(folder.to_owned()), ..options() }).await
}

#[tokio::test]
async fn a_body_to_the_letter() {
    let text = "t_ms_utc,o,h,l,c,v,vw,n\n\
                1704205800000,187.15,187.44,187.15,187.3,1029145,187.2983,4712\n\
                1704205860000,187.3001,187.3001,187,187.0,17798.430378,,\n\
                1704206000000,187,187,187,187,1,187,1\n";
    let folder = folder("KIMpL.csv", text);
    let trial = serve(folder.path()).await;
    let path = "/v2/aggs/ticker/KIMpL/range/1/minute/2024-01-02/2024-01-02?adjusted=false&sort=asc&limit=2";
    let expected = concat!(
        r#"{"ticker":"KIMpL","queryCount":2,"resultsCount":2,"adjusted":false,"results":["#,
        r#"{"v":1.029145e+06,"vw":187.2983,"o":187.15,"c":187.3,"h":187.44,"l":187.15,"t":1704205800000,"n":4712},"#,
        r#"{"v":17798.430378,"o":187.3001,"c":187,"h":187.3001,"l":187,"t":1704205860000}"#,
        r#"],"status":"OK","request_id":"ID","count":2,"next_url":"BASE/v2/aggs/ticker/KIMpL/range/1/minute/"#,
        r#"1704205920000/2024-01-02?cursor=YWRqdXN0ZWQ9ZmFsc2UmbGltaXQ9MiZzb3J0PWFzYw"}"#,
    );
    let reply = trial.get(path).await;
    assert_eq!(reply.text_without_id().replace(&trial.sandbox.base_url(), "BASE"), expected);
    assert_eq!(trial.results(path).await.len(), 3);
    assert_eq!(
        trial.json("/v2/aggs/ticker/KIMPL/range/1/minute/2024-01-02/2024-01-02").await["resultsCount"],
        0
    );
    let tickers = trial.results("/v3/reference/tickers").await;
    assert_eq!((tickers.len(), &tickers[0]["ticker"]), (1, &Value::from("KIMpL")));
    assert_eq!(trial.json("/v3/reference/tickers/KIMpL").await["results"]["list_date"], "2024-01-02");
}

#[tokio::test]
async fn duplicates_are_served_in_their_order_and_never_split() {
    let minutes = [0, 1, 1, 2, 2, 2, 3, 1, 4];
    let lines =
        minutes.iter().enumerate().map(|(at, minute)| format!("{},1,2,1,1,{at}\n", OPEN + minute * 60_000));
    let folder = folder("DUP.csv", &format!("t_ms_utc,o,h,l,c,v\n{}", lines.collect::<String>()));
    let trial = serve(folder.path()).await;
    for limit in 1..=10 {
        let path = format!("/v2/aggs/ticker/DUP/range/1/minute/2024-01-02/2024-01-02?limit={limit}");
        let volumes: Vec<_> =
            trial.results(&path).await.iter().map(|bar| bar["v"].as_u64().unwrap()).collect();
        assert_eq!(volumes, [0, 1, 2, 7, 3, 4, 5, 6, 8], "stably sorted, with pages of {limit}");
    }
    let day = &trial.results("/v2/aggs/grouped/locale/us/market/stocks/2024-01-02").await[0];
    assert_eq!(day["v"].as_u64(), Some(7 + 5 + 6 + 8), "a day has each minute once, the later one");
}

#[tokio::test]
async fn a_bar_at_the_very_end_of_a_session_is_kept() {
    let eight = new_york::at_ms(TODAY, 20, 0);
    let folder = folder("SPY.csv", &format!("t_ms_utc,o,h,l,c,v\n{eight},1,1,1,1,1\n"));
    let bars = serve(folder.path()).await.minutes("SPY", TODAY, TODAY).await;
    assert_eq!(bars.iter().map(start).collect::<Vec<_>>(), [eight]);
}

#[tokio::test]
async fn a_malformed_file_does_not_come_up() {
    let folder = folder("AAPL.csv", "t_ms_utc,o,h,l,c,v\n1704205800000,1,2,1,1,many\n");
    let asked = SandboxOptions { recorded: Some(folder.path().to_owned()), ..options() };
    let error = Sandbox::start(asked).await.unwrap_err();
    assert!(
        matches!(&error, SandboxError::Recorded { path, line: 2, .. } if path.ends_with("AAPL.csv")),
        "{error}"
    );
    let nowhere = SandboxOptions { recorded: Some(folder.path().join("none")), ..options() };
    assert!(matches!(Sandbox::start(nowhere).await, Err(SandboxError::Unreadable { .. })));
}

/// Serves a recorded file and compares every number with its text: the recorded text is the shortest form of its
/// float64.
pub(super) async fn comes_out_to_the_last_digit(recorded: &Path) {
    let ticker = recorded.file_name().unwrap().to_str().unwrap().strip_suffix(".csv.gz").unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::copy(recorded, folder.path().join(format!("{ticker}.csv.gz"))).unwrap();
    let trial = serve(folder.path()).await;
    let bars = trial.minutes(ticker, date(2003, 1, 1), TODAY).await;
    let mut lines =
        csv::Reader::from_reader(flate2::read::MultiGzDecoder::new(fs::File::open(recorded).unwrap()));
    let header = lines.headers().unwrap().clone();
    let mut rows: Vec<_> = lines.records().map(Result::unwrap).collect();
    rows.sort_by_key(|row| row[0].parse::<i64>().unwrap());
    assert!(!rows.is_empty(), "{}", recorded.display());
    assert_eq!(rows.len(), bars.len(), "{}", recorded.display());
    for (row, bar) in rows.iter().zip(&bars) {
        for (name, text) in header.iter().zip(row).filter(|(_, text)| !text.is_empty()) {
            let field = if name == "t_ms_utc" { "t" } else { name };
            assert_eq!(
                number(bar, field).to_bits(),
                text.parse::<f64>().unwrap().to_bits(),
                "{} {row:?}",
                recorded.display()
            );
        }
    }
}

#[tokio::test]
async fn real_recordings_come_out_to_the_last_digit() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/minute-bars");
    for file in [
        "blaizard-2024/MTD",
        "ibkr-aapl-2025-09-26/AAPL",
        "pyalgotrade-nt-2011/SPY",
        "yahoo-2019-12/IBDO",
        "yahoo-2019-12/SPY",
    ] {
        comes_out_to_the_last_digit(&fixtures.join(format!("{file}.csv.gz"))).await;
    }
}

#[tokio::test]
async fn compressed_files_may_have_several_members() {
    let members = ["t_ms_utc,o,h,l,c,v\n1704205800000,1,1,1,1,1\n", "1704205860000,1,1,1,1,2\n"];
    let gzipped = members.map(|text| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    });
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("A.csv.gz"), gzipped.concat()).unwrap();
    assert_eq!(serve(folder.path()).await.minutes("A", date(2024, 1, 2), date(2024, 1, 2)).await.len(), 2);
}
