//! Unknown symbols: no bar is a valid result, and a user who mistyped one is told.

use std::fs;

use jiff::civil::date;
use serde_json::json;

use crate::support::{Grab, Reply, Server, minutes, page};

/// A service with bars of these symbols in January, which answers for any other.
fn serving(known: &'static [&'static str]) -> Server {
    Server::start(move |request| {
        let has_bars = known.contains(&request.symbol()) && request.from() == "2024-01-01";
        let bars = if has_bars { minutes(date(2024, 1, 3), 5) } else { Vec::new() };
        Reply::json(200, page(request.symbol(), &bars, None))
    })
}

#[test]
fn symbols_without_any_bar_are_named_with_what_they_may_mean() {
    let server = serving(&["AAPL", "KIMpL"]);
    let grab = Grab::with_server(server.base_url());
    let report =
        grab.run("start --windows 2024-01,2024-02 --tickers AAPL,BRK-B,ZZZZ,BF.b,KIMpL").exits(0).stdout;
    let named = "3 symbols without any bar: BRK-B (did you mean BRK.B?), ZZZZ, BF.b (did you mean BF.B?)\n";
    assert!(
        report.starts_with("complete\n") && report.contains(&format!("\n  empty     {named}")),
        "{report}"
    );
    let status = grab.run("status").exits(0).stdout;
    assert!(format!("{status}\n").contains(&format!("\n  empty     {named}")), "{status}");
    let expected = json!({"symbols": 3, "first": [
        {"ticker": "BRK-B", "did_you_mean": "BRK.B"},
        {"ticker": "ZZZZ", "did_you_mean": null},
        {"ticker": "BF.b", "did_you_mean": "BF.B"},
    ]});
    for command in ["status --json", "resume --json"] {
        assert_eq!(grab.run(command).exits(0).json()["without_bars"], expected, "{command}");
    }
    // A window that was not answered yet may have bars.
    grab.run("start --plan-only --windows 2024-03 --tickers ZZZZ").exits(0);
    assert_eq!(grab.run("status --json").json()["without_bars"]["symbols"], 2);
}

#[test]
fn a_symbol_with_bars_in_one_window_is_not_named_and_one_that_is_not_found_is() {
    let server = Server::start(|request| match (request.symbol(), request.from()) {
        ("GONE", "2024-02-01") => Reply::json(404, r#"{"status":"NOT_FOUND"}"#),
        ("AAPL", "2024-01-01") => Reply::json(200, page("AAPL", &minutes(date(2024, 1, 3), 5), None)),
        (symbol, _) => Reply::json(200, page(symbol, &[], None)),
    });
    let grab = Grab::with_server(server.base_url());
    let report = grab.run("start --windows 2024-01,2024-02 --tickers AAPL,GONE --json").exits(11).json();
    let gone = json!({"symbols": 1, "first": [{"ticker": "GONE", "did_you_mean": null}]});
    assert_eq!(report["without_bars"], gone);
}

#[test]
fn of_many_the_first_twenty_are_named_and_how_many_more() {
    let server = serving(&[]);
    let grab = Grab::with_server(server.base_url());
    let list: Vec<_> = (0..27).map(|number| format!("X{number}")).collect();
    fs::write(grab.dir().join("list"), list.join("\n")).unwrap();
    let report = grab.run("start --windows 2024-01 --tickers-file list").exits(0).stdout;
    assert!(report.contains("27 symbols without any bar: X0, X1, X2,"), "{report}");
    assert!(report.contains(", X19 and 7 more\n"), "{report}");
}

#[test]
fn where_a_universe_is_kept_only_what_is_listed_is_suggested() {
    let grab = Grab::of_sandbox();
    grab.run("universe sync --sandbox --no-splits").exits(0);
    let start = "start --sandbox --windows 2024-01-03 --tickers BRK-B,BRKB,Aapl,NO-X --json";
    let first = grab.run(start).exits(0).json()["without_bars"]["first"].clone();
    let expected = json!([
        {"ticker": "BRK-B", "did_you_mean": "BRK.B"},
        {"ticker": "BRKB", "did_you_mean": "BRK.B"},
        {"ticker": "Aapl", "did_you_mean": "AAPL"},
        {"ticker": "NO-X", "did_you_mean": null},
    ]);
    assert_eq!(first, expected);
}

#[test]
fn a_form_that_no_symbol_has_is_refused_with_the_one_that_it_may_mean() {
    let grab = Grab::new();
    for (typed, meant) in [("BRK/B", "BRK.B"), ("brk.b", "BRK.B"), ("aapl", "AAPL"), ("BAC/PRL", "BACpL")] {
        let refused = grab.run(&format!("start --windows 2024 --tickers {typed}")).exits(2);
        assert!(refused.stderr.contains(&format!("did you mean \"{meant}\"?")), "{refused:?}");
    }
    fs::write(grab.dir().join("list"), "BRK B\nAAPL\n").unwrap();
    let refused = grab.run("start --windows 2024 --tickers-file list").exits(3);
    assert!(refused.stderr.contains("line 1: ' ' at character 4"), "{refused:?}");
    assert!(refused.stderr.contains("did you mean \"BRK.B\"?"), "{refused:?}");
}
