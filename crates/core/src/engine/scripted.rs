//! For tests: a source in memory that follows a script, and a run of it on a paused clock.
//!
//! While the manifest's thread writes, all tasks may be waiting, and a paused clock then jumps to the next timer. So
//! tests check order, requests and outcomes exactly, and times only as lower bounds.

use std::{
    sync::{Arc, Mutex, OnceLock},
    thread::JoinHandle,
    time::Duration,
};

use grab_model::{Bar, Bars, Cursor, DayBar, Rate, Symbol, Window, calendar, new_york};
use jiff::civil::{Date, date};
use tempfile::TempDir;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::{
    AbsenceAnswer, AbsenceQuestion, FetchedLists, MarketDayTally, ReferenceRequests, RunContext, RunCounters,
    Stop, StopReason, ask_about_absences, fetch_lists, fetch_market, run,
};
use crate::{
    clock::Clock,
    data_dir::DataDir,
    manifest::{ManifestReader, ManifestWriter, TaskState, WriterHandle},
    pace::{LearnedPace, Pacer, RetryPolicy},
    source::{
        BarsPage, BarsRequest, ClosedDay, FetchError, ListPage, ListRows, Lookup, LookupAnswer, MarketDay,
        MarketSource, PagePosition, ReferenceList, ReferenceSource, ResponseMismatch, Source,
    },
    store::BarStore,
};

/// How a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScriptedFault {
    NoConnection,
    Status503,
    TooMany,
    Redirect,
    Mismatch,
    CursorForgets,
    BadRequest,
    KeyRefused,
    NotYet,
    NotEntitled,
    Timeframe,
    NotFound,
    UnknownRoute,
}

impl ScriptedFault {
    pub(super) fn error(self) -> FetchError {
        let words = Some("as the script has it".to_owned());
        match self {
            Self::NoConnection => FetchError::ProxyRefused { words },
            Self::Status503 => FetchError::Status { status: 503, words },
            Self::TooMany => FetchError::TooManyRequests { retry_after: None, words },
            Self::Redirect => FetchError::Redirected { status: 302, to: None },
            Self::Mismatch => ResponseMismatch::Count { counted: 1, found: 0 }.into(),
            Self::CursorForgets => ResponseMismatch::Adjusted { requested: false, answered: None }.into(),
            Self::BadRequest => FetchError::BadRequest { status: 400, words },
            Self::KeyRefused => FetchError::KeyRefused { words },
            Self::NotYet => FetchError::NotYet { words },
            Self::NotEntitled => FetchError::NotEntitled { words },
            Self::Timeframe => FetchError::Timeframe { words },
            Self::NotFound => FetchError::NotFound { words },
            Self::UnknownRoute => FetchError::UnknownRoute { words },
        }
    }
}

/// What a script knows about a request.
pub(super) struct ScriptedRequest<'a> {
    /// What is requested, such as `page T3`, `day SPY 2024-01-03` (a page of one day), `control`, `market 2024-01-03`, `list splits`,
    /// `details T3` or `closures`.
    pub(super) what: &'a str,
    /// The window of a page.
    pub(super) window: Option<Window>,
    /// How many requests were sent before.
    pub(super) number: usize,
    /// The time since the first request.
    pub(super) at: Duration,
}

type Script = dyn Fn(ScriptedRequest<'_>) -> Option<ScriptedFault> + Send + Sync;

/// The first day on which a symbol has bars. None if it has none.
type FirstBars = dyn Fn(&Symbol) -> Option<Date> + Send + Sync;

/// A source in memory. Where the script has no fault, it answers well.
#[derive(Clone)]
pub(super) struct ScriptedSource {
    script: Arc<Script>,
    first_bars: Arc<FirstBars>,
    /// A response to the first is held back until the second has happened.
    order: Arc<Vec<(&'static str, &'static str)>>,
    /// What has happened: `sent page T3`, `read page T3`.
    events: watch::Sender<Vec<String>>,
    begin: Arc<OnceLock<Instant>>,
    log: Arc<Mutex<Vec<Entry>>>,
}

#[derive(Clone, Debug)]
struct Entry {
    at: Duration,
    what: String,
    fault: Option<ScriptedFault>,
}

impl ScriptedSource {
    pub(super) fn new(
        script: impl Fn(ScriptedRequest<'_>) -> Option<ScriptedFault> + Send + Sync + 'static,
    ) -> Self {
        Self {
            script: Arc::new(script),
            first_bars: Arc::new(|_| None),
            order: Arc::default(),
            events: watch::Sender::default(),
            begin: Arc::default(),
            log: Arc::default(),
        }
    }

    /// With a bar on each session of a symbol from a day on.
    pub(super) fn with_bars(self, first: impl Fn(&Symbol) -> Option<Date> + Send + Sync + 'static) -> Self {
        Self { first_bars: Arc::new(first), ..self }
    }

    /// With responses in an order. For each pair, the response to a request whose name begins like the first comes only after an
    /// event that begins like the second: `sent …`, or `read …` for a page that was decoded. The first may also be a `read …`: then
    /// the response has come, and decoding waits.
    pub(super) fn with_order(self, order: &[(&'static str, &'static str)]) -> Self {
        Self { order: Arc::new(order.to_vec()), ..self }
    }

    /// Waits until what must come before has happened.
    async fn hold_back(&self, what: &str) {
        for (_, after) in self.order.iter().filter(|(held_back, _)| what.starts_with(held_back)) {
            let has_happened = |events: &Vec<String>| events.iter().any(|event| event.starts_with(after));
            self.events.subscribe().wait_for(has_happened).await.unwrap();
        }
    }

    fn note(&self, event: String) {
        self.events.send_modify(|events| events.push(event));
    }

    /// What was requested, in this order.
    pub(super) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().iter().map(|entry| entry.what.clone()).collect()
    }

    /// When everything was requested, and how it failed, for messages.
    pub(super) fn story(&self) -> String {
        let line = |entry: &Entry| {
            let fault = entry.fault.map(|fault| format!(" {fault:?}")).unwrap_or_default();
            format!("{:.2} {}{fault}", entry.at.as_secs_f64(), entry.what)
        };
        self.log.lock().unwrap().iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// The number of requests whose name begins like this.
    pub(super) fn requested(&self, begin: &str) -> usize {
        self.log().iter().filter(|what| what.starts_with(begin)).count()
    }

    /// Performs one request, which takes a hundredth of a second.
    async fn request(&self, what: String) -> Result<(), FetchError> {
        self.request_within(what, None).await
    }

    async fn request_within(&self, what: String, window: Option<Window>) -> Result<(), FetchError> {
        let fault = {
            let mut log = self.log.lock().unwrap();
            let at = self.begin.get_or_init(Instant::now).elapsed();
            let fault = (self.script)(ScriptedRequest { what: &what, window, number: log.len(), at });
            log.push(Entry { at, what: what.clone(), fault });
            fault
        };
        self.note(format!("sent {what}"));
        sleep(Duration::from_millis(10)).await;
        self.hold_back(&what).await;
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }
}

/// The name of a request for a page.
fn name(question: &BarsRequest) -> String {
    let BarsRequest { symbol, window } = question;
    if window.days() == 1 { format!("day {symbol} {}", window.from()) } else { format!("page {symbol}") }
}

/// A bar on each session of a window from a day on.
fn bars_from(first: Option<Date>, window: Window) -> Bars {
    let window = first.and_then(|first| Window::new(window.from().max(first), window.to()));
    let mut bars = Bars::default();
    for session in window.into_iter().flat_map(calendar::sessions) {
        bars.push(Bar {
            timestamp: new_york::at_ms(session.date(), 9, 30),
            open: 1.0,
            high: 1.0,
            low: 1.0,
            close: 1.0,
            volume: 1.0,
            vwap: None,
            transactions: None,
        });
    }
    bars
}

fn now_ms() -> i64 {
    Clock::system().now_ms()
}

impl Source for ScriptedSource {
    type Answer = ();

    async fn ask(&self, question: &BarsRequest, _: &PagePosition) -> Result<(), FetchError> {
        self.request_within(name(question), Some(question.window)).await
    }

    async fn read(&self, question: &BarsRequest, (): ()) -> Result<BarsPage, FetchError> {
        let event = format!("read {}", name(question));
        self.hold_back(&event).await;
        self.note(event);
        Ok(BarsPage {
            bars: bars_from((self.first_bars)(&question.symbol), question.window),
            next: None,
            request_id: None,
            status: "OK".to_owned(),
            bytes: 1,
            as_of_ms: now_ms(),
        })
    }

    async fn control(&self) -> Result<(), FetchError> {
        self.request("control".to_owned()).await
    }
}

impl MarketSource for ScriptedSource {
    async fn market_day(&self, day: Date) -> Result<MarketDay, FetchError> {
        self.request(format!("market {day}")).await?;
        let bar = DayBar {
            symbol: "A".parse().unwrap(),
            open: 1.0,
            high: 1.0,
            low: 1.0,
            close: 1.0,
            volume: 1.0,
            vwap: None,
            transactions: None,
        };
        Ok(MarketDay { bars: vec![bar], skipped: 0, request_id: None, bytes: 1, as_of_ms: now_ms() })
    }
}

impl ReferenceSource for ScriptedSource {
    async fn list_page(&self, list: ReferenceList, _: Option<&Cursor>) -> Result<ListPage, FetchError> {
        self.request(format!("list {}", list.as_str())).await?;
        let rows = match list {
            ReferenceList::Active | ReferenceList::Left => ListRows::Listings(Vec::new()),
            ReferenceList::Splits | ReferenceList::OldSplits => ListRows::Splits(Vec::new()),
        };
        Ok(ListPage { rows, bad_symbols: 0, bad_days: 0, nonsense: 0, next: None, bytes: 1 })
    }

    async fn look_up(&self, lookup: &Lookup) -> Result<LookupAnswer, FetchError> {
        self.request(format!("details {}", lookup.ticker())).await?;
        let (active, renames) = (Some(true), Vec::new());
        Ok(LookupAnswer { listed: None, active, left: None, renames, nonsense: 0, bytes: 1 })
    }

    async fn closed_days(&self) -> Result<(Vec<ClosedDay>, u64), FetchError> {
        self.request("closures".to_owned()).await?;
        Ok((Vec::new(), 1))
    }
}

/// A data directory, and the context of a run in it.
pub(super) struct World {
    dir: TempDir,
    pub(super) context: RunContext,
    thread: JoinHandle<()>,
}

impl World {
    /// Without a rate limit, with eight attempts within ten minutes, and this many workers.
    pub(super) fn new(workers: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (data_dir, clock) = (DataDir::new(dir.path()), Clock::system());
        let mut writer = ManifestWriter::open(&data_dir, clock).unwrap();
        writer.begin_run("start", "").unwrap();
        let (manifest, thread) = WriterHandle::start(writer);
        let retry_policy = RetryPolicy { max_attempts: 8, max_time: Duration::from_mins(10) };
        let context = RunContext {
            store: BarStore::new(data_dir, false, "test".to_owned()),
            manifest,
            pacer: Arc::new(Pacer::new(Rate::Unlimited, LearnedPace::default())),
            rate: Rate::Unlimited,
            retry_policy,
            workers,
            max_requests: None,
            service: None,
            clock,
            random: fastrand::Rng::with_seed(7),
            counters: Arc::new(RunCounters::default()),
            stop: Stop::default(),
        };
        Self { dir, context, thread }
    }

    /// With tasks for these windows, behind a service whose plan may have a beginning.
    pub(super) async fn with_tasks(mut self, tasks: Vec<(Symbol, Window)>) -> Self {
        self.context.service = Some("service".to_owned());
        self.context.clock = Clock::starting_at("2026-12-01T03:00:00Z".parse().unwrap());
        self.context.manifest.call(move |writer| writer.add_tasks(&tasks).map(|_| ())).await.unwrap();
        self
    }

    /// What the manifest has.
    pub(super) fn reader(&self) -> ManifestReader {
        DataDir::new(self.dir.path()).open_read().unwrap()
    }

    /// With this many attempts.
    pub(super) fn with_attempts(mut self, attempts: u32) -> Self {
        self.context.retry_policy.max_attempts = attempts;
        self
    }
}

/// A kind of job. Each has the same number of items when it is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Tasks,
    Lookups,
    MarketDays,
    Absences,
}

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::Tasks, Self::Lookups, Self::MarketDays, Self::Absences];

    /// The name of an item's requests in scripts.
    pub(super) fn item(self, number: usize) -> String {
        match self {
            Self::Tasks => format!("page {}", symbol(number)),
            Self::Lookups | Self::Absences => format!("details {}", symbol(number)),
            Self::MarketDays => format!("market {}", day(number)),
        }
    }
}

pub(super) fn symbol(number: usize) -> Symbol {
    format!("T{number}").parse().unwrap()
}

/// Sessions, one after the other.
fn day(number: usize) -> Date {
    let year = Window::new(date(2024, 1, 2), date(2024, 12, 31)).unwrap();
    calendar::sessions(year).nth(number).unwrap().date()
}

/// The result of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct JobEnd {
    /// Items that were answered.
    pub(super) answered: usize,
    /// Items that were given up.
    pub(super) given_up: usize,
    /// Items that a later run will request.
    pub(super) outstanding: usize,
}

/// Runs a job of `items` items of a kind. Returns its result, and why it was stopped, if it was.
pub(super) async fn fetch(
    kind: Kind,
    source: &ScriptedSource,
    items: usize,
    world: World,
) -> (JobEnd, Option<StopReason>) {
    let World { dir, context, thread } = world;
    let stop = context.stop.clone();
    let (answered, given_up) = match kind {
        Kind::Tasks => fetch_tasks(source, items, context, &dir).await,
        Kind::Lookups => {
            let lookups = (0..items).map(|n| (Lookup::Details(symbol(n), None), symbol(n).to_string()));
            let wanted = ReferenceRequests { lookups: lookups.collect(), ..ReferenceRequests::default() };
            let FetchedLists { answered, failed, .. } =
                fetch_lists(source.clone(), wanted, context).await.unwrap();
            (count(answered), count(failed))
        }
        Kind::MarketDays => {
            let days = (0..items).map(day).collect();
            let MarketDayTally { kept, failed, .. } =
                fetch_market(source.clone(), days, None, context).await.unwrap();
            (kept.len(), count(failed))
        }
        Kind::Absences => {
            let questions = (0..items).map(|n| AbsenceQuestion::Silent {
                symbol: symbol(n),
                last_session: day(0),
                asks_of_the_past: false,
            });
            let answers: Vec<AbsenceAnswer> =
                ask_about_absences(source.clone(), questions.collect(), context.clone()).await.unwrap();
            // Those that were given up have no answer.
            let settled = count(context.counters.snapshot().tasks);
            // Its thread ends with the last handle to the manifest.
            drop(context);
            (answers.len(), settled - answers.len())
        }
    };
    thread.join().unwrap();
    (JobEnd { answered, given_up, outstanding: items - answered - given_up }, stop.reason())
}

async fn fetch_tasks(
    source: &ScriptedSource,
    items: usize,
    context: RunContext,
    dir: &TempDir,
) -> (usize, usize) {
    let window = Window::new(date(2024, 1, 2), date(2024, 1, 31)).unwrap();
    let tasks: Vec<_> = (0..items).map(|n| (symbol(n), window)).collect();
    context.manifest.call(move |writer| writer.add_tasks(&tasks).map(|_| ())).await.unwrap();
    run(source.clone(), context).await.unwrap();
    let tasks = DataDir::new(dir.path()).open_read().unwrap().tasks().unwrap();
    let count = |state| tasks.iter().filter(|task| task.state == state).count();
    assert_eq!(count(TaskState::Running), 0, "each was given back");
    (count(TaskState::Empty), count(TaskState::Failed))
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap()
}
