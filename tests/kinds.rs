//! The kind of bars in a data directory: made up or real, as traded or adjusted. Its first bar decides.

use std::fs;

use grab_model::Bar;
use jiff::civil::date;

use crate::support::{Grab, Ran, Reply, Server, minutes, page, read_store};

const JANUARY: &str = "--windows 2024-01-03 --tickers AAPL,NOSUCH";

fn bars() -> Vec<Bar> {
    minutes(date(2024, 1, 3), 5)
}

/// A service with these bars for every symbol.
fn serving(bars: Vec<Bar>) -> Server {
    Server::start(move |request| {
        let body = page(request.symbol(), &bars, None);
        let is_adjusted = request.target.contains("adjusted=true");
        Reply::json(
            200,
            if is_adjusted { body.replace("\"adjusted\":false", "\"adjusted\":true") } else { body },
        )
    })
}

/// The names in a folder, in order.
fn listed(grab: &Grab) -> Vec<String> {
    let entries = fs::read_dir(grab.dir()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_readmes_two_first_commands_work_in_their_order() {
    let server = serving(bars());
    let grab = Grab::with_server(server.base_url());
    grab.run(&format!("start --sandbox {JANUARY}")).exits(0);
    assert_eq!(listed(&grab), ["sandbox-data"]);
    grab.run(&format!("start {JANUARY}")).exits(0);
    assert_eq!(listed(&grab), ["data", "sandbox-data"]);
    assert_eq!(read_store(&grab.data_dir())["AAPL"], bars());
    assert_eq!(grab.run("status --json").exits(0).json()["sandbox"], false);
    let made_up = grab.run("status --data-dir sandbox-data --json").exits(0).json();
    assert_eq!(made_up["sandbox"], true);
    // Every command with `--sandbox` finds its directory.
    for command in ["resume", "verify", "repair --dry-run", "update --dry-run"] {
        grab.run(&format!("{command} --sandbox")).exits(0);
    }
}

#[test]
fn a_named_directory_wins_over_that_of_the_sandbox() {
    let start = format!("start --sandbox --plan-only {JANUARY}");
    let made = |grab: Grab, more: &str| {
        grab.run(&format!("{start} {more}")).exits(0);
        listed(&grab)
    };
    assert_eq!(made(Grab::new(), ""), ["sandbox-data"]);
    assert_eq!(made(Grab::new(), "--data-dir flag"), ["flag"]);
    assert_eq!(made(Grab::new().env("GRAB_DATA_DIR", "variable"), ""), ["variable"]);
    let by_file = Grab::new();
    fs::write(by_file.dir().join("grab.toml"), "data_dir = \"file\"\n").unwrap();
    assert_eq!(made(by_file, ""), ["file", "grab.toml"]);
}

#[test]
fn without_a_key_nothing_is_made_and_nothing_is_recorded() {
    let grab = Grab::new();
    for command in [&format!("start {JANUARY}"), "universe sync", "start --universe us-stocks --windows 2024"]
    {
        let missing = grab.run(&format!("{command} --json")).exits(20);
        assert!(missing.json()["hint"].as_str().unwrap().contains("MASSIVE_API_KEY"), "{missing:?}");
        assert_eq!(listed(&grab), [""; 0]);
    }
    // The hint names the sandbox, which works afterwards, as the key does.
    grab.run(&format!("start --sandbox {JANUARY}")).exits(0);
    let server = serving(bars());
    let real = Grab::with_server(server.base_url());
    real.run(&format!("start {JANUARY}")).exits(0);
    let more = real.run_with("MASSIVE_API_KEY", "", "start --windows 2024-01-04 --tickers AAPL").exits(20);
    assert!(more.stderr.contains("there is no API key"), "{more:?}");
    assert_eq!(real.tasks().len(), 2, "what is asked for is recorded with a key only");
}

#[test]
fn a_directory_without_a_bar_may_become_any_other_and_what_was_empty_is_asked_again() {
    let nothing = serving(Vec::new());
    let grab = Grab::with_server(nothing.base_url()).env("GRAB_DATA_DIR", "data");
    grab.run(&format!("start {JANUARY}")).exits(0);
    assert_eq!(grab.tasks(), ["AAPL 2024-01-03 empty", "NOSUCH 2024-01-03 empty"]);
    grab.run(&format!("start --adjusted {JANUARY}")).exits(0);
    assert!(nothing.requests().iter().skip(2).all(|request| request.target.contains("adjusted=true")));
    assert_eq!(nothing.requests().len(), 4);
    // The sandbox has AAPL.
    grab.run(&format!("start --sandbox --adjusted=false {JANUARY}")).exits(0);
    assert_eq!(grab.tasks(), ["AAPL 2024-01-03 done", "NOSUCH 2024-01-03 empty"]);
    let status = grab.run("status --json").json();
    assert_eq!((&status["sandbox"], &status["adjusted"]), (&true.into(), &false.into()));
    // The first bar decides it, before anything is recorded, and without a key too.
    for (how, key, what) in [
        ("", "key", "holds simulated bars, not real ones"),
        ("", "", "holds simulated bars, not real ones"),
        ("--sandbox --adjusted", "", "holds bars as traded, not split-adjusted bars"),
        ("--adjusted", "key", "holds simulated bars as traded, not real split-adjusted bars"),
    ] {
        let start = format!("start {how} --windows 2024-01-04 --tickers AAPL");
        let refused = grab.run_with("MASSIVE_API_KEY", key, &start).exits(2);
        assert!(refused.stderr.contains(what), "{how}: {refused:?}");
    }
    assert_eq!(grab.tasks().len(), 2);
    grab.run("resume --sandbox").exits(0);
}

#[test]
fn what_the_sandbox_has_is_no_evidence_of_the_service() {
    let grab = Grab::of_sandbox();
    grab.run("start --sandbox --windows 2024-01-03 --tickers NOSUCH").exits(0);
    assert_eq!(grab.tasks(), ["NOSUCH 2024-01-03 empty"]);
    let server = serving(bars());
    let real = grab.env("MASSIVE_API_KEY", "key").env("MASSIVE_API_BASE_URL", server.base_url());
    let real = real.env("GRAB_RATE", "none");
    let report = real.run("start --windows 2024-01-03 --tickers NOSUCH --json").exits(0).json();
    assert_eq!(
        (&report["requests"], &report["bars"]),
        (&1.into(), &5.into()),
        "the service has it: {report}"
    );
    assert_eq!(real.count("SELECT count(*) FROM events WHERE kind = 'kind_changed'"), 1);
}

/// A bar counts too if a process had written it and crashed before it could record it.
#[cfg(debug_assertions)]
#[test]
fn a_bar_that_is_not_recorded_yet_decides_as_well() {
    let grab = Grab::of_sandbox();
    let start = "start --sandbox --windows 2024-01-03 --tickers AAPL";
    grab.run_with("GRAB_FAILPOINT", "store.after_folder_sync=kill", start).exits(-1);
    assert_eq!(grab.count("SELECT count(*) FROM partitions"), 0);
    let server = serving(bars());
    let mut real = grab.command("start --windows 2024-01-03 --tickers AAPL");
    real.env("MASSIVE_API_KEY", "key").env("MASSIVE_API_BASE_URL", server.base_url());
    let refused = Ran::from(real.output().unwrap()).exits(2);
    assert!(refused.stderr.contains("holds simulated bars, not real ones"), "{refused:?}");
    grab.run("resume").exits(0);
    assert_eq!(server.requests().len(), 0);
    assert_eq!(grab.tasks(), ["AAPL 2024-01-03 done"]);
}
