//! `grab status --runs`: the runs in a directory, and how they ended.

use grab_core::{
    exit::{ExitStatus, Outcome},
    manifest::RunItem,
};
use grab_model::format;
use serde::Serialize;

use super::text::{Align, Table, Text};

/// How many are listed.
pub const LISTED: usize = 20;

/// A row of `runs`, with all of its columns and derived values.
#[derive(Serialize)]
pub struct RunRow {
    id: i64,
    command: String,
    arguments: String,
    grab_version: String,
    pid: u32,
    started_at_ms: i64,
    started_at: String,
    ended_at_ms: Option<i64>,
    ended_at: Option<String>,
    /// Whether it is running. A run that has not ended and is not running was killed.
    live: bool,
    outcome: Option<Outcome>,
    exit_code: Option<u8>,
    requests: u64,
    retries: u64,
    bars: u64,
    partitions: u64,
    bytes_received: u64,
    revised: u64,
}

impl From<RunItem> for RunRow {
    fn from(run: RunItem) -> Self {
        Self {
            id: run.id,
            command: run.command,
            arguments: run.arguments,
            grab_version: run.grab_version,
            pid: run.pid,
            started_at_ms: run.started_at_ms,
            started_at: format::instant(run.started_at_ms),
            ended_at_ms: run.ended_at_ms,
            ended_at: run.ended_at_ms.map(format::instant),
            live: run.is_live,
            outcome: run.exit.map(ExitStatus::outcome),
            exit_code: run.exit.map(ExitStatus::code),
            requests: run.totals.requests,
            retries: run.totals.retries,
            bars: run.totals.bars,
            partitions: run.totals.partitions,
            bytes_received: run.totals.bytes_received,
            revised: run.totals.revised,
        }
    }
}

/// The runs as a table of about 80 columns, the newest first.
#[must_use]
pub fn text(runs: &[RunRow]) -> Text {
    if runs.is_empty() {
        return Text::new("no run is recorded");
    }
    let words = ["started (UTC)", "command", "outcome"].map(|name| (name, Align::Left));
    let numbers = ["exit", "requests", "bars", "time"].map(|name| (name, Align::Right));
    let mut table = Table::new(&[&words[..], &numbers[..]].concat());
    for run in runs {
        table.row(run.cells().to_vec());
    }
    let mut text = Text::default();
    text.table(&table);
    text
}

impl RunRow {
    fn cells(&self) -> [String; 7] {
        let outcome = self.outcome.map_or(if self.live { "live" } else { "killed" }, Outcome::as_str);
        // The counters are written only at the end.
        let counted =
            |number: u64| if self.ended_at_ms.is_some() { format::count(number) } else { "-".into() };
        let time = self.ended_at_ms.map(|ended| format::milliseconds(ended - self.started_at_ms));
        [
            format::second(self.started_at_ms),
            self.command.clone(),
            outcome.to_owned(),
            self.exit_code.map_or_else(|| "-".to_owned(), |code| code.to_string()),
            counted(self.requests),
            counted(self.bars),
            time.unwrap_or_else(|| "-".to_owned()),
        ]
    }
}
