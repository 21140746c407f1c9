//! The arguments of `grab update`.

use std::path::PathBuf;

use clap::Args;

use super::{FetchArgs, ParquetArgs};

/// `grab update`
#[derive(Debug, Args)]
pub struct UpdateArgs {
    /// Sessions before the last one of each symbol that are asked for again: late trades revise bars
    #[arg(long, value_name = "SESSIONS", default_value_t = 3)]
    pub overlap: usize,
    /// How long after its end a session is left alone
    #[arg(long, value_name = "TIME", default_value = "30m")]
    pub settle: String,
    /// Print what would be asked for, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// The fewest symbols that may have bars in each session that is new, exit 13 [default: of the spec that it was started with]
    #[arg(long, value_name = "N")]
    pub min_symbols_per_session: Option<u64>,
    /// The share that must have bars in each session that is new, of the symbols with any in the two weeks up to it, exit 13 [default: of the spec that it was started with]
    #[arg(long, value_name = "SHARE")]
    pub min_coverage: Option<f64>,
    /// Write the figures that an operator wants to be alerted on, as Prometheus reads them
    #[arg(long, value_name = "FILE.prom")]
    pub metrics_file: Option<PathBuf>,
    /// What the files are for.
    #[command(flatten)]
    pub parquet: ParquetArgs,
    /// How to fetch.
    #[command(flatten)]
    pub fetch: FetchArgs,
}
