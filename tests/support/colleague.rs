//! A user who may read a data directory and write nothing in it.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
};

use super::{Grab, Ran};

/// The user of `nobody` on most systems; no name is needed for it.
const NOBODY: u32 = 65_534;

/// A user to whom the directory does not belong: another user if the tests run as root; else its owner, whose rights to
/// write are removed as long as this value exists.
pub struct Colleague<'a> {
    grab: &'a Grab,
    program: PathBuf,
    /// The existing files, with their former modes.
    before: Vec<(PathBuf, u32)>,
}

impl<'a> Colleague<'a> {
    pub fn of(grab: &'a Grab) -> Self {
        let program = if is_root() { copied(grab) } else { env!("CARGO_BIN_EXE_grab").into() };
        set_mode(grab.dir(), 0o777);
        let theirs = grab.dir().join("theirs");
        fs::create_dir_all(&theirs).unwrap();
        set_mode(&theirs, 0o777);
        let mut before = Vec::new();
        if !is_root() && fs::read_dir(grab.data_dir()).is_ok() {
            for path in all_below(&grab.data_dir()) {
                let mode = path.metadata().unwrap().permissions().mode() & 0o777;
                set_mode(&path, mode & !0o222);
                before.push((path, mode));
            }
        }
        Self { grab, program, before }
    }

    /// A folder in which every user may write.
    pub fn own_folder(&self) -> PathBuf {
        self.grab.dir().join("theirs")
    }

    pub fn run(&self, arguments: &str) -> Ran {
        let mut command = self.grab.command_of(&self.program, arguments);
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command.output().unwrap().into()
    }
}

impl Drop for Colleague<'_> {
    fn drop(&mut self) {
        for (path, mode) in self.before.iter().filter(|(path, _)| path.exists()) {
            set_mode(path, *mode);
        }
    }
}

/// A copy of the program that every user can run: the built one may be in a folder of root's.
fn copied(grab: &Grab) -> PathBuf {
    let copy = grab.dir().join("program");
    if !copy.exists() {
        // Another process copies it: if this process had the copy open for writing, a program that another test starts
        // would inherit it, and the copy could not be run until that program ends.
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_grab")).arg(&copy).status().unwrap();
        assert!(copied.success(), "{copied:?}");
        set_mode(&copy, 0o755);
    }
    copy
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A folder and everything in it, folders last: without rights nothing could be changed in them.
pub fn all_below(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(all_below(&path));
        } else {
            all.push(path);
        }
    }
    all.push(folder.to_owned());
    all
}
