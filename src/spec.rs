//! `grab spec check`: what specs request, and what is wrong with them. Sends no request.

use std::path::Path;

use grab_core::{clock::Clock, exit::ExitStatus};
use grab_model::format;
use grab_model::{
    Rate, Symbol, Window,
    plan::{self, Estimate, Spec, SpecError, SpecUniverse},
};
use grab_ops::{Error as Failure, last_day, read_spec_bytes, read_tickers};
use serde::Serialize;

use super::{
    args::{SpecArgs, SpecCommand},
    output::Output,
    report::Report,
    settings::Sources,
    start::beside,
    text::Text,
};

/// How many symbols a text names.
const NAMED: usize = 8;

/// The report.
#[derive(Serialize)]
struct SpecReport {
    specs: Vec<Checked>,
}

/// What one spec requests.
#[derive(Serialize)]
struct Checked {
    file: String,
    ok: bool,
    problems: Vec<Problem>,
    /// The number of symbols. None if it is not known before the list is fetched.
    symbols: Option<u64>,
    list: Option<Listed>,
    /// Up to the last finished session.
    windows: Vec<Window>,
    /// Windows that begin after it.
    left_out: Vec<Window>,
    /// The estimate for a new data directory.
    estimate: Option<Estimate>,
    rate: Option<String>,
    #[serde(skip)]
    named: Vec<String>,
}

/// A list of symbols, and its filters.
#[derive(Serialize)]
struct Listed {
    list: &'static str,
    types: Option<Vec<String>>,
    exchanges: Option<Vec<String>>,
    as_of: Option<String>,
}

#[derive(Serialize)]
struct Problem {
    /// The spec, or the file of symbols that it names.
    file: String,
    line: Option<usize>,
    reason: String,
}

/// Runs the command.
///
/// # Errors
/// If `GRAB_NOW` is wrong, or stdout cannot be written. What is wrong with specs is in the report.
pub fn run(args: &SpecArgs, sources: &Sources<'_>, output: Output) -> Result<ExitStatus, Failure> {
    let SpecCommand::Check(args) = &args.command;
    let clock = sources.clock()?;
    let specs: Vec<_> = args.files.iter().map(|path| Checked::of(path, clock)).collect();
    output.report(&SpecReport { specs })
}

impl Checked {
    fn of(path: &Path, clock: Clock) -> Self {
        let mut checked = Self {
            file: path.display().to_string(),
            ok: false,
            problems: Vec::new(),
            symbols: None,
            list: None,
            windows: Vec::new(),
            left_out: Vec::new(),
            estimate: None,
            rate: None,
            named: Vec::new(),
        };
        match read_spec_bytes(path) {
            Ok(bytes) => checked.read(path, &bytes, clock),
            Err(failure) => checked.refuse(None, failure.chain()),
        }
        checked.ok = checked.problems.is_empty();
        checked
    }

    fn read(&mut self, path: &Path, bytes: &[u8], clock: Clock) {
        let spec = match Spec::read(bytes) {
            Ok(spec) => spec,
            Err(error) => return self.refuse(line_of(&error), error.to_string()),
        };
        let text = String::from_utf8_lossy(bytes);
        for problem in plan::problems(&spec, text.trim_start_matches('\u{feff}')) {
            let line = problem.line.map(|line| format!("line {line}: ")).unwrap_or_default();
            self.refuse(problem.line, format!("{line}{}", problem.reason));
        }
        self.take_windows(&spec, clock);
        self.rate.clone_from(&spec.pacing.rate);
        if let Some(symbols) = self.take_symbols(path, &spec.universe) {
            self.estimate(&symbols, spec.pacing.rate.as_ref().and_then(|rate| rate.parse().ok()));
        }
    }

    fn refuse(&mut self, line: Option<usize>, reason: String) {
        self.problems.push(Problem { file: self.file.clone(), line, reason });
    }

    fn take_windows(&mut self, spec: &Spec, clock: Clock) {
        let last_day = last_day(clock);
        let asked = plan::read_windows(&spec.windows.join(",")).unwrap_or_default();
        for window in asked {
            match plan::clip(window, last_day) {
                Some(window) => self.windows.push(window),
                None => self.left_out.push(window),
            }
        }
        if self.windows.is_empty() && !self.left_out.is_empty() {
            self.refuse(None, format!("windows: all begin after the last finished session, {last_day}"));
        }
    }

    /// The symbols. None if they are not known here.
    fn take_symbols(&mut self, path: &Path, universe: &SpecUniverse) -> Option<Vec<Symbol>> {
        if let Some(list) = universe.list {
            self.list = Some(Listed {
                list: list.as_str(),
                types: universe.types.clone(),
                exchanges: universe.exchanges.clone(),
                as_of: universe.as_of.map(|day| day.to_string()),
            });
            return None;
        }
        let symbols = match &universe.tickers_file {
            Some(file) => self.read_symbols(&beside(path, file))?,
            None => plan::read_tickers_list(&universe.tickers.as_ref()?.join(",")).ok()?,
        };
        self.symbols = Some(symbols.len() as u64);
        self.named = symbols.iter().take(NAMED).map(ToString::to_string).collect();
        Some(symbols)
    }

    fn read_symbols(&mut self, file: &Path) -> Option<Vec<Symbol>> {
        match read_tickers(file) {
            Ok(symbols) => Some(symbols),
            Err(failure) => {
                let name = file.display().to_string();
                let reason = failure.chain();
                let reason = reason.strip_prefix(&format!("{name}: ")).unwrap_or(&reason).to_owned();
                let line = reason.strip_prefix("line ").and_then(|rest| rest.split([':', ',']).next());
                let line = line.and_then(|line| line.parse().ok());
                self.problems.push(Problem { file: name, line, reason });
                None
            }
        }
    }

    fn estimate(&mut self, symbols: &[Symbol], rate: Option<Rate>) {
        let tasks = plan::missing_windows(symbols, &self.windows, &std::collections::HashMap::new());
        self.estimate = Some(Estimate::of(&tasks, rate.unwrap_or(Rate::Unlimited)));
    }
}

fn line_of(error: &SpecError) -> Option<usize> {
    match error {
        SpecError::Toml { line, .. } | SpecError::NotText { line, .. } => Some(*line),
        SpecError::Value { line, .. } => *line,
    }
}

impl Report for SpecReport {
    fn exit(&self) -> ExitStatus {
        if self.specs.iter().all(|spec| spec.ok) { ExitStatus::Complete } else { ExitStatus::Config }
    }

    fn text(&self) -> Text {
        let mut text = Text::default();
        self.specs.iter().for_each(|spec| spec.show(&mut text));
        let wrong = self.specs.iter().filter(|spec| !spec.ok).count();
        if self.specs.len() > 1 || wrong > 0 {
            let all = format::plural(self.specs.len() as u64, "spec");
            match wrong {
                0 => text.line(format_args!("{all}: nothing is wrong")),
                wrong => text.line(format_args!("{all}: something is wrong with {wrong}")),
            }
        }
        text
    }
}

impl Checked {
    fn show(&self, text: &mut Text) {
        if !self.ok {
            let line = |problem: &Problem| format!("{}: {}", problem.file, problem.reason);
            self.problems.iter().for_each(|problem| text.line(line(problem)));
            return;
        }
        let joined =
            |windows: &[Window]| windows.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        text.line(format_args!("{}: good", self.file));
        text.row("symbols", self.symbols_in_words());
        text.row("windows", joined(&self.windows));
        if !self.left_out.is_empty() {
            text.row("future", format_args!("{}: left out", joined(&self.left_out)));
        }
        match &self.estimate {
            Some(estimate) => text.row("tasks", in_words(estimate, self.rate.as_ref())),
            None => {
                text.row("tasks", "one for each window of each symbol that was listed in it");
            }
        }
    }

    fn symbols_in_words(&self) -> String {
        if let Some(Listed { list, types, exchanges, as_of }) = &self.list {
            let limits = [
                types.as_ref().map(|types| format!("of type {}", types.join(", "))),
                exchanges.as_ref().map(|exchanges| format!("on {}", exchanges.join(", "))),
                Some(as_of.as_ref().map_or_else(
                    || "that were listed in a window, delisted ones included".to_owned(),
                    |day| format!("active on {day}"),
                )),
            ];
            return format!("all of {list} {}", limits.into_iter().flatten().collect::<Vec<_>>().join(" "));
        }
        let symbols = self.symbols.unwrap_or_default();
        let more = if symbols > self.named.len() as u64 { " …" } else { "" };
        format!("{}: {}{more}", format::count(symbols), self.named.join(" "))
    }
}

fn in_words(estimate: &Estimate, rate: Option<&String>) -> String {
    let Estimate { tasks, sessions, requests, .. } = estimate;
    let rate = rate.map(|rate| format!(" at {rate}")).unwrap_or_default();
    format!(
        "{}, {} sessions, {} to {} requests{rate}",
        format::count(*tasks),
        format::count(*sessions),
        format::count(requests.min),
        format::count(requests.max)
    )
}
