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
    /// Bring tickers, delisted ones too, and splits
    #[command(after_help = help::UNIVERSE_SYNC)]
    Sync(Box<UniverseSyncArgs>),
    /// List who is and was listed, by what is kept
    #[command(after_help = help::UNIVERSE_LIST)]
    List(UniverseListArgs),
}

/// `grab universe sync`
#[derive(Debug, Args)]
pub struct UniverseSyncArgs {
    /// Ask when each was listed: one request each, once
    #[arg(long)]
    pub list_dates: bool,
    /// Ask which tickers the companies of all recorded tickers had: one request each, again when a row has changed
    #[arg(long)]
    pub renames: bool,
    /// Leave splits as they are
    #[arg(long)]
    pub no_splits: bool,
    /// Keep sectors and industries of a CSV with the columns ticker (or symbol), sector, industry
    #[arg(long, value_name = "FILE.csv")]
    pub annotate: Option<PathBuf>,
    /// How to fetch.
    #[command(flatten)]
    pub fetch: FetchArgs,
}

/// `grab universe list`
#[derive(Debug, Args)]
pub struct UniverseListArgs {
    /// Only these types, by commas, such as CS,ADRC,ETF; '?' is a type that the list does not say
    #[arg(long = "type", value_name = "LIST", value_delimiter = ',')]
    pub types: Vec<String>,
    /// Only these exchanges, by commas, such as XNAS,XNYS; '?' is one that the list does not say
    #[arg(long = "exchange", value_name = "LIST", value_delimiter = ',')]
    pub exchanges: Vec<String>,
    /// Only what was active on this day
    #[arg(long, value_name = "DATE")]
    pub active_on: Option<Date>,
    /// Only these symbols, by commas
    #[arg(long, value_name = "LIST")]
    pub ticker: Vec<String>,
    /// One ticker a line, as --tickers-file takes them
    #[arg(long, conflicts_with = "json")]
    pub tickers_only: bool,
}

/// Which list `grab start` is about
#[derive(Debug, Default, Args)]
pub struct OrderArgs {
    /// All symbols of a list that lived in a window, delisted or not: us-stocks
    #[arg(long, value_name = "NAME", group = "symbols")]
    pub universe: Option<String>,
    /// Only these types, by commas, such as CS,ADRC,ETF; '?' is a type that the list does not say
    #[arg(long = "type", value_name = "LIST", value_delimiter = ',', requires = "universe")]
    pub types: Vec<String>,
    /// Only these exchanges, by commas, such as XNAS,XNYS; '?' is one that the list does not say
    #[arg(long = "exchange", value_name = "LIST", value_delimiter = ',', requires = "universe")]
    pub exchanges: Vec<String>,
    /// Only what was active on this day
    #[arg(long, value_name = "DATE", requires = "universe")]
    pub as_of: Option<Date>,
}
