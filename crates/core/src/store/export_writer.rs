//! Writes files that are derived from the store, beside their final path, then renames them.
//!
//! They have the columns of a partition, but are not partitions: no reader of the store accepts them as one.

use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use ::parquet::{
    errors::ParquetError,
    file::{metadata::KeyValue, writer::SerializedFileWriter},
};
use grab_model::{Bar, Bars};
use jiff::Timestamp;
use xxhash_rust::xxh3::Xxh3;

use super::{
    StoreError,
    atomic::{AtomicFile, failed},
    encodings::{Encodings, Finality},
    market_day::WrittenFile,
    parquet,
};

/// The first line of a CSV.
const HEADER: &str = "timestamp,open,high,low,close,volume,vwap,transactions";

/// The format of an exported file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// The columns of a partition, one row group for each append.
    Parquet(Encodings),
    /// The same columns as text: instants in RFC 3339, numbers with as many digits as are needed to restore every bit,
    /// empty where a value is absent.
    Csv,
}

/// A file that is being exported. If it is dropped before [`ExportWriter::finish`], it is removed.
pub struct ExportWriter {
    path: PathBuf,
    sink: ExportSink,
}

enum ExportSink {
    Parquet(Box<SerializedFileWriter<HashingFile>>),
    Csv(Box<BufWriter<HashingFile>>),
}

/// A file, and the size and digest of the bytes written to it.
struct HashingFile {
    file: AtomicFile,
    bytes: u64,
    xxh3: Xxh3,
}

impl ExportFormat {
    /// The extension of its files.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Parquet(_) => "parquet",
            Self::Csv => "csv",
        }
    }
}

impl ExportWriter {
    /// Creates an unfinished file for `path`.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn begin(path: &Path, format: ExportFormat) -> Result<Self, StoreError> {
        let file = HashingFile { file: AtomicFile::begin(path)?, bytes: 0, xxh3: Xxh3::new() };
        let sink = match format {
            ExportFormat::Parquet(encodings) => {
                let properties = encodings.of_bars(Finality::Final);
                let file = parquet::begin(file, properties).map_err(|error| refused(error, path))?;
                ExportSink::Parquet(Box::new(file))
            }
            ExportFormat::Csv => {
                let mut file = BufWriter::new(file);
                writeln!(file, "{HEADER}").map_err(failed("write", path))?;
                ExportSink::Csv(Box::new(file))
            }
        };
        Ok(Self { path: path.to_owned(), sink })
    }

    /// Appends bars, which should be later than those that were appended before.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn append(&mut self, bars: &Bars) -> Result<(), StoreError> {
        match &mut self.sink {
            ExportSink::Parquet(file) => {
                parquet::write_rows(file, bars).map_err(|error| refused(error, &self.path))
            }
            ExportSink::Csv(file) => {
                bars.iter().try_for_each(|bar| write_line(file, &bar)).map_err(failed("write", &self.path))
            }
        }
    }

    /// Renames the file to its final path, a Parquet file with this metadata. When this returns, it is on stable
    /// storage.
    ///
    /// # Errors
    /// If the system refuses; the old file is then untouched.
    pub fn finish(self, metadata: &[(&str, String)]) -> Result<WrittenFile, StoreError> {
        let Self { path, sink } = self;
        let hashed = match sink {
            ExportSink::Parquet(mut file) => {
                for (key, value) in metadata {
                    file.append_key_value_metadata(KeyValue::new((*key).to_owned(), value.clone()));
                }
                file.into_inner().map_err(|error| refused(error, &path))?
            }
            ExportSink::Csv(file) => {
                file.into_inner().map_err(|error| failed("write", &path)(error.into_error()))?
            }
        };
        let written = WrittenFile { bytes: hashed.bytes, xxh3: hashed.xxh3.digest() };
        hashed.file.finish()?;
        Ok(written)
    }
}

/// Returns the system's error, if that is the cause of the Parquet writer's error.
fn refused(error: ParquetError, path: &Path) -> StoreError {
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    while let Some(error) = cause {
        if let Some(cause) = error.downcast_ref::<io::Error>() {
            // The error cannot be moved out of the chain: its kind and text are copied.
            return failed("write", path)(io::Error::new(cause.kind(), cause.to_string()));
        }
        cause = error.source();
    }
    StoreError::Encode(error)
}

fn write_line(file: &mut impl Write, bar: &Bar) -> io::Result<()> {
    let Bar { timestamp, open, high, low, close, volume, vwap, transactions } = bar;
    let at = Timestamp::from_millisecond(*timestamp).map_err(io::Error::other)?;
    write!(file, "{at},{open},{high},{low},{close},{volume},")?;
    if let Some(vwap) = vwap {
        write!(file, "{vwap}")?;
    }
    match transactions {
        Some(transactions) => writeln!(file, ",{transactions}"),
        None => writeln!(file, ","),
    }
}

impl Write for HashingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.xxh3.update(bytes.get(..written).unwrap_or(bytes));
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use xxhash_rust::xxh3::xxh3_64;

    use super::*;

    fn bars() -> Bars {
        let bar = |minute: i64| Bar {
            timestamp: 1_704_292_200_000 + minute * 60_000,
            open: 0.1 + 0.2,
            high: 1e21,
            low: 5e-324,
            close: 100.0,
            volume: 1_000_000.0,
            vwap: (minute > 0).then_some(1.0 / 3.0),
            transactions: (minute > 0).then_some(7),
        };
        (0..2).map(bar).collect()
    }

    #[test]
    fn a_csv_brings_every_bit_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("A.csv");
        let mut file = ExportWriter::begin(&path, ExportFormat::Csv).unwrap();
        file.append(&bars()).unwrap();
        let written = file.finish(&[]).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(written, WrittenFile { bytes: text.len() as u64, xxh3: xxh3_64(text.as_bytes()) });
        let lines: Vec<_> = text.lines().collect();
        assert_eq!((lines.len(), lines[0]), (3, HEADER));
        assert!(
            lines[1].starts_with("2024-01-03T14:30:00Z,0.30000000000000004,1000000000000000000000,0.000")
        );
        assert!(
            lines[1].ends_with(",100,1000000,,") && lines[2].ends_with(",0.3333333333333333,7"),
            "{text}"
        );
        let low: f64 = lines[1].split(',').nth(3).unwrap().parse().unwrap();
        assert_eq!(low.to_bits(), 1);
    }

    #[test]
    fn a_parquet_file_has_the_columns_of_a_partition_and_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("A.parquet");
        let mut file = ExportWriter::begin(&path, ExportFormat::Parquet(Encodings::Compact)).unwrap();
        file.append(&bars()).unwrap();
        file.append(&bars()).unwrap();
        let written = file.finish(&[("grab.ticker", "A".to_owned())]).unwrap();
        let bytes = fs::read(&path).unwrap();
        assert_eq!(written, WrittenFile { bytes: bytes.len() as u64, xxh3: xxh3_64(&bytes) });
        let error = parquet::read_file(bytes.into()).unwrap_err();
        assert!(error.reason().contains("schema_version"), "{error:?}");
    }

    #[test]
    fn a_full_disk_is_told_from_bars_that_cannot_be_encoded() {
        let full = ParquetError::from(io::Error::from(io::ErrorKind::StorageFull));
        let error = refused(full, Path::new("x"));
        let StoreError::Io { source, .. } = &error else { panic!("{error:?}") };
        assert_eq!(source.kind(), io::ErrorKind::StorageFull);
        let other = refused(ParquetError::General("no".to_owned()), Path::new("x"));
        assert!(matches!(other, StoreError::Encode(_)), "{other:?}");
    }

    #[test]
    fn a_file_that_is_not_finished_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("A.parquet");
        fs::write(&path, "before").unwrap();
        for format in [ExportFormat::Parquet(Encodings::Compatible), ExportFormat::Csv] {
            let mut file = ExportWriter::begin(&path, format).unwrap();
            file.append(&bars()).unwrap();
        }
        assert_eq!(fs::read(&path).unwrap(), b"before");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
