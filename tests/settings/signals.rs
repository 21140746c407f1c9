//! Ctrl-C while a request hangs: once, and twice.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use jiff::civil::date;
use serde_json::Value;

use crate::support::{Grab, Ran, Reply, Server, bars_of, litter, page, read_store, wait_until};

/// A server whose second page hangs until the flag is set.
fn hanging() -> (Server, Arc<AtomicBool>) {
    let well = Arc::new(AtomicBool::new(false));
    let is_well = Arc::clone(&well);
    let server = Server::start(move |request| {
        let next = format!(
            "http://{}/v2/aggs/ticker/A/range/1/minute/0/0?cursor=2",
            request.header("host").unwrap()
        );
        match request.target.contains("cursor=") {
            false => Reply::json(200, page("A", &bars_of(&[date(2024, 1, 3)]), Some(&next))),
            true if is_well.load(Ordering::SeqCst) => {
                Reply::json(200, page("A", &bars_of(&[date(2024, 1, 4)]), None))
            }
            true => Reply::json(200, "{}").stall_at(0),
        }
    });
    (server, well)
}

fn interrupt(child: &Child) {
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
}

/// Starts a run, and sends the second signal as soon as the run has acknowledged the first.
fn interrupted_twice(grab: &Grab, server: &Server, arguments: &str) -> Ran {
    let mut child = grab.spawn(&format!("start --windows 2024-01 --tickers A {arguments}"));
    wait_until("the second page", || server.requests().len() == 2);
    interrupt(&child);
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    let stopping = said.find(|line| line.as_ref().unwrap().starts_with("stopping ")).unwrap().unwrap();
    assert!(stopping.contains("after the pages under way; Ctrl-C stops at once"), "{stopping}");
    interrupt(&child);
    let ran = child.wait_with_output().unwrap().into();
    let ended = "SELECT count(*) FROM runs WHERE ended_at_ms IS NOT NULL";
    assert_eq!(grab.count(ended), 0, "it did not wait for the end of the run");
    ran
}

#[test]
fn a_second_signal_stops_at_once_and_loses_nothing() {
    let (server, well) = hanging();
    let grab = Grab::with_server(server.base_url());
    let ran = interrupted_twice(&grab, &server, "").exits(130);
    assert!(ran.stdout.starts_with("interrupted: stopped by a signal\n"), "{ran:?}");
    assert!(ran.stdout.contains("`grab resume` continues with the 1 task pending"), "{ran:?}");
    assert_eq!(grab.tasks(), ["A 2024-01-01 pending"]);
    well.store(true, Ordering::SeqCst);
    grab.run("resume").exits(0);
    let targets: Vec<_> = server.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(targets.len(), 3);
    assert_eq!(targets[1], targets[2], "only the page that hung is asked for again");
    assert_eq!(read_store(&grab.data_dir())["A"], bars_of(&[date(2024, 1, 3), date(2024, 1, 4)]));
    assert!(litter(&grab.data_dir()).is_empty());
    assert_eq!(grab.count("SELECT count(*) FROM events WHERE kind = 'crashed'"), 1);
}

#[test]
fn a_second_signal_leaves_one_json_object_with_what_was_done() {
    let (server, _) = hanging();
    let grab = Grab::with_server(server.base_url());
    let report = interrupted_twice(&grab, &server, "--json").exits(130).json();
    assert_eq!((&report["outcome"], &report["exit_code"]), (&"interrupted".into(), &130.into()));
    assert_eq!(
        (&report["requests"], &report["bars"], &report["partitions"]),
        (&2.into(), &30.into(), &1.into())
    );
    assert_eq!((&report["tasks"]["pending"], &report["tasks"]["running"]), (&1.into(), &0.into()));
    assert_eq!(report["error"], Value::from("stopped by a signal"));
}
