//! A data directory saves the spec that it was started with: its pace, and its thresholds for an update.

use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};

use grab_model::new_york;
use jiff::{
    Timestamp,
    civil::{Date, date},
};
use serde_json::Value;

use crate::support::{Grab, Ran, Reply, Request, Server, bars_of, minutes, page};

const FOUR: &str = "windows = [\"2024-01\"]\nuniverse.tickers = [\"A\", \"B\", \"C\", \"D\"]\n";

fn january(request: &Request) -> Reply {
    Reply::json(200, page(request.symbol(), &minutes(date(2024, 1, 3), 5), None))
}

/// A key, and no setting of the pace.
fn client(server: &Server) -> Grab {
    Grab::new().env("MASSIVE_API_BASE_URL", server.base_url()).env("MASSIVE_API_KEY", "hush-hush-key")
}

fn write(grab: &Grab, name: &str, text: &str) {
    fs::write(grab.dir().join(name), text).unwrap();
}

/// The number of requests from `first` on, and the time between the first and the last of them.
fn took(server: &Server, first: usize) -> (usize, Duration) {
    let requests = server.requests();
    let times: Vec<_> = requests.iter().skip(first).map(|request| request.at).collect();
    (times.len(), times.iter().max().unwrap().duration_since(*times.iter().min().unwrap()))
}

/// The pace that an update would have.
fn pace(grab: &Grab, flags: &str) -> String {
    let ran = grab.run(&format!("update --dry-run {flags}")).exits(0);
    let rest = ran.stdout.split(" at ").last().unwrap_or_else(|| panic!("{ran:?}"));
    rest.split(". ").next().unwrap().to_owned()
}

fn kept(grab: &Grab) -> Value {
    grab.run("status --json").exits(0).json()["spec"].clone()
}

#[test]
fn resume_and_repair_keep_the_pace_of_the_spec() {
    let server = Server::start(january);
    let grab = client(&server);
    write(&grab, "four.toml", &format!("{FOUR}[pacing]\nrate = \"2/s\"\n"));
    grab.run("start --plan-only --spec four.toml").exits(0);
    // The text that was read then is used, wherever the file is now.
    fs::remove_file(grab.dir().join("four.toml")).unwrap();
    // Half of the pace would take 3 seconds, the default 36.
    let in_pace = Duration::from_millis(1_300)..Duration::from_millis(2_900);
    let ran = grab.run("resume").exits(0);
    let (requests, time) = took(&server, 0);
    assert!(requests == 4 && in_pace.contains(&time), "{requests} in {time:?}: {ran:?}");
    for symbol in ["A", "B", "C", "D"] {
        let path = format!("bars_1m/ticker={symbol}/year=2024/month=01/bars.parquet");
        fs::remove_file(grab.data_dir().join(path)).unwrap();
    }
    let ran = grab.run("repair").exits(0);
    let (requests, time) = took(&server, 4);
    assert!(requests == 4 && in_pace.contains(&time), "{requests} in {time:?}: {ran:?}");
}

#[test]
fn another_start_without_a_spec_keeps_the_pace_of_the_spec() {
    let server = Server::start(january);
    let grab = client(&server);
    write(&grab, "four.toml", &format!("{FOUR}[pacing]\nrate = \"3/min\"\n"));
    grab.run("start --plan-only --spec four.toml").exits(0);
    write(&grab, "grab.toml", "rate = \"7/min\"\n");
    let pace = |flags: &str| {
        let ran = grab.run(&format!("start --windows 2004 --tickers GE --dry-run {flags}")).exits(0);
        ran.stdout.split(" at ").last().unwrap().lines().next().unwrap().to_owned()
    };
    assert_eq!(pace(""), "3/min", "the saved spec comes before grab.toml");
    assert_eq!(pace("--rate 9/min"), "9/min");
    // A new spec comes before it, also one that names no pace: then the files say it.
    let other = "windows = [\"2004\"]\nuniverse.tickers = [\"GE\"]\n";
    write(&grab, "other.toml", other);
    let ran = grab.run("start --spec other.toml --dry-run").exits(0);
    assert!(ran.stdout.contains(" at 7/min"), "{ran:?}");
    // A rate that a start got by flag is saved, and comes before the saved spec.
    grab.run("start --windows 2024-01 --tickers A --plan-only --rate 2/s").exits(0);
    assert_eq!(pace(""), "2/s");
}

#[test]
fn a_flag_and_the_environment_win_over_the_kept_spec_and_that_over_the_files() {
    let server = Server::start(january);
    let grab = client(&server);
    write(
        &grab,
        "four.toml",
        &format!("{FOUR}adjusted = false\n[pacing]\nrate = \"3/s\"\nconcurrency = 3\n"),
    );
    write(&grab, "grab.toml", "rate = \"4/s\"\n");
    // The kind of the directory is decided, whatever the spec has.
    grab.run("start --plan-only --spec four.toml --adjusted").exits(0);
    assert_eq!(pace(&grab, ""), "3/s");
    assert_eq!(pace(&grab, "--rate 1/s"), "1/s");
    let variable = grab.command("update --dry-run").env("GRAB_RATE", "2/s").output().unwrap();
    assert!(Ran::from(variable).exits(0).stdout.contains(" at 2/s"));
    // A start without a spec uses the pace of the saved one, and leaves it saved.
    let dry_run = grab.run("start --dry-run --windows 2024-02 --tickers A --adjusted").exits(0);
    assert!(dry_run.stdout.contains(" at 3/s\n"), "{dry_run:?}");
    grab.run("start --plan-only --windows 2024-02 --tickers A --adjusted").exits(0);
    assert_eq!(pace(&grab, ""), "3/s");
    assert_eq!(server.requests().len(), 0);
    // The server sends bars as traded, which is refused: but the request was right for this directory.
    grab.run("resume --rate none --max-requests 1").exits(10);
    assert!(server.requests()[0].target.contains("adjusted=true"));
}

#[test]
fn the_last_spec_is_kept_and_named_and_a_dry_run_keeps_none() {
    let server = Server::start(january);
    let grab = client(&server).env("GRAB_NOW", "2024-03-02T02:00:00Z");
    write(&grab, "a.toml", FOUR);
    write(&grab, "b.toml", &format!("# hush-hush-key\n{FOUR}[pacing]\nrate = \"7/s\"\n"));
    grab.run("start --plan-only --windows 2024-01 --tickers A").exits(0);
    assert_eq!(kept(&grab), Value::Null);
    grab.run("start --dry-run --spec a.toml").exits(0);
    assert_eq!(kept(&grab), Value::Null);
    grab.run("start --plan-only --spec ./a.toml").exits(0);
    let first = kept(&grab);
    assert_eq!(first["path"], "./a.toml");
    assert!(first["kept_at"].as_str().unwrap().starts_with("2024-03-02T02:00:0"), "{first}");
    // All of its tasks are there already.
    grab.run("start --plan-only --spec b.toml").exits(0);
    assert_eq!(pace(&grab, ""), "7/s");
    let status = grab.run("status").exits(0).stdout;
    assert!(status.contains("\n  spec      b.toml, saved on 2024-03-01\n"), "the day in New York: {status}");
    let select = "SELECT group_concat(reason, '; ') FROM events WHERE kind = 'spec_kept'";
    let events: String = grab.manifest().query_row(select, [], |row| row.get(0)).unwrap();
    assert_eq!(events, "./a.toml; b.toml in place of ./a.toml");
    let text: String = grab.manifest().query_row("SELECT text FROM spec", [], |row| row.get(0)).unwrap();
    assert_eq!(text, format!("# ***\n{FOUR}[pacing]\nrate = \"7/s\"\n"), "no key is in a manifest");
}

#[test]
fn a_spec_with_a_value_that_makes_no_sense_is_not_kept_even_if_a_flag_replaces_it() {
    let grab = Grab::of_sandbox();
    for (table, flags, wrong) in [
        ("[verify]\nmin_coverage = 99\n", "", "line 4: verify.min_coverage: 99 is not a share from 0 to 1"),
        ("[pacing]\nrate = \"fast\"\n", "--rate 1/s", "line 4: pacing.rate: "),
    ] {
        write(&grab, "odd.toml", &format!("{FOUR}{table}"));
        let ran = grab.run(&format!("start --plan-only --sandbox --spec odd.toml {flags}")).exits(3);
        assert!(ran.stderr.contains(&format!("odd.toml: {wrong}")), "{ran:?}");
        assert!(!grab.data_dir().exists());
    }
}

#[test]
fn a_kept_spec_that_cannot_be_read_any_more_is_said_and_not_used() {
    let server = Server::start(january);
    let grab = client(&server);
    write(
        &grab,
        "four.toml",
        &format!("{FOUR}[pacing]\nrate = \"3/s\"\n[verify]\nmin_symbols_per_session = 9\n"),
    );
    grab.run("start --spec four.toml").exits(0);
    for text in [
        "windows = [\"2024-01\"]\nfrom_the_future = 1\nuniverse.tickers = [\"A\"]\n[pacing]\nrate = \"3/s\"\n",
        "windows = [\"2024-01\"]\nuniverse.tickers = [\"A\"]\n[pacing]\nrate = \"warp 9\"\n",
        "",
    ] {
        grab.manifest().execute("UPDATE spec SET text = ?", [text]).unwrap();
        assert_eq!(pace(&grab, ""), "5/min");
        for command in ["update --dry-run", "resume", "repair"] {
            let ran = grab.run(command).exits(0);
            let notes: Vec<_> = ran.stderr.lines().filter(|line| line.starts_with("note: ")).collect();
            let said = "note: the saved spec is not used: `grab start` with --spec replaces it (four.toml: ";
            assert!(notes.len() == 1 && notes[0].starts_with(said), "{command}: {ran:?}");
        }
    }
}

/// A service on which symbols trade on some days of November and December 2024, and a client that uses a spec.
struct World {
    traded: Arc<Mutex<BTreeMap<String, Vec<Date>>>>,
    grab: Grab,
    _server: Server,
}

impl World {
    /// Started with a fortnight of A, B, C, D and E, and with N, which is unknown.
    fn begun(verify: &str) -> Self {
        let traded: Arc<Mutex<BTreeMap<String, Vec<Date>>>> = Arc::default();
        let known = Arc::clone(&traded);
        let day = |text: &str| text.parse().ok().or_else(|| new_york::date_of(text.parse().ok()?)).unwrap();
        let server = Server::start(move |request| {
            let asked = day(request.from())..=day(request.target.split(['/', '?']).nth(9).unwrap());
            let days = known.lock().unwrap().get(request.symbol()).cloned().unwrap_or_default();
            let days: Vec<_> = days.into_iter().filter(|day| asked.contains(day)).collect();
            Reply::json(200, page(request.symbol(), &bars_of(&days), None))
        });
        let grab = client(&server);
        let universe = "universe.tickers = [\"A\", \"B\", \"C\", \"D\", \"E\", \"N\"]";
        let pacing = "[pacing]\nrate = \"none\"";
        let spec = format!("windows = [\"2024-11\"]\n{universe}\n{pacing}\n[verify]\n{verify}\n");
        write(&grab, "five.toml", &spec);
        let world = Self { traded, grab, _server: server };
        for at in [1, 4, 5, 6, 7, 8, 11, 12, 13, 14] {
            world.trade(date(2024, 11, at), "ABCDE");
        }
        world.at(date(2024, 11, 14), "start --spec five.toml").exits(0);
        world
    }

    fn trade(&self, day: Date, symbols: &str) {
        for symbol in symbols.chars() {
            self.traded.lock().unwrap().entry(symbol.to_string()).or_default().push(day);
        }
    }

    /// Runs a command at a quarter to nine in the evening of a day.
    fn at(&self, day: Date, command: &str) -> Ran {
        let now = Timestamp::from_millisecond(new_york::at_ms(day, 20, 45)).unwrap().to_string();
        self.grab.command(command).env("GRAB_NOW", now).output().unwrap().into()
    }

    fn update(&self, day: Date, flags: &str) -> Ran {
        self.at(day, &format!("update --json {flags}"))
    }
}

/// Date, symbols with bars and symbols that are expected.
fn sessions(report: &Value) -> Vec<(&str, u64, u64)> {
    let number = |row: &Value, name: &str| row[name].as_u64().unwrap();
    let rows = report["sessions"].as_array().unwrap().iter();
    rows.map(|row| (row["date"].as_str().unwrap(), number(row, "symbols"), number(row, "expected"))).collect()
}

#[test]
fn an_update_is_judged_by_the_share_that_the_spec_wants() {
    let world = World::begun("min_coverage = 0.75");
    let (friday, monday) = (date(2024, 11, 15), date(2024, 11, 18));
    world.trade(friday, "ABCE");
    let report = world.update(friday, "").exits(0).json();
    assert_eq!(sessions(&report), [("2024-11-15", 4, 5)], "N was never seen");
    world.trade(monday, "ABE");
    let report = world.update(monday, "").exits(13).json();
    assert_eq!((&report["outcome"], &report["is_lagging"]), (&"below".into(), &false.into()));
    let hint = report["hint"].as_str().unwrap();
    assert!(
        hint.starts_with("1 session with less than 0.75")
            && hint.ends_with("2024-11-18 has 3 of 5 symbols, 0.6000"),
        "{hint}"
    );
    assert_eq!(world.grab.count("SELECT exit_code FROM runs ORDER BY id DESC LIMIT 1"), 13);
    world.update(monday, "--min-coverage 0.5").exits(0);
    let few = world.update(monday, "--min-coverage 0 --min-symbols-per-session 4").exits(13).json();
    assert_eq!(few["hint"], "1 session with fewer than 4 symbols: 2024-11-18 has 3 symbols");
    for share in ["1.5", "-0.1", "NaN"] {
        let wrong = world.update(monday, &format!("--min-coverage={share}")).exits(2);
        assert!(wrong.stderr.contains("is not a share from 0 to 1"), "{wrong:?}");
    }
    // C and D had bars every day: they are expected as long as they are not known to be delisted.
    for at in [19, 20, 21, 22, 25, 26, 27, 29] {
        world.trade(date(2024, 11, at), "ABE");
    }
    world.trade(date(2024, 12, 2), "ABE");
    let report = world.update(date(2024, 12, 2), "").exits(13).json();
    let expected: Vec<_> = sessions(&report).iter().map(|(_, _, expected)| *expected).collect();
    assert_eq!(expected, [5; 9], "{report}");
    // A thin session stays thin, in the same update and among the sessions that later updates request again.
    world.update(date(2024, 12, 2), "").exits(13);
}

#[test]
fn an_update_is_judged_by_the_number_that_the_spec_wants() {
    let world = World::begun("min_symbols_per_session = 4");
    let friday = date(2024, 11, 15);
    world.trade(friday, "ABC");
    let report = world.update(friday, "").exits(13).json();
    assert_eq!(report["hint"], "1 session with fewer than 4 symbols: 2024-11-15 has 3 symbols");
    world.update(friday, "--min-symbols-per-session 3").exits(0);
    world.at(friday, "verify --min-coverage 0").exits(0);
}

#[test]
fn a_source_that_is_silent_is_never_good_enough() {
    let world = World::begun("min_coverage = 0.9");
    let report = world.update(date(2024, 11, 15), "").exits(13).json();
    let hint = report["hint"].as_str().unwrap();
    let lacks = "; 1 session lacks symbols that have bars every day: 2024-11-15 has bars of 0 of 5 symbols";
    assert!(hint.contains("2024-11-15 has 0 of 5 symbols") && hint.contains(lacks), "{hint}");
    world.update(date(2024, 11, 29), "").exits(13);
    let report = world.update(date(2024, 12, 2), "").exits(13).json();
    assert_eq!(sessions(&report), [("2024-12-02", 0, 5)], "for more than two weeks");
}

#[test]
fn a_manifest_that_is_made_anew_takes_over_the_spec_and_what_a_list_was_asked_for() {
    let server = Server::start(january);
    let begun = || {
        let grab = client(&server).env("GRAB_RATE", "none").env("GRAB_NOW", "2024-03-02T02:00:00Z");
        write(&grab, "four.toml", FOUR);
        grab.run("start --spec four.toml").exits(0);
        grab.run("start --plan-only --universe us-stocks --type CS --windows 2024-01").exits(0);
        grab.manifest().execute("UPDATE partitions SET session_bars = '[1, 2]'", []).unwrap();
        grab
    };
    let grab = begun();
    let before = kept(&grab);
    let report = grab.run("repair --rebuild-manifest --json").exits(10).json();
    assert_eq!(report["is_all_asked"], true);
    let status = grab.run("status --json").exits(0).json();
    assert_eq!(
        (&status["spec"], &status["unplanned"]),
        (&before, &1.into()),
        "its tasks are still to be planned"
    );
    let order: String =
        grab.manifest().query_row("SELECT types || windows FROM orders", [], |row| row.get(0)).unwrap();
    assert_eq!(order, "[\"CS\"]2024-01");

    // Without the plan beside it.
    let grab = begun();
    fs::remove_file(grab.data_dir().join("plan.jsonl")).unwrap();
    grab.manifest().execute("UPDATE orders SET windows = 'x'", []).unwrap();
    let ran = grab.run("repair --rebuild-manifest").exits(10);
    assert!(ran.stdout.contains("1 request by --universe or --spec cannot be read"), "{ran:?}");
    assert_eq!(grab.count("SELECT count(*) FROM orders"), 0);

    let grab = begun();
    fs::write(grab.data_dir().join("manifest.sqlite"), "x".repeat(9_000)).unwrap();
    let whole = fs::read(grab.data_dir().join("plan.jsonl")).unwrap();
    fs::remove_file(grab.data_dir().join("plan.jsonl")).unwrap();
    let ran = grab.run("repair --rebuild-manifest").exits(10);
    assert!(ran.stdout.contains("what was still pending is not known"), "{ran:?}");
    assert_eq!(kept(&grab), Value::Null);
    // With it, no requested window is lost.
    fs::write(grab.data_dir().join("manifest.sqlite"), "x".repeat(9_000)).unwrap();
    fs::write(grab.data_dir().join("plan.jsonl"), whole).unwrap();
    grab.run("repair --rebuild-manifest").exits(10);
    assert_eq!(kept(&grab)["path"], before["path"]);
}
