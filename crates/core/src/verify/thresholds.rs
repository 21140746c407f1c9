//! What a user demands beyond the requested windows: symbols and windows of a spec, and enough symbols in each session.

use std::collections::{BTreeMap, BTreeSet};

use grab_model::{Symbol, Window, calendar};
use jiff::civil::Date;

use super::{Coverage, Finding, FindingKind, SessionStatus, Severity, Verification};

impl Verification {
    /// Adds what a spec wants and nothing has requested. Its sessions are expected and missing. `command` requests them.
    pub fn want(&mut self, unrequested: &[(Symbol, Window)], command: &str) {
        self.expect(unrequested, |symbol, window| unrequested_window(symbol, window, command));
    }

    /// Counts the sessions of windows without a task as expected, with a finding for each window.
    pub(super) fn expect(
        &mut self,
        unrequested: &[(Symbol, Window)],
        finding: impl Fn(&Symbol, Window) -> Finding,
    ) {
        let mut by_symbol: BTreeMap<&Symbol, Vec<Window>> = BTreeMap::new();
        for (symbol, window) in unrequested {
            by_symbol.entry(symbol).or_default().push(*window);
        }
        for (sessions, longest) in self.with_wanted(&by_symbol) {
            self.longest_gap = self.longest_gap.max(longest);
            self.coverage.add(Coverage { expected_sessions: sessions, ..Coverage::default() });
        }
        for (symbol, windows) in by_symbol {
            self.findings.extend(windows.iter().map(|window| finding(symbol, *window)));
        }
        self.unrequested.extend_from_slice(unrequested);
        self.sort();
    }

    /// The number of findings of this severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// The number of sessions that have bars of fewer than `least` symbols.
    #[must_use]
    pub fn sessions_below(&self, least: u64) -> u64 {
        self.symbols_by_session()
            .into_iter()
            .filter(|(_, symbols)| symbols.is_some_and(|symbols| symbols < least))
            .count() as u64
    }

    /// Adds a finding for each run of sessions that have bars of fewer than `least` symbols.
    pub fn demand_symbols(&mut self, least: u64) {
        let mut runs = Vec::new();
        let mut goes_on = false;
        for (date, symbols) in self.symbols_by_session() {
            let Some(fewest) = symbols.filter(|symbols| *symbols < least) else {
                goes_on = false;
                continue;
            };
            match runs.last_mut().filter(|_| goes_on) {
                Some((days, count, before)) => {
                    *days = *std::ops::RangeInclusive::start(days)..=date;
                    *count += 1;
                    *before = fewest.min(*before);
                }
                None => runs.push((date..=date, 1_u64, fewest)),
            }
            goes_on = true;
        }
        self.findings.extend(runs.into_iter().map(|(days, count, fewest)| {
            let detail = format!(
                "{fewest} of at least {least} symbols have bars, in {count} sessions to {}",
                days.end()
            );
            FindingKind::MissingSymbol.market_wide(&days, detail)
        }));
        self.sort();
    }

    /// The number of symbols with bars, for each session that is requested or wanted for any symbol.
    fn symbols_by_session(&self) -> BTreeMap<Date, Option<u64>> {
        let mut present: BTreeMap<_, _> = self.sessions.dates().iter().map(|date| (*date, None)).collect();
        let wanted: BTreeSet<Window> = self.unrequested.iter().map(|(_, window)| *window).collect();
        for window in wanted {
            for session in calendar::sessions(window) {
                present.entry(session.date()).or_default().get_or_insert(0);
            }
        }
        let mut counts = vec![None; self.sessions.dates().len()];
        for (_, days) in &self.days {
            for (count, day) in counts.iter_mut().zip(days) {
                if *day != SessionStatus::NotAsked {
                    *count = Some(count.unwrap_or(0) + u64::from(day.is_present()));
                }
            }
        }
        for (date, count) in self.sessions.dates().iter().zip(counts) {
            let known = present.entry(*date).or_default();
            *known = count.or(*known);
        }
        present
    }

    /// Sorts findings: the worst first, then by symbol and time.
    pub(super) fn sort(&mut self) {
        self.findings.sort_unstable_by(|one, other| one.rank().cmp(&other.rank()));
    }
}

fn unrequested_window(symbol: &Symbol, window: Window, command: &str) -> Finding {
    let detail = format!("{window} is in the spec and was never requested: `{command}` does");
    FindingKind::MissingSymbol.on(symbol, &(window.from()..=window.to()), detail)
}
