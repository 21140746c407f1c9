//! The manifest: which work is outstanding, which bars are stored, and why. One SQLite file per data directory.
//!
//! # Flow
//! [`Lock`] keeps other processes out. [`ManifestWriter`] owns the connection and holds every statement that writes; each
//! of its methods is one transaction. [`WriterHandle`] runs the writer on a thread of its own, so that workers never
//! wait for each other's statements and there is exactly one writer. [`ManifestReader`] reads, also while a run is live.
//!
//! # States
//! [`TaskState::after`] is the whole state machine; the writer calls it before it writes, and the tables' CHECKs
//! enforce the same invariants. Each change of state is a row of `events`, which no statement may change or delete.
//!
//! # Plan
//! What was requested is also saved in a file beside the manifest (`plan_sync`), so that a rebuilt manifest has the
//! pending tasks.
//!
//! # Durability
//! WAL with `synchronous=FULL`: when a method has returned, its change is on stable storage. Callers make partitions
//! durable before they call [`ManifestWriter::store_page`], so the manifest is never ahead of the disk.

mod absences;
mod future_days;
mod history;
mod holdings;
mod lists;
mod live_status;
mod lock;
mod locked_dir;
mod not_entitled;
mod plan_file;
mod plan_history;
mod plan_sync;
mod read_connection;
mod reader;
pub mod rebuild;
mod repair;
mod rewrites;
mod rolling_tasks;
mod rows;
mod runs;
mod saved_json;
mod saved_settings;
mod saved_spec;
mod schema;
mod snapshot;
mod state;
mod store_kind;
mod subscriptions;
mod tombstones;
mod transaction;
mod witness_files;
mod workload;
mod writer;
mod writer_thread;

pub use absences::{Closure, ClosureEvidence, Silence, SilenceAnswer};
pub use history::RunItem;
pub use holdings::Holdings;
pub use lists::{LookupKind, PartialList, SavedListPage, SavedLookup, SyncRecord};
pub use live_status::{CompletedRequest, ReportedFailure, RunningTask, StatusPoller, StatusSnapshot};
pub use lock::{Lock, is_held};
pub use locked_dir::LockedDir;
pub use not_entitled::CutTasks;
pub use plan_file::{PlanRead, RecordedPlan};
pub use plan_history::{HistoryEvidence, OpenSearch, PlanHistory};
pub use plan_sync::{PLAN_NAME, PlanDifference, PlanFile};
pub use read_connection::{check_not_lost, missing};
pub use reader::{AnsweredAt, ManifestReader, TaskItem};
pub use rebuild::WholeDays;
pub use repair::RepairTransaction;
pub use rewrites::{PendingRewrite, RewrittenFile};
pub use rows::{Evidence, RunTotals, StoreKind, Task, TaskId};
pub use runs::SavedPace;
pub use saved_settings::SavedSetting;
pub use saved_spec::{SavedSpec, SpecText};
pub use schema::FILE_NAME;
pub use state::{IllegalTransition, TaskEvent, TaskState};
pub use subscriptions::Subscription;
pub use tombstones::{QuarantinedFile, has_all};
pub use witness_files::WitnessFile;
pub use workload::{TaskCounts, Workload};
pub use writer::{ManifestWriter, Outstanding, PageCommit, PlannedTasks, StoredPage};
pub use writer_thread::WriterHandle;

use std::path::Path;

use rusqlite::ErrorCode;
use thiserror::Error;

use crate::disk;

/// Why the manifest could not be read or written.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// `SQLite` failed: no space, no permission, a damaged file.
    #[error("the manifest cannot be used")]
    Sqlite(#[from] rusqlite::Error),
    /// The file or its lock cannot be created.
    #[error("{path} cannot be opened{}", disk::owner_if_denied(Path::new(path), source))]
    Io {
        /// The file.
        path: String,
        /// The error of the system.
        source: std::io::Error,
    },
    /// The plan beside it cannot be written.
    #[error("{path} cannot be written{}", disk::owner_if_denied(Path::new(path), source))]
    Plan {
        /// The file.
        path: String,
        /// The error of the system.
        source: std::io::Error,
    },
    /// It was written by a newer grab.
    #[error("the manifest has schema version {found}, this grab knows versions up to {known}")]
    TooNew {
        /// The file's version.
        found: u32,
        /// The newest version that this program can read.
        known: u32,
    },
    /// It was written by an older grab, and a command that only reads does not migrate it.
    #[error(
        "{path} has schema version {found}: this grab reads versions {oldest} to {known}; a command that writes migrates it first"
    )]
    TooOld {
        /// The file's version.
        found: u32,
        /// The oldest version that this program reads without a migration.
        oldest: u32,
        /// The newest version that it reads.
        known: u32,
        /// The file.
        path: String,
    },
    /// A `SQLite` file, but not a manifest of grab.
    #[error("{path} is not a manifest of grab")]
    Foreign {
        /// The file.
        path: String,
    },
    /// There is no manifest yet.
    #[error("{path} does not exist, or is empty: nothing was ever started here")]
    Missing {
        /// The file.
        path: String,
    },
    /// The manifest is missing, but the plan beside it shows that there was one.
    #[error("{path} does not exist, or is empty, and {PLAN_NAME} beside it says what was requested here")]
    Lost {
        /// The file.
        path: String,
    },
    /// The directory has bars of another kind than requested.
    #[error("this data directory holds {}", StoreKind::other(*stored, *requested))]
    OtherKind {
        /// The kind of its bars.
        stored: StoreKind,
        /// The requested kind.
        requested: StoreKind,
    },
    /// Another process holds the lock of the directory.
    #[error("another grab{} holds this data directory", holder.map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    Locked {
        /// Its process id, if it could be read.
        holder: Option<u32>,
    },
    /// A step that the state machine forbids.
    #[error(transparent)]
    Illegal(#[from] IllegalTransition),
    /// A table or row that this program cannot have written.
    #[error("the manifest is damaged: {0}")]
    Corrupt(String),
    /// The manifest's thread has ended.
    #[error("the manifest has stopped")]
    Stopped,
}

impl ManifestError {
    /// Whether the error means that the manifest is damaged, and not just inaccessible at the moment.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Sqlite(error) => {
                let code = error.sqlite_error_code();
                matches!(code, Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt))
            }
            Self::Corrupt(_) => true,
            Self::Io { .. }
            | Self::Plan { .. }
            | Self::Missing { .. }
            | Self::Lost { .. }
            | Self::TooNew { .. }
            | Self::TooOld { .. }
            | Self::Foreign { .. }
            | Self::OtherKind { .. }
            | Self::Locked { .. }
            | Self::Illegal(_)
            | Self::Stopped => false,
        }
    }
}
