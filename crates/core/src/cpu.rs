//! Threads for CPU-bound work: as many as there are cores, however many jobs wait for them.
//!
//! Tokio's blocking threads are for work that waits for a disk. There may be hundreds of them, and each that decodes or
//! encodes a page holds megabytes while it shares a core with the others. Work outside of Tokio has threads of its own:
//! [`map`], [`try_map`] and [`try_for_each`].

use std::{
    collections::VecDeque,
    convert::Infallible,
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// The position of a job in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuTurn {
    /// Before all waiting jobs: for work that ends what was begun, and frees memory.
    Next,
    /// After all waiting jobs.
    Last,
}

/// Runs work on a thread of the pool. If it panics, so does the caller; if the caller was dropped before its turn, it
/// is not started.
pub async fn run<T, F>(turn: CpuTurn, work: F) -> T
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    static POOL: LazyLock<Pool> = LazyLock::new(|| Pool::new(cores()));
    POOL.run(turn, work).await
}

/// Applies `work` to each item, on all cores. Returns the results in the order of the items. If `work` panics, so does
/// the caller.
pub fn map<T: Sync, U: Send>(items: &[T], work: impl Fn(&T) -> U + Sync) -> Vec<U> {
    let Ok(results) = try_map(items, |item| Ok::<_, Infallible>(work(item)));
    results
}

/// Applies `work` to each item, on all cores, until all are done or one fails: then no other item is started. Returns
/// the results in the order of the items. If `work` panics, so does the caller.
///
/// # Errors
/// That of the first item, in their order, for which `work` fails.
pub fn try_map<T: Sync, U: Send, E: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<U, E> + Sync,
) -> Result<Vec<U>, E> {
    let (next, is_failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    // Items are started in their order: when one fails, all before it were started, and are finished.
    let worker = || {
        let mut results = Vec::new();
        while !is_failed.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { break };
            match work(item) {
                Ok(result) => results.push((index, result)),
                Err(error) => {
                    is_failed.store(true, Ordering::Relaxed);
                    return Err((index, error));
                }
            }
        }
        Ok(results)
    };
    let (mut results, mut errors) = (Vec::with_capacity(items.len()), Vec::new());
    thread::scope(|scope| {
        let threads: Vec<_> = (0..cores().min(items.len())).map(|_| scope.spawn(worker)).collect();
        for thread in threads {
            match thread.join() {
                Ok(Ok(done)) => results.extend(done),
                Ok(Err(error)) => errors.push(error),
                Err(panicked) => panic::resume_unwind(panicked),
            }
        }
    });
    if let Some((_, error)) = errors.into_iter().min_by_key(|(index, _)| *index) {
        return Err(error);
    }
    results.sort_unstable_by_key(|(index, _)| *index);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

/// Calls `work` for each item, on all cores, until all are done or one fails: then no other item is started. If `work`
/// panics, so does the caller.
///
/// # Errors
/// That of the first item, in their order, for which `work` fails.
pub fn try_for_each<T: Sync, E: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<(), E> + Sync,
) -> Result<(), E> {
    try_map(items, work).map(drop)
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

struct Pool {
    queue: Arc<Queue>,
    threads: usize,
}

#[derive(Default)]
struct Queue {
    jobs: Mutex<VecDeque<Job>>,
    added: Condvar,
}

impl Pool {
    fn new(most: usize) -> Self {
        let queue = Arc::new(Queue::default());
        let start = |number: &usize| {
            let (queue, name) = (Arc::clone(&queue), format!("grab-cpu-{number}"));
            thread::Builder::new().name(name).spawn(move || queue.work()).is_ok()
        };
        let threads = (0..most).take_while(start).count();
        Self { queue, threads }
    }

    async fn run<T, F>(&self, turn: CpuTurn, work: F) -> T
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job = move || {
            if !answer.is_closed() {
                // The panic is passed to the caller; the thread continues.
                let _ = answer.send(panic::catch_unwind(AssertUnwindSafe(work)));
            }
        };
        if self.threads == 0 {
            job();
        } else {
            self.queue.add(turn, Box::new(job));
        }
        match answered.await {
            Ok(Ok(done)) => done,
            Ok(Err(panicked)) => panic::resume_unwind(panicked),
            // Cannot happen: the queue drops no job.
            Err(lost) => panic::resume_unwind(Box::new(lost)),
        }
    }
}

impl Queue {
    fn add(&self, turn: CpuTurn, job: Job) {
        let mut jobs = self.jobs();
        match turn {
            CpuTurn::Next => jobs.push_front(job),
            CpuTurn::Last => jobs.push_back(job),
        }
        drop(jobs);
        self.added.notify_one();
    }

    /// The loop of one thread, which ends with the process.
    fn work(&self) {
        loop {
            let jobs = self.added.wait_while(self.jobs(), |jobs| jobs.is_empty());
            let job = jobs.unwrap_or_else(PoisonError::into_inner).pop_front();
            if let Some(job) = job {
                job();
            }
        }
    }

    fn jobs(&self) -> MutexGuard<'_, VecDeque<Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test]
    async fn all_work_is_done_and_a_panic_is_the_callers() {
        let pool: &Pool = Box::leak(Box::new(Pool::new(2)));
        let mut requested = JoinSet::new();
        for number in 0..100 {
            let work = move || if number == 7 { panic!("seven") } else { number };
            requested.spawn(pool.run(if number % 2 == 0 { CpuTurn::Next } else { CpuTurn::Last }, work));
        }
        let (mut done, mut panicked) = (0, 0);
        while let Some(ended) = requested.join_next().await {
            match ended {
                Ok(_) => done += 1,
                Err(error) => panicked += u32::from(error.is_panic()),
            }
        }
        assert_eq!((done, panicked), (99, 1));
    }

    #[test]
    fn results_are_in_the_order_of_the_items_whichever_is_done_first() {
        let items: Vec<u64> = (0..200).collect();
        let work = |item: &u64| {
            if item.is_multiple_of(50) {
                thread::sleep(Duration::from_millis(5));
            }
            item * 2
        };
        assert_eq!(map(&items, work), items.iter().map(|item| item * 2).collect::<Vec<_>>());
        assert!(map(&[], work).is_empty());
    }

    #[test]
    fn the_first_error_is_returned_and_starts_no_other_item() {
        let items: Vec<usize> = (0..100_000).collect();
        let started = AtomicUsize::new(0);
        let work = |item: &usize| {
            started.fetch_add(1, Ordering::Relaxed);
            if *item == 7 {
                // Item 8 fails before it.
                thread::sleep(Duration::from_millis(5));
            }
            thread::sleep(Duration::from_micros(10));
            if *item < 7 { Ok(()) } else { Err(*item) }
        };
        assert_eq!(try_for_each(&items, work), Err(7));
        let most = 7 + cores();
        assert!(started.load(Ordering::Relaxed) <= most, "{started:?} of at most {most}");
    }

    #[test]
    fn a_panic_of_a_thread_is_the_callers() {
        let work = |item: &u32| assert_ne!(*item, 3);
        assert!(panic::catch_unwind(|| map(&[1, 2, 3, 4], work)).is_err());
    }

    #[tokio::test]
    async fn without_any_thread_the_caller_does_it() {
        assert_eq!(Pool::new(0).run(CpuTurn::Last, || 7).await, 7);
    }

    #[tokio::test]
    async fn what_ends_something_goes_first_and_what_nobody_waits_for_is_not_begun() {
        let pool: &Pool = Box::leak(Box::new(Pool::new(1)));
        let (open, gate) = mpsc::channel::<()>();
        let (say, said) = mpsc::channel();
        let tell = |what: &'static str| {
            let say = say.clone();
            move || say.send(what).unwrap()
        };
        let busy = tokio::spawn(pool.run(CpuTurn::Last, move || gate.recv().unwrap()));
        let begin = tokio::spawn(pool.run(CpuTurn::Last, tell("begin")));
        let unwanted = tokio::spawn(pool.run(CpuTurn::Next, tell("unwanted")));
        let end = tokio::spawn(pool.run(CpuTurn::Next, tell("end")));
        tokio::task::yield_now().await;
        unwanted.abort();
        assert!(unwanted.await.unwrap_err().is_cancelled());
        open.send(()).unwrap();
        for work in [busy, begin, end] {
            work.await.unwrap();
        }
        assert_eq!(said.try_iter().collect::<Vec<_>>(), ["end", "begin"]);
    }
}
