//! What is not exported, and what is never replaced.

use super::*;
use grab_core::data_dir::DataDir;

fn refused(grab: &Grab, command: &str, code: i32, why: &str) {
    let ran = grab.run(&format!("export {command} --json")).exits(code);
    let report = ran.json();
    assert!(report["error"].as_str().unwrap().contains(why), "{why}: {report}");
    let outcome = if code == 12 { "damaged" } else { "error" };
    assert_eq!((&report["outcome"], &report["exit_code"]), (&outcome.into(), &code.into()));
}

#[test]
fn what_is_not_known_is_not_taken_for_nothing() {
    let grab = stored();
    refused(&grab, "--out out --adjusted splits", 2, "`grab universe sync` fetches them");
    refused(&grab, "--out out --follow-renames", 2, "`grab universe sync --renames` fetches them");
    refused(&grab, "--out out --tickers A,NOSUCH", 2, "neither stored nor requested: NOSUCH;");
    refused(&grab, "--out out --as-of 2024-01-01", 2, "add --adjusted splits");
    refused(&grab, "--out out --windows 20x4", 2, "--windows: \"20x4\"");
    assert!(!grab.dir().join("out").exists());
    grab.run("export").exits(2);
    let fresh = Grab::new();
    fresh.run("export --out out").exits(2);
    assert!(!fresh.data_dir().exists() && !fresh.dir().join("out").exists());
}

#[test]
fn nothing_goes_into_the_data_directory() {
    let grab = stored();
    fs::create_dir(grab.dir().join("out")).unwrap();
    for place in ["data", "data/export", "data/bars_1m/new/deep", "./out/../data/x", "data/manifest.sqlite"] {
        let ran = grab.run(&format!("export --out {place}")).exits(2);
        assert!(ran.stderr.contains("--out"), "{ran:?}");
    }
    std::os::unix::fs::symlink(grab.data_dir(), grab.dir().join("link")).unwrap();
    refused(&grab, "--out link/x", 2, "within the data directory");
    std::os::unix::fs::symlink("nowhere", grab.dir().join("dangling")).unwrap();
    refused(&grab, "--out dangling", 2, "leads nowhere");
    refused(&grab, "--out new/../data", 2, "not there");
    grab.run("verify --min-coverage 0.01").exits(0);
}

#[test]
fn what_grab_has_not_made_is_never_replaced() {
    let grab = stored();
    let place = |name: &str| grab.dir().join("out").join(name);
    fs::create_dir(place("")).unwrap();
    fs::write(place("KIM%70L.csv"), "mine").unwrap();
    refused(&grab, "--out out --format csv", 2, "grab export has not made it");
    assert!(!place("A.csv").exists(), "it is found before anything is written");
    grab.run("export --out out --format csv --tickers A").exits(0);
    grab.run("export --out out --format csv --tickers A").exits(0);
    let mut bytes = fs::read(place("A.csv")).unwrap();
    bytes[70] ^= 1;
    fs::write(place("A.csv"), &bytes).unwrap();
    refused(&grab, "--out out --format csv --tickers A", 2, "was changed since");
    assert_eq!(fs::read(place("A.csv")).unwrap(), bytes);
    assert_eq!(fs::read(place("KIM%70L.csv")).unwrap(), b"mine");
    fs::write(place("grab-export.json"), "{}").unwrap();
    refused(&grab, "--out out --format csv --tickers A", 2, "is not what grab writes there");
}

#[test]
fn damage_is_named_and_no_file_is_half_written() {
    for damage in ["flip", "cut", "gone", "other"] {
        let grab = stored();
        grab.run("export --out out --tickers KIMpL").exits(0);
        let before = fs::read(grab.dir().join("out/KIM%70L.parquet")).unwrap();
        let folder = grab.data_dir().join("bars_1m/ticker=KIM%70L/year=2024");
        let path = folder.join("month=02/bars.parquet");
        let mut bytes = fs::read(&path).unwrap();
        match damage {
            "flip" => {
                bytes[100] ^= 1;
                fs::write(&path, bytes).unwrap();
            }
            "cut" => fs::write(&path, &bytes[..bytes.len() / 2]).unwrap(),
            "gone" => fs::remove_file(&path).unwrap(),
            _ => {
                let a = path.to_str().unwrap().replace("KIM%70L", "A");
                fs::copy(a, &path).unwrap();
            }
        }
        refused(&grab, "--out out", 12, "ticker=KIM%70L/year=2024/month=02/bars.parquet");
        assert_eq!(fs::read(grab.dir().join("out/KIM%70L.parquet")).unwrap(), before, "{damage}");
        let mut names: Vec<_> = fs::read_dir(grab.dir().join("out"))
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["A.parquet", "KIM%70L.parquet", "grab-export.json"], "{damage}");
        let said = fs::read_to_string(grab.dir().join("out/grab-export.json")).unwrap();
        assert!(
            !said.contains("null,\n    \"") && !said.contains(": null\n  }\n}"),
            "nothing is left open: {said}"
        );
        grab.run("export --out out --windows 2024-01").exits(0);
    }
}

#[test]
fn what_the_server_has_adjusted_is_not_adjusted_again() {
    let server = Server::start(|request| {
        Reply::json(200, crate::support::page_with(request.symbol(), true, &bars_of(&DAYS), None))
    });
    let grab = Grab::with_server(server.base_url());
    grab.run("start --adjusted --windows 2024-01..2024-02 --tickers A").exits(0);
    keep_splits(&grab, vec![split("A", DAYS[1], 1.0, 7.0)]);
    refused(&grab, "--out out --adjusted splits", 2, "the server has adjusted already");
    refused(&grab, "--out out --follow-renames", 2, "the server has adjusted already");
    let report = grab.run("export --out out --json").exits(0).json();
    assert_eq!((&report["adjusted"], &report["files"][0]["adjusted"]), (&"server".into(), &"server".into()));
}

#[test]
fn another_process_that_holds_the_directory_is_no_hindrance() {
    let grab = stored();
    let _lock = DataDir::new(grab.data_dir()).lock().unwrap();
    grab.run("export --out out").exits(0);
}

#[test]
fn two_processes_do_not_export_to_one_folder_at_once() {
    let grab = stored();
    fs::create_dir(grab.dir().join("out")).unwrap();
    let folder = fs::File::open(grab.dir().join("out")).unwrap();
    folder.lock().unwrap();
    refused(&grab, "--out out", 31, "another grab exports to ");
    drop(folder);
    grab.run("export --out out").exits(0);
}

#[cfg(debug_assertions)]
#[test]
fn a_disk_that_is_full_leaves_what_was_there() {
    let grab = stored();
    grab.run("export --out out --tickers A").exits(0);
    let read = || fs::read(grab.dir().join("out/A.parquet")).unwrap();
    let before = read();
    // The first file to be synced is grab-export.json.
    let mut command = grab.command("export --out out --windows 2024-02");
    let ran = command.env("GRAB_FAILPOINT", "store.after_sync=enospc@2").output().unwrap();
    assert_eq!((ran.status.code(), read()), (Some(30), before));
    grab.run("export --out out --windows 2024-02").exits(0);
}

/// A crash at any step leaves the former file or the complete new one, and the next export ends like an undisturbed one.
#[cfg(debug_assertions)]
#[test]
fn dying_at_any_step_leaves_whole_files() {
    let grab = stored();
    let read = |out: &str, name: &str| fs::read(grab.dir().join(out).join(name)).ok();
    grab.run("export --out whole").exits(0);
    for step in ["after_sync", "after_rename", "after_folder_sync"] {
        for hit in 1..=4 {
            let out = format!("{step}-{hit}");
            let command = format!("export --out {out}");
            let mut command = grab.command(&command);
            let failpoint = format!("store.{step}=kill@{hit}");
            let died = command.env("GRAB_FAILPOINT", failpoint).output().unwrap();
            assert!(!died.status.success(), "{step} {hit}");
            for name in ["A.parquet", "KIM%70L.parquet"] {
                let found = read(&out, name);
                assert!(found.is_none() || found == read("whole", name), "{step} {hit}");
            }
            grab.run(&format!("export --out {out}")).exits(0);
            for name in ["A.parquet", "KIM%70L.parquet", "grab-export.json"] {
                assert_eq!(read(&out, name), read("whole", name), "{step} {hit}");
            }
            assert_eq!(fs::read_dir(grab.dir().join(&out)).unwrap().count(), 3, "{step} {hit}");
        }
    }
}
