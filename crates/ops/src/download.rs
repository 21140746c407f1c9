//! Downloads: turns a request into tasks and fetches them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use grab_core::{
    clock::Clock,
    data_dir::DataDir,
    manifest::{ManifestError, ManifestWriter, PlanHistory, SpecText, StoreKind, Subscription, TaskCounts},
};
use grab_model::{
    HistoryStart, Symbol, Window, format,
    plan::{self, Estimate},
};

use crate::{
    ConnectOptions, Error, HistoryCheck, Job, LeftOut, Notice, Observer, PlannedSubscriptions, RunReport,
    SourceCheck, last_day, manifest_of, require_manifest, stored_universe,
};

/// What to download.
pub enum DownloadRequest {
    /// Each window of each symbol.
    Windows {
        /// The symbols.
        symbols: Vec<Symbol>,
        /// The days, up to the last finished session.
        windows: Vec<Window>,
    },
    /// These tasks, one by one.
    Tasks(Vec<(Symbol, Window)>),
    /// The tasks of subscriptions.
    Listed(PlannedSubscriptions),
    /// All symbols of a list that were listed in some windows.
    List(Subscription),
}

/// A download into a data directory: `grab start`.
pub struct Download {
    /// The directory of bars and manifest.
    pub data_dir: DataDir,
    /// What to download.
    pub request: DownloadRequest,
    /// How to reach the source.
    pub options: ConnectOptions,
    /// Whether to record the tasks and stop: [`Resume`] runs them.
    pub plan_only: bool,
    /// The spec of this download, saved for later runs. It holds no key.
    pub spec: Option<SpecText>,
    /// Settings to save in the directory, by name; None to forget one. They hold no key.
    pub settings: BTreeMap<String, Option<String>>,
    /// The clock.
    pub clock: Clock,
}

/// What a download would do.
pub struct DownloadPlan {
    /// The tasks that are recorded already.
    pub recorded: TaskCounts,
    /// The tasks that it would add.
    pub tasks: Vec<(Symbol, Window)>,
    /// What it would fetch: the new tasks, and the outstanding ones.
    pub estimate: Estimate,
    /// What the lists leave out of a subscription, if the request has one.
    pub left_out: Option<LeftOut>,
    /// Sessions, summed over the symbols, that the plan is known not to serve: they are not requested.
    pub days_not_entitled: u64,
    /// Where the history of the plan begins, if that is known.
    pub history: Option<HistoryStart>,
}

/// A run over the outstanding tasks of a data directory: `grab resume`.
pub struct Resume {
    /// The directory of bars and manifest.
    pub data_dir: DataDir,
    /// How to reach the source.
    pub options: ConnectOptions,
    /// Whether to retry tasks that failed, were not found or not entitled.
    pub retry_failed: bool,
    /// The clock.
    pub clock: Clock,
}

impl DownloadRequest {
    /// Turns a list into tasks, by the stored universe. Other requests stay as they are.
    ///
    /// # Errors
    /// If a universe is needed and there is none.
    pub fn expanded(self, data_dir: &DataDir, clock: Clock) -> Result<Self, Error> {
        let Self::List(subscription) = &self else { return Ok(self) };
        let universe = stored_universe(data_dir)?;
        Ok(Self::Listed(PlannedSubscriptions::of(subscription, &universe, last_day(clock))?))
    }

    /// The tasks of the request that are not recorded yet.
    #[must_use]
    pub fn missing(&self, recorded: &HashMap<Symbol, Vec<Window>>) -> Vec<(Symbol, Window)> {
        match self {
            Self::Windows { symbols, windows } => plan::missing_windows(symbols, windows, recorded),
            Self::Tasks(tasks) => plan::missing_tasks(tasks, recorded),
            Self::Listed(planned) => plan::missing_tasks(&planned.tasks, recorded),
            // The symbols are known only once the universe is there.
            Self::List(_) => Vec::new(),
        }
    }

    /// A description for the run's row in the manifest.
    fn describe(&self) -> String {
        match self {
            Self::Windows { symbols, windows } => {
                let windows: Vec<_> = windows.iter().map(ToString::to_string).collect();
                format!("{} in {}", format::plural(symbols.len() as u64, "symbol"), windows.join(","))
            }
            Self::Tasks(tasks) => format!("{} of a file", format::plural(tasks.len() as u64, "task")),
            Self::Listed(planned) => {
                format!("{} of a list", format::plural(planned.tasks.len() as u64, "task"))
            }
            Self::List(list) => format!("all of {} in {}", list.list, list.windows),
        }
    }

    fn left_out(&self) -> Option<LeftOut> {
        match self {
            Self::Listed(planned) => Some(planned.left_out.clone()),
            Self::Windows { .. } | Self::Tasks(_) | Self::List(_) => None,
        }
    }
}

impl Download {
    /// Creates a download of windows of symbols, with the vendor's defaults for everything else.
    #[must_use]
    pub fn new(data_dir: DataDir, symbols: Vec<Symbol>, windows: Vec<Window>) -> Self {
        Self {
            data_dir,
            request: DownloadRequest::Windows { symbols, windows },
            options: ConnectOptions::default(),
            plan_only: false,
            spec: None,
            settings: BTreeMap::new(),
            clock: Clock::system(),
        }
    }

    /// Plans this download. Sends no request and changes nothing.
    ///
    /// # Errors
    /// If a list is requested and there is no universe, or the manifest cannot be read.
    pub fn plan(self) -> Result<DownloadPlan, Error> {
        let request = self.request.expanded(&self.data_dir, self.clock)?;
        let (recorded, counts, known, history) = match manifest_of(&self.data_dir)? {
            Some(reader) => {
                let history = reader.history_edge(service(&self.options).as_deref())?;
                (reader.windows()?, reader.counts()?.tasks, reader.tasks()?, history)
            }
            None => (HashMap::new(), TaskCounts::default(), Vec::new(), None),
        };
        let (tasks, not_served) = plan::within_history(request.missing(&recorded), history);
        let outstanding = known.into_iter().filter(|task| !task.state.is_ended());
        let to_run = tasks.iter().cloned().chain(outstanding.map(|task| (task.symbol, task.window)));
        let rate = self.options.rate(self.options.sandbox);
        Ok(DownloadPlan {
            recorded: counts,
            estimate: Estimate::of(&to_run.collect::<Vec<_>>(), rate),
            tasks,
            left_out: request.left_out(),
            days_not_entitled: plan::sessions_in(not_served.iter().map(|(_, window)| window)),
            history,
        })
    }

    /// Records the tasks, and fetches them together with the outstanding ones.
    ///
    /// # Errors
    /// If the directory cannot be locked or its manifest cannot be used. All later failures are in the report.
    pub fn run(self, observer: &Arc<dyn Observer>) -> Result<RunReport, Error> {
        let Self { data_dir, request, options, plan_only, spec, settings, clock } = self;
        let service = service(&options);
        let options = ConnectOptions { is_continued: false, ..options };
        let job = Job {
            arguments: request.describe(),
            plan_only,
            history_check: HistoryCheck::IfRequested,
            source_check: SourceCheck::Always,
            ..Job::new("start", data_dir, options, clock, observer)
        };
        let observer = Arc::clone(observer);
        job.run(move |writer| {
            writer.save_settings(&settings)?;
            if let DownloadRequest::List(subscription) = &request {
                writer.add_subscription(subscription, spec.as_ref())?;
                return Ok(writer.set_all_asked(true)?);
            }
            record(writer, &request, spec.as_ref(), service.as_deref(), &*observer)
        })
    }
}

/// Records the tasks of a request that are not recorded yet.
fn record(
    writer: &mut ManifestWriter,
    request: &DownloadRequest,
    spec: Option<&SpecText>,
    service: Option<&str>,
    observer: &dyn Observer,
) -> Result<(), Error> {
    let known = service.map(|service| writer.plan_history(service)).transpose()?.flatten();
    let history = known.as_ref().and_then(PlanHistory::edge);
    let (tasks, not_served) = plan::within_history(request.missing(&writer.windows()?), history);
    let planned = writer.add_tasks_of(spec, &tasks, &not_served)?;
    writer.set_all_asked(true)?;
    if planned.added == 0 {
        observer.notice(&Notice::NothingNew { is_all_served: not_served.is_empty() });
    }
    Ok(())
}

/// The service, if a plan's history may matter.
fn service(options: &ConnectOptions) -> Option<String> {
    options.service(StoreKind { adjusted: false, sandbox: options.sandbox })
}

impl Resume {
    /// Fetches the outstanding tasks.
    ///
    /// # Errors
    /// If nothing was ever started there, the directory cannot be locked, or its manifest cannot be used. All later
    /// failures are in the report.
    pub fn run(self, observer: &Arc<dyn Observer>) -> Result<RunReport, Error> {
        let Self { data_dir, options, retry_failed, clock } = self;
        require_manifest(&data_dir)?;
        let path = data_dir.manifest().display().to_string();
        let job = Job::new("resume", data_dir, options, clock, observer);
        let job = if retry_failed {
            Job { arguments: "--retry-failed".to_owned(), history_check: HistoryCheck::IfAny, ..job }
        } else {
            job
        };
        job.run(move |writer| {
            if writer.counts()?.total() == 0 && writer.subscriptions()?.is_empty() {
                // A start that crashed before it recorded its tasks has left an empty manifest.
                return Err(ManifestError::Missing { path }.into());
            }
            if retry_failed {
                writer.reopen_unsuccessful()?;
            }
            Ok(())
        })
    }
}
