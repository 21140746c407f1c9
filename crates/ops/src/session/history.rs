//! Before anything is asked: what is known of the plan's history.

use grab_core::manifest::{ManifestError, ManifestWriter, PlanHistory, StoreKind, WriterHandle};
use grab_model::plan;

use super::Job;
use crate::Connection;

/// Whether a run asks, with one question, if the plan serves more by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskAnew {
    /// It goes by what is known.
    Never,
    /// It asks if it was itself asked for days that are known not to be served.
    IfAskedFor,
    /// It asks if such days were ever asked for.
    IfAny,
}

/// Whether any session was asked for that is not served: a weekend alone is no reason to ask.
fn has_sessions(writer: &ManifestWriter) -> Result<bool, ManifestError> {
    Ok(plan::sessions_in(writer.not_entitled()?.iter().map(|(_, window)| window)) > 0)
}

impl Job {
    /// Cuts the pending tasks that begin before the history which the plan is known to have: none of them needs a request.
    pub(super) async fn cut_by_what_is_known(
        &self,
        connection: &Connection,
        kind: StoreKind,
        manifest: &WriterHandle,
    ) -> Result<(), ManifestError> {
        let Some(service) = connection.options.service(kind) else { return Ok(()) };
        let cut = move |writer: &mut ManifestWriter| {
            let edge = writer.plan_history(&service)?.as_ref().and_then(PlanHistory::edge);
            edge.map_or(Ok(()), |edge| writer.cut_pending(edge).map(|_| ()))
        };
        manifest.call(cut).await
    }

    /// Whether it is to be asked if the plan serves more by now.
    pub(super) async fn is_asked_anew(
        &self,
        connection: &Connection,
        kind: StoreKind,
        manifest: &WriterHandle,
    ) -> Result<bool, ManifestError> {
        if self.plan_only || connection.options.service(kind).is_none() {
            return Ok(false);
        }
        match self.ask_anew {
            AskAnew::Never => Ok(false),
            AskAnew::IfAskedFor => {
                manifest.call(|writer| Ok(writer.has_refused() && has_sessions(writer)?)).await
            }
            AskAnew::IfAny => manifest.call(|writer| has_sessions(writer)).await,
        }
    }
}
