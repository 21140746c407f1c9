//! A server that fails for all requests during lookups.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{in_pages, listed};
use crate::support::{Grab, Reply, Server};

const ACTIVE: [&str; 12] = ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L"];

#[test]
fn a_server_that_is_sick_for_a_while_costs_no_lookup() {
    let state = Mutex::new((0, None));
    let server = Server::start(move |request| {
        let ticker = request.target.strip_prefix("/v3/reference/tickers/");
        if ticker.is_none() && !request.is_control() {
            return in_pages(request, &ACTIVE, &[]);
        }
        let mut state = state.lock().unwrap();
        state.0 += usize::from(ticker.is_some());
        if state.0 > 3 {
            let since: Instant = *state.1.get_or_insert_with(Instant::now);
            if since.elapsed() < Duration::from_secs(2) {
                return Reply::body(503, "text/html", b"<h1>503 Service Unavailable</h1>".to_vec());
            }
        }
        let ticker = ticker.unwrap_or_default();
        Reply::json(
            200,
            format!(r#"{{"status":"OK","results":{{"ticker":"{ticker}","list_date":"2020-01-02"}}}}"#),
        )
    });
    let grab = Grab::with_server(server.base_url()).env("GRAB_MAX_ATTEMPTS", "2");
    let report = grab.run("universe sync --list-dates --json").exits(0).json();
    assert_eq!(report["without"], Value::Array(Vec::new()), "{report}");
    let dates = listed(&grab, "");
    assert!(dates.len() == 12 && dates.iter().all(|item| item["listed"] == "2020-01-02"), "{dates:?}");
}
