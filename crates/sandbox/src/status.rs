//! The state of the market: now, and on coming holidays.

use grab_model::{
    calendar::{self, Session},
    new_york,
};
use jiff::{Timestamp, ToSpan, Zoned, civil::Date, tz::TimeZone};
use serde::Serialize;

use super::{call::Call, wire};

/// How far ahead holidays are listed. The recorded lists cover about a year.
const HORIZON_DAYS: usize = 365;

/// The exchanges whose holidays are listed.
const EXCHANGES: [&str; 3] = ["NYSE", "NASDAQ", "OTC"];

/// The exchanges whose half days are listed: in the documented example, OTC has none.
const EXCHANGES_WITH_HALF_DAYS: [&str; 2] = ["NYSE", "NASDAQ"];

/// The market now, its keys in the recorded order.
#[derive(Serialize)]
struct MarketNow {
    market: &'static str,
    #[serde(rename = "earlyHours")]
    early_hours: bool,
    #[serde(rename = "afterHours")]
    after_hours: bool,
    #[serde(rename = "serverTime")]
    server_time: String,
    exchanges: Exchanges,
    currencies: Currencies,
}

#[derive(Serialize)]
struct Exchanges {
    nyse: &'static str,
    nasdaq: &'static str,
    otc: &'static str,
}

#[derive(Serialize)]
struct Currencies {
    fx: &'static str,
    crypto: &'static str,
}

/// A holiday or half day of an exchange, its keys in the recorded order.
#[derive(Serialize)]
struct Holiday {
    exchange: &'static str,
    name: &'static str,
    date: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    open: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    close: Option<String>,
}

/// `/v1/marketstatus/now`
pub(super) fn now(call: &Call) -> Vec<u8> {
    let session = calendar::session_on(call.today());
    let is_within = |start: fn(Session) -> i64, end: fn(Session) -> i64| {
        session.is_some_and(|session| (start(session)..end(session)).contains(&call.now_ms))
    };
    let early_hours = is_within(Session::extended_open_ms, Session::open_ms);
    let after_hours = is_within(Session::close_ms, Session::extended_close_ms);
    let state = if early_hours || after_hours {
        "extended-hours"
    } else if is_within(Session::open_ms, Session::close_ms) {
        "open"
    } else {
        "closed"
    };
    wire::to_json(&MarketNow {
        market: state,
        early_hours,
        after_hours,
        server_time: instant(call.now_ms).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        exchanges: Exchanges { nyse: state, nasdaq: state, otc: state },
        currencies: Currencies { fx: "open", crypto: "open" },
    })
}

/// `/v1/marketstatus/upcoming`: a bare array, of the future only.
pub(super) fn upcoming(call: &Call) -> Vec<u8> {
    let days_to_come = call.today().series(1.day()).skip(1).take(HORIZON_DAYS);
    wire::to_json(&days_to_come.flat_map(holidays).collect::<Vec<_>>())
}

/// The rows of a day: one for each exchange that is closed, or that closes early.
fn holidays(day: Date) -> Vec<Holiday> {
    let row = |exchange, name, status| Holiday {
        exchange,
        name,
        date: day.to_string(),
        status,
        open: None,
        close: None,
    };
    if let Some(name) = calendar::closure_reason(day) {
        return EXCHANGES.map(|exchange| row(exchange, name, "closed")).into();
    }
    let Some((name, session)) = calendar::half_day_reason(day).zip(calendar::session_on(day)) else {
        return Vec::new();
    };
    let utc =
        |ms| Some(instant(ms).with_time_zone(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string());
    let early = |exchange| Holiday {
        open: utc(session.open_ms()),
        close: utc(session.close_ms()),
        ..row(exchange, name, "early-close")
    };
    EXCHANGES_WITH_HALF_DAYS.map(early).into()
}

/// An instant (UTC ms) in New York.
fn instant(ms: i64) -> Zoned {
    Timestamp::from_millisecond(ms).unwrap_or_default().to_zoned(new_york::TIME_ZONE.clone())
}
