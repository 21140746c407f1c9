use std::fs;

use jiff::civil::date;
use parquet::file::metadata::KeyValue;

use super::*;
use crate::data_dir::DataDir;

fn symbol(text: &str) -> Symbol {
    text.parse().unwrap()
}

fn split(ticker: &str, day: Date, from: f64, to: f64) -> Split {
    Split {
        ticker: symbol(ticker),
        execution_date: day,
        split_from: from,
        split_to: to,
        adjustment_type: None,
        id: None,
    }
}

fn rename(asked_as: &str, ticker: &str, day: Date) -> Rename {
    Rename {
        composite_figi: Some("BBG000MM2P62".to_owned()),
        cik: None,
        name: Some("Meta Platforms, Inc.\nClass A".to_owned()),
        ticker: symbol(ticker),
        date: day,
        asked_as: symbol(asked_as),
    }
}

const DAY: Date = date(2020, 8, 31);

fn merged(stored: Vec<TableRow<Split>>, fetched: Vec<Split>, at_ms: i64) -> TableMerge<Split> {
    merge(stored, fetched, at_ms, |_| true)
}

/// Ratio, first and last seen, standing.
fn told(merged: &TableMerge<Split>) -> Vec<String> {
    let tell = |kept: &TableRow<Split>| {
        let seen = format!("{}-{}", kept.first_seen_ms, kept.last_seen_ms);
        format!("{} {} {seen} {}", kept.row.ticker, kept.row.claim(), kept.standing.as_str())
    };
    merged.rows.iter().map(tell).collect()
}

fn table() -> ReferenceTable<Split> {
    let rows = vec![
        Split { id: Some("E1".to_owned()), ..split("AAPL", DAY, 1.0, 4.0) },
        Split {
            adjustment_type: Some("stock_dividend".to_owned()),
            ..split("BRK.B", date(1969, 12, 31), 1.0, 1.1)
        },
        split("KIMpL", date(2003, 9, 10), 1e-7, 2e6),
    ];
    let mut rows = merged(Vec::new(), rows, 7).rows;
    rows[2].standing = RowStatus::Withdrawn;
    ReferenceTable { rows, fetched_ms: 9, source: "localhost".to_owned() }
}

#[test]
fn every_bit_of_a_table_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(read_splits(&DataDir::new(dir.path())).unwrap(), None, "absence is no failure");
    write_splits(&DataDir::new(dir.path()), &table()).unwrap();
    assert_eq!(read_splits(&DataDir::new(dir.path())).unwrap().unwrap(), table());
    let (fb, meta) = (rename("META", "FB", date(2012, 5, 18)), rename("META", "META", date(2022, 6, 9)));
    let rows = merge(Vec::new(), vec![meta, fb], 3, |_| true).rows;
    let renames = ReferenceTable { rows, fetched_ms: 3, source: "localhost".to_owned() };
    write_renames(&DataDir::new(dir.path()), &renames).unwrap();
    assert_eq!(read_renames(&DataDir::new(dir.path())).unwrap().unwrap(), renames);
    assert_eq!(renames.rows[0].row.ticker.as_str(), "FB");
    let empty = ReferenceTable { rows: Vec::new(), ..table() };
    write_splits(&DataDir::new(dir.path()), &empty).unwrap();
    assert_eq!(read_splits(&DataDir::new(dir.path())).unwrap().unwrap(), empty);
    assert!(inspect(&DataDir::new(dir.path())).is_empty());
}

#[test]
fn what_a_dead_process_left_is_swept_by_the_next_write() {
    let dir = tempfile::tempdir().unwrap();
    write_splits(&DataDir::new(dir.path()), &table()).unwrap();
    let left = DataDir::new(dir.path()).reference_folder().join(".bars-x.tmp");
    fs::write(&left, "half").unwrap();
    write_splits(&DataDir::new(dir.path()), &table()).unwrap();
    assert!(!left.exists());
}

#[test]
fn no_flipped_bit_goes_unnoticed_if_it_changes_what_is_read() {
    let dir = tempfile::tempdir().unwrap();
    write_splits(&DataDir::new(dir.path()), &table()).unwrap();
    let bytes = fs::read(DataDir::new(dir.path()).reference_table("splits")).unwrap();
    let mut unread = 0;
    for (place, bit) in (0..bytes.len()).flat_map(|place| (0..8).map(move |bit| (place, bit))) {
        let mut flipped = bytes.clone();
        flipped[place] ^= 1 << bit;
        match decode::<Split>(flipped.into()) {
            Ok(found) => assert_eq!(found, table(), "bit {bit} of byte {place}"),
            Err(_) => unread += 1,
        }
    }
    assert!(unread > bytes.len(), "{unread}");
}

#[test]
fn what_is_no_table_is_named_with_its_file_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    write_splits(&DataDir::new(dir.path()), &table()).unwrap();
    let (splits, renames) = (
        DataDir::new(dir.path()).reference_table("splits"),
        DataDir::new(dir.path()).reference_table("renames"),
    );
    fs::copy(&splits, &renames).unwrap();
    let error = read_renames(&DataDir::new(dir.path())).unwrap_err().to_string();
    assert!(error.contains("renames.parquet cannot be used, its columns are not composite_figi"), "{error}");
    assert!(error.ends_with("`grab universe sync` fetches it again"), "{error}");
    fs::write(&splits, "garbage").unwrap();
    fs::remove_file(&renames).unwrap();
    fs::create_dir(&renames).unwrap();
    let found = inspect(&DataDir::new(dir.path()));
    assert_eq!(found.iter().map(|(path, _)| path).collect::<Vec<_>>(), [&splits, &renames]);
    assert_eq!(found[1].1, InvalidPartition::Corrupt("it is no file".to_owned()));
}

#[test]
fn another_version_of_the_columns_is_not_taken_for_this_one() {
    let said = |version: &str| {
        let entries = [("grab.table", "splits"), ("grab.schema_version", version), ("grab.fetched_ms", "1")];
        let said = entries.map(|(key, value)| KeyValue::new(key.to_owned(), value.to_owned()));
        let file = columns::encode(Split::COLUMNS, &rows::all_columns(&table().rows), said.to_vec()).unwrap();
        decode::<Split>(file.into())
    };
    assert_eq!(said("1").unwrap().rows, table().rows);
    assert!(said("2").unwrap_err().reason().contains("schema_version is \"2\""));
}

#[test]
fn duplicates_become_one_row_and_are_counted() {
    let sent_twice = Split { id: Some("E".to_owned()), ..split("A", DAY, 1.0, 4.0) };
    let fetched = vec![
        split("A", DAY, 1.0, 4.0),
        sent_twice.clone(),
        split("A", DAY, 2.0, 8.0),
        split("B", DAY, 1.0, 4.0),
    ];
    let first = merged(Vec::new(), fetched.clone(), 10);
    assert_eq!(told(&first), ["A 1:4 10-10 current", "B 1:4 10-10 current"]);
    assert_eq!((first.duplicates, first.added), (2, 2));
    assert_eq!(first.rows[0].row, sent_twice, "what only one of them says is kept");
    let again = merged(first.rows, fetched, 20);
    assert_eq!(told(&again), ["A 1:4 10-20 current", "B 1:4 10-20 current"]);
    assert_eq!((again.added, again.withdrawn), (0, 0));
}

#[test]
fn of_contradictory_rows_one_is_applied_whatever_their_order() {
    let of_type =
        |kind: &str, from, to| Split { adjustment_type: Some(kind.to_owned()), ..split("A", DAY, from, to) };
    for (fetched, expected) in [
        // The nearest to 1.
        (vec![split("A", DAY, 1.0, 4.0), split("A", DAY, 1.0, 40.0)], "1:4"),
        // A row that its own type contradicts is worse.
        (vec![of_type("forward_split", 10.0, 1.0), of_type("forward_split", 1.0, 10.0)], "1:10"),
        (vec![of_type("reverse_split", 10.0, 1.0), of_type("reverse_split", 1.0, 2.0)], "10:1"),
        (vec![split("A", DAY, 10.0, 1.0), split("A", DAY, 1.0, 10.0)], "1:10"),
    ] {
        let mut turned = fetched.clone();
        turned.reverse();
        let one = merged(Vec::new(), fetched, 5);
        assert_eq!(one, merged(Vec::new(), turned, 5));
        let current: Vec<_> = one.rows.iter().filter(|kept| kept.standing == RowStatus::Current).collect();
        assert_eq!((current.len(), current[0].row.claim().as_str()), (1, expected));
        assert_eq!((one.contradictions.len(), one.rows.len()), (1, 2));
    }
}

#[test]
fn a_doubt_does_not_change_what_is_applied_and_a_correction_does() {
    let first = merged(Vec::new(), vec![split("A", DAY, 1.0, 40.0)], 1);
    let doubt = merged(first.rows, vec![split("A", DAY, 1.0, 4.0), split("A", DAY, 1.0, 40.0)], 2);
    assert_eq!(told(&doubt), ["A 1:4 2-2 contradicted", "A 1:40 1-2 current"]);
    assert_eq!(doubt.contradictions[0].to_string(), "A 2020-08-31: 1:40 is applied, 1:4 was sent as well");
    let corrected = merged(doubt.rows, vec![split("A", DAY, 1.0, 4.0)], 3);
    assert_eq!(told(&corrected), ["A 1:4 2-3 current", "A 1:40 1-2 withdrawn"]);
    assert_eq!((corrected.withdrawn, corrected.contradictions.len()), (1, 0));
}

#[test]
fn what_the_server_withdraws_stays_and_is_not_applied() {
    let first = merged(Vec::new(), vec![split("A", DAY, 1.0, 4.0), split("B", DAY, 1.0, 4.0)], 1);
    let second = merged(first.rows, vec![split("B", DAY, 1.0, 4.0)], 2);
    assert_eq!(told(&second), ["A 1:4 1-1 withdrawn", "B 1:4 1-2 current"]);
    assert_eq!(second.withdrawn, 1);
    let third = merged(second.rows.clone(), vec![split("B", DAY, 1.0, 4.0)], 3);
    assert_eq!(third.withdrawn, 0, "it is counted once");
    let back = merged(third.rows, vec![split("A", DAY, 1.0, 4.0)], 4);
    assert_eq!(told(&back), ["A 1:4 1-4 current", "B 1:4 1-3 withdrawn"]);
    let elsewhere = merge(second.rows, Vec::new(), 5, |split: &Split| split.ticker.as_str() == "Z");
    assert_eq!(told(&elsewhere)[1], "B 1:4 1-2 current", "nobody asked about it");
}

#[test]
fn nonsense_is_refused_row_by_row_and_named() {
    let wrong = [0.0, -1.0, f64::NAN, f64::INFINITY];
    let mut fetched: Vec<_> = wrong.iter().map(|from| split("A", DAY, *from, 1.0)).collect();
    fetched.extend(wrong.iter().map(|to| split("A", DAY, 1.0, *to)));
    fetched.push(split("A", DAY, 1.0, 2.0));
    let merged = merged(Vec::new(), fetched, 1);
    assert_eq!(told(&merged), ["A 1:2 1-1 current"]);
    assert_eq!(merged.refused.len(), 8);
    assert!(merged.refused.contains(&"A 2020-08-31: -1:1 is no ratio of shares".to_owned()));
}

#[test]
fn a_company_has_one_ticker_a_day() {
    let fetched = vec![rename("META", "ZZZ", DAY), rename("META", "META", DAY), rename("META", "META", DAY)];
    let merged = merge(Vec::new(), fetched, 1, |_| true);
    assert_eq!((merged.duplicates, merged.contradictions.len()), (1, 1));
    let current: Vec<_> = merged.rows.iter().filter(|kept| kept.standing == RowStatus::Current).collect();
    assert_eq!(current.iter().map(|kept| kept.row.ticker.as_str()).collect::<Vec<_>>(), ["META"]);
}

#[test]
fn lives_are_read_as_they_were_written_to_the_last_missing_day() {
    use grab_model::{Listing, ListingPeriod};

    let dir = tempfile::tempdir().unwrap();
    assert_eq!(read_tickers(&DataDir::new(dir.path())).unwrap(), None);
    let life = |ticker: &str, delisted: Option<Date>| ListingPeriod {
        listing: Listing {
            ticker: symbol(ticker),
            name: Some("Kimco Realty, \"L\"".to_owned()),
            kind: delisted.map(|_| "PFD".to_owned()),
            exchange: None,
            active: delisted.is_none(),
            delisted,
            composite_figi: None,
            share_class_figi: Some("BBG001S5N8V8".to_owned()),
            cik: Some(String::new()),
            updated: Some("2024-01-03T00:00:00Z".to_owned()),
        },
        listed: delisted.is_none().then(|| date(1919, 9, 5)),
        first_seen_ms: 1,
        last_seen_ms: i64::MAX,
        sector: None,
        industry: Some("REIT".to_owned()),
    };
    let periods = vec![life("KIMpL", Some(date(2024, 1, 3))), life("KO", None)];
    let tickers = TickersTable { periods, fetched_ms: 5, source: "localhost".to_owned() };
    write_tickers(&DataDir::new(dir.path()), &tickers).unwrap();
    assert_eq!(read_tickers(&DataDir::new(dir.path())).unwrap(), Some(tickers));
    assert!(inspect(&DataDir::new(dir.path())).is_empty());
    let path = DataDir::new(dir.path()).reference_table("tickers");
    assert!(is_table(&DataDir::new(dir.path()), &path));
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(4).position(|four| four == b"REIT").unwrap_or(bytes.len() / 2);
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert!(matches!(read_tickers(&DataDir::new(dir.path())), Err(StoreError::Reference { .. })));
    assert_eq!(inspect(&DataDir::new(dir.path())).len(), 1);
}
