//! The text about the witness of a verification.

use grab_model::format;
use grab_ops::{WitnessGap, WitnessGaps, WitnessReport, json::WitnessJson};

/// The report about a witness as text.
pub fn text(witness: &WitnessJson) -> String {
    if witness.sessions == 0 && witness.requests == 0 && witness.error.is_none() {
        return "none: --witness grouped-daily finds out which symbols traded on each session".to_owned();
    }
    let (sessions, of) = (format::count(witness.sessions), format::plural(witness.of, "session"));
    let mut text = format!("{}: {sessions} of {of}", witness.source);
    if witness.requests > 0 {
        let (fetched, requests) =
            (format::count(witness.fetched), format::plural(witness.requests, "request"));
        text = format!("{text}, {fetched} fetched with {requests}");
    }
    let WitnessGaps { not_entitled, not_yet, not_found, no_rows, failed } = witness.without;
    let counts = [
        (not_entitled, WitnessGap::NotEntitled),
        (not_yet, WitnessGap::NotYet),
        (not_found, WitnessGap::NotFound),
        (no_rows, WitnessGap::NoRows),
        (failed, WitnessGap::Failed),
    ];
    for (sessions, gap) in counts.into_iter().filter(|(sessions, _)| *sessions > 0) {
        text = format!("{text}; {} {}", format::count(sessions), reason(gap));
    }
    match &witness.error {
        Some(error) => format!("{text}; cut short, the same command continues: {error}"),
        None => text,
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
        WitnessGap::NoRows => "answered without a row",
        WitnessGap::Failed => "failed",
        WitnessGap::Rejected => "not used",
        WitnessGap::NotRequested => "not requested",
    }
}
