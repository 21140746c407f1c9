//! Made pages for all benches: minute bars of liquid tickers, by seed, as the service would send them.
//!
//! Prices are in cents, a quarter of them with four decimals; average prices have four decimals, volumes and counts are
//! whole. Regular minutes are complete, extended ones nearly: some 740 bars a session. None of it is recorded data.

use std::{error::Error, io::Write, thread};

use fastrand::Rng;
use flate2::{Compression, write::GzEncoder};
use grab_model::{
    Window,
    calendar::{Session, sessions},
};
use jiff::civil::date;

/// The most bars in a page of the service.
const PAGE_BARS: usize = 50_000;

/// One minute, ms.
const MINUTE_MS: i64 = 60_000;

/// The seed of all made bars: another seed makes other bars.
const SEED: u64 = 20_040_102;

/// The ticker with this number, such as `TAAB`: four letters, of which the first is a T.
#[must_use]
pub fn ticker(number: usize) -> String {
    let letter = |place: usize| char::from(b'A' + u8::try_from(number / place % 26).unwrap_or_default());
    format!("T{}{}{}", letter(676), letter(26), letter(1))
}

/// The window of all made pages: one year.
///
/// # Errors
/// Never: the year is fixed.
pub fn window() -> Result<Window, &'static str> {
    Window::new(date(2023, 1, 1), date(2023, 12, 31)).ok_or("the year has no days")
}

/// One page as the server sends it.
#[derive(Clone, Debug)]
pub struct MadePage {
    /// The body before compression.
    pub json_bytes: usize,
    /// The body, gzip at level 6.
    pub gzip: Vec<u8>,
    /// Bars in it.
    pub bars: usize,
}

/// Bodies of a ticker's pages before compression, each with its number of bars.
type Bodies = Vec<(Vec<u8>, usize)>;

/// Tickers, each with its pages in order.
type Market = Vec<(String, Vec<MadePage>)>;

/// The pages of `tickers` tickers over the year, in order, made by all cores. `base_url` is the beginning of each `next_url`.
///
/// # Errors
/// If a page cannot be compressed.
pub fn pages(tickers: usize, base_url: &str) -> Result<Market, Box<dyn Error>> {
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let numbers: Vec<usize> = (0..tickers).collect();
    let made: Vec<Result<Vec<_>, String>> = thread::scope(|scope| {
        let share = |numbers: &[usize]| {
            let numbers = numbers.to_vec();
            scope.spawn(move || {
                let make =
                    |number: usize| pages_of(&ticker(number), base_url).map_err(|error| error.to_string());
                numbers.into_iter().map(|number| Ok((ticker(number), make(number)?))).collect()
            })
        };
        let shares: Vec<_> = numbers.chunks(tickers.div_ceil(cores).max(1)).map(share).collect();
        shares
            .into_iter()
            .map(|made| made.join().unwrap_or_else(|_| Err("a thread died".to_owned())))
            .collect()
    });
    Ok(made.into_iter().collect::<Result<Vec<_>, _>>()?.concat())
}

/// The pages of one ticker.
///
/// # Errors
/// If a page cannot be compressed.
pub fn pages_of(ticker: &str, base_url: &str) -> Result<Vec<MadePage>, Box<dyn Error>> {
    let bodies = bodies_of(ticker, base_url)?;
    bodies
        .into_iter()
        .map(|(json, bars)| Ok(MadePage { json_bytes: json.len(), gzip: gzip(&json)?, bars }))
        .collect()
}

/// The JSON of the pages of one ticker, each with its number of bars.
///
/// # Errors
/// Never: the year is fixed.
pub fn bodies_of(ticker: &str, base_url: &str) -> Result<Bodies, Box<dyn Error>> {
    let window = window()?;
    let bars: Vec<MadeBar> = Walk::new(ticker).year(window);
    let count = bars.len().div_ceil(PAGE_BARS);
    let body = |(number, bars): (usize, &[MadeBar])| {
        let next = bars.last().filter(|_| number + 1 < count).map(|last| {
            let (from, to) = (last.timestamp + MINUTE_MS, window.to());
            format!("{base_url}/v2/aggs/ticker/{ticker}/range/1/minute/{from}/{to}?cursor={}", number + 1)
        });
        (json(ticker, bars, next.as_deref()), bars.len())
    };
    Ok(bars.chunks(PAGE_BARS).enumerate().map(body).collect())
}

/// Compresses a body like the service.
///
/// # Errors
/// Never: it is written to memory.
pub fn gzip(json: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(json)?;
    encoder.finish()
}

/// One bar; prices in hundredths of a cent.
struct MadeBar {
    timestamp: i64,
    /// Open, close, high, low.
    prices: [i64; 4],
    vwap: i64,
    volume: u64,
    transactions: u64,
}

/// A random walk of a price through the year.
struct Walk {
    random: Rng,
    /// In cents.
    price: f64,
    /// The percentage of extended minutes with trades.
    liquidity: u64,
    /// Shares in a typical minute.
    shares: u64,
}

impl Walk {
    fn new(ticker: &str) -> Self {
        let name =
            ticker.bytes().fold(SEED, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
        let mut random = Rng::with_seed(name);
        let (price, liquidity, shares) =
            (random.u32(2_000..20_000), random.u64(45..80), random.u64(500..60_000));
        Self { random, price: f64::from(price), liquidity, shares }
    }

    fn year(mut self, window: Window) -> Vec<MadeBar> {
        let mut bars = Vec::with_capacity(5 * PAGE_BARS);
        for session in sessions(window) {
            self.session(session, &mut bars);
        }
        bars
    }

    fn session(&mut self, session: Session, bars: &mut Vec<MadeBar>) {
        let mut minute = session.extended_open_ms();
        while minute < session.extended_close_ms() {
            let is_regular = (session.open_ms()..session.close_ms()).contains(&minute);
            if is_regular || self.random.u64(0..100) < self.liquidity {
                bars.push(self.bar(minute, is_regular));
            }
            minute += MINUTE_MS;
        }
    }

    fn bar(&mut self, timestamp: i64, is_regular: bool) -> MadeBar {
        let width = self.price * if is_regular { 0.0011 } else { 0.0005 };
        let open = self.price + self.random.f64() - 0.5;
        let close =
            (open + width * (self.random.f64() + self.random.f64() + self.random.f64() - 1.5)).max(100.0);
        let high = open.max(close) + width * 0.6 * self.random.f64();
        let low = open.min(close) - width * 0.6 * self.random.f64();
        self.price = close;
        let [open, close, high, low] = [open, close, high, low].map(|cents| self.hundredths(cents));
        let (high, low) = (high.max(open).max(close), low.min(open).min(close));
        let share = if is_regular { self.shares } else { self.shares / 20 + 2 };
        let volume = 1 + share * self.random.u64(1..100) * self.random.u64(1..100) / 1_000;
        let transactions = 1 + volume / self.random.u64(60..140);
        let vwap = self.random.i64(low..=high);
        MadeBar { timestamp, prices: [open, close, high, low], vwap, volume, transactions }
    }

    /// Cents in hundredths of a cent; a quarter of them get two more decimals.
    #[expect(clippy::cast_possible_truncation, reason = "prices of some hundred dollars")]
    fn hundredths(&mut self, cents: f64) -> i64 {
        let more = if self.random.u8(0..4) == 0 { self.random.i64(1..100) } else { 0 };
        100 * cents.round() as i64 + more
    }
}

fn json(ticker: &str, bars: &[MadeBar], next: Option<&str>) -> Vec<u8> {
    let mut json = Vec::with_capacity(100 * bars.len() + 500);
    let count = bars.len();
    let head = format!(
        r#"{{"ticker":"{ticker}","queryCount":{count},"resultsCount":{count},"adjusted":false,"results":["#
    );
    json.extend_from_slice(head.as_bytes());
    for (row, bar) in bars.iter().enumerate() {
        let [open, close, high, low] = bar.prices.map(dollars);
        let MadeBar { timestamp, vwap, volume, transactions, .. } = bar;
        let (comma, vwap, volume) = (if row > 0 { "," } else { "" }, dollars(*vwap), shares(*volume));
        let bar = format!(
            r#"{comma}{{"v":{volume},"vw":{vwap},"o":{open},"c":{close},"h":{high},"l":{low},"t":{timestamp},"n":{transactions}}}"#
        );
        json.extend_from_slice(bar.as_bytes());
    }
    let next = next.map(|url| format!(r#","next_url":"{url}""#)).unwrap_or_default();
    let tail =
        format!(r#"],"status":"OK","request_id":"6a7e466379af0a71039d60cc78e72282","count":{count}{next}}}"#);
    json.extend_from_slice(tail.as_bytes());
    json
}

/// Hundredths of a cent as a JSON number: no zeros at the end.
fn dollars(hundredths: i64) -> String {
    let (whole, fraction) = (hundredths / 10_000, hundredths % 10_000);
    if fraction == 0 {
        return whole.to_string();
    }
    format!("{whole}.{fraction:04}").trim_end_matches('0').to_owned()
}

/// A volume as the service writes it: with an exponent from a million on (`sandbox::wire`).
fn shares(volume: u64) -> String {
    if volume < 1_000_000 {
        return volume.to_string();
    }
    let text = volume.to_string();
    let (first, rest) = text.split_at(1);
    let (rest, power) = (rest.trim_end_matches('0'), text.len() - 1);
    let point = if rest.is_empty() { "" } else { "." };
    format!("{first}{point}{rest}e+{power:02}")
}
