//! Advice after a failure: what to do, where the error itself only says what happened.

use std::{io, path::Path};

use grab_core::{
    data_dir::MANIFEST,
    disk::DiskTrouble,
    engine::StopReason,
    manifest::{ManifestError, StoreKind},
};
use grab_ops::{Error, is_busy, is_disk_trouble};

use super::{called, settings::SANDBOX_DATA_DIR};

/// Advice about an error. None if no advice helps.
#[must_use]
pub fn hint(error: &Error) -> Option<String> {
    match error {
        Error::Key(_) => Some(no_key()),
        Error::Unplanned(why) => {
            hint(why).or(Some("`grab resume` continues where this was stopped".to_owned()))
        }
        Error::Remembered { host, .. } => Some(format!(
            "no task failed because of it: {host} is the saved host of this directory. Once it can be reached, \
                 `grab resume` continues; --base-url names another host, and grab start saves it"
        )),
        Error::Manifest(ManifestError::Missing { .. }) => Some(nothing_there()),
        Error::Manifest(ManifestError::OtherKind { stored, requested }) => {
            Some(other_kind(*stored, *requested))
        }
        Error::Usage(_)
        | Error::Config(_)
        | Error::Stopped(_)
        | Error::NoList(_)
        | Error::OutHeld { .. }
        | Error::WitnessLocked { .. }
        | Error::Manifest(_)
        | Error::Store(_)
        | Error::Damaged(_)
        | Error::Sandbox(_)
        | Error::Client(_)
        | Error::Report(_)
        | Error::System(_) => fixed_hint(error).map(|advice| of_command(advice, called::has_data_dir())),
    }
}

/// Advice for this command: one without a data directory, such as `grab man`, has nothing that could be lost or continued.
fn of_command(advice: &str, has_data_dir: bool) -> String {
    if has_data_dir {
        return advice.to_owned();
    }
    let advice = advice.strip_prefix("nothing is lost: ").unwrap_or(advice);
    advice.replace(", or `grab resume` continues", "")
}

/// Advice that does not depend on the context.
fn fixed_hint(error: &Error) -> Option<&'static str> {
    match error {
        Error::Stopped(StopReason::KeyRefused(_)) => {
            Some("no task failed because of it: check the key, then `grab resume` continues")
        }
        Error::Stopped(StopReason::Unreachable(_)) => Some(
            "no task failed because of it: check --base-url, network, proxy and --ca-bundle, then `grab resume` continues",
        ),
        Error::OutHeld { .. } => Some("wait for it to end, or choose another --out"),
        Error::WitnessLocked { .. } => Some(
            "wait for it to end; `grab verify` without --witness grouped-daily works meanwhile, with the stored witness",
        ),
        Error::NoList(_) => {
            Some("give the symbols by --tickers-file instead; `grab universe sync` says more")
        }
        Error::Damaged(_) => Some(
            "no file is incomplete, and the files that were exported before are good; `grab verify --deep` names all \
                 damage",
        ),
        Error::Client(_) => Some(
            "no task failed because of it: install the platform's certificates (often a package named ca-certificates) or give \
                 --ca-bundle, then `grab resume` continues",
        ),
        Error::Stopped(StopReason::Disk { trouble, .. }) => Some(advice(*trouble)),
        Error::Stopped(StopReason::Manifest) => Some(advice(DiskTrouble::Other)),
        Error::Store(error) => Some(advice(DiskTrouble::of(error))),
        Error::System(error) => advice_of_system(error),
        Error::Manifest(error) if is_disk_trouble(error) => Some(advice(DiskTrouble::of(error))),
        Error::Manifest(ManifestError::Lost { .. }) => Some(
            "`grab repair --rebuild-manifest` rebuilds it; to begin again without it, move plan.jsonl away",
        ),
        Error::Manifest(error) if is_busy(error) => {
            Some("another program has it open and is writing: close it, then repeat the command")
        }
        Error::Manifest(error) if error.is_damage() => Some(
            "the bars are not touched: `grab repair --rebuild-manifest` moves the damaged manifest away and rebuilds \
                 it from them",
        ),
        Error::Manifest(ManifestError::Locked { .. }) => {
            Some("wait for it to end; `grab status`, `grab verify` and `grab export` work meanwhile")
        }
        Error::Manifest(ManifestError::TooNew { .. }) => Some("use the newer grab that wrote it"),
        Error::Manifest(ManifestError::TooOld { .. }) => Some(
            "`grab resume` migrates it, as does every command that writes, if its user may write there; nothing is lost",
        ),
        Error::Usage(_)
        | Error::Config(_)
        | Error::Key(_)
        | Error::Stopped(_)
        | Error::Remembered { .. }
        | Error::Unplanned(_)
        | Error::Manifest(_)
        | Error::Sandbox(_)
        | Error::Report(_) => None,
    }
}

fn no_key() -> String {
    let key = "set MASSIVE_API_KEY (or POLYGON_API_KEY), or let GRAB_API_KEY_FILE name a file with the key";
    match called::again_in_sandbox() {
        Some(again) if again.starts_with("grab start ") && !again.contains("--base-url") => {
            format!("{key}; without one, `{again}` shows how it works with simulated bars")
        }
        Some(_) | None => format!("{key}; --sandbox needs none"),
    }
}

fn nothing_there() -> String {
    let made_up = Path::new(SANDBOX_DATA_DIR).join(MANIFEST);
    if called::is_default_place()
        && made_up.exists()
        && let Some(again) = called::again(&format!("--data-dir {SANDBOX_DATA_DIR}"))
    {
        return format!("the bars of the sandbox are in ./{SANDBOX_DATA_DIR}: `{again}`");
    }
    "begin with `grab start --windows 2024 --tickers AAPL,MSFT`, or name the right directory with --data-dir; if there are \
     bars without a manifest, `grab repair --rebuild-manifest`"
        .to_owned()
}

fn other_kind(stored: StoreKind, requested: StoreKind) -> String {
    let again = |more: &str| called::again(more).map(|again| format!(": `{again}`")).unwrap_or_default();
    match (stored.sandbox, requested.sandbox) {
        (true, false) => format!(
            "real bars need another --data-dir; to continue with simulated bars, add --sandbox{}",
            again("--sandbox")
        ),
        (false, true) => format!(
            "simulated bars need another --data-dir: without one, --sandbox uses ./{SANDBOX_DATA_DIR}"
        ),
        (true, true) | (false, false) => {
            let kind = if stored.adjusted { "--adjusted=true" } else { "--adjusted=false" };
            format!("a directory holds one kind: use another --data-dir, or {kind} here")
        }
    }
}

/// Advice about an error of the system.
fn advice_of_system(error: &io::Error) -> Option<&'static str> {
    is_short(error).then(|| advice(DiskTrouble::of(error)))
}

/// Advice about a disk failure.
fn advice(trouble: DiskTrouble) -> &'static str {
    match trouble {
        DiskTrouble::Full => {
            "nothing is lost: make room (`df -h` says how much is left, `df -i` how many files), then repeat the command, or \
             `grab resume` continues"
        }
        DiskTrouble::Quota => {
            "nothing is lost: your quota on this file system is used up. Remove files, or have it raised, then repeat the \
             command, or `grab resume` continues"
        }
        DiskTrouble::ReadOnly => {
            "nothing is lost: this file system is mounted read-only, as some are after an error (`dmesg` says so). Mount it \
             for writing, or choose another place; then repeat the command, or `grab resume` continues"
        }
        DiskTrouble::Denied => {
            "nothing is lost: run the command as the user to whom this belongs, or have that user give you the right, or \
             choose another place; then repeat the command, or `grab resume` continues"
        }
        DiskTrouble::InTheWay => {
            "nothing is lost: a file is where a folder is needed, or the reverse. Move it away, or choose another place; then \
             repeat the command, or `grab resume` continues"
        }
        DiskTrouble::Missing => {
            "nothing is lost: this path does not exist and cannot be created. Choose another one; then repeat the command, or \
             `grab resume` continues"
        }
        DiskTrouble::TooManyOpen => {
            "nothing is lost: the system lets this process have too few files and connections open. Raise the limit \
             (`ulimit -n 1024`) or lower --concurrency; then repeat the command, or `grab resume` continues"
        }
        DiskTrouble::Exhausted => {
            "nothing is lost: the system has no memory or no threads left for this process (`ulimit -a` shows its limits). \
             Then repeat the command, or `grab resume` continues"
        }
        DiskTrouble::NameTooLong => {
            "nothing is lost: the path is longer than this file system allows. Choose a shorter one; then repeat the command, \
             or `grab resume` continues"
        }
        DiskTrouble::TooLarge => {
            "nothing is lost: the file is larger than this file system, or `ulimit -f`, allows. Raise the limit, or choose \
             another place; then repeat the command, or `grab resume` continues"
        }
        DiskTrouble::MissingFsync => {
            "nothing is lost: after a power failure files could be missing or damaged here, as on some network and FUSE file \
             systems. A --data-dir on a local disk is safe. To continue here all the same, repeat the command with \
             --allow-unsynced, or set GRAB_ALLOW_UNSYNCED=true; then `grab resume` continues, too"
        }
        DiskTrouble::NoLocks => {
            "nothing is lost: this file system has no locks, or no memory that processes share, and the manifest needs both. \
             Choose a --data-dir on a local disk; then repeat the command, or `grab resume` continues"
        }
        DiskTrouble::Gone => {
            "nothing is lost: the network share or the device is gone. Mount it again, then repeat the command, or \
             `grab resume` continues"
        }
        DiskTrouble::Broken => {
            "nothing is lost that was reported as stored: the device reports an error (`dmesg` says more). Once it is repaired, \
             or the data are copied to another one, repeat the command, or `grab resume` continues"
        }
        DiskTrouble::Other => {
            "nothing is lost: once this is repaired, repeat the command, or `grab resume` continues"
        }
    }
}

fn is_short(error: &io::Error) -> bool {
    matches!(DiskTrouble::of(error), DiskTrouble::TooManyOpen | DiskTrouble::Exhausted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_without_a_data_directory_is_not_told_to_resume() {
        for trouble in [DiskTrouble::Full, DiskTrouble::Missing, DiskTrouble::Denied, DiskTrouble::Other] {
            let advice = advice(trouble);
            assert_eq!(of_command(advice, true), advice);
            let without = of_command(advice, false);
            assert!(!without.contains("resume") && without.ends_with("repeat the command"), "{without}");
        }
    }
}
