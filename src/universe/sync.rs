//! `grab universe sync`: fetches the lists, and reports the changes.

use std::{collections::BTreeSet, fs, path::PathBuf, sync::Arc};

use grab_core::{
    data_dir::DataDir,
    disk::need_open_files,
    engine::{RunCounters, Stop, StopReason},
    exit::ExitStatus,
    manifest::{Lock, ManifestWriter, StoreKind, WriterHandle, migrate},
    store::create_folders,
};
use grab_model::format;
use grab_model::universe::{self, Annotation};
use grab_ops::{
    Connection, Error as Failure, ListDates, Needs, ReferenceFetch, ReferenceReport, Renames, RunHandles,
    TableSync, declare_kind, kind_on_disk, list_dates_left,
};

use super::{
    super::{
        args::{CommonArgs, UniverseSyncArgs},
        notices::Terminal,
        output::{Output, announce_clock, say},
        remembered::Remembered,
        settings::{FetchSettings, Sources},
    },
    report::{Done, SyncReport},
};

/// The command's name.
const COMMAND: &str = "universe sync";

/// Bytes of the largest table that is read.
const LARGEST: u64 = 64 << 20;

/// How many unknown tickers are named.
const NAMED: usize = 10;

/// Runs the command.
///
/// # Errors
/// If the directory cannot be locked or its manifest cannot be used. All later failures are in the report.
pub fn run(
    args: &UniverseSyncArgs,
    common: &CommonArgs,
    sources: &Sources<'_>,
    output: Output,
) -> Result<ExitStatus, Failure> {
    let (data_dir, clock) = (sources.data_dir(common)?, sources.clock()?);
    let sources = &Remembered::of(&data_dir).over(sources);
    let settings = FetchSettings::resolve(&args.fetch, sources)?;
    announce_clock(clock);
    let annotations = args.annotate.as_ref().map(annotations).transpose()?;
    let observer = Terminal::observer(settings.progress, common.quiet, output);
    let connection = Connection { options: settings.options, clock, observer };
    let needs = Needs {
        tickers: true,
        splits: !args.no_splits,
        begun_since_ms: None,
        list_dates: if args.list_dates { ListDates::All } else { ListDates::None },
        renames: if args.renames { Renames::Stored } else { Renames::None },
    };
    if !data_dir.manifest().exists() {
        connection.check_source(connection.options.kind(None))?;
    }
    need_open_files(connection.options.open_files(connection.options.sandbox))?;
    migrate(&data_dir)?;
    let done = hold(&connection, &data_dir, needs, annotations)?;
    let left = list_dates_left(&data_dir)?;
    let report = SyncReport::new(done, left, output.elapsed());
    output.report(&report)
}

fn annotations(path: &PathBuf) -> Result<Vec<Annotation>, Failure> {
    let wrong = |why: String| Failure::Config(format!("{}: {why}", path.display()));
    let length = fs::metadata(path).map_err(|error| wrong(error.to_string()))?.len();
    if length > LARGEST {
        return Err(wrong(format!("larger than {}: is it the right file?", format::bytes(LARGEST))));
    }
    let bytes = fs::read(path).map_err(|error| wrong(error.to_string()))?;
    universe::read_annotations(&bytes).map_err(|error| wrong(error.to_string()))
}

/// Locks the directory and opens its manifest while the lists are fetched.
fn hold(
    connection: &Connection,
    data_dir: &DataDir,
    needs: Needs,
    annotations: Option<Vec<Annotation>>,
) -> Result<Done, Failure> {
    create_folders(data_dir.path())?;
    let _lock = Lock::take(data_dir)?;
    if !data_dir.manifest().exists() && kind_on_disk(data_dir)?.is_some() {
        // A new manifest would say that they do not exist.
        let advice = "there are bars here that no manifest knows: `grab repair --rebuild-manifest` first";
        return Err(Failure::Usage(advice.to_owned()));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let stop = Stop::default();
    {
        let _entered = runtime.enter();
        let last_report = || Err(Failure::Stopped(StopReason::Interrupted));
        connection.observer.watch_signals(stop.clone(), Box::new(last_report))?;
    }
    let mut writer = ManifestWriter::open(data_dir, connection.clock)?;
    let kind = connection.options.kind(writer.kind()?);
    declare_kind(&mut writer, kind, data_dir)?;
    let pacer = connection.pacer(kind, &writer)?;
    writer.begin_run(COMMAND, &describe(needs))?;
    let (manifest, writer_thread) = WriterHandle::start(writer);
    let running = RunHandles { manifest, counters: Arc::new(RunCounters::default()), pacer, stop };
    let done = runtime.block_on(async {
        let done = bring(connection, data_dir, needs, annotations, kind, &running).await?;
        let exit = done.exit();
        let totals = done.totals;
        running.manifest.call(move |writer| writer.end_run(exit, &totals)).await?;
        Ok::<_, Failure>(done)
    });
    runtime.shutdown_background();
    drop(running);
    // The last handle is gone: the manifest is closed, and its WAL merged.
    if let Err(panicked) = writer_thread.join() {
        std::panic::resume_unwind(panicked);
    }
    done
}

async fn bring(
    connection: &Connection,
    data_dir: &DataDir,
    needs: Needs,
    annotations: Option<Vec<Annotation>>,
    kind: StoreKind,
    running: &RunHandles,
) -> Result<Done, Failure> {
    let store = connection.store(data_dir.to_owned(), kind)?;
    let now_ms = connection.clock.now_ms();
    let sync = TableSync {
        data_dir: data_dir.to_owned(),
        now_ms,
        source: store.source().to_owned(),
        observer: Arc::clone(&connection.observer),
    };
    let fetched = async {
        let (sandbox, source) = connection.open(kind).await?;
        connection.stop_in_time(&running.stop);
        let fetching =
            ReferenceFetch { connection, kind, store: &store, source: &source, running, sync: sync.clone() };
        let brought = fetching.fetch_all(needs).await;
        drop(sandbox);
        brought
    };
    let (brought, failure) = match fetched.await {
        Ok(brought) => (brought, None),
        Err(failure) => (ReferenceReport::default(), Some(failure)),
    };
    let mut done = Done {
        brought,
        annotated: None,
        stopped: failure.or_else(|| running.stop.reason().map(Failure::Stopped)),
        totals: running.counters.snapshot().totals,
    };
    if let Some(annotations) = annotations {
        let annotated = running.manifest.call(move |writer| Ok(sync.annotate(writer, &annotations))).await?;
        match annotated {
            Ok((annotated, unknown)) => {
                say_unknown(&unknown);
                done.annotated = Some(annotated);
            }
            Err(failure) => done.stopped = done.stopped.or(Some(failure)),
        }
    }
    // A limit that was reached with the last request does not count.
    done.stopped = done
        .stopped
        .take()
        .filter(|failure| !matches!(failure, Failure::Stopped(_)) || !done.is_whole(needs));
    Ok(done)
}

fn say_unknown(unknown: &BTreeSet<String>) {
    if !unknown.is_empty() {
        let named: Vec<_> = unknown.iter().take(NAMED).map(|name| grab_model::excerpt(name, 20)).collect();
        let more = if unknown.len() > NAMED { ", …" } else { "" };
        let count = format::plural(unknown.len() as u64, "ticker");
        say(&format!("note: {count} of the table match nobody: {}{more}", named.join(", ")));
    }
}

/// What is fetched, for the run's row in the manifest.
fn describe(needs: Needs) -> String {
    let (list_dates, renames) = (needs.list_dates != ListDates::None, needs.renames != Renames::None);
    let flags = [(!needs.splits, "--no-splits"), (list_dates, "--list-dates"), (renames, "--renames")];
    flags.iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| *flag).collect::<Vec<_>>().join(" ")
}
