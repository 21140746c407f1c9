//! `grab export` as it is typed.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jiff::civil::Date;

use super::ParquetArgs;

/// `grab export`
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Which symbols, by commas; without this and --tickers-file, all that are held
    #[arg(long, value_name = "LIST", group = "exported")]
    pub tickers: Vec<String>,
    /// A file with one symbol a line, or a CSV with a ticker or symbol column
    #[arg(long, value_name = "FILE", group = "exported")]
    pub tickers_file: Option<PathBuf>,
    /// Which days: 2004-2010, 2024-03, 2024-01-15..2024-03-31, and lists of these by commas [default: all that are held]
    #[arg(long, value_name = "WINDOWS")]
    pub windows: Vec<String>,
    /// What bars are adjusted for
    #[arg(long, value_enum, value_name = "WHAT", default_value = "none")]
    pub adjusted: AdjustedArg,
    /// The last day whose splits are applied, with --adjusted splits [default: today in New York]
    #[arg(long, value_name = "DATE")]
    pub as_of: Option<Date>,
    /// Begin with the bars that the company has under its former symbols, and leave out those of other companies
    #[arg(long)]
    pub follow_renames: bool,
    /// How files are written; instants in a CSV are RFC 3339 in UTC
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "parquet")]
    pub format: FormatArg,
    /// What Parquet files are for.
    #[command(flatten)]
    pub parquet: ParquetArgs,
    /// Where they go: a folder outside of the data directory
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// What bars are adjusted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AdjustedArg {
    /// Nothing: as they are in the store
    None,
    /// Splits, from what grab universe sync has brought
    Splits,
}

/// How files are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FormatArg {
    /// As the store is
    Parquet,
    /// Text with a header
    Csv,
}
