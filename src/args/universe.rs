//! `grab universe` as it is typed.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::civil::Date;

use super::{FetchArgs, help};

/// `grab universe`
#[derive(Debug, Args)]
pub struct UniverseArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub command: UniverseCommand,
}

/// What to do with the universe.
#[derive(Debug, Subcommand)]
pub enum UniverseCommand {
    /// Fetch the lists of tickers, with delisted ones, and of splits
    #[command(after_help = help::UNIVERSE_SYNC)]
    Sync(Box<UniverseSyncArgs>),
    /// Show the stored list of tickers
    #[command(after_help = help::UNIVERSE_LIST)]
    List(UniverseListArgs),
}

/// `grab universe sync`
#[derive(Debug, Args)]
pub struct UniverseSyncArgs {
    /// Fetch the day on which each ticker was listed: one request each, once
    #[arg(long)]
    pub list_dates: bool,
    /// Fetch the former tickers of the company of each recorded ticker: one request each, again if its row has changed
    #[arg(long)]
    pub renames: bool,
    /// Do not fetch splits
    #[arg(long)]
    pub no_splits: bool,
    /// Store sectors and industries from a CSV with the columns ticker (or symbol), sector, industry
    #[arg(long, value_name = "FILE.csv")]
    pub annotate: Option<PathBuf>,
    /// How to fetch.
    #[command(flatten)]
    pub fetch: FetchArgs,
}

/// `grab universe list`
#[derive(Debug, Args)]
pub struct UniverseListArgs {
    /// Only these types, separated by commas, such as CS,ADRC,ETF; '?' is an unknown type
    #[arg(long = "type", value_name = "LIST", value_delimiter = ',')]
    pub types: Vec<String>,
    /// Only these exchanges, separated by commas, such as XNAS,XNYS; '?' is an unknown exchange
    #[arg(long = "exchange", value_name = "LIST", value_delimiter = ',')]
    pub exchanges: Vec<String>,
    /// Only tickers that were listed on this day
    #[arg(long, value_name = "DATE")]
    pub active_on: Option<Date>,
    /// Only these symbols, separated by commas
    #[arg(long, value_name = "LIST")]
    pub ticker: Vec<String>,
    /// One ticker a line, as --tickers-file takes them
    #[arg(long, conflicts_with = "json")]
    pub tickers_only: bool,
}

/// Which list `grab start` is about
#[derive(Debug, Default, Args)]
pub struct OrderArgs {
    /// All symbols of a list that were listed in a window, with delisted ones: us-stocks
    #[arg(long, value_name = "NAME", group = "symbols")]
    pub universe: Option<String>,
    /// Only these types, separated by commas, such as CS,ADRC,ETF; '?' is an unknown type
    #[arg(long = "type", value_name = "LIST", value_delimiter = ',', requires = "universe")]
    pub types: Vec<String>,
    /// Only these exchanges, separated by commas, such as XNAS,XNYS; '?' is an unknown exchange
    #[arg(long = "exchange", value_name = "LIST", value_delimiter = ',', requires = "universe")]
    pub exchanges: Vec<String>,
    /// Only tickers that were listed on this day
    #[arg(long, value_name = "DATE", requires = "universe")]
    pub as_of: Option<Date>,
}
