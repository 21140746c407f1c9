//! Splits of one company across its symbols, and splits that the bars do not show.

use grab_core::data_dir::DataDir;
use grab_core::store::reference;

use super::*;

/// DRAD became STRR on 2021-01-04. Ten old shares became one on 2019-06-05: 0.5 USD, then 5.
const DRAD: [Date; 4] = [date(2019, 6, 3), date(2019, 6, 4), date(2019, 6, 5), date(2020, 12, 31)];
const STRR: [Date; 2] = [date(2021, 1, 4), date(2021, 1, 5)];

/// The bars of some days, all at one price.
fn bars_at(days: &[Date], price: impl Fn(Date) -> f64) -> Vec<Bar> {
    let of_day = |day: &Date| {
        let price = price(*day);
        bars_of(&[*day]).iter().map(|bar| changed(bar, |_| price, |volume| volume)).collect::<Vec<_>>()
    };
    days.iter().flat_map(of_day).collect()
}

fn stored() -> Grab {
    let server = Server::start(|request| {
        let bars = match request.symbol() {
            "DRAD" => bars_at(&DRAD, |day| if day < DRAD[2] { 0.5 } else { 5.0 }),
            _ => bars_at(&STRR, |_| 5.0),
        };
        Reply::json(200, page(request.symbol(), &bars, None))
    });
    let grab = Grab::with_server(server.base_url()).env("GRAB_NOW", "2026-07-20T12:00:00Z");
    grab.run("start --windows 2019-06..2021-01 --tickers DRAD,STRR").exits(0);
    keep_renames(&grab, vec![]);
    grab
}

fn keep_renames(grab: &Grab, others: Vec<Rename>) {
    let own = vec![rename("STRR", "DRAD", date(2014, 6, 12)), rename("STRR", "STRR", STRR[0])];
    reference::write_renames(&DataDir::new(grab.data_dir()), &table([own, others].concat())).unwrap();
}

/// The first price of a file, and the dates of its splits, applied and left out.
fn first_price(grab: &Grab, flags: &str) -> (f64, Vec<String>, Vec<String>, Vec<String>) {
    let command = format!("export --adjusted splits --format csv --out out {flags} --json");
    let report = grab.run(&command).exits(0).json();
    let file = &report["files"][0];
    let dates = |field: &str| -> Vec<String> {
        let split = |split: &Value| {
            format!("{} {}", split["ticker"].as_str().unwrap(), split["execution_date"].as_str().unwrap())
        };
        file[field].as_array().unwrap().iter().map(split).collect()
    };
    let notes = file["notes"].as_array().unwrap().iter().map(|note| note.as_str().unwrap().to_owned());
    let name = format!("out/{}", file["file"].as_str().unwrap());
    (csv(grab, &name)[0].open, dates("splits"), dates("splits_left_out"), notes.collect())
}

#[test]
fn a_split_under_another_symbol_of_the_company_is_applied() {
    let grab = stored();
    let split_of = |ticker: &str| split(ticker, DRAD[2], 10.0, 1.0);
    for (splits, ticker) in [
        (vec![split_of("STRR")], "STRR"),
        (vec![split_of("DRAD")], "DRAD"),
        (vec![split_of("STRR"), split_of("DRAD")], "DRAD"),
    ] {
        keep_splits(&grab, splits);
        for flags in ["--tickers STRR --follow-renames", "--tickers DRAD"] {
            let (price, applied, left_out, _) = first_price(&grab, flags);
            let expected = vec![format!("{ticker} 2019-06-05")];
            assert_eq!((price, applied, left_out), (5.0, expected, vec![]), "{flags}");
        }
    }
    keep_splits(&grab, vec![split_of("STRR")]);
    let (.., notes) = first_price(&grab, "--tickers STRR --follow-renames");
    let said = "the split of 2019-06-05 (10:1) is listed under STRR and applied: it is the company that had DRAD then";
    assert_eq!(notes, [said]);
    let (price, applied, left_out, notes) = first_price(&grab, "--tickers STRR");
    assert_eq!((price, applied, left_out, notes), (5.0, vec![], vec![], vec![]), "its own bars begin later");
}

#[test]
fn a_split_that_events_do_not_settle_is_named_with_its_date() {
    let grab = stored();
    keep_renames(
        &grab,
        vec![rename("OTH", "STRR", date(2015, 1, 2)), rename("OTH", "OTH", date(2020, 2, 3))],
    );
    keep_splits(&grab, vec![split("STRR", DRAD[2], 10.0, 1.0), split("STRR", date(2021, 1, 5), 1.0, 1.05)]);
    let (price, applied, left_out, notes) = first_price(&grab, "--tickers STRR --follow-renames");
    assert_eq!((price, applied), (0.5 / 1.05, vec!["STRR 2021-01-05".to_owned()]));
    assert_eq!(left_out, ["STRR 2019-06-05"]);
    let said = "the split of 2019-06-05 (10:1), listed under STRR, is not applied: the company that is OTH now had STRR then; \
                the bars show it";
    assert_eq!(notes, [said]);
    let ran = grab
        .run("export --adjusted splits --out out --tickers STRR --follow-renames --as-of 2026-07-20")
        .exits(0);
    assert!(ran.stderr.contains("note: STRR: the split of 2019-06-05"), "{ran:?}");
    assert!(ran.stdout.contains("1 split is not applied: STRR 2019-06-05 (10:1)"), "{ran:?}");
    let (_, said) = parquet(&grab.dir().join("out/STRR.parquet"));
    assert!(said["grab.splits_left_out"].contains("2019-06-05"), "{said:?}");
    let (.., left_out, _) = first_price(&grab, "--tickers STRR --follow-renames --as-of 2019-06-04");
    assert_eq!(left_out, [""; 0], "it is later than --as-of");
}

#[test]
fn splits_after_a_change_of_the_symbol_are_named_where_nothing_is_joined() {
    let grab = stored();
    keep_splits(&grab, vec![split("STRR", STRR[1], 1.0, 2.0)]);
    let (price, applied, left_out, notes) = first_price(&grab, "--tickers DRAD");
    assert_eq!((price, applied, left_out), (0.5, vec![], vec!["STRR 2021-01-05".to_owned()]));
    let said = "the split of 2021-01-05 (1:2), listed under STRR, is not applied: the company had STRR by then (export STRR \
                with --follow-renames to have both)";
    assert_eq!(notes.last().map(String::as_str), Some(said), "{notes:?}");
}

#[test]
fn a_split_under_a_symbol_that_the_company_has_given_up_is_named_and_not_applied() {
    let grab = stored();
    keep_splits(&grab, vec![split("DRAD", date(2021, 3, 15), 1.0, 2.0)]);
    let (price, applied, left_out, _) = first_price(&grab, "--tickers DRAD");
    assert_eq!((price, applied, left_out), (0.5, vec![], vec!["DRAD 2021-03-15".to_owned()]));
}

/// MA at 830 USD, and from a day in January 2014 on at a tenth of it.
fn mastercard(jump: Date) -> Grab {
    let days: Vec<Date> = (2..=31).map(|day| date(2014, 1, day)).collect();
    let server = Server::start(move |request| {
        let sessions = days.iter().filter(|day| grab_model::calendar::session_on(**day).is_some()).copied();
        let bars = bars_at(&sessions.collect::<Vec<_>>(), |day| if day < jump { 830.0 } else { 83.0 });
        Reply::json(200, page(request.symbol(), &bars, None))
    });
    let grab = Grab::with_server(server.base_url()).env("GRAB_NOW", "2026-07-20T12:00:00Z");
    grab.run("start --windows 2014-01 --tickers MA").exits(0);
    keep_splits(&grab, vec![split("MA", date(2014, 1, 7), 1.0, 10.0)]);
    grab
}

#[test]
fn a_split_that_the_bars_do_not_show_is_named_with_the_day_that_they_show() {
    let grab = mastercard(date(2014, 1, 22));
    let (price, .., notes) = first_price(&grab, "--tickers MA");
    let said = "the split of 2014-01-07 (1:10) is applied, and the bars do not show it: the price is 830 on 2014-01-06 and 830 on \
                2014-01-07; it changes by this ratio on 2014-01-22: bars from 2014-01-07 to the day before that may be in other shares than \
                the rest";
    assert_eq!((price, notes), (83.0, vec![said.to_owned()]));
    let ran = grab.run("export --adjusted splits --out out --tickers MA --json").exits(0);
    assert_eq!(ran.json()["files"][0]["splits"][0]["shown"], false);
    assert!(ran.stderr.contains("note: MA: the split of 2014-01-07 (1:10)"), "{ran:?}");
    // Bars that end before it, or a split that is not applied, prove nothing.
    for flags in
        ["--windows 2014-01-02..2014-01-06", "--as-of 2014-01-06", "--windows 2014-01-07..2014-01-31"]
    {
        let (.., notes) = first_price(&grab, &format!("--tickers MA {flags}"));
        let unseen: Vec<_> = notes.iter().filter(|note| note.contains("do not show")).collect();
        assert!(unseen.is_empty(), "{flags}: {notes:?}");
    }
}

#[test]
fn a_split_that_the_bars_show_is_said_to_be_shown() {
    let grab = mastercard(date(2014, 1, 7));
    let ran = grab.run("export --adjusted splits --out out --tickers MA --json").exits(0);
    let file = &ran.json()["files"][0];
    assert_eq!((&file["splits"][0]["shown"], &file["notes"]), (&true.into(), &Value::Array(vec![])));
    keep_splits(
        &grab,
        vec![split("MA", date(2014, 1, 7), 1.0, 10.0), split("MA", date(2014, 1, 15), 20.0, 21.0)],
    );
    let ran = grab.run("export --adjusted splits --out out --tickers MA --json").exits(0);
    let file = &ran.json()["files"][0];
    assert_eq!((&file["splits"][1]["shown"], &file["notes"]), (&Value::Null, &Value::Array(vec![])));
}
