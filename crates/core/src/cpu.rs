//! Threads for CPU-bound work: as many as there are cores, however many jobs wait for them.
//!
//! Tokio's blocking threads are for work that waits for a disk. There may be hundreds of them, and each that decodes or
//! encodes a page holds megabytes while it shares a core with the others.

use std::{
    collections::VecDeque,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError},
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
    static POOL: LazyLock<Pool> =
        LazyLock::new(|| Pool::new(thread::available_parallelism().map_or(1, usize::from)));
    POOL.run(turn, work).await
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
    use std::sync::mpsc;

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
