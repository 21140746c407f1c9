//! Tasks whose days have not been: recorded under a clock that was ahead, and cut as soon as clock and service agree on that.

use grab_core::{engine, manifest::StoreKind};
use grab_model::calendar::{self, Session};

use super::{
    super::{
        access::{Access, Running},
        failure::Failure,
        format,
        output::say,
        start::last_day,
    },
    Job, Opened,
};

impl Job<'_> {
    /// Cuts tasks that reach beyond the last session that has been by the later of this machine's clock and the service: one
    /// request, where there is such a task. Returns the client, if one was needed.
    ///
    /// # Errors
    /// If the service cannot be asked, or the manifest cannot be written.
    pub(super) async fn cut_unfinished(
        &self,
        access: &Access<'_>,
        kind: StoreKind,
        running: &Running,
    ) -> Result<Option<Opened>, Failure> {
        let Running { manifest, counters, pacer, stop } = running;
        let last = last_day(self.clock);
        let tasks = manifest.call(move |writer| writer.reaching_beyond(last)).await?;
        if tasks == 0 || self.plan_only {
            return Ok(None);
        }
        let opened = self.open(access, kind, running).await?;
        // Whatever it answers: it comes with the time.
        engine::control(&opened.1, pacer, counters, stop, self.settings.max_requests).await;
        let tasks = format::plural(tasks, "task");
        let Some(latest_ms) = opened.1.time().latest_ms() else {
            say(&format!(
                "note: {tasks} for days after {last}, the last finished session by the clock of this machine; the service did \
                 not say what time it is, and the tasks stay as they are"
            ));
            return Ok(Some(opened));
        };
        let last = calendar::last_finished(latest_ms).map_or(calendar::FIRST_DAY, Session::date);
        let cut = manifest.call(move |writer| writer.cut_future_days(last)).await?;
        if cut > 0 {
            say(&format!(
                "{} for days after {last}, which have not been: a clock was ahead when they were recorded. They are cut, and \
                 what was asked for too early is asked for again",
                format::plural(cut, "task")
            ));
        }
        Ok(Some(opened))
    }

    /// Opens the client.
    ///
    /// # Errors
    /// As [`Access::open`].
    pub(super) async fn open(
        &self,
        access: &Access<'_>,
        kind: StoreKind,
        running: &Running,
    ) -> Result<Opened, Failure> {
        let opened = access.open(kind).await?;
        access.stop_in_time(&running.stop);
        Ok(opened)
    }
}
