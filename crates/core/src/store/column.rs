//! Reads and writes single columns of Parquet files, for all kinds of files of the store.

use std::io::Write;

use parquet::{
    data_type::{DataType, Int64Type},
    errors::{ParquetError, Result},
    file::{reader::RowGroupReader, writer::SerializedRowGroupWriter},
};

/// Writes the next column. If values may be absent, `present` has for each row whether its value is present.
pub(super) fn write_column<T: DataType, W: Write + Send>(
    rows: &mut SerializedRowGroupWriter<'_, W>,
    values: &[T::T],
    present: Option<&[i16]>,
) -> Result<()> {
    let mut column = rows.next_column()?.ok_or_else(missing)?;
    column.typed::<T>().write_batch(values, present, None)?;
    column.close()
}

/// Writes the next column, in which values may be absent.
pub(super) fn write_optional<T: DataType, W: Write + Send>(
    rows: &mut SerializedRowGroupWriter<'_, W>,
    values: impl Iterator<Item = Option<T::T>>,
) -> Result<()> {
    let (there, present) = split(values);
    write_column::<T, W>(rows, &there, Some(&present))
}

/// Returns the present values, and for each row whether it has one.
fn split<T>(values: impl Iterator<Item = Option<T>>) -> (Vec<T>, Vec<i16>) {
    let most = values.size_hint().0;
    let (mut there, mut present) = (Vec::with_capacity(most), Vec::with_capacity(most));
    for value in values {
        present.push(i16::from(value.is_some()));
        there.extend(value);
    }
    (there, present)
}

fn missing() -> ParquetError {
    ParquetError::General("a column is missing in the schema".to_owned())
}

/// The largest difference of two consecutive integers of a page: fastparquet (2026.9) unpacks deltas of up to 28 bits,
/// and silently reads wrong numbers from wider ones. In ms that are three days: most weekends are shorter, but not all.
const WIDEST: i64 = 1 << 28;

/// Writes the next column of integers, which are delta-encoded: a page ends before a difference that is too large, and
/// each page begins with a whole number.
pub(super) fn write_integers<W: Write + Send>(
    rows: &mut SerializedRowGroupWriter<'_, W>,
    values: &[i64],
    present: Option<&[i16]>,
) -> Result<()> {
    let mut column = rows.next_column()?.ok_or_else(missing)?;
    let (mut values, mut present) = (values, present);
    loop {
        let (page, rest) = values.split_at(page_len(values));
        // Absent values after the last present one belong to its page.
        let all = present.map_or(0, <[i16]>::len);
        let rows = if rest.is_empty() { all } else { rows_of(page.len(), present.unwrap_or_default()) };
        let (levels, levels_left) = present.map(|present| present.split_at(rows)).unzip();
        column.typed::<Int64Type>().write_batch(page, levels, None)?;
        if rest.is_empty() {
            return column.close();
        }
        (values, present) = (rest, levels_left);
    }
}

/// Returns how many of the first values go into one page.
fn page_len(values: &[i64]) -> usize {
    let (mut least, mut most) = (i64::MAX, i64::MIN);
    let is_too_wide = |pair: &[i64]| {
        let Some(step) = pair[1].checked_sub(pair[0]) else { return true };
        (least, most) = (least.min(step), most.max(step));
        most.checked_sub(least).is_none_or(|spread| spread >= WIDEST)
    };
    values.windows(2).position(is_too_wide).map_or(values.len(), |last| last + 1)
}

/// Returns how many rows have this many values, up to and including the row of the last one.
fn rows_of(values: usize, present: &[i16]) -> usize {
    let there = present.iter().enumerate().filter(|(_, level)| **level > 0);
    there.map(|(row, _)| row + 1).nth(values.saturating_sub(1)).unwrap_or(present.len())
}

/// Writes the next column of delta-encoded integers, in which values may be absent.
pub(super) fn write_optional_integers<W: Write + Send>(
    rows: &mut SerializedRowGroupWriter<'_, W>,
    values: impl Iterator<Item = Option<i64>>,
) -> Result<()> {
    let (there, present) = split(values);
    write_integers(rows, &there, Some(&present))
}

/// Reads a column in which no value is absent.
pub(super) fn read_required<T: DataType>(rows: &dyn RowGroupReader, column: usize) -> Result<Vec<T::T>> {
    let (values, _) = read_column::<T>(rows, column, false)?;
    Ok(values)
}

/// Reads a column in which values may be absent.
pub(super) fn read_optional<T: DataType, C: FromIterator<Option<T::T>>>(
    rows: &dyn RowGroupReader,
    column: usize,
) -> Result<C> {
    let (values, present) = read_column::<T>(rows, column, true)?;
    let mut values = values.into_iter();
    Ok(present.into_iter().map(|level| if level > 0 { values.next() } else { None }).collect())
}

/// Reads all values of a column, which must be as many as the row group has rows; if some may be absent, also which
/// ones are present.
fn read_column<T: DataType>(
    rows: &dyn RowGroupReader,
    column: usize,
    is_optional: bool,
) -> Result<(Vec<T::T>, Vec<i16>)> {
    let expected = usize::try_from(rows.metadata().num_rows()).unwrap_or_default();
    let mut reader = parquet::column::reader::get_typed_column_reader::<T>(rows.get_column_reader(column)?);
    let (mut values, mut present) = (Vec::with_capacity(expected), Vec::new());
    let levels = is_optional.then_some(&mut present);
    let (read, ..) = reader.read_records(expected, levels, None, &mut values)?;
    let there = if is_optional { present.len() } else { values.len() };
    if read == expected && there == expected {
        return Ok((values, present));
    }
    let name = rows.metadata().column(column).column_path();
    Err(ParquetError::General(format!("column {name} has {read} of {expected} rows")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_where_steps_are_too_far_apart() {
        let lens = |values: &[i64]| {
            let (mut lens, mut rest) = (Vec::new(), values);
            while !rest.is_empty() {
                let len = page_len(rest);
                lens.push(len);
                rest = &rest[len..];
            }
            lens
        };
        assert_eq!(lens(&[]), [0; 0]);
        assert_eq!(lens(&[7]), [1]);
        assert_eq!(lens(&[0, 60_000, 120_000, 120_000 + 60_000 + WIDEST - 1]), [4]);
        assert_eq!(lens(&[0, 60_000, 120_000, 120_000 + 60_000 + WIDEST]), [3, 1]);
        assert_eq!(lens(&[5, 1 << 53, 6, 7]), [2, 2], "one step alone has no width");
        assert_eq!(lens(&[i64::MIN, i64::MAX, 0]), [1, 2]);
        assert_eq!(rows_of(2, &[0, 1, 0, 0, 1, 0, 1]), 5);
    }
}
