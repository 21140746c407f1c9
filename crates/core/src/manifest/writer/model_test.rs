//! A model test of the writer: random sequences of steps, with crashes, compared with a model that is too simple to be
//! wrong.

use std::collections::HashMap;

use grab_model::Month;
use jiff::civil::date;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::{data_dir::DataDir, manifest::StoreKind};

/// The tasks of every sequence: ticker and months. The first two share February, so that they never run together.
const TASKS: [(&str, i8, i8); 4] = [("A", 1, 2), ("A", 2, 3), ("A", 4, 4), ("B", 1, 2)];

/// The model's record of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    state: &'static str,
    cursor: Option<String>,
    pages: u64,
    bars: u64,
    attempts: u32,
    last_error: Option<String>,
}

/// Task, kind, state before, state after.
type Story = (usize, &'static str, &'static str, &'static str);

#[derive(Debug)]
struct Model {
    tasks: Vec<Known>,
    events: Vec<Story>,
    /// Bars of the first month of each task, by ticker and month.
    partitions: HashMap<(&'static str, i8), u64>,
}

#[derive(Clone, Debug)]
enum Move {
    Lease,
    Store {
        task: usize,
        bars: u64,
        more: bool,
    },
    Retry {
        task: usize,
        attempts: u32,
    },
    /// Carries the state that it leads to.
    End {
        task: usize,
        event: TaskEvent,
        to: &'static str,
    },
    Reopen,
    AddAgain,
    Crash,
}

fn any_move() -> impl Strategy<Value = Move> {
    let task = || 0..TASKS.len();
    let event = prop::sample::select(vec![
        (TaskEvent::Released, "pending"),
        (TaskEvent::Refused, "not_entitled"),
        (TaskEvent::Unknown, "not_found"),
        (TaskEvent::GivenUp, "failed"),
    ]);
    prop_oneof![
        6 => Just(Move::Lease),
        8 => (task(), 0..4_u64, any::<bool>()).prop_map(|(task, bars, more)| Move::Store { task, bars, more }),
        2 => (task(), 1..9_u32).prop_map(|(task, attempts)| Move::Retry { task, attempts }),
        3 => (task(), event).prop_map(|(task, (event, to))| Move::End { task, event, to }),
        1 => Just(Move::Reopen),
        1 => Just(Move::AddAgain),
        2 => Just(Move::Crash),
    ]
}

impl Model {
    fn new() -> Self {
        let fresh =
            Known { state: "pending", cursor: None, pages: 0, bars: 0, attempts: 0, last_error: None };
        Self { tasks: vec![fresh; TASKS.len()], events: Vec::new(), partitions: HashMap::new() }
    }

    fn turn(&mut self, task: usize, kind: &'static str, to: &'static str) {
        self.events.push((task, kind, self.tasks[task].state, to));
        self.tasks[task].state = to;
    }

    fn all_that_are(&self, states: &[&str]) -> Vec<usize> {
        (0..TASKS.len()).filter(|task| states.contains(&self.tasks[*task].state)).collect()
    }

    /// The first pending task that shares no month with a running one.
    fn next(&self) -> Option<usize> {
        let share = |a: usize, b: usize| {
            let ((a, from_a, to_a), (b, from_b, to_b)) = (TASKS[a], TASKS[b]);
            a == b && from_a <= to_b && from_b <= to_a
        };
        let running = self.all_that_are(&["running"]);
        let mut pending = self.all_that_are(&["pending"]).into_iter();
        pending.find(|task| !running.iter().any(|other| share(*task, *other)))
    }

    fn store(&mut self, task: usize, bars: u64, more: bool) {
        let known = &mut self.tasks[task];
        known.pages += 1;
        known.bars += bars;
        known.attempts = 0;
        known.last_error = None;
        known.cursor = more.then(|| cursor(known.pages));
        let has_bars = known.bars > 0;
        if bars > 0 {
            self.partitions.insert((TASKS[task].0, TASKS[task].1), bars);
        }
        match (more, has_bars) {
            (true, _) => {}
            (false, true) => self.turn(task, "completed", "done"),
            (false, false) => self.turn(task, "proven_empty", "empty"),
        }
    }
}

fn cursor(page: u64) -> String {
    format!("/next?cursor={page}")
}

fn wanted() -> Vec<(Symbol, Window)> {
    let window = |from, to| Window::new(date(2024, from, 1), date(2024, to, 1).last_of_month()).unwrap();
    TASKS.iter().map(|(ticker, from, to)| (ticker.parse().unwrap(), window(*from, *to))).collect()
}

/// A manifest and its model.
struct Walk {
    dir: TempDir,
    writer: ManifestWriter,
    model: Model,
}

impl Walk {
    fn begin() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = open(&dir);
        writer.add_tasks(&wanted()).unwrap();
        Self { dir, writer, model: Model::new() }
    }

    fn go(&mut self, step: &Move) {
        match *step {
            Move::Lease => self.lease(),
            Move::Store { task, bars, more } => self.store(task, bars, more),
            Move::Retry { task, attempts } => {
                let done = self.writer.retry(id(task), attempts, "HTTP 500");
                if self.is_allowed(task, done) {
                    self.model.turn(task, "retry_scheduled", "running");
                    self.model.tasks[task].attempts = attempts;
                    self.model.tasks[task].last_error = Some("HTTP 500".into());
                }
            }
            Move::End { task, event, to } => self.end(task, event, to),
            Move::Reopen => {
                let ended = self.model.all_that_are(&["not_entitled", "not_found", "failed"]);
                assert_eq!(self.writer.reopen_unsuccessful().unwrap(), ended.len() as u64);
                for task in ended {
                    self.model.turn(task, "reopened", "pending");
                }
            }
            Move::AddAgain => {
                let planned = self.writer.add_tasks(&wanted()).unwrap();
                assert_eq!(planned, PlannedTasks { added: 0, known: TASKS.len() as u64 });
            }
            Move::Crash => self.crash(),
        }
    }

    /// A step that needs a running task must succeed if it runs, and be refused if not.
    fn is_allowed<T: std::fmt::Debug>(&self, task: usize, done: Result<T, ManifestError>) -> bool {
        let runs = self.model.tasks[task].state == "running";
        match done {
            Ok(_) => assert!(runs, "allowed for {:?}", self.model.tasks[task]),
            Err(error) => assert!(!runs && matches!(error, ManifestError::Illegal(_)), "{error:?}"),
        }
        runs
    }

    fn lease(&mut self) {
        let leased = self.writer.lease().unwrap();
        let expected = self.model.next();
        assert_eq!(leased.as_ref().map(|task| task.id), expected.map(id));
        let (Some(task), Some(leased)) = (expected, leased) else { return };
        let known = &mut self.model.tasks[task];
        known.attempts = 0;
        let cursor = known.cursor.clone().map(Cursor::from_stored);
        assert_eq!((leased.cursor, leased.pages, leased.bars), (cursor, known.pages, known.bars));
        self.model.turn(task, "leased", "running");
    }

    fn store(&mut self, task: usize, bars: u64, more: bool) {
        let page = page(task, bars, more.then(|| cursor(self.model.tasks[task].pages + 1)));
        let before = self.model.partitions.get(&(TASKS[task].0, TASKS[task].1)).copied().unwrap_or_default();
        let stored = self.writer.store_page(id(task), &page);
        let new_bars = stored.as_ref().ok().map(|stored| stored.new_bars);
        if self.is_allowed(task, stored) {
            assert_eq!(new_bars, Some(bars.saturating_sub(before)));
            self.model.store(task, bars, more);
        }
    }

    fn end(&mut self, task: usize, event: TaskEvent, to: &'static str) {
        let ended = self.writer.end(id(task), event, "so it is");
        if self.is_allowed(task, ended) {
            if event != TaskEvent::Released {
                self.model.tasks[task].last_error = Some("so it is".into());
            }
            self.model.turn(task, event.as_str(), to);
        }
    }

    /// The process crashes, and the next one begins.
    fn crash(&mut self) {
        let running = self.model.all_that_are(&["running"]);
        self.writer = open(&self.dir);
        let crashed: Vec<_> = self.writer.crashed().unwrap().into_iter().map(|task| task.id).collect();
        assert_eq!(crashed, running.iter().map(|task| id(*task)).collect::<Vec<_>>());
        assert_eq!(self.writer.reclaim(&[]).unwrap(), running.len() as u64);
        for task in running {
            self.model.turn(task, "crashed", "pending");
        }
    }

    /// The manifest equals the model, in every row.
    fn agrees(&self) {
        let tasks = "SELECT state, cursor, pages, bars, attempts, last_error FROM tasks ORDER BY id";
        let tasks = self.rows(tasks, |row| {
            let state: String = row.get(0)?;
            let state = state.parse::<TaskState>().unwrap().as_str();
            let (cursor, pages, bars) = (row.get(1)?, row.get(2)?, row.get(3)?);
            Ok(Known { state, cursor, pages, bars, attempts: row.get(4)?, last_error: row.get(5)? })
        });
        assert_eq!(tasks, self.model.tasks);
        let events = "SELECT task_id - 1, kind, from_state, to_state FROM events WHERE task_id IS NOT NULL ORDER BY id";
        let events: Vec<(usize, String, String, String)> =
            self.rows(events, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)));
        let known = self.model.events.iter();
        let known: Vec<_> = known
            .map(|(task, kind, from, to)| (*task, (*kind).into(), (*from).into(), (*to).into()))
            .collect();
        assert_eq!(events, known);
        let pages = "SELECT id FROM pages JOIN tasks ON id = task_id GROUP BY id HAVING count(*) <> tasks.pages OR sum(pages.bars) <> tasks.bars";
        assert_eq!(self.rows(pages, |_| Ok(())).len(), 0, "the evidence adds up");
        let stored: u64 = self.rows("SELECT coalesce(sum(bars), 0) FROM partitions", |row| row.get(0))[0];
        assert_eq!(stored, self.model.partitions.values().sum::<u64>());
        assert_eq!(
            self.writer.counts().unwrap().tasks.running,
            self.model.all_that_are(&["running"]).len() as u64
        );
    }

    fn rows<T>(&self, sql: &str, read: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<T>) -> Vec<T> {
        let mut select = self.writer.connection.prepare(sql).unwrap();
        select.query_map([], read).unwrap().collect::<Result<_, _>>().unwrap()
    }
}

/// A writer in a run of its own. Nothing has to be durable: these tests have no power failure.
fn open(dir: &TempDir) -> ManifestWriter {
    let mut writer = ManifestWriter::open(&DataDir::new(dir.path()), Clock::system()).unwrap();
    writer.connection.pragma_update(None, "synchronous", "OFF").unwrap();
    writer.declare_kind(StoreKind { adjusted: false, sandbox: false }).unwrap();
    writer.begin_run("start", "").unwrap();
    writer
}

fn id(task: usize) -> TaskId {
    TaskId(i64::try_from(task).unwrap() + 1)
}

/// A page with its bars in the first month of the task.
fn page(task: usize, bars: u64, next: Option<String>) -> PageCommit {
    let (ticker, month, _) = TASKS[task];
    let mut bars_by_day = [0; 31];
    bars_by_day[1] = u16::try_from(bars).unwrap();
    let partition = Partition {
        symbol: ticker.parse().unwrap(),
        month: Month::new(2024, month).unwrap(),
        bars,
        first_ms: 1,
        last_ms: 2,
        bytes: 10,
        xxh3: 7,
        bars_by_day,
    };
    let span_ms = (bars > 0).then_some((1, 2));
    PageCommit {
        evidence: Evidence { request_id: None, status: "OK".into(), bars, span_ms, bytes: 100 },
        partitions: if bars > 0 { vec![partition] } else { Vec::new() },
        revisions: Vec::new(),
        bad: Vec::new(),
        next: next.map(Cursor::from_stored),
        is_finished: true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn every_walk_leaves_what_the_model_says(moves in prop::collection::vec(any_move(), 1..80)) {
        let mut walk = Walk::begin();
        for step in &moves {
            walk.go(step);
            walk.agrees();
        }
    }
}

/// A full disk, as `SQLite` itself meets it: a refused write changes nothing, and the next one succeeds.
#[test]
fn a_full_manifest_changes_nothing_and_goes_on_when_there_is_room() {
    let mut walk = Walk::begin();
    walk.go(&Move::Lease);
    let pragma = |writer: &ManifestWriter, name: &str| -> i64 {
        writer.connection.pragma_query_value(None, name, |row| row.get(0)).unwrap()
    };
    let pages = pragma(&walk.writer, "page_count");
    walk.writer.connection.pragma_update(None, "max_page_count", pages).unwrap();
    let refused = (1..10_000_u32).find_map(|attempts| {
        let refused = walk.writer.retry(id(0), attempts, &"x".repeat(500)).err();
        if refused.is_none() {
            walk.model.turn(0, "retry_scheduled", "running");
            walk.model.tasks[0].attempts = attempts;
            walk.model.tasks[0].last_error = Some("x".repeat(500));
        }
        refused
    });
    let code = match refused {
        Some(ManifestError::Sqlite(error)) => error.sqlite_error_code(),
        other => panic!("{other:?}"),
    };
    assert_eq!(code, Some(rusqlite::ErrorCode::DiskFull));
    walk.agrees();
    walk.writer.connection.pragma_update(None, "max_page_count", pages + 1_000).unwrap();
    walk.go(&Move::Store { task: 0, bars: 3, more: false });
    walk.agrees();
}
