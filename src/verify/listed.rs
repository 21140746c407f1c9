//! What the universe says of absences.

use super::{Day, Seen, coverage::Facts};

impl Facts<'_> {
    /// Outside of all lives of the symbol nothing is expected, unless the witness saw it trade. A request that is still owed
    /// may show otherwise.
    pub(super) fn mark_not_listed(&self, days: &mut [Day]) {
        let Some(universe) = self.universe else { return };
        for (day, date) in days.iter_mut().zip(self.sessions.dates()) {
            let is_absent = match day {
                Day::NotFound
                | Day::NotEntitled
                | Day::Failed
                | Day::Empty
                | Day::AskedAgain
                | Day::Missing => true,
                Day::NotAsked
                | Day::Owed
                | Day::NoTrade
                | Day::Withheld
                | Day::Lost
                | Day::Thin
                | Day::Present
                | Day::NotListed => false,
            };
            let has_traded = || matches!(self.witness.saw(self.symbol, *date), Some(Seen::Traded(_)));
            if is_absent && universe.is_outside(self.symbol, *date) && !has_traded() {
                *day = Day::NotListed;
            }
        }
    }
}
