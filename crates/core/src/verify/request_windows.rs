//! Chooses windows so that few requests fetch all due days.

use std::{
    collections::{BTreeSet, HashMap},
    hash::BuildHasher,
};

use grab_model::{
    Partition, Symbol, Window,
    calendar::{self, Session},
};
use jiff::civil::Date;

use crate::manifest::{ManifestError, ManifestReader};

/// The most bars in one response (polygon-api.md §1).
const PAGE: u32 = 50_000;

/// Bars of a full session: one per minute from 04:00 to 20:00 in New York. 52 full sessions fit in a page.
const FULL_SESSION: u16 = 960;

/// Estimates how many bars a symbol's windows will fetch.
pub struct BarsBySession<'a> {
    recorded: &'a [Partition],
    /// The number of bars assumed for a session without stored bars: the 95th percentile of the stored sessions.
    expected: u32,
}

impl<'a> BarsBySession<'a> {
    /// Uses the partitions of a symbol. Without any, a session is assumed to be full.
    #[must_use]
    pub fn of(recorded: &'a [Partition]) -> Self {
        let mut stored: Vec<u16> = recorded.iter().flat_map(Partition::session_bars).collect();
        stored.sort_unstable();
        let most = stored.get(stored.len() * 19 / 20).copied().unwrap_or(FULL_SESSION);
        Self { recorded, expected: u32::from(most.min(FULL_SESSION)) }
    }

    /// The bars that a window with `due` sessions without stored bars will fetch.
    fn bars(&self, window: Window, due: u32) -> u32 {
        self.stored_in(window).saturating_add(due.saturating_mul(self.expected))
    }

    /// The requests that a window will take if all its sessions without stored bars are due.
    #[must_use]
    pub fn requests(&self, window: Window) -> u64 {
        let sessions =
            calendar::sessions(window).filter(|session| self.stored_on(session.date()) == 0).count();
        let bars = self.bars(window, u32::try_from(sessions).unwrap_or(u32::MAX));
        u64::from(bars.div_ceil(PAGE).max(1))
    }

    fn stored_on(&self, date: Date) -> u32 {
        Window::new(date, date).map_or(0, |day| self.stored_in(day))
    }

    fn stored_in(&self, window: Window) -> u32 {
        let in_month = |partition: &Partition| {
            let mask = partition.month.mask(window);
            let days = partition.bars_by_day.iter().enumerate().filter(|(day, _)| mask & 1 << day != 0);
            days.map(|(_, bars)| u32::from(*bars)).sum::<u32>()
        };
        self.recorded.iter().map(in_month).sum()
    }

    /// Joins due windows, given in order, to as few as possible that each fit in one page. The days between two windows
    /// are requested too, as merging them again changes nothing, but no session outside of the windows `requested`. Windows
    /// without a session between them are always joined: that takes no extra request.
    #[must_use]
    pub fn joined(&self, due: &[Window], requested: &[Window]) -> Vec<Window> {
        let mut joined: Vec<(Window, u32)> = Vec::new();
        for window in due {
            let bars = self.bars_due(*window);
            if let Some((before, bars_before)) = joined.last_mut() {
                let between = gap(*before, *window);
                let is_next = between.is_none_or(|between| calendar::sessions(between).next().is_none());
                // The days between are fetched again too, so their stored bars take room in the page.
                let all = *bars_before + bars + between.map_or(0, |between| self.stored_in(between));
                let fits = all <= PAGE && between.is_none_or(|between| is_requested(between, requested));
                if is_next || fits {
                    *before = Window::new(before.from(), before.to().max(window.to())).unwrap_or(*before);
                    *bars_before = all;
                    continue;
                }
            }
            joined.push((*window, bars));
        }
        joined.into_iter().map(|(window, _)| window).collect()
    }

    /// Bars of a window whose sessions are all due: the stored number of each session, or the expected one if that is higher.
    fn bars_due(&self, window: Window) -> u32 {
        calendar::sessions(window).map(|session| self.stored_on(session.date()).max(self.expected)).sum()
    }
}

/// Joins the due windows of each symbol; `requested` are the requested windows: see [`BarsBySession::joined`].
///
/// # Errors
/// If the manifest cannot be read.
pub fn joined<H: BuildHasher>(
    reader: &ManifestReader,
    due: &BTreeSet<(Symbol, Window)>,
    requested: &HashMap<Symbol, Vec<Window>, H>,
) -> Result<Vec<(Symbol, Window)>, ManifestError> {
    let pairs: Vec<_> = due.iter().collect();
    let mut joined = Vec::new();
    for of_one in pairs.chunk_by(|one, other| one.0 == other.0) {
        let (symbol, windows) = (&of_one[0].0, of_one.iter().map(|(_, window)| *window).collect::<Vec<_>>());
        let windows = if windows.len() > 1 {
            let requested = requested.get(symbol).map_or(&[][..], Vec::as_slice);
            BarsBySession::of(&reader.partitions(symbol)?).joined(&windows, requested)
        } else {
            windows
        };
        joined.extend(windows.into_iter().map(|window| (symbol.clone(), window)));
    }
    Ok(joined)
}

/// The number of requests that some windows will take.
///
/// # Errors
/// If the manifest cannot be read.
pub fn requests<'a>(
    reader: &ManifestReader,
    windows: impl IntoIterator<Item = &'a (Symbol, Window)>,
) -> Result<u64, ManifestError> {
    let mut requests = 0;
    for (symbol, window) in windows {
        requests += BarsBySession::of(&reader.partitions(symbol)?).requests(*window);
    }
    Ok(requests)
}

/// The days between two windows. None if there are none.
fn gap(before: Window, after: Window) -> Option<Window> {
    Window::new(before.to().tomorrow().ok()?, after.from().yesterday().ok()?)
}

/// Whether each session of a window is in one of the requested windows.
fn is_requested(window: Window, requested: &[Window]) -> bool {
    let is_in =
        |date: Date| requested.iter().any(|requested| (requested.from()..=requested.to()).contains(&date));
    calendar::sessions(window).map(Session::date).all(is_in)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use grab_model::Month;

    /// A January in which every session except these has `bars` bars.
    fn january(without: &[i8], bars: u16) -> Vec<Partition> {
        let mut bars_by_day = [0; 31];
        for day in 1..=31_i8 {
            let is_held = calendar::session_on(date(2024, 1, day)).is_some() && !without.contains(&day);
            bars_by_day[usize::try_from(day - 1).unwrap()] = if is_held { bars } else { 0 };
        }
        let (symbol, month) = ("A".parse().unwrap(), Month::new(2024, 1).unwrap());
        vec![Partition { symbol, month, bars: 1, first_ms: 0, last_ms: 0, bytes: 1, xxh3: 0, bars_by_day }]
    }

    fn days(from: i8, to: i8) -> Window {
        Window::new(date(2024, 1, from), date(2024, 1, to)).unwrap()
    }

    fn joined(due: &[i8], bars: u16, requested: &[Window]) -> Vec<String> {
        let (recorded, due) =
            (january(due, bars), due.iter().map(|day| days(*day, *day)).collect::<Vec<_>>());
        BarsBySession::of(&recorded).joined(&due, requested).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn many_holes_are_one_request_as_far_as_its_page_reaches() {
        let month = [days(1, 31)];
        assert_eq!(joined(&[3, 4, 5], 900, &month), ["2024-01-03..2024-01-05"]);
        assert_eq!(joined(&[3, 11, 30], 5, &month), ["2024-01-03..2024-01-30"]);
        // More bars than the minutes allow: a page ends within the month.
        assert_eq!(joined(&[3, 30], 2_900, &month), ["2024-01-03..2024-01-03", "2024-01-30..2024-01-30"]);
        assert!(joined(&[], 900, &month).is_empty());
    }

    #[test]
    fn no_session_is_asked_for_on_the_way_that_nobody_wanted() {
        assert_eq!(joined(&[5, 8], 5, &[days(3, 5), days(8, 9)]), ["2024-01-05..2024-01-08"], "a weekend");
        let apart = ["2024-01-04..2024-01-04", "2024-01-10..2024-01-10"];
        assert_eq!(joined(&[4, 10], 5, &[days(3, 5), days(9, 11)]), apart);
    }

    #[test]
    fn fifty_two_full_sessions_fit_a_page_and_one_stretch_is_never_cut() {
        let days = Window::new(date(2024, 1, 2), date(2024, 3, 15)).unwrap();
        let due: Vec<_> =
            calendar::sessions(days).map(|day| Window::new(day.date(), day.date()).unwrap()).collect();
        assert_eq!(due.len(), 52);
        // Every other session is due, and the symbol has no stored bars.
        let others: Vec<_> = due.iter().copied().step_by(2).collect();
        let nothing = BarsBySession::of(&[]);
        assert_eq!(nothing.joined(&others, &[days]).len(), 1);
        assert_eq!(nothing.requests(days), 1);
        let two_years = Window::new(date(2022, 1, 3), date(2023, 12, 29)).unwrap();
        let due: Vec<_> =
            calendar::sessions(two_years).map(|day| Window::new(day.date(), day.date()).unwrap()).collect();
        assert_eq!(
            nothing.joined(&due, &[two_years]),
            [two_years],
            "it takes as many pages, and no request more"
        );
        assert_eq!(nothing.requests(two_years), 10);
        let every_third: Vec<_> = due.iter().copied().step_by(3).collect();
        assert_eq!(nothing.joined(&every_third, &[two_years]).len(), 4, "at most 52 of them a page");
        let thin = january(&[], 60);
        assert_eq!(BarsBySession::of(&thin).joined(&every_third, &[two_years]).len(), 1);
    }
}
