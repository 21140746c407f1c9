//! The files that `verify` writes: the page, the tables, and how the gaps of one directory become tasks of another.

use std::{collections::BTreeSet, fs};

use jiff::civil::date;

use crate::support::{Grab, Reply, Server, minutes, page};

/// Two symbols with bars on four sessions of January, and none between.
fn serve() -> Server {
    Server::start(|request| {
        let bars = [3, 4, 5, 22].map(|day| minutes(date(2024, 1, day), 2)).concat();
        Reply::json(200, page(request.symbol(), &bars, None))
    })
}

fn stored(server: &Server) -> Grab {
    let grab = Grab::with_server(server.base_url());
    grab.run("start --windows 2024-01 --tickers A,KIMpL").exits(0);
    grab
}

fn read(grab: &Grab, name: &str) -> String {
    fs::read_to_string(grab.dir().join(name)).unwrap()
}

#[test]
fn what_is_missing_here_are_tasks_there() {
    let server = serve();
    let grab = stored(&server);
    fs::remove_file(grab.data_dir().join("bars_1m/ticker=A/year=2024/month=01/bars.parquet")).unwrap();
    grab.run("verify --missing missing.csv").exits(12);
    // The file of A is lost, and so are its sessions; its gap was never stored.
    let rows = "ticker,from,to\nA,2024-01-03,2024-01-22\nKIMpL,2024-01-08,2024-01-19\n";
    assert_eq!(read(&grab, "missing.csv"), rows);

    let dry = grab.run("start --tasks-file missing.csv --dry-run --json").exits(0).json();
    assert_eq!(dry["plan"], serde_json::json!([]), "it is recorded here");
    let known = grab.run("start --tasks-file missing.csv").exits(0);
    assert!(known.stderr.contains("everything requested is recorded already"), "{known:?}");

    let other = Grab::with_server(server.base_url());
    fs::copy(grab.dir().join("missing.csv"), other.dir().join("missing.csv")).unwrap();
    other.run("start --tasks-file missing.csv --plan-only").exits(0);
    assert_eq!(other.tasks(), ["A 2024-01-03 pending", "KIMpL 2024-01-08 pending"]);
    let arguments = "SELECT count(*) FROM runs WHERE arguments = '2 tasks of a file'";
    assert_eq!(other.count(arguments), 1);
    other.run("start --windows 2024-01 --tickers KIMpL --plan-only").exits(0);
    assert_eq!(other.tasks().len(), 4, "only what the file has not taken is added");
}

#[test]
fn what_a_spec_wants_and_nobody_asked_for_is_missing_too() {
    let server = serve();
    let grab = stored(&server);
    let spec = "windows = [\"2024-01..2024-02\"]\n[universe]\ntickers = [\"A\", \"NEW\"]\n";
    fs::write(grab.dir().join("spec.toml"), spec).unwrap();
    grab.run("verify --spec spec.toml --missing missing.csv").exits(13);
    let rows = "A,2024-01-08,2024-01-19\nA,2024-02-01,2024-02-29\nKIMpL,2024-01-08,2024-01-19\nNEW,2024-01-02,2024-02-29\n";
    assert_eq!(read(&grab, "missing.csv"), format!("ticker,from,to\n{rows}"));
    grab.run("start --tasks-file missing.csv --plan-only").exits(0);
    assert_eq!(grab.tasks().len(), 4, "these were not recorded here");
}

#[test]
fn a_tasks_file_is_read_with_care() {
    let grab = Grab::of_sandbox();
    let start = |rows: &str, flags: &str| {
        fs::write(grab.dir().join("tasks.csv"), rows).unwrap();
        grab.run(&format!("start --sandbox --plan-only --tasks-file tasks.csv {flags}"))
    };
    let wrong = start("ticker,from,to\nA,2024-01-02,2024-01-03\nA,2024-01-02,soon\n", "").exits(3);
    assert!(wrong.stderr.contains("tasks.csv: line 3: \"2024-01-02..soon\""), "{wrong:?}");
    start("", "").exits(3);
    for flags in ["--windows 2024", "--tickers A", "--tickers-file x", "--spec x"] {
        start("A,2024-01-02,2024-01-03\n", flags).exits(2);
    }
    let future = start("A,2090-01-02,2090-01-03\n", "").exits(3);
    assert!(future.stderr.contains("after the last finished session"), "{future:?}");
    assert!(!grab.data_dir().exists(), "nothing was begun");

    let clipped = start("A,2024-01-02,2090-01-03\nA,2090-01-02,2090-01-03\n", "").exits(0);
    assert!(clipped.stderr.contains("left out") && clipped.stderr.contains("1 task"), "{clipped:?}");
    assert_eq!(grab.tasks(), ["A 2024-01-02 pending"]);
    let clipped = "SELECT count(*) FROM tasks WHERE to_date < '2090-01-01'";
    assert_eq!(grab.count(clipped), 1);
    start("ticker,from,to\n", "").exits(0);
    grab.run("start --tasks-file nowhere.csv").exits(3);
}

#[test]
fn the_tables_and_the_page_are_written_whole_and_replace_what_was_there() {
    let grab = stored(&serve());
    for name in ["page.html", "findings.csv"] {
        fs::write(grab.dir().join(name), "of yesterday").unwrap();
    }
    let ran = grab.run("verify --report page.html --csv findings.csv --missing missing.csv").exits(13);
    assert_eq!(ran.stderr.matches("wrote ").count(), 3, "{ran:?}");
    let row = |symbol| {
        let detail = "9 sessions to 2024-01-19 have no bar, and no source explains it";
        format!("missing_session,gap,{symbol},,2024-01-08,,\"{detail}\"\n")
    };
    let header = "kind,severity,ticker,month,date,path,detail\n";
    assert_eq!(read(&grab, "findings.csv"), format!("{header}{}{}", row("A"), row("KIMpL")));
    assert!(read(&grab, "missing.csv").contains("\nKIMpL,2024-01-08,2024-01-19\n"));
    let page = read(&grab, "page.html");
    assert!(page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"));
    assert!(!page.contains("KIMpL"), "what was found is in the data only");
    let left: BTreeSet<_> = fs::read_dir(grab.dir())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(left, ["data", "findings.csv", "missing.csv", "page.html"].map(str::to_owned).into());
    assert_eq!(grab.run("verify -q --csv findings.csv --json").exits(13).stderr, "");
}

#[test]
fn a_report_never_takes_the_place_of_the_data_or_of_what_is_no_file() {
    let grab = stored(&serve());
    fs::create_dir(grab.dir().join("folder")).unwrap();
    let before = fs::read(grab.data_dir().join("manifest.sqlite")).unwrap();
    let partition = "data/bars_1m/ticker=A/year=2024/month=01/bars.parquet";
    for place in [
        "folder",
        "/dev/null",
        "data/manifest.sqlite",
        "data/manifest.sqlite-wal",
        partition,
        "data/bars_1m/x.csv",
        "new/x.csv",
        "new/../data/bars_1m/x.csv",
    ] {
        for flag in ["--report", "--csv", "--missing"] {
            let refused = grab.run(&format!("verify {flag} {place}")).exits(2);
            assert!(refused.stderr.contains(flag) && refused.stderr.contains(place), "{refused:?}");
        }
    }
    grab.run("verify --csv same.csv --missing ./same.csv").exits(2);
    assert_eq!(fs::read(grab.data_dir().join("manifest.sqlite")).unwrap(), before);
    assert!(!grab.dir().join("new").exists(), "nothing is made on the way");
    grab.run("verify --csv data/findings.csv").exits(13);
}

#[test]
fn a_link_stays_one_and_what_it_leads_to_is_replaced() {
    use std::os::unix::fs::symlink;

    let grab = stored(&serve());
    fs::create_dir(grab.dir().join("elsewhere")).unwrap();
    fs::write(grab.dir().join("elsewhere/real.csv"), "of yesterday").unwrap();
    symlink("elsewhere/real.csv", grab.dir().join("link.csv")).unwrap();
    symlink("nowhere.csv", grab.dir().join("dangling.csv")).unwrap();
    symlink("data/manifest.sqlite", grab.dir().join("sly.csv")).unwrap();
    grab.run("verify --csv link.csv").exits(13);
    assert!(grab.dir().join("link.csv").is_symlink());
    assert!(read(&grab, "elsewhere/real.csv").starts_with("kind,"));
    grab.run("verify --csv dangling.csv").exits(2);
    grab.run("verify --csv sly.csv").exits(2);
}

#[test]
fn an_empty_manifest_beside_bars_is_damage() {
    let grab = stored(&serve());
    fs::write(grab.data_dir().join("manifest.sqlite"), "").unwrap();
    assert!(grab.run("verify").exits(12).stdout.contains("manifest_corrupt"));
}

#[cfg(debug_assertions)]
#[test]
fn a_manifest_whose_maker_died_at_once_is_none_unless_there_are_bars() {
    let server = serve();
    let grab = Grab::with_server(server.base_url());
    let mut start = grab.command("start --windows 2024-01 --tickers A");
    start.env("GRAB_FAILPOINT", "manifest.before_migration=kill@1").output().unwrap();
    assert!(grab.data_dir().join("manifest.sqlite").exists());
    for command in ["verify", "repair", "status", "resume"] {
        let ran = grab.run(command).exits(2);
        assert!(ran.stderr.contains("nothing was ever started here"), "{ran:?}");
    }
}

#[test]
fn without_a_manifest_nobody_says_that_nothing_is_missing() {
    let grab = stored(&serve());
    fs::write(grab.data_dir().join("manifest.sqlite"), "garbage, and more of it").unwrap();
    let ran = grab.run("verify --report page.html --csv findings.csv --missing missing.csv").exits(12);
    assert!(ran.stderr.contains("missing.csv is not written"), "{ran:?}");
    assert!(!grab.dir().join("missing.csv").exists());
    assert!(read(&grab, "findings.csv").contains("\nmanifest_corrupt,damage,,,,"));
    assert!(grab.dir().join("page.html").exists());
}
