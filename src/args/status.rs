//! `grab status` as it is typed.

use clap::Args;

/// `grab status`
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// List every task
    #[arg(long)]
    pub tickers: bool,
    /// List the last 20 runs
    #[arg(long)]
    pub runs: bool,
    /// Show a live view, also of a run in another terminal; q ends it
    #[arg(long, conflicts_with_all = ["tickers", "runs"])]
    pub watch: bool,
    /// How often --watch refreshes, such as 500ms or 10s
    #[arg(long, value_name = "TIME", default_value = "1s", requires = "watch")]
    pub interval: String,
}
