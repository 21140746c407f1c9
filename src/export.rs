//! `grab export`: files for other programs, derived from the store, which stays as it is.

use std::collections::BTreeSet;

use grab_core::{
    exit::ExitStatus,
    export::{self, ExportedSymbol},
    store::export_writer::ExportFormat,
};
use grab_model::{Symbol, format, plan};
use grab_ops::{Error as Failure, Export, ExportAdjustment, ExportReport, read_tickers};
use serde::Serialize;

use super::{
    args::{AdjustedArg, CommonArgs, ExportArgs, FormatArg, ProgressMode, joined},
    notices::Terminal,
    output::{Output, announce_clock, say},
    report::Report,
    saved_start,
    settings::Sources,
    text::Text,
};

/// How many notes and symbols the text report shows.
const SHOWN: usize = 20;

/// The result; its JSON is documented.
#[derive(Serialize)]
struct ExportJson {
    out: String,
    format: &'static str,
    adjusted: &'static str,
    as_of: Option<String>,
    /// When the splits were fetched.
    splits_fetched: Option<String>,
    bars: u64,
    bytes: u64,
    files: Vec<ExportedSymbol>,
    notes: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// If requested data do not exist, a file is in the way, or a file is not what was stored.
pub fn run(
    args: &ExportArgs,
    common: &CommonArgs,
    sources: &Sources<'_>,
    output: Output,
) -> Result<ExitStatus, Failure> {
    let (data_dir, clock) = (sources.data_dir(common)?, sources.clock()?);
    announce_clock(clock);
    let encodings = saved_start::over(&data_dir, sources).encodings(&args.parquet)?;
    let windows = joined(&args.windows).as_deref().map(plan::read_windows).transpose();
    let export = Export {
        data_dir,
        out: args.out.clone(),
        symbols: named(args)?,
        windows: windows.map_err(|error| Failure::Usage(format!("--windows: {error}")))?,
        adjusts_for_splits: args.adjusted == AdjustedArg::Splits,
        as_of: args.as_of,
        follow_renames: args.follow_renames,
        format: match args.format {
            FormatArg::Parquet => ExportFormat::Parquet(encodings),
            FormatArg::Csv => ExportFormat::Csv,
        },
        clock,
    };
    let report = export.run(&Terminal::observer(ProgressMode::Auto, common.quiet, output))?;
    let report = ExportJson::from(report);
    if !common.quiet {
        report.say_notes();
    }
    output.report(&report)
}

fn named(args: &ExportArgs) -> Result<Option<BTreeSet<Symbol>>, Failure> {
    if let Some(list) = joined(&args.tickers) {
        let list = plan::read_tickers_list(&list);
        let list = list.map_err(|error| Failure::Usage(format!("--tickers: {error}")))?;
        return Ok(Some(list.into_iter().collect()));
    }
    let file = args.tickers_file.as_deref().map(read_tickers).transpose()?;
    Ok(file.map(|symbols| symbols.into_iter().collect()))
}

impl From<ExportReport> for ExportJson {
    fn from(report: ExportReport) -> Self {
        let fetched = report.old_splits();
        let ExportReport { out, format, adjustment, bars, bytes, files } = report;
        let (adjusted, splits) = match adjustment {
            ExportAdjustment::None => ("none", None),
            ExportAdjustment::Server => ("server", None),
            ExportAdjustment::Splits { as_of, fetched_ms } => ("splits", Some((as_of, fetched_ms))),
        };
        let as_of = splits.map(|(as_of, _)| as_of.to_string());
        let old = fetched.zip(as_of.as_ref()).map(|(fetched, as_of)| {
            format!("the splits are those of {fetched}: `grab universe sync` fetches those up to {as_of}")
        });
        Self {
            out: out.display().to_string(),
            format: format.extension(),
            adjusted,
            as_of,
            splits_fetched: splits.map(|(_, fetched_ms)| format::instant(fetched_ms)),
            bars,
            bytes,
            files,
            notes: Vec::from_iter(old),
        }
    }
}

impl ExportJson {
    /// The splits that may be a company's and are not applied, each with its day.
    fn left_out(&self) -> Option<String> {
        let left_out: Vec<_> = self.files.iter().flat_map(|file| &file.splits_left_out).collect();
        let named = left_out.iter().take(SHOWN).map(|split| {
            format!("{} {} ({}:{})", split.ticker, split.execution_date, split.split_from, split.split_to)
        });
        let named: Vec<_> = named.collect();
        let more = left_out.len() - named.len();
        let more = if more > 0 {
            format!(", and {more} more, which are in {}", export::FILE_NAME)
        } else {
            String::new()
        };
        let are = if left_out.len() == 1 { "1 split is" } else { &format!("{} splits are", left_out.len()) };
        (!left_out.is_empty()).then(|| format!("{are} not applied: {}{more}", named.join(", ")))
    }

    fn say_notes(&self) {
        let of_file = |file: &ExportedSymbol| {
            let ticker = file.ticker.clone();
            file.notes.iter().map(move |note| format!("{ticker}: {note}")).collect::<Vec<_>>()
        };
        let notes: Vec<_> = self.notes.iter().cloned().chain(self.files.iter().flat_map(of_file)).collect();
        notes.iter().take(SHOWN).for_each(|note| say(&format!("note: {note}")));
        if notes.len() > SHOWN {
            say(&format!("note: and {} more, which are in {}", notes.len() - SHOWN, export::FILE_NAME));
        }
    }
}

impl Report for ExportJson {
    fn text(&self) -> Text {
        let mut text = Text::new(format_args!(
            "{} in {}, {}, {}",
            format::plural(self.files.len() as u64, "file"),
            self.out,
            format::plural(self.bars, "bar"),
            format::bytes(self.bytes)
        ));
        match (self.adjusted, &self.as_of) {
            ("splits", Some(as_of)) => {
                let splits: usize = self.files.iter().map(|file| file.splits.len()).sum();
                let splits = format::plural(splits as u64, "split");
                text.item(format_args!("adjusted for {splits} up to {as_of}"));
            }
            ("server", _) => text.item("split-adjusted, as the server sent them"),
            _ => text.item("as traded"),
        }
        self.left_out().iter().for_each(|left_out| text.item(left_out));
        for file in self.files.iter().filter(|file| file.parts.len() > 1) {
            let part = |part: &export::SymbolPart| {
                let days = part.from.as_deref().zip(part.to.as_deref());
                let days = days.map_or("no bars".to_owned(), |(from, to)| format!("{from}..{to}"));
                format!("{} {days}", part.ticker)
            };
            let parts: Vec<_> = file.parts.iter().map(part).collect();
            text.item(format_args!("{} is made of {}", file.ticker, parts.join(", ")));
        }
        text
    }
}
