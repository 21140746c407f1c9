//! The companies that a seed makes up: some keep their ticker, and some change it.

use std::collections::BTreeSet;

use grab_model::{Window, calendar};
use jiff::{
    ToSpan,
    civil::{Date, date},
};

use super::super::{
    identity::Identity,
    made_up_stock::MadeUpStock,
    market::{MarketListing, MarketSplit},
    seed::{RandomDraws, Seed},
};

/// How many made-up companies keep their ticker.
pub(super) const KEEPING: u16 = 200;

/// How many made-up companies may change their ticker. Their numbers come after those of the others.
pub(super) const RENAMING: u16 = 24;

/// Made-up companies are listed between these days.
const LISTINGS: (Date, Date) = (date(1995, 1, 1), date(2026, 6, 30));

/// Tickers are changed between these days.
const RENAMES: (Date, Date) = (date(2008, 1, 1), date(2030, 12, 31));

/// After this day nothing happens to a made-up company any more.
const LAST_EVENT: Date = date(2035, 12, 31);

/// The probability that a made-up company is delisted one day.
const LEAVING: f64 = 0.5;

/// The probability that it never gets a FIGI.
const WITHOUT_FIGI: f64 = 0.12;

/// All made-up companies, with tickers that are not among `taken`.
pub(super) fn companies(seed: Seed, mut taken: BTreeSet<String>) -> impl Iterator<Item = MadeUpStock> {
    (1..=KEEPING + RENAMING).flat_map(move |number| company(seed.child(number.into()), number, &mut taken))
}

/// A company: one entry for each of its tickers.
fn company(seed: Seed, number: u16, taken: &mut BTreeSet<String>) -> Vec<MadeUpStock> {
    let mut draws = seed.named("listing").draws();
    let listing = listing(seed, free_ticker(taken, &mut draws), number, &mut draws);
    let (price, trades) = (draws.between_orders(2.0, 400.0), draws.between_orders(1.0, 100_000.0));
    let periods = if number > KEEPING { periods(listing, taken, &mut draws) } else { vec![listing] };
    periods.into_iter().map(|listing| MadeUpStock::new(listing, seed, price, trades)).collect()
}

fn listing(seed: Seed, ticker: String, number: u16, draws: &mut RandomDraws) -> MarketListing {
    let listed = session_between(LISTINGS.0, LISTINGS.1, draws);
    let leaves = draws.happens(LEAVING);
    let left = session_between(listed, LAST_EVENT, draws);
    let splits = (0..draws.pick([0, 0, 0, 1, 1, 2])).map(|_| split(listed, left, draws));
    let mut splits: Vec<_> = splits.collect();
    splits.sort_by_key(|split| split.date);
    let name = format!("Sandbox Company {number} Inc.");
    let kind = draws.pick(["CS", "CS", "CS", "CS", "CS", "CS", "ETF", "ETF", "ADRC", "PFD"]);
    MarketListing {
        ticker,
        kind,
        identity: identity(seed, &name, kind),
        name,
        exchange: Some(draws.pick(["XNAS", "XNAS", "XNYS", "XNYS", "ARCX", "XASE", "BATS"])),
        listed,
        delisted: leaves.then_some(left),
        splits,
    }
}

fn identity(seed: Seed, name: &str, kind: &str) -> Identity {
    let identity = Identity::of(seed, name, kind);
    let lacks_figi = seed.named("figi").draws().happens(WITHOUT_FIGI);
    if lacks_figi { identity.without_figi() } else { identity }
}

fn split(after: Date, before: Date, draws: &mut RandomDraws) -> MarketSplit {
    let (from, to) = draws.pick([(1.0, 2.0), (1.0, 3.0), (2.0, 3.0), (1.0, 10.0), (5.0, 1.0), (10.0, 1.0)]);
    MarketSplit { date: session_between(after, before, draws), from, to }
}

/// Splits a listing period under one ticker into several tickers. They have no splits: prices continue as they were.
fn periods(
    whole: MarketListing,
    taken: &mut BTreeSet<String>,
    draws: &mut RandomDraws,
) -> Vec<MarketListing> {
    let renames = (0..draws.pick([1, 1, 2])).map(|_| session_between(RENAMES.0, RENAMES.1, draws));
    let renames: BTreeSet<Date> = renames.collect();
    let mut last = MarketListing { splits: Vec::new(), ..whole };
    let mut periods = Vec::new();
    for renamed in renames {
        if last.listed < renamed && last.delisted.is_none_or(|delisted| renamed < delisted) {
            periods.push(MarketListing { delisted: Some(renamed), ..last.clone() });
            last = MarketListing { ticker: free_ticker(taken, draws), listed: renamed, ..last };
        }
    }
    periods.push(last);
    periods
}

/// A ticker of four letters that is not taken.
fn free_ticker(taken: &mut BTreeSet<String>, draws: &mut RandomDraws) -> String {
    loop {
        let letters = (0..4).map(|_| char::from(draws.pick(*b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")));
        let ticker: String = letters.collect();
        if taken.insert(ticker.clone()) {
            return ticker;
        }
    }
}

/// A session after one day and not much later than another; the first of them if there is no room.
fn session_between(after: Date, before: Date, draws: &mut RandomDraws) -> Date {
    let days = after.until(before).map_or(0, |span| span.get_days());
    #[expect(clippy::cast_possible_truncation, reason = "a part of some thousand days")]
    let day = after.saturating_add((draws.between(1.0, f64::from(days)) as i32).days());
    let window = Window::new(day, calendar::LAST_DAY);
    let session = window.and_then(|window| calendar::sessions(window).next());
    session.map_or(day, calendar::Session::date)
}
