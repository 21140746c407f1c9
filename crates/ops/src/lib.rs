//! What `grab` does with a data directory, as a library: each job has options, a plan and a report. Prints nothing; an
//! [`Observer`] receives notices and progress.
//!
//! `examples/embed.rs` is a whole program. A job runs until nothing is outstanding. To end it earlier and cleanly, set
//! [`ConnectOptions::max_duration`] or [`ConnectOptions::max_requests`], or give it an observer that keeps the `stop` of
//! [`Observer::watch_signals`]: `stop.request(StopReason::Interrupted)`, from any thread, ends the run after the pages
//! under way, and [`Resume`] continues. Processes of a user with the same service and key share one pace, by
//! [`ConnectOptions::state_dir`].

mod api_key;
mod config_file;
mod connect;
mod download;
mod error;
mod export;
mod input_files;
pub mod json;
mod notice;
mod past_days;
mod rebuild;
mod recent_pace;
mod reference;
mod repair;
mod rewrite;
mod run;
mod run_report;
mod saved_start;
mod setting_values;
mod spec_check;
mod spec_file;
mod status;
mod thresholds;
mod universe_list;
mod universe_sync;
mod update;
mod verify;
mod verify_files;
mod without_bars;
mod witness;

pub use api_key::{KEY_VARIABLES, read_key_file, read_key_variable};
pub use config_file::{parse_config, read_config_file};
pub use connect::{ConnectOptions, Connection, HostOrigin, RunHandles, SANDBOX, user_state_dir};
pub use download::{Download, DownloadPlan, DownloadRequest, Resume};
pub use error::{Error, is_busy, is_disk_trouble};
pub use export::{Export, ExportAdjustment, ExportReport};
pub use input_files::{read_annotations, read_tickers};
pub use notice::{FileProgress, LastReport, NoObserver, Notice, Observer, Phase, PhaseView};
pub use past_days::{past_tasks, past_windows};
pub use rebuild::{DamagedPartition, Rebuild, RebuildNote, RebuildReport};
pub use recent_pace::{RecentPace, RecentWork, RemainingTime};
pub use reference::{
    AnnotationReport, CutByLists, CutWindow, LeftOut, ListDates, LookupsReport, MissingList,
    PlannedSubscriptions, ReferenceFetch, ReferenceReport, ReferenceSelection, Renames, SplitsReport,
    TableSync, TickersReport, filter_of, has_universe, list_dates_left, listing_cuts, listing_periods,
    newly_listed, plan_subscriptions, stored_universe, unplanned, usable_universe, windows_of,
};
pub use repair::{RemainingDamage, Repair, RepairEstimate, RepairPreview, RepairReport, SavedFinding};
pub use rewrite::{Rewrite, RewriteReport};
pub use run::{
    Absences, HistoryCheck, Job, RunFindings, SourceCheck, declare_kind, kind_of, kind_on_disk, last_day,
    manifest_of, require_manifest,
};
pub use run_report::{NextStep, RunReport, Unsuccessful};
pub use saved_start::SavedStart;
pub use setting_values::{
    read_base_url, read_bool, read_certificates, read_concurrency, read_encodings, read_positive, read_time,
    read_timeout,
};
pub use spec_check::{SpecCheck, SpecFault, SpecList};
pub use spec_file::{SpecFile, subscription_of};
pub use status::{Status, StatusReport};
pub use thresholds::{MissedThreshold, VerifyThresholds};
pub use universe_list::{UniverseListReport, UniverseQuery};
pub use universe_sync::{UniverseSync, UniverseSyncReport};
pub use update::{
    DelistedSymbol, SessionMetrics, SessionThresholds, Update, UpdateMetrics, UpdatePreview, UpdateReport,
    UpdateShortfall,
};
pub(crate) use verify::require_something;
pub use verify::{ExpectedRequest, Verify, VerifyReport, VerifyWitness, verify_directory};
pub use verify_files::{VerifyFiles, resolve_output_file};
pub use without_bars::{SymbolWithoutBars, WithoutBars};
pub use witness::{WitnessGap, WitnessGaps, WitnessReport};
