//! Whether bars show the applied splits. A list may have a wrong day or a wrong ratio, and then prices jump where they
//! should not. Pure.
//!
//! # The rule
//! The price of a day is the median of its closes, as traded: no single odd bar moves it. On the day of a split it
//! should change by the split's factor, but not exactly, as the market moves too: a change shows the split if it is
//! nearer to the factor than to no change, and not beyond twice or half of it. Factors are compared by their logarithms.
//!
//! There is no result if the last day before or the first day after is more than ten days away, or if the factor is
//! below 1.15, which any news can hide. Below 1.3 a split is called absent only if the change is seen on another day nearby.

use jiff::{ToSpan, civil::Date};

use grab_model::{Bars, new_york};

/// Below this factor a change cannot be told from ordinary moves.
const LEAST: f64 = 1.15;

/// From this factor on, a split may be called absent even if the change is seen nowhere.
const CLEAR: f64 = 1.3;

/// A change may be at most this many times larger or smaller than the factor.
const TOLERANCE: f64 = 2.0;

/// The most days between a change and the prices before and after it.
const APART: i32 = 10;

/// The sessions before and after a split's day in which a change is searched.
const AROUND: usize = 30;

/// The days of a file and their prices.
#[derive(Debug, Default)]
pub(super) struct PriceDays {
    /// The median of the closes of each day, as traded, in order.
    days: Vec<(Date, f64)>,
    /// The closes of the last day so far, and the first instant (UTC ms) after that day.
    open: Option<(Date, i64, Vec<f64>)>,
}

/// What bars show about a split.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum SplitEvidence {
    /// The prices change by its factor on its day.
    Shown,
    /// The prices do not change by its factor on its day.
    Absent {
        /// The price before, and its day.
        before: (Date, f64),
        /// The price after, and its day.
        after: (Date, f64),
        /// The nearby day on which they do, if there is one.
        elsewhere: Option<Date>,
        /// Whether they change by the inverse of the factor.
        is_inverse: bool,
    },
    /// The bars do not decide it.
    Unsettled,
}

impl PriceDays {
    /// Adds bars as traded, which must follow all bars added before.
    pub(super) fn add(&mut self, bars: &Bars) {
        for bar in bars.iter() {
            let is_next = self.open.as_ref().is_none_or(|(_, end, _)| bar.timestamp >= *end);
            if is_next {
                self.close();
                let Some(day) = new_york::date_of(bar.timestamp) else { continue };
                let end = day.tomorrow().map_or(i64::MAX, new_york::day_start_ms);
                self.open = Some((day, end, Vec::new()));
            }
            if let Some((_, _, closes)) = &mut self.open {
                closes.push(bar.close);
            }
        }
    }

    /// Finishes the last day.
    pub(super) fn close(&mut self) {
        if let Some((day, _, mut closes)) = self.open.take()
            && !closes.is_empty()
        {
            let middle = closes.len() / 2;
            let (_, median, _) = closes.select_nth_unstable_by(middle, f64::total_cmp);
            self.days.push((day, *median));
        }
    }

    /// Whether the bars show splits that together change prices by `factor` on `day`. A change on one of the days
    /// `others` belongs to another split.
    pub(super) fn evidence_of(&self, day: Date, factor: f64, others: &[Date]) -> SplitEvidence {
        let expected = factor.ln();
        let size = expected.abs();
        let at = self.days.partition_point(|(date, _)| *date < day);
        let (Some((before, after)), true) = (self.change(at), size >= LEAST.ln()) else {
            return SplitEvidence::Unsettled;
        };
        let is_near = |date: Date| {
            let (from, to) = (day.saturating_sub(APART.days()), day.saturating_add(APART.days()));
            (from..=to).contains(&date)
        };
        if !is_near(before.0) || !is_near(after.0) {
            return SplitEvidence::Unsettled;
        }
        let found = (after.1 / before.1).ln();
        // In logarithms, "no change" is `size` away from the expected change: half of it is the border between both.
        if (found - expected).abs() < (size / 2.0).min(TOLERANCE.ln()) {
            return SplitEvidence::Shown;
        }
        let elsewhere = self.elsewhere(at, expected, others);
        if size < CLEAR.ln() && elsewhere.is_none() {
            return SplitEvidence::Unsettled;
        }
        let is_inverse = (found + expected).abs() < size / 3.0;
        SplitEvidence::Absent { before, after, elsewhere, is_inverse }
    }

    /// The day at an index and the day before it, with their prices. None if they are far from each other.
    fn change(&self, place: usize) -> Option<((Date, f64), (Date, f64))> {
        let (before, after) = (*self.days.get(place.checked_sub(1)?)?, *self.days.get(place)?);
        let is_usable = before.1 > 0.0 && after.1 > 0.0;
        (is_usable && after.0 <= before.0.saturating_add((2 * APART).days())).then_some((before, after))
    }

    /// The day near an index on which prices change most nearly as expected.
    fn elsewhere(&self, at: usize, expected: f64, others: &[Date]) -> Option<Date> {
        let tolerance = (expected.abs() / 4.0).min(TOLERANCE.ln() / 2.0);
        let places = at.saturating_sub(AROUND)..=at + AROUND;
        let changes = places.filter(|place| *place != at).filter_map(|place| self.change(place));
        let off = changes.filter(|(_, after)| !others.contains(&after.0)).map(|(before, after)| {
            let off = ((after.1 / before.1).ln() - expected).abs();
            (after.0, off)
        });
        let near = off.filter(|(_, off)| *off < tolerance);
        near.min_by(|one, other| one.1.total_cmp(&other.1)).map(|(day, _)| day)
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    const DAY: Date = date(2014, 1, 7);

    /// Weekdays from 2013-12-02 on, with these prices.
    fn days(prices: impl Fn(Date) -> Option<f64>) -> PriceDays {
        let all = std::iter::successors(Some(date(2013, 12, 2)), |day| day.tomorrow().ok());
        let weekdays = all.take(120).filter(|day| day.weekday().to_monday_zero_offset() < 5);
        let days = weekdays.filter_map(|day| Some((day, prices(day)?))).collect();
        PriceDays { days, open: None }
    }

    fn elsewhere(seen: SplitEvidence) -> Option<Date> {
        match seen {
            SplitEvidence::Absent { elsewhere, .. } => elsewhere,
            SplitEvidence::Shown | SplitEvidence::Unsettled => None,
        }
    }

    #[test]
    fn a_split_is_shown_by_a_change_on_its_day_whatever_the_market_does() {
        for (factor, moves) in
            [(0.1, 0.7), (0.1, 1.5), (10.0, 0.6), (0.5, 1.2), (2.0 / 3.0, 0.9), (0.8, 1.05)]
        {
            let days = days(|day| Some(if day < DAY { 830.0 } else { 830.0 * factor * moves }));
            assert_eq!(days.evidence_of(DAY, factor, &[]), SplitEvidence::Shown, "{factor} {moves}");
        }
    }

    #[test]
    fn a_split_with_a_wrong_day_is_not_shown_and_its_own_day_is_found() {
        for right in [date(2014, 1, 22), date(2014, 1, 8), date(2013, 12, 20), date(2014, 1, 6)] {
            let days = days(|day| Some(if day < right { 830.0 } else { 83.5 }));
            assert_eq!(elsewhere(days.evidence_of(DAY, 0.1, &[])), Some(right), "{right}");
            assert_eq!(elsewhere(days.evidence_of(DAY, 0.1, &[right])), None, "that one is another split's");
        }
        let small = days(|day| Some(if day < date(2014, 1, 22) { 100.0 } else { 80.5 }));
        assert_eq!(elsewhere(small.evidence_of(DAY, 0.8, &[])), Some(date(2014, 1, 22)));
    }

    #[test]
    fn a_split_that_is_nowhere_or_the_wrong_way_round_is_absent() {
        let flat = days(|_| Some(830.0));
        let absent = |is_inverse| move |seen| matches!(seen, SplitEvidence::Absent { is_inverse: found, .. } if found == is_inverse);
        assert!(absent(false)(flat.evidence_of(DAY, 0.1, &[])));
        assert!(absent(false)(flat.evidence_of(DAY, 2.0 / 3.0, &[])));
        let inverse = days(|day| Some(if day < DAY { 83.0 } else { 830.0 }));
        assert!(absent(true)(inverse.evidence_of(DAY, 0.1, &[])));
        let other = days(|day| Some(if day < DAY { 830.0 } else { 830.0 / 4.0 }));
        assert!(absent(false)(other.evidence_of(DAY, 0.1, &[])), "four for one is not ten for one");
    }

    #[test]
    fn where_it_cannot_be_told_nothing_is_said() {
        let flat = days(|_| Some(830.0));
        for factor in [20.0 / 21.0, 1.1, 0.8, 1.25] {
            assert_eq!(
                flat.evidence_of(DAY, factor, &[]),
                SplitEvidence::Unsettled,
                "{factor}: any news can hide it"
            );
        }
        let before = |first: Date| days(move |day| (day < first).then_some(830.0));
        assert_eq!(before(DAY).evidence_of(DAY, 0.1, &[]), SplitEvidence::Unsettled, "no bar after it");
        let gap = days(|day| (day < date(2013, 12, 20) || day >= DAY).then_some(830.0));
        assert_eq!(gap.evidence_of(DAY, 0.1, &[]), SplitEvidence::Unsettled, "no bar in the days before it");
        assert_eq!(PriceDays::default().evidence_of(DAY, 0.1, &[]), SplitEvidence::Unsettled);
        let first = days(|day| (day >= DAY).then_some(830.0));
        assert_eq!(first.evidence_of(DAY, 0.1, &[]), SplitEvidence::Unsettled);
    }

    #[test]
    fn a_day_has_the_median_of_its_closes() {
        let bar = |hour, minute, close| grab_model::Bar {
            timestamp: new_york::at_ms(DAY, hour, minute),
            open: 1.0,
            high: 1.0,
            low: 1.0,
            close,
            volume: 1.0,
            vwap: None,
            transactions: None,
        };
        let mut days = PriceDays::default();
        days.add(&[bar(4, 0, 9e9), bar(9, 30, 10.0)].into_iter().collect());
        days.add(&[bar(15, 59, 12.0)].into_iter().collect());
        days.close();
        assert_eq!(days.days, [(DAY, 12.0)]);
    }

    /// Moves of 4 % a day, and shocks of up to 20 % on one day in fifty: hardly any correct split may be called absent.
    #[test]
    fn wild_markets_do_not_hide_splits() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut wrong = 0;
        for round in 0..2_000 {
            let factor = [0.1, 0.25, 0.5, 2.0 / 3.0, 0.75, 0.8, 10.0, 4.0][round % 8];
            let mut price = 50.0;
            let days = days(|_| Some(1.0));
            let walked = days.days.iter().map(|(day, _)| {
                let noise: f64 = (0..6).map(|_| random.f64() - 0.5).sum::<f64>() * 0.04 * 1.4;
                let shock = if random.u32(0..50) == 0 { (random.f64() - 0.5) * 0.4 } else { 0.0 };
                price *= (noise + shock).exp() * if *day == DAY { factor } else { 1.0 };
                (*day, price)
            });
            let walked = PriceDays { days: walked.collect(), open: None };
            wrong +=
                usize::from(matches!(walked.evidence_of(DAY, factor, &[]), SplitEvidence::Absent { .. }));
        }
        assert!(wrong <= 8, "{wrong} of 2,000");
    }
}
