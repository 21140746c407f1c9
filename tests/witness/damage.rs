//! Files of the witness whose bytes have changed.

use std::fs;

use super::*;

fn place(grab: &Grab, day: i8) -> std::path::PathBuf {
    grab.data_dir().join(format!("reference/grouped_daily/date={}/market.parquet", january(day)))
}

fn flip(grab: &Grab, day: i8) {
    let mut bytes = fs::read(place(grab, day)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(place(grab, day), bytes).unwrap();
}

#[test]
fn each_damage_is_named_and_what_is_damaged_is_not_relied_on() {
    let server = Server::start(answer);
    let grab = stored(&server);
    grab.run(VERIFY).exits(13);
    flip(&grab, 2);
    fs::remove_file(place(&grab, 4)).unwrap();
    fs::copy(place(&grab, 8), place(&grab, 9)).unwrap();
    let cut = fs::read(place(&grab, 5)).unwrap();
    fs::write(place(&grab, 5), &cut[..cut.len() / 2]).unwrap();
    fs::write(grab.data_dir().join("reference/README"), "").unwrap();
    let report = grab.run("verify --json").exits(12).json();
    let found: Vec<_> = findings(&report).into_iter().filter(|finding| finding.contains(" - ")).collect();
    // Where the bit is decides whether the file can still be read.
    assert!(
        found[0].ends_with("_file - 2024-01-02") || found[0] == "digest_mismatch - 2024-01-02",
        "{found:?}"
    );
    let rest = [
        "missing_file - 2024-01-04",
        "corrupt_file - 2024-01-05",
        "schema_mismatch - 2024-01-09",
        "stray_file - -",
    ];
    assert_eq!(found[1..], rest);
    assert!(findings(&report).contains(&"missing_session A 2024-01-04".to_owned()), "{report}");
    assert_eq!((witness(&report), &report["damage"]), ([2, 0, 0], &4.into()));
    let paths = report["findings"].as_array().unwrap().iter().filter(|finding| finding["ticker"].is_null());
    assert!(paths.clone().all(|finding| finding["path"].as_str().unwrap().contains("reference")), "{report}");
    assert_eq!(grab.run("verify --witness none --json").exits(12).json()["damage"], 2, "missing, and cut");

    let healed = grab.run(&format!("{VERIFY} --json")).exits(12).json();
    assert_eq!((witness(&healed), &healed["damage"]), ([6, 4, 4], &4.into()));
    let detail = healed["findings"][0]["detail"].as_str().unwrap();
    assert!(detail.ends_with("; it was fetched again"), "{healed}");
    fs::remove_file(grab.data_dir().join("reference/README")).unwrap();
    assert_eq!(findings(&grab.run(&format!("{VERIFY} --json")).exits(13).json()), EXPLAINED);
}

#[test]
fn a_file_without_a_row_is_not_relied_on() {
    let server = Server::start(answer);
    let grab = stored(&server);
    grab.run(VERIFY).exits(13);
    grab.manifest().execute("DELETE FROM witnesses WHERE date = '2024-01-04'", []).unwrap();
    let report = grab.run("verify --json").exits(13).json();
    let expected = [
        "missing_session A 2024-01-04",
        "thin_session A 2024-01-08",
        "missing_session B 2024-01-05",
        "missing_symbol M 2024-01-05",
        "stray_file - 2024-01-04",
        "missing_symbol N 2024-01-04",
    ];
    assert_eq!((findings(&report), witness(&report)), (expected.map(str::to_owned).into(), [5, 0, 0]));
    assert_eq!(witness(&grab.run(&format!("{VERIFY} --json")).exits(13).json()), [6, 1, 1]);
}

#[test]
fn a_manifest_that_is_damaged_or_made_anew() {
    let server = Server::start(answer);
    let grab = stored(&server);
    grab.run(VERIFY).exits(13);
    fs::write(grab.data_dir().join("manifest.sqlite"), "garbage, and more of it").unwrap();
    let report = grab.run(&format!("{VERIFY} --json")).exits(12).json();
    assert_eq!((findings(&report), witness(&report)), (vec!["manifest_corrupt - -".to_owned()], [0, 0, 0]));
    grab.run("repair --rebuild-manifest").exits(10);
    let before = asked(&server).len();
    let report = grab.run(&format!("{VERIFY} --json")).json();
    // That windows of symbols without bars are empty is no longer known: each session is requested once more.
    assert_eq!(asked(&server).len() - before, usize::try_from(witness(&report)[1]).unwrap());
    assert!(witness(&report)[0] >= 5, "{report}");
}
