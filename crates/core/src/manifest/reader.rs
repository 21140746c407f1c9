//! All statements that only read.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use grab_model::{Month, Partition, Symbol, Window};
use jiff::civil::Date;
use rusqlite::Connection;

use super::{
    ManifestError, TaskState, Workload, lock,
    read_connection::{self, ReadConnection},
    rebuild::REBUILT,
    rows,
};
use crate::data_dir::DataDir;

/// A read-only view of a manifest, also while another process writes it.
///
/// A task that a crashed process left running is shown as pending.
pub struct ManifestReader {
    reading: ReadConnection,
    data_dir: DataDir,
    is_live: bool,
    holder: Option<u32>,
}

/// One task as `status --tickers` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskItem {
    /// The symbol.
    pub symbol: Symbol,
    /// The requested days.
    pub window: Window,
    /// Its state.
    pub state: TaskState,
    /// Bars stored.
    pub bars: u64,
    /// Pages stored.
    pub pages: u64,
    /// The page to request next.
    pub cursor: Option<String>,
    /// Failed attempts at that page.
    pub attempts: u64,
    /// The last error, if no page was stored after it.
    pub last_error: Option<String>,
    /// The response of a repair that requested the task again to its end.
    pub asked_again: Option<AnsweredAt>,
    /// The first and the last bar that the server is recorded to have sent for it, UTC ms.
    pub sent_ms: Option<(i64, i64)>,
    /// When it ended, UTC ms. None if it has not ended.
    pub ended_ms: Option<i64>,
    /// When the first page of its last traversal was stored, UTC ms; if that is not known, when it ended.
    pub begun_ms: Option<i64>,
    /// Whether it is a rolling task, which updates extend.
    pub is_rolling: bool,
    /// Whether it requests days again that other tasks have requested.
    pub is_repair: bool,
}

/// When the server responded, and its id of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnsweredAt {
    /// UTC ms.
    pub at_ms: i64,
    /// As the server sent it, if it did.
    pub request_id: Option<String>,
}

impl ManifestReader {
    /// Opens the manifest of `data_dir`.
    ///
    /// # Errors
    /// [`ManifestError::Missing`] if nothing was ever started there; else if it cannot be read.
    pub(super) fn open(data_dir: &DataDir) -> Result<Self, ManifestError> {
        let is_live = lock::is_held(data_dir);
        let holder = lock::holder_of(data_dir).filter(|_| is_live);
        let reading = read_connection::open_to_read(data_dir)?;
        // Everything is read from one snapshot, which the first statement takes.
        reading.connection.execute_batch("BEGIN")?;
        Ok(Self { reading, data_dir: data_dir.to_owned(), is_live, holder })
    }

    /// Whether a process holds the lock of the directory.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.is_live
    }

    /// The id of that process, if it is known.
    pub(super) fn holder(&self) -> Option<u32> {
        self.holder
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.reading.connection
    }

    /// Whether the manifest was opened as immutable.
    pub(super) fn is_immutable(&self) -> bool {
        self.reading.is_still
    }

    pub(super) fn data_dir(&self) -> &DataDir {
        &self.data_dir
    }

    /// The number of tasks in each state.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn counts(&self) -> Result<Workload, ManifestError> {
        let mut counts = counts(self.connection())?;
        if !self.is_live {
            counts = counts.all_released();
        }
        Ok(counts)
    }

    /// The requested windows of each symbol.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn windows(&self) -> Result<HashMap<Symbol, Vec<Window>>, ManifestError> {
        windows(self.connection())
    }

    /// The windows of each symbol whose tasks, of either kind, have not ended.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn pending_windows(&self) -> Result<HashMap<Symbol, Vec<Window>>, ManifestError> {
        let select =
            "SELECT ticker, from_date, to_date FROM tasks WHERE state IN ('pending', 'running') ORDER BY id";
        windows_of(self.connection(), select)
    }

    /// The number of requested tasks for each window in each state, as they are recorded.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn counts_by_window(&self) -> Result<BTreeMap<Window, BTreeMap<TaskState, u64>>, ManifestError> {
        let select = "SELECT from_date, to_date, state, count(*) FROM tasks WHERE NOT is_repair GROUP BY from_date, to_date, state";
        let mut select = self.connection().prepare(select)?;
        let mut found = select.query([])?;
        let mut counts: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        while let Some(row) = found.next()? {
            let window = rows::window(&row.get::<_, String>(0)?, &row.get::<_, String>(1)?)?;
            let state = row.get::<_, String>(2)?.parse()?;
            counts.entry(window).or_default().insert(state, row.get(3)?);
        }
        Ok(counts)
    }

    /// The symbols that have a partition or a task, in order.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn symbols(&self) -> Result<Vec<Symbol>, ManifestError> {
        let mut select = self
            .connection()
            .prepare_cached("SELECT ticker FROM partitions UNION SELECT ticker FROM tasks ORDER BY ticker")?;
        let texts = select.query_map([], |row| row.get::<_, String>(0))?;
        texts.map(|text| rows::symbol(&text?)).collect()
    }

    /// The partitions of a symbol, by month.
    ///
    /// # Errors
    /// If the manifest cannot be read, or has an invalid row.
    pub fn partitions(&self, symbol: &Symbol) -> Result<Vec<Partition>, ManifestError> {
        let select = "SELECT month, bars, first_ms, last_ms, bytes, xxh3, session_mask, session_bars
                      FROM partitions WHERE ticker = ? ORDER BY month";
        let mut select = self.connection().prepare_cached(select)?;
        let mut found = select.query([symbol.as_str()])?;
        let mut partitions = Vec::new();
        while let Some(row) = found.next()? {
            partitions.push(rows::partition(symbol, row)?);
        }
        self.with_rewritten(symbol, &mut partitions)?;
        Ok(partitions)
    }

    /// The symbols that have tasks but no partition, in order.
    ///
    /// # Errors
    /// If the manifest cannot be read, or has an invalid row.
    pub fn symbols_without_bars(&self) -> Result<Vec<Symbol>, ManifestError> {
        let select = "SELECT DISTINCT ticker FROM tasks
                      WHERE NOT EXISTS (SELECT 1 FROM partitions WHERE partitions.ticker = tasks.ticker) ORDER BY ticker";
        let mut select = self.connection().prepare_cached(select)?;
        let mut found = select.query([])?;
        let mut symbols = Vec::new();
        while let Some(row) = found.next()? {
            symbols.push(rows::symbol(&row.get::<_, String>(0)?)?);
        }
        Ok(symbols)
    }

    /// The symbols for which all windows were fetched to their end without any bar: their number, and the first `limit`
    /// in the order of work.
    ///
    /// # Errors
    /// If the manifest cannot be read, or has an invalid row.
    pub fn answered_without_bars(&self, limit: usize) -> Result<(u64, Vec<Symbol>), ManifestError> {
        let select =
            "SELECT ticker FROM tasks WHERE ticker IN (SELECT ticker FROM tasks WHERE state = 'empty')
                      GROUP BY ticker HAVING max(state NOT IN ('empty', 'not_found')) = 0
                          AND NOT EXISTS (SELECT 1 FROM partitions WHERE partitions.ticker = tasks.ticker)
                      ORDER BY min(id)";
        let mut select = self.connection().prepare_cached(select)?;
        let mut found = select.query([])?;
        let (mut count, mut symbols) = (0, Vec::new());
        while let Some(row) = found.next()? {
            count += 1;
            if symbols.len() < limit {
                symbols.push(rows::symbol(&row.get::<_, String>(0)?)?);
            }
        }
        Ok((count, symbols))
    }

    /// The sessions with bars of each symbol since a month, at least those of the last month that has any and of the
    /// month before.
    ///
    /// # Errors
    /// If the manifest cannot be read, or has an invalid row.
    pub fn last_sessions(&self, first: Month) -> Result<Vec<(Symbol, BTreeSet<Date>)>, ManifestError> {
        // The index goes from ticker to ticker: months that are not requested are not read.
        let select = "WITH RECURSIVE tickers (ticker) AS (
                SELECT min(ticker) FROM partitions
                UNION ALL
                SELECT (SELECT min(ticker) FROM partitions WHERE ticker > tickers.ticker)
                FROM tickers WHERE ticker IS NOT NULL)
            SELECT p.ticker, p.month, p.session_mask FROM tickers CROSS JOIN partitions AS p
            WHERE p.ticker = tickers.ticker AND p.month >= min(?, (
                SELECT strftime('%Y-%m', max(month) || '-01', '-1 month') FROM partitions
                WHERE ticker = tickers.ticker))
            ORDER BY p.ticker, p.month";
        let mut select = self.connection().prepare_cached(select)?;
        let mut found = select.query([first.to_string()])?;
        let mut sessions: Vec<(Symbol, BTreeSet<Date>)> = Vec::new();
        while let Some(row) = found.next()? {
            let (ticker, text): (String, String) = (row.get(0)?, row.get(1)?);
            let wrong = || ManifestError::Corrupt(format!("a partition's month: {text}"));
            let month = Month::parse(&text).ok_or_else(wrong)?;
            if sessions.last().is_none_or(|(symbol, _)| symbol.as_str() != ticker) {
                let wrong = |_| ManifestError::Corrupt(format!("a partition's ticker: {ticker}"));
                sessions.push((ticker.parse().map_err(wrong)?, BTreeSet::new()));
            }
            let mask = row.get(2)?;
            if let Some((_, days)) = sessions.last_mut() {
                days.extend(month.days(mask));
            }
        }
        Ok(sessions)
    }

    /// When the last update ended (UTC ms), and the last session that updates have requested. None if there was no
    /// update.
    ///
    /// # Errors
    /// If the manifest cannot be read, or has an invalid row.
    pub fn updated(&self) -> Result<Option<(i64, Date)>, ManifestError> {
        let select = "SELECT (SELECT max(ended_at_ms) FROM runs WHERE command = 'update'),
                          (SELECT max(to_date) FROM tasks WHERE is_tail)";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let (ended_ms, to): (Option<i64>, Option<String>) = self.connection().query_row(select, [], read)?;
        let wrong = |text: &String| ManifestError::Corrupt(format!("a task's last day: {text}"));
        let to = to.map(|to| to.parse::<Date>().map_err(|_| wrong(&to))).transpose()?;
        Ok(ended_ms.zip(to))
    }

    /// Bars in quarantine.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn quarantined(&self) -> Result<u64, ManifestError> {
        Ok(self.connection().query_row("SELECT count(*) FROM quarantine", [], |row| row.get(0))?)
    }

    /// Every task, in the order of work.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn tasks(&self) -> Result<Vec<TaskItem>, ManifestError> {
        self.select_tasks("ORDER BY id")
    }

    /// The tasks of one symbol, in the order of work, as they are recorded: one that a crashed process had leased is
    /// running.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn tasks_of(&self, symbol: &Symbol) -> Result<Vec<TaskItem>, ManifestError> {
        // A symbol has no character that SQL would need quoted; `SymbolError` lists the allowed ones.
        self.recorded_tasks(&format!("WHERE ticker = '{symbol}' ORDER BY id"))
    }

    /// The first `limit` tasks in one of `states`.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn first_tasks(&self, states: &[TaskState], limit: usize) -> Result<Vec<TaskItem>, ManifestError> {
        let names: Vec<_> = states.iter().map(|state| format!("'{state}'")).collect();
        self.select_tasks(&format!("WHERE state IN ({}) ORDER BY id LIMIT {limit}", names.join(", ")))
    }

    fn select_tasks(&self, which: &str) -> Result<Vec<TaskItem>, ManifestError> {
        let mut items = self.recorded_tasks(which)?;
        if !self.is_live {
            let left = items.iter_mut().filter(|item| item.state == TaskState::Running);
            left.for_each(|item| item.state = TaskState::Pending);
        }
        Ok(items)
    }

    fn recorded_tasks(&self, which: &str) -> Result<Vec<TaskItem>, ManifestError> {
        let sql = format!(
            "SELECT ticker, from_date, to_date, state, bars, pages, cursor, attempts, last_error,
                 iif(asked_again AND state IN ('done', 'empty'), updated_at_ms, NULL),
                 iif(asked_again, (SELECT request_id FROM pages WHERE task_id = tasks.id ORDER BY number DESC LIMIT 1), NULL),
                 (SELECT min(first_ms) FROM pages WHERE task_id = tasks.id AND status <> '{REBUILT}'),
                 (SELECT max(last_ms) FROM pages WHERE task_id = tasks.id AND status <> '{REBUILT}'),
                 iif(state IN ('pending', 'running'), NULL, updated_at_ms), is_tail,
                 iif(state IN ('pending', 'running'), NULL, coalesce(begun_at_ms, updated_at_ms)), is_repair
             FROM tasks {which}"
        );
        let mut select = self.connection().prepare(&sql)?;
        let mut found = select.query([])?;
        let mut items = Vec::new();
        while let Some(row) = found.next()? {
            items.push(task_item(row)?);
        }
        Ok(items)
    }
}

fn task_item(row: &rusqlite::Row<'_>) -> Result<TaskItem, ManifestError> {
    Ok(TaskItem {
        symbol: rows::symbol(&row.get::<_, String>(0)?)?,
        window: rows::window(&row.get::<_, String>(1)?, &row.get::<_, String>(2)?)?,
        state: row.get::<_, String>(3)?.parse()?,
        bars: row.get(4)?,
        pages: row.get(5)?,
        cursor: row.get(6)?,
        attempts: row.get(7)?,
        last_error: row.get(8)?,
        asked_again: answer(row.get(9)?, row.get(10)?),
        sent_ms: row.get::<_, Option<i64>>(11)?.zip(row.get(12)?),
        ended_ms: row.get(13)?,
        is_rolling: row.get(14)?,
        begun_ms: row.get(15)?,
        is_repair: row.get(16)?,
    })
}

fn answer(at_ms: Option<i64>, request_id: Option<String>) -> Option<AnsweredAt> {
    at_ms.map(|at_ms| AnsweredAt { at_ms, request_id })
}

pub(super) fn counts(connection: &Connection) -> Result<Workload, ManifestError> {
    let mut workload = Workload::default();
    each_state(connection, "SELECT state, count(*) FROM tasks GROUP BY state", |state, tasks| {
        workload.tasks.add(state, tasks);
    })?;
    // Both statements use an index: repairs are few.
    each_state(
        connection,
        "SELECT state, count(*) FROM tasks WHERE is_repair GROUP BY state",
        |state, tasks| {
            workload.tasks.take(state, tasks);
            workload.repairs.add(state, tasks);
        },
    )?;
    Ok(workload)
}

fn each_state(
    connection: &Connection,
    select: &str,
    mut each: impl FnMut(TaskState, u64),
) -> Result<(), ManifestError> {
    let mut select = connection.prepare_cached(select)?;
    let mut found = select.query([])?;
    while let Some(row) = found.next()? {
        each(row.get::<_, String>(0)?.parse()?, row.get(1)?);
    }
    Ok(())
}

pub(super) fn windows(connection: &Connection) -> Result<HashMap<Symbol, Vec<Window>>, ManifestError> {
    windows_of(connection, "SELECT ticker, from_date, to_date FROM tasks WHERE NOT is_repair")
}

fn windows_of(connection: &Connection, select: &str) -> Result<HashMap<Symbol, Vec<Window>>, ManifestError> {
    let mut select = connection.prepare(select)?;
    let mut found = select.query([])?;
    let mut windows: HashMap<_, Vec<_>> = HashMap::new();
    while let Some(row) = found.next()? {
        let symbol = rows::symbol(&row.get::<_, String>(0)?)?;
        let window = rows::window(&row.get::<_, String>(1)?, &row.get::<_, String>(2)?)?;
        windows.entry(symbol).or_default().push(window);
    }
    Ok(windows)
}
