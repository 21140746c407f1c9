//! A beginning of the plan's history that bars disprove.

use std::{
    sync::{Mutex, mpsc},
    thread,
    time::Duration,
};

use jiff::civil::date;
use serde_json::Value;

use super::{asked, bars_from, held, sessions};
use crate::support::Server;

/// The control symbol may begin late in a source for reasons of its own. A response that has bars from before the beginning that
/// it seems to show disproves it, also one that was under way meanwhile.
#[test]
fn bars_from_before_a_history_that_was_concluded_meanwhile_disprove_it() {
    let (late, early) = (date(2025, 3, 3), date(2025, 1, 2));
    let (begun, searching) = mpsc::channel();
    let (begun, searching) = (Mutex::new(begun), Mutex::new(searching));
    let server = Server::start_with_control(move |request| {
        let (is_control, window) = (request.symbol() == "SPY", asked(request));
        if !is_control {
            // Its response comes while the search is under way that the control symbol's page has begun.
            searching.lock().unwrap().recv().unwrap();
        } else if window.days() == 1 {
            let _ = begun.lock().unwrap().send(());
            // Nothing outside shows that the other response was read: this leaves time for it.
            thread::sleep(Duration::from_millis(500));
        }
        bars_from(request.symbol(), asked(request), if is_control { late } else { early })
    });
    let grab = super::grab(&server).env("GRAB_CONCURRENCY", "2");
    let report = grab.run("start --json --windows 2024-12-02..2025-04-30 --tickers SPY,A");
    let report = serde_json::from_str::<Value>(&report.stdout).unwrap();
    assert_eq!((&report["tasks"]["done"], &report["tasks"]["failed"]), (&2.into(), &0.into()), "{report}");
    assert_eq!(held(&grab, "A"), sessions(early, date(2025, 4, 30)), "what is served is stored");
    assert_eq!(held(&grab, "SPY"), sessions(late, date(2025, 4, 30)));
    assert_eq!(grab.run("status --json").json()["first_served_day"], Value::Null);
}
