//! The report of `grab universe sync`.

use std::time::Duration;

use grab_core::exit::ExitStatus;
use grab_model::format;
use grab_ops::{
    AnnotationReport, Error as Failure, LookupsReport, ReferenceReport, SplitsReport, TickersReport,
    UniverseSyncReport,
};
use serde::Serialize;

use super::super::{advice, report::Report, text::Text};

/// The report; its JSON is public.
#[derive(Serialize)]
pub struct SyncReport {
    #[serde(flatten)]
    reference: ReferenceReport,
    annotated: Option<AnnotationReport>,
    /// How many lookups `--list-dates` would send now.
    list_dates_left: u64,
    requests: u64,
    retries: u64,
    bytes_received: u64,
    error: Option<String>,
    hint: Option<String>,
    #[serde(skip)]
    elapsed: Duration,
    #[serde(skip)]
    exit: ExitStatus,
}

impl SyncReport {
    /// The report of a sync that took `elapsed`.
    #[must_use]
    pub fn new(report: UniverseSyncReport, elapsed: Duration) -> Self {
        let exit = report.exit();
        let UniverseSyncReport { reference, annotated, stopped, totals, list_dates_left } = report;
        let again = "the same command continues where this one stopped";
        let hint = if matches!(exit, ExitStatus::Incomplete | ExitStatus::Interrupted) {
            Some(again.to_owned())
        } else {
            let hint = stopped.as_ref().and_then(advice::hint);
            hint.map(|hint| hint.replace("`grab resume` continues", "repeat the command"))
        };
        let offered = format!(
            "--list-dates fetches when {} were listed, one request each",
            format::plural(list_dates_left, "ticker")
        );
        Self {
            reference,
            annotated,
            list_dates_left,
            requests: totals.requests,
            retries: totals.retries,
            bytes_received: totals.bytes_received,
            elapsed,
            error: stopped.as_ref().map(Failure::chain),
            hint: hint.or_else(|| (list_dates_left > 0).then_some(offered)),
            exit,
        }
    }
}

impl Report for SyncReport {
    fn exit(&self) -> ExitStatus {
        self.exit
    }

    fn text(&self) -> Text {
        let mut text = Text::new(format_args!(
            "{}: {}, {} in {}",
            self.exit.outcome().as_str(),
            format::plural(self.requests, "request"),
            format::bytes(self.bytes_received),
            format::duration(self.elapsed)
        ));
        self.reference.tickers.iter().for_each(|tickers| show_tickers(tickers, &mut text));
        text.rows("splits", self.reference.splits.as_ref().map(splits));
        let lookups = [("listed on", &self.reference.list_dates), ("renames", &self.reference.renames)];
        for (name, lookups) in lookups {
            text.rows(name, lookups.as_ref().map(lookups_text));
        }
        if let Some(annotated) = &self.annotated {
            let (rows, tickers) = (format::plural(annotated.rows, "row"), format::count(annotated.tickers));
            let unknown = format::count(annotated.unknown);
            text.row("annotated", format_args!("{tickers} tickers by {rows}; {unknown} match no ticker"));
        }
        text.rows(
            "without",
            self.reference.without.iter().map(|one| format!("{}: {}", one.what, one.reason)),
        );
        text.rows("stopped", &self.error);
        text.rows("next", &self.hint);
        text
    }
}

fn show_tickers(tickers: &TickersReport, text: &mut Text) {
    let changes = counted(
        &[(tickers.new, "new"), (tickers.left, "delisted"), (tickers.not_seen, "not in this list")],
        "nothing has changed",
    );
    let (rows, active) = (format::plural(tickers.rows, "row"), format::count(tickers.active));
    let periods = format::plural(tickers.periods, "listing period");
    text.row("tickers", format_args!("{rows}; {periods}, {active} of them listed today; {changes}"));
    let wrong = &tickers.defects;
    let defects = [
        (wrong.listed_twice, "listed twice"),
        (wrong.other_cik, "of these with another CIK"),
        (wrong.without_figi, "without FIGI"),
        (wrong.bad_symbols, "with an invalid symbol"),
        (wrong.bad_days, "with an invalid day"),
        (wrong.nonsense, "unreadable"),
    ];
    if defects.iter().any(|(count, _)| *count > 0) {
        text.row("defects", counted(&defects, ""));
    }
}

fn splits(splits: &SplitsReport) -> String {
    let wrong = &splits.defects;
    let counts = [
        (splits.added, "new"),
        (splits.withdrawn, "withdrawn"),
        (wrong.duplicates, "twice"),
        (wrong.contradictions, "contradict each other"),
        (wrong.refused + wrong.bad_symbols + wrong.bad_days + wrong.nonsense, "left out"),
    ];
    let (rows, stored) = (format::plural(splits.rows, "row"), format::count(splits.kept));
    format!("{rows}, {stored} stored; {}", counted(&counts, "nothing has changed"))
}

fn lookups_text(lookups: &LookupsReport) -> String {
    let counts = [(lookups.answered, "answered"), (lookups.added, "new"), (lookups.left, "to be requested")];
    counted(&counts, "nothing to request")
}

/// The counts that are not zero, or `nothing`.
fn counted(counts: &[(u64, &str)], nothing: &str) -> String {
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let counts: Vec<_> = counts.map(|(count, what)| format!("{} {what}", format::count(*count))).collect();
    if counts.is_empty() { nothing.to_owned() } else { counts.join(", ") }
}
