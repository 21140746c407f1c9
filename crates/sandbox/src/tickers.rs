//! Tickers: listed and delisted ones, and since when.

use jiff::{ToSpan, civil::Date};
use serde::Serialize;

use super::{
    call::Call,
    market::MarketListing,
    paged_list::{self, PagedList},
    params::{Params, SortOrder},
    range,
    reference_defects::{ReferenceDefects, Twin},
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
    #[serde(skip_serializing_if = "Option::is_none")]
    cik: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    composite_figi: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    share_class_figi: Option<&'a str>,
    /// Only in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_updated_utc: Option<String>,
    /// Only in lists, for delisted tickers.
    #[serde(skip_serializing_if = "Option::is_none")]
    delisted_utc: Option<String>,
    /// Only in details: the company's first day, whatever its ticker was.
    #[serde(skip_serializing_if = "Option::is_none")]
    list_date: Option<String>,
}

/// A row of a list: of a listing, or the older row of a listing that has two.
#[derive(Clone, Copy)]
struct TickerMatch<'a> {
    listing: &'a MarketListing,
    twin: Option<Twin>,
}

/// `/v3/reference/tickers`: the tickers that were active on a day, or with `active=false`, those that were no longer.
/// The cursor has the day, so that all pages are for the same one.
pub(super) fn list(call: &Call) -> Result<Vec<u8>, Refusal> {
    let date = date(call)?;
    let is_active = call.params.flag("active")?.unwrap_or(true);
    let order = call.params.order("order", SortOrder::Ascending)?;
    let limit = call.params.limit(100, 1_000)?;
    let sort = call.params.choice("sort", ["ticker"])?;
    let params = call.params.clone().with("active", &is_active).with("date", &date).with("limit", &limit);
    let params = params.with("order", order.as_str()).with("sort", sort);

    let mut found = found(call, &params, is_active, date);
    if order == SortOrder::Descending {
        found.reverse();
    }
    let list = PagedList { params, limit, marker: "page_marker" };
    let (found, next) = list.page(&found, |_, found| marker(found))?;
    let rows: Vec<_> = found.into_iter().map(|found| listed_row(call, found, date)).collect();
    let count = rows.len();
    Ok(paged_list::body(call, rows, Some(count), next.as_ref()))
}

/// `/v3/reference/tickers/{ticker}`: the company that has a ticker on a day.
pub(super) fn details(call: &Call, ticker: &str) -> Result<Vec<u8>, Refusal> {
    let date = date(call)?;
    let listings = call.market.listings();
    let listing = listings.iter().find(|listing| listing.ticker == ticker && listing.is_active_on(date));
    let listing = listing.ok_or(Refusal::TickerNotFound)?;
    let periods = listings.iter().filter(|other| other.name == listing.name);
    let list_date = periods.map(|period| period.listed).min().map(|listed| listed.to_string());
    let row = TickerRow { last_updated_utc: None, list_date, ..row(call, listing, date) };
    Ok(paged_list::body(call, row, None, None))
}

/// All rows of a list, in the order of tickers.
fn found<'a>(call: &'a Call, params: &Params, is_active: bool, date: Date) -> Vec<TickerMatch<'a>> {
    let is_wanted = |listing: &&MarketListing| {
        let has_left = listing.delisted.is_some_and(|delisted| delisted <= date);
        let is_in_state = if is_active { listing.is_active_on(date) } else { has_left };
        let is_lacking = |defects: &ReferenceDefects| date < call.today() && defects.lacks_row(listing, date);
        is_in_state && admits(params, listing) && !call.defects.is_some_and(is_lacking)
    };
    let rows = |listing| {
        let twin = call.defects.and_then(|defects| defects.twin(listing));
        let (right, older) = (Some(TickerMatch { listing, twin: None }), Some(TickerMatch { listing, twin }));
        match twin {
            None => [right, None],
            Some(twin) if twin.is_first => [older, right],
            Some(_) => [right, older],
        }
    };
    call.market.listings().into_iter().filter(is_wanted).flat_map(rows).flatten().collect()
}

/// The requested day: today, unless an earlier one is named. Nothing of the future is shown.
fn date(call: &Call) -> Result<Date, Refusal> {
    let today = call.today();
    let Some(text) = call.params.get("date") else { return Ok(today) };
    range::parse_day(text).map(|day| day.min(today)).ok_or(Refusal::UnreadableTime("date"))
}

fn admits(params: &Params, listing: &MarketListing) -> bool {
    let found = params.get("search").is_none_or(|text| {
        let text = text.to_lowercase();
        listing.ticker.to_lowercase().contains(&text) || listing.name.to_lowercase().contains(&text)
    });
    found
        && params.admit("ticker", &listing.ticker)
        && params.admit("cik", listing.identity.cik.as_deref().unwrap_or_default())
        && params.admit("market", "stocks")
        && params.admit("type", listing.kind)
        && params.admit("exchange", listing.exchange.unwrap_or_default())
}

fn row<'a>(call: &Call, listing: &'a MarketListing, date: Date) -> TickerRow<'a> {
    let left = listing.delisted.filter(|delisted| *delisted <= date);
    let identity = &listing.identity;
    let lacks_figi = call.defects.is_some_and(|defects| defects.lacks_figi(listing, left.is_some()));
    let figi = |figi: &'a Option<String>| figi.as_deref().filter(|_| !lacks_figi);
    TickerRow {
        ticker: &listing.ticker,
        name: &listing.name,
        market: "stocks",
        locale: "us",
        primary_exchange: listing.exchange,
        kind: listing.kind,
        active: left.is_none(),
        currency_name: "usd",
        cik: identity.cik.clone(),
        composite_figi: figi(&identity.composite_figi),
        share_class_figi: figi(&identity.share_class_figi),
        last_updated_utc: Some(midnight(left.unwrap_or(date))),
        delisted_utc: left.map(midnight),
        list_date: None,
    }
}

/// A row of a list. The older one of two may have another CIK.
fn listed_row<'a>(call: &Call, found: TickerMatch<'a>, date: Date) -> TickerRow<'a> {
    let right = row(call, found.listing, date);
    let Some(twin) = found.twin else { return right };
    let updated = found.listing.delisted.map_or(date, |left| left.min(date));
    TickerRow {
        cik: twin.other_cik().or(right.cik),
        last_updated_utc: Some(midnight(updated.saturating_sub(twin.older_by.days()))),
        ..right
    }
}

fn midnight(day: Date) -> String {
    format!("{day}T00:00:00Z")
}

/// `AA|` and 64 hexadecimal digits, as recorded. A ticker alone is not unique: some had two companies, some have two
/// rows.
fn marker(found: &TickerMatch) -> String {
    let seed = Seed::root(0).named(&found.listing.name);
    let seed = if found.twin.is_some() { seed.named("twin") } else { seed };
    format!("{}|{}", found.listing.ticker, seed.hex(4))
}
