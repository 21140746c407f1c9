//! Converts bars as traded to the shares of a later day, by the splits in between. Pure.
//! # The rule
//! A bar is adjusted by all splits of its company whose execution day is after the bar's New York day and not after `as_of`:
//! the execution day itself already trades in new shares. Open, high, low, close and vwap are multiplied with the product of
//! `split_from` and divided by the product of `split_to`; the volume is multiplied with the latter and divided by the
//! former; the number of trades stays.
//!
//! # Exact arithmetic
//! All arithmetic is float64 in one fixed order, so that every implementation of this rule produces the same bits:
//! 1. Splits are taken from the last one to the first one; those of one day in ascending order of `from`, then of `to`.
//! 2. Both products begin with 1.0 and are extended by one split after the other. While both are whole numbers below
//!    2^53 they are exact, and after each split they are divided by their greatest common divisor: 10:1 and later 1:10
//!    cancel.
//! 3. A price is `(price * from) / to`, a volume `(volume * to) / from`.
//!
//! It is not `price * (from / to)`: 1/7, 1/3 and 1/10 have no exact float64, and the error of the quotient would be in
//! every price. So the price after 7 new shares for 1 is the float64 nearest to a seventh of the price, and whole
//! shares stay whole.

use std::collections::BTreeSet;

use jiff::civil::Date;

use crate::{Bar, Bars, new_york};

/// From here on float64 cannot represent every whole number.
const WHOLE_BELOW: f64 = 9_007_199_254_740_992.0;

/// A split: `from` old shares become `to` new ones before the session of `date`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SplitRatio {
    /// The first New York day of the new shares.
    pub date: Date,
    /// If given, the split does not apply to bars before this New York day: they belong to another company.
    pub since: Option<Date>,
    /// Old shares; finite and positive.
    pub from: f64,
    /// New shares for the old ones; finite and positive.
    pub to: f64,
}

/// A price is multiplied with `from`, then divided by `to`; a volume is multiplied with `to`, then divided by `from`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdjustmentFactor {
    /// The product of old shares.
    pub from: f64,
    /// The product of new shares.
    pub to: f64,
}

/// All splits of a history, ready to be applied.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Adjustment {
    /// Instants (UTC ms), the last one first. Each factor applies to bars before its instant, back to the next instant
    /// in the list.
    factors: Vec<(i64, AdjustmentFactor)>,
}

impl AdjustmentFactor {
    /// The factor that changes nothing.
    pub const ONE: Self = Self { from: 1.0, to: 1.0 };

    /// Returns the factor of this one and one more split.
    fn and(self, step: &SplitRatio) -> Self {
        let (from, to) = (self.from * step.from, self.to * step.to);
        let divisor = common_divisor(from, to);
        Self { from: from / divisor, to: to / divisor }
    }

    /// A price in new shares.
    #[must_use]
    pub fn price(self, price: f64) -> f64 {
        price * self.from / self.to
    }

    /// A number of shares in new shares.
    #[must_use]
    pub fn volume(self, volume: f64) -> f64 {
        volume * self.to / self.from
    }
}

/// Returns the greatest common divisor of two whole numbers that float64 represents exactly; else 1.
fn common_divisor(one: f64, other: f64) -> f64 {
    let is_whole = |number: f64| number.fract() == 0.0 && (1.0..WHOLE_BELOW).contains(&number);
    if !is_whole(one) || !is_whole(other) {
        return 1.0;
    }
    // The remainder of whole numbers is exact.
    let (mut large, mut small) = (one, other);
    while small > 0.0 {
        (large, small) = (small, large % small);
    }
    large
}

impl Adjustment {
    /// Returns the adjustment by those `splits` that are executed on `as_of` or before.
    #[must_use]
    pub fn new(splits: &[SplitRatio], as_of: Date) -> Self {
        let mut splits: Vec<_> = splits.iter().filter(|split| split.date <= as_of).collect();
        splits.sort_by(|one, other| {
            let by_ratio = one.from.total_cmp(&other.from).then(one.to.total_cmp(&other.to));
            other.date.cmp(&one.date).then(by_ratio)
        });
        let since = splits.iter().filter_map(|split| split.since);
        let days: BTreeSet<Date> = splits.iter().map(|split| split.date).chain(since).collect();
        let factors = days.into_iter().rev().map(|day| {
            let applies =
                |split: &&&SplitRatio| day <= split.date && split.since.is_none_or(|since| since < day);
            let factor =
                splits.iter().filter(applies).fold(AdjustmentFactor::ONE, |factor, split| factor.and(split));
            (new_york::day_start_ms(day), factor)
        });
        Self { factors: factors.collect() }
    }

    /// Returns the factor for a bar that begins at an instant (UTC ms).
    #[must_use]
    pub fn at(&self, timestamp: i64) -> AdjustmentFactor {
        let later = self.factors.iter().take_while(|(executed, _)| timestamp < *executed);
        later.last().map_or(AdjustmentFactor::ONE, |(_, factor)| *factor)
    }

    /// Returns the bars in new shares.
    #[must_use]
    pub fn apply(&self, bars: Bars) -> Bars {
        if self.factors.is_empty() {
            return bars;
        }
        bars.iter().map(|bar| self.adjusted(bar)).collect()
    }

    fn adjusted(&self, bar: Bar) -> Bar {
        let factor = self.at(bar.timestamp);
        if factor == AdjustmentFactor::ONE {
            return bar;
        }
        Bar {
            open: factor.price(bar.open),
            high: factor.price(bar.high),
            low: factor.price(bar.low),
            close: factor.price(bar.close),
            volume: factor.volume(bar.volume),
            vwap: bar.vwap.map(|vwap| factor.price(vwap)),
            ..bar
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::{ToSpan, civil::date};
    use proptest::prelude::*;

    use super::*;

    const DAY: Date = date(2020, 8, 31);

    fn step(date: Date, from: f64, to: f64) -> SplitRatio {
        SplitRatio { date, since: None, from, to }
    }

    fn bar(timestamp: i64, price: f64, volume: f64) -> Bar {
        let (open, high, low, close) = (price, price, price, price);
        Bar { timestamp, open, high, low, close, volume, vwap: Some(price), transactions: Some(3) }
    }

    /// A price and a volume of the day before a split, in new shares.
    fn before(splits: &[SplitRatio], price: f64, volume: f64) -> (f64, f64) {
        let at = new_york::at_ms(splits[0].date.saturating_sub(1.day()), 19, 59);
        let bars: Bars = [bar(at, price, volume)].into_iter().collect();
        let found = Adjustment::new(splits, Date::MAX).apply(bars).get(0).unwrap();
        let prices = [found.open, found.high, found.low, found.close, found.vwap.unwrap()];
        assert!(prices.iter().all(|other| other.to_bits() == prices[0].to_bits()));
        assert_eq!((found.timestamp, found.transactions), (at, Some(3)));
        (found.open, found.volume)
    }

    fn bits((price, volume): (f64, f64)) -> (u64, u64) {
        (price.to_bits(), volume.to_bits())
    }

    #[test]
    fn the_bits_of_seven_three_and_ten() {
        // The float64 nearest to the exact quotient, computed with Python's fractions.
        let cases = [
            ((1.0, 7.0), (645.57, 1_234.0), (0x4057_0e5a_b277_f44d_u64, 8_638.0)),
            ((1.0, 3.0), (885.0, 100.0), (295.0_f64.to_bits(), 300.0)),
            ((1.0, 3.0), (0.1, 0.5), (0x3fa1_1111_1111_1111, 1.5)),
            ((1.0, 10.0), (1_208.88, 7.0), (120.888_f64.to_bits(), 70.0)),
            ((10.0, 1.0), (3.49, 33.0), (0x4041_7333_3333_3334, 3.3)),
            ((2.0, 3.0), (90.0, 10.0), (60.0_f64.to_bits(), 15.0)),
        ];
        for ((from, to), (price, volume), (expected, shares)) in cases {
            let (found, traded) = before(&[step(DAY, from, to)], price, volume);
            assert_eq!((found.to_bits(), traded.to_bits()), (expected, f64::to_bits(shares)), "{from}:{to}");
        }
    }

    #[test]
    fn a_quotient_is_not_what_prices_are_multiplied_with() {
        let (_, volume) = before(&[step(DAY, 1.0, 49.0)], 1.0, 1.0);
        assert_eq!(volume.to_bits(), 49.0_f64.to_bits());
        assert_ne!((1.0_f64 / (1.0 / 49.0)).to_bits(), 49.0_f64.to_bits(), "this is why");
    }

    #[test]
    fn a_split_changes_what_is_before_its_own_day_and_nothing_else() {
        let adjustment = Adjustment::new(&[step(DAY, 1.0, 4.0)], DAY);
        let at = |day: Date, hour, minute| adjustment.at(new_york::at_ms(day, hour, minute));
        assert_eq!(at(DAY.yesterday().unwrap(), 23, 59), AdjustmentFactor { from: 1.0, to: 4.0 });
        assert_eq!([at(DAY, 0, 0), at(DAY, 4, 0)], [AdjustmentFactor::ONE; 2]);
    }

    #[test]
    fn two_splits_in_one_history_and_as_of_between_them() {
        let (first, second) = (date(2014, 6, 9), DAY);
        let splits = [step(first, 1.0, 7.0), step(second, 1.0, 4.0)];
        let at = |as_of: Date, day: Date| Adjustment::new(&splits, as_of).at(new_york::at_ms(day, 12, 0));
        let between = date(2016, 1, 4);
        assert_eq!(at(second, date(2014, 6, 6)), AdjustmentFactor { from: 1.0, to: 28.0 });
        assert_eq!(at(second, between), AdjustmentFactor { from: 1.0, to: 4.0 });
        assert_eq!(
            at(second.yesterday().unwrap(), date(2014, 6, 6)),
            AdjustmentFactor { from: 1.0, to: 7.0 }
        );
        assert_eq!(at(first, between), AdjustmentFactor::ONE);
        assert_eq!(at(first.yesterday().unwrap(), date(2014, 6, 6)), AdjustmentFactor::ONE);
        let (price, volume) = before(&splits, 645.57, 3.0);
        assert_eq!(bits((price, volume)), bits((645.57 / 28.0, 84.0)));
    }

    #[test]
    fn a_split_does_not_reach_bars_of_another_company() {
        let (took, first) = (date(2022, 6, 9), date(2022, 1, 28));
        let splits = [
            step(first, 10.0, 1.0),
            SplitRatio { since: Some(took), ..step(date(2022, 6, 10), 1.0, 5.0) },
            SplitRatio { since: Some(took), ..step(date(2024, 6, 10), 1.0, 2.0) },
        ];
        let adjustment = Adjustment::new(&splits, Date::MAX);
        let at = |day: Date| adjustment.at(new_york::at_ms(day, 12, 0));
        assert_eq!(at(date(2022, 1, 27)), AdjustmentFactor { from: 10.0, to: 1.0 });
        assert_eq!([at(first), at(date(2022, 6, 8))], [AdjustmentFactor::ONE; 2]);
        assert_eq!(at(took), AdjustmentFactor { from: 1.0, to: 10.0 });
        assert_eq!(at(date(2022, 6, 10)), AdjustmentFactor { from: 1.0, to: 2.0 });
        assert_eq!(at(date(2024, 6, 10)), AdjustmentFactor::ONE);
    }

    #[test]
    fn what_cancels_leaves_no_trace_and_fractions_are_multiplied_as_they_are() {
        let there_and_back = [step(DAY, 10.0, 1.0), step(date(2022, 1, 3), 1.0, 10.0)];
        assert_eq!(bits(before(&there_and_back, 0.1, 0.3)), bits((0.1, 0.3)));
        let thirds = [step(DAY, 2.0, 3.0), step(date(2022, 1, 3), 3.0, 2.0)];
        assert_eq!(bits(before(&thirds, 0.7, 0.7)), bits((0.7, 0.7)));
        let dividend = [step(DAY, 1.0, 1.05)];
        assert_eq!(bits(before(&dividend, 20.0, 7.0)), bits((20.0 / 1.05, 7.0 * 1.05)));
        let large = [step(DAY, 2e6, 1.0), step(date(2022, 1, 3), 1e300, 1.0)];
        assert_eq!(bits(before(&large, 1e-3, 1.0)), bits((1e-3 * (1e300 * 2e6), 1.0 / (1e300 * 2e6))));
    }

    proptest! {
        /// The order in which splits are given does not matter, not even to the last bit.
        #[test]
        fn the_order_of_the_splits_is_the_rules_own(mut splits in prop::collection::vec((0..9i32, 1..30u32, 1..30u32), 0..6)) {
            let steps = |splits: &[(i32, u32, u32)]| -> Vec<SplitRatio> {
                let one = |(day, from, to): &(i32, u32, u32)| {
                    step(DAY.saturating_add(day.days()), f64::from(*from) / 4.0, f64::from(*to))
                };
                splits.iter().map(one).collect()
            };
            let one = Adjustment::new(&steps(&splits), Date::MAX);
            splits.reverse();
            prop_assert_eq!(one, Adjustment::new(&steps(&splits), Date::MAX));
        }
    }
}
