//! The program as its users meet it: the real binary, real HTTP on loopback, real files, real `SQLite`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may end anywhere, and says so"
)]

mod asked;
mod audit;
// Failpoints exist only in builds with debug assertions.
#[cfg(debug_assertions)]
mod beside;
mod broken;
mod cli;
mod clock;
// Failpoints exist only in builds with debug assertions.
#[cfg(debug_assertions)]
mod crash;
mod docs;
mod embed;
mod every_job;
mod export;
mod faults;
mod faulty_sandbox;
// It crashes at failpoints, too.
#[cfg(debug_assertions)]
mod history;
mod hostile;
mod kinds;
mod language;
mod layers;
mod lost;
mod outage;
mod parquet_form;
mod places;
mod recorded;
mod repair;
mod replay;
mod reports;
mod requests;
mod resume;
// Failpoints again.
#[cfg(debug_assertions)]
mod rewrite;
mod sandbox;
mod settings;
mod shared_pace;
mod source;
mod spec_kept;
mod stored;
mod support;
mod test_rules;
mod told;
mod tools;
mod universe;
mod unknown;
mod update;
mod verify;
mod watch;
mod witness;
