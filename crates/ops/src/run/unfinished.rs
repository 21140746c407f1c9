//! Tasks for days that are still to come: recorded under a clock that was ahead, and cut as soon as clock and service agree.

use grab_core::{engine, manifest::StoreKind, store::BarStore};
use grab_model::calendar::{self, Session};

use super::{Client, Job, last_day};
use crate::{Connection, Error, Notice, RunHandles};

impl Job {
    /// Cuts tasks that extend beyond the last finished session, by the later one of this machine's clock and the
    /// service's. Sends one request if there is such a task. Returns the client, if one was needed.
    ///
    /// # Errors
    /// If the service cannot be reached, or the manifest cannot be written.
    pub(super) async fn cut_unfinished(
        &self,
        connection: &Connection,
        kind: StoreKind,
        store: &BarStore,
        running: &RunHandles,
    ) -> Result<Option<Client>, Error> {
        let manifest = &running.manifest;
        let last = last_day(self.clock);
        let tasks = manifest.call(move |writer| writer.reaching_beyond(last)).await?;
        if tasks == 0 || self.plan_only {
            return Ok(None);
        }
        let opened = self.open(connection, kind, running).await?;
        // Any response has the service's time.
        engine::ask_for_time(opened.1.clone(), connection.parts(kind, store.clone(), running)).await?;
        let Some(latest_ms) = opened.1.time().latest_ms() else {
            self.observer.notice(&Notice::FutureTasksStay { tasks, last });
            return Ok(Some(opened));
        };
        let last = calendar::last_finished(latest_ms).map_or(calendar::FIRST_DAY, Session::date);
        let cut = manifest.call(move |writer| writer.cut_future_days(last)).await?;
        if cut > 0 {
            self.observer.notice(&Notice::FutureTasksCut { tasks: cut, last });
        }
        Ok(Some(opened))
    }

    /// Opens the client.
    ///
    /// # Errors
    /// Those of [`Connection::open`].
    pub(super) async fn open(
        &self,
        connection: &Connection,
        kind: StoreKind,
        running: &RunHandles,
    ) -> Result<Client, Error> {
        let opened = connection.open(kind).await?;
        connection.stop_in_time(&running.stop);
        Ok(opened)
    }
}
