//! `grab repair --rebuild-manifest`: rebuilds a lost or damaged manifest from the bars and from the plan beside it.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    time::Instant,
};

use grab_core::{
    clock::Clock,
    data_dir::DataDir,
    manifest::{
        ManifestError, ManifestWriter, PlanFile, PlanRead, RecordedPlan, RunTotals, StoreKind, Subscription,
        WholeDays, rebuild,
    },
    store::{
        StoreError,
        scan::{self, FoundPartition},
    },
};
use grab_model::{Month, Partition, Symbol, Window, plan};
use jiff::civil::Date;

use crate::{Error, NextStep, Notice, Observer, RunReport, kind_of, last_day};

/// A rebuild of a data directory's manifest.
pub struct Rebuild {
    /// The directory of bars and manifest.
    pub data_dir: DataDir,
    /// The clock.
    pub clock: Clock,
}

/// How a rebuild ended.
#[derive(Debug)]
pub struct RebuildReport {
    /// The run.
    pub run: RunReport,
    /// The new path of the old manifest.
    pub moved: Option<PathBuf>,
    /// Whether all requests are known: pending tasks, subscriptions, and the spec.
    pub is_all_known: bool,
    /// What is not known, and why.
    pub notes: Vec<RebuildNote>,
    /// Files that could not be recorded. They stay in place.
    pub damaged: Vec<DamagedPartition>,
}

/// Why requests of before are not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RebuildNote {
    /// The plan beside the manifest is damaged: its sound lines were used.
    PlanDamaged(Vec<String>),
    /// There is no plan beside the manifest, so requests are known from the bars alone.
    PlanMissing,
    /// This many subscriptions cannot be read.
    UnreadableSubscriptions(u64),
    /// The plan beside the manifest is older than the bars: it lacks stored days of some symbols.
    PlanIsOlder {
        /// How many symbols.
        symbols: u64,
        /// One of them.
        example: Symbol,
    },
}

/// A file of bars that could not be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedPartition {
    /// The symbol.
    pub symbol: Symbol,
    /// The month.
    pub month: Month,
    /// What is wrong with the file.
    pub detail: String,
}

impl Rebuild {
    /// Rebuilds the manifest from the files of bars, from the plan beside the manifest, and from what can be read of
    /// the old one.
    ///
    /// # Errors
    /// If the manifest is intact, there are neither bars nor a plan, or the directory cannot be locked or written.
    pub fn run(self, observer: &dyn Observer) -> Result<RebuildReport, Error> {
        let begun = Instant::now();
        let Self { data_dir, clock } = self;
        let symbols = scan::symbols(&data_dir)?;
        if symbols.is_empty() && !data_dir.plan().exists() {
            return Err(nothing(&data_dir));
        }
        let locked = data_dir.lock()?;
        if rebuild::is_readable(&data_dir)? {
            let intact = "the manifest is intact, and knows more than the bars do; to rebuild it all the same, move it away";
            return Err(Error::Usage(intact.to_owned()));
        }
        let before = PreviousRequests::read(&data_dir)?;
        if symbols.is_empty() && before.plan.is_empty() {
            return Err(nothing(&data_dir));
        }
        let mut writer = rebuild::begin(&locked, clock)?;
        writer.begin_run("repair", "--rebuild-manifest")?;
        let not_served = take_over_history(&data_dir, &mut writer)?;
        let mut tree = TreeScan::new(&data_dir, before, last_day(clock));
        let has_unplanned = tree.restore(&mut writer)?;
        for symbol in &symbols {
            tree.adopt(symbol, &mut writer, observer)?;
        }
        tree.request_the_rest(&mut writer)?;
        let TreeScan { before, totals, damaged, .. } = tree;
        let not_served = plan::missing_tasks(&not_served, &writer.windows()?);
        writer.add_tasks_of(None, [], &not_served)?;
        let sessions = plan::sessions_in(not_served.iter().map(|(_, window)| window));
        let run = RunReport::new("repair", writer.counts()?, None, totals, begun.elapsed());
        let run = judge(run.with_not_entitled(sessions, None), has_unplanned, &before, &damaged);
        writer.set_all_asked(before.is_known)?;
        writer.end_run(run.exit(), &totals)?;
        if let Some(file) = &before.file
            && let Some(copy) = writer.restore_plan(&data_dir, file)?
        {
            observer.notice(&Notice::PlanCopied(copy));
        }
        let moved = rebuild::finish(writer, &data_dir)?;
        // From now on the plan agrees with the new manifest.
        locked.open_write(clock)?.check_plan()?;
        let (is_all_known, notes) = (before.is_known, before.notes);
        Ok(RebuildReport { run: run.with_details(&data_dir)?, moved, is_all_known, notes, damaged })
    }
}

/// The end of a rebuild by what is not known and what is damaged.
fn judge(
    run: RunReport,
    has_unplanned: bool,
    before: &PreviousRequests,
    damaged: &[DamagedPartition],
) -> RunReport {
    let run = if has_unplanned { run.unfinished(NextStep::PlanSubscriptions) } else { run };
    let run = if before.is_known { run } else { run.unfinished(NextStep::AskAgain) };
    if damaged.is_empty() { run } else { run.damaged_first() }
}

fn nothing(data_dir: &DataDir) -> Error {
    let place = data_dir.display();
    let advice = "move a damaged manifest.sqlite away; then grab start creates a new one";
    Error::Usage(format!("there are no bars in {place} to make a manifest from, and no plan: {advice}"))
}

/// What was requested before the manifest was lost.
#[derive(Default)]
struct PreviousRequests {
    plan: RecordedPlan,
    /// The plan beside the manifest, if there is one.
    file: Option<PlanFile>,
    /// Whether nothing is missing.
    is_known: bool,
    notes: Vec<RebuildNote>,
}

impl PreviousRequests {
    /// Reads the manifest and the plan beside it, each as far as it is readable.
    ///
    /// # Errors
    /// If the plan exists and cannot be read: only the user can decide to do without it.
    fn read(data_dir: &DataDir) -> Result<Self, Error> {
        let mut requested = Self::default();
        let is_whole = rebuild::is_whole(data_dir)?;
        if let Ok(plan) = data_dir.open_read().and_then(|old| old.plan()) {
            // A manifest that SQLite does not find intact may have lost rows silently.
            (requested.plan, requested.is_known) = (plan, is_whole);
        }
        requested.file = PlanFile::open(data_dir)?;
        match requested.file.as_ref().map(PlanFile::read) {
            Some(PlanRead { plan, faults }) => {
                requested.is_known |= faults.is_empty();
                if !faults.is_empty() {
                    requested.notes.push(RebuildNote::PlanDamaged(faults));
                }
                requested.plan.unite(plan);
            }
            None if requested.is_known => {}
            None => requested.notes.push(RebuildNote::PlanMissing),
        }
        requested.drop_unreadable_subscriptions();
        Ok(requested)
    }

    /// Drops subscriptions that another program has written and that cannot be read.
    fn drop_unreadable_subscriptions(&mut self) {
        let is_good = |order: &Subscription| {
            plan::UniverseList::parse(&order.list).is_some() && plan::read_windows(&order.windows).is_ok()
        };
        let before = self.plan.orders.len();
        self.plan.orders.retain(is_good);
        let bad = before - self.plan.orders.len();
        if bad > 0 {
            self.is_known = false;
            self.notes.push(RebuildNote::UnreadableSubscriptions(bad as u64));
        }
    }
}

/// Takes over what the old manifest knows about the plan's history, as far as it can be read. Returns the requested
/// days that are not served.
fn take_over_history(
    data_dir: &DataDir,
    writer: &mut ManifestWriter,
) -> Result<Vec<(Symbol, Window)>, Error> {
    // What cannot be read will be found out again.
    let Ok(old) = data_dir.open_read() else { return Ok(Vec::new()) };
    for (service, known) in old.plan_histories().unwrap_or_default().iter().rev() {
        writer.save_plan_history(service, known)?;
    }
    Ok(old.not_entitled().unwrap_or_default())
}

/// The state of the search through the tree.
struct TreeScan<'a> {
    data_dir: &'a DataDir,
    last_day: Date,
    before: PreviousRequests,
    kind: Option<StoreKind>,
    totals: RunTotals,
    damaged: Vec<DamagedPartition>,
    /// Requested windows without stored bars.
    pending: Vec<(Symbol, Window)>,
    /// The first symbol with bars on days that the plan does not request, and the number of such symbols.
    outside: Option<(Symbol, u64)>,
}

impl<'a> TreeScan<'a> {
    fn new(data_dir: &'a DataDir, before: PreviousRequests, last_day: Date) -> Self {
        Self {
            data_dir,
            last_day,
            before,
            kind: None,
            totals: RunTotals::default(),
            damaged: Vec::new(),
            pending: Vec::new(),
            outside: None,
        }
    }

    /// Takes over the subscriptions, the spec, and the saved settings of `start`. Returns whether some subscription has
    /// no tasks yet.
    fn restore(&self, writer: &mut ManifestWriter) -> Result<bool, ManifestError> {
        let RecordedPlan { orders, spec, settings, .. } = &self.before.plan;
        writer.restore_settings(settings.clone())?;
        // If the tasks of a subscription may be incomplete, it is planned again.
        let is_planned = |order: &Subscription| self.before.is_known && order.planned_at_ms.is_some();
        for order in orders {
            writer.restore_subscription(order, is_planned(order))?;
        }
        // A spec that has become unreadable is reported where it would be used.
        spec.as_ref().map_or(Ok(()), |spec| writer.restore_spec(spec))?;
        Ok(!orders.iter().all(is_planned))
    }

    fn adopt(
        &mut self,
        symbol: &Symbol,
        writer: &mut ManifestWriter,
        observer: &dyn Observer,
    ) -> Result<(), Error> {
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
                    let detail = Error::from(error).chain();
                    let damaged = DamagedPartition { symbol: symbol.clone(), month, detail };
                    observer.notice(&Notice::PartitionDamaged(damaged.clone()));
                    self.damaged.push(damaged);
                }
            }
        }
        let partitions: Vec<_> = found.iter().map(|found| found.partition.clone()).collect();
        self.totals.partitions += partitions.len() as u64;
        self.totals.bars += partitions.iter().map(|partition| partition.bars).sum::<u64>();
        let complete = complete_days(&found);
        writer.adopt(symbol, &partitions, &complete)?;
        self.compare(symbol, &partitions, &complete);
        Ok(())
    }

    /// Adds the requested windows of a symbol that are not completely stored.
    fn compare(&mut self, symbol: &Symbol, partitions: &[Partition], complete: &[WholeDays]) {
        let requested = self.before.plan.windows.remove(symbol).unwrap_or_default();
        if !are_within(partitions, &requested) {
            let (_, count) = self.outside.get_or_insert_with(|| (symbol.clone(), 0));
            *count += 1;
        }
        let recorded = complete.iter().map(|days| days.window).collect();
        let recorded = HashMap::from([(symbol.clone(), recorded)]);
        let past = requested.into_iter().filter_map(|window| plan::clip(window, self.last_day));
        let past: Vec<_> = past.map(|window| (symbol.clone(), window)).collect();
        self.pending.extend(plan::missing_tasks(&past, &recorded));
    }

    /// Records the requested windows that are not stored: the oldest first.
    fn request_the_rest(&mut self, writer: &mut ManifestWriter) -> Result<(), Error> {
        if let (None, Some(kind)) = (self.kind, self.before.plan.kind) {
            writer.declare_kind(kind)?;
        }
        let rest: BTreeMap<Symbol, Vec<Window>> = std::mem::take(&mut self.before.plan.windows);
        for (symbol, windows) in rest {
            let past = windows.into_iter().filter_map(|window| plan::clip(window, self.last_day));
            self.pending.extend(past.map(|window| (symbol.clone(), window)));
        }
        self.pending.sort_by(|one, other| one.1.cmp(&other.1).then_with(|| one.0.cmp(&other.0)));
        writer.add_tasks(&self.pending)?;
        if let (Some((example, symbols)), true) = (&self.outside, self.before.is_known) {
            self.before.is_known = false;
            self.before.notes.push(RebuildNote::PlanIsOlder { symbols: *symbols, example: example.clone() });
        }
        Ok(())
    }

    /// A directory holds one kind of bars: the first file decides which.
    fn check_kind(&mut self, found: &FoundPartition, writer: &mut ManifestWriter) -> Result<(), Error> {
        let requested = kind_of(found);
        match self.kind {
            Some(stored) if stored == requested => Ok(()),
            Some(stored) => Err(ManifestError::OtherKind { stored, requested }.into()),
            None => {
                self.kind = Some(requested);
                Ok(writer.declare_kind(requested)?)
            }
        }
    }
}

/// Whether all days with bars were requested.
fn are_within(partitions: &[Partition], requested: &[Window]) -> bool {
    partitions.iter().all(|partition| {
        let mask = requested.iter().fold(0, |mask, window| mask | partition.month.mask(*window));
        partition.session_mask() & !mask == 0
    })
}

/// The complete days by the metadata of a symbol's partitions, in the order of their months; adjacent ones are joined.
fn complete_days(found: &[FoundPartition]) -> Vec<WholeDays> {
    let mut runs: Vec<WholeDays> = Vec::new();
    for FoundPartition { partition, whole_days, .. } in found {
        for day in partition.month.days(*whole_days) {
            let bars = u64::from(partition.bars_by_day[usize::try_from(day.day() - 1).unwrap_or_default()]);
            let before = runs.last_mut().filter(|run| run.window.to() == day.yesterday().unwrap_or(day));
            match (before, Window::new(day, day)) {
                (Some(run), _) => {
                    run.window = Window::new(run.window.from(), day).unwrap_or(run.window);
                    run.bars += bars;
                }
                (None, Some(window)) => runs.push(WholeDays { window, bars }),
                (None, None) => {}
            }
        }
    }
    runs
}
