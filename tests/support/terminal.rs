//! A terminal that a program may think it writes to.

use std::{
    fs::{File, OpenOptions},
    io::Read,
    process::Command,
};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// Runs a program to its end with a terminal as its stderr. Answers what the terminal got.
pub fn on_terminal(mut command: Command) -> String {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let path = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let slave = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut child = command.env("TERM", "xterm").stderr(slave).spawn().unwrap();
    // It holds the terminal open for as long as it lives.
    drop(command);
    let (mut master, mut shown, mut chunk) = (File::from(master), Vec::new(), [0; 4096]);
    // Once nobody has the terminal open any more, reading from it is an error on Linux, and an end elsewhere.
    while let Ok(read @ 1..) = master.read(&mut chunk) {
        shown.extend_from_slice(&chunk[..read]);
    }
    child.wait().unwrap();
    String::from_utf8(shown).unwrap()
}
