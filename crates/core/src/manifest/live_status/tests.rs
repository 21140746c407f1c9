use std::time::Duration;

use grab_model::Cursor;
use tempfile::TempDir;

use super::*;
use crate::{
    clock::Clock,
    data_dir::DataDir,
    manifest::{Evidence, ManifestWriter, PageCommit, TaskEvent},
};

/// 2024-01-03T14:30Z, in the morning of New York's third of January.
const THIRD: i64 = 1_704_292_200_000;

const DAY: i64 = 86_400_000;

fn now() -> i64 {
    Clock::system().now_ms()
}

fn open_writer(dir: &TempDir, tasks: &[&str]) -> ManifestWriter {
    let mut writer = ManifestWriter::open(&DataDir::new(dir.path()), Clock::system()).unwrap();
    writer.connection.pragma_update(None, "synchronous", "OFF").unwrap();
    writer.declare_kind(StoreKind { adjusted: false, sandbox: true }).unwrap();
    writer.begin_run("start", "a few").unwrap();
    let january = rows::window("2024-01-01", "2024-01-31").unwrap();
    let tasks: Vec<_> = tasks.iter().map(|ticker| (ticker.parse().unwrap(), january)).collect();
    writer.add_tasks(&tasks).unwrap();
    writer
}

fn page(bars: u64, last_ms: i64, is_last: bool) -> PageCommit {
    PageCommit {
        evidence: Evidence {
            request_id: None,
            status: "OK".into(),
            bars,
            span_ms: (bars > 0).then_some((last_ms, last_ms)),
            bytes: 9,
        },
        partitions: Vec::new(),
        revisions: Vec::new(),
        bad: Vec::new(),
        next: (!is_last).then(|| Cursor::from_stored("/x".into())),
        is_finished: true,
    }
}

/// The completed requests of a poll: failures, bars, days.
fn done(glance: &StatusSnapshot) -> (usize, u64, u32) {
    let failures = glance.steps.iter().filter(|step| step.is_failure).count();
    let bars = glance.steps.iter().map(|step| step.bars).sum();
    (failures, bars, glance.steps.iter().map(|step| step.days).sum())
}

#[test]
fn each_request_is_seen_once_and_the_owed_days_are_carried_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = open_writer(&dir, &["A", "B", "C"]);
    let _lock = super::super::Lock::take(&DataDir::new(dir.path())).unwrap();
    let a = writer.lease().unwrap().unwrap().id;
    writer.store_page(a, &page(10, THIRD, false)).unwrap();
    let mut watcher = StatusPoller::new(&DataDir::new(dir.path()));
    let first = watcher.poll(now()).unwrap();
    assert_eq!((first.steps.len(), done(&first)), (1, (0, 10, 3)), "what was done before it came");
    assert_eq!((first.outstanding_days, first.total_days), (3 * 31 - 3, 3 * 31));
    assert_eq!((first.counts.running, first.next.len()), (1, 2));
    assert!(first.known_from_ms.is_some() && first.run.as_ref().unwrap().is_live);
    let task = &first.running[0];
    assert_eq!((task.symbol.as_str(), task.pages, task.days_covered), ("A", 1, 3));
    assert!(task.since_ms.is_some() && task.reached.unwrap().to_string() == "2024-01-03");

    assert_eq!(watcher.poll(now()).unwrap().steps, [], "nothing new");

    // One page more and an end; another task from its lease to its end; one that fails twice and is given up.
    writer.store_page(a, &page(20, THIRD + DAY, false)).unwrap();
    writer.store_page(a, &page(5, THIRD + 2 * DAY, true)).unwrap();
    let b = writer.lease().unwrap().unwrap().id;
    writer.store_page(b, &page(0, 0, true)).unwrap();
    let c = writer.lease().unwrap().unwrap().id;
    writer.retry(c, 1, "HTTP 500").unwrap();
    writer.end(c, TaskEvent::GivenUp, "HTTP 500 again").unwrap();
    let third = watcher.poll(now()).unwrap();
    assert_eq!((third.steps.len(), done(&third)), (5, (2, 25, 28 + 31 + 31)));
    assert_eq!((third.outstanding_days, third.total_days), (0, 3 * 31));
    let told: Vec<_> = third.troubles.iter().map(|t| (t.kind.as_str(), t.reason.as_str())).collect();
    assert_eq!(told, [("given_up", "HTTP 500 again"), ("retry_scheduled", "HTTP 500")]);
    assert_eq!(third.troubles[0].task.as_ref().unwrap().0.as_str(), "C");

    // Tasks were added after the last poll: the days are counted again.
    writer.reopen_unsuccessful().unwrap();
    assert_eq!(watcher.poll(now()).unwrap().outstanding_days, 31);
    assert_eq!(StatusPoller::new(&DataDir::new(dir.path())).poll(now()).unwrap().outstanding_days, 31);
}

#[test]
fn a_page_whose_bars_cannot_be_is_one_request() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = open_writer(&dir, &["A"]);
    let mut watcher = StatusPoller::new(&DataDir::new(dir.path()));
    watcher.poll(now()).unwrap();
    let a = writer.lease().unwrap().unwrap().id;
    let change = writer.begin().unwrap();
    change.advance(a, &page(4, THIRD, true)).unwrap();
    change.end(a, TaskEvent::GivenUp, "quarantine").unwrap();
    change.commit().unwrap();
    let glance = watcher.poll(now()).unwrap();
    assert_eq!((glance.steps.len(), done(&glance)), (1, (0, 4, 3)));
}

#[test]
fn nobody_is_running_once_the_process_is_dead_and_a_new_manifest_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = open_writer(&dir, &["A", "B"]);
    first.lease().unwrap();
    let mut watcher = StatusPoller::new(&DataDir::new(dir.path()));
    let glance = watcher.poll(now()).unwrap();
    assert_eq!((glance.counts.running, glance.counts.pending, glance.running.len()), (0, 2, 0));
    assert!(!glance.is_held && !glance.run.unwrap().is_live, "nobody holds the directory");
    drop(first);
    for name in [super::super::FILE_NAME, super::super::PLAN_NAME] {
        std::fs::remove_file(dir.path().join(name)).unwrap();
    }
    assert!(watcher.poll(now()).is_err());
    drop(open_writer(&dir, &["A"]));
    let glance = watcher.poll(now()).unwrap();
    assert!(glance.known_from_ms.is_some(), "as at first");
    assert_eq!(glance.outstanding_days, 31);
}

#[test]
fn a_run_that_was_killed_is_not_live_because_another_process_holds_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let writer = open_writer(&dir, &["A"]);
    let _lock = super::super::Lock::take(&DataDir::new(dir.path())).unwrap();
    assert!(DataDir::new(dir.path()).open_read().unwrap().runs(1).unwrap()[0].is_live);
    writer.connection.execute("UPDATE runs SET pid = pid + 1", []).unwrap();
    assert!(!DataDir::new(dir.path()).open_read().unwrap().runs(1).unwrap()[0].is_live);
}

#[test]
fn what_happened_long_ago_is_no_part_of_the_pace() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = open_writer(&dir, &["A"]);
    let a = writer.lease().unwrap().unwrap().id;
    writer.store_page(a, &page(10, THIRD, false)).unwrap();
    let later = now() + i64::try_from(Duration::from_mins(6).as_millis()).unwrap();
    let glance = StatusPoller::new(&DataDir::new(dir.path())).poll(later).unwrap();
    assert_eq!((glance.steps.len(), glance.known_from_ms), (0, Some(later - FIRST_SPAN_MS)));
}

#[test]
fn who_looks_away_for_too_long_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    let writer = open_writer(&dir, &["A"]);
    let mut watcher = StatusPoller::new(&DataDir::new(dir.path()));
    watcher.poll(now()).unwrap();
    let begun = now() - 10_000;
    let many = format!(
        "INSERT INTO events (at_ms, kind, reason) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n \
         WHERE i <= {MOST_EVENTS}) SELECT {begun} + i, 'leased', '' FROM n"
    );
    writer.connection.execute(&many, []).unwrap();
    let glance = watcher.poll(now()).unwrap();
    // The oldest of the events that were read is the second one.
    assert_eq!(glance.known_from_ms, Some(begun + 2));
    assert_eq!(watcher.poll(now()).unwrap().known_from_ms, None);
}

/// With hundreds of thousands of tasks and millions of pages and partitions, a scan each second would be too slow.
#[test]
fn no_glance_scans_a_table() {
    let dir = tempfile::tempdir().unwrap();
    let writer = open_writer(&dir, &["A"]);
    let plan = |sql: &str| -> Vec<String> {
        let mut select = writer.connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let blanks = vec![rusqlite::types::Value::Integer(1); select.parameter_count()];
        let rows = select.query_map(rusqlite::params_from_iter(blanks), |row| row.get(3)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    let (running, in_part) = (running_sql(), outstanding_in_part_sql());
    for sql in [EVENTS, LAST_EVENT, NEXT, TASK, steps::PAGES, LEASED, OUTSTANDING_WHOLE, &running, &in_part] {
        let steps = plan(sql);
        let scans = |step: &String| step.starts_with("SCAN") && !step.contains("SUBQUERY");
        assert!(!steps.iter().any(scans), "{sql}: {steps:?}");
    }
    let counts = plan("SELECT state, count(*) FROM tasks GROUP BY state");
    assert_eq!(counts, ["SCAN tasks USING COVERING INDEX tasks_by_state"]);
    let repairs = plan("SELECT state, count(*) FROM tasks WHERE is_repair GROUP BY state");
    assert_eq!(repairs, ["SCAN tasks USING INDEX repairs"]);
    assert_eq!(plan(ALL_DAYS), ["SCAN tasks USING COVERING INDEX tasks_by_window"]);
}
