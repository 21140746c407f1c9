//! The one queue: tasks that wait for their retry, then the pending tasks of the manifest in their order.

use std::collections::{HashMap, HashSet};

use grab_model::{Cursor, Window};
use tokio::{
    sync::{Mutex, Notify},
    time::{Instant, sleep_until},
};

use super::{
    Stop,
    entitlement::{HistoryInquiry, SearchCause, SearchTurn},
    request_loop::Attempts,
};
use crate::{
    manifest::{ManifestError, ManifestWriter, Task, TaskId, WriterHandle},
    source::PagePosition,
    store::PartitionData,
};

/// A task in the hands of one worker, with what it has learned so far.
#[derive(Debug)]
pub(super) struct TaskLease {
    pub(super) task: Task,
    /// The page to request.
    pub(super) place: PagePosition,
    /// The attempts at this page.
    pub(super) attempts: Attempts,
    /// The month that is being filled, as it is on disk.
    pub(super) stored: Option<PartitionData>,
    /// The cursors that were followed: none may come back.
    pub(super) followed: HashSet<Cursor>,
    /// Whether the server's cursors were seen to lose the query: then time leads from page to page.
    mistrusts_cursors: bool,
    /// Pages in a row that had no new bar and named another page.
    pub(super) barren: u32,
    /// Days of the window that are covered: the unit of progress.
    days: u32,
    /// The search for the plan's history, if it is searching.
    pub(super) inquiry: Option<HistoryInquiry>,
    /// The right to search.
    pub(super) turn: Option<SearchTurn>,
}

/// One minute in ms: where the next bar can be.
const MINUTE_MS: i64 = 60_000;

impl TaskLease {
    fn new(task: Task) -> Self {
        let place = task.cursor.clone().map_or(PagePosition::Start, PagePosition::At);
        let followed = task.cursor.iter().cloned().collect();
        let days = task.days_covered();
        Self {
            task,
            place,
            attempts: Attempts::new(),
            stored: None,
            followed,
            mistrusts_cursors: false,
            barren: 0,
            days,
            inquiry: None,
            turn: None,
        }
    }

    /// Continues with fewer days: the plan does not serve those before. Returns how many were removed.
    pub(super) fn cut_to(&mut self, window: Window) -> u32 {
        let before = self.task.window.days();
        self.task.window = window;
        // This window was not requested before.
        self.attempts.request_again();
        if self.task.cursor.take().is_some() {
            self.place = PagePosition::Start;
        }
        before.saturating_sub(window.days())
    }

    /// Records that bars up to `last_ms` are stored, or that the task has ended. Returns the number of newly covered days.
    pub(super) fn advance(&mut self, last_ms: Option<i64>, ended: bool) -> u32 {
        self.task.last_ms = last_ms.or(self.task.last_ms);
        let covered = if ended { self.task.window.days() } else { self.task.days_covered() };
        let newly = covered.saturating_sub(self.days);
        self.days += newly;
        newly
    }

    /// Turns to the next page: by its cursor, or by time if cursors lose the query.
    pub(super) fn turn_to(&mut self, next: Cursor) {
        self.place = match self.task.last_ms {
            Some(last) if self.mistrusts_cursors && self.barren == 0 => PagePosition::Since(last + MINUTE_MS),
            Some(_) | None => PagePosition::At(next),
        };
    }

    /// Drops what a waiting task must not hold. It may wait for minutes: its month is read again later, a response that
    /// is not interpreted yet is requested again, and other tasks may search meanwhile.
    pub(super) fn rest(&mut self) {
        self.stored = None;
        self.turn = None;
        self.inquiry = self.inquiry.take().filter(|inquiry| !matches!(inquiry.cause, SearchCause::Late(_)));
    }

    /// Stops using cursors for the rest of the task. False if the failed request used no cursor.
    pub(super) fn mistrust_cursors(&mut self) -> bool {
        self.mistrusts_cursors = true;
        self.leave_cursor()
    }

    /// Drops a cursor that the server refuses: time leads on from the last bar. False if the request used no cursor.
    pub(super) fn leave_cursor(&mut self) -> bool {
        let refused = matches!(self.place, PagePosition::At(_));
        if refused {
            self.place =
                self.task.last_ms.map_or(PagePosition::Start, |last| PagePosition::Since(last + MINUTE_MS));
            self.attempts = Attempts::new();
        }
        refused
    }
}

/// Hands out leases. A task whose page failed is parked here, so that its worker can take another one.
#[derive(Debug, Default)]
pub(super) struct TaskQueue {
    state: Mutex<QueueState>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct QueueState {
    parked: HashMap<TaskId, (Instant, TaskLease)>,
    /// Tasks that are not requested again in this run, with the reason.
    deferred: Vec<(TaskId, String)>,
    /// The number of leases that workers have.
    out: usize,
}

/// What to give back at the end of a run.
#[derive(Debug)]
pub(super) struct Leftovers {
    /// Tasks that still wait for a retry.
    pub(super) parked: Vec<TaskId>,
    /// Tasks that were deferred, with the reason.
    pub(super) deferred: Vec<(TaskId, String)>,
}

/// The next thing to do.
enum NextTask {
    Work(Box<TaskLease>),
    /// Something is under way: check again when it changes, or at this instant.
    Wait(Option<Instant>),
    Drained,
}

impl TaskQueue {
    /// The next task to work on. None if nothing is outstanding any more, or the run is to stop. A task whose retry is
    /// due comes first, unless `anything_came` is false: then a task that was not requested yet tells more.
    pub(super) async fn next(
        &self,
        manifest: &WriterHandle,
        stop: &Stop,
        anything_came: impl Fn() -> bool,
    ) -> Result<Option<Box<TaskLease>>, ManifestError> {
        loop {
            let changed = self.changed.notified();
            if stop.is_requested() {
                return Ok(None);
            }
            let due = match self.look(manifest, stop, anything_came()).await? {
                NextTask::Work(lease) => return Ok(Some(lease)),
                NextTask::Wait(due) => due,
                NextTask::Drained => {
                    self.changed.notify_waiters();
                    return Ok(None);
                }
            };
            tokio::select! {
                () = changed => {}
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
                () = stop.requested() => {}
            }
        }
    }

    async fn look(
        &self,
        manifest: &WriterHandle,
        stop: &Stop,
        anything_came: bool,
    ) -> Result<NextTask, ManifestError> {
        let mut state = self.state.lock().await;
        if stop.is_requested() {
            // The request to stop came during the wait for the lock: lease nothing that would be given back at once.
            return Ok(NextTask::Drained);
        }
        let earliest = state.parked.iter().map(|(id, (due, _))| (*due, *id)).min();
        let due = earliest.filter(|(due, _)| *due <= Instant::now()).map(|(_, id)| id);
        // Before the first answer, a new task shows more than a retry; the retry comes last then.
        let retry = due.filter(|_| anything_came).and_then(|id| state.parked.remove(&id));
        let mut lease = retry.map(|(_, lease)| lease);
        if lease.is_none() {
            lease = manifest.call(ManifestWriter::lease).await?.map(TaskLease::new);
        }
        let lease = lease.or_else(|| Some(state.parked.remove(&due?)?.1));
        if let Some(lease) = lease {
            state.out += 1;
            return Ok(NextTask::Work(Box::new(lease)));
        }
        let idle = state.out == 0 && state.parked.is_empty();
        Ok(if idle { NextTask::Drained } else { NextTask::Wait(earliest.map(|(due, _)| due)) })
    }

    /// Takes back a task whose page is to be requested again at `due`.
    pub(super) async fn park(&self, mut lease: Box<TaskLease>, due: Instant) {
        lease.rest();
        let mut state = self.state.lock().await;
        state.parked.insert(lease.task.id, (due, *lease));
        state.out -= 1;
        self.changed.notify_waiters();
    }

    /// Defers a task for the rest of the run.
    pub(super) async fn defer(&self, id: TaskId, reason: String) {
        let mut state = self.state.lock().await;
        state.deferred.push((id, reason));
    }

    /// Records that a worker no longer has a task.
    pub(super) async fn let_go(&self) {
        self.state.lock().await.out -= 1;
        self.changed.notify_waiters();
    }

    /// The tasks without a worker when the run stops.
    pub(super) async fn leftovers(&self) -> Leftovers {
        let mut state = self.state.lock().await;
        let deferred = std::mem::take(&mut state.deferred);
        Leftovers { parked: state.parked.drain().map(|(id, _)| id).collect(), deferred }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Clock, data_dir::DataDir};
    use grab_model::Month;

    #[test]
    fn a_task_goes_on_at_its_cursor_and_does_not_follow_it_twice() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = ManifestWriter::open(&DataDir::new(dir.path()), Clock::system()).unwrap();
        let window = Month::new(2024, 1).unwrap().window();
        writer.add_tasks(&[("A".parse().unwrap(), window)]).unwrap();
        let fresh = writer.lease().unwrap().unwrap();
        assert_eq!(TaskLease::new(fresh.clone()).place, PagePosition::Start);
        let cursor = Cursor::from_stored("/next?cursor=x".into());
        let mut lease = TaskLease::new(Task { cursor: Some(cursor.clone()), last_ms: Some(60_000), ..fresh });
        assert_eq!(lease.place, PagePosition::At(cursor.clone()));
        assert!(lease.followed.contains(&cursor));
        assert!(lease.leave_cursor());
        assert_eq!(lease.place, PagePosition::Since(120_000));
        assert!(!lease.leave_cursor(), "time has no cursor to leave");
    }
}
