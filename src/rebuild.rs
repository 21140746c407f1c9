//! `grab repair --rebuild-manifest`: rebuilds a lost or damaged manifest from the bars and from the plan beside it.

use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

use grab_core::{
    data_dir::DataDir,
    exit::ExitStatus,
    manifest::{
        Lock, ManifestError, ManifestReader, ManifestWriter, PLAN_NAME, PlanFile, PlanRead, RecordedPlan,
        RunTotals, StoreKind, Subscription, WholeDays, migrate, rebuild,
    },
    store::{
        StoreError,
        scan::{self, FoundPartition},
    },
};
use grab_model::format;
use grab_model::{Partition, Symbol, Window, plan};
use grab_ops::{Error as Failure, NextStep, RunReport, kind_of, last_day};
use jiff::civil::Date;
use serde::Serialize;

use super::{
    args::CommonArgs,
    output::{Output, announce_clock, say},
    report::Report,
    run_report,
    settings::Sources,
    text::Text,
};

/// The result of a rebuild.
#[derive(Serialize)]
struct RebuildReport {
    #[serde(flatten, serialize_with = "run_report::serialize")]
    run: RunReport,
    /// The new path of the old manifest.
    set_aside: Option<String>,
    /// Whether all requests are known: pending tasks, subscriptions, and the spec.
    is_all_asked: bool,
    /// What is not known, and why.
    notes: Vec<String>,
    /// Files that could not be recorded. They stay in place.
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
/// If the manifest is intact, there are neither bars nor a plan, or the directory cannot be written.
pub fn run(common: &CommonArgs, sources: &Sources<'_>, output: Output) -> Result<ExitStatus, Failure> {
    let begun = Instant::now();
    let (data_dir, clock) = (sources.data_dir(common)?, sources.clock()?);
    announce_clock(clock);
    let symbols = scan::symbols(&data_dir)?;
    if symbols.is_empty() && !data_dir.plan().exists() {
        return Err(nothing(&data_dir));
    }
    match migrate(&data_dir) {
        // A damaged manifest is what this command rebuilds.
        Err(error) if error.is_damage() => {}
        brought => brought?,
    }
    let _lock = Lock::take(&data_dir)?;
    if rebuild::is_readable(&data_dir)? {
        let whole = "the manifest is whole, and knows more than the bars do; to make it anew all the same, move it away";
        return Err(Failure::Usage(whole.to_owned()));
    }
    let asked = AskedBefore::of(&data_dir)?;
    if symbols.is_empty() && asked.plan.is_empty() {
        return Err(nothing(&data_dir));
    }
    let mut writer = rebuild::begin(&data_dir, clock)?;
    writer.begin_run("repair", "--rebuild-manifest")?;
    let not_served = take_over_history(&data_dir, &mut writer)?;
    let mut rebuilding = Rebuilding::new(&data_dir, asked, last_day(clock));
    let has_unplanned = rebuilding.take_over(&mut writer)?;
    for symbol in &symbols {
        rebuilding.take_up(symbol, &mut writer)?;
    }
    rebuilding.ask_for_the_rest(&mut writer)?;
    let Rebuilding { asked, totals, damaged, .. } = rebuilding;
    let not_served = plan::missing_tasks(&not_served, &writer.windows()?);
    writer.add_tasks_of(None, [], &not_served)?;
    let mut report = RunReport::new("repair", writer.counts()?, None, totals, begun.elapsed())
        .with_not_entitled(plan::sessions_in(not_served.iter().map(|(_, window)| window)), None);
    if has_unplanned {
        report = report.unfinished(NextStep::PlanSubscriptions);
    }
    writer.set_all_asked(asked.is_known)?;
    if !asked.is_known {
        report = report.unfinished(NextStep::AskAgain);
    }
    if !damaged.is_empty() {
        report = report.damaged_first();
    }
    writer.end_run(report.exit(), &totals)?;
    if let Some(file) = &asked.file
        && let Some(aside) = writer.restore_plan(&data_dir, file)?
    {
        say(&format!("a copy of the damaged {PLAN_NAME} is {}", aside.display()));
    }
    let set_aside = rebuild::finish(writer, &data_dir)?;
    // From now on the plan agrees with the new manifest.
    ManifestWriter::open(&data_dir, clock)?.check_plan()?;
    let report = RebuildReport {
        run: report.with_details(&data_dir)?,
        set_aside: set_aside.map(|path| path.display().to_string()),
        is_all_asked: asked.is_known,
        notes: asked.notes,
        damaged,
    };
    output.report(&report)
}

fn nothing(data_dir: &DataDir) -> Failure {
    let place = data_dir.display();
    let advice = "move a damaged manifest.sqlite away, then a grab start begins anew";
    Failure::Usage(format!("there are no bars in {place} to make a manifest from, and no plan: {advice}"))
}

/// What was requested before the manifest was lost.
#[derive(Default)]
struct AskedBefore {
    plan: RecordedPlan,
    /// The plan beside the manifest, if there is one.
    file: Option<PlanFile>,
    /// Whether nothing is missing.
    is_known: bool,
    notes: Vec<String>,
}

impl AskedBefore {
    /// Reads the manifest and the plan beside it, each as far as it is readable.
    ///
    /// # Errors
    /// If the plan exists and cannot be read: only the user can decide to do without it.
    fn of(data_dir: &DataDir) -> Result<Self, Failure> {
        let mut asked = Self::default();
        let is_whole = rebuild::is_whole(data_dir)?;
        if let Ok(plan) = ManifestReader::open(data_dir).and_then(|old| old.plan()) {
            // A manifest that SQLite does not find intact may have lost rows silently.
            (asked.plan, asked.is_known) = (plan, is_whole);
        }
        asked.file = PlanFile::open(data_dir)?;
        match asked.file.as_ref().map(PlanFile::read) {
            Some(PlanRead { plan, faults }) => {
                asked.is_known |= faults.is_empty();
                if !faults.is_empty() {
                    let faults = faults.join("; ");
                    asked.notes.push(format!(
                        "{PLAN_NAME} is damaged ({faults}): it was used as far as it is sound"
                    ));
                }
                asked.plan.unite(plan);
            }
            None if asked.is_known => {}
            None => asked
                .notes
                .push(format!("{PLAN_NAME} is not there: what was asked for is known from the bars alone")),
        }
        asked.drop_unreadable_orders();
        Ok(asked)
    }

    /// Drops subscriptions that another program has written and that cannot be read.
    fn drop_unreadable_orders(&mut self) {
        let is_good = |order: &Subscription| {
            plan::UniverseList::parse(&order.list).is_some() && plan::read_windows(&order.windows).is_ok()
        };
        let before = self.plan.orders.len();
        self.plan.orders.retain(is_good);
        let bad = before - self.plan.orders.len();
        if bad > 0 {
            self.is_known = false;
            let orders = format::plural(bad as u64, "request");
            self.notes.push(format!(
                "{orders} by --universe or --spec cannot be read: a grab start asks for it again"
            ));
        }
    }
}

/// Takes over what the old manifest knows about the plan's history, as far as it can be read. Returns the requested
/// days that are not served.
fn take_over_history(
    data_dir: &DataDir,
    writer: &mut ManifestWriter,
) -> Result<Vec<(Symbol, Window)>, Failure> {
    // What cannot be read will be found out again.
    let Ok(old) = ManifestReader::open(data_dir) else { return Ok(Vec::new()) };
    for (service, known) in old.plan_histories().unwrap_or_default().iter().rev() {
        writer.save_plan_history(service, known)?;
    }
    Ok(old.not_entitled().unwrap_or_default())
}

/// The state of the search through the tree.
struct Rebuilding<'a> {
    data_dir: &'a DataDir,
    last_day: Date,
    asked: AskedBefore,
    kind: Option<StoreKind>,
    totals: RunTotals,
    damaged: Vec<Damaged>,
    /// Requested windows without stored bars.
    pending: Vec<(Symbol, Window)>,
    /// The first symbol with bars on days that the plan does not request, and the number of such symbols.
    outside: Option<(Symbol, u64)>,
}

impl<'a> Rebuilding<'a> {
    fn new(data_dir: &'a DataDir, asked: AskedBefore, last_day: Date) -> Self {
        Self {
            data_dir,
            last_day,
            asked,
            kind: None,
            totals: RunTotals::default(),
            damaged: Vec::new(),
            pending: Vec::new(),
            outside: None,
        }
    }

    /// Takes over the subscriptions, the spec, and the saved settings of `start`. Returns whether some subscription has
    /// no tasks yet.
    fn take_over(&self, writer: &mut ManifestWriter) -> Result<bool, ManifestError> {
        let RecordedPlan { orders, spec, told, .. } = &self.asked.plan;
        writer.restore_settings(told.clone())?;
        // If the tasks of a subscription may be incomplete, it is planned again.
        let is_planned = |order: &Subscription| self.asked.is_known && order.planned_at_ms.is_some();
        for order in orders {
            writer.restore_subscription(order, is_planned(order))?;
        }
        // A spec that has become unreadable is reported where it would be used.
        spec.as_ref().map_or(Ok(()), |spec| writer.restore_spec(spec))?;
        Ok(!orders.iter().all(is_planned))
    }

    fn take_up(&mut self, symbol: &Symbol, writer: &mut ManifestWriter) -> Result<(), Failure> {
        let mut found = Vec::new();
        for month in scan::months(self.data_dir, symbol)? {
            // Which tasks were running is no longer known: any month may have unfinished files.
            scan::sweep(self.data_dir, symbol, month)?;
            match scan::examine(self.data_dir, symbol, month) {
                Ok(None) => {}
                Ok(Some(one)) => {
                    self.check_kind(&one, writer)?;
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
        let stretches = stretches(&found);
        writer.adopt(symbol, &partitions, &stretches)?;
        self.compare(symbol, &partitions, &stretches);
        Ok(())
    }

    /// Adds the requested windows of a symbol that are not completely stored.
    fn compare(&mut self, symbol: &Symbol, partitions: &[Partition], stretches: &[WholeDays]) {
        let asked = self.asked.plan.windows.remove(symbol).unwrap_or_default();
        if !are_within(partitions, &asked) {
            let (_, count) = self.outside.get_or_insert_with(|| (symbol.clone(), 0));
            *count += 1;
        }
        let held = stretches.iter().map(|stretch| stretch.window).collect();
        let held = HashMap::from([(symbol.clone(), held)]);
        let past = asked.into_iter().filter_map(|window| plan::clip(window, self.last_day));
        let past: Vec<_> = past.map(|window| (symbol.clone(), window)).collect();
        self.pending.extend(plan::missing_tasks(&past, &held));
    }

    /// Records the requested windows that are not stored: the oldest first.
    fn ask_for_the_rest(&mut self, writer: &mut ManifestWriter) -> Result<(), Failure> {
        if let (None, Some(kind)) = (self.kind, self.asked.plan.kind) {
            writer.declare_kind(kind)?;
        }
        let rest: BTreeMap<Symbol, Vec<Window>> = std::mem::take(&mut self.asked.plan.windows);
        for (symbol, windows) in rest {
            let past = windows.into_iter().filter_map(|window| plan::clip(window, self.last_day));
            self.pending.extend(past.map(|window| (symbol.clone(), window)));
        }
        self.pending.sort_by(|one, other| one.1.cmp(&other.1).then_with(|| one.0.cmp(&other.0)));
        writer.add_tasks(&self.pending)?;
        if let (Some((symbol, count)), true) = (&self.outside, self.asked.is_known) {
            self.asked.is_known = false;
            let symbols = format::plural(*count, "symbol");
            self.asked.notes.push(format!(
                "{PLAN_NAME} is older than the bars: it does not ask for all that is held of {symbols}, such as {symbol}"
            ));
        }
        Ok(())
    }

    /// A directory holds one kind of bars: the first file decides which.
    fn check_kind(&mut self, found: &FoundPartition, writer: &mut ManifestWriter) -> Result<(), Failure> {
        let asked = kind_of(found);
        match self.kind {
            Some(held) if held == asked => Ok(()),
            Some(held) => Err(ManifestError::OtherKind { held, asked }.into()),
            None => {
                self.kind = Some(asked);
                Ok(writer.declare_kind(asked)?)
            }
        }
    }
}

/// Whether all days with bars were requested.
fn are_within(partitions: &[Partition], asked: &[Window]) -> bool {
    partitions.iter().all(|partition| {
        let mask = asked.iter().fold(0, |mask, window| mask | partition.month.mask(*window));
        partition.session_mask() & !mask == 0
    })
}

/// The complete days by the metadata of a symbol's partitions, in the order of their months; adjacent ones are joined.
fn stretches(found: &[FoundPartition]) -> Vec<WholeDays> {
    let mut stretches: Vec<WholeDays> = Vec::new();
    for FoundPartition { partition, whole_days, .. } in found {
        for day in partition.month.days(*whole_days) {
            let bars = u64::from(partition.bars_by_day[usize::try_from(day.day() - 1).unwrap_or_default()]);
            let before =
                stretches.last_mut().filter(|stretch| stretch.window.to() == day.yesterday().unwrap_or(day));
            match (before, Window::new(day, day)) {
                (Some(stretch), _) => {
                    stretch.window = Window::new(stretch.window.from(), day).unwrap_or(stretch.window);
                    stretch.bars += bars;
                }
                (None, Some(window)) => stretches.push(WholeDays { window, bars }),
                (None, None) => {}
            }
        }
    }
    stretches
}

impl Report for RebuildReport {
    fn exit(&self) -> ExitStatus {
        self.run.exit()
    }

    fn text(&self) -> Text {
        let mut text = run_report::text(&self.run);
        text.rows("moved", self.set_aside.iter().map(|path| format!("the old manifest is {path}")));
        let damaged = |file: &Damaged| format!("{} {}: {}", file.ticker, file.month, file.detail);
        text.rows("damaged", self.damaged.iter().map(damaged));
        text.rows("note", &self.notes);
        text.row("note", "which windows were empty or refused is no longer known: they are requested again");
        text
    }
}
