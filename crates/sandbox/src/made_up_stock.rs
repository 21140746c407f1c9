//! A made-up company's stock: its parameters, and the bars that follow from them.
//!
//! A random walk would have to be summed from the first day on; curves give a price directly. The price is the
//! exponential of a sum of curves, from one of years (the trend) to one of seconds (the noise), on top of the growth
//! that leads to each split. The number of trades follows a real day: many at the open and the close, few outside of
//! regular hours, and none at all in most minutes of a thin stock.

use std::ops::Range;

use grab_model::{Bar, calendar::Session, new_york};
use jiff::civil::{Date, date};

use super::{
    market::MarketListing,
    seed::{RandomDraws, Seed},
};

const MINUTE_MS: i64 = 60_000;

/// The day and hour from which shares trade in fractions (polygon-api.md §1).
const FRACTIONS_FROM: (Date, i8) = (date(2026, 2, 23), 8);

/// The curves that make a price: period in seconds, amplitude in logarithms of price.
const CURVES: [(u32, f64); 7] = [
    (2 * 365 * 86_400, 0.25),
    (90 * 86_400, 0.12),
    (8 * 86_400, 0.04),
    (86_400, 0.012),
    (3_600, 0.004),
    (600, 0.001_5),
    (60, 0.000_6),
];

/// Minutes of a full day's regular hours.
const REGULAR_MINUTES: f64 = 390.0;

/// Minutes of a full day's extended hours.
const EXTENDED_MINUTES: f64 = 570.0;

/// A stock with fewer trades a day than this has no closing auction.
const AUCTION_FROM_TRADES: f64 = 2_000.0;

/// The share of the auction in a day's trades.
const AUCTION_TRADES: f64 = 0.002;

/// How much larger the auction's trades are than others.
const AUCTION_LOTS: f64 = 40.0;

/// A company and the parameters of its stock.
pub(super) struct MadeUpStock {
    pub listing: MarketListing,
    /// The seed of all its numbers.
    seed: Seed,
    /// The price around which it moves, USD.
    price: f64,
    /// Trades in the regular hours of an average day.
    trades: f64,
    /// Shares in an average trade.
    lot: f64,
    /// The size of price moves, 1.0 being the average.
    volatility: f64,
}

impl MadeUpStock {
    /// A company that moves around `price` (USD) with about `trades` a day.
    pub fn new(listing: MarketListing, seed: Seed, price: f64, trades: f64) -> Self {
        let mut draws = seed.draws();
        let (lot, volatility) = (draws.between_orders(30.0, 200.0), draws.between(0.6, 1.6));
        Self { listing, seed, price, trades, lot, volatility }
    }

    /// The bars of a session, ascending.
    pub fn bars(&self, session: Session) -> Vec<Bar> {
        let day = Day::new(self, session);
        let minutes = session.extended_open_ms() / MINUTE_MS..session.extended_close_ms() / MINUTE_MS;
        minutes.filter_map(|minute| day.bar(minute * MINUTE_MS)).collect()
    }

    /// The price without its curves, as traded. Between two splits it grows to the level at which the later one is due,
    /// so that a 1:10 split comes after the price has grown tenfold, and prices stay in a normal range.
    fn level_on(&self, date: Date) -> f64 {
        let splits = &self.listing.splits;
        let last = splits.iter().rfind(|split| split.date <= date);
        let next = splits.iter().find(|split| split.date > date);
        let (since, low) =
            last.map_or((self.listing.listed, 0.0), |split| (split.date, split.factor().ln() / 2.0));
        let (until, high) = next.map_or((Date::MAX, low), |split| (split.date, -split.factor().ln() / 2.0));
        let climbed = days(since, date) / days(since, until);
        self.price * (low + (high - low) * climbed).exp()
    }

    /// The sum of the curves at an instant (seconds since the epoch), as a factor of the price.
    fn swing(&self, seconds: u32) -> f64 {
        let curves = CURVES.iter().zip(0..);
        let sum: f64 =
            curves.map(|((period, by), curve)| by * self.seed.child(curve).curve(seconds, *period)).sum();
        (self.volatility * sum).exp()
    }
}

/// A session of a company.
struct Day<'c> {
    company: &'c MadeUpStock,
    /// The seed of its minutes.
    minutes: Seed,
    extended_open: i64,
    open: i64,
    close: i64,
    extended_close: i64,
    /// From when on shares trade in fractions, UTC ms.
    fractions_from: i64,
    /// The price without its curves, USD.
    level: f64,
    /// Trades in regular hours, if they were those of a full day.
    trades: f64,
}

impl<'c> Day<'c> {
    fn new(company: &'c MadeUpStock, session: Session) -> Self {
        let (fractions_day, fractions_hour) = FRACTIONS_FROM;
        let minute_of_open = minute_number(session.open_ms());
        let busy = company.seed.named("busy").child(minute_of_open).draws().between_orders(0.5, 2.0);
        Self {
            company,
            minutes: company.seed.named("minute"),
            extended_open: session.extended_open_ms(),
            open: session.open_ms(),
            close: session.close_ms(),
            extended_close: session.extended_close_ms(),
            fractions_from: new_york::at_ms(fractions_day, fractions_hour, 0),
            level: company.level_on(session.date()),
            trades: company.trades * busy,
        }
    }

    /// The bar of a minute (UTC ms). None if there was no trade.
    fn bar(&self, minute: i64) -> Option<Bar> {
        let mut draws = self.minutes.child(minute_number(minute)).draws();
        let expected = self.expected_trades(minute);
        if !draws.happens(1.0 - (-expected).exp()) {
            return None;
        }
        let trades = (1.0 + expected * draws.between(0.5, 1.5)).floor();
        let [open, high, low, close] = self.prices(minute, trades, &mut draws);
        #[expect(clippy::cast_possible_truncation, reason = "whole, and not more than millions")]
        let transactions = trades as i64;
        Some(Bar {
            timestamp: minute,
            open,
            high,
            low,
            close,
            volume: self.volume(minute, trades, &mut draws),
            vwap: Some(self.vwap(minute, high, low, &mut draws)),
            transactions: Some(transactions),
        })
    }

    /// How many trades a minute has on average: a day's trades over its minutes, times a shape that averages to one.
    ///
    /// Outside of regular hours trades grow with the square root of the day's: a stock with thousands of trades a
    /// minute by day has one or two a minute in the evening.
    fn expected_trades(&self, minute: i64) -> f64 {
        let extended = |nearness: f64| self.trades.sqrt() / EXTENDED_MINUTES * (0.2 + 1.6 * nearness);
        if minute < self.open {
            extended(part(self.extended_open..self.open, minute))
        } else if minute < self.close {
            let from_noon = 2.0 * part(self.open..self.close, minute) - 1.0;
            self.trades / REGULAR_MINUTES * (0.6 + 2.0 * from_noon.powi(4))
        } else if self.is_auction(minute) {
            self.trades * AUCTION_TRADES
        } else {
            extended(1.0 - part(self.close..self.extended_close, minute))
        }
    }

    /// The closing auction is printed just after the close (polygon-api.md §1).
    fn is_auction(&self, minute: i64) -> bool {
        minute == self.close && self.trades >= AUCTION_FROM_TRADES
    }

    /// Open, high, low and close.
    fn prices(&self, minute: i64, trades: f64, draws: &mut RandomDraws) -> [f64; 4] {
        let start = u32::try_from(minute / 1_000).unwrap_or_default();
        let first = self.level * self.company.swing(start);
        let open = tick(first, draws);
        if trades < 2.0 {
            return [open; 4];
        }
        let close = tick(self.level * self.company.swing(start + 59), draws);
        let reach = if trades < 3.0 { 0.0 } else { first * self.company.volatility * 0.000_4 };
        let high = tick(open.max(close) + reach * draws.unit(), draws).max(open).max(close);
        let low = tick(open.min(close) - reach * draws.unit(), draws).min(open).min(close);
        [open, high, low, close]
    }

    /// Shares: whole numbers until fractions were traded, and often after that.
    fn volume(&self, minute: i64, trades: f64, draws: &mut RandomDraws) -> f64 {
        let lot = if self.is_auction(minute) { self.company.lot * AUCTION_LOTS } else { self.company.lot };
        let whole = (trades * lot * draws.between(0.3, 1.7)).floor().max(trades);
        let has_fraction = draws.happens(0.3) && minute >= self.fractions_from;
        if has_fraction { ((whole + draws.unit()) * 1e6).round() / 1e6 } else { whole }
    }

    /// The average price. Odd lots count here but not in the bar's prices, so it may lie outside of them: seldom in
    /// regular hours, often before and after (polygon-api.md §1).
    fn vwap(&self, minute: i64, high: f64, low: f64, draws: &mut RandomDraws) -> f64 {
        let is_regular = (self.open..self.close).contains(&minute);
        let is_outside = draws.happens(if is_regular { 0.01 } else { 0.3 });
        let stray = if is_outside { draws.between(-0.001, 0.001) * high } else { 0.0 };
        to_ten_thousandths(draws.between(low, high) + stray)
    }
}

/// A price with its tick: mostly in cents; every fourth, and every one below one dollar, in hundredths of a cent.
fn tick(price: f64, draws: &mut RandomDraws) -> f64 {
    let is_fine = draws.happens(0.25) || price < 1.0;
    if is_fine { to_ten_thousandths(price).max(0.000_1) } else { (price * 100.0).round() / 100.0 }
}

fn to_ten_thousandths(price: f64) -> f64 {
    (price * 10_000.0).round() / 10_000.0
}

/// Minutes since the epoch.
fn minute_number(ms: i64) -> u64 {
    u64::try_from(ms / MINUTE_MS).unwrap_or_default()
}

/// Which part of a span (UTC ms) has passed at an instant.
fn part(span: Range<i64>, at: i64) -> f64 {
    let seconds = |ms: i64| f64::from(i32::try_from(ms / 1_000).unwrap_or(i32::MAX));
    seconds(at - span.start) / seconds(span.end - span.start)
}

fn days(from: Date, to: Date) -> f64 {
    from.until(to).map_or(1.0, |span| f64::from(span.get_days()))
}
