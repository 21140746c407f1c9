//! What a plan will cost.

use serde::Serialize;

use crate::{Rate, Symbol, Window, calendar};

/// Bars in a full page (polygon-api.md §1).
const PAGE: u64 = 50_000;

/// Bars of one session of a name that trades every minute, from 04:00 to 20:00.
const MOST_BARS_A_SESSION: u64 = 960;

/// Bytes of one bar on disk and on the wire: the most that was measured on months of liquid names, and a little more.
const BYTES_ON_DISK: u64 = 26;
const BYTES_ON_THE_WIRE: u64 = 42;

/// From a market that hardly trades to one that trades every minute: which it is, is not known before the requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct EstimateRange<T> {
    /// If the symbols have next to no bars.
    pub min: T,
    /// If every symbol has a bar in every minute of every session.
    pub max: T,
}

/// The upper and lower bounds of what a plan will cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Estimate {
    /// New tasks.
    pub tasks: u64,
    /// Sessions, summed over the tasks.
    pub sessions: u64,
    /// Requests: at least one per task.
    pub requests: EstimateRange<u64>,
    /// Bars at most.
    pub bars_max: u64,
    /// Bytes to fetch, at most.
    pub bytes_received_max: u64,
    /// Bytes on disk, at most.
    pub bytes_stored_max: u64,
    /// Hours at the configured rate. None without a limit, where the connection and the server decide.
    pub hours: Option<EstimateRange<f64>>,
}

impl Estimate {
    /// The cost of `tasks` at `rate`.
    #[must_use]
    pub fn of(tasks: &[(Symbol, Window)], rate: Rate) -> Self {
        let mut estimate = Self { tasks: tasks.len() as u64, ..Self::default() };
        let mut last: Option<(Window, u64)> = None;
        for (_, window) in tasks {
            // Tasks come window by window: the sessions of each window are counted once.
            let sessions = match last {
                Some((counted, sessions)) if counted == *window => sessions,
                _ => calendar::sessions(*window).count() as u64,
            };
            last = Some((*window, sessions));
            let bars = sessions * MOST_BARS_A_SESSION;
            estimate.sessions += sessions;
            estimate.bars_max += bars;
            estimate.requests.min += 1;
            estimate.requests.max += bars.div_ceil(PAGE).max(1);
        }
        estimate.bytes_received_max = estimate.bars_max * BYTES_ON_THE_WIRE;
        estimate.bytes_stored_max = estimate.bars_max * BYTES_ON_DISK;
        estimate.hours = rate.per_second().map(|rate| {
            #[expect(clippy::cast_precision_loss, reason = "an estimate")]
            let hours = |requests: u64| requests as f64 / rate / 3600.0;
            EstimateRange { min: hours(estimate.requests.min), max: hours(estimate.requests.max) }
        });
        estimate
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::read_windows;

    #[test]
    fn two_symbols_for_a_year_at_five_a_minute() {
        let window = read_windows("2024").unwrap()[0];
        let tasks = ["A", "B"].map(|text| (text.parse().unwrap(), window));
        let estimate = Estimate::of(&tasks, "5/min".parse().unwrap());
        assert_eq!((estimate.tasks, estimate.sessions), (2, 504));
        assert_eq!(estimate.requests, EstimateRange { min: 2, max: 10 });
        let hours = estimate.hours.unwrap();
        assert!((hours.max - 10.0 / 300.0).abs() < 1e-9, "{hours:?}");
        assert_eq!(Estimate::of(&tasks, Rate::Unlimited).hours, None);
    }
}
