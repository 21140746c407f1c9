//! How many bars an update must fetch to be complete.

use grab_core::verify::SessionSymbols;
use grab_model::format;
use grab_model::plan;
use grab_ops::Error as Failure;

use super::{args::UpdateArgs, thresholds::share};

/// The thresholds for each new session.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Enough {
    min_symbols: Option<u64>,
    min_coverage: Option<f64>,
}

impl Enough {
    /// Resolves the thresholds. A flag wins over the saved spec.
    ///
    /// # Errors
    /// If a share is not valid.
    pub fn resolve(args: &UpdateArgs, kept: &plan::SpecThresholds) -> Result<Self, Failure> {
        let flag = args.min_coverage.map(share).transpose();
        let flag = flag.map_err(|why| Failure::Usage(format!("--min-coverage: {why}")))?;
        Ok(Self {
            min_symbols: args.min_symbols_per_session.or(kept.min_symbols_per_session),
            min_coverage: flag.or(kept.min_coverage),
        })
    }

    /// The missed thresholds, in words. `is_alive`: whether any known symbol is still traded.
    #[must_use]
    pub fn missed(self, sessions: &[SessionSymbols], is_alive: bool) -> Option<String> {
        let missed = [self.few(sessions), self.absent(sessions, is_alive)];
        let missed: Vec<_> = missed.into_iter().flatten().collect();
        (!missed.is_empty()).then(|| missed.join("; "))
    }

    fn few(self, sessions: &[SessionSymbols]) -> Option<String> {
        let wanted = self.min_symbols?;
        let few: Vec<_> = sessions.iter().filter(|session| session.symbols < wanted).collect();
        let SessionSymbols { date, symbols, .. } = few.last()?;
        let (sessions, symbols) =
            (format::plural(few.len() as u64, "session"), format::plural(*symbols, "symbol"));
        Some(format!("{sessions} with fewer than {wanted} symbols: {date} has {symbols}"))
    }

    fn absent(self, sessions: &[SessionSymbols], is_alive: bool) -> Option<String> {
        let wanted = self.min_coverage?;
        // A session without any expected symbol is not full coverage: else a silent source would never be noticed.
        let nobody = if is_alive { 0.0 } else { 1.0 };
        let share = |session: &SessionSymbols| session.share().unwrap_or(nobody);
        let thin: Vec<_> = sessions.iter().filter(|session| share(session) < wanted).collect();
        let last = thin.last()?;
        let (count, expected) =
            (format::plural(thin.len() as u64, "session"), format::plural(last.expected, "symbol"));
        Some(format!(
            "{count} with less than {wanted} of the symbols that had bars in the two weeks before: {} has {} of {expected}, {:.4}",
            last.date,
            format::count(last.symbols),
            share(last)
        ))
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn session(day: i8, symbols: u64, expected: u64) -> SessionSymbols {
        SessionSymbols { date: date(2024, 11, day), symbols, expected, ..SessionSymbols::default() }
    }

    #[test]
    fn the_last_session_that_is_too_thin_is_named_with_its_share() {
        let enough = |min_symbols, min_coverage| Enough { min_symbols, min_coverage };
        let sessions = [session(14, 98, 100), session(15, 97, 100), session(18, 100, 100)];
        assert_eq!(enough(None, None).missed(&sessions, true), None);
        assert_eq!(enough(Some(97), Some(0.97)).missed(&sessions, true), None);
        assert_eq!(
            enough(None, Some(0.99)).missed(&sessions, true).unwrap(),
            "2 sessions with less than 0.99 of the symbols that had bars in the two weeks before: \
             2024-11-15 has 97 of 100 symbols, 0.9700"
        );
        let both = enough(Some(98), Some(0.98)).missed(&sessions, true).unwrap();
        assert!(both.starts_with(
            "1 session with fewer than 98 symbols: 2024-11-15 has 97 symbols; 1 session with less"
        ));
    }

    #[test]
    fn a_silence_of_two_weeks_is_no_full_coverage_unless_all_have_left() {
        let enough = Enough { min_symbols: None, min_coverage: Some(0.5) };
        let silent = [session(15, 0, 0)];
        assert!(enough.missed(&silent, true).unwrap().ends_with("2024-11-15 has 0 of 0 symbols, 0.0000"));
        assert_eq!(enough.missed(&silent, false), None);
    }
}
