//! Fetches again what a verification finds wrong: `grab repair`.

mod clear;
mod saved_findings;

pub use saved_findings::SavedFinding;

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use grab_core::{
    clock::Clock,
    data_dir::DataDir,
    manifest::{LockedDir, ManifestError, StoreKind},
    verify::{
        DeepSelection, Finding, FindingKind, ListingCuts, OtherWriters, RepairPlan, Severity, Verification,
        VerifyOptions, lacking_sessions, request_windows,
    },
};
use grab_model::{Month, Symbol, Window, calendar, format};
use serde::Serialize;

use crate::{
    ConnectOptions, Error, Job, NextStep, Notice, Observer, RunReport, last_day, listing_cuts,
    require_something, verify_directory,
};
use clear::{ClearedFiles, clear, discard_replaced};

/// A repair of a data directory.
pub struct Repair {
    /// The directory of bars and manifest.
    pub data_dir: DataDir,
    /// How to reach the source.
    pub options: ConnectOptions,
    /// The findings of a saved report, to repair these alone. None to read all files first.
    pub findings: Option<Vec<SavedFinding>>,
    /// Whether to take what the server has now for everything, where recorded bars have not come back.
    pub accept_loss: bool,
    /// The clock.
    pub clock: Clock,
}

/// The size of a repair; its JSON is public.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct RepairEstimate {
    /// Sessions that are lost, missing or thin, or belong to a task without data.
    pub sessions: u64,
    /// The windows of these sessions.
    pub windows: usize,
    /// The expected requests, by the symbols' stored bars.
    pub requests: u64,
    /// The time that these take at the configured rate. None without one.
    pub seconds: Option<f64>,
}

/// What a repair would do.
pub struct RepairPreview {
    /// The plan, with as few requests as possible.
    pub plan: RepairPlan,
    /// The number of findings that are repaired.
    pub findings: usize,
    /// Its size.
    pub estimate: RepairEstimate,
    /// The windows that are requested if no file turns out to be good.
    pub windows: BTreeSet<(Symbol, Window)>,
    /// The files that it would move.
    pub files: Vec<PathBuf>,
}

/// How a repair ended.
#[derive(Debug)]
pub struct RepairReport {
    /// The run.
    pub run: RunReport,
    /// The number of findings that were repaired.
    pub repaired: usize,
    /// The windows that were requested again.
    pub windows: Vec<(Symbol, Window)>,
    /// The size of the repair.
    pub estimate: RepairEstimate,
    /// Quarantined files, by their new paths.
    pub moved: Vec<PathBuf>,
    /// Remaining damage, which needs a decision of the user.
    pub remaining: Vec<RemainingDamage>,
    /// Findings that name nothing to request, such as a gap of the market as a whole.
    pub not_requested: Vec<Finding>,
}

/// Damage that a repair leaves as it is.
#[derive(Clone, Debug)]
pub enum RemainingDamage {
    /// A finding that no request can repair.
    Finding(Box<Finding>),
    /// A file behind a link, which may belong to something else.
    BehindLink(PathBuf),
}

impl RemainingDamage {
    /// The remaining damage of a plan, without files behind links.
    #[must_use]
    pub fn of_plan(plan: &RepairPlan) -> Vec<Self> {
        plan.left.iter().map(|finding| Self::Finding(Box::new(finding.clone()))).collect()
    }
}

impl Repair {
    /// Plans this repair. Sends no request, changes nothing, and works beside a writer.
    ///
    /// # Errors
    /// If nothing was ever started there, or the manifest is damaged.
    pub fn plan(self, observer: &dyn Observer) -> Result<RepairPreview, Error> {
        require_something(&self.data_dir)?;
        self.preview(OtherWriters::Allowed, observer)
    }

    /// Moves damaged files away, and fetches again what is damaged or missing.
    ///
    /// # Errors
    /// If nothing was ever started there, the manifest is damaged, or the directory cannot be locked or written. All
    /// later failures are in the report.
    pub fn run(self, observer: &Arc<dyn Observer>) -> Result<RepairReport, Error> {
        require_something(&self.data_dir)?;
        let locked = self.data_dir.lock()?;
        let RepairPreview { plan, findings, estimate, .. } =
            self.preview(OtherWriters::Excluded, &**observer)?;
        if plan.is_empty() {
            observer.notice(&Notice::NothingToRepair);
        } else if estimate.windows > 0 {
            observer.notice(&Notice::RepairBegins(estimate));
        }
        let kind = self.checked_kind()?;
        let ClearedFiles { changes, strays, behind_links } = {
            let mut writer = locked.open_write(self.clock)?;
            clear(&self.data_dir, kind, &plan, &mut writer, &**observer)?
        };
        let windows: Vec<_> =
            [&changes.replaced, &changes.again, &changes.ordered].into_iter().flatten().cloned().collect();
        let mut remaining = RemainingDamage::of_plan(&plan);
        remaining.extend(behind_links.iter().cloned().map(RemainingDamage::BehindLink));
        let is_damaged = !remaining.is_empty();
        let run = self.job(locked.clone(), &plan, observer).run_and_judge(
            move |writer| Ok(writer.apply_repair(&changes)?),
            |run, _| self.judge(run, is_damaged),
        )?;
        let mut moved = self.settle(&locked, &**observer)?;
        moved.extend(strays);
        let repaired = findings.saturating_sub(behind_links.len());
        Ok(RepairReport { run, repaired, windows, estimate, moved, remaining, not_requested: plan.not_asked })
    }

    fn job(&self, locked: LockedDir, plan: &RepairPlan, observer: &Arc<dyn Observer>) -> Job {
        let Self { data_dir, options, clock, .. } = self;
        Job {
            arguments: describe(plan),
            locked: Some(locked),
            ..Job::new("repair", data_dir.clone(), options.clone(), *clock, observer)
        }
    }

    /// A repair after which bars are missing that were recorded, or sessions lack symbols, is not complete.
    fn judge(&self, run: RunReport, is_damaged: bool) -> Result<RunReport, Error> {
        let lost = if self.accept_loss { 0 } else { self.data_dir.open_read()?.lost_months()? };
        let run = if lost > 0 { run.with_gaps(NextStep::MonthsNotBack(lost)) } else { run };
        let lacking = lacking_sessions(&self.data_dir, last_day(self.clock))?.len();
        let run = if lacking > 0 { run.with_gaps(NextStep::SessionsLackSymbols(lacking)) } else { run };
        Ok(if is_damaged { run.damaged() } else { run })
    }

    /// Removes quarantined files that are replaced. Returns those that remain.
    fn settle(&self, locked: &LockedDir, observer: &dyn Observer) -> Result<Vec<PathBuf>, Error> {
        let mut writer = locked.open_write(self.clock)?;
        if self.accept_loss {
            observer.notice(&Notice::LossAccepted { months: writer.accept_loss()? as u64 });
        }
        discard_replaced(&self.data_dir, &mut writer)
    }

    /// Checks whether the run will be able to begin, before any file is moved: the kind of bars, and the key.
    fn checked_kind(&self) -> Result<StoreKind, Error> {
        let stored = self.data_dir.open_read()?.kind()?;
        let requested = self.options.kind(stored);
        match stored.filter(|stored| *stored != requested) {
            Some(stored) => Err(ManifestError::OtherKind { stored, requested }.into()),
            None if requested.sandbox || self.options.key.clone().map_err(Error::Key)?.is_some() => {
                Ok(requested)
            }
            None => Err(Error::Key("there is no API key".to_owned())),
        }
    }

    /// Verifies the directory, and plans the repair of what it finds.
    fn preview(&self, others: OtherWriters, observer: &dyn Observer) -> Result<RepairPreview, Error> {
        let cuts = listing_cuts(&self.data_dir)?;
        let findings = self.verified(&cuts, others, observer)?;
        self.planned(&findings, &cuts)
    }

    /// The findings to repair. Tasks that extend beyond the last finished session are cut by the run itself, once the
    /// service confirms it.
    fn verified(
        &self,
        cuts: &ListingCuts,
        others: OtherWriters,
        observer: &dyn Observer,
    ) -> Result<Vec<Finding>, Error> {
        let saved = self.findings.as_deref();
        let deep =
            saved.map_or(DeepSelection::All, |saved| DeepSelection::Only(saved_findings::partitions(saved)));
        let listing_cuts = cuts.clone();
        let options = VerifyOptions { deep, others, listing_cuts, ..VerifyOptions::default() };
        let verified = verify_directory(&self.data_dir, &options, observer)?;
        let Verification { findings, .. } = verified;
        if findings.iter().any(|finding| finding.kind == FindingKind::ManifestCorrupt) {
            return Err(ManifestError::Corrupt("its pages do not fit together".to_owned()).into());
        }
        let Some(saved) = saved else { return Ok(findings) };
        let named =
            |finding: &Finding| saved.iter().filter_map(|one| one.part_of(finding)).collect::<Vec<_>>();
        let mut findings: Vec<_> = findings.iter().flat_map(named).collect();
        // A saved report names them on purpose, whatever the server has said.
        let absent = findings.iter_mut().filter(|finding| finding.kind.is_of_sessions());
        absent.for_each(|finding| finding.severity = Severity::Gap);
        Ok(findings)
    }

    fn planned(&self, findings: &[Finding], cuts: &ListingCuts) -> Result<RepairPreview, Error> {
        let reader = self.data_dir.open_read()?;
        let (requested, kind) = (reader.windows()?, reader.kind()?);
        let mut plan = RepairPlan::of(findings, &requested, cuts, last_day(self.clock));
        let findings = plan.count();
        plan.leave_out(&reader.pending_windows()?);
        let service = self.options.service_of(kind);
        reader.history_edge(service.as_deref())?.into_iter().for_each(|edge| plan.cut(edge));
        let due = plan.again.iter().chain(&plan.unfinished).chain(&plan.cut_away).cloned();
        let due = due.chain(plan.lost_days());
        let sessions = due.map(|(_, window)| calendar::sessions(window).count() as u64).sum();
        plan.again = request_windows::joined(&reader, &plan.again, &requested)?.into_iter().collect();
        let replaced = request_windows::joined(&reader, &plan.lost_days(), &requested)?;
        let others = plan.again.iter().chain(&plan.unfinished).chain(&plan.cut_away);
        let windows: BTreeSet<_> = replaced.into_iter().chain(others.cloned()).collect();
        let requests = request_windows::requests(&reader, &windows)?;
        let rate = self.options.rate(self.options.sandbox || kind.is_some_and(|kind| kind.sandbox));
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let seconds = rate.per_second().map(|rate| requests as f64 / rate);
        let estimate = RepairEstimate { sessions, windows: windows.len(), requests, seconds };
        let files = self.files(&plan);
        Ok(RepairPreview { plan, findings, estimate, windows, files })
    }

    /// The files that a plan moves.
    fn files(&self, plan: &RepairPlan) -> Vec<PathBuf> {
        let partition = |(symbol, month): &(Symbol, Month)| self.data_dir.partition(symbol, *month);
        let broken = plan.broken.keys().chain(plan.unknown.keys()).map(partition);
        let others = plan.strays.iter().chain(plan.unwitnessed.values().flatten()).cloned();
        broken.filter(|path| path.exists()).chain(others).collect()
    }
}

/// A description of the repair for the run's row in the manifest.
fn describe(plan: &RepairPlan) -> String {
    let (lost, again) = (plan.broken.len() as u64, plan.windows() as u64);
    format!("{} lost, {} requested again", format::plural(lost, "partition"), format::plural(again, "window"))
}
