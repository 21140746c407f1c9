//! The lists of tickers and splits, list dates and renames, fetched for their own sake: `grab universe sync`.

use std::sync::Arc;

use grab_core::{
    clock::Clock,
    data_dir::DataDir,
    engine::{RunCounters, Stop, StopReason},
    exit::ExitStatus,
    manifest::{ManifestWriter, RunTotals, StoreKind},
};
use grab_model::universe::Annotation;

use crate::{
    AnnotationReport, ConnectOptions, Connection, Error, ListDates, LookupsReport, Notice, Observer,
    ReferenceFetch, ReferenceReport, ReferenceSelection, Renames, RunHandles, TableSync, kind_on_disk,
    list_dates_left,
    run::{OpenRun, RunStart, lock_directory, with_runtime},
};

/// A sync of the reference tables.
pub struct UniverseSync {
    /// The directory of bars and manifest.
    pub data_dir: DataDir,
    /// How to reach the source.
    pub options: ConnectOptions,
    /// What to fetch.
    pub needs: ReferenceSelection,
    /// Rows of a user's table, to be added to the tickers.
    pub annotations: Option<Vec<Annotation>>,
    /// The clock.
    pub clock: Clock,
}

/// How a sync ended.
#[derive(Debug)]
pub struct UniverseSyncReport {
    /// What was fetched.
    pub reference: ReferenceReport,
    /// The result of the user's table, if there was one.
    pub annotated: Option<AnnotationReport>,
    /// Why it stopped before the end.
    pub stopped: Option<Error>,
    /// The totals of requests.
    pub totals: RunTotals,
    /// How many list dates were never looked up.
    pub list_dates_left: u64,
}

impl UniverseSync {
    /// Fetches the lists and writes their tables.
    ///
    /// # Errors
    /// If the directory cannot be locked or its manifest cannot be used. All later failures are in the report.
    pub fn run(self, observer: &Arc<dyn Observer>) -> Result<UniverseSyncReport, Error> {
        let Self { data_dir, options, needs, annotations, clock } = self;
        let connection = Connection { options, clock, observer: Arc::clone(observer) };
        if !data_dir.manifest().exists() {
            connection.check_source(connection.options.kind(None))?;
        }
        let locked = lock_directory(&data_dir, &connection.options, None)?;
        if !data_dir.manifest().exists() && kind_on_disk(&data_dir)?.is_some() {
            // A new manifest would say that they do not exist.
            let advice =
                "there are bars here that are in no manifest: run `grab repair --rebuild-manifest` first";
            return Err(Error::Usage(advice.to_owned()));
        }
        let stop = Stop::default();
        let start = RunStart {
            connection: &connection,
            locked: &locked,
            command: "universe sync",
            arguments: &arguments(needs),
            kind_on_disk: None,
            checks_plan: false,
            counters: Arc::new(RunCounters::default()),
            stop: stop.clone(),
        };
        let last_report = Box::new(|| Err(Error::Stopped(StopReason::Interrupted)));
        let (mut report, writer) = with_runtime(&**observer, &stop, last_report, |runtime| {
            let OpenRun { kind, handles, writer } = start.begin()?;
            let report = runtime.block_on(async {
                let report = sync(&connection, &data_dir, needs, annotations, kind, &handles).await?;
                let (exit, totals) = (report.exit(), report.totals);
                handles.manifest.call(move |writer| writer.end_run(exit, &totals)).await?;
                Ok::<_, Error>(report)
            })?;
            Ok((report, writer))
        })?;
        writer.join();
        report.list_dates_left = list_dates_left(&data_dir)?;
        Ok(report)
    }
}

/// Fetches the lists, and adds the user's table.
async fn sync(
    connection: &Connection,
    data_dir: &DataDir,
    needs: ReferenceSelection,
    annotations: Option<Vec<Annotation>>,
    kind: StoreKind,
    handles: &RunHandles,
) -> Result<UniverseSyncReport, Error> {
    let store = connection.store(data_dir.clone(), kind)?;
    let tables = TableSync {
        data_dir: data_dir.clone(),
        now_ms: connection.clock.now_ms(),
        source: store.source().to_owned(),
        observer: Arc::clone(&connection.observer),
    };
    let fetched = async {
        let (_sandbox, source) = connection.open(kind).await?;
        connection.stop_in_time(&handles.stop);
        let (source, running, sync) = (&source, handles, tables.clone());
        ReferenceFetch { connection, kind, store: &store, source, running, sync }.fetch_all(needs).await
    };
    let (reference, failure) = match fetched.await {
        Ok(reference) => (reference, None),
        Err(failure) => (ReferenceReport::default(), Some(failure)),
    };
    let mut report = UniverseSyncReport {
        reference,
        annotated: None,
        stopped: failure.or_else(|| handles.stop.reason().map(Error::Stopped)),
        totals: handles.counters.snapshot().totals,
        list_dates_left: 0,
    };
    if let Some(annotations) = annotations {
        let annotate = move |writer: &mut ManifestWriter| Ok(tables.annotate(writer, &annotations));
        match handles.manifest.call(annotate).await? {
            Ok((annotated, unknown)) => {
                if !unknown.is_empty() {
                    connection.observer.notice(&Notice::UnknownTickers(unknown));
                }
                report.annotated = Some(annotated);
            }
            Err(failure) => report.stopped = report.stopped.or(Some(failure)),
        }
    }
    // A limit that was reached with the last request does not count.
    let is_whole = report.is_whole(needs);
    report.stopped =
        report.stopped.take().filter(|failure| !matches!(failure, Error::Stopped(_)) || !is_whole);
    Ok(report)
}

impl UniverseSyncReport {
    /// Whether everything that was requested is there.
    fn is_whole(&self, needs: ReferenceSelection) -> bool {
        let ReferenceReport { tickers, splits, list_dates, renames, .. } = &self.reference;
        let is_done = |lookups: &Option<LookupsReport>| lookups.as_ref().is_some_and(|one| one.left == 0);
        (!needs.tickers || tickers.is_some())
            && (!needs.splits || splits.is_some())
            && (needs.list_dates == ListDates::None || is_done(list_dates))
            && (needs.renames == Renames::None || is_done(renames))
    }

    /// How it ended, as the process's exit code.
    #[must_use]
    pub fn exit(&self) -> ExitStatus {
        match &self.stopped {
            Some(failure) => failure.exit(),
            None if !self.reference.without.is_empty() => ExitStatus::Unsuccessful,
            None => ExitStatus::Complete,
        }
    }
}

/// What is fetched, for the run's row in the manifest.
fn arguments(needs: ReferenceSelection) -> String {
    let (list_dates, renames) = (needs.list_dates != ListDates::None, needs.renames != Renames::None);
    let flags = [(!needs.splits, "--no-splits"), (list_dates, "--list-dates"), (renames, "--renames")];
    flags.iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| *flag).collect::<Vec<_>>().join(" ")
}
