//! Figures about the last update, for alerts.

use grab_core::{
    clock::Clock,
    data_dir::DataDir,
    exit::ExitStatus,
    manifest::{Holdings, ManifestReader, RunItem, TaskState},
    store::reference,
    update::{SessionVerdict, UpdateCutoff},
};
use grab_model::universe::Universe;

/// How many runs are searched for the last successful one.
const RUNS: usize = 1_000;

/// What is known about the last update. What cannot be read is left out: the exit code is always there.
#[derive(Debug)]
pub struct UpdateMetrics {
    /// How the last update ended.
    pub exit: ExitStatus,
    /// When it ended, UTC ms.
    pub ended_ms: i64,
    /// When an update last ended complete, UTC ms.
    pub completed_ms: Option<i64>,
    /// The run of the last update.
    pub run: Option<RunItem>,
    /// The number of tasks by state.
    pub tasks: Option<Vec<(TaskState, u64)>>,
    /// When the lists of tickers were last fetched, UTC ms.
    pub synced_ms: Option<i64>,
    /// What is stored.
    pub holdings: Option<Holdings>,
    /// The last session that should be there.
    pub session: Option<SessionMetrics>,
}

/// Figures about the last session that should be there, not about the newest bar: a silent source has none.
#[derive(Clone, Copy, Debug)]
pub struct SessionMetrics {
    /// Symbols with bars on it.
    pub symbols: u64,
    /// The share of the regular symbols that have bars on it.
    pub regular_share: f64,
    /// Sessions that lack symbols.
    pub lacking: u64,
}

impl UpdateMetrics {
    /// Reads the figures. `exit` is how the last update ended, and `cutoff` has the last session that should be there.
    #[must_use]
    pub fn read(data_dir: &DataDir, cutoff: Option<&UpdateCutoff>, exit: ExitStatus, clock: Clock) -> Self {
        let reader = data_dir.open_read().ok();
        let reader = reader.as_ref();
        let runs = reader.and_then(|reader| reader.runs(RUNS).ok()).unwrap_or_default();
        let mut updates = runs.into_iter().filter(|run| run.command == "update").peekable();
        let run = updates.peek().cloned();
        let mut completed = updates.filter(|run| run.exit == Some(ExitStatus::Complete));
        let universe = || reference::read_universe(data_dir).ok().flatten().unwrap_or_default();
        Self {
            exit,
            ended_ms: run.as_ref().and_then(|run| run.ended_at_ms).unwrap_or(clock.now_ms()),
            completed_ms: completed.next().and_then(|run| run.ended_at_ms),
            run,
            tasks: reader.and_then(tasks),
            synced_ms: reader.and_then(|reader| reader.last_sync_ms("tickers").ok().flatten()),
            holdings: reader.and_then(|reader| reader.holdings().ok()),
            session: reader.zip(cutoff).and_then(|(reader, cutoff)| session(reader, &universe(), cutoff)),
        }
    }
}

fn tasks(reader: &ManifestReader) -> Option<Vec<(TaskState, u64)>> {
    let counts = reader.counts_by_window().ok()?;
    let of = |state: TaskState| counts.values().filter_map(|states| states.get(&state)).sum();
    Some(TaskState::ALL.map(|state| (state, of(state))).to_vec())
}

fn session(reader: &ManifestReader, universe: &Universe, cutoff: &UpdateCutoff) -> Option<SessionMetrics> {
    let verdict = SessionVerdict::of(reader, universe, cutoff).ok()?;
    let last = verdict.last().copied().unwrap_or_default();
    Some(SessionMetrics {
        symbols: last.symbols,
        regular_share: last.regular_share().unwrap_or(1.0),
        lacking: verdict.lacking.len() as u64,
    })
}
