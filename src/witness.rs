//! The witness of a verification: its JSON, which is public, and its text.

use grab_model::format;
use grab_ops::{Error as Failure, WitnessGap, WitnessGaps, WitnessReport};
use serde::Serialize;

/// The report about the witness; its JSON is public.
#[derive(Serialize)]
pub struct WitnessJson {
    source: &'static str,
    /// Sessions with a witness, and all requested sessions.
    sessions: u64,
    of: u64,
    /// Sessions that this run has fetched, and its requests.
    fetched: u64,
    requests: u64,
    /// Sessions that were requested in vain.
    without: WitnessGaps,
    /// Why not all were requested.
    error: Option<String>,
}

impl From<&WitnessReport> for WitnessJson {
    fn from(report: &WitnessReport) -> Self {
        Self {
            source: if report.is_used { "grouped-daily" } else { "none" },
            sessions: report.sessions,
            of: report.of,
            fetched: report.fetched,
            requests: report.requests,
            without: report.without,
            error: report.stopped.as_ref().map(Failure::chain),
        }
    }
}

impl WitnessJson {
    /// The report as text.
    pub fn text(&self) -> String {
        if self.sessions == 0 && self.requests == 0 && self.error.is_none() {
            return "none: --witness grouped-daily asks who traded on each session".to_owned();
        }
        let (sessions, of) = (format::count(self.sessions), format::plural(self.of, "session"));
        let mut text = format!("{}: {sessions} of {of}", self.source);
        if self.requests > 0 {
            let (fetched, requests) = (format::count(self.fetched), format::plural(self.requests, "request"));
            text = format!("{text}, {fetched} fetched with {requests}");
        }
        let WitnessGaps { not_entitled, not_yet, not_found, nobody_traded, failed } = self.without;
        let counts = [
            (not_entitled, WitnessGap::NotEntitled),
            (not_yet, WitnessGap::NotYet),
            (not_found, WitnessGap::NotFound),
            (nobody_traded, WitnessGap::NobodyTraded),
            (failed, WitnessGap::Failed),
        ];
        for (sessions, gap) in counts.into_iter().filter(|(sessions, _)| *sessions > 0) {
            text = format!("{text}; {} {}", format::count(sessions), reason(gap));
        }
        match &self.error {
            Some(error) => format!("{text}; cut short, the same command goes on: {error}"),
            None => text,
        }
    }
}

/// Why the demand for a witness is not met. None if it is.
pub fn missed(report: &WitnessReport) -> Option<String> {
    let sessions: u64 = report.unexplained.values().sum();
    let reasons = report.unexplained.iter();
    let reasons: Vec<_> =
        reasons.map(|(gap, sessions)| format!("{} {}", format::count(*sessions), reason(*gap))).collect();
    let sessions = format::plural(sessions, "session");
    (!reasons.is_empty())
        .then(|| format!("{sessions} with absences that no witness explains: {}", reasons.join(", ")))
}

/// Why a session has no witness, in words.
fn reason(gap: WitnessGap) -> &'static str {
    match gap {
        WitnessGap::NotEntitled => "not in the plan",
        WitnessGap::NotYet => "not served yet",
        WitnessGap::NotFound => "not found",
        WitnessGap::NobodyTraded => "answered without a row",
        WitnessGap::Failed => "failed",
        WitnessGap::Doubted => "not to be relied on",
        WitnessGap::NotRequested => "not requested",
    }
}
