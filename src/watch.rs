//! `grab status --watch`: a live view of a directory, also of a run in another terminal. Only reads.

mod screen;
mod view;

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use grab_core::{
    clock::Clock,
    data_dir::DataDir,
    exit::ExitStatus,
    manifest::{ManifestError, ReportedFailure, StatusPoller, StatusSnapshot},
};
use grab_ops::{Error as Failure, RecentPace, read_time};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc::UnboundedReceiver,
    time::{self, MissedTickBehavior},
};

use self::{
    screen::{Screen, keys},
    view::View,
};
use super::output::Output;

/// Polling more often shows nothing more, and costs.
const LEAST_INTERVAL: Duration = Duration::from_millis(100);

/// The number of recent failures that are kept.
const KEPT_TROUBLES: usize = 20;

/// How many polls may fail in a row: a manifest that is being rebuilt is missing for an instant.
const FAILED_AT_MOST: u32 = 5;

/// Shows the directory until a key or a signal ends it.
///
/// # Errors
/// If nothing was ever started there, the manifest cannot be read, or the interval is not valid.
pub fn run(data_dir: &DataDir, interval: &str, clock: Clock, output: Output) -> Result<ExitStatus, Failure> {
    if output.is_json() {
        let reason = "--watch is for people: --json prints one object, without --watch";
        return Err(Failure::Usage(reason.to_owned()));
    }
    let wrong = |why| Failure::Usage(format!("--interval: {why}"));
    let interval = read_time(interval).map_err(wrong)?;
    if interval < LEAST_INTERVAL {
        return Err(wrong(format!("at least {}ms", LEAST_INTERVAL.as_millis())));
    }
    let mut shown = WatchState::new(data_dir, clock);
    // Before the terminal is changed: an initial failure is an error like any other.
    shown.look()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(shown.follow(interval))
}

/// The state of the view.
struct WatchState<'a> {
    data_dir: &'a DataDir,
    clock: Clock,
    watcher: StatusPoller,
    pace: RecentPace,
    troubles: Vec<ReportedFailure>,
    last: Option<StatusSnapshot>,
    failed: u32,
}

impl<'a> WatchState<'a> {
    fn new(data_dir: &'a DataDir, clock: Clock) -> Self {
        Self {
            data_dir,
            clock,
            watcher: StatusPoller::new(data_dir),
            pace: RecentPace::default(),
            troubles: Vec::new(),
            last: None,
            failed: 0,
        }
    }

    fn look(&mut self) -> Result<(), ManifestError> {
        let now_ms = self.clock.now_ms();
        let snapshot = self.watcher.poll(now_ms)?;
        self.failed = 0;
        self.pace.add(&snapshot, now_ms);
        if snapshot.known_from_ms.is_some() {
            self.troubles.clear();
        }
        self.troubles.splice(..0, snapshot.troubles.iter().cloned());
        self.troubles.truncate(KEPT_TROUBLES);
        self.last = Some(snapshot);
        Ok(())
    }

    /// Polls again, and tolerates a few failures.
    fn look_again(&mut self) -> Result<(), ManifestError> {
        self.look().or_else(|error| {
            self.failed += 1;
            if self.failed > FAILED_AT_MOST { Err(error) } else { Ok(()) }
        })
    }

    async fn follow(&mut self, interval: Duration) -> Result<ExitStatus, Failure> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let mut resized = signal(SignalKind::window_change())?;
        let mut screen = Screen::open()?;
        let mut typed = if screen.is_terminal() && io::stdin().is_terminal() { Some(keys()) } else { None };
        let mut ticks = time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick comes at once, and its poll is done already.
        ticks.tick().await;
        while self.draw(&mut screen)? {
            tokio::select! {
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
                _ = hangup.recv() => break,
                () = end_key(&mut typed) => break,
                _ = resized.recv(), if screen.is_terminal() => {}
                _ = ticks.tick() => self.look_again()?,
            }
        }
        Ok(ExitStatus::Complete)
    }

    /// Draws the last snapshot. False if the output is closed.
    fn draw(&self, screen: &mut Screen) -> Result<bool, Failure> {
        let Some(snapshot) = &self.last else { return Ok(true) };
        let view = View {
            data_dir: self.data_dir,
            now_ms: self.clock.now_ms(),
            snapshot,
            pace: &self.pace,
            troubles: &self.troubles,
            is_terminal: screen.is_terminal(),
        };
        let (width, height) = screen.size();
        match screen.draw(&view.lines(width, height)) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            drawn => drawn.map(|()| true).map_err(Failure::Report),
        }
    }
}

/// Waits for a key that ends the view.
async fn end_key(typed: &mut Option<UnboundedReceiver<u8>>) {
    while let Some(keys) = typed {
        match keys.recv().await {
            Some(b'q' | b'Q' | 0x03 | 0x04) => return,
            Some(_) => {}
            // The input is closed.
            None => *typed = None,
        }
    }
    std::future::pending::<()>().await;
}
