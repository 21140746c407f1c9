//! Pages as the service writes them, of made-up bars.

use grab_model::{Bar, new_york};
use jiff::civil::Date;

/// `count` bars from 09:30 New York time on a day, one a minute, all columns different.
pub fn minutes(day: Date, count: usize) -> Vec<Bar> {
    let open = new_york::at_ms(day, 9, 30);
    (0..count).map(|minute| bar(open + 60_000 * i64::try_from(minute).unwrap())).collect()
}

fn bar(timestamp: i64) -> Bar {
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let minute = (timestamp / 60_000 % 1_000) as f64;
    Bar {
        timestamp,
        open: 100.0 + minute / 100.0,
        high: 101.0 + minute / 100.0,
        low: 99.0,
        close: 100.5,
        volume: 1_000_000.0 + minute,
        vwap: Some(100.25),
        transactions: Some(7),
    }
}

/// A page about `symbol`, of bars as traded.
pub fn page(symbol: &str, bars: &[Bar], next_url: Option<&str>) -> String {
    page_with(symbol, false, bars, next_url)
}

/// A page with everything that a test may want to change.
pub fn page_with(symbol: &str, adjusted: bool, bars: &[Bar], next_url: Option<&str>) -> String {
    let count = bars.len();
    let rows = bars.iter().map(bar_json).collect::<Vec<_>>().join(",");
    let (results, after) = if count > 0 {
        (format!("\"results\":[{rows}],"), format!(",\"count\":{count}"))
    } else {
        Default::default()
    };
    let next = next_url.map(|url| format!(",\"next_url\":\"{url}\"")).unwrap_or_default();
    format!(
        "{{\"ticker\":\"{symbol}\",\"queryCount\":{count},\"resultsCount\":{count},\"adjusted\":{adjusted},{results}\
         \"status\":\"OK\",\"request_id\":\"5ba3b5a5e5e5\"{after}{next}}}"
    )
}

/// Volumes from a million on have an exponent, as Go writes them.
fn bar_json(bar: &Bar) -> String {
    let Bar { timestamp, open, high, low, close, volume, vwap, transactions } = bar;
    let optional =
        |name: &str, value: Option<String>| value.map(|v| format!("\"{name}\":{v},")).unwrap_or_default();
    let vw = optional("vw", vwap.map(|v| v.to_string()));
    let n = transactions.map(|n| format!(",\"n\":{n}")).unwrap_or_default();
    format!(
        "{{\"v\":{volume:e},{vw}\"o\":{open},\"c\":{close},\"h\":{high},\"l\":{low},\"t\":{timestamp}{n}}}"
    )
}

/// The bars of several days, 30 each.
pub fn bars_of(days: &[Date]) -> Vec<Bar> {
    days.iter().flat_map(|day| minutes(*day, 30)).collect()
}

/// A day of the whole market: the symbols that traded, and their shares.
pub fn market_page(day: Date, traded: &[(&str, f64)]) -> String {
    let stamp = new_york::at_ms(day, 16, 0);
    let row = |(ticker, shares): &(&str, f64)| {
        format!(
            "{{\"T\":\"{ticker}\",\"v\":{shares:e},\"vw\":1.5,\"o\":1,\"c\":2,\"h\":2,\"l\":1,\"t\":{stamp},\"n\":3}}"
        )
    };
    let (count, rows) = (traded.len(), traded.iter().map(row).collect::<Vec<_>>().join(","));
    let results = if count > 0 { format!("\"results\":[{rows}],") } else { String::new() };
    format!(
        "{{\"queryCount\":{count},\"resultsCount\":{count},\"adjusted\":false,{results}\"status\":\"OK\",\"request_id\":\"{day}\"}}"
    )
}
