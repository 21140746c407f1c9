//! `grab repair --rebuild-manifest`: rebuilds a lost or damaged manifest from the bars and from the plan beside it.

use grab_core::exit::ExitStatus;
use grab_ops::{
    Error as Failure, Rebuild, RunReport,
    json::{DamagedPartitionJson, RebuildJson},
};
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

/// The result of a rebuild.
#[derive(Serialize)]
struct RebuildOutput {
    #[serde(flatten)]
    json: RebuildJson,
    #[serde(skip)]
    run: RunReport,
}

/// Runs the command.
///
/// # Errors
/// If the manifest is intact, there are neither bars nor a plan, or the directory cannot be written.
pub fn run(common: &CommonArgs, sources: &Sources<'_>, output: Output) -> Result<ExitStatus, Failure> {
    let (data_dir, clock) = (sources.data_dir(common)?, sources.clock()?);
    announce_clock(clock);
    let observer = Terminal::observer(ProgressMode::None, common.quiet, output);
    let report = Rebuild { data_dir, clock }.run(&*observer)?;
    let json = RebuildJson::new(&report, run_report::json(&report.run));
    output.report(&RebuildOutput { json, run: report.run })
}

impl Report for RebuildOutput {
    fn exit(&self) -> ExitStatus {
        self.run.exit()
    }

    fn text(&self) -> Text {
        let mut text = run_report::text(&self.run);
        text.rows("moved", self.json.set_aside.iter().map(|path| format!("the old manifest is {path}")));
        let damaged =
            |file: &DamagedPartitionJson| format!("{} {}: {}", file.ticker, file.month, file.detail);
        text.rows("damaged", self.json.damaged.iter().map(damaged));
        text.rows("note", &self.json.notes);
        text.row("note", "which windows were empty or refused is no longer known: they are requested again");
        text
    }
}
