//! Partitions that grab would never write.

use std::{fs, path::Path, sync::Arc};

use grab_model::Bar;
use parquet::{
    data_type::{DataType, DoubleType, Int64Type},
    file::{
        properties::WriterProperties,
        reader::FileReader,
        serialized_reader::SerializedFileReader,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
};

/// Replaces the bars of a partition as another program would: keeps its columns and its metadata.
pub fn tamper(path: &Path, bars: &[Bar]) {
    let old = SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap();
    let schema = Arc::new(old.metadata().file_metadata().schema().clone());
    let mut file =
        SerializedFileWriter::new(Vec::new(), schema, Arc::new(WriterProperties::default())).unwrap();
    for entry in old.metadata().file_metadata().key_value_metadata().unwrap() {
        file.append_key_value_metadata(entry.clone());
    }
    let mut rows = file.next_row_group().unwrap();
    column::<Int64Type>(&mut rows, bars, |bar| Some(bar.timestamp), false);
    for price in [0, 1, 2, 3, 4] {
        let value = |bar: &Bar| Some([bar.open, bar.high, bar.low, bar.close, bar.volume][price]);
        column::<DoubleType>(&mut rows, bars, value, false);
    }
    column::<DoubleType>(&mut rows, bars, |bar| bar.vwap, true);
    column::<Int64Type>(&mut rows, bars, |bar| bar.transactions, true);
    rows.close().unwrap();
    fs::write(path, file.into_inner().unwrap()).unwrap();
}

fn column<T: DataType>(
    rows: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    bars: &[Bar],
    value: impl Fn(&Bar) -> Option<T::T>,
    is_optional: bool,
) {
    let levels: Vec<i16> = bars.iter().map(|bar| i16::from(value(bar).is_some())).collect();
    let values: Vec<T::T> = bars.iter().filter_map(value).collect();
    let mut column = rows.next_column().unwrap().unwrap();
    column.typed::<T>().write_batch(&values, is_optional.then_some(&levels), None).unwrap();
    column.close().unwrap();
}
