//! The command line as it is typed. `settings` resolves it together with environment and files.

#![expect(clippy::doc_markdown, reason = "the texts are shown by --help, as they are")]
#![expect(rustdoc::broken_intra_doc_links, reason = "the texts are shown by --help, as they are")]

use std::{num::NonZeroU32, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum, builder::Styles};

pub use command_name::command_name;
#[cfg(test)]
pub use command_name::is_command;
pub use export::{AdjustedArg, ExportArgs, FormatArg};
pub use given_twice::given_twice;
pub use setting_flags::{CommonGroup, FetchGroup, FlagValues, Flags, ParquetGroup};
pub use setting_list::Setting;
pub use status::StatusArgs;
pub use tools::{CompletionsArgs, ManArgs, SpecArgs, SpecCommand};
pub use universe::{OrderArgs, UniverseArgs, UniverseCommand, UniverseListArgs, UniverseSyncArgs};
pub use update::UpdateArgs;

use grab_sandbox::{EndpointFamily, Fault, RateWindow, TooManyBody};

mod command_name;
mod export;
mod given_twice;
mod help;
mod setting_flags;
pub mod setting_list;
mod status;
mod tools;
mod universe;
mod update;

/// Downloads years of US minute bars from Polygon.io / Massive, and can prove what it has stored.
#[derive(Debug, Parser)]
#[command(
    name = "grab",
    version,
    styles = Styles::styled(),
    disable_help_subcommand = true,
    after_help = help::GRAB
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Settings of every command.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Download bars: record the request, then fetch it
    #[command(after_help = help::START)]
    Start(StartArgs),
    /// Continue with the pending tasks
    #[command(after_help = help::RESUME)]
    Resume(ResumeArgs),
    /// Fetch what is new for every known symbol: the command for cron
    #[command(after_help = help::UPDATE)]
    Update(UpdateArgs),
    /// Check the stored data, and explain what is missing
    #[command(after_help = help::VERIFY)]
    Verify(VerifyArgs),
    /// Fetch again what verify found damaged or missing
    #[command(after_help = help::REPAIR)]
    Repair(RepairArgs),
    /// Show tasks by state, and what is stored
    #[command(after_help = help::STATUS)]
    Status(StatusArgs),
    /// Write files for other programs: split-adjusted, by window, across renames
    #[command(after_help = help::EXPORT)]
    Export(ExportArgs),
    /// Fetch and show the lists of tickers, splits and renames
    #[command(after_help = help::UNIVERSE, disable_help_subcommand = true)]
    Universe(UniverseArgs),
    /// Serve a simulated market on loopback, compatible with Polygon
    #[command(after_help = help::SANDBOX)]
    Sandbox(SandboxArgs),
    /// Check specs before they are used
    #[command(after_help = help::SPEC, disable_help_subcommand = true)]
    Spec(SpecArgs),
    /// Print the completions for a shell
    #[command(after_help = help::COMPLETIONS)]
    Completions(CompletionsArgs),
    /// Print the manual
    #[command(after_help = help::MAN)]
    Man(ManArgs),
}

/// Joins a list that was given in parts, each with commas. None if it was not given at all.
#[must_use]
pub fn joined(parts: &[String]) -> Option<String> {
    (!parts.is_empty()).then(|| parts.join(","))
}

/// Settings that every command has.
#[derive(Debug, Default, Args)]
pub struct CommonArgs {
    /// Where the data are, and how to log.
    #[command(flatten)]
    pub settings: Flags<CommonGroup>,
    /// Print one JSON object on stdout instead of a report for people
    #[arg(long, global = true, help_heading = "Common options")]
    pub json: bool,
    /// Log more: -v info, -vv debug, -vvv trace [env: GRAB_LOG]
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Common options")]
    pub verbose: u8,
    /// Log errors only, and show no progress
    #[arg(short, long, global = true, help_heading = "Common options")]
    pub quiet: bool,
}

/// How logs look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProgressMode {
    /// A bar on a terminal, lines elsewhere.
    Auto,
    /// A bar.
    Bar,
    /// Plain lines.
    Lines,
    /// One JSON object a line.
    Json,
    /// Nothing.
    None,
}

/// Settings of every command that fetches.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Fetching")]
pub struct FetchArgs {
    /// Use the built-in sandbox: no key, no network
    #[arg(long, conflicts_with = "base_url")]
    pub sandbox: bool,
    /// The service, its limits, and the run's.
    #[command(flatten)]
    pub settings: Flags<FetchGroup>,
}

/// The form of the files that a command writes.
pub type ParquetArgs = Flags<ParquetGroup>;

/// `grab start`
#[derive(Debug, Default, Args)]
pub struct StartArgs {
    /// The days to fetch: 2004-2010, 2024, 2024-03, 2024-01-15..2024-03-31, and lists of these, separated by commas
    #[arg(long, value_name = "WINDOWS", required_unless_present_any = ["spec", "tasks_file"])]
    pub windows: Vec<String>,
    /// Symbols, separated by commas; upper and lower case differ
    #[arg(long, value_name = "LIST", group = "symbols")]
    pub tickers: Vec<String>,
    /// A file with one symbol a line, or a CSV with a ticker or symbol column
    #[arg(long, value_name = "FILE", group = "symbols")]
    pub tickers_file: Option<PathBuf>,
    /// All that a list has, in place of symbols.
    #[command(flatten)]
    pub order: OrderArgs,
    /// A spec: a TOML file that names windows, symbols and pacing
    #[arg(long, value_name = "FILE")]
    pub spec: Option<PathBuf>,
    /// A CSV of ticker,from,to, such as grab verify --missing writes in another directory: these tasks and no others
    #[arg(long, value_name = "FILE", conflicts_with_all = ["windows", "symbols", "spec"])]
    pub tasks_file: Option<PathBuf>,
    /// Record the tasks and stop: grab resume runs them
    #[arg(long, conflicts_with = "dry_run")]
    pub plan_only: bool,
    /// Print the tasks with an estimate, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// What the files are for.
    #[command(flatten)]
    pub parquet: ParquetArgs,
    /// How to fetch.
    #[command(flatten)]
    pub fetch: FetchArgs,
}

/// `grab resume`
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// Request failed, not found and not entitled tasks again
    #[arg(long)]
    pub retry_failed: bool,
    /// What the files are for.
    #[command(flatten)]
    pub parquet: ParquetArgs,
    /// How to fetch.
    #[command(flatten)]
    pub fetch: FetchArgs,
}

/// `grab verify`
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Read every file: check digest, columns, order, hours, prices
    #[arg(long, conflicts_with = "sample")]
    pub deep: bool,
    /// Read a part of the files: a share such as 5%, or one part of several such as 1/30
    #[arg(long, value_name = "SHARE|N/T")]
    pub sample: Option<String>,
    /// The smallest accepted coverage, 0 to 1; at or above it, gaps are no error [default: any gap is an error]
    #[arg(long, value_name = "SHARE")]
    pub min_coverage: Option<f64>,
    /// Exit 13 if a session has fewer symbols with bars
    #[arg(long, value_name = "N")]
    pub min_symbols_per_session: Option<u64>,
    /// The most sessions in a row that may be missing for a symbol
    #[arg(long, value_name = "N")]
    pub max_gap_sessions: Option<u64>,
    /// A spec to compare with: its windows and symbols must be stored, and its thresholds apply
    #[arg(long, value_name = "FILE")]
    pub spec: Option<PathBuf>,
    /// Write the report as a page for a browser: one file, no network needed
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
    /// Write all findings as a table
    #[arg(long, value_name = "FILE.csv")]
    pub csv: Option<PathBuf>,
    /// Write the missing windows as a table for grab start --tasks-file
    #[arg(long, value_name = "FILE.csv")]
    pub missing: Option<PathBuf>,
    /// The second source that says whether a symbol traded; without this, the stored one is used and nothing is fetched
    #[arg(long, value_enum, value_name = "SOURCE")]
    pub witness: Option<WitnessArg>,
    /// How the witness is fetched.
    #[command(flatten)]
    pub fetch: FetchArgs,
}

/// Who says whether a symbol traded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WitnessArg {
    /// The market's grouped daily bars, one request a session, each fetched once; implies --deep, or --sample
    GroupedDaily,
    /// None, not even the stored one
    None,
}

/// `grab repair`
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct RepairArgs {
    /// Print what would be repaired, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Repair only what a saved report of grab verify --json names; without this, all files are read first
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Accept that recorded bars are lost where the server does not have them any more
    #[arg(long, conflicts_with = "dry_run")]
    pub accept_loss: bool,
    /// Rebuild a lost or damaged manifest from the files of bars
    #[arg(long, conflicts_with_all = ["dry_run", "from"])]
    pub rebuild_manifest: bool,
    /// Rewrite all files in the current format: bars, reference tables, market days; sends no request
    #[arg(long, conflicts_with_all = ["from", "accept_loss", "rebuild_manifest"])]
    pub rewrite: bool,
    /// What the files are for.
    #[command(flatten)]
    pub parquet: ParquetArgs,
    /// How to fetch.
    #[command(flatten)]
    pub fetch: FetchArgs,
}

/// `grab sandbox`
#[derive(Debug, Args)]
pub struct SandboxArgs {
    /// The address to listen on, loopback only; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub listen: std::net::SocketAddr,
    /// The seed of the market: the same seed gives the same bars
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Serve these bars instead: a folder of TICKER.csv[.gz] with t_ms_utc,o,h,l,c,v[,vw][,n]
    #[arg(long, value_name = "DIR")]
    pub recorded: Option<PathBuf>,
    /// The plan's limit of requests.
    #[command(flatten)]
    pub rate: SandboxRateArgs,
    /// What the plan does not include, separated by commas: it is refused with a 403
    #[arg(long, value_enum, value_name = "LIST", value_delimiter = ',')]
    pub forbid: Vec<EndpointFamily>,
    /// The plan's first day of history: earlier requests are refused
    #[arg(long, value_name = "DATE")]
    pub history_from: Option<jiff::civil::Date>,
    /// Leave out earlier days without an error instead of refusing the request
    #[arg(long, requires = "history_from")]
    pub clip_history: bool,
    /// The most bars in a page
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    pub page_cap: u32,
    /// Drop adjusted=false from the cursor: pages after the first are split-adjusted
    #[arg(long)]
    pub forget_adjusted: bool,
    /// The delay before each response
    #[arg(long, value_name = "TIME", default_value = "0s")]
    pub latency: String,
    /// Respond with status DELAYED, as plans without real-time data do
    #[arg(long)]
    pub delayed: bool,
    /// What is broken on purpose.
    #[command(flatten)]
    pub faults: SandboxFaultArgs,
    /// How the newest sessions differ.
    #[command(flatten)]
    pub evolution: EvolutionArgs,
}

/// The newest sessions of `grab sandbox`
#[derive(Debug, Args)]
pub struct EvolutionArgs {
    /// Revise a session for so many sessions after it: until then some bars have less volume, and some are missing
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub settling: u8,
    /// Serve a session only so long after its end; before that, nothing of it or not all
    #[arg(long, value_name = "TIME", default_value = "0s")]
    pub lag: String,
    /// Leave out this share of sessions, 0 to 1, until 2 to 8 sessions later; grouped daily bars have them
    #[arg(long, value_name = "SHARE")]
    pub holes: Option<String>,
}

/// The faults of `grab sandbox`
#[derive(Debug, Args)]
pub struct SandboxFaultArgs {
    /// Break this share of the responses, 0 to 1, by --seed; no request fails more than twice in a row
    #[arg(long, value_name = "SHARE")]
    pub faults: Option<String>,
    /// Use only these faults, separated by commas; wrong data that no client can detect are sent only if named here
    #[arg(long, value_enum, value_name = "LIST", value_delimiter = ',', requires = "faults")]
    pub fault_kinds: Vec<Fault>,
    /// How long a response stalls
    #[arg(long, value_name = "TIME", default_value = "3s", requires = "faults")]
    pub fault_stall: String,
    /// Serve lists with the defects that users reported: repeated rows, missing rows and numbers, by --seed
    #[arg(long)]
    pub reference_defects: bool,
}

/// The rate limit of `grab sandbox`
#[derive(Debug, Args)]
pub struct SandboxRateArgs {
    /// The plan's requests a minute: more are refused with a 429
    #[arg(long, value_name = "N")]
    pub plan_rate: Option<NonZeroU32>,
    /// How this minute is counted
    #[arg(long, value_enum, value_name = "WINDOW", default_value = "sliding", requires = "plan_rate")]
    pub rate_window: RateWindow,
    /// What is in the body of a 429
    #[arg(long, value_enum, value_name = "BODY", default_value = "json", requires = "plan_rate")]
    pub rate_body: TooManyBody,
    /// Send a Retry-After with each 429
    #[arg(long, requires = "plan_rate")]
    pub retry_after: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn how_a_limit_refuses_is_of_use_only_with_a_limit() {
        let parsed = |flags: &[&str]| Cli::try_parse_from(["grab", "sandbox"].iter().chain(flags)).is_ok();
        assert!(parsed(&[]));
        for flags in [&["--rate-window", "fixed"][..], &["--rate-body", "empty"], &["--retry-after"]] {
            assert!(!parsed(flags), "{flags:?}");
            assert!(parsed(&[flags, &["--plan-rate", "5"]].concat()), "{flags:?}");
        }
        assert!(!parsed(&["--plan-rate", "0"]));
    }
}
