//! The library without the command line: `examples/embed.rs` is another program, and its directory is one like any other.

use std::{path::Path, process::Command};

use crate::support::Grab;

#[test]
fn another_program_downloads_into_a_directory_and_reads_its_bars() {
    let program = Path::new(env!("CARGO_BIN_EXE_grab")).with_file_name("examples").join("embed");
    let grab = Grab::new().env("GRAB_NOW", "2026-11-30T22:00:00-05:00");
    let ran = Command::new(program).arg(grab.data_dir()).output().unwrap();
    let (stdout, stderr) = (String::from_utf8(ran.stdout).unwrap(), String::from_utf8(ran.stderr).unwrap());
    assert!(ran.status.success(), "{stderr}");
    assert_eq!(stderr, "", "the library prints nothing");
    let lines: Vec<_> = stdout.lines().collect();
    assert_eq!(lines.len(), 4, "{stdout}");
    assert!(lines[0].starts_with("complete: ") && lines[0].ends_with(" bars in 1 requests"), "{stdout}");
    // The first minute of 2 January 2024 that has a bar, UTC ms.
    assert!(lines[1].starts_with("17041"), "{stdout}");

    let status = grab.run("status --json").exits(0).json();
    assert_eq!(status["tasks"]["done"], 1, "{status}");
    let bars: u64 = lines[0].split(' ').nth(1).unwrap().parse().unwrap();
    assert_eq!(status["bars"], bars, "{status}");
    grab.run("verify --deep").exits(0);
    let again = grab.run("start --sandbox --data-dir data --windows 2024-01 --tickers AAPL").exits(0);
    assert!(again.stderr.contains("everything asked for is recorded already"), "{again:?}");
}
