//! JSON as the service writes it: the order of its keys, and its numbers.

use std::io;

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};

use grab_model::Bar;

/// The JSON text of a body.
pub(super) fn to_json(body: &impl Serialize) -> Vec<u8> {
    let mut json = Vec::new();
    // This cannot fail: writing to memory succeeds, and all keys of these bodies are text.
    if let Err(error) = body.serialize(&mut serde_json::Serializer::with_formatter(&mut json, GoNumbers)) {
        tracing::error!(%error, "a body of the sandbox cannot be written");
    }
    json
}

/// Compact JSON with numbers as Go's `strconv` writes them in its shortest `%g` form, as the service does:
/// `895345`, but `1.029145e+06` from 1e6 up and `9.5e-05` below 1e-4 (polygon-api.md §1).
///
/// The digits are the fewest that read back as the same float64.
struct GoNumbers;

impl Formatter for GoNumbers {
    fn write_f64<W: ?Sized + io::Write>(&mut self, out: &mut W, value: f64) -> io::Result<()> {
        let is_plain = value == 0.0 || (1e-4..1e6).contains(&value.abs());
        if is_plain { write_plain(out, value) } else { write_exponent(out, value) }
    }
}

/// `123.45`, and `123` for 123.0.
fn write_plain<W: ?Sized + io::Write>(out: &mut W, value: f64) -> io::Result<()> {
    let mut buffer = [0; 32];
    let mut unused = &mut buffer[..];
    CompactFormatter.write_f64(&mut unused, value)?;
    let length = 32 - unused.len();
    let digits = &buffer[..length];
    out.write_all(digits.strip_suffix(b".0").unwrap_or(digits))
}

/// `1.5e+06`: a sign and at least two digits in the exponent.
fn write_exponent<W: ?Sized + io::Write>(out: &mut W, value: f64) -> io::Result<()> {
    let text = format!("{value:e}");
    let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, power) = power.strip_prefix('-').map_or(("+", power), |power| ("-", power));
    write!(out, "{digits}e{sign}{power:0>2}")
}

/// The body of a response with bars, its keys in the recorded order.
#[derive(Serialize)]
pub(super) struct BarsBody<'a> {
    /// Absent in the whole market's bars of a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ticker: Option<&'a str>,
    /// The number of base aggregates that were read: minutes, or days for day bars.
    #[serde(rename = "queryCount")]
    pub query_count: usize,
    #[serde(rename = "resultsCount")]
    pub results_count: usize,
    pub adjusted: bool,
    /// Absent if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<BarRow<'a>>,
    pub status: &'static str,
    pub request_id: &'a str,
    /// Absent if there are no results.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<usize>,
    /// Absent in the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_url: Option<String>,
}

/// A bar, its keys in the recorded order.
#[derive(Clone, Copy, Serialize)]
pub(super) struct BarRow<'a> {
    #[serde(rename = "T", skip_serializing_if = "Option::is_none")]
    ticker: Option<&'a str>,
    pub v: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    vw: Option<f64>,
    pub o: f64,
    pub c: f64,
    h: f64,
    l: f64,
    pub t: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<i64>,
}

impl<'a> BarRow<'a> {
    /// A bar in an envelope that names its ticker, or with its own `ticker`.
    pub fn new(ticker: Option<&'a str>, bar: Bar) -> Self {
        Self {
            ticker,
            v: bar.volume,
            vw: bar.vwap,
            o: bar.open,
            c: bar.close,
            h: bar.high,
            l: bar.low,
            t: bar.timestamp,
            n: bar.transactions,
        }
    }
}

/// The body of a response of the reference endpoints, its keys in the recorded order.
#[derive(Serialize)]
pub(super) struct ReferenceBody<'a, T> {
    pub results: T,
    pub status: &'static str,
    pub request_id: &'a str,
    /// Only lists of tickers have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<usize>,
    /// Absent in the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_url: Option<String>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(value: f64) -> String {
        String::from_utf8(to_json(&value)).unwrap()
    }

    #[test]
    fn numbers_as_they_were_recorded() {
        let recorded = [
            (895_345.0, "895345"),
            (1_029_145.0, "1.029145e+06"),
            (112_117_471.0, "1.12117471e+08"),
            (9_000_000.0, "9e+06"),
            (125.725, "125.725"),
            (123.0, "123"),
            (9_099.618_093, "9099.618093"),
            (0.000_921, "0.000921"),
        ];
        for (value, text) in recorded {
            assert_eq!(written(value), text);
        }
    }

    /// Where Go changes between its two forms, and what its `strconv` writes there.
    #[test]
    fn numbers_at_the_edges() {
        let edges = [
            (0.0, "0"),
            (-0.0, "-0"),
            (999_999.999_999_999_9, "999999.9999999999"),
            (1e6, "1e+06"),
            (1e-4, "0.0001"),
            (0.000_099_99, "9.999e-05"),
            (-2e-10, "-2e-10"),
            (f64::MAX, "1.7976931348623157e+308"),
            (5e-324, "5e-324"),
        ];
        for (value, text) in edges {
            assert_eq!(written(value), text);
        }
    }

    proptest! {
        #[test]
        fn every_number_reads_back_to_the_last_bit(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            prop_assert_eq!(written(value).parse::<f64>().unwrap().to_bits(), bits);
        }

        /// Prices and volumes, whole and with four or six decimals: never longer than Rust's shortest form.
        #[test]
        fn plain_numbers_are_the_shortest(units in 1..999_999u32, millionths in 0..1_000_000u32) {
            let value = f64::from(units) + f64::from(millionths) / 1e6;
            prop_assert_eq!(written(value), value.to_string());
        }
    }
}
