//! The writer on a thread of its own.

use std::{
    sync::mpsc,
    thread::{self, JoinHandle},
};

use tokio::sync::oneshot;

use super::{ManifestError, ManifestWriter};

type Job = Box<dyn FnOnce(&mut ManifestWriter) + Send>;

/// A handle to the one thread that writes the manifest. Clones share it.
#[derive(Clone)]
pub struct WriterHandle {
    jobs: mpsc::Sender<Job>,
}

impl WriterHandle {
    /// Moves the writer to its thread. The thread closes the manifest and ends when the last handle is dropped.
    #[must_use]
    pub fn start(mut writer: ManifestWriter) -> (Self, JoinHandle<()>) {
        let (jobs, queue) = mpsc::channel::<Job>();
        let thread = thread::spawn(move || queue.into_iter().for_each(|job| job(&mut writer)));
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
        job: impl FnOnce(&mut ManifestWriter) -> Result<T, ManifestError> + Send + 'static,
    ) -> Result<T, ManifestError> {
        let (answer, answered) = oneshot::channel();
        let job = Box::new(move |writer: &mut ManifestWriter| {
            // Whoever asked may have gone; the write has happened all the same.
            let _ = answer.send(job(writer));
        });
        self.jobs.send(job).map_err(|_| ManifestError::Stopped)?;
        answered.await.map_err(|_| ManifestError::Stopped)?
    }
}
