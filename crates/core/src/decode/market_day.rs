//! The rows of one day of the whole market (polygon-api.md §2).

use std::collections::BTreeMap;

use grab_model::{DayBar, Symbol, excerpt};
use serde::{
    Deserialize,
    de::{Error, SeqAccess},
};

use super::{
    envelope::{DecodeRows, ResponseBody},
    json_object::JsonObject,
    loose_integer::LooseInteger,
};

/// One day of the whole market.
pub type MarketEnvelope = ResponseBody<MarketDayBars>;

/// How much of a malformed symbol is shown, in characters.
const SHOWN: usize = 20;

/// One bar for each symbol that traded, in the order of the symbols.
#[derive(Debug, Default)]
pub struct MarketDayBars {
    rows: BTreeMap<Symbol, DayBar>,
    skipped: usize,
    span_ms: Option<(i64, i64)>,
}

impl MarketDayBars {
    /// The number of rows whose ticker is not a symbol of a stock: they are left out.
    #[must_use]
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// The earliest and the latest timestamp of the rows, UTC ms. None if there is no row.
    #[must_use]
    pub fn span_ms(&self) -> Option<(i64, i64)> {
        self.span_ms
    }

    /// The rows, by symbol; each symbol has one.
    #[must_use]
    pub fn into_rows(self) -> Vec<DayBar> {
        self.rows.into_values().collect()
    }
}

/// One element of `results`.
#[derive(Deserialize)]
struct WireRow {
    #[serde(rename = "T")]
    ticker: String,
    t: LooseInteger,
    o: f64,
    h: f64,
    l: f64,
    c: f64,
    v: f64,
    #[serde(default)]
    vw: Option<f64>,
    #[serde(default)]
    n: Option<LooseInteger>,
}

impl DecodeRows for MarketDayBars {
    /// About 11,000 symbols trade on a day.
    const MOST: usize = 100_000;

    fn count(&self) -> usize {
        self.rows.len() + self.skipped
    }

    fn read_next<'de, A: SeqAccess<'de>>(&mut self, results: &mut A) -> Result<bool, A::Error> {
        let Some(JsonObject(row)) = results.next_element::<JsonObject<WireRow>>()? else { return Ok(false) };
        // One wrong volume makes the sum of the whole day wrong.
        if !(row.v.is_finite() && row.v >= 0.0) {
            let ticker = excerpt(&row.ticker, SHOWN);
            return Err(A::Error::custom(format!("{ticker:?} has the volume {}", row.v)));
        }
        let (first, last) = self.span_ms.unwrap_or((row.t.0, row.t.0));
        self.span_ms = Some((first.min(row.t.0), last.max(row.t.0)));
        let Ok(symbol) = row.ticker.parse::<Symbol>() else {
            self.skipped += 1;
            return Ok(true);
        };
        let bar = DayBar {
            symbol: symbol.clone(),
            open: row.o,
            high: row.h,
            low: row.l,
            close: row.c,
            volume: row.v,
            vwap: row.vw,
            transactions: row.n.map(|n| n.0),
        };
        match self.rows.insert(symbol, bar) {
            Some(before) => Err(A::Error::custom(format!("{} stands there twice", before.symbol))),
            None => Ok(true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::MarketEnvelope;

    fn row(ticker: &str, volume: &str) -> String {
        format!(r#"{{"T":"{ticker}","v":{volume},"vw":1.5,"o":1,"c":2,"h":2,"l":1,"t":1704315600000,"n":3}}"#)
    }

    fn body(rows: &[String]) -> String {
        format!(
            r#"{{"queryCount":9,"resultsCount":9,"adjusted":false,"results":[{}],"status":"OK","request_id":"r"}}"#,
            rows.join(",")
        )
    }

    fn refused(json: &str) -> String {
        MarketEnvelope::read(json.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_day_as_the_service_writes_it() {
        let bare =
            r#"{"T":"A","v":1.2345e+06,"o":1,"c":2,"h":2,"l":1,"t":1.7043156e+12,"otc":true,"n":null}"#;
        let rows = [row("KIMpL", "25933.6"), bare.to_owned(), row("X:BTCUSD", "1"), row("", "2")];
        let market = MarketEnvelope::read(body(&rows).as_bytes()).unwrap();
        assert_eq!((market.adjusted, market.results_count), (Some(false), Some(9)));
        assert_eq!(
            (market.results.skipped(), market.results.span_ms()),
            (2, Some((1_704_315_600_000, 1_704_315_600_000)))
        );
        let rows = market.results.into_rows();
        let told: Vec<_> =
            rows.iter().map(|row| (row.symbol.as_str(), row.volume, row.vwap, row.transactions)).collect();
        assert_eq!(told, [("A", 1_234_500.0, None, None), ("KIMpL", 25933.6, Some(1.5), Some(3))]);
    }

    #[test]
    fn a_closed_day_has_no_rows_in_three_forms() {
        for results in ["", r#""results":null,"#, r#""results":[],"#] {
            let json = format!(r#"{{"queryCount":0,{results}"adjusted":false,"status":"OK"}}"#);
            let market = MarketEnvelope::read(json.as_bytes()).unwrap();
            assert!(market.results.span_ms().is_none() && market.results.into_rows().is_empty());
        }
    }

    #[test]
    fn what_cannot_be_is_an_error_that_names_it() {
        assert!(
            refused(&body(&[row("A", "1"), row("B", "1"), row("A", "1")])).contains("A stands there twice")
        );
        assert!(refused(&body(&[row("A", "-1")])).contains(r#""A" has the volume -1"#));
        let long = "x".repeat(1_000_000);
        let rows = [
            row("A", "1e999"),
            row("A", "null"),
            row("A", "\"1\""),
            row(&long, "-1"),
            r#"{"v":1,"o":1,"c":1,"h":1,"l":1,"t":0}"#.to_owned(),
            r#"{"T":7,"v":1,"o":1,"c":1,"h":1,"l":1,"t":0}"#.to_owned(),
            r#"{"T":"A","v":1,"o":1,"c":1,"h":1,"l":1,"t":0.5}"#.to_owned(),
            r#"["A",0,1,1,1,1,1]"#.to_owned(),
            "[".repeat(100_000),
        ];
        for row in rows {
            let error = refused(&body(&[row]));
            assert!(error.chars().count() < 300, "{error}");
        }
        for json in ["", "[]", "<html>", r#"{"results":{}}"#, r#"{"results":"A"}"#] {
            assert!(refused(json).chars().count() < 300);
        }
        let many = body(&vec![row("x", "1"); 100_001]);
        assert!(refused(&many).contains("more than 100000 bars"));
    }
}
