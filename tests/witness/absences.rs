//! Absences that the server alone explains, and a witness that is wrong about them.

use std::sync::{Arc, atomic::AtomicBool, atomic::Ordering};

use super::*;

const FOUR: &str = "start --windows 2024-01-02..2024-01-09 --tickers A,B,C,D";

/// All symbols trade on each of the six sessions, but what `lacks` names is not sent; `market` answers for the market's days.
fn serving(
    lacks: impl Fn(&str, i8) -> bool + Send + Sync + 'static,
    market: impl Fn(Date) -> Reply + Send + Sync + 'static,
) -> Server {
    Server::start(move |request| {
        if let Some(day) = request.market_day() {
            return market(day);
        }
        let symbol = request.symbol();
        let (from, to) = asked_days(request);
        let days = [2, 3, 4, 5, 8, 9].into_iter().filter(|day| (from..=to).contains(day));
        let bars = days.filter(|day| !lacks(symbol, *day)).flat_map(|day| minutes(january(day), 390));
        Reply::json(200, page(symbol, &bars.collect::<Vec<_>>(), None))
    })
}

/// First and last day of a request, by its path.
fn asked_days(request: &Request) -> (i8, i8) {
    let path = request.target.split('?').next().unwrap();
    let mut ends = path.rsplit('/').map(|end| match end.parse::<Date>() {
        Ok(date) => date.day(),
        Err(_) => grab_model::new_york::date_of(end.parse().unwrap()).unwrap().day(),
    });
    let to = ends.next().unwrap();
    (ends.next().unwrap(), to)
}

fn all(day: Date) -> Reply {
    let volume = shares(day.day());
    Reply::json(200, market_page(day, &["A", "B", "C", "D", "ZZZ"].map(|symbol| (symbol, volume))))
}

fn started(server: &Server) -> Grab {
    let grab = Grab::with_server(server.base_url()).env("GRAB_CONCURRENCY", "1");
    grab.run(FOUR).exits(0);
    grab
}

fn missed(report: &Value) -> Vec<&str> {
    report["missed"].as_array().unwrap().iter().map(|sentence| sentence.as_str().unwrap()).collect()
}

#[test]
fn a_witness_that_was_asked_for_and_is_not_to_be_had_is_missed() {
    let cases: [(u16, &str, bool, &str); 3] = [
        (403, r#"{"status":"NOT_AUTHORIZED","message":"upgrade your plan"}"#, false, "6 not in the plan"),
        (404, r#"{"status":"NOT_FOUND","message":"no"}"#, false, "6 not found"),
        (200, "", true, "6 answered without a row"),
    ];
    for (status, body, is_empty, why) in cases {
        let server = serving(
            |symbol, _| symbol != "A",
            move |day| {
                let empty = market_page(day, &[]);
                Reply::json(status, if is_empty { empty.as_str() } else { body })
            },
        );
        let grab = started(&server);
        grab.run("verify --min-coverage 0").exits(0);
        let report = grab.run(&format!("{VERIFY} --min-coverage 0 --json")).exits(13).json();
        let sentence = format!("6 sessions with absences that no witness explains: {why}");
        assert_eq!(missed(&report), [sentence], "{report}");
        grab.run("verify --witness none --min-coverage 0").exits(0);
    }
    // Complete data need no witness.
    let server = serving(|_, _| false, |_| Reply::json(404, r#"{"status":"NOT_FOUND","message":"no"}"#));
    started(&server).run(VERIFY).exits(0);
}

#[test]
fn a_day_that_lacks_most_of_the_market_explains_nothing_until_it_is_whole() {
    let is_well = Arc::new(AtomicBool::new(false));
    let well = Arc::clone(&is_well);
    let cut = move |day: Date| {
        if day.day() == 5 && !well.load(Ordering::SeqCst) {
            return Reply::json(200, market_page(day, &[("A", shares(5))]));
        }
        all(day)
    };
    let server = serving(|symbol, day| day == 5 && symbol > "B", cut);
    let grab = started(&server);
    let report = grab.run(&format!("{VERIFY} --json")).exits(13).json();
    let gaps = ["missing_session C 2024-01-05", "missing_session D 2024-01-05"];
    assert_eq!(findings(&report), [gaps[0], gaps[1], "thin_session - 2024-01-05"]);
    let doubt = &report["findings"][2];
    assert_eq!(doubt["severity"], "notice");
    let detail = "the witness has 1 of the market's rows, less than half of what the days around it have: it is not used";
    assert_eq!(doubt["detail"], detail);
    assert_eq!((witness(&report), coverage(&report)), ([5, 6, 6], [24, 22]));
    assert!(
        missed(&report).contains(&"1 session with absences that no witness explains: 1 not used"),
        "{report}"
    );
    is_well.store(true, Ordering::SeqCst);
    let healed = grab.run(&format!("{VERIFY} --json")).exits(13).json();
    assert_eq!((findings(&healed), witness(&healed)), (gaps.map(str::to_owned).into(), [6, 1, 1]));
    assert_eq!(asked(&server).iter().filter(|day| **day == 5).count(), 2, "no other day was asked for again");
    assert_eq!(missed(&healed), ["2 gaps"]);
}

#[test]
fn a_day_that_lacks_most_of_what_is_held_explains_nothing() {
    // As many rows as ever, of other symbols.
    let other = |day: Date| {
        if day.day() == 5 {
            let strangers = ["A", "V", "W", "X", "Y"].map(|symbol| (symbol, shares(5)));
            return Reply::json(200, market_page(day, &strangers));
        }
        all(day)
    };
    let server = serving(|symbol, day| day == 5 && symbol == "D", other);
    let report = started(&server).run(&format!("{VERIFY} --json")).exits(13).json();
    assert_eq!(findings(&report), ["missing_session D 2024-01-05", "thin_session - 2024-01-05"]);
    let detail = "the witness lacks 2 of the 3 stored symbols that it knows from other days: it is not used";
    assert_eq!(report["findings"][1]["detail"], detail);
    // A single lacking symbol may have another name there.
    let renamed = |day: Date| {
        if day.day() == 5 {
            let most = ["A", "B", "W", "X", "Y"].map(|symbol| (symbol, shares(5)));
            return Reply::json(200, market_page(day, &most));
        }
        all(day)
    };
    let server = serving(|symbol, day| day == 5 && symbol == "D", renamed);
    assert_eq!(findings(&started(&server).run(&format!("{VERIFY} --json")).exits(0).json()), [""; 0]);
}

#[test]
fn what_the_server_has_not_although_it_was_traded_stays_expected() {
    let server = serving(|symbol, day| symbol == "B" && (4..=8).contains(&day), all);
    let grab = started(&server);
    grab.run(VERIFY).exits(13);
    grab.run("repair").exits(0);
    let report = grab.run("verify --json").exits(0).json();
    let finding = &report["findings"][0];
    assert_eq!((&finding["severity"], findings(&report).len()), (&"notice".into(), 1));
    assert!(finding["detail"].as_str().unwrap().contains("has no more, but the witness counts"), "{finding}");
    assert_eq!(coverage(&report), [24, 21]);
    grab.run("verify --min-coverage 0.9").exits(13);
    grab.run("verify --max-gap-sessions 2").exits(13);
    grab.run("verify --max-gap-sessions 3 --min-coverage 0.8 --missing missing.csv").exits(0);
    let missing = std::fs::read_to_string(grab.dir().join("missing.csv")).unwrap();
    assert_eq!(missing, "ticker,from,to\nB,2024-01-04,2024-01-08\n");
}
