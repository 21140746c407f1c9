//! Holds an answer against its question.

use url::Origin;

use super::super::{Contradiction, FetchError, Page, Question};
use crate::{
    decode::Envelope,
    model::{Bar, Cursor},
};

/// Makes a page of an answer that came with HTTP 200.
///
/// # Errors
/// At the first thing that does not fit. Nothing of such an answer may be stored.
pub(super) fn page(
    question: &Question,
    adjusted: bool,
    origin: &Origin,
    envelope: Envelope,
    bytes: u64,
) -> Result<Page, FetchError> {
    let status = check_status(&envelope)?;
    check_envelope(question, adjusted, &envelope)?;
    check_bars(question, &envelope)?;
    let next = envelope.next_url.as_deref().map(|url| Cursor::from_next_url(url, origin)).transpose();
    let next = next.map_err(Contradiction::from)?;
    let request_id = envelope.request_id();
    Ok(Page { bars: envelope.results.into_unique(), next, request_id, status, bytes })
}

/// A refusal was seen inside of an HTTP 200: the body's own status decides.
fn check_status(envelope: &Envelope) -> Result<String, FetchError> {
    let words = || envelope.words().map(str::to_owned);
    match envelope.status.as_deref() {
        Some(status @ ("OK" | "DELAYED")) => Ok(status.to_owned()),
        Some("NOT_AUTHORIZED") => Err(FetchError::NotEntitled { words: words() }),
        status => Err(Contradiction::Status { status: status.map(str::to_owned), words: words() }.into()),
    }
}

fn check_envelope(question: &Question, adjusted: bool, envelope: &Envelope) -> Result<(), Contradiction> {
    if envelope.ticker.as_deref() != Some(question.symbol.as_str()) {
        let answered = envelope.ticker.clone();
        return Err(Contradiction::Ticker { asked: question.symbol.clone(), answered });
    }
    if envelope.adjusted != Some(adjusted) {
        return Err(Contradiction::Adjusted { asked: adjusted, answered: envelope.adjusted });
    }
    let found = envelope.results.len() as u64;
    match envelope.results_count {
        Some(said) if said != found => Err(Contradiction::Count { said, found }),
        Some(_) | None => Ok(()),
    }
}

fn check_bars(question: &Question, envelope: &Envelope) -> Result<(), Contradiction> {
    let window = question.window;
    let inside = window.start_ms()..window.end_ms();
    if let Some(timestamp) = envelope.results.timestamps().iter().find(|t| !inside.contains(t)) {
        return Err(Contradiction::OutsideWindow { timestamp: *timestamp, window });
    }
    let negative = |bar: &Bar| [bar.open, bar.high, bar.low, bar.close, bar.volume].iter().any(|x| *x < 0.0);
    match envelope.results.iter().find(negative) {
        Some(bar) => Err(Contradiction::Negative { timestamp: bar.timestamp }),
        None => Ok(()),
    }
}
