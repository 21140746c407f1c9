//! What a spec requests, and what is wrong with it: `grab spec check`. Sends no request.

use std::{collections::HashMap, path::Path};

use grab_core::clock::Clock;
use grab_model::{
    Rate, Symbol, Window,
    plan::{self, Estimate, Spec, SpecError, SpecUniverse},
};
use serde::Serialize;

use crate::{
    input_files::{read_spec_bytes, read_tickers},
    last_day,
    spec_file::beside,
};

/// How many symbols are named.
const NAMED: usize = 8;

/// What one spec requests; its JSON is public.
#[derive(Debug, Default, Serialize)]
pub struct SpecCheck {
    /// The path.
    pub file: String,
    /// Whether nothing is wrong.
    pub ok: bool,
    /// What is wrong.
    pub problems: Vec<SpecFault>,
    /// The number of symbols. None if it is not known before the list is fetched.
    pub symbols: Option<u64>,
    /// The list of symbols, if one is requested.
    pub list: Option<SpecList>,
    /// The windows up to the last finished session.
    pub windows: Vec<Window>,
    /// Windows that begin after it.
    pub left_out: Vec<Window>,
    /// The estimate for a new data directory.
    pub estimate: Option<Estimate>,
    /// The rate.
    pub rate: Option<String>,
    /// The first few symbols.
    #[serde(skip)]
    pub named: Vec<String>,
}

/// A list of symbols, and its filters; its JSON is public.
#[derive(Debug, Serialize)]
pub struct SpecList {
    /// The name of the list.
    pub list: &'static str,
    /// The types.
    pub types: Option<Vec<String>>,
    /// The exchanges.
    pub exchanges: Option<Vec<String>>,
    /// The day on which the symbols were listed.
    pub as_of: Option<String>,
}

/// Something that is wrong with a spec; its JSON is public.
#[derive(Debug, Serialize)]
pub struct SpecFault {
    /// The spec, or the file of symbols that it names.
    pub file: String,
    /// Where, counted from 1, if that is known.
    pub line: Option<usize>,
    /// What is wrong.
    pub reason: String,
}

impl SpecCheck {
    /// Checks a spec. What is wrong with it is in the result.
    #[must_use]
    pub fn of(path: &Path, clock: Clock) -> Self {
        let mut check = Self { file: path.display().to_string(), ..Self::default() };
        match read_spec_bytes(path) {
            Ok(bytes) => check.read(path, &bytes, clock),
            Err(failure) => check.add_fault(None, failure.chain()),
        }
        check.ok = check.problems.is_empty();
        check
    }

    fn read(&mut self, path: &Path, bytes: &[u8], clock: Clock) {
        let spec = match Spec::read(bytes) {
            Ok(spec) => spec,
            Err(error) => return self.add_fault(line_of(&error), error.to_string()),
        };
        let text = String::from_utf8_lossy(bytes);
        for problem in plan::problems(&spec, text.trim_start_matches('\u{feff}')) {
            let line = problem.line.map(|line| format!("line {line}: ")).unwrap_or_default();
            self.add_fault(problem.line, format!("{line}{}", problem.reason));
        }
        self.add_windows(&spec, clock);
        self.rate.clone_from(&spec.pacing.rate);
        if let Some(symbols) = self.add_symbols(path, &spec.universe) {
            self.estimate(&symbols, spec.pacing.rate.as_ref().and_then(|rate| rate.parse().ok()));
        }
    }

    fn add_fault(&mut self, line: Option<usize>, reason: String) {
        self.problems.push(SpecFault { file: self.file.clone(), line, reason });
    }

    fn add_windows(&mut self, spec: &Spec, clock: Clock) {
        let last_day = last_day(clock);
        // Windows that cannot be read are a fault already.
        for window in plan::read_windows(&spec.windows.join(",")).unwrap_or_default() {
            match plan::clip(window, last_day) {
                Some(window) => self.windows.push(window),
                None => self.left_out.push(window),
            }
        }
        if self.windows.is_empty() && !self.left_out.is_empty() {
            self.add_fault(None, format!("windows: all begin after the last finished session, {last_day}"));
        }
    }

    /// The symbols. None if they are not known here.
    fn add_symbols(&mut self, path: &Path, universe: &SpecUniverse) -> Option<Vec<Symbol>> {
        if let Some(list) = universe.list {
            self.list = Some(SpecList {
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
                self.problems.push(SpecFault { file: name, line, reason });
                None
            }
        }
    }

    fn estimate(&mut self, symbols: &[Symbol], rate: Option<Rate>) {
        let tasks = plan::missing_windows(symbols, &self.windows, &HashMap::new());
        self.estimate = Some(Estimate::of(&tasks, rate.unwrap_or(Rate::Unlimited)));
    }
}

fn line_of(error: &SpecError) -> Option<usize> {
    match error {
        SpecError::Toml { line, .. } | SpecError::NotText { line, .. } => Some(*line),
        SpecError::Value { line, .. } => *line,
    }
}
