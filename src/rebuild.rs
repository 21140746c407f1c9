//! `grab repair --rebuild-manifest`: rebuilds a lost or damaged manifest from the bars and from the plan beside it.

use grab_core::{data_dir::PLAN, exit::ExitStatus};
use grab_model::format;
use grab_ops::{DamagedPartition, Error as Failure, Rebuild, RebuildNote, RebuildReport, RunReport};
use serde::Serialize;

use super::{
    args::CommonArgs,
    args::ProgressMode,
    notices::Terminal,
    output::{Output, announce_clock},
    report::Report,
    run_report,
    settings::Sources,
    text::Text,
};

/// The result of a rebuild; its JSON is public.
#[derive(Serialize)]
struct RebuildJson {
    #[serde(flatten, serialize_with = "run_report::serialize")]
    run: RunReport,
    /// The new path of the old manifest.
    set_aside: Option<String>,
    /// Whether all requests are known: pending tasks, subscriptions, and the spec.
    is_all_asked: bool,
    /// What is not known, and why.
    notes: Vec<String>,
    /// Files that could not be recorded. They stay in place.
    damaged: Vec<DamagedJson>,
}

#[derive(Serialize)]
struct DamagedJson {
    ticker: String,
    month: String,
    detail: String,
}

/// Runs the command.
///
/// # Errors
/// If the manifest is intact, there are neither bars nor a plan, or the directory cannot be written.
pub fn run(common: &CommonArgs, sources: &Sources<'_>, output: Output) -> Result<ExitStatus, Failure> {
    let (data_dir, clock) = (sources.data_dir(common)?, sources.clock()?);
    announce_clock(clock);
    let observer = Terminal::observer(ProgressMode::None, common.quiet, output);
    output.report(&RebuildJson::from(Rebuild { data_dir, clock }.run(&*observer)?))
}

impl From<RebuildReport> for RebuildJson {
    fn from(report: RebuildReport) -> Self {
        let RebuildReport { run, moved, is_all_known, notes, damaged } = report;
        Self {
            run,
            set_aside: moved.map(|path| path.display().to_string()),
            is_all_asked: is_all_known,
            notes: notes.iter().map(note).collect(),
            damaged: damaged.into_iter().map(DamagedJson::from).collect(),
        }
    }
}

impl From<DamagedPartition> for DamagedJson {
    fn from(DamagedPartition { symbol, month, detail }: DamagedPartition) -> Self {
        Self { ticker: symbol.to_string(), month: month.to_string(), detail }
    }
}

/// A note in words.
fn note(note: &RebuildNote) -> String {
    match note {
        RebuildNote::PlanDamaged(faults) => {
            format!("{PLAN} is damaged ({}): its sound lines were used", faults.join("; "))
        }
        RebuildNote::PlanMissing => {
            format!("{PLAN} is missing: what was requested is known from the bars alone")
        }
        RebuildNote::UnreadableSubscriptions(count) => {
            let requests = format::plural(*count, "request");
            format!("{requests} by --universe or --spec cannot be read: a grab start requests it again")
        }
        RebuildNote::PlanIsOlder { symbols, example } => {
            let symbols = format::plural(*symbols, "symbol");
            format!("{PLAN} is older than the bars: it lacks stored days of {symbols}, such as {example}")
        }
    }
}

impl Report for RebuildJson {
    fn exit(&self) -> ExitStatus {
        self.run.exit()
    }

    fn text(&self) -> Text {
        let mut text = run_report::text(&self.run);
        text.rows("moved", self.set_aside.iter().map(|path| format!("the old manifest is {path}")));
        let damaged = |file: &DamagedJson| format!("{} {}: {}", file.ticker, file.month, file.detail);
        text.rows("damaged", self.damaged.iter().map(damaged));
        text.rows("note", &self.notes);
        text.row("note", "which windows were empty or refused is no longer known: they are requested again");
        text
    }
}
