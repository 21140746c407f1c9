//! The service's time, from the headers of any response.

use super::{
    RunContext,
    question_job::{self, JobOutcome, NextQuestion, QuestionJob},
};
use crate::{
    manifest::ManifestError,
    source::{Disposition, FetchError, Source},
};

/// The job; its only question is the control request.
struct ServiceTimeJob<S> {
    source: S,
}

/// Sends the control request until a response comes, whatever it says: the source then knows the service's time.
///
/// # Errors
/// If the manifest can no longer be written.
pub async fn ask_for_time<S: Source>(source: S, context: RunContext) -> Result<(), ManifestError> {
    question_job::run(ServiceTimeJob { source }, [()], context).await.map(|_| ())
}

impl<S: Source> QuestionJob for ServiceTimeJob<S> {
    type Source = S;
    type Question = ();
    type Answer = ();

    fn source(&self) -> &S {
        &self.source
    }

    fn name((): &()) -> String {
        "the service's time".to_owned()
    }

    async fn ask(&self, (): &()) -> Result<(), FetchError> {
        match self.source.control().await {
            // No response, or one that concerns the pace of all requests.
            Err(error) if is_for_all(error.disposition()) => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn bytes((): &()) -> u64 {
        0
    }

    async fn store(&self, _: &RunContext, (): &(), (): ()) -> Result<NextQuestion<()>, ManifestError> {
        Ok(NextQuestion::Settled(JobOutcome::Kept))
    }

    fn alternative(&self, (): &(), _: Disposition) -> Option<()> {
        None
    }

    async fn settle(&self, _: &RunContext, (): &(), _: JobOutcome) -> Result<Option<String>, ManifestError> {
        Ok(None)
    }
}

/// Whether a failure is one of the source as a whole, and not of the control request.
fn is_for_all(disposition: Disposition) -> bool {
    match disposition {
        Disposition::Outage | Disposition::SlowDown { .. } => true,
        Disposition::Unwell(_)
        | Disposition::Retry
        | Disposition::CursorForgets
        | Disposition::RetryTwice
        | Disposition::KeyRefused
        | Disposition::NotYet
        | Disposition::NotEntitled
        | Disposition::Timeframe
        | Disposition::NotFound
        | Disposition::UnknownRoute => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{
        StopReason,
        scripted::{ScriptedFault, ScriptedSource, World},
    };

    #[tokio::test(start_paused = true)]
    async fn any_response_will_do_and_without_one_it_is_asked_as_all_others_are() {
        for (fault, failures, requests) in [
            (ScriptedFault::Status503, 9, 1),
            (ScriptedFault::KeyRefused, 9, 1),
            (ScriptedFault::NotFound, 9, 1),
            (ScriptedFault::NoConnection, 2, 3),
            (ScriptedFault::TooMany, 1, 2),
        ] {
            let (world, source) = (
                World::new(4),
                ScriptedSource::new(move |requested| (requested.number < failures).then_some(fault)),
            );
            ask_for_time(source.clone(), world.context.clone()).await.unwrap();
            assert_eq!(world.context.stop.reason(), None, "{fault:?}");
            assert_eq!(source.log().len(), requests, "{fault:?}: {}", source.story());
        }
        let (world, source) = (World::new(4), ScriptedSource::new(|_| Some(ScriptedFault::NoConnection)));
        ask_for_time(source.clone(), world.context.clone()).await.unwrap();
        let stopped = world.context.stop.reason();
        assert!(matches!(stopped, Some(StopReason::Unreachable(_))), "{stopped:?}");
        assert_eq!(source.log().len(), 3, "{}", source.story());
    }
}
