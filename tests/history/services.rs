//! What is known about a plan belongs to a service, and survives the loss of the manifest.

use jiff::civil::date;
use serde_json::Value;

use super::{FIRST_SERVED, FLOOR, count, days_not_entitled, held, sessions, strict};
use crate::support::{Ran, Server};

/// A directory may be fetched through two hosts, and their plans need not be the same.
#[test]
fn each_service_has_a_history_of_its_own() {
    let (short, long) = (strict(|| FLOOR), strict(|| date(2024, 7, 1)));
    let grab = super::grab(&short);
    grab.run("start --windows 2024-06..2025-01 --tickers A").exits(11);
    let by_long = |arguments: &str| {
        let ran = grab.command(arguments).env("MASSIVE_API_BASE_URL", long.base_url()).output().unwrap();
        Ran::from(ran)
    };
    // It does not know this service's plan: it requests all refused days, and finds the beginning here.
    let report = by_long("start --json --windows 2024-06..2025-01 --tickers A,B").exits(11).json();
    assert_eq!(report["first_served_day"], "2024-07-01");
    assert_eq!(days_not_entitled(&report), 2 * count(date(2024, 6, 1), date(2024, 6, 30)));
    for symbol in ["A", "B"] {
        assert_eq!(held(&grab, symbol), sessions(date(2024, 7, 1), date(2025, 1, 31)), "{symbol}");
    }
    let status = grab.run("status --json").json();
    let rows = status["plan_history"].as_array().unwrap();
    let hosts: Vec<_> = rows.iter().map(|row| (&row["service"], &row["first_served_day"])).collect();
    let host = |server: &Server| Value::from(server.base_url().trim_start_matches("http://"));
    let expected = [(host(&long), "2024-07-01".into()), (host(&short), Value::from("2024-12-02"))];
    assert_eq!(hosts, expected.iter().map(|(host, first)| (host, first)).collect::<Vec<_>>());
    assert_eq!(status["first_served_day"], "2024-07-01", "of the one that was asked last");
    let text = grab.run("status").stdout;
    assert_eq!(text.matches("first day that it serves").count(), 2, "{text}");
}

#[test]
fn a_manifest_that_is_made_anew_knows_what_the_plan_does_not_serve() {
    let server = strict(|| FLOOR);
    let grab = super::grab(&server);
    grab.run("start --windows 2024-06..2025-01 --tickers A,B").exits(11);
    let before = grab.run("status --json").json();
    grab.manifest().execute("UPDATE partitions SET session_bars = '[1]' WHERE ticker = 'A'", []).unwrap();
    grab.run("repair --rebuild-manifest").exits(0);
    let after = grab.run("status --json").json();
    for field in ["days_not_entitled", "first_served_day", "plan_history"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    grab.run("verify --deep").exits(0);
    // A damaged record of the history is damage, but not fatal: it is found out again.
    for damage in ["UPDATE plan_history SET shown_by = 'x'", "UPDATE not_entitled SET ticker = 'a b'"] {
        let grab = super::grab(&server);
        grab.run("start --windows 2024-06..2025-01 --tickers A").exits(11);
        grab.manifest().execute_batch(&format!("PRAGMA ignore_check_constraints = 1; {damage}")).unwrap();
        grab.run("repair --rebuild-manifest");
        grab.run("start --windows 2024-06..2025-01 --tickers A").exits(11);
        assert_eq!(held(&grab, "A"), sessions(FIRST_SERVED, date(2025, 1, 31)), "{damage}");
    }
}

/// What one source refused proves nothing about another, as long as no bar has decided the kind of the directory.
#[test]
fn a_directory_that_becomes_one_of_another_kind_forgets_the_plan() {
    let server = strict(|| FLOOR);
    let grab = super::grab(&server).env("GRAB_DATA_DIR", "data");
    grab.run("start --windows 2024-06 --tickers AAPL").exits(11);
    assert_eq!(grab.tasks(), ["AAPL 2024-06-01 not_entitled"]);
    let report = grab.run("start --json --sandbox --windows 2024-06 --tickers AAPL").exits(0).json();
    assert_eq!((days_not_entitled(&report), &report["tasks"]["done"]), (0, &1.into()));
    let status = grab.run("status --json").json();
    assert_eq!(
        (&status["first_served_day"], &status["plan_history"]),
        (&Value::Null, &Value::Array(Vec::new()))
    );
}
