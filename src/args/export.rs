//! `grab export` as it is typed.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jiff::civil::Date;

use super::ParquetArgs;

/// `grab export`
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Symbols, separated by commas; without this and --tickers-file, all stored symbols
    #[arg(long, value_name = "LIST", group = "exported")]
    pub tickers: Vec<String>,
    /// A file with one symbol a line, or a CSV with a ticker or symbol column
    #[arg(long, value_name = "FILE", group = "exported")]
    pub tickers_file: Option<PathBuf>,
    /// The days: 2004-2010, 2024-03, 2024-01-15..2024-03-31, and lists of these, separated by commas [default: all stored days]
    #[arg(long, value_name = "WINDOWS")]
    pub windows: Vec<String>,
    /// What bars are adjusted for
    #[arg(long, value_enum, value_name = "WHAT", default_value = "none")]
    pub adjusted: AdjustedArg,
    /// The last day whose splits are applied, with --adjusted splits [default: today in New York]
    #[arg(long, value_name = "DATE")]
    pub as_of: Option<Date>,
    /// Add the company's bars under its former symbols, and leave out bars of other companies
    #[arg(long)]
    pub follow_renames: bool,
    /// The format of the files; times in a CSV are RFC 3339 in UTC
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "parquet")]
    pub format: FormatArg,
    /// What Parquet files are for.
    #[command(flatten)]
    pub parquet: ParquetArgs,
    /// The folder for the files, outside of the data directory
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// What bars are adjusted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AdjustedArg {
    /// Nothing: as they are in the store
    None,
    /// Splits, as grab universe sync has fetched them
    Splits,
}

/// How files are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FormatArg {
    /// Parquet, as in the store
    Parquet,
    /// Text with a header
    Csv,
}
