//! Why a job failed, and its exit code.

use std::{io, path::PathBuf};

use grab_core::{
    disk::DiskTrouble,
    engine::{RecoveryError, StopReason},
    exit::ExitStatus,
    export::ExportError,
    manifest::ManifestError,
    store::StoreError,
    verify::VerifyError,
};
use grab_sandbox::SandboxError;
use rusqlite::ErrorCode;
use thiserror::Error as ThisError;

/// Why a job failed.
#[derive(Debug, ThisError)]
pub enum Error {
    /// The command line or the environment is wrong.
    #[error("{0}")]
    Usage(String),
    /// A spec, a config file or a tickers file is wrong.
    #[error("{0}")]
    Config(String),
    /// The key is missing or not valid.
    #[error("{0}")]
    Key(String),
    /// The run was stopped by the source or the disk.
    #[error("{}", stopped(.0))]
    Stopped(StopReason),
    /// A subscription is not planned yet: its list is not there.
    #[error("the universe is not stored yet, so its tasks are not planned: {0}")]
    Unplanned(Box<Error>),
    /// Another process exports to the same folder.
    #[error("another grab exports to {} at this moment", path.display())]
    OutHeld {
        /// The folder.
        path: PathBuf,
    },
    /// A witness cannot be fetched, because another process holds the lock of the directory.
    #[error("another grab{} holds this data directory: --witness grouped-daily cannot store what it fetches", holder.map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    WitnessLocked {
        /// Its process id, if it could be read.
        holder: Option<u32>,
    },
    /// The saved host of the directory cannot be reached.
    #[error("{why}")]
    Remembered {
        /// The host, as a URL.
        host: String,
        /// The failure.
        why: Box<Error>,
    },
    /// A list is not in the plan, or not there.
    #[error("{0}")]
    NoList(String),
    /// The manifest cannot be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file of the data directory is not what was stored.
    #[error(transparent)]
    Damaged(StoreError),
    /// The sandbox cannot be started.
    #[error("the sandbox cannot start")]
    Sandbox(#[from] SandboxError),
    /// The HTTP client cannot be set up: there is no trusted certificate.
    #[error("the HTTP client cannot be set up")]
    Client(#[source] reqwest::Error),
    /// The report cannot be written: stdout is full.
    #[error("the report cannot be written to stdout")]
    Report(#[source] io::Error),
    /// The system provides no threads or signals.
    #[error("the system refuses")]
    System(#[from] io::Error),
}

fn stopped(reason: &StopReason) -> String {
    match reason {
        StopReason::Interrupted => "stopped by a signal".to_owned(),
        StopReason::Duration => "--max-duration is over".to_owned(),
        StopReason::Requests => "--max-requests are spent".to_owned(),
        StopReason::KeyRefused(what) | StopReason::Unreachable(what) | StopReason::Disk { what, .. } => {
            what.clone()
        }
        StopReason::SourceLost(what) => format!("the source did not come back: {what}"),
        StopReason::NotYet(what) => format!("not served yet: {what}"),
        StopReason::Manifest => "the manifest cannot be written".to_owned(),
    }
}

impl From<VerifyError> for Error {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Manifest(error) => Self::Manifest(error),
            VerifyError::Store(error) => Self::Store(error),
        }
    }
}

impl From<RecoveryError> for Error {
    fn from(error: RecoveryError) -> Self {
        match error {
            RecoveryError::Manifest(error) => Self::Manifest(error),
            RecoveryError::Store(error) => Self::Store(error),
        }
    }
}

impl From<ExportError> for Error {
    fn from(error: ExportError) -> Self {
        let is_damage = error.is_damage();
        match error {
            ExportError::Manifest(error) => Self::Manifest(error),
            ExportError::Store(error) if is_damage => Self::Damaged(error),
            ExportError::Store(error) => Self::Store(error),
            ExportError::Foreign { .. } => Self::Usage(error.to_string()),
            ExportError::Held { path } => Self::OutHeld { path },
            ExportError::Out { path, source } => Self::Store(StoreError::Io { action: "use", path, source }),
        }
    }
}

impl Error {
    /// The exit code of this error.
    #[must_use]
    pub fn exit(&self) -> ExitStatus {
        match self {
            Self::Usage(_) | Self::Sandbox(_) => ExitStatus::Usage,
            Self::Config(_) => ExitStatus::Config,
            Self::Unplanned(why) | Self::Remembered { why, .. } => why.exit(),
            Self::NoList(_) => ExitStatus::Unsuccessful,
            Self::WitnessLocked { .. } | Self::OutHeld { .. } => ExitStatus::Locked,
            Self::Damaged(_) => ExitStatus::Damage,
            Self::Key(_) | Self::Stopped(StopReason::KeyRefused(_)) => ExitStatus::Key,
            Self::Stopped(StopReason::Interrupted) => ExitStatus::Interrupted,
            Self::Stopped(
                StopReason::Duration
                | StopReason::Requests
                | StopReason::SourceLost(_)
                | StopReason::NotYet(_),
            ) => ExitStatus::Incomplete,
            Self::Stopped(StopReason::Unreachable(_)) | Self::Client(_) => ExitStatus::Unreachable,
            Self::Stopped(StopReason::Disk { .. } | StopReason::Manifest) | Self::Report(_) => {
                ExitStatus::Disk
            }
            Self::Store(error) => store_exit(error),
            Self::Manifest(error) => manifest_exit(error),
            Self::System(error) => exit_of_system(error),
        }
    }

    /// The whole chain of causes in one line.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            text = format!("{text}: {error}");
            source = error.source();
        }
        text
    }
}

/// Whether another program writes the manifest and does not release it.
#[must_use]
pub fn is_busy(error: &ManifestError) -> bool {
    matches!(code(error), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Whether the manifest is intact and its disk fails.
#[must_use]
pub fn is_disk_trouble(error: &ManifestError) -> bool {
    let trouble = matches!(
        code(error),
        Some(
            ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
        )
    );
    trouble || matches!(error, ManifestError::Io { .. } | ManifestError::Plan { .. })
}

/// The error code of `SQLite`. None for other errors.
fn code(error: &ManifestError) -> Option<ErrorCode> {
    match error {
        ManifestError::Sqlite(error) => error.sqlite_error_code(),
        ManifestError::Io { .. }
        | ManifestError::Plan { .. }
        | ManifestError::TooNew { .. }
        | ManifestError::TooOld { .. }
        | ManifestError::Foreign { .. }
        | ManifestError::Missing { .. }
        | ManifestError::Lost { .. }
        | ManifestError::OtherKind { .. }
        | ManifestError::Locked { .. }
        | ManifestError::Illegal(_)
        | ManifestError::Corrupt(_)
        | ManifestError::Stopped => None,
    }
}

/// A folder that disappears during use is a disk failure, not a wrong path.
fn store_exit(error: &StoreError) -> ExitStatus {
    let exit = exit_at(DiskTrouble::of(error));
    match error {
        StoreError::Io { action, source, .. }
            if *action != "create" && DiskTrouble::of(source) == DiskTrouble::Missing =>
        {
            ExitStatus::Disk
        }
        StoreError::Io { .. }
        | StoreError::Impossible { .. }
        | StoreError::Damaged { .. }
        | StoreError::Changed { .. }
        | StoreError::Misplaced { .. }
        | StoreError::Reference { .. }
        | StoreError::Encode(_)
        | StoreError::OutsideMonth { .. } => exit,
    }
}

fn manifest_exit(error: &ManifestError) -> ExitStatus {
    match error {
        ManifestError::Locked { .. } => ExitStatus::Locked,
        ManifestError::TooNew { .. } | ManifestError::TooOld { .. } => ExitStatus::OtherVersion,
        ManifestError::Missing { .. }
        | ManifestError::Lost { .. }
        | ManifestError::Foreign { .. }
        | ManifestError::OtherKind { .. } => ExitStatus::Usage,
        ManifestError::Io { source, .. } | ManifestError::Plan { source, .. } => {
            exit_at(DiskTrouble::of(source))
        }
        ManifestError::Corrupt(_) => ExitStatus::Disk,
        ManifestError::Sqlite(_) if is_disk_trouble(error) => ExitStatus::Disk,
        ManifestError::Sqlite(_) if is_busy(error) => ExitStatus::Locked,
        ManifestError::Sqlite(error) => match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => ExitStatus::Disk,
            _ => ExitStatus::Bug,
        },
        ManifestError::Illegal(_) | ManifestError::Stopped => ExitStatus::Bug,
    }
}

/// The exit code for an unusable path: 2 if it is the wrong one, which shows at once, else 30.
fn exit_at(trouble: DiskTrouble) -> ExitStatus {
    match trouble {
        DiskTrouble::Denied | DiskTrouble::InTheWay | DiskTrouble::Missing | DiskTrouble::NameTooLong => {
            ExitStatus::Usage
        }
        DiskTrouble::Full
        | DiskTrouble::Quota
        | DiskTrouble::ReadOnly
        | DiskTrouble::TooManyOpen
        | DiskTrouble::Exhausted
        | DiskTrouble::TooLarge
        | DiskTrouble::MissingFsync
        | DiskTrouble::NoLocks
        | DiskTrouble::Gone
        | DiskTrouble::Broken
        | DiskTrouble::Other => ExitStatus::Disk,
    }
}

/// The exit code if the system provides no threads, files or memory.
fn exit_of_system(error: &io::Error) -> ExitStatus {
    if is_short(error) { ExitStatus::Disk } else { ExitStatus::Bug }
}

fn is_short(error: &io::Error) -> bool {
    matches!(DiskTrouble::of(error), DiskTrouble::TooManyOpen | DiskTrouble::Exhausted)
}
