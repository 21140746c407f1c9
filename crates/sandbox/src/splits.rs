//! Splits, from the deprecated endpoint, which still works, and from its successor.

use std::cmp::Ordering;

use jiff::{ToSpan, civil::Date};
use serde::Serialize;

use super::{
    call::Call,
    market::{MarketListing, MarketSplit},
    paged_list::{self, PagedList},
    params::{Params, SortOrder},
    refusal::Refusal,
    seed::Seed,
};

/// How long before its day a split is listed. The service also lists some future ones (polygon-api.md §2).
const ANNOUNCED_DAYS: i32 = 30;

/// A split, its keys in the documented order.
#[derive(Serialize)]
struct SplitRow<'a> {
    /// Only from the successor.
    #[serde(skip_serializing_if = "Option::is_none")]
    adjustment_type: Option<&'static str>,
    execution_date: String,
    /// Only from the successor.
    #[serde(skip_serializing_if = "Option::is_none")]
    historical_adjustment_factor: Option<f64>,
    id: String,
    split_from: f64,
    split_to: f64,
    ticker: &'a str,
}

/// A split, and the factor of prices before it, from this split and all later ones.
#[derive(Clone, Copy)]
struct Event<'a> {
    ticker: &'a str,
    split: MarketSplit,
    cumulative_factor: f64,
    /// Whether it is a second row, under this other id.
    is_again: bool,
}

/// `/v3/reference/splits`
pub(super) fn list(call: &Call) -> Result<Vec<u8>, Refusal> {
    let limit = call.params.limit(10, 1_000)?;
    let order = call.params.order("order", SortOrder::Descending)?;
    let column = call.params.choice("sort", ["execution_date", "ticker"])?;
    let is_reverse = call.params.flag("reverse_split")?;
    let mut events = known(call);
    events.retain(|event| is_reverse.is_none_or(|is_reverse| is_reverse == event.split.is_reverse()));
    sort(&mut events, &format!("{column}.{}", order.as_str()))?;

    let params = call.params.clone().with("as", "").with("limit", &limit);
    let params = params.with("order", order.as_str()).with("sort", column);
    let (events, next) = page(&events, limit, params)?;
    let rows: Vec<_> = events.iter().map(|event| row(call, event)).collect();
    Ok(paged_list::body(call, rows, None, next.as_ref()))
}

/// `/stocks/v1/splits`
pub(super) fn list_with_factors(call: &Call) -> Result<Vec<u8>, Refusal> {
    let limit = call.params.limit(100, 5_000)?;
    let columns = call.params.get("sort").unwrap_or("execution_date.desc");
    let mut events = known(call);
    events.retain(|event| call.params.admit("adjustment_type", event.split.kind()));
    sort(&mut events, columns)?;

    let params = call.params.clone().with("limit", &limit).with("sort", columns);
    let (events, next) = page(&events, limit, params)?;
    let rows = events.iter().map(|event| SplitRow {
        adjustment_type: Some(event.split.kind()),
        historical_adjustment_factor: Some((event.cumulative_factor * 1e6).round() / 1e6),
        ..row(call, event)
    });
    Ok(paged_list::body(call, rows.collect::<Vec<_>>(), None, next.as_ref()))
}

/// The splits that are known today and pass the comparisons of the request.
fn known<'a>(call: &'a Call) -> Vec<Event<'a>> {
    let last_known = call.today().saturating_add(ANNOUNCED_DAYS.days());
    let listings = call.market.listings().into_iter();
    let events = listings.flat_map(|listing| events(listing, last_known));
    let events = events.filter(|event| admits(&call.params, event));
    events.flat_map(|event| [Some(event), again(call, event)]).flatten().collect()
}

/// The second row of a split, if reference data are defective.
fn again<'a>(call: &Call, event: Event<'a>) -> Option<Event<'a>> {
    let is_twice = call.defects?.is_split_twice(event.ticker, &event.split);
    is_twice.then_some(Event { is_again: true, ..event })
}

/// The splits of a listing up to a day, the last one first.
fn events(listing: &MarketListing, last_known: Date) -> impl Iterator<Item = Event<'_>> {
    let splits = listing.splits.iter().rev().filter(move |split| split.date <= last_known);
    splits.scan(1.0, |cumulative_factor, split| {
        *cumulative_factor *= split.factor();
        Some(Event {
            ticker: &listing.ticker,
            split: *split,
            cumulative_factor: *cumulative_factor,
            is_again: false,
        })
    })
}

fn admits(params: &Params, event: &Event) -> bool {
    params.admit("ticker", event.ticker) && params.admit("execution_date", &event.split.date.to_string())
}

/// Sorts by columns such as `execution_date.desc,ticker`, ascending by default.
fn sort(events: &mut [Event], columns: &str) -> Result<(), Refusal> {
    // The sort is stable, so the last column is sorted first.
    for column in columns.split(',').rev() {
        let (name, direction) = column.split_once('.').unwrap_or((column, "asc"));
        let compare: fn(&Event, &Event) -> Ordering = match name {
            "execution_date" => |a, b| a.split.date.cmp(&b.split.date),
            "ticker" => |a, b| a.ticker.cmp(b.ticker),
            _ => return Err(Refusal::UnreadableParameter("sort")),
        };
        match direction {
            "asc" => events.sort_by(compare),
            "desc" => events.sort_by(|a, b| compare(b, a)),
            _ => return Err(Refusal::UnreadableParameter("sort")),
        }
    }
    Ok(())
}

/// `ap` in the recorded cursor `ap=3&as=&limit=3&order=desc&sort=execution_date` is the number of earlier rows.
fn page<'a>(
    events: &[Event<'a>],
    limit: u32,
    params: Params,
) -> Result<(Vec<Event<'a>>, Option<Params>), Refusal> {
    PagedList { params, limit, marker: "ap" }.page(events, |up_to, _| up_to.to_string())
}

fn row<'a>(call: &Call, event: &Event<'a>) -> SplitRow<'a> {
    let date = event.split.date.to_string();
    let seed = Seed::root(0).named(event.ticker).named(&date);
    let seed = if event.is_again { seed.named("again") } else { seed };
    let as_they_are = (event.split.from, event.split.to);
    let numbers = call.defects.map(|defects| defects.numbers(event.ticker, &event.split));
    let (split_from, split_to) = numbers.unwrap_or(as_they_are);
    SplitRow {
        adjustment_type: None,
        historical_adjustment_factor: None,
        id: format!("E{}", seed.hex(4)),
        execution_date: date,
        split_from,
        split_to,
        ticker: event.ticker,
    }
}
