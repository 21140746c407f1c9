use grab_model::{Cursor, Partition};
use jiff::civil::date;
use tempfile::TempDir;

use super::*;
use crate::{
    clock::Clock,
    data_dir::DataDir,
    manifest::{Evidence, PageCommit, RepairTransaction},
};

/// A manifest with one run, for the symbol A.
struct Trial {
    dir: TempDir,
    writer: ManifestWriter,
}

/// The rows of a table as text, one line each.
type Rows = Vec<String>;

fn symbol() -> Symbol {
    "A".parse().unwrap()
}

/// Days of 2024, as month and day.
fn days(from: (i8, i8), to: (i8, i8)) -> Window {
    Window::new(date(2024, from.0, from.1), date(2024, to.0, to.1)).unwrap()
}

/// The history begins with June.
fn edge() -> HistoryStart {
    HistoryStart::new(date(2024, 5, 31), Some(date(2024, 6, 3))).unwrap()
}

impl Trial {
    fn new(windows: &[Window]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = ManifestWriter::open(&DataDir::new(dir.path()), Clock::system()).unwrap();
        writer.begin_run("start", "").unwrap();
        let mut trial = Self { dir, writer };
        trial.add(windows);
        trial
    }

    fn add(&mut self, windows: &[Window]) {
        let tasks: Vec<_> = windows.iter().map(|window| (symbol(), *window)).collect();
        self.writer.add_tasks(&tasks).unwrap();
    }

    /// Stores a page for a running task, with bars on some days of one month.
    fn store(&mut self, id: TaskId, stored: &[(i8, i8)], next: Option<&str>) {
        let mut bars_by_day = [0; 31];
        for (_, day) in stored {
            bars_by_day[usize::try_from(day - 1).unwrap()] = 10;
        }
        let month = stored.first().and_then(|(month, _)| Month::new(2024, *month));
        let partition = month.map(|month| Partition {
            symbol: symbol(),
            month,
            bars: 10 * stored.len() as u64,
            first_ms: 1,
            last_ms: 2,
            bytes: 1,
            xxh3: 7,
            bars_by_day,
        });
        let bars = partition.as_ref().map_or(0, |partition| partition.bars);
        let page = PageCommit {
            evidence: Evidence {
                request_id: None,
                status: "OK".into(),
                bars,
                span_ms: (bars > 0).then_some((1, 2)),
                bytes: 1,
            },
            partitions: partition.into_iter().collect(),
            revisions: Vec::new(),
            bad: Vec::new(),
            next: next.map(|text| Cursor::from_stored(text.to_owned())),
            is_finished: true,
        };
        self.writer.store_page(id, &page).unwrap();
    }

    fn tasks(&self) -> Rows {
        let tasks = DataDir::new(self.dir.path()).open_read().unwrap().tasks().unwrap();
        tasks.iter().map(|task| format!("{} {}", task.window, task.state)).collect()
    }

    fn not_entitled(&self) -> Rows {
        self.writer.not_entitled().unwrap().iter().map(|(_, window)| window.to_string()).collect()
    }
}

#[test]
fn pending_tasks_are_cut_and_those_without_a_day_that_is_served_go() {
    let mut trial = Trial::new(&[days((1, 1), (12, 31)), days((2, 1), (2, 29)), days((7, 1), (7, 31))]);
    let cut = trial.writer.cut_pending(edge()).unwrap();
    assert_eq!(cut, CutTasks { ended: 1, days: 154 + 29 });
    assert_eq!(trial.tasks(), ["2024-06-03..2024-12-31 pending", "2024-07-01..2024-07-31 pending"]);
    assert_eq!(trial.not_entitled(), ["2024-01-01..2024-06-02"], "stretches become one");
    assert_eq!(trial.writer.cut_pending(edge()).unwrap(), CutTasks::default(), "a second time, nothing");
    assert!(trial.writer.has_refused());
}

#[test]
fn of_two_tasks_that_are_left_with_the_same_days_one_goes() {
    let mut trial = Trial::new(&[days((1, 1), (12, 31)), days((2, 1), (12, 31))]);
    trial.writer.cut_pending(edge()).unwrap();
    assert_eq!(trial.tasks(), ["2024-06-03..2024-12-31 pending"]);
    assert_eq!(trial.not_entitled(), ["2024-01-01..2024-06-02"]);
}

#[test]
fn a_running_task_goes_on_with_what_is_served_or_is_gone() {
    let mut trial = Trial::new(&[days((1, 1), (12, 31)), days((2, 1), (2, 29))]);
    let first = trial.writer.lease().unwrap().unwrap();
    assert_eq!(trial.writer.cut(first.id, edge()).unwrap(), Some(days((6, 3), (12, 31))));
    trial.store(first.id, &[(6, 3)], None);
    let second = trial.writer.lease().unwrap().unwrap();
    assert_eq!(trial.writer.cut(second.id, edge()).unwrap(), None);
    assert_eq!(trial.tasks(), ["2024-06-03..2024-12-31 done"]);
    assert!(matches!(trial.writer.cut(first.id, edge()), Err(ManifestError::Illegal(_))), "it has ended");
    // The id of the removed task is not used again.
    trial.add(&[days((9, 1), (9, 30))]);
    assert_eq!(trial.writer.lease().unwrap().unwrap().id, TaskId(3));
}

#[test]
fn days_that_were_served_once_stay_with_their_task() {
    let mut trial = Trial::new(&[days((2, 1), (4, 30))]);
    let task = trial.writer.lease().unwrap().unwrap();
    trial.store(task.id, &[(2, 5), (2, 6)], None);
    // The start of the plan's history has moved, and a wider window is requested.
    trial.add(&[days((1, 1), (1, 31)), days((5, 1), (12, 31))]);
    trial.writer.cut_pending(edge()).unwrap();
    assert_eq!(trial.tasks(), ["2024-02-01..2024-04-30 done", "2024-06-03..2024-12-31 pending"]);
    assert_eq!(trial.not_entitled(), ["2024-01-01..2024-01-31", "2024-05-01..2024-06-02"]);
}

#[test]
fn a_traversal_that_history_has_overtaken_keeps_what_it_has_stored() {
    let mut trial = Trial::new(&[days((2, 1), (12, 31))]);
    let task = trial.writer.lease().unwrap().unwrap();
    trial.store(task.id, &[(2, 5), (2, 6)], Some("/next?cursor=1"));
    assert_eq!(trial.writer.cut(task.id, edge()).unwrap(), None);
    assert_eq!(trial.tasks(), ["2024-02-01..2024-02-06 done", "2024-06-03..2024-12-31 pending"]);
    assert_eq!(trial.not_entitled(), ["2024-02-07..2024-06-02"]);
}

#[test]
fn what_was_answered_and_is_asked_again_stays_as_it_was_where_history_has_moved_on() {
    let mut trial = Trial::new(&[days((2, 1), (2, 29)), days((3, 1), (3, 31))]);
    let stored = trial.writer.lease().unwrap().unwrap();
    trial.store(stored.id, &[(2, 5), (2, 6)], None);
    let empty = trial.writer.lease().unwrap().unwrap();
    trial.store(empty.id, &[], None);
    let again = vec![(symbol(), days((2, 1), (2, 29))), (symbol(), days((3, 1), (3, 31)))];
    trial.writer.apply_repair(&RepairTransaction { again, ..RepairTransaction::default() }).unwrap();
    assert_eq!(trial.writer.cut_pending(edge()).unwrap(), CutTasks::default(), "each is asked first");
    for task in [stored.id, empty.id] {
        assert_eq!(trial.writer.lease().unwrap().map(|leased| leased.id), Some(task));
        assert_eq!(trial.writer.cut(task, edge()).unwrap(), None);
    }
    // The first task keeps the days up to its last bar; nothing shows that its last days were empty.
    assert_eq!(trial.tasks(), ["2024-02-01..2024-02-06 done", "2024-03-01..2024-03-31 empty"]);
    assert_eq!(trial.not_entitled()[0], "2024-02-07..2024-02-29");
}

#[test]
fn days_that_become_tasks_are_no_longer_among_those_that_are_not_served() {
    let mut trial = Trial::new(&[days((1, 1), (12, 31))]);
    trial.writer.cut_pending(edge()).unwrap();
    trial.add(&[days((2, 1), (2, 29))]);
    assert_eq!(trial.not_entitled(), ["2024-01-01..2024-01-31", "2024-03-01..2024-06-02"]);
    assert_eq!(trial.writer.reopen_not_entitled("2024-05-31 is served now").unwrap(), 2);
    assert!(trial.not_entitled().is_empty());
    assert_eq!(trial.tasks().len(), 4);
    let requested = DataDir::new(trial.dir.path()).open_read().unwrap().requested_windows().unwrap();
    assert_eq!(requested[&symbol()].len(), 4);
}

#[test]
fn days_that_touch_become_one_stretch_in_any_order() {
    let mut trial = Trial::new(&[]);
    let mut refuse = |window| trial.writer.add_tasks_of(None, [], &[(symbol(), window)]).map(|_| ());
    for window in [days((3, 1), (3, 31)), days((1, 1), (1, 31)), days((2, 1), (2, 29)), days((2, 5), (2, 6))]
    {
        refuse(window).unwrap();
    }
    assert_eq!(trial.not_entitled(), ["2024-01-01..2024-03-31"]);
}

/// A model test: random sequences of everything that changes tasks, with crashes. After each step the invariants are
/// checked against the tables.
mod walks {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::manifest::Task;

    /// The first day of all sequences, and their number of days.
    const FIRST: Date = date(2024, 1, 1);
    const DAYS: i32 = 300;

    #[derive(Clone, Debug)]
    enum Move {
        Ask {
            from: i32,
            days: i32,
        },
        AskAgain {
            from: i32,
            days: i32,
        },
        Lease,
        /// A page of a running task, with bars on one day of its window or none.
        Store {
            task: usize,
            day: i32,
            more: bool,
        },
        End {
            task: usize,
            event: TaskEvent,
        },
        /// A running task is cut, as all pending ones are.
        Cut {
            task: usize,
            edge: i32,
        },
        CutPending {
            edge: i32,
        },
        ServesMore,
        Crash,
    }

    fn any_move() -> impl Strategy<Value = Move> {
        let (day, days, task) = (|| 0..DAYS, || 0..60_i32, || 0..4_usize);
        let event = prop::sample::select(vec![TaskEvent::Released, TaskEvent::Refused, TaskEvent::GivenUp]);
        prop_oneof![
            5 => (day(), days()).prop_map(|(from, days)| Move::Ask { from, days }),
            2 => (day(), days()).prop_map(|(from, days)| Move::AskAgain { from, days }),
            6 => Just(Move::Lease),
            8 => (task(), day(), any::<bool>()).prop_map(|(task, day, more)| Move::Store { task, day, more }),
            2 => (task(), event).prop_map(|(task, event)| Move::End { task, event }),
            3 => (task(), day()).prop_map(|(task, edge)| Move::Cut { task, edge }),
            3 => day().prop_map(|edge| Move::CutPending { edge }),
            1 => Just(Move::ServesMore),
            1 => Just(Move::Crash),
        ]
    }

    fn day(number: i32) -> Date {
        FIRST.saturating_add(number.days())
    }

    fn window(from: i32, days: i32) -> Window {
        Window::new(day(from), day(from + days)).unwrap()
    }

    fn edge(number: i32) -> HistoryStart {
        HistoryStart::new(day(number), None).unwrap()
    }

    struct Walk {
        trial: Trial,
        running: Vec<Task>,
        requested: BTreeSet<Date>,
        stored: BTreeSet<Date>,
    }

    fn days_of(window: Window) -> impl Iterator<Item = Date> {
        window.from().series(1.day()).take_while(move |day| *day <= window.to())
    }

    impl Walk {
        fn begin() -> Self {
            let trial = Trial::new(&[]);
            trial.writer.connection.pragma_update(None, "synchronous", "OFF").unwrap();
            Self { trial, running: Vec::new(), requested: BTreeSet::new(), stored: BTreeSet::new() }
        }

        fn go(&mut self, step: &Move) {
            match *step {
                Move::Ask { from, days } => {
                    let window = window(from, days);
                    let known = self.trial.writer.windows().unwrap().remove(&symbol()).unwrap_or_default();
                    let cut = |left: Vec<Window>, one: &Window| {
                        left.into_iter().flat_map(|part| part.minus(*one)).collect()
                    };
                    let left: Vec<Window> = known.iter().fold(vec![window], cut);
                    self.trial.add(&left);
                    self.requested.extend(days_of(window));
                }
                Move::AskAgain { from, days } => {
                    let window = window(from, days);
                    let again = vec![(symbol(), window)];
                    self.trial
                        .writer
                        .apply_repair(&RepairTransaction { again, ..RepairTransaction::default() })
                        .unwrap();
                    self.requested.extend(days_of(window));
                }
                Move::Lease => self.running.extend(self.trial.writer.lease().unwrap()),
                Move::Store { task, day: number, more } => self.store(task, number, more),
                Move::End { task, event } => {
                    if let Some(task) = self.running.get(task).map(|task| task.id) {
                        self.trial.writer.end(task, event, "so it is").unwrap();
                        self.running.retain(|other| other.id != task);
                    }
                }
                Move::Cut { task, edge: number } => {
                    self.trial.writer.cut_pending(edge(number)).unwrap();
                    if let Some(task) = self.running.get(task).map(|task| task.id) {
                        let left = self.trial.writer.cut(task, edge(number)).unwrap();
                        let going_on = self.running.iter_mut().find(|other| other.id == task).unwrap();
                        match left {
                            Some(window) => going_on.window = window,
                            None => self.running.retain(|other| other.id != task),
                        }
                    }
                }
                Move::CutPending { edge: number } => {
                    self.trial.writer.cut_pending(edge(number)).unwrap();
                    let again = self.trial.writer.cut_pending(edge(number)).unwrap();
                    assert_eq!(again.ended, 0, "a second time, nothing is left to end");
                }
                Move::ServesMore => {
                    self.trial.writer.reopen_not_entitled("it serves more").unwrap();
                    assert!(self.trial.writer.not_entitled().unwrap().is_empty());
                }
                Move::Crash => {
                    self.trial.writer =
                        ManifestWriter::open(&DataDir::new(self.trial.dir.path()), Clock::system()).unwrap();
                    self.trial.writer.begin_run("resume", "").unwrap();
                    self.trial.writer.reclaim(&[]).unwrap();
                    self.running.clear();
                }
            }
        }

        fn store(&mut self, task: usize, number: i32, more: bool) {
            let Some(Task { id, window, .. }) = self.running.get(task).cloned() else { return };
            let on = day(number);
            let is_within = (window.from()..=window.to()).contains(&on);
            self.stored.extend(is_within.then_some(on));
            let month = |date: &&Date| is_within && Month::of(**date) == Month::of(on);
            let stored: Vec<_> =
                self.stored.iter().filter(month).map(|date| (date.month(), date.day())).collect();
            self.trial.store(id, &stored, more.then_some("/next?cursor=1"));
            if !more {
                self.running.retain(|other| other.id != id);
            }
        }

        fn holds(&self) {
            let reader = DataDir::new(self.trial.dir.path()).open_read().unwrap();
            let refused: Vec<_> = reader.not_entitled_of(&symbol()).unwrap();
            let are_apart = |pair: &[Window]| pair[0].to().saturating_add(1.day()) < pair[1].from();
            assert!(refused.windows(2).all(are_apart), "stretches neither overlap nor touch: {refused:?}");
            let tasks = reader.tasks().unwrap();
            let recorded: BTreeSet<_> = tasks.iter().flat_map(|task| days_of(task.window)).collect();
            let refused: BTreeSet<_> = refused.into_iter().flat_map(days_of).collect();
            let known: BTreeSet<_> = recorded.union(&refused).copied().collect();
            assert_eq!(known, self.requested, "each day that was asked for is a task's, or not served");
            let covered = tasks.iter().filter(|task| task.state.is_covered());
            let covered: BTreeSet<_> = covered.flat_map(|task| days_of(task.window)).collect();
            assert!(covered.is_disjoint(&refused), "what was answered is not refused");
            assert!(self.stored.is_subset(&recorded), "what is held belongs to a task");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn no_day_that_was_asked_for_is_lost(moves in prop::collection::vec(any_move(), 1..60)) {
            let mut walk = Walk::begin();
            for step in &moves {
                walk.go(step);
                walk.holds();
            }
        }
    }
}
