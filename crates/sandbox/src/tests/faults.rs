//! Each fault as a client sees it.

use std::{
    collections::BTreeSet,
    error::Error,
    io::{self, Read},
    time::{Duration, Instant},
};

use clap::ValueEnum;
use flate2::read::GzDecoder;

use super::{
    super::{Fault, FaultOptions, WireFault, WrongAnswer, WrongBars},
    *,
};

/// Two days of a ticker that was split later.
const BARS: &str = "/v2/aggs/ticker/NVDA/range/1/minute/2024-01-02/2024-01-03?adjusted=false&limit=50000";

const STALL: Duration = Duration::from_millis(300);

/// How a response failed: before its head, or after it.
#[derive(Debug)]
enum Broken {
    Head(reqwest::Error),
    Body(reqwest::Error),
}

/// A market in which the first two responses to every request have this fault.
async fn broken(kind: Fault) -> Trial {
    let faults = FaultOptions { kinds: [kind].into(), stall: STALL, ..FaultOptions::of(1.0) };
    Trial::start(SandboxOptions { faults: Some(faults), ..options() }).await
}

async fn ask(trial: &Trial, headers: &[(&'static str, &str)]) -> Result<Reply, Broken> {
    let request = trial.client.get(format!("{}{BARS}", trial.sandbox.base_url())).bearer_auth("key");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let response = request.send().await.map_err(Broken::Head)?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Ok(Reply { status, headers, bytes: response.bytes().await.map_err(Broken::Body)?.to_vec() })
}

/// The first response to a request with this fault, and how long it took.
async fn first(kind: Fault) -> (Result<Reply, Broken>, Duration) {
    let trial = broken(kind).await;
    let begun = Instant::now();
    (ask(&trial, &[]).await, begun.elapsed())
}

async fn instead(kind: WrongAnswer) -> Reply {
    first(Fault::Instead(kind)).await.0.unwrap()
}

/// A page without the fields that differ in every response.
async fn page(trial: &Trial) -> Value {
    let mut page = trial.json(BARS).await;
    page.as_object_mut().unwrap().remove("request_id");
    let here = trial.sandbox.base_url();
    if let Some(next) = page["next_url"].as_str() {
        page["next_url"] = next.replace(&here, "HERE").into();
    }
    page
}

async fn spoilt(kind: WrongBars) -> Value {
    page(&broken(Fault::InBars(kind)).await).await
}

async fn honest() -> Value {
    page(&Trial::generated().await).await
}

/// The rows of a page whose count must be right.
fn rows(page: &Value) -> Vec<Value> {
    let rows = page["results"].as_array().cloned().unwrap_or_default();
    assert_eq!(page["resultsCount"], rows.len());
    rows
}

/// A page without its bars.
fn envelope(page: &Value) -> Value {
    let mut page = page.clone();
    page.as_object_mut().unwrap().retain(|name, _| !matches!(&**name, "results" | "resultsCount" | "count"));
    page
}

fn sorted(mut rows: Vec<Value>) -> Vec<Value> {
    rows.sort_by_key(start);
    rows
}

fn is_reset(error: &reqwest::Error) -> bool {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    let mut kinds = causes.filter_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    kinds.any(|kind| kind == io::ErrorKind::ConnectionReset)
}

#[tokio::test]
async fn two_answers_are_broken_and_the_third_is_true_whatever_the_fault() {
    let truth = honest().await;
    for kind in Fault::value_variants() {
        let trial = broken(*kind).await;
        for _ in 0..2 {
            let answer = ask(&trial, &[]).await;
            let is_true = answer.is_ok_and(|reply| {
                let page = serde_json::from_slice::<Value>(&reply.bytes);
                page.is_ok_and(|page| {
                    page["results"] == truth["results"]
                        && envelope(&page)["next_url"].is_null()
                        && page["ticker"] == "NVDA"
                        && page["resultsCount"] == truth["resultsCount"]
                })
            });
            let comes_late = matches!(kind, Fault::OnWire(WireFault::Stall | WireFault::StallInBody));
            assert_eq!(is_true, comes_late, "{kind:?}");
        }
        assert_eq!(page(&trial).await, truth, "{kind:?}");
    }
}

#[tokio::test]
async fn errors_of_a_proxy_are_html() {
    let error = instead(WrongAnswer::ServerError).await;
    assert!([500, 502, 503, 504].contains(&error.status), "{}", error.status);
    assert!(error.text().contains("nginx/1.19.2"), "{}", error.text());
    assert_eq!(error.headers["content-type"], "text/html");
    assert_eq!(instead(WrongAnswer::Timeout).await.status, 408);
    let portal = instead(WrongAnswer::Html).await;
    assert_eq!((portal.status, &portal.text()[..6]), (200, "<html>"));
}

#[tokio::test]
async fn refusals_of_good_questions() {
    let bad = instead(WrongAnswer::BadRequest).await;
    assert_eq!(bad.status, 400);
    assert!(bad.text().contains("cannot be a time that occurs before 'from'"), "{}", bad.text());
    let forbidden = instead(WrongAnswer::NotEntitled).await;
    assert_eq!(forbidden.status, 200);
    assert!(forbidden.text().starts_with(r#"{"status":"NOT_AUTHORIZED""#), "{}", forbidden.text());
}

#[tokio::test]
async fn too_many_requests_come_with_and_without_the_time_to_wait() {
    let trial = broken(Fault::Instead(WrongAnswer::TooMany)).await;
    let mut waits = BTreeSet::new();
    for day in 10..30 {
        let reply = trial.get(&format!("/v2/aggs/ticker/A/range/1/day/2024-01-{day}/2024-01-{day}")).await;
        assert_eq!(reply.status, 429);
        waits.insert(reply.headers.get("retry-after").map(|value| value.to_str().unwrap().to_owned()));
    }
    assert_eq!(waits.into_iter().collect::<Vec<_>>(), [None, Some("1".to_owned())]);
}

#[tokio::test]
async fn resets_are_resets() {
    let (answer, _) = first(Fault::OnWire(WireFault::Reset)).await;
    assert!(matches!(&answer, Err(Broken::Head(error)) if is_reset(error)), "{:?}", answer.err());
    let (answer, _) = first(Fault::OnWire(WireFault::ResetInBody)).await;
    assert!(matches!(&answer, Err(Broken::Body(error)) if is_reset(error)), "{:?}", answer.err());
}

#[tokio::test]
async fn bodies_that_end_early_end_cleanly() {
    let (answer, time) = first(Fault::OnWire(WireFault::EarlyEnd)).await;
    assert!(matches!(&answer, Err(Broken::Body(error)) if !is_reset(error)), "{:?}", answer.err());
    assert!(time < STALL);
    let (answer, time) = first(Fault::OnWire(WireFault::WrongLength)).await;
    assert!(matches!(&answer, Err(Broken::Body(error)) if !is_reset(error)), "{:?}", answer.err());
    assert!(time >= STALL, "silence comes first");
}

#[tokio::test]
async fn stalls_pass() {
    let truth = honest().await;
    for kind in [WireFault::Stall, WireFault::StallInBody] {
        let (answer, time) = first(Fault::OnWire(kind)).await;
        let page: Value = serde_json::from_slice(&answer.unwrap().bytes).unwrap();
        assert_eq!(page["results"], truth["results"]);
        assert!(time >= STALL, "{time:?}");
    }
}

#[tokio::test]
async fn bodies_are_cut_behind_an_honest_length() {
    let trial = broken(Fault::OnWire(WireFault::Truncated)).await;
    let plain = ask(&trial, &[]).await.unwrap();
    assert!(plain.text().starts_with(r#"{"ticker":"NVDA""#) && !plain.text().ends_with('}'));
    let packed = ask(&trial, &[("accept-encoding", "gzip")]).await.unwrap();
    assert_eq!(packed.headers["content-encoding"], "gzip");
    let mut unpacked = String::new();
    let error = GzDecoder::new(&packed.bytes[..]).read_to_string(&mut unpacked).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn bars_come_twice_or_in_disorder() {
    let truth = rows(&honest().await);
    let doubled = rows(&spoilt(WrongBars::Doubled).await);
    assert!(doubled.len() > truth.len());
    let mut once = sorted(doubled);
    once.dedup();
    assert_eq!(once, truth);

    let unequal = rows(&spoilt(WrongBars::DoubledUnequal).await);
    assert!(unequal.len() > truth.len());
    for bar in &truth {
        let copies: Vec<_> = unequal.iter().filter(|copy| start(copy) == start(bar)).collect();
        assert_eq!(copies.last(), Some(&bar), "the last copy is the true one");
        assert!(copies.len() == 1 || copies[0] != bar);
    }

    let unsorted = rows(&spoilt(WrongBars::Unsorted).await);
    assert_ne!(unsorted, truth);
    assert_eq!(sorted(unsorted), truth);
}

#[tokio::test]
async fn a_bar_comes_that_was_not_asked_for() {
    let truth = rows(&honest().await);
    let outside = rows(&spoilt(WrongBars::Outside).await);
    let strange: Vec<_> = outside.iter().filter(|bar| !truth.contains(bar)).collect();
    assert_eq!((outside.len(), strange.len()), (truth.len() + 1, 1));
    assert!(start(strange[0]) >= new_york::day_start_ms(date(2024, 1, 4)), "{strange:?}");
}

#[tokio::test]
async fn the_envelope_is_about_something_else() {
    let truth = honest().await;
    assert_eq!(spoilt(WrongBars::WrongTicker).await["ticker"], "ZVZZT");
    let count = spoilt(WrongBars::WrongCount).await;
    assert!(count["resultsCount"].as_u64() > truth["resultsCount"].as_u64());
    assert_eq!(count["results"], truth["results"]);
    let adjusted = spoilt(WrongBars::WrongAdjusted).await;
    assert_eq!(adjusted["adjusted"], true);
    let ratio = number(&rows(&truth)[0], "c") / number(&rows(&adjusted)[0], "c");
    assert!(ratio > 1.5, "the prices are adjusted too: {ratio}");
}

#[tokio::test]
async fn pages_name_others_that_are_not_the_next() {
    let truth = honest().await;
    let repeated = spoilt(WrongBars::RepeatedNext).await;
    assert_eq!((&repeated["next_url"], rows(&repeated)), (&format!("HERE{BARS}").into(), rows(&truth)));
    let foreign = spoilt(WrongBars::ForeignNext).await;
    assert_eq!(foreign["next_url"], format!("http://elsewhere.invalid{BARS}"));
    assert_eq!(rows(&foreign), rows(&truth));
}

#[tokio::test]
async fn an_empty_page_leads_to_the_bars() {
    let trial = broken(Fault::InBars(WrongBars::EmptyPage)).await;
    let results = trial.results(BARS).await;
    assert_eq!(results, rows(&honest().await));
    let pages = trial.pages(BARS).await;
    assert!(rows(&pages[0]).is_empty() && pages.len() > 1);
}

#[tokio::test]
async fn lies_look_like_the_truth() {
    let truth = honest().await;
    let empty = spoilt(WrongBars::FalseEmpty).await;
    assert!(rows(&empty).is_empty() && empty["results"].is_null() && empty["next_url"].is_null());

    let missing = spoilt(WrongBars::MissingDay).await;
    let day = |row: &Value| new_york::date_of(start(row));
    let days: BTreeSet<_> = rows(&missing).iter().map(day).collect();
    assert_eq!(days.len(), 1);
    let expected: Vec<_> = rows(&truth).into_iter().filter(|row| days.contains(&day(row))).collect();
    assert_eq!(rows(&missing), expected);

    let early = spoilt(WrongBars::LateRevision).await;
    assert_eq!(envelope(&early), envelope(&truth));
    for (before, after) in rows(&early).iter().zip(&rows(&truth)) {
        let is_last = day(after) == Some(date(2024, 1, 3));
        assert_eq!(number(before, "v") < number(after, "v"), is_last);
    }
}

#[tokio::test]
async fn lies_are_told_only_where_they_are_wanted() {
    let kinds = FaultOptions::of(0.5).kinds;
    let lies: Vec<_> = Fault::value_variants().iter().filter(|kind| !kinds.contains(kind)).collect();
    let names = lies.iter().map(|kind| kind.to_possible_value().unwrap().get_name().to_owned());
    let expected = ["not-entitled", "false-empty", "missing-day", "late-revision"];
    assert_eq!(names.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn the_same_seed_breaks_the_same_answers() {
    let run = async |seed| {
        let faults = FaultOptions { stall: Duration::ZERO, ..FaultOptions::of(0.5) };
        let trial = Trial::start(SandboxOptions { seed, faults: Some(faults), ..options() }).await;
        let mut seen = Vec::new();
        for _ in 0..12 {
            let shown = ask(&trial, &[]).await.map(|reply| (reply.status, reply.bytes.len()));
            seen.push(shown.map_err(|broken| matches!(broken, Broken::Head(_))));
        }
        seen
    };
    assert_eq!(run(7).await, run(7).await);
    assert_ne!(run(7).await, run(8).await);
}
