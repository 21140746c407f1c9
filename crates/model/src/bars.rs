//! Minute bars as columns.

use std::ops::Range;

use super::SparseColumn;

/// One minute bar, as traded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bar {
    /// Start of the minute, UTC ms since the epoch (polygon-api.md §1).
    pub timestamp: i64,
    /// First eligible price, USD.
    pub open: f64,
    /// Highest eligible price, USD.
    pub high: f64,
    /// Lowest eligible price, USD.
    pub low: f64,
    /// Last eligible price, USD.
    pub close: f64,
    /// Shares traded. Fractional volumes are real since 2026-02-23.
    pub volume: f64,
    /// Volume-weighted average price, USD; may lie outside of `low..high` (odd lots); absent where not sent.
    pub vwap: Option<f64>,
    /// Number of trades; absent where not sent.
    pub transactions: Option<i64>,
}

/// Bars as columns of equal length. A row keeps the index at which it was pushed until [`Bars::into_unique`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bars {
    timestamp: Vec<i64>,
    open: Vec<f64>,
    high: Vec<f64>,
    low: Vec<f64>,
    close: Vec<f64>,
    volume: Vec<f64>,
    vwap: SparseColumn<f64>,
    transactions: SparseColumn<i64>,
}

impl Bars {
    /// No bars, with room for `rows`.
    #[must_use]
    pub fn with_capacity(rows: usize) -> Self {
        Self {
            timestamp: Vec::with_capacity(rows),
            open: Vec::with_capacity(rows),
            high: Vec::with_capacity(rows),
            low: Vec::with_capacity(rows),
            close: Vec::with_capacity(rows),
            volume: Vec::with_capacity(rows),
            vwap: SparseColumn::with_capacity(rows),
            transactions: SparseColumn::with_capacity(rows),
        }
    }

    /// Makes bars of columns in the order of the file. None if the columns are not of one length.
    #[must_use]
    pub fn from_columns(
        timestamp: Vec<i64>,
        required: [Vec<f64>; 5],
        vwap: SparseColumn<f64>,
        transactions: SparseColumn<i64>,
    ) -> Option<Self> {
        let rows = timestamp.len();
        let is_even = required.iter().all(|column| column.len() == rows);
        let [open, high, low, close, volume] = required;
        let is_even = is_even && vwap.len() == rows && transactions.len() == rows;
        is_even.then_some(Self { timestamp, open, high, low, close, volume, vwap, transactions })
    }

    /// Appends one bar.
    pub fn push(&mut self, bar: Bar) {
        self.timestamp.push(bar.timestamp);
        self.open.push(bar.open);
        self.high.push(bar.high);
        self.low.push(bar.low);
        self.close.push(bar.close);
        self.volume.push(bar.volume);
        self.vwap.push(bar.vwap);
        self.transactions.push(bar.transactions);
    }

    /// The bar in a row. None if there is no such row.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<Bar> {
        Some(Bar {
            timestamp: *self.timestamp.get(row)?,
            open: self.open[row],
            high: self.high[row],
            low: self.low[row],
            close: self.close[row],
            volume: self.volume[row],
            vwap: self.vwap.get(row),
            transactions: self.transactions.get(row),
        })
    }

    /// All bars in the order of their rows.
    pub fn iter(&self) -> impl Iterator<Item = Bar> {
        let [open, high, low, close, volume] = self.required();
        let prices = open.iter().zip(high).zip(low).zip(close);
        let rest = volume.iter().zip(self.vwap.iter()).zip(self.transactions.iter());
        let rows = self.timestamp.iter().zip(prices).zip(rest);
        rows.map(|((timestamp, (((open, high), low), close)), ((volume, vwap), transactions))| Bar {
            timestamp: *timestamp,
            open: *open,
            high: *high,
            low: *low,
            close: *close,
            volume: *volume,
            vwap,
            transactions,
        })
    }

    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.timestamp.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.timestamp.is_empty()
    }

    /// Starts of the minutes, UTC ms.
    #[must_use]
    pub fn timestamps(&self) -> &[i64] {
        &self.timestamp
    }

    /// The five columns that every bar has, in the order of the file: open, high, low, close, volume.
    #[must_use]
    pub fn required(&self) -> [&[f64]; 5] {
        [&self.open, &self.high, &self.low, &self.close, &self.volume]
    }

    /// Volume-weighted average prices.
    #[must_use]
    pub fn vwaps(&self) -> &SparseColumn<f64> {
        &self.vwap
    }

    /// Numbers of trades.
    #[must_use]
    pub fn transactions(&self) -> &SparseColumn<i64> {
        &self.transactions
    }

    /// The rows of `range`, copied.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        Self {
            timestamp: self.timestamp[range.clone()].to_vec(),
            open: self.open[range.clone()].to_vec(),
            high: self.high[range.clone()].to_vec(),
            low: self.low[range.clone()].to_vec(),
            close: self.close[range.clone()].to_vec(),
            volume: self.volume[range.clone()].to_vec(),
            vwap: self.vwap.slice(range.clone()),
            transactions: self.transactions.slice(range),
        }
    }

    /// Returns the bars in ascending order with one bar per timestamp: of several, the one in the last row.
    #[must_use]
    pub fn into_unique(self) -> Self {
        if self.timestamp.is_sorted_by(|a, b| a < b) {
            return self;
        }
        let mut rows: Vec<usize> = (0..self.len()).collect();
        rows.sort_by_key(|row| self.timestamp[*row]);
        let last_of_its_minute = |(at, row): (usize, &usize)| {
            rows.get(at + 1).is_none_or(|next| self.timestamp[*next] != self.timestamp[*row])
        };
        let kept = rows.iter().enumerate().filter(|(at, row)| last_of_its_minute((*at, row)));
        let mut unique = Self::with_capacity(self.len());
        unique.extend(kept.filter_map(|(_, row)| self.get(*row)));
        unique
    }

    /// The union of two sets of bars, ascending and unique: where both have a minute, `newer` wins.
    #[must_use]
    pub fn union(older: Self, newer: Self) -> Self {
        let (older, newer) = (older.into_unique(), newer.into_unique());
        if older.timestamp.last() < newer.timestamp.first() {
            return older.append(newer);
        }
        let mut union = Self::with_capacity(older.len() + newer.len());
        let (mut old, mut new) = (older.iter().peekable(), newer.iter().peekable());
        while let (Some(o), Some(n)) = (old.peek(), new.peek()) {
            match o.timestamp.cmp(&n.timestamp) {
                std::cmp::Ordering::Less => union.extend(old.next()),
                std::cmp::Ordering::Greater => union.extend(new.next()),
                std::cmp::Ordering::Equal => {
                    old.next();
                    union.extend(new.next());
                }
            }
        }
        union.extend(old.chain(new));
        union
    }

    /// These rows, then those of `other`.
    #[must_use]
    pub fn append(mut self, mut other: Self) -> Self {
        self.timestamp.append(&mut other.timestamp);
        self.open.append(&mut other.open);
        self.high.append(&mut other.high);
        self.low.append(&mut other.low);
        self.close.append(&mut other.close);
        self.volume.append(&mut other.volume);
        self.vwap.append(&mut other.vwap);
        self.transactions.append(&mut other.transactions);
        self
    }
}

impl Extend<Bar> for Bars {
    fn extend<T: IntoIterator<Item = Bar>>(&mut self, bars: T) {
        bars.into_iter().for_each(|bar| self.push(bar));
    }
}

impl FromIterator<Bar> for Bars {
    fn from_iter<T: IntoIterator<Item = Bar>>(bars: T) -> Self {
        let mut columns = Self::default();
        columns.extend(bars);
        columns
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn bar(timestamp: i64, close: f64) -> Bar {
        Bar {
            timestamp,
            open: 1.0,
            high: 2.0,
            low: 0.5,
            close,
            volume: 100.0,
            vwap: (close > 5.0).then_some(close),
            transactions: (close < 9.0).then_some(3),
        }
    }

    fn bars(rows: &[(i64, u8)]) -> Bars {
        rows.iter().map(|(t, c)| bar(*t, f64::from(*c))).collect()
    }

    #[test]
    fn of_two_bars_for_a_minute_the_later_row_stays() {
        let unique = bars(&[(60, 1), (0, 2), (60, 3), (0, 4)]).into_unique();
        assert_eq!(unique, bars(&[(0, 4), (60, 3)]));
    }

    proptest! {
        /// The union equals a map filled with the older, then the newer bars. So it is idempotent, and repeating any
        /// merge changes nothing.
        #[test]
        fn a_union_is_a_map_filled_in_order(
            older in prop::collection::vec((0..40i64, any::<u8>()), 0..60),
            newer in prop::collection::vec((0..40i64, any::<u8>()), 0..60),
        ) {
            let map: BTreeMap<i64, u8> = older.iter().chain(&newer).copied().collect();
            let expected = bars(&map.into_iter().collect::<Vec<_>>());
            let union = Bars::union(bars(&older), bars(&newer));
            prop_assert_eq!(&union, &expected);
            prop_assert_eq!(Bars::union(union.clone(), bars(&newer)), expected);
        }
    }
}
