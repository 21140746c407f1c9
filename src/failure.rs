//! Why a command could not do its work, with the exit code and the advice that belong to it.

use std::{
    io,
    path::{Path, PathBuf},
};

use grab_core::{
    disk::DiskTrouble,
    engine::StopReason,
    exit::ExitStatus,
    export::ExportError,
    manifest::{FILE_NAME, ManifestError, StoreKind},
    store::StoreError,
    verify::VerifyError,
};
use grab_sandbox::SandboxError;
use rusqlite::ErrorCode;
use thiserror::Error;

use super::{called, disk, settings::SANDBOX_DATA_DIR};

/// Why a command failed.
#[derive(Debug, Error)]
pub enum Failure {
    /// The command line or the environment is wrong.
    #[error("{0}")]
    Usage(String),
    /// A spec, a config file or a tickers file is wrong.
    #[error("{0}")]
    Config(String),
    /// The key is missing or cannot be one.
    #[error("{0}")]
    Key(String),
    /// The run was stopped by what the source or the disk said.
    #[error("{}", stopped(.0))]
    Stopped(StopReason),
    /// What was ordered by a list is not planned yet: the list is not there.
    #[error("the universe is not there yet, and nothing of it is planned: {0}")]
    Unplanned(Box<Failure>),
    /// Another process exports to the same folder.
    #[error("another grab exports to {} at this moment", path.display())]
    OutHeld {
        /// The folder.
        path: PathBuf,
    },
    /// A witness cannot be fetched, as another process holds the directory.
    #[error("another grab{} holds this data directory: what --witness grouped-daily fetches cannot be kept meanwhile", holder.map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    WitnessLocked {
        /// Its process id, if it could be read.
        holder: Option<u32>,
    },
    /// The host that the directory was told before cannot be reached.
    #[error("{why}")]
    Remembered {
        /// The host, as a URL.
        host: String,
        /// What came of it.
        why: Box<Failure>,
    },
    /// What a list was asked for is not in the plan, or not there.
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
    /// The HTTP client cannot be set up: there is no certificate to trust.
    #[error("the HTTP client cannot be set up")]
    Client(#[source] reqwest::Error),
    /// What was done cannot be told: stdout is full.
    #[error("the report cannot be written to stdout")]
    Report(#[source] io::Error),
    /// The system gives no threads or signals.
    #[error("the system refuses")]
    System(#[from] io::Error),
}

fn stopped(reason: &StopReason) -> String {
    match reason {
        StopReason::Interrupted => "a signal asked to stop".to_owned(),
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

impl From<VerifyError> for Failure {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Manifest(error) => Self::Manifest(error),
            VerifyError::Store(error) => Self::Store(error),
        }
    }
}

impl From<ExportError> for Failure {
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

impl Failure {
    /// The exit code that belongs to it.
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
            Self::System(error) => disk::exit_of_system(error),
        }
    }

    /// What to do about it, if there is advice.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Key(_) => Some(no_key()),
            Self::Unplanned(why) => {
                why.hint().or(Some("`grab resume` goes on where this was stopped".to_owned()))
            }
            Self::Remembered { host, .. } => Some(format!(
                "no task was burnt: {host} is the host that this directory was told by grab start. If it is up again, \
                 `grab resume` goes on; --base-url asks another one, and with grab start it is remembered"
            )),
            Self::Manifest(ManifestError::Missing { .. }) => Some(nothing_there()),
            Self::Manifest(ManifestError::OtherKind { held, asked }) => Some(other_kind(*held, *asked)),
            Self::Usage(_)
            | Self::Config(_)
            | Self::Stopped(_)
            | Self::NoList(_)
            | Self::OutHeld { .. }
            | Self::WitnessLocked { .. }
            | Self::Manifest(_)
            | Self::Store(_)
            | Self::Damaged(_)
            | Self::Sandbox(_)
            | Self::Client(_)
            | Self::Report(_)
            | Self::System(_) => self.fixed_hint().map(str::to_owned),
        }
    }

    /// The advice that is the same wherever it is needed.
    fn fixed_hint(&self) -> Option<&'static str> {
        match self {
            Self::Stopped(StopReason::KeyRefused(_)) => {
                Some("no task was burnt: check the key, then `grab resume` goes on")
            }
            Self::Stopped(StopReason::Unreachable(_)) => Some(
                "no task was burnt: check --base-url, network, proxy and --ca-bundle, then `grab resume` goes on",
            ),
            Self::OutHeld { .. } => Some("wait for it to end, or choose another --out"),
            Self::WitnessLocked { .. } => Some(
                "wait for it to end; `grab verify` without --witness grouped-daily works meanwhile, with what is kept",
            ),
            Self::NoList(_) => {
                Some("give the symbols by --tickers-file instead; `grab universe sync` says more")
            }
            Self::Damaged(_) => Some(
                "no file is half written, and those that were exported before it are whole; `grab verify --deep` names all \
                 that is damaged",
            ),
            Self::Client(_) => Some(
                "no task was burnt: install the platform's certificates (often a package named ca-certificates) or give \
                 --ca-bundle, then `grab resume` goes on",
            ),
            Self::Stopped(StopReason::Disk { trouble, .. }) => Some(disk::advice(*trouble)),
            Self::Stopped(StopReason::Manifest) => Some(disk::advice(DiskTrouble::Other)),
            Self::Store(error) => Some(disk::advice(DiskTrouble::of(error))),
            Self::System(error) => disk::advice_of_system(error),
            Self::Manifest(error) if is_disk_trouble(error) => Some(disk::advice(DiskTrouble::of(error))),
            Self::Manifest(ManifestError::Lost { .. }) => Some(
                "`grab repair --rebuild-manifest` makes it anew; to begin anew without it, move plan.jsonl away",
            ),
            Self::Manifest(error) if is_busy(error) => {
                Some("another program has it open and is writing: close it, then repeat the command")
            }
            Self::Manifest(error) if error.is_damage() => Some(
                "the bars are not touched: `grab repair --rebuild-manifest` sets the damaged manifest aside and makes it \
                 anew from them",
            ),
            Self::Manifest(ManifestError::Locked { .. }) => {
                Some("wait for it to end; `grab status`, `grab verify` and `grab export` work meanwhile")
            }
            Self::Manifest(ManifestError::TooNew { .. }) => Some("use the newer grab that wrote it"),
            Self::Manifest(ManifestError::TooOld { .. }) => Some(
                "`grab resume` migrates it, as does every command that writes, if its user may write there; nothing is lost",
            ),
            Self::Usage(_)
            | Self::Config(_)
            | Self::Key(_)
            | Self::Stopped(_)
            | Self::Remembered { .. }
            | Self::Unplanned(_)
            | Self::Manifest(_)
            | Self::Sandbox(_)
            | Self::Report(_) => None,
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

fn no_key() -> String {
    let key = "set MASSIVE_API_KEY (or POLYGON_API_KEY), or let GRAB_API_KEY_FILE name a file with the key";
    match called::again_in_sandbox() {
        Some(again) if again.starts_with("grab start ") && !again.contains("--base-url") => {
            format!("{key}; without one, `{again}` shows how it goes with bars that are made up")
        }
        Some(_) | None => format!("{key}; --sandbox needs none"),
    }
}

fn nothing_there() -> String {
    let made_up = Path::new(SANDBOX_DATA_DIR).join(FILE_NAME);
    if called::is_default_place()
        && made_up.exists()
        && let Some(again) = called::again(&format!("--data-dir {SANDBOX_DATA_DIR}"))
    {
        return format!("what the sandbox has made up is in ./{SANDBOX_DATA_DIR}: `{again}`");
    }
    "begin with `grab start --windows 2024 --tickers AAPL,MSFT`, or name the right directory with --data-dir; if there are \
     bars without a manifest, `grab repair --rebuild-manifest`"
        .to_owned()
}

fn other_kind(held: StoreKind, asked: StoreKind) -> String {
    let again = |more: &str| called::again(more).map(|again| format!(": `{again}`")).unwrap_or_default();
    match (held.sandbox, asked.sandbox) {
        (true, false) => format!(
            "what the service has goes into another --data-dir; to go on with made-up bars, add --sandbox{}",
            again("--sandbox")
        ),
        (false, true) => format!(
            "what is made up goes into another --data-dir: where none is named, --sandbox uses ./{SANDBOX_DATA_DIR}"
        ),
        (true, true) | (false, false) => {
            let kind = if held.adjusted { "--adjusted=true" } else { "--adjusted=false" };
            format!("a directory holds one kind: use another --data-dir, or {kind} here")
        }
    }
}

/// Whether some other program writes it and does not let go.
fn is_busy(error: &ManifestError) -> bool {
    matches!(code(error), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Whether the manifest is good, and its disk is not.
fn is_disk_trouble(error: &ManifestError) -> bool {
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

/// What `SQLite` said, if it was `SQLite`.
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

/// A folder that is gone while it is used is no wrong place.
fn store_exit(error: &StoreError) -> ExitStatus {
    let exit = disk::exit_at(DiskTrouble::of(error));
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
            disk::exit_at(DiskTrouble::of(source))
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
