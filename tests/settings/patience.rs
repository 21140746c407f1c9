//! How long a run waits: for a connection, for a page, for the end of an outage.

use std::{
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpStream},
    sync::Mutex,
    time::{Duration, Instant},
};

use jiff::civil::date;
use tokio::{
    net::{TcpListener, TcpSocket},
    runtime::Runtime,
};

use crate::support::{Grab, Reply, Request, Server, minutes, page};

const ONE_TASK: &str = "start --windows 2024-01 --tickers A";

fn ok(request: &Request) -> Reply {
    Reply::json(200, page(request.symbol(), &minutes(date(2024, 1, 3), 5), None))
}

/// The state, the last error and the attempts of the first task.
fn first_task(grab: &Grab) -> (String, String, u64) {
    let item = grab.run("status --json --tickers").json()["items"][0].clone();
    let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
    (text("state"), text("last_error"), item["attempts"].as_u64().unwrap())
}

/// A listener whose queue is full: a client gets no response.
struct Deaf {
    address: SocketAddr,
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
    _runtime: Runtime,
}

impl Deaf {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(async {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
            socket.listen(1).unwrap()
        });
        let address = listener.local_addr().unwrap();
        let mut queued = Vec::new();
        while let Ok(connection) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
            queued.push(connection);
        }
        Self { address, _listener: listener, _queued: queued, _runtime: runtime }
    }

    fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }
}

#[test]
fn a_host_that_does_not_answer_is_given_up_after_three_connect_timeouts() {
    let deaf = Deaf::start();
    let grab = Grab::with_server(&deaf.base_url());
    let begun = Instant::now();
    let report = grab.run(&format!("{ONE_TASK} --json --connect-timeout 200ms")).exits(21).json();
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(600), "{took:?}");
    assert!(took < Duration::from_secs(10), "less than one default time-out, {took:?}");
    let error = report["error"].as_str().unwrap();
    assert!(error.contains(&format!("cannot connect to {}", deaf.base_url())), "{error}");
    // Two clocks measure the same time, one for TCP and one for the whole connection: either may be first.
    let late = ["deadline has elapsed", "operation timed out"].iter().any(|words| error.contains(words));
    assert!(late, "{error}");
    assert_eq!((&report["requests"], first_task(&grab).2), (&3.into(), 0));
}

#[test]
fn a_longer_connect_timeout_waits_longer() {
    let deaf = Deaf::start();
    let grab = Grab::with_server(&deaf.base_url()).env("GRAB_CONNECT_TIMEOUT", "1500ms");
    let begun = Instant::now();
    // One attempt and at most half a second of pause: the rest is the time-out.
    grab.run(&format!("{ONE_TASK} --max-requests 1")).exits(10);
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(1_500), "{took:?}");
    assert!(took < Duration::from_secs(10), "less than the default, {took:?}");
}

#[test]
fn the_time_for_retries_ends_them_before_their_number_does() {
    for (time, expected) in [("0s", 1..=1), ("1s", 2..=3)] {
        let server = Server::start(|_| Reply::json(500, "{}"));
        let grab = Grab::with_server(server.base_url());
        grab.run(&format!("{ONE_TASK} --max-attempts 8 --max-retry-time {time}")).exits(11);
        let asked = server.requests().len();
        assert!(expected.contains(&asked), "{asked} requests in {time}");
        let (state, error, _) = first_task(&grab);
        assert_eq!((state.as_str(), error), ("failed", format!("HTTP 500 (requested {asked} times)")));
    }
}

#[test]
fn an_answer_that_drips_does_not_hold_its_request_for_ever() {
    let calls = Mutex::new(0);
    let server = Server::start(move |request| {
        let mut calls = calls.lock().unwrap();
        *calls += 1;
        // Never silent for long: more than a minute in all.
        if *calls == 1 { ok(request).drip(Duration::from_millis(100)) } else { ok(request) }
    });
    let grab = Grab::with_server(server.base_url());
    let begun = Instant::now();
    grab.run(&format!("{ONE_TASK} --read-timeout 1s --max-retry-time 1s")).exits(0);
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert_eq!(server.requests().len(), 2);
}

/// An address for a server that goes away and comes back: no other test's server takes the port meanwhile.
fn a_place_of_its_own() -> SocketAddr {
    let host = if cfg!(target_os = "linux") { "127.0.44.1:0" } else { "127.0.0.1:0" };
    let free = std::net::TcpListener::bind(host).unwrap();
    free.local_addr().unwrap()
}

#[test]
fn an_outage_is_waited_for_as_long_as_the_setting_says_and_costs_no_task_anything() {
    let place = a_place_of_its_own();
    let base_url = Server::start_once(place, ok);
    let grab = Grab::with_server(&base_url);
    let begun = Instant::now();
    let start = "start --json --windows 2024-01 --tickers A,B,C --concurrency 2 --max-retry-time 600ms";
    let report = grab.run(start).exits(10).json();
    assert!(begun.elapsed() >= Duration::from_millis(600), "{:?}", begun.elapsed());
    assert_eq!(report["outcome"], "incomplete");
    let error = report["error"].as_str().unwrap();
    assert!(
        error.contains(&format!("the source did not come back: cannot connect to {base_url}")),
        "{error}"
    );
    assert_eq!(grab.tasks(), ["A 2024-01-01 done", "B 2024-01-01 pending", "C 2024-01-01 pending"]);
    assert_eq!(grab.count("SELECT sum(attempts) FROM tasks"), 0);
    assert_eq!(grab.count("SELECT count(*) FROM events WHERE kind = 'retry_scheduled'"), 0);

    let back = Server::start_at(place, ok);
    let report = grab.run("resume --json").exits(0).json();
    assert_eq!((&report["tasks"]["done"], back.asked().len()), (&3.into(), 2));
}

#[test]
fn an_outage_that_passes_in_time_is_no_more_than_a_pause() {
    let place = a_place_of_its_own();
    let grab = Grab::with_server(&Server::start_once(place, ok));
    let mut run = grab.spawn("start -vv --windows 2024-01 --tickers A,B --concurrency 1");
    let mut said = BufReader::new(run.stderr.take().unwrap()).lines();
    assert!(said.any(|line| line.unwrap().contains("cannot connect")), "it should notice");
    let back = Server::start_at(place, ok);
    assert_eq!(run.wait_with_output().unwrap().status.code(), Some(0));
    assert_eq!(back.asked(), ["B 2024-01-01"]);
}
