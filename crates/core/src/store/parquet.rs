//! Encodes bars as Parquet and decodes them.

use std::{
    io::Write,
    sync::{Arc, LazyLock},
};

use bytes::Bytes;
use grab_model::Bars;
use parquet::{
    basic::{Compression, LogicalType, Repetition, TimeUnit, Type as PhysicalType},
    data_type::{DoubleType, Int64Type},
    errors::{ParquetError, Result},
    file::{
        metadata::{ColumnChunkMetaData, KeyValue},
        properties::WriterProperties,
        reader::{FileReader, RowGroupReader},
        serialized_reader::SerializedFileReader,
        writer::SerializedFileWriter,
    },
    schema::types::{Type, TypePtr},
};

use super::{
    catch_panic::catch_panic,
    column::{
        read_optional, read_required, write_column, write_integers, write_optional, write_optional_integers,
    },
    digest,
    encodings::{Encodings, Finality},
};

/// The version of the columns and of the metadata below; it is in every file.
pub const SCHEMA_VERSION: u32 = 1;

/// The key of the digest by which a file can be verified.
pub(super) const DIGEST: &str = "grab.digest";

/// The approximate bytes of a footer.
const FOOTER: usize = 4 << 10;

/// More rows than any month has minutes, even with many repeats.
const MOST_ROWS: i64 = 1 << 20;

/// The columns in the order of the file: the start of the minute, UTC ms, then prices in USD and counts.
const COLUMNS: [&str; 8] = ["timestamp", "open", "high", "low", "close", "volume", "vwap", "transactions"];

/// The key-value metadata of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// The symbol, as traded.
    pub ticker: String,
    /// The month, such as `2004-01`.
    pub month: String,
    /// Whether prices and volumes are adjusted for splits.
    pub adjusted: bool,
    /// The host from which bars were fetched last.
    pub source: String,
    /// When its first and its last bar were fetched, UTC ms.
    pub fetched_ms: (i64, i64),
    /// The days of the month that were requested and received to their end, as bits: bit 0 is the first. From these a
    /// lost manifest can be rebuilt without recording more than is true.
    pub whole_days: u32,
    /// Whether it is soon written again.
    pub finality: Finality,
}

static SCHEMA: LazyLock<Result<TypePtr>> = LazyLock::new(|| {
    let columns = COLUMNS.iter().map(|name| column(name)).collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(Type::group_type_builder("bars").with_fields(columns).build()?))
});

fn column(name: &str) -> Result<TypePtr> {
    let physical = match name {
        "timestamp" | "transactions" => PhysicalType::INT64,
        _ => PhysicalType::DOUBLE,
    };
    let repetition = match name {
        "vwap" | "transactions" => Repetition::OPTIONAL,
        _ => Repetition::REQUIRED,
    };
    let milliseconds = LogicalType::timestamp(true, TimeUnit::MILLIS);
    let logical = (name == "timestamp").then_some(milliseconds);
    let column = Type::primitive_type_builder(name, physical).with_repetition(repetition);
    Ok(Arc::new(column.with_logical_type(logical).build()?))
}

fn schema() -> Result<TypePtr> {
    SCHEMA.as_ref().map(Arc::clone).map_err(|error| ParquetError::General(error.to_string()))
}

/// The metadata entry of an interim file.
const LIFETIME: &str = "lifetime";
const PASSING_FILE: &str = "passing";

/// Encodes bars as one row group with statistics.
///
/// # Errors
/// If the Parquet writer refuses.
pub fn encode(bars: &Bars, provenance: &Provenance, encodings: Encodings) -> Result<Vec<u8>> {
    let metadata = provenance.to_metadata();
    let digest = KeyValue::new(DIGEST.to_owned(), digest(bars, &metadata));
    let finality = provenance.finality;
    let bytes = Vec::with_capacity(bars.len() * encodings.bytes_a_bar(finality) + FOOTER);
    let mut file = begin(bytes, encodings.of_bars(finality))?;
    metadata.into_iter().chain([digest]).for_each(|entry| file.append_key_value_metadata(entry));
    write_rows(&mut file, bars)?;
    file.into_inner()
}

/// Begins a file of bars, without its metadata.
pub(super) fn begin<W: Write + Send>(
    file: W,
    properties: &WriterProperties,
) -> Result<SerializedFileWriter<W>> {
    SerializedFileWriter::new(file, schema()?, Arc::new(properties.clone()))
}

/// Appends bars as one row group with statistics.
pub(super) fn write_rows<W: Write + Send>(file: &mut SerializedFileWriter<W>, bars: &Bars) -> Result<()> {
    let mut rows = file.next_row_group()?;
    write_integers(&mut rows, bars.timestamps(), None)?;
    for column in bars.required() {
        write_column::<DoubleType, W>(&mut rows, column, None)?;
    }
    write_optional::<DoubleType, W>(&mut rows, bars.vwaps().iter())?;
    write_optional_integers(&mut rows, bars.transactions().iter())?;
    rows.close()?;
    Ok(())
}

/// Why a file is not a valid partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidPartition {
    /// Its bytes are damaged.
    Corrupt(String),
    /// Its bytes are good, but it has not the schema of a partition.
    Schema(String),
}

impl InvalidPartition {
    /// The reader's message.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Corrupt(reason) | Self::Schema(reason) => reason,
        }
    }
}

/// A file's bars as they are stored in it, and its metadata.
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionContent {
    /// The bars, in any order.
    pub bars: Bars,
    /// Its metadata.
    pub provenance: Provenance,
    /// Whether both are unchanged, by the digest that was written with them.
    pub is_intact: bool,
}

/// Decodes a whole file.
///
/// # Errors
/// If it is damaged, or not a partition.
pub fn read_file(file: Bytes) -> std::result::Result<PartitionContent, InvalidPartition> {
    let panicked = || InvalidPartition::Corrupt("the Parquet reader cannot make sense of it".to_owned());
    // The reader panics on some damaged bytes.
    catch_panic(|| read_unguarded(file)).unwrap_or_else(|| Err(panicked()))
}

fn read_unguarded(file: Bytes) -> std::result::Result<PartitionContent, InvalidPartition> {
    let corrupt = |error: ParquetError| InvalidPartition::Corrupt(error.to_string());
    let file = SerializedFileReader::new(file).map_err(corrupt)?;
    let provenance = read_claims(&file).map_err(|error| InvalidPartition::Schema(error.to_string()))?;
    if let Some(codec) = foreign_compression(&file) {
        let reason = format!("it is compressed with {codec}, as grab never compresses bars");
        return Err(InvalidPartition::Schema(reason));
    }
    let bars = read_bars(&file).map_err(corrupt)?;
    let is_intact = is_intact(&bars, entries(&file));
    Ok(PartitionContent { bars, provenance, is_intact })
}

/// Decodes a file, for callers that treat every kind of damage alike.
///
/// # Errors
/// If the bytes are not a Parquet file of the store, or have changed since they were written.
pub fn decode(file: Bytes) -> Result<(Bars, Provenance)> {
    match read_file(file) {
        Ok(PartitionContent { bars, provenance, is_intact: true }) => Ok((bars, provenance)),
        Ok(_) => Err(ParquetError::General("it is not what was written: its digest differs".to_owned())),
        Err(InvalidPartition::Corrupt(reason) | InvalidPartition::Schema(reason)) => {
            Err(ParquetError::General(reason))
        }
    }
}

pub(super) fn entries(file: &SerializedFileReader<Bytes>) -> &[KeyValue] {
    file.metadata().file_metadata().key_value_metadata().map_or(&[], Vec::as_slice)
}

/// The first codec that grab never writes. The file may be valid, but this build may not be able to read it.
fn foreign_compression(file: &SerializedFileReader<Bytes>) -> Option<Compression> {
    let groups = file.metadata().row_groups().iter();
    let mut codecs = groups.flat_map(|group| group.columns().iter().map(ColumnChunkMetaData::compression));
    codecs.find(|codec| !matches!(codec, Compression::UNCOMPRESSED | Compression::ZSTD(_)))
}

/// Reads the metadata of a file with the right columns.
fn read_claims(file: &SerializedFileReader<Bytes>) -> Result<Provenance> {
    let columns = file.metadata().file_metadata().schema();
    if *columns.get_fields() != *schema()?.get_fields() {
        return Err(ParquetError::General(format!("its columns are not {}", COLUMNS.join(", "))));
    }
    Provenance::from_metadata(entries(file))
}

fn is_intact(bars: &Bars, entries: &[KeyValue]) -> bool {
    let recorded = entries.iter().find(|entry| entry.key == DIGEST).and_then(|entry| entry.value.as_deref());
    recorded == Some(&digest(bars, entries))
}

/// The digest of all bars and of all `grab.` entries but itself.
fn digest(bars: &Bars, entries: &[KeyValue]) -> String {
    let ours = entries.iter().filter(|entry| entry.key.starts_with("grab.") && entry.key != DIGEST);
    let metadata = ours.map(|entry| (entry.key.as_str(), entry.value.as_deref().unwrap_or_default()));
    format!("{:016x}", digest::of(bars, metadata))
}

fn read_bars(file: &SerializedFileReader<Bytes>) -> Result<Bars> {
    if file.metadata().row_groups().iter().any(|group| !(0..=MOST_ROWS).contains(&group.num_rows())) {
        return Err(ParquetError::General("it has more rows than a month has minutes".to_owned()));
    }
    let mut bars = Bars::default();
    for group in 0..file.num_row_groups() {
        bars = bars.append(read_rows(file.get_row_group(group)?.as_ref())?);
    }
    Ok(bars)
}

fn read_rows(rows: &dyn RowGroupReader) -> Result<Bars> {
    let timestamps = read_required::<Int64Type>(rows, 0)?;
    let mut required = Vec::with_capacity(5);
    for column in 1..=5 {
        required.push(read_required::<DoubleType>(rows, column)?);
    }
    let vwaps = read_optional::<DoubleType, _>(rows, 6)?;
    let transactions = read_optional::<Int64Type, _>(rows, 7)?;
    let columns = required.try_into().ok();
    columns
        .and_then(|required| Bars::from_columns(timestamps, required, vwaps, transactions))
        .ok_or_else(|| ParquetError::General("its columns are not of one length".to_owned()))
}

impl Provenance {
    fn to_metadata(&self) -> Vec<KeyValue> {
        let entry = |key: &str, value: String| KeyValue::new(format!("grab.{key}"), value);
        // Only an interim file has the entry.
        let finality = (self.finality == Finality::Interim).then(|| entry(LIFETIME, PASSING_FILE.to_owned()));
        let lasting = [
            entry("ticker", self.ticker.clone()),
            entry("month", self.month.clone()),
            entry("adjusted", self.adjusted.to_string()),
            entry("source", self.source.clone()),
            entry("fetched_first_ms", self.fetched_ms.0.to_string()),
            entry("fetched_last_ms", self.fetched_ms.1.to_string()),
            entry("whole_days", self.whole_days.to_string()),
            entry("version", env!("CARGO_PKG_VERSION").to_owned()),
            entry("schema_version", SCHEMA_VERSION.to_string()),
        ];
        lasting.into_iter().chain(finality).collect()
    }

    fn from_metadata(metadata: &[KeyValue]) -> Result<Self> {
        let find = |key: &str| {
            let entry = metadata.iter().find(|entry| entry.key.strip_prefix("grab.") == Some(key));
            let value = entry.and_then(|entry| entry.value.clone());
            value.ok_or_else(|| ParquetError::General(format!("it does not say its {key}")))
        };
        let malformed = |key: &str| ParquetError::General(format!("its {key} cannot be read"));
        let number = |key: &str| find(key)?.parse::<i64>().map_err(|_| malformed(key));
        let version = number("schema_version")?;
        if version != i64::from(SCHEMA_VERSION) {
            return Err(ParquetError::General(format!(
                "it has schema version {version}, not {SCHEMA_VERSION}"
            )));
        }
        Ok(Self {
            ticker: find("ticker")?,
            month: find("month")?,
            adjusted: find("adjusted")?.parse().map_err(|_| malformed("adjusted"))?,
            source: find("source")?,
            fetched_ms: (number("fetched_first_ms")?, number("fetched_last_ms")?),
            whole_days: find("whole_days")?.parse().map_err(|_| malformed("whole_days"))?,
            finality: match find(LIFETIME) {
                Ok(finality) if finality == PASSING_FILE => Finality::Interim,
                Ok(_) | Err(_) => Finality::Final,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Encodings::*, Finality::*, *};
    use grab_model::Bar;

    fn provenance() -> Provenance {
        Provenance {
            ticker: "KIMpL".into(),
            month: "2004-01".into(),
            adjusted: false,
            source: "localhost".into(),
            fetched_ms: (5, 9),
            whole_days: 0b101,
            finality: Final,
        }
    }

    fn price() -> impl Strategy<Value = f64> {
        prop_oneof![
            (1..1_000_000_u32).prop_map(|cents| f64::from(cents) / 100.0),
            any::<f64>().prop_filter("a number", |p| !p.is_nan())
        ]
    }

    prop_compose! {
        fn any_bar()(timestamp in any::<i64>(), prices in [price(), price(), price(), price(), price()],
                     vwap in prop::option::of(price()), transactions in prop::option::of(any::<i64>())) -> Bar {
            let [open, high, low, close, volume] = prices;
            Bar { timestamp, open, high, low, close, volume, vwap, transactions }
        }
    }

    proptest! {
        #[test]
        fn every_bit_comes_back(rows in prop::collection::vec(any_bar(), 0..200)) {
            let bars: Bars = rows.into_iter().collect();
            for (finality, encodings) in [(Final, Compatible), (Final, Compact), (Interim, Compatible)] {
                let provenance = Provenance { finality, ..provenance() };
                let bytes = encode(&bars, &provenance, encodings).unwrap();
                let (decoded, found) = decode(bytes.into()).unwrap();
                prop_assert_eq!(&decoded, &bars);
                prop_assert_eq!(found, provenance);
            }
        }
    }

    fn many() -> Bars {
        let bar = |minute: i64| Bar {
            timestamp: minute * 60_000,
            open: 1.5,
            high: 2.0,
            low: 1.0,
            close: 1.25,
            volume: 10.0,
            vwap: (minute % 3 > 0).then_some(1.3),
            transactions: (minute % 2 > 0).then_some(minute),
        };
        (0..150).map(bar).collect()
    }

    #[test]
    fn a_cut_file_is_an_error() {
        let bytes = encode(&many(), &provenance(), Compatible).unwrap();
        for keep in [0, 4, bytes.len() / 2, bytes.len() - 1] {
            assert!(decode(Bytes::copy_from_slice(&bytes[..keep])).is_err(), "{keep} bytes");
        }
    }

    /// The codec of a column in the footer is a byte: 12 is zstd, 2 is Snappy (the enum of the format, as a zigzag number).
    #[test]
    fn another_programs_compression_is_no_damage() {
        let bytes = encode(&many(), &provenance(), Compatible).unwrap();
        let footer =
            bytes.len() - 8 - u32::from_le_bytes(bytes[bytes.len() - 8..][..4].try_into().unwrap()) as usize;
        let with_snappy = |place: usize| {
            let mut changed = bytes.clone();
            changed[place] = 2;
            read_file(changed.into()).unwrap_err()
        };
        let zstds = (footer..bytes.len() - 8).filter(|place| bytes[*place] == 12);
        let found: Vec<_> =
            zstds.map(with_snappy).filter(|found| found.reason().contains("compressed with")).collect();
        let expected = "it is compressed with SNAPPY, as grab never compresses bars".to_owned();
        assert!(found.len() >= 5, "{found:?}");
        assert!(found.iter().all(|found| *found == InvalidPartition::Schema(expected.clone())), "{found:?}");
    }

    #[test]
    fn no_flipped_bit_goes_unnoticed_if_it_changes_what_is_read() {
        let bytes = encode(&many(), &provenance(), Compatible).unwrap();
        let whole = (many(), provenance());
        let mut unread = 0;
        for (place, bit) in (0..bytes.len()).flat_map(|place| (0..8).map(move |bit| (place, bit))) {
            let mut flipped = bytes.clone();
            flipped[place] ^= 1 << bit;
            match decode(flipped.into()) {
                Ok(found) => assert_eq!(found, whole, "bit {bit} of byte {place}"),
                Err(_) => unread += 1,
            }
        }
        assert!(unread > bytes.len(), "{unread}");
    }
}
