//! A clock that is wrong: which sessions count as finished is limited by the service's responses, too.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use grab_model::{Window, calendar, new_york};
use jiff::{
    Timestamp,
    civil::{Date, date},
};

use crate::support::{Grab, Ran, Reply, Server, bars_of, market_page, page, read_store};

/// The evening of Thursday the 21st of November: the extended hours of its session are over.
const NOW: &str = "2024-11-22T02:00:00Z";

/// A month later.
const AHEAD: &str = "2024-12-22T02:00:00Z";

/// The last finished session.
const LAST: Date = date(2024, 11, 21);

const START: &str = "start --windows 2024-11-01..2024-12-31 --tickers A";

/// A service with the bars of each session up to the last finished one. It sends its time, or not.
struct World {
    says: Arc<Mutex<Option<&'static str>>>,
    last: Arc<Mutex<Date>>,
    /// The HTTP status of the market status response.
    status: Arc<Mutex<u16>>,
    server: Server,
    grab: Grab,
}

impl World {
    fn new() -> Self {
        let says = Arc::new(Mutex::new(Some(NOW)));
        let last = Arc::new(Mutex::new(LAST));
        let status = Arc::new(Mutex::new(200));
        let (says_now, last_now, status_now) = (Arc::clone(&says), Arc::clone(&last), Arc::clone(&status));
        let server = Server::start(move |request| {
            let last = *last_now.lock().unwrap();
            let reply = if request.is_control() {
                Reply::json(*status_now.lock().unwrap(), r#"{"market":"closed"}"#)
            } else if let Some(day) = request.market_day() {
                Reply::json(200, market_page(day, &[("A", 1000.0)]))
            } else {
                let parts: Vec<_> = request.target.split(['/', '?']).collect();
                let at = parts.iter().position(|part| *part == "minute").unwrap();
                let [from, to] = [1, 2].map(|n| parts[at + n].parse::<Date>().unwrap());
                let days: Vec<_> = Window::new(from, to.min(last))
                    .map(|window| calendar::sessions(window).map(calendar::Session::date).collect())
                    .unwrap_or_default();
                Reply::json(200, page(request.symbol(), &bars_of(&days), None))
            };
            match *says_now.lock().unwrap() {
                Some(now) => reply.header("date", &http_date(now)),
                None => reply,
            }
        });
        let grab = Grab::with_server(server.base_url());
        Self { says, last, status, server, grab }
    }

    fn says(&self, now: Option<&'static str>) {
        *self.says.lock().unwrap() = now;
    }

    fn at(&self, clock: &str, arguments: &str) -> Ran {
        self.grab.run_with("GRAB_NOW", clock, arguments)
    }

    /// The days with stored bars.
    fn held(&self) -> BTreeSet<Date> {
        let bars = read_store(&self.grab.data_dir()).remove("A").unwrap_or_default();
        bars.iter().filter_map(|bar| new_york::date_of(bar.timestamp)).collect()
    }

    fn windows(&self) -> Vec<String> {
        let manifest = self.grab.manifest();
        let mut select =
            manifest.prepare("SELECT from_date || '..' || to_date || ' ' || state FROM tasks").unwrap();
        let rows = select.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }
}

fn http_date(at: &str) -> String {
    at.parse::<Timestamp>().unwrap().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn sessions(from: Date, to: Date) -> BTreeSet<Date> {
    calendar::sessions(Window::new(from, to).unwrap()).map(calendar::Session::date).collect()
}

#[test]
fn a_clock_that_is_ahead_makes_no_day_asked_for_that_has_not_been() {
    let world = World::new();
    for command in [START, "resume", START] {
        let ran = world.at(AHEAD, command).exits(10);
        for part in ["2024-11-21", "2024-11-22T02:00:00Z", "2024-12-22T02:00:"] {
            assert!(ran.stdout.contains(part), "{part}: {ran:?}");
        }
        assert_eq!(world.held(), sessions(date(2024, 11, 1), LAST), "what there is comes");
    }
    // The clock is corrected: the task is cut, and its finished days are requested.
    let verified = world.at(NOW, "verify --json").exits(13).json();
    assert_eq!(verified["coverage"]["expected_sessions"], 15, "no session that has not been is counted");
    let ran = world.at(NOW, "resume").exits(0);
    assert!(ran.stderr.contains("1 task for days after 2024-11-21, which are still to come"), "{ran:?}");
    assert_eq!(world.windows(), ["2024-11-01..2024-11-21 done"]);
    world.at(NOW, "verify --deep").exits(0);
    let asked = world.server.requests().len();
    world.at(NOW, START).exits(0);
    assert_eq!(world.server.requests().len(), asked, "nothing is left to ask for");
    // A month later these days are finished.
    world.says(Some(AHEAD));
    *world.last.lock().unwrap() = date(2024, 12, 20);
    world.at(AHEAD, START).exits(0);
    assert_eq!(world.held(), sessions(date(2024, 11, 1), date(2024, 12, 20)));
}

#[test]
fn what_was_recorded_too_early_heals() {
    for command in ["resume", START, "repair", "update"] {
        let world = World::new();
        // As an older grab that trusted every clock has recorded it.
        world.says(None);
        world.at(AHEAD, "start --windows 2024-11 --tickers A").exits(0);
        world.at(AHEAD, "start --windows 2024-12-02..2024-12-06 --tickers A").exits(0);
        assert_eq!(world.windows().len(), 2);
        // Another session is finished since: it was never requested.
        let (now, last) = ("2024-11-23T02:00:00Z", date(2024, 11, 22));
        world.says(Some(now));
        *world.last.lock().unwrap() = last;
        let verified = world.at(now, "verify --json").exits(13);
        assert!(verified.stdout.contains("by the clock of this machine"), "{verified:?}");
        assert_eq!(verified.json()["coverage"]["expected_sessions"], 16);
        world.at(now, command).exits(0);
        assert_eq!(world.held(), sessions(date(2024, 11, 1), last), "{command}");
        assert!(world.windows().iter().all(|window| window.contains("..2024-11-22 ")), "{command}");
        world.at(now, "verify --deep").exits(0);
    }
}

#[test]
fn an_evening_by_a_clock_that_is_ahead_is_not_complete_and_changes_nothing_for_later_ones() {
    let world = World::new();
    world.at(NOW, "start --windows 2024-11-01..2024-11-20 --tickers A").exits(0);
    world.at(AHEAD, "update").exits(10);
    let verified = world.at(NOW, "verify --json").json();
    let is_of_future = |finding: &serde_json::Value| finding["date"].as_str() > Some("2024-11-21");
    assert!(!verified["findings"].as_array().unwrap().iter().any(is_of_future), "{verified}");
    world.at(NOW, "update").exits(0);
    assert_eq!(world.held(), sessions(date(2024, 11, 1), LAST));
    assert_eq!(world.grab.count("SELECT count(*) FROM evenings WHERE session > '2024-11-21'"), 0);
}

#[test]
fn a_clock_that_is_behind_undoes_nothing() {
    let world = World::new();
    world.at(NOW, START).exits(0);
    let before = world.windows();
    for command in ["resume", "repair"] {
        world.at("2024-11-06T02:00:00Z", command);
        assert_eq!(world.windows(), before, "{command}");
    }
    // Without the service's time nothing is decided either.
    world.says(None);
    let ran = world.at("2024-11-06T02:00:00Z", "resume").exits(0);
    assert!(ran.stderr.contains("did not say what time it is"), "{ran:?}");
    assert_eq!(world.windows(), before);
}

#[test]
fn a_run_that_waits_for_a_clock_that_is_behind_names_it() {
    let world = World::new();
    world.at(NOW, &format!("{START} --plan-only")).exits(0);
    let ran = world.at("2024-11-06T02:00:00Z", "resume").exits(10);
    assert!(ran.stdout.contains("by the clock of this machine, which says 2024-11-06T02:00:"), "{ran:?}");
    world.at(NOW, "resume").exits(0);
    assert_eq!(world.held(), sessions(date(2024, 11, 1), LAST));
}

#[test]
fn a_date_that_is_wrong_is_not_believed() {
    for date in ["2024-10-01T12:00:00Z", "1970-01-01T00:00:00Z"] {
        let world = World::new();
        world.says(Some(date));
        world.at(NOW, START).exits(0);
        assert_eq!(world.windows(), ["2024-11-01..2024-11-21 done"], "{date}");
    }
}

#[test]
fn an_old_answer_of_a_cache_is_no_word_on_later_days() {
    let world = World::new();
    world.says(Some("2024-11-20T02:00:00Z"));
    *world.last.lock().unwrap() = date(2024, 11, 19);
    world.at(NOW, START).exits(10);
    world.says(Some(NOW));
    *world.last.lock().unwrap() = LAST;
    world.at(NOW, "resume").exits(0);
    assert_eq!(world.held(), sessions(date(2024, 11, 1), LAST));
}

#[test]
fn a_day_that_goes_on_is_no_witness() {
    let world = World::new();
    world.at(NOW, START).exits(0);
    // It is noon by the service's clock.
    world.says(Some("2024-11-21T17:00:00Z"));
    world.at(NOW, "verify --witness grouped-daily");
    assert_eq!(world.grab.count("SELECT count(*) FROM witnesses WHERE date >= '2024-11-21'"), 0);
    assert_eq!(world.grab.count("SELECT count(*) FROM witnesses"), 14);
}

#[test]
fn it_heals_where_a_service_does_not_say_whether_the_market_is_open() {
    for status in [403, 404, 500] {
        let world = World::new();
        world.says(None);
        world.at(AHEAD, START).exits(0);
        world.says(Some(NOW));
        *world.status.lock().unwrap() = status;
        world.at(NOW, "resume").exits(0);
        assert_eq!(world.windows(), ["2024-11-01..2024-11-21 done"], "{status}");
        world.at(NOW, "verify").exits(0);
    }
}
