//! Tickers: who is listed, who was, and since when.

use jiff::civil::Date;
use serde::Serialize;

use super::{
    call::Call,
    list::{self, List},
    market::Listing,
    params::{Order, Params},
    range,
    refusal::Refusal,
    seed::Seed,
};

/// A ticker, its keys in the recorded order.
#[derive(Serialize)]
struct TickerRow<'a> {
    ticker: &'a str,
    name: &'a str,
    market: &'static str,
    locale: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    primary_exchange: Option<&'static str>,
    #[serde(rename = "type")]
    kind: &'static str,
    active: bool,
    currency_name: &'static str,
    /// In lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_updated_utc: Option<String>,
    /// In lists, of those who left.
    #[serde(skip_serializing_if = "Option::is_none")]
    delisted_utc: Option<String>,
    /// In details.
    #[serde(skip_serializing_if = "Option::is_none")]
    list_date: Option<String>,
}

/// `/v3/reference/tickers`: who was active on a day, or with `active=false`, who was no more. The cursor holds the day,
/// so that all pages are about the same one.
pub(super) fn list(call: &Call) -> Result<Vec<u8>, Refusal> {
    let date = date(call)?;
    let is_active = call.params.flag("active")?.unwrap_or(true);
    let order = call.params.order("order", Order::Ascending)?;
    let limit = call.params.limit(100, 1_000)?;
    let sort = call.params.choice("sort", ["ticker"])?;
    let params = call.params.clone().with("active", &is_active).with("date", &date).with("limit", &limit);
    let params = params.with("order", order.as_str()).with("sort", sort);

    let is_wanted = |listing: &&Listing| {
        let has_left = listing.delisted.is_some_and(|delisted| delisted <= date);
        let is_in_state = if is_active { listing.is_active_on(date) } else { has_left };
        is_in_state && admits(&params, listing)
    };
    let mut listings: Vec<&Listing> = call.market.listings().into_iter().filter(is_wanted).collect();
    if order == Order::Descending {
        listings.reverse();
    }
    let list = List { params, limit, marker: "page_marker" };
    let (listings, next) = list.page(&listings, |_, listing| marker(listing))?;
    let rows: Vec<_> = listings.into_iter().map(|listing| row(listing, date)).collect();
    let count = rows.len();
    Ok(list::body(call, rows, Some(count), next.as_ref()))
}

/// `/v3/reference/tickers/{ticker}`: who has a ticker on a day.
pub(super) fn details(call: &Call, ticker: &str) -> Result<Vec<u8>, Refusal> {
    let date = date(call)?;
    let mut listings = call.market.listings().into_iter();
    let listing = listings.find(|listing| listing.ticker == ticker && listing.is_active_on(date));
    let listing = listing.ok_or(Refusal::TickerNotFound)?;
    let list_date = Some(listing.listed.to_string());
    Ok(list::body(call, TickerRow { last_updated_utc: None, list_date, ..row(listing, date) }, None, None))
}

/// The day that is asked about: today, unless another is named.
fn date(call: &Call) -> Result<Date, Refusal> {
    let named = call.params.get("date");
    named.map_or(Ok(call.today()), |text| range::parse_day(text).ok_or(Refusal::UnreadableTime("date")))
}

fn admits(params: &Params, listing: &Listing) -> bool {
    let found = params.get("search").is_none_or(|text| {
        let text = text.to_lowercase();
        listing.ticker.to_lowercase().contains(&text) || listing.name.to_lowercase().contains(&text)
    });
    found
        && params.admit("ticker", &listing.ticker)
        && params.admit("market", "stocks")
        && params.admit("type", listing.kind)
        && params.admit("exchange", listing.exchange.unwrap_or_default())
}

fn row(listing: &Listing, date: Date) -> TickerRow<'_> {
    let left = listing.delisted.filter(|delisted| *delisted <= date);
    let midnight = |date: Date| format!("{date}T00:00:00Z");
    TickerRow {
        ticker: &listing.ticker,
        name: &listing.name,
        market: "stocks",
        locale: "us",
        primary_exchange: listing.exchange,
        kind: listing.kind,
        active: left.is_none(),
        currency_name: "usd",
        last_updated_utc: Some(midnight(left.unwrap_or(date))),
        delisted_utc: left.map(midnight),
        list_date: None,
    }
}

/// `AA|` and 64 hexadecimal digits, as recorded. A ticker alone would not do: some had two companies.
fn marker(listing: &Listing) -> String {
    format!("{}|{}", listing.ticker, Seed::root(0).named(&listing.name).hex(4))
}
