//! The merge against real files.

use std::fs;

use grab_model::Bar;
use jiff::civil::date;

use super::*;
use crate::data_dir::DataDir;

fn bar(timestamp: i64, close: f64) -> Bar {
    Bar { timestamp, open: 1.0, high: 2.0, low: 0.5, close, volume: 9.0, vwap: None, transactions: Some(1) }
}

fn minute(day: i8, hour: i8, minute: i8) -> i64 {
    new_york::at_ms(date(2024, 1, day), hour, minute)
}

fn store() -> (tempfile::TempDir, BarStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = BarStore::new(DataDir::new(dir.path().to_owned()), false, "localhost".into());
    (dir, store)
}

fn fetched(bars: Bars, at_ms: i64) -> MergeInput {
    MergeInput { bars, at_ms, whole: None, finality: Finality::Final }
}

fn january() -> Month {
    Month::new(2024, 1).unwrap()
}

#[test]
fn merging_is_idempotent_and_the_newest_fetch_wins() {
    let (_dir, store) = store();
    let symbol = "KIMpL".parse().unwrap();
    let first: Bars = [bar(minute(2, 9, 30), 1.0), bar(minute(3, 9, 30), 1.0)].into_iter().collect();
    let late: Bars = [bar(minute(3, 9, 30), 1.75), bar(minute(31, 19, 59), 1.5)].into_iter().collect();
    store.merge(&symbol, january(), fetched(first, 100), None).unwrap();
    let once = store.merge(&symbol, january(), fetched(late.clone(), 200), None).unwrap().partition;
    let PreparedMerge { outcome: MergeOutcome { partition: twice, stored, .. }, file } =
        store.prepare_merge(&symbol, january(), fetched(late, 200), None).unwrap();
    assert_eq!(file, None, "nothing has changed");
    assert_eq!(once, twice);
    assert_eq!(stored.fetched_ms, (100, 200));
    assert_eq!(stored.bars.iter().map(|b| b.close).collect::<Vec<_>>(), [1.0, 1.75, 1.5]);
    assert_eq!(store.read(&symbol, january()).unwrap(), Some(stored));
    assert_eq!((twice.bars, twice.session_mask()), (3, 1 << 1 | 1 << 2 | 1 << 30));
    assert_eq!(twice.session_bars().collect::<Vec<_>>(), [1, 1, 1]);
}

#[test]
fn what_the_caller_holds_saves_the_read_and_gives_the_same() {
    let (_dir, store) = store();
    let symbol = "A".parse().unwrap();
    let early: Bars = [bar(minute(2, 9, 30), 1.0)].into_iter().collect();
    let late: Bars = [bar(minute(2, 9, 31), 1.0)].into_iter().collect();
    let stored = store.merge(&symbol, january(), fetched(early, 1), None).unwrap().stored;
    let with = store.merge(&symbol, january(), fetched(late.clone(), 2), Some(stored)).unwrap().partition;
    let without = store.merge(&symbol, january(), fetched(late, 2), None).unwrap().partition;
    assert_eq!(with, without);
}

#[test]
fn the_digest_is_that_of_the_file() {
    let (dir, store) = store();
    let symbol = "A".parse().unwrap();
    let bars: Bars = [bar(minute(2, 9, 30), 1.0)].into_iter().collect();
    let partition = store.merge(&symbol, january(), fetched(bars, 1), None).unwrap().partition;
    let file = fs::read(DataDir::new(dir.path()).partition(&symbol, january())).unwrap();
    assert_eq!((partition.xxh3, partition.bytes), (xxh3_64(&file), file.len() as u64));
}

#[test]
fn a_bar_of_another_month_is_never_written() {
    let (dir, store) = store();
    let february = new_york::at_ms(date(2024, 2, 1), 4, 0);
    let bars: Bars = [bar(february, 1.0)].into_iter().collect();
    let refused = store.merge(&"A".parse().unwrap(), january(), fetched(bars, 1), None);
    assert!(matches!(refused, Err(StoreError::OutsideMonth { timestamp, .. }) if timestamp == february));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_damaged_or_foreign_file_is_an_error_and_stays_as_it_is() {
    let (dir, store) = store();
    let (a, b): (Symbol, Symbol) = ("A".parse().unwrap(), "B".parse().unwrap());
    let bars: Bars = [bar(minute(2, 9, 30), 1.0)].into_iter().collect();
    store.merge(&a, january(), fetched(bars.clone(), 1), None).unwrap();
    let (from, to) = (
        DataDir::new(dir.path()).partition(&a, january()),
        DataDir::new(dir.path()).partition(&b, january()),
    );
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(&from, &to).unwrap();
    let misplaced = store.merge(&b, january(), fetched(bars.clone(), 1), None).unwrap_err().to_string();
    assert!(misplaced.ends_with("ticker is \"A\" where \"B\" belongs"), "{misplaced}");
    fs::write(&to, b"PAR1 nonsense").unwrap();
    assert!(matches!(store.merge(&b, january(), fetched(bars, 1), None), Err(StoreError::Damaged { .. })));
    assert_eq!(fs::read(&to).unwrap(), b"PAR1 nonsense");
}

#[test]
fn the_sweep_takes_unfinished_files_of_the_window_and_nothing_else() {
    let (dir, store) = store();
    let symbol: Symbol = "A".parse().unwrap();
    let bars: Bars = [bar(minute(2, 9, 30), 1.0)].into_iter().collect();
    store.merge(&symbol, january(), fetched(bars, 1), None).unwrap();
    let folder = DataDir::new(dir.path()).month_folder(&symbol, january());
    fs::write(folder.join(".bars-x1y2.tmp"), b"half").unwrap();
    fs::write(folder.join("notes.txt"), b"mine").unwrap();
    assert_eq!(store.sweep(&symbol, january().next().window()).unwrap(), 0);
    assert_eq!(store.sweep(&symbol, january().window()).unwrap(), 1);
    let mut left: Vec<_> = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["bars.parquet", "notes.txt"]);
}

#[test]
fn what_was_written_for_the_moment_is_written_for_good_by_the_same_bars_too() {
    let (_dir, store) = store();
    let symbol = "A".parse().unwrap();
    let bars: Bars = [bar(minute(2, 9, 30), 1.0)].into_iter().collect();
    let lasting = fetched(bars, 1);
    let passing = MergeInput { finality: Finality::Interim, ..lasting.clone() };
    let cut = store.merge(&symbol, january(), passing.clone(), None).unwrap();
    assert_eq!(store.read(&symbol, january()).unwrap(), Some(cut.stored.clone()));
    assert_eq!(store.prepare_merge(&symbol, january(), passing, None).unwrap().file, None);
    let whole = store.prepare_merge(&symbol, january(), lasting.clone(), None).unwrap();
    write_all(whole.file.as_slice()).unwrap();
    let finality = (cut.stored.finality, whole.outcome.stored.finality);
    assert_eq!(finality, (Finality::Interim, Finality::Final));
    assert_eq!(whole.file, store.prepare_final(&symbol, cut.stored).unwrap().file);
    assert_eq!(store.prepare_merge(&symbol, january(), lasting, None).unwrap().file, None);
}

#[test]
fn whole_days_add_up() {
    let (_dir, store) = store();
    let symbol = "A".parse().unwrap();
    let bars: Bars = [bar(minute(2, 9, 30), 1.0)].into_iter().collect();
    let days = |from, to| Window::new(from, to);
    for whole in [days(date(2023, 12, 1), date(2024, 1, 2)), None, days(date(2024, 1, 4), date(2024, 1, 5))] {
        store.merge(&symbol, january(), MergeInput { whole, ..fetched(bars.clone(), 1) }, None).unwrap();
    }
    let stored = store.read(&symbol, january()).unwrap().unwrap();
    assert_eq!(stored.whole_days, 0b11011);
}
