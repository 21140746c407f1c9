//! `grab spec check`: what specs request, and what is wrong with them. Sends no request.

use grab_core::exit::ExitStatus;
use grab_model::{Window, format, plan::Estimate};
use grab_ops::{Error as Failure, SpecCheck, SpecFault, SpecList};
use serde::Serialize;

use super::{
    args::{SpecArgs, SpecCommand},
    output::Output,
    report::Report,
    settings::Sources,
    text::Text,
};

/// The report.
#[derive(Serialize)]
struct SpecReport {
    specs: Vec<SpecCheck>,
}

/// Runs the command.
///
/// # Errors
/// If `GRAB_NOW` is wrong, or stdout cannot be written. What is wrong with specs is in the report.
pub fn run(args: &SpecArgs, sources: &Sources<'_>, output: Output) -> Result<ExitStatus, Failure> {
    let SpecCommand::Check(args) = &args.command;
    let clock = sources.clock()?;
    let specs: Vec<_> = args.files.iter().map(|path| SpecCheck::of(path, clock)).collect();
    output.report(&SpecReport { specs })
}

impl Report for SpecReport {
    fn exit(&self) -> ExitStatus {
        if self.specs.iter().all(|spec| spec.ok) { ExitStatus::Complete } else { ExitStatus::Config }
    }

    fn text(&self) -> Text {
        let mut text = Text::default();
        self.specs.iter().for_each(|spec| show(spec, &mut text));
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

fn show(check: &SpecCheck, text: &mut Text) {
    if !check.ok {
        let line = |problem: &SpecFault| format!("{}: {}", problem.file, problem.reason);
        check.problems.iter().for_each(|problem| text.line(line(problem)));
        return;
    }
    let joined = |windows: &[Window]| windows.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    text.line(format_args!("{}: good", check.file));
    text.row("symbols", symbols_in_words(check));
    text.row("windows", joined(&check.windows));
    if !check.left_out.is_empty() {
        text.row("future", format_args!("{}: left out", joined(&check.left_out)));
    }
    match &check.estimate {
        Some(estimate) => text.row("tasks", in_words(estimate, check.rate.as_ref())),
        None => {
            text.row("tasks", "one for each window of each symbol that was listed in it");
        }
    }
}

fn symbols_in_words(check: &SpecCheck) -> String {
    if let Some(SpecList { list, types, exchanges, as_of }) = &check.list {
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
    let symbols = check.symbols.unwrap_or_default();
    let more = if symbols > check.named.len() as u64 { " …" } else { "" };
    format!("{}: {}{more}", format::count(symbols), check.named.join(" "))
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
