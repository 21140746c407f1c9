//! The arguments of `grab update`.

use std::path::PathBuf;

use clap::Args;

use super::{FetchArgs, ParquetArgs};

/// `grab update`
#[derive(Debug, Args)]
pub struct UpdateArgs {
    /// How many sessions before the last one of each symbol are requested again: late trades revise bars
    #[arg(long, value_name = "SESSIONS", default_value_t = 3)]
    pub overlap: usize,
    /// How long after its end a session is not requested yet
    #[arg(long, value_name = "TIME", default_value = "30m")]
    pub settle: String,
    /// Print what would be requested, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Exit 13 if a new session has fewer symbols with bars [default: the spec's]
    #[arg(long, value_name = "N")]
    pub min_symbols_per_session: Option<u64>,
    /// The share of the symbols with bars in the last two weeks that must have bars in a new session, else exit 13 [default: the spec's]
    #[arg(long, value_name = "SHARE")]
    pub min_coverage: Option<f64>,
    /// Write figures for alerts in the text format of Prometheus
    #[arg(long, value_name = "FILE.prom")]
    pub metrics_file: Option<PathBuf>,
    /// What the files are for.
    #[command(flatten)]
    pub parquet: ParquetArgs,
    /// How to fetch.
    #[command(flatten)]
    pub fetch: FetchArgs,
}
