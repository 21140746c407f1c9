//! A run that is stopped at a step of its work.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Stdio},
};

use grab_core::failpoint::CrashPoint;

use super::{Grab, wait_until};

/// A program that is held at a step until it is released.
pub struct Held {
    child: Child,
    path: PathBuf,
}

impl Held {
    /// None if the program ends before this hit of the step.
    pub fn at(grab: &Grab, arguments: &str, step: CrashPoint, hit: u32) -> Option<Self> {
        let path = grab.dir().join("held");
        let mut command = grab.command(arguments);
        let failpoint = format!("{}=hold@{hit}", step.as_str());
        let mut child = command
            .env("GRAB_FAILPOINT", failpoint)
            .env("GRAB_FAILPOINT_HELD", &path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut has_ended = false;
        wait_until("the step", || {
            has_ended = child.try_wait().unwrap().is_some();
            has_ended || path.exists()
        });
        (!has_ended).then_some(Self { child, path })
    }

    /// Releases it, and returns its exit code.
    pub fn let_go(mut self) -> Option<i32> {
        fs::remove_file(&self.path).unwrap();
        self.child.wait().unwrap().code()
    }

    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}
