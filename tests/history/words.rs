//! The service's messages when it refuses, and who sees them.

use jiff::civil::{Date, date};
use serde_json::Value;

use super::{FIRST_SERVED, FLOOR, REFUSAL, asked, bars_from, count, days_not_entitled, grab, held, sessions};
use crate::support::{Reply, Server};

/// A plan's message about what it does not include, without a word about time.
pub const OTHER_WORDS: &str = r#"{"status":"NOT_AUTHORIZED","request_id":"r","message":"You are not entitled to this data. Please upgrade your plan at https://massive.com/pricing"}"#;

/// A service that refuses requests before its history with messages that are not about time.
pub fn refusing_in_other_words(floor: Date) -> Server {
    Server::start_with_control(move |request| {
        let window = asked(request);
        if window.from() < floor {
            return Reply::json(403, OTHER_WORDS);
        }
        bars_from(request.symbol(), window, Date::MIN)
    })
}

#[test]
fn a_refusal_in_words_that_are_not_about_time_is_looked_into_as_well() {
    for inside_200 in [false, true] {
        let server = Server::start_with_control(move |request| {
            let window = asked(request);
            if window.from() < FLOOR {
                return Reply::json(if inside_200 { 200 } else { 403 }, OTHER_WORDS);
            }
            bars_from(request.symbol(), window, Date::MIN)
        });
        let grab = grab(&server).env("GRAB_CONCURRENCY", "1");
        let report = grab.run("start --json --windows 2024-06..2025-01 --tickers A,B").exits(11).json();
        assert_eq!(days_not_entitled(&report), 2 * count(date(2024, 6, 1), date(2024, 11, 30)));
        assert_eq!(report["first_served_day"], "2024-12-02");
        assert_eq!(report["requests"], 7, "a page, four days, two pages: {report}");
        assert_eq!(held(&grab, "B"), sessions(FIRST_SERVED, date(2025, 1, 31)));
    }
}

/// A refusal for one symbol proves nothing about the plan.
#[test]
fn a_symbol_that_the_plan_does_not_include_hides_no_day_of_the_others() {
    for words in [REFUSAL, OTHER_WORDS] {
        let server = Server::start_with_control(move |request| {
            let window = asked(request);
            if request.symbol() == "NEVER" || window.from() < FLOOR {
                return Reply::json(403, words);
            }
            bars_from(request.symbol(), window, Date::MIN)
        });
        let grab = grab(&server).env("GRAB_CONCURRENCY", "1");
        grab.run("start --windows 2025-03 --tickers A").exits(0);
        let report = grab.run("start --json --windows 2024-12..2025-02 --tickers NEVER,B").exits(11).json();
        assert_eq!(
            (&report["tasks"]["not_entitled"], days_not_entitled(&report)),
            (&1.into(), 0),
            "{report}"
        );
        assert_eq!(held(&grab, "B"), sessions(FIRST_SERVED, date(2025, 2, 28)));
        let status = grab.run("status --json").json();
        assert_eq!(
            (&status["first_served_day"], &status["plan_history"]),
            (&Value::Null, &Value::Array(Vec::new()))
        );
    }
}

#[test]
fn a_refusal_about_time_with_401_is_none_of_the_key() {
    let server = Server::start_with_control(move |request| {
        let window = asked(request);
        if window.from() < FLOOR {
            return Reply::json(401, REFUSAL);
        }
        bars_from(request.symbol(), window, Date::MIN)
    });
    let grab = grab(&server);
    let report = grab.run("start --json --windows 2024-06..2025-01 --tickers A").exits(11).json();
    assert_eq!(days_not_entitled(&report), count(date(2024, 6, 1), date(2024, 11, 30)));
    assert_eq!(held(&grab, "A"), sessions(FIRST_SERVED, date(2025, 1, 31)));
}
