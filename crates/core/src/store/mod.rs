//! The store: one Parquet file for each symbol and month.
//!
//! # On disk
//! `bars_1m/ticker=AAPL/year=2004/month=01/bars.parquet`, Hive partitions. [`DataDir`](crate::data_dir::DataDir) has the whole path grammar.
//! Beside them, in `reference`, lie the days of the whole market ([`market_day`]) and tables of splits and renames
//! ([`mod@reference`]).
//!
//! # Writing
//! One operation writes bars: [`BarStore::merge`]. It is a union in which the newer bar wins, so first download,
//! resume, overlap, late revision and repair are one operation, and repeating it changes nothing.
//!
//! # Durability
//! A file is written beside its final path, fsynced, renamed over it, and its directory is fsynced (`atomic`): under
//! its final name a file is always complete. The files of a page take each of these steps together ([`write_all`]), and
//! the names of new folders are made durable first. When the call returns, everything is on stable storage.

mod atomic;
mod catch_panic;
mod column;
mod digest;
mod encodings;
pub mod export_writer;
pub mod market_day;
mod merge;
mod parquet;
pub mod quarantined_files;
pub mod reference;
pub mod rewrite;
pub mod scan;

pub use atomic::{create_folders, write as write_whole};
pub use encodings::{Encodings, Finality};
pub use merge::{
    BarStore, EncodedFile, MergeInput, MergeOutcome, PartitionData, PreparedMerge, count_by_day, write_all,
};
pub use parquet::{InvalidPartition, PartitionContent, Provenance, SCHEMA_VERSION, encode, read_file};

use std::{io, path::PathBuf};

use thiserror::Error;

use crate::disk;

/// Why the store could not read or write.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The system refused: no space, no permission, a directory where a file should be.
    #[error("cannot {action} {}{}", path.display(), disk::owner_if_denied(path, source))]
    Io {
        /// What was tried, such as "write".
        action: &'static str,
        /// The path.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// An existing file that grab never writes as a partition.
    #[error("{} is {what}: move it away", path.display())]
    Impossible {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// An existing partition cannot be read.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The error of the Parquet reader.
        source: ::parquet::errors::ParquetError,
    },
    /// A partition is missing, or not the recorded one. A merge into it would hide that.
    #[error("{} is {}: `grab repair` fetches it again", path.display(), if *is_there { "not the file that was recorded" } else { "gone, though it is recorded" })]
    Changed {
        /// The file.
        path: PathBuf,
        /// Whether another file is there.
        is_there: bool,
    },
    /// A partition's metadata does not fit its path.
    #[error("{}: {what} is {found:?} where {expected:?} belongs", path.display())]
    Misplaced {
        /// The file.
        path: PathBuf,
        /// Which of the file's facts.
        what: &'static str,
        /// The value by its path.
        expected: String,
        /// The value in the file.
        found: String,
    },
    /// A table of reference data is not what was written.
    #[error("{} cannot be used, {}: `grab universe sync` fetches it again", path.display(), why.reason())]
    Reference {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: InvalidPartition,
    },
    /// Bars could not be encoded.
    #[error("bars cannot be encoded as Parquet")]
    Encode(#[source] ::parquet::errors::ParquetError),
    /// A bar outside of the month that it was to be written to.
    #[error("a bar at {timestamp} ms does not belong to {month}")]
    OutsideMonth {
        /// The bar's start, UTC ms.
        timestamp: i64,
        /// The month.
        month: grab_model::Month,
    },
}
