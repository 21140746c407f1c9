//! Checks whether the plan serves more than before.

use grab_model::{Symbol, Window};

use super::{CONTROL_SYMBOL, HistoryEvidence, today};
use crate::{
    engine::RunContext,
    manifest::{ManifestError, ManifestWriter, PlanHistory},
    source::{BarsRequest, Disposition, PagePosition, Source},
};

/// Requests the last day that was not served, if there are requested days that are not served. If it is served now, all
/// these days become pending tasks again, and the first of them searches for the new beginning of the history. One
/// request, whatever the number of symbols; if it fails, everything stays as it is.
///
/// # Errors
/// If the manifest cannot be read or written.
pub async fn recheck_history<S: Source>(source: &S, parts: &RunContext) -> Result<(), ManifestError> {
    let Some(service) = parts.service.clone() else { return Ok(()) };
    let days = parts.manifest.call(|writer| writer.not_entitled()).await?;
    let Some((symbol, _)) = days.first() else { return Ok(()) };
    let place = service.clone();
    let known = parts.manifest.call(move |writer| writer.plan_history(&place)).await?;
    let Some((known, last)) = known.and_then(|known| Some((known.clone(), known.edge()?.last_refused())))
    else {
        let reason = format!("nothing is known of the plan behind {service}");
        return parts.manifest.call(move |writer| writer.reopen_not_entitled(&reason).map(|_| ())).await;
    };
    let has_last = |window: &Window| window.from() <= last && last <= window.to();
    let asked_for = days.iter().find(|(_, window)| has_last(window)).map_or(symbol, |(symbol, _)| symbol);
    let Some(question) = question(known.shown_by, asked_for, last) else { return Ok(()) };
    if parts.permit().await.is_none() {
        return Ok(());
    }
    let Some(answer) = parts.stop.unless_requested(source.page(&question, &PagePosition::Start)).await else {
        return Ok(());
    };
    let is_served = match answer {
        Ok(page) => {
            parts.pacer.accepted();
            parts.counters.received(page.bytes);
            known.shown_by != Some(HistoryEvidence::Clipping) || !page.bars.is_empty()
        }
        Err(error) => {
            if !matches!(error.disposition(), Disposition::Timeframe | Disposition::NotEntitled) {
                parts.counters.trouble(format!("{last}: {}", error.error_chain()));
            }
            false
        }
    };
    if !is_served {
        return Ok(());
    }
    let now = PlanHistory {
        last_refused: None,
        first_served: Some(last),
        is_found: false,
        as_of: today(parts.clock),
        shown_by: None,
        words: None,
        search: None,
    };
    let reopen = move |writer: &mut ManifestWriter| {
        writer.save_plan_history(&service, &now)?;
        writer.reopen_not_entitled(&format!("{last} is served now")).map(|_| ())
    };
    parts.manifest.call(reopen).await
}

/// The request for one day of a symbol. Where responses are clipped, uses the control symbol.
fn question(
    shown_by: Option<HistoryEvidence>,
    symbol: &Symbol,
    day: jiff::civil::Date,
) -> Option<BarsRequest> {
    let symbol = match shown_by {
        Some(HistoryEvidence::Clipping) => CONTROL_SYMBOL.parse().ok()?,
        Some(HistoryEvidence::Refusal) | None => symbol.clone(),
    };
    Some(BarsRequest { symbol, window: Window::new(day, day)? })
}
