//! Short summaries of a verification: by month, and by symbol.

use std::collections::BTreeMap;

use grab_model::{Month, Symbol};

use super::{Coverage, Verification};

impl Verification {
    /// The coverage of each month with expected or unexplained sessions.
    #[must_use]
    pub fn by_month(&self) -> BTreeMap<Month, Coverage> {
        let mut months: BTreeMap<Month, Coverage> = BTreeMap::new();
        for (index, date) in self.sessions.dates().iter().enumerate() {
            let days = self.days.iter().filter_map(|(_, days)| days.get(index));
            let coverage = months.entry(Month::of(*date)).or_default();
            days.for_each(|day| coverage.add(Coverage::of(&[*day])));
        }
        months.retain(|_, coverage| coverage.all_sessions() > 0);
        months
    }

    /// The symbols with the smallest coverage, the worst first; fully covered symbols are left out.
    #[must_use]
    pub fn worst(&self, most: usize) -> Vec<(&Symbol, Coverage)> {
        let coverages = self.days.iter().map(|(symbol, days)| (symbol, Coverage::of(days)));
        let mut worst: Vec<_> = coverages.filter(|(_, coverage)| coverage.ratio() < 1.0).collect();
        worst.sort_by(|(_, one), (_, other)| one.ratio().total_cmp(&other.ratio()));
        worst.truncate(most);
        worst
    }
}
