//! Wrong bars, and wrong fields about them. Every form was reported by users (polygon-api.md §4), or follows from what
//! the official clients do not check (§5).

use std::ops::RangeInclusive;

use clap::ValueEnum;
use grab_model::new_york;

use super::PickedFault;
use crate::{
    seed::RandomDraws,
    wire::{BarRow, BarsBody},
};

/// How a response with the bars of a range is falsified. A response without bars is not changed if the fault is in the
/// bars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum WrongBars {
    /// Bars come twice
    Doubled,
    /// Bars come twice and differ: the later ones are right
    DoubledUnequal,
    /// Bars are out of order
    Unsorted,
    /// A bar from after the end of the range
    Outside,
    /// Another ticker in the envelope
    WrongTicker,
    /// Prices of the other kind: adjusted instead of as traded, or the reverse
    WrongAdjusted,
    /// A resultsCount that is not the number of bars
    WrongCount,
    /// No bars, and a next page that has them
    EmptyPage,
    /// The same next page again
    RepeatedNext,
    /// A next page on another host, which does not exist
    ForeignNext,
    /// A lie: no bars at all
    FalseEmpty,
    /// A lie: the bars of a day are missing, and come later
    MissingDay,
    /// A lie: the bars of the last day have less volume, which grows later
    LateRevision,
}

/// The URLs of the pages around a response.
pub(crate) struct Links {
    /// The response itself.
    pub own: String,
    /// The same page under another URL. None if it was used already.
    pub alias: Option<String>,
    /// The instants (UTC ms) of the range.
    pub range: RangeInclusive<i64>,
}

/// A name that never exists (RFC 2606).
const FOREIGN: &str = "http://elsewhere.invalid/";

/// Test symbols of Nasdaq: no request is for both.
const OTHERS: [&str; 2] = ["ZVZZT", "ZXZZT"];

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 1_440 * MINUTE_MS;

impl PickedFault<WrongBars> {
    /// Falsifies the body of a response. Prices of the other kind are made with the prices, and not here.
    pub fn falsify(&self, body: &mut BarsBody, links: &Links) {
        let mut draws = self.seed.draws();
        match self.kind {
            WrongBars::WrongAdjusted => return,
            WrongBars::WrongTicker => {
                body.ticker = OTHERS.into_iter().find(|other| Some(*other) != body.ticker);
                return;
            }
            WrongBars::WrongCount => {
                body.results_count += draws.pick([1, 2, 100]);
                return;
            }
            WrongBars::RepeatedNext => body.next_url = Some(links.own.clone()),
            WrongBars::ForeignNext => {
                let path = body.next_url.as_ref().unwrap_or(&links.own).splitn(4, '/').last();
                body.next_url = path.map(|path| format!("{FOREIGN}{path}"));
            }
            WrongBars::EmptyPage => {
                if let Some(alias) = &links.alias {
                    body.results.clear();
                    body.next_url = Some(alias.clone());
                }
            }
            WrongBars::FalseEmpty => {
                body.results.clear();
                body.next_url = None;
            }
            WrongBars::Doubled
            | WrongBars::DoubledUnequal
            | WrongBars::Unsorted
            | WrongBars::Outside
            | WrongBars::MissingDay
            | WrongBars::LateRevision => self.falsify_rows(&mut body.results, links, &mut draws),
        }
        // The counts are adjusted to the bars.
        let count = body.results.len();
        (body.results_count, body.count) = (count, (count > 0).then_some(count));
    }

    fn falsify_rows(&self, rows: &mut Vec<BarRow>, links: &Links, draws: &mut RandomDraws) {
        let Some(last) = rows.last().copied() else { return };
        let at = draws.below(rows.len());
        let is_on = |day| move |row: &BarRow| new_york::date_of(row.t) == day;
        match self.kind {
            WrongBars::Doubled => rows.extend_from_within(at..),
            WrongBars::DoubledUnequal => {
                let unequal = rows[at..].iter().flat_map(|row| [less(row), *row]).collect::<Vec<_>>();
                rows.truncate(at);
                rows.extend(unequal);
            }
            WrongBars::Unsorted => {
                // A rotation by all rows or by none would leave them in order.
                let by = at.max(1).min(rows.len() - 1);
                rows.rotate_left(by);
            }
            WrongBars::Outside => {
                let after = draws.pick([MINUTE_MS, DAY_MS, 365 * DAY_MS]);
                let t = (links.range.end() / MINUTE_MS) * MINUTE_MS + after;
                let mut outside = last;
                outside.t = t;
                rows.insert(at, outside);
            }
            WrongBars::MissingDay => {
                let is_missing = is_on(new_york::date_of(rows[at].t));
                rows.retain(|row| !is_missing(row));
            }
            WrongBars::LateRevision => {
                let is_last = is_on(new_york::date_of(last.t));
                rows.iter_mut().filter(|row| is_last(row)).for_each(|row| *row = less(row));
            }
            WrongBars::WrongTicker
            | WrongBars::WrongAdjusted
            | WrongBars::WrongCount
            | WrongBars::EmptyPage
            | WrongBars::RepeatedNext
            | WrongBars::ForeignNext
            | WrongBars::FalseEmpty => {}
        }
    }
}

/// A bar without its last trades.
fn less<'a>(row: &BarRow<'a>) -> BarRow<'a> {
    let mut row = *row;
    (row.v, row.c) = (row.v / 2.0, row.o);
    row
}
