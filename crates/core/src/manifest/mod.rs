//! The manifest: what is owed, what is held, and why. One SQLite file a data directory.
//!
//! # Flow
//! [`Lock`] keeps other processes out. [`Ledger`] owns the connection and holds every statement that writes; each
//! of its methods is one transaction. [`Recorder`] runs the ledger on a thread of its own, so that workers never
//! wait for each other's statements and there is exactly one writer. [`Overview`] reads, also while a run is live.
//!
//! # States
//! [`TaskState::after`] is the whole state machine; the ledger asks it before it writes, and the tables' CHECKs hold
//! the same invariants. Each change of state is a row of `events`, which no statement may change or delete.
//!
//! # Plan
//! What was asked for is kept in a file beside the manifest too (`kept_plan`), so that a manifest made anew knows what is pending.
//!
//! # Durability
//! WAL with `synchronous=FULL`: what a method has returned is on stable storage. Callers make partitions durable
//! before they call [`Ledger::store_page`], so the manifest is never ahead of the disk.

mod change;
mod evenings;
mod frozen;
mod glance;
mod history;
mod holdings;
mod kept_plan;
mod kept_spec;
mod kind;
mod ledger;
mod lists;
mod lock;
mod lost;
mod mend;
mod not_entitled;
mod orders;
mod overview;
mod plan_file;
mod plan_history;
mod reading;
pub mod rebuild;
mod recorder;
mod rewrites;
mod rows;
mod runs;
mod schema;
mod state;
mod tails;
mod told;
mod unfinished;
mod witnesses;
mod workload;

pub use evenings::{Closure, ClosureEvidence, Silence, SilenceAnswer};
pub use glance::{Glance, RunningTask, Step, Trouble, Watcher};
pub use history::RunItem;
pub use holdings::Holdings;
pub use kept_plan::{PLAN_NAME, PlanBeside, PlanFile};
pub use kept_spec::{KeptSpec, SpecText};
pub use ledger::{Ledger, Owed, PageCommit, PageStored, Planned};
pub use lists::{KeptLookup, KeptPage, ListOnItsWay, SyncRow};
pub use lock::{Lock, is_held};
pub use lost::{SetAside, has_all};
pub use mend::Mend;
pub use not_entitled::CutTasks;
pub use orders::Order;
pub use overview::{Answer, Overview, TaskItem};
pub use plan_file::{PlanRead, RecordedPlan};
pub use plan_history::{OpenSearch, PlanHistory, ShownBy};
pub use reading::{bring_up_to_date, missing, not_lost};
pub use rebuild::Stretch;
pub use recorder::Recorder;
pub use rewrites::{Rewrite, Rewritten};
pub use rows::{Evidence, RunTotals, StoreKind, Task, TaskId};
pub use runs::KeptPace;
pub use schema::FILE_NAME;
pub use state::{IllegalTransition, TaskEvent, TaskState};
pub use told::Told;
pub use witnesses::WitnessFile;
pub use workload::{TaskCounts, Workload};

use std::path::Path;

use rusqlite::ErrorCode;
use thiserror::Error;

use crate::disk;

/// Why the manifest could not be read or written.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// `SQLite` refused: no space, no permission, a damaged file.
    #[error("the manifest cannot be used")]
    Sqlite(#[from] rusqlite::Error),
    /// The file or its lock cannot be created.
    #[error("{path} cannot be opened{}", disk::whose(Path::new(path), source))]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The plan beside it cannot be written.
    #[error("{path} cannot be written{}", disk::whose(Path::new(path), source))]
    Plan {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// It was written by a newer grab.
    #[error("the manifest has schema version {found}, this grab knows versions up to {known}")]
    TooNew {
        /// The file's version.
        found: u32,
        /// The newest version that this program knows.
        known: u32,
    },
    /// It was written by an older grab, and nothing that only reads changes it.
    #[error(
        "{path} has schema version {found}: this grab reads version {known} only, and has to migrate it before"
    )]
    TooOld {
        /// The file's version.
        found: u32,
        /// The version that this program reads.
        known: u32,
        /// The file.
        path: String,
    },
    /// A `SQLite` file, but not one of ours.
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
    /// There is no manifest any more: the plan beside it says that there was one.
    #[error("{path} does not exist, or is empty, and {PLAN_NAME} beside it says what was asked for here")]
    Lost {
        /// The file.
        path: String,
    },
    /// The directory holds bars of another kind than was asked for.
    #[error("this data directory holds {held}, not {asked}")]
    OtherKind {
        /// What it holds.
        held: StoreKind,
        /// What was asked for.
        asked: StoreKind,
    },
    /// Another process holds the directory.
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
    /// The recorder's thread has ended.
    #[error("the recorder has stopped")]
    Stopped,
}

impl ManifestError {
    /// Whether it says that the manifest is damaged, rather than that it cannot be had at the moment.
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
