//! Responses of the service, byte for byte as recorded or as in its own clients and documents.

use std::fs;

use crate::support::{Grab, Ran, Reply, Server, fixture, read_store};

fn answer(path: &str) -> String {
    fs::read_to_string(fixture("answers").join(path)).unwrap()
}

/// Why its task ended.
fn last_error(grab: &Grab) -> String {
    grab.manifest().query_row("SELECT last_error FROM tasks", [], |row| row.get(0)).unwrap()
}

/// A run over one day of one symbol; every request gets this body.
fn refused(status: u16, file: &str) -> (Grab, Ran) {
    let body = answer(&format!("errors/{file}.json"));
    let server = Server::start(move |_| Reply::json(status, body.clone()));
    let grab = Grab::with_server(server.base_url());
    let ran = grab.run("start --windows 2024-01-03 --tickers A --max-attempts 1 --json");
    (grab, ran)
}

#[test]
fn a_recorded_refusal_of_a_key_stops_the_run_and_burns_no_task() {
    for (file, words) in [("401_no_key", "API Key was not provided"), ("401_unknown_key", "Unknown API Key")]
    {
        let (grab, ran) = refused(401, file);
        let report = ran.exits(20).json();
        assert!(report["error"].as_str().unwrap().contains(words), "{file}: {report}");
        assert_eq!(grab.tasks(), ["A 2024-01-03 pending"], "{file}");
    }
}

#[test]
fn a_recorded_refusal_by_the_plan_is_never_an_absence() {
    for (file, words) in [
        ("403_not_authorized_entitlement", "You are not entitled to this data."),
        ("403_not_authorized_entitlement_options", "You are not entitled to this data."),
        ("403_not_authorized_timeframe", "Your plan doesn't include this data timeframe."),
        ("403_not_authorized_timeframe_range", "Your plan doesn't include this data timeframe."),
    ] {
        let (grab, ran) = refused(403, file);
        ran.exits(11);
        assert_eq!(grab.tasks(), ["A 2024-01-03 not_entitled"], "{file}");
        let error = last_error(&grab);
        assert!(error.contains(words), "{file}: {error}");
    }
}

#[test]
fn a_recorded_refusal_before_the_end_of_the_day_leaves_the_day_for_later() {
    let (grab, ran) = refused(403, "403_not_authorized_today_before_eod");
    let report = ran.exits(10).json();
    assert!(report["error"].as_str().unwrap().starts_with("not served yet: "), "{report}");
    assert_eq!(grab.tasks(), ["A 2024-01-03 pending"]);
}

#[test]
fn a_recorded_404_is_not_found() {
    let (grab, ran) = refused(404, "404_not_found_open-close_no_data");
    ran.exits(11);
    assert_eq!(grab.tasks(), ["A 2024-01-03 not_found"]);
    assert!(last_error(&grab).contains("Data not found."));
}

#[test]
fn the_recorded_words_of_a_429_are_about_the_pace() {
    let (grab, ran) = refused(429, "429_rate_limit_message_recorded_body_not");
    assert_ne!(ran.code, 0, "{ran:?}");
    assert_eq!(grab.tasks(), ["A 2024-01-03 failed"]);
    let error = last_error(&grab);
    assert!(error.starts_with("HTTP 429: too many requests: You've exceeded the maximum"), "{error}");
}

/// The mock has adjusted bars; for a request of bars as traded, the response must say that it has them.
#[test]
fn the_bars_of_the_vendors_own_mock_are_stored_as_they_are_written() {
    let mock = "official-client-mocks/v2__aggs__ticker__AAPL__range__1__day__2005-04-01__2005-04-04.json";
    let body = answer(mock).replace(r#""adjusted": true"#, r#""adjusted": false"#);
    let server = Server::start(move |_| Reply::json(200, body.clone()));
    let grab = Grab::with_server(server.base_url());
    grab.run("start --windows 2005-04-01..2005-04-04 --tickers AAPL").exits(0);
    let bars = &read_store(&grab.data_dir())["AAPL"];
    let numbers: Vec<_> = bars
        .iter()
        .map(|bar| (bar.timestamp, bar.open, bar.close, bar.volume, bar.vwap, bar.transactions))
        .collect();
    assert_eq!(
        numbers,
        [
            (1_112_331_600_000, 1.5032, 1.4604, 642_646_396.0, Some(1.469), Some(82_132)),
            (1_112_587_200_000, 1.4639, 1.4675, 578_172_308.0, Some(1.4589), Some(65_543)),
        ]
    );
}

/// Two pages of tickers, the second by the cursor of the first; a documented split; the two names of a company.
#[test]
fn the_lists_of_the_vendors_own_mocks_are_read() {
    let server = Server::start(|request| {
        let mock = |name: &str| {
            let host = format!("http://{}", request.header("host").unwrap());
            let text = answer(&format!("official-client-mocks/{name}"));
            Reply::json(200, text.replace("https://api.massive.com", &host))
        };
        match request.target.as_str() {
            target if target.starts_with("/stocks/v1/splits") => {
                Reply::json(200, answer("openapi-examples/stocks__v1__splits__200.json"))
            }
            target if target.contains("/events") => {
                mock("vX__reference__tickers__META__events+types=ticker_change.json")
            }
            target if target.contains("cursor=") => mock("v3__reference__tickers+cursor=YWN0aXZlPXRy~.json"),
            target if target.contains("active=true") => mock("v3__reference__tickers.json"),
            _ => Reply::json(200, r#"{"status":"OK","results":[{"ticker":"LEH","active":false}]}"#),
        }
    });
    let grab = Grab::with_server(server.base_url());
    let report = grab.run("universe sync --json").exits(0).json();
    assert_eq!(report["splits"]["kept"], 1, "{report}");
    let items = grab.run("universe list --json").exits(0).json();
    let listed: Vec<_> = items["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            ["ticker", "name", "type", "exchange"]
                .map(|field| item[field].as_str().unwrap_or_default().to_owned())
        })
        .collect();
    assert_eq!(
        listed,
        [
            ["A", "Agilent Technologies Inc.", "CS", "XNYS"],
            ["AA", "Alcoa Corporation", "CS", "XNYS"],
            ["AAA", "AAF First Priority CLO Bond ETF", "ETF", "ARCX"],
            ["AAAU", "Goldman Sachs Physical Gold ETF Shares", "ETF", "BATS"],
            ["LEH", "", "", ""],
        ]
    );
}
