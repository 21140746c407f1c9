//! Bars: of a ticker in a range, of a ticker's last day, of the whole market on a day.

use grab_model::{Bar, new_york};
use jiff::civil::Date;

use super::{
    aggregates_page::AggregatesPage,
    bar_size::BarSize,
    call::Call,
    fault::{Links, WrongBars},
    market::SplitFactors,
    params::{Params, SortOrder},
    range,
    refusal::Refusal,
    wire::{self, BarRow, BarsBody},
};

/// The `limit` of a request that names none (polygon-api.md §1).
const DEFAULT_LIMIT: u32 = 5_000;

/// The segments of a path that hold `from` and `to`, counted from the empty one before the first slash.
const FROM_SEGMENT: usize = 8;
const TO_SEGMENT: usize = 9;

/// `/v2/aggs/ticker/{ticker}/range/{multiplier}/{timespan}/{from}/{to}`
pub(super) fn in_range(
    call: &Call,
    ticker: &str,
    [multiplier, timespan]: [&str; 2],
    [from, to]: [&str; 2],
) -> Result<Vec<u8>, Refusal> {
    let size = BarSize::parse(multiplier, timespan)?;
    let range = range::parse(from, to, size)?;
    let order = call.params.order("sort", SortOrder::Ascending)?;
    let limit = call.params.limit(DEFAULT_LIMIT, call.plan.page_cap())?;
    let is_adjusted = is_adjusted(&call.params)?;
    let is_mistaken = call.fault.is_some_and(|fault| fault.kind == WrongBars::WrongAdjusted);
    let is_shown_adjusted = is_adjusted != is_mistaken;

    let served = call.plan.first_served(*range.start())?..=call.market_end().min(*range.end());
    let page = AggregatesPage::read(call.minutes(ticker, served, order), size, order, limit);
    let adjustment = adjustment(call, ticker, is_shown_adjusted);
    let rows = page.bars.into_iter().map(|bar| BarRow::new(None, adjustment.apply(bar))).collect();
    let moved = if order == SortOrder::Ascending { FROM_SEGMENT } else { TO_SEGMENT };
    let cursor = cursor(call, order, limit, is_adjusted);
    let mut body = BarsBody {
        ticker: Some(ticker),
        query_count: page.read,
        next_url: page.next.map(|ms| call.next_url(&path_with(call, moved, ms), &cursor)),
        ..body(call, is_shown_adjusted, rows)
    };
    if let Some(fault) = &call.fault {
        let alias = alias(*range.start(), [from, to], size);
        let alias = alias.map(|ms| call.next_url(&path_with(call, FROM_SEGMENT, ms), &cursor));
        fault.falsify(&mut body, &Links { own: call.request.url(), alias, range });
    }
    Ok(wire::to_json(&body))
}

/// `/v2/aggs/ticker/{ticker}/prev`
pub(super) fn previous_day(call: &Call, ticker: &str) -> Result<Vec<u8>, Refusal> {
    let is_adjusted = is_adjusted(&call.params)?;
    let last = call.minutes(ticker, 0..=call.market_end(), SortOrder::Descending).next();
    let day = last.and_then(|bar| new_york::date_of(bar.timestamp));
    let bar = day.and_then(|day| day_bar(call, ticker, day, is_adjusted));
    let rows = bar.into_iter().map(|bar| BarRow::new(Some(ticker), bar)).collect();
    Ok(wire::to_json(&BarsBody { ticker: Some(ticker), ..body(call, is_adjusted, rows) }))
}

/// `/v2/aggs/grouped/locale/us/market/stocks/{date}`
pub(super) fn whole_market(call: &Call, date: &str) -> Result<Vec<u8>, Refusal> {
    let day = range::parse_day(date).ok_or(Refusal::UnreadableTime("date"))?;
    let is_adjusted = is_adjusted(&call.params)?;
    let start = new_york::day_start_ms(day);
    let is_served = call.plan.first_served(start)? == start;
    let listings = call.market.listings();
    let rows =
        listings.iter().filter(|listing| is_served && listing.is_active_on(day)).filter_map(|listing| {
            let bar = day_bar(call, &listing.ticker, day, is_adjusted)?;
            Some(BarRow::new(Some(&listing.ticker), bar))
        });
    Ok(wire::to_json(&body(call, is_adjusted, rows.collect())))
}

/// The day bar of a ticker, with the timestamp of the two endpoints above: 16:00 in New York, not the start of the day
/// as in a range (polygon-api.md §2).
fn day_bar(call: &Call, ticker: &str, day: Date, is_adjusted: bool) -> Option<Bar> {
    let span = BarSize::Day.span_of(new_york::day_start_ms(day));
    let served = span.start..=call.market_end().min(span.end - 1);
    let minutes = later_of_equals(call.minutes_without_holes(ticker, served));
    let bar = AggregatesPage::read(Box::new(minutes), BarSize::Day, SortOrder::Ascending, 1)
        .bars
        .into_iter()
        .next()?;
    let bar = adjustment(call, ticker, is_adjusted).apply(bar);
    Some(Bar { timestamp: new_york::at_ms(day, 16, 0), ..bar })
}

/// Returns the last of several bars for one minute, as clients should: bars that were recorded twice were traded once.
fn later_of_equals(bars: impl Iterator<Item = Bar>) -> impl Iterator<Item = Bar> {
    let mut bars = bars.peekable();
    std::iter::from_fn(move || {
        loop {
            let bar = bars.next()?;
            if bars.peek().is_none_or(|next| next.timestamp != bar.timestamp) {
                return Some(bar);
            }
        }
    })
}

/// A body without a ticker and without a next page.
fn body<'a>(call: &Call<'a>, adjusted: bool, results: Vec<BarRow<'a>>) -> BarsBody<'a> {
    let count = results.len();
    BarsBody {
        ticker: None,
        query_count: count,
        results_count: count,
        adjusted,
        results,
        status: call.plan.bars_status(),
        request_id: call.request_id,
        count: (count > 0).then_some(count),
        next_url: None,
    }
}

/// Bars are adjusted for splits unless the request declines it, also by the old parameter that the JVM client still
/// sends.
fn is_adjusted(params: &Params) -> Result<bool, Refusal> {
    let declined = params.flag("unadjusted")?;
    Ok(params.flag("adjusted")?.or(declined.map(|declined| !declined)).unwrap_or(true))
}

fn adjustment(call: &Call, ticker: &str, is_adjusted: bool) -> SplitFactors {
    if is_adjusted {
        SplitFactors::of(&call.market.listings(), ticker, call.today())
    } else {
        SplitFactors::none()
    }
}

/// Another `from` (UTC ms) for the same range: a range from a ms after the start of a bar begins at the bar's start.
fn alias(start: i64, [from, to]: [&str; 2], size: BarSize) -> Option<i64> {
    let alias = (start + 1).to_string();
    (from != alias && range::parse(&alias, to, size).is_ok()).then_some(start + 1)
}

/// The path with one of its ends replaced: `from` for the next page, or `to` in descending order.
fn path_with(call: &Call, replaced: usize, ms: i64) -> String {
    let ms = ms.to_string();
    let segments = call.request.path.split('/').enumerate();
    let path: Vec<_> = segments.map(|(at, segment)| if at == replaced { &ms } else { segment }).collect();
    path.join("/")
}

/// The parameters for the next page that are not in the path.
fn cursor(call: &Call, order: SortOrder, limit: u32, is_adjusted: bool) -> Params {
    let params = Params::default().with("limit", &limit).with("sort", order.as_str());
    // No recorded cursor was made with `adjusted=false`. Cursors that lose it would be of little use, so that is done
    // only if it is requested.
    let is_named = !is_adjusted && !call.forgets_adjusted;
    if is_named { params.with("adjusted", &false) } else { params }
}
