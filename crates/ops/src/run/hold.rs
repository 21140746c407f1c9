//! What every job that writes holds while it runs: the lock of the directory, threads, signals, and the manifest with a
//! row for the run. Set up here alone.

use std::{panic::resume_unwind, sync::Arc, thread::JoinHandle};

use grab_core::{
    data_dir::DataDir,
    disk::need_open_files,
    engine::{RunCounters, Stop},
    manifest::{LockedDir, ManifestWriter, PlanDifference, StoreKind, WriterHandle},
    store::create_folders,
};
use tokio::runtime::{Builder, Runtime};

use super::declare_kind;
use crate::{ConnectOptions, Connection, Error, LastReport, Notice, Observer, RunHandles};

/// Locks a directory, and creates it if it is not there. `locked` is what the caller has locked already.
///
/// # Errors
/// If the system allows too few open files, or the directory cannot be created or locked.
pub fn lock_directory(
    data_dir: &DataDir,
    options: &ConnectOptions,
    locked: Option<LockedDir>,
) -> Result<LockedDir, Error> {
    need_open_files(options.open_files(options.sandbox))?;
    create_folders(data_dir.path())?;
    Ok(locked.map_or_else(|| data_dir.lock(), Ok)?)
}

/// Does a job on threads of its own. A signal requests `stop`.
///
/// # Errors
/// If there are no threads or signals, and those of the job.
pub fn with_runtime<T>(
    observer: &dyn Observer,
    stop: &Stop,
    last_report: LastReport,
    job: impl FnOnce(&Runtime) -> Result<T, Error>,
) -> Result<T, Error> {
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    {
        let _entered = runtime.enter();
        observer.watch_signals(stop.clone(), last_report)?;
    }
    let done = job(&runtime);
    // Abandoned requests and readers must not hold up the process: nothing important is under way any more.
    runtime.shutdown_background();
    done
}

/// How a run begins in a manifest.
pub struct RunStart<'a> {
    /// How to reach the source.
    pub connection: &'a Connection,
    /// The directory.
    pub locked: &'a LockedDir,
    /// The command's name, for the run's row.
    pub command: &'a str,
    /// What the user requested, for the run's row; without a key.
    pub arguments: &'a str,
    /// The kind of the bars on disk, if there is no manifest.
    pub kind_on_disk: Option<StoreKind>,
    /// Whether to compare the plan beside the manifest with the manifest.
    pub checks_plan: bool,
    /// Counts what happens.
    pub counters: Arc<RunCounters>,
    /// Tells when to stop.
    pub stop: Stop,
}

/// A run that has begun: its row is in the manifest, which a thread of its own writes.
pub struct OpenRun {
    /// The kind of bars in the directory.
    pub kind: StoreKind,
    /// What the workers share.
    pub handles: RunHandles,
    /// Writes the manifest.
    pub writer: WriterThread,
}

/// The thread that writes the manifest.
pub struct WriterThread(JoinHandle<()>);

impl RunStart<'_> {
    /// Opens the manifest and begins the run in it.
    ///
    /// # Errors
    /// If the directory holds another kind of bars, or the manifest cannot be read or written.
    pub fn begin(self) -> Result<OpenRun, Error> {
        let Self { connection, locked, counters, stop, .. } = self;
        let mut writer = locked.open_write(connection.clock)?;
        if self.checks_plan {
            check_plan(&mut writer, &*connection.observer)?;
        }
        let kind = connection.options.kind(writer.kind()?.or(self.kind_on_disk));
        declare_kind(&mut writer, kind, locked.data_dir())?;
        let pacer = connection.pacer(kind, &writer)?;
        writer.begin_run(self.command, self.arguments)?;
        let (manifest, thread) = WriterHandle::start(writer);
        let handles = RunHandles { manifest, counters, pacer, stop };
        Ok(OpenRun { kind, handles, writer: WriterThread(thread) })
    }
}

impl WriterThread {
    /// Waits until the manifest is closed and its WAL merged. Every handle must be gone, or about to go.
    pub fn join(self) {
        if let Err(panicked) = self.0.join() {
            resume_unwind(panicked);
        }
    }
}

/// Makes the plan beside the manifest agree with the manifest, and reports the differences.
///
/// # Errors
/// If it cannot be read or written.
fn check_plan(writer: &mut ManifestWriter, observer: &dyn Observer) -> Result<(), Error> {
    let PlanDifference { faults, more, copy } = writer.check_plan()?;
    if let Some(copy) = copy {
        observer.notice(&Notice::PlanDamaged { faults, copy });
    }
    if let Some(first) = more.first() {
        observer.notice(&Notice::PlanAsksForMore { windows: more.len() as u64, first: first.clone() });
    }
    Ok(())
}
