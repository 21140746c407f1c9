//! Lists with wrong listing periods, and a witness that saw the market.

use serde_json::json;

use super::*;
use crate::support::{bars_of, read_store};

/// The lists' rows of S; Z is always listed and always trades.
#[derive(Clone, Copy, Default)]
struct Said {
    /// The list date of its details.
    listed: Option<&'static str>,
    /// The day on which it was delisted, if it was.
    left: Option<&'static str>,
    /// Its type, and that of a fund that had the ticker until this day.
    fund_until: Option<&'static str>,
}

const JANUARY: &str = "start --universe us-stocks --windows 2024-01";

/// The sessions of January 2024.
fn sessions() -> Vec<Date> {
    let window = grab_model::Window::new(january(1), january(31)).unwrap();
    grab_model::calendar::sessions(window).map(grab_model::calendar::Session::date).collect()
}

/// S trades on each session of January, and so does Z.
fn serving(said: Said) -> Server {
    Server::start(move |request| {
        if let Some(day) = request.market_day() {
            let volume: f64 = bars_of(&[day]).iter().map(|bar| bar.volume).sum();
            return Reply::json(200, market_page(day, &[("S", volume), ("Z", volume)]));
        }
        answer_lists(request, said)
    })
}

/// Answers for the lists, and the bars.
fn answer_lists(request: &Request, said: Said) -> Reply {
    let path = request.target.split('?').next().unwrap();
    match path.split('/').collect::<Vec<_>>()[1..] {
        ["v3", "reference", "tickers"] => {
            let rows = rows(said, request.target.contains("active=true"));
            Reply::json(200, json!({ "status": "OK", "results": rows }).to_string())
        }
        ["v3", "reference", "tickers", "S"] if said.listed.is_some() => {
            let details = json!({ "ticker": "S", "list_date": said.listed });
            Reply::json(200, json!({ "status": "OK", "results": details }).to_string())
        }
        ["v3", "reference", ..] => Reply::json(404, r#"{"status":"NOT_FOUND"}"#),
        ["stocks", "v1", "splits"] => Reply::json(200, r#"{"status":"OK"}"#),
        _ => {
            let asked = asked(request);
            let days: Vec<_> = sessions().into_iter().filter(|day| asked.contains(day)).collect();
            Reply::json(200, page(request.symbol(), &bars_of(&days), None))
        }
    }
}

fn rows(said: Said, is_active: bool) -> Vec<Value> {
    let row = |ticker: &str, kind: &str, figi: &str, left: Option<&str>| {
        let left = left.map(|day| format!("{day}T00:00:00Z"));
        let is_active = left.is_none();
        json!({ "ticker": ticker, "type": kind, "composite_figi": figi, "active": is_active, "delisted_utc": left })
    };
    let fund = said.fund_until.map(|until| row("S", "ETF", "F9", Some(until)));
    let all = [Some(row("S", "CS", "F1", said.left)), Some(row("Z", "CS", "F2", None)), fund];
    all.into_iter().flatten().filter(|row| row["active"] == is_active).collect()
}

/// The days of a request.
fn asked(request: &Request) -> std::ops::RangeInclusive<Date> {
    let path = request.target.split('?').next().unwrap();
    let mut ends = path.rsplit('/').map(|end| match end.parse::<Date>() {
        Ok(date) => date,
        Err(_) => grab_model::new_york::date_of(end.parse().unwrap()).unwrap(),
    });
    let to = ends.next().unwrap();
    ends.next().unwrap()..=to
}

/// A store of a subscription, after the lists have fetched list dates.
fn ordered(server: &Server, start: &str) -> Grab {
    let grab = Grab::with_server(server.base_url()).env("GRAB_NOW", "2024-02-01T12:00:00Z");
    grab.run("universe sync --list-dates").exits(0);
    grab.run(start).exits(0);
    grab
}

/// The number of days of S that are stored.
fn held(grab: &Grab) -> usize {
    read_store(&grab.data_dir()).get("S").map_or(0, |bars| bars.len() / 30)
}

/// The findings of the witness, what a repair requests, and the remaining findings.
fn healed(grab: &Grab) -> (Vec<String>, Vec<String>, Vec<String>) {
    let found = findings(&grab.run(&format!("{VERIFY} --json")).exits(13).json());
    let repaired = grab.run("repair --json").exits(0).json();
    let window = |asked: &Value| {
        ["from", "to"].map(|end| asked["window"][end].as_str().unwrap().to_owned()).join("..")
    };
    let asked = repaired["asked_again"].as_array().unwrap().iter().map(window).collect();
    let left = grab.run("verify --deep --json").exits(0).json();
    assert_eq!(left["coverage"]["ratio"], 1.0, "{left}");
    assert_eq!(held(grab), 21);
    assert_eq!(grab.run("repair --json").exits(0).json()["requests"], 0);
    (found, asked, findings(&left))
}

#[test]
fn a_list_date_that_is_too_late_loses_nothing() {
    let server = serving(Said { listed: Some("2024-01-17"), ..Said::default() });
    let grab = ordered(&server, JANUARY);
    assert_eq!(held(&grab), 11);
    let report = grab.run(&format!("{VERIFY} --json")).exits(13).json();
    assert_eq!(coverage(&report), [42, 32], "S is expected on all sessions");
    let finding = &report["findings"][0];
    assert_eq!((&finding["date"], &finding["to"]), (&"2024-01-02".into(), &"2024-01-16".into()), "{report}");
    let detail = finding["detail"].as_str().unwrap();
    let said = "10 sessions to 2024-01-16 with trades were never requested, because the lists have the symbol from \
                2024-01-17 on: the witness counts 300";
    assert!(detail.starts_with(said), "{detail}");
    let (found, asked, left) = healed(&grab);
    assert_eq!(found, ["missing_session S 2024-01-02"]);
    assert_eq!(asked, ["2024-01-02..2024-01-16"]);
    assert_eq!(left, ["outside_listing S 2024-01-02"], "bars are believed, and the list is named");
    assert_eq!(grab.run(&format!("{JANUARY} --json")).exits(0).json()["requests"], 0);
}

#[test]
fn a_day_of_leaving_that_is_too_early_loses_nothing() {
    let server = serving(Said { left: Some("2024-01-10"), ..Said::default() });
    let grab = ordered(&server, JANUARY);
    assert_eq!(held(&grab), 7);
    let (found, asked, left) = healed(&grab);
    assert_eq!(found, ["missing_session S 2024-01-11"]);
    assert_eq!(asked, ["2024-01-11..2024-01-31"]);
    assert_eq!(left, ["outside_listing S 2024-01-11"]);
}

#[test]
fn lists_that_are_wrong_at_both_ends_lose_nothing() {
    let server = serving(Said { listed: Some("2024-01-09"), left: Some("2024-01-17"), ..Said::default() });
    let grab = ordered(&server, JANUARY);
    let (found, asked, left) = healed(&grab);
    assert_eq!(found, ["missing_session S 2024-01-02", "missing_session S 2024-01-18"]);
    assert_eq!(asked, ["2024-01-02..2024-01-08", "2024-01-18..2024-01-31"]);
    assert_eq!(left, ["outside_listing S 2024-01-02", "outside_listing S 2024-01-18"]);
}

#[test]
fn a_symbol_that_lists_cut_away_as_a_whole_is_found() {
    for said in [
        Said { listed: Some("2025-03-03"), ..Said::default() },
        Said { left: Some("2010-03-03"), ..Said::default() },
    ] {
        let server = serving(said);
        let grab = ordered(&server, JANUARY);
        assert_eq!(held(&grab), 0);
        let (found, asked, left) = healed(&grab);
        assert_eq!(found, ["missing_symbol S 2024-01-02"]);
        assert_eq!(asked, ["2024-01-02..2024-01-31"]);
        assert_eq!(left, ["outside_listing S 2024-01-02"]);
    }
}

#[test]
fn an_order_by_a_day_means_who_traded_on_it_whatever_the_lists_say() {
    let server = serving(Said { listed: Some("2024-01-17"), ..Said::default() });
    let grab = ordered(&server, &format!("{JANUARY} --as-of 2024-01-05"));
    assert_eq!(held(&grab), 0, "by the list it was not active then");
    let found = findings(&grab.run(&format!("{VERIFY} --json")).exits(13).json());
    assert_eq!(found, ["missing_symbol S 2024-01-02"]);
    let later = ordered(&server, &format!("{JANUARY} --as-of 2023-12-29"));
    later.run(VERIFY).exits(0);
}

#[test]
fn trades_of_another_security_under_the_ticker_are_not_expected() {
    let server =
        serving(Said { listed: Some("2024-01-17"), fund_until: Some("2024-01-16"), ..Said::default() });
    let grab = ordered(&server, &format!("{JANUARY} --type CS"));
    let report = grab.run(&format!("{VERIFY} --json")).exits(0).json();
    assert_eq!((findings(&report), coverage(&report)), (vec![], [32, 32]));
}

#[test]
fn what_nobody_ordered_is_not_expected() {
    let server = serving(Said { listed: Some("2024-01-17"), ..Said::default() });
    let grab = ordered(&server, "start --tickers Z,S --windows 2024-01-17..2024-01-31");
    grab.run("start --tickers Z --windows 2024-01").exits(0);
    let report = grab.run(&format!("{VERIFY} --json")).exits(0).json();
    assert_eq!(findings(&report), [""; 0]);
}

#[test]
fn between_bars_that_contradict_a_list_sessions_are_expected() {
    let server = Server::start(|request| {
        if request.target.starts_with("/v2/aggs/") {
            // The fifth is missing, and the days from the tenth to the twelfth just before the list date.
            let days = sessions().into_iter().filter(|day| !matches!(day.day(), 5 | 10..=12));
            return Reply::json(200, page("S", &bars_of(&days.collect::<Vec<_>>()), None));
        }
        let said = Said { listed: Some("2024-01-16"), ..Said::default() };
        match request.target.split('?').next().unwrap() {
            "/v3/reference/tickers" => {
                let rows = rows(said, request.target.contains("active=true"));
                Reply::json(200, json!({ "status": "OK", "results": rows }).to_string())
            }
            "/v3/reference/tickers/S" => {
                Reply::json(200, r#"{"status":"OK","results":{"ticker":"S","list_date":"2024-01-16"}}"#)
            }
            "/stocks/v1/splits" => Reply::json(200, r#"{"status":"OK"}"#),
            _ => Reply::json(404, r#"{"status":"NOT_FOUND"}"#),
        }
    });
    let grab = ordered(&server, "start --tickers S --windows 2024-01");
    let report = grab.run("verify --json").exits(13).json();
    let expected =
        ["missing_session S 2024-01-05", "missing_session S 2024-01-10", "outside_listing S 2024-01-02"];
    assert_eq!(findings(&report), expected);
    let detail = report["findings"][2]["detail"].as_str().unwrap();
    let said = "5 sessions to 2024-01-09 have bars, and the lists have the symbol from 2024-01-16 on: the bars are used";
    assert_eq!(detail, said);
}

#[test]
fn a_symbol_that_no_list_knows_is_named() {
    let server = Server::start(|request| {
        if let Some(day) = request.market_day() {
            let volume: f64 = bars_of(&[day]).iter().map(|bar| bar.volume).sum();
            let traded = [("S", volume), ("XTRA", 3.0), ("Z", volume)];
            return Reply::json(200, market_page(day, &traded));
        }
        answer_lists(request, Said::default())
    });
    let grab = ordered(&server, JANUARY);
    let report = grab.run(&format!("{VERIFY} --json")).exits(0).json();
    assert_eq!(findings(&report), ["missing_symbol - 2024-01-02"]);
    let said = "the witness saw 1 symbol trade on requested days that the lists do not have: XTRA on 21 sessions to 2024-01-31; \
                `grab start` with --tickers and --windows requests them";
    assert_eq!((&report["findings"][0]["detail"], &report["notices"]), (&said.into(), &1.into()));
    let by_name = ordered(&server, "start --tickers S,Z --windows 2024-01");
    assert_eq!(
        by_name.run(&format!("{VERIFY} --json")).exits(0).json()["notices"],
        0,
        "nobody ordered a list"
    );
}
