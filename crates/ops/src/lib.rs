//! What `grab` does with a data directory, as a library: each job has options, a plan and a report. Prints nothing; an
//! [`Observer`] receives notices and progress.

mod connect;
mod download;
mod error;
mod notice;
mod reference;
mod run_report;
mod session;
mod without_bars;

pub use connect::{ConnectOptions, Connection, HostBy, Running, SANDBOX};
pub use download::{Download, DownloadPlan, DownloadRequest, Resume};
pub use error::{Error, is_busy, is_disk_trouble};
pub use notice::{LastReport, NoObserver, Notice, Observer, Phase, PhaseView};
pub use reference::{
    Annotated, Brought, CutByLists, CutWindow, Fetching, LeftOut, ListDates, LookupsBrought, Needs,
    PlannedSubscriptions, Renames, SplitsBrought, Sync, TickersBrought, Without, cut_away, filter_of,
    is_kept, joining, kept, known, list_dates_left, lives, plan_subscriptions, unplanned, windows_of,
};
pub use run_report::{NextStep, RunReport, Unsuccessful};
pub use session::{
    Absences, AskAnew, Begun, Job, begun, declare_kind, kind_of, kind_on_disk, last_day, overview, recover,
};
pub use without_bars::{SymbolWithoutBars, WithoutBars};
