//! To which company a split belongs, for made-up companies.

use grab_model::{Listing, Rename, universe::symbol_history};
use jiff::civil::date;

use super::*;

const RENAMED: Date = date(2021, 1, 4);

fn symbol(text: &str) -> Symbol {
    text.parse().unwrap()
}

fn split(ticker: &str, day: Date, from: f64, to: f64) -> Split {
    let (ticker, execution_date) = (symbol(ticker), day);
    Split { ticker, execution_date, split_from: from, split_to: to, adjustment_type: None, id: None }
}

fn event(asked_as: &str, ticker: &str, day: Date) -> Rename {
    Rename {
        composite_figi: Some(format!("F {asked_as}")),
        cik: None,
        name: None,
        ticker: symbol(ticker),
        date: day,
        asked_as: symbol(asked_as),
    }
}

/// DRAD became STRR.
fn renames() -> Vec<Rename> {
    vec![event("STRR", "DRAD", date(2014, 6, 12)), event("STRR", "STRR", RENAMED)]
}

fn life(ticker: &str, figi: Option<&str>, listed: Option<Date>, left: Option<Date>) -> ListingPeriod {
    let listing = Listing {
        ticker: symbol(ticker),
        name: Some(format!("{ticker} Inc.")),
        kind: None,
        exchange: None,
        active: left.is_none(),
        delisted: left,
        composite_figi: figi.map(str::to_owned),
        share_class_figi: None,
        cik: None,
        updated: None,
    };
    ListingPeriod { listing, listed, first_seen_ms: 0, last_seen_ms: 0, sector: None, industry: None }
}

/// The listing periods of a company that was DRAD.
fn lives() -> Vec<ListingPeriod> {
    vec![
        life("DRAD", Some("F STRR"), Some(date(2014, 6, 12)), Some(RENAMED)),
        life("STRR", Some("F STRR"), None, None),
    ]
}

/// The splits that are applied to a file, and those that are left out.
fn told(
    ticker: &str,
    is_joined: bool,
    splits: &[Split],
    renames: &[Rename],
    lives: Vec<ListingPeriod>,
) -> (Vec<String>, Vec<String>) {
    let renames: Vec<_> = renames.iter().collect();
    let universe = Universe::with_renames(lives, &renames);
    let known = KnownSplits::new(splits.iter(), Some(&universe));
    let symbol = symbol(ticker);
    let symbol_spans = if is_joined {
        symbol_history::history(&symbol, &renames)
    } else {
        vec![SymbolSpan::all_of(&symbol)]
    };
    let SymbolSplits { applied, left_out } = known.of(&symbol, &symbol_spans);
    let applied = applied.iter().map(|own| {
        let AppliesSplit { split, since, had } = own;
        let since = since.map(|since| format!(" since {since}")).unwrap_or_default();
        let had = had.as_ref().map(|had| format!(" as {had}")).unwrap_or_default();
        format!("{} {} {}{since}{had}", split.ticker, split.execution_date, ratio(split))
    });
    let left_out = left_out.iter().map(|split| format!("{} {}: {}", split.ticker, split.date, split.reason));
    (applied.collect(), left_out.collect())
}

fn joined(splits: &[Split]) -> (Vec<String>, Vec<String>) {
    told("STRR", true, splits, &renames(), lives())
}

#[test]
fn a_split_that_is_listed_under_another_symbol_of_the_company_is_its_own() {
    let later = split("STRR", date(2019, 6, 5), 10.0, 1.0);
    let expected = (vec!["STRR 2019-06-05 10:1 as DRAD".to_owned()], vec![]);
    assert_eq!(joined(std::slice::from_ref(&later)), expected);
    assert_eq!(
        told("STRR", true, std::slice::from_ref(&later), &renames(), vec![]),
        expected,
        "by events alone"
    );
    let earlier = split("DRAD", date(2022, 3, 1), 1.0, 5.0);
    assert_eq!(joined(&[earlier]), (vec!["DRAD 2022-03-01 1:5 as STRR".to_owned()], vec![]));
    let both = [later, split("DRAD", date(2019, 6, 5), 10.0, 1.0)];
    assert_eq!(joined(&both), (vec!["DRAD 2019-06-05 10:1".to_owned()], vec![]), "it is applied once");
}

#[test]
fn on_the_day_of_the_change_it_is_one_split_under_either_symbol() {
    let old = split("DRAD", RENAMED, 10.0, 1.0);
    let new = split("STRR", RENAMED, 10.0, 1.0);
    let expected = |text: &str| (vec![text.to_owned()], vec![]);
    assert_eq!(joined(std::slice::from_ref(&old)), expected("DRAD 2021-01-04 10:1 as STRR"));
    assert_eq!(joined(std::slice::from_ref(&new)), expected("STRR 2021-01-04 10:1"));
    assert_eq!(joined(&[old, new]), expected("STRR 2021-01-04 10:1"));
}

#[test]
fn three_symbols_are_one_company() {
    let renames = [
        event("PEAK", "HCP", date(1985, 5, 23)),
        event("PEAK", "PEAK", date(2019, 11, 5)),
        event("PEAK", "DOC", date(2024, 3, 4)),
        event("PEAK", "PEAK", date(2025, 3, 4)),
    ];
    let splits = [
        split("PEAK", date(2004, 3, 2), 1.0, 2.0),
        split("DOC", date(2010, 3, 2), 1.0, 3.0),
        split("HCP", date(2024, 6, 3), 1.0, 4.0),
        split("PEAK", date(2025, 6, 3), 1.0, 5.0),
    ];
    let expected = [
        "PEAK 2004-03-02 1:2 as HCP",
        "DOC 2010-03-02 1:3 as HCP",
        "HCP 2024-06-03 1:4 as DOC",
        "PEAK 2025-06-03 1:5",
    ];
    assert_eq!(told("PEAK", true, &splits, &renames, vec![]), (expected.map(str::to_owned).to_vec(), vec![]));
}

#[test]
fn a_split_of_another_company_under_the_same_symbol_is_left_out_and_named() {
    let splits = [split("STRR", date(2019, 6, 5), 10.0, 1.0)];
    let mut events = renames();
    events.extend([event("OTH", "STRR", date(2015, 1, 2)), event("OTH", "OTH", date(2020, 2, 3))]);
    let left_out = |why: &str| (vec![], vec![format!("STRR 2019-06-05: {why}")]);
    let by_events = left_out("the company that is OTH now had STRR then");
    assert_eq!(told("STRR", true, &splits, &events, vec![]), by_events);
    let mut lists = lives();
    lists.push(life("STRR", Some("F9"), Some(date(2010, 1, 4)), Some(date(2020, 2, 3))));
    let by_lists = left_out("another company (STRR Inc.) had STRR then");
    assert_eq!(told("STRR", true, &splits, &renames(), lists.clone()), by_lists);
    // The old symbol, which another company has now.
    let old = [split("DRAD", date(2024, 6, 5), 1.0, 2.0)];
    lists.push(life("DRAD", Some("F8"), Some(date(2023, 5, 2)), None));
    let (applied, named) = told("STRR", true, &old, &renames(), lists);
    assert_eq!(
        (applied.len(), named),
        (0, vec!["DRAD 2024-06-05: another company (DRAD Inc.) had DRAD then".to_owned()])
    );
}

#[test]
fn splits_that_contradict_each_other_are_not_both_applied() {
    let day = date(2019, 6, 5);
    let (applied, left_out) = joined(&[split("STRR", day, 10.0, 1.0), split("DRAD", day, 1.0, 2.0)]);
    assert_eq!(applied, ["DRAD 2019-06-05 1:2"]);
    assert_eq!(left_out, ["STRR 2019-06-05: a split of DRAD on 2019-06-05 (1:2) is applied"]);
    let late = [split("STRR", date(2019, 6, 19), 10.0, 1.0), split("DRAD", day, 10.0, 1.0)];
    let (applied, left_out) = joined(&late);
    assert_eq!(applied, ["DRAD 2019-06-05 10:1"]);
    assert_eq!(left_out, ["STRR 2019-06-19: a split of DRAD on 2019-06-05 (10:1) is applied"]);
    let renames =
        [renames(), vec![event("STRR", "STAR", date(2024, 1, 2)), event("STRR", "STRR", date(2025, 1, 2))]]
            .concat();
    let rivals = [split("STRR", day, 10.0, 1.0), split("STAR", day, 5.0, 1.0)];
    let (applied, left_out) = told("STRR", true, &rivals, &renames, vec![]);
    assert_eq!((applied.len(), left_out.len()), (0, 2), "{left_out:?}");
}

#[test]
fn without_joining_a_symbols_bars_have_the_splits_of_their_time() {
    let splits = [
        split("STRR", date(2019, 6, 5), 10.0, 1.0),
        split("STRR", date(2022, 6, 1), 1.0, 3.0),
        split("DRAD", date(2016, 6, 1), 1.0, 2.0),
    ];
    let (applied, left_out) = told("DRAD", false, &splits, &renames(), lives());
    assert_eq!(applied, ["DRAD 2016-06-01 1:2", "STRR 2019-06-05 10:1 as DRAD"]);
    assert_eq!(
        left_out,
        ["STRR 2022-06-01: the company had STRR by then (export STRR with --follow-renames to have both)"]
    );
    let (applied, left_out) = told("STRR", false, &splits, &renames(), lives());
    assert_eq!(applied, ["STRR 2022-06-01 1:3 since 2021-01-04"]);
    assert_eq!(left_out, ["STRR 2019-06-05: the company that has STRR now had DRAD then"]);
}

#[test]
fn without_joining_a_split_does_not_reach_bars_of_another_security() {
    let lists = vec![
        life("FB", Some("F1"), None, Some(date(2022, 6, 9))),
        life("FB", Some("F2"), Some(date(2025, 3, 3)), None),
    ];
    let splits = [split("FB", date(2026, 3, 2), 1.0, 2.0), split("FB", date(2014, 3, 3), 1.0, 3.0)];
    let (applied, _) = told("FB", false, &splits, &[], lists);
    assert_eq!(applied, ["FB 2014-03-03 1:3", "FB 2026-03-02 1:2 since 2022-06-10"]);
    // Two rows that may belong to one company: the list lacks their numbers, so nothing is known.
    let unknown = vec![life("FB", None, None, Some(date(2022, 6, 9))), life("FB", Some("F2"), None, None)];
    let (applied, _) = told("FB", false, &splits, &[], unknown);
    assert_eq!(applied, ["FB 2014-03-03 1:3", "FB 2026-03-02 1:2"]);
    // A list date that is too late does not mean another company.
    let late = vec![life("SOXS", Some("F3"), Some(date(2022, 3, 28)), None)];
    let (applied, _) = told("SOXS", false, &[split("SOXS", date(2022, 3, 28), 10.0, 1.0)], &[], late);
    assert_eq!(applied, ["SOXS 2022-03-28 10:1"]);
}

#[test]
fn where_no_events_are_known_the_same_figi_is_named() {
    let splits = [split("STRR", date(2019, 6, 5), 10.0, 1.0), split("STRR", date(2016, 6, 1), 1.0, 2.0)];
    let with_own = [splits.to_vec(), vec![split("DRAD", date(2016, 6, 1), 1.0, 2.0)]].concat();
    let (applied, left_out) = told("DRAD", false, &with_own, &[], lives());
    assert_eq!(applied, ["DRAD 2016-06-01 1:2"]);
    let why = "STRR has the same FIGI, and no events say when the company had it: `grab universe sync --renames` fetches them";
    assert_eq!(left_out, [format!("STRR 2019-06-05: {why}")]);
    assert_eq!(told("DRAD", false, &splits, &[], vec![]), (vec![], vec![]), "nothing is known of them");
}
