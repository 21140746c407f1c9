//! The ledger on a thread of its own.

use std::{
    sync::mpsc,
    thread::{self, JoinHandle},
};

use tokio::sync::oneshot;

use super::{Ledger, ManifestError};

type Job = Box<dyn FnOnce(&mut Ledger) + Send>;

/// A handle to the one thread that writes the manifest. Clones share it.
#[derive(Clone)]
pub struct Recorder {
    jobs: mpsc::Sender<Job>,
}

impl Recorder {
    /// Moves the ledger to its thread. The thread closes the manifest and ends when the last handle is dropped.
    #[must_use]
    pub fn start(mut ledger: Ledger) -> (Self, JoinHandle<()>) {
        let (jobs, queue) = mpsc::channel::<Job>();
        let thread = thread::spawn(move || queue.into_iter().for_each(|job| job(&mut ledger)));
        (Self { jobs }, thread)
    }

    /// Runs `job` after all jobs that were sent before, and answers what it returned: a write is durable by then.
    ///
    /// # Cancellation
    /// A job that was sent is carried out even if nobody waits for its answer.
    ///
    /// # Errors
    /// What the job returned; [`ManifestError::Stopped`] if the thread has died.
    pub async fn call<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Ledger) -> Result<T, ManifestError> + Send + 'static,
    ) -> Result<T, ManifestError> {
        let (answer, answered) = oneshot::channel();
        let job = Box::new(move |ledger: &mut Ledger| {
            // Whoever asked may have gone; the write has happened all the same.
            let _ = answer.send(job(ledger));
        });
        self.jobs.send(job).map_err(|_| ManifestError::Stopped)?;
        answered.await.map_err(|_| ManifestError::Stopped)?
    }
}
