//! The encodings of all Parquet columns in the store: they decide which programs can open a file, and its size.
//!
//! `docs/store.md` has the table of the programs that were tested; `scripts/readers.sh` makes it.

use std::{mem, sync::LazyLock};

use parquet::{
    basic::{ColumnOrder, Compression, Encoding, ZstdLevel},
    file::{
        metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData, SortingColumn},
        properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder},
    },
    schema::types::ColumnPath,
};

/// Which programs can read a file of bars. Files of both kinds may be in one directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encodings {
    /// All common programs: no encoding that one of them lacks.
    #[default]
    Compatible,
    /// Programs that read byte-stream-split: smaller files, for more CPU time.
    Compact,
}

/// Whether a file is soon written again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finality {
    /// Final: encoded to be small.
    Final,
    /// Until the next page with the rest of its month: encoded fast, and up to three times as large.
    Interim,
}

impl Encodings {
    /// The value of the setting `--parquet`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Compatible => "compatible",
            Self::Compact => "compact",
        }
    }

    /// The approximate bytes of a bar in a file, to reserve room.
    pub(super) fn bytes_a_bar(self, finality: Finality) -> usize {
        match (finality, self) {
            (Finality::Final, Self::Compatible | Self::Compact) => 24,
            (Finality::Interim, Self::Compatible | Self::Compact) => 66,
        }
    }

    /// The writer properties of a file of bars.
    pub(super) fn of_bars(self, finality: Finality) -> &'static WriterProperties {
        match (finality, self) {
            (Finality::Interim, Self::Compatible | Self::Compact) => &PASSING,
            (Finality::Final, Self::Compatible) => &COMPATIBLE,
            (Finality::Final, Self::Compact) => &COMPACT,
        }
    }
}

/// The most rows of a page.
const PAGE_ROWS: usize = 20_000;

/// For files that are soon written again: fast, in the simplest form.
static PASSING: LazyLock<WriterProperties> = LazyLock::new(|| bars().build());

/// Measured on minute bars: delta for the integers, plain for the floats, whose decimal fractions leave noise in every
/// byte; zstd at level 1, but for counts: packed, they do not shrink any further. Plain volumes take a quarter of a byte
/// a bar more than byte-stream-split ones, which Spark before 4.3 and fastparquet cannot read; a dictionary takes more.
static COMPATIBLE: LazyLock<WriterProperties> = LazyLock::new(|| lasting(1).build());

/// Byte-stream-split for volumes, and level 3 of zstd, which costs more CPU time: a twentieth to an eighth fewer bytes.
static COMPACT: LazyLock<WriterProperties> = LazyLock::new(|| {
    lasting(3).set_column_encoding(ColumnPath::from("volume"), Encoding::BYTE_STREAM_SPLIT).build()
});

/// For a table of reference data, or a day of the market: plain columns. Delta for texts would take a byte a row less,
/// but fastparquet cannot read it.
pub(super) static TABLE: LazyLock<WriterProperties> =
    LazyLock::new(|| common().set_compression(zstd(1)).build());

/// Whether a file was written with these properties: the order of its columns, their compression and their encodings.
pub(super) fn is_written_as(file: &ParquetMetaData, properties: &WriterProperties) -> bool {
    let is_type_order = |order: &ColumnOrder| matches!(order, ColumnOrder::TYPE_DEFINED_ORDER(_));
    let orders = file.file_metadata().column_orders();
    let mut columns = file.row_groups().iter().flat_map(RowGroupMetaData::columns);
    orders.is_none_or(|orders| orders.iter().all(is_type_order))
        && columns.all(|column| is_column_written_as(column, properties))
}

fn is_column_written_as(column: &ColumnChunkMetaData, properties: &WriterProperties) -> bool {
    let path = column.column_path();
    let wanted = properties.encoding(path).unwrap_or(Encoding::PLAIN);
    // A file records that its compression is zstd, but not the level. RLE is the encoding of levels.
    mem::discriminant(&column.compression()) == mem::discriminant(&properties.compression(path))
        && column.encodings().all(|encoding| encoding == wanted || encoding == Encoding::RLE)
}

fn lasting(level: i32) -> WriterPropertiesBuilder {
    bars()
        .set_compression(zstd(level))
        .set_column_compression(ColumnPath::from("transactions"), Compression::UNCOMPRESSED)
        .set_column_encoding(ColumnPath::from("timestamp"), Encoding::DELTA_BINARY_PACKED)
        .set_column_encoding(ColumnPath::from("transactions"), Encoding::DELTA_BINARY_PACKED)
}

fn bars() -> WriterPropertiesBuilder {
    let by_time = SortingColumn { column_idx: 0, descending: false, nulls_first: false };
    common()
        .set_sorting_columns(Some(vec![by_time]))
        // What is written in one call becomes one page, of at most this many rows: `column::write_integers` ends some
        // earlier.
        .set_write_batch_size(PAGE_ROWS)
        .set_data_page_row_count_limit(1)
}

fn common() -> WriterPropertiesBuilder {
    WriterProperties::builder()
        .set_created_by(concat!("grab version ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_dictionary_enabled(false)
        .set_encoding(Encoding::PLAIN)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_max_row_group_row_count(None)
}

fn zstd(level: i32) -> Compression {
    ZstdLevel::try_new(level).map_or(Compression::UNCOMPRESSED, Compression::ZSTD)
}
