//! The tickers of a company over time.

use serde::Serialize;

use super::{call::Call, market::MarketListing, paged_list, refusal::Refusal};

/// The only type of events.
const TICKER_CHANGE: &str = "ticker_change";

/// A company and its events, the keys in the documented order.
#[derive(Serialize)]
struct History<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    composite_figi: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cik: Option<&'a str>,
    /// The newest first, as recorded. The last is the listing.
    events: Vec<Event<'a>>,
}

#[derive(Serialize)]
struct Event<'a> {
    ticker_change: TickerChange<'a>,
    #[serde(rename = "type")]
    kind: &'static str,
    date: String,
}

/// The ticker from the day of the event on.
#[derive(Serialize)]
struct TickerChange<'a> {
    ticker: &'a str,
}

/// `/vX/reference/tickers/{id}/events`, where the id is a ticker, a CIK or a composite FIGI.
pub(super) fn of(call: &Call, id: &str) -> Result<Vec<u8>, Refusal> {
    let listings = call.market.listings();
    let known: Vec<&MarketListing> =
        listings.into_iter().filter(|listing| listing.listed <= call.today()).collect();
    let company = company(call, &known, id).ok_or(Refusal::TickerNotFound)?;
    let identity = &company.identity;
    let history = History {
        name: &company.name,
        composite_figi: identity.composite_figi.as_deref(),
        cik: identity.cik.as_deref(),
        events: if is_wanted(call) { events(&known, company) } else { Vec::new() },
    };
    Ok(paged_list::body(call, history, None, None))
}

/// The company of an id. A ticker is that of the company which has it today, not of an earlier one; the other ids are
/// always those of their company. Two share classes have one CIK: the one that is listed today is used.
fn company<'a>(call: &Call, known: &[&'a MarketListing], id: &str) -> Option<&'a MarketListing> {
    let today = call.today();
    let holder = known.iter().find(|listing| listing.ticker == id && listing.is_active_on(today));
    let mut namesakes = known.iter().filter(|listing| listing.identity.is(id));
    let active = || namesakes.clone().find(|listing| listing.is_active_on(today));
    holder.or_else(active).or_else(|| namesakes.next()).copied()
}

/// `types` is a comma-separated list. What the service does if none of the types is known is assumed.
fn is_wanted(call: &Call) -> bool {
    call.params.get("types").is_none_or(|types| types.split(',').any(|kind| kind == TICKER_CHANGE))
}

fn events<'a>(known: &[&'a MarketListing], company: &MarketListing) -> Vec<Event<'a>> {
    let mut periods: Vec<_> = known.iter().filter(|listing| listing.name == company.name).collect();
    periods.sort_by_key(|listing| std::cmp::Reverse(listing.listed));
    let event = |listing: &&&'a MarketListing| Event {
        ticker_change: TickerChange { ticker: &listing.ticker },
        kind: TICKER_CHANGE,
        date: listing.listed.to_string(),
    };
    periods.iter().map(event).collect()
}
