//! Does the plan serve more by now?

use grab_model::{Symbol, Window};

use super::{CONTROL_SYMBOL, ShownBy, today};
use crate::{
    engine::{Parts, may_leave},
    manifest::{Ledger, ManifestError, PlanHistory},
    source::{Disposition, Place, Question, Source},
};

/// Asks once for the last day that was not served, if days were asked for that are not. If it is served now, all these days
/// are pending tasks again, and the first of them finds out where the history begins by now. One question, whatever the
/// number of symbols; if it cannot be answered, all stays as it is.
///
/// # Errors
/// If the manifest cannot be read or written.
pub async fn ask_anew<S: Source>(source: &S, parts: &Parts) -> Result<(), ManifestError> {
    let Some(service) = parts.service.clone() else { return Ok(()) };
    let days = parts.recorder.call(|ledger| ledger.not_entitled()).await?;
    let Some((symbol, _)) = days.first() else { return Ok(()) };
    let place = service.clone();
    let known = parts.recorder.call(move |ledger| ledger.plan_history(&place)).await?;
    let Some((known, last)) = known.and_then(|known| Some((known.clone(), known.edge()?.last_refused())))
    else {
        let reason = format!("nothing is known of the plan behind {service}");
        return parts.recorder.call(move |ledger| ledger.reopen_not_entitled(&reason).map(|_| ())).await;
    };
    let has_last = |window: &Window| window.from() <= last && last <= window.to();
    let asked_for = days.iter().find(|(_, window)| has_last(window)).map_or(symbol, |(symbol, _)| symbol);
    let Some(question) = question(known.shown_by, asked_for, last) else { return Ok(()) };
    if !may_leave(&parts.pacer, &parts.meter, &parts.stop, parts.max_requests).await {
        return Ok(());
    }
    let Some(answer) = parts.stop.unless_requested(source.page(&question, &Place::Start)).await else {
        return Ok(());
    };
    let is_served = match answer {
        Ok(page) => {
            parts.pacer.let_in();
            parts.meter.received(page.bytes);
            known.shown_by != Some(ShownBy::Clipping) || !page.bars.is_empty()
        }
        Err(error) => {
            if !matches!(error.disposition(), Disposition::Timeframe | Disposition::NotEntitled) {
                parts.meter.trouble(format!("{last}: {}", error.chain()));
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
    let reopen = move |ledger: &mut Ledger| {
        ledger.keep_plan_history(&service, &now)?;
        ledger.reopen_not_entitled(&format!("{last} is served now")).map(|_| ())
    };
    parts.recorder.call(reopen).await
}

/// One day of a symbol; where answers are clipped, of the one that tells.
fn question(shown_by: Option<ShownBy>, symbol: &Symbol, day: jiff::civil::Date) -> Option<Question> {
    let symbol = match shown_by {
        Some(ShownBy::Clipping) => CONTROL_SYMBOL.parse().ok()?,
        Some(ShownBy::Refusal) | None => symbol.clone(),
    };
    Some(Question { symbol, window: Window::new(day, day)? })
}
