//! The library without the command line: `examples/embed.rs` is another program, and its directory is an ordinary one.

use grab_core::data_dir::DataDir;

use crate::support::Grab;

#[path = "../examples/embed.rs"]
#[expect(dead_code, reason = "its main is that of another program")]
mod program;

#[test]
fn another_program_downloads_into_a_directory_and_reads_its_bars() {
    let grab = Grab::new().env("GRAB_NOW", "2026-11-30T22:00:00-05:00");
    let mut out = Vec::new();
    program::download_and_look(DataDir::new(grab.data_dir()), &mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines.len(), 4, "{out}");
    // The first bars of 2 January 2024, in the first minutes after 04:00 in New York.
    assert!(lines[1..].iter().all(|line| line.starts_with("1704186")), "{out}");

    let status = grab.run("status --json").exits(0).json();
    assert_eq!(status["tasks"]["done"], 1, "{status}");
    assert_eq!(lines[0], format!("complete: {} bars", status["bars"]));
    grab.run("verify --deep").exits(0);
    let again = grab.run("start --sandbox --data-dir data --windows 2024-01 --tickers AAPL").exits(0);
    assert!(again.stderr.contains("everything requested is recorded already"), "{again:?}");
}
