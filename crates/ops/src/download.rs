//! Downloads: what is asked for becomes tasks, and these are fetched.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use grab_core::{
    clock::Clock,
    data_dir::DataDir,
    manifest::{
        ManifestError, ManifestWriter, PlanHistory, SpecText, StoreKind, Subscription, TaskCounts, migrate,
    },
};
use grab_model::{
    HistoryStart, Symbol, Window, format,
    plan::{self, Estimate},
};

use crate::{
    AskAnew, ConnectOptions, Error, Job, LeftOut, Needs, Notice, Observer, PlannedSubscriptions, RunReport,
    begun, kept, last_day, overview,
};

/// What is to be downloaded.
pub enum DownloadRequest {
    /// Each window of each symbol.
    Windows {
        /// Which symbols.
        symbols: Vec<Symbol>,
        /// Which days, up to the last finished session.
        windows: Vec<Window>,
    },
    /// These tasks, one by one.
    Tasks(Vec<(Symbol, Window)>),
    /// What lists make of a subscription.
    Listed(PlannedSubscriptions),
    /// All symbols of a list that were listed in some windows.
    List(Subscription),
}

/// A download into a data directory: `grab start`.
pub struct Download {
    /// Where bars and manifest are.
    pub data_dir: DataDir,
    /// What is asked for.
    pub request: DownloadRequest,
    /// How to reach the source.
    pub options: ConnectOptions,
    /// Whether to record the tasks and stop: [`Resume`] runs them.
    pub plan_only: bool,
    /// The spec that says it, for later runs to go by. It holds no key.
    pub spec: Option<SpecText>,
    /// Settings for the directory to remember, by name; none where one is to be forgotten. They hold no key.
    pub settings: BTreeMap<String, Option<String>>,
    /// What time it is.
    pub clock: Clock,
}

/// What a download would do.
pub struct DownloadPlan {
    /// What is recorded already.
    pub recorded: TaskCounts,
    /// The tasks that it would add.
    pub tasks: Vec<(Symbol, Window)>,
    /// What it would fetch: what it adds, and what is outstanding already.
    pub estimate: Estimate,
    /// What lists leave out of what is asked for, if it is asked for by a list.
    pub left_out: Option<LeftOut>,
    /// Sessions, summed over the symbols, that the plan is known not to serve: nothing is asked for them.
    pub days_not_entitled: u64,
    /// Where the history begins that the plan serves, where that is known.
    pub history: Option<HistoryStart>,
}

/// A run over what is outstanding in a data directory: `grab resume`.
pub struct Resume {
    /// Where bars and manifest are.
    pub data_dir: DataDir,
    /// How to reach the source.
    pub options: ConnectOptions,
    /// Whether to ask again for what failed, was not found or not entitled.
    pub retry_failed: bool,
    /// What time it is.
    pub clock: Clock,
}

impl DownloadRequest {
    /// This request as tasks, by the universe that is kept.
    ///
    /// # Errors
    /// If one is needed, and there is none.
    pub fn expanded(self, data_dir: &DataDir, clock: Clock) -> Result<Self, Error> {
        let Self::List(subscription) = &self else { return Ok(self) };
        let universe = kept(data_dir)?;
        Ok(Self::Listed(PlannedSubscriptions::of(subscription, &universe, last_day(clock))?))
    }

    /// The tasks that it needs beyond those that are recorded.
    #[must_use]
    pub fn missing(&self, recorded: &HashMap<Symbol, Vec<Window>>) -> Vec<(Symbol, Window)> {
        match self {
            Self::Windows { symbols, windows } => plan::missing_windows(symbols, windows, recorded),
            Self::Tasks(tasks) => plan::missing_tasks(tasks, recorded),
            Self::Listed(planned) => plan::missing_tasks(&planned.tasks, recorded),
            // Which symbols these are is known once the universe is there.
            Self::List(_) => Vec::new(),
        }
    }

    /// What is asked for, for the run's row in the manifest.
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
    /// A download of windows of symbols, with the vendor's defaults for all else.
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

    /// What this download would do. Nothing is asked or changed.
    ///
    /// # Errors
    /// If it is about a list and there is no universe, or the manifest cannot be read.
    pub fn plan(self) -> Result<DownloadPlan, Error> {
        let request = self.request.expanded(&self.data_dir, self.clock)?;
        let (recorded, counts, known, history) = match overview(&self.data_dir)? {
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

    /// Records what is asked for, and fetches it together with what is outstanding.
    ///
    /// # Errors
    /// If the directory cannot be held or its manifest cannot be used. Everything that comes later is in the report.
    pub fn run(self, observer: &Arc<dyn Observer>) -> Result<RunReport, Error> {
        migrate(&self.data_dir)?;
        let Self { data_dir, request, options, plan_only, spec, settings, clock } = self;
        let service = service(&options);
        let job = Job {
            command: "start",
            arguments: request.describe(),
            data_dir,
            options: ConnectOptions { is_continued: false, ..options },
            clock,
            observer: Arc::clone(observer),
            plan_only,
            lock: None,
            lists: Needs::default(),
            absences: None,
            ask_anew: AskAnew::IfAskedFor,
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

/// Who is asked, where a plan may have a beginning.
fn service(options: &ConnectOptions) -> Option<String> {
    options.service(StoreKind { adjusted: false, sandbox: options.sandbox })
}

impl Resume {
    /// Fetches what is outstanding.
    ///
    /// # Errors
    /// If nothing was ever started there, or the directory cannot be held or its manifest used. Everything that comes later is
    /// in the report.
    pub fn run(self, observer: &Arc<dyn Observer>) -> Result<RunReport, Error> {
        let Self { data_dir, options, retry_failed, clock } = self;
        begun(&data_dir)?;
        let path = data_dir.manifest().display().to_string();
        let job = Job {
            command: "resume",
            arguments: if retry_failed { "--retry-failed".to_owned() } else { String::new() },
            data_dir,
            options,
            clock,
            observer: Arc::clone(observer),
            plan_only: false,
            lock: None,
            lists: Needs::default(),
            absences: None,
            ask_anew: if retry_failed { AskAnew::IfAny } else { AskAnew::Never },
        };
        job.run(move |writer| {
            if writer.counts()?.total() == 0 && writer.subscriptions()?.is_empty() {
                // A start that could not record what it was asked for has left an empty one.
                return Err(ManifestError::Missing { path }.into());
            }
            if retry_failed {
                writer.reopen_unsuccessful()?;
            }
            Ok(())
        })
    }
}
