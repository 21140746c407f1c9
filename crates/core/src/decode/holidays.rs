//! The list of days on which exchanges are closed (polygon-api.md §2): a bare array, without an envelope.

use grab_model::excerpt;
use jiff::civil::Date;
use serde_json::Value;

use super::{
    DecodeError,
    envelope::{beginning, reason},
};

/// How much of a holiday's name is stored, in characters.
const NAME: usize = 80;

/// The exchanges whose closure ends all trading of listed stocks.
const EXCHANGES: [&str; 2] = ["NYSE", "NASDAQ"];

/// Reads the days on which the stock exchanges are closed, each with its name. Rows about anything else, and rows that
/// are not as documented, are left out.
///
/// # Errors
/// If the body is not a JSON array.
pub fn read_closed_days(json: &[u8]) -> Result<Vec<(Date, String)>, DecodeError> {
    let rows: Vec<Value> = serde_json::from_slice(json)
        .map_err(|error| DecodeError::Json { begins: beginning(json), reason: reason(&error) })?;
    let mut days: Vec<(Date, String)> = Vec::new();
    for row in &rows {
        let text = |name: &str| row.get(name).and_then(Value::as_str);
        let is_closed = text("status") == Some("closed");
        let is_stock_exchange = text("exchange").is_some_and(|exchange| EXCHANGES.contains(&exchange));
        let Some(date) = text("date").and_then(day).filter(|_| is_closed && is_stock_exchange) else {
            continue;
        };
        if days.iter().all(|(known, _)| *known != date) {
            days.push((date, excerpt(text("name").unwrap_or("closed").trim(), NAME)));
        }
    }
    Ok(days)
}

/// A day; older responses append midnight in UTC.
fn day(text: &str) -> Option<Date> {
    text.split('T').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn closed_days_of_the_stock_exchanges_are_read_once_each() {
        let json = br#"[{"date":"2025-01-09","exchange":"NYSE","name":"National Day of Mourning","status":"closed"},
            {"date":"2025-01-09","exchange":"NASDAQ","name":"National Day of Mourning","status":"closed"},
            {"date":"2025-01-10","exchange":"OTC","name":"x","status":"closed"},
            {"date":"2025-07-03","exchange":"NYSE","name":"Independence Day","status":"early-close","close":"2025-07-03T17:00:00.000Z"},
            {"date":"2025-01-20T00:00:00.000Z","exchange":"NASDAQ","status":"closed"}, 7, null, {"date":"soon","exchange":"NYSE","status":"closed"}]"#;
        let days = read_closed_days(json).unwrap();
        let expected = [
            (date(2025, 1, 9), "National Day of Mourning".to_owned()),
            (date(2025, 1, 20), "closed".to_owned()),
        ];
        assert_eq!(days, expected);
        assert!(read_closed_days(b"[]").unwrap().is_empty());
        for other in [&b"{}"[..], b"null", b"<html>", b""] {
            assert!(read_closed_days(other).is_err());
        }
    }
}
