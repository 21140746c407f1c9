//! The writer against real `SQLite` files.

use grab_model::{Bar, BarFault, Month};
use jiff::civil::date;
use tempfile::TempDir;

use super::*;
use crate::{data_dir::DataDir, manifest::StoreKind};

const UNADJUSTED: StoreKind = StoreKind { adjusted: false, sandbox: false };

fn window(year: i16, from_month: i8, to_month: i8) -> Window {
    Window::new(date(year, from_month, 1), date(year, to_month, 1).last_of_month()).unwrap()
}

fn symbol(text: &str) -> Symbol {
    text.parse().unwrap()
}

/// A writer in a run, with the given tasks.
fn open_writer(tasks: &[(&str, Window)]) -> (TempDir, ManifestWriter) {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = ManifestWriter::open(&DataDir::new(dir.path()), Clock::system()).unwrap();
    writer.declare_kind(UNADJUSTED).unwrap();
    writer.begin_run("start", "").unwrap();
    let tasks: Vec<_> = tasks.iter().map(|(text, window)| (symbol(text), *window)).collect();
    writer.add_tasks(&tasks).unwrap();
    (dir, writer)
}

fn partition(text: &str, bars: u64) -> Partition {
    let mut bars_by_day = [0; 31];
    bars_by_day[1] = u16::try_from(bars).unwrap();
    Partition {
        symbol: symbol(text),
        month: Month::new(2024, 1).unwrap(),
        bars,
        first_ms: 1,
        last_ms: 2,
        bytes: 10,
        xxh3: 7,
        bars_by_day,
    }
}

fn page(text: &str, bars: u64, next: Option<&str>) -> PageCommit {
    PageCommit {
        evidence: Evidence {
            request_id: Some("r1".into()),
            status: "OK".into(),
            bars,
            span_ms: (bars > 0).then_some((1, 2)),
            bytes: 100,
        },
        partitions: (bars > 0).then(|| partition(text, bars)).into_iter().collect(),
        revisions: Vec::new(),
        bad: Vec::new(),
        next: next.map(|path| Cursor::from_stored(path.to_owned())),
        is_finished: true,
    }
}

#[test]
fn a_task_is_added_once() {
    let (_dir, mut writer) = open_writer(&[("A", window(2024, 1, 12))]);
    let again = [(symbol("A"), window(2024, 1, 12)), (symbol("A"), window(2023, 1, 12))];
    assert_eq!(writer.add_tasks(&again).unwrap(), PlannedTasks { added: 1, known: 1 });
    assert_eq!(writer.counts().unwrap().tasks.pending, 2);
}

#[test]
fn tasks_are_leased_in_order_and_never_two_that_share_a_month() {
    let (_dir, mut writer) = open_writer(&[
        ("A", window(2024, 1, 3)),
        ("A", window(2024, 3, 6)),
        ("A", window(2024, 4, 6)),
        ("B", window(2024, 3, 3)),
    ]);
    let mut leased = || writer.lease().unwrap().map(|task| (task.symbol.to_string(), task.window));
    assert_eq!(leased(), Some(("A".into(), window(2024, 1, 3))));
    assert_eq!(leased(), Some(("A".into(), window(2024, 4, 6))), "March is taken, April is not");
    assert_eq!(leased(), Some(("B".into(), window(2024, 3, 3))));
    assert_eq!(leased(), None);
    assert_eq!(writer.counts().unwrap().tasks.pending, 1);
}

#[test]
fn a_page_moves_cursor_counters_partitions_and_evidence_at_once() {
    let (_dir, mut writer) = open_writer(&[("A", window(2024, 1, 1))]);
    let task = writer.lease().unwrap().unwrap();
    let first = writer.store_page(task.id, &page("A", 5, Some("/next?cursor=x"))).unwrap();
    assert_eq!(first, StoredPage { state: TaskState::Running, new_bars: 5, new_partitions: 1 });
    let last = writer.store_page(task.id, &page("A", 8, None)).unwrap();
    assert_eq!(last, StoredPage { state: TaskState::Done, new_bars: 3, new_partitions: 0 });
    let (cursor, pages, bars): (Option<String>, u64, u64) = writer
        .connection
        .query_row("SELECT cursor, pages, bars FROM tasks", [], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))
        .unwrap();
    assert_eq!((cursor, pages, bars), (None, 2, 13));
    let stored: (u64, u32, String) = writer
        .connection
        .query_row("SELECT bars, session_mask, session_bars FROM partitions", [], |r| {
            Ok((r.get(0)?, r.get(1)?, r.get(2)?))
        })
        .unwrap();
    assert_eq!(stored, (8, 0b10, "[8]".into()));
}

#[test]
fn emptiness_needs_a_page_and_any_bar_forbids_it() {
    let (_dir, mut writer) = open_writer(&[("A", window(2024, 1, 1)), ("B", window(2024, 1, 1))]);
    let a = writer.lease().unwrap().unwrap();
    writer.store_page(a.id, &page("A", 0, Some("/next"))).unwrap();
    assert_eq!(writer.store_page(a.id, &page("A", 0, None)).unwrap().state, TaskState::Empty);
    let b = writer.lease().unwrap().unwrap();
    writer.store_page(b.id, &page("B", 2, Some("/next"))).unwrap();
    assert_eq!(writer.store_page(b.id, &page("B", 0, None)).unwrap().state, TaskState::Done);
    let evidence: u64 = writer
        .connection
        .query_row("SELECT count(*) FROM pages WHERE request_id = 'r1' AND stored_at_ms > 0", [], |r| {
            r.get(0)
        })
        .unwrap();
    assert_eq!(evidence, 4);
}

#[test]
fn what_a_dead_process_held_is_pending_again_with_its_cursor() {
    let (dir, mut first) = open_writer(&[("A", window(2024, 1, 1))]);
    let task = first.lease().unwrap().unwrap();
    first.store_page(task.id, &page("A", 5, Some("/next"))).unwrap();
    drop(first);
    let mut second = ManifestWriter::open(&DataDir::new(dir.path()), Clock::system()).unwrap();
    assert_eq!(second.crashed().unwrap().len(), 1);
    second.begin_run("resume", "").unwrap();
    // The file was written once more than was recorded.
    assert_eq!(second.reclaim(&[partition("A", 9)]).unwrap(), 1);
    let stored: u64 = second.connection.query_row("SELECT bars FROM partitions", [], |r| r.get(0)).unwrap();
    assert_eq!(stored, 9);
    let task = second.lease().unwrap().unwrap();
    assert_eq!(task.cursor, Some(Cursor::from_stored("/next".into())));
    assert_eq!((task.pages, task.bars), (1, 5));
}

#[test]
fn an_unsuccessful_task_keeps_bars_cursor_and_reason_and_can_be_reopened() {
    let (_dir, mut writer) = open_writer(&[("A", window(2024, 1, 1))]);
    let task = writer.lease().unwrap().unwrap();
    writer.store_page(task.id, &page("A", 5, Some("/next"))).unwrap();
    writer.retry(task.id, 1, "HTTP 500").unwrap();
    assert_eq!(writer.end(task.id, TaskEvent::GivenUp, "HTTP 500, 8 times").unwrap(), TaskState::Failed);
    assert_eq!(writer.lease().unwrap(), None);
    assert_eq!(writer.reopen_unsuccessful().unwrap(), 1);
    let task = writer.lease().unwrap().unwrap();
    assert_eq!((task.bars, task.cursor), (5, Some(Cursor::from_stored("/next".into()))));
    let kinds: Vec<String> = writer
        .connection
        .prepare("SELECT kind FROM events WHERE task_id IS NOT NULL ORDER BY id")
        .unwrap()
        .query_map([], |r| r.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(kinds, ["leased", "retry_scheduled", "given_up", "reopened", "leased"]);
}

#[test]
fn an_illegal_step_changes_nothing() {
    let (_dir, mut writer) = open_writer(&[("A", window(2024, 1, 1))]);
    let task = writer.lease().unwrap().unwrap();
    writer.end(task.id, TaskEvent::Released, "stop").unwrap();
    let error = writer.store_page(task.id, &page("A", 5, None)).unwrap_err();
    assert!(matches!(error, ManifestError::Illegal(_)), "{error}");
    let (pages, partitions): (u64, u64) = writer
        .connection
        .query_row("SELECT (SELECT count(*) FROM pages), (SELECT count(*) FROM partitions)", [], |r| {
            Ok((r.get(0)?, r.get(1)?))
        })
        .unwrap();
    assert_eq!((pages, partitions), (0, 0));
}

#[test]
fn a_directory_holds_one_kind() {
    let (_dir, mut writer) = open_writer(&[]);
    writer.declare_kind(UNADJUSTED).unwrap();
    let adjusted = StoreKind { adjusted: true, sandbox: false };
    let made_up = StoreKind { adjusted: false, sandbox: true };
    let wanted = [(symbol("A"), window(2024, 1, 1)), (symbol("B"), window(2024, 1, 1))];
    writer.add_tasks(&wanted).unwrap();
    writer.declare_kind(made_up).unwrap();
    // The sandbox has no bars of A, and another page of B.
    let (a, b) = (writer.lease().unwrap().unwrap().id, writer.lease().unwrap().unwrap().id);
    assert_eq!(writer.store_page(a, &page("A", 0, None)).unwrap().state, TaskState::Empty);
    writer.store_page(b, &page("B", 0, Some("/next?cursor=1"))).unwrap();
    // This proves nothing about the service.
    writer.declare_kind(UNADJUSTED).unwrap();
    writer.reclaim(&[]).unwrap();
    let left = |writer: &ManifestWriter| {
        let select = "SELECT group_concat(state || ' ' || coalesce(cursor, '-'), ', ') FROM tasks";
        writer.connection.query_row(select, [], |row| row.get::<_, String>(0)).unwrap()
    };
    assert_eq!(left(&writer), "pending -, pending -");
    writer.declare_kind(adjusted).unwrap();
    writer.declare_kind(UNADJUSTED).unwrap();
    let kinds = "SELECT count(*) FROM events WHERE kind = 'kind_changed'";
    assert_eq!(writer.connection.query_row(kinds, [], |row| row.get::<_, u64>(0)).unwrap(), 4);
    // Lists of one source prove nothing about the other's bars, and do not depend on the adjustment of bars.
    let synced = "INSERT INTO syncs (at_ms, what, rows, pages, defects) VALUES (1, 'splits', 1, 1, '{}')";
    writer.connection.execute_batch(synced).unwrap();
    assert!(writer.declare_kind(made_up).is_err());
    writer.declare_kind(adjusted).unwrap();
    writer.declare_kind(UNADJUSTED).unwrap();
    // The first bar fixes the kind.
    let id = writer.lease().unwrap().unwrap().id;
    writer.store_page(id, &page("A", 5, None)).unwrap();
    let error = writer.declare_kind(adjusted).unwrap_err();
    assert_eq!(error.to_string(), "this data directory holds bars as traded, not split-adjusted bars");
}

#[test]
fn bad_bars_are_kept_apart_and_their_task_says_so() {
    let (_dir, mut writer) = open_writer(&[("A", window(2024, 1, 1))]);
    let id = writer.lease().unwrap().unwrap().id;
    let bar = Bar {
        timestamp: 90_001,
        open: 1.5,
        high: 2.0,
        low: 1.0,
        close: 1.25,
        volume: 7.0,
        vwap: None,
        transactions: Some(3),
    };
    let bad = vec![InvalidBar { bar, fault: BarFault::OffMinute }];
    writer.store_page(id, &PageCommit { bad, ..page("A", 5, Some("/next?cursor=1")) }).unwrap();
    let state = writer.store_page(id, &page("A", 5, None)).unwrap().state;
    assert_eq!(state, TaskState::Failed);
    let text = |sql: &str| writer.connection.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(
        text("SELECT last_error FROM tasks"),
        "all bars are stored except 1 in quarantine; the first, at 90001 ms, does not begin with a minute"
    );
    let expected = r#"{"c":1.25,"h":2.0,"l":1.0,"n":3,"o":1.5,"t":90001,"v":7.0,"vw":null}"#;
    assert_eq!(text("SELECT bar FROM quarantine"), expected);
    assert_eq!(
        text("SELECT reason FROM events WHERE kind = 'quarantined'"),
        "1 in quarantine; the first: the bar at 90001 ms does not begin with a minute"
    );

    assert_eq!(writer.reopen_unsuccessful().unwrap(), 1);
    let again = writer.lease().unwrap().unwrap();
    assert_eq!((again.cursor, again.last_ms, again.bars), (None, None, 0), "from its beginning");
    writer.store_page(id, &page("A", 10, None)).unwrap();
    assert_eq!(writer.counts().unwrap().tasks.done, 1, "nothing is in quarantine any more");
}
