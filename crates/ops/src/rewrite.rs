//! Rewrites all files in the current form: `grab repair --rewrite`. Sends no request.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use grab_core::{
    clock::Clock,
    data_dir::DataDir,
    engine::{RewriteJob, RewriteOutcome, Stop, StopReason},
    exit::ExitStatus,
    manifest::{ManifestWriter, RunTotals, Workload},
    store::Encodings,
};

use crate::{Error, Observer, require_manifest, run::with_runtime};

/// A rewrite of all files of a data directory.
pub struct Rewrite {
    /// The directory of bars and manifest.
    pub data_dir: DataDir,
    /// The encodings of the files.
    pub encodings: Encodings,
    /// When to stop. None to go on to the end.
    pub max_duration: Option<Duration>,
    /// The clock.
    pub clock: Clock,
}

/// How a rewrite ended, or what it would do.
pub struct RewriteReport {
    /// What was rewritten, or would be.
    pub outcome: RewriteOutcome,
    /// The encodings of the files now.
    pub encodings: Encodings,
    /// Tasks and repairs by state.
    pub work: Workload,
    /// Why it stopped before the end.
    pub stopped: Option<Error>,
}

impl RewriteReport {
    /// How it ended, as the process's exit code.
    #[must_use]
    pub fn exit(&self) -> ExitStatus {
        match &self.stopped {
            Some(failure) => failure.exit(),
            None if !self.outcome.left.is_empty() => ExitStatus::Damage,
            None => ExitStatus::Complete,
        }
    }
}

impl Rewrite {
    /// Finds what would be rewritten. Changes nothing, and works beside a writer.
    ///
    /// # Errors
    /// If nothing was ever started there, or the manifest cannot be read.
    pub fn plan(&self, observer: &dyn Observer) -> Result<RewriteReport, Error> {
        require_manifest(&self.data_dir)?;
        self.rewrite(None, &Stop::default(), observer)
    }

    /// Rewrites the files that are not in the current form.
    ///
    /// # Errors
    /// If nothing was ever started there, or the directory cannot be locked or its manifest cannot be used.
    pub fn run(&self, observer: &Arc<dyn Observer>) -> Result<RewriteReport, Error> {
        require_manifest(&self.data_dir)?;
        let mut writer = self.data_dir.lock()?.open_write(self.clock)?;
        writer.begin_run("repair", "--rewrite")?;
        let stop = Stop::default();
        // A second signal ends it at once, like a crash, which the next run cleans up.
        let last_report = Box::new(|| Err(Error::Stopped(StopReason::Interrupted)));
        let report = with_runtime(&**observer, &stop, last_report, |_| {
            self.rewrite(Some(&mut writer), &stop, &**observer)
        })?;
        let totals = RunTotals { partitions: report.outcome.partitions, ..RunTotals::default() };
        let ended = writer.end_run(report.exit(), &totals);
        if report.exit() != ExitStatus::Disk {
            ended?;
        }
        Ok(report)
    }

    /// Rewrites the files, or with no writer, counts what would be rewritten.
    fn rewrite(
        &self,
        writer: Option<&mut ManifestWriter>,
        stop: &Stop,
        observer: &dyn Observer,
    ) -> Result<RewriteReport, Error> {
        let Self { data_dir, encodings, .. } = self;
        let until = self.max_duration.map(|time| Instant::now() + time);
        let progress = observer.files();
        let watch = |done, all| progress.show(done, all);
        let job = RewriteJob { data_dir, encodings: *encodings, stop, until, watch: &watch };
        let mut outcome = RewriteOutcome::default();
        let failure = job.run(writer, &mut outcome).err().map(Error::from);
        drop(progress);
        let work = data_dir.open_read()?.counts()?;
        let stopped = failure.or_else(|| stop.reason().map(Error::Stopped));
        Ok(RewriteReport { outcome, encodings: *encodings, work, stopped })
    }
}
