//! Sessions with too few bars, or too few of the witness's shares; and a coverage that does not depend on what is read.

use super::*;

/// Thirteen sessions, and the holiday of the 15th.
const DAYS: [i8; 13] = [2, 3, 4, 5, 8, 9, 10, 11, 12, 16, 17, 18, 19];

const START: &str = "start --windows 2024-01-02..2024-01-19 --tickers A";

/// The number of minutes that the server sends of a day, and the witness's shares as a multiple of those of a whole day.
type Script = fn(i8) -> (usize, f64);

/// A directory of some days, with a witness of each, and its server.
fn witnessed(script: Script, start: &str) -> (Server, Grab) {
    let (server, grab) = unwitnessed(script, start);
    grab.run(VERIFY);
    (server, grab)
}

fn unwitnessed(script: Script, start: &str) -> (Server, Grab) {
    let server = Server::start(move |request| {
        if let Some(day) = request.market_day() {
            let counted = shares(day.day()) * script(day.day()).1;
            return Reply::json(200, market_page(day, &[("A", counted), ("ZZZ", 1.0)]));
        }
        let day_of = |at| request.target.split(['/', '?']).nth(at).unwrap().parse::<Date>().unwrap().day();
        let days = DAYS.into_iter().filter(|day| (day_of(8)..=day_of(9)).contains(day));
        let bars: Vec<_> = days.flat_map(|day| minutes(january(day), script(day).0)).collect();
        Reply::json(200, page(request.symbol(), &bars, None))
    });
    let grab = Grab::with_server(server.base_url()).env("GRAB_CONCURRENCY", "1");
    grab.run(start).exits(0);
    (server, grab)
}

/// Verifies at both depths: the gaps and notices, and the coverage, which must be the same.
fn verified(grab: &Grab) -> ([Vec<String>; 2], [u64; 2]) {
    let reports = ["verify --json", "verify --deep --json"].map(|command| grab.run(command).json());
    assert_eq!(reports[0]["coverage"], reports[1]["coverage"], "one coverage");
    let said = |report: &Value| {
        let severities = report["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|finding| finding["severity"].as_str().unwrap());
        findings(report)
            .into_iter()
            .zip(severities)
            .map(|(one, severity)| format!("{severity} {one}"))
            .collect()
    };
    (reports.each_ref().map(said), coverage(&reports[0]))
}

#[test]
fn a_service_that_leaves_shares_out_of_its_minutes_on_each_day_has_no_thin_session() {
    const NOTICE: &str = "notice thin_session - -";
    let scripts: [(Script, Vec<String>); 4] = [
        (|_| (390, 1.0), vec![]),
        (|_| (390, 1.2), vec![]),
        (|_| (390, 1.3), vec![NOTICE.to_owned()]),
        (|_| (390, 3.0), vec![NOTICE.to_owned()]),
    ];
    for (script, deep) in scripts {
        let (_server, grab) = witnessed(script, START);
        let (said, coverage) = verified(&grab);
        assert_eq!((said[0].len(), said[1].clone(), coverage), (0, deep, [13, 13]));
        grab.run("verify --deep --min-coverage 1").exits(0);
        grab.run("verify --deep").exits(0);
    }
}

#[test]
fn a_day_far_below_the_usual_share_is_thin_until_the_server_was_asked_again() {
    let scripts: [Script; 2] =
        [|day| (390, if day == 10 { 40.0 } else { 1.0 }), |day| (390, if day == 10 { 40.0 } else { 1.3 })];
    for (script, notices) in scripts.into_iter().zip([0, 1]) {
        let (server, grab) = witnessed(script, START);
        let (said, coverage) = verified(&grab);
        assert_eq!((said[0].len(), said[1].len(), coverage), (0, 1 + notices, [13, 13]), "{said:?}");
        assert_eq!(said[1][0], "gap thin_session A 2024-01-10");
        grab.run("verify --deep").exits(13);
        grab.run("verify --deep --min-coverage 1").exits(0);
        let asked = server.pages_asked();
        grab.run("repair").exits(0);
        assert_eq!(server.pages_asked(), asked + 1);
        let report = grab.run("verify --deep --json").exits(0).json();
        assert_eq!((&report["gaps"], &report["notices"]), (&0.into(), &(1 + notices).into()));
        assert_eq!(grab.run("repair --json").exits(0).json()["requests"], 0, "it is known now");
    }
}

#[test]
fn few_sessions_are_compared_with_each_other() {
    let (_server, two) = witnessed(|_| (390, 1.5), "start --windows 2024-01-02..2024-01-03 --tickers A");
    assert_eq!(verified(&two), ([vec![], vec!["notice thin_session - -".to_owned()]], [2, 2]));
    let (_server, cut) = witnessed(
        |day| (if day == 3 { 195 } else { 390 }, 1.3),
        "start --windows 2024-01-02..2024-01-03 --tickers A",
    );
    assert_eq!(verified(&cut).0[1][0], "gap thin_session A 2024-01-03");
    // A single session has only the witness to compare with, and is requested once more.
    let (_server, one) = witnessed(|_| (390, 1.3), "start --windows 2024-01-02 --tickers A");
    assert_eq!(
        (&verified(&one).0[1][0], verified(&one).1),
        (&"gap thin_session A 2024-01-02".to_owned(), [1, 1])
    );
    one.run("repair").exits(0);
    one.run("verify --deep --min-coverage 1").exits(0);
    one.run("verify --deep").exits(0);
}

#[test]
fn a_session_that_lacks_half_of_its_minutes_is_found_without_reading_a_file_or_a_witness() {
    let script: Script = |day| (if day == 10 { 195 } else { 390 }, 1.3);
    let gap = vec!["gap thin_session A 2024-01-10".to_owned()];
    let (_server, grab) = unwitnessed(script, START);
    assert_eq!(verified(&grab), ([gap.clone(), gap.clone()], [13, 13]));
    let report = grab.run("verify --json").exits(13).json();
    let detail = "195 bars, where most of the sessions around it have 390 or more";
    assert_eq!(report["findings"][0]["detail"], detail);
    grab.run(VERIFY);
    let (said, coverage) = verified(&grab);
    assert_eq!((&said[0], &said[1][0], coverage), (&gap, &gap[0], [13, 13]));
    let detail = grab.run("verify --deep --json").json()["findings"][0]["detail"].clone();
    assert!(
        detail.as_str().unwrap().ends_with(", where 77 % are usual; the last bar is at 12:44"),
        "{detail}"
    );
    grab.run("repair").exits(0);
    for depth in ["", "--deep"] {
        let report = grab.run(&format!("verify {depth} --json")).exits(0).json();
        assert_eq!(report["findings"][0]["severity"], "notice", "{report}");
    }
}

#[test]
fn a_day_of_which_the_witness_too_counts_half_was_quiet() {
    let (_server, grab) = witnessed(|day| if day == 10 { (195, 0.5) } else { (390, 1.0) }, START);
    assert_eq!(verified(&grab), ([vec![], vec![]], [13, 13]));
}

#[test]
fn the_shares_of_a_symbol_that_trades_little_may_vary_from_day_to_day() {
    let script: Script = |day| {
        let (counts, factors) = ([5, 9, 3, 14, 7], [160.0, 39.0, 170.0, 33.0, 62.0, 26.0, 200.0]);
        let day = usize::try_from(day).unwrap();
        (counts[day % 5], factors[day % 7] / 390.0 * 8.0)
    };
    let (_server, grab) = witnessed(script, START);
    let (said, coverage) = verified(&grab);
    assert!(said.concat().iter().all(|one| one == "notice thin_session - -"), "{said:?}");
    assert_eq!(coverage, [13, 13]);
}

#[test]
fn sessions_that_all_break_off_at_noon_are_not_taken_for_usual() {
    let (_server, grab) = witnessed(|_| (195, 1.0), START);
    let (said, coverage) = verified(&grab);
    assert_eq!((said[0].len(), coverage), (0, [13, 13]));
    assert_eq!(said[1], DAYS.map(|day| format!("gap thin_session A {}", january(day))));
}

#[test]
fn a_session_that_opens_a_listing_may_be_short() {
    let (_server, grab) = unwitnessed(|day| (if day == 2 { 150 } else { 390 }, 1.0), START);
    assert_eq!(verified(&grab), ([vec![], vec![]], [13, 13]));
}

#[test]
fn a_part_of_the_files_gives_the_same_coverage() {
    let (_server, grab) = witnessed(|_| (390, 1.3), "start --windows 2024-01-02..2024-01-19 --tickers A,B,C");
    let depths = ["", "--deep", "--sample 1/2", "--sample 2/2", "--sample 30%"];
    let found = depths.map(|depth| grab.run(&format!("verify {depth} --json")).json()["coverage"].clone());
    assert!(found.iter().all(|one| *one == found[0]), "{found:?}");
}
