//! Steps at which a test lets the program die, or an error happen, to see that nothing is lost by it.
//!
//! `GRAB_FAILPOINT=store.after_rename=kill@3` dies when that step is reached for the third time: at once, without a
//! destructor, as by `kill -9`. With `enospc` or `eio` in place of `kill` the step fails from then on, as on a disk
//! that is full or broken. Without `@3` it begins with the first time.
//!
//! Only a build with debug assertions knows the variable: the one that `cargo test` tests. In a release build
//! [`reached`] is empty, and neither its callers nor the names below are left in the program. (A cargo feature would have
//! to be asked for with each test run. The crate `fail` had its last release in 2022, and brings `rand`, a registry
//! and a language of actions for what are a few lines here.)

use std::{
    env, io,
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
};

/// The variable that names a step and what is to happen there.
const VARIABLE: &str = "GRAB_FAILPOINT";

/// A step on the way of bars to stable storage, or of what a crash has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A folder is about to be created.
    BeforeFolder,
    /// A folder is there, its name not yet durable.
    AfterFolder,
    /// The names of all new folders in one folder are durable.
    AfterNameSync,
    /// An unfinished file is there, empty.
    BeforeWrite,
    /// An unfinished file has all its bytes, none of them durable.
    AfterWrite,
    /// An unfinished file is durable.
    AfterSync,
    /// The file has its final name, which is not yet durable.
    AfterRename,
    /// File and name are durable; the manifest knows nothing of it.
    AfterFolderSync,
    /// An unfinished file of a dead process is about to be removed.
    BeforeSweep,
    /// A new manifest has its file, and no table.
    BeforeMigration,
    /// A transaction of the manifest is written, and not committed.
    BeforeCommit,
    /// A transaction is durable; nobody was told.
    AfterCommit,
}

impl Step {
    /// Every step.
    pub const ALL: [Self; 12] = [
        Self::BeforeFolder,
        Self::AfterFolder,
        Self::AfterNameSync,
        Self::BeforeWrite,
        Self::AfterWrite,
        Self::AfterSync,
        Self::AfterRename,
        Self::AfterFolderSync,
        Self::BeforeSweep,
        Self::BeforeMigration,
        Self::BeforeCommit,
        Self::AfterCommit,
    ];

    /// The name that the variable has for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BeforeFolder => "store.before_folder",
            Self::AfterFolder => "store.after_folder",
            Self::AfterNameSync => "store.after_name_sync",
            Self::BeforeWrite => "store.before_write",
            Self::AfterWrite => "store.after_write",
            Self::AfterSync => "store.after_sync",
            Self::AfterRename => "store.after_rename",
            Self::AfterFolderSync => "store.after_folder_sync",
            Self::BeforeSweep => "store.before_sweep",
            Self::BeforeMigration => "manifest.before_migration",
            Self::BeforeCommit => "manifest.before_commit",
            Self::AfterCommit => "manifest.after_commit",
        }
    }
}

/// Says that a step is reached. Whatever a test has asked for happens here.
///
/// # Errors
/// The one that was asked for; in a release build none.
pub fn reached(step: Step) -> io::Result<()> {
    // Both kinds of build compile the rest, and the optimiser takes it out of the one that never comes here.
    if !cfg!(debug_assertions) {
        return Ok(());
    }
    match &*ASKED {
        Some(Ok(fault)) if fault.is_due(step) => fault.action.happen(),
        None | Some(Ok(_)) => Ok(()),
        Some(Err(wrong)) => Err(io::Error::other(wrong.clone())),
    }
}

/// What this process was asked for.
static ASKED: LazyLock<Option<Result<Fault, String>>> =
    LazyLock::new(|| env::var(VARIABLE).ok().map(|text| Fault::read(&text)));

/// How often the step of this process's fault was reached.
static HITS: AtomicU32 = AtomicU32::new(0);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fault {
    step: Step,
    action: Action,
    first_hit: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Kill,
    Full,
    Broken,
}

impl Fault {
    fn read(text: &str) -> Result<Self, String> {
        let wrong = || format!("{VARIABLE} is {text:?}, not such as store.after_rename=kill@3");
        let (name, rest) = text.split_once('=').ok_or_else(wrong)?;
        let (action, hit) = rest.split_once('@').unwrap_or((rest, "1"));
        let step = Step::ALL.into_iter().find(|step| step.as_str() == name).ok_or_else(wrong)?;
        let action = match action {
            "kill" => Action::Kill,
            "enospc" => Action::Full,
            "eio" => Action::Broken,
            _ => return Err(wrong()),
        };
        Ok(Self { step, action, first_hit: hit.parse().map_err(|_| wrong())? })
    }

    /// Counts the hit, if it is one.
    fn is_due(self, step: Step) -> bool {
        step == self.step && HITS.fetch_add(1, Ordering::SeqCst) + 1 >= self.first_hit
    }
}

impl Action {
    fn happen(self) -> io::Result<()> {
        let error = |kind, what: &str| Err(io::Error::new(kind, format!("{what}, as {VARIABLE} has it")));
        match self {
            Self::Kill => std::process::abort(),
            Self::Full => error(io::ErrorKind::StorageFull, "no space left on device"),
            Self::Broken => error(io::ErrorKind::Other, "input/output error"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_and_nonsense_is_refused() {
        let fault = |step, action, first_hit| Ok(Fault { step, action, first_hit });
        assert_eq!(Fault::read("store.after_rename=kill@3"), fault(Step::AfterRename, Action::Kill, 3));
        assert_eq!(Fault::read("manifest.before_commit=eio"), fault(Step::BeforeCommit, Action::Broken, 1));
        for nonsense in
            ["", "store.after_rename", "store.after_rname=kill", "store.after_rename=die", "x=kill@y"]
        {
            assert!(Fault::read(nonsense).is_err(), "{nonsense}");
        }
    }
}
