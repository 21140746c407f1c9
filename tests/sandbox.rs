//! `grab sandbox` as it is typed: its flags and its variable reach the server.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::Child,
};

use serde_json::Value;

use crate::support::Grab;

const BARS: &str = "/v2/aggs/ticker/AAPL/range/1/minute/2024-01-02/2024-01-02?adjusted=false&limit=2";

/// A running `grab sandbox`, which ends when it is dropped.
struct Running {
    child: Child,
    address: String,
    _grab: Grab,
}

impl Running {
    fn start(flags: &str) -> Self {
        Self::start_in(Grab::new(), flags)
    }

    fn start_in(grab: Grab, flags: &str) -> Self {
        let mut child = grab.spawn(&format!("sandbox --json {flags}"));
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let listening: Value = serde_json::from_str(&line).unwrap();
        let address = listening["base_url"].as_str().and_then(|url| url.strip_prefix("http://"));
        let address = address.unwrap_or_else(|| panic!("{line}")).to_owned();
        Self { child, address, _grab: grab }
    }

    /// The whole response, from the status line to the end of the body.
    fn ask(&self, path: &str, key: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let host = &self.address;
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// The status of a response.
    fn status(&self, path: &str, key: &str) -> u16 {
        self.ask(path, key).split(' ').nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn any_key_is_accepted_unless_the_environment_names_one() {
    assert_eq!(Running::start("").status(BARS, "any"), 200);
    let strict = Running::start_in(Grab::new().env("GRAB_SANDBOX_KEY", "right\n"), "");
    assert_eq!([strict.status(BARS, "right"), strict.status(BARS, "any")], [200, 401]);
    for nonsense in [" ", "two words"] {
        let ran = Grab::new().env("GRAB_SANDBOX_KEY", nonsense).run("sandbox").exits(2);
        assert!(ran.stderr.contains("GRAB_SANDBOX_KEY"), "{ran:?}");
    }
}

#[test]
fn a_key_on_the_command_line_is_not_understood() {
    Grab::new().run("sandbox --key right").exits(2);
    let help = Grab::new().run("sandbox --help").exits(0).stdout;
    assert!(help.contains("GRAB_SANDBOX_KEY") && !help.contains("--key"), "{help}");
}

#[test]
fn a_plans_limit_can_be_curt_or_helpful() {
    let helpful = Running::start("--plan-rate 1 --rate-window fixed --rate-body empty --retry-after");
    assert_eq!(helpful.status(BARS, "any"), 200);
    let refused = helpful.ask(BARS, "any");
    assert!(refused.starts_with("HTTP/1.1 429") && refused.contains("\r\nretry-after: "), "{refused}");
    assert!(refused.ends_with("\r\n\r\n"), "{refused}");
    let curt = Running::start("--plan-rate 1");
    assert_eq!(curt.status(BARS, "any"), 200);
    let refused = curt.ask(BARS, "any");
    assert!(refused.starts_with("HTTP/1.1 429") && !refused.contains("retry-after"), "{refused}");
    assert!(refused.contains("exceeded the maximum requests per minute"), "{refused}");
}

#[test]
fn endpoints_can_be_left_out_of_the_plan() {
    let sandbox = Running::start("--forbid grouped,marketstatus");
    let statuses = ["/v2/aggs/grouped/locale/us/market/stocks/2024-01-02", "/v1/marketstatus/now", BARS]
        .map(|path| sandbox.status(path, "any"));
    assert_eq!(statuses, [403, 403, 200]);
    let unknown = Grab::new().run("sandbox --forbid options").exits(2);
    for family in ["aggs", "grouped", "tickers", "splits", "marketstatus"] {
        assert!(unknown.stderr.contains(family), "{unknown:?}");
    }
}

#[test]
fn a_cursor_can_forget_that_adjustment_was_declined() {
    // The cursors are base64 of limit=2&sort=asc, the second one's after adjusted=false.
    for (flags, cursor) in [
        ("--forget-adjusted", "?cursor=bGltaXQ9MiZzb3J0PWFzYw\""),
        ("", "?cursor=YWRqdXN0ZWQ9ZmFsc2UmbGltaXQ9MiZzb3J0PWFzYw\""),
    ] {
        let answer = Running::start(flags).ask(BARS, "any");
        assert!(answer.contains(cursor), "{flags}: {answer}");
    }
}

#[test]
fn answers_can_be_broken_by_share_kind_and_seed() {
    let broken = Running::start("--faults 1 --seed 7 --fault-kinds html,not-entitled");
    let answers = [0; 3].map(|_| broken.ask(BARS, "any"));
    for answer in &answers[..2] {
        assert!(answer.contains("<html>") || answer.contains("NOT_AUTHORIZED"), "{answer}");
    }
    assert!(answers[2].contains(r#""ticker":"AAPL""#), "{}", answers[2]);
    let again = Running::start("--faults 1 --seed 7 --fault-kinds html,not-entitled");
    let lengths = answers.map(|answer| answer.len());
    assert_eq!([0; 3].map(|_| again.ask(BARS, "any").len()), lengths);
}

#[test]
fn faults_that_make_no_sense_are_refused() {
    for (flags, words) in [
        ("--faults 1.5", "a share is a number from 0 to 1"),
        ("--faults some", "a share is a number from 0 to 1"),
        ("--faults NaN", "a share is a number from 0 to 1"),
        ("--faults 0.3 --fault-stall soon", "--fault-stall: "),
        ("--faults 0.3 --fault-kinds gremlins", "truncated"),
        ("--fault-kinds reset", "--faults"),
    ] {
        let ran = Grab::new().run(&format!("sandbox {flags}")).exits(2);
        assert!(ran.stderr.contains(words), "{flags}: {ran:?}");
    }
}
