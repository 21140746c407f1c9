//! Carries out the result of a search.

use grab_model::HistoryStart;

use super::{HistoryEvidence, HistoryInquiry, HistoryKnowledge, SearchCause, SearchConclusion, SearchStep};
use crate::{
    engine::{
        queue::TaskLease,
        task_job::{PageStep, TaskJob},
    },
    manifest::{ManifestError, ManifestWriter, TaskEvent},
    source::{BarsPage, FetchError, Source},
};

impl HistoryKnowledge {
    /// Takes over the served days of a search that found no beginning.
    fn hear_of(&mut self, inquiry: &HistoryInquiry) {
        if let Some(SearchStep::Refused(_, steps)) = &inquiry.search
            && steps.is_proven
            && let Some(day) = steps.bracket.first_served
        {
            self.serves(day);
        }
    }
}

impl<S: Source> TaskJob<S> {
    /// Carries out the result of a search.
    pub(in crate::engine) async fn conclude(
        &self,
        lease: &mut TaskLease,
        inquiry: HistoryInquiry,
        conclusion: SearchConclusion,
    ) -> Result<PageStep, ManifestError> {
        let conclusion = self.take_over(&inquiry, conclusion);
        self.keep_history().await?;
        let is_own = match &inquiry.search {
            Some(SearchStep::Refused(symbol, _)) => *symbol == lease.task.symbol,
            Some(SearchStep::Late(..)) | None => false,
        };
        let (reason, page) = match inquiry.cause {
            SearchCause::Refused { reason, .. } => (Some(reason), None),
            SearchCause::Late(page) => (None, Some(page)),
            // No day of the symbol is served, so its page would be refused too.
            SearchCause::GoesOn if is_own && conclusion == SearchConclusion::NothingServed => {
                (Some(FetchError::NotEntitled { words: inquiry.words }.error_chain()), None)
            }
            SearchCause::GoesOn => (None, None),
        };
        if let SearchConclusion::Found(edge) = conclusion {
            return self.cut(lease, edge, page).await;
        }
        lease.turn = None;
        match (page, reason, conclusion) {
            (Some(page), ..) => self.store_page(lease, *page, Vec::new()).await,
            (None, Some(reason), SearchConclusion::NotYet(_)) => Ok(PageStep::Defer(reason)),
            (None, Some(reason), _) => self.end(lease, TaskEvent::Refused, reason).await,
            // It has not requested its page yet.
            (None, None, _) => Ok(PageStep::Onward),
        }
    }

    /// Takes over the result of a search, for all tasks.
    fn take_over(&self, inquiry: &HistoryInquiry, conclusion: SearchConclusion) -> SearchConclusion {
        let mut known = self.history.known();
        if inquiry.search.is_some() {
            (known.open, known.is_changed) = (None, true);
        }
        match conclusion {
            SearchConclusion::Found(_) => match &inquiry.search {
                Some(SearchStep::Refused(_, steps)) => {
                    known.learn(&steps.bracket, HistoryEvidence::Refusal, inquiry.words.as_ref());
                }
                Some(SearchStep::Late(_, steps)) if !steps.is_refused && known.disproves(&steps.bracket) => {
                    return SearchConclusion::OtherReason;
                }
                Some(SearchStep::Late(_, steps)) => {
                    let shown_by =
                        if steps.is_refused { HistoryEvidence::Refusal } else { HistoryEvidence::Clipping };
                    known.learn(&steps.bracket, shown_by, inquiry.words.as_ref());
                }
                // Another task has found it.
                None => {}
            },
            SearchConclusion::AllServed => {
                if let Some(SearchStep::Late(_, steps)) = &inquiry.search {
                    steps.bracket.first_served.into_iter().for_each(|day| known.serves(day));
                }
            }
            SearchConclusion::NotYet(day) => {
                known.not_yet = Some(day);
                known.hear_of(inquiry);
            }
            SearchConclusion::NothingServed => {
                if let SearchCause::Refused { is_about_time, .. } = inquiry.cause {
                    *known.in_vain.of(is_about_time) += 1;
                }
            }
            SearchConclusion::Undecided => (known.is_control_useless, known.is_changed) = (true, true),
            SearchConclusion::OtherReason => known.hear_of(inquiry),
        }
        conclusion
    }

    /// Cuts all pending tasks where the history begins, and this one, which continues with its remaining window.
    pub(super) async fn cut(
        &self,
        lease: &mut TaskLease,
        edge: HistoryStart,
        page: Option<Box<BarsPage>>,
    ) -> Result<PageStep, ManifestError> {
        let id = lease.task.id;
        let cut = move |writer: &mut ManifestWriter| Ok((writer.cut_pending(edge)?, writer.cut(id, edge)?));
        let (others, left) = self.manifest.call(cut).await?;
        (0..others.ended).for_each(|_| self.counters.task_ended());
        self.counters.covered(u32::try_from(others.days).unwrap_or(u32::MAX));
        lease.turn = None;
        let Some(window) = left else {
            self.counters.covered(lease.advance(None, true));
            self.counters.task_ended();
            return Ok(PageStep::Settled);
        };
        self.counters.covered(lease.cut_to(window));
        match page {
            Some(page) => self.store_page(lease, *page, Vec::new()).await,
            None => Ok(PageStep::Onward),
        }
    }
}
