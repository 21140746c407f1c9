//! Which requests are accepted, which are refused with which message, and how responses are packed.

use std::{collections::BTreeSet, io::Read, num::NonZeroU32, time::Duration};

use flate2::read::GzDecoder;
use tokio::time::Instant;

use super::{
    super::{EndpointFamily, PlanRateLimit, TooManyBody},
    *,
};

const BARS: &str = "/v2/aggs/ticker/AAPL/range/1/minute/2024-01-02/2024-01-02";

#[tokio::test]
async fn a_key_comes_in_a_header_or_as_a_parameter() {
    let trial = Trial::start(SandboxOptions { key: Some("right".into()), ..options() }).await;
    let no_key = r#"{"status":"ERROR","request_id":"ID","error":"API Key was not provided"}"#;
    let unknown = r#"{"status":"ERROR","request_id":"ID","error":"Unknown API Key"}"#;
    let reply = trial.send(BARS, &[]).await;
    assert_eq!((reply.status, reply.text_without_id().as_str()), (401, no_key));
    let reply = trial.send(BARS, &[("authorization", "Bearer wrong")]).await;
    assert_eq!((reply.status, reply.text_without_id().as_str()), (401, unknown));
    let reply = trial.send(&format!("{BARS}?apiKey=wrong"), &[]).await;
    assert_eq!((reply.status, reply.text_without_id().as_str()), (401, unknown));
    assert_eq!(trial.send(BARS, &[("authorization", "Bearer right")]).await.status, 200);
    let reply = trial.send(&format!("{BARS}?apiKey=right&limit=5"), &[]).await;
    assert_eq!(reply.status, 200);
    assert!(reply.text().contains("next_url") && !reply.text().contains("right"), "{}", reply.text());
}

#[tokio::test]
async fn refusals_as_they_were_recorded() {
    let floor = SandboxOptions { history_from: Some(date(2024, 11, 20)), ..options() };
    let trial = Trial::start(floor).await;
    let aggs = |range: &str| format!("/v2/aggs/ticker/AAPL/range/1/minute/{range}");
    let upgrade = "Please upgrade your plan at https://polygon.io/pricing";
    let readable = "Use YYYY-MM-DD or Unix MS Timestamps";
    let error = |text: &str| format!(r#"{{"status":"ERROR","request_id":"ID","error":"{text}"}}"#);
    let message =
        |status, text: &str| format!(r#"{{"status":"{status}","request_id":"ID","message":"{text}"}}"#);
    let timeframe =
        message("NOT_AUTHORIZED", &format!("Your plan doesn't include this data timeframe. {upgrade}"));
    let unreadable = |name: &str| error(&format!("Could not parse the time parameter: '{name}'. {readable}"));
    let reversed = error("The parameter 'to' cannot be a time that occurs before 'from'");
    let bad_cursor = format!("{BARS}?cursor=garbage");
    for (path, status, body) in [
        (aggs("2025-01-03/2025-01-02"), 400, reversed),
        (aggs("1/2/2025/2025-01-02"), 404, "404 page not found".to_owned()),
        (aggs("soon/2025-01-02"), 400, unreadable("from")),
        (aggs("2025-01-02/20250103x"), 400, unreadable("to")),
        (aggs("2024-11-19/2024-11-21"), 403, timeframe),
        (bad_cursor, 400, error("Could not parse the parameter: 'cursor'")),
        ("/v3/reference/tickers/NOBODY".to_owned(), 404, message("NOT_FOUND", "Ticker not found.")),
        ("/v9/nothing".to_owned(), 404, "404 page not found".to_owned()),
    ] {
        let reply = trial.get(&path).await;
        assert_eq!((reply.status, reply.text_without_id()), (status, body), "{path}");
        let is_json = reply.text().starts_with('{');
        let content_type = if is_json { "application/json" } else { "text/plain; charset=utf-8" };
        assert_eq!(reply.headers["content-type"], content_type);
    }
}

#[tokio::test]
async fn what_the_plan_leaves_out_is_refused_and_the_rest_is_served() {
    let not_entitled = r#"{"status":"NOT_AUTHORIZED","request_id":"ID","message":"You are not entitled to this data. Please upgrade your plan at https://massive.com/pricing"}"#;
    let endpoints = [
        (EndpointFamily::Aggs, BARS),
        (EndpointFamily::Aggs, "/v2/aggs/ticker/AAPL/prev"),
        (EndpointFamily::Grouped, "/v2/aggs/grouped/locale/us/market/stocks/2024-01-02"),
        (EndpointFamily::Tickers, "/v3/reference/tickers"),
        (EndpointFamily::Tickers, "/v3/reference/tickers/AAPL"),
        (EndpointFamily::Splits, "/v3/reference/splits"),
        (EndpointFamily::Splits, "/stocks/v1/splits"),
        (EndpointFamily::MarketStatus, "/v1/marketstatus/now"),
        (EndpointFamily::MarketStatus, "/v1/marketstatus/upcoming"),
    ];
    let left_out = [
        &[EndpointFamily::Aggs, EndpointFamily::Tickers][..],
        &[EndpointFamily::Grouped, EndpointFamily::Splits],
        &[EndpointFamily::MarketStatus],
    ];
    for families in left_out {
        let forbidden: BTreeSet<_> = families.iter().copied().collect();
        let trial = Trial::start(SandboxOptions { forbidden: forbidden.clone(), ..options() }).await;
        for (family, path) in endpoints {
            let reply = trial.get(path).await;
            let is_forbidden = forbidden.contains(&family);
            assert_eq!(reply.status, if is_forbidden { 403 } else { 200 }, "{forbidden:?} {path}");
            assert_eq!(reply.text_without_id() == not_entitled, is_forbidden, "{path}");
        }
        assert_eq!(trial.get("/v9/nothing").await.status, 404);
    }
}

#[tokio::test]
async fn a_plan_without_an_endpoint_says_so_whatever_is_asked_of_it() {
    let forbidden = BTreeSet::from([EndpointFamily::Aggs]);
    let trial = Trial::start(SandboxOptions { forbidden, key: Some("right".into()), ..options() }).await;
    assert_eq!(trial.get(BARS).await.status, 401, "who asks comes first");
    let key = ("authorization", "Bearer right");
    assert_eq!(trial.send("/v2/aggs/ticker/AAPL/range/0/year/soon/late", &[key]).await.status, 403);
}

async fn limited_to(limit: PlanRateLimit) -> Trial {
    Trial::start(SandboxOptions { rate_limit: Some(limit), ..options() }).await
}

#[tokio::test]
async fn one_request_too_many_is_a_429() {
    let trial = limited_to(PlanRateLimit::per_minute(NonZeroU32::new(5).unwrap())).await;
    assert_eq!(trial.send(BARS, &[]).await.status, 401, "what is not let in does not count");
    for _ in 0..5 {
        assert_eq!(trial.get("/v1/marketstatus/now").await.status, 200);
    }
    let reply = trial.get("/v1/marketstatus/now").await;
    let text = "You've exceeded the maximum requests per minute, please wait or upgrade your subscription to continue. \
                https://polygon.io/pricing";
    assert_eq!(reply.status, 429);
    assert_eq!(
        reply.text_without_id(),
        format!(r#"{{"status":"ERROR","request_id":"ID","error":"{text}"}}"#)
    );
    assert!(!reply.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn a_429_may_have_no_body_and_may_tell_how_long_to_wait() {
    let one = PlanRateLimit::per_minute(NonZeroU32::MIN);
    for body in [TooManyBody::Json, TooManyBody::Empty] {
        for retry_after in [false, true] {
            let trial = limited_to(PlanRateLimit { body, retry_after, ..one }).await;
            assert_eq!(trial.get(BARS).await.status, 200);
            let headers = [("authorization", "Bearer key"), ("accept-encoding", "gzip")];
            let reply = trial.send(BARS, &headers).await;
            let is_json = body == TooManyBody::Json;
            assert_eq!((reply.status, reply.bytes.is_empty()), (429, !is_json), "{body:?}");
            for header in ["content-type", "content-encoding"] {
                assert_eq!(reply.headers.contains_key(header), is_json, "{body:?} {header}");
            }
            let seconds = reply.headers.get("retry-after").map(|value| value.to_str().unwrap().parse());
            assert_eq!(seconds.is_some(), retry_after);
            // The seconds that are left of the minute; a slow machine may have used up some.
            assert!(seconds.is_none_or(|seconds| (30..=60).contains(&seconds.unwrap())));
        }
    }
}

#[tokio::test]
async fn history_may_be_clipped_without_a_word() {
    let clipping = SandboxOptions { history_from: Some(date(2024, 1, 4)), clip_history: true, ..options() };
    let trial = Trial::start(clipping).await;
    let bars = trial.minutes("AAPL", date(2024, 1, 2), date(2024, 1, 5)).await;
    assert_eq!(bars, Trial::generated().await.minutes("AAPL", date(2024, 1, 4), date(2024, 1, 5)).await);
    assert!(trial.minutes("AAPL", date(2024, 1, 2), date(2024, 1, 3)).await.is_empty());
}

#[tokio::test]
async fn gzip_is_for_those_who_take_it() {
    let trial = Trial::generated().await;
    let key = ("authorization", "Bearer key");
    let plain = trial.send(BARS, &[key]).await;
    let packed = trial.send(BARS, &[key, ("accept-encoding", "deflate, gzip;q=0.8")]).await;
    let declined = trial.send(BARS, &[key, ("accept-encoding", "gzip;q=0, br")]).await;
    assert_eq!(packed.headers["content-encoding"], "gzip");
    assert!(
        !plain.headers.contains_key("content-encoding") && !declined.headers.contains_key("content-encoding")
    );
    assert!(packed.bytes.len() * 2 < plain.bytes.len());
    let mut text = String::new();
    GzDecoder::new(&packed.bytes[..]).read_to_string(&mut text).unwrap();
    let unpacked = Reply { bytes: text.into_bytes(), ..packed };
    assert_eq!(unpacked.text_without_id(), plain.text_without_id());
}

#[tokio::test]
async fn headers_as_they_were_recorded() {
    let trial = Trial::generated().await;
    let reply = trial.get(BARS).await;
    assert_eq!(reply.headers["content-type"], "application/json");
    assert_eq!(reply.headers["content-length"], reply.bytes.len().to_string().as_str());
    assert_eq!(reply.headers["vary"], "Accept-Encoding");
    assert!(reply.headers["server"].to_str().unwrap().starts_with("nginx"));
    let id = reply.headers["x-request-id"].to_str().unwrap();
    assert!(reply.text().contains(id));
    assert_ne!(trial.get(BARS).await.headers["x-request-id"], id);
}

#[tokio::test]
async fn only_get_is_answered() {
    let trial = Trial::generated().await;
    let url = format!("{}/v1/marketstatus/now", trial.sandbox.base_url());
    let response = trial.client.post(url).header("authorization", "Bearer key").send().await.unwrap();
    assert_eq!(response.status(), 404);
}

#[tokio::test(start_paused = true)]
async fn latency_holds_answers_back() {
    let latency = Duration::from_hours(1);
    let trial = Trial::start(SandboxOptions { latency, ..options() }).await;
    let asked = Instant::now();
    trial.get("/v1/marketstatus/now").await;
    assert!(asked.elapsed() >= latency);
}

#[tokio::test]
async fn a_sandbox_is_for_this_machine_alone() {
    let listen = "0.0.0.0:0".parse().unwrap();
    let error = Sandbox::start(SandboxOptions { listen, ..options() }).await.unwrap_err();
    assert!(matches!(error, SandboxError::NotLoopback { address } if address == listen));
}

#[tokio::test]
async fn a_closed_sandbox_leaves_its_port_free() {
    let trial = Trial::generated().await;
    trial.get("/v1/marketstatus/now").await;
    let listen = trial.sandbox.base_url().strip_prefix("http://").unwrap().parse().unwrap();
    let again = || Sandbox::start(SandboxOptions { listen, ..options() });
    assert!(matches!(again().await, Err(SandboxError::Bind { .. })));
    trial.sandbox.closed().await;
    assert!(again().await.is_ok());
}
