//! A data directory saves the settings of `start`, and every hint is a complete command.

use std::{fs, time::Duration};

use grab_model::Bar;
use jiff::civil::date;
use serde_json::{Value, json};

use crate::support::{Grab, Ran, Reply, Server, all_below, minutes, page};

fn bars() -> Vec<Bar> {
    minutes(date(2024, 1, 3), 5)
}

fn serving() -> Server {
    Server::start(|request| Reply::json(200, page(request.symbol(), &bars(), None)))
}

/// A key, and nothing else.
fn client() -> Grab {
    Grab::new().env("MASSIVE_API_KEY", "hush-hush-key")
}

fn told(grab: &Grab) -> Value {
    let mut told = grab.run("status --json").exits(0).json()["told"].clone();
    told.as_object_mut().unwrap().remove("told_at");
    told
}

#[test]
fn what_start_was_told_holds_for_what_goes_on_in_the_directory() {
    let server = serving();
    let grab = client();
    let how = format!("--base-url {} --rate 100/s --concurrency 3", server.base_url());
    grab.run(&format!("start --plan-only --windows 2024-01-03 --tickers A,B,C,D {how}")).exits(0);
    let url = format!("{}/", server.base_url());
    assert_eq!(told(&grab)["rate"], "100/s");
    let status = grab.run("status").exits(0).stdout;
    assert!(status.contains(" at 100/s, 3 requests at once, by grab start on "), "{status}");
    // At the free plan's pace four requests take 36 seconds, and go to the vendor.
    let ran = grab.run("resume").exits(0);
    assert!(
        ran.stderr.contains(&format!("requests go to {url}, the saved host of this directory")),
        "{ran:?}"
    );
    let times: Vec<_> = server.requests().iter().map(|request| request.at).collect();
    assert_eq!(times.len(), 4);
    let took = times.iter().max().unwrap().duration_since(*times.iter().min().unwrap());
    assert!(took < Duration::from_secs(5), "{took:?}");
    fs::remove_file(grab.data_dir().join("bars_1m/ticker=A/year=2024/month=01/bars.parquet")).unwrap();
    grab.run("repair").exits(0);
    assert_eq!(server.requests().len(), 5, "repair asks the same host");
    let dry_run = grab.run("update --dry-run").exits(0).stdout;
    assert!(dry_run.contains(" at 100/s"), "{dry_run}");
    // Another start uses it, too.
    grab.run("start --windows 2024-01-03 --tickers E").exits(0);
    assert_eq!(server.requests().len(), 6);
    // The key is in no file: not of the directory, nor of the user's state, which has the pace for it.
    let of_state: Vec<_> = all_below(&grab.state_dir()).into_iter().filter(|path| path.is_file()).collect();
    assert_eq!(of_state.len(), 2, "{of_state:?}");
    let files = all_below(&grab.data_dir()).into_iter().filter(|path| path.is_file()).chain(of_state);
    assert!(
        !files.into_iter().any(|path| fs::read(path).unwrap().windows(13).any(|w| w == b"hush-hush-key"))
    );
}

#[test]
fn a_flag_wins_over_a_variable_over_what_was_told_over_the_spec_over_a_file() {
    let grab = client();
    fs::write(grab.dir().join("grab.toml"), "rate = \"1/s\"\n").unwrap();
    let spec = "windows = [\"2024-01\"]\nuniverse.tickers = [\"A\"]\n[pacing]\nrate = \"2/s\"\n";
    fs::write(grab.dir().join("spec.toml"), spec).unwrap();
    let pace = |variable: &str, flags: &str| {
        let ran = grab.run_with("GRAB_RATE", variable, &format!("update --dry-run {flags}")).exits(0);
        ran.stdout.split(" at ").last().unwrap().split(". ").next().unwrap().to_owned()
    };
    grab.run("start --plan-only --spec spec.toml").exits(0);
    assert_eq!(pace("", ""), "2/s");
    // Values of a file are not saved: they apply again each time.
    assert_eq!(told(&grab), json!({"base_url": null, "rate": null, "concurrency": null, "parquet": null}));
    grab.run_with("GRAB_RATE", "3/s", "start --plan-only --windows 2024-02 --tickers A").exits(0);
    assert_eq!(pace("", ""), "3/s");
    assert_eq!(pace("4/s", ""), "4/s");
    assert_eq!(pace("4/s", "--rate 5/s"), "5/s");
    assert_eq!(pace("", ""), "3/s", "what an update is told holds for it alone");
    // A spec that is named now wins, and removes the saved settings.
    grab.run("start --plan-only --spec spec.toml").exits(0);
    assert_eq!(pace("", ""), "2/s");
    grab.run("start --plan-only --spec spec.toml --rate 6/s").exits(0);
    assert_eq!(pace("", ""), "6/s");
    grab.run("start --dry-run --windows 2024-03 --tickers A --rate 7/s").exits(0);
    assert_eq!(told(&grab)["rate"], "6/s", "a dry run tells nothing");
    let events = "SELECT group_concat(reason, '; ') FROM events WHERE kind = 'told'";
    let events: String = grab.manifest().query_row(events, [], |row| row.get(0)).unwrap();
    assert_eq!(events, "rate 3/s; no rate in place of 3/s; rate 6/s");
}

#[test]
fn a_host_that_was_told_and_is_gone_is_named_as_that_and_another_can_be_told() {
    let grab = client();
    let start =
        "start --plan-only --windows 2024-01-03 --tickers A --rate none --base-url http://127.0.0.1:9";
    grab.run(start).exits(0);
    let gone = grab.run("resume --json").exits(21).json();
    let hint = gone["hint"].as_str().unwrap();
    assert!(hint.contains("http://127.0.0.1:9/ is the saved host of this directory"), "{gone}");
    let server = serving();
    grab.run(&format!("start --windows 2024-01-03 --tickers A --base-url {}", server.base_url())).exits(0);
    assert_eq!(told(&grab)["base_url"], server.base_url());
    grab.run("resume --retry-failed").exits(0);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn every_hint_is_a_command_that_can_be_pasted() {
    let server = serving();
    let grab = client();
    let place = grab.dir().join("my bars");
    let mut start = grab.command("start --windows 2024-01-03 --tickers A,B --max-requests 1 --rate none");
    start.args(["--base-url", server.base_url(), "--data-dir"]).arg(&place);
    let ran = Ran::from(start.output().unwrap()).exits(10);
    let hint = format!("`grab resume --data-dir '{}'` continues with the 1 task pending", place.display());
    assert!(ran.stdout.contains(&hint), "{ran:?}");
    // As a shell takes it.
    let typed = hint.split('`').nth(1).unwrap().replacen("grab", env!("CARGO_BIN_EXE_grab"), 1);
    let mut shell = std::process::Command::new("/bin/sh");
    shell.args(["-c", &typed]).current_dir("/").env_clear().env("HOME", grab.dir());
    let pasted = Ran::from(shell.env("MASSIVE_API_KEY", "key").output().unwrap());
    assert_ne!(pasted.code, 2, "{pasted:?}");
    assert_eq!(server.requests().len(), 2, "it went on in the right place: {pasted:?}");
}

#[test]
fn what_a_hint_names_for_the_sandbox_is_found() {
    let grab = Grab::new();
    let begun = grab.run("start --sandbox --plan-only --windows 2024-01-03 --tickers AAPL").exits(0).stdout;
    assert!(begun.contains("`grab resume --data-dir sandbox-data` continues"), "{begun}");
    // There is no fallback to it: the printed command names it.
    let nothing = grab.run("status --tickers").exits(2).stderr;
    assert!(nothing.contains("`grab status --tickers --data-dir sandbox-data`"), "{nothing}");
    let keyless = grab.run("start --windows 2024-01-03 --tickers AAPL").exits(20).stderr;
    assert!(keyless.contains("`grab start --windows 2024-01-03 --tickers AAPL --sandbox`"), "{keyless}");
    let keyless = grab.run("start --windows 2024-01-03 --tickers AAPL --data-dir real").exits(20).stderr;
    assert!(keyless.contains("`grab start --windows 2024-01-03 --tickers AAPL --sandbox`"), "{keyless}");
    grab.run("start --windows 2024-01-03 --tickers AAPL --sandbox").exits(0);
    let mixed = grab.run_with(
        "MASSIVE_API_KEY",
        "key",
        "start --windows 2024-01-03 --tickers A --data-dir sandbox-data",
    );
    let again = "`grab start --windows 2024-01-03 --tickers A --data-dir sandbox-data --sandbox`";
    assert!(mixed.exits(2).stderr.contains(again));
}
