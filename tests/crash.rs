//! The crash matrix: at every step of a page's way to stable storage the program crashes, or the disk fails. Afterwards
//! the next run stores bar for bar what an undisturbed run stores.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use grab_core::failpoint::CrashPoint;
use grab_model::Bar;
use jiff::civil::date;

use crate::support::{
    Grab, Ran, Reply, Request, Server, assert_recorded, bars_of, litter, minutes, page, read_store,
};

/// Two tickers with bars, one without, one unknown.
const START: &str = "start --json --windows 2024-01..2024-02 --tickers A,E,KIMpL,N";

/// The most hits of one step that a run of this size can have: the matrix ends long before.
const MANY: u32 = 60;

/// Three pages of twenty bars; the second one goes over the end of a month.
fn bars() -> Vec<Bar> {
    let days = [(date(2024, 1, 30), 25), (date(2024, 2, 1), 25), (date(2024, 2, 29), 10)];
    days.into_iter().flat_map(|(day, count)| minutes(day, count)).collect()
}

fn answer(request: &Request) -> Reply {
    let symbol = request.symbol();
    match symbol {
        "E" => return Reply::json(200, page(symbol, &[], None)),
        "N" => return Reply::json(404, r#"{"status":"NOT_FOUND","message":"Ticker not found."}"#),
        _ => {}
    }
    let bars = bars();
    let begin = request.target.split("cursor=").nth(1).map_or(0, |begin| begin.parse().unwrap());
    let (end, host) = (begin + 20, request.header("host").unwrap());
    let next = format!("http://{host}/v2/aggs/ticker/{symbol}/range/1/minute/0/0?cursor={end}");
    Reply::json(200, page(symbol, &bars[begin..end], (end < bars.len()).then_some(&next)))
}

fn expected() -> BTreeMap<String, Vec<Bar>> {
    ["A", "KIMpL"].into_iter().map(|symbol| (symbol.to_owned(), bars())).collect()
}

/// A program with a server of its own.
struct Trial {
    server: Server,
    grab: Grab,
    /// The injected faults, for the message of a failing test.
    story: String,
    /// Requests that may be sent twice: those under way at a fault.
    in_flight: usize,
}

impl Trial {
    fn new() -> Self {
        let server = Server::start(answer);
        let grab = Grab::with_server(server.base_url()).env("GRAB_CONCURRENCY", "1");
        Self { server, grab, story: String::new(), in_flight: 0 }
    }

    /// Runs a command with an injected fault.
    fn disturb(&mut self, arguments: &str, step: CrashPoint, action: &str, hit: u32) -> Ran {
        let failpoint = format!("{}={action}@{hit}", step.as_str());
        self.story.extend([&failpoint, "; "]);
        self.in_flight += 1;
        self.grab.command(arguments).env("GRAB_FAILPOINT", failpoint).output().unwrap().into()
    }

    /// `resume`, or `start` if nothing was recorded that could be resumed.
    fn next_command(&self) -> &'static str {
        let tasks = || {
            let manifest = rusqlite::Connection::open(self.grab.data_dir().join("manifest.sqlite")).ok()?;
            manifest.query_row("SELECT count(*) FROM tasks", [], |row| row.get::<_, u32>(0)).ok()
        };
        if self.grab.data_dir().exists() && tasks().is_some_and(|tasks| tasks > 0) {
            "resume --json"
        } else {
            START
        }
    }

    /// Continues undisturbed. Nothing is lost, doubled, or left over; nothing was requested without need.
    fn ends_well(&self) {
        let Self { server, grab, story, in_flight } = self;
        let data_dir = grab.data_dir();
        if self.next_command() != START {
            // The leftovers of a crash are no damage.
            let verified = grab.run("verify --deep --json").json();
            assert_eq!(verified["damage"], 0, "{story}{verified}");
        }
        let report = grab.run(self.next_command());
        assert_eq!(report.code, 11, "one ticker is unknown: {story}{report:?}");
        assert_eq!(read_store(&data_dir), expected(), "{story}");
        assert_recorded(&data_dir);
        assert_eq!(grab.run("verify --deep --json").json()["damage"], 0, "{story}");
        assert_eq!(litter(&data_dir), Vec::<PathBuf>::new(), "{story}");
        let states = ["A done", "E empty", "KIMpL done", "N not_found"];
        let tasks: Vec<_> = grab.tasks().iter().map(|task| task.replace(" 2024-01-01", "")).collect();
        assert_eq!(tasks, states, "{story}");
        assert_eq!(grab.count("SELECT sum(bars) FROM tasks"), 120, "each page is counted once: {story}");
        assert_eq!(grab.count("SELECT count(*) FROM pages"), 7, "{story}");
        assert_eq!(grab.count("SELECT count(*) FROM events WHERE kind = 'planned'"), 1, "{story}");
        let distinct: BTreeSet<_> = server.requests().into_iter().map(|request| request.target).collect();
        let again = server.pages_asked() - distinct.len();
        assert!(again <= *in_flight, "{again} requests were asked again: {story}");
    }
}

/// Crashes at every hit of a step in the first run, one after the other, until a run has fewer. Returns the number of hits.
fn die_at_every_hit(step: CrashPoint) -> u32 {
    for hit in 1..MANY {
        let mut trial = Trial::new();
        let ran = trial.disturb(START, step, "kill", hit);
        if ran.code == 11 {
            return hit - 1;
        }
        assert_eq!(ran.code, -1, "{}{ran:?}", trial.story);
        trial.ends_well();
    }
    panic!("{step:?} has no end")
}

/// How often an undisturbed run of this size reaches a step. A new step must be added here, and in a test below.
fn hits(step: CrashPoint) -> u32 {
    match step {
        // The data directory, `bars_1m`, and for each of two tickers: itself, a year, two months.
        // No page has two new ones in one folder: there is a separate test for that.
        CrashPoint::BeforeFolder | CrashPoint::AfterFolder | CrashPoint::AfterNameSync => 10,
        // Four months for each of two tickers: one page has bars of two.
        CrashPoint::BeforeWrite
        | CrashPoint::AfterWrite
        | CrashPoint::AfterSync
        | CrashPoint::AfterRename
        | CrashPoint::AfterFolderSync => 8,
        // An undisturbed run leaves nothing: there is a separate test.
        CrashPoint::BeforeSweep => 0,
        // Of the plans, the one with the tasks.
        CrashPoint::BeforeMigration | CrashPoint::BeforePlan => 1,
        // The kind of bars, the run, the saved settings, the tasks; four leases and one without a task;
        // seven pages, one refusal; a request about the plan, its response, what it serves; the pace, the end of the run.
        CrashPoint::BeforeCommit | CrashPoint::AfterCommit => 22,
    }
}

#[test]
fn dying_at_a_step_of_the_folders_loses_nothing() {
    for step in [CrashPoint::BeforeFolder, CrashPoint::AfterFolder, CrashPoint::AfterNameSync] {
        assert_eq!(die_at_every_hit(step), hits(step), "{step:?}");
    }
}

#[test]
fn dying_at_a_step_of_a_write_loses_nothing() {
    for step in [CrashPoint::BeforeWrite, CrashPoint::AfterWrite, CrashPoint::AfterSync] {
        assert_eq!(die_at_every_hit(step), hits(step), "{step:?}");
    }
}

#[test]
fn dying_at_a_step_of_a_rename_loses_nothing() {
    for step in [CrashPoint::AfterRename, CrashPoint::AfterFolderSync] {
        assert_eq!(die_at_every_hit(step), hits(step), "{step:?}");
    }
}

#[test]
fn dying_before_any_commit_loses_nothing() {
    for step in [CrashPoint::BeforeMigration, CrashPoint::BeforePlan, CrashPoint::BeforeCommit] {
        assert_eq!(die_at_every_hit(step), hits(step), "{step:?}");
    }
}

#[test]
fn dying_after_any_commit_loses_nothing() {
    assert_eq!(die_at_every_hit(CrashPoint::AfterCommit), hits(CrashPoint::AfterCommit));
}

#[test]
fn dying_while_a_crash_is_cleared_up_loses_nothing() {
    for (first, hit) in [(CrashPoint::AfterWrite, 3), (CrashPoint::AfterFolderSync, 4)] {
        // The second page has two months; both files are begun before one has its name.
        for (step, hits) in
            [(CrashPoint::BeforeSweep, 2), (CrashPoint::BeforeCommit, 3), (CrashPoint::AfterCommit, 3)]
        {
            for second in 1..=hits {
                let mut trial = Trial::new();
                trial.disturb(START, first, "kill", hit).exits(-1);
                let again = trial.disturb("resume --json", step, "kill", second);
                let has_litter = first == CrashPoint::AfterWrite;
                assert_eq!(again.code, if step == CrashPoint::BeforeSweep && !has_litter { 11 } else { -1 });
                trial.ends_well();
            }
        }
    }
}

/// One page of three new months without folders. At every step it crashes, or the disk fails: then several files are
/// begun, durable or renamed, and others not.
#[test]
fn a_page_of_several_new_months_is_never_lost_in_between() {
    let days = [date(2024, 1, 30), date(2024, 2, 1), date(2024, 3, 4)];
    let expected = BTreeMap::from([("A".to_owned(), bars_of(&days))]);
    let steps = [
        // `bars_1m`, the ticker, the year, three months.
        (CrashPoint::AfterFolder, 6),
        // One sync for the three months in their year.
        (CrashPoint::AfterNameSync, 4),
        (CrashPoint::AfterWrite, 3),
        (CrashPoint::AfterSync, 3),
        (CrashPoint::AfterRename, 3),
        (CrashPoint::AfterFolderSync, 3),
    ];
    for (step, hits) in steps {
        for (action, hit) in (1..=hits + 1).flat_map(|hit| [("kill", hit), ("eio", hit)]) {
            let server =
                Server::start(move |request| Reply::json(200, page(request.symbol(), &bars_of(&days), None)));
            let grab = Grab::with_server(server.base_url());
            fs::create_dir(grab.data_dir()).unwrap();
            let failpoint = format!("{}={action}@{hit}", step.as_str());
            let mut start = grab.command("start --windows 2024-01..2024-03 --tickers A");
            let ran = Ran::from(start.env("GRAB_FAILPOINT", &failpoint).output().unwrap());
            let code = match action {
                _ if hit > hits => 0,
                "kill" => -1,
                _ => 30,
            };
            assert_eq!(ran.code, code, "{failpoint}: {ran:?}");
            assert_eq!(grab.run("verify --deep --json").json()["damage"], 0, "{failpoint}");
            grab.run("resume").exits(0);
            assert_eq!(read_store(&grab.data_dir()), expected, "{failpoint}");
            assert_recorded(&grab.data_dir());
            assert_eq!(litter(&grab.data_dir()), Vec::<PathBuf>::new(), "{failpoint}");
        }
    }
}

/// Several workers crash together: each may have a page under way.
#[test]
fn dying_with_several_workers_loses_nothing() {
    for step in [
        CrashPoint::AfterWrite,
        CrashPoint::AfterFolderSync,
        CrashPoint::BeforeCommit,
        CrashPoint::AfterCommit,
    ] {
        for hit in [2, 5, 8] {
            let mut trial = Trial::new();
            trial.in_flight = 3;
            trial.disturb(&format!("{START} --concurrency 4"), step, "kill", hit).exits(-1);
            trial.ends_well();
        }
    }
}

/// A step fails, and then always: the run reports it with advice, and the next run continues.
fn fail_at(step: CrashPoint, action: &str, hits: impl IntoIterator<Item = u32>) {
    for hit in hits {
        let mut trial = Trial::new();
        let ran = trial.disturb(START, step, action, hit);
        let report = ran.json();
        let said = |field: &str| report[field].as_str().unwrap_or_default().to_owned();
        assert_eq!((ran.code, said("outcome").as_str()), (30, "error"), "{}{ran:?}", trial.story);
        let words = if action == "eio" { "Input/output error" } else { "No space left on device" };
        assert!(said("error").contains(words), "{}{ran:?}", trial.story);
        assert!(said("hint").contains("`grab resume` continues"), "{}{ran:?}", trial.story);
        assert_eq!(report["tasks"]["running"], 0, "{}{ran:?}", trial.story);
        trial.ends_well();
    }
}

/// The first, one in the middle and the last hit of a step.
fn some_hits(step: CrashPoint) -> BTreeSet<u32> {
    BTreeSet::from([1, hits(step).div_ceil(2), hits(step)])
}

#[test]
fn a_full_disk_loses_nothing() {
    for step in [
        CrashPoint::BeforeFolder,
        CrashPoint::BeforeWrite,
        CrashPoint::AfterWrite,
        CrashPoint::BeforeMigration,
        CrashPoint::BeforePlan,
    ] {
        fail_at(step, "enospc", some_hits(step));
    }
}

#[test]
fn a_broken_disk_loses_nothing() {
    for step in [
        CrashPoint::AfterFolder,
        CrashPoint::AfterNameSync,
        CrashPoint::AfterSync,
        CrashPoint::AfterRename,
        CrashPoint::AfterFolderSync,
    ] {
        fail_at(step, "eio", some_hits(step));
    }
}

#[test]
fn a_manifest_that_cannot_be_written_loses_nothing() {
    fail_at(CrashPoint::BeforeCommit, "enospc", 1..=hits(CrashPoint::BeforeCommit));
}

#[test]
fn a_run_without_a_manifest_still_reports_what_it_did() {
    let report = Trial::new().disturb(START, CrashPoint::BeforeCommit, "enospc", 8).exits(30).json();
    assert_eq!((&report["tasks"]["total"], &report["requests"]), (&4.into(), &2.into()), "{report}");
    assert_eq!(report["tasks"]["pending"], 4, "nobody runs them any more");
}

#[test]
fn a_manifest_whose_disk_breaks_loses_nothing() {
    fail_at(CrashPoint::AfterCommit, "eio", 1..=hits(CrashPoint::AfterCommit));
}

#[test]
fn litter_that_cannot_be_swept_is_swept_later() {
    let mut trial = Trial::new();
    trial.disturb(START, CrashPoint::AfterWrite, "kill", 3).exits(-1);
    trial.disturb("resume --json", CrashPoint::BeforeSweep, "eio", 1).exits(30);
    assert_eq!(litter(&trial.grab.data_dir()).len(), 2, "both months of the second page");
    trial.ends_well();
}

/// A page of two months, of which only the first could be written, is recorded as far as it went, even if it is never
/// served again.
#[test]
fn what_a_half_written_page_left_is_recorded_whatever_comes_next() {
    let days = [date(2024, 1, 31), date(2024, 2, 1)];
    let bars: Vec<Bar> = days.into_iter().flat_map(|day| minutes(day, 5)).collect();
    let calls = AtomicU32::new(0);
    let server = Server::start(move |request| match calls.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::json(200, page(request.symbol(), &bars, None)),
        _ => Reply::json(403, r#"{"status":"NOT_AUTHORIZED","message":"not entitled"}"#),
    });
    let grab = Grab::with_server(server.base_url());
    let start = "start --windows 2024-01..2024-02 --tickers A";
    let full = ("GRAB_FAILPOINT", "store.before_write=enospc@2");
    Ran::from(grab.command(start).envs([full]).output().unwrap()).exits(30);
    assert_eq!(grab.tasks(), ["A 2024-01-01 pending"]);
    grab.run("resume").exits(11);
    assert_eq!(grab.tasks(), ["A 2024-01-01 not_entitled"]);
    assert_eq!(read_store(&grab.data_dir())["A"].len(), 5);
    assert_recorded(&grab.data_dir());
}

/// As above, but not the disk fails: the second month's file is damaged.
#[test]
fn what_was_written_before_a_damaged_file_is_recorded() {
    let calls = AtomicU32::new(0);
    let server = Server::start(move |request| {
        let days = match calls.fetch_add(1, Ordering::SeqCst) {
            0 => vec![date(2024, 2, 20)],
            _ => vec![date(2024, 1, 31), date(2024, 2, 1)],
        };
        Reply::json(200, page(request.symbol(), &bars_of(&days), None))
    });
    let grab = Grab::with_server(server.base_url());
    grab.run("start --windows 2024-02-16..2024-02-29 --tickers A").exits(0);
    let month =
        |number| grab.data_dir().join(format!("bars_1m/ticker=A/year=2024/month={number}/bars.parquet"));
    fs::write(month("02"), "no Parquet").unwrap();
    grab.run("start --windows 2024-01..2024-02 --tickers A").exits(11);
    assert!(month("01").exists());
    assert_eq!(grab.count("SELECT count(*) FROM partitions WHERE month = '2024-01' AND bars = 30"), 1);
}

/// All sources below a folder, in one text.
fn sources(folder: &Path) -> String {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let text = |path: PathBuf| if path.is_dir() { sources(&path) } else { fs::read_to_string(path).unwrap() };
    entries.map(text).collect()
}

/// The matrix has every step of the code: [`hits`] has every variant, or this does not compile, and every step that a
/// run reaches is tested above with a crash and a failure.
#[test]
fn every_step_is_in_the_code_and_in_the_list() {
    let code = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/core/src"));
    let named = |step: &CrashPoint| code.contains(&format!("reached(CrashPoint::{step:?})"));
    assert_eq!(CrashPoint::ALL.iter().find(|step| !named(step)), None, "it is nowhere");
    let uses = code.matches("reached(CrashPoint::").count();
    assert_eq!(uses, CrashPoint::ALL.len(), "each step is one place, and each place is in the list");
}
