use jiff::civil::{Date, date};

use super::*;

const DAY: i64 = 86_400_000;

fn row(ticker: &str, figi: &str, cik: &str, left: Option<Date>) -> Listing {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Listing {
        ticker: ticker.parse().unwrap(),
        name: Some("A company".to_owned()),
        kind: Some("CS".to_owned()),
        exchange: Some("XNAS".to_owned()),
        active: left.is_none(),
        delisted: left,
        composite_figi: text(figi),
        share_class_figi: None,
        cik: text(cik),
        updated: Some("2024-01-03T00:00:00Z".to_owned()),
    }
}

fn at(day: Date) -> i64 {
    new_york::day_start_ms(day) + DAY / 2
}

fn first(rows: Vec<Listing>) -> UniverseMerge {
    merge(Vec::new(), rows, at(date(2024, 1, 3)))
}

/// Merges one more sync, a day later, into the result of another one.
fn then(before: UniverseMerge, rows: Vec<Listing>) -> UniverseMerge {
    merge(before.periods, rows, at(date(2024, 1, 4)))
}

fn told(merged: &UniverseMerge) -> (u64, u64, u64, usize) {
    (merged.new, merged.left.len() as u64, merged.not_seen, merged.periods.len())
}

#[test]
fn the_same_again_changes_when_it_was_seen_and_nothing_else() {
    let rows = || vec![row("A", "F1", "1", None), row("B", "", "", Some(date(2010, 1, 4)))];
    let before = first(rows());
    assert_eq!(told(&before), (2, 0, 0, 2));
    let after = then(before.clone(), rows());
    assert_eq!(told(&after), (0, 0, 0, 2));
    assert_eq!(after.periods[0].first_seen_ms, at(date(2024, 1, 3)));
    assert_eq!(after.periods[0].last_seen_ms, at(date(2024, 1, 4)));
    assert_eq!(after.periods[0].listing, before.periods[0].listing);
}

#[test]
fn a_list_that_lacks_rows_takes_nobodys_life() {
    let before = first(vec![row("A", "F1", "1", None), row("B", "F2", "2", None)]);
    let after = then(before, vec![row("B", "F2", "2", None)]);
    assert_eq!(told(&after), (0, 0, 1, 2));
    assert!(after.periods[0].listing.active && after.periods[0].last_seen_ms == at(date(2024, 1, 3)));
}

#[test]
fn whoever_leaves_is_the_same_with_numbers_and_without() {
    for (figi, cik) in [("F1", "1"), ("", "1"), ("", "")] {
        let mut before = first(vec![row("A", figi, cik, None)]);
        before.periods[0].listed = Some(date(2001, 5, 1));
        before.periods[0].sector = Some("Energy".to_owned());
        let after = then(before, vec![row("A", "", "", Some(date(2024, 1, 4)))]);
        assert_eq!(told(&after), (0, 1, 0, 1));
        let period = &after.periods[0];
        assert_eq!((period.listed, period.end()), (Some(date(2001, 5, 1)), Some(date(2024, 1, 4))));
        assert_eq!(period.sector.as_deref(), Some("Energy"));
        assert_eq!(period.listing.cik.as_deref(), (!cik.is_empty()).then_some(cik), "what was known stays");
    }
}

#[test]
fn a_ticker_that_another_company_gets_has_two_lives() {
    let before = first(vec![row("META", "FUND", "1", None)]);
    let rows = vec![row("META", "FUND", "1", Some(date(2024, 1, 4))), row("META", "SOCIAL", "2", None)];
    let after = then(before, rows);
    assert_eq!(told(&after), (1, 1, 0, 2));
    assert!(!after.periods[0].listing.active && after.periods[1].listing.active, "who is listed comes last");
    let other = then(first(vec![row("META", "FUND", "1", None)]), vec![row("META", "SOCIAL", "2", None)]);
    assert_eq!(told(&other), (1, 0, 1, 2), "before anybody says that the fund has left");
}

#[test]
fn an_old_end_is_not_that_of_a_life_that_was_seen_later() {
    let before = first(vec![row("A", "", "", None)]);
    let after = then(before, vec![row("A", "", "", None), row("A", "", "", Some(date(2011, 1, 4)))]);
    assert_eq!(told(&after), (1, 0, 0, 2));
    let lacking = then(first(vec![row("A", "", "", None)]), vec![row("A", "", "", Some(date(2011, 1, 4)))]);
    assert_eq!(told(&lacking), (1, 0, 1, 2), "the active row is only missing for a day");
    assert!(lacking.periods[1].listing.active);
}

#[test]
fn two_lives_that_have_both_left_stay_two() {
    let rows = || vec![row("A", "", "", Some(date(2009, 1, 5))), row("A", "", "", Some(date(2015, 1, 5)))];
    let after = then(first(rows()), rows());
    assert_eq!(told(&after), (0, 0, 0, 2));
}

#[test]
fn who_is_back_is_the_same_by_figi_only() {
    let left = |figi: &str, cik: &str| first(vec![row("A", figi, cik, Some(date(2023, 5, 1)))]);
    let back = then(left("F1", "1"), vec![row("A", "F1", "1", None)]);
    assert_eq!(told(&back), (0, 0, 0, 1));
    assert_eq!(back.periods[0].end(), None);
    assert_eq!(told(&then(left("", "1"), vec![row("A", "", "1", None)])), (1, 0, 1, 2));
}

#[test]
fn of_a_row_that_is_there_twice_the_one_changed_last_is_taken() {
    let mut older = row("A", "F1", "9", None);
    older.updated = Some("2022-12-01T00:00:00Z".to_owned());
    for rows in [vec![older.clone(), row("A", "F1", "1", None)], vec![row("A", "F1", "1", None), older]] {
        let merged = first(rows);
        assert_eq!(told(&merged), (1, 0, 0, 1));
        assert_eq!(merged.periods[0].listing.cik.as_deref(), Some("1"));
        assert_eq!(merged.defects, RowDefects { listed_twice: 1, other_cik: 1, without_figi: 0 });
    }
}
