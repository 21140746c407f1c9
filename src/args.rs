//! The command line as it is typed. `settings` resolves it together with environment and files.

#![expect(clippy::doc_markdown, reason = "the texts are shown by --help, as they are")]
#![expect(rustdoc::broken_intra_doc_links, reason = "the texts are shown by --help, as they are")]

use std::{num::NonZeroU32, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum, builder::Styles};

pub use export::{AdjustedArg, ExportArgs, FormatArg};
pub use given_twice::given_twice;
pub use setting_flags::{CommonGroup, FetchGroup, Flags, Given, ParquetGroup};
pub use setting_list::Setting;
pub use status::StatusArgs;
pub use tools::{CompletionsArgs, ManArgs, SpecArgs, SpecCommand};
pub use universe::{OrderArgs, UniverseArgs, UniverseCommand, UniverseListArgs, UniverseSyncArgs};
pub use update::UpdateArgs;

use grab_sandbox::{EndpointFamily, Fault, RateWindow, TooManyBody};

mod export;
mod given_twice;
mod help;
mod setting_flags;
pub mod setting_list;
mod status;
mod tools;
mod universe;
mod update;

/// Downloads years of US minute bars from Polygon.io / Massive, and can prove what it holds.
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
    /// Record what is wanted and fetch it
    #[command(after_help = help::START)]
    Start(StartArgs),
    /// Go on with what is owed
    #[command(after_help = help::RESUME)]
    Resume(ResumeArgs),
    /// Bring every known symbol up to the last finished session: the command for cron
    #[command(after_help = help::UPDATE)]
    Update(UpdateArgs),
    /// Prove what is there, and name what is not
    #[command(after_help = help::VERIFY)]
    Verify(VerifyArgs),
    /// Fetch again what verify finds wrong
    #[command(after_help = help::REPAIR)]
    Repair(RepairArgs),
    /// Show what is owed, what is held, and why
    #[command(after_help = help::STATUS)]
    Status(StatusArgs),
    /// Derive files for other programs: split-adjusted, by window, across renames
    #[command(after_help = help::EXPORT)]
    Export(ExportArgs),
    /// Know who is listed and who was, with splits and renames
    #[command(after_help = help::UNIVERSE, disable_help_subcommand = true)]
    Universe(UniverseArgs),
    /// Serve a Polygon-compatible market on loopback, without a key
    #[command(after_help = help::SANDBOX)]
    Sandbox(SandboxArgs),
    /// Check specs before they are used
    #[command(after_help = help::SPEC, disable_help_subcommand = true)]
    Spec(SpecArgs),
    /// Print what completes a command line in a shell
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
    /// What time to cover: 2004-2010, 2024, 2024-03, 2024-01-15..2024-03-31, and lists of these by commas
    #[arg(long, value_name = "WINDOWS", required_unless_present_any = ["spec", "tasks_file"])]
    pub windows: Vec<String>,
    /// Which symbols, by commas; upper and lower case differ
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
    /// Ask again for what failed, was not found or not entitled
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
    /// Read every file whole: digest, columns, order, hours, prices
    #[arg(long, conflicts_with = "sample")]
    pub deep: bool,
    /// Read some files whole: a share such as 5%, or a part such as 1/30
    #[arg(long, value_name = "SHARE|N/T")]
    pub sample: Option<String>,
    /// The share of sessions, expected or unexplained, that must have bars, whatever is read; above it, gaps are no error [default: any gap is one]
    #[arg(long, value_name = "SHARE")]
    pub min_coverage: Option<f64>,
    /// The fewest symbols that may have bars in a session
    #[arg(long, value_name = "N")]
    pub min_symbols_per_session: Option<u64>,
    /// The most sessions in a row that may be missing of a symbol; one without any bar lacks all
    #[arg(long, value_name = "N")]
    pub max_gap_sessions: Option<u64>,
    /// What should be there, and how much of it is enough: what the spec wants and nobody asked for is missing
    #[arg(long, value_name = "FILE")]
    pub spec: Option<PathBuf>,
    /// Write a page for a browser: one file, which needs no network
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
    /// Write all findings as a table
    #[arg(long, value_name = "FILE.csv")]
    pub csv: Option<PathBuf>,
    /// Write what should be there and is not, as a table that grab start --tasks-file takes
    #[arg(long, value_name = "FILE.csv")]
    pub missing: Option<PathBuf>,
    /// Who is asked why a session has no bars; without it, what was asked before is used and nothing is fetched
    #[arg(long, value_enum, value_name = "WHO")]
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
    /// Nobody, not even what is kept
    None,
}

/// `grab repair`
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct RepairArgs {
    /// Say what would be done, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Mend what a saved report of grab verify --json names, and nothing else; without it, all files are read first
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Take what the server has now for all there is, where bars that were on record have not come back
    #[arg(long, conflicts_with = "dry_run")]
    pub accept_loss: bool,
    /// Make a lost or damaged manifest anew from what the partitions say of themselves
    #[arg(long, conflicts_with_all = ["dry_run", "from"])]
    pub rebuild_manifest: bool,
    /// Write all files anew as they would be written today: bars, reference tables, days of the market; asks the service for nothing
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
    /// Where to listen, on loopback; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub listen: std::net::SocketAddr,
    /// Makes the market: the same seed, the same bars
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Serve these bars instead: a folder of TICKER.csv[.gz] with t_ms_utc,o,h,l,c,v[,vw][,n]
    #[arg(long, value_name = "DIR")]
    pub recorded: Option<PathBuf>,
    /// The plan's limit of requests.
    #[command(flatten)]
    pub rate: SandboxRateArgs,
    /// What the plan leaves out, by commas: it is refused with a 403
    #[arg(long, value_enum, value_name = "LIST", value_delimiter = ',')]
    pub forbid: Vec<EndpointFamily>,
    /// The plan's first day of history: earlier requests are refused
    #[arg(long, value_name = "DATE")]
    pub history_from: Option<jiff::civil::Date>,
    /// Cut such requests silently instead of refusing them
    #[arg(long, requires = "history_from")]
    pub clip_history: bool,
    /// Bars in a page at most
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    pub page_cap: u32,
    /// Lose adjusted=false in the cursor: pages after the first come split-adjusted
    #[arg(long)]
    pub forget_adjusted: bool,
    /// Wait before each answer
    #[arg(long, value_name = "TIME", default_value = "0s")]
    pub latency: String,
    /// Answer with status DELAYED, as plans without real-time data do
    #[arg(long)]
    pub delayed: bool,
    /// What is broken on purpose.
    #[command(flatten)]
    pub faults: SandboxFaultArgs,
    /// How the newest sessions differ.
    #[command(flatten)]
    pub evolution: super::sandbox::EvolutionArgs,
}

/// The faults of `grab sandbox`
#[derive(Debug, Args)]
pub struct SandboxFaultArgs {
    /// Break this share of the answers, 0 to 1, by --seed: none is broken more than twice in a row
    #[arg(long, value_name = "SHARE")]
    pub faults: Option<String>,
    /// Break them in these ways only, by commas; the lies, which no client can see through, are told only if named here
    #[arg(long, value_enum, value_name = "LIST", value_delimiter = ',', requires = "faults")]
    pub fault_kinds: Vec<Fault>,
    /// How long answers stall
    #[arg(long, value_name = "TIME", default_value = "3s", requires = "faults")]
    pub fault_stall: String,
    /// List tickers and splits with the defects that were reported: rows twice, rows and numbers missing, by --seed
    #[arg(long)]
    pub reference_defects: bool,
}

/// The rate limit of `grab sandbox`
#[derive(Debug, Args)]
pub struct SandboxRateArgs {
    /// The plan's requests a minute: more are refused with a 429
    #[arg(long, value_name = "N")]
    pub plan_rate: Option<NonZeroU32>,
    /// Which minute that is
    #[arg(long, value_enum, value_name = "WINDOW", default_value = "sliding", requires = "plan_rate")]
    pub rate_window: RateWindow,
    /// What is in the body of a 429
    #[arg(long, value_enum, value_name = "BODY", default_value = "json", requires = "plan_rate")]
    pub rate_body: TooManyBody,
    /// Say with a 429 when to come back, in a Retry-After
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
