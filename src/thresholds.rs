//! The thresholds that a user sets for sessions: read, and in words if they are missed.

use grab_core::verify::SessionSymbols;
use grab_model::{format, plan};
use grab_ops::{
    Error as Failure, MissedThreshold, MissingList, SessionThresholds, SpecFile, UpdateShortfall,
    VerifyThresholds,
};

use super::args::{UpdateArgs, VerifyArgs};

/// Checks that a number is a share.
///
/// # Errors
/// If it is not, in words.
fn share(number: f64) -> Result<f64, String> {
    let is_share = (0.0..=1.0).contains(&number);
    if is_share { Ok(number) } else { Err(format!("{number} is not a share from 0 to 1")) }
}

/// The thresholds of a verification. A flag wins over the spec.
///
/// # Errors
/// If a share is not valid.
pub fn of_verify(args: &VerifyArgs, spec: Option<&SpecFile>) -> Result<VerifyThresholds, Failure> {
    let plan::SpecThresholds { min_coverage, min_symbols_per_session, max_gap_sessions } =
        spec.map(|spec| spec.spec().verify.clone()).unwrap_or_default();
    if let Some(Err(why)) = args.min_coverage.map(share) {
        return Err(Failure::Usage(format!("--min-coverage: {why}")));
    }
    if let (Some(Err(why)), Some(spec)) = (min_coverage.map(share), spec) {
        return Err(Failure::Config(format!("{}: verify.min_coverage: {why}", spec.path().display())));
    }
    Ok(VerifyThresholds {
        min_coverage: args.min_coverage.or(min_coverage),
        min_symbols_per_session: args.min_symbols_per_session.or(min_symbols_per_session),
        max_gap_sessions: args.max_gap_sessions.or(max_gap_sessions),
    })
}

/// The thresholds for each new session of an update. A flag wins over the saved spec.
///
/// # Errors
/// If a share is not valid.
pub fn of_update(args: &UpdateArgs, saved: &plan::SpecThresholds) -> Result<SessionThresholds, Failure> {
    let flag = args.min_coverage.map(share).transpose();
    let flag = flag.map_err(|why| Failure::Usage(format!("--min-coverage: {why}")))?;
    Ok(SessionThresholds {
        min_symbols: args.min_symbols_per_session.or(saved.min_symbols_per_session),
        min_coverage: flag.or(saved.min_coverage),
    })
}

/// A missed threshold in words.
pub fn missed(missed: &MissedThreshold) -> String {
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

/// Why an update is not complete, in words, and what to do.
pub fn shortfall(shortfall: &UpdateShortfall) -> String {
    match shortfall {
        UpdateShortfall::FewSymbols { sessions, least, last: SessionSymbols { date, symbols, .. } } => {
            let (sessions, symbols) =
                (format::plural(*sessions, "session"), format::plural(*symbols, "symbol"));
            format!("{sessions} with fewer than {least} symbols: {date} has {symbols}")
        }
        UpdateShortfall::ThinCoverage { sessions, least, last, share } => {
            let (count, symbols) = (format::plural(*sessions, "session"), format::count(last.symbols));
            let (date, expected) = (last.date, format::plural(last.expected, "symbol"));
            format!(
                "{count} with less than {least} of the symbols that had bars in the two weeks before: {date} has {symbols} \
                 of {expected}, {share:.4}"
            )
        }
        UpdateShortfall::Lacking { sessions, last, is_early } => lacking(*sessions, last, *is_early),
        UpdateShortfall::ListsShrunk { missing, known } => {
            let (missing, known) = (format::count(*missing), format::plural(*known, "listing"));
            format!("the lists lack {missing} of {known} that are known: run `grab update` again later")
        }
        UpdateShortfall::ListMissing { list, why } => {
            format!("{}: run `grab update` again later", missing_list(list, why))
        }
    }
}

/// How many sessions lack symbols, and what the last of them has.
fn lacking(sessions: u64, last: &SessionSymbols, is_early: bool) -> String {
    let (present, regular) = (format::count(last.present), format::plural(last.regular, "symbol"));
    let (verb, what) = if sessions == 1 { ("lacks", "") } else { ("lack", "the last one, ") };
    let advice = if is_early {
        "the source may be late: run `grab update` again later"
    } else {
        "the source has not filled it for a day: `grab verify --witness grouped-daily` says which symbols traded"
    };
    let (sessions, date) = (format::plural(sessions, "session"), last.date);
    format!(
        "{sessions} {verb} symbols that have bars every day: {what}{date} has bars of {present} of {regular}; {advice}"
    )
}

/// A list that could not be fetched, in words.
pub fn missing_list(list: &str, why: &[MissingList]) -> String {
    let reasons: Vec<_> = why.iter().map(|one| format!("{}: {}", one.what, one.reason)).collect();
    let reasons = if reasons.is_empty() { "the run was stopped".to_owned() } else { reasons.join("; ") };
    format!("the list of {list} could not be fetched ({reasons})")
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn session(day: i8, symbols: u64, expected: u64) -> SessionSymbols {
        SessionSymbols { date: date(2024, 11, day), symbols, expected, ..SessionSymbols::default() }
    }

    fn words(thresholds: SessionThresholds, sessions: &[SessionSymbols], is_alive: bool) -> Option<String> {
        let missed = thresholds.missed(sessions, is_alive);
        let words: Vec<_> = missed.iter().map(shortfall).collect();
        (!words.is_empty()).then(|| words.join("; "))
    }

    #[test]
    fn the_last_session_that_is_too_thin_is_named_with_its_share() {
        let enough = |min_symbols, min_coverage| SessionThresholds { min_symbols, min_coverage };
        let sessions = [session(14, 98, 100), session(15, 97, 100), session(18, 100, 100)];
        assert_eq!(words(enough(None, None), &sessions, true), None);
        assert_eq!(words(enough(Some(97), Some(0.97)), &sessions, true), None);
        assert_eq!(
            words(enough(None, Some(0.99)), &sessions, true).unwrap(),
            "2 sessions with less than 0.99 of the symbols that had bars in the two weeks before: \
             2024-11-15 has 97 of 100 symbols, 0.9700"
        );
        let both = words(enough(Some(98), Some(0.98)), &sessions, true).unwrap();
        assert!(both.starts_with(
            "1 session with fewer than 98 symbols: 2024-11-15 has 97 symbols; 1 session with less"
        ));
    }

    #[test]
    fn a_silence_of_two_weeks_is_no_full_coverage_unless_all_have_left() {
        let enough = SessionThresholds { min_symbols: None, min_coverage: Some(0.5) };
        let silent = [session(15, 0, 0)];
        assert!(words(enough, &silent, true).unwrap().ends_with("2024-11-15 has 0 of 0 symbols, 0.0000"));
        assert_eq!(words(enough, &silent, false), None);
    }
}
