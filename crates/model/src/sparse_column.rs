//! A column in which values may be absent.

use std::ops::Range;

/// Values in the order of their rows, some of them absent: nine bytes a row, where a `Vec<Option<f64>>` takes sixteen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SparseColumn<T> {
    /// The default value where none is present.
    values: Vec<T>,
    is_present: Vec<bool>,
}

impl<T: Copy + Default> SparseColumn<T> {
    /// No rows, with room for `rows`.
    #[must_use]
    pub fn with_capacity(rows: usize) -> Self {
        Self { values: Vec::with_capacity(rows), is_present: Vec::with_capacity(rows) }
    }

    /// Appends a row.
    pub fn push(&mut self, value: Option<T>) {
        self.values.push(value.unwrap_or_default());
        self.is_present.push(value.is_some());
    }

    /// The value of a row. None if it is absent.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<T> {
        self.is_present.get(row)?.then(|| self.values[row])
    }

    /// The values row by row.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Option<T>> {
        self.values.iter().zip(&self.is_present).map(|(value, is_present)| is_present.then_some(*value))
    }

    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The rows of `range`, copied.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        Self { values: self.values[range.clone()].to_vec(), is_present: self.is_present[range].to_vec() }
    }

    /// Moves all rows of `other` to the end of this column.
    pub fn append(&mut self, other: &mut Self) {
        self.values.append(&mut other.values);
        self.is_present.append(&mut other.is_present);
    }
}

impl<T: Copy + Default> FromIterator<Option<T>> for SparseColumn<T> {
    fn from_iter<I: IntoIterator<Item = Option<T>>>(rows: I) -> Self {
        let rows = rows.into_iter();
        let mut column = Self::with_capacity(rows.size_hint().0);
        rows.for_each(|value| column.push(value));
        column
    }
}
