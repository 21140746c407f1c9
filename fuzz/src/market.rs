//! The same body read as a day of the whole market: JSON → one row per symbol.

use grab_core::decode::{DecodeError, DecodeRows, MarketEnvelope};
use serde_json::Value;

use super::check_chain;

/// Checks a body that is not gzip.
pub fn check(json: &[u8]) {
    match MarketEnvelope::read(json) {
        Ok(market) => {
            let (rows, skipped) = (market.results.count(), market.results.skipped());
            if let Ok(oracle) = serde_json::from_slice::<Value>(json) {
                let results = oracle["results"].as_array().map_or(0, Vec::len);
                assert_eq!(rows, results, "each row is kept or counted as skipped");
            }
            assert_eq!(market.results.span_ms().is_some(), rows > 0, "rows have their instants");
            let bars = market.results.into_rows();
            assert_eq!(bars.len() + skipped, rows);
            assert!(bars.is_sorted_by(|a, b| a.symbol < b.symbol), "each symbol once, in order");
            assert!(bars.iter().all(|bar| bar.volume >= 0.0 && bar.required().iter().all(|x| x.is_finite())));
        }
        Err(error) => {
            assert!(matches!(error, DecodeError::Json { .. }), "{error:?}");
            check_chain(&error);
        }
    }
}
