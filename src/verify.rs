//! `grab verify`: proves what is there, and what is not.

use super::{
    args::{CommonArgs, ProgressMode, VerifyArgs, WitnessArg},
    called,
    notices::Terminal,
    output::{Output, announce_clock},
    overview,
    report::Report,
    saved_start,
    settings::{FetchSettings, Sources},
    shell::quoted,
    text::Text,
    thresholds, witness,
};
use grab_core::{
    data_dir::DataDir,
    exit::ExitStatus,
    verify::{Coverage, DeepSelection, Finding, SymbolCounts},
};
use grab_model::{excerpt, format};
use grab_ops::{
    Error as Failure, ExpectedRequest, SpecFile, Verify, VerifyFiles, VerifyWitness, json::VerifyJson,
};

/// How many findings the text report lists; the JSON has all.
const LISTED: usize = 40;

/// How much of a finding is shown, in characters.
const SHOWN: usize = 400;

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
    let thresholds = thresholds::of_verify(args, spec.as_ref())?;
    let (report, csv, missing) = (args.report.as_deref(), args.csv.as_deref(), args.missing.as_deref());
    let (witness, progress) = witness(args, sources, &data_dir)?;
    let files = VerifyFiles::resolve(report, csv, missing, &data_dir)?;
    let observer = Terminal::observer(progress, common.quiet, output);
    let expected = spec.map(|spec| {
        let command = format!("grab start --spec {}", quoted(spec.path().as_os_str()));
        Ok::<_, Failure>(ExpectedRequest { request: spec.request(clock, &*observer)?, command })
    });
    let expected = expected.transpose()?;
    let mut report = Verify { data_dir, deep, witness, expected, thresholds, clock }.run(&observer)?;
    // Commands in details are completed in files too.
    for finding in &mut report.verification.findings {
        finding.detail = called::whole(&finding.detail).into_owned();
    }
    files.write(&report.verification, clock, &*observer)?;
    let missed =
        report.missed.iter().map(thresholds::missed).chain(witness::missed(&report.witness)).collect();
    let tables = overview::tables(&report.verification);
    output.report(&VerifyJson::new(report, missed, tables))
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
    DeepSelection::parse(sample).ok_or_else(wrong)
}

/// Who says whether a symbol traded, and how the requests for that are shown.
fn witness(
    args: &VerifyArgs,
    sources: &Sources<'_>,
    data_dir: &DataDir,
) -> Result<(VerifyWitness, ProgressMode), Failure> {
    match args.witness {
        Some(WitnessArg::GroupedDaily) => {
            let settings = FetchSettings::resolve(&args.fetch, &saved_start::over(data_dir, sources))?;
            Ok((VerifyWitness::Fetched(Box::new(settings.options)), settings.progress))
        }
        Some(WitnessArg::None) => Ok((VerifyWitness::Ignored, ProgressMode::Auto)),
        None => Ok((VerifyWitness::Stored, ProgressMode::Auto)),
    }
}

impl Report for VerifyJson {
    fn exit(&self) -> ExitStatus {
        self.exit
    }

    fn text(&self) -> Text {
        let Coverage { unexplained_sessions, .. } = self.coverage.sessions;
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
            format_args!("{}: {:.2} %", sessions(self.coverage.sessions), 100.0 * self.coverage.ratio),
        );
        text.row("witness", witness::text(&self.witness));
        if self.beside_a_writer {
            text.row("as of", "the start of this command: another grab is still writing here");
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

/// `81 of 164 sessions (82 expected, 82 unexplained)`.
fn sessions(counts: Coverage) -> String {
    let Coverage { expected_sessions: expected, present_sessions, unexplained_sessions: unexplained } =
        counts;
    let present = format::count(present_sessions);
    match unexplained {
        0 => format!("{present} of {}", format::plural(expected, "expected session")),
        _ => format!(
            "{present} of {} ({} expected, {} unexplained)",
            format::plural(expected + unexplained, "session"),
            format::count(expected),
            format::count(unexplained)
        ),
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
    let detail = excerpt(&format!("{path}{}", finding.detail), SHOWN);
    format!("{:<20} {symbol:<6} {when:<10} {detail}", finding.kind.as_str())
}
