//! Names of exported files that every file system can hold.

use super::*;

/// A store with symbols whose names are devices on Windows, and one that only looks like it.
fn with_devices() -> Grab {
    let server = Server::start(|request| Reply::json(200, page(request.symbol(), &bars_of(&DAYS), None)));
    let grab = Grab::with_server(server.base_url());
    grab.run("start --windows 2024-01..2024-02 --tickers CON,PRN,NUL.B,COM1,CONN").exits(0);
    grab
}

fn names(grab: &Grab, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(grab.dir().join(folder)).unwrap();
    let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn no_exported_file_is_named_like_a_device() {
    let grab = with_devices();
    let report = grab.run("export --out out --format csv --json").exits(0).json();
    let expected = ["%43OM1.csv", "%43ON.csv", "%4EUL.B.csv", "%50RN.csv", "CONN.csv", "grab-export.json"];
    assert_eq!(names(&grab, "out"), expected);
    let said: Vec<_> = report["files"].as_array().unwrap().iter().map(|file| file["file"].clone()).collect();
    assert_eq!(said, ["%43OM1.csv", "%43ON.csv", "CONN.csv", "%4EUL.B.csv", "%50RN.csv"]);
    assert_equal(&csv(&grab, "out/%43ON.csv"), &bars_of(&DAYS));
    assert!(grab.data_dir().join("bars_1m/ticker=CON/year=2024/month=01/bars.parquet").exists());
}

/// Gives the files of an export the names that an older grab gave them.
fn as_an_older_grab_made_it(grab: &Grab, renamed: &[(&str, &str)]) {
    let place = |name: &str| grab.dir().join("out").join(name);
    let mut said = fs::read_to_string(place("grab-export.json")).unwrap();
    for (now, then) in renamed {
        fs::rename(place(now), place(then)).unwrap();
        said = said.replace(&format!("\"{now}\""), &format!("\"{then}\""));
    }
    fs::write(place("grab-export.json"), said).unwrap();
}

#[test]
fn an_export_under_a_reserved_name_is_replaced_by_one_under_the_new_name() {
    let grab = with_devices();
    grab.run("export --out out --tickers CON,PRN,COM1").exits(0);
    let (con, prn, com) = ("CON.parquet", "PRN.parquet", "COM1.parquet");
    as_an_older_grab_made_it(
        &grab,
        &[("%43ON.parquet", con), ("%50RN.parquet", prn), ("%43OM1.parquet", com)],
    );
    let mut changed = fs::read(grab.dir().join("out").join(prn)).unwrap();
    changed[70] ^= 1;
    fs::write(grab.dir().join("out").join(prn), &changed).unwrap();
    fs::remove_file(grab.dir().join("out").join(com)).unwrap();
    let report = grab.run("export --out out --tickers CON,PRN,COM1 --json").exits(0).json();
    let expected = ["%43OM1.parquet", "%43ON.parquet", "%50RN.parquet", prn, "grab-export.json"];
    assert_eq!(names(&grab, "out"), expected);
    assert_eq!(fs::read(grab.dir().join("out").join(prn)).unwrap(), changed, "it is another one's work now");
    let note = report["files"][2]["notes"][0].as_str().unwrap();
    assert!(note.contains("PRN.parquet is an older export of PRN that was changed since"), "{note}");
    let said = fs::read_to_string(grab.dir().join("out/grab-export.json")).unwrap();
    assert!(!said.contains("\"CON.parquet\"") && !said.contains("\"COM1.parquet\""), "{said}");
    grab.run("export --out out --tickers CON,PRN,COM1").exits(0);
}
