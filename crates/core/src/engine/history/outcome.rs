//! What follows from the end of a search.

use grab_model::HistoryEdge;

use super::{Cause, Conclusion, Inquiry, Known, Search, ShownBy};
use crate::{
    engine::{Run, queue::Lease, worker::Step},
    manifest::{Ledger, ManifestError, TaskEvent},
    source::{FetchError, Page, Source},
};

impl Known {
    /// A search that found no beginning was served some days all the same.
    fn hear_of(&mut self, inquiry: &Inquiry) {
        if let Some(Search::Refused(_, steps)) = &inquiry.search
            && steps.is_proven
            && let Some(day) = steps.bracket.first_served
        {
            self.serves(day);
        }
    }
}

impl<S: Source> Run<S> {
    /// Carries out what a search has led to.
    pub(in crate::engine) async fn conclude(
        &self,
        lease: &mut Lease,
        inquiry: Inquiry,
        conclusion: Conclusion,
    ) -> Result<Step, ManifestError> {
        self.take_over(&inquiry, conclusion);
        self.keep_history().await?;
        let is_own = match &inquiry.search {
            Some(Search::Refused(symbol, _)) => *symbol == lease.task.symbol,
            Some(Search::Late(..)) | None => false,
        };
        let (reason, page) = match inquiry.cause {
            Cause::Refused { reason, .. } => (Some(reason), None),
            Cause::Late(page) => (None, Some(page)),
            // No day of it is served: its page would not be either.
            Cause::GoesOn if is_own && conclusion == Conclusion::NothingServed => {
                (Some(FetchError::NotEntitled { words: inquiry.words }.chain()), None)
            }
            Cause::GoesOn => (None, None),
        };
        if let Conclusion::Found(edge) = conclusion {
            return self.cut(lease, edge, page).await;
        }
        lease.turn = None;
        match (page, reason, conclusion) {
            (Some(page), ..) => self.store(lease, *page, Vec::new()).await,
            (None, Some(reason), Conclusion::NotYet(_)) => Ok(Step::Defer(reason)),
            (None, Some(reason), _) => self.end(lease, TaskEvent::Refused, reason).await,
            // It has not asked for its page yet.
            (None, None, _) => Ok(Step::Onward),
        }
    }

    /// Takes over what a search has found out, for all tasks.
    fn take_over(&self, inquiry: &Inquiry, conclusion: Conclusion) {
        let mut known = self.history.known();
        if inquiry.search.is_some() {
            (known.open, known.is_changed) = (None, true);
        }
        match conclusion {
            Conclusion::Found(_) => match &inquiry.search {
                Some(Search::Refused(_, steps)) => {
                    known.learn(&steps.bracket, ShownBy::Refusal, inquiry.words.as_ref());
                }
                Some(Search::Late(_, steps)) => {
                    let shown_by = if steps.is_refused { ShownBy::Refusal } else { ShownBy::Clipping };
                    known.learn(&steps.bracket, shown_by, inquiry.words.as_ref());
                }
                // Another task has found it.
                None => {}
            },
            Conclusion::AllServed => {
                if let Some(Search::Late(_, steps)) = &inquiry.search {
                    steps.bracket.first_served.into_iter().for_each(|day| known.serves(day));
                }
            }
            Conclusion::NotYet(day) => {
                known.not_yet = Some(day);
                known.hear_of(inquiry);
            }
            Conclusion::NothingServed => {
                if let Cause::Refused { is_about_time, .. } = inquiry.cause {
                    *known.in_vain.of(is_about_time) += 1;
                }
            }
            Conclusion::Undecided => (known.is_control_useless, known.is_changed) = (true, true),
            Conclusion::OtherReason => known.hear_of(inquiry),
        }
    }

    /// Cuts all pending tasks where the history begins, and this one, which goes on with what is left of it.
    pub(super) async fn cut(
        &self,
        lease: &mut Lease,
        edge: HistoryEdge,
        page: Option<Box<Page>>,
    ) -> Result<Step, ManifestError> {
        let id = lease.task.id;
        let cut = move |ledger: &mut Ledger| Ok((ledger.cut_pending(edge)?, ledger.cut(id, edge)?));
        let (others, left) = self.recorder.call(cut).await?;
        (0..others.ended).for_each(|_| self.meter.task_ended());
        self.meter.covered(u32::try_from(others.days).unwrap_or(u32::MAX));
        lease.turn = None;
        let Some(window) = left else {
            self.meter.covered(lease.advance(None, true));
            self.meter.task_ended();
            return Ok(Step::Settled);
        };
        self.meter.covered(lease.cut_to(window));
        match page {
            Some(page) => self.store(lease, *page, Vec::new()).await,
            None => Ok(Step::Onward),
        }
    }
}
