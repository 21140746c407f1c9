//! Paths that cannot be written, or where something else is: they are named, and nothing is lost.

mod modes;
#[cfg(debug_assertions)]
mod refusals;

use std::fs;

use jiff::civil::date;

use crate::support::{Grab, Ran, Reply, Server, minutes, page, read_store};

fn served() -> Server {
    Server::start(|request| Reply::json(200, page(request.symbol(), &minutes(date(2024, 1, 3), 5), None)))
}

#[test]
fn a_partition_that_is_a_folder_is_named_and_holds_no_other() {
    let server = served();
    let grab = Grab::with_server(server.base_url());
    let place = grab.data_dir().join("bars_1m/ticker=A/year=2024/month=01/bars.parquet");
    fs::create_dir_all(&place).unwrap();
    grab.run("start --windows 2024-01 --tickers A,B --max-attempts 1").exits(11);
    assert_eq!(grab.tasks(), ["A 2024-01-01 failed", "B 2024-01-01 done"]);
    let report = grab.run("status --tickers").stdout;
    assert!(report.contains("month=01/bars.parquet is a folder: move it away"), "{report}");
    fs::remove_dir(&place).unwrap();
    grab.run("resume --retry-failed").exits(0);
    assert_eq!(read_store(&grab.data_dir()).keys().collect::<Vec<_>>(), ["A", "B"]);
}

#[test]
fn a_data_directory_below_a_file_or_where_nobody_may_write_is_a_wrong_one() {
    let grab = Grab::with_server("http://127.0.0.1:9");
    fs::write(grab.dir().join("file"), "").unwrap();
    // Not even root can create a folder in /proc.
    let nowhere = if cfg!(target_os = "linux") { "/proc/grab" } else { "file" };
    for (place, in_the_way) in [("file", "file"), ("file/data", "file"), (nowhere, nowhere)] {
        for command in
            ["start --windows 2024-01 --tickers A", "status", "verify", "export --out out", "universe sync"]
        {
            let ran = grab.run(&format!("{command} --data-dir {place}")).exits(2);
            assert!(ran.stderr.contains(in_the_way), "{ran:?}");
            assert!(!ran.stderr.contains("make room"), "{ran:?}");
        }
    }
    assert_eq!(fs::read_to_string(grab.dir().join("file")).unwrap(), "");
}

#[test]
fn a_manifest_that_is_a_folder_is_named() {
    let grab = Grab::with_server("http://127.0.0.1:9");
    fs::create_dir_all(grab.data_dir().join("manifest.sqlite")).unwrap();
    for command in ["start --windows 2024-01 --tickers A", "resume", "status", "verify"] {
        let ran = grab.run(command).exits(2);
        assert!(ran.stderr.contains("data/manifest.sqlite cannot be opened: is a directory"), "{ran:?}");
        assert!(ran.stderr.contains("a file is where a folder is needed, or the reverse"), "{ran:?}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_report_that_cannot_be_written_is_told_by_the_exit_code() {
    let grab = Grab::of_sandbox();
    grab.run("start --sandbox --plan-only --windows 2024-01 --tickers AAPL").exits(0);
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let status = Ran::from(grab.command("status").stdout(full).output().unwrap()).exits(30);
    assert!(status.stderr.contains("the report cannot be written to stdout"), "{status:?}");
}

#[test]
fn a_manifest_that_another_program_holds_or_has_changed_is_neither_replaced_nor_believed() {
    let grab = Grab::of_sandbox();
    grab.run("start --sandbox --windows 2024-01-03 --tickers AAPL").exits(0);
    let manifest = grab.manifest();
    manifest.execute_batch("PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE").unwrap();
    for command in ["repair --rebuild-manifest", "verify"] {
        let busy = grab.run(command).exits(31);
        assert!(busy.stderr.contains("another program has it open"), "{busy:?}");
    }
    manifest.execute_batch("ROLLBACK; CREATE TABLE mine (x); DROP TABLE quarantine").unwrap();
    for command in ["status", "resume"] {
        let changed = grab.run(command).exits(30);
        assert!(changed.stderr.contains("quarantine is not as grab made it"), "{changed:?}");
    }
    assert_eq!(grab.run("verify --json").exits(12).json()["findings"][0]["kind"], "manifest_corrupt");
    grab.run("repair --rebuild-manifest").exits(0);
    grab.run("verify --deep").exits(0);
}
