//! `grab export`: files for other programs, derived from the store, which stays as it is.

use std::{
    collections::BTreeSet,
    fs,
    path::{Component, Path, PathBuf},
};

use grab_core::{
    data_dir::DataDir,
    exit::ExitStatus,
    export::{self, ExportError, ExportOptions, ExportedSymbol},
    manifest::ManifestReader,
    store::{
        Encodings,
        export_writer::ExportFormat,
        reference::{self, ReferenceTable},
    },
};
use grab_model::format;
use grab_model::{Rename, Symbol, new_york, plan, universe::Universe};
use grab_ops::{Error as Failure, read_tickers};
use jiff::civil::Date;
use serde::Serialize;

use super::{
    args::{AdjustedArg, CommonArgs, ExportArgs, FormatArg, joined},
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
struct ExportReport {
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
    if args.as_of.is_some() && args.adjusted == AdjustedArg::None {
        return Err(Failure::Usage("--as-of is about splits: add --adjusted splits".to_owned()));
    }
    let out = place(&args.out, &data_dir)?;
    let reader = ManifestReader::snapshot(&data_dir)?;
    let today = new_york::date_of(clock.now_ms()).unwrap_or(Date::MAX);
    let encodings = saved_start::over(&data_dir, sources).encodings(&args.parquet)?;
    let as_of = args.as_of.unwrap_or(today);
    let options = options(args, &reader, data_dir, out, as_of, encodings)?;
    let mut report = ExportReport::begun(&options);
    report.notes.extend(old_splits(&options));
    export::run(&options, &reader, |exported| report.add(exported))?;
    if !common.quiet {
        report.say_notes();
    }
    output.report(&report)
}

/// The options by the command line and the directory.
fn options(
    args: &ExportArgs,
    reader: &ManifestReader,
    data_dir: DataDir,
    out: PathBuf,
    as_of: Date,
    encodings: Encodings,
) -> Result<ExportOptions, Failure> {
    let is_adjusted = reader.kind()?.is_some_and(|kind| kind.adjusted);
    refuse_adjusted(args, is_adjusted)?;
    let renames = reference::read_renames(&data_dir).map_err(ExportError::from);
    let renames = if args.follow_renames { renames? } else { known_or_said(renames) };
    if args.follow_renames && renames.is_none() {
        return Err(missing("--follow-renames", "renames", "grab universe sync --renames"));
    }
    let splits = match args.adjusted {
        AdjustedArg::None => None,
        AdjustedArg::Splits => {
            let splits = reference::read_splits(&data_dir).map_err(ExportError::from)?;
            Some(splits.ok_or_else(|| missing("--adjusted splits", "splits", "grab universe sync"))?)
        }
    };
    let universe = if splits.is_some() { listings(&data_dir, renames.as_ref())? } else { None };
    let windows = joined(&args.windows).as_deref().map(plan::read_windows).transpose();
    let windows = windows.map_err(|error| Failure::Usage(format!("--windows: {error}")))?;
    let source = |symbol: &Symbol| export::sources(symbol, renames.as_ref(), args.follow_renames);
    let symbols = symbols(args, reader, source)?;
    Ok(ExportOptions {
        data_dir,
        out,
        symbols,
        windows: windows.map(grab_model::universe::symbol_history::joined),
        is_adjusted,
        splits,
        as_of,
        renames,
        universe,
        follow_renames: args.follow_renames,
        format: match args.format {
            FormatArg::Parquet => ExportFormat::Parquet(encodings),
            FormatArg::Csv => ExportFormat::Csv,
        },
    })
}

/// The companies by lists and events, which decide whose a split is. If a list is damaged, says so and uses events alone.
fn listings(
    data_dir: &DataDir,
    renames: Option<&ReferenceTable<Rename>>,
) -> Result<Option<Universe>, Failure> {
    let listings = reference::read_listings(data_dir).map_err(ExportError::from);
    match listings {
        Err(error) if error.is_damage() => {
            say(&format!("note: {error}: whose a split is, it does not say"));
            let renames: Vec<_> = renames.into_iter().flat_map(ReferenceTable::current).collect();
            Ok(Some(Universe::with_renames(Vec::new(), &renames)))
        }
        listings => Ok(listings?),
    }
}

/// The renames were not requested: if they cannot be read, a note is enough.
fn known_or_said<T>(table: Result<Option<ReferenceTable<T>>, ExportError>) -> Option<ReferenceTable<T>> {
    table.unwrap_or_else(|error| {
        say(&format!("note: {error}"));
        None
    })
}

fn missing(flag: &str, table: &str, command: &str) -> Failure {
    Failure::Usage(format!("{flag}: no {table} are known here yet: `{command}` fetches them"))
}

/// Bars that the server has adjusted cannot be adjusted again, nor joined.
fn refuse_adjusted(args: &ExportArgs, is_adjusted: bool) -> Result<(), Failure> {
    let holds = "this data directory holds bars that the server has adjusted already";
    if is_adjusted && args.adjusted == AdjustedArg::Splits {
        return Err(Failure::Usage(format!("--adjusted splits: {holds}, each as of its own fetch")));
    }
    if is_adjusted && args.follow_renames {
        return Err(Failure::Usage(format!("--follow-renames: {holds}, each symbol by its own splits")));
    }
    Ok(())
}

/// The symbols, in order: all with bars, or the named ones, each of which must have been requested once.
fn symbols(
    args: &ExportArgs,
    reader: &ManifestReader,
    sources: impl Fn(&Symbol) -> Vec<Symbol>,
) -> Result<Vec<Symbol>, Failure> {
    let known: BTreeSet<_> = reader.symbols()?.into_iter().collect();
    let Some(named) = named(args)? else {
        let mut held = Vec::new();
        for symbol in known {
            if !reader.partitions(&symbol)?.is_empty() {
                held.push(symbol);
            }
        }
        return Ok(held);
    };
    let is_known = |symbol: &Symbol| sources(symbol).iter().any(|source| known.contains(source));
    let unknown: Vec<_> = named.iter().filter(|symbol| !is_known(symbol)).map(Symbol::as_str).collect();
    if unknown.is_empty() {
        return Ok(named.into_iter().collect());
    }
    let more = unknown.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let shown: Vec<_> = unknown.into_iter().take(SHOWN).collect();
    Err(Failure::Usage(format!(
        "not held, and never asked for: {}{more}; `grab start` with --tickers and --windows fetches them",
        shown.join(", ")
    )))
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

/// The resolved path of the target folder, which need not exist yet; refused within the data directory.
fn place(out: &Path, data_dir: &DataDir) -> Result<PathBuf, Failure> {
    let refused = |what: &str| Failure::Usage(format!("--out: {} {what}", out.display()));
    let begun = if out.is_absolute() { out.to_owned() } else { Path::new(".").join(out) };
    let there = begun.ancestors().find(|folder| fs::symlink_metadata(folder).is_ok());
    let there = there.ok_or_else(|| refused("is nowhere"))?;
    let rest = begun.strip_prefix(there).unwrap_or(Path::new(""));
    if rest.components().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err(refused("leads through a folder that is not there"));
    }
    let real = fs::canonicalize(there).map_err(|_| refused("is a link that leads nowhere"))?;
    if !real.is_dir() {
        return Err(refused("is, or is below, something that is no folder"));
    }
    let real = if rest.as_os_str().is_empty() { real } else { real.join(rest) };
    let data_dir = fs::canonicalize(data_dir).unwrap_or_else(|_| data_dir.path().to_owned());
    if real.starts_with(&data_dir) {
        return Err(refused("is within the data directory: choose another place"));
    }
    Ok(real)
}

/// A note if the splits were fetched before the last day whose splits are to be applied.
fn old_splits(options: &ExportOptions) -> Option<String> {
    let fetched = new_york::date_of(options.splits.as_ref()?.fetched_ms)?;
    (fetched < options.as_of).then(|| {
        format!(
            "the splits are those of {fetched}: `grab universe sync` asks for those up to {}",
            options.as_of
        )
    })
}

impl ExportReport {
    fn begun(options: &ExportOptions) -> Self {
        let adjusted = match (options.is_adjusted, &options.splits) {
            (true, _) => "server",
            (false, Some(_)) => "splits",
            (false, None) => "none",
        };
        Self {
            out: options.out.display().to_string(),
            format: options.format.extension(),
            adjusted,
            as_of: options.splits.as_ref().map(|_| options.as_of.to_string()),
            splits_fetched: options.splits.as_ref().map(|table| format::instant(table.fetched_ms)),
            bars: 0,
            bytes: 0,
            files: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn add(&mut self, exported: ExportedSymbol) {
        self.bars += exported.bars;
        self.bytes += exported.bytes;
        self.files.push(exported);
    }

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

impl Report for ExportReport {
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
