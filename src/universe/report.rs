//! The report of `grab universe sync`.

use std::time::Duration;

use grab_core::{exit::ExitStatus, manifest::RunTotals};
use grab_model::format;
use grab_ops::{Annotated, Brought, Error as Failure, ListDates, LookupsBrought, Needs, Outcome, Renames};
use serde::Serialize;

use super::super::advice;

/// The report; its JSON is public.
#[derive(Serialize)]
pub struct SyncReport {
    command: &'static str,
    outcome: Outcome,
    exit_code: u8,
    #[serde(flatten)]
    brought: Brought,
    annotated: Option<Annotated>,
    /// How many lookups `--list-dates` would send now.
    list_dates_left: u64,
    requests: u64,
    retries: u64,
    bytes_received: u64,
    elapsed_seconds: f64,
    error: Option<String>,
    hint: Option<String>,
    #[serde(skip)]
    exit: ExitStatus,
}

/// What a run did.
pub struct Done {
    pub brought: Brought,
    pub annotated: Option<Annotated>,
    pub stopped: Option<Failure>,
    pub totals: RunTotals,
}

impl Done {
    /// Whether everything that was requested is there.
    pub fn is_whole(&self, needs: Needs) -> bool {
        let is_done = |lookups: &Option<LookupsBrought>| lookups.as_ref().is_some_and(|one| one.left == 0);
        (!needs.tickers || self.brought.tickers.is_some())
            && (!needs.splits || self.brought.splits.is_some())
            && (needs.list_dates == ListDates::None || is_done(&self.brought.list_dates))
            && (needs.renames == Renames::None || is_done(&self.brought.renames))
    }

    /// How it ended.
    pub fn verdict(&self) -> (Outcome, ExitStatus) {
        match &self.stopped {
            Some(failure) => {
                let exit = failure.exit();
                let outcome = if exit == ExitStatus::Interrupted {
                    Outcome::Interrupted
                } else if exit == ExitStatus::Incomplete {
                    Outcome::Incomplete
                } else {
                    Outcome::Error
                };
                (outcome, exit)
            }
            None if !self.brought.without.is_empty() => (Outcome::Incomplete, ExitStatus::Unsuccessful),
            None => (Outcome::Complete, ExitStatus::Complete),
        }
    }
}

impl SyncReport {
    /// The report of a run.
    #[must_use]
    pub fn new(done: Done, list_dates_left: u64, elapsed: Duration) -> Self {
        let (outcome, exit) = done.verdict();
        let Done { brought, annotated, stopped, totals } = done;
        let again = "the same command goes on where this one was stopped";
        let hint = if matches!(exit, ExitStatus::Incomplete | ExitStatus::Interrupted) {
            Some(again.to_owned())
        } else {
            let hint = stopped.as_ref().and_then(advice::hint);
            hint.map(|hint| hint.replace("`grab resume` goes on", "repeat the command"))
        };
        let offered = format!(
            "--list-dates asks when {} were listed, one request each",
            format::plural(list_dates_left, "ticker")
        );
        Self {
            command: "universe sync",
            outcome,
            exit_code: exit.code(),
            brought,
            annotated,
            list_dates_left,
            requests: totals.requests,
            retries: totals.retries,
            bytes_received: totals.bytes_received,
            elapsed_seconds: (elapsed.as_secs_f64() * 1000.0).round() / 1000.0,
            error: stopped.as_ref().map(Failure::chain),
            hint: hint.or_else(|| (list_dates_left > 0).then_some(offered)),
            exit,
        }
    }

    /// The exit code.
    #[must_use]
    pub fn exit(&self) -> ExitStatus {
        self.exit
    }

    /// The report as text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut lines = vec![format!(
            "{}: {}, {} in {}",
            self.outcome.as_str(),
            format::plural(self.requests, "request"),
            format::bytes(self.bytes_received),
            format::duration(Duration::from_secs_f64(self.elapsed_seconds))
        )];
        let counted = |counts: &[(u64, &str)]| {
            let counts = counts.iter().filter(|(count, _)| *count > 0);
            counts
                .map(|(count, what)| format!("{} {what}", format::count(*count)))
                .collect::<Vec<_>>()
                .join(", ")
        };
        if let Some(tickers) = &self.brought.tickers {
            let (came, known) = (format::plural(tickers.rows, "row"), format::count(tickers.lives));
            let changes = counted(&[
                (tickers.new, "new"),
                (tickers.left, "left"),
                (tickers.not_seen, "not seen this time"),
            ]);
            lines.push(format!(
                "  tickers     {came}; {known} lives, {} of them listed; {}",
                format::count(tickers.active),
                if changes.is_empty() { "nothing has changed" } else { &changes }
            ));
            let wrong = &tickers.defects;
            let defects = counted(&[
                (wrong.listed_twice, "listed twice"),
                (wrong.other_cik, "of these with another CIK"),
                (wrong.without_figi, "without FIGI"),
                (wrong.bad_symbols, "with a symbol that is none"),
                (wrong.bad_days, "with a day that is none"),
                (wrong.nonsense, "nonsense"),
            ]);
            lines.extend((!defects.is_empty()).then(|| format!("  defects     {defects}")));
        }
        if let Some(splits) = &self.brought.splits {
            let wrong = &splits.defects;
            let counts = counted(&[
                (splits.added, "new"),
                (splits.withdrawn, "withdrawn"),
                (wrong.duplicates, "twice"),
                (wrong.contradictions, "contradict each other"),
                (wrong.refused + wrong.bad_symbols + wrong.bad_days + wrong.nonsense, "left out"),
            ]);
            let rows = format::plural(splits.rows, "row");
            let counts = if counts.is_empty() { "nothing has changed" } else { &counts };
            lines.push(format!("  splits      {rows}, {} kept; {counts}", format::count(splits.kept)));
        }
        for (name, lookups) in [("list dates", &self.brought.list_dates), ("renames", &self.brought.renames)]
        {
            if let Some(lookups) = lookups {
                let counts = counted(&[
                    (lookups.answered, "answered"),
                    (lookups.brought, "new"),
                    (lookups.left, "left"),
                ]);
                lines.push(format!(
                    "  {name:<11} {}",
                    if counts.is_empty() { "nothing to ask" } else { &counts }
                ));
            }
        }
        if let Some(annotated) = &self.annotated {
            let (rows, tickers) = (format::plural(annotated.rows, "row"), format::count(annotated.tickers));
            lines.push(format!(
                "  annotated   {tickers} tickers by {rows}, {} match nobody",
                format::count(annotated.unknown)
            ));
        }
        lines.extend(
            self.brought.without.iter().map(|one| format!("  without     {}: {}", one.what, one.reason)),
        );
        lines.extend(self.error.iter().map(|error| format!("  stopped     {error}")));
        lines.extend(self.hint.iter().map(|hint| format!("  next        {hint}")));
        lines.join("\n")
    }
}
