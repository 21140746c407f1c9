//! Encodes one day of the market as Parquet and decodes it.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use grab_model::{DayBar, Symbol};
use jiff::civil::Date;
use parquet::{
    basic::{LogicalType, Repetition, Type as PhysicalType},
    data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type},
    errors::{ParquetError, Result},
    file::{
        metadata::KeyValue,
        reader::{FileReader, RowGroupReader},
        serialized_reader::SerializedFileReader,
        writer::SerializedFileWriter,
    },
    schema::types::{Type, TypePtr},
};

use super::{
    super::{
        InvalidPartition,
        catch_panic::catch_panic,
        column::{read_optional, read_required, write_column, write_optional},
        digest,
        encodings::TABLE,
        parquet::{DIGEST, entries},
    },
    NewMarketDay,
};

/// The version of the columns and of the metadata; it is in every file.
pub const SCHEMA_VERSION: u32 = 1;

/// The columns in the order of the file: the symbol, prices in USD, counts.
const COLUMNS: [&str; 8] = ["ticker", "open", "high", "low", "close", "volume", "vwap", "transactions"];

/// The index of the volume.
const VOLUME: usize = 5;

/// More rows than any market has symbols.
const MOST_ROWS: i64 = 1 << 20;

static SCHEMA: LazyLock<Result<TypePtr>> = LazyLock::new(|| {
    let columns = COLUMNS.iter().map(|name| column(name)).collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(Type::group_type_builder("market").with_fields(columns).build()?))
});

fn column(name: &str) -> Result<TypePtr> {
    let (physical, repetition, logical) = match name {
        "ticker" => (PhysicalType::BYTE_ARRAY, Repetition::REQUIRED, Some(LogicalType::String)),
        "vwap" => (PhysicalType::DOUBLE, Repetition::OPTIONAL, None),
        "transactions" => (PhysicalType::INT64, Repetition::OPTIONAL, None),
        _ => (PhysicalType::DOUBLE, Repetition::REQUIRED, None),
    };
    let column = Type::primitive_type_builder(name, physical).with_repetition(repetition);
    Ok(Arc::new(column.with_logical_type(logical).build()?))
}

fn schema() -> Result<TypePtr> {
    SCHEMA.as_ref().map(Arc::clone).map_err(|error| ParquetError::General(error.to_string()))
}

/// Encodes a day as one row group.
///
/// # Errors
/// If the Parquet writer refuses.
pub(super) fn encode(day: &NewMarketDay<'_>) -> Result<Vec<u8>> {
    let metadata = metadata(day);
    let digest = KeyValue::new(DIGEST.to_owned(), digest(day.bars, &metadata));
    let mut file = SerializedFileWriter::new(Vec::new(), schema()?, Arc::new(TABLE.clone()))?;
    metadata.into_iter().chain([digest]).for_each(|entry| file.append_key_value_metadata(entry));
    let mut rows = file.next_row_group()?;
    let tickers: Vec<_> = day.bars.iter().map(|bar| ByteArray::from(bar.symbol.as_str())).collect();
    write_column::<ByteArrayType, _>(&mut rows, &tickers, None)?;
    for column in 0..5 {
        let values: Vec<_> = day.bars.iter().map(|bar| bar.required()[column]).collect();
        write_column::<DoubleType, _>(&mut rows, &values, None)?;
    }
    write_optional::<DoubleType, _>(&mut rows, day.bars.iter().map(|bar| bar.vwap))?;
    write_optional::<Int64Type, _>(&mut rows, day.bars.iter().map(|bar| bar.transactions))?;
    rows.close()?;
    file.into_inner()
}

fn metadata(day: &NewMarketDay<'_>) -> Vec<KeyValue> {
    let entry = |key: &str, value: String| KeyValue::new(format!("grab.{key}"), value);
    vec![
        entry("date", day.date.to_string()),
        entry("adjusted", false.to_string()),
        entry("source", day.source.to_owned()),
        entry("fetched_ms", day.fetched_ms.to_string()),
        entry("version", env!("CARGO_PKG_VERSION").to_owned()),
        entry("schema_version", SCHEMA_VERSION.to_string()),
    ]
}

/// The digest of all rows and of all `grab.` entries but itself.
fn digest(bars: &[DayBar], entries: &[KeyValue]) -> String {
    let ours = entries.iter().filter(|entry| entry.key.starts_with("grab.") && entry.key != DIGEST);
    let metadata = ours.map(|entry| (entry.key.as_str(), entry.value.as_deref().unwrap_or_default()));
    format!("{:016x}", digest::of_market(bars, metadata))
}

/// Calls `each` with the ticker and the volume of each row. The bytes should have been verified before.
///
/// # Errors
/// If they are not a day of the market.
pub fn each_volume(
    file: Bytes,
    mut each: impl FnMut(&str, f64),
) -> std::result::Result<(), InvalidPartition> {
    let read = catch_panic(|| {
        let file = open(file)?;
        let mut read = Vec::new();
        for group in 0..file.num_row_groups() {
            let rows = file.get_row_group(group).map_err(|error| corrupt(&error))?;
            let tickers =
                read_required::<ByteArrayType>(rows.as_ref(), 0).map_err(|error| corrupt(&error))?;
            let volumes =
                read_required::<DoubleType>(rows.as_ref(), VOLUME).map_err(|error| corrupt(&error))?;
            read.push((tickers, volumes));
        }
        Ok(read)
    });
    for (tickers, volumes) in read.unwrap_or_else(panicked)? {
        for (ticker, volume) in tickers.iter().zip(volumes) {
            if let Ok(ticker) = ticker.as_utf8() {
                each(ticker, volume);
            }
        }
    }
    Ok(())
}

/// Returns the rows of a file, and whether its own digest confirms that they were written for this day.
///
/// # Errors
/// If it is damaged, is not a day of the market, or is another day.
pub fn read(date: Date, file: Bytes) -> std::result::Result<(Vec<DayBar>, bool), InvalidPartition> {
    catch_panic(|| read_unguarded(date, file)).unwrap_or_else(panicked)
}

/// The whole content of a file: everything that is needed to rewrite it.
#[derive(Debug, PartialEq)]
pub(in crate::store) struct MarketDayContent {
    bars: Vec<DayBar>,
    source: String,
    fetched_ms: i64,
}

impl MarketDayContent {
    /// Returns the bytes of its file in today's encoding.
    pub(in crate::store) fn encoded(&self, date: Date) -> Result<Vec<u8>> {
        encode(&NewMarketDay { date, bars: &self.bars, source: &self.source, fetched_ms: self.fetched_ms })
    }
}

/// Returns the whole content of a file, if it was written for this day.
pub(in crate::store) fn read_content(
    date: Date,
    file: Bytes,
) -> std::result::Result<MarketDayContent, InvalidPartition> {
    let (bars, is_intact) = read(date, file.clone())?;
    if !is_intact {
        return Err(InvalidPartition::Corrupt("it is not what was written: its digest differs".to_owned()));
    }
    let file = catch_panic(|| open(file)).unwrap_or_else(panicked)?;
    let find = |key: &str| {
        let entry = entries(&file).iter().find(|entry| entry.key == key);
        let value = entry.and_then(|entry| entry.value.clone());
        value.ok_or_else(|| InvalidPartition::Schema(format!("it does not say its {key}")))
    };
    let fetched_ms = find("grab.fetched_ms")?;
    let malformed = |_| InvalidPartition::Schema("its grab.fetched_ms cannot be read".to_owned());
    Ok(MarketDayContent {
        bars,
        source: find("grab.source")?,
        fetched_ms: fetched_ms.parse().map_err(malformed)?,
    })
}

fn read_unguarded(date: Date, file: Bytes) -> std::result::Result<(Vec<DayBar>, bool), InvalidPartition> {
    let file = open(file)?;
    let entries = entries(&file);
    let find =
        |key: &str| entries.iter().find(|entry| entry.key == key).and_then(|entry| entry.value.as_deref());
    let recorded = find("grab.date").unwrap_or("no date");
    if recorded != date.to_string() {
        return Err(InvalidPartition::Schema(format!("its date is {recorded}, and it lies at {date}")));
    }
    let mut bars = Vec::new();
    for group in 0..file.num_row_groups() {
        bars.extend(
            read_rows(file.get_row_group(group).map_err(|error| corrupt(&error))?.as_ref())
                .map_err(|error| corrupt(&error))?,
        );
    }
    let is_intact = find(DIGEST) == Some(&digest(&bars, entries));
    Ok((bars, is_intact))
}

fn open(file: Bytes) -> std::result::Result<SerializedFileReader<Bytes>, InvalidPartition> {
    let file = SerializedFileReader::new(file).map_err(|error| corrupt(&error))?;
    let columns = file.metadata().file_metadata().schema();
    if *columns.get_fields() != *schema().map_err(|error| corrupt(&error))?.get_fields() {
        return Err(InvalidPartition::Schema(format!("its columns are not {}", COLUMNS.join(", "))));
    }
    if file.metadata().row_groups().iter().any(|group| !(0..=MOST_ROWS).contains(&group.num_rows())) {
        return Err(InvalidPartition::Schema("it has more rows than a market has symbols".to_owned()));
    }
    Ok(file)
}

fn read_rows(rows: &dyn RowGroupReader) -> Result<Vec<DayBar>> {
    let tickers = read_required::<ByteArrayType>(rows, 0)?;
    let mut columns = Vec::new();
    for column in 1..=VOLUME {
        columns.push(read_required::<DoubleType>(rows, column)?);
    }
    let vwaps: Vec<_> = read_optional::<DoubleType, _>(rows, 6)?;
    let transactions: Vec<_> = read_optional::<Int64Type, _>(rows, 7)?;
    let row = |at: usize| {
        let number = |column: usize| columns.get(column).and_then(|values| values.get(at).copied());
        Some(DayBar {
            symbol: tickers.get(at)?.as_utf8().ok()?.parse::<Symbol>().ok()?,
            open: number(0)?,
            high: number(1)?,
            low: number(2)?,
            close: number(3)?,
            volume: number(4)?,
            vwap: vwaps.get(at).copied().flatten(),
            transactions: transactions.get(at).copied().flatten(),
        })
    };
    let rows: Option<Vec<_>> = (0..tickers.len()).map(row).collect();
    rows.ok_or_else(|| ParquetError::General("a required value is missing".to_owned()))
}

fn corrupt(error: &ParquetError) -> InvalidPartition {
    InvalidPartition::Corrupt(error.to_string())
}

fn panicked<T>() -> std::result::Result<T, InvalidPartition> {
    Err(InvalidPartition::Corrupt("the Parquet reader cannot make sense of it".to_owned()))
}

#[cfg(test)]
pub(super) mod tests {
    use jiff::civil::date;

    use super::*;

    pub const DAY: Date = date(2024, 1, 3);

    pub fn bars() -> Vec<DayBar> {
        let bar = |number: i32| DayBar {
            symbol: format!("A{number:04}").parse().unwrap(),
            open: f64::from(number) + 0.1,
            high: 3.0,
            low: 0.1 + 0.2,
            close: 1.5,
            volume: 25_933.6 * f64::from(number),
            vwap: (number % 3 > 0).then_some(1.3),
            transactions: (number % 2 > 0).then_some(i64::from(number)),
        };
        (0..60).map(bar).collect()
    }

    fn encoded(bars: &[DayBar]) -> Vec<u8> {
        encode(&NewMarketDay { date: DAY, bars, source: "localhost", fetched_ms: 7 }).unwrap()
    }

    #[test]
    fn every_bit_comes_back() {
        let (read, is_intact) = read(DAY, encoded(&bars()).into()).unwrap();
        assert_eq!((read, is_intact), (bars(), true));
        let mut volumes = Vec::new();
        each_volume(encoded(&bars()).into(), |ticker, volume| volumes.push((ticker.to_owned(), volume)))
            .unwrap();
        let expected: Vec<_> = bars().iter().map(|bar| (bar.symbol.to_string(), bar.volume)).collect();
        assert_eq!(volumes, expected);
    }

    #[test]
    fn no_flipped_bit_goes_unnoticed_if_it_changes_what_is_read() {
        let (bytes, whole) = (encoded(&bars()), bars());
        for (place, bit) in (0..bytes.len()).flat_map(|place| (0..8).map(move |bit| (place, bit))) {
            let mut flipped = bytes.clone();
            flipped[place] ^= 1 << bit;
            if let Ok((found, true)) = read(DAY, flipped.clone().into()) {
                assert_eq!(found, whole, "bit {bit} of byte {place}");
            }
            // It must return, whatever the bytes are.
            let _ = each_volume(flipped.into(), |_, _| {});
        }
    }

    #[test]
    fn what_is_no_day_or_another_one_is_named() {
        let bytes = encoded(&bars());
        for keep in [0, 4, bytes.len() / 2, bytes.len() - 1] {
            let cut = Bytes::copy_from_slice(&bytes[..keep]);
            assert!(matches!(read(DAY, cut.clone()), Err(InvalidPartition::Corrupt(_))), "{keep} bytes");
            assert!(each_volume(cut, |_, _| {}).is_err());
        }
        let said = "its date is 2024-01-03, and it lies at 2024-01-04".to_owned();
        assert_eq!(read(date(2024, 1, 4), bytes.into()).unwrap_err(), InvalidPartition::Schema(said));
        let partition = super::super::super::parquet::encode(
            &grab_model::Bars::default(),
            &crate::store::Provenance {
                ticker: "A".into(),
                month: "2024-01".into(),
                adjusted: false,
                source: String::new(),
                fetched_ms: (0, 0),
                whole_days: 0,
                finality: crate::store::Finality::Final,
            },
            crate::store::Encodings::Compatible,
        );
        assert!(matches!(read(DAY, partition.unwrap().into()), Err(InvalidPartition::Schema(_))));
    }
}
