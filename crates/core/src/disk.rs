//! What a file system guarantees, and why a disk operation failed.
//!
//! A file's bytes and the names in a folder are on stable storage once fsync has returned. Some file systems (FUSE,
//! SMB, 9p, some of NFS) have no fsync for folders and fail with EINVAL, EBADF, ENOSYS or ENOTSUP. Then nothing
//! guarantees that a name survives a power failure, and that is an error ([`MissingFsync`]), unless the user accepts it
//! ([`accept_missing_fsync`]).

use std::{
    error::Error,
    fs::File,
    io,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use rusqlite::ErrorCode;
use thiserror::Error;

/// The file system has no fsync, and so does not guarantee that `what` is durable.
#[derive(Debug, Error)]
#[error("this file system does not promise that {what} survives a power failure")]
pub struct MissingFsync {
    what: &'static str,
    source: io::Error,
}

/// The process may not open as many files and connections as it may need.
#[derive(Debug, Error)]
#[error("the system lets this process have {limit} files and connections open, and it needs up to {needed}")]
struct TooFewOpen {
    limit: u64,
    needed: u64,
}

/// The kind of a disk error, as far as the error tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskTrouble {
    /// No space, or no room for more files.
    Full,
    /// The user's quota is used up.
    Quota,
    /// The file system is read-only.
    ReadOnly,
    /// The user has no permission there.
    Denied,
    /// Something else has this path, or a part of the path is not a folder.
    InTheWay,
    /// There is no such folder.
    Missing,
    /// The process, or the machine, has too many files open.
    TooManyOpen,
    /// The machine has no memory or no more threads.
    Exhausted,
    /// A name or a path is longer than the file system allows.
    NameTooLong,
    /// A file is larger than the file system or a limit of the process allows.
    TooLarge,
    /// The file system has no fsync.
    MissingFsync,
    /// The file system has no locks, or no memory that processes share: the manifest needs both.
    NoLocks,
    /// A network share or a device is no longer connected.
    Gone,
    /// The device reports an error.
    Broken,
    /// Anything else.
    Other,
}

/// The errors for which the standard library has a name.
const KINDS: [(io::ErrorKind, DiskTrouble); 18] = [
    (io::ErrorKind::StorageFull, DiskTrouble::Full),
    (io::ErrorKind::QuotaExceeded, DiskTrouble::Quota),
    (io::ErrorKind::ReadOnlyFilesystem, DiskTrouble::ReadOnly),
    (io::ErrorKind::PermissionDenied, DiskTrouble::Denied),
    (io::ErrorKind::NotADirectory, DiskTrouble::InTheWay),
    (io::ErrorKind::IsADirectory, DiskTrouble::InTheWay),
    (io::ErrorKind::AlreadyExists, DiskTrouble::InTheWay),
    (io::ErrorKind::DirectoryNotEmpty, DiskTrouble::InTheWay),
    (io::ErrorKind::NotFound, DiskTrouble::Missing),
    (io::ErrorKind::InvalidFilename, DiskTrouble::NameTooLong),
    (io::ErrorKind::FileTooLarge, DiskTrouble::TooLarge),
    (io::ErrorKind::OutOfMemory, DiskTrouble::Exhausted),
    (io::ErrorKind::WouldBlock, DiskTrouble::Exhausted),
    (io::ErrorKind::StaleNetworkFileHandle, DiskTrouble::Gone),
    (io::ErrorKind::NotConnected, DiskTrouble::Gone),
    (io::ErrorKind::TimedOut, DiskTrouble::Gone),
    (io::ErrorKind::HostUnreachable, DiskTrouble::Gone),
    (io::ErrorKind::NetworkDown, DiskTrouble::Gone),
];

/// Whether the user accepts file systems without these guarantees.
static IS_ACCEPTED: AtomicBool = AtomicBool::new(false);

/// Whether the warning about a missing guarantee was logged.
static IS_REPORTED: AtomicBool = AtomicBool::new(false);

/// From now on, a missing guarantee is logged once and is not an error.
pub fn accept_missing_fsync() {
    IS_ACCEPTED.store(true, Ordering::Relaxed);
}

/// Makes the bytes of a file durable, then calls `after`, which may make the step fail.
///
/// # Errors
/// If the system refuses; [`MissingFsync`] inside of it if the file system has no fsync.
pub fn sync_file(file: &File, path: &Path, after: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let synced = file.sync_all().and_then(|()| after());
    settled(synced, path, "what is written to a file")
}

/// Makes the names in a folder durable, then calls `after`, which may make the step fail.
///
/// # Errors
/// As for [`sync_file`].
pub fn sync_folder(folder: &Path, after: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let synced = File::open(folder).and_then(|open| open.sync_all());
    settled(synced.and_then(|()| after()), folder, "the name of a new file or folder")
}

fn settled(synced: io::Result<()>, path: &Path, what: &'static str) -> io::Result<()> {
    match synced {
        Err(source) if is_without_fsync(&source) => {
            if !IS_ACCEPTED.load(Ordering::Relaxed) {
                return Err(io::Error::new(source.kind(), MissingFsync { what, source }));
            }
            if !IS_REPORTED.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    "{}: this file system does not promise that {what} survives a power failure ({source}): accepted, as \
                     --allow-unsynced says; after one, `grab verify --deep` names what is damaged or missing",
                    path.display()
                );
            }
            Ok(())
        }
        synced => synced,
    }
}

/// Whether `SQLite` has to work without fsync in a folder: the file system has none for files, and the user accepts
/// that.
///
/// # Errors
/// If a file cannot be created there.
pub fn is_missing_fsync_accepted(folder: &Path) -> io::Result<bool> {
    if !IS_ACCEPTED.load(Ordering::Relaxed) {
        return Ok(false);
    }
    let file = tempfile::tempfile_in(folder)?;
    Ok(file.sync_all().is_err_and(|error| is_without_fsync(&error)))
}

fn is_without_fsync(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let codes = [Errno::INVAL, Errno::BADF, Errno::NOSYS, Errno::NOTSUP, Errno::OPNOTSUPP, Errno::NOTTY];
    codes.iter().any(|code| error.raw_os_error() == Some(code.raw_os_error()))
}

/// Makes sure that the process may open this many files and connections: raises its own limit as far as needed and
/// allowed. Without this check, a limit that is reached in the middle of the work would look like a broken disk or an
/// unreachable service.
///
/// # Errors
/// If the system allows fewer.
pub fn need_open_files(needed: u64) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // None is no limit.
    let Some(limit) = current.filter(|current| *current < needed) else { return Ok(()) };
    let raised = Rlimit { current: Some(needed), maximum };
    if maximum.is_some_and(|most| most < needed) || setrlimit(Resource::Nofile, raised).is_err() {
        let limit = maximum.unwrap_or(limit).max(limit);
        return Err(io::Error::other(TooFewOpen { limit, needed }));
    }
    Ok(())
}

/// Describes the owner of a path, in brackets, if the system denied this process access: of a file, and of the folder
/// that it is or should be in. Empty for other errors.
#[must_use]
pub fn owner_if_denied(path: &Path, error: &io::Error) -> String {
    if DiskTrouble::of(error) == DiskTrouble::Denied { owners(path) } else { String::new() }
}

fn owners(path: &Path) -> String {
    use std::os::unix::fs::MetadataExt;
    let places =
        path.ancestors().map(|place| if place.as_os_str().is_empty() { Path::new(".") } else { place });
    // For a path that does not exist or cannot be read, the folder above it shows the reason.
    let seen = places.filter_map(|place| Some((place, place.symlink_metadata().ok()?)));
    let described: Vec<_> = seen
        .take(if path.is_dir() { 1 } else { 2 })
        .map(|(place, metadata)| {
            let (owner, mode) = (user(metadata.uid()), metadata.mode() & 0o7777);
            format!("{} belongs to {owner}, mode {mode:04o}", place.display())
        })
        .collect();
    format!(" ({}; this process runs as {})", described.join("; "), user(rustix::process::geteuid().as_raw()))
}

/// The name of a user, if it is a local one; else the number.
fn user(id: u32) -> String {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| format!("user {id}"))
}

impl DiskTrouble {
    /// Returns the kind of an error, from the error and its causes.
    #[must_use]
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        let (mut trouble, mut next) = (Self::Other, Some(error));
        while let Some(cause) = next {
            next = cause.source();
            if cause.is::<MissingFsync>() {
                return Self::MissingFsync;
            }
            if cause.is::<TooFewOpen>() {
                return Self::TooManyOpen;
            }
            let found = match (cause.downcast_ref::<io::Error>(), cause.downcast_ref::<rusqlite::Error>()) {
                (Some(error), _) => {
                    // An error that `io::Error` wraps is not returned by `source()`: it is looked at here.
                    let inner = error.get_ref().map_or(Self::Other, |inner| Self::of(inner));
                    if inner == Self::Other { Self::of_system(error) } else { inner }
                }
                (None, Some(error)) => Self::of_manifest(error),
                (None, None) => Self::Other,
            };
            if found != Self::Other {
                // The innermost cause is the most exact one.
                trouble = found;
            }
        }
        trouble
    }

    fn of_system(error: &io::Error) -> Self {
        let known = KINDS.iter().find(|(kind, _)| *kind == error.kind());
        known.map_or_else(|| Self::of_code(error), |(_, trouble)| *trouble)
    }

    fn of_code(error: &io::Error) -> Self {
        use rustix::io::Errno;
        let is = |code: Errno| error.raw_os_error() == Some(code.raw_os_error());
        if is(Errno::MFILE) || is(Errno::NFILE) {
            Self::TooManyOpen
        } else if is(Errno::IO) {
            Self::Broken
        } else if is(Errno::NOLCK) {
            Self::NoLocks
        } else if is(Errno::NODEV) || is(Errno::NXIO) {
            Self::Gone
        } else {
            Self::Other
        }
    }

    fn of_manifest(error: &rusqlite::Error) -> Self {
        use rusqlite::ffi;
        let rusqlite::Error::SqliteFailure(failure, _) = error else { return Self::Other };
        match failure.extended_code {
            // If a missing fsync is accepted, SQLite does not call it: then an fsync error comes from the device.
            ffi::SQLITE_IOERR_FSYNC if IS_ACCEPTED.load(Ordering::Relaxed) => return Self::Broken,
            ffi::SQLITE_IOERR_FSYNC => return Self::MissingFsync,
            ffi::SQLITE_IOERR_SHMOPEN
            | ffi::SQLITE_IOERR_SHMSIZE
            | ffi::SQLITE_IOERR_SHMLOCK
            | ffi::SQLITE_IOERR_SHMMAP
            | ffi::SQLITE_IOERR_LOCK
            | ffi::SQLITE_IOERR_RDLOCK
            | ffi::SQLITE_IOERR_UNLOCK => return Self::NoLocks,
            _ => {}
        }
        if failure.code == ErrorCode::DiskFull {
            Self::Full
        } else if failure.code == ErrorCode::SystemIoFailure {
            Self::Broken
        } else if matches!(failure.code, ErrorCode::ReadOnly | ErrorCode::PermissionDenied) {
            Self::Denied
        } else if failure.code == ErrorCode::OutOfMemory {
            Self::Exhausted
        } else if failure.code == ErrorCode::FileLockingProtocolFailed {
            Self::NoLocks
        } else {
            Self::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    fn system(code: Errno) -> io::Error {
        io::Error::from_raw_os_error(code.raw_os_error())
    }

    #[test]
    fn each_error_of_the_system_has_its_trouble() {
        for (code, trouble) in [
            (Errno::NOSPC, DiskTrouble::Full),
            (Errno::DQUOT, DiskTrouble::Quota),
            (Errno::ROFS, DiskTrouble::ReadOnly),
            (Errno::ACCESS, DiskTrouble::Denied),
            (Errno::PERM, DiskTrouble::Denied),
            (Errno::NOTDIR, DiskTrouble::InTheWay),
            (Errno::ISDIR, DiskTrouble::InTheWay),
            (Errno::EXIST, DiskTrouble::InTheWay),
            (Errno::NOENT, DiskTrouble::Missing),
            (Errno::MFILE, DiskTrouble::TooManyOpen),
            (Errno::NFILE, DiskTrouble::TooManyOpen),
            (Errno::NAMETOOLONG, DiskTrouble::NameTooLong),
            (Errno::FBIG, DiskTrouble::TooLarge),
            (Errno::NOMEM, DiskTrouble::Exhausted),
            (Errno::AGAIN, DiskTrouble::Exhausted),
            (Errno::NOLCK, DiskTrouble::NoLocks),
            (Errno::STALE, DiskTrouble::Gone),
            (Errno::NOTCONN, DiskTrouble::Gone),
            (Errno::IO, DiskTrouble::Broken),
            (Errno::INVAL, DiskTrouble::Other),
        ] {
            assert_eq!(DiskTrouble::of(&system(code)), trouble, "{code}");
            let wrapped = io::Error::other(system(code));
            assert_eq!(DiskTrouble::of(&wrapped), trouble, "{code}, as a library passes it on");
        }
    }

    #[test]
    fn a_limit_of_open_files_that_is_too_low_is_told_before_it_is_reached() {
        need_open_files(16).unwrap();
        let error = need_open_files(u64::MAX / 2).unwrap_err();
        assert_eq!(DiskTrouble::of(&error), DiskTrouble::TooManyOpen);
        assert!(error.to_string().starts_with("the system lets this process have "), "{error}");
    }

    #[test]
    fn a_folder_that_cannot_be_synced_is_told_from_a_broken_disk() {
        let place = Path::new("data");
        for code in [Errno::INVAL, Errno::BADF, Errno::NOSYS, Errno::NOTSUP, Errno::OPNOTSUPP] {
            let error = settled(Err(system(code)), place, "a name").unwrap_err();
            assert_eq!(DiskTrouble::of(&error), DiskTrouble::MissingFsync, "{code}");
            assert!(error.to_string().contains("does not promise that a name survives"), "{error}");
        }
        let error = settled(Err(system(Errno::IO)), place, "a name").unwrap_err();
        assert_eq!(DiskTrouble::of(&error), DiskTrouble::Broken);
    }
}
