//! Which repairs the findings need. No I/O.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::BuildHasher,
    path::PathBuf,
};

use grab_model::{HistoryStart, Month, Symbol, Window, calendar};
use jiff::civil::Date;

use super::{Finding, FindingKind, ListingCuts, Severity};

/// What a repair does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepairPlan {
    /// Recorded partitions that cannot be used as they are.
    pub broken: BTreeMap<(Symbol, Month), BrokenPartition>,
    /// Partitions that are not recorded.
    pub unknown: BTreeMap<(Symbol, Month), UnrecordedPartition>,
    /// Files in the tree that are no partition, and damaged tables of reference data: they are quarantined. `repair`
    /// requests no table; a sync does, once the damaged one is moved away.
    pub strays: Vec<PathBuf>,
    /// Market days whose witness is lost, and their files.
    pub unwitnessed: BTreeMap<Date, Option<PathBuf>>,
    /// Tasks that are not finished or have no data: they are requested as they are.
    pub unfinished: BTreeSet<(Symbol, Window)>,
    /// Windows that are requested again: missing and thin sessions.
    pub again: BTreeSet<(Symbol, Window)>,
    /// Subscribed windows that were never requested, because the lists did not have the symbol then.
    pub cut_away: BTreeSet<(Symbol, Window)>,
    /// Damage that needs a decision of the user.
    pub left: Vec<Finding>,
    /// Findings that name nothing to ask for: said, and not repaired.
    pub not_asked: Vec<Finding>,
}

/// A partition whose file is not the recorded one. Its file, if there is one, is quarantined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BrokenPartition {
    /// Whether the file may be another good one: it is recorded as it is if no bar is missing.
    pub may_be_good: bool,
    /// Its days: they are requested again.
    pub days: Vec<Window>,
}

/// An unrecorded partition: it is recorded if it is good, else quarantined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnrecordedPartition {
    /// The requested windows of its month: requested again where the file has no bars.
    pub requested: Vec<Window>,
    /// The whole month, up to the last finished session: requested if the file is bad and no task covers it.
    pub month: Vec<Window>,
}

impl RepairPlan {
    /// Plans the repair of `findings`. `requested` are the requested windows of each symbol; `cut_away` are those that are
    /// subscribed and were not requested. Nothing after `last_day` is requested. Notices change nothing.
    #[must_use]
    pub fn of<H: BuildHasher>(
        findings: &[Finding],
        requested: &HashMap<Symbol, Vec<Window>, H>,
        cut_away: &ListingCuts,
        last_day: Date,
    ) -> Self {
        let mut plan = Self::default();
        for finding in findings {
            let windows = finding.ticker.as_ref().and_then(|symbol| requested.get(symbol));
            let cut_away = finding.ticker.iter().flat_map(|symbol| cut_away.windows_of(symbol));
            let cut_away: Vec<_> = cut_away.collect();
            plan.add(finding, windows.map_or(&[][..], Vec::as_slice), &cut_away, last_day);
        }
        plan
    }

    fn add(&mut self, finding: &Finding, requested: &[Window], cut_away: &[Window], last_day: Date) {
        // What is only worth knowing stays; a stray file is out of place, whatever harm it does.
        if finding.severity == Severity::Notice && finding.kind != FindingKind::StrayFile {
            return;
        }
        match finding.kind {
            FindingKind::StrayFile => self.add_stray(finding, requested, last_day),
            FindingKind::MissingFile
            | FindingKind::CorruptFile
            | FindingKind::DigestMismatch
            | FindingKind::RowCountMismatch
            | FindingKind::SchemaMismatch
            | FindingKind::DuplicateTimestamp
            | FindingKind::Unsorted
            | FindingKind::OutsideWindow
            | FindingKind::OffMinute => self.add_file(finding, requested, last_day),
            FindingKind::MissingSession | FindingKind::MissingSymbol | FindingKind::ThinSession => {
                self.add_sessions(finding, requested, cut_away);
            }
            FindingKind::UnfinishedTask => self.add_task(finding),
            FindingKind::ManifestCorrupt => self.left.push(finding.clone()),
            // The server sent these bars so: to ask again would bring them again.
            FindingKind::OutsideSession | FindingKind::BadOhlc | FindingKind::OutsideListing => {
                self.not_asked.push(finding.clone());
            }
        }
    }

    fn add_stray(&mut self, finding: &Finding, requested: &[Window], last_day: Date) {
        let (Some(symbol), Some(month)) = (&finding.ticker, finding.month) else {
            self.strays.extend(finding.path.clone());
            return;
        };
        let requested = runs(month, requested_days(month, requested), last_day);
        let month_itself = runs(month, u32::MAX, last_day);
        let unknown = UnrecordedPartition { requested, month: month_itself };
        self.unknown.insert((symbol.clone(), month), unknown);
    }

    /// A damaged file: a partition, a day of the market, or a table of reference data.
    fn add_file(&mut self, finding: &Finding, requested: &[Window], last_day: Date) {
        let Finding { kind, ticker, month, date, path, .. } = finding;
        match (ticker, month, date) {
            (Some(symbol), Some(month), _) => {
                let mask = requested_days(*month, requested);
                // If no task covers it, it was recorded as a whole.
                let days = runs(*month, if mask == 0 { u32::MAX } else { mask }, last_day);
                let is_other = matches!(kind, FindingKind::DigestMismatch | FindingKind::RowCountMismatch);
                let known = self
                    .broken
                    .insert((symbol.clone(), *month), BrokenPartition { may_be_good: is_other, days });
                let broken = self.broken.entry((symbol.clone(), *month)).or_default();
                broken.may_be_good &= known.is_none_or(|known| known.may_be_good);
            }
            (None, None, Some(date)) => {
                self.unwitnessed.insert(*date, path.clone());
            }
            (None, None, None) if path.is_some() && is_table_damage(*kind) => {
                self.strays.extend(path.clone());
            }
            (Some(_), None, _) | (None, Some(_), _) | (None, None, None) => self.left.push(finding.clone()),
        }
    }

    /// Sessions that lack bars. Those of the market as a whole name no symbol to ask for.
    fn add_sessions(&mut self, finding: &Finding, requested: &[Window], cut_away: &[Window]) {
        let (Some(symbol), Some(from)) = (&finding.ticker, finding.date) else {
            self.not_asked.push(finding.clone());
            return;
        };
        let window = Window::new(from, finding.to.unwrap_or(from));
        let parts = |requested| window.into_iter().flat_map(|window| within(window, requested)).collect();
        let (again, never): (Vec<Window>, Vec<Window>) = (parts(requested), parts(cut_away));
        self.again.extend(again.into_iter().map(|window| (symbol.clone(), window)));
        let has_session = |window: &Window| calendar::sessions(*window).next().is_some();
        let never = never.into_iter().filter(has_session);
        self.cut_away.extend(never.map(|window| (symbol.clone(), window)));
    }

    fn add_task(&mut self, finding: &Finding) {
        let window = finding.date.and_then(|from| Window::new(from, finding.to.unwrap_or(from)));
        match finding.ticker.clone().zip(window) {
            Some(task) => {
                self.unfinished.insert(task);
            }
            // What a lost manifest had pending is not known: no window can be requested.
            None => self.not_asked.push(finding.clone()),
        }
    }

    /// Leaves out what an outstanding task requests anyway; `pending` are the windows of these tasks. So an interrupted
    /// repair continues with its own tasks.
    pub fn leave_out<H: BuildHasher>(&mut self, pending: &HashMap<Symbol, Vec<Window>, H>) {
        let covers =
            |task: &Window, window: &Window| task.from() <= window.from() && window.to() <= task.to();
        self.again.retain(|(symbol, window)| {
            let mut tasks = pending.get(symbol).into_iter().flatten();
            !tasks.any(|task| covers(task, window))
        });
    }

    /// Leaves out the days that the plan no longer serves.
    pub fn cut(&mut self, edge: HistoryStart) {
        let served = |(symbol, window): (Symbol, Window)| {
            let served = edge.split(window).map_or(Some(window), |(_, rest)| rest);
            served.map(|window| (symbol, window))
        };
        self.again = std::mem::take(&mut self.again).into_iter().filter_map(served).collect();
    }

    /// The symbols for which anything is requested.
    #[must_use]
    pub fn symbols(&self) -> BTreeSet<&Symbol> {
        let broken = self.broken.keys().map(|(symbol, _)| symbol);
        broken.chain(self.again.iter().chain(&self.cut_away).map(|(symbol, _)| symbol)).collect()
    }

    /// The number of windows that are requested again.
    #[must_use]
    pub fn windows(&self) -> usize {
        self.again.len() + self.unfinished.len() + self.cut_away.len()
    }

    /// The number of repairs.
    #[must_use]
    pub fn count(&self) -> usize {
        let stored = self.broken.len() + self.unknown.len() + self.strays.len();
        stored + self.windows() + self.unwitnessed.len()
    }

    /// Whether there is nothing to do. `left` does not count.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        Self { left: Vec::new(), not_asked: Vec::new(), ..self.clone() } == Self::default()
    }

    /// The days that are lost if no file turns out to be good.
    #[must_use]
    pub fn lost_days(&self) -> BTreeSet<(Symbol, Window)> {
        self.broken.iter().flat_map(|((symbol, _), broken)| pairs(symbol, &broken.days)).collect()
    }
}

/// Whether a table of reference data is damaged in a way that a new one repairs.
fn is_table_damage(kind: FindingKind) -> bool {
    matches!(kind, FindingKind::CorruptFile | FindingKind::SchemaMismatch)
}

/// Pairs each window with the symbol.
pub(crate) fn pairs<'a>(
    symbol: &'a Symbol,
    windows: &'a [Window],
) -> impl Iterator<Item = (Symbol, Window)> + 'a {
    windows.iter().map(|window| (symbol.clone(), *window))
}

/// The requested parts of a window: a run of missing sessions may include days that were never requested.
fn within(window: Window, requested: &[Window]) -> Vec<Window> {
    let part = |requested: &Window| {
        Window::new(window.from().max(requested.from()), window.to().min(requested.to()))
    };
    let mut parts: Vec<_> = requested.iter().filter_map(part).collect();
    parts.sort_unstable();
    let mut joined: Vec<Window> = Vec::new();
    for part in parts {
        match joined.last_mut().filter(|last| last.to() >= part.from()) {
            Some(last) => *last = Window::new(last.from(), last.to().max(part.to())).unwrap_or(*last),
            None => joined.push(part),
        }
    }
    joined
}

/// The requested days of a month, as bits.
fn requested_days(month: Month, requested: &[Window]) -> u32 {
    requested.iter().fold(0, |mask, window| mask | month.mask(*window))
}

/// The days of a month up to `last_day`, in runs.
fn runs(month: Month, mask: u32, last_day: Date) -> Vec<Window> {
    let mut runs: Vec<Window> = Vec::new();
    let days = month.days(mask);
    for day in days.take_while(|day| *day <= last_day) {
        let before = runs.last_mut().filter(|run| run.to().tomorrow().is_ok_and(|next| next == day));
        match before {
            Some(run) => *run = Window::new(run.from(), day).unwrap_or(*run),
            None => runs.extend(Window::new(day, day)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn symbol() -> Symbol {
        "A".parse().unwrap()
    }

    fn plan(findings: &[Finding], requested: &[Window]) -> RepairPlan {
        let requested = HashMap::from([(symbol(), requested.to_vec())]);
        RepairPlan::of(findings, &requested, &ListingCuts::default(), date(2024, 3, 20))
    }

    fn window(from: Date, to: Date) -> Window {
        Window::new(from, to).unwrap()
    }

    fn damage(month: i8) -> Finding {
        let month = Month::new(2024, month).unwrap();
        FindingKind::CorruptFile.in_partition(&symbol(), month, "x".into(), String::new())
    }

    fn again(plan: &RepairPlan) -> Vec<String> {
        let windows = plan.lost_days().into_iter().chain(plan.again.iter().cloned());
        windows.map(|(_, window)| window.to_string()).collect()
    }

    #[test]
    fn of_a_lost_month_the_days_are_asked_for_that_were_asked_for_before() {
        let requested =
            [window(date(2023, 12, 5), date(2024, 1, 10)), window(date(2024, 1, 11), date(2024, 2, 2))];
        assert_eq!(again(&plan(&[damage(1), damage(1)], &requested)), ["2024-01-01..2024-01-31"]);
        assert_eq!(again(&plan(&[damage(2)], &requested)), ["2024-02-01..2024-02-02"]);
        let apart = [window(date(2024, 2, 1), date(2024, 2, 3)), window(date(2024, 2, 7), date(2024, 2, 9))];
        assert_eq!(again(&plan(&[damage(2)], &apart)), ["2024-02-01..2024-02-03", "2024-02-07..2024-02-09"]);
        assert_eq!(again(&plan(&[damage(3)], &[])), ["2024-03-01..2024-03-20"], "no task knows of it");
        assert_eq!(plan(&[damage(2)], &apart).broken.len(), 1);
    }

    #[test]
    fn what_was_cut_away_is_asked_for_as_far_as_a_finding_goes() {
        let mut cut_away = ListingCuts::default();
        cut_away.add(&symbol(), window(date(2023, 12, 1), date(2024, 1, 7)), None);
        let days = date(2024, 1, 3)..=date(2024, 1, 5);
        let gap = FindingKind::MissingSession.on(&symbol(), &days, String::new());
        // The sixth and the seventh are a weekend, which needs no request.
        let next =
            FindingKind::MissingSession.on(&symbol(), &(date(2024, 1, 6)..=date(2024, 1, 9)), String::new());
        let requested = HashMap::from([(symbol(), vec![window(date(2024, 1, 8), date(2024, 1, 31))])]);
        let plan = RepairPlan::of(&[gap, next], &requested, &cut_away, date(2024, 3, 20));
        let windows = |pairs: &BTreeSet<(Symbol, Window)>| -> Vec<String> {
            pairs.iter().map(|(_, window)| window.to_string()).collect()
        };
        assert_eq!(windows(&plan.cut_away), ["2024-01-03..2024-01-05"]);
        assert_eq!(windows(&plan.again), ["2024-01-08..2024-01-09"]);
        assert_eq!((plan.symbols().len(), plan.is_empty()), (1, false));
    }

    #[test]
    fn gaps_are_asked_for_as_they_are_and_notices_are_left() {
        let days = date(2024, 1, 3)..=date(2024, 1, 8);
        let gap = FindingKind::MissingSession.on(&symbol(), &days, String::new());
        let known = Finding { severity: Severity::Notice, ..gap.clone() };
        let odd = FindingKind::BadOhlc.in_partition(
            &symbol(),
            Month::new(2024, 1).unwrap(),
            "x".into(),
            String::new(),
        );
        let requested = [
            window(date(2023, 12, 1), date(2024, 1, 4)),
            window(date(2024, 1, 4), date(2024, 1, 5)),
            window(date(2024, 1, 8), date(2024, 2, 1)),
        ];
        assert_eq!(again(&plan(&[gap], &requested)), ["2024-01-03..2024-01-05", "2024-01-08..2024-01-08"]);
        assert!(plan(&[known, odd], &[]).is_empty());
    }

    #[test]
    fn no_finding_is_dropped_but_those_that_are_only_worth_knowing() {
        let day = date(2024, 1, 3);
        let (month, path) = (Month::new(2024, 1).unwrap(), PathBuf::from("x"));
        for kind in FindingKind::ALL {
            let forms = [
                kind.in_partition(&symbol(), month, path.clone(), String::new()),
                kind.in_reference(None, path.clone(), String::new()),
                kind.in_reference(Some(day), path.clone(), String::new()),
                kind.on(&symbol(), &(day..=day), String::new()),
                kind.market_wide(&(day..=day), String::new()),
            ];
            for severity in [Severity::Damage, Severity::Gap] {
                for form in &forms {
                    let finding = Finding { severity, ..form.clone() };
                    let plan = plan(std::slice::from_ref(&finding), &[window(day, day)]);
                    let done = plan.count() + plan.left.len() + plan.not_asked.len();
                    // A stray is its path; one without is none.
                    let expected = usize::from(kind != FindingKind::StrayFile || finding.path.is_some());
                    assert_eq!(done, expected, "{finding:?}");
                }
            }
        }
    }

    #[test]
    fn a_gap_of_the_market_as_a_whole_is_said_and_nothing_is_asked_for() {
        let day = date(2024, 1, 3);
        let gap = FindingKind::MissingSymbol.market_wide(&(day..=day), "3 of 5".to_owned());
        let plan = plan(std::slice::from_ref(&gap), &[window(day, day)]);
        assert_eq!((plan.is_empty(), plan.count(), plan.left.len()), (true, 0, 0));
        assert_eq!(plan.not_asked, [gap]);
    }
}
