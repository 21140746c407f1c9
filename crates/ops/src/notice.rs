//! What a job tells whoever started it while it runs. Nothing is printed here.

use std::{io, path::PathBuf, pin::Pin, sync::Arc};

use grab_core::{
    engine::{RunCounters, Stop},
    manifest::{Outstanding, Subscription},
    pace::Pacer,
};
use grab_model::{Rate, Symbol, Window};
use jiff::civil::Date;

use crate::{Error, LeftOut, RunReport};

/// A fact that a person should know, and that changes nothing about what the job does.
#[derive(Clone, Debug)]
pub enum Notice {
    /// There are bars in a directory that has no manifest.
    BarsWithoutManifest,
    /// The plan beside the manifest was damaged and is written anew.
    PlanDamaged {
        /// What was wrong with it.
        faults: Vec<String>,
        /// Where a copy of the damaged file is.
        copy: PathBuf,
    },
    /// The plan beside the manifest asks for more than the manifest: it is pending now.
    PlanAsksForMore {
        /// How many windows.
        windows: u64,
        /// The first of them.
        first: (Symbol, Window),
    },
    /// The host that is asked was named when the directory was started, and not now.
    SavedHost(String),
    /// There is no universe yet, and a plan-only run fetches none.
    UniverseComesLater,
    /// Everything that a download asks for is recorded already.
    NothingNew {
        /// Whether the plan serves all of it.
        is_all_served: bool,
    },
    /// A list adds no task to those that are recorded.
    NothingPlanned,
    /// Subscriptions have become tasks.
    Planned {
        /// How many tasks are new.
        tasks: u64,
        /// How many symbols have no known list date.
        without_list_date: u64,
    },
    /// No symbol of a list is what was asked for.
    NothingMatches {
        /// What was asked for.
        subscription: Box<Subscription>,
        /// The types that the list has, where types were asked for.
        types: Vec<String>,
        /// The exchanges that the list has, where exchanges were asked for.
        exchanges: Vec<String>,
    },
    /// What lists leave out of what was asked for.
    LeftOut(Box<LeftOut>),
    /// A table of reference data is damaged; none of its rows is used.
    TableDamaged(String),
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
    /// The lists have no delisted symbol.
    NoDelistedSymbols,
    /// Tasks ask for days after the last finished session, and the service did not say what time it is.
    FutureTasksStay {
        /// How many tasks.
        tasks: u64,
        /// The last finished session by this machine's clock.
        last: Date,
    },
    /// Tasks for days that have not been are cut.
    FutureTasksCut {
        /// How many tasks.
        tasks: u64,
        /// The last finished session by clock and service.
        last: Date,
    },
}

/// Requests of one kind that begin, for a display of their progress.
pub struct Phase {
    /// What one outstanding unit is called, such as `task`.
    pub unit: &'static str,
    /// The rate as it was set.
    pub rate: Rate,
    /// Says at which pace requests leave.
    pub pacer: Arc<Pacer>,
    /// How much there is to do.
    pub outstanding: Outstanding,
    /// Counts what is done.
    pub counters: Arc<RunCounters>,
    /// Says whether the run is to stop.
    pub stop: Stop,
}

/// A display of one phase.
pub trait PhaseView: Send {
    /// Takes the display away.
    fn end(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// Whoever started a job, and wants to know how it goes.
pub trait Observer: Send + Sync {
    /// Takes a notice.
    fn notice(&self, notice: &Notice);

    /// Shows the progress of a phase until it ends. Called within the session's runtime.
    fn phase(&self, phase: Phase) -> Box<dyn PhaseView>;

    /// Lets signals stop a run: the first asks `stop`, and the second may end the process at once, with what `last_report` says of
    /// the run. Called within the session's runtime.
    ///
    /// # Errors
    /// If the system refuses the handlers.
    fn watch_signals(&self, stop: Stop, last_report: LastReport) -> io::Result<()>;
}

/// Makes the report of a run that ends at once.
pub type LastReport = Box<dyn FnOnce() -> Result<RunReport, Error> + Send>;

/// An observer that ignores all of it: a run that is only waited for.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn notice(&self, _: &Notice) {}

    fn phase(&self, _: Phase) -> Box<dyn PhaseView> {
        Box::new(Self)
    }

    fn watch_signals(&self, _: Stop, _: LastReport) -> io::Result<()> {
        Ok(())
    }
}

impl PhaseView for NoObserver {
    fn end(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::ready(()))
    }
}
