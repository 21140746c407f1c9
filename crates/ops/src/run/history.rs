//! What is known of the plan's history before the first request.

use grab_core::manifest::{ManifestError, ManifestWriter, PlanHistory, StoreKind, WriterHandle};
use grab_model::plan;

use super::Job;
use crate::Connection;

/// Whether a run checks, with one request, if the plan serves more by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryCheck {
    /// It does not check.
    Never,
    /// It checks if this run has requested days that are known not to be served.
    IfRequested,
    /// It checks if such days were ever requested.
    IfAny,
}

/// Whether any requested session is not served: a weekend alone is no reason to check.
fn has_sessions(writer: &ManifestWriter) -> Result<bool, ManifestError> {
    Ok(plan::sessions_in(writer.not_entitled()?.iter().map(|(_, window)| window)) > 0)
}

impl Job {
    /// Cuts the pending tasks that begin before the known history of the plan: these days need no request.
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

    /// Whether to check if the plan serves more by now.
    pub(super) async fn rechecks_history(
        &self,
        connection: &Connection,
        kind: StoreKind,
        manifest: &WriterHandle,
    ) -> Result<bool, ManifestError> {
        if self.plan_only || connection.options.service(kind).is_none() {
            return Ok(false);
        }
        match self.history_check {
            HistoryCheck::Never => Ok(false),
            HistoryCheck::IfRequested => {
                manifest.call(|writer| Ok(writer.has_refused() && has_sessions(writer)?)).await
            }
            HistoryCheck::IfAny => manifest.call(|writer| has_sessions(writer)).await,
        }
    }
}
