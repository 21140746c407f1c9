//! Requested windows survive the loss of the manifest: they are saved in `plan.jsonl` beside it.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use crate::support::{Grab, Ran, Reply, Request, Server, litter, minutes, page, read_store};

const START: &str = "start --windows 2024-01-02..2024-01-05,2024-02-01..2024-02-02 --tickers A,B,C";

/// Thirty bars on each requested weekday.
fn answer(request: &Request) -> Reply {
    let day = |at| request.target.split(['/', '?']).nth(at).unwrap().parse::<jiff::civil::Date>().unwrap();
    let days =
        grab_model::Window::new(day(8), day(9)).map(grab_model::calendar::sessions).into_iter().flatten();
    let bars: Vec<_> = days.flat_map(|day| minutes(day.date(), 30)).collect();
    Reply::json(200, page(request.symbol(), &bars, None))
}

fn client(server: &Server) -> Grab {
    Grab::with_server(server.base_url()).env("GRAB_CONCURRENCY", "1")
}

fn plan(grab: &Grab) -> PathBuf {
    grab.data_dir().join("plan.jsonl")
}

fn lose_manifest(grab: &Grab) {
    for name in ["manifest.sqlite", "manifest.sqlite-wal", "manifest.sqlite-shm"] {
        let _ = fs::remove_file(grab.data_dir().join(name));
    }
}

fn rebuilt(grab: &Grab, code: i32) -> Value {
    grab.run("repair --rebuild-manifest --json").exits(code).json()
}

/// The total and the pending tasks.
fn tasks(report: &Value) -> [u64; 2] {
    ["total", "pending"].map(|state| report["tasks"][state].as_u64().unwrap())
}

/// The bars that an undisturbed run stores.
fn whole() -> std::collections::BTreeMap<String, Vec<grab_model::Bar>> {
    let server = Server::start(answer);
    let grab = client(&server);
    grab.run(START).exits(0);
    read_store(&grab.data_dir())
}

#[test]
fn a_lost_manifest_is_made_anew_with_what_is_still_pending() {
    for done in 0..=6 {
        let server = Server::start(answer);
        let grab = client(&server);
        let limit = if done == 0 { "--plan-only".to_owned() } else { format!("--max-requests {done}") };
        grab.run(&format!("{START} {limit}"));
        let written = fs::read(plan(&grab)).unwrap();
        lose_manifest(&grab);
        let report = rebuilt(&grab, if done == 6 { 0 } else { 10 });
        assert_eq!((tasks(&report), &report["is_all_asked"]), ([6, 6 - done], &true.into()), "{report}");
        let outcome = if done == 6 { "complete" } else { "incomplete" };
        assert_eq!((&report["outcome"], &report["notes"]), (&outcome.into(), &json!([])));
        if done < 6 {
            assert!(report["hint"].as_str().unwrap().contains("resume"), "{report}");
        }
        assert_eq!(fs::read(plan(&grab)).unwrap(), written, "it says the same");
        let resumed = grab.run("resume --json").exits(0).json();
        assert_eq!((&resumed["requests"], &resumed["tasks"]["total"]), (&(6 - done).into(), &6.into()));
        assert!(read_store(&grab.data_dir()) == whole(), "{done}");
        grab.run("verify --deep").exits(0);
        assert_eq!(grab.run(&format!("{START} --json")).exits(0).json()["requests"], 0);
    }
}

#[test]
fn without_the_plan_what_was_pending_is_not_known_and_nothing_is_called_complete() {
    let server = Server::start(answer);
    let grab = client(&server);
    grab.run(&format!("{START} --max-requests 1")).exits(10);
    lose_manifest(&grab);
    fs::remove_file(plan(&grab)).unwrap();
    let report = rebuilt(&grab, 10);
    assert_eq!((&report["outcome"], &report["is_all_asked"]), (&"incomplete".into(), &false.into()));
    let hint = report["hint"].as_str().unwrap();
    assert!(hint.starts_with("what was still pending is not known: a grab start with"), "{hint}");
    assert!(report["notes"][0].as_str().unwrap().starts_with("plan.jsonl is missing"), "{report}");
    // Until it is requested again, no command calls the directory complete.
    for command in ["resume", "repair"] {
        let hint = grab.run(&format!("{command} --json")).exits(10).json()["hint"].clone();
        assert!(hint.as_str().unwrap().contains("what was still pending is not known"), "{command}: {hint}");
    }
    // It names nothing that a repair could ask for, which the repair says.
    let not_asked = &grab.run("repair --dry-run --json").exits(0).json()["not_asked"];
    assert!(not_asked[0].as_str().unwrap().contains("what was pending"), "{not_asked}");
    assert!(grab.run("verify").exits(13).stdout.contains("what was pending"));
    assert_eq!(grab.run("status --json").exits(0).json()["is_all_asked"], false);
    // As the hint says.
    assert_eq!(grab.run(&format!("{START} --json")).exits(0).json()["requests"], 5);
    assert_eq!(grab.run("status --json").exits(0).json()["is_all_asked"], true);
    grab.run("resume").exits(0);
    grab.run("verify").exits(0);
    assert!(read_store(&grab.data_dir()) == whole());
}

#[test]
fn a_directory_of_an_older_version_gets_its_plan_with_the_next_command_that_writes() {
    for command in ["start --windows 2024-01-02..2024-01-05 --tickers A", "resume", "repair", "update"] {
        let server = Server::start(answer);
        let grab = client(&server).env("GRAB_NOW", "2024-02-03T12:00:00Z");
        grab.run(&format!("{START} --max-requests 1")).exits(10);
        let written = fs::read(plan(&grab)).unwrap();
        fs::remove_file(plan(&grab)).unwrap();
        grab.run("status").exits(0);
        assert!(!plan(&grab).exists(), "a reader writes nothing");
        grab.run(&format!("{command} --max-requests 1")).exits(10);
        let now = fs::read_to_string(plan(&grab)).unwrap();
        assert!(command == "update" || now.as_bytes() == written, "{command}: {now}");
        lose_manifest(&grab);
        assert!(tasks(&rebuilt(&grab, 10))[1] >= 4, "{command}");
    }
}

#[test]
fn a_run_that_asks_for_nothing_new_leaves_the_plan_alone() {
    let server = Server::start(answer);
    let grab = client(&server).env("GRAB_NOW", "2024-02-03T12:00:00Z");
    grab.run(&format!("{START} --plan-only")).exits(0);
    let changed = || fs::metadata(plan(&grab)).unwrap().modified().unwrap();
    let before = changed();
    for command in
        [&format!("{START} --plan-only"), "resume", "repair", "update", "update", "verify --deep", "status"]
    {
        grab.run(command).exits(0);
    }
    assert_eq!(changed(), before, "the last evening is asked for already");
}

/// A change to a plan, and how the fault is named.
type Damage = (fn(&str) -> String, &'static str);

#[test]
fn a_damaged_plan_is_named_and_used_as_far_as_it_is_sound() {
    let damages: [Damage; 5] = [
        (|text| text[..text.len() - 40].to_owned(), "its end is missing"),
        (|text| text.replacen("\"C\"", "\"D\"", 1), "line 4 is not as grab wrote it"),
        (
            |_| "these are not the lines you are looking for\n".to_owned(),
            "it does not begin as a plan of grab",
        ),
        (|_| "\u{0}".repeat(5_000), "line 1 is not as grab wrote it"),
        (|_| String::new(), "it does not begin as a plan of grab"),
    ];
    for (damage, fault) in damages {
        let server = Server::start(answer);
        let grab = client(&server);
        grab.run(&format!("{START} --max-requests 1")).exits(10);
        let whole = fs::read_to_string(plan(&grab)).unwrap();
        let spoilt = damage(&whole);
        let spoil = || fs::write(plan(&grab), &spoilt).unwrap();
        // While the manifest is intact, it rewrites the plan.
        spoil();
        let report = grab.run("verify --json").exits(13).json();
        let named =
            report["findings"].as_array().unwrap().iter().find(|one| one["kind"] == "corrupt_file").unwrap();
        assert!(
            named["detail"].as_str().unwrap().contains(fault) && named["severity"] == "notice",
            "{named}"
        );
        let ran = grab.run(&format!("{START} --plan-only")).exits(0);
        assert!(ran.stderr.contains("plan.jsonl was damaged") && ran.stderr.contains(fault), "{ran:?}");
        assert_eq!(fs::read_to_string(plan(&grab)).unwrap(), whole);
        let aside = || {
            let entries = fs::read_dir(grab.data_dir()).unwrap().map(|entry| entry.unwrap().path());
            entries
                .filter(|path| path.to_string_lossy().contains("plan.jsonl.set-aside-"))
                .collect::<Vec<_>>()
        };
        assert_eq!(fs::read_to_string(&aside()[0]).unwrap(), spoilt);
        // With the manifest, the rest of it is lost.
        spoil();
        lose_manifest(&grab);
        let report = rebuilt(&grab, 10);
        assert_eq!(report["is_all_asked"], false);
        let note = report["notes"][0].as_str().unwrap();
        assert!(note.contains("plan.jsonl is damaged") && note.contains(fault), "{note}");
        assert_eq!(aside().len(), 2);
        grab.run(START).exits(0);
        assert!(read_store(&grab.data_dir()) == self::whole());
    }
}

#[test]
fn of_a_plan_with_a_damaged_line_the_others_are_pending() {
    let server = Server::start(answer);
    let grab = client(&server);
    grab.run("start --plan-only --windows 2024-01 --tickers A,B").exits(0);
    grab.run("start --plan-only --windows 2024-02 --tickers C").exits(0);
    let text = fs::read_to_string(plan(&grab)).unwrap();
    fs::write(plan(&grab), text.replacen("\"C\"", "\"X\"", 1)).unwrap();
    lose_manifest(&grab);
    let report = rebuilt(&grab, 10);
    assert_eq!((tasks(&report), &report["is_all_asked"]), ([2, 2], &false.into()), "without any bar");
    assert_eq!(grab.tasks(), ["A 2024-01-01 pending", "B 2024-01-01 pending"]);
}

#[test]
fn a_plan_of_a_newer_version_is_named_and_used_as_far_as_it_is_known() {
    let server = Server::start(answer);
    let grab = client(&server);
    grab.run(&format!("{START} --plan-only")).exits(0);
    let text = fs::read_to_string(plan(&grab)).unwrap();
    let sealed =
        |said: &str| format!("{said},\"xxh3\":\"{:016x}\"}}\n", xxhash_rust::xxh3::xxh3_64(said.as_bytes()));
    let rest = text.split_once('\n').unwrap().1;
    let newer = sealed(r#"{"plan":{"format":7,"grab":"9.0.0"}"#) + &sealed(r#"{"wish":{"stars":5}"#) + rest;
    fs::write(plan(&grab), newer).unwrap();
    lose_manifest(&grab);
    let report = rebuilt(&grab, 10);
    assert_eq!((tasks(&report), &report["is_all_asked"]), ([6, 6], &false.into()));
    let note = report["notes"][0].as_str().unwrap();
    assert!(
        note.contains("line 1 is of format 7, written by grab 9.0.0") && note.contains("line 2 is unknown"),
        "{note}"
    );
}

#[test]
fn an_older_plan_beside_a_newer_manifest_loses_nothing() {
    let server = Server::start(answer);
    let grab = client(&server);
    grab.run("start --windows 2024-01-02..2024-01-05 --tickers A").exits(0);
    let old = fs::read(plan(&grab)).unwrap();
    grab.run(&format!("{START} --max-requests 2")).exits(10);
    let new = fs::read(plan(&grab)).unwrap();
    fs::write(plan(&grab), &old).unwrap();
    grab.run(&format!("{START} --plan-only")).exits(0);
    assert_eq!(fs::read(plan(&grab)).unwrap(), new, "the manifest knows more");
    // Both from a backup, and the bars are newer: what else was pending is not known.
    fs::write(plan(&grab), &old).unwrap();
    lose_manifest(&grab);
    let report = rebuilt(&grab, 10);
    assert_eq!(
        (tasks(&report), &report["is_all_asked"]),
        ([3, 0], &false.into()),
        "what is held is recorded"
    );
    let note = report["notes"][0].as_str().unwrap();
    assert!(
        note.starts_with("plan.jsonl is older than the bars: it lacks stored days of 2 symbols"),
        "{note}"
    );
    grab.run(START).exits(0);
    assert!(read_store(&grab.data_dir()) == whole());
}

#[test]
fn a_newer_plan_beside_an_older_manifest_is_taken_up() {
    let server = Server::start(answer);
    let grab = client(&server);
    grab.run("start --windows 2024-01-02..2024-01-05 --tickers A").exits(0);
    let backup = fs::read(grab.data_dir().join("manifest.sqlite")).unwrap();
    grab.run(&format!("{START} --plan-only")).exits(0);
    let new = fs::read(plan(&grab)).unwrap();
    fs::write(grab.data_dir().join("manifest.sqlite"), backup).unwrap();
    let report = grab.run("verify --json").exits(13).json();
    assert_eq!((&report["gaps"], &report["findings"][0]["kind"]), (&5.into(), &"unfinished_task".into()));
    assert_eq!(report["coverage"]["expected_sessions"], 4 * 3 + 2 * 3);
    assert_eq!(grab.run("repair --dry-run --json").exits(0).json()["estimate"]["requests"], 5);
    assert_eq!(grab.count("SELECT count(*) FROM tasks"), 1, "neither writes");
    let ran = grab.run("resume").exits(0);
    let note = "plan.jsonl requests 5 windows more than the manifest, the first A 2024-02-01..2024-02-02: they are pending now";
    assert!(ran.stderr.contains(note), "{ran:?}");
    assert_eq!(fs::read(plan(&grab)).unwrap(), new);
    assert!(read_store(&grab.data_dir()) == whole());
    assert!(!grab.run("resume").exits(0).stderr.contains("plan.jsonl"));
    grab.run("verify").exits(0);
}

#[test]
fn no_manifest_is_begun_anew_beside_the_plan_of_a_lost_one() {
    let server = Server::start(answer);
    let grab = client(&server).env("GRAB_NOW", "2024-02-03T12:00:00Z");
    grab.run(&format!("{START} --max-requests 2")).exits(10);
    lose_manifest(&grab);
    let start = format!("{START} --plan-only");
    for command in
        [&start, "start --windows 2023 --tickers Z", "resume", "update", "status", "verify", "repair"]
    {
        let ran = grab.run(command).exits(2);
        assert!(ran.stderr.contains("manifest.sqlite does not exist"), "{command}: {ran:?}");
        assert!(ran.stderr.contains("`grab repair --rebuild-manifest` rebuilds it"), "{command}: {ran:?}");
        assert!(!grab.data_dir().join("manifest.sqlite").exists(), "{command}");
    }
    let bare = client(&server);
    bare.run(&start).exits(0);
    lose_manifest(&bare);
    assert!(bare.run("universe sync").exits(2).stderr.contains("--rebuild-manifest"));
    // As the message says, both ways.
    fs::rename(plan(&grab), grab.dir().join("plan.jsonl")).unwrap();
    grab.run(&start).exits(0);
    lose_manifest(&grab);
    fs::rename(grab.dir().join("plan.jsonl"), plan(&grab)).unwrap();
    assert_eq!(tasks(&rebuilt(&grab, 10)), [6, 4]);
    assert_eq!(grab.run("resume --json").exits(0).json()["requests"], 4);
}

#[test]
fn a_manifest_of_the_version_before_gets_its_plan() {
    let server = Server::start(answer);
    let grab = client(&server);
    grab.run(&format!("{START} --max-requests 1")).exits(10);
    let written = fs::read(plan(&grab)).unwrap();
    fs::remove_file(plan(&grab)).unwrap();
    let manifest = grab.manifest();
    let names: String = manifest
        .query_row(
            "SELECT group_concat(name) FROM sqlite_schema WHERE type = 'trigger' AND name LIKE 'plan_%'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    for name in names.split(',') {
        manifest.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
    }
    let later = "DROP TABLE plan_history; DROP TABLE not_entitled";
    manifest.execute_batch(&format!("DROP TABLE plan; {later}; PRAGMA user_version = 14")).unwrap();
    drop(manifest);
    grab.run("resume --max-requests 1").exits(10);
    assert_eq!(fs::read(plan(&grab)).unwrap(), written);
}

#[test]
fn the_plan_is_of_the_kind_that_the_directory_turns_to() {
    let server = Server::start(answer);
    let grab = client(&server);
    for (flag, kind) in [("--adjusted", "\"adjusted\":true"), ("--adjusted=false", "\"adjusted\":false")] {
        grab.run(&format!("{START} --plan-only {flag}")).exits(0);
        let text = fs::read_to_string(plan(&grab)).unwrap();
        assert!(text.contains(kind), "{text}");
    }
    lose_manifest(&grab);
    rebuilt(&grab, 10);
    grab.run("resume").exits(0);
    assert!(read_store(&grab.data_dir()) == whole());
}

/// Failpoints exist only in builds with debug assertions.
#[cfg(debug_assertions)]
#[test]
fn killed_at_any_step_the_plan_is_never_behind_the_manifest() {
    use grab_core::failpoint::CrashPoint;
    let mut kills = 0;
    for step in CrashPoint::ALL {
        for hit in 1..8 {
            let server = Server::start(answer);
            let grab = client(&server);
            grab.run("start --plan-only --windows 2024-01-02..2024-01-05 --tickers A").exits(0);
            let kill = format!("{}=kill@{hit}", step.as_str());
            let ran: Ran = grab
                .command(&format!("{START} --plan-only"))
                .env("GRAB_FAILPOINT", &kill)
                .output()
                .unwrap()
                .into();
            if ran.code != -1 {
                break;
            }
            kills += 1;
            let recorded = grab.count("SELECT count(*) FROM tasks");
            lose_manifest(&grab);
            let planned = tasks(&rebuilt(&grab, 10))[0];
            assert!(i64::try_from(planned).unwrap() >= recorded, "{kill}");
            grab.run(START).exits(0);
            assert!(read_store(&grab.data_dir()) == whole(), "{kill}");
            assert_eq!(litter(&grab.data_dir()), Vec::<PathBuf>::new(), "{kill}");
        }
    }
    assert!(kills >= 7, "{kills}");
}

/// A start that crashes between the two has requested all of it.
#[cfg(debug_assertions)]
#[test]
fn what_a_start_that_died_before_its_commit_asked_for_is_taken_up() {
    let mut found = 0;
    for hit in 1..8 {
        let server = Server::start(answer);
        let grab = client(&server);
        let mut start = grab.command(&format!("{START} --plan-only"));
        let kill = format!("manifest.before_commit=kill@{hit}");
        let _ = Ran::from(start.env("GRAB_FAILPOINT", &kill).output().unwrap());
        if plan(&grab).exists() && grab.count("SELECT count(*) FROM tasks") == 0 {
            found += 1;
            grab.run("resume").exits(0);
            assert!(read_store(&grab.data_dir()) == whole(), "{kill}");
        }
    }
    assert_eq!(found, 1);
}

#[test]
fn the_plan_does_not_grow_with_the_evenings() {
    let server = Server::start(answer);
    let grab = client(&server).env("GRAB_NOW", "2024-01-06T12:00:00Z");
    grab.run("start --windows 2024-01-02..2024-01-05 --tickers A,B").exits(0);
    for day in 9..=13 {
        let evening = format!("2024-01-{day:02}T12:00:00Z");
        Ran::from(grab.command("update").env("GRAB_NOW", evening).output().unwrap()).exits(0);
        let text = fs::read_to_string(plan(&grab)).unwrap();
        assert!(text.matches("..").count() <= 2, "{text}");
    }
    assert!(fs::read_to_string(plan(&grab)).unwrap().contains("2024-01-12"));
}

#[test]
fn what_an_update_follows_is_in_the_plan() {
    let server = Server::start(answer);
    let grab = client(&server).env("GRAB_NOW", "2024-02-06T12:00:00Z");
    grab.run("start --windows 2024-01-02..2024-02-01 --tickers A,B").exits(0);
    assert_eq!(grab.run("update --max-requests 1 --json").exits(10).json()["tasks"]["pending"], 1);
    lose_manifest(&grab);
    let report = rebuilt(&grab, 10);
    assert_eq!((&report["tasks"]["pending"], &report["is_all_asked"]), (&1.into(), &true.into()));
    grab.run("resume").exits(0);
    assert_eq!(read_store(&grab.data_dir())["B"].len(), 30 * 24, "to the fifth of February");
}

#[test]
fn the_plan_belongs_to_the_data_and_has_no_key() {
    let server = Server::start(answer);
    let grab = client(&server);
    fs::write(
        grab.dir().join("a.toml"),
        "windows = [\"2024-01\"] # hush-hush-key\n[universe]\ntickers = [\"A\"]\n",
    )
    .unwrap();
    grab.run("start --spec a.toml --rate 77/s").exits(0);
    let text = fs::read_to_string(plan(&grab)).unwrap();
    assert!(text.contains("a.toml") && !text.contains("hush"), "{text}");
    for flag in ["--csv", "--missing", "--report"] {
        let refused = grab.run(&format!("verify {flag} data/plan.jsonl")).exits(2);
        assert!(refused.stderr.contains("belongs to the data"), "{refused:?}");
    }
    lose_manifest(&grab);
    grab.run("repair --rebuild-manifest").exits(0);
    let status = grab.run("status --json").exits(0).json();
    assert_eq!((&status["spec"]["path"], &status["told"]["rate"]), (&"a.toml".into(), &"77/s".into()));
}
