//! A page's body: gzip or plain, JSON → columns.

use grab_core::decode::{DecodeError, Envelope, inflate};
use grab_model::Bar;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::{check_chain, market};

/// The limit of an inflated body here: the program's own is larger.
const LIMIT: usize = 1 << 20;

/// The longest server text that is passed on.
const LONGEST_WORDS: usize = 1_000;

/// Checks a body. A body that begins like gzip is inflated, as its `Content-Encoding` would say.
pub fn check(body: &[u8]) {
    if !body.starts_with(&[0x1f, 0x8b]) {
        return check_json(body);
    }
    match inflate(body, LIMIT) {
        Ok(plain) => {
            assert!(plain.len() <= LIMIT, "{} bytes", plain.len());
            check_json(&plain);
        }
        Err(error) => {
            assert!(matches!(error, DecodeError::Gzip(_) | DecodeError::TooLarge { .. }), "{error:?}");
            check_chain(&error);
        }
    }
}

fn check_json(json: &[u8]) {
    market::check(json);
    match Envelope::read(json) {
        Ok(page) => {
            check_columns(&page);
            check_words(&page);
            assert!(serde_json::from_slice::<IgnoredAny>(json).is_ok(), "what was read is no JSON");
            if let Ok(oracle) = serde_json::from_slice::<Value>(json) {
                check_values(&page, &oracle);
            }
        }
        Err(error) => {
            assert!(matches!(error, DecodeError::Json { .. }), "{error:?}");
            check_chain(&error);
        }
    }
}

/// Checks that all columns have one length and valid numbers.
fn check_columns(page: &Envelope) {
    let bars = &page.results;
    let rows = bars.len();
    assert_eq!(bars.timestamps().len(), rows);
    assert!(bars.required().iter().all(|column| column.len() == rows));
    assert_eq!((bars.vwaps().len(), bars.transactions().len()), (rows, rows));
    assert_eq!(bars.iter().count(), rows);
    assert!(bars.required().iter().all(|column| column.iter().all(|x| x.is_finite())));
    assert!(bars.vwaps().iter().flatten().all(f64::is_finite));
    let unique = bars.clone().into_unique();
    assert!(unique.timestamps().is_sorted_by(|a, b| a < b) && unique.len() <= rows);
    assert!(unique.is_empty() == bars.is_empty());
}

/// Checks that text for users and for the manifest is bounded, however much was sent.
fn check_words(page: &Envelope) {
    let texts = [page.words(), page.ticker.as_deref(), page.status.as_deref()];
    let longest = texts.into_iter().flatten().map(str::len).max().unwrap_or_default();
    let id = page.request_id().map_or(0, |id| id.len());
    assert!(longest.max(id) <= LONGEST_WORDS, "{} bytes", longest.max(id));
}

/// Checks the values against a generic JSON reader.
fn check_values(page: &Envelope, oracle: &Value) {
    let object = oracle.as_object().expect("a page is an object");
    let none = Vec::new();
    let results = match object.get("results") {
        None | Some(Value::Null) => &none,
        Some(results) => results.as_array().expect("results are a list"),
    };
    assert_eq!(page.results.len(), results.len(), "as many bars as results");
    for (bar, result) in page.results.iter().zip(results) {
        check_bar(&bar, result);
    }
    assert_eq!(page.results_count, object.get("resultsCount").and_then(Value::as_u64));
    assert_eq!(page.adjusted, object.get("adjusted").and_then(Value::as_bool));
    let next = object.get("next_url").and_then(Value::as_str);
    assert_eq!(page.next_url.as_deref(), next);
}

fn check_bar(bar: &Bar, result: &Value) {
    assert!(result.is_object(), "a bar is an object: {result}");
    let number = |name: &str| result.get(name).and_then(Value::as_f64);
    let columns = [("o", bar.open), ("h", bar.high), ("l", bar.low), ("c", bar.close), ("v", bar.volume)];
    for (name, held) in columns {
        assert_eq!(number(name).map(f64::to_bits), Some(held.to_bits()), "{name} of {result}");
    }
    assert_eq!(number("vw").map(f64::to_bits), bar.vwap.map(f64::to_bits), "vw of {result}");
    assert_eq!(whole(&result["t"]), Some(bar.timestamp), "t of {result}");
    assert_eq!(whole(&result["n"]), bar.transactions, "n of {result}");
}

/// A whole number in either notation.
fn whole(value: &Value) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "an `i64` is compared: what does not fit differs")]
    value.as_i64().or_else(|| value.as_f64().map(|x| x as i64))
}
