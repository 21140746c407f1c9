//! `grab verify`: proves what is there, and what is not.

use std::{
    io::IsTerminal,
    sync::{Arc, atomic::Ordering},
    thread,
    time::Duration,
};

use grab_core::{
    data_dir::DataDir,
    disk::need_open_files,
    exit::ExitStatus,
    manifest::missing,
    verify::{
        Coverage, DeepSelection, Finding, ListingCuts, OtherWriters, Severity, StoredWitness, SymbolCounts,
        Verification, VerifyProgress, verify_with_kept,
    },
};
use grab_model::excerpt;
use grab_model::format;
use grab_ops::{Connection, Error as Failure, last_day, manifest_of};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::civil::Date;
use serde::Serialize;

use super::{
    args::{CommonArgs, VerifyArgs, WitnessArg},
    called,
    files::Files,
    notices::Terminal,
    output::{Output, announce_clock},
    overview,
    remembered::{Remembered, SpecFile},
    report::Report,
    settings::{FetchSettings, Sources},
    shell::quoted,
    start::request_of_spec,
    text::Text,
    thresholds::Thresholds,
    witness::{self, WitnessReport},
};

/// How many findings the text report lists; the JSON has all.
const LISTED: usize = 40;

/// How much of a finding is shown, in characters.
const SHOWN: usize = 400;

/// How often the bar is redrawn.
const REDRAW: Duration = Duration::from_millis(200);

/// The report; its JSON is in the contract.
#[derive(Serialize)]
struct VerifyReport {
    coverage: CoverageReport,
    symbols: SymbolCounts,
    damage: usize,
    gaps: usize,
    notices: usize,
    /// Whether another process was writing at the start: all results are of that instant.
    beside_a_writer: bool,
    /// Partitions that were compared with the disk, and files that were read as a whole.
    partitions: u64,
    files_read: u64,
    bytes_read: u64,
    witness: WitnessReport,
    findings: Vec<Finding>,
    /// The missed thresholds, in words.
    missed: Vec<String>,
    /// For people.
    #[serde(skip)]
    tables: Vec<String>,
}

#[derive(Serialize)]
struct CoverageReport {
    #[serde(flatten)]
    sessions: Coverage,
    ratio: f64,
}

/// Runs the command.
///
/// # Errors
/// If nothing was ever started here, a folder cannot be listed, or a witness is to be fetched and another process holds
/// the lock of the directory.
pub fn run(
    args: &VerifyArgs,
    common: &CommonArgs,
    sources: &Sources<'_>,
    output: Output,
) -> Result<ExitStatus, Failure> {
    let deep = deep(args)?;
    let (data_dir, clock) = (sources.data_dir(common)?, sources.clock()?);
    announce_clock(clock);
    let spec = args.spec.as_deref().map(SpecFile::read).transpose()?;
    let spec = spec.as_ref().map(SpecFile::named);
    let thresholds = Thresholds::resolve(args, spec)?;
    let wanted = spec
        .map(|(path, spec)| request_of_spec(path, spec, clock)?.expanded(&data_dir, clock))
        .transpose()?;
    if !data_dir.manifest().exists() {
        manifest_of(&data_dir)?;
        return Err(missing(&data_dir).into());
    }
    let files = Files::of(args, &data_dir)?;
    let (mut verified, witness) = witnessed(args, deep, common.quiet, sources, &data_dir, output)?;
    if let Some(wanted) = wanted {
        let spec = args.spec.as_ref().map(|path| format!(" --spec {}", quoted(path.as_os_str())));
        let command = format!("grab start{}", spec.unwrap_or_default());
        verified.want(&wanted.missing(&verified.asked), &command);
    }
    if let Some(least) = thresholds.min_symbols_per_session() {
        verified.demand_symbols(least);
    }
    // Commands in details are completed in files too.
    for finding in &mut verified.findings {
        finding.detail = called::whole(&finding.detail).into_owned();
    }
    files.write(&verified, sources.clock()?, common.quiet)?;
    let tables = overview::tables(&verified.counts, &verified);
    let report = VerifyReport { tables, ..VerifyReport::new(verified, witness, &thresholds) };
    output.report(&report)
}

/// Which files are read as a whole.
fn deep(args: &VerifyArgs) -> Result<DeepSelection, Failure> {
    let Some(sample) = &args.sample else {
        // The witness compares shares, which are in the files.
        let is_deep = args.deep || args.witness == Some(WitnessArg::GroupedDaily);
        return Ok(if is_deep { DeepSelection::All } else { DeepSelection::None });
    };
    let wrong = || {
        Failure::Usage(format!("--sample: {sample:?} is neither a share such as 5% nor a part such as 1/10"))
    };
    if let Some(percent) = sample.strip_suffix('%') {
        let percent: f64 = percent.trim().parse().map_err(|_| wrong())?;
        return if (0.0..=100.0).contains(&percent) {
            Ok(DeepSelection::Share(percent / 100.0))
        } else {
            Err(wrong())
        };
    }
    let parts = sample.split_once('/').and_then(|(n, of)| Some((n.parse().ok()?, of.parse().ok()?)));
    match parts {
        Some((n, of)) if (1..=of).contains(&n) => Ok(DeepSelection::Part { n, of }),
        Some(_) | None => Err(wrong()),
    }
}

/// Verifies with the requested witness.
fn witnessed(
    args: &VerifyArgs,
    deep: DeepSelection,
    quiet: bool,
    sources: &Sources<'_>,
    data_dir: &DataDir,
    output: Output,
) -> Result<(Verification, WitnessReport), Failure> {
    let cut_away = grab_ops::listing_cuts(data_dir)?;
    let kept = match args.witness {
        Some(WitnessArg::GroupedDaily) => {
            let sources = &Remembered::of(data_dir).over(sources);
            let (settings, clock) = (FetchSettings::resolve(&args.fetch, sources)?, sources.clock()?);
            need_open_files(settings.options.open_files(settings.options.sandbox))?;
            // What is fetched is stored, so no other process may write meanwhile.
            let _lock = witness::hold(data_dir)?;
            let observer = Terminal::observer(settings.progress, quiet, output);
            let connection = Connection { options: settings.options, clock, observer };
            let place = data_dir.to_owned();
            let ordered = cut_away.clone();
            let last = last_day(clock);
            let verify = move || {
                watched(&place, &deep, StoredWitness::Used, OtherWriters::Excluded, &ordered, last, quiet)
            };
            return witness::fetch_then(&connection, data_dir, &cut_away, verify);
        }
        Some(WitnessArg::None) => StoredWitness::Ignored,
        None => StoredWitness::Used,
    };
    let last = last_day(sources.clock()?);
    let verified = watched(data_dir, &deep, kept, OtherWriters::Allowed, &cut_away, last, quiet)?;
    let report = WitnessReport::kept(kept == StoredWitness::Used, &verified);
    Ok((verified, report))
}

/// Verifies up to a day, the last finished one, with a bar on a terminal.
///
/// # Errors
/// If the manifest cannot be read, or a folder cannot be listed.
pub fn watched(
    data_dir: &DataDir,
    deep: &DeepSelection,
    kept: StoredWitness,
    others: OtherWriters,
    cut_away: &ListingCuts,
    last: Date,
    quiet: bool,
) -> Result<Verification, Failure> {
    let progress = Arc::new(VerifyProgress::default());
    if quiet || !std::io::stderr().is_terminal() {
        return Ok(verify_with_kept(data_dir, deep, kept, others, cut_away, last, &progress)?);
    }
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    let bar = match ProgressStyle::with_template("{bar:30} {percent:>3}%  {pos} of {len} symbols") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    };
    thread::scope(|scope| {
        let shown = bar.clone();
        let watch = Arc::clone(&progress);
        scope.spawn(move || {
            while !shown.is_finished() {
                shown.set_length(watch.symbols.load(Ordering::Relaxed));
                shown.set_position(watch.done.load(Ordering::Relaxed));
                thread::sleep(REDRAW);
            }
        });
        let verified = verify_with_kept(data_dir, deep, kept, others, cut_away, last, &progress);
        bar.finish_and_clear();
        Ok(verified?)
    })
}

impl VerifyReport {
    fn new(verified: Verification, witness: WitnessReport, thresholds: &Thresholds) -> Self {
        let mut missed = thresholds.missed(&verified);
        missed.extend(witness.missed().map(str::to_owned));
        let symbols = verified.symbols();
        let Verification { findings, coverage, partitions, files, bytes, is_beside_a_writer, .. } = verified;
        let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
        Self {
            coverage: CoverageReport { sessions: coverage, ratio: coverage.ratio() },
            symbols,
            damage: count(Severity::Damage),
            gaps: count(Severity::Gap),
            notices: count(Severity::Notice),
            beside_a_writer: is_beside_a_writer,
            partitions,
            files_read: files,
            bytes_read: bytes,
            witness,
            findings,
            missed,
            tables: Vec::new(),
        }
    }
}

impl Report for VerifyReport {
    fn exit(&self) -> ExitStatus {
        if self.damage > 0 {
            ExitStatus::Damage
        } else if let Some(exit) = self.witness.exit() {
            exit
        } else if !self.missed.is_empty() {
            ExitStatus::Gaps
        } else {
            ExitStatus::Complete
        }
    }

    fn text(&self) -> Text {
        let Coverage { expected_sessions, present_sessions, unexplained_sessions } = self.coverage.sessions;
        let unexplained = match unexplained_sessions {
            0 => String::new(),
            sessions => format!(" and {} unexplained", format::count(sessions)),
        };
        let read = match self.files_read {
            0 => "sizes only: --deep reads the files".to_owned(),
            files => format!("{} read, {}", format::plural(files, "file"), format::bytes(self.bytes_read)),
        };
        let mut text = Text::new(format_args!(
            "{} of damage, {}, {}",
            format::plural(self.damage as u64, "finding"),
            format::plural(self.gaps as u64, "gap"),
            format::plural(self.notices as u64, "notice")
        ));
        text.row("checked", format_args!("{}, {read}", format::plural(self.partitions, "partition")));
        text.row(
            "coverage",
            format_args!(
                "{} of {}{unexplained} ({:.2} %)",
                format::count(present_sessions),
                format::plural(expected_sessions, "expected session"),
                100.0 * self.coverage.ratio
            ),
        );
        text.row("witness", self.witness.text());
        if self.beside_a_writer {
            text.row("as of", "the beginning: another grab is writing here, and goes on");
        }
        let SymbolCounts { asked_for, without_bars } = self.symbols;
        if without_bars > 0 {
            let (none, all) = (format::count(without_bars), format::plural(asked_for, "requested symbol"));
            text.row("symbols", format_args!("{none} of {all} without any bar"));
        }
        if unexplained_sessions > 0 {
            let sessions = format::plural(unexplained_sessions, "session");
            text.row(
                "unexplained",
                format_args!(
                    "{sessions}: the server alone says that they are empty, and no witness confirms it"
                ),
            );
        }
        text.rows("missed", &self.missed);
        self.tables.iter().for_each(|line| text.line(line));
        if !self.findings.is_empty() {
            text.line("findings");
        }
        self.findings.iter().take(LISTED).for_each(|finding| text.item(line(finding)));
        let more = self.findings.len().saturating_sub(LISTED);
        if more > 0 {
            text.item(format_args!("and {} more: --json lists all", format::count(more as u64)));
        }
        text
    }
}

fn line(finding: &Finding) -> String {
    let symbol = finding.ticker.as_ref().map(ToString::to_string).unwrap_or_default();
    let month = finding.month.map(|month| month.to_string());
    let when = month.or_else(|| finding.date.map(|date| date.to_string())).unwrap_or_default();
    let path = match (&finding.path, &finding.ticker) {
        (Some(path), _) if finding.month.is_none() => format!("{}: ", path.display()),
        _ => String::new(),
    };
    // A file may have any name: none of it may reach the terminal as a command.
    let said = excerpt(&format!("{path}{}", finding.detail), SHOWN);
    format!("{:<20} {symbol:<6} {when:<10} {said}", finding.kind.as_str())
}
