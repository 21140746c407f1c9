//! Days that a plan does not serve are no silence of the source.

use std::sync::{Arc, Mutex};

use jiff::civil::date;

use super::{REFUSAL, asked, bars_from, grab};
use crate::support::{Reply, Server};

#[test]
fn days_that_history_has_left_behind_are_no_silence_of_the_source() {
    let floor = Arc::new(Mutex::new(date(2026, 9, 1)));
    for is_clipped in [false, true] {
        *floor.lock().unwrap() = date(2026, 9, 1);
        let begins = Arc::clone(&floor);
        let server = Server::start_with_control(move |request| {
            let (window, floor) = (asked(request), *begins.lock().unwrap());
            if window.from() < floor && !is_clipped {
                return Reply::json(403, REFUSAL);
            }
            bars_from(request.symbol(), window, floor)
        });
        let grab = grab(&server);
        let at = |now: &str, arguments: &str| grab.run_with("GRAB_NOW", now, arguments);
        at("2026-09-15T22:00:00-04:00", "start --windows 2026-09 --tickers A,B").exits(0);
        // There was no update for two months, and the plan serves only the last one.
        *floor.lock().unwrap() = date(2026, 10, 20);
        for evening in ["2026-11-19T22:00:00-05:00", "2026-11-20T22:00:00-05:00"] {
            at(evening, "update").exits(0);
            at(evening, "verify").exits(0);
        }
    }
}
