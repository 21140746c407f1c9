//! Runs the writer on a thread of its own.

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

    /// Runs `job` after all jobs that were sent before, and returns its result: a write is durable by then.
    ///
    /// # Cancellation
    /// A job that was sent is carried out even if the caller is dropped.
    ///
    /// # Errors
    /// The job's error; [`ManifestError::Stopped`] if the thread has ended.
    pub async fn call<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut ManifestWriter) -> Result<T, ManifestError> + Send + 'static,
    ) -> Result<T, ManifestError> {
        let (answer, answered) = oneshot::channel();
        let job = Box::new(move |writer: &mut ManifestWriter| {
            // The caller may have been dropped; the write has happened anyway.
            let _ = answer.send(job(writer));
        });
        self.jobs.send(job).map_err(|_| ManifestError::Stopped)?;
        answered.await.map_err(|_| ManifestError::Stopped)?
    }
}
