//! Steps at which a test kills the program or makes it fail, to check that no data is lost.
//!
//! `GRAB_FAILPOINT=store.after_rename=kill@3` kills the process when that step is reached for the third time: at once,
//! without a destructor, as by `kill -9`. With an error of the system in place of `kill`, such as `enospc`, `eio` or
//! `einval`, the step fails from then on, as on a disk that is full or broken, or that does not support the operation.
//! Without `@3` it begins with the first time. With `hold` the process creates the file that `GRAB_FAILPOINT_HELD`
//! names when the step is reached for the third time, and continues once that file is removed: so another process can
//! inspect the state at this moment.
//!
//! Only a build with debug assertions reads the variable: the one that `cargo test` tests. In a release build
//! [`reached`] is empty, and neither its callers nor the names below are left in the program. (A cargo feature would
//! have to be enabled for each test run. The crate `fail` had its last release in 2022, and brings `rand`, a registry
//! and a language of actions for what are a few lines here.)

use std::{
    env, fs, io,
    path::Path,
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

/// The variable that names a step and the action there.
const VARIABLE: &str = "GRAB_FAILPOINT";

/// The variable that names the file which exists for as long as a step is held.
const HELD: &str = "GRAB_FAILPOINT_HELD";

/// How often the process checks whether that file still exists.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// A step on the way of bars to stable storage, or of the cleanup after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashPoint {
    /// A folder is about to be created.
    BeforeFolder,
    /// A folder exists, its name is not yet durable.
    AfterFolder,
    /// The names of all new folders in one folder are durable.
    AfterNameSync,
    /// An unfinished file exists, empty.
    BeforeWrite,
    /// An unfinished file has all its bytes, none of them durable.
    AfterWrite,
    /// An unfinished file is durable.
    AfterSync,
    /// The file has its final name, which is not yet durable.
    AfterRename,
    /// File and name are durable; the manifest has no row of it.
    AfterFolderSync,
    /// An unfinished file of a crashed process is about to be removed.
    BeforeSweep,
    /// A new manifest has its file, but no table.
    BeforeMigration,
    /// A new plan is written beside the old one.
    BeforePlan,
    /// A transaction of the manifest is written, but not committed.
    BeforeCommit,
    /// A transaction is durable, but the caller does not know it yet.
    AfterCommit,
}

impl CrashPoint {
    /// Every step.
    pub const ALL: [Self; 13] = [
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
        Self::BeforePlan,
        Self::BeforeCommit,
        Self::AfterCommit,
    ];

    /// The name of the step in the variable.
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
            Self::BeforePlan => "manifest.before_plan",
            Self::BeforeCommit => "manifest.before_commit",
            Self::AfterCommit => "manifest.after_commit",
        }
    }
}

/// Marks that a step is reached. The action that a test requested happens here.
///
/// # Errors
/// The requested one; none in a release build.
pub fn reached(step: CrashPoint) -> io::Result<()> {
    // Both kinds of build compile the rest. The optimiser removes it from a release build, which never gets there.
    if !cfg!(debug_assertions) {
        return Ok(());
    }
    match &*ASKED {
        Some(Ok(fault)) if fault.is_due(step) => fault.action.happen(),
        None | Some(Ok(_)) => Ok(()),
        Some(Err(wrong)) => Err(io::Error::other(wrong.clone())),
    }
}

/// The fault that this process was started with.
static ASKED: LazyLock<Option<Result<Fault, String>>> =
    LazyLock::new(|| env::var(VARIABLE).ok().map(|text| Fault::read(&text)));

/// How often this process reached the step of its fault.
static HITS: AtomicU32 = AtomicU32::new(0);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fault {
    step: CrashPoint,
    action: Action,
    first_hit: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Kill,
    Hold,
    /// Fails with this error of the system.
    Fail(&'static str),
}

/// The errors that a step can fail with, as the system names them.
const ERRORS: [&str; 13] = [
    "eacces",
    "ebadf",
    "edquot",
    "eio",
    "einval",
    "emfile",
    "enametoolong",
    "enospc",
    "enosys",
    "enotsup",
    "eperm",
    "erofs",
    "estale",
];

impl Fault {
    fn read(text: &str) -> Result<Self, String> {
        let wrong = || format!("{VARIABLE} is {text:?}, not a failpoint such as store.after_rename=kill@3");
        let (name, rest) = text.split_once('=').ok_or_else(wrong)?;
        let (action, hit) = rest.split_once('@').unwrap_or((rest, "1"));
        let step = CrashPoint::ALL.into_iter().find(|step| step.as_str() == name).ok_or_else(wrong)?;
        let action = match action {
            "kill" => Action::Kill,
            "hold" => Action::Hold,
            name => Action::Fail(ERRORS.into_iter().find(|error| *error == name).ok_or_else(wrong)?),
        };
        Ok(Self { step, action, first_hit: hit.parse().map_err(|_| wrong())? })
    }

    /// Counts a hit of its step, and returns whether the action is due.
    fn is_due(self, step: CrashPoint) -> bool {
        if step != self.step {
            return false;
        }
        let hit = HITS.fetch_add(1, Ordering::SeqCst) + 1;
        hit == self.first_hit || hit > self.first_hit && self.action != Action::Hold
    }
}

impl Action {
    fn happen(self) -> io::Result<()> {
        match self {
            Self::Kill => std::process::abort(),
            Self::Hold => hold(),
            Self::Fail(name) => Err(error(name)),
        }
    }
}

fn hold() -> io::Result<()> {
    let path = env::var_os(HELD).ok_or_else(|| io::Error::other(format!("{HELD} names no file")))?;
    fs::write(&path, "")?;
    while Path::new(&path).exists() {
        thread::sleep(LOOK_AGAIN);
    }
    Ok(())
}

fn error(name: &str) -> io::Error {
    use rustix::io::Errno;
    let errors = [
        ("eacces", Errno::ACCESS),
        ("ebadf", Errno::BADF),
        ("edquot", Errno::DQUOT),
        ("eio", Errno::IO),
        ("einval", Errno::INVAL),
        ("emfile", Errno::MFILE),
        ("enametoolong", Errno::NAMETOOLONG),
        ("enospc", Errno::NOSPC),
        ("enosys", Errno::NOSYS),
        ("enotsup", Errno::NOTSUP),
        ("eperm", Errno::PERM),
        ("erofs", Errno::ROFS),
        ("estale", Errno::STALE),
    ];
    let found = errors.iter().find(|(known, _)| *known == name).map(|(_, error)| *error);
    found.unwrap_or(Errno::IO).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_and_nonsense_is_refused() {
        let fault = |step, action, first_hit| Ok(Fault { step, action, first_hit });
        assert_eq!(Fault::read("store.after_rename=kill@3"), fault(CrashPoint::AfterRename, Action::Kill, 3));
        assert_eq!(
            Fault::read("manifest.before_commit=hold"),
            fault(CrashPoint::BeforeCommit, Action::Hold, 1)
        );
        for name in ERRORS {
            let read = Fault::read(&format!("manifest.before_commit={name}"));
            assert_eq!(read, fault(CrashPoint::BeforeCommit, Action::Fail(name), 1));
            assert!(error(name).raw_os_error().is_some());
        }
        for nonsense in
            ["", "store.after_rename", "store.after_rname=kill", "store.after_rename=die", "x=kill@y"]
        {
            assert!(Fault::read(nonsense).is_err(), "{nonsense}");
        }
    }
}
