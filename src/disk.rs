//! What to do about a disk that refuses, and the exit code that belongs to it.

use std::io;

use grab_core::{disk::DiskTrouble, exit::ExitStatus};

/// The exit code of a command that could not use a place: 2 if it is the wrong one, which is found out at once, else 30.
#[must_use]
pub fn exit_at(trouble: DiskTrouble) -> ExitStatus {
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
        | DiskTrouble::Unpromised
        | DiskTrouble::NoLocks
        | DiskTrouble::Gone
        | DiskTrouble::Broken
        | DiskTrouble::Other => ExitStatus::Disk,
    }
}

/// The exit code where the system gives no threads, files or memory.
#[must_use]
pub fn exit_of_system(error: &io::Error) -> ExitStatus {
    if is_short(error) { ExitStatus::Disk } else { ExitStatus::Bug }
}

/// What to do about that.
#[must_use]
pub fn advice_of_system(error: &io::Error) -> Option<&'static str> {
    is_short(error).then(|| advice(DiskTrouble::of(error)))
}

fn is_short(error: &io::Error) -> bool {
    matches!(DiskTrouble::of(error), DiskTrouble::TooManyOpen | DiskTrouble::Exhausted)
}

/// What to do.
#[must_use]
pub fn advice(trouble: DiskTrouble) -> &'static str {
    match trouble {
        DiskTrouble::Full => {
            "nothing is lost: make room (`df -h` says how much is left, `df -i` how many files), then repeat the command, or \
             `grab resume` goes on"
        }
        DiskTrouble::Quota => {
            "nothing is lost: your quota on this file system is used up. Remove files, or have it raised, then repeat the \
             command, or `grab resume` goes on"
        }
        DiskTrouble::ReadOnly => {
            "nothing is lost: this file system is mounted read-only, as some are after an error (`dmesg` says so). Mount it \
             for writing, or choose another place; then repeat the command, or `grab resume` goes on"
        }
        DiskTrouble::Denied => {
            "nothing is lost: run the command as the user to whom this belongs, or have that user give you the right, or \
             choose another place; then repeat the command, or `grab resume` goes on"
        }
        DiskTrouble::InTheWay => {
            "nothing is lost: a file is where a folder is needed, or the reverse. Move it away, or choose another place; then \
             repeat the command, or `grab resume` goes on"
        }
        DiskTrouble::Missing => {
            "nothing is lost: there is no such place, and it cannot be made. Choose another one; then repeat the command, or \
             `grab resume` goes on"
        }
        DiskTrouble::TooManyOpen => {
            "nothing is lost: the system lets this process have too few files and connections open. Raise the limit \
             (`ulimit -n 1024`) or lower --concurrency; then repeat the command, or `grab resume` goes on"
        }
        DiskTrouble::Exhausted => {
            "nothing is lost: the system has no memory or no threads left for this process (`ulimit -a` shows its limits). \
             Then repeat the command, or `grab resume` goes on"
        }
        DiskTrouble::NameTooLong => {
            "nothing is lost: the path is longer than this file system allows. Choose a shorter one; then repeat the command, \
             or `grab resume` goes on"
        }
        DiskTrouble::TooLarge => {
            "nothing is lost: the file is larger than this file system, or `ulimit -f`, allows. Raise the limit, or choose \
             another place; then repeat the command, or `grab resume` goes on"
        }
        DiskTrouble::Unpromised => {
            "nothing is lost: after a power failure files could be missing or damaged here, as on some network and FUSE file \
             systems. A --data-dir on a local disk is safe. To go on here all the same, repeat the command with \
             --allow-unsynced, or set GRAB_ALLOW_UNSYNCED=true; then `grab resume` goes on, too"
        }
        DiskTrouble::NoLocks => {
            "nothing is lost: this file system has no locks, or no memory that processes share, and the manifest needs both. \
             Choose a --data-dir on a local disk; then repeat the command, or `grab resume` goes on"
        }
        DiskTrouble::Gone => {
            "nothing is lost: the network share or the device is gone. Mount it again, then repeat the command, or \
             `grab resume` goes on"
        }
        DiskTrouble::Broken => {
            "nothing is lost that was reported as stored: the device reports an error (`dmesg` says more). Once it is well, \
             or what is there was copied to another one, repeat the command, or `grab resume` goes on"
        }
        DiskTrouble::Other => {
            "nothing is lost: once this is mended, repeat the command, or `grab resume` goes on"
        }
    }
}
