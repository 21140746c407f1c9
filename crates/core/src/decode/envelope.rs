//! The JSON around bars: of one page of custom bars (polygon-api.md §1), or of the whole market's day (§2).

use std::{fmt, marker::PhantomData, ops::Range};

use grab_model::{Bar, Bars, excerpt};
use serde::{
    Deserialize, Deserializer,
    de::{Error, SeqAccess, Visitor},
};

use super::{DecodeError, json_object::JsonObject, loose_integer::LooseInteger, scan};

/// How much of a body that is not JSON is shown, in characters.
const SHOWN: usize = 60;

/// More bars than any page has: a request can name 50,000 at most (polygon-api.md §1). A body within its bound
/// could hold millions.
const MOST_BARS: usize = 100_000;

/// How much of the parser's message is shown: it repeats the value that it failed at, which may have megabytes.
const REASON: usize = 120;

/// How much of the server's message is stored: it goes to terminals, logs and the manifest.
const WORDS: usize = 200;

/// One page of a ticker's bars.
pub type Envelope = ResponseBody<Bars>;

/// A response as it was sent, before it is checked against the request. Its texts are excerpts.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", bound = "R: DecodeResults")]
pub struct ResponseBody<R> {
    /// The symbol in the response.
    #[serde(default, deserialize_with = "words")]
    pub ticker: Option<String>,
    /// Whether the response says that prices are adjusted for splits.
    #[serde(default)]
    pub adjusted: Option<bool>,
    /// `OK`, `DELAYED`, `NOT_AUTHORIZED`, `ERROR`, …
    #[serde(default, deserialize_with = "words")]
    pub status: Option<String>,
    /// The server's id of the request. Documented as text; numbers were seen.
    #[serde(default, rename = "request_id", deserialize_with = "id")]
    request_id: Option<String>,
    /// The number of bars in this page, according to the server.
    #[serde(default)]
    pub results_count: Option<u64>,
    /// The bars; absent, null and `[]` alike are none.
    #[serde(default, deserialize_with = "R::read_results")]
    pub results: R,
    /// Where the next page is.
    #[serde(default, rename = "next_url")]
    pub next_url: Option<String>,
    #[serde(default, deserialize_with = "words")]
    error: Option<String>,
    #[serde(default, deserialize_with = "words")]
    message: Option<String>,
}

/// What the `results` of a response are decoded to.
pub trait DecodeResults: Default {
    /// Reads them.
    ///
    /// # Errors
    /// If they are not of the documented shape, or have impossible values.
    fn read_results<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;

    /// Reads them from a whole body, with the same outcome as [`DecodeResults::read_results`], and returns their range
    /// in it. None if only a general JSON reader can read them.
    #[must_use]
    fn scan(_json: &[u8]) -> Option<(Self, Range<usize>)> {
        None
    }
}

impl<R: DecodeRows> DecodeResults for R {
    fn read_results<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        rows(deserializer)
    }

    fn scan(json: &[u8]) -> Option<(Self, Range<usize>)> {
        R::scan_rows(json)
    }
}

/// What the list of `results` of a response is decoded to.
pub trait DecodeRows: Default {
    /// More elements than any response has: a body within its bound could hold millions.
    const MOST: usize;

    /// The number of elements that were read.
    fn count(&self) -> usize;

    /// Reads one more element. Returns whether there was one.
    ///
    /// # Errors
    /// If it is not of the documented shape, or has impossible values.
    fn read_next<'de, A: SeqAccess<'de>>(&mut self, results: &mut A) -> Result<bool, A::Error>;

    /// See [`DecodeResults::scan`].
    #[must_use]
    fn scan_rows(_json: &[u8]) -> Option<(Self, Range<usize>)> {
        None
    }
}

impl<R: DecodeResults> ResponseBody<R> {
    /// Reads a response body.
    ///
    /// # Errors
    /// If the body is not JSON or not of the documented shape.
    pub fn read(json: &[u8]) -> Result<Self, DecodeError> {
        Self::read_scanned(json).map_or_else(|| Self::read_any(json), Ok)
    }

    /// Reads the results by their own scanner, and the few fields around them by serde.
    fn read_scanned(json: &[u8]) -> Option<Self> {
        let (results, place) = R::scan(json)?;
        let around = [json.get(..place.start)?, b"[]", json.get(place.end..)?].concat();
        let JsonObject(body) = serde_json::from_slice::<JsonObject<Self>>(&around).ok()?;
        Some(Self { results, ..body })
    }

    fn read_any(json: &[u8]) -> Result<Self, DecodeError> {
        match serde_json::from_slice(json) {
            Ok(JsonObject(body)) => Ok(body),
            Err(error) => Err(DecodeError::Json { begins: beginning(json), reason: reason(&error) }),
        }
    }

    /// Calls `change` with each of its texts.
    pub fn each_text(&mut self, mut change: impl FnMut(&mut String)) {
        let Self { ticker, status, request_id, next_url, error, message, .. } = self;
        [ticker, status, request_id, next_url, error, message].into_iter().flatten().for_each(&mut change);
    }

    /// The server's id of the request.
    #[must_use]
    pub fn request_id(&self) -> Option<String> {
        self.request_id.clone()
    }

    /// The server's message: in `error` for some refusals, in `message` for others.
    #[must_use]
    pub fn words(&self) -> Option<&str> {
        self.error.as_deref().or(self.message.as_deref())
    }
}

pub(super) fn beginning(body: &[u8]) -> String {
    let body = body.trim_ascii();
    // A character has four bytes at most.
    String::from_utf8_lossy(&body[..body.len().min(4 * SHOWN)]).chars().take(SHOWN).collect()
}

pub(super) fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let short = excerpt(&text, REASON);
    if short == text {
        return text;
    }
    format!("{short} at line {} column {}", error.line(), error.column())
}

fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.map(|text| excerpt(&text, WORDS)))
}

/// Documented as text; numbers were seen.
fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let id = Option::<serde_json::Value>::deserialize(deserializer)?;
    Ok(id.map(|id| excerpt(id.as_str().unwrap_or(&id.to_string()), WORDS)))
}

/// One element of `results`. Only prices, volume and time are always there.
#[derive(Deserialize)]
struct WireBar {
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

impl From<WireBar> for Bar {
    fn from(bar: WireBar) -> Self {
        Self {
            timestamp: bar.t.0,
            open: bar.o,
            high: bar.h,
            low: bar.l,
            close: bar.c,
            volume: bar.v,
            vwap: bar.vw,
            transactions: bar.n.map(|n| n.0),
        }
    }
}

/// Bars in the order in which they were sent.
impl DecodeRows for Bars {
    const MOST: usize = MOST_BARS;

    fn count(&self) -> usize {
        self.len()
    }

    /// Reads into the columns directly: no page is ever a list of bars in memory.
    fn read_next<'de, A: SeqAccess<'de>>(&mut self, results: &mut A) -> Result<bool, A::Error> {
        let bar = results.next_element::<JsonObject<WireBar>>()?;
        Ok(bar.map(|bar| self.push(bar.0.into())).is_some())
    }

    fn scan_rows(json: &[u8]) -> Option<(Self, Range<usize>)> {
        scan::bars(json, MOST_BARS)
    }
}

fn rows<'de, D: Deserializer<'de>, R: DecodeRows>(deserializer: D) -> Result<R, D::Error> {
    struct List<R>(PhantomData<R>);

    impl<'de, R: DecodeRows> Visitor<'de> for List<R> {
        type Value = R;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of bars or null")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut results: A) -> Result<R, A::Error> {
            let mut rows = R::default();
            while rows.read_next(&mut results)? {
                if rows.count() > R::MOST {
                    return Err(A::Error::custom(format!("more than {} bars", R::MOST)));
                }
            }
            Ok(rows)
        }

        fn visit_unit<E: Error>(self) -> Result<R, E> {
            Ok(R::default())
        }
    }

    deserializer.deserialize_any(List(PhantomData))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(json: &str) -> Envelope {
        Envelope::read(json.as_bytes()).unwrap()
    }

    #[test]
    fn a_page_as_the_service_writes_it() {
        let page = read(
            r#"{"ticker":"AAPL","queryCount":2,"resultsCount":2,"adjusted":false,"results":[
            {"v":1.12117471e+08,"vw":125.725,"o":130.28,"c":125.07,"h":130.9,"l":124.17,"t":1672722000000,"n":1021065},
            {"v":25933.6,"o":1,"c":1,"h":1,"l":1,"t":1.67272206e+12,"otc":true,"new_field":[{"deep":1}]}],
            "status":"DELAYED","request_id":"7b7e","count":2,"next_url":"https://api.massive.com/x"}"#,
        );
        let first = Bar {
            timestamp: 1_672_722_000_000,
            open: 130.28,
            high: 130.9,
            low: 124.17,
            close: 125.07,
            volume: 112_117_471.0,
            vwap: Some(125.725),
            transactions: Some(1_021_065),
        };
        let second = Bar {
            timestamp: 1_672_722_060_000,
            open: 1.0,
            high: 1.0,
            low: 1.0,
            close: 1.0,
            volume: 25933.6,
            vwap: None,
            transactions: None,
        };
        assert_eq!(page.results.iter().collect::<Vec<_>>(), [first, second]);
        assert_eq!(
            (page.ticker.as_deref(), page.adjusted, page.results_count),
            (Some("AAPL"), Some(false), Some(2))
        );
        assert_eq!(page.request_id().as_deref(), Some("7b7e"));
        assert_eq!(page.next_url.as_deref(), Some("https://api.massive.com/x"));
    }

    #[test]
    fn no_results_come_in_three_forms() {
        for results in ["", r#""results":null,"#, r#""results":[],"#] {
            let page = read(&format!(r#"{{"queryCount":0,{results}"resultsCount":0,"status":"OK"}}"#));
            assert!(page.results.is_empty());
        }
    }

    #[test]
    fn nulls_for_the_optional_columns() {
        let page =
            read(r#"{"results":[{"v":1,"vw":null,"o":1,"c":1,"h":1,"l":1,"t":0,"n":null}],"request_id":1}"#);
        let bar = page.results.get(0).unwrap();
        assert_eq!((bar.vwap, bar.transactions), (None, None));
        assert_eq!(page.request_id().as_deref(), Some("1"));
    }

    #[test]
    fn the_words_of_a_refusal() {
        assert_eq!(read(r#"{"status":"ERROR","error":"Unknown API Key"}"#).words(), Some("Unknown API Key"));
        assert_eq!(read(r#"{"status":"NOT_AUTHORIZED","message":"upgrade"}"#).words(), Some("upgrade"));
    }

    #[test]
    fn what_is_not_the_documented_json_is_an_error_that_shows_it() {
        let nested = format!("{{\"results\":{}", "[".repeat(100_000));
        let bodies = [
            "<html><h1>504 Gateway Time-out</h1></html>",
            "",
            "{\"results\":[{\"v\":1}]}",
            r#"{"results":[{"v":1,"o":1,"c":1,"h":1,"l":1,"t":0.5}]}"#,
            r#"{"results":[{"v":"1","o":1,"c":1,"h":1,"l":1,"t":0}]}"#,
            r#"{"results":[{"v":1e999,"o":1,"c":1,"h":1,"l":1,"t":0}]}"#,
            r#"{"results":{}}"#,
            &nested,
            "[]",
            r#"["MADE",false,"OK",null,1,[]]"#,
            r#"{"results":[[0,1,1,1,1,1]]}"#,
        ];
        for body in bodies {
            let error = Envelope::read(body.as_bytes()).unwrap_err();
            assert!(error.to_string().chars().count() < 250, "{error}");
        }
        let error = Envelope::read(bodies[0].as_bytes()).unwrap_err();
        assert!(error.to_string().contains("504 Gateway"), "{error}");
    }

    #[test]
    fn there_is_an_end_to_bars() {
        let page = |count| {
            let bars = vec![r#"{"t":0,"o":1,"h":1,"l":1,"c":1,"v":1}"#; count].join(",");
            Envelope::read(format!(r#"{{"results":[{bars}]}}"#).as_bytes())
        };
        assert_eq!(page(MOST_BARS).unwrap().results.len(), MOST_BARS);
        assert!(page(MOST_BARS + 1).unwrap_err().to_string().contains("more than 100000 bars at line 1"));
    }

    #[test]
    fn what_people_read_is_short_however_much_was_sent() {
        let long = "x".repeat(1_000_000);
        let page = read(&format!(
            r#"{{"ticker":"{long}","status":"{long}","message":"\u001b[31m{long}","request_id":["{long}"]}}"#
        ));
        let id = page.request_id().unwrap();
        for text in [page.words().unwrap(), &page.ticker.clone().unwrap(), &page.status.clone().unwrap(), &id]
        {
            assert_eq!(text.chars().count(), WORDS + 1);
            assert!(!text.contains('\u{1b}'));
        }
        for body in [format!(r#"{{"adjusted":"{long}"}}"#), format!(r#"{{"results":[{{"t":"{long}"}}]}}"#)] {
            let error = Envelope::read(body.as_bytes()).unwrap_err().to_string();
            assert!(error.chars().count() < 300 && error.contains("at line 1 column 10000"), "{error}");
        }
    }

    proptest! {
        /// Prices are exact to the last bit: they equal what Rust's own, correctly rounding parser reads from the
        /// decimal text.
        #[test]
        fn numbers_are_read_to_the_last_bit(whole in 0..100_000_u32, fraction in "[0-9]{1,17}", exponent in -30..30_i32) {
            for text in [format!("{whole}.{fraction}"), format!("{whole}.{fraction}e{exponent}")] {
                let json = format!(r#"{{"results":[{{"v":{text},"o":{text},"c":1,"h":1,"l":1,"t":0}}]}}"#);
                let bar = read(&json).results.get(0).unwrap();
                let expected: f64 = text.parse().unwrap();
                prop_assert_eq!(bar.open.to_bits(), expected.to_bits());
                prop_assert_eq!(bar.volume.to_bits(), expected.to_bits());
            }
        }
    }
}

#[cfg(test)]
mod scanned;
