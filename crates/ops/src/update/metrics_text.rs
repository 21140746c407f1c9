//! The figures of an update in the text format that Prometheus' node exporter reads from files.

use std::fmt::Write;

use grab_core::manifest::{Holdings, RunItem};

use super::{SessionMetrics, UpdateMetrics};

impl UpdateMetrics {
    /// The text of all metrics.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { exit, ended_ms, completed_ms, run, tasks, synced_ms, holdings, session } = self;
        let mut text = String::new();
        add(&mut text, "last_exit_code", "Exit code of the last grab update.", &one(f64::from(exit.code())));
        let help = "When the last grab update ended.";
        add(&mut text, "last_run_timestamp_seconds", help, &one(seconds(*ended_ms)));
        if let Some(completed_ms) = completed_ms {
            let help = "When a grab update last ended with 0.";
            add(&mut text, "last_success_timestamp_seconds", help, &one(seconds(*completed_ms)));
        }
        if let Some(run) = run {
            add_run(&mut text, run);
        }
        if let Some(tasks) = tasks {
            let sample = |(state, tasks)| (format!("{{state=\"{state}\"}}"), float(tasks));
            let states: Vec<_> = tasks.iter().copied().map(sample).collect();
            add(&mut text, "tasks", "Tasks by state.", &states);
        }
        if let Some(synced_ms) = synced_ms {
            let help = "When the lists of tickers were last fetched.";
            add(&mut text, "universe_timestamp_seconds", help, &one(seconds(*synced_ms)));
        }
        if let Some(holdings) = holdings {
            add_holdings(&mut text, *holdings);
        }
        if let Some(session) = session {
            add_session(&mut text, *session);
        }
        text
    }
}

/// Adds one metric with its help.
fn add(text: &mut String, name: &str, help: &str, samples: &[(String, f64)]) {
    // Writing to a String cannot fail.
    let _ = write!(text, "# HELP grab_{name} {help}\n# TYPE grab_{name} gauge\n");
    for (labels, value) in samples {
        let _ = writeln!(text, "grab_{name}{labels} {value}");
    }
}

fn one(value: f64) -> Vec<(String, f64)> {
    vec![(String::new(), value)]
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float64")]
fn float(value: u64) -> f64 {
    value as f64
}

#[expect(clippy::cast_precision_loss, reason = "seconds since the epoch")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

fn add_holdings(text: &mut String, holdings: Holdings) {
    add(text, "bars", "Stored bars.", &one(float(holdings.bars)));
    add(text, "partitions", "Stored Parquet files.", &one(float(holdings.partitions)));
    add(text, "bytes", "Bytes of these files.", &one(float(holdings.bytes)));
    let Some((_, newest_ms)) = holdings.span_ms else { return };
    add(text, "newest_bar_timestamp_seconds", "Start of the newest bar.", &one(seconds(newest_ms)));
}

fn add_session(text: &mut String, session: SessionMetrics) {
    let SessionMetrics { symbols, regular_share, lacking } = session;
    add(text, "session_symbols", "Symbols with bars on the last session.", &one(float(symbols)));
    let help = "Of the symbols with bars on each of five sessions up to their last one, the share that has some on the last session.";
    add(text, "session_coverage_ratio", help, &one(regular_share));
    let help = "Sessions that lack so many of these symbols that the update is not complete.";
    add(text, "lacking_sessions", help, &one(float(lacking)));
}

fn add_run(text: &mut String, run: &RunItem) {
    let totals = run.totals;
    let duration = run.ended_at_ms.map(|ended| seconds(ended - run.started_at_ms));
    let figures = [
        ("last_requests", "Requests of the last grab update, retries included.", totals.requests),
        ("last_retries", "Retries of the last grab update.", totals.retries),
        ("last_new_bars", "Bars that the last grab update added.", totals.bars),
        ("last_revised_bars", "Bars that the last grab update found changed.", totals.revised),
    ];
    for (name, help, value) in figures {
        add(text, name, help, &one(float(value)));
    }
    if let Some(duration) = duration {
        add(text, "last_duration_seconds", "Duration of the last grab update.", &one(duration));
        if duration > 0.0 {
            let pace = float(totals.requests) / duration;
            add(text, "last_requests_per_second", "Its pace.", &one(pace));
        }
    }
}
