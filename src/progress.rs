//! Progress on stderr while a run is live: a bar on a terminal, lines or JSON elsewhere.

use std::{
    collections::VecDeque,
    fmt::Write as _,
    pin::pin,
    time::{Duration, Instant},
};

use grab_core::engine::{CountersSnapshot, Stop};
use grab_model::{Rate, format};
use grab_ops::Phase;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use tokio::{sync::oneshot, task::JoinHandle, time};

use super::{
    args::ProgressMode,
    output::{say, stderr_is_terminal},
};

/// How often a bar is redrawn, and how often a line is written.
const REDRAW: Duration = Duration::from_millis(200);
const LINE: Duration = Duration::from_secs(10);

/// Printed once when a run is to stop.
const STOPPING: &str = "stopping after the pages under way; Ctrl-C stops at once";

/// The pace is that of the last minute: the vendor's limits are per minute.
const PACE_WINDOW: Duration = Duration::from_mins(1);

/// A display that runs until it is ended.
pub struct ProgressDisplay {
    end: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

impl ProgressDisplay {
    /// Removes the display.
    pub async fn end(self) {
        // Both fail only if the display is gone already.
        let _ = self.end.send(());
        let _ = self.ended.await;
    }
}

/// Shows a phase until it is ended.
pub fn show(mode: ProgressMode, phase: Phase) -> ProgressDisplay {
    let mode = match mode {
        ProgressMode::Auto if stderr_is_terminal() => ProgressMode::Bar,
        ProgressMode::Auto => ProgressMode::Lines,
        chosen @ (ProgressMode::Bar | ProgressMode::Lines | ProgressMode::Json | ProgressMode::None) => {
            chosen
        }
    };
    let stop = phase.stop.clone();
    let watch = Watch::new(phase);
    let (end, ended) = oneshot::channel();
    let ended = tokio::spawn(async move {
        match mode {
            ProgressMode::Bar | ProgressMode::Auto => {
                let bar = bar(watch.phase.outstanding.days);
                follow(watch, ended, &stop, REDRAW, |moment| draw(&bar, moment)).await;
                bar.finish_and_clear();
            }
            ProgressMode::Lines => follow(watch, ended, &stop, LINE, |moment| say(&moment.line())).await,
            ProgressMode::Json => follow(watch, ended, &stop, LINE, |moment| say(&moment.json())).await,
            ProgressMode::None => {}
        }
    });
    ProgressDisplay { end, ended }
}

/// An event to show.
enum Moment {
    /// A period is over, or the run has ended.
    Status(Status),
    /// The run is to stop.
    Stopping,
}

/// Shows a status in each period and a last one, and says once when the run is to stop, which may take a few seconds.
async fn follow(
    mut watch: Watch,
    mut end: oneshot::Receiver<()>,
    stop: &Stop,
    period: Duration,
    show: impl Fn(&Moment),
) {
    let mut ticks = time::interval_at(time::Instant::now() + period, period);
    let mut stopping = pin!(stop.requested());
    let mut is_reported = false;
    loop {
        tokio::select! {
            _ = &mut end => break,
            () = &mut stopping, if !is_reported => {
                is_reported = true;
                show(&Moment::Stopping);
            }
            _ = ticks.tick() => show(&Moment::Status(watch.look())),
        }
    }
    show(&Moment::Status(watch.look()));
}

fn bar(days: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(days.max(1)), ProgressDrawTarget::stderr());
    // The template is constant; if it fails, the plain style will do.
    match ProgressStyle::with_template("{bar:30} {percent:>3}%  {prefix}\n  {wide_msg}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn draw(bar: &ProgressBar, moment: &Moment) {
    match moment {
        Moment::Stopping => bar.println(STOPPING),
        Moment::Status(status) => {
            bar.set_position(status.days);
            bar.set_prefix(status.done_and_left());
            bar.set_message(status.pace_and_trouble());
        }
    }
}

impl Moment {
    fn line(&self) -> String {
        match self {
            Self::Stopping => STOPPING.to_owned(),
            Self::Status(status) => status.line(),
        }
    }

    fn json(&self) -> String {
        match self {
            Self::Stopping => serde_json::json!({ "message_type": "stopping" }).to_string(),
            Self::Status(status) => serde_json::to_string(status).unwrap_or_default(),
        }
    }
}

/// Turns counters into a status.
struct Watch {
    phase: Phase,
    begun: Instant,
    samples: VecDeque<(Instant, u64)>,
}

/// The state of a run at one instant.
#[derive(Serialize)]
struct Status {
    message_type: &'static str,
    tasks_ended: u64,
    tasks_total: u64,
    #[serde(skip)]
    unit: &'static str,
    #[serde(skip)]
    row: Option<&'static str>,
    #[serde(skip)]
    days: u64,
    bars: u64,
    requests: u64,
    requests_per_minute: f64,
    rate: String,
    #[serde(skip)]
    limit: Rate,
    /// The pace, if the server has refused the configured one.
    slowed_to_per_minute: Option<f64>,
    seconds_left: Option<u64>,
    last_error: Option<String>,
}

impl Watch {
    fn new(phase: Phase) -> Self {
        let now = Instant::now();
        Self { phase, begun: now, samples: VecDeque::from([(now, 0)]) }
    }

    fn look(&mut self) -> Status {
        let CountersSnapshot { totals, tasks, days, trouble } = self.phase.counters.snapshot();
        let now = Instant::now();
        self.samples.push_back((now, totals.requests));
        while self.samples.len() > 2 && now - self.samples[1].0 > PACE_WINDOW {
            self.samples.pop_front();
        }
        Status {
            message_type: "status",
            tasks_ended: tasks,
            tasks_total: self.phase.outstanding.tasks,
            unit: self.phase.unit,
            row: self.phase.row,
            days,
            bars: totals.bars,
            requests: totals.requests,
            requests_per_minute: self.pace(now, totals.requests),
            rate: self.phase.rate.to_string(),
            limit: self.phase.rate,
            slowed_to_per_minute: self
                .phase
                .pacer
                .slowed_to()
                .map(|per_second| (per_second * 600.0).round() / 10.0),
            seconds_left: self.left(now, days).map(|left| left.as_secs()),
            last_error: trouble,
        }
    }

    fn pace(&self, now: Instant, requests: u64) -> f64 {
        let (since, before) = self.samples.front().copied().unwrap_or((now, requests));
        // With less than the limit's own period, the first request would count as a pace.
        let least = self.phase.rate.period().unwrap_or_default().max(Duration::from_secs(1));
        let minutes = (now - since).max(least).as_secs_f64() / 60.0;
        #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
        let pace = (requests - before) as f64 / minutes;
        (pace * 10.0).round() / 10.0
    }

    /// The time left if the remaining days take as long as the covered ones. None after a stop: they are not fetched.
    fn left(&self, now: Instant, days: u64) -> Option<Duration> {
        let left = self.phase.outstanding.days.saturating_sub(days);
        let (done, left) = (u32::try_from(days).ok()?, u32::try_from(left).ok()?);
        (done > 0 && !self.phase.stop.is_requested()).then(|| (now - self.begun) / done * left)
    }
}

impl Status {
    /// The text beside the bar.
    fn done_and_left(&self) -> String {
        let done =
            format!("{} of {}", format::count(self.tasks_ended), format::plural(self.tasks_total, self.unit));
        match self.seconds_left {
            Some(left) => format!("{done}, {} left", format::duration(Duration::from_secs(left))),
            None => done,
        }
    }

    /// The text below the bar. The terminal cuts it off; the report has all of it.
    fn pace_and_trouble(&self) -> String {
        let rows = self.row.map(|row| format!("{}, ", format::plural(self.bars, row))).unwrap_or_default();
        let pace = format!("{rows}{}", self.pace());
        match &self.last_error {
            Some(error) => format!("{pace}; {error}"),
            None => pace,
        }
    }

    /// `120 requests, 18.2/s (limit 30/s, slowed by 429 to 20.7/s)`.
    fn pace(&self) -> String {
        let requests = format::plural(self.requests, "request");
        let pace = self.limit.in_its_unit(self.requests_per_minute);
        let slowed = self.slowed_to_per_minute.map(|pace| self.limit.in_its_unit(pace));
        let slowed = slowed.map(|pace| format!(", slowed by 429 to {pace}")).unwrap_or_default();
        format!("{requests}, {pace} (limit {}{slowed})", self.rate)
    }

    fn line(&self) -> String {
        let rows = self.row.map(|row| format!("{}, ", format::plural(self.bars, &format!("new {row}"))));
        let rows = rows.unwrap_or_default();
        let mut text = format!(
            "{} of {}, {rows}{}",
            format::count(self.tasks_ended),
            format::plural(self.tasks_total, self.unit),
            self.pace()
        );
        if let Some(left) = self.seconds_left.filter(|left| *left > 0) {
            let _ = write!(text, ", about {} left", format::duration(Duration::from_secs(left)));
        }
        if let Some(error) = &self.last_error {
            let _ = write!(text, "; last error: {error}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use grab_core::{
        engine::{RunCounters, StopReason},
        manifest::Outstanding,
        pace::{LearnedPace, Pacer},
    };

    use super::*;

    fn watch(unit: &'static str, row: Option<&'static str>) -> Watch {
        let rate: Rate = "30/s".parse().unwrap();
        let pacer = Arc::new(Pacer::new(rate, LearnedPace::default()));
        let (outstanding, counters) = (Outstanding { tasks: 3, days: 4 }, Arc::new(RunCounters::default()));
        Watch::new(Phase { unit, row, rate, pacer, outstanding, counters, stop: Stop::default() })
    }

    #[test]
    fn rows_are_counted_only_where_rows_are_stored() {
        let line = |unit, row| watch(unit, row).look().line();
        assert_eq!(line("task", Some("bar")), "0 of 3 tasks, 0 new bars, 0 requests, 0/s (limit 30/s)");
        assert_eq!(
            line("market day", Some("row")),
            "0 of 3 market days, 0 new rows, 0 requests, 0/s (limit 30/s)"
        );
        assert_eq!(line("list", None), "0 of 3 lists, 0 requests, 0/s (limit 30/s)");
    }

    #[test]
    fn a_pace_and_its_limit_have_one_unit() {
        let status = Status {
            slowed_to_per_minute: Some(1244.0),
            requests_per_minute: 600.0,
            ..watch("list", None).look()
        };
        assert_eq!(status.line(), "0 of 3 lists, 0 requests, 10/s (limit 30/s, slowed by 429 to 20.7/s)");
    }

    #[test]
    fn once_a_run_is_to_stop_no_time_is_left() {
        let watch = watch("task", Some("bar"));
        let later = watch.begun + Duration::from_secs(9);
        assert_eq!(watch.left(later, 1), Some(Duration::from_secs(27)));
        watch.phase.stop.request(StopReason::Interrupted);
        assert_eq!(watch.left(later, 1), None);
    }
}
