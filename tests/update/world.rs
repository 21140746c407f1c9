//! A service with a changing market, and a client with a clock.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use grab_model::{Bar, new_york};
use jiff::{
    Timestamp,
    civil::{Date, date},
};
use serde_json::Value;

use crate::support::{Grab, Ran, Reply, Request, Server, bars_of, market_page, page_with, read_store};

/// The service's bars, by symbol and day.
pub type Truth = BTreeMap<String, BTreeMap<Date, Vec<Bar>>>;

/// The rows of its lists, and its faults.
#[derive(Clone, Debug, Default)]
pub struct Lists {
    /// Rows of active tickers, and of delisted ones.
    pub active: Vec<Value>,
    pub left: Vec<Value>,
    /// Rows of splits.
    pub splits: Vec<Value>,
    /// Details by ticker, and by ticker and day, such as `A?date=2024-11-14`.
    pub details: BTreeMap<String, Value>,
    /// The days on which exchanges are closed, row by row.
    pub closed: Vec<Value>,
    /// Symbols in the grouped daily bars of a day; the plan does not include any other day.
    pub market: BTreeMap<Date, Vec<&'static str>>,
    /// List dates by ticker.
    pub listed: BTreeMap<String, &'static str>,
    /// Events by ticker.
    pub events: BTreeMap<String, Value>,
    /// Whether all lists are refused.
    pub is_broken: bool,
    /// Whether all lists fail.
    pub is_failing: bool,
    /// Bars per page, if there are pages.
    pub page: Option<usize>,
    /// Whether prices before the split of each symbol are adjusted: its day and the factor.
    pub adjusted: Option<(Date, f64)>,
}

/// A service whose bars and lists change under the client, and a client with a clock.
pub struct World {
    pub truth: Arc<Mutex<Truth>>,
    pub lists: Arc<Mutex<Lists>>,
    pub server: Server,
    pub grab: Grab,
}

pub fn day(day: i8) -> Date {
    date(2024, 11, day)
}

/// The New York day of a `from` or `to`, given as a day or in ms.
fn day_of(text: &str) -> Date {
    text.parse().ok().or_else(|| new_york::date_of(text.parse().ok()?)).unwrap()
}

impl Lists {
    fn answer(&self, target: &str) -> Reply {
        if self.is_broken {
            return Reply::json(403, r#"{"status":"NOT_AUTHORIZED","message":"not in your plan"}"#);
        }
        if self.is_failing {
            return Reply::json(500, r#"{"status":"ERROR","error":"internal"}"#);
        }
        let list = |rows: &[Value]| {
            Reply::json(200, serde_json::json!({ "status": "OK", "results": rows }).to_string())
        };
        let one = |row: Option<Value>| match row {
            Some(row) => Reply::json(200, serde_json::json!({ "status": "OK", "results": row }).to_string()),
            None => Reply::json(404, r#"{"status":"NOT_FOUND","message":"not found"}"#),
        };
        let path = target.split('?').next().unwrap();
        match path.split('/').collect::<Vec<_>>()[1..] {
            ["v3", "reference", "tickers"] if target.contains("active=true") => list(&self.active),
            ["v3", "reference", "tickers"] => list(&self.left),
            ["v3", "reference", "tickers", ticker] => {
                let listed = self.listed.get(ticker);
                let listed =
                    listed.map(|listed| serde_json::json!({ "ticker": ticker, "list_date": listed }));
                let details = self.details.get(target.strip_prefix("/v3/reference/tickers/").unwrap());
                one(details.cloned().or(listed))
            }
            ["v1", "marketstatus", "upcoming"] => {
                Reply::json(200, Value::from(self.closed.clone()).to_string())
            }
            ["v2", "aggs", "grouped", .., day] => {
                let day: Date = day.parse().unwrap();
                let symbols = self.market.get(&day);
                symbols.map_or_else(
                    || Reply::json(403, r#"{"status":"NOT_AUTHORIZED","message":"not in your plan"}"#),
                    |symbols| {
                        let traded: Vec<_> = symbols.iter().map(|symbol| (*symbol, 1_000.0)).collect();
                        Reply::json(200, market_page(day, &traded))
                    },
                )
            }
            ["vX", "reference", "tickers", ticker, "events"] => one(self.events.get(ticker).cloned()),
            ["stocks", "v1", "splits"] => list(&self.splits),
            _ => panic!("nobody asks for {target}"),
        }
    }

    /// A bar as the service has it, adjusted for a split if configured.
    fn adjust(&self, bar: Bar) -> Bar {
        let Some((from, factor)) = self.adjusted else { return bar };
        if new_york::date_of(bar.timestamp) >= Some(from) {
            return bar;
        }
        Bar {
            open: bar.open * factor,
            high: bar.high * factor,
            low: bar.low * factor,
            close: bar.close * factor,
            volume: bar.volume / factor,
            ..bar
        }
    }
}

impl World {
    /// With A and B, which trade on each of these days of November 2024.
    pub fn new(days: &[i8]) -> Self {
        let truth: Arc<Mutex<Truth>> = Arc::default();
        let lists: Arc<Mutex<Lists>> = Arc::default();
        let (known, told) = (Arc::clone(&truth), Arc::clone(&lists));
        let server = Server::start(move |request| {
            let lists = told.lock().unwrap().clone();
            if request.target.starts_with("/v2/aggs/ticker/") {
                answer_bars(request, &known.lock().unwrap(), &lists)
            } else {
                lists.answer(&request.target)
            }
        });
        let grab = Grab::with_server(server.base_url());
        let world = Self { truth, lists, server, grab };
        world.trade_on(days);
        world
    }

    pub fn trade(&self, day: Date) {
        for symbol in ["A", "B"] {
            self.change(symbol, day, |bars| *bars = bars_of(&[day]));
        }
    }

    pub fn trade_on(&self, days: &[i8]) {
        for at in days {
            self.trade(day(*at));
        }
    }

    pub fn change(&self, symbol: &str, day: Date, change: impl FnOnce(&mut Vec<Bar>)) {
        change(self.truth.lock().unwrap().entry(symbol.to_owned()).or_default().entry(day).or_default());
    }

    pub fn remove(&self, symbol: &str, day: Date) -> Vec<Bar> {
        self.truth.lock().unwrap().get_mut(symbol).unwrap().remove(&day).unwrap()
    }

    /// Changes the lists.
    pub fn list(&self, change: impl FnOnce(&mut Lists)) {
        change(&mut self.lists.lock().unwrap());
    }

    /// Runs a command at a time of a day in New York.
    pub fn at(&self, day: Date, hour: i8, minute: i8, command: &str) -> Ran {
        let now = Timestamp::from_millisecond(new_york::at_ms(day, hour, minute)).unwrap().to_string();
        self.grab.command(command).env("GRAB_NOW", now).output().unwrap().into()
    }

    /// An update at a quarter to nine in the evening.
    pub fn update(&self, on: i8, code: i32) -> Value {
        self.at(day(on), 20, 45, "update --json").exits(code).json()
    }

    pub fn is_true(&self) -> bool {
        let truth = self.truth.lock().unwrap();
        let bars =
            truth.iter().map(|(symbol, days)| (symbol.clone(), days.values().flatten().copied().collect()));
        read_store(&self.grab.data_dir()) == bars.collect::<BTreeMap<_, Vec<_>>>()
    }
}

fn answer_bars(request: &Request, truth: &Truth, lists: &Lists) -> Reply {
    let to = request.target.split(['/', '?']).nth(9).unwrap();
    let asked = day_of(request.from())..=day_of(to);
    let held = truth.get(request.symbol()).cloned().unwrap_or_default();
    let bars = held.into_iter().filter(|(day, _)| asked.contains(day)).flat_map(|(_, bars)| bars);
    let bars: Vec<Bar> = bars.map(|bar| lists.adjust(bar)).collect();
    let begin = request.target.split("cursor=").nth(1).map_or(0, |begin| begin.parse().unwrap());
    let end = bars.len().min(begin + lists.page.unwrap_or(bars.len()));
    let path = request.target.split('?').next().unwrap();
    let next = format!("http://{}{path}?adjusted=true&cursor={end}", request.header("host").unwrap());
    let next = (end < bars.len()).then_some(next.as_str());
    let is_adjusted = request.target.contains("adjusted=true");
    Reply::json(200, page_with(request.symbol(), is_adjusted, &bars[begin..end], next))
}

/// A fortnight of November 2024: Friday 1 to Thursday 14.
pub const FORTNIGHT: [i8; 10] = [1, 4, 5, 6, 7, 8, 11, 12, 13, 14];

pub fn begun() -> World {
    let world = World::new(&FORTNIGHT);
    world.at(day(14), 21, 0, "start --windows 2024-11 --tickers A,B").exits(0);
    world
}
