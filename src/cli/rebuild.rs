//! `grab repair --rebuild-manifest`: a lost or damaged manifest is made anew from the bars.

use std::{path::Path, time::Instant};

use serde::Serialize;

use super::{
    args::CommonArgs,
    failure::Failure,
    fetch::{announce_clock, kind_of},
    output::{Output, say},
    report::RunReport,
    settings::Sources,
};
use crate::{
    exit::ExitStatus,
    manifest::{
        Ledger, Lock, ManifestError, Order, Overview, RunTotals, StoreKind, Stretch, bring_up_to_date,
        rebuild,
    },
    model::{Symbol, Window},
    plan,
    store::{
        StoreError,
        survey::{self, Found},
    },
};

/// What was made.
#[derive(Serialize)]
struct RebuildReport {
    #[serde(flatten)]
    run: RunReport,
    /// Where the old manifest is now.
    set_aside: Option<String>,
    /// Whether what was asked for by a list or a spec is known, so that it need not be asked for again.
    is_all_asked: bool,
    /// Files that could not be taken up. They are where they were.
    damaged: Vec<Damaged>,
}

#[derive(Serialize)]
struct Damaged {
    ticker: String,
    month: String,
    detail: String,
}

/// Runs the command.
///
/// # Errors
/// If the manifest is whole, or there are no bars, or the directory cannot be written.
pub fn run(common: &CommonArgs, sources: &Sources<'_>, output: Output) -> Result<ExitStatus, Failure> {
    let begun = Instant::now();
    let (data_dir, clock) = (sources.data_dir(common)?, sources.clock()?);
    announce_clock(clock);
    let nothing = || {
        let place = data_dir.display();
        let advice = "move a damaged manifest.sqlite away, then a grab start begins anew";
        Failure::Usage(format!("there are no bars in {place} to make a manifest from: {advice}"))
    };
    let symbols = survey::symbols(&data_dir)?;
    if symbols.is_empty() {
        return Err(nothing());
    }
    match bring_up_to_date(&data_dir) {
        // One that is damaged is what is to be made anew.
        Err(error) if error.is_damage() => {}
        brought => brought?,
    }
    let _lock = Lock::take(&data_dir)?;
    if rebuild::is_readable(&data_dir)? {
        let whole = "the manifest is whole, and knows more than the bars do; to make it anew all the same, move it away";
        return Err(Failure::Usage(whole.to_owned()));
    }
    let mut ledger = rebuild::begin(&data_dir, clock)?;
    ledger.begin_run("repair", "--rebuild-manifest")?;
    let is_all_asked = take_over(&data_dir, &mut ledger)?;
    let mut rebuilding =
        Rebuilding { data_dir: &data_dir, kind: None, totals: RunTotals::default(), damaged: Vec::new() };
    for symbol in &symbols {
        rebuilding.take_up(symbol, &mut ledger)?;
    }
    let Rebuilding { totals, damaged, .. } = rebuilding;
    let counts = ledger.counts()?;
    let mut report = RunReport::new("repair", counts, None, totals, begun.elapsed());
    if !damaged.is_empty() {
        report = report.damaged();
    }
    let (outcome, exit_code) = report.verdict();
    ledger.end_run(outcome, exit_code, &totals)?;
    let set_aside = rebuild::finish(ledger, &data_dir)?;
    let report = RebuildReport {
        run: report.with_details(&data_dir)?,
        set_aside: set_aside.map(|path| path.display().to_string()),
        is_all_asked,
        damaged,
    };
    output.report(&report, RebuildReport::text)?;
    Ok(report.run.exit())
}

/// Takes over what was asked for by a list, to be planned anew, and the spec, as far as the old manifest can be read.
/// Answers whether it could be.
fn take_over(data_dir: &Path, ledger: &mut Ledger) -> Result<bool, Failure> {
    // Nobody can say what was in one that is damaged further, or is not there.
    let Ok(old) = Overview::open(data_dir) else { return Ok(false) };
    let (orders, spec, told) = (old.orders(), old.spec(), old.told());
    let is_read = orders.is_ok() && spec.is_ok() && told.is_ok();
    ledger.take_over_told(&told.unwrap_or_default())?;
    let orders = orders.unwrap_or_default();
    let is_good = |order: &Order| {
        let (list, windows) = (plan::List::parse(&order.list), plan::read_windows(&order.windows));
        list.is_some() && windows.is_ok()
    };
    for order in orders.iter().filter(|order| is_good(order)) {
        ledger.add_order(order, None)?;
    }
    // One that has become unreadable is said where it would be used.
    spec.ok().flatten().map_or(Ok(()), |spec| ledger.take_over_spec(&spec))?;
    Ok(is_read && orders.iter().all(is_good))
}

/// What is found on the way through the tree.
struct Rebuilding<'a> {
    data_dir: &'a Path,
    kind: Option<StoreKind>,
    totals: RunTotals,
    damaged: Vec<Damaged>,
}

impl Rebuilding<'_> {
    fn take_up(&mut self, symbol: &Symbol, ledger: &mut Ledger) -> Result<(), Failure> {
        let mut found = Vec::new();
        for month in survey::months(self.data_dir, symbol)? {
            // Which tasks were running is not known any more: any month may have litter.
            survey::sweep(self.data_dir, symbol, month)?;
            match survey::examine(self.data_dir, symbol, month) {
                Ok(None) => {}
                Ok(Some(one)) => {
                    self.check_kind(&one, ledger)?;
                    found.push(one);
                }
                Err(error @ StoreError::Io { .. }) => return Err(error.into()),
                Err(error) => {
                    let detail = Failure::from(error).chain();
                    say(&detail);
                    self.damaged.push(Damaged {
                        ticker: symbol.to_string(),
                        month: month.to_string(),
                        detail,
                    });
                }
            }
        }
        let partitions: Vec<_> = found.iter().map(|found| found.partition.clone()).collect();
        self.totals.partitions += partitions.len() as u64;
        self.totals.bars += partitions.iter().map(|partition| partition.bars).sum::<u64>();
        Ok(ledger.adopt(symbol, &partitions, &stretches(&found))?)
    }

    /// A directory holds bars of one kind: the first file says of which.
    fn check_kind(&mut self, found: &Found, ledger: &mut Ledger) -> Result<(), Failure> {
        let asked = kind_of(found);
        match self.kind {
            Some(held) if held == asked => Ok(()),
            Some(held) => Err(ManifestError::OtherKind { held, asked }.into()),
            None => {
                self.kind = Some(asked);
                Ok(ledger.hold(asked)?)
            }
        }
    }
}

/// The days that partitions of one symbol, in the order of their months, say are whole: joined where they touch.
fn stretches(found: &[Found]) -> Vec<Stretch> {
    let mut stretches: Vec<Stretch> = Vec::new();
    for Found { partition, whole_days, .. } in found {
        for day in partition.month.days(*whole_days) {
            let bars = u64::from(partition.bars_by_day[usize::try_from(day.day() - 1).unwrap_or_default()]);
            let before =
                stretches.last_mut().filter(|stretch| stretch.window.to() == day.yesterday().unwrap_or(day));
            match (before, Window::new(day, day)) {
                (Some(stretch), _) => {
                    stretch.window = Window::new(stretch.window.from(), day).unwrap_or(stretch.window);
                    stretch.bars += bars;
                }
                (None, Some(window)) => stretches.push(Stretch { window, bars }),
                (None, None) => {}
            }
        }
    }
    stretches
}

impl RebuildReport {
    fn text(&self) -> String {
        let mut lines = vec![self.run.text()];
        lines.extend(self.set_aside.iter().map(|path| format!("  aside     the old manifest is {path}")));
        let damaged = self
            .damaged
            .iter()
            .map(|file| format!("  damaged   {} {}: {}", file.ticker, file.month, file.detail));
        lines.extend(damaged);
        if !self.is_all_asked {
            lines.push("  note      anything asked for by --universe or --spec is not known any more: a grab start for it asks again".to_owned());
        }
        lines.push("  note      what was found empty or refused is not known any more: a grab start for it asks again".to_owned());
        lines.join("\n")
    }
}
