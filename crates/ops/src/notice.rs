//! What a running job reports to its caller. Prints nothing.

use std::{any::Any, collections::BTreeSet, io, path::PathBuf, pin::Pin, sync::Arc};

use grab_core::{
    engine::{RunCounters, Stop},
    manifest::{Outstanding, Subscription},
    pace::Pacer,
    verify::VerifyProgress,
};
use grab_model::{Rate, Symbol, Window};
use jiff::civil::Date;

use crate::{DamagedPartition, Error, LeftOut, MissingList, RepairEstimate, RunReport};

/// A fact that the user should know, and that does not change what the job does.
#[derive(Clone, Debug)]
pub enum Notice {
    /// There are bars in a directory that has no manifest.
    BarsWithoutManifest,
    /// The plan beside the manifest was damaged and is rewritten.
    PlanDamaged {
        /// What was wrong with it.
        faults: Vec<String>,
        /// The path of a copy of the damaged file.
        copy: PathBuf,
    },
    /// The plan beside the manifest requests more than the manifest: that is pending now.
    PlanAsksForMore {
        /// How many windows.
        windows: u64,
        /// The first of them.
        first: (Symbol, Window),
    },
    /// A copy of the damaged plan beside the manifest is at this path.
    PlanCopied(PathBuf),
    /// A file of bars cannot be recorded: it stays in place.
    PartitionDamaged(DamagedPartition),
    /// A verification found nothing to repair.
    NothingToRepair,
    /// A repair begins to send requests.
    RepairBegins(RepairEstimate),
    /// A file is behind a link: it is not touched.
    BehindLink(PathBuf),
    /// The present bars of months that had more bars before are accepted.
    LossAccepted {
        /// How many months.
        months: u64,
    },
    /// The host is the saved one of the directory, not named by the caller.
    SavedHost(String),
    /// There is no universe yet, and a plan-only run fetches none.
    UniverseComesLater,
    /// All requested windows are recorded already.
    NothingNew {
        /// Whether the plan serves all of it.
        is_all_served: bool,
    },
    /// A list adds no new task.
    NothingPlanned,
    /// Subscriptions were turned into tasks.
    Planned {
        /// How many tasks are new.
        tasks: u64,
        /// How many symbols have no known list date.
        without_list_date: u64,
    },
    /// No symbol of a list matches a subscription.
    NothingMatches {
        /// The subscription.
        subscription: Box<Subscription>,
        /// The types in the list, if types were requested.
        types: Vec<String>,
        /// The exchanges in the list, if exchanges were requested.
        exchanges: Vec<String>,
    },
    /// What lists leave out of a subscription.
    LeftOut(Box<LeftOut>),
    /// A table of reference data is damaged; none of its rows is used.
    TableDamaged(String),
    /// The listings are damaged: whose a split is, they do not say.
    ListingsDamaged(String),
    /// A damaged table of reference data is replaced.
    TableReplaced(String),
    /// Stored responses about single tickers cannot be read: they are requested again.
    AnswersUnreadable {
        /// How many.
        count: usize,
        /// What they are about: `details` or `renames`.
        kind: &'static str,
    },
    /// A stored page of this list cannot be read: the list is requested again.
    ListUnreadable(&'static str),
    /// These names in a user's table match no ticker.
    UnknownTickers(BTreeSet<String>),
    /// These windows are left out, because they begin after the last finished session.
    FutureWindows {
        /// The windows.
        windows: Vec<Window>,
        /// That session.
        last: Date,
    },
    /// Tasks of a file are left out, because they begin after the last finished session.
    FutureTasks {
        /// How many.
        tasks: u64,
        /// That session.
        last: Date,
    },
    /// A symbol has split: its whole adjusted history is requested again.
    SplitFound {
        /// The symbol.
        symbol: Symbol,
        /// The day.
        date: Date,
    },
    /// Bars are adjusted, and no splits are known yet: a new one is not noticed.
    SplitsUnknown,
    /// A list could not be fetched, on which the update does not depend.
    ListMissing {
        /// The list.
        list: &'static str,
        /// What could not be fetched. Empty if the run was stopped.
        why: Vec<MissingList>,
    },
    /// A file about a verification was written.
    FileWritten {
        /// The path.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// The list of missing windows is not written to this path: without a manifest they are not known.
    MissingUnknown(PathBuf),
    /// The lists have no delisted symbol.
    NoDelistedSymbols,
    /// Tasks request days after the last finished session, and the service did not send its time.
    FutureTasksStay {
        /// How many tasks.
        tasks: u64,
        /// The last finished session by this machine's clock.
        last: Date,
    },
    /// Tasks for days that are still to come were cut.
    FutureTasksCut {
        /// How many tasks.
        tasks: u64,
        /// The last finished session by clock and service.
        last: Date,
    },
}

/// The start of a phase: requests of one kind, for a progress display.
pub struct Phase {
    /// The name of one outstanding unit, such as `task`.
    pub unit: &'static str,
    /// The name of one stored row, such as `bar`. None if the phase counts no rows.
    pub row: Option<&'static str>,
    /// The configured rate.
    pub rate: Rate,
    /// Tells the pace of the requests.
    pub pacer: Arc<Pacer>,
    /// The outstanding work.
    pub outstanding: Outstanding,
    /// Counts the finished work.
    pub counters: Arc<RunCounters>,
    /// Tells whether the run is to stop.
    pub stop: Stop,
}

/// A display of one phase.
pub trait PhaseView: Send {
    /// Removes the display.
    fn end(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// The caller of a job, who receives notices and progress.
pub trait Observer: Send + Sync {
    /// Receives a notice.
    fn notice(&self, notice: &Notice);

    /// Shows the progress of a phase until it ends. Called within the run's runtime.
    fn phase(&self, phase: Phase) -> Box<dyn PhaseView>;

    /// Shows the progress of a verification until the result is dropped. There may be no runtime.
    fn verification(&self, progress: &Arc<VerifyProgress>) -> Box<dyn Any + Send>;

    /// Shows how many files of how many are done, until the result is dropped. There may be no runtime.
    fn files(&self) -> Box<dyn FileProgress>;

    /// Lets signals stop a run: the first one requests `stop`, and the second may end the process at once, with the
    /// report of `last_report`. Called within the run's runtime.
    ///
    /// # Errors
    /// If the system refuses the handlers.
    fn watch_signals(&self, stop: Stop, last_report: LastReport) -> io::Result<()>;
}

/// A display of files that are done.
pub trait FileProgress: Sync {
    /// Shows the number of files that are done, and of all.
    fn show(&self, done: u64, all: u64);
}

/// Makes the report of a run that ends at once.
pub type LastReport = Box<dyn FnOnce() -> Result<RunReport, Error> + Send>;

/// An observer that ignores everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn notice(&self, _: &Notice) {}

    fn phase(&self, _: Phase) -> Box<dyn PhaseView> {
        Box::new(Self)
    }

    fn verification(&self, _: &Arc<VerifyProgress>) -> Box<dyn Any + Send> {
        Box::new(Self)
    }

    fn files(&self) -> Box<dyn FileProgress> {
        Box::new(Self)
    }

    fn watch_signals(&self, _: Stop, _: LastReport) -> io::Result<()> {
        Ok(())
    }
}

impl FileProgress for NoObserver {
    fn show(&self, _: u64, _: u64) {}
}

impl PhaseView for NoObserver {
    fn end(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::ready(()))
    }
}
