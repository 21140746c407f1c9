//! A terminal for tests of programs that write to one.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    process::{Child, Command},
    sync::{Arc, Mutex},
    thread,
};

use rustix::{
    io::{FdFlags, fcntl_setfd},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};

use super::wait_until;

/// Runs a program to its end with a terminal as its stderr. Returns what it wrote there.
pub fn on_terminal(mut command: Command) -> String {
    let (master, slave) = pair();
    let mut child = command.env("TERM", "xterm").stderr(slave).spawn().unwrap();
    // The command would keep the terminal open.
    drop(command);
    let (mut master, mut shown, mut chunk) = (master, Vec::new(), [0; 4096]);
    // Once no process has the terminal open, reading from it is an error on Linux, and the end elsewhere.
    while let Ok(read @ 1..) = master.read(&mut chunk) {
        shown.extend_from_slice(&chunk[..read]);
    }
    child.wait().unwrap();
    String::from_utf8(shown).unwrap()
}

/// Both ends of a new terminal: the test's, and the program's.
fn pair() -> (File, File) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    // Programs that other tests start meanwhile must not keep it open.
    fcntl_setfd(&master, FdFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let path = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    (File::from(master), OpenOptions::new().read(true).write(true).open(path).unwrap())
}

/// A program in a terminal of some size, with keyboard input.
pub struct Terminal {
    child: Child,
    keyboard: File,
    /// The program's end, to check how the program left it.
    slave: File,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    pub fn start(mut command: Command, columns: u16, rows: u16) -> Self {
        let (mut master, slave) = pair();
        tcsetwinsize(&slave, Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let end = || slave.try_clone().unwrap();
        command.env("TERM", "xterm").stdin(end()).stdout(end()).stderr(end());
        let child = command.spawn().unwrap();
        drop(command);
        let (keyboard, written) = (master.try_clone().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let shown = Arc::clone(&written);
        thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(read @ 1..) = master.read(&mut chunk) {
                shown.lock().unwrap().extend_from_slice(&chunk[..read]);
            }
        });
        Self { child, keyboard, slave, written }
    }

    /// Everything that was written so far.
    pub fn written(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap()).into_owned()
    }

    /// The lines of each screen, drawn from its upper left corner, without escape codes.
    pub fn screens(&self) -> Vec<Vec<String>> {
        let written = self.written();
        // The last one may not be complete yet.
        let whole = written.rsplit_once("\u{1b}[J").map_or("", |(whole, _)| whole);
        let screens = whole.split("\u{1b}[H").skip(1);
        screens
            .map(|screen| screen.split('\n').map(|line| without_codes(line.trim_end_matches('\r'))).collect())
            .collect()
    }

    /// Waits until a screen shows `text`, and returns this screen.
    pub fn wait_for(&self, text: &str) -> Vec<String> {
        let shows = |screen: &Vec<String>| screen.iter().any(|line| line.contains(text));
        wait_until(text, || self.screens().iter().any(shows));
        self.screens().into_iter().find(shows).unwrap()
    }

    pub fn resize(&self, columns: u16, rows: u16) {
        tcsetwinsize(&self.slave, Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 })
            .unwrap();
    }

    pub fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Sends a signal, such as `INT`.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    /// Waits for its end; returns its exit code, and whether echo and line mode are restored.
    pub fn ends(mut self) -> (Option<i32>, bool, String) {
        let code = self.child.wait().unwrap().code();
        let modes = tcgetattr(&self.slave).unwrap().local_modes;
        let leave = "\u{1b}[?1049l";
        wait_until("the last word", || self.written().contains(leave));
        (code, modes.contains(LocalModes::ICANON | LocalModes::ECHO), self.written())
    }
}

fn without_codes(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    // A code ends with its first letter.
    let rest = parts
        .map(|part| part.trim_start_matches(|c: char| !c.is_ascii_alphabetic()).get(1..).unwrap_or_default());
    rest.fold(first, |text, part| text + part)
}
