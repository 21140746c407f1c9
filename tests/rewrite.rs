//! `grab repair --rewrite`: brings what earlier versions wrote into today's form. `fixtures/earlier-store` is an example.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use grab_core::data_dir::DataDir;
use grab_core::failpoint::CrashPoint;
use grab_model::Bar;
use serde_json::Value;

use crate::support::{
    Grab, Held, Ran, Reply, Request, Server, assert_recorded, footer, litter, page, read_store,
};

const REWRITE: &str = "repair --rewrite --json";

/// The store of an earlier version, in its own directory. Three symbols are complete; of A, one page of three.
fn earlier() -> Grab {
    let grab = Grab::new().env("GRAB_NOW", "2024-02-10T12:00:00Z").env("MASSIVE_API_KEY", "key");
    copy(&fixture().join("data"), &grab.data_dir());
    grab
}

/// This store with today's manifest; commands that only read do not migrate it.
fn migrated() -> Grab {
    let grab = earlier();
    DataDir::new(grab.data_dir()).migrate().unwrap();
    grab
}

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/earlier-store")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let (path, place) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() { copy(&path, &place) } else { fs::copy(&path, &place).map(drop).unwrap() }
    }
}

/// What was served when the store was made, from its own file.
fn truth() -> BTreeMap<String, Vec<Bar>> {
    let text = fs::read_to_string(fixture().join("truth.json")).unwrap();
    let truth: Value = serde_json::from_str(&text).unwrap();
    let bar = |row: &Value| Bar {
        timestamp: row[0].as_i64().unwrap(),
        open: row[1].as_f64().unwrap(),
        high: row[2].as_f64().unwrap(),
        low: row[3].as_f64().unwrap(),
        close: row[4].as_f64().unwrap(),
        volume: row[5].as_f64().unwrap(),
        vwap: row[6].as_f64(),
        transactions: row[7].as_i64(),
    };
    let symbols = truth["bars"].as_object().unwrap().iter();
    symbols
        .map(|(symbol, rows)| (symbol.clone(), rows.as_array().unwrap().iter().map(bar).collect()))
        .collect()
}

/// The stored bars before A is complete.
fn held() -> BTreeMap<String, Vec<Bar>> {
    let mut held = truth();
    held.get_mut("A").unwrap().truncate(100);
    held
}

/// Serves the rest of A, like the server from which the store comes.
fn rest_of_a(request: &Request) -> Reply {
    let bars = &truth()["A"];
    let begin: usize = request.target.split("cursor=").nth(1).map_or(0, |begin| begin.parse().unwrap());
    let end = bars.len().min(begin + 100);
    let host = request.header("host").unwrap();
    let next = format!("http://{host}/v2/aggs/ticker/A/range/1/minute/0/0?cursor={end}");
    Reply::json(200, page("A", &bars[begin..end], (end < bars.len()).then_some(&next)))
}

/// Every Parquet file of a directory, with its bytes.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

/// Whether all columns of all files have the order that every reader knows.
fn is_in_todays_form(grab: &Grab) -> bool {
    let orders = |path: &PathBuf| footer(path).list(7).iter().all(|order| order.ids() == [1]);
    files(&grab.data_dir()).keys().all(orders)
}

/// Checks that nothing is damaged or lost, whatever is recorded of the files; an export finds the bars too.
fn assert_whole(grab: &Grab, story: &str) {
    for verify in ["verify --json", "verify --deep --json"] {
        let verified = grab.run(verify).exits(13).json();
        assert_eq!(verified["damage"], 0, "{story}: {verified}");
    }
    assert!(read_store(&grab.data_dir()) == held(), "{story}");
    let _ = fs::remove_dir_all(grab.dir().join("exported"));
    let exported = grab.run("export --out exported --json");
    assert_eq!(exported.code, 0, "{story}: {exported:?}");
    assert_eq!(exported.json()["bars"], 400, "{story}");
}

#[test]
fn what_an_earlier_version_wrote_is_read_and_merged_into() {
    let server = Server::start(rest_of_a);
    let grab = migrated();
    assert!(!is_in_todays_form(&grab), "the fixture is of another form");
    assert_whole(&grab, "as it was");
    grab.run(&format!("resume --rate none --base-url {}", server.base_url())).exits(0);
    // Files of both forms are side by side.
    assert!(!is_in_todays_form(&grab));
    assert!(read_store(&grab.data_dir()) == truth());
    assert_eq!(grab.run("verify --deep --json").json()["damage"], 0);
    let report = grab.run(REWRITE).exits(0).json();
    assert_eq!((&report["rewritten"], &report["unchanged"]), (&8.into(), &4.into()), "{report}");
    assert!(is_in_todays_form(&grab) && read_store(&grab.data_dir()) == truth());
}

/// Each of these locks the directory, and the lock migrates. Nothing here is found at the server.
#[test]
fn every_command_that_writes_migrates_a_manifest_that_is_too_old_to_read() {
    let server = Server::start(|_: &Request| Reply::json(404, r#"{"status":"NOT_FOUND"}"#));
    let writing = [
        "start --windows 2024-01 --tickers A",
        "resume",
        "update",
        "repair",
        "repair --rewrite",
        "universe sync",
        "verify --witness grouped-daily",
    ];
    for command in writing {
        let grab = Grab::with_server(server.base_url()).env("GRAB_NOW", "2024-02-10T12:00:00Z");
        copy(&fixture().join("data"), &grab.data_dir());
        grab.run("status").exits(32);
        let ran = grab.run(command);
        assert_ne!(ran.code, 32, "{command}: {ran:?}");
        let tasks = grab.run("status --json").exits(0).json()["tasks"].clone();
        assert_eq!(tasks["done"], 3, "{command}: {tasks}");
    }
}

#[test]
fn all_files_are_written_anew_once_without_a_source_and_a_key() {
    let grab = Grab::new().env("GRAB_NOW", "2024-02-10T12:00:00Z");
    copy(&fixture().join("data"), &grab.data_dir());
    let before = files(&grab.data_dir());
    let report = grab.run(&format!("{REWRITE} --dry-run")).exits(32).json();
    assert!(report["hint"].as_str().unwrap().contains("migrates it"), "{report}");
    DataDir::new(grab.data_dir()).migrate().unwrap();
    let report = grab.run(&format!("{REWRITE} --dry-run")).exits(0).json();
    assert_eq!((&report["dry_run"], &report["rewritten"]), (&true.into(), &9.into()), "{report}");
    assert!(files(&grab.data_dir()) == before, "nothing was changed");
    let report = grab.run(REWRITE).exits(0).json();
    let counts = |report: &Value| {
        ["rewritten", "partitions", "unchanged", "requests"].map(|name| report[name].as_u64().unwrap())
    };
    assert_eq!(counts(&report), [9, 7, 2, 0], "{report}");
    assert_eq!((&report["command"], &report["outcome"]), (&"repair".into(), &"complete".into()), "{report}");
    assert!(is_in_todays_form(&grab));
    assert_whole(&grab, "written anew");
    assert_recorded(&grab.data_dir());
    let once = files(&grab.data_dir());
    let text = grab.run("repair --rewrite").exits(0).stdout;
    assert!(text.contains("rewritten none: 11 files in the form of --parquet compatible already"), "{text}");
    assert!(files(&grab.data_dir()) == once, "a second run rewrites nothing");
    // The metadata of a file stays, except for the version.
    let said = |path: &Path| {
        let file = parquet::file::reader::SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap();
        let entries = parquet::file::reader::FileReader::metadata(&file)
            .file_metadata()
            .key_value_metadata()
            .unwrap()
            .clone();
        entries
            .into_iter()
            .filter(|entry| !["grab.version", "grab.digest"].contains(&entry.key.as_str()))
            .collect::<Vec<_>>()
    };
    for path in once.keys() {
        let earlier = fixture().join("data").join(path.strip_prefix(grab.data_dir()).unwrap());
        assert_eq!(said(path), said(&earlier), "{}", path.display());
    }
}

#[test]
fn the_form_can_be_changed_and_changed_back() {
    let grab = earlier();
    let rewritten = |flags: &str| {
        let report = grab.run(&format!("{REWRITE} {flags}")).exits(0).json();
        (report["parquet"].as_str().unwrap().to_owned(), report["rewritten"].as_u64().unwrap())
    };
    let said = |parquet: &str, files| (parquet.to_owned(), files);
    assert_eq!(rewritten(""), said("compatible", 9));
    // Reference data has one form, and so has the file that is not compressed.
    assert_eq!(rewritten("--parquet compact"), said("compact", 6));
    assert_eq!(rewritten("--parquet compact"), said("compact", 0));
    assert_whole(&grab, "compact");
    assert_eq!(rewritten(""), said("compatible", 6));
    assert_whole(&grab, "compatible");
    assert_recorded(&grab.data_dir());
}

#[test]
fn a_file_that_does_not_prove_itself_is_left_and_named() {
    let grab = earlier();
    let place = |path: &str| grab.data_dir().join(path);
    let damaged = [
        place("bars_1m/ticker=NA/year=2024/month=01/bars.parquet"),
        place("reference/splits.parquet"),
        place("reference/grouped_daily/date=2024-01-25/market.parquet"),
    ];
    for path in &damaged {
        let mut bytes = fs::read(path).unwrap();
        bytes[60] ^= 1;
        fs::write(path, bytes).unwrap();
    }
    let gone = place("bars_1m/ticker=TRUE/year=2024/month=02/bars.parquet");
    fs::remove_file(&gone).unwrap();
    let before = files(&grab.data_dir());
    for rewritten in [5, 0] {
        let report = grab.run(REWRITE).exits(12).json();
        assert_eq!(
            (&report["rewritten"], &report["outcome"]),
            (&rewritten.into(), &"damaged".into()),
            "{report}"
        );
        let left: Vec<_> =
            report["left"].as_array().unwrap().iter().map(|left| left.as_str().unwrap()).collect();
        assert_eq!(left.len(), 4, "{report}");
        for path in damaged.iter().chain([&gone]) {
            let name = path.strip_prefix(grab.dir()).unwrap().display().to_string();
            assert_eq!(left.iter().filter(|left| left.contains(&name)).count(), 1, "{name}: {report}");
        }
        assert!(report["hint"].as_str().unwrap().contains("grab repair"), "{report}");
    }
    let after = files(&grab.data_dir());
    assert!(damaged.iter().all(|path| before[path] == after[path]), "they are as they were");
    assert_eq!(grab.run("verify --deep --json").exits(12).json()["damage"], 4);
}

/// A file that grab has written, but not the recorded one, is not taken for it.
#[test]
fn a_file_that_the_manifest_does_not_know_is_left() {
    let grab = earlier();
    let path = grab.data_dir().join("bars_1m/ticker=NA/year=2024/month=01/bars.parquet");
    let other = Grab::new();
    let server = Server::start(|request| Reply::json(200, page(request.symbol(), &truth()["NA"][..9], None)));
    let start = format!("start --windows 2024-01 --tickers NA --rate none --base-url {}", server.base_url());
    other.command(&start).env("MASSIVE_API_KEY", "key").output().unwrap();
    fs::copy(other.data_dir().join(path.strip_prefix(grab.data_dir()).unwrap()), &path).unwrap();
    let before = fs::read(&path).unwrap();
    let report = grab.run(REWRITE).exits(12).json();
    assert!(report["left"][0].as_str().unwrap().contains("is not the file that was recorded"), "{report}");
    assert!(fs::read(&path).unwrap() == before);
}

/// Runs a rewrite with an injected fault.
fn disturbed(grab: &Grab, step: CrashPoint, action: &str, hit: u32) -> Ran {
    let failpoint = format!("{}={action}@{hit}", step.as_str());
    grab.command(REWRITE).env("GRAB_FAILPOINT", failpoint).output().unwrap().into()
}

/// Lets it crash, or the disk fail, at some of the `all` hits of a step. Whatever is in place then, nothing is damaged,
/// even before the cleanup; and the next run finishes.
fn disturb(step: CrashPoint, (action, code): (&str, i32), hits: impl IntoIterator<Item = u32>, all: u32) {
    for hit in hits {
        let grab = earlier();
        let story = format!("{}={action}@{hit}", step.as_str());
        let ran = disturbed(&grab, step, action, hit);
        assert_eq!(ran.code, code, "{story}: {ran:?}");
        assert_whole(&grab, &story);
        let report = grab.run(REWRITE).exits(0).json();
        assert!(is_in_todays_form(&grab), "{story}");
        assert!(read_store(&grab.data_dir()) == held(), "{story}");
        assert_recorded(&grab.data_dir());
        assert_eq!(grab.count("SELECT count(*) FROM rewrites"), 0, "{story}");
        assert!(litter_of(&grab).is_empty(), "{story}: {report}");
        assert_eq!(grab.run("verify --deep --json").json()["damage"], 0, "{story}");
    }
    disturbed(&earlier(), step, action, all + 1).exits(0);
}

fn litter_of(grab: &Grab) -> Vec<PathBuf> {
    let is_parquet = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "parquet");
    litter(&grab.data_dir()).into_iter().filter(|path| !is_parquet(path)).collect()
}

const DIES: (&str, i32) = ("kill", -1);

/// A table, seven partitions, a day of the market.
const FILES: u32 = 9;

#[test]
fn dying_at_a_step_of_a_file_damages_nothing() {
    for step in [CrashPoint::BeforeWrite, CrashPoint::AfterWrite, CrashPoint::AfterSync] {
        disturb(step, DIES, [2, FILES], FILES);
    }
}

#[test]
fn dying_at_a_step_of_a_rename_damages_nothing() {
    for step in [CrashPoint::AfterRename, CrashPoint::AfterFolderSync] {
        disturb(step, DIES, [1, 2, 5, 8, FILES], FILES);
    }
}

#[test]
fn dying_at_a_commit_damages_nothing() {
    // The run begins; the partitions are recorded before and after, then the day; the run ends.
    for step in [CrashPoint::BeforeCommit, CrashPoint::AfterCommit] {
        disturb(step, DIES, 1..=6, 6);
    }
}

#[test]
fn a_full_or_broken_disk_damages_nothing() {
    for (step, action) in [
        (CrashPoint::BeforeWrite, "enospc"),
        (CrashPoint::AfterSync, "eio"),
        (CrashPoint::AfterRename, "eio"),
    ] {
        disturb(step, (action, 30), [1, 5], FILES);
    }
    disturb(CrashPoint::BeforeCommit, ("enospc", 30), [2, 3, 6], 6);
}

/// The cleanup needs no rewrite: the next command that writes does it first.
#[test]
fn any_command_that_writes_records_what_a_dead_rewrite_left() {
    for (step, hit) in
        [(CrashPoint::AfterRename, 4), (CrashPoint::AfterFolderSync, 8), (CrashPoint::AfterWrite, 5)]
    {
        let server = Server::start(rest_of_a);
        let grab = earlier();
        disturbed(&grab, step, "kill", hit).exits(-1);
        assert_eq!(grab.count("SELECT count(*) FROM rewrites"), 7);
        grab.run(&format!("resume --rate none --base-url {}", server.base_url())).exits(0);
        assert_eq!(grab.count("SELECT count(*) FROM rewrites"), 0, "{step:?}");
        assert!(read_store(&grab.data_dir()) == truth(), "{step:?}");
        assert_recorded(&grab.data_dir());
        assert!(litter_of(&grab).is_empty(), "{step:?}");
        assert_eq!(grab.run("verify --deep --json").json()["damage"], 0, "{step:?}");
    }
}

/// The findings of `verify`, without paths and details.
fn findings(grab: &Grab, command: &str) -> Vec<[Value; 4]> {
    let report = grab.run(command).exits(13).json();
    let found = report["findings"].as_array().unwrap().iter();
    found.map(|one| ["kind", "ticker", "month", "date"].map(|name| one[name].clone())).collect()
}

#[test]
fn beside_a_rewrite_that_is_at_work_nothing_is_damaged() {
    const VERIFY: [&str; 2] = ["verify --json", "verify --deep --json"];
    let whole = migrated();
    whole.run(REWRITE).exits(0);
    let (expected, bars) = (VERIFY.map(|command| findings(&whole, command)), held());
    let steps: [(CrashPoint, &[u32]); 5] = [
        (CrashPoint::AfterWrite, &[1, 5, FILES]),
        (CrashPoint::AfterRename, &[1, 2, 5, 8, FILES]),
        (CrashPoint::AfterFolderSync, &[8, FILES]),
        (CrashPoint::BeforeCommit, &[2, 3, 4, 5]),
        (CrashPoint::AfterCommit, &[2, 3, 4]),
    ];
    for (step, hits) in steps {
        for hit in hits {
            let (grab, story) = (earlier(), format!("{step:?} {hit}"));
            let held = Held::at(&grab, REWRITE, step, *hit).unwrap();
            for (command, expected) in VERIFY.iter().zip(&expected) {
                assert_eq!(findings(&grab, command), *expected, "{story}: {command}");
            }
            let exported = grab.run("export --out exported --json").exits(0).json();
            assert_eq!(exported["bars"], 400, "{story}");
            assert_eq!(held.let_go(), Some(0), "{story}");
            assert!(is_in_todays_form(&grab) && read_store(&grab.data_dir()) == bars, "{story}");
            assert_recorded(&grab.data_dir());
        }
    }
}

#[test]
fn one_rewrite_keeps_another_out() {
    let grab = earlier();
    let held = Held::at(&grab, REWRITE, CrashPoint::BeforeCommit, 2).unwrap();
    grab.run(REWRITE).exits(31);
    assert_eq!(held.let_go(), Some(0));
}

/// A dry run takes no lock. A file that is newer than its row is not taken for damaged.
#[test]
fn a_dry_run_reads_beside_a_rewrite_and_finds_no_damage() {
    for (step, hit) in [
        (CrashPoint::BeforeWrite, 1),
        (CrashPoint::AfterRename, 2),
        (CrashPoint::AfterFolderSync, 1),
        (CrashPoint::BeforeCommit, 2),
        (CrashPoint::AfterCommit, 2),
    ] {
        let (grab, story) = (earlier(), format!("{step:?} {hit}"));
        let held = Held::at(&grab, REWRITE, step, hit).unwrap();
        let report = grab.run(&format!("{REWRITE} --dry-run")).exits(0).json();
        assert_eq!((&report["dry_run"], &report["left"]), (&true.into(), &serde_json::json!([])), "{story}");
        let report = grab.run("repair --dry-run --json").exits(0).json();
        assert_eq!(
            (&report["left"], &report["set_aside"]),
            (&serde_json::json!([]), &serde_json::json!([])),
            "{story}"
        );
        assert_eq!(held.let_go(), Some(0), "{story}");
    }
}

/// A file that changes while it is read, or after the manifest was read: there is no lock between the two.
#[test]
fn verify_and_export_run_while_files_are_written_anew() {
    let grab = migrated();
    for kind in ["compact", "compatible"].iter().cycle().take(8) {
        let mut rewriting = grab.spawn(&format!("{REWRITE} --parquet {kind}"));
        let mut rounds = 0;
        while rounds == 0 || rewriting.try_wait().unwrap().is_none() {
            assert_eq!(grab.run("verify --deep --json").exits(13).json()["damage"], 0, "{kind}");
            assert_eq!(grab.run("export --out exported --json").exits(0).json()["bars"], 400, "{kind}");
            rounds += 1;
        }
        assert!(rewriting.wait().unwrap().success(), "{kind}");
    }
}

/// A crashed fetch has left a file that is newer than its row: that is no damage.
#[test]
fn what_a_dead_fetch_left_is_written_anew_too() {
    let server = Server::start(rest_of_a);
    let grab = migrated();
    let resume = format!("resume --rate none --base-url {}", server.base_url());
    let mut command = grab.command(&resume);
    let died = command.env("GRAB_FAILPOINT", format!("{}=kill@1", CrashPoint::AfterFolderSync.as_str()));
    assert_eq!(Ran::from(died.output().unwrap()).code, -1);
    let report = grab.run(&format!("{REWRITE} --dry-run")).exits(0).json();
    assert_eq!((&report["rewritten"], report["left"].as_array().unwrap().len()), (&8.into(), 0), "{report}");
    let report = grab.run(REWRITE).exits(0).json();
    assert_eq!(report["left"].as_array().unwrap().len(), 0, "{report}");
    assert_recorded(&grab.data_dir());
    grab.run(&resume).exits(0);
    assert!(read_store(&grab.data_dir()) == truth());
    assert_eq!(grab.run("verify --deep --json").json()["damage"], 0);
}

/// Real damage between a new file and its row is still damage.
#[test]
fn damage_beside_a_dead_rewrite_is_damage() {
    let grab = earlier();
    disturbed(&grab, CrashPoint::BeforeCommit, "kill", 3).exits(-1);
    let path = grab.data_dir().join("bars_1m/ticker=NA/year=2024/month=01/bars.parquet");
    let mut bytes = fs::read(&path).unwrap();
    bytes[60] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_eq!(grab.run("verify --deep --json").exits(12).json()["damage"], 1);
    let report = grab.run(REWRITE).exits(12).json();
    assert_eq!(report["left"].as_array().unwrap().len(), 1, "{report}");
    assert_eq!(grab.run("verify --deep --json").exits(12).json()["damage"], 1);
}

/// What docs/store.md recommends to readers while a process writes.
#[test]
fn a_snapshot_of_hard_links_stays_as_it_was() {
    let server = Server::start(rest_of_a);
    let grab = earlier();
    let before = files(&grab.data_dir().join("bars_1m"));
    let links: Vec<_> = (0..before.len()).map(|number| grab.dir().join(format!("link-{number}"))).collect();
    before.keys().zip(&links).for_each(|(path, link)| fs::hard_link(path, link).unwrap());
    grab.run(&format!("resume --rate none --base-url {}", server.base_url())).exits(0);
    grab.run(REWRITE).exits(0);
    assert!(files(&grab.data_dir().join("bars_1m")) != before);
    for (bytes, link) in before.values().zip(&links) {
        assert!(fs::read(link).unwrap() == *bytes, "{}", link.display());
    }
}

#[test]
fn it_stops_in_time_and_goes_on() {
    let grab = earlier();
    let report = grab.run(&format!("{REWRITE} --max-duration 0s")).exits(10).json();
    assert_eq!((&report["rewritten"], &report["outcome"]), (&8.into(), &"incomplete".into()), "{report}");
    assert!(
        report["hint"].as_str().unwrap().contains("`grab repair --rewrite --parquet compatible` continues"),
        "{report}"
    );
    assert_eq!(grab.run(REWRITE).exits(0).json()["rewritten"], 1);
}

#[test]
fn what_makes_no_sense_beside_it_is_refused() {
    let grab = earlier();
    for flags in ["--from x.json", "--accept-loss", "--rebuild-manifest"] {
        grab.run(&format!("repair --rewrite {flags}")).exits(2);
    }
    Grab::new().run("repair --rewrite").exits(2);
    grab.run("repair --rewrite --parquet tiny").exits(2);
}
