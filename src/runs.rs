//! `grab status --runs`: the runs in a directory, and how they ended.

use grab_core::exit::Outcome;
use grab_model::format;
use grab_ops::json::RunRow;

use super::text::{Align, Table, Text};

/// How many are listed.
pub const LISTED: usize = 20;

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
        table.row(cells(run).to_vec());
    }
    let mut text = Text::default();
    text.table(&table);
    text
}

fn cells(run: &RunRow) -> [String; 7] {
    let outcome = run.outcome.map_or(if run.live { "live" } else { "killed" }, Outcome::as_str);
    // The counters are written only at the end.
    let counted = |number: u64| if run.ended_at_ms.is_some() { format::count(number) } else { "-".into() };
    let time = run.ended_at_ms.map(|ended| format::milliseconds(ended - run.started_at_ms));
    [
        format::second(run.started_at_ms),
        run.command.clone(),
        outcome.to_owned(),
        run.exit_code.map_or_else(|| "-".to_owned(), |code| code.to_string()),
        counted(run.requests),
        counted(run.bars),
        time.unwrap_or_else(|| "-".to_owned()),
    ]
}
