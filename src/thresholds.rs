//! The thresholds that a user sets for sessions: read, and in words if they are missed.

use std::path::Path;

use grab_model::{
    format,
    plan::{self, Spec},
};
use grab_ops::{Error as Failure, MissedThreshold, VerifyThresholds};

use super::args::VerifyArgs;

/// Checks that a number is a share.
///
/// # Errors
/// If it is not, in words.
pub fn share(number: f64) -> Result<f64, String> {
    let is_share = (0.0..=1.0).contains(&number);
    if is_share { Ok(number) } else { Err(format!("{number} is not a share from 0 to 1")) }
}

/// The thresholds of a verification. A flag wins over the spec.
///
/// # Errors
/// If a share is not valid.
pub fn of_verify(args: &VerifyArgs, spec: Option<(&Path, &Spec)>) -> Result<VerifyThresholds, Failure> {
    let plan::SpecThresholds { min_coverage, min_symbols_per_session, max_gap_sessions } =
        spec.map(|(_, spec)| spec.verify.clone()).unwrap_or_default();
    if let Some(Err(why)) = args.min_coverage.map(share) {
        return Err(Failure::Usage(format!("--min-coverage: {why}")));
    }
    if let (Some(Err(why)), Some((path, _))) = (min_coverage.map(share), spec) {
        return Err(Failure::Config(format!("{}: verify.min_coverage: {why}", path.display())));
    }
    Ok(VerifyThresholds {
        min_coverage: args.min_coverage.or(min_coverage),
        min_symbols_per_session: args.min_symbols_per_session.or(min_symbols_per_session),
        max_gap_sessions: args.max_gap_sessions.or(max_gap_sessions),
    })
}

/// A missed threshold in words.
pub fn in_words(missed: &MissedThreshold) -> String {
    match missed {
        MissedThreshold::SessionsLackSymbols(sessions) => {
            let sessions = format::plural(*sessions, "session");
            format!("{sessions} without bars of too many symbols that have bars every day")
        }
        MissedThreshold::Coverage { ratio, least } => format!("coverage {ratio:.4} is below {least}"),
        MissedThreshold::Gaps(gaps) => format::plural(*gaps, "gap"),
        MissedThreshold::LongGap { sessions, most } => {
            let longest = format::plural(*sessions, "session");
            format!("the longest gap has {longest}, more than {most}")
        }
        MissedThreshold::FewSymbols { sessions, least } => {
            let sessions = format::plural(*sessions, "session");
            format!("{sessions} with fewer than {}", format::plural(*least, "symbol"))
        }
    }
}
