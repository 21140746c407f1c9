//! `verify` and `export` while another process writes: they read the records of one instant, and take nothing that the
//! other process is doing for damage.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use grab_core::failpoint::CrashPoint;
use grab_model::{Bar, new_york};
use jiff::civil::{Date, date};
use serde_json::Value;

use crate::support::{Grab, Held, Ran, Reply, Request, Server, minutes, page, tamper, wait_until};

const START: &str = "start --json --windows 2024-01-30..2024-02-01 --tickers A,KIMpL";

/// Three pages of twenty bars; the second one goes over the end of a month.
fn bars() -> Vec<Bar> {
    let days = [(date(2024, 1, 30), 25), (date(2024, 1, 31), 10), (date(2024, 2, 1), 25)];
    days.into_iter().flat_map(|(day, count)| minutes(day, count)).collect()
}

fn answer(request: &Request) -> Reply {
    let part = |at: usize| request.target.split(['/', '?']).nth(at).unwrap().to_owned();
    let (from, to): (Date, Date) = (part(8).parse().unwrap(), part(9).parse().unwrap());
    let is_asked = |bar: &Bar| (from..=to).contains(&new_york::date_of(bar.timestamp).unwrap());
    let bars: Vec<_> = bars().into_iter().filter(is_asked).collect();
    let begin = request.target.split("cursor=").nth(1).map_or(0, |begin| begin.parse().unwrap());
    let (symbol, host) = (request.symbol(), request.header("host").unwrap());
    let end = bars.len().min(begin + 20);
    let next = format!("http://{host}/v2/aggs/ticker/{symbol}/range/1/minute/{from}/{to}?cursor={end}");
    Reply::json(200, page(symbol, &bars[begin..end], (end < bars.len()).then_some(&next)))
}

/// Runs a command that only reads. Its output is of the recorded state, and has no damage.
fn reads(grab: &Grab, arguments: &str, story: &str) -> Value {
    let ran = grab.run(arguments);
    assert!(matches!(ran.code, 0 | 13), "{story}: {arguments}: {ran:?}");
    let report = ran.json();
    if arguments.starts_with("verify") {
        assert_eq!(report["damage"], 0, "{story}: {arguments}: {report}");
        let findings = report["findings"].as_array().unwrap();
        let odd = findings.iter().find(|finding| finding["kind"] != "unfinished_task");
        assert_eq!(odd, None, "{story}: {arguments}");
    }
    report
}

/// The bars of each file of an export.
fn exported(report: &Value) -> BTreeMap<String, u64> {
    let files = report["files"].as_array().unwrap().iter();
    files.map(|file| (file["ticker"].as_str().unwrap().to_owned(), file["bars"].as_u64().unwrap())).collect()
}

#[test]
fn at_every_step_of_a_run_they_find_what_was_recorded_and_no_damage() {
    const STEPS: [CrashPoint; 9] = [
        CrashPoint::AfterFolder,
        CrashPoint::AfterNameSync,
        CrashPoint::BeforeWrite,
        CrashPoint::AfterWrite,
        CrashPoint::AfterSync,
        CrashPoint::AfterRename,
        CrashPoint::AfterFolderSync,
        CrashPoint::BeforeCommit,
        CrashPoint::AfterCommit,
    ];
    let held: usize = thread::scope(|all| {
        let steps = STEPS
            .map(|step| all.spawn(move || (4..14).step_by(3).filter(|hit| read_beside(step, *hit)).count()));
        steps.into_iter().map(|step| step.join().unwrap()).sum()
    });
    assert!(held >= 20, "{held} moments");
}

/// Whether the run was held at this step.
fn read_beside(step: CrashPoint, hit: u32) -> bool {
    let server = Server::start(answer);
    let grab = Grab::with_server(server.base_url()).env("GRAB_CONCURRENCY", "1");
    let Some(held) = Held::at(&grab, START, step, hit) else { return false };
    let story = format!("{step:?} {hit}");
    let is_begun = grab.run("status --json").code == 0;
    if is_begun {
        let tasks = grab.count("SELECT count(*) FROM tasks WHERE state IN ('pending', 'running')");
        for command in ["verify --json", "verify --deep --json"] {
            let report = reads(&grab, command, &story);
            assert_eq!(report["beside_a_writer"], true, "{story}");
            assert_eq!(
                i64::try_from(report["findings"].as_array().unwrap().len()).unwrap(),
                tasks,
                "{story}: {report}"
            );
            assert!(!report.to_string().contains("in a process that crashed"), "{story}: {report}");
        }
        for command in ["repair --dry-run --json", "repair --rewrite --dry-run --json"] {
            let report = reads(&grab, command, &story);
            assert_eq!(report["left"], Value::Array(Vec::new()), "{story}: {command}: {report}");
        }
        let recorded = grab.count("SELECT coalesce(sum(bars), 0) FROM partitions");
        let bars: u64 = exported(&reads(&grab, "export --out out --json", &story)).values().sum();
        assert!(i64::try_from(bars).unwrap() >= recorded, "{story}: {bars} bars, {recorded} recorded");
    }
    assert_eq!(held.let_go(), Some(0), "{story}");
    let report = reads(&grab, "verify --deep --json --min-coverage 0", &story);
    assert_eq!(
        (&report["beside_a_writer"], report["findings"].as_array().unwrap().len()),
        (&false.into(), 0)
    );
    let all = exported(&reads(&grab, "export --out out --json", &story));
    assert_eq!(all, [("A".to_owned(), 60), ("KIMpL".to_owned(), 60)].into(), "{story}");
    true
}

/// Lets the server send this many responses, and no more.
#[derive(Default)]
struct Gate {
    answers: Mutex<usize>,
    opened: Condvar,
}

impl Gate {
    fn open(&self) {
        *self.answers.lock().unwrap() += 1;
        self.opened.notify_one();
    }

    fn pass(&self) {
        let mut answers = self.answers.lock().unwrap();
        while *answers == 0 {
            answers = self.opened.wait(answers).unwrap();
        }
        *answers -= 1;
    }
}

#[test]
fn from_its_beginning_to_its_end_each_of_many_ends_well() {
    let gate = Arc::new(Gate::default());
    let passing = Arc::clone(&gate);
    let server = Server::start(move |request| {
        passing.pass();
        answer(request)
    });
    let grab = Grab::with_server(server.base_url()).env("GRAB_CONCURRENCY", "4");
    let symbols = "A,B,C,D,E,F,KIMpL,BRK.B";
    grab.run(&format!("start --plan-only --windows 2024-01-30..2024-02-01 --tickers {symbols}")).exits(0);
    let mut run = grab.spawn("resume --json");
    let (ended, is_over) = ([const { AtomicUsize::new(0) }; 3], AtomicBool::new(false));
    thread::scope(|all| {
        let commands = ["verify --json", "verify --deep --json", "export --out out --json"];
        for (command, ended) in commands.into_iter().zip(&ended) {
            let (grab, is_over) = (&grab, &is_over);
            all.spawn(move || {
                let mut before = BTreeMap::new();
                while !is_over.load(Ordering::SeqCst) {
                    let report = reads(grab, command, "beside a download");
                    if command.starts_with("export") {
                        let now = exported(&report);
                        let lost = before
                            .iter()
                            .find(|(ticker, bars)| now.get(*ticker).is_none_or(|now| now < bars));
                        assert_eq!(lost, None, "bars that were exported before are exported again");
                        before = now;
                    }
                    ended.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        // Each response comes after each of the three readers has read once more.
        while run.try_wait().unwrap().is_none() {
            let counts = || ended.each_ref().map(|ended| ended.load(Ordering::SeqCst));
            let before = counts();
            gate.open();
            wait_until("a reader", || {
                let have_read = counts().iter().zip(&before).all(|(now, before)| now > before);
                have_read || run.try_wait().unwrap().is_some()
            });
        }
        is_over.store(true, Ordering::SeqCst);
    });
    let ran = Ran::from(run.wait_with_output().unwrap()).exits(0);
    assert_eq!(ran.json()["bars"], 8 * 60);
    let report = reads(&grab, "verify --deep --json", "afterwards");
    assert_eq!(
        (report["coverage"]["present_sessions"].as_u64(), report["gaps"].as_u64()),
        (Some(24), Some(0))
    );
    let all = exported(&reads(&grab, "export --out out --json", "afterwards"));
    assert!(all.len() == 8 && all.values().all(|bars| *bars == 60), "{all:?}");
}

#[test]
fn a_file_that_a_repair_has_moved_away_is_not_missing() {
    let server = Server::start(answer);
    let grab = Grab::with_server(server.base_url());
    grab.run(START).exits(0);
    let path = grab.data_dir().join("bars_1m/ticker=A/year=2024/month=01/bars.parquet");
    let mut moments = 0;
    for hit in 1..20 {
        tamper(&path, &bars()[..5]);
        let damaged = grab.run("verify --json").exits(12).json();
        assert_eq!(damaged["damage"], 1, "{damaged}");
        let Some(held) = Held::at(&grab, "repair", CrashPoint::BeforeCommit, hit) else { break };
        if !path.exists() {
            moments += 1;
            let story = format!("commit {hit}");
            // Its days are a gap until they are stored again.
            let report = grab.run("verify --json").exits(13).json();
            assert_eq!(report["damage"], 0, "{story}: {report}");
            let report = reads(&grab, "export --out out --json", &story);
            assert!(report["files"][1]["bars"] == 60, "{report}");
        }
        assert_eq!(held.let_go(), Some(0));
        grab.run("verify --deep").exits(0);
    }
    assert!(moments > 0, "it was moved away at some moment");
}

#[test]
fn what_needs_to_be_written_still_needs_the_directory() {
    let server = Server::start(answer);
    let grab = Grab::with_server(server.base_url());
    let held = Held::at(&grab, START, CrashPoint::AfterCommit, 6).unwrap();
    let ran = grab.run("verify --witness grouped-daily --json").exits(31);
    let report = ran.json();
    let (error, hint) = (report["error"].as_str().unwrap(), report["hint"].as_str().unwrap());
    let process = format!("another grab (process {}) holds this data directory", held.id());
    assert!(error.starts_with(&process) && error.contains("--witness grouped-daily"), "{report}");
    assert!(hint.contains("`grab verify` without --witness grouped-daily works meanwhile"), "{report}");
    for command in
        ["verify --witness none", "verify --report page.html --csv found.csv --missing missing.csv"]
    {
        assert!(matches!(grab.run(command).code, 0 | 13), "{command}");
    }
    for file in ["page.html", "found.csv", "missing.csv"] {
        assert!(grab.dir().join(file).exists(), "{file}");
    }
    assert_eq!(held.let_go(), Some(0));
}

/// The plan beside the manifest is durable before the transaction, so it has more than the manifest for a moment.
#[test]
fn what_is_being_asked_for_at_this_moment_is_no_gap() {
    let server = Server::start(answer);
    let grab = Grab::with_server(server.base_url());
    grab.run(START).exits(0);
    let mut moments = 0;
    for (hit, symbol) in (1..9).zip(["B", "C", "D", "E", "F", "G", "H", "I"]) {
        let more = format!("start --plan-only --windows 2024-01-30 --tickers {symbol}");
        let Some(held) = Held::at(&grab, &more, CrashPoint::BeforeCommit, hit) else { break };
        let plan = std::fs::read_to_string(grab.data_dir().join("plan.jsonl")).unwrap();
        let recorded = grab.count(&format!("SELECT count(*) FROM tasks WHERE ticker = '{symbol}'"));
        moments += usize::from(plan.contains(&format!("\"{symbol}\"")) && recorded == 0);
        let verified = grab.run("verify --json").json();
        assert!(!verified["findings"].to_string().contains("plan.jsonl"), "{hit}: {verified}");
        assert_eq!(held.let_go(), Some(0));
    }
    assert_eq!(moments, 1, "it was written and not committed at one moment");
}

#[test]
fn what_a_dead_process_left_is_still_named() {
    let server = Server::start(answer);
    let grab = Grab::with_server(server.base_url());
    let mut command = grab.command(START);
    assert!(!command.env("GRAB_FAILPOINT", "store.after_write=kill@3").status().unwrap().success());
    let report = grab.run("verify --json").exits(13).json();
    assert_eq!(report["beside_a_writer"], false);
    let kinds: Vec<_> =
        report["findings"].as_array().unwrap().iter().map(|one| one["kind"].clone()).collect();
    assert!(kinds.contains(&"stray_file".into()), "its unfinished file: {report}");
    assert!(report.to_string().contains("in a process that crashed"), "{report}");
}
