//! What precedes the bars: lists that are due, and the tasks of subscriptions.

use std::sync::Arc;

use grab_core::{
    data_dir::DataDir,
    engine::StopReason,
    manifest::{ManifestError, ManifestWriter, StoreKind},
    store::BarStore,
};
use jiff::civil::Date;

use super::{Client, Job, last_day};
use crate::{
    Connection, Error, LeftOut, MissingList, Notice, Observer, ReferenceFetch, ReferenceReport,
    ReferenceSelection, RunHandles, TableSync, has_universe, plan_subscriptions, unplanned, usable_universe,
};

/// Plans the subscriptions by the stored universe. Returns how many tasks are new, what lists leave out, and how many
/// symbols have no list date. None if no usable universe is stored.
fn plan_stored(
    writer: &mut ManifestWriter,
    data_dir: &DataDir,
    last_day: Date,
    observer: &dyn Observer,
) -> Result<Option<(u64, LeftOut, u64)>, Error> {
    let Some(universe) = usable_universe(data_dir)? else { return Ok(None) };
    let (added, left_out) = plan_subscriptions(writer, &universe, last_day, observer)?;
    let unknown = universe.periods().filter(|(_, span)| span.from.is_none()).count() as u64;
    Ok(Some((added, left_out, unknown)))
}

impl Job {
    /// Fetches the lists that are needed. Returns the client, if one was needed.
    pub(super) async fn fetch_lists(
        &self,
        connection: &Connection,
        kind: StoreKind,
        store: &BarStore,
        running: &RunHandles,
        opened: Option<Client>,
        report: &mut ReferenceReport,
    ) -> Result<Option<Client>, Error> {
        if self.lists == ReferenceSelection::default() {
            return Ok(opened);
        }
        let opened = match opened {
            Some(opened) => opened,
            None => self.open(connection, kind, running).await?,
        };
        let phase = RunHandles { stop: running.stop.of_phase(), ..running.clone() };
        let patience = Connection { options: self.options.for_lists(), ..connection.clone() };
        patience.stop_in_time(&phase.stop);
        let (connection, sync) = (&patience, self.sync(store));
        let fetching = ReferenceFetch { connection, kind, store, source: &opened.1, running: &phase, sync };
        *report = fetching.fetch_all(self.lists).await?;
        let reason = phase.stop.reason().filter(|_| !running.stop.is_requested());
        match reason {
            // If the lists fail, the bars may not. If the source or the key is at fault, they will show it.
            Some(
                reason @ (StopReason::SourceLost(_)
                | StopReason::NotYet(_)
                | StopReason::Unreachable(_)
                | StopReason::KeyRefused(_)
                | StopReason::Duration),
            ) => {
                let reason = Error::Stopped(reason).to_string();
                report.without.push(MissingList { what: "reference lists".to_owned(), reason });
            }
            Some(reason) => running.stop.request(reason),
            None => {}
        }
        Ok(Some(opened))
    }

    fn sync(&self, store: &BarStore) -> TableSync {
        let (data_dir, now_ms) = (self.data_dir.clone(), self.clock.now_ms());
        TableSync {
            data_dir,
            now_ms,
            source: store.source().to_owned(),
            observer: Arc::clone(&self.observer),
        }
    }

    /// Records the tasks of subscriptions that have none yet; first fetches the universe if it is not there. Returns
    /// the client, if one was needed.
    pub(super) async fn plan_orders(
        &self,
        connection: &Connection,
        kind: StoreKind,
        store: &BarStore,
        running: &RunHandles,
        mut opened: Option<Client>,
        left_out: &mut Option<LeftOut>,
    ) -> Result<Option<Client>, Error> {
        let RunHandles { manifest, stop, .. } = running;
        if !manifest.call(|writer| unplanned(writer)).await? {
            return Ok(opened);
        }
        if !has_universe(&self.data_dir, &*self.observer)? {
            if self.lists.tickers {
                // They were requested a moment ago.
                return Ok(opened);
            }
            if self.plan_only {
                self.observer.notice(&Notice::UniverseComesLater);
                return Ok(None);
            }
            let unplanned = |failure| Error::Unplanned(Box::new(failure));
            let (sandbox, source) = connection.open(kind).await.map_err(unplanned)?;
            connection.stop_in_time(stop);
            let sync = self.sync(store);
            let fetching = ReferenceFetch { connection, kind, store, source: &source, running, sync };
            fetching.fetch_universe().await.map_err(unplanned)?;
            opened = Some((sandbox, source));
        }
        let (data_dir, last_day) = (self.data_dir.clone(), last_day(self.clock));
        let observer = Arc::clone(&self.observer);
        let planned = manifest
            .call(move |writer| Ok::<_, ManifestError>(plan_stored(writer, &data_dir, last_day, &*observer)));
        let planned = planned.await?.map_err(|failure| Error::Unplanned(Box::new(failure)))?;
        let planned = planned.map(|(added, left, unknown)| {
            *left_out = Some(left.brief());
            (added, unknown)
        });
        match planned {
            Some((0, _)) => self.observer.notice(&Notice::NothingPlanned),
            Some((tasks, without_list_date)) => {
                self.observer.notice(&Notice::Planned { tasks, without_list_date });
            }
            None => {
                return Err(Error::Unplanned(Box::new(Error::NoList("it cannot be read".to_owned()))));
            }
        }
        Ok(opened)
    }
}
