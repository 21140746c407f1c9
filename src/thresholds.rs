//! The thresholds of a verification that a user sets.

use std::path::Path;

use grab_core::verify::{Severity, Verification};
use grab_model::format;
use grab_model::plan::{self, Spec};
use grab_ops::Error as Failure;

use super::args::VerifyArgs;

/// Checks that a number is a share.
///
/// # Errors
/// If it is not, in words.
pub fn share(number: f64) -> Result<f64, String> {
    let is_share = (0.0..=1.0).contains(&number);
    if is_share { Ok(number) } else { Err(format!("{number} is not a share from 0 to 1")) }
}

/// The conditions under which gaps are no error. Without them, any gap is one. Damage always is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    min_coverage: Option<f64>,
    min_symbols_per_session: Option<u64>,
    max_gap_sessions: Option<u64>,
}

impl Thresholds {
    /// Resolves the thresholds. A flag wins over the spec.
    ///
    /// # Errors
    /// If a share is not valid.
    pub fn resolve(args: &VerifyArgs, spec: Option<(&Path, &Spec)>) -> Result<Self, Failure> {
        let plan::SpecThresholds { min_coverage, min_symbols_per_session, max_gap_sessions } =
            spec.map(|(_, spec)| spec.verify.clone()).unwrap_or_default();
        if let Some(Err(why)) = args.min_coverage.map(share) {
            return Err(Failure::Usage(format!("--min-coverage: {why}")));
        }
        if let (Some(Err(why)), Some((path, _))) = (min_coverage.map(share), spec) {
            return Err(Failure::Config(format!("{}: verify.min_coverage: {why}", path.display())));
        }
        Ok(Self {
            min_coverage: args.min_coverage.or(min_coverage),
            min_symbols_per_session: args.min_symbols_per_session.or(min_symbols_per_session),
            max_gap_sessions: args.max_gap_sessions.or(max_gap_sessions),
        })
    }

    /// The fewest symbols that a session may have, if that is set.
    #[must_use]
    pub fn min_symbols_per_session(&self) -> Option<u64> {
        self.min_symbols_per_session
    }

    /// The missed thresholds, in words.
    #[must_use]
    pub fn missed(&self, verified: &Verification) -> Vec<String> {
        let lacking = verified.lacking.len() as u64;
        let mut missed = Vec::new();
        if lacking > 0 {
            let sessions = format::plural(lacking, "session");
            missed.push(format!("{sessions} without bars of too many symbols that have bars every day"));
        }
        let ratio = verified.coverage.ratio();
        let gaps = verified.count(Severity::Gap);
        match self.min_coverage {
            Some(least) if ratio < least => missed.push(format!("coverage {ratio:.4} is below {least}")),
            None if gaps > 0 => missed.push(format::plural(gaps as u64, "gap")),
            Some(_) | None => {}
        }
        if let Some(most) = self.max_gap_sessions.filter(|most| verified.longest_gap > *most) {
            let longest = format::plural(verified.longest_gap, "session");
            missed.push(format!("the longest gap has {longest}, more than {most}"));
        }
        if let Some(least) = self.min_symbols_per_session {
            let few = verified.sessions_below(least);
            if few > 0 {
                let sessions = format::plural(few, "session");
                missed.push(format!("{sessions} with fewer than {}", format::plural(least, "symbol")));
            }
        }
        missed
    }
}
