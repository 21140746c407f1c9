//! Brings every known symbol up to the last finished session: `grab update`.

mod delisted;
mod lists;
mod metrics;
mod metrics_text;
mod shortfall;

pub use delisted::DelistedSymbol;
pub use metrics::{SessionMetrics, UpdateMetrics};
pub use shortfall::{SessionThresholds, UpdateShortfall};

use std::{sync::Arc, time::Duration};

use grab_core::{
    clock::Clock,
    data_dir::DataDir,
    exit::ExitStatus,
    manifest::{Closure, ManifestWriter, RepairTransaction, Silence, SilenceAnswer},
    update::{SessionVerdict, UpdateCutoff, UpdatePlan},
    verify::SessionSymbols,
};
use grab_model::{Rate, plan::Estimate};
use jiff::civil::Date;

use crate::{
    ConnectOptions, Error, Job, NextStep, Notice, Observer, ReferenceReport, RunFindings, RunReport,
    plan_subscriptions, require_manifest, unplanned, usable_universe,
};
use lists::{DueLists, plan_update};

/// An update of a data directory.
pub struct Update {
    /// The directory of bars and manifest.
    pub data_dir: DataDir,
    /// How to reach the source.
    pub options: ConnectOptions,
    /// How long after its end a session is settled.
    pub settle: Duration,
    /// How many sessions before the new ones are requested again.
    pub overlap: usize,
    /// What each new session must have.
    pub thresholds: SessionThresholds,
    /// The clock.
    pub clock: Clock,
}

/// What an update would do.
pub struct UpdatePreview {
    /// The last session that it would request.
    pub session: Date,
    /// The plan.
    pub plan: UpdatePlan,
    /// Whether lists would be fetched first, so that more symbols may be added or delisted.
    pub are_lists_due: bool,
    /// What it would fetch, with the tasks that are outstanding.
    pub estimate: Estimate,
    /// The rate of its requests.
    pub rate: Rate,
}

/// How an update ended.
#[derive(Debug)]
pub struct UpdateReport {
    /// The run.
    pub run: RunReport,
    /// The last requested session.
    pub session: Date,
    /// What was requested.
    pub plan: UpdatePlan,
    /// The result of the lists. None if they were not due.
    pub lists: Option<ReferenceReport>,
    /// Stored symbols that were delisted, as far as the lists of this run show it.
    pub delisted: Vec<DelistedSymbol>,
    /// The sessions that are new since the last update.
    pub sessions: Vec<SessionSymbols>,
    /// The sessions that lack symbols with bars every day.
    pub lacking: Vec<SessionSymbols>,
    /// Calendar sessions on which the market was closed, by what the service said in this run.
    pub closures: Vec<Closure>,
    /// Silent symbols, and what the service says about them. A delisting is reported once; any other answer as long as
    /// the symbol is silent.
    pub silences: Vec<Silence>,
}

/// What an update has found out when its run is judged.
#[derive(Default)]
struct UpdateFindings {
    plan: UpdatePlan,
    lists: ReferenceReport,
    delisted: Vec<DelistedSymbol>,
    verdict: SessionVerdict,
    closures: Vec<Closure>,
    silences: Vec<Silence>,
    /// Whether any known symbol is still traded.
    is_alive: bool,
    /// Why a needed list is missing and should be requested again.
    missing_list: Option<UpdateShortfall>,
}

impl Update {
    /// The last session that has settled.
    ///
    /// # Errors
    /// If there is none.
    pub fn cutoff(&self) -> Result<UpdateCutoff, Error> {
        let cutoff = UpdateCutoff::at(self.clock.now_ms(), self.settle, self.overlap);
        cutoff.ok_or_else(|| Error::Usage("no session has ended yet at this time".to_owned()))
    }

    /// Plans this update. Sends no request and changes nothing.
    ///
    /// # Errors
    /// If nothing was ever started there, or the manifest or a table cannot be read.
    pub fn plan(self, observer: &dyn Observer) -> Result<UpdatePreview, Error> {
        let cutoff = self.cutoff()?;
        require_manifest(&self.data_dir)?;
        let reader = self.data_dir.open_read()?;
        let kind = reader.kind()?;
        let service = self.options.service_of(kind);
        let plan = plan_update(&self.data_dir, &reader, &cutoff, service.as_deref(), observer)?;
        let lists = DueLists::of(&self.data_dir, &reader, &cutoff)?;
        let rate = self.options.rate(self.options.sandbox || kind.is_some_and(|kind| kind.sandbox));
        let outstanding = reader.tasks()?.into_iter().filter(|task| !task.state.is_ended());
        let outstanding = outstanding.map(|task| (task.symbol, task.window));
        let to_run: Vec<_> = plan.requested().cloned().chain(outstanding).collect();
        Ok(UpdatePreview {
            session: cutoff.session.date(),
            plan,
            are_lists_due: !lists.are_known(),
            estimate: Estimate::of(&to_run, rate),
            rate,
        })
    }

    /// Fetches the lists that are due, then the bars that are missing up to the cut-off, and judges the sessions.
    ///
    /// # Errors
    /// If nothing was ever started there, the directory cannot be locked, or its manifest cannot be used. All later
    /// failures are in the report.
    pub fn run(self, observer: &Arc<dyn Observer>) -> Result<UpdateReport, Error> {
        let cutoff = self.cutoff()?;
        let Self { data_dir, options, thresholds, clock, .. } = self;
        require_manifest(&data_dir)?;
        let locked = data_dir.lock()?;
        let reader = data_dir.open_read()?;
        let service = options.service_of(reader.kind()?);
        let lists = DueLists::of(&data_dir, &reader, &cutoff)?;
        drop(reader);
        let job = Job {
            arguments: format!("to {}", cutoff.session.date()),
            locked: Some(locked),
            lists: lists.needs,
            absences: Some(cutoff),
            ..Job::new("update", data_dir.clone(), options, clock, observer)
        };
        let (place, noticed) = (data_dir.clone(), Arc::clone(observer));
        let prepare =
            move |writer: &mut ManifestWriter| record(&place, writer, &cutoff, service.as_deref(), &*noticed);
        let mut findings = UpdateFindings::default();
        let run = job.run_and_judge(prepare, |run, of_run| {
            findings = UpdateFindings::of(&data_dir, of_run, &lists, &cutoff, &**observer)?;
            Ok(findings.judge(run, thresholds))
        })?;
        Ok(findings.into_report(run, &cutoff, &lists))
    }
}

/// Plans the update, and records what to request.
fn record(
    data_dir: &DataDir,
    writer: &mut ManifestWriter,
    cutoff: &UpdateCutoff,
    service: Option<&str>,
    observer: &dyn Observer,
) -> Result<UpdatePlan, Error> {
    if unplanned(writer)?
        && let Some(universe) = usable_universe(data_dir)?
    {
        plan_subscriptions(writer, &universe, cutoff.session.date(), observer)?;
    }
    let plan = plan_update(data_dir, &data_dir.open_read()?, cutoff, service, observer)?;
    for (symbol, split) in &plan.splits {
        observer.notice(&Notice::SplitFound { symbol: symbol.clone(), date: split.date });
    }
    writer.begin_update(cutoff.session.date(), plan.newest)?;
    writer.reopen_failed()?;
    writer.extend_rolling_tasks(&plan.extended)?;
    writer.add_tasks(&plan.joined)?;
    let splits = plan.splits.iter();
    let splits: Vec<_> = splits
        .map(|(symbol, split)| (symbol.clone(), split.date, split.unreliable_before_ms(cutoff)))
        .collect();
    writer.reopen_split(&splits)?;
    writer.apply_repair(&RepairTransaction { again: plan.gaps.clone(), ..RepairTransaction::default() })?;
    Ok(plan)
}

impl UpdateFindings {
    fn of(
        data_dir: &DataDir,
        findings: RunFindings<UpdatePlan>,
        due: &DueLists,
        cutoff: &UpdateCutoff,
        observer: &dyn Observer,
    ) -> Result<Self, Error> {
        let RunFindings { lists, absences, prepared, .. } = findings;
        let Some(plan) = prepared else { return Ok(Self { lists, ..Self::default() }) };
        let reader = data_dir.open_read()?;
        let universe = usable_universe(data_dir)?.unwrap_or_default();
        let verdict = SessionVerdict::of(&reader, &universe, cutoff)?;
        let is_alive = plan.up_to_date + plan.unanswered > 0 || !plan.extended.is_empty();
        let mut recorded = reader.silences()?;
        let silent = verdict.silent.iter().filter_map(|silent| {
            recorded.remove(&silent.symbol).filter(|silence| silence.last_session == silent.last_session)
        });
        let is_delisted = |silence: &Silence| silence.answer == SilenceAnswer::Left;
        let delisted = absences.silences.into_iter().filter(is_delisted);
        let silences = delisted.chain(silent.filter(|silence| !is_delisted(silence))).collect();
        Ok(Self {
            delisted: DelistedSymbol::all(&universe, &reader, &lists)?,
            missing_list: due.shortfall(&lists, observer),
            closures: absences.closures,
            plan,
            lists,
            verdict,
            silences,
            is_alive,
        })
    }

    /// A run that got less than it should is not complete. If waiting may help, it is incomplete; else the user has to check.
    fn judge(&self, run: RunReport, thresholds: SessionThresholds) -> RunReport {
        let SessionVerdict { requested, lacking, is_early, .. } = &self.verdict;
        let missed = thresholds.missed(requested, self.is_alive);
        let lacking = lacking.last().map(|last| UpdateShortfall::Lacking {
            sessions: lacking.len() as u64,
            last: *last,
            is_early: *is_early,
        });
        let is_short = !missed.is_empty() || lacking.is_some() && !is_early;
        let reasons: Vec<_> = missed.into_iter().chain(lacking).chain(self.missing_list.clone()).collect();
        match (reasons.is_empty(), is_short) {
            (true, _) => run,
            (false, true) => run.short(ExitStatus::Gaps, NextStep::CompleteUpdate(reasons)),
            (false, false) => run.short(ExitStatus::Incomplete, NextStep::CompleteUpdate(reasons)),
        }
    }

    fn into_report(self, run: RunReport, cutoff: &UpdateCutoff, due: &DueLists) -> UpdateReport {
        UpdateReport {
            run,
            session: cutoff.session.date(),
            plan: self.plan,
            lists: (!due.are_known()).then_some(self.lists),
            delisted: self.delisted,
            sessions: self.verdict.new,
            lacking: self.verdict.lacking,
            closures: self.closures,
            silences: self.silences,
        }
    }
}

impl UpdateReport {
    /// Whether the last session lacks symbols.
    #[must_use]
    pub fn is_lagging(&self) -> bool {
        self.lacking.iter().any(|session| session.date == self.session)
    }
}
