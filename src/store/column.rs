//! Columns of Parquet files, one at a time: what every file of ours is written and read with.

use std::io::Write;

use parquet::{
    data_type::DataType,
    errors::{ParquetError, Result},
    file::{reader::RowGroupReader, writer::SerializedRowGroupWriter},
};

/// Writes the next column; if values may be absent, `present` says of each row whether it has one.
pub(super) fn write_column<T: DataType, W: Write + Send>(
    rows: &mut SerializedRowGroupWriter<'_, W>,
    values: &[T::T],
    present: Option<&[i16]>,
) -> Result<()> {
    let missing = || ParquetError::General("a column is missing in the schema".to_owned());
    let mut column = rows.next_column()?.ok_or_else(missing)?;
    column.typed::<T>().write_batch(values, present, None)?;
    column.close()
}

/// Writes the next column, in which values may be absent.
pub(super) fn write_optional<T: DataType, W: Write + Send>(
    rows: &mut SerializedRowGroupWriter<'_, W>,
    values: impl Iterator<Item = Option<T::T>>,
) -> Result<()> {
    let most = values.size_hint().0;
    let (mut there, mut present) = (Vec::with_capacity(most), Vec::with_capacity(most));
    for value in values {
        present.push(i16::from(value.is_some()));
        there.extend(value);
    }
    write_column::<T, W>(rows, &there, Some(&present))
}

/// A column in which no value is absent.
pub(super) fn read_required<T: DataType>(rows: &dyn RowGroupReader, column: usize) -> Result<Vec<T::T>> {
    let (values, _) = read_column::<T>(rows, column, false)?;
    Ok(values)
}

/// A column in which values may be absent.
pub(super) fn read_optional<T: DataType, C: FromIterator<Option<T::T>>>(
    rows: &dyn RowGroupReader,
    column: usize,
) -> Result<C> {
    let (values, present) = read_column::<T>(rows, column, true)?;
    let mut values = values.into_iter();
    Ok(present.into_iter().map(|level| if level > 0 { values.next() } else { None }).collect())
}

/// All values of a column, as many as the row group has rows; where some may be absent, also which ones are there.
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
