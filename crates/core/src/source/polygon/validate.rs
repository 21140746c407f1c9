//! Checks a response against its request.

use grab_model::{Bar, BarFault, Bars, Cursor, InvalidBar, Window, new_york};
use jiff::civil::Date;
use url::Origin;

use super::super::{BarsPage, BarsRequest, FetchError, InvalidBarsPage, MarketDay, ResponseMismatch};
use crate::decode::{DecodeResults, DecodeRows, Envelope, MarketEnvelope, ResponseBody};

/// Makes a page of a response with HTTP 200; `as_of` returns the instant as of which it is valid, from its newest bar
/// (both UTC ms).
///
/// # Errors
/// At the first thing that does not fit. Nothing of this response may be stored.
pub(super) fn page(
    question: &BarsRequest,
    adjusted: bool,
    origin: &Origin,
    envelope: Envelope,
    bytes: u64,
    as_of: impl FnOnce(Option<i64>) -> i64,
) -> Result<BarsPage, FetchError> {
    let status = check_status(&envelope)?;
    check_ticker(question, &envelope)?;
    check_results(adjusted, &envelope)?;
    let next = envelope.next_url.as_deref().map(|url| Cursor::from_next_url(url, origin)).transpose();
    let next = next.map_err(ResponseMismatch::from)?;
    let request_id = envelope.request_id();
    let (bars, bad) = part(envelope.results, question.window);
    let bars = bars.into_unique();
    let as_of_ms = as_of(bars.timestamps().last().copied());
    let page = BarsPage { bars, next, request_id, status, bytes, as_of_ms };
    if bad.is_empty() {
        Ok(page)
    } else {
        Err(FetchError::BadBars(Box::new(InvalidBarsPage { good: page, bad })))
    }
}

/// Makes a day of the whole market of a response with HTTP 200. Whether the day was a session is not known here.
///
/// # Errors
/// At the first thing that does not fit.
pub(super) fn market_day(
    day: Date,
    envelope: MarketEnvelope,
    bytes: u64,
    as_of: impl FnOnce(Option<i64>) -> i64,
) -> Result<MarketDay, FetchError> {
    check_status(&envelope)?;
    check_results(false, &envelope)?;
    let (first, last) = envelope.results.span_ms().unzip();
    for stamp in [first, last].into_iter().flatten() {
        let answered = new_york::date_of(stamp);
        if answered != Some(day) {
            return Err(ResponseMismatch::Day { requested: day, answered }.into());
        }
    }
    let request_id = envelope.request_id();
    let skipped = envelope.results.skipped() as u64;
    // The timestamp of a day's bar is its end or its close: it does not show when the response was made.
    let as_of_ms = as_of(None);
    Ok(MarketDay { bars: envelope.results.into_rows(), skipped, request_id, bytes, as_of_ms })
}

/// A refusal was seen inside of an HTTP 200: the body's own status decides.
pub(super) fn check_status<R: DecodeResults>(envelope: &ResponseBody<R>) -> Result<String, FetchError> {
    let words = || envelope.words().map(str::to_owned);
    match envelope.status.as_deref() {
        Some(status @ ("OK" | "DELAYED")) => Ok(status.to_owned()),
        Some("NOT_AUTHORIZED") => Err(FetchError::not_entitled(words())),
        status => Err(ResponseMismatch::Status { status: status.map(str::to_owned), words: words() }.into()),
    }
}

fn check_ticker(question: &BarsRequest, envelope: &Envelope) -> Result<(), ResponseMismatch> {
    if envelope.ticker.as_deref() != Some(question.symbol.as_str()) {
        let answered = envelope.ticker.clone();
        return Err(ResponseMismatch::Ticker { requested: question.symbol.clone(), answered });
    }
    Ok(())
}

fn check_results<R: DecodeRows>(adjusted: bool, envelope: &ResponseBody<R>) -> Result<(), ResponseMismatch> {
    if envelope.adjusted != Some(adjusted) {
        return Err(ResponseMismatch::Adjusted { requested: adjusted, answered: envelope.adjusted });
    }
    let found = envelope.results.count() as u64;
    match envelope.results_count {
        Some(counted) if counted != found => Err(ResponseMismatch::Count { counted, found }),
        Some(_) | None => Ok(()),
    }
}

/// Separates impossible bars from the others. Without impossible bars, which is nearly always so, nothing is copied.
fn part(bars: Bars, window: Window) -> (Bars, Vec<InvalidBar>) {
    let fault = BarFault::finder(window);
    let bad = |bar: Bar| Some(InvalidBar { bar, fault: fault(&bar)? });
    let found: Vec<_> = bars.iter().filter_map(bad).collect();
    if found.is_empty() {
        return (bars, found);
    }
    let mut good = Bars::with_capacity(bars.len());
    bars.iter().filter(|bar| bad(*bar).is_none()).for_each(|bar| good.push(bar));
    (good, found)
}
