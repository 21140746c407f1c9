//! The plan beside the manifest: `plan.jsonl` has everything that was requested, in case the manifest is lost.
//!
//! # Order
//! The schema marks the plan as out of date when anything changes that is in it, and [`Transaction::commit`] makes the
//! file durable before it commits: the file is never behind the manifest. It is replaced as a whole, so that its size
//! depends only on what is requested, not on how often that has changed.
//!
//! The manifest has the digest of the file that belongs to it. A file with another digest was written by a process that
//! crashed before its commit, or is from elsewhere, or the manifest is from a backup. Its additional requests are then
//! added.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use grab_model::{Symbol, Window};
use rusqlite::{Connection, params};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    ManifestError, ManifestReader, ManifestWriter,
    plan_file::{self, PlanRead, RecordedPlan},
    reader, rebuild, saved_settings, saved_spec, store_kind, subscriptions,
    transaction::Transaction,
};
use crate::{
    data_dir::DataDir,
    disk,
    failpoint::{CrashPoint, reached},
};

/// The name of the plan in its data directory.
pub const PLAN_NAME: &str = "plan.jsonl";

/// The suffix of the file's name while it is written.
const UNFINISHED: &str = ".new";

/// Bytes of the largest plan that is read: millions of windows.
const LARGEST: u64 = 256 << 20;

/// The plan file of a data directory.
pub struct PlanFile {
    bytes: Vec<u8>,
    digest: String,
}

/// The difference between a plan and the manifest beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanDifference {
    /// Descriptions of the file's faults.
    pub faults: Vec<String>,
    /// Days that only the plan requests.
    pub more: Vec<(Symbol, Window)>,
    /// The path of the damaged file's copy, if it was replaced.
    pub copy: Option<PathBuf>,
}

/// What the manifest has recorded of the file.
struct KnownPlanFile {
    /// The digest of the file as it was last written. None if there was nothing to write.
    digest: Option<String>,
    /// Whether that file has the same content as the manifest.
    is_current: bool,
}

impl KnownPlanFile {
    fn of(connection: &Connection) -> Result<Self, ManifestError> {
        let select =
            "SELECT xxh3, is_current AND last_task = (SELECT coalesce(max(id), 0) FROM tasks) FROM plan";
        let mut select = connection.prepare_cached(select)?;
        Ok(select.query_row([], |row| Ok(Self { digest: row.get(0)?, is_current: row.get(1)? }))?)
    }

    /// Whether this is the file that was last written.
    fn is(&self, file: Option<&PlanFile>) -> bool {
        self.digest.as_ref() == file.map(|file| &file.digest)
    }
}

impl PlanFile {
    /// Reads the file. None if it does not exist.
    ///
    /// # Errors
    /// If it exists and cannot be read.
    pub fn open(data_dir: &DataDir) -> Result<Option<Self>, ManifestError> {
        let path = data_dir.plan();
        let failed = |source| ManifestError::Io { path: path.display().to_string(), source };
        match fs::metadata(&path).map(|file| file.len()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Ok(bytes) if bytes > LARGEST => {
                return Err(failed(io::Error::other("it is too large for a plan: move it away")));
            }
            found => found.map(drop).map_err(failed)?,
        }
        fs::read(&path).map(|bytes| Some(Self::with(bytes))).map_err(failed)
    }

    fn with(bytes: Vec<u8>) -> Self {
        let digest = format!("{:016x}", xxh3_64(&bytes));
        Self { bytes, digest }
    }

    /// Returns the sound part of its content.
    #[must_use]
    pub fn read(&self) -> PlanRead {
        plan_file::read(&self.bytes)
    }
}

/// Everything that was requested according to the manifest.
fn recorded(connection: &Connection) -> Result<RecordedPlan, ManifestError> {
    let mut plan = RecordedPlan {
        kind: store_kind::kind(connection)?,
        spec: saved_spec::read(connection)?,
        settings: saved_settings::read(connection)?
            .into_iter()
            .map(|saved| (saved.setting, saved.value))
            .collect(),
        orders: subscriptions::all(connection)?,
        windows: reader::windows(connection)?.into_iter().collect(),
    };
    plan.simplify();
    Ok(plan)
}

fn is_all_asked(connection: &Connection) -> Result<bool, ManifestError> {
    Ok(connection.query_row("SELECT is_all_asked FROM plan", [], |row| row.get(0))?)
}

impl ManifestWriter {
    /// Returns whether everything that was requested is known.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn is_all_asked(&self) -> Result<bool, ManifestError> {
        is_all_asked(&self.connection)
    }

    /// Records whether everything that was requested is known.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub fn set_all_asked(&mut self, is_all_asked: bool) -> Result<(), ManifestError> {
        if self.is_all_asked()? == is_all_asked {
            return Ok(());
        }
        let change = self.begin()?;
        change.execute("UPDATE plan SET is_all_asked = ?", [is_all_asked])?;
        let (kind, reason) = if is_all_asked {
            ("plan_known", "a start has requested the rest")
        } else {
            ("plan_lost", "the manifest was rebuilt without a sound plan")
        };
        change.event(None, kind, None, reason)?;
        change.commit()
    }
}

impl Transaction<'_> {
    /// Updates the plan beside the manifest to what is requested after this transaction, as the last step before the
    /// commit. Additional requests of a file that the manifest does not know are added.
    pub(super) fn write_plan_file(&self) -> Result<PlanDifference, ManifestError> {
        let known = KnownPlanFile::of(&self.sqlite)?;
        let Some(data_dir) = self.plan_in.filter(|_| !known.is_current) else {
            return Ok(PlanDifference::default());
        };
        let file = PlanFile::open(data_dir)?;
        let mut beside = PlanDifference::default();
        let mut plan = recorded(&self.sqlite)?;
        if let Some(file) = file.as_ref().filter(|file| !known.is(Some(file))) {
            let PlanRead { plan: found, faults } = file.read();
            beside.more = found.beyond(&plan);
            self.take_up(found, &plan, &beside.more)?;
            plan = recorded(&self.sqlite)?;
            beside.copy = (!faults.is_empty()).then(|| self.save_copy(data_dir, file)).transpose()?;
            beside.faults = faults;
        }
        let digest = if plan.is_empty() && file.is_none() {
            None
        } else {
            let new = PlanFile::with(plan.encode());
            if file.is_none_or(|file| file.bytes != new.bytes) {
                write_whole(&data_dir.plan(), &new.bytes)?;
            }
            Some(new.digest)
        };
        let update =
            "UPDATE plan SET xxh3 = ?, is_current = 1, last_task = (SELECT coalesce(max(id), 0) FROM tasks)";
        self.execute(update, params![digest])?;
        Ok(beside)
    }

    /// Adds to the manifest what only the plan has.
    fn take_up(
        &self,
        found: RecordedPlan,
        recorded: &RecordedPlan,
        more: &[(Symbol, Window)],
    ) -> Result<(), ManifestError> {
        let insert = "INSERT INTO tasks (ticker, from_date, to_date, updated_at_ms) VALUES (?, ?, ?, ?)
             ON CONFLICT (ticker, from_date, to_date) DO UPDATE SET is_repair = 0";
        for (symbol, window) in more {
            let (from, to) = (window.from().to_string(), window.to().to_string());
            self.execute(insert, params![symbol.as_str(), from, to, self.now_ms])?;
        }
        for order in found.orders.iter().filter(|order| !recorded.has_order(order)) {
            self.take_over_order(order, order.planned_at_ms.is_some())?;
        }
        let unsaved =
            found.settings.into_iter().filter(|(setting, _)| !recorded.settings.contains_key(setting));
        self.tell(&unsaved.map(|(setting, value)| (setting, Some(value))).collect())?;
        if let Some(spec) = found.spec.filter(|_| recorded.spec.is_none()) {
            self.save_spec(&spec)?;
        }
        if !more.is_empty() {
            let reason = format!("{} tasks added, by {PLAN_NAME}", more.len());
            self.event(None, "planned", None, &reason)?;
        }
        Ok(())
    }

    /// Copies a file that is about to be replaced.
    fn save_copy(&self, data_dir: &DataDir, file: &PlanFile) -> Result<PathBuf, ManifestError> {
        let copy = data_dir.join(rebuild::free_name(data_dir, PLAN_NAME, self.now_ms));
        write_whole(&copy, &file.bytes)?;
        Ok(copy)
    }
}

/// Replaces a file, so that a crash at any instant leaves either the old content or all of the new one.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), ManifestError> {
    let new = unfinished(path);
    let write = || -> io::Result<()> {
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        disk::sync_file(&file, &new, || reached(CrashPoint::BeforePlan))?;
        drop(file);
        fs::rename(&new, path)?;
        disk::sync_folder(path.parent().unwrap_or(Path::new("")), || Ok(()))
    };
    write().map_err(|source| ManifestError::Plan { path: path.display().to_string(), source })
}

fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(UNFINISHED);
    name.into()
}

impl ManifestWriter {
    /// Makes sure that the plan beside the manifest is up to date: it may be of an older version, damaged, lost, or
    /// from elsewhere. Returns the difference. A plan that has not changed since it was written is not touched.
    ///
    /// # Errors
    /// If it cannot be read or written.
    pub fn check_plan(&mut self) -> Result<PlanDifference, ManifestError> {
        let Some(data_dir) = &self.plan_in else { return Ok(PlanDifference::default()) };
        match fs::remove_file(unfinished(&data_dir.plan())) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                let path = unfinished(&data_dir.plan()).display().to_string();
                return Err(ManifestError::Plan { path, source });
            }
            Ok(()) | Err(_) => {}
        }
        let file = PlanFile::open(data_dir)?;
        let known = KnownPlanFile::of(&self.connection)?;
        if known.is_current && known.is(file.as_ref()) {
            return Ok(PlanDifference::default());
        }
        let change = self.begin()?;
        change.execute("UPDATE plan SET is_current = 0", [])?;
        let beside = change.write_plan_file()?;
        change.commit()?;
        Ok(beside)
    }

    /// Records that the sound part of a plan is in this manifest, which is rebuilt for `data_dir`: the file belongs to
    /// it, until it is rewritten. Returns the path of a damaged file's copy.
    ///
    /// # Errors
    /// If the manifest, or the copy, cannot be written.
    pub fn restore_plan(
        &mut self,
        data_dir: &DataDir,
        file: &PlanFile,
    ) -> Result<Option<PathBuf>, ManifestError> {
        let change = self.begin()?;
        let is_damaged = !file.read().faults.is_empty();
        let copy = is_damaged.then(|| change.save_copy(data_dir, file)).transpose()?;
        change.execute("UPDATE plan SET xxh3 = ?", [&file.digest])?;
        change.commit()?;
        Ok(copy)
    }
}

impl ManifestReader {
    /// Compares a plan with the manifest.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn compare(&self, file: &PlanFile) -> Result<PlanDifference, ManifestError> {
        if KnownPlanFile::of(self.connection())?.is(Some(file)) {
            return Ok(PlanDifference::default());
        }
        let PlanRead { plan, faults } = file.read();
        let more = plan.beyond(&recorded(self.connection())?);
        Ok(PlanDifference { faults, more, copy: None })
    }

    /// Returns whether everything that was requested is known.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn is_all_asked(&self) -> Result<bool, ManifestError> {
        is_all_asked(self.connection())
    }

    /// Returns everything that was requested.
    ///
    /// # Errors
    /// If the manifest cannot be read, or has an invalid row.
    pub fn plan(&self) -> Result<RecordedPlan, ManifestError> {
        recorded(self.connection())
    }
}
