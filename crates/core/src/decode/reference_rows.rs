//! Rows of reference lists (polygon-api.md §2). An invalid row is left out and counted; it never ends the list.

use grab_model::{Listing, Split, Symbol, excerpt};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::{Deserialize, Deserializer, de::SeqAccess};
use serde_json::Value;

use super::{
    envelope::{DecodeResults, DecodeRows},
    json_object::JsonObject,
};

/// How much of a name is stored, in characters.
const NAME: usize = 200;

/// How much of a code or number is stored, in characters.
const CODE: usize = 40;

/// The years in which there can be listings and splits.
const YEARS: std::ops::RangeInclusive<i16> = 1900..=2100;

/// Rows of a list, and the number of those that were left out.
#[derive(Debug)]
pub struct DecodedList<T> {
    /// The valid rows, in the order in which they were sent.
    pub rows: Vec<T>,
    /// Rows whose ticker is not a symbol.
    pub bad_symbols: u64,
    /// Rows with an invalid day. A listing is stored, without the day.
    pub bad_days: u64,
    /// Rows that are not as documented.
    pub nonsense: u64,
}

impl<T> Default for DecodedList<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), bad_symbols: 0, bad_days: 0, nonsense: 0 }
    }
}

/// A kind of row.
pub trait ReferenceRow: Sized {
    /// Reads a row from an object.
    fn read(fields: &JsonFields, list: &mut DecodedList<Self>);
}

impl<T: ReferenceRow> DecodeRows for DecodedList<T> {
    /// The longest page that can be requested has 5,000.
    const MOST: usize = 50_000;

    fn count(&self) -> usize {
        let left_out = self.bad_symbols + self.nonsense;
        self.rows.len() + usize::try_from(left_out).unwrap_or(usize::MAX)
    }

    fn read_next<'de, A: SeqAccess<'de>>(&mut self, results: &mut A) -> Result<bool, A::Error> {
        match results.next_element::<Value>()? {
            None => return Ok(false),
            Some(Value::Object(fields)) => T::read(&JsonFields(fields), self),
            Some(_) => self.nonsense += 1,
        }
        Ok(true)
    }
}

/// The fields of an object, with any values.
pub struct JsonFields(serde_json::Map<String, Value>);

impl JsonFields {
    fn text(&self, name: &str, longest: usize) -> Option<String> {
        let text = self.0.get(name)?.as_str()?.trim();
        (!text.is_empty()).then(|| excerpt(text, longest))
    }

    fn symbol<T>(&self, name: &str, list: &mut DecodedList<T>) -> Option<Symbol> {
        let Some(text) = self.0.get(name).and_then(Value::as_str) else {
            list.nonsense += 1;
            return None;
        };
        let symbol = text.parse().ok();
        list.bad_symbols += u64::from(symbol.is_none());
        symbol
    }

    fn number(&self, name: &str) -> Option<f64> {
        self.0.get(name)?.as_f64()
    }
}

/// A day, or the UTC date of an instant.
fn day(text: &str) -> Option<Date> {
    let date = if text.contains('T') {
        text.parse::<Timestamp>().ok()?.to_zoned(TimeZone::UTC).date()
    } else {
        text.parse::<Date>().ok().filter(|day| day.to_string() == text)?
    };
    YEARS.contains(&date.year()).then_some(date)
}

impl ReferenceRow for Listing {
    fn read(fields: &JsonFields, list: &mut DecodedList<Self>) {
        let Some(ticker) = fields.symbol("ticker", list) else { return };
        // Only stocks are requested.
        let is_other = fields.text("market", CODE).is_some_and(|market| market != "stocks");
        let Some(active) = fields.0.get("active").and_then(Value::as_bool).filter(|_| !is_other) else {
            list.nonsense += 1;
            return;
        };
        let delisted = fields.text("delisted_utc", CODE).filter(|_| !active);
        let left = delisted.as_deref().and_then(day);
        list.bad_days += u64::from(delisted.is_some() && left.is_none());
        list.rows.push(Self {
            ticker,
            name: fields.text("name", NAME),
            kind: fields.text("type", CODE),
            exchange: fields.text("primary_exchange", CODE),
            active,
            delisted: left,
            composite_figi: fields.text("composite_figi", CODE),
            share_class_figi: fields.text("share_class_figi", CODE),
            cik: fields.text("cik", CODE),
            updated: fields.text("last_updated_utc", CODE),
        });
    }
}

impl ReferenceRow for Split {
    fn read(fields: &JsonFields, list: &mut DecodedList<Self>) {
        let Some(ticker) = fields.symbol("ticker", list) else { return };
        let numbers = fields.number("split_from").zip(fields.number("split_to"));
        let Some(((split_from, split_to), date)) = numbers.zip(fields.text("execution_date", CODE)) else {
            list.nonsense += 1;
            return;
        };
        let Some(execution_date) = day(&date) else {
            list.bad_days += 1;
            list.nonsense += 1;
            return;
        };
        let (adjustment_type, id) = (fields.text("adjustment_type", CODE), fields.text("id", NAME));
        list.rows.push(Self { ticker, execution_date, split_from, split_to, adjustment_type, id });
    }
}

/// One object in place of a list: a company's details or its events.
#[derive(Debug, Default)]
pub struct SingleObject {
    /// Its fields. None if there is no object.
    fields: Option<Box<serde_json::Map<String, Value>>>,
}

impl DecodeResults for SingleObject {
    fn read_results<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object = Option::<JsonObject<serde_json::Map<String, Value>>>::deserialize(deserializer)?;
        Ok(Self { fields: object.map(|JsonObject(fields)| Box::new(fields)) })
    }
}

impl SingleObject {
    fn field(&self, name: &str) -> Option<&Value> {
        self.fields.as_ref()?.get(name)
    }

    /// A text field.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        let text = self.field(name)?.as_str()?.trim();
        (!text.is_empty()).then(|| excerpt(text, NAME))
    }

    /// A field with a day.
    #[must_use]
    pub fn day(&self, name: &str) -> Option<Date> {
        day(self.field(name)?.as_str()?)
    }

    /// A boolean field.
    #[must_use]
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.field(name)?.as_bool()
    }

    /// Whether there is an object.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.fields.is_some()
    }

    /// The tickers that it had, each with its first day, and the number of invalid events.
    #[must_use]
    pub fn ticker_changes(&self) -> (Vec<(Symbol, Date)>, u64) {
        let events = self.field("events").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let is_change = |event: &&Value| {
            let kind = event.get("type").or_else(|| event.get("event_type"));
            kind.and_then(Value::as_str).is_none_or(|kind| kind == "ticker_change")
        };
        let read = |event: &Value| {
            let ticker = event.get("ticker_change")?.get("ticker")?.as_str()?.parse().ok()?;
            Some((ticker, day(event.get("date")?.as_str()?)?))
        };
        let events: Vec<_> = events.iter().filter(is_change).map(read).collect();
        let bad = events.iter().filter(|event| event.is_none()).count() as u64;
        (events.into_iter().flatten().collect(), bad)
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::super::ResponseBody;
    use super::*;

    fn listings(rows: &str) -> DecodedList<Listing> {
        let json = format!(r#"{{"results":[{rows}],"status":"OK","count":1,"request_id":"r"}}"#);
        ResponseBody::<DecodedList<Listing>>::read(json.as_bytes()).unwrap().results
    }

    #[test]
    fn rows_as_the_service_writes_them() {
        let list = listings(
            r#"{"ticker":"A","name":"Agilent Technologies Inc.","market":"stocks","locale":"us","primary_exchange":"XNYS",
               "type":"CS","active":true,"currency_name":"usd","cik":"0001090872","composite_figi":"BBG000C2V3D6",
               "share_class_figi":"BBG001SCTQY4","last_updated_utc":"2022-04-27T00:00:00Z"},
               {"ticker":"TWTR","active":false,"delisted_utc":"2022-10-28T04:00:00Z"}"#,
        );
        assert_eq!((list.bad_symbols, list.bad_days, list.nonsense), (0, 0, 0));
        let agilent = &list.rows[0];
        assert_eq!((agilent.kind.as_deref(), agilent.cik.as_deref()), (Some("CS"), Some("0001090872")));
        assert_eq!(list.rows[1].delisted, Some(date(2022, 10, 28)));
    }

    #[test]
    fn a_row_of_nonsense_never_ends_the_list() {
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        let list = listings(&format!(
            r#"null,7,"A",[],{deep},{{}},{{"ticker":7,"active":true}},{{"ticker":"a b","active":true}},
               {{"ticker":"A","active":"yes"}},{{"ticker":"X:BTC","active":true,"market":"crypto"}},
               {{"ticker":"BTC","active":true,"market":"crypto"}},
               {{"ticker":"B","active":false,"delisted_utc":"soon"}},{{"ticker":"C","active":false,"delisted_utc":"0001-01-01T00:00:00Z"}},
               {{"ticker":"D","active":true,"name":"{}"}}"#,
            "n".repeat(100_000)
        ));
        let told: Vec<_> = list.rows.iter().map(|row| (row.ticker.as_str(), row.delisted)).collect();
        assert_eq!(told, [("B", None), ("C", None), ("D", None)]);
        assert_eq!((list.bad_symbols, list.bad_days, list.nonsense), (2, 2, 9));
        assert!(list.rows[2].name.as_ref().unwrap().chars().count() <= NAME + 1);
    }

    #[test]
    fn splits_of_both_endpoints() {
        let json = r#"{"results":[{"execution_date":"2020-08-31","split_from":1,"split_to":4.0,"ticker":"AAPL","id":"E1"},
            {"adjustment_type":"reverse_split","execution_date":"2024-01-09","split_from":2e+06,"split_to":1e5,"ticker":"X"},
            {"execution_date":"2024-01-32","split_from":1,"split_to":2,"ticker":"X"},
            {"execution_date":"2024-01-09","split_from":"1","split_to":2,"ticker":"X"}],"status":"OK"}"#;
        let list = ResponseBody::<DecodedList<Split>>::read(json.as_bytes()).unwrap().results;
        let told: Vec<_> = list.rows.iter().map(|split| (split.split_from, split.split_to)).collect();
        assert_eq!(told, [(1.0, 4.0), (2e6, 1e5)]);
        assert_eq!((list.bad_days, list.nonsense), (1, 2));
    }

    #[test]
    fn what_has_one_object_has_its_fields() {
        let json = r#"{"results":{"name":"Meta","composite_figi":"BBG000MM2P62","list_date":"2012-05-18","events":[
            {"ticker_change":{"ticker":"META"},"type":"ticker_change","date":"2022-06-09"},
            {"ticker_change":{"ticker":"FB"},"event_type":"ticker_change","date":"2012-05-18"},
            {"type":"ticker_change"},{"type":"other"},7]},"status":"OK"}"#;
        let single = ResponseBody::<SingleObject>::read(json.as_bytes()).unwrap().results;
        assert_eq!(single.day("list_date"), Some(date(2012, 5, 18)));
        let (changes, bad) = single.ticker_changes();
        assert_eq!((changes.len(), bad), (2, 2));
        for none in [r#"{"status":"OK"}"#, r#"{"results":null}"#] {
            assert!(!ResponseBody::<SingleObject>::read(none.as_bytes()).unwrap().results.is_there());
        }
        assert!(ResponseBody::<SingleObject>::read(br#"{"results":[]}"#).is_err());
    }
}
