//! Checks whether the plan serves more than before.

use grab_model::{Symbol, Window};
use jiff::civil::Date;

use super::{CONTROL_SYMBOL, HistoryEvidence, today};
use crate::{
    engine::{
        RunContext,
        question_job::{self, JobOutcome, NextQuestion, QuestionJob},
    },
    manifest::{ManifestError, ManifestWriter, PlanHistory},
    source::{BarsPage, BarsRequest, Disposition, FetchError, PagePosition, Source},
};

/// The job; its only question is the last day that was not served.
struct RecheckJob<S> {
    source: S,
    service: String,
    day: Date,
    /// How it is known that the day was not served.
    shown_by: Option<HistoryEvidence>,
}

/// Requests the last day that was not served, if there are requested days that are not served. If it is served now, all
/// these days become pending tasks again, and the first of them searches for the new beginning of the history. One
/// question, whatever the number of symbols; if it is refused or given up, everything stays as it is.
///
/// # Errors
/// If the manifest cannot be read or written.
pub async fn recheck_history<S: Source>(source: S, parts: RunContext) -> Result<(), ManifestError> {
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
    let job = RecheckJob { source, service, day: last, shown_by: known.shown_by };
    question_job::run(job, [question], parts).await.map(|_| ())
}

impl<S: Source> QuestionJob for RecheckJob<S> {
    type Source = S;
    type Question = BarsRequest;
    type Answer = BarsPage;

    fn source(&self) -> &S {
        &self.source
    }

    fn name(question: &BarsRequest) -> String {
        format!("{} on {}", question.symbol, question.window.from())
    }

    async fn ask(&self, question: &BarsRequest) -> Result<BarsPage, FetchError> {
        self.source.page(question, &PagePosition::Start).await
    }

    fn bytes(page: &BarsPage) -> u64 {
        page.bytes
    }

    async fn store(
        &self,
        parts: &RunContext,
        _: &BarsRequest,
        page: BarsPage,
    ) -> Result<NextQuestion<BarsRequest>, ManifestError> {
        let is_served = self.shown_by != Some(HistoryEvidence::Clipping) || !page.bars.is_empty();
        if is_served {
            let (service, day) = (self.service.clone(), self.day);
            let now = PlanHistory {
                last_refused: None,
                first_served: Some(day),
                is_found: false,
                as_of: today(parts.clock),
                shown_by: None,
                words: None,
                search: None,
            };
            let reopen = move |writer: &mut ManifestWriter| {
                writer.save_plan_history(&service, &now)?;
                writer.reopen_not_entitled(&format!("{day} is served now")).map(|_| ())
            };
            parts.manifest.call(reopen).await?;
        }
        Ok(NextQuestion::Settled(JobOutcome::Kept))
    }

    fn alternative(&self, _: &BarsRequest, _: Disposition) -> Option<BarsRequest> {
        None
    }

    async fn settle(
        &self,
        _: &RunContext,
        _: &BarsRequest,
        _: JobOutcome,
    ) -> Result<Option<String>, ManifestError> {
        Ok(None)
    }
}

/// The request for one day of a symbol. Where responses are clipped, uses the control symbol.
fn question(shown_by: Option<HistoryEvidence>, symbol: &Symbol, day: Date) -> Option<BarsRequest> {
    let symbol = match shown_by {
        Some(HistoryEvidence::Clipping) => CONTROL_SYMBOL.parse().ok()?,
        Some(HistoryEvidence::Refusal) | None => symbol.clone(),
    };
    Some(BarsRequest { symbol, window: Window::new(day, day)? })
}
