//! Encodes a table as Parquet, column by column, and decodes it. The table defines its columns.

use std::{iter, sync::Arc};

use bytes::Bytes;
use jiff::{
    Span,
    civil::{Date, date},
};
use parquet::{
    basic::{LogicalType, Repetition, TimeUnit, Type as PhysicalType},
    data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int32Type, Int64Type},
    errors::{ParquetError, Result},
    file::{
        metadata::KeyValue,
        reader::{FileReader, RowGroupReader},
        serialized_reader::SerializedFileReader,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::types::{Type, TypePtr},
};

use super::super::{
    InvalidPartition,
    catch_panic::catch_panic,
    column::{read_optional, read_required, write_column, write_optional},
    digest,
    encodings::TABLE,
    parquet::{DIGEST, entries},
};

/// The day 0.
const EPOCH: Date = date(1970, 1, 1);

/// More rows than any table of reference data will have.
const MOST_ROWS: i64 = 1 << 24;

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// Text that is never absent.
    Text,
    /// Text that may be absent.
    OptionalText,
    /// A day, as days since 1970-01-01.
    Day,
    /// A day that may be absent.
    OptionalDay,
    /// A boolean.
    Flag,
    /// A float64.
    Number,
    /// An instant, UTC ms.
    Instant,
}

/// The values of a column, row by row.
#[derive(Clone, Debug, PartialEq)]
pub enum ColumnValues {
    /// Text.
    Text(Vec<String>),
    /// Text that may be absent.
    OptionalText(Vec<Option<String>>),
    /// Days since 1970-01-01.
    Days(Vec<i32>),
    /// Days since 1970-01-01 that may be absent.
    OptionalDays(Vec<Option<i32>>),
    /// Booleans.
    Flags(Vec<bool>),
    /// Numbers.
    Numbers(Vec<f64>),
    /// UTC ms.
    Instants(Vec<i64>),
}

/// A table: its columns in the order of the file, by name.
pub type TableColumns = &'static [(&'static str, ColumnType)];

/// A file's metadata, and its columns.
pub struct DecodedTable {
    /// The entries of its footer.
    pub entries: Vec<KeyValue>,
    /// The requested columns, of the requested types, all of one length.
    pub values: Vec<ColumnValues>,
    /// Whether both are unchanged, by the digest that was written with them.
    pub is_intact: bool,
}

fn schema(columns: TableColumns) -> Result<TypePtr> {
    let fields = columns.iter().map(|(name, kind)| field(name, *kind)).collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(Type::group_type_builder("table").with_fields(fields).build()?))
}

fn field(name: &str, kind: ColumnType) -> Result<TypePtr> {
    let (physical, logical) = match kind {
        ColumnType::Text | ColumnType::OptionalText => (PhysicalType::BYTE_ARRAY, Some(LogicalType::String)),
        ColumnType::Day | ColumnType::OptionalDay => (PhysicalType::INT32, Some(LogicalType::Date)),
        ColumnType::Flag => (PhysicalType::BOOLEAN, None),
        ColumnType::Number => (PhysicalType::DOUBLE, None),
        ColumnType::Instant => (PhysicalType::INT64, Some(LogicalType::timestamp(true, TimeUnit::MILLIS))),
    };
    let is_optional = matches!(kind, ColumnType::OptionalText | ColumnType::OptionalDay);
    let repetition = if is_optional { Repetition::OPTIONAL } else { Repetition::REQUIRED };
    let field = Type::primitive_type_builder(name, physical).with_repetition(repetition);
    Ok(Arc::new(field.with_logical_type(logical).build()?))
}

/// Encodes a table with its metadata, and with the digest of both.
pub fn encode(columns: TableColumns, values: &[ColumnValues], metadata: Vec<KeyValue>) -> Result<Vec<u8>> {
    let digest = KeyValue::new(DIGEST.to_owned(), digest(values, &metadata));
    let mut file = SerializedFileWriter::new(Vec::new(), schema(columns)?, Arc::new(TABLE.clone()))?;
    metadata.into_iter().chain([digest]).for_each(|entry| file.append_key_value_metadata(entry));
    let mut rows = file.next_row_group()?;
    values.iter().try_for_each(|values| write(&mut rows, values))?;
    rows.close()?;
    file.into_inner()
}

fn write(rows: &mut SerializedRowGroupWriter<'_, Vec<u8>>, values: &ColumnValues) -> Result<()> {
    let bytes = |text: &String| ByteArray::from(text.as_str());
    match values {
        ColumnValues::Text(texts) => {
            write_column::<ByteArrayType, _>(rows, &texts.iter().map(bytes).collect::<Vec<_>>(), None)
        }
        ColumnValues::OptionalText(texts) => {
            write_optional::<ByteArrayType, _>(rows, texts.iter().map(|text| text.as_ref().map(bytes)))
        }
        ColumnValues::Days(days) => write_column::<Int32Type, _>(rows, days, None),
        ColumnValues::OptionalDays(days) => write_optional::<Int32Type, _>(rows, days.iter().copied()),
        ColumnValues::Flags(flags) => write_column::<BoolType, _>(rows, flags, None),
        ColumnValues::Numbers(numbers) => write_column::<DoubleType, _>(rows, numbers, None),
        ColumnValues::Instants(instants) => write_column::<Int64Type, _>(rows, instants, None),
    }
}

/// The digest of all columns and of all `grab.` entries but itself, as in the other files: text is hashed with a line
/// feed.
fn digest(values: &[ColumnValues], entries: &[KeyValue]) -> String {
    let ours = entries.iter().filter(|entry| entry.key.starts_with("grab.") && entry.key != DIGEST);
    let metadata = ours.map(|entry| (entry.key.as_str(), entry.value.as_deref().unwrap_or_default()));
    let mut hasher = digest::begun(metadata);
    for values in values {
        match values {
            ColumnValues::Text(texts) => texts.iter().for_each(|text| hasher.update(line(text).as_bytes())),
            ColumnValues::OptionalText(texts) => texts.iter().for_each(|text| {
                hasher.update(&[u8::from(text.is_some())]);
                hasher.update(line(text.as_deref().unwrap_or_default()).as_bytes());
            }),
            ColumnValues::Days(days) => {
                hasher.update(&days.iter().flat_map(|day| day.to_le_bytes()).collect::<Vec<_>>());
            }
            ColumnValues::OptionalDays(days) => days.iter().for_each(|day| {
                hasher.update(&[u8::from(day.is_some())]);
                hasher.update(&day.unwrap_or_default().to_le_bytes());
            }),
            ColumnValues::Flags(flags) => {
                hasher.update(&flags.iter().map(|flag| u8::from(*flag)).collect::<Vec<_>>());
            }
            ColumnValues::Numbers(numbers) => {
                hasher.update(&digest::numbers(numbers.iter().map(|number| number.to_le_bytes())));
            }
            ColumnValues::Instants(instants) => {
                hasher.update(&digest::numbers(instants.iter().map(|instant| instant.to_le_bytes())));
            }
        }
    }
    format!("{:016x}", hasher.digest())
}

fn line(text: &str) -> String {
    format!("{text}\n")
}

/// Decodes a file that should have these columns.
pub fn decode(columns: TableColumns, file: Bytes) -> std::result::Result<DecodedTable, InvalidPartition> {
    let panicked = || InvalidPartition::Corrupt("the Parquet reader cannot make sense of it".to_owned());
    catch_panic(|| decode_unguarded(columns, file)).unwrap_or_else(|| Err(panicked()))
}

fn decode_unguarded(
    columns: TableColumns,
    file: Bytes,
) -> std::result::Result<DecodedTable, InvalidPartition> {
    let corrupt = |error: ParquetError| InvalidPartition::Corrupt(error.to_string());
    let file = SerializedFileReader::new(file).map_err(corrupt)?;
    let fields = file.metadata().file_metadata().schema();
    if *fields.get_fields() != *schema(columns).map_err(corrupt)?.get_fields() {
        let names: Vec<_> = columns.iter().map(|(name, _)| *name).collect();
        return Err(InvalidPartition::Schema(format!("its columns are not {}", names.join(", "))));
    }
    if file.metadata().row_groups().iter().any(|group| !(0..=MOST_ROWS).contains(&group.num_rows())) {
        return Err(InvalidPartition::Schema("it has more rows than can be".to_owned()));
    }
    let mut values: Vec<_> = columns.iter().map(|(_, kind)| ColumnValues::none(*kind)).collect();
    for group in 0..file.num_row_groups() {
        let rows = file.get_row_group(group).map_err(corrupt)?;
        for (column, (values, (_, kind))) in iter::zip(&mut values, columns).enumerate() {
            values.append(read(rows.as_ref(), column, *kind).map_err(corrupt)?);
        }
    }
    let entries = entries(&file).to_vec();
    let recorded = entries.iter().find(|entry| entry.key == DIGEST).and_then(|entry| entry.value.as_deref());
    let is_intact = recorded == Some(&digest(&values, &entries));
    Ok(DecodedTable { entries, values, is_intact })
}

fn read(rows: &dyn RowGroupReader, column: usize, kind: ColumnType) -> Result<ColumnValues> {
    let text = |bytes: ByteArray| bytes.as_utf8().map(str::to_owned);
    Ok(match kind {
        ColumnType::Text => {
            let texts = read_required::<ByteArrayType>(rows, column)?;
            ColumnValues::Text(texts.into_iter().map(text).collect::<Result<_>>()?)
        }
        ColumnType::OptionalText => {
            let texts: Vec<_> = read_optional::<ByteArrayType, _>(rows, column)?;
            let texts = texts.into_iter().map(|bytes| bytes.map(text).transpose());
            ColumnValues::OptionalText(texts.collect::<Result<_>>()?)
        }
        ColumnType::Day => ColumnValues::Days(read_required::<Int32Type>(rows, column)?),
        ColumnType::OptionalDay => ColumnValues::OptionalDays(read_optional::<Int32Type, _>(rows, column)?),
        ColumnType::Flag => ColumnValues::Flags(read_required::<BoolType>(rows, column)?),
        ColumnType::Number => ColumnValues::Numbers(read_required::<DoubleType>(rows, column)?),
        ColumnType::Instant => ColumnValues::Instants(read_required::<Int64Type>(rows, column)?),
    })
}

impl ColumnValues {
    fn none(kind: ColumnType) -> Self {
        match kind {
            ColumnType::Text => Self::Text(Vec::new()),
            ColumnType::OptionalText => Self::OptionalText(Vec::new()),
            ColumnType::Day => Self::Days(Vec::new()),
            ColumnType::OptionalDay => Self::OptionalDays(Vec::new()),
            ColumnType::Flag => Self::Flags(Vec::new()),
            ColumnType::Number => Self::Numbers(Vec::new()),
            ColumnType::Instant => Self::Instants(Vec::new()),
        }
    }

    /// Appends values of the same type. Other types do not occur: `read` returns the type for which `none` was made.
    fn append(&mut self, more: Self) {
        match (self, more) {
            (Self::Text(all), Self::Text(more)) => all.extend(more),
            (Self::OptionalText(all), Self::OptionalText(more)) => all.extend(more),
            (Self::Days(all), Self::Days(more)) => all.extend(more),
            (Self::OptionalDays(all), Self::OptionalDays(more)) => all.extend(more),
            (Self::Flags(all), Self::Flags(more)) => all.extend(more),
            (Self::Numbers(all), Self::Numbers(more)) => all.extend(more),
            (Self::Instants(all), Self::Instants(more)) => all.extend(more),
            (
                Self::Text(_)
                | Self::OptionalText(_)
                | Self::Days(_)
                | Self::OptionalDays(_)
                | Self::Flags(_)
                | Self::Numbers(_)
                | Self::Instants(_),
                _,
            ) => {}
        }
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Text(texts) => texts.len(),
            Self::OptionalText(texts) => texts.len(),
            Self::Days(days) => days.len(),
            Self::OptionalDays(days) => days.len(),
            Self::Flags(flags) => flags.len(),
            Self::Numbers(numbers) => numbers.len(),
            Self::Instants(instants) => instants.len(),
        }
    }
}

impl DecodedTable {
    /// An entry of the footer.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.entries.iter().find(|entry| entry.key == key).and_then(|entry| entry.value.as_deref())
    }

    /// The number of rows. None if the columns are not of one length.
    pub fn row_count(&self) -> Option<usize> {
        let rows = self.values.first().map_or(0, ColumnValues::len);
        self.values.iter().all(|values| values.len() == rows).then_some(rows)
    }

    /// A text that is never absent.
    pub fn text(&self, column: usize, row: usize) -> Option<&str> {
        let ColumnValues::Text(texts) = self.values.get(column)? else { return None };
        texts.get(row).map(String::as_str)
    }

    /// A text that may be absent.
    pub fn optional_text(&self, column: usize, row: usize) -> Option<String> {
        let ColumnValues::OptionalText(texts) = self.values.get(column)? else { return None };
        texts.get(row)?.clone()
    }

    /// A day.
    pub fn day(&self, column: usize, row: usize) -> Option<Date> {
        let ColumnValues::Days(days) = self.values.get(column)? else { return None };
        day_of(*days.get(row)?)
    }

    /// A day that may be absent.
    pub fn optional_day(&self, column: usize, row: usize) -> Option<Date> {
        let ColumnValues::OptionalDays(days) = self.values.get(column)? else { return None };
        day_of((*days.get(row)?)?)
    }

    /// A boolean.
    pub fn flag(&self, column: usize, row: usize) -> Option<bool> {
        let ColumnValues::Flags(flags) = self.values.get(column)? else { return None };
        flags.get(row).copied()
    }

    /// A number.
    pub fn number(&self, column: usize, row: usize) -> Option<f64> {
        let ColumnValues::Numbers(numbers) = self.values.get(column)? else { return None };
        numbers.get(row).copied()
    }

    /// An instant, UTC ms.
    pub fn instant(&self, column: usize, row: usize) -> Option<i64> {
        let ColumnValues::Instants(instants) = self.values.get(column)? else { return None };
        instants.get(row).copied()
    }
}

fn day_of(days: i32) -> Option<Date> {
    EPOCH.checked_add(Span::new().try_days(days).ok()?).ok()
}

/// A day as it is in a file: days since 1970-01-01.
pub fn days_since_epoch(day: Date) -> i32 {
    EPOCH.until(day).map_or(0, |span| span.get_days())
}
