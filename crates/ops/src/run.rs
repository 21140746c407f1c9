//! The run of a job that fetches bars: what is recorded, requested, judged and reported.

mod absences;
mod history;
mod hold;
mod kind;
mod lists;
mod unfinished;

pub use absences::Absences;
pub use history::HistoryCheck;
pub(crate) use hold::{OpenRun, RunStart, lock_directory, with_runtime};
pub use kind::{declare_kind, kind_of, kind_on_disk};

use std::{sync::Arc, time::Instant};

use grab_core::{
    clock::Clock,
    data_dir::DataDir,
    engine::{self, RunCounters, Stop, StopReason},
    exit::ExitStatus,
    manifest::{
        LockedDir, ManifestError, ManifestReader, ManifestWriter, StoreKind, check_not_lost, missing,
    },
    source::Polygon,
    update::UpdateCutoff,
};
use grab_model::{
    calendar::{self, Session},
    plan,
};
use grab_sandbox::Sandbox;
use jiff::civil::Date;

use crate::{
    ConnectOptions, Connection, Error, LeftOut, NextStep, Notice, Observer, ReferenceReport,
    ReferenceSelection, RunHandles, RunReport,
};

/// A fetching job, ready to run.
pub struct Job {
    /// The command's name, for the run's row in the manifest.
    pub command: &'static str,
    /// What the user requested, for the manifest; without a key.
    pub arguments: String,
    /// The directory of bars and manifest.
    pub data_dir: DataDir,
    /// How to reach the source.
    pub options: ConnectOptions,
    /// The clock.
    pub clock: Clock,
    /// Receives notices and progress.
    pub observer: Arc<dyn Observer>,
    /// Whether to stop before anything is fetched.
    pub plan_only: bool,
    /// The directory, if the caller has locked it already.
    pub locked: Option<LockedDir>,
    /// Lists to fetch before anything is prepared; a failure to fetch them does not end the run.
    pub lists: ReferenceSelection,
    /// The cut-off of an update that asks, after all bars, why some are absent. None to skip that.
    pub absences: Option<UpdateCutoff>,
    /// Whether to check if the plan serves days that it refused before.
    pub history_check: HistoryCheck,
    /// When to check that the source can be reached.
    pub source_check: SourceCheck,
}

/// When a job checks, before it records anything, that the source can be reached and serves the bars of the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceCheck {
    /// Only before a directory is created. In an existing one, the run is recorded with the reason of its failure.
    IfNew,
    /// Always: nothing is recorded for a source that cannot be used.
    Always,
}

/// What a run has found out when it is judged.
#[derive(Debug)]
pub struct RunFindings<T> {
    /// The result of the lists.
    pub lists: ReferenceReport,
    /// What the service said about absences.
    pub absences: Absences,
    /// The result of `prepare`. None if the run ended before.
    pub prepared: Option<T>,
    /// What lists leave out of the subscriptions that were planned in this run, if any were.
    pub left_out: Option<LeftOut>,
}

impl<T> Default for RunFindings<T> {
    fn default() -> Self {
        let (lists, absences) = (ReferenceReport::default(), Absences::default());
        Self { lists, absences, prepared: None, left_out: None }
    }
}

/// A client; with the sandbox, also its server.
type Client = (Option<Sandbox>, Polygon);

impl Job {
    /// Creates a job that fetches what is outstanding, and nothing else.
    #[must_use]
    pub fn new(
        command: &'static str,
        data_dir: DataDir,
        options: ConnectOptions,
        clock: Clock,
        observer: &Arc<dyn Observer>,
    ) -> Self {
        Self {
            command,
            arguments: String::new(),
            data_dir,
            options,
            clock,
            observer: Arc::clone(observer),
            plan_only: false,
            locked: None,
            lists: ReferenceSelection::default(),
            absences: None,
            history_check: HistoryCheck::Never,
            source_check: SourceCheck::IfNew,
        }
    }

    /// Locks the data directory, lets `prepare` record what is wanted, and works until nothing is outstanding.
    ///
    /// # Errors
    /// If the directory cannot be locked or its manifest cannot be used. All later failures are in the report.
    pub fn run<P>(self, prepare: P) -> Result<RunReport, Error>
    where
        P: FnOnce(&mut ManifestWriter) -> Result<(), Error> + Send + 'static,
    {
        self.run_and_judge(prepare, |report, _| Ok(report))
    }

    /// Runs the job; `judge` may change the report before it is recorded, so that the manifest has the final result of the run.
    ///
    /// # Errors
    /// Those of [`Job::run`], and those of `judge`.
    pub fn run_and_judge<T, P, J>(mut self, prepare: P, judge: J) -> Result<RunReport, Error>
    where
        T: Send + 'static,
        P: FnOnce(&mut ManifestWriter) -> Result<T, Error> + Send + 'static,
        J: FnOnce(RunReport, RunFindings<T>) -> Result<RunReport, Error>,
    {
        let begun = Instant::now();
        let data_dir = self.data_dir.clone();
        let locked = self.lock()?;
        let kind_on_disk = self.kind_without_manifest()?;
        let (connection, arguments) = (self.connection(), self.arguments.clone());
        let (stop, counters) = (Stop::default(), Arc::new(RunCounters::default()));
        let last_report = Box::new(self.last_report(Arc::clone(&counters), begun));
        let start = RunStart {
            connection: &connection,
            locked: &locked,
            command: self.command,
            arguments: &arguments,
            kind_on_disk,
            checks_plan: true,
            counters,
            stop: stop.clone(),
        };
        let (report, writer) = with_runtime(&*connection.observer, &stop, last_report, |runtime| {
            let OpenRun { kind, handles, writer } = start.begin()?;
            Ok((runtime.block_on(self.work_and_judge(kind, handles, prepare, judge, begun))?, writer))
        })?;
        writer.join();
        report.with_details(&data_dir)
    }

    /// The kind of bars on disk if they have no manifest.
    fn kind_without_manifest(&self) -> Result<Option<StoreKind>, Error> {
        if self.data_dir.manifest().exists() {
            return Ok(None);
        }
        let on_disk = kind_on_disk(&self.data_dir)?;
        if let Some(stored) = on_disk {
            self.observer.notice(&Notice::BarsWithoutManifest);
            let requested = self.options.kind(on_disk);
            if stored != requested {
                return Err(ManifestError::OtherKind { stored, requested }.into());
            }
        }
        Ok(on_disk)
    }

    /// Works until nothing is outstanding, and ends the run's row in the manifest.
    async fn work_and_judge<T, P, J>(
        self,
        kind: StoreKind,
        handles: RunHandles,
        prepare: P,
        judge: J,
        begun: Instant,
    ) -> Result<RunReport, Error>
    where
        T: Send + 'static,
        P: FnOnce(&mut ManifestWriter) -> Result<T, Error> + Send + 'static,
        J: FnOnce(RunReport, RunFindings<T>) -> Result<RunReport, Error>,
    {
        let (command, plan_only, service) = (self.command, self.plan_only, self.options.service(kind));
        let mut findings = RunFindings::default();
        let stopped = self.work(kind, &handles, prepare, &mut findings).await.err().map(Arc::new);
        let RunHandles { manifest, counters, .. } = handles;
        let totals = counters.snapshot().totals;
        let counted = move |writer: &mut ManifestWriter| {
            let history = service.map(|service| writer.plan_history(&service)).transpose()?.flatten();
            Ok((writer.counts()?, writer.not_entitled()?, history, writer.is_all_asked()?))
        };
        let (counts, beyond, history, is_all_asked) = match manifest.call(counted).await {
            // Tasks that could not be given back are given back at the next start.
            Ok((counts, beyond, history, is_all_asked)) => {
                (counts.all_released(), beyond, history, is_all_asked)
            }
            Err(error) => return Err(stopped.and_then(Arc::into_inner).unwrap_or(error.into())),
        };
        let report = RunReport::new(command, counts, stopped, totals, begun.elapsed());
        let report = report.with_left_out(findings.left_out.take());
        let days = plan::sessions_in(beyond.iter().map(|(_, window)| window));
        let report = report.with_not_entitled(days, history.as_ref());
        let report = if plan_only { report.plan_only() } else { judge(report, findings)? };
        let report = if is_all_asked { report } else { report.unfinished(NextStep::AskAgain) };
        let exit = report.exit();
        match manifest.call(move |writer| writer.end_run(exit, &totals)).await {
            // The report has said it already, and what was done in spite of it.
            Err(_) if report.exit() == ExitStatus::Disk => Ok(report),
            ended => ended.map(|()| report).map_err(Error::from),
        }
    }

    async fn work<T, P>(
        self,
        kind: StoreKind,
        running: &RunHandles,
        prepare: P,
        findings: &mut RunFindings<T>,
    ) -> Result<(), Error>
    where
        T: Send + 'static,
        P: FnOnce(&mut ManifestWriter) -> Result<T, Error> + Send + 'static,
    {
        let (connection, RunHandles { manifest, stop, .. }) = (self.connection(), running);
        let store = connection.store(self.data_dir.clone(), kind)?;
        let data_dir = self.data_dir.clone();
        manifest.call(move |writer| Ok::<_, ManifestError>(engine::recover(&data_dir, writer))).await??;
        let opened = self.cut_unfinished(&connection, kind, &store, running).await?;
        let opened = self.fetch_lists(&connection, kind, &store, running, opened, &mut findings.lists).await;
        // Record what is known by now, whatever the result of the lists.
        findings.prepared = Some(manifest.call(|writer| Ok::<_, ManifestError>(prepare(writer))).await??);
        let opened = opened?;
        if let Some(reason) = stop.reason() {
            return Err(Error::Stopped(reason));
        }
        let left_out = &mut findings.left_out;
        let opened = self.plan_orders(&connection, kind, &store, running, opened, left_out).await?;
        self.cut_by_what_is_known(&connection, kind, manifest).await?;
        if self.plan_only {
            return Ok(());
        }
        let rechecks_history = self.rechecks_history(&connection, kind, manifest).await?;
        let is_work_outstanding = manifest.call(|writer| writer.counts()).await?.outstanding() > 0;
        if !(is_work_outstanding || rechecks_history) {
            findings.absences = self.ask_about_absences(&connection, kind, &store, running, opened).await?;
            return Ok(());
        }
        let (sandbox, source) = if let Some(opened) = opened {
            opened
        } else {
            let opened = match connection.open(kind).await {
                // Without a key no request can be sent, and none is needed.
                Err(Error::Key(_)) if !is_work_outstanding => return Ok(()),
                opened => opened?,
            };
            connection.stop_in_time(stop);
            opened
        };
        if rechecks_history {
            engine::recheck_history(source.clone(), connection.parts(kind, store.clone(), running)).await?;
        }
        let outstanding = manifest.call(|writer| writer.outstanding()).await?;
        let shown = connection.show(kind, "task", Some("bar"), outstanding, running);
        let stopped = engine::run(source.clone(), connection.parts(kind, store.clone(), running)).await;
        shown.end().await;
        if let Some(reason) = stopped? {
            return Err(connection.stopped(kind, reason));
        }
        let opened = Some((sandbox, source));
        findings.absences = self.ask_about_absences(&connection, kind, &store, running, opened).await?;
        Ok(())
    }

    /// Locks the directory. A manifest is migrated before it is read, and nothing is created before the check.
    fn lock(&mut self) -> Result<LockedDir, Error> {
        let exists = self.locked.is_some() || self.data_dir.has_manifest()?;
        if !exists {
            self.check_source()?;
        }
        let locked = lock_directory(&self.data_dir, &self.options, self.locked.take())?;
        if exists && self.source_check == SourceCheck::Always {
            self.check_source()?;
        }
        Ok(locked)
    }

    /// Checks, before anything is created or recorded, that the directory can hold the requested bars and that the
    /// source can be reached.
    fn check_source(&self) -> Result<(), Error> {
        let reader = manifest_of(&self.data_dir)?;
        let (stored, settled) = if let Some(reader) = &reader {
            (reader.kind()?, reader.settled_kind()?)
        } else {
            check_not_lost(&self.data_dir)?;
            // Bars without a manifest decide it too.
            let on_disk = kind_on_disk(&self.data_dir)?;
            (on_disk, on_disk)
        };
        let requested = self.options.kind(stored);
        if let Some(stored) = settled.filter(|stored| *stored != requested) {
            return Err(ManifestError::OtherKind { stored, requested }.into());
        }
        if self.plan_only { Ok(()) } else { self.connection().check_source(requested) }
    }

    fn connection(&self) -> Connection {
        let (options, observer) = (self.options.clone(), Arc::clone(&self.observer));
        Connection { options, clock: self.clock, observer }
    }

    /// The report of a run that is ended at once, by the present manifest.
    fn last_report(
        &self,
        counters: Arc<RunCounters>,
        begun: Instant,
    ) -> impl FnOnce() -> Result<RunReport, Error> + Send + 'static {
        let (command, data_dir) = (self.command, self.data_dir.clone());
        move || {
            let reader = data_dir.open_read()?;
            let interrupted = interrupted(&reader)?;
            // Their process is about to end.
            let (counts, totals) = (reader.counts()?.all_released(), counters.snapshot().totals);
            let (beyond, histories) = (reader.not_entitled()?, reader.plan_histories()?);
            let report =
                RunReport::new(command, counts, Some(Arc::new(interrupted)), totals, begun.elapsed());
            let days = plan::sessions_in(beyond.iter().map(|(_, window)| window));
            let history = histories.first().map(|(_, history)| history);
            report.with_not_entitled(days, history).with_details(&data_dir)
        }
    }
}

/// The error of an interrupted run: with an unplanned subscription it is not complete, whatever is outstanding.
fn interrupted(reader: &ManifestReader) -> Result<Error, ManifestError> {
    let interrupted = Error::Stopped(StopReason::Interrupted);
    let is_planned = reader.orders()?.iter().all(|order| order.planned_at_ms.is_some());
    Ok(if is_planned { interrupted } else { Error::Unplanned(Box::new(interrupted)) })
}

/// The last finished session.
#[must_use]
pub fn last_day(clock: Clock) -> Date {
    calendar::last_finished(clock.now_ms()).map_or(calendar::FIRST_DAY, Session::date)
}

/// Checks that a directory was started before anything is created in it. A manifest of any older version will do:
/// [`DataDir::lock`] migrates it.
///
/// # Errors
/// If there is no manifest, or it cannot be read.
pub fn require_manifest(data_dir: &DataDir) -> Result<(), Error> {
    if data_dir.has_manifest()? { Ok(()) } else { Err(missing(data_dir).into()) }
}

/// The manifest of a directory. None if the directory has no manifest.
///
/// # Errors
/// If there is one that cannot be read.
pub fn manifest_of(data_dir: &DataDir) -> Result<Option<ManifestReader>, Error> {
    match data_dir.open_read() {
        Ok(reader) => Ok(Some(reader)),
        Err(ManifestError::Missing { .. } | ManifestError::Lost { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
