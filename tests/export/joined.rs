//! A company's history under all its symbols, and a symbol that two companies had.

use grab_core::data_dir::DataDir;
use grab_core::store::reference;
use grab_model::new_york;

use super::*;

/// A fund has the symbol META until 2022-01-28. FB becomes META on 2022-06-09, in the middle of a month.
const FUND: [Date; 2] = [date(2022, 1, 27), date(2022, 1, 28)];
const FB: [Date; 3] = [date(2022, 1, 27), date(2022, 6, 7), date(2022, 6, 8)];
const META: [Date; 2] = [date(2022, 6, 9), date(2022, 6, 10)];

fn stored() -> Grab {
    let server = Server::start(|request| {
        let days = if request.symbol() == "FB" { FB.to_vec() } else { [FUND, META].concat() };
        Reply::json(200, page(request.symbol(), &bars_of(&days), None))
    });
    let grab = Grab::with_server(server.base_url()).env("GRAB_NOW", "2026-07-20T12:00:00Z");
    grab.run("start --windows 2022-01..2022-06 --tickers FB,META").exits(0);
    let renames = vec![
        rename("META", "META", META[0]),
        rename("META", "FB", date(2012, 5, 18)),
        rename("METV", "META", date(2021, 6, 30)),
        rename("METV", "METV", date(2022, 1, 31)),
    ];
    reference::write_renames(&DataDir::new(grab.data_dir()), &table(renames)).unwrap();
    keep_splits(
        &grab,
        vec![
            split("META", FUND[1], 10.0, 1.0),
            split("FB", FB[2], 1.0, 2.0),
            split("META", META[1], 1.0, 5.0),
            split("FB", META[1], 1.0, 100.0),
        ],
    );
    grab
}

#[test]
fn a_companys_history_has_its_own_bars_and_its_own_splits() {
    let grab = stored();
    let ran =
        grab.run("export --follow-renames --tickers META --format csv --adjusted splits --out out --json");
    let report = ran.exits(0).json();
    let held = read_store(&grab.data_dir());
    let tenth = |bar: &Bar| changed(bar, |p| p / 10.0, |v| v * 10.0);
    let fifth = |bar: &Bar| changed(bar, |p| p / 5.0, |v| v * 5.0);
    let mut expected: Vec<_> = held["FB"][..60].iter().map(tenth).collect();
    expected.extend(held["FB"][60..].iter().chain(&held["META"][60..90]).map(fifth));
    expected.extend(&held["META"][90..]);
    assert_equal(&csv(&grab, "out/META.csv"), &expected);
    let file = &report["files"][0];
    let parts: Vec<_> = file["parts"].as_array().unwrap().iter().map(ToString::to_string).collect();
    let expected = [
        r#"{"bars":90,"from":"2022-01-27","ticker":"FB","to":"2022-06-08"}"#,
        r#"{"bars":60,"from":"2022-06-09","ticker":"META","to":"2022-06-10"}"#,
    ];
    assert_eq!(parts, expected);
    assert_eq!(file["splits"].as_array().unwrap().len(), 2, "{file}");
    assert_eq!(
        file["notes"][0],
        "bars of META before 2022-06-09 are another company's by the events that are known, and left out"
    );
    let text = grab.run("export --follow-renames --tickers META --out out").exits(0).stdout;
    assert!(
        text.contains("META is made of FB 2022-01-27..2022-06-08, META 2022-06-09..2022-06-10"),
        "{text}"
    );
}

#[test]
fn nothing_is_joined_unless_it_is_asked_for_and_it_is_said() {
    let grab = stored();
    let ran = grab.run("export --format csv --out out").exits(0);
    let note =
        "note: META: bars of META before 2022-06-09 are another company's; --follow-renames leaves them out";
    assert!(ran.stderr.contains(note), "{ran:?}");
    let held = read_store(&grab.data_dir());
    assert_equal(&csv(&grab, "out/META.csv"), &held["META"]);
    assert_equal(&csv(&grab, "out/FB.csv"), &held["FB"]);
}

#[test]
fn a_former_symbol_that_nobody_asked_for_is_said() {
    let grab = stored();
    let renames = vec![rename("FB", "TFB", date(2012, 5, 18)), rename("FB", "FB", FB[1])];
    reference::write_renames(&DataDir::new(grab.data_dir()), &table(renames)).unwrap();
    let ran = grab.run("export --follow-renames --tickers FB --format csv --out out").exits(0);
    let note = "note: FB: TFB was never requested before 2022-06-07\n";
    assert!(ran.stderr.contains(note), "{ran:?}");
    assert_equal(&csv(&grab, "out/FB.csv"), &read_store(&grab.data_dir())["FB"][30..]);
    let ran =
        grab.run("export --follow-renames --tickers FB --windows 2022-06-07..2022-06-30 --out out").exits(0);
    assert!(!ran.stderr.contains("note:"), "{ran:?}");
}

#[test]
fn another_companys_events_tell_of_it_too() {
    let grab = stored();
    let fund = vec![rename("METV", "META", date(2021, 6, 30)), rename("METV", "METV", date(2022, 1, 31))];
    reference::write_renames(&DataDir::new(grab.data_dir()), &table(fund)).unwrap();
    let ran = grab.run("export --out out").exits(0);
    let note =
        "note: META: bars of META from 2021-06-30 to 2022-01-30 are those of the company that is METV now";
    assert!(ran.stderr.contains(note), "{ran:?}");
    let ran = grab.run("export --out out --windows 2022-06").exits(0);
    assert!(!ran.stderr.contains("note:"), "{ran:?}");
}

#[test]
fn a_former_symbol_stays_what_it_is() {
    let grab = stored();
    let mut renames = reference::read_renames(&DataDir::new(grab.data_dir())).unwrap().unwrap();
    renames
        .rows
        .extend(table(vec![rename("FB", "META", META[0]), rename("FB", "FB", date(2012, 5, 18))]).rows);
    reference::write_renames(&DataDir::new(grab.data_dir()), &renames).unwrap();
    let ran = grab.run("export --follow-renames --tickers FB --format csv --out out").exits(0);
    assert!(ran.stderr.contains("FB became META on 2022-06-09: export that one to have both"), "{ran:?}");
    assert_equal(&csv(&grab, "out/FB.csv"), &read_store(&grab.data_dir())["FB"]);
}

#[test]
fn a_window_may_lie_across_a_rename() {
    let grab = stored();
    grab.run(
        "export --follow-renames --tickers META --windows 2022-06-08..2022-06-09 --format csv --out out",
    )
    .exits(0);
    let days: Vec<_> =
        csv(&grab, "out/META.csv").iter().map(|b| new_york::date_of(b.timestamp).unwrap()).collect();
    assert_eq!((days.len(), days[0], days[59]), (60, FB[2], META[0]));
    assert!(days.is_sorted());
}

#[test]
fn a_day_that_neither_symbol_covers_by_the_events_is_said() {
    let grab = stored();
    // The event says a day too early: FB still traded on the 8th.
    let mut renames = reference::read_renames(&DataDir::new(grab.data_dir())).unwrap().unwrap();
    let late = renames.rows.iter_mut().filter(|kept| kept.row.asked_as.as_str() == "META");
    late.filter(|kept| kept.row.date == META[0]).for_each(|kept| kept.row.date = FB[2]);
    reference::write_renames(&DataDir::new(grab.data_dir()), &renames).unwrap();
    let ran = grab.run("export --follow-renames --tickers META --format csv --out out").exits(0);
    assert!(
        ran.stderr.contains("note: META: bars of FB from 2022-06-08 on are another company's by the events that are known, and left out"),
        "{ran:?}"
    );
    let ran = grab.run("export --follow-renames --tickers META --windows 2022-06-09 --out out").exits(0);
    assert!(!ran.stderr.contains("note:"), "{ran:?}");
}
